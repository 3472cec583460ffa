//! What a failed sync leaves behind: the kernel goes on showing what was written, and no later sync writes it.

use crate::disk::DiskFile;
use std::io;

/// Read and written at a time, bytes.
const CHUNK_BYTES: usize = 1 << 20;

/// Writes everything from `from` on once more, as it reads now, and syncs: call it on a file that is opened again,
/// before any of it is believed. A process before this one may have seen a sync fail. The bytes stay the same, so a
/// power cut meanwhile does no harm.
///
/// # Errors
/// If the disk refuses or fails.
pub fn write_again(file: &dyn DiskFile, from: u64) -> io::Result<()> {
    let end = file.size()?;
    let mut at = from;
    while at < end {
        let len = usize::try_from(end - at).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let mut bytes = vec![0; len];
        file.read_at(&mut bytes, at)?;
        file.write_at(&bytes, at)?;
        at += len as u64;
    }
    file.sync()
}
