//! The envelope: `[COSE_Sign1(header), ciphertext]`, sealed once at its author and never altered.

use crate::cbor::{self, NotCanonical, Reader, Writer};
use crate::cose::{self, Domain};
use crate::ids::{Class, DeviceId, Genesis, Hash, StreamId, sha256};
use alloc::vec::Vec;
use core::fmt;

/// Longest envelope accepted from anywhere, bytes.
pub const ENVELOPE_BYTES_MAX: usize = 64 * 1024;
/// Longest header, bytes.
pub const HEADER_BYTES_MAX: usize = 320;
/// Most readings or events in one envelope.
pub const COUNT_MAX: u32 = 4096;
/// Latest time an author may claim: the year 2200. Later is a broken encoding, not a wrong clock.
pub const TIME_MAX_MS: u64 = 7_258_118_400_000;
/// Latest epoch, a day number that goes with [`TIME_MAX_MS`].
pub const EPOCH_MAX: u32 = 84_006;
/// Last sequence number: every number on the wire that people or browsers count with is exact there.
pub const SEQ_MAX: u64 = (1 << 53) - 1;
/// Bytes of the AES-GCM tag; a ciphertext holds at least one more.
pub const TAG_BYTES: usize = 16;
const VERSION: u64 = 1;

/// How far the author trusts its clock. Marked, never refused, never rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ClockQuality {
    /// Never set since power-up.
    Unset = 0,
    /// Set once, running free since.
    Holding = 1,
    /// Disciplined by a network time or the node's time.
    Synced = 2,
}

impl ClockQuality {
    /// The quality with this wire code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::Unset, Self::Holding, Self::Synced].into_iter().find(|quality| *quality as u8 == code)
    }
}

/// What the author signs. Everything about the ciphertext that a node may know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Ledger the envelope belongs to.
    pub genesis: Genesis,
    /// Stream.
    pub stream: StreamId,
    /// Consent class of the stream.
    pub class: Class,
    /// Who sealed it.
    pub author: DeviceId,
    /// Day number (days since 1970) of the stream's key chain.
    pub epoch: u32,
    /// 128 random bits, drawn at every start of a device and at every envelope of a node.
    pub run: [u8; 16],
    /// Position in the stream: 0, 1, 2, … never reset, at most [`SEQ_MAX`].
    pub seq: u64,
    /// [`header_hash`] of the envelope before; zero for the first.
    pub prev: Hash,
    /// Earliest time in the body, milliseconds.
    pub first_ms: u64,
    /// Latest time in the body, milliseconds.
    pub last_ms: u64,
    /// How far to trust those times.
    pub clock: ClockQuality,
    /// Readings or events in the body.
    pub count: u32,
    /// Commits to the message key, so that a ciphertext opens under one key only.
    pub key_commitment: [u8; 16],
    /// SHA-256 of the ciphertext.
    pub ciphertext_hash: Hash,
}

/// Why an envelope is malformed. The sender is wrong and must not resend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// The encoding.
    Encoding(NotCanonical),
    /// Unknown class code.
    Class,
    /// Unknown clock quality.
    Clock,
    /// Times out of order or out of bounds.
    Times,
    /// The epoch is beyond [`EPOCH_MAX`].
    Epoch,
    /// Zero or too many readings.
    Count,
    /// The first of a stream has a predecessor, or a later one has none.
    Prev,
    /// The sequence number is beyond [`SEQ_MAX`].
    Seq,
    /// The ciphertext is too short to hold a body and its tag.
    TooShort,
    /// The ciphertext is not the one the header names.
    Ciphertext,
}

impl From<NotCanonical> for Malformed {
    fn from(why: NotCanonical) -> Self {
        Self::Encoding(why)
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encoding(why) => {
                write!(f, "the envelope is not deterministic CBOR of the wire format: {why}")
            }
            Self::Class => f.write_str("the header names an unknown class"),
            Self::Clock => f.write_str("the header names an unknown clock quality"),
            Self::Times => f.write_str("the header's times are out of order or beyond the year 2200"),
            Self::Epoch => f.write_str("the header's epoch is out of bounds"),
            Self::Count => write!(f, "the header's count is not between 1 and {COUNT_MAX}"),
            Self::Prev => f.write_str("prev must be zero for sequence 0 and only then"),
            Self::Seq => write!(f, "the header's sequence number is beyond {SEQ_MAX}"),
            Self::TooShort => f.write_str("the ciphertext is too short to hold a body and its tag"),
            Self::Ciphertext => f.write_str("the ciphertext does not have the hash its header names"),
        }
    }
}

impl core::error::Error for Malformed {}

impl Header {
    fn write(&self, w: &mut Writer, items: usize) {
        w.array(items)
            .uint(VERSION)
            .bytes(&self.genesis.0)
            .bytes(&self.stream.0)
            .uint(u64::from(self.class.code()))
            .bytes(&self.author.0)
            .uint(u64::from(self.epoch))
            .bytes(&self.run)
            .uint(self.seq)
            .bytes(&self.prev)
            .uint(self.first_ms)
            .uint(self.last_ms)
            .uint(self.clock as u64)
            .uint(u64::from(self.count))
            .bytes(&self.key_commitment);
    }

    /// The signed bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(HEADER_BYTES_MAX);
        self.write(&mut w, 15);
        w.bytes(&self.ciphertext_hash);
        w.finish()
    }

    /// The header without the ciphertext's hash: associated data of the seal.
    #[must_use]
    pub fn associated_data(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(HEADER_BYTES_MAX);
        self.write(&mut w, 14);
        w.finish()
    }

    /// Reads header bytes; only the exact bytes of [`Self::encode`] are accepted.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        cbor::bounded(bytes, HEADER_BYTES_MAX)?;
        let mut r = Reader::new(bytes);
        r.array(15)?;
        r.exactly(VERSION)?;
        let header = Self {
            genesis: Genesis(r.fixed()?),
            stream: StreamId(r.fixed()?),
            class: Class::from_code(r.u8()?).ok_or(Malformed::Class)?,
            author: DeviceId(r.fixed()?),
            epoch: r.u32()?,
            run: r.fixed()?,
            seq: r.uint()?,
            prev: r.fixed()?,
            first_ms: r.uint()?,
            last_ms: r.uint()?,
            clock: ClockQuality::from_code(r.u8()?).ok_or(Malformed::Clock)?,
            count: r.u32()?,
            key_commitment: r.fixed()?,
            ciphertext_hash: r.fixed()?,
        };
        r.end()?;
        if header.first_ms > header.last_ms || header.last_ms > TIME_MAX_MS {
            return Err(Malformed::Times);
        }
        if header.epoch > EPOCH_MAX {
            return Err(Malformed::Epoch);
        }
        if header.count == 0 || header.count > COUNT_MAX {
            return Err(Malformed::Count);
        }
        if header.seq > SEQ_MAX {
            return Err(Malformed::Seq);
        }
        if (header.seq == 0) != (header.prev == [0; 32]) {
            return Err(Malformed::Prev);
        }
        Ok(header)
    }

    /// The AES-256-GCM nonce: four zero bytes, then `seq` big-endian.
    #[must_use]
    pub fn nonce(&self) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&self.seq.to_be_bytes());
        nonce
    }
}

/// SHA-256 of header bytes: what `prev` links to.
#[must_use]
pub fn header_hash(header: &[u8]) -> Hash {
    sha256(&[header])
}

/// A decoded envelope. Its signature is not checked yet: see [`Envelope::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The decoded header.
    pub header: Header,
    /// The header's bytes, as signed.
    pub header_bytes: Vec<u8>,
    /// Ed25519 signature over [`cose::to_be_signed`].
    pub signature: [u8; 64],
    /// The sealed body with its 16-byte tag.
    pub ciphertext: Vec<u8>,
}

impl Envelope {
    /// Puts header, signature and ciphertext together.
    #[must_use]
    pub fn encode_parts(header_bytes: &[u8], signature: &[u8; 64], ciphertext: &[u8]) -> Vec<u8> {
        // Tag, heads, protected header and signature take less than 96.
        let mut w = Writer::with_capacity(96 + header_bytes.len() + ciphertext.len());
        w.array(2);
        cose::write(&mut w, header_bytes, signature);
        w.bytes(ciphertext);
        w.finish()
    }

    /// The wire form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        Self::encode_parts(&self.header_bytes, &self.signature, &self.ciphertext)
    }

    /// Reads the wire form and checks everything that needs no key and no ledger.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        cbor::bounded(bytes, ENVELOPE_BYTES_MAX)?;
        let mut r = Reader::new(bytes);
        r.array(2)?;
        let (header_bytes, signature) = cose::read(&mut r, HEADER_BYTES_MAX)?;
        let ciphertext = r.bytes(ENVELOPE_BYTES_MAX)?;
        r.end()?;
        let header = Header::decode(header_bytes)?;
        if ciphertext.len() <= TAG_BYTES {
            return Err(Malformed::TooShort);
        }
        if sha256(&[ciphertext]) != header.ciphertext_hash {
            return Err(Malformed::Ciphertext);
        }
        Ok(Self { header, header_bytes: header_bytes.to_vec(), signature, ciphertext: ciphertext.to_vec() })
    }

    /// The bytes the author signed.
    #[must_use]
    pub fn to_be_signed(&self) -> Vec<u8> {
        cose::to_be_signed(Domain::Envelope, self.header.genesis, &self.header_bytes)
    }

    /// Did the owner of `key` sign this?
    #[must_use]
    pub fn verify(&self, key: &[u8; 32]) -> bool {
        cose::verify_raw(key, &self.to_be_signed(), &self.signature)
    }

    /// What `prev` of the next envelope must be.
    #[must_use]
    pub fn hash(&self) -> Hash {
        header_hash(&self.header_bytes)
    }
}
