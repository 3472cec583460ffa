//! The store's files, byte by byte. All integers are little-endian.
//!
//! A segment is `header ‖ frame*`.
//!
//! | header, 100 bytes | |
//! |---|---|
//! | 8 | `ACESOSEG` |
//! | 4 | version, 1 |
//! | 4 | kind: 1 envelopes, 2 evidence |
//! | 8 | number of the segment: 0, 1, 2, … |
//! | 8 | leaves in the log before its first envelope |
//! | 32 | genesis |
//! | 32 | root of the log before its first envelope |
//! | 4 | CRC-32C of the 96 bytes before |
//!
//! | frame | |
//! |---|---|
//! | 4 | length of the envelope |
//! | 4 | CRC-32C of segment number (8), offset of the frame (8), length (4), kind (1), envelope |
//! | 1 | kind: 1 envelope, 2 evidence |
//! | … | the envelope as it arrived |
//!
//! Number and offset are in the checksum so that bytes which landed in the wrong place, or are left
//! over from a file that was cut, are not taken for a frame.
//!
//! The file `durable` records how far everything is known to be on the disk: two slots of 64 bytes, at
//! 0 and 512. One is durable and left alone; the other is written after each sync of the segment, not
//! synced itself. When a segment ends, and at each start, the file is synced and the slots change
//! places, so that no torn write spoils both. It may lag, but never leads. Damage before it is
//! corruption; a broken frame after it is the torn tail of a group that was never acknowledged.
//!
//! | slot, 64 bytes | |
//! |---|---|
//! | 8 | `ACESOMRK` |
//! | 8 | counter; the higher slot counts |
//! | 8 | segment |
//! | 8 | bytes of it that are durable |
//! | 8 | leaves in the log up to there |
//! | 8 | bytes of the evidence file that are durable |
//! | 12 | zero |
//! | 4 | CRC-32C of the 60 bytes before |

use crc32c::{crc32c, crc32c_append};
use durable::{AppendFile, Folder};
use std::io;
use vitals::cbor::Reader;
use vitals::cose;
use vitals::envelope::{HEADER_BYTES_MAX, Header};
use vitals::ids::{Genesis, Hash};

/// Bytes of a segment header.
pub(crate) const HEADER_BYTES: usize = 100;
/// The same, where offsets are kept.
pub(crate) const HEADER_LEN: u32 = 100;
/// Bytes of a frame before its envelope.
pub(crate) const FRAME_BYTES: usize = 9;
const MAGIC: &[u8; 8] = b"ACESOSEG";
const VERSION: u32 = 1;

/// What a segment or a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Envelope = 1,
    Evidence = 2,
}

/// The first bytes of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) kind: Kind,
    pub(crate) number: u64,
    pub(crate) first_index: u64,
    pub(crate) genesis: Genesis,
    pub(crate) root: Hash,
}

const DISCONTINUED: &str = "the header does not continue the log of the segments before it";

/// What is wrong with a segment's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    /// The header itself.
    Here(&'static str),
    /// It begins after more envelopes than the segments before it hold.
    BeforeIsShort,
}

/// The name of segment `number`.
pub(crate) fn file_name(number: u64) -> String {
    format!("segment-{number:08}")
}

/// The number in a segment's file name.
pub(crate) fn number_of(name: &str) -> Option<u64> {
    let number = name.strip_prefix("segment-")?.parse().ok()?;
    (file_name(number) == name).then_some(number)
}

impl SegmentHeader {
    /// Makes a file that begins with this header, durably.
    pub(crate) fn begin(&self, folder: &Folder, name: &str) -> io::Result<AppendFile> {
        let file = durable::write_new(folder.disk(), &folder.path(name), &self.encode())?;
        Ok(AppendFile::new(file, HEADER_BYTES as u64))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&u32::from(self.kind as u8).to_le_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.first_index.to_le_bytes());
        out.extend_from_slice(&self.genesis.0);
        out.extend_from_slice(&self.root);
        out.extend_from_slice(&crc32c(&out).to_le_bytes());
        out
    }

    /// Is `bytes` a whole header, and are its fields the ones `wanted`?
    pub(crate) fn check(bytes: &[u8], wanted: &Self) -> Result<(), HeaderFault> {
        let what = match Self::fault(bytes, wanted) {
            Ok(()) => return Ok(()),
            Err(what) => what,
        };
        let mut first_index = [0; 8];
        first_index.copy_from_slice(bytes.get(24..32).unwrap_or(&[0; 8]));
        let more = what == DISCONTINUED && u64::from_le_bytes(first_index) > wanted.first_index;
        Err(if more { HeaderFault::BeforeIsShort } else { HeaderFault::Here(what) })
    }

    fn fault(bytes: &[u8], wanted: &Self) -> Result<(), &'static str> {
        let bytes = bytes.get(..HEADER_BYTES).ok_or("the header is cut short")?;
        let wanted_bytes = wanted.encode();
        if bytes == wanted_bytes {
            return Ok(());
        }
        if crc32c(&bytes[..HEADER_BYTES - 4]).to_le_bytes() != bytes[HEADER_BYTES - 4..] {
            return Err("the header does not have its checksum");
        }
        let differs = |from: usize, to: usize| bytes[from..to] != wanted_bytes[from..to];
        Err(if differs(0, 12) {
            "not a segment of a version known here"
        } else if differs(32, 64) {
            "the segment belongs to another ledger"
        } else if differs(12, 24) {
            "the header names another segment"
        } else {
            DISCONTINUED
        })
    }
}

fn frame_checksum(number: u64, offset: u64, kind: u8, envelope: &[u8]) -> u32 {
    let mut head = [0; 21];
    head[..8].copy_from_slice(&number.to_le_bytes());
    head[8..16].copy_from_slice(&offset.to_le_bytes());
    head[16..20].copy_from_slice(&length(envelope).to_le_bytes());
    head[20] = kind;
    crc32c_append(crc32c(&head), envelope)
}

fn length(envelope: &[u8]) -> u32 {
    u32::try_from(envelope.len()).expect("an envelope is at most ENVELOPE_BYTES_MAX long")
}

/// Appends the frame that will stand at `offset` of segment `number`.
pub(crate) fn put_frame(out: &mut Vec<u8>, number: u64, offset: u64, kind: Kind, envelope: &[u8]) {
    out.extend_from_slice(&length(envelope).to_le_bytes());
    out.extend_from_slice(&frame_checksum(number, offset, kind as u8, envelope).to_le_bytes());
    out.push(kind as u8);
    out.extend_from_slice(envelope);
}

/// The envelope in the frame at the start of `bytes`, which stands at `offset` of segment `number`.
pub(crate) fn take_frame(bytes: &[u8], number: u64, offset: u64, kind: Kind) -> Result<&[u8], &'static str> {
    let (head, rest) = bytes.split_at_checked(FRAME_BYTES).ok_or("a frame is cut short")?;
    let word = |from: usize| u32::from_le_bytes([head[from], head[from + 1], head[from + 2], head[from + 3]]);
    let envelope = rest.get(..word(0) as usize).ok_or("a frame is cut short")?;
    if frame_checksum(number, offset, head[8], envelope) != word(4) {
        return Err("a frame does not have its checksum");
    }
    if head[8] != kind as u8 {
        return Err("a frame is of another kind than its file");
    }
    Ok(envelope)
}

/// Header of an encoded envelope, decoded and as bytes, without looking at its ciphertext.
pub(crate) fn header_of(envelope: &[u8]) -> Option<(Header, &[u8])> {
    let mut r = Reader::new(envelope);
    r.array(2).ok()?;
    let (header_bytes, _) = cose::read(&mut r, HEADER_BYTES_MAX).ok()?;
    Some((Header::decode(header_bytes).ok()?, header_bytes))
}
