//! The block header: a fixed layout, so that a stranger can hash and read it.
//!
//! Integers are big-endian. Digest = SHA-256("aceso/header/v1" ‖ bytes).

use crate::ids::{Hash, sha256};
use alloc::vec::Vec;
use core::fmt;

/// Largest committee a header may carry.
pub const COMMITTEE_MAX: usize = 128;
/// Bytes before the committee.
const FIXED_BYTES: usize = 1 + 8 + 8 + 32 + 8 + 32 + 8 + 8 + 32 * 4 + 2;
/// Longest header.
pub const HEADER_BYTES_MAX: usize = FIXED_BYTES + 32 * COMMITTEE_MAX;
const VERSION: u8 = 1;

/// What validators certify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockHeader {
    /// Consensus epoch.
    pub epoch: u64,
    /// Consensus view inside the epoch.
    pub view: u64,
    /// Ed25519 key of the proposer.
    pub leader: [u8; 32],
    /// View of the parent.
    pub parent_view: u64,
    /// Digest of the parent's header; the genesis hash in the genesis header.
    pub parent: Hash,
    /// Height; 0 for genesis.
    pub height: u64,
    /// Milliseconds since 1970.
    pub time_ms: u64,
    /// Ethereum state root after this block.
    pub state_root: Hash,
    /// SHA-256 commitment to the ordered transactions.
    pub transactions_root: Hash,
    /// SHA-256 commitment to their receipts.
    pub receipts_root: Hash,
    /// SHA-256 of the logs filter, zero when unused.
    pub extra: Hash,
    /// Next epoch's validators, ascending; only in genesis and in an epoch's last block.
    pub committee: Vec<[u8; 32]>,
}

/// Why bytes are not a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAHeader {
    /// Too short, too long, or the committee length does not fit.
    Length,
    /// Unknown version byte.
    Version,
    /// More validators than [`COMMITTEE_MAX`], or not strictly ascending.
    Committee,
}

impl fmt::Display for NotAHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "the block header has the wrong length",
            Self::Version => "the block header has an unknown version",
            Self::Committee => "the block header's committee is too large or out of order",
        })
    }
}

impl core::error::Error for NotAHeader {}

impl BlockHeader {
    /// The wire form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FIXED_BYTES + 32 * self.committee.len());
        out.push(VERSION);
        out.extend(self.epoch.to_be_bytes());
        out.extend(self.view.to_be_bytes());
        out.extend(self.leader);
        out.extend(self.parent_view.to_be_bytes());
        out.extend(self.parent);
        out.extend(self.height.to_be_bytes());
        out.extend(self.time_ms.to_be_bytes());
        out.extend(self.state_root);
        out.extend(self.transactions_root);
        out.extend(self.receipts_root);
        out.extend(self.extra);
        let count = u16::try_from(self.committee.len()).unwrap_or(u16::MAX);
        out.extend(count.to_be_bytes());
        out.extend(self.committee.iter().flatten());
        out
    }

    /// Reads the wire form; anything but the exact bytes of [`Self::encode`] is refused.
    pub fn decode(bytes: &[u8]) -> Result<Self, NotAHeader> {
        if bytes.len() < FIXED_BYTES || bytes.len() > HEADER_BYTES_MAX {
            return Err(NotAHeader::Length);
        }
        let mut rest = bytes;
        if take::<1>(&mut rest)? != [VERSION] {
            return Err(NotAHeader::Version);
        }
        let mut header = Self {
            epoch: u64::from_be_bytes(take(&mut rest)?),
            view: u64::from_be_bytes(take(&mut rest)?),
            leader: take(&mut rest)?,
            parent_view: u64::from_be_bytes(take(&mut rest)?),
            parent: take(&mut rest)?,
            height: u64::from_be_bytes(take(&mut rest)?),
            time_ms: u64::from_be_bytes(take(&mut rest)?),
            state_root: take(&mut rest)?,
            transactions_root: take(&mut rest)?,
            receipts_root: take(&mut rest)?,
            extra: take(&mut rest)?,
            committee: Vec::new(),
        };
        let count = usize::from(u16::from_be_bytes(take(&mut rest)?));
        if count > COMMITTEE_MAX {
            return Err(NotAHeader::Committee);
        }
        if rest.len() != 32 * count {
            return Err(NotAHeader::Length);
        }
        for _ in 0..count {
            header.committee.push(take(&mut rest)?);
        }
        if !header.committee.is_sorted_by(|a, b| a < b) {
            return Err(NotAHeader::Committee);
        }
        Ok(header)
    }

    /// What validators sign for.
    #[must_use]
    pub fn digest(&self) -> Hash {
        digest(&self.encode())
    }
}

/// Digest of header bytes.
#[must_use]
pub fn digest(header: &[u8]) -> Hash {
    sha256(&[b"aceso/header/v1", header])
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], NotAHeader> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(NotAHeader::Length)?;
    *rest = tail;
    Ok(*head)
}
