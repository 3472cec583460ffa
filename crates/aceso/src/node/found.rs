//! Opens an organisation's keys, ledger and record store, or founds them at the first start.

use super::{birth, foreign};
use crate::clock;
use crate::config::{self, NodeConfig};
use crate::founding::{CHAIN_ID, Card};
use anyhow::{Context, Result};
use ledger::genesis::Founding;
use ledger::{Chain, EmbeddedChain};
use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use vault::{Costs, Entropy, Store, Vault};
use vitals::ids::Genesis;
use vitals::ledger::Ledger;
use vitals::proof::genesis::{Founder, GenesisDocument};

/// The record store's folder inside the data folder.
const RECORDS: &str = "records";
/// The ledger's folder inside the data folder.
pub(super) const LEDGER: &str = "ledger";

/// How long a block may take to the others before they call its leader dead.
const ON_ITS_WAY: Duration = Duration::from_millis(300);

/// The vault's folder inside the data folder.
pub(super) const VAULT: &str = "vault";
/// What a node writes inside its data folder.
pub(super) const FOLDERS: [&str; 3] = [VAULT, RECORDS, LEDGER];

/// Everything durable of a node, opened.
pub(super) struct Foundation {
    pub(super) vault: Arc<Vault>,
    pub(super) store: Arc<Store>,
    pub(super) chain: Arc<dyn Chain>,
    /// The same chain, unless it stands on another network.
    pub(super) own: Option<Own>,
    pub(super) document: GenesisDocument,
}

/// A ledger whose blocks this node makes and keeps itself.
#[derive(Clone)]
pub(super) struct Own {
    pub(super) chain: Arc<EmbeddedChain>,
    /// This node's validator key.
    pub(super) validator: [u8; 32],
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

/// Opens the organisation's vault, or makes it at the first start.
pub(super) fn vault_of(config: &NodeConfig) -> Result<Vault> {
    let passphrase = config::read_secret(&config.passphrase_file)?;
    private_folder(&config.data_dir)
        .with_context(|| format!("making the data folder {}", config.data_dir.display()))?;
    let folder = config.data_dir.join(VAULT);
    if folder.join(vault::VAULT_FILE).exists() {
        return Vault::open(&folder, &passphrase, entropy())
            .with_context(|| format!("opening the vault in {}", folder.display()));
    }
    // Founding makes the record store anew: never over records whose vault is merely not there.
    for lost in [RECORDS, LEDGER].map(|name| config.data_dir.join(name)) {
        anyhow::ensure!(
            !lost.exists(),
            "{} is there but the vault that belongs to it is not in {}: put the vault back, or choose another data folder",
            lost.display(),
            folder.display()
        );
    }
    Vault::create(&folder, &passphrase, Costs::STANDARD, entropy()).context("making the vault")
}

/// Opens or founds. Blocks on files and key stretching: call it off the async threads.
pub(super) fn open(config: &NodeConfig) -> Result<Foundation> {
    let vault = vault_of(config)?;
    let (chain, own, document): (Arc<dyn Chain>, _, _) = match &config.chain {
        Some(network) => {
            let (chain, document) = foreign::open(config, network, &vault)?;
            (Arc::new(chain), None, document)
        }
        None => {
            let (own, document) = open_own(config, &vault)?;
            (own.chain.clone(), Some(own), document)
        }
    };
    let records = config.data_dir.join(RECORDS);
    let store = Store::open(&records, document.hash())
        .with_context(|| format!("opening the record store in {}: {KEEP}", records.display()))?;
    agree(&vault, &store, chain.as_ref(), &config.data_dir)?;
    Ok(Foundation { vault: Arc::new(vault), store: Arc::new(store), chain, own, document })
}

/// The ledger in this process.
fn open_own(config: &NodeConfig, vault: &Vault) -> Result<(Own, GenesisDocument)> {
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
                !foreign::stands_elsewhere(&document),
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
            let keys = keys_of(vault, birth::seed(vault, &ledger)?.with_context(|| journals_gone(&ledger))?);
            (document, keys)
        }
        None => {
            let keys = keys_of(vault, birth::seed_or_birth(vault, &ledger)?);
            let document = match named {
                Some(document) => {
                    founded_by(&document, vault, &keys)?;
                    document
                }
                None => alone(config, vault, &keys)?,
            };
            belong(config, vault, &document)?;
            (document, keys)
        }
    };
    let settings = settings(config, ledger);
    let chain = EmbeddedChain::start(&settings, &document, &keys)
        .with_context(|| format!("starting the ledger in {}: {KEEP}", settings.folder.display()))?;
    Ok((Own { chain: Arc::new(chain), validator: validator_of(&keys)? }, document))
}

/// How the ledger in this folder runs.
pub(super) fn settings(config: &NodeConfig, ledger: PathBuf) -> ledger::Config {
    let mut settings = match config.ledger.listen {
        None => ledger::Config::new(ledger),
        Some(listen) => ledger::Config::among_others(ledger, listen, peers(config)),
    };
    let agreement = &mut settings.agreement;
    if let Some(ms) = config.heartbeat_ms {
        agreement.heartbeat = Duration::from_millis(ms);
        // Longer than the heartbeat by as much as a block may take on its way.
        agreement.leader_timeout = agreement.leader_timeout.max(agreement.heartbeat + ON_ITS_WAY);
    }
    agreement.max_faulty = config.ledger.max_faulty;
    settings
}

fn peers(config: &NodeConfig) -> Vec<ledger::Peer> {
    let peers = config.ledger.peers.iter();
    peers.map(|peer| ledger::Peer { key: peer.key, address: peer.address.clone() }).collect()
}

fn keys_of(vault: &Vault, validator: [u8; 32]) -> ledger::Keys {
    ledger::Keys { validator, sender: *vault.sender_key().expose() }
}

pub(super) fn journals_gone(ledger: &Path) -> String {
    format!(
        "the journals of this validator's votes are gone from {}, and its key with them: bring back the whole folder \
         from the moment it stopped, or make a new key with `aceso validator renew` and have it voted in",
        ledger.display()
    )
}

/// The organisation's public card; makes its keys at the first call.
pub(crate) fn card(config: &NodeConfig) -> Result<Card> {
    not_elsewhere(config)?;
    let vault = vault_of(config)?;
    let ledger = config.data_dir.join(LEDGER);
    let seed = match vault.genesis_document() {
        Some(_) => birth::seed(&vault, &ledger)?.with_context(|| journals_gone(&ledger))?,
        None => birth::seed_or_birth(&vault, &ledger)?,
    };
    card_of(config, &vault, &keys_of(&vault, seed))
}

fn card_of(config: &NodeConfig, vault: &Vault, keys: &ledger::Keys) -> Result<Card> {
    let address = config.ledger.endpoint().context(
        "the configuration names no address that the others could dial for this node's validator: give [ledger] \
         listen an address of this machine, or say in [ledger] address what they dial",
    )?;
    Ok(Card {
        name: config.name.clone(),
        organisation: vault.org().to_string(),
        record_key: hex::encode(vault.record_key()),
        sender: hex::encode(
            ledger::account::address_of(&keys.sender).context("the vault's sender key is a key")?,
        ),
        validator: hex::encode(validator_of(keys)?),
        address,
    })
}

/// Who has no validator has no card of one.
fn not_elsewhere(config: &NodeConfig) -> Result<()> {
    anyhow::ensure!(
        config.chain.is_none(),
        "[chain] says that the ledger stands on another network: this node runs no validator. `aceso account show` \
         prints what the others need of this organisation"
    );
    Ok(())
}

fn validator_of(keys: &ledger::Keys) -> Result<[u8; 32]> {
    ledger::validator_key(&keys.validator).context("the validator's seed is a key")
}

/// Makes this folder a follower of the configured ledger, whether or not its organisation founded it.
pub(crate) fn join(config: &NodeConfig) -> Result<(Card, Genesis)> {
    not_elsewhere(config)?;
    let named =
        config.ledger.genesis.as_deref().context("[ledger] genesis is missing: join which ledger?")?;
    anyhow::ensure!(
        !config.ledger.peers.is_empty(),
        "[ledger] peers is empty: name at least one validator to follow"
    );
    let document = read_document(named)?;
    let vault = vault_of(config)?;
    anyhow::ensure!(
        vault.genesis_document().is_none(),
        "{} belongs to a ledger already; a node that lost its journals comes back with `aceso validator renew`",
        config.data_dir.display()
    );
    let keys = keys_of(&vault, birth::seed_or_birth(&vault, &config.data_dir.join(LEDGER))?);
    let card = card_of(config, &vault, &keys)?;
    belong(config, &vault, &document)?;
    Ok((card, document.hash()))
}

/// Puts journals and state away and makes a new validator key; the node follows the others again from
/// the start. The old key can never vote again from here: what it was born with is in the archive.
pub(crate) fn renew(config: &NodeConfig) -> Result<(Card, PathBuf)> {
    not_elsewhere(config)?;
    anyhow::ensure!(
        !config.ledger.peers.is_empty(),
        "this node has no [ledger] peers to follow: the only validator of a ledger cannot start anew, its history \
         would be gone"
    );
    let vault = vault_of(config)?;
    anyhow::ensure!(
        vault.genesis_document().is_some(),
        "{} belongs to no ledger yet: there is no key to renew",
        config.data_dir.display()
    );
    let ledger = config.data_dir.join(LEDGER);
    let archive = config.data_dir.join(format!("{LEDGER}-until-{}", clock::now_ms()));
    if ledger.exists() {
        std::fs::rename(&ledger, &archive)
            .with_context(|| format!("putting {} away as {}", ledger.display(), archive.display()))?;
    }
    private_folder(&ledger)?;
    let keys = keys_of(&vault, birth::seed_or_birth(&vault, &ledger)?);
    // The note of an orderly stop speaks of files that lie elsewhere now.
    let _ = std::fs::remove_file(config.data_dir.join("closed"));
    Ok((card_of(config, &vault, &keys)?, archive))
}

/// Reads a genesis document from a file.
fn read_document(path: &Path) -> Result<GenesisDocument> {
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

/// What to do about damage: nothing is mended by guessing.
pub(super) const KEEP: &str =
    "if a file is damaged or gone, keep this folder as it is and put back the right file";

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

/// Binds this folder to the ledger of `document`.
pub(super) fn belong(config: &NodeConfig, vault: &Vault, document: &GenesisDocument) -> Result<()> {
    // The record store first: once the vault names a genesis, a missing store is a loss and is never
    // quietly made anew. What a founding that did not get through left behind holds no record.
    let records = config.data_dir.join(RECORDS);
    let _ = std::fs::remove_dir_all(&records);
    std::fs::create_dir_all(&records)?;
    drop(Store::create(&records, document.hash()).context("making the record store")?);
    private_folder(&config.data_dir.join(LEDGER))?;
    // In the vault before the ledger's first block: a crash in between founds nothing twice.
    vault.put_genesis_document(&document.encode()).context("keeping the genesis document")?;
    Ok(())
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
