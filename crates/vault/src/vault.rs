//! The vault itself: one sealed file per organisation, opened with its passphrase.

pub(crate) mod account_events;
pub(crate) mod accounts;
pub(crate) mod beds;
pub(crate) mod consent_asks;
pub(crate) mod consent_restrictions;
pub(crate) mod consent_terms;
pub(crate) mod content_keys;
pub(crate) mod invitations;
mod key_wrapping;
mod monitoring_pauses;
mod password_links;
pub(crate) mod patients;
pub(crate) mod resume_points;
mod sampling_intervals;
pub(crate) mod standings;
pub(crate) mod streams;
mod suspensions;

use crate::error::{DatabaseFault, VaultError};
use crate::sealed_tables::{self, Table, Tables};
use crate::secret::{Cost, Costs, Entropy, Secret32};
use accounts::AccountBook;
use beds::BedBook;
use consent_asks::AskBook;
use consent_restrictions::RestrictionBook;
use consent_terms::TermsBook;
use content_keys::KeyCache;
use durable::{FolderLock, Os};
use ed25519_zebra::{SigningKey, VerificationKeyBytes};
use invitations::InvitationBook;
use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
use patients::{Patient, PatientBook};
use redb::{Database, ReadableDatabase, TableDefinition};
use standings::StandingBook;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use streams::StreamBook;
use vitals::cbor::{NotCanonical, Reader, Writer};
use vitals::command::{Command, SignedCommand};
use vitals::ids::{Class, DeviceId, Genesis, GrantId, OrgId, PatientId};
use vitals::proof::checkpoint::Checkpoint;
use vitals::proof::genesis::{GENESIS_BYTES_MAX, GenesisDocument};
use vitals::receipt::{SignedHead, TreeHead};

/// Name of the vault's file.
pub const VAULT_FILE: &str = "vault.redb";
const VERSION: u64 = 1;
/// The only row that is not sealed under the master key: how to get it from the passphrase.
const LOCK_TABLE: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("lock");
const LOCK_ROW: &str = "master";
const ORG_KEYS: &[u8] = b"keys";
const ORG_GENESIS: &[u8] = b"genesis document";
const LOCK_BYTES_MAX: usize = 256;

/// The organisation's own keys.
struct OrgKeys {
    record: SigningKey,
    record_seed: Secret32,
    sender: Secret32,
    validator: Secret32,
}

/// What is looked up too often to be read from the file each time. Holds no key of a stream or person.
#[derive(Default)]
pub(crate) struct Books {
    pub(crate) people: AccountBook,
    pub(crate) patients: PatientBook,
    pub(crate) streams: StreamBook,
    pub(crate) terms: TermsBook,
    pub(crate) beds: BedBook,
    pub(crate) restrictions: RestrictionBook,
    pub(crate) asks: AskBook,
    pub(crate) invitations: InvitationBook,
    pub(crate) standings: StandingBook,
}

/// Keys, people, patients, streams and consent terms of one organisation. Shared by reference.
pub struct Vault {
    pub(crate) tables: Tables,
    pub(crate) costs: Costs,
    pub(crate) entropy: Entropy,
    pub(crate) chains: KeyCache,
    keys: OrgKeys,
    genesis: RwLock<Option<(Genesis, Vec<u8>)>>,
    books: RwLock<Books>,
    /// What policies agreed to for the alarm engine when they could be asked last.
    pub(crate) agreed: Mutex<HashSet<(GrantId, Class)>>,
    /// Held from the check of a change to its entry in the books.
    changing: Mutex<()>,
    _lock: FolderLock,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("org", &self.org()).finish_non_exhaustive()
    }
}

impl Vault {
    /// Makes a vault with fresh organisation keys. The folder is made if it is not there.
    ///
    /// # Errors
    /// [`VaultError::Exists`] if the folder holds one, [`VaultError::Locked`] if it is in use.
    pub fn create(
        folder: &Path,
        passphrase: &str,
        costs: Costs,
        entropy: Entropy,
    ) -> Result<Self, VaultError> {
        if passphrase.is_empty() {
            return Err(VaultError::Unfit("the passphrase is empty"));
        }
        let lock = FolderLock::take(folder)?;
        let path = folder.join(VAULT_FILE);
        if path.exists() {
            return Err(VaultError::Exists);
        }
        // Made under another name: a crash before the last row leaves nothing that looks like a vault.
        let half_made = folder.join("vault.redb.new");
        if half_made.exists() {
            std::fs::remove_file(&half_made)?;
        }
        let database = Database::create(&half_made).map_err(DatabaseFault)?;
        let master = Secret32::random(&entropy);
        let mut salt = [0; 16];
        entropy(&mut salt);
        let mut nonce = [0; 12];
        entropy(&mut nonce);
        let head = lock_head(costs, &salt);
        let key = costs
            .passphrase
            .derive_key(passphrase.as_bytes(), &salt)
            .ok_or(VaultError::Unfit("the cost of the passphrase is out of bounds"))?;
        let sealed = sealed_tables::seal(&key, nonce, &head, master.expose());
        let row = [head.as_slice(), &sealed].concat();
        let write = database.begin_write().map_err(DatabaseFault)?;
        {
            let mut rows = write.open_table(LOCK_TABLE).map_err(DatabaseFault)?;
            rows.insert(LOCK_ROW, row.as_slice()).map_err(DatabaseFault)?;
        }
        write.commit().map_err(DatabaseFault)?;
        let tables = Tables::new(database, &master, entropy.clone());
        let mut keys = zeroize::Zeroizing::new([0; 96]);
        keys.chunks_exact_mut(32).for_each(|key| entropy(key));
        tables.put(&[(Table::Organisation, ORG_KEYS, keys.as_slice())])?;
        drop(tables);
        durable::rename(&Os, &half_made, &path)?;
        let tables = Tables::new(open_checked(&path)?, &master, entropy.clone());
        tables.count_in(folder)?;
        Self::load(tables, costs, entropy, lock)
    }

    /// Opens a vault.
    ///
    /// # Errors
    /// [`VaultError::Missing`], [`VaultError::Locked`], [`VaultError::WrongPassphrase`], or
    /// [`VaultError::Damaged`] if any row no longer opens.
    pub fn open(folder: &Path, passphrase: &str, entropy: Entropy) -> Result<Self, VaultError> {
        let path = folder.join(VAULT_FILE);
        if !path.exists() {
            return Err(VaultError::Missing);
        }
        let lock = FolderLock::take(folder)?;
        let database = open_checked(&path)?;
        let row = {
            let read = database.begin_read().map_err(DatabaseFault)?;
            let rows = read.open_table(LOCK_TABLE).map_err(DatabaseFault)?;
            let row = rows.get(LOCK_ROW).map_err(DatabaseFault)?;
            row.map(|row| row.value().to_vec())
        };
        let damaged = || VaultError::Damaged("the lock row is not readable".into());
        let row = row.filter(|row| row.len() <= LOCK_BYTES_MAX).ok_or_else(damaged)?;
        let (costs, salt, head_bytes) = read_lock_head(&row).map_err(|_| damaged())?;
        let (head, sealed) = row.split_at(head_bytes);
        let key = costs.passphrase.derive_key(passphrase.as_bytes(), &salt).ok_or_else(damaged)?;
        let opened = sealed_tables::open(&key, head, sealed).ok_or(VaultError::WrongPassphrase)?;
        let master = Secret32::new(opened.as_slice().try_into().map_err(|_| damaged())?);
        let tables = Tables::new(database, &master, entropy.clone());
        tables.count_in(folder)?;
        Self::load(tables, costs, entropy, lock)
    }

    /// Holds the vault against the notes of its generation in these folders, which lie outside its own, and
    /// notes every change there before it is answered. Without a note it begins one. Gives the notes that lag
    /// by more than the one change that a crash leaves without its note: their folder was put back from an
    /// older copy, or a version without notes ran meanwhile.
    ///
    /// # Errors
    /// [`VaultError::Older`] if a note knows of more changes than this vault has seen; [`VaultError::Disk`].
    pub fn note_generation_in(&self, folders: &[PathBuf]) -> Result<Vec<PathBuf>, VaultError> {
        self.tables.note_generation_in(&Os, folders)
    }

    fn load(tables: Tables, costs: Costs, entropy: Entropy, lock: FolderLock) -> Result<Self, VaultError> {
        let damaged = || VaultError::Damaged("the organisation's keys are missing".into());
        let keys = tables.get(Table::Organisation, ORG_KEYS)?.ok_or_else(damaged)?;
        let secret = |at: usize| {
            let bytes: [u8; 32] = keys.get(at * 32..at * 32 + 32)?.try_into().ok()?;
            Some(Secret32::new(bytes))
        };
        let (record_seed, sender, validator) =
            (secret(0).ok_or_else(damaged)?, secret(1).ok_or_else(damaged)?, secret(2).ok_or_else(damaged)?);
        let record = SigningKey::from(*record_seed.expose());
        let genesis = tables
            .get(Table::Organisation, ORG_GENESIS)?
            .map(|document| (GenesisDocument::hash_of(&document), document.to_vec()));
        let terms = TermsBook::load(&tables)?;
        let restrictions = RestrictionBook::load(&tables, |grant| terms.is_withdrawn(grant))?;
        let books = Books {
            people: AccountBook::load(&tables)?,
            patients: PatientBook::load(&tables)?,
            streams: StreamBook::load(&tables)?,
            terms,
            beds: crate::vault::beds::load(&tables)?,
            restrictions,
            asks: AskBook::load(&tables)?,
            invitations: InvitationBook::load(&tables)?,
            standings: StandingBook::load(&tables)?,
        };
        Ok(Self {
            tables,
            costs,
            entropy,
            chains: KeyCache::default(),
            keys: OrgKeys { record, record_seed, sender, validator },
            genesis: RwLock::new(genesis),
            books: RwLock::new(books),
            agreed: Mutex::default(),
            changing: Mutex::new(()),
            _lock: lock,
        })
    }

    pub(crate) fn books(&self) -> RwLockReadGuard<'_, Books> {
        self.books.read()
    }

    pub(crate) fn books_mut(&self) -> RwLockWriteGuard<'_, Books> {
        self.books.write()
    }

    pub(crate) fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock()
    }

    pub(crate) fn known_patient(&self, patient: PatientId) -> Result<Patient, VaultError> {
        self.patient(patient).ok_or(VaultError::NoPatient)
    }

    /// The source of randomness the vault was opened with.
    #[must_use]
    pub fn entropy(&self) -> &Entropy {
        &self.entropy
    }

    /// Fresh random bytes.
    #[must_use]
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        (self.entropy)(&mut out);
        out
    }

    /// The Ed25519 public key that signs tree heads and the organisation's own envelopes.
    #[must_use]
    pub fn record_key(&self) -> [u8; 32] {
        VerificationKeyBytes::from(&self.keys.record).into()
    }

    /// The organisation.
    #[must_use]
    pub fn org(&self) -> OrgId {
        OrgId::of(&self.record_key())
    }

    /// The author of the organisation's own envelopes.
    #[must_use]
    pub fn author(&self) -> DeviceId {
        DeviceId::of(&self.record_key())
    }

    /// Seed of the record key, for the node's TLS certificate.
    #[must_use]
    pub fn record_key_seed(&self) -> Secret32 {
        self.keys.record_seed.clone()
    }

    /// The secp256k1 key that sends the organisation's transactions.
    #[must_use]
    pub fn sender_key(&self) -> Secret32 {
        self.keys.sender.clone()
    }

    /// Seed of the validator's key.
    #[must_use]
    pub fn validator_seed(&self) -> Secret32 {
        self.keys.validator.clone()
    }

    pub(crate) fn sign_record(&self, message: &[u8]) -> [u8; 64] {
        self.keys.record.sign(message).into()
    }

    /// Adds the organisation's signature to a checkpoint of the ledger.
    pub fn sign_checkpoint(&self, checkpoint: &mut Checkpoint) {
        let signature = self.sign_record(&checkpoint.to_be_signed());
        checkpoint.add(self.record_key(), signature);
    }

    /// Signs a tree head with the record key.
    #[must_use]
    pub fn sign_head(&self, head: TreeHead) -> SignedHead {
        SignedHead { head, signature: self.sign_record(&head.to_be_signed()) }
    }

    /// Signs a command to a bedside with the record key.
    #[must_use]
    pub fn sign_command(&self, command: Command) -> SignedCommand {
        SignedCommand { command, signature: self.sign_record(&command.to_be_signed()) }
    }

    /// Binds the vault to its ledger, once and for all. The same document again changes nothing.
    ///
    /// # Errors
    /// [`VaultError::OtherGenesis`] if it is bound to another one.
    pub fn put_genesis_document(&self, document: &[u8]) -> Result<Genesis, VaultError> {
        if document.is_empty() || document.len() > GENESIS_BYTES_MAX {
            return Err(VaultError::Unfit("the genesis document is empty or over its bound"));
        }
        let _changing = self.changing();
        let given = GenesisDocument::hash_of(document);
        if let Ok(held) = self.genesis() {
            return if held == given { Ok(given) } else { Err(VaultError::OtherGenesis) };
        }
        self.tables.put(&[(Table::Organisation, ORG_GENESIS, document)])?;
        *self.genesis.write() = Some((given, document.to_vec()));
        Ok(given)
    }

    /// The genesis document, once given.
    #[must_use]
    pub fn genesis_document(&self) -> Option<Vec<u8>> {
        let genesis = self.genesis.read();
        genesis.as_ref().map(|(_, document)| document.clone())
    }

    /// The ledger the vault belongs to.
    ///
    /// # Errors
    /// [`VaultError::NoGenesis`] before [`Vault::put_genesis_document`].
    pub fn genesis(&self) -> Result<Genesis, VaultError> {
        let genesis = self.genesis.read();
        genesis.as_ref().map(|(hash, _)| *hash).ok_or(VaultError::NoGenesis)
    }
}

/// Opens the file and reads all of it: every page must have its checksum, or nothing is opened.
fn open_checked(path: &Path) -> Result<Database, VaultError> {
    let mut builder = Database::builder();
    Ok(builder.set_check_integrity_on_open(true).open(path).map_err(DatabaseFault)?)
}

/// `[version, salt, passphrase KiB, passes, password KiB, passes]`; associated data of the master key.
fn lock_head(costs: Costs, salt: &[u8; 16]) -> Vec<u8> {
    let mut w = Writer::new();
    w.array(6).uint(VERSION).bytes(salt);
    for cost in [costs.passphrase, costs.password] {
        w.uint(u64::from(cost.memory_kib)).uint(u64::from(cost.passes));
    }
    w.finish()
}

fn read_lock_head(row: &[u8]) -> Result<(Costs, [u8; 16], usize), NotCanonical> {
    let mut r = Reader::new(row);
    r.array(6)?;
    r.exactly(VERSION)?;
    let salt = r.fixed()?;
    let passphrase = Cost { memory_kib: r.u32()?, passes: r.u32()? };
    let password = Cost { memory_kib: r.u32()?, passes: r.u32()? };
    Ok((Costs { passphrase, password }, salt, row.len() - r.rest().len()))
}
