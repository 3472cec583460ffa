//! Small private files with a checksum, replaced as a whole or not at all.

use durable::{Disk, Os};
use std::io;
use std::path::Path;
use zeroize::Zeroizing;

const MAGIC: &[u8; 8] = b"ACESO1\r\n";

/// Replaces a file: after a crash there is the old one or the new one.
pub(crate) fn replace(path: &Path, body: &[u8]) -> io::Result<()> {
    replace_on(&Os, path, body)
}

/// [`replace`] on any disk.
pub(crate) fn replace_on(disk: &dyn Disk, path: &Path, body: &[u8]) -> io::Result<()> {
    let crc = crc32c::crc32c(body).to_le_bytes();
    let bytes = Zeroizing::new([MAGIC.as_slice(), body, &crc].concat());
    durable::replace(disk, path, &bytes).map(drop)
}

/// The body of a file written by [`replace`]; none if there is no such file, an error of kind
/// `InvalidData` if it is damaged.
pub(crate) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    read_on(&Os, path)
}

/// [`read`] on any disk.
pub(crate) fn read_on(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let Some(bytes) = durable::read(disk, path)?.map(Zeroizing::new) else { return Ok(None) };
    let damaged =
        || io::Error::new(io::ErrorKind::InvalidData, "the file is damaged: its checksum does not fit");
    let body = bytes.strip_prefix(MAGIC).ok_or_else(damaged)?;
    let (body, crc) = body.split_last_chunk::<4>().ok_or_else(damaged)?;
    if crc32c::crc32c(body) == u32::from_le_bytes(*crc) { Ok(Some(body.to_vec())) } else { Err(damaged()) }
}
