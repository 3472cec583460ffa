//! Opens an organisation's keys, ledger and record store, or founds them at the first start.

use crate::clock;
use crate::config::{self, NodeConfig};
use anyhow::{Context, Result};
use ledger::EmbeddedChain;
use ledger::genesis::Founding;
use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use vault::{Costs, Entropy, Store, Vault};
use vitals::ledger::Ledger;
use vitals::proof::genesis::{Founder, GenesisDocument};

/// EVM chain id of ledgers founded here. Signatures are bound to the genesis hash, not to it.
const CHAIN_ID: u64 = 84_001;
/// The record store's folder inside the data folder.
const RECORDS: &str = "records";
/// The ledger's folder inside the data folder.
const LEDGER: &str = "ledger";

/// The vault's folder inside the data folder.
const VAULT: &str = "vault";
/// What a node writes inside its data folder.
pub(super) const FOLDERS: [&str; 3] = [VAULT, RECORDS, LEDGER];

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

/// A folder that only its owner can enter, also when somebody made it before.
fn private_folder(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    std::fs::set_permissions(folder, Permissions::from_mode(0o700))
}

/// Opens or founds. Blocks on files and key stretching: call it off the async threads.
pub(super) fn open(config: &NodeConfig) -> Result<Foundation> {
    let passphrase = config::read_secret(&config.passphrase_file)?;
    private_folder(&config.data_dir)
        .with_context(|| format!("making the data folder {}", config.data_dir.display()))?;
    let folder = config.data_dir.join(VAULT);
    let vault = if folder.join(vault::VAULT_FILE).exists() {
        Vault::open(&folder, &passphrase, entropy())
            .with_context(|| format!("opening the vault in {}", folder.display()))?
    } else {
        // Founding makes the record store anew: never over records whose vault is merely not there.
        for lost in [RECORDS, LEDGER].map(|name| config.data_dir.join(name)) {
            anyhow::ensure!(
                !lost.exists(),
                "{} is there but the vault that belongs to it is not in {}: put the vault back, or choose another data folder",
                lost.display(),
                folder.display()
            );
        }
        Vault::create(&folder, &passphrase, Costs::STANDARD, entropy()).context("making the vault")?
    };
    let keys =
        ledger::Keys { validator: *vault.validator_seed().expose(), sender: *vault.sender_key().expose() };
    let document = match vault.genesis_document() {
        Some(bytes) => {
            // Starting over would sign a second history with the same validator key.
            anyhow::ensure!(
                config.data_dir.join(LEDGER).is_dir(),
                "the ledger's folder {} is gone: put it back; this validator key must not start another history",
                config.data_dir.join(LEDGER).display()
            );
            GenesisDocument::decode(&bytes).context("reading the genesis document in the vault")?
        }
        None => found(config, &vault, &keys)?,
    };
    let mut settings = ledger::Config::new(config.data_dir.join(LEDGER));
    settings.heartbeat = Duration::from_millis(config.heartbeat_ms);
    settings.leader_timeout = settings.leader_timeout.max(settings.heartbeat * 2);
    let chain = EmbeddedChain::start(&settings, &document, &keys)
        .with_context(|| format!("starting the ledger in {}: {KEEP}", settings.folder.display()))?;
    let records = config.data_dir.join(RECORDS);
    let store = Store::open(&records, document.hash())
        .with_context(|| format!("opening the record store in {}: {KEEP}", records.display()))?;
    agree(&vault, &store, &chain, &config.data_dir)?;
    Ok(Foundation { vault: Arc::new(vault), store: Arc::new(store), chain: Arc::new(chain), document })
}

/// What to do about damage: nothing is mended by guessing.
const KEEP: &str = "if a file is damaged or gone, keep this folder as it is and put back the right file";

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

/// Writes the founding document of a ledger of one organisation and one validator.
fn found(config: &NodeConfig, vault: &Vault, keys: &ledger::Keys) -> Result<GenesisDocument> {
    let validator = ledger::validator_key(&keys.validator).context("the vault's validator seed is a key")?;
    let sender = ledger::account::address_of(&keys.sender).context("the vault's sender key is a key")?;
    let document = ledger::genesis::document(Founding {
        chain_id: CHAIN_ID,
        name: config.name.clone(),
        time_ms: clock::now_ms(),
        epoch_blocks: ledger::EPOCH_BLOCKS,
        committee: vec![validator],
        operators: vec![vault.org()],
        founders: vec![Founder { record_key: vault.record_key(), sender }],
        salt: clock::random(),
    });
    // The record store first: once the vault names a genesis, a missing store is a loss and is never
    // quietly made anew. What a founding that did not get through left behind holds no record.
    let records = config.data_dir.join(RECORDS);
    let _ = std::fs::remove_dir_all(&records);
    std::fs::create_dir_all(&records)?;
    drop(Store::create(&records, document.hash()).context("making the record store")?);
    private_folder(&config.data_dir.join(LEDGER))?;
    // In the vault before the ledger's first block: a crash in between founds nothing twice.
    vault.put_genesis_document(&document.encode()).context("keeping the genesis document")?;
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn config(data_dir: PathBuf) -> NodeConfig {
        let passphrase_file = data_dir.join("passphrase");
        std::fs::write(&passphrase_file, "correct horse\n").unwrap();
        let text = format!("data_dir = {data_dir:?}\npassphrase_file = {passphrase_file:?}");
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn records_without_their_vault_are_never_founded_over() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path().to_owned());
        let segment = folder.path().join(RECORDS).join("segment");
        std::fs::create_dir(folder.path().join(RECORDS)).unwrap();
        std::fs::write(&segment, "sealed").unwrap();
        let error = open(&config).map(drop).unwrap_err().to_string();
        assert!(error.contains("put the vault back"), "{error}");
        assert_eq!(std::fs::read(&segment).unwrap(), b"sealed");
    }

    #[test]
    fn an_open_data_folder_is_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("a/b");
        private_folder(&data).unwrap();
        std::fs::set_permissions(&data, Permissions::from_mode(0o755)).unwrap();
        private_folder(&data).unwrap();
        assert_eq!(std::fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
