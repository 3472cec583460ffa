//! What can go wrong in the vault, and whose move it is. No message holds a name, a login or a key.

use crate::store::StoreError;
use std::io;
use thiserror::Error;
use vitals::cbor::NotCanonical;
use vitals::ids::Class;
use vitals::ledger::LedgerError;

/// Why the vault did not do it.
#[derive(Debug, Error)]
pub enum VaultError {
    /// Another process has the folder.
    #[error("another process uses the vault's folder")]
    Locked,
    /// There is no vault in the folder.
    #[error("the folder holds no vault")]
    Missing,
    /// There is a vault in the folder already.
    #[error("the folder holds a vault already")]
    Exists,
    /// The passphrase does not open this vault.
    #[error("the passphrase does not open this vault")]
    WrongPassphrase,
    /// The vault's file is damaged: stop the node, restore it.
    #[error("vault.redb is damaged: {0}")]
    Damaged(String),
    /// The vault's file is an older copy than a note outside its folder knows of.
    #[error(
        "vault.redb is an older copy: it has seen {held} changes, and {} knows of {noted}; put back the newest vault \
         (if it is lost for good, remove each file vault-generation: keys and passwords are then those of this copy)",
        .note.display()
    )]
    Older {
        /// Changes that this copy has seen.
        held: u64,
        /// Changes that were noted.
        noted: u64,
        /// The file that says so.
        note: std::path::PathBuf,
    },
    /// The disk refused; nothing was changed.
    #[error("the disk refused, nothing was changed: {0}")]
    Disk(#[source] io::Error),
    /// The database refused; nothing was changed.
    #[error("the vault's database refused, nothing was changed: {0}")]
    Database(#[source] Box<redb::Error>),
    /// The ledger's genesis document has not been given yet.
    #[error("the vault does not know its ledger yet: give it the genesis document first")]
    NoGenesis,
    /// Another genesis document was given before.
    #[error("the vault belongs to another ledger")]
    OtherGenesis,
    /// The login is taken.
    #[error("the login is taken")]
    LoginTaken,
    /// The person has an account already.
    #[error("the person has an account already")]
    PersonTaken,
    /// A login, a name or a password is empty or over its bound.
    #[error("{0}")]
    Unfit(&'static str),
    /// No such link, or it was used, withdrawn, replaced, or has ended.
    #[error("the link does not work")]
    NoLink,
    /// The account was changed since the caller looked at it.
    #[error("the account was changed meanwhile: look at it again")]
    Stale,
    /// The account does not stand so that this could be done.
    #[error("the account does not stand so that this could be done")]
    NotSo,
    /// Nobody else could administer the organisation then.
    #[error("this is the last administrator who can sign in")]
    LastAdministrator,
    /// The vault keeps no key for this person.
    #[error("the vault keeps no signing key for this person")]
    NoSigner,
    /// The patient's id is taken by another person, or the person by another patient.
    #[error("the patient or the person is registered already, with another partner")]
    PatientTaken,
    /// No such patient.
    #[error("no such patient here")]
    NoPatient,
    /// No such stream.
    #[error("no such stream here")]
    NoStream,
    /// The pairing request is not signed by the keys it asks for.
    #[error(
        "the pairing request is not signed by the keys in it, or names no author of the streams asked for"
    )]
    Unpaired,
    /// A chain key would be handed out for an earlier day than before.
    #[error("the stream's chain key was handed out for day {given} already, day {asked} is before it")]
    Regressed {
        /// Day given before.
        given: u32,
        /// Day asked for.
        asked: u32,
    },
    /// A chain key cannot be taken to this epoch.
    #[error("the epoch is before the stream began, or more than ten years after")]
    Epoch,
}

impl From<io::Error> for VaultError {
    fn from(why: io::Error) -> Self {
        if why.kind() == io::ErrorKind::WouldBlock { Self::Locked } else { Self::Disk(why) }
    }
}

impl<E: Into<redb::Error>> From<DatabaseFault<E>> for VaultError {
    fn from(DatabaseFault(why): DatabaseFault<E>) -> Self {
        match why.into() {
            redb::Error::Corrupted(what) => Self::Damaged(what),
            // The database reports so that a file is not one of its own, or ends too early.
            redb::Error::Io(why)
                if matches!(why.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
            {
                Self::Damaged(why.to_string())
            }
            redb::Error::DatabaseAlreadyOpen => Self::Locked,
            other => Self::Database(Box::new(other)),
        }
    }
}

/// An error of the database, on its way to becoming ours.
pub(crate) struct DatabaseFault<E>(pub(crate) E);

/// Why a body was not opened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OpenError {
    /// The access entry does not cover this envelope.
    #[error("the access entry does not cover this envelope's {0}")]
    NotCovered(&'static str),
    /// The lease of the monitoring has ended.
    #[error("the monitoring lease has ended")]
    LeaseEnded,
    /// No such stream here.
    #[error("no such stream here")]
    NoStream,
    /// The stream has no key for the envelope's epoch.
    #[error("the stream has no key for the envelope's epoch")]
    Epoch,
    /// The header commits to another key.
    #[error("the header commits to another key than the stream's")]
    Key,
    /// The ciphertext was altered.
    #[error("the ciphertext does not open under its header")]
    Altered,
    /// The plaintext is not a body.
    #[error("the plaintext is not a body: {0}")]
    Body(NotCanonical),
    /// The body is not of the header's class.
    #[error("the body does not belong into the header's class")]
    Class,
    /// The body has another count than its header.
    #[error("the body does not have the count its header names")]
    Count,
    /// The body has other times than its header.
    #[error("the body does not have the times its header names")]
    Span,
    /// The vault could not read the stream's key.
    #[error("the vault could not read the stream's key: {0}")]
    Vault(String),
}

/// Why an envelope of the node's own was not written. Nothing was stored.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The body does not fit its class, is empty, or is over its bound.
    #[error("the body does not fit its class or its bounds")]
    Unfit,
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The record store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store holds other envelopes of this author than the vault wrote.
    #[error("another envelope stands where the node's own should: the store is not the one this vault wrote")]
    Conflict,
}

/// Why a record was not opened. Nothing was released.
#[derive(Debug, Error)]
pub enum AccessError {
    /// Consent does not cover it.
    #[error("not allowed: {0}")]
    Denied(&'static str),
    /// The policy of the consent does not allow a class.
    #[error("not allowed: the policy of the consent does not agree to the class {}", .0.word())]
    PolicyRefuses(Class),
    /// The policy of the consent could not be asked.
    #[error("the policy of the consent could not be asked: {0}")]
    PolicySilent(#[source] LedgerError),
    /// The ledger could not be asked.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The access could not be recorded.
    #[error("the access could not be recorded: {0}")]
    Write(#[from] WriteError),
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
}
