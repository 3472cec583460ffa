//! A node whose ledger stands on another Ethereum network (decisions 110, 111): the same contracts, on blocks
//! that others agree on. There is no validator here, and no journal that could be lost; the folder of the
//! ledger holds the acts that are on their way.

use super::data_folder::{self, KEEP, LEDGER};
use crate::config::{ChainConfig, NodeConfig};
use anyhow::{Context, Result, ensure};
use ledger::remote::{self, RemoteChain};
use vault::Vault;
use vitals::proof::genesis::GenesisDocument;

/// Do the contracts of this document stand on a network of others? Its committee is then of seats that
/// nobody can sign for.
pub(super) fn stands_elsewhere(document: &GenesisDocument) -> bool {
    document
        .founders
        .iter()
        .any(|founder| document.committee.contains(&remote::seat_key(&founder.record_key)))
}

/// Connects to the network, and at the first start binds the data folder to the ledger there.
pub(super) fn open(
    config: &NodeConfig,
    chain: &ChainConfig,
    vault: &Vault,
) -> Result<(RemoteChain, GenesisDocument)> {
    let (network, document) = (chain.network()?, chain.document()?);
    ensure!(
        stands_elsewhere(&document),
        "the genesis document in [chain] is of ledger {}, whose blocks its own nodes make: name it in [ledger] \
         genesis, or have the contracts put on the network with `aceso chain deploy`",
        document.hash()
    );
    let folder = config.data_dir.join(LEDGER);
    match vault.genesis_document() {
        Some(bytes) => {
            let held =
                GenesisDocument::decode(&bytes).context("reading the genesis document in the vault")?;
            ensure!(
                held.hash() == document.hash(),
                "[chain] genesis names ledger {}, but this data folder belongs to {}: give this node its own \
                 document, or another data folder",
                document.hash(),
                held.hash()
            );
            // Acts that were on their way when the node stopped lie there.
            ensure!(folder.is_dir(), "the ledger's folder {} is gone: put it back", folder.display());
        }
        None => {
            let sender = ledger::account::address_of(vault.sender_key().expose())
                .context("the vault's sender key is a key")?;
            let found = remote::check(&network, &document, Some(sender)).context("asking the network")?;
            ensure!(
                found.sends_for == Some(vault.org()),
                "on that network nobody knows organisation {} with its account 0x{}: have it founded \
                 (`aceso account show` prints what `aceso chain deploy --founder` takes), or admitted by the others",
                vault.org(),
                hex::encode(sender)
            );
            data_folder::bind_to_ledger(config, vault, &document)?;
        }
    }
    let chain =
        RemoteChain::start(&folder, network, &document, vault.sender_key().expose()).with_context(|| {
            format!("following the ledger on another network; its folder is {}: {KEEP}", folder.display())
        })?;
    Ok((chain, document))
}
