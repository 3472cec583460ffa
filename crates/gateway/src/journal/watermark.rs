//! The file `durable`: how far the journal's newest segment is known to be on the disk. It tells a
//! torn tail, which is cut, from damage to something that may have been sent, which is not. The slots
//! are described in [`durable::Watermark`]; a position is the number of the segment (4 bytes) and how
//! many of its bytes are durable (8).

use durable::{Disk, Position};
use std::io;
use std::path::Path;

const NAME: &str = "durable";

/// See [`JournalPosition`].
pub(super) type Watermark = durable::Watermark<JournalPosition>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct JournalPosition {
    pub(super) segment: u32,
    /// Bytes of it that are durable.
    pub(super) bytes: u64,
}

impl Position for JournalPosition {
    const MAGIC: [u8; 8] = *b"ACESOJMK";
    const BYTES: usize = 12;
    const OWNER: &'static str = "journal";

    fn encode(&self, out: &mut [u8]) {
        out[..4].copy_from_slice(&self.segment.to_le_bytes());
        out[4..].copy_from_slice(&self.bytes.to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Self {
        let (segment, bytes) = bytes.split_at(4);
        Self {
            segment: u32::from_le_bytes(segment.try_into().unwrap_or_default()),
            bytes: u64::from_le_bytes(bytes.try_into().unwrap_or_default()),
        }
    }
}

/// Makes the file durably, in place of one that cannot be read.
pub(super) fn create(disk: &dyn Disk, dir: &Path, segment: u32, bytes: u64) -> io::Result<Watermark> {
    Watermark::create(disk, &dir.join(NAME), JournalPosition { segment, bytes })
}

/// The newest position that reads back; none if there is none.
pub(super) fn open(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Watermark>> {
    Watermark::open(disk, &dir.join(NAME))
}
