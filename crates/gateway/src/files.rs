//! The gateway's door to the disk: small private files, replaced as a whole or not at all, and the
//! folder's lock. Narrow, so that a layer which loses unsynced writes can stand in for the operating
//! system.

use crate::GatewayError;
use rustix::fs::{FlockOperation, flock};
use std::fmt::Debug;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

#[cfg(test)]
pub(crate) mod lossy;

const MAGIC: &[u8; 8] = b"ACESO1\r\n";

/// What the gateway asks of a disk. A name that was given, changed or taken is so durably only after
/// [`Disk::sync_dir`] of its folder; bytes written or cut only after [`DiskFile::sync`].
pub(crate) trait Disk: Debug + Send + Sync {
    /// Makes a folder that only its owner can enter, durably.
    fn private_dir(&self, dir: &Path) -> io::Result<()>;
    /// Names of the files in a folder.
    fn names(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// An empty file of mode 0600, in place of any there is.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// An existing file, for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// One open file.
pub(crate) trait DiskFile: Debug + Send + Sync {
    fn size(&self) -> io::Result<u64>;
    /// Fills `bytes` from `offset`, or fails.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    fn cut(&self, size: u64) -> io::Result<()>;
    fn sync(&self) -> io::Result<()>;
}

/// The operating system's.
#[derive(Debug)]
pub(crate) struct Os;

impl Disk for Os {
    fn private_dir(&self, dir: &Path) -> io::Result<()> {
        // From the outside in: a folder is as durable as its name in the one around it.
        let made: Vec<&Path> = dir.ancestors().take_while(|dir| !dir.exists()).collect();
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        for dir in made.into_iter().rev() {
            let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
            self.sync_dir(parent.unwrap_or(Path::new(".")))?;
        }
        Ok(())
    }

    fn names(&self, dir: &Path) -> io::Result<Vec<String>> {
        std::fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
        Ok(Box::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        sync_dir(dir)
    }
}

/// Makes the entries of a folder durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
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

/// All bytes of a file; none if there is no such file.
pub(crate) fn read_all(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let size = usize::try_from(file.size()?).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut bytes = vec![0; size];
    file.read_at(&mut bytes, 0)?;
    Ok(Some(bytes))
}

/// Makes a folder that only its owner can enter.
pub(crate) fn private_dir(dir: &Path) -> io::Result<()> {
    Os.private_dir(dir)
}

/// Writes a file of mode 0600, durably. After a crash it may be there in part.
pub(crate) fn put_on(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = disk.create(path)?;
    file.write_at(bytes, 0)?;
    file.sync()?;
    disk.sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// Replaces a file of mode 0600: after a crash there is the old one or the new one.
pub(crate) fn replace(path: &Path, body: &[u8]) -> io::Result<()> {
    replace_on(&Os, path, body)
}

/// [`replace`] on any disk.
pub(crate) fn replace_on(disk: &dyn Disk, path: &Path, body: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("new");
    let crc = crc32c::crc32c(body).to_le_bytes();
    let bytes = zeroize::Zeroizing::new([MAGIC.as_slice(), body, &crc].concat());
    let file = disk.create(&draft)?;
    file.write_at(&bytes, 0)?;
    file.sync()?;
    disk.rename(&draft, path)?;
    disk.sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// The body of a file written by [`replace`]; none if there is no such file, an error of kind
/// `InvalidData` if it is damaged.
pub(crate) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    read_on(&Os, path)
}

/// [`read`] on any disk.
pub(crate) fn read_on(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let Some(bytes) = read_all(disk, path)?.map(zeroize::Zeroizing::new) else { return Ok(None) };
    let damaged =
        || io::Error::new(io::ErrorKind::InvalidData, "the file is damaged: its checksum does not fit");
    let body = bytes.strip_prefix(MAGIC).ok_or_else(damaged)?;
    let (body, crc) = body.split_last_chunk::<4>().ok_or_else(damaged)?;
    if crc32c::crc32c(body) == u32::from_le_bytes(*crc) { Ok(Some(body.to_vec())) } else { Err(damaged()) }
}

/// Takes the folder for this process, for as long as the file is held.
pub(crate) fn lock(dir: &Path) -> Result<File, GatewayError> {
    let io = |source| GatewayError::Io { path: dir.to_owned(), source };
    private_dir(dir).map_err(io)?;
    let path = dir.join("lock");
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).map_err(io)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(GatewayError::InUse(dir.to_owned())),
        Err(error) => Err(io(error.into())),
    }
}
