//! One folder: the lock that keeps a second process out, and its flat files by name.

use crate::disk::{Disk, DiskFile, Os, private};
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Name of the file whose lock says that a folder is in use.
pub const LOCK_FILE: &str = "lock";

/// Holds a folder for one process until dropped, also if the process is killed.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes the folder, making it durably if it is not there.
    ///
    /// # Errors
    /// `WouldBlock` if another process holds it.
    pub fn take(folder: &Path) -> io::Result<Self> {
        Self::take_as(folder, LOCK_FILE)
    }

    /// As [`Self::take`], with a lock file of this name.
    ///
    /// # Errors
    /// `WouldBlock` if another process holds it.
    pub fn take_as(folder: &Path, name: &str) -> io::Result<Self> {
        Os.make_folder(folder)?;
        let file = private().create(true).truncate(false).open(folder.join(name))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { _file: file })
    }
}

/// The files of one folder, by name. Holds the folder's lock if it took it.
#[derive(Debug)]
pub struct Folder {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    _lock: Option<FolderLock>,
}

impl Folder {
    /// Locks a folder of the operating system, making it if needed.
    ///
    /// # Errors
    /// `WouldBlock` if another process holds it.
    pub fn lock(path: &Path) -> io::Result<Self> {
        let lock = FolderLock::take(path)?;
        Ok(Self { disk: Arc::new(Os), path: path.to_owned(), _lock: Some(lock) })
    }

    /// A folder that exists on any disk. It is not locked.
    #[must_use]
    pub fn on(disk: Arc<dyn Disk>, path: &Path) -> Self {
        Self { disk, path: path.to_owned(), _lock: None }
    }

    /// The disk it is on.
    #[must_use]
    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// The path of the file with this name.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Names of all files, in no particular order.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn names(&self) -> io::Result<Vec<String>> {
        self.disk.names(&self.path)
    }

    /// A new, empty file.
    ///
    /// # Errors
    /// `AlreadyExists` if the name is taken.
    pub fn create_new(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.create_new(&self.path(name))
    }

    /// An existing file.
    ///
    /// # Errors
    /// `NotFound` if there is none.
    pub fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(&self.path(name))
    }

    /// Removes a file.
    ///
    /// # Errors
    /// `NotFound` if there is none.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(&self.path(name))
    }

    /// Makes the names in it durable.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn sync(&self) -> io::Result<()> {
        self.disk.sync_folder(&self.path)
    }
}
