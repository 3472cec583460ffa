//! What readers of the store see: where each envelope stands, the log's tree and the streams. Only what is
//! durable.

use super::frame_offsets::FrameOffsets;
use super::log_tree::Tree;
use super::packed_entries::Entry;
use super::stream_index::StreamIndex;
use super::{FRESH_LEAVES_MIN, Located, STALE_LEAVES_MAX, StreamHead};
use std::collections::HashMap;
use vitals::envelope::{Header, header_hash};
use vitals::ids::{Hash, StreamId};

/// Where a frame stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) segment: u32,
    pub(super) offset: u32,
    /// Bytes of the envelope.
    pub(super) len: u32,
}

/// Where the frames of one segment stand.
pub(super) struct Segment {
    pub(super) first_index: u64,
    /// Of the log before the segment.
    pub(super) root: Hash,
    pub(super) frames: FrameOffsets,
    /// Where its leaves begin in its index file; nothing if it has none.
    pub(super) leaves_at: Option<u64>,
}

/// What readers see: only what is durable.
#[derive(Default)]
pub(super) struct State {
    pub(super) log: Tree,
    /// By number.
    pub(super) segments: Vec<Segment>,
    pub(super) streams: HashMap<StreamId, StreamIndex>,
}

impl State {
    /// Adds an envelope; nothing, and no change, if its sequence number is taken.
    pub(super) fn add(
        &mut self,
        header: &Header,
        header_bytes: &[u8],
        leaf: Hash,
        place: Place,
    ) -> Option<u64> {
        let stream = self.streams.entry(header.stream).or_default();
        if stream.get(header.seq).is_some() {
            return None;
        }
        if stream.last_seq().is_none_or(|last| header.seq > last) {
            stream.last_header.clear();
            stream.last_header.extend_from_slice(header_bytes);
        }
        let index = self.log.push(leaf);
        if let Some(segment) = self.segments.last_mut() {
            let stands = segment.frames.push(place.offset, place.len);
            assert!(stands, "a frame is written where the one before it ends");
        }
        stream.insert(header.seq, Entry { index, first_ms: header.first_ms, last_ms: header.last_ms });
        Some(index)
    }

    /// Lets go of the leaves that lie far enough behind; they are read from the disk when they are needed.
    pub(super) fn forget_old_leaves(&mut self) {
        let (first, leaves) = self.log.fresh_leaves();
        if leaves.len() as u64 >= FRESH_LEAVES_MIN + STALE_LEAVES_MAX {
            self.log.forget_before(first + leaves.len() as u64 - FRESH_LEAVES_MIN);
        }
    }

    pub(super) fn head(&self, stream: StreamId) -> Option<StreamHead> {
        let index = self.streams.get(&stream)?;
        Some(StreamHead {
            last_seq: index.last_seq()?,
            last_hash: header_hash(&index.last_header),
            latest_ms: index.latest_ms,
            count: index.count,
        })
    }

    pub(super) fn begin_segment(&mut self) {
        self.segments.push(Segment {
            first_index: self.log.size(),
            root: self.log.root(),
            frames: FrameOffsets::default(),
            leaves_at: None,
        });
    }

    pub(super) fn place(&self, index: u64) -> Option<Place> {
        let number = self.segments.partition_point(|segment| segment.first_index <= index).checked_sub(1)?;
        let segment = &self.segments[number];
        let at = usize::try_from(index - segment.first_index).ok()?;
        let (offset, len) = segment.frames.get(at)?;
        Some(Place { segment: u32::try_from(number).ok()?, offset, len })
    }
}

pub(super) fn located(seq: u64, entry: Entry) -> Located {
    Located { seq, index: entry.index, first_ms: entry.first_ms, last_ms: entry.last_ms }
}

pub(super) fn place(number: u64, offset: u64, len: usize) -> Place {
    const FITS: &str = "a segment is shorter than 4 GiB and there are fewer than 2^32 of them";
    Place {
        segment: u32::try_from(number).expect(FITS),
        offset: u32::try_from(offset).expect(FITS),
        len: u32::try_from(len).expect("an envelope is at most ENVELOPE_BYTES_MAX long"),
    }
}
