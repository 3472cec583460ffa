//! Small files, read and written as a whole.

use crate::disk::{Disk, DiskFile, parent};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// All bytes of a file; none if there is no such file.
///
/// # Errors
/// If it exists and cannot be read.
pub fn read(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<u8>>> {
    match disk.open(path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
        file => read_all(&*file?).map(Some),
    }
}

/// All bytes of an open file.
///
/// # Errors
/// If it cannot be read.
pub fn read_all(file: &dyn DiskFile) -> io::Result<Vec<u8>> {
    let size = usize::try_from(file.size()?).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut bytes = vec![0; size];
    file.read_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// Writes a file, in place of any that has the name. Durable when it returns; after a crash before that
/// the file may be there in part.
///
/// # Errors
/// If the disk refuses or fails.
pub fn write(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<Arc<dyn DiskFile>> {
    fill(disk, path, bytes, disk.create(path)?)
}

/// As [`write()`], but never over an existing file.
///
/// # Errors
/// `AlreadyExists` if the name is taken; if the disk refuses or fails.
pub fn write_new(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<Arc<dyn DiskFile>> {
    fill(disk, path, bytes, disk.create_new(path)?)
}

fn fill(
    disk: &dyn Disk,
    path: &Path,
    bytes: &[u8],
    file: Arc<dyn DiskFile>,
) -> io::Result<Arc<dyn DiskFile>> {
    file.write_at(bytes, 0)?;
    file.sync()?;
    disk.sync_folder(parent(path))?;
    Ok(file)
}

/// Replaces a file by way of a draft beside it, whose name has the extension `new`. Durable when it
/// returns; a crash before that leaves the old file or the new one.
///
/// # Errors
/// If the disk refuses or fails.
pub fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<Arc<dyn DiskFile>> {
    let draft = path.with_extension("new");
    let file = disk.create(&draft)?;
    file.write_at(bytes, 0)?;
    file.sync()?;
    rename(disk, &draft, path)?;
    Ok(file)
}

/// Gives a file another name in the same folder, durably.
///
/// # Errors
/// If the disk refuses or fails.
pub fn rename(disk: &dyn Disk, from: &Path, to: &Path) -> io::Result<()> {
    disk.rename(from, to)?;
    disk.sync_folder(parent(to))
}
