//! The ledger in this process: opened, or founded at the first start, alone or by the genesis document that several
//! organisations made together.

use super::data_folder::{self, KEEP, LEDGER};
use super::{key_share, remote_chain};
use crate::config::NodeConfig;
use anyhow::{Context, Result};
use host::clock;
use ledger::EmbeddedChain;
use ledger::genesis::Founding;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use vault::Vault;
use vitals::proof::genesis::{Founder, GenesisDocument};

/// EVM chain id of ledgers founded here. Signatures are bound to the genesis hash, not to it.
pub(crate) const CHAIN_ID: u64 = 84_001;

/// How long a block may take to the others before they call its leader dead.
const BLOCK_PROPAGATION: Duration = Duration::from_millis(300);

/// A ledger whose blocks this node makes and keeps itself.
#[derive(Clone)]
pub(super) struct EmbeddedLedger {
    pub(super) chain: Arc<EmbeddedChain>,
    /// This node's validator key.
    pub(super) validator: [u8; 32],
}

/// Opens or founds the ledger in this process.
pub(super) fn open(config: &NodeConfig, vault: &Vault) -> Result<(EmbeddedLedger, GenesisDocument)> {
    let ledger = config.data_dir.join(LEDGER);
    let named = config.ledger.genesis.as_deref().map(read_document).transpose()?;
    let (document, keys) = match vault.genesis_document() {
        Some(bytes) => {
            // Starting over would sign a second history with the same validator key.
            anyhow::ensure!(
                ledger.is_dir(),
                "the ledger's folder {} is gone: put it back; this validator key must not start another history",
                ledger.display()
            );
            let document =
                GenesisDocument::decode(&bytes).context("reading the genesis document in the vault")?;
            anyhow::ensure!(
                !remote_chain::stands_elsewhere(&document),
                "ledger {} of this data folder stands on another network: the configuration has no [chain] that \
                 says how to reach it",
                document.hash()
            );
            if let Some(named) = named.filter(|named| named.hash() != document.hash()) {
                anyhow::bail!(
                    "[ledger] genesis names ledger {}, but this data folder belongs to {}: give this node its own \
                     document, or another data folder",
                    named.hash(),
                    document.hash()
                );
            }
            let keys =
                keys_of(vault, key_share::seed(vault, &ledger)?.with_context(|| journals_gone(&ledger))?);
            (document, keys)
        }
        None => {
            let keys = keys_of(vault, key_share::seed_or_new(vault, &ledger)?);
            let document = match named {
                Some(document) => {
                    founded_by(&document, vault, &keys)?;
                    document
                }
                None => alone(config, vault, &keys)?,
            };
            data_folder::bind_to_ledger(config, vault, &document)?;
            (document, keys)
        }
    };
    let settings = settings(config, ledger);
    let chain = EmbeddedChain::start(&settings, &document, &keys)
        .with_context(|| format!("starting the ledger in {}: {KEEP}", settings.folder.display()))?;
    Ok((EmbeddedLedger { chain: Arc::new(chain), validator: validator_of(&keys)? }, document))
}

/// The time of this process, for blocks.
#[derive(Debug)]
struct ProcessClock;

impl ledger::NodeClock for ProcessClock {
    fn now_ms(&self) -> u64 {
        clock::now_ms()
    }

    fn machine_ms(&self) -> u64 {
        clock::machine_ms()
    }
}

/// How the ledger in this folder runs.
pub(super) fn settings(config: &NodeConfig, ledger: PathBuf) -> ledger::Config {
    let mut settings = match config.ledger.listen {
        None => ledger::Config::new(ledger),
        Some(listen) => ledger::Config::among_others(ledger, listen, peers(config)),
    };
    let agreement = &mut settings.agreement;
    agreement.clock = Some(Arc::new(ProcessClock));
    if let Some(ms) = config.heartbeat_ms {
        agreement.heartbeat = Duration::from_millis(ms);
        // Longer than the heartbeat by as much as a block may take on its way.
        agreement.leader_timeout = agreement.leader_timeout.max(agreement.heartbeat + BLOCK_PROPAGATION);
    }
    agreement.max_faulty = config.ledger.max_faulty;
    settings.history = config.ledger.history(config.rpc.is_some());
    settings
}

fn peers(config: &NodeConfig) -> Vec<ledger::Peer> {
    let peers = config.ledger.peers.iter();
    peers.map(|peer| ledger::Peer { key: peer.key, address: peer.address.clone() }).collect()
}

/// The keys that this node signs blocks and transactions with.
pub(super) fn keys_of(vault: &Vault, validator: [u8; 32]) -> ledger::Keys {
    ledger::Keys { validator, sender: *vault.sender_key().expose() }
}

/// What to do when the votes' journals are lost.
pub(super) fn journals_gone(ledger: &Path) -> String {
    format!(
        "the journals of this validator's votes are gone from {}, and its key with them: bring back the whole folder \
         from the moment it stopped, or make a new key with `aceso validator renew` and have it voted in",
        ledger.display()
    )
}

/// The public half of the validator's key.
pub(super) fn validator_of(keys: &ledger::Keys) -> Result<[u8; 32]> {
    ledger::validator_key(&keys.validator).context("the validator's seed is a key")
}

/// Reads a genesis document from a file.
pub(super) fn read_document(path: &Path) -> Result<GenesisDocument> {
    let bytes =
        std::fs::read(path).with_context(|| format!("reading the genesis document {}", path.display()))?;
    GenesisDocument::decode(&bytes)
        .with_context(|| format!("{} is not a genesis document this version knows", path.display()))
}

/// Does this document name our keys, and only ours, for our organisation?
fn founded_by(document: &GenesisDocument, vault: &Vault, keys: &ledger::Keys) -> Result<()> {
    let founder = document.founders.iter().find(|founder| founder.record_key == vault.record_key());
    let founder = founder.with_context(|| {
        format!(
            "organisation {} is not among the founders of ledger {}: send your card (`aceso found card`) to whoever \
             assembles the document, or follow the ledger with `aceso join`",
            vault.org(),
            document.hash()
        )
    })?;
    let sender = ledger::account::address_of(&keys.sender).context("the vault's sender key is a key")?;
    anyhow::ensure!(
        founder.sender == sender,
        "the genesis document names another sender account for this organisation than its vault holds: it was made \
         from somebody else's card"
    );
    let own = validator_of(keys)?;
    let seats = document.committee.iter().zip(&document.operators);
    for (validator, _) in seats.filter(|(_, operator)| **operator == vault.org()) {
        anyhow::ensure!(
            *validator == own,
            "the genesis document names validator {} for this organisation, but the key in this data folder is {}: \
             it was made from an older card, or the journals were made anew since; assemble it again",
            hex::encode(validator),
            hex::encode(own)
        );
    }
    Ok(())
}

/// The founding document of a ledger of one organisation and one validator.
fn alone(config: &NodeConfig, vault: &Vault, keys: &ledger::Keys) -> Result<GenesisDocument> {
    anyhow::ensure!(
        config.ledger.peers.is_empty(),
        "[ledger] peers are named but no genesis document: a ledger of several organisations is founded with \
         `aceso found`"
    );
    let sender = ledger::account::address_of(&keys.sender).context("the vault's sender key is a key")?;
    Ok(ledger::genesis::document(Founding {
        chain_id: CHAIN_ID,
        name: config.name.clone(),
        time_ms: clock::now_ms(),
        epoch_blocks: config.ledger.epoch_blocks.unwrap_or(ledger::EPOCH_BLOCKS),
        committee: vec![validator_of(keys)?],
        operators: vec![vault.org()],
        founders: vec![Founder { record_key: vault.record_key(), sender }],
        salt: clock::random(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_carry_the_held_time_of_the_process_and_are_judged_by_the_machine_s_too() {
        // The machine's clock is ten seconds ahead from the start on, and the process does not believe it yet.
        clock::begin_off_by(-10_000);
        let config: NodeConfig =
            toml::from_str("data_dir = \"/nowhere\"\npassphrase_file = \"/nowhere\"").unwrap();
        let clock = settings(&config, PathBuf::from("/nowhere")).agreement.clock.expect("a node sets it");
        let (now_ms, machine_ms) = (clock.now_ms(), clock.machine_ms());
        assert!(now_ms.abs_diff(clock::now_ms()) < 1_000, "{now_ms}");
        assert!(machine_ms.abs_diff(clock::machine_ms()) < 1_000, "{machine_ms}");
        assert!((9_000..11_000).contains(&machine_ms.abs_diff(now_ms)), "{now_ms}, {machine_ms}");
    }
}
