//! The vault's generation, kept outside its folder: in the folders of the records and of the ledger a file
//! says how many changes the vault had seen when the last one was answered. An older vault beside newer
//! files is refused, whatever else was put back with it, as long as one of these folders is not as old.
//!
//! The order is the vault's commit first, then the notes, each durable, then the answer to whoever asked
//! for the change. So a note never leads: a crash between the two leaves a vault that is newer than its
//! notes, and the next start notes it. A change that was answered is noted.

use crate::error::VaultError;
use durable::{Disk, Position, Watermark};
use parking_lot::Mutex;
use std::path::{Path, PathBuf};

/// Name of the file in each folder.
const FILE: &str = "vault-generation";

/// How many changes the vault has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Generation(u64);

impl Position for Generation {
    const MAGIC: [u8; 8] = *b"ACESOVGN";
    const BYTES: usize = 8;
    const OWNER: &'static str = "vault's generation";

    fn encode(&self, out: &mut [u8]) {
        out.copy_from_slice(&self.0.to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Self {
        Self(bytes.try_into().map_or(0, u64::from_le_bytes))
    }
}

#[derive(Debug, Default)]
struct Notes {
    files: Vec<Watermark<Generation>>,
    /// In every file.
    noted: u64,
    /// The newest change.
    newest: u64,
}

impl Notes {
    fn write(&mut self) -> std::io::Result<()> {
        if self.noted < self.newest {
            for file in &mut self.files {
                file.advance(Generation(self.newest))?;
            }
            self.noted = self.newest;
        }
        Ok(())
    }
}

/// The notes of a vault's generation. Its lock is the one writer's: it is held while the notes are written,
/// so that none goes back.
#[derive(Debug, Default)]
pub(crate) struct GenerationNotes(Mutex<Notes>);

impl GenerationNotes {
    /// Holds a vault that has seen `held` changes against the notes in these folders, and notes it there
    /// from now on. A folder without a note gets one: it is of an earlier version, or was put back from one.
    /// Gives the notes that lag by more than the one change that a crash may have left without its note.
    ///
    /// # Errors
    /// [`VaultError::Older`] if any note knows of more changes; nothing was written then.
    pub(crate) fn open(
        &self,
        disk: &dyn Disk,
        folders: &[PathBuf],
        held: u64,
    ) -> Result<Vec<PathBuf>, VaultError> {
        let mut found = Vec::with_capacity(folders.len());
        for folder in folders {
            let path = note_in(folder);
            let file = Watermark::<Generation>::open(disk, &path)?;
            found.push((path, file));
        }
        let newest = found.iter().filter_map(|(path, file)| Some((file.as_ref()?.newest(), path)));
        if let Some((Generation(noted), path)) = newest.max()
            && noted > held
        {
            return Err(VaultError::Older { held, noted, note: path.clone() });
        }
        let (mut files, mut behind) = (Vec::with_capacity(found.len()), Vec::new());
        for (path, file) in found {
            files.push(match file {
                Some(mut file) => {
                    if file.newest().0.saturating_add(1) < held {
                        behind.push(path);
                    }
                    file.write_again()?;
                    if file.newest() < Generation(held) {
                        file.advance(Generation(held))?;
                    }
                    file
                }
                None => {
                    tracing::info!(file = %path.display(), "The vault's generation is noted here from now on");
                    Watermark::create(disk, &path, Generation(held))?
                }
            });
        }
        *self.0.lock() = Notes { files, noted: held, newest: held };
        Ok(behind)
    }

    /// Call it before a change: what could not be noted of the one before is noted now.
    ///
    /// # Errors
    /// The disk still refuses. The change must not be made.
    pub(crate) fn ready(&self) -> Result<(), VaultError> {
        Ok(self.0.lock().write()?)
    }

    /// Notes a change that was committed, before it is answered. If the disk refuses, the change stands and
    /// the next one waits for the note.
    pub(crate) fn note(&self, count: u64) {
        let mut notes = self.0.lock();
        notes.newest = notes.newest.max(count);
        if let Err(why) = notes.write() {
            tracing::error!(%why, "The vault's generation could not be noted; no change is made before it is: {why}");
        }
    }
}

/// Where the note of a folder stands.
pub(crate) fn note_in(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::lossy::Lossy;

    fn folders() -> [PathBuf; 2] {
        ["/records", "/ledger"].map(PathBuf::from)
    }

    fn disk() -> Lossy {
        let disk = Lossy::default();
        folders().iter().for_each(|folder| disk.make_folder(folder).unwrap());
        disk
    }

    fn opened(disk: &Lossy, held: u64) -> Result<GenerationNotes, VaultError> {
        let notes = GenerationNotes::default();
        notes.open(disk, &folders(), held).map(|_| notes)
    }

    #[test]
    fn an_older_vault_is_named_while_one_note_is_newer() {
        let disk = disk();
        opened(&disk, 3).unwrap().note(5);
        let all = folders();
        for lost in 0..2 {
            disk.remove(&note_in(&all[lost])).unwrap();
            let why = opened(&disk, 4).map(drop).unwrap_err().to_string();
            let other = note_in(&all[1 - lost]).display().to_string();
            assert!(why.contains("vault.redb is an older copy") && why.contains(&other), "{why}");
            opened(&disk, 5).unwrap();
        }
        opened(&disk, 7).unwrap();
        assert!(opened(&disk, 6).is_err(), "the start noted what it found");
        folders().iter().for_each(|folder| disk.remove(&note_in(folder)).unwrap());
        opened(&disk, 4).unwrap();
    }

    #[test]
    fn a_note_that_was_refused_holds_up_the_next_change_and_not_its_own() {
        let disk = disk();
        let notes = opened(&disk, 1).unwrap();
        disk.fail_next_write();
        notes.note(2);
        disk.fail_next_sync();
        assert!(notes.ready().is_err());
        notes.ready().unwrap();
        assert!(opened(&disk, 1).is_err());
        opened(&disk, 2).unwrap();
    }

    #[test]
    fn a_note_that_lags_by_more_than_a_crash_explains_is_told() {
        let disk = disk();
        opened(&disk, 3).unwrap();
        let behind = |held| GenerationNotes::default().open(&disk, &folders(), held).unwrap();
        assert_eq!(behind(4), [] as [PathBuf; 0], "a crash between the commit and the note");
        assert_eq!(behind(6), folders().map(|folder| note_in(&folder)));
    }

    #[test]
    fn a_start_that_refuses_changes_no_note() {
        let disk = disk();
        opened(&disk, 1).unwrap().note(9);
        disk.remove(Path::new("/ledger/vault-generation")).unwrap();
        let before = disk.steps();
        assert!(opened(&disk, 8).is_err());
        assert_eq!(disk.steps(), before);
    }
}
