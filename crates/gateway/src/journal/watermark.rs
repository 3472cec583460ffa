//! The file `durable`: how far the journal's newest segment is known to be on the disk. It tells a
//! torn tail, which is cut, from damage to something that may have been sent, which is not.
//!
//! Two slots of 32 bytes, at 0 and 512. One is durable and left alone; the other is written after each
//! sync of the journal and not synced itself, so that it may lag but never leads. With each new segment
//! and at each start the file is synced and the slots change places.
//!
//! | slot, 32 bytes, little-endian | |
//! |---|---|
//! | 8 | `ACESOJMK` |
//! | 8 | counter; the higher slot counts |
//! | 4 | segment |
//! | 8 | bytes of it that are durable |
//! | 4 | CRC-32C of the 28 bytes before |

use crate::files::{Disk, DiskFile};
use std::io;
use std::path::Path;

const NAME: &str = "durable";
const MAGIC: &[u8; 8] = b"ACESOJMK";
const SLOT_BYTES: usize = 32;
const SLOT_STEP: u64 = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Watermark {
    counter: u64,
    pub(super) segment: u32,
    pub(super) bytes: u64,
}

impl Watermark {
    fn encode(self) -> [u8; SLOT_BYTES] {
        let mut out = [0; SLOT_BYTES];
        out[..8].copy_from_slice(MAGIC);
        out[8..16].copy_from_slice(&self.counter.to_le_bytes());
        out[16..20].copy_from_slice(&self.segment.to_le_bytes());
        out[20..28].copy_from_slice(&self.bytes.to_le_bytes());
        let crc = crc32c::crc32c(&out[..28]);
        out[28..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8; SLOT_BYTES]) -> Option<Self> {
        let mark = Self {
            counter: u64::from_le_bytes(bytes[8..16].try_into().ok()?),
            segment: u32::from_le_bytes(bytes[16..20].try_into().ok()?),
            bytes: u64::from_le_bytes(bytes[20..28].try_into().ok()?),
        };
        (mark.encode() == *bytes).then_some(mark)
    }
}

#[derive(Debug)]
pub(super) struct WatermarkFile {
    file: Box<dyn DiskFile>,
    newest: Watermark,
    /// The slot to write; the other one is durable.
    slot: u64,
    written: bool,
}

impl WatermarkFile {
    /// Makes the file durably, in place of one that cannot be read.
    pub(super) fn create(disk: &dyn Disk, dir: &Path, segment: u32, bytes: u64) -> io::Result<Self> {
        let newest = Watermark { counter: 0, segment, bytes };
        let file = disk.create(&dir.join(NAME))?;
        file.write_at(&newest.encode(), 0)?;
        file.sync()?;
        disk.sync_dir(dir)?;
        Ok(Self { file, newest, slot: 1, written: false })
    }

    /// The newest mark that reads back; none if there is none.
    pub(super) fn open(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Self>> {
        let file = match disk.open(&dir.join(NAME)) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let slot = |slot: u64| {
            let mut bytes = [0; SLOT_BYTES];
            file.read_at(&mut bytes, slot * SLOT_STEP).ok()?;
            let mark = Watermark::decode(&bytes);
            if mark.is_none() && bytes != [0; SLOT_BYTES] {
                tracing::warn!(
                    file = NAME,
                    slot,
                    "A slot of the journal's mark is torn or damaged; the other one counts"
                );
            }
            mark.map(|mark| (mark, slot))
        };
        let newest = [slot(0), slot(1)].into_iter().flatten().max_by_key(|(mark, _)| mark.counter);
        Ok(newest.map(|(newest, slot)| Self { file, newest, slot: 1 - slot, written: false }))
    }

    pub(super) fn newest(&self) -> Watermark {
        self.newest
    }

    /// Notes how far everything is durable. Allowed to fail: a mark that lags only makes the next start
    /// more forgiving.
    pub(super) fn put(&mut self, segment: u32, bytes: u64) {
        self.newest = Watermark { counter: self.newest.counter + 1, segment, bytes };
        self.written = true;
        if self.file.write_at(&self.newest.encode(), self.slot * SLOT_STEP).is_err() {
            tracing::warn!("The journal could not note how far it is durable");
        }
    }

    /// Makes the newest mark durable.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.file.sync()?;
        if self.written {
            self.slot = 1 - self.slot;
            self.written = false;
        }
        Ok(())
    }
}
