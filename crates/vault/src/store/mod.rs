//! The embedded record store and the organisation's log: append-only segments of sealed envelopes in
//! the order they were admitted. Envelopes are opaque here; nothing in this module holds a key.
//!
//! The order on the disk is the order of the log: the n-th frame is leaf n. Everything else follows
//! from the segments: a full segment has an index file beside it, which is used only if it fits
//! and is made again if it does not, so there is nothing to fall out of step.

mod error;
mod evidence;
mod frame_offsets;
mod log_tree;
mod old_leaves;
mod packed_entries;
mod page_groups;
mod read;
mod recovery;
mod segment;
mod segment_index;
mod state;
mod stream_index;
#[cfg(test)]
mod tests;
mod watermark;

pub use error::{Corruption, StoreError};
pub use evidence::EVIDENCE_PER_STREAM_MAX;
pub use log_tree::Edge;
pub use stream_index::GAPS_MAX;

use durable::{AppendFile, DiskFile, Folder};
use evidence::Evidence;
use log_tree::{BLOCK_LEN, Block};
use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard};
use segment::{FRAME_BYTES, Kind, SegmentHeader, file_name, put_frame};
use state::{State, place};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use vitals::envelope::{ENVELOPE_BYTES_MAX, Envelope, Header};
use vitals::ids::{Genesis, Hash, StreamId};
use vitals::log;
use watermark::{LogPosition, Watermark};

/// Most envelopes in one group.
pub const GROUP_LEN_MAX: usize = 4096;
/// At least so many of the newest leaves are in memory: receipts and fresh proofs ask for them.
const FRESH_LEAVES_MIN: u64 = if cfg!(test) { 4 } else { 1 << 16 };
/// At most so many more are: moving the rest up costs little when it is done for many at once.
const STALE_LEAVES_MAX: u64 = BLOCK_LEN * if cfg!(test) { 1 } else { 16 };

/// Sizes of the store's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// A segment that holds an envelope gets no group that would make it longer than this.
    pub segment_bytes_max: u64,
}

impl Bounds {
    /// 64 MiB segments: read in one go at the start, few enough to keep open.
    pub const STANDARD: Self = Self { segment_bytes_max: 64 << 20 };
}

/// An envelope whose signature and author were checked, on its way into the store.
#[derive(Debug, Clone, Copy)]
pub struct Admitted<'a> {
    header: &'a Header,
    header_bytes: &'a [u8],
    bytes: &'a [u8],
}

impl<'a> Admitted<'a> {
    /// `bytes` must be what `envelope` was decoded from: they are what is stored and read back.
    #[must_use]
    pub fn new(envelope: &'a Envelope, bytes: &'a [u8]) -> Self {
        debug_assert!(envelope.encode() == bytes, "an envelope is stored as it arrived");
        Self { header: &envelope.header, header_bytes: &envelope.header_bytes, bytes }
    }
}

/// What became of one envelope of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// New; it is this leaf of the log.
    Stored {
        /// Index of its leaf.
        index: u64,
    },
    /// The same envelope is this leaf already.
    Duplicate {
        /// Index of its leaf.
        index: u64,
    },
    /// Another envelope holds its sequence number: not stored. See [`Store::keep_evidence`].
    Conflict {
        /// Index of the one that was first.
        index: u64,
    },
}

/// The end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamHead {
    /// Highest sequence number stored.
    pub last_seq: u64,
    /// Header hash of that envelope.
    pub last_hash: Hash,
    /// Latest time any envelope of the stream claims, milliseconds.
    pub latest_ms: u64,
    /// Envelopes stored.
    pub count: u64,
}

/// What the index knows about an envelope without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located {
    /// Position in the stream.
    pub seq: u64,
    /// Leaf in the log.
    pub index: u64,
    /// Earliest time it claims, milliseconds.
    pub first_ms: u64,
    /// Latest time it claims, milliseconds.
    pub last_ms: u64,
}

/// The end of the log, where the one writer works.
struct Tail {
    segment: AppendFile,
    number: u64,
    watermark: Watermark,
    evidence: Evidence,
}

/// The record store of one organisation. Shared by reference; many readers, one writer at a time.
pub struct Store {
    folder: Folder,
    genesis: Genesis,
    bounds: Bounds,
    state: RwLock<State>,
    tail: Mutex<Tail>,
    handles: Mutex<Vec<(String, Arc<dyn DiskFile>)>>,
    /// Blocks of old leaves that were read, the one used last in the end.
    blocks: Mutex<Vec<(u64, Arc<Block>)>>,
    /// The disk did not take the last group.
    is_refused: AtomicBool,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("genesis", &self.genesis)
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}

impl Store {
    /// A new, empty store in a folder of its own.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if the folder holds one, [`StoreError::Locked`] if somebody has it open.
    pub fn create(folder: &Path, genesis: Genesis) -> Result<Self, StoreError> {
        Self::create_on(Folder::lock(folder)?, genesis, Bounds::STANDARD)
    }

    /// Opens a store: reads the indices of full segments, checks every frame of the last one and of
    /// those without a good index, and cuts the torn tail of the last one.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if the folder holds none, [`StoreError::Halt`] naming file and place
    /// if anything that was acknowledged is damaged or gone.
    pub fn open(folder: &Path, genesis: Genesis) -> Result<Self, StoreError> {
        Self::open_on(Folder::lock(folder)?, genesis, Bounds::STANDARD)
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read()
    }

    fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock()
    }

    /// Stores a group with one write and one sync: durable when it returns. Answers stand in the
    /// order of the group. The same envelope again, in this group or ever before, is a duplicate.
    ///
    /// # Errors
    /// [`StoreError::Busy`]: nothing of the group was stored, try again. [`StoreError::Stopped`]: the
    /// disk failed in a way that only reopening the store can judge. [`StoreError::Foreign`] or
    /// [`StoreError::TooLarge`]: the caller is wrong, nothing was stored.
    pub fn append(&self, group: &[Admitted<'_>]) -> Result<Vec<Appended>, StoreError> {
        self.append_locked(&mut self.tail(), group)
    }

    /// Builds envelopes on the ends of their streams and stores them, with no other writer between.
    pub(crate) fn append_with<E: From<StoreError>>(
        &self,
        make: impl FnOnce(&dyn Fn(StreamId) -> Option<StreamHead>) -> Result<Vec<(Envelope, Vec<u8>)>, E>,
    ) -> Result<Vec<(Envelope, Vec<u8>, Appended)>, E> {
        let mut tail = self.tail();
        let made = make(&|stream| self.head(stream))?;
        let group: Vec<_> = made.iter().map(|(envelope, bytes)| Admitted::new(envelope, bytes)).collect();
        let answers = self.append_locked(&mut tail, &group)?;
        Ok(made
            .into_iter()
            .zip(answers)
            .map(|((envelope, bytes), answer)| (envelope, bytes, answer))
            .collect())
    }

    /// Did the disk refuse the last group that was to be stored?
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.is_refused.load(Ordering::Relaxed)
    }

    fn append_locked(&self, tail: &mut Tail, group: &[Admitted<'_>]) -> Result<Vec<Appended>, StoreError> {
        let appended = self.append_group(tail, group);
        if let Err(why @ (StoreError::Busy(_) | StoreError::Stopped(_))) = &appended
            && !self.is_refused.swap(true, Ordering::Relaxed)
        {
            tracing::error!(%why, "The record cannot be written: {why}. Alarms go on; bedsides keep what they measure");
        }
        appended
    }

    fn append_group(&self, tail: &mut Tail, group: &[Admitted<'_>]) -> Result<Vec<Appended>, StoreError> {
        tail.check()?;
        if group.len() > GROUP_LEN_MAX || group.iter().any(|item| item.bytes.len() > ENVELOPE_BYTES_MAX) {
            return Err(StoreError::TooLarge);
        }
        if group.iter().any(|item| item.header.genesis != self.genesis) {
            return Err(StoreError::Foreign);
        }
        let (answers, fresh) = self.judge(group)?;
        if fresh.is_empty() {
            return Ok(answers);
        }
        let payload: u64 = fresh.iter().map(|(item, _)| (item.bytes.len() + FRAME_BYTES) as u64).sum();
        self.roll_if_full(tail, payload)?;
        let number = tail.number;
        let mut buffer = Vec::with_capacity(usize::try_from(payload).unwrap_or(0));
        let mut places = Vec::with_capacity(fresh.len());
        for (item, _) in &fresh {
            let offset = tail.segment.bytes() + buffer.len() as u64;
            put_frame(&mut buffer, number, offset, Kind::Envelope, item.bytes);
            places.push(place(number, offset, item.bytes.len()));
        }
        // One write and one sync for the whole group.
        tail.segment.append(&buffer)?;
        tail.segment.sync()?;
        let size = {
            let mut state = self.state.write();
            for ((item, leaf), place) in fresh.iter().zip(places) {
                let added = state.add(item.header, item.header_bytes, *leaf, place);
                debug_assert!(added.is_some(), "judged to be new under the same writer's lock");
            }
            state.forget_old_leaves();
            state.log.size()
        };
        tail.note_durable(size);
        if self.is_refused.swap(false, Ordering::Relaxed) {
            tracing::warn!("The record is written again");
        }
        Ok(answers)
    }

    /// What each envelope is, and those that are new, in order.
    fn judge<'g, 'a>(&self, group: &'g [Admitted<'a>]) -> Result<Judged<'g, 'a>, StoreError> {
        let mut fresh = Vec::with_capacity(group.len());
        let mut answers = Vec::with_capacity(group.len());
        let mut earlier: HashMap<(StreamId, u64), (u64, Hash)> = HashMap::with_capacity(group.len());
        let size = self.size();
        for item in group {
            let key = (item.header.stream, item.header.seq);
            let leaf = log::leaf(item.header_bytes);
            let before = match self.locate(key.0, key.1) {
                Some(known) => self.try_leaf(known.index)?.map(|leaf| (known.index, leaf)),
                None => earlier.get(&key).copied(),
            };
            answers.push(match before {
                Some((index, first)) if first == leaf => Appended::Duplicate { index },
                Some((index, _)) => Appended::Conflict { index },
                None => {
                    let index = size + fresh.len() as u64;
                    earlier.insert(key, (index, leaf));
                    fresh.push((item, leaf));
                    Appended::Stored { index }
                }
            });
        }
        Ok((answers, fresh))
    }

    fn roll_if_full(&self, tail: &mut Tail, payload: u64) -> Result<(), StoreError> {
        let bytes = tail.segment.bytes();
        let holds_some = bytes > segment::HEADER_BYTES as u64;
        if !holds_some || bytes + payload <= self.bounds.segment_bytes_max {
            return Ok(());
        }
        // The watermark must not be lost behind a segment's end, or a missing segment would go unseen.
        tail.watermark.sync().map_err(StoreError::Busy)?;
        let (number, header) = {
            let state = self.state();
            let number = tail.number + 1;
            let (first_index, root) = (state.log.size(), state.log.root());
            (number, SegmentHeader { kind: Kind::Envelope, number, first_index, genesis: self.genesis, root })
        };
        match header.begin(&self.folder, &file_name(number)) {
            Ok(segment) => {
                segment_index::seal(&self.folder, tail.segment.file(), self.genesis, &self.state);
                let mut state = self.state.write();
                state.begin_segment();
                drop(state);
                tail.segment = segment;
                tail.number = number;
                Ok(())
            }
            Err(why) => {
                // Half a new segment would be refused at the next try; opening the store removes it.
                if self.folder.remove(&file_name(number)).is_err() {
                    tail.segment.stop(&why);
                }
                Err(StoreError::Busy(why))
            }
        }
    }
}

/// What each envelope of a group is; those to be stored, with their leaves.
type Judged<'g, 'a> = (Vec<Appended>, Vec<(&'g Admitted<'a>, Hash)>);

impl Tail {
    /// Refuses if a write failed in a way that only opening the store again can judge.
    fn check(&self) -> Result<(), StoreError> {
        self.segment.check()?;
        self.evidence.check()
    }

    /// Notes that everything up to here is durable.
    fn note_durable(&mut self, size: u64) {
        self.watermark.put(LogPosition {
            segment: self.number,
            bytes: self.segment.bytes(),
            size,
            evidence_bytes: self.evidence.bytes(),
        });
    }
}
