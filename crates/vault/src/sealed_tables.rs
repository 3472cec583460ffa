//! Sealed tables: neither a name nor a value can be read from the file. A row's name is an
//! HMAC-SHA-256 of what it is looked up by; its value is AES-256-GCM with a random nonce and the
//! table and name as associated data, so that rows cannot be swapped.

use crate::change_count::ChangeCount;
use crate::error::{DatabaseFault, VaultError};
use crate::generation::GenerationNotes;
use crate::secret::{Entropy, Secret32};
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use durable::Disk;
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use sha2::Sha256;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use zeroize::Zeroizing;

const NONCE_BYTES: usize = 12;
/// How many changes the database has seen, in the clear: and nothing else.
const COUNT_TABLE: TableDefinition<'static, &str, u64> = TableDefinition::new("changes");
const COUNT_ROW: &str = "count";

type Rows<'a> = TableDefinition<'a, &'static [u8], &'static [u8]>;

/// One kind of row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    Organisation,
    Accounts,
    Passwords,
    Signers,
    Patients,
    Streams,
    Chains,
    Terms,
    Withdrawals,
    Pauses,
    Beds,
    Intervals,
    ResumePoints,
    Restrictions,
    Asks,
    Invitations,
    Standings,
    History,
    SignIns,
}

impl Table {
    pub(crate) const ALL: [Self; 19] = [
        Self::Organisation,
        Self::Accounts,
        Self::Passwords,
        Self::Signers,
        Self::Patients,
        Self::Streams,
        Self::Chains,
        Self::Terms,
        Self::Withdrawals,
        Self::Pauses,
        Self::Beds,
        Self::Intervals,
        Self::ResumePoints,
        Self::Restrictions,
        Self::Asks,
        Self::Invitations,
        Self::Standings,
        Self::History,
        Self::SignIns,
    ];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Organisation => "organisation",
            Self::Accounts => "accounts",
            Self::Passwords => "passwords",
            Self::Signers => "signers",
            Self::Patients => "patients",
            Self::Streams => "streams",
            Self::Chains => "chains",
            Self::Terms => "terms",
            Self::Withdrawals => "withdrawals",
            Self::Pauses => "pauses",
            Self::Beds => "beds",
            Self::Intervals => "intervals",
            Self::ResumePoints => "resume points",
            Self::Restrictions => "restrictions",
            Self::Asks => "asks",
            Self::Invitations => "invitations",
            Self::Standings => "standings",
            Self::History => "history",
            Self::SignIns => "sign-ins",
        }
    }

    fn rows(self) -> Rows<'static> {
        TableDefinition::new(self.label())
    }
}

/// Seals with a random nonce in front.
pub(crate) fn seal(key: &Secret32, nonce: [u8; NONCE_BYTES], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let payload = Payload { msg: plaintext, aad };
    let sealed = Aes256Gcm::new(key.expose().into())
        .encrypt(&Nonce::from(nonce), payload)
        .expect("AES-GCM seals up to 64 GiB");
    [nonce.as_slice(), &sealed].concat()
}

/// Opens what [`seal`] made; nothing if key, associated data or bytes are others.
pub(crate) fn open(key: &Secret32, aad: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
    let payload = Payload { msg: sealed, aad };
    let opened = Aes256Gcm::new(key.expose().into()).decrypt(&Nonce::from(*nonce), payload).ok()?;
    Some(Zeroizing::new(opened))
}

struct TableKeys {
    values: Secret32,
    names: Secret32,
}

/// All sealed tables of one database.
pub(crate) struct Tables {
    database: Database,
    keys: Vec<TableKeys>,
    entropy: Entropy,
    /// Counts the changes outside the database, once [`Tables::count_in`] found it whole.
    changes: OnceLock<ChangeCount>,
    /// The same outside the vault's folder, once [`Tables::note_generation_in`] found none that is newer.
    generation: GenerationNotes,
}

/// Rows to be written at once.
pub(crate) type Put<'a> = (Table, &'a [u8], &'a [u8]);

impl Tables {
    pub(crate) fn new(database: Database, master: &Secret32, entropy: Entropy) -> Self {
        let derive = |table: Table, what: &str| {
            let mut key = Secret32::new([0; 32]);
            let info = [b"aceso/vault/v1/".as_slice(), table.label().as_bytes(), b"/", what.as_bytes()];
            Hkdf::<Sha256>::new(None, master.expose())
                .expand_multi_info(&info, key.expose_mut())
                .expect("HKDF-SHA-256 gives up to 8,160 bytes");
            key
        };
        let keys = Table::ALL
            .map(|table| TableKeys { values: derive(table, "values"), names: derive(table, "names") });
        Self {
            database,
            keys: keys.into(),
            entropy,
            changes: OnceLock::new(),
            generation: GenerationNotes::default(),
        }
    }

    /// Compares the database with the count of its changes that is kept beside it in `folder`, and
    /// counts from now on.
    ///
    /// # Errors
    /// [`VaultError::Damaged`] if the database is older than it was, or the count is not readable.
    pub(crate) fn count_in(&self, folder: &Path) -> Result<(), VaultError> {
        let changes = ChangeCount::open(folder, self.count()?)?;
        let _ = self.changes.set(changes);
        Ok(())
    }

    /// Compares the database with the notes of its generation in these folders, and notes every change
    /// there from now on. Gives the notes that lag by more than a crash explains.
    ///
    /// # Errors
    /// [`VaultError::Older`] if the database is older than it was.
    pub(crate) fn note_generation_in(
        &self,
        disk: &dyn Disk,
        folders: &[PathBuf],
    ) -> Result<Vec<PathBuf>, VaultError> {
        self.generation.open(disk, folders, self.count()?)
    }

    /// How many changes the database has seen.
    pub(crate) fn count(&self) -> Result<u64, VaultError> {
        let read = self.database.begin_read().map_err(DatabaseFault)?;
        match read.open_table(COUNT_TABLE) {
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(0),
            rows => {
                let rows = rows.map_err(DatabaseFault)?;
                Ok(rows.get(COUNT_ROW).map_err(DatabaseFault)?.map_or(0, |count| count.value()))
            }
        }
    }

    fn keys(&self, table: Table) -> &TableKeys {
        &self.keys[table as usize]
    }

    fn name(&self, table: Table, id: &[u8]) -> [u8; 32] {
        let key = self.keys(table).names.expose();
        let mut mac =
            <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
        mac.update(id);
        mac.finalize().into_bytes().into()
    }

    fn put_in(&self, write: &WriteTransaction, (table, id, value): Put<'_>) -> Result<(), VaultError> {
        let name = self.name(table, id);
        let mut nonce = [0; NONCE_BYTES];
        (self.entropy)(&mut nonce);
        let aad = [table.label().as_bytes(), &name].concat();
        let sealed = seal(&self.keys(table).values, nonce, &aad, value);
        let mut rows = write.open_table(table.rows()).map_err(DatabaseFault)?;
        rows.insert(name.as_slice(), sealed.as_slice()).map_err(DatabaseFault)?;
        Ok(())
    }

    /// Writes rows in one durable step.
    pub(crate) fn put(&self, rows: &[Put<'_>]) -> Result<(), VaultError> {
        self.generation.ready()?;
        let write = self.database.begin_write().map_err(DatabaseFault)?;
        for row in rows {
            self.put_in(&write, *row)?;
        }
        let count = {
            let mut counts = write.open_table(COUNT_TABLE).map_err(DatabaseFault)?;
            let held = counts.get(COUNT_ROW).map_err(DatabaseFault)?.map_or(0, |count| count.value());
            counts.insert(COUNT_ROW, held + 1).map_err(DatabaseFault)?;
            held + 1
        };
        write.commit().map_err(DatabaseFault)?;
        if let Some(changes) = self.changes.get() {
            changes.put(count);
        }
        // Before the change is answered: see [`crate::generation`] for the order.
        self.generation.note(count);
        Ok(())
    }

    fn opened(&self, table: Table, name: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let aad = [table.label().as_bytes(), name].concat();
        open(&self.keys(table).values, &aad, sealed)
            .ok_or_else(|| VaultError::Damaged(format!("a row of {} does not open", table.label())))
    }

    /// Reads one row.
    pub(crate) fn get(&self, table: Table, id: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        let name = self.name(table, id);
        let read = self.database.begin_read().map_err(DatabaseFault)?;
        let rows = match read.open_table(table.rows()) {
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
            rows => rows.map_err(DatabaseFault)?,
        };
        let Some(sealed) = rows.get(name.as_slice()).map_err(DatabaseFault)? else { return Ok(None) };
        self.opened(table, &name, sealed.value()).map(Some)
    }

    /// Reads all rows of a table, in no useful order.
    pub(crate) fn all(&self, table: Table) -> Result<Vec<Zeroizing<Vec<u8>>>, VaultError> {
        let read = self.database.begin_read().map_err(DatabaseFault)?;
        let rows = match read.open_table(table.rows()) {
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            rows => rows.map_err(DatabaseFault)?,
        };
        rows.iter()
            .map_err(DatabaseFault)?
            .map(|row| {
                let (name, sealed) = row.map_err(DatabaseFault)?;
                self.opened(table, name.value(), sealed.value())
            })
            .collect()
    }
}
