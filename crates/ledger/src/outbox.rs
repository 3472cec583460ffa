//! The file of acts that are not final yet, so that a restarted node sends them again.
//!
//! Records of length (4, big-endian) ‖ transaction. Whatever the disk does, the file holds every act that was
//! accepted; and an act that was refused is not in it, unless the disk refused to have it taken back.

use crate::machine::TX_BYTES_MAX;
use durable::{AppendFile, Disk};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// The file is written anew when it is longer, bytes.
pub(crate) const OUTBOX_BYTES_MAX: u64 = 1024 * 1024;

/// An act was not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PushError {
    /// It is not in the file.
    #[error("the outbox cannot be written: {0}; nothing was sent")]
    NotWritten(#[source] io::Error),
    /// The disk refuses to have it taken back: a restart may send it.
    #[error(
        "the outbox cannot be written: {0}; nothing was sent, but a restart before the disk works may send it"
    )]
    Uncertain(#[source] io::Error),
}

/// The file of transactions that are not final yet.
#[derive(Debug)]
pub(crate) struct Outbox {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// `None` if it is not known what the file holds: then it is written anew before it is appended to.
    file: Option<AppendFile>,
}

impl Outbox {
    /// Replaces the file with one that holds these records.
    pub(crate) fn write(disk: Arc<dyn Disk>, path: PathBuf, records: &[Vec<u8>]) -> io::Result<Self> {
        let mut outbox = Self { disk, path, file: None };
        outbox.rewrite(records)?;
        Ok(outbox)
    }

    /// Adds a transaction, durably on return: once an act was accepted, a power cut does not lose it. A long file, or
    /// one of which is not known what it holds, is written anew with `waiting`, the transactions accepted before.
    pub(crate) fn push(&mut self, raw: &[u8], waiting: impl Fn() -> Vec<Vec<u8>>) -> Result<(), PushError> {
        let usable = self.file.as_mut().filter(|file| file.bytes() <= OUTBOX_BYTES_MAX);
        let written = match usable {
            Some(file) => append(file, &record(raw)),
            None => {
                let mut records = waiting();
                records.push(raw.to_vec());
                self.rewrite(&records)
            }
        };
        let Err(why) = written else { return Ok(()) };
        // Some of it may be there, or all.
        match self.rewrite(&waiting()) {
            Ok(()) => Err(PushError::NotWritten(why)),
            Err(_) => Err(PushError::Uncertain(why)),
        }
    }

    fn rewrite(&mut self, records: &[Vec<u8>]) -> io::Result<()> {
        // Until the new file has its name durably, either of the two may be there.
        self.file = None;
        let bytes: Vec<u8> = records.iter().flat_map(|raw| record(raw)).collect();
        let file = durable::replace(&*self.disk, &self.path, &bytes)?;
        self.file = Some(AppendFile::new(file, bytes.len() as u64));
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn append_raw(&mut self, bytes: &[u8]) {
        append(self.file.as_mut().expect("its content is known"), bytes).expect("the disk works");
    }
}

fn append(file: &mut AppendFile, bytes: &[u8]) -> io::Result<()> {
    file.append(bytes)?;
    Ok(file.sync()?)
}

pub(crate) fn record(raw: &[u8]) -> Vec<u8> {
    let len = u32::try_from(raw.len()).expect("the pool takes no transaction longer than TX_BYTES_MAX");
    [&len.to_be_bytes()[..], raw].concat()
}

/// The complete records of an outbox; an incomplete last one is ignored.
pub(crate) fn read_outbox(disk: &dyn Disk, path: &Path) -> io::Result<Vec<Vec<u8>>> {
    let bytes = durable::read(disk, path)?.unwrap_or_default();
    let (mut records, mut rest) = (Vec::new(), bytes.as_slice());
    while let Some((len, tail)) = rest.split_first_chunk::<4>() {
        let len = u32::from_be_bytes(*len) as usize;
        let Some((raw, tail)) = tail.split_at_checked(len).filter(|_| len <= TX_BYTES_MAX) else { break };
        records.push(raw.to_vec());
        rest = tail;
    }
    Ok(records)
}
