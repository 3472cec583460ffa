//! The file `changes`: how many changes `vault.redb` has seen, kept outside it, so that an older copy
//! of the database in the place of the newer one is noticed. Written after each commit and not synced:
//! after a power cut it may lag behind the database, but it never leads.

use crate::error::VaultError;
use crc32c::crc32c;
use durable::{Disk, DiskFile, Os};
use std::path::Path;
use std::sync::Arc;

const FILE: &str = "changes";
const MAGIC: &[u8; 4] = b"ACCH";
/// Magic, count, CRC-32C of both.
const BYTES: usize = 16;

pub(crate) struct ChangeCount(Arc<dyn DiskFile>);

fn encode(count: u64) -> [u8; BYTES] {
    let mut out = [0; BYTES];
    out[..4].copy_from_slice(MAGIC);
    out[4..12].copy_from_slice(&count.to_le_bytes());
    let sum = crc32c(&out[..12]);
    out[12..].copy_from_slice(&sum.to_le_bytes());
    out
}

impl ChangeCount {
    /// Opens the count of a database that has seen `held` changes. Without a file it begins there: the
    /// vault is of an earlier version, or the file was removed.
    ///
    /// # Errors
    /// [`VaultError::Damaged`] if the file counts more, or cannot be read back.
    pub(crate) fn open(folder: &Path, held: u64) -> Result<Self, VaultError> {
        let path = folder.join(FILE);
        let file = match durable::read(&Os, &path)? {
            Some(bytes) => {
                let mut count = [0; 8];
                count.copy_from_slice(bytes.get(4..12).unwrap_or(&[0; 8]));
                let count = u64::from_le_bytes(count);
                if bytes != encode(count) {
                    return Err(VaultError::Damaged(format!(
                        "the count of its changes beside it, {}, is not readable; if vault.redb is known to be the \
                         newest, remove that file",
                        path.display()
                    )));
                }
                if held < count {
                    return Err(VaultError::Damaged(format!(
                        "it is an older copy: it has seen {held} changes of {count}; put back the newest"
                    )));
                }
                Os.open(&path)?
            }
            None => {
                tracing::info!("The vault's changes are counted from now on");
                Os.create_new(&path)?
            }
        };
        let changes = Self(file);
        changes.put(held);
        // From here on a power cut finds sixteen bytes, old or new.
        changes.0.sync()?;
        Os.sync_folder(folder)?;
        Ok(changes)
    }

    /// Notes the count after a commit. A count that lags only makes the next start more forgiving.
    pub(crate) fn put(&self, count: u64) {
        if self.0.write_at(&encode(count), 0).is_err() {
            tracing::warn!("The vault could not note how often it was changed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_database_is_named_and_a_newer_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        ChangeCount::open(folder.path(), 3).unwrap().put(5);
        let older = ChangeCount::open(folder.path(), 4).map(drop).unwrap_err().to_string();
        assert!(older.contains("seen 4 changes of 5"), "{older}");
        ChangeCount::open(folder.path(), 5).unwrap();
        ChangeCount::open(folder.path(), 7).unwrap();
        assert!(ChangeCount::open(folder.path(), 6).is_err(), "the start noted what it found");
    }

    #[test]
    fn every_bit_of_the_count_counts() {
        let folder = tempfile::tempdir().unwrap();
        ChangeCount::open(folder.path(), 3).unwrap();
        for bit in 0..BYTES * 8 {
            let mut bytes = encode(3);
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(folder.path().join(FILE), bytes).unwrap();
            assert!(ChangeCount::open(folder.path(), 3).is_err(), "bit {bit}");
        }
        std::fs::write(folder.path().join(FILE), "").unwrap();
        assert!(ChangeCount::open(folder.path(), 3).is_err());
        std::fs::remove_file(folder.path().join(FILE)).unwrap();
        ChangeCount::open(folder.path(), 3).unwrap();
    }
}
