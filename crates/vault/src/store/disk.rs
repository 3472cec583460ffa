//! The only door from the record store to a disk. Narrow, so that a layer which loses unsynced
//! writes can stand in for the operating system.

use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Name of the file whose lock says that a folder is in use.
pub const LOCK_FILE: &str = "lock";

/// One folder of flat files.
///
/// A file that was created or removed is so durably only after [`Disk::sync_names`]; bytes written
/// or cut are so durably only after [`DiskFile::sync`].
pub trait Disk: Send + Sync {
    /// Names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// A new, empty file; refuses a name that exists.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// An existing file, for reading and writing.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes creations and removals durable.
    fn sync_names(&self) -> io::Result<()>;
}

/// One open file, read and written at explicit offsets.
pub trait DiskFile: Send + Sync {
    /// Length, bytes.
    fn size(&self) -> io::Result<u64>;
    /// Fills `bytes` from `offset`, or fails with `UnexpectedEof`.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts the file to `size` bytes.
    fn cut(&self, size: u64) -> io::Result<()>;
    /// Makes all writes and cuts durable. After an error nobody knows what is on the disk.
    fn sync(&self) -> io::Result<()>;
}

/// Holds a folder for one process until dropped.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes the folder, making it (mode 0700, durably) if it is not there. `WouldBlock` means that somebody
    /// else holds it.
    pub fn take(folder: &Path) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let made: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        // From the outside in: a folder is as durable as its name in the one around it.
        for folder in made.into_iter().rev() {
            let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
            File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        let file = private().create(true).truncate(false).open(folder.join(LOCK_FILE))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { _file: file })
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

/// A folder of the operating system, locked while this lives.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: FolderLock,
}

impl Folder {
    /// Locks the folder, making it if needed.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { _lock: FolderLock::take(path)?, path: path.to_owned() })
    }
}

impl Disk for Folder {
    fn list(&self) -> io::Result<Vec<String>> {
        std::fs::read_dir(&self.path)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(private().create_new(true).open(self.path.join(name))?))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(private().open(self.path.join(name))?))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

impl DiskFile for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn cut(&self, size: u64) -> io::Result<()> {
        self.set_len(size)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
