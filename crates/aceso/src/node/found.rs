//! Opens an organisation's keys, ledger and record store, or founds them at the first start.

use crate::clock;
use crate::config::{self, NodeConfig};
use anyhow::{Context, Result};
use ledger::EmbeddedChain;
use ledger::genesis::Founding;
use std::sync::Arc;
use std::time::Duration;
use vault::{Costs, Entropy, Store, Vault};
use vitals::proof::genesis::{Founder, GenesisDocument};

/// EVM chain id of ledgers founded here. Signatures are bound to the genesis hash, not to it.
const CHAIN_ID: u64 = 84_001;
/// Blocks in an epoch: this form changes its committee never.
const EPOCH_BLOCKS: u64 = u64::MAX / 2;

/// The record store's folder inside the data folder.
const RECORDS: &str = "records";

/// Everything durable of a node, opened.
pub(super) struct Foundation {
    pub(super) vault: Arc<Vault>,
    pub(super) store: Arc<Store>,
    pub(super) chain: Arc<EmbeddedChain>,
    pub(super) document: GenesisDocument,
}

/// Where the machine's randomness enters.
pub(super) fn entropy() -> Entropy {
    Arc::new(|out: &mut [u8]| clock::entropy(out))
}

/// Opens or founds. Blocks on files and key stretching: call it off the async threads.
pub(super) fn open(config: &NodeConfig) -> Result<Foundation> {
    let passphrase = config::read_secret(&config.passphrase_file)?;
    let folder = config.data_dir.join("vault");
    let vault = if folder.join(vault::VAULT_FILE).exists() {
        Vault::open(&folder, &passphrase, entropy()).context("opening the vault")?
    } else {
        std::fs::create_dir_all(&config.data_dir)
            .with_context(|| format!("making the data folder {}", config.data_dir.display()))?;
        Vault::create(&folder, &passphrase, Costs::STANDARD, entropy()).context("making the vault")?
    };
    let keys =
        ledger::Keys { validator: *vault.validator_seed().expose(), sender: *vault.sender_key().expose() };
    let document = match vault.genesis_document() {
        Some(bytes) => {
            GenesisDocument::decode(&bytes).context("reading the genesis document in the vault")?
        }
        None => found(config, &vault, &keys)?,
    };
    let mut settings = ledger::Config::new(config.data_dir.join("ledger"));
    settings.heartbeat = Duration::from_millis(config.heartbeat_ms);
    settings.leader_timeout = settings.leader_timeout.max(settings.heartbeat * 2);
    let chain = EmbeddedChain::start(&settings, &document, &keys).context("starting the ledger")?;
    let store =
        Store::open(&config.data_dir.join(RECORDS), document.hash()).context("opening the record store")?;
    Ok(Foundation { vault: Arc::new(vault), store: Arc::new(store), chain: Arc::new(chain), document })
}

/// Writes the founding document of a ledger of one organisation and one validator.
fn found(config: &NodeConfig, vault: &Vault, keys: &ledger::Keys) -> Result<GenesisDocument> {
    let validator = ledger::validator_key(&keys.validator).context("the vault's validator seed is a key")?;
    let sender = ledger::account::address_of(&keys.sender).context("the vault's sender key is a key")?;
    let document = ledger::genesis::document(Founding {
        chain_id: CHAIN_ID,
        name: config.name.clone(),
        time_ms: clock::now_ms(),
        epoch_blocks: EPOCH_BLOCKS,
        committee: vec![validator],
        founders: vec![Founder { record_key: vault.record_key(), sender }],
        salt: clock::random(),
    });
    // The record store first: once the vault names a genesis, a missing store is a loss and is never
    // quietly made anew. What a founding that did not get through left behind holds no record.
    let records = config.data_dir.join(RECORDS);
    let _ = std::fs::remove_dir_all(&records);
    std::fs::create_dir_all(&records)?;
    drop(Store::create(&records, document.hash()).context("making the record store")?);
    // In the vault before the ledger's first block: a crash in between founds nothing twice.
    vault.put_genesis_document(&document.encode()).context("keeping the genesis document")?;
    Ok(document)
}
