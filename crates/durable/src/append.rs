//! A file that only grows.

use crate::disk::DiskFile;
use std::io;
use std::sync::Arc;

/// What an append that failed left behind.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Nothing: the file is as it was before. Try again.
    #[error("the disk refused, nothing was written: {0}")]
    Refused(#[source] io::Error),
    /// Only reading the file again can tell what it holds. Nothing more is appended.
    #[error("the disk failed while writing ({0}); the file must be opened again")]
    Stopped(String),
}

impl From<AppendError> for io::Error {
    fn from(why: AppendError) -> Self {
        match why {
            AppendError::Refused(why) => why,
            AppendError::Stopped(_) => Self::other(why),
        }
    }
}

/// The end of a file that only grows. One writer at a time.
#[derive(Debug)]
pub struct AppendFile {
    file: Arc<dyn DiskFile>,
    bytes: u64,
    /// Set when a write could not be undone or a sync failed.
    stopped: Option<String>,
}

impl AppendFile {
    /// Appends after the first `bytes` bytes of `file`, which the caller has read and judged to be good.
    #[must_use]
    pub fn new(file: Arc<dyn DiskFile>, bytes: u64) -> Self {
        Self { file, bytes, stopped: None }
    }

    /// Length, bytes, durable or not.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The file, for reading.
    #[must_use]
    pub fn file(&self) -> &dyn DiskFile {
        &*self.file
    }

    /// Refuses all further appends.
    pub fn stop(&mut self, why: impl ToString) {
        self.stopped = Some(why.to_string());
    }

    /// May something still be appended?
    ///
    /// # Errors
    /// [`AppendError::Stopped`] with the first failure.
    pub fn check(&self) -> Result<(), AppendError> {
        self.stopped.clone().map_or(Ok(()), |why| Err(AppendError::Stopped(why)))
    }

    /// Writes at the end; durable only after [`Self::sync`].
    ///
    /// # Errors
    /// [`AppendError::Refused`] if the disk would not take it, [`AppendError::Stopped`] if what it took of
    /// it could not be cut off again.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), AppendError> {
        self.check()?;
        if let Err(why) = self.file.write_at(bytes, self.bytes) {
            if self.file.cut(self.bytes).is_err() {
                self.stop(&why);
                self.check()?;
            }
            return Err(AppendError::Refused(why));
        }
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Makes everything appended durable.
    ///
    /// # Errors
    /// [`AppendError::Stopped`]: the kernel may have dropped the dirty pages, and a second sync would
    /// succeed without them.
    pub fn sync(&mut self) -> Result<(), AppendError> {
        self.check()?;
        if let Err(why) = self.file.sync() {
            self.stop(why);
        }
        self.check()
    }
}
