//! The index beside a full segment, so that a start reads that instead of every envelope.
//!
//! Everything in it follows from the segment, so it is written without a sync: a missing, torn or
//! damaged one is made again from the segment. It is used only if its checksum holds and it
//! begins and ends with the roots that the log has there. Leaf hashes stand behind the checksum: they
//! are read one block at a time, and a block is used only if it gives the root in memory.
//!
//! | index, integers little-endian | |
//! |---|---|
//! | 8 | `ACESOIDX` |
//! | 4 | version, 1 |
//! | 4 × 4 | streams, envelopes, block roots, leaves behind the last whole block |
//! | 8 × 3 | number of the segment, leaves in the log before it, bytes of the segment |
//! | 32 × 3 | genesis, root of the log before the segment, root after it |
//! | … | per stream: id (16), length of a header (4), header of its highest sequence number here |
//! | 36 × envelopes | place in the list of streams (4), offset (4), length (4), sequence number, first and last time (8 each) |
//! | 32 × … | roots of the blocks that end in the segment, then the leaves behind the last of them |
//! | 4 | CRC-32C of everything before |
//! | 32 × envelopes | leaf hashes |

use super::frame_offsets::FrameOffsets;
use super::log_tree::BLOCK_LEN;
use super::packed_entries::Entry;
use super::segment::{FRAME_BYTES, Kind, header_of, take_frame};
use super::state::{Place, Segment, State};
use super::stream_index::StreamIndex;
use crc32c::crc32c;
use durable::{DiskFile, Folder};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::io;
use vitals::envelope::HEADER_BYTES_MAX;
use vitals::ids::{Genesis, Hash, StreamId};
use vitals::log;

const MAGIC: &[u8; 8] = b"ACESOIDX";
const VERSION: u32 = 1;
const HEAD_BYTES: usize = 8 + 4 + 16 + 24 + 96;
const ROW_BYTES: usize = 36;
pub(super) const LEAF_BYTES: usize = 32;
/// Frames that are read in one go: 256 KiB of common ones.
const FRAMES_AT_ONCE: usize = 1024;

/// The name of the index of segment `number`.
pub(super) fn index_name(number: u64) -> String {
    format!("index-{number:08}")
}

/// What the index keeps of one envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) stream: StreamId,
    pub(super) offset: u32,
    /// Bytes of the envelope.
    pub(super) len: u32,
    pub(super) seq: u64,
    pub(super) first_ms: u64,
    pub(super) last_ms: u64,
}

/// Where in the log a segment lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) number: u64,
    pub(super) first_index: u64,
    /// Of the segment's file.
    pub(super) bytes: u64,
    pub(super) genesis: Genesis,
    /// Of the log before the segment.
    pub(super) root: Hash,
}

/// An index that was read.
pub(super) struct Index {
    /// Streams of the segment, with the header of the highest sequence number in it.
    pub(super) streams: Vec<(StreamId, Vec<u8>)>,
    /// In log order; the streams' places in the list above.
    pub(super) rows: Vec<(usize, Row)>,
    pub(super) roots: Vec<Hash>,
    pub(super) rest: Vec<Hash>,
    /// Root of the log after the segment.
    pub(super) root: Hash,
    /// Where the leaf hashes begin in the file.
    pub(super) leaves_at: u64,
}

/// What is written about a segment.
pub(super) struct Draft<'a> {
    pub(super) span: Span,
    pub(super) root: Hash,
    pub(super) rows: &'a [Row],
    pub(super) leaves: &'a [Hash],
    pub(super) roots: &'a [Hash],
}

fn count(len: usize) -> [u8; 4] {
    u32::try_from(len).expect("a segment is shorter than 4 GiB").to_le_bytes()
}

/// Leaves behind the last block that ends in the segment; all of its leaves if none does.
fn rest_len(first_index: u64, envelopes: u64) -> u64 {
    ((first_index + envelopes) % BLOCK_LEN).min(envelopes)
}

fn blocks_len(first_index: u64, envelopes: u64) -> u64 {
    (first_index + envelopes) / BLOCK_LEN - first_index / BLOCK_LEN
}

impl Draft<'_> {
    /// The file's bytes, and where in them the leaves begin. `header` reads the header of a row's
    /// envelope.
    fn encode(&self, header: impl Fn(&Row) -> io::Result<Vec<u8>>) -> io::Result<(Vec<u8>, u64)> {
        let mut places: HashMap<StreamId, usize> = HashMap::new();
        let mut highest: Vec<Row> = Vec::new();
        for row in self.rows {
            let place = *places.entry(row.stream).or_insert_with(|| {
                highest.push(*row);
                highest.len() - 1
            });
            if row.seq > highest[place].seq {
                highest[place] = *row;
            }
        }
        let rest = rest_len(self.span.first_index, self.leaves.len() as u64);
        let rest = &self.leaves[self.leaves.len() - usize::try_from(rest).unwrap_or(0)..];
        let mut out = Vec::with_capacity(
            HEAD_BYTES
                + highest.len() * (20 + HEADER_BYTES_MAX)
                + self.rows.len() * (ROW_BYTES + LEAF_BYTES)
                + (self.roots.len() + rest.len()) * LEAF_BYTES,
        );
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        for len in [highest.len(), self.rows.len(), self.roots.len(), rest.len()] {
            out.extend_from_slice(&count(len));
        }
        let Span { number, first_index, bytes, genesis, root } = self.span;
        for word in [number, first_index, bytes] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        for hash in [genesis.0, root, self.root] {
            out.extend_from_slice(&hash);
        }
        for row in &highest {
            let header = header(row)?;
            out.extend_from_slice(&row.stream.0);
            out.extend_from_slice(&count(header.len()));
            out.extend_from_slice(&header);
        }
        for row in self.rows {
            out.extend_from_slice(&count(places[&row.stream]));
            out.extend_from_slice(&row.offset.to_le_bytes());
            out.extend_from_slice(&row.len.to_le_bytes());
            for word in [row.seq, row.first_ms, row.last_ms] {
                out.extend_from_slice(&word.to_le_bytes());
            }
        }
        for hash in self.roots.iter().chain(rest) {
            out.extend_from_slice(hash);
        }
        out.extend_from_slice(&crc32c(&out).to_le_bytes());
        let leaves_at = out.len() as u64;
        self.leaves.iter().for_each(|leaf| out.extend_from_slice(leaf));
        Ok((out, leaves_at))
    }

    /// Writes the index, in place of an older one; returns where its leaves begin.
    pub(super) fn write(
        &self,
        folder: &Folder,
        header: impl Fn(&Row) -> io::Result<Vec<u8>>,
    ) -> io::Result<u64> {
        let (bytes, leaves_at) = self.encode(header)?;
        let name = index_name(self.span.number);
        match folder.remove(&name) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
            _ => {}
        }
        let file = folder.create_new(&name)?;
        if let Err(why) = file.write_at(&bytes, 0) {
            // Half an index is refused when it is read; on a full disk it only takes room.
            let _ = folder.remove(&name);
            return Err(why);
        }
        Ok(leaves_at)
    }
}

/// Takes the bytes of an index apart.
struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn count(&mut self) -> Option<usize> {
        usize::try_from(u32::from_le_bytes(self.array()?)).ok()
    }

    fn word(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.array()?))
    }

    fn hashes(&mut self, len: usize) -> Option<Vec<Hash>> {
        (0..len).map(|_| self.array()).collect()
    }
}

/// The index of the segment at `span`; none if there is no valid one.
pub(super) fn read(folder: &Folder, span: &Span) -> io::Result<Option<Index>> {
    let file = match folder.open(&index_name(span.number)) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    Ok(read_file(&*file, span).ok().flatten())
}

fn read_file(file: &dyn DiskFile, span: &Span) -> io::Result<Option<Index>> {
    let size = file.size()?;
    let mut head = [0; HEAD_BYTES];
    file.read_at(&mut head, 0)?;
    let Some((envelopes, whole)) = fits(&head, span, size) else { return Ok(None) };
    let mut bytes = vec![0; whole];
    file.read_at(&mut bytes, 0)?;
    let (body, sum) = bytes.split_at(whole - 4);
    if crc32c(body).to_le_bytes() != sum {
        return Ok(None);
    }
    Ok(take(body, envelopes, whole as u64))
}

/// Is this the head of the index wanted, in a file of `size` bytes? The number of envelopes and the
/// bytes before the leaves.
fn fits(head: &[u8], span: &Span, size: u64) -> Option<(usize, usize)> {
    let mut parts = Parts(head);
    if parts.take(8)? != MAGIC || u32::from_le_bytes(parts.array()?) != VERSION {
        return None;
    }
    let (_, envelopes, roots, rest) = (parts.count()?, parts.count()?, parts.count()?, parts.count()?);
    let found = Span {
        number: parts.word()?,
        first_index: parts.word()?,
        bytes: parts.word()?,
        genesis: Genesis(parts.array()?),
        root: parts.array()?,
    };
    let whole = size.checked_sub((envelopes * LEAF_BYTES) as u64)?;
    let least = HEAD_BYTES + envelopes * ROW_BYTES + (roots + rest) * LEAF_BYTES + 4;
    let as_many = roots as u64 == blocks_len(span.first_index, envelopes as u64)
        && rest as u64 == rest_len(span.first_index, envelopes as u64);
    let whole = usize::try_from(whole).ok()?;
    (found == *span && as_many && whole >= least).then_some((envelopes, whole))
}

fn take(body: &[u8], envelopes: usize, leaves_at: u64) -> Option<Index> {
    let mut parts = Parts(body);
    parts.take(12)?;
    let (streams, _, roots, rest) = (parts.count()?, parts.count()?, parts.count()?, parts.count()?);
    parts.take(24 + 64)?;
    let root = parts.array()?;
    let mut table = Vec::with_capacity(streams.min(envelopes));
    for _ in 0..streams {
        let stream = StreamId(parts.array()?);
        let len = parts.count()?;
        table.push((stream, parts.take(len)?.to_vec()));
    }
    let mut rows = Vec::with_capacity(envelopes);
    for _ in 0..envelopes {
        let mut row = Parts(parts.take(ROW_BYTES)?);
        let place = row.count()?;
        let stream = table.get(place)?.0;
        let (offset, len) = (u32::from_le_bytes(row.array()?), u32::from_le_bytes(row.array()?));
        let (seq, first_ms, last_ms) = (row.word()?, row.word()?, row.word()?);
        rows.push((place, Row { stream, offset, len, seq, first_ms, last_ms }));
    }
    let (roots, rest) = (parts.hashes(roots)?, parts.hashes(rest)?);
    parts.0.is_empty().then_some(Index { streams: table, rows, roots, rest, root, leaves_at })
}

impl State {
    /// The envelopes of the newest segment, in log order.
    fn newest_rows(&self) -> Option<Vec<Row>> {
        let segment = self.segments.last()?;
        let mut rows = vec![None; segment.frames.len()];
        for (stream, index) in &self.streams {
            for (seq, entry) in index.since(segment.first_index) {
                let Entry { first_ms, last_ms, .. } = entry;
                let Place { offset, len, .. } = self.place(entry.index)?;
                let at = usize::try_from(entry.index - segment.first_index).ok()?;
                *rows.get_mut(at)? = Some(Row { stream: *stream, offset, len, seq, first_ms, last_ms });
            }
        }
        rows.into_iter().collect()
    }

    /// Adds a full segment of `bytes` from its index; false if the index does not fit what is there.
    pub(super) fn add_sealed(&mut self, index: Index, bytes: u64) -> bool {
        let (first_index, root) = (self.log.size(), self.log.root());
        if !self.log.push_sealed(&index.roots, &index.rest) {
            return false;
        }
        // Out of the map meanwhile: one look-up per stream instead of one per envelope.
        let mut streams: Vec<(StreamIndex, Option<u64>)> = index
            .streams
            .iter()
            .map(|(id, _)| {
                let stream = self.streams.remove(id).unwrap_or_default();
                let before = stream.last_seq();
                (stream, before)
            })
            .collect();
        let mut frames = FrameOffsets::default();
        for (at, (place, row)) in (first_index..).zip(&index.rows) {
            let Some((stream, _)) = streams.get_mut(*place) else { return false };
            if stream.get(row.seq).is_some() || !frames.push(row.offset, row.len) {
                return false;
            }
            stream.insert(row.seq, Entry { index: at, first_ms: row.first_ms, last_ms: row.last_ms });
        }
        if u64::from(frames.end()) != bytes {
            return false;
        }
        frames.shrink();
        for ((id, header), (mut stream, before)) in index.streams.into_iter().zip(streams) {
            if stream.last_seq() != before {
                stream.last_header = header;
            }
            self.streams.insert(id, stream);
        }
        self.segments.push(Segment { first_index, root, frames, leaves_at: Some(index.leaves_at) });
        true
    }
}

/// Writes the index of the newest segment, which is full, and lets go of leaves that are old enough.
/// Without an index, which the disk may be too full for, the next start reads the segment.
pub(super) fn seal(folder: &Folder, file: &dyn DiskFile, genesis: Genesis, state: &RwLock<State>) {
    let leaves_at = {
        // Readers go on meanwhile; the only writer is who calls this.
        let state = state.read();
        write_index(folder, file, genesis, &state)
    };
    let mut state = state.write();
    match leaves_at {
        Ok(leaves_at) => {
            if let Some(segment) = state.segments.last_mut() {
                segment.leaves_at = Some(leaves_at);
            }
        }
        Err(why) => {
            tracing::warn!(%why, "A full segment has no index, the next start reads all of it: {why}")
        }
    }
    // The lists grew by doubling, and are complete.
    if let Some(segment) = state.segments.last_mut() {
        segment.frames.shrink();
    }
    state.forget_old_leaves();
}

fn write_index(folder: &Folder, file: &dyn DiskFile, genesis: Genesis, state: &State) -> io::Result<u64> {
    let nothing = || io::Error::other("there is nothing to write");
    let segment = state.segments.last().ok_or_else(nothing)?;
    let number = state.segments.len() as u64 - 1;
    let Segment { first_index, root, .. } = *segment;
    let rows = state.newest_rows().ok_or_else(nothing)?;
    let leaves = leaves(file, number, first_index, &rows, state.log.fresh_leaves())?;
    let draft = Draft {
        span: Span { number, first_index, bytes: u64::from(segment.frames.end()), genesis, root },
        root: state.log.root(),
        rows: &rows,
        leaves: &leaves,
        roots: state.log.block_roots_from(first_index),
    };
    draft.write(folder, |row| {
        let frame = read_frames(file, core::slice::from_ref(row))?;
        header_in(&frame, number, row).map(<[u8]>::to_vec)
    })
}

/// Leaves of the segment's envelopes: those in memory, `fresh` behind its first index, and before them those that the
/// frames give.
fn leaves(
    file: &dyn DiskFile,
    number: u64,
    first_index: u64,
    rows: &[Row],
    (fresh_from, fresh): (u64, &[Hash]),
) -> io::Result<Vec<Hash>> {
    let old = usize::try_from(fresh_from.saturating_sub(first_index)).unwrap_or(rows.len()).min(rows.len());
    let mut leaves = Vec::with_capacity(rows.len());
    for rows in rows[..old].chunks(FRAMES_AT_ONCE) {
        let frames = read_frames(file, rows)?;
        for row in rows {
            let frame = &frames[(row.offset - rows[0].offset) as usize..][..FRAME_BYTES + row.len as usize];
            leaves.push(log::leaf(header_in(frame, number, row)?));
        }
    }
    let before = usize::try_from(first_index.saturating_sub(fresh_from)).unwrap_or(fresh.len());
    leaves.extend_from_slice(fresh.get(before..).unwrap_or_default());
    if leaves.len() == rows.len() {
        Ok(leaves)
    } else {
        Err(io::Error::other("the segment does not hold what the log holds"))
    }
}

/// The frames of rows that stand one behind the other.
fn read_frames(file: &dyn DiskFile, rows: &[Row]) -> io::Result<Vec<u8>> {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(Vec::new()) };
    let mut frames = vec![0; (last.offset - first.offset) as usize + FRAME_BYTES + last.len as usize];
    file.read_at(&mut frames, u64::from(first.offset))?;
    Ok(frames)
}

/// The header of the envelope in a row's frame.
fn header_in<'a>(frame: &'a [u8], number: u64, row: &Row) -> io::Result<&'a [u8]> {
    take_frame(frame, number, u64::from(row.offset), Kind::Envelope)
        .ok()
        .and_then(header_of)
        .map(|(_, header)| header)
        .ok_or_else(|| io::Error::other("an envelope does not read back"))
}
