//! How far a growing file is known to be on the disk. At the next start this tells a torn tail, which
//! nobody was told about and which is cut, from damage to something that was acknowledged.
//!
//! Two slots, at 0 and [`SLOT_STEP`]. One is durable and left alone; the other is written after each sync
//! of what it describes, and not synced itself. So it may lag, but never leads. At each start, and with
//! [`Watermark::sync`] at each new segment, the slots change places, so that no torn write spoils both.
//!
//! | slot, integers little-endian | |
//! |---|---|
//! | 8 | [`Position::MAGIC`] |
//! | 8 | counter; the readable slot with the higher one counts |
//! | … | the position, [`Position::BYTES`] long |
//! | 4 | CRC-32C of everything before |

use crate::disk::{Disk, DiskFile};
use crate::whole::write;
use crc32c::crc32c;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Distance of the two slots, bytes: they lie in two sectors.
const SLOT_STEP: u64 = 512;
/// Bytes of a slot before the position.
const HEAD_BYTES: usize = 16;
/// Bytes of its checksum.
const SUM_BYTES: usize = 4;

/// How far somebody's files are durable.
pub trait Position: Copy {
    /// The first bytes of a slot.
    const MAGIC: [u8; 8];
    /// Length when encoded; with head and checksum at most a sector.
    const BYTES: usize;
    /// Whose position it is, for the log.
    const OWNER: &'static str;
    /// Fills `out`, which is [`Self::BYTES`] long and zero.
    fn encode(&self, out: &mut [u8]);
    /// What [`Self::encode`] filled `bytes` with. Any bytes may be given: they are encoded again and
    /// compared.
    fn decode(bytes: &[u8]) -> Self;
}

fn slot_bytes<P: Position>() -> usize {
    HEAD_BYTES + P::BYTES + SUM_BYTES
}

fn encode<P: Position>(counter: u64, position: &P) -> Vec<u8> {
    let mut out = vec![0; HEAD_BYTES + P::BYTES];
    out[..8].copy_from_slice(&P::MAGIC);
    out[8..HEAD_BYTES].copy_from_slice(&counter.to_le_bytes());
    position.encode(&mut out[HEAD_BYTES..]);
    out.extend_from_slice(&crc32c(&out).to_le_bytes());
    out
}

fn decode<P: Position>(bytes: &[u8]) -> Option<(u64, P)> {
    let counter = u64::from_le_bytes(bytes.get(8..HEAD_BYTES)?.try_into().ok()?);
    let position = P::decode(bytes.get(HEAD_BYTES..HEAD_BYTES + P::BYTES)?);
    (encode(counter, &position) == bytes).then_some((counter, position))
}

/// The file that holds a [`Position`].
#[derive(Debug)]
pub struct Watermark<P> {
    file: Arc<dyn DiskFile>,
    counter: u64,
    newest: P,
    /// The slot to write; the other one is durable and left alone.
    slot: u64,
    written: bool,
}

impl<P: Position> Watermark<P> {
    /// Makes the file durably, in place of any there is.
    ///
    /// # Errors
    /// If the disk refuses or fails.
    pub fn create(disk: &dyn Disk, path: &Path, first: P) -> io::Result<Self> {
        let file = write(disk, path, &encode(0, &first))?;
        Ok(Self { file, counter: 0, newest: first, slot: 1, written: false })
    }

    /// The newest position that reads back whole; none if there is no file or no slot is readable. Nothing is
    /// written: call [`Self::write_again`] before the next position is noted.
    ///
    /// # Errors
    /// If the file exists and cannot be opened.
    pub fn open(disk: &dyn Disk, path: &Path) -> io::Result<Option<Self>> {
        let file = match disk.open(path) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let read = |slot: u64| {
            let mut bytes = vec![0; slot_bytes::<P>()];
            file.read_at(&mut bytes, slot * SLOT_STEP).ok()?;
            let read = decode::<P>(&bytes);
            if read.is_none() && bytes.iter().any(|byte| *byte != 0) {
                tracing::warn!(
                    file = %path.display(),
                    slot,
                    "A slot of the {}'s watermark is torn or damaged; the other one counts",
                    P::OWNER
                );
            }
            read.map(|(counter, position)| (counter, position, slot))
        };
        let newest = [read(0), read(1)].into_iter().flatten().max_by_key(|(counter, ..)| *counter);
        Ok(newest.map(|(counter, newest, slot)| Self {
            file,
            counter,
            newest,
            slot: 1 - slot,
            written: false,
        }))
    }

    /// Makes the position that was found durable: the last process may have seen a sync of it fail, and the page
    /// cache then shows a slot that is not on the disk.
    ///
    /// # Errors
    /// If the disk refuses or fails.
    pub fn write_again(&mut self) -> io::Result<()> {
        // The other slot is the next to be written.
        self.file.write_at(&encode(self.counter, &self.newest), (1 - self.slot) * SLOT_STEP)?;
        self.file.sync()
    }

    /// The newest position.
    #[must_use]
    pub fn newest(&self) -> P {
        self.newest
    }

    /// Notes how far everything is durable. Not synced, and allowed to fail: a watermark that lags only
    /// makes the next start more forgiving of a torn tail.
    pub fn put(&mut self, newest: P) {
        self.counter += 1;
        self.newest = newest;
        self.written = true;
        if self.file.write_at(&encode(self.counter, &newest), self.slot * SLOT_STEP).is_err() {
            tracing::warn!("The {} could not note how far it is durable", P::OWNER);
        }
    }

    /// Notes a position and makes it durable. If that fails, the one before still reads back, and the same
    /// call can be made again.
    ///
    /// # Errors
    /// If the disk refuses or fails.
    pub fn advance(&mut self, newest: P) -> io::Result<()> {
        self.file.write_at(&encode(self.counter + 1, &newest), self.slot * SLOT_STEP)?;
        self.counter += 1;
        self.newest = newest;
        self.written = true;
        self.sync()
    }

    /// Makes the newest position durable.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn sync(&mut self) -> io::Result<()> {
        self.file.sync()?;
        if self.written {
            self.slot = 1 - self.slot;
            self.written = false;
        }
        Ok(())
    }
}
