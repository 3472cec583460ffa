//! A segment: envelopes of one stream with consecutive numbers, sealed in one run of their author, without
//! anything that follows from the rest.
//!
//! Each header holds the hash of the one before it and of its ciphertext. So the headers are built again
//! from the first `prev`, the ciphertexts and what differs; the author's signature over the last one, and
//! its path in the log, vouch for all of them. A hash chain under one signature: Haber and Stornetta, "How
//! to time-stamp a digital document" (1991); here the signed head is a leaf of an RFC 6962 tree.

use crate::cbor::{NotCanonical, Reader, Writer};
use crate::envelope::{ClockQuality, ENVELOPE_BYTES_MAX, Envelope, Header, Malformed, SEQ_MAX, TAG_BYTES};
use crate::ids::{Class, DeviceId, Genesis, Hash, StreamId, sha256};
use crate::log::PATH_MAX;
use alloc::vec::Vec;

/// Most envelopes of a segment.
pub const SEGMENT_LEN_MAX: usize = 4096;
/// A writer ends a segment at this length, bytes: one more envelope, its signature and its path still fit
/// the longest item.
const FILL_BYTES: usize = 256 * 1024;

/// What all envelopes of a segment share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shared {
    pub(super) stream: StreamId,
    pub(super) class: Class,
    pub(super) author: DeviceId,
    pub(super) epoch: u32,
    pub(super) run: [u8; 16],
    pub(super) clock: ClockQuality,
    pub(super) key_commitment: [u8; 16],
}

impl Shared {
    fn of(header: &Header) -> Self {
        let Header { stream, class, author, epoch, run, clock, key_commitment, .. } = *header;
        Self { stream, class, author, epoch, run, clock, key_commitment }
    }
}

/// What one envelope has of its own.
#[derive(Debug, Clone, Copy)]
struct Own<'a> {
    first_ms: u64,
    last_ms: u64,
    count: u32,
    ciphertext: &'a [u8],
}

/// A segment that was read.
pub(super) struct Segment<'a> {
    pub(super) shared: Shared,
    pub(super) first_seq: u64,
    prev: Hash,
    envelopes: Vec<Own<'a>>,
    /// Over the header of the last one.
    pub(super) signature: [u8; 64],
    /// Leaf of the last one.
    pub(super) index: u64,
    /// Its inclusion path in the anchored head.
    pub(super) path: Vec<Hash>,
}

impl<'a> Segment<'a> {
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        r.array(13)?;
        let shared = Shared {
            stream: StreamId(r.fixed()?),
            class: Class::from_code(r.u8()?).ok_or(Malformed::Class)?,
            author: DeviceId(r.fixed()?),
            epoch: r.u32()?,
            run: r.fixed()?,
            clock: ClockQuality::from_code(r.u8()?).ok_or(Malformed::Clock)?,
            key_commitment: r.fixed()?,
        };
        let (first_seq, prev) = (r.uint()?, r.fixed()?);
        if first_seq > SEQ_MAX {
            return Err(Malformed::Seq);
        }
        let mut before_ms = 0_u64;
        let envelopes = r.list(SEGMENT_LEN_MAX, |r| {
            r.array(4)?;
            let (step, span, count) = (r.int()?, r.uint()?, r.u32()?);
            let first_ms = before_ms.checked_add_signed(step).ok_or(NotCanonical::Unexpected)?;
            let last_ms = first_ms.checked_add(span).ok_or(NotCanonical::Unexpected)?;
            before_ms = first_ms;
            Ok(Own { first_ms, last_ms, count, ciphertext: r.bytes(ENVELOPE_BYTES_MAX)? })
        })?;
        if envelopes.is_empty() {
            return Err(NotCanonical::Unexpected.into());
        }
        let (signature, index, path) = (r.fixed()?, r.uint()?, r.list(PATH_MAX, |r| r.fixed::<32>())?);
        r.end()?;
        Ok(Self { shared, first_seq, prev, envelopes, signature, index, path })
    }

    pub(super) fn len(&self) -> u64 {
        self.envelopes.len() as u64
    }

    pub(super) fn last_seq(&self) -> u64 {
        self.first_seq + (self.len() - 1)
    }

    pub(super) fn ciphertext_bytes(&self) -> u64 {
        self.envelopes.iter().map(|own| own.ciphertext.len() as u64).sum()
    }

    /// The headers in order, each with its bytes and their hash. Gives the bytes of the last one.
    pub(super) fn headers<E: From<Malformed>>(
        &self,
        genesis: Genesis,
        mut each: impl FnMut(&Header, Hash) -> Result<(), E>,
    ) -> Result<Vec<u8>, E> {
        let Shared { stream, class, author, epoch, run, clock, key_commitment } = self.shared;
        let (mut prev, mut bytes) = (self.prev, Vec::new());
        for (seq, own) in (self.first_seq..).zip(&self.envelopes) {
            if own.ciphertext.len() <= TAG_BYTES {
                return Err(Malformed::TooShort.into());
            }
            let Own { first_ms, last_ms, count, ciphertext } = *own;
            let header = Header {
                genesis,
                stream,
                class,
                author,
                epoch,
                run,
                seq,
                prev,
                first_ms,
                last_ms,
                clock,
                count,
                key_commitment,
                ciphertext_hash: sha256(&[ciphertext]),
            };
            bytes = header.encode();
            // The bounds of a header are checked where it is read.
            Header::decode(&bytes)?;
            prev = sha256(&[&bytes]);
            each(&header, prev)?;
        }
        Ok(bytes)
    }
}

/// A segment on its way into a bundle.
#[derive(Debug)]
pub struct SegmentWriter {
    shared: Shared,
    first_seq: u64,
    prev: Hash,
    /// Encoded envelopes.
    envelopes: Vec<u8>,
    len: usize,
    last: Header,
    last_hash: Hash,
    signature: [u8; 64],
}

impl SegmentWriter {
    /// Begins with this envelope.
    #[must_use]
    pub fn of(envelope: &Envelope) -> Self {
        let header = &envelope.header;
        let mut segment = Self {
            shared: Shared::of(header),
            first_seq: header.seq,
            prev: header.prev,
            envelopes: Vec::new(),
            len: 0,
            last: header.clone(),
            last_hash: envelope.hash(),
            signature: envelope.signature,
        };
        segment.add(envelope, 0);
        segment
    }

    /// Takes the next envelope of the stream; false, and nothing changes, if it begins another segment.
    #[must_use]
    pub fn push(&mut self, envelope: &Envelope) -> bool {
        let header = &envelope.header;
        let follows = Shared::of(header) == self.shared
            && self.last.seq.checked_add(1) == Some(header.seq)
            && header.prev == self.last_hash
            && self.len < SEGMENT_LEN_MAX
            && self.envelopes.len() < FILL_BYTES;
        if follows {
            self.add(envelope, self.last.first_ms);
        }
        follows
    }

    /// Envelopes in it.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len as u64
    }

    /// Never: it begins with an envelope.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn add(&mut self, envelope: &Envelope, before_ms: u64) {
        let header = &envelope.header;
        // Both are before the year 2200.
        let step = header.first_ms.cast_signed().wrapping_sub(before_ms.cast_signed());
        let mut w = Writer::new();
        w.array(4).int(step).uint(header.last_ms - header.first_ms).uint(u64::from(header.count));
        w.bytes(&envelope.ciphertext);
        self.envelopes.extend(w.finish());
        self.len += 1;
        (self.last, self.last_hash, self.signature) = (header.clone(), envelope.hash(), envelope.signature);
    }

    /// The item, with leaf and path of the last envelope.
    pub(super) fn encode(&self, index: u64, path: &[Hash]) -> Vec<u8> {
        let Shared { stream, class, author, epoch, run, clock, key_commitment } = self.shared;
        let mut w = Writer::with_capacity(self.envelopes.len() + 512 + path.len() * 34);
        w.array(13).bytes(&stream.0).uint(u64::from(class.code())).bytes(&author.0).uint(u64::from(epoch));
        w.bytes(&run).uint(clock as u64).bytes(&key_commitment).uint(self.first_seq).bytes(&self.prev);
        w.array(self.len);
        let mut out = w.finish();
        out.extend_from_slice(&self.envelopes);
        let mut w = Writer::new();
        w.bytes(&self.signature).uint(index).array(path.len());
        for hash in path {
            w.bytes(hash);
        }
        out.extend(w.finish());
        out
    }
}
