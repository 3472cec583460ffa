//! Small private files, replaced as a whole or not at all, and the folder's lock.

use crate::GatewayError;
use rustix::fs::{FlockOperation, flock};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

const MAGIC: &[u8; 8] = b"ACESO1\r\n";

/// Makes a folder that only its owner can enter.
pub(crate) fn private_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Makes the entries of a folder durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Replaces a file of mode 0600: after a crash there is the old one or the new one.
pub(crate) fn replace(path: &Path, body: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(MAGIC)?;
    file.write_all(body)?;
    file.write_all(&crc32c::crc32c(body).to_le_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// The body of a file written by [`replace`]; none if there is no such file, an error of kind
/// `InvalidData` if it is damaged.
pub(crate) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
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
