//! A disk that can be full or slow.

use crate::gate::Gate;
use durable::{Disk, DiskFile, FolderLock, Os};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What a test can do to the disk.
#[derive(Default)]
pub struct Switches {
    /// Writes fail as on a full disk.
    pub full: AtomicBool,
    /// Syncs wait here, those of folders too.
    pub sync: Gate,
    /// How many there were.
    pub syncs: AtomicU64,
}

/// The operating system's disk, which obeys the switches. Holds the lock of one folder.
pub struct Switched {
    pub switches: Arc<Switches>,
    _lock: FolderLock,
}

impl Switched {
    /// Makes and locks the folder.
    pub fn new(folder: &Path, switches: Arc<Switches>) -> io::Result<Self> {
        Ok(Self { switches, _lock: FolderLock::take(folder)? })
    }

    fn file(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(SwitchedFile { file, switches: self.switches.clone() })
    }
}

impl std::fmt::Debug for Switched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Switched").finish_non_exhaustive()
    }
}

impl Disk for Switched {
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        Os.make_folder(folder)
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        Os.names(folder)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(Os.create(path)?))
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(Os.create_new(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(Os.open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Os.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Os.remove(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.switches.sync.pass();
        Os.sync_folder(folder)
    }
}

struct SwitchedFile {
    file: Arc<dyn DiskFile>,
    switches: Arc<Switches>,
}

impl std::fmt::Debug for SwitchedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SwitchedFile").field("file", &self.file).finish_non_exhaustive()
    }
}

impl DiskFile for SwitchedFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.switches.full.load(Ordering::SeqCst) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the disk is full"));
        }
        self.file.write_at(bytes, offset)
    }

    fn cut(&self, size: u64) -> io::Result<()> {
        self.file.cut(size)
    }

    fn sync(&self) -> io::Result<()> {
        self.switches.sync.pass();
        self.switches.syncs.fetch_add(1, Ordering::SeqCst);
        self.file.sync()
    }
}
