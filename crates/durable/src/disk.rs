//! What is asked of a disk. Narrow, so that a disk which loses unsynced writes can stand in for the
//! operating system in tests.

use std::fmt::Debug;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

/// A disk with folders and files. Every file it makes has mode 0600, every folder 0700.
///
/// A name that was given, changed or taken away is so durably only after [`Disk::sync_folder`] of its
/// folder; bytes written or cut are so durably only after [`DiskFile::sync`].
pub trait Disk: Debug + Send + Sync {
    /// Makes a folder and the missing folders above it, durably.
    ///
    /// # Errors
    /// If the disk refuses.
    fn make_folder(&self, folder: &Path) -> io::Result<()>;
    /// Names of everything in a folder, in no particular order.
    ///
    /// # Errors
    /// If the folder cannot be read.
    fn names(&self, folder: &Path) -> io::Result<Vec<String>>;
    /// An empty file in place of any that has the name.
    ///
    /// # Errors
    /// If the disk refuses.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// A new, empty file.
    ///
    /// # Errors
    /// `AlreadyExists` if the name is taken.
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// An existing file, for reading and writing.
    ///
    /// # Errors
    /// `NotFound` if there is none.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Gives a file another name, in place of any file that has it.
    ///
    /// # Errors
    /// If the disk refuses.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    ///
    /// # Errors
    /// `NotFound` if there is none.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// If the disk fails.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// One open file, read and written at explicit offsets.
pub trait DiskFile: Debug + Send + Sync {
    /// Length, bytes.
    ///
    /// # Errors
    /// If the disk fails.
    fn size(&self) -> io::Result<u64>;
    /// Fills `bytes` from `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file ends before.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`. A gap before it is zeros.
    ///
    /// # Errors
    /// If the disk refuses; some of the bytes may be there then.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts the file to `size` bytes.
    ///
    /// # Errors
    /// If the disk refuses.
    fn cut(&self, size: u64) -> io::Result<()>;
    /// Makes all writes and cuts durable.
    ///
    /// # Errors
    /// If the disk fails; what it holds is unknown then.
    fn sync(&self) -> io::Result<()>;
}

/// The disk of the operating system.
#[derive(Debug, Clone, Copy)]
pub struct Os;

impl Disk for Os {
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        let made: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        // From the outside in: a folder is as durable as its name in the one around it.
        for folder in made.into_iter().rev() {
            self.sync_folder(parent(folder))?;
        }
        Ok(())
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        std::fs::read_dir(folder)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(private().create(true).truncate(true).open(path)?))
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(private().create_new(true).open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(private().open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}

/// For reading and writing, by the owner only.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

/// The folder of a file or folder; the working directory for a bare name.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
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
