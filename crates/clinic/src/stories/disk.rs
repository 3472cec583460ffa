//! A disk that can be full or slow, and a gate that holds whoever comes until it is opened.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use vault::store::{Disk, DiskFile, Folder};

/// Holds everybody while it is shut.
#[derive(Default)]
pub(crate) struct Gate {
    shut: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    pub(crate) fn shut(&self) {
        *self.shut.lock().unwrap() = true;
    }

    pub(crate) fn open(&self) {
        *self.shut.lock().unwrap() = false;
        self.opened.notify_all();
    }

    pub(crate) fn pass(&self) {
        let shut = self.shut.lock().unwrap();
        drop(self.opened.wait_while(shut, |shut| *shut).unwrap());
    }
}

/// What a test can do to the disk.
#[derive(Default)]
pub(crate) struct Switches {
    /// Writes fail as on a full disk.
    pub(crate) full: AtomicBool,
    /// Syncs wait here.
    pub(crate) sync: Gate,
}

/// A folder whose disk obeys the switches.
pub(crate) struct Switched {
    pub(crate) folder: Folder,
    pub(crate) switches: Arc<Switches>,
}

struct SwitchedFile {
    file: Arc<dyn DiskFile>,
    switches: Arc<Switches>,
}

impl Switched {
    fn file(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(SwitchedFile { file, switches: self.switches.clone() })
    }
}

impl Disk for Switched {
    fn list(&self) -> io::Result<Vec<String>> {
        self.folder.list()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(self.folder.create(name)?))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(self.folder.open(name)?))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.folder.remove(name)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.folder.sync_names()
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
        self.file.sync()
    }
}
