//! What can go wrong with the record store, and whose move it is.

use durable::AppendError;
use std::io;
use thiserror::Error;

/// Something acknowledged is damaged or gone. The node stops rather than serve what is left as the
/// truth.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{file} is damaged at byte {offset}: {what}")]
pub struct Corruption {
    /// File name inside the store's folder.
    pub file: String,
    /// Where in it.
    pub offset: u64,
    /// What is wrong there.
    pub what: String,
}

impl Corruption {
    pub(crate) fn at(file: impl Into<String>, offset: u64, what: impl Into<String>) -> Self {
        Self { file: file.into(), offset, what: what.into() }
    }
}

/// Why the store did not do it.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another process has the folder.
    #[error("another process uses the record store's folder")]
    Locked,
    /// There is no store in the folder.
    #[error("the folder holds no record store")]
    Missing,
    /// There is a store in the folder already.
    #[error("the folder holds a record store already")]
    Exists,
    /// The disk refused; nothing was stored, try again.
    #[error("the disk refused, nothing was stored; try again: {0}")]
    Busy(#[source] io::Error),
    /// The disk failed while syncing; what it holds is known only after the store is opened again.
    #[error("the disk failed while storing ({0}); the record store must be opened again")]
    Stopped(String),
    /// Acknowledged records are damaged: stop the node.
    #[error(transparent)]
    Halt(#[from] Corruption),
    /// The caller's group or one of its envelopes is over its bound.
    #[error("a group of more than {} envelopes, or an envelope over its bound", super::GROUP_LEN_MAX)]
    TooLarge,
    /// The caller offered an envelope of another ledger.
    #[error("the envelope belongs to another ledger than the record store")]
    Foreign,
}

impl From<AppendError> for StoreError {
    fn from(why: AppendError) -> Self {
        match why {
            AppendError::Refused(why) => Self::Busy(why),
            AppendError::Stopped(why) => Self::Stopped(why),
        }
    }
}

/// From opening a folder: the one error that has a meaning of its own is the held lock.
impl From<io::Error> for StoreError {
    fn from(why: io::Error) -> Self {
        if why.kind() == io::ErrorKind::WouldBlock { Self::Locked } else { Self::Busy(why) }
    }
}
