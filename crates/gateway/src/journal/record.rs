//! How records lie in a segment.

use super::Place;
use std::collections::BTreeMap;
use vitals::envelope::ENVELOPE_BYTES_MAX;
use vitals::ids::{Class, Hash};
use vitals::{DeviceId, StreamId};

pub(super) const HEAD_BYTES: usize = 9;
/// Before an envelope's bytes in its record: alarm flag and time of sealing.
pub(super) const ENVELOPE_HEAD_BYTES: usize = 9;
const BODY_BYTES_MAX: usize = ENVELOPE_BYTES_MAX + ENVELOPE_HEAD_BYTES;
const VERSION: u8 = 1;
const BEGIN: u8 = 1;
const ENVELOPE: u8 = 2;
const RECEIPTED: u8 = 3;
const FORGOTTEN: u8 = 4;
const BEGIN_HEAD_BYTES: usize = 1 + 4 + 16;
const STREAM_BYTES: usize = 16 + 8 + 32;
/// A file system may lengthen a file before it wrote the data: such a tail reads as zeros, at least
/// this many of them. Fewer could be content.
const UNWRITTEN_BYTES_MIN: usize = 64;

/// Where a stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Head {
    pub(super) next_seq: u64,
    pub(super) prev: Hash,
}

/// An envelope that is not forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Where it is.
    pub place: Place,
    /// Goes before others.
    pub alarm: bool,
    /// When it was sealed, milliseconds.
    pub sealed_at_ms: u64,
    /// Its header hash.
    pub hash: Hash,
    /// Its leaf in any log.
    pub leaf: Hash,
    /// Its class.
    pub class: Class,
    /// Readings or events in it.
    pub count: u32,
    /// A receipt was checked.
    pub receipted: bool,
}

/// What is appended.
#[derive(Debug, Clone, Copy)]
pub enum Record<'a> {
    /// A sealed envelope.
    Envelope {
        /// Goes before others.
        alarm: bool,
        /// When it was sealed, milliseconds.
        sealed_at_ms: u64,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// A receipt was checked.
    Receipted(Hash),
    /// A proof was checked, or the envelope went into quarantine.
    Forgotten(Hash),
}

impl Record<'_> {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Envelope { alarm, sealed_at_ms, bytes } => {
                put(out, ENVELOPE, &[&[u8::from(*alarm)], &sealed_at_ms.to_le_bytes(), bytes]);
            }
            Self::Receipted(hash) => put(out, RECEIPTED, &[hash]),
            Self::Forgotten(hash) => put(out, FORGOTTEN, &[hash]),
        }
    }
}

fn put(out: &mut Vec<u8>, kind: u8, parts: &[&[u8]]) {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let start = out.len();
    out.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
    out.push(kind);
    let crc = crc32c::crc32c(&out[start..]);
    out.extend_from_slice(&crc.to_le_bytes());
    let body = out.len();
    for part in parts {
        out.extend_from_slice(part);
    }
    let crc = crc32c::crc32c(&out[body..]);
    out.extend_from_slice(&crc.to_le_bytes());
}

pub(super) fn begin(gateway: DeviceId, segment: u32, heads: &BTreeMap<StreamId, Head>) -> Vec<u8> {
    let mut streams = Vec::with_capacity(heads.len() * STREAM_BYTES);
    for (stream, head) in heads {
        streams.extend_from_slice(&stream.0);
        streams.extend_from_slice(&head.next_seq.to_le_bytes());
        streams.extend_from_slice(&head.prev);
    }
    let mut out = Vec::new();
    put(&mut out, BEGIN, &[&[VERSION], &segment.to_le_bytes(), &gateway.0, &streams]);
    out
}

/// A record read back.
pub(super) enum Found<'a> {
    Begin { gateway: DeviceId, segment: u32, heads: BTreeMap<StreamId, Head> },
    Envelope { alarm: bool, sealed_at_ms: u64, bytes: &'a [u8] },
    Receipted(Hash),
    Forgotten(Hash),
}

/// Why no record is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// The last write did not finish.
    Torn,
    Head,
    Body,
    Content,
}

impl Unreadable {
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Torn => "a record ends early, and another segment follows",
            Self::Head => "the checksum of a record's head does not fit",
            Self::Body => "the checksum of a record's body does not fit",
            Self::Content => "a record has a kind or content this version does not know",
        }
    }
}

/// Does the file end in zeros that begin inside the record of `record_len` bytes at its start?
fn is_unwritten(rest: &[u8], record_len: usize) -> bool {
    let zeros = rest.iter().rev().take_while(|byte| **byte == 0).count();
    zeros >= UNWRITTEN_BYTES_MIN && rest.len() - zeros < record_len
}

/// Reads the record at `at` and moves on behind it.
pub(super) fn read<'a>(bytes: &'a [u8], at: &mut usize) -> Result<Found<'a>, Unreadable> {
    let rest = &bytes[*at..];
    let Some((head, body)) = rest.split_at_checked(HEAD_BYTES) else { return Err(Unreadable::Torn) };
    let crc = crc32c::crc32c(&head[..5]).to_le_bytes();
    if head[5..] != crc {
        let torn = is_unwritten(rest, HEAD_BYTES);
        return Err(if torn { Unreadable::Torn } else { Unreadable::Head });
    }
    let len = usize::try_from(u32::from_le_bytes([head[0], head[1], head[2], head[3]])).unwrap_or(usize::MAX);
    if len > BODY_BYTES_MAX {
        return Err(Unreadable::Content);
    }
    let Some((body, behind)) = body.split_at_checked(len) else { return Err(Unreadable::Torn) };
    let Some(crc) = behind.first_chunk::<4>() else { return Err(Unreadable::Torn) };
    if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
        let torn = is_unwritten(rest, HEAD_BYTES + len + 4);
        return Err(if torn { Unreadable::Torn } else { Unreadable::Body });
    }
    let found = content(head[4], body).ok_or(Unreadable::Content)?;
    *at += HEAD_BYTES + len + 4;
    Ok(found)
}

fn content(kind: u8, body: &[u8]) -> Option<Found<'_>> {
    match kind {
        BEGIN => {
            let (head, streams) = body.split_at_checked(BEGIN_HEAD_BYTES)?;
            if head[0] != VERSION || streams.len() % STREAM_BYTES != 0 {
                return None;
            }
            let heads = streams
                .chunks_exact(STREAM_BYTES)
                .map(|stream| {
                    let next_seq = u64::from_le_bytes(stream[16..24].try_into().ok()?);
                    Some((
                        StreamId::from_slice(&stream[..16])?,
                        Head { next_seq, prev: stream[24..].try_into().ok()? },
                    ))
                })
                .collect::<Option<_>>()?;
            let segment = u32::from_le_bytes(head[1..5].try_into().ok()?);
            Some(Found::Begin { gateway: DeviceId::from_slice(&head[5..])?, segment, heads })
        }
        ENVELOPE => {
            let (head, bytes) = body.split_at_checked(ENVELOPE_HEAD_BYTES)?;
            let sealed_at_ms = u64::from_le_bytes(head[1..].try_into().ok()?);
            match head[0] {
                0 => Some(Found::Envelope { alarm: false, sealed_at_ms, bytes }),
                1 => Some(Found::Envelope { alarm: true, sealed_at_ms, bytes }),
                _ => None,
            }
        }
        RECEIPTED => Some(Found::Receipted(body.try_into().ok()?)),
        FORGOTTEN => Some(Found::Forgotten(body.try_into().ok()?)),
        _ => None,
    }
}
