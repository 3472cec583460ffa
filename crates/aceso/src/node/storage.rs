//! Everything durable of a node: opened, held against each other, or founded at the first start.

use super::data_folder::{self, KEEP, RECORDS, VAULT};
use super::founding::{self, EmbeddedLedger};
use super::remote_chain;
use crate::config::NodeConfig;
use anyhow::{Context, Result};
use ledger::Chain;
use std::path::Path;
use std::sync::Arc;
use vault::{Store, Vault};
use vitals::Genesis;
use vitals::ledger::Ledger;
use vitals::proof::genesis::GenesisDocument;

/// What a node opened.
pub(super) struct Storage {
    pub(super) vault: Arc<Vault>,
    pub(super) store: Arc<Store>,
    pub(super) chain: Arc<dyn Chain>,
    /// The same chain, unless it stands on another network.
    pub(super) embedded: Option<EmbeddedLedger>,
    pub(super) document: GenesisDocument,
}

/// Opens or founds. Blocks on files and key stretching: call it off the async threads.
pub(super) fn open(config: &NodeConfig) -> Result<Storage> {
    let vault = data_folder::open_vault(config)?;
    // Before anything is signed or served with its keys.
    data_folder::check_generation(config, &vault)?;
    let (chain, embedded, document): (Arc<dyn Chain>, _, _) = match &config.chain {
        Some(network) => {
            let (chain, document) = remote_chain::open(config, network, &vault)?;
            (Arc::new(chain), None, document)
        }
        None => {
            let (embedded, document) = founding::open(config, &vault)?;
            (embedded.chain.clone(), Some(embedded), document)
        }
    };
    let store = open_records(config, &vault, chain.as_ref(), document.hash())?;
    // Again, for the folders that a founding made meanwhile.
    data_folder::check_generation(config, &vault)?;
    Ok(Storage { vault: Arc::new(vault), store: Arc::new(store), chain, embedded, document })
}

/// Opens the record store, and holds vault, records and ledger against each other.
pub(super) fn open_records(
    config: &NodeConfig,
    vault: &Vault,
    ledger: &dyn Ledger,
    genesis: Genesis,
) -> Result<Store> {
    let records = config.data_dir.join(RECORDS);
    let store = Store::open(&records, genesis)
        .with_context(|| format!("opening the record store in {}: {KEEP}", records.display()))?;
    agree(vault, &store, ledger, &config.data_dir)?;
    Ok(store)
}

/// Vault, records and ledger vouch for one another: each would open alone from an older copy.
fn agree(vault: &Vault, store: &Store, ledger: &dyn Ledger, data_dir: &Path) -> Result<()> {
    if let Some(stream) = store.streams().into_iter().find(|stream| vault.stream(*stream).is_none()) {
        anyhow::bail!(
            "{} is older than the records: it has no key for stream {stream}; put back the newer file",
            data_dir.join(VAULT).join(vault::VAULT_FILE).display()
        );
    }
    // A ledger that is behind its own journals will find the anchor later; it vouches for no less.
    let anchor = ledger.anchor(vault.org()).context("reading the anchor")?;
    if let Some(anchor) = anchor.filter(|anchor| store.root_at(anchor.size) != Some(anchor.root)) {
        anyhow::bail!(
            "the log in {} does not hold what was anchored at {} leaves (it has {}): put back the newer records, or \
             call for help; nothing may be served from these",
            data_dir.join(RECORDS).display(),
            anchor.size,
            store.size()
        );
    }
    Ok(())
}
