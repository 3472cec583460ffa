//! Checkpoints: organisations sign with their record keys that a block is final and which committee
//! certifies the next. A verifier that pins some of these keys does not depend on former committees
//! having kept their keys safe.

use super::Known;
use super::genesis::{FOUNDERS_MAX, GenesisDocument};
use super::header::COMMITTEE_MAX;
use crate::cbor::{self, NotCanonical, Reader, Writer};
use crate::cose::{self, Domain};
use crate::ids::Genesis;
use alloc::vec::Vec;
use core::fmt;

/// Longest checkpoint.
pub const CHECKPOINT_BYTES_MAX: usize = 24 * 1024;
/// Longest part that is signed.
const PAYLOAD_BYTES_MAX: usize = 34 * COMMITTEE_MAX + 128;
/// Most organisations that sign one.
pub const SIGNERS_MAX: usize = FOUNDERS_MAX;
/// How far a checkpoint's time may lie ahead of a verifier's clock.
pub const AHEAD_MAX_MS: u64 = 5 * 60_000;
const VERSION: u64 = 1;

/// A final block with signatures of organisations. Every signature of a decoded one is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The ledger.
    pub genesis: Genesis,
    /// The block, and the committee that certifies the next one.
    pub known: Known,
    /// The block's time, milliseconds since 1970.
    pub time_ms: u64,
    /// (record key, signature over [`Self::payload`]), ascending by key.
    pub signatures: Vec<([u8; 32], [u8; 64])>,
}

/// Whose signatures a verifier accepts, and how old a checkpoint may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pins {
    /// Record keys of organisations; none: those of the genesis document's founders.
    pub organisations: Vec<[u8; 32]>,
    /// How many of them must have signed; none: more than half.
    pub least: Option<usize>,
    /// Longest time between the block and now.
    pub age_max_ms: u64,
}

impl Pins {
    /// More than half of a ledger's founders must have signed, at most this long ago.
    #[must_use]
    pub fn founders(age_max_ms: u64) -> Self {
        Self { organisations: Vec::new(), least: None, age_max_ms }
    }
}

/// Why a checkpoint is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTrusted {
    /// It is of another ledger.
    OtherGenesis {
        /// The checkpoint's.
        found: Genesis,
        /// The pinned one.
        pinned: Genesis,
    },
    /// No organisation, or more than are pinned, would have to sign.
    Pins {
        /// Signers asked for.
        least: usize,
        /// Organisations pinned.
        pinned: usize,
    },
    /// Too few of the pinned organisations signed.
    Signers {
        /// Pinned organisations that signed.
        found: usize,
        /// Needed.
        needed: usize,
    },
    /// The block is older than the verifier accepts.
    TooOld {
        /// Its age, milliseconds.
        age_ms: u64,
        /// The limit, milliseconds.
        max_ms: u64,
    },
    /// The block's time lies ahead of the verifier's clock.
    Ahead {
        /// By how much, milliseconds.
        by_ms: u64,
    },
    /// The last block of an epoch, where it is not plain which committee is meant.
    EpochEnd {
        /// The height.
        height: u64,
    },
}

impl fmt::Display for NotTrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherGenesis { found, pinned } => {
                write!(f, "the checkpoint is of the ledger {found}, the pinned one is {pinned}")
            }
            Self::Pins { least, pinned } => {
                write!(f, "{least} of {pinned} pinned organisations cannot sign a checkpoint")
            }
            Self::Signers { found, needed } => {
                write!(f, "{found} of the pinned organisations signed the checkpoint, {needed} must have")
            }
            Self::TooOld { age_ms, max_ms } => write!(
                f,
                "the checkpoint is {} days old, at most {} are accepted: ask for a newer one",
                age_ms / 86_400_000,
                max_ms / 86_400_000
            ),
            Self::Ahead { by_ms } => {
                write!(f, "the checkpoint's block lies {} s ahead of this clock", by_ms / 1000)
            }
            Self::EpochEnd { height } => {
                write!(f, "the checkpoint's height {height} is the last of an epoch")
            }
        }
    }
}

impl core::error::Error for NotTrusted {}

impl Checkpoint {
    /// What is signed: `[1, genesis, height, digest, [+ validator], time]`.
    #[must_use]
    pub fn payload(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.array(6).uint(VERSION).bytes(&self.genesis.0);
        w.uint(self.known.height).bytes(&self.known.digest).array(self.known.committee.len());
        for validator in &self.known.committee {
            w.bytes(validator);
        }
        w.uint(self.time_ms);
        w.finish()
    }

    /// What a record key signs: COSE with the label `aceso/checkpoint/v1`.
    #[must_use]
    pub fn to_be_signed(&self) -> Vec<u8> {
        cose::to_be_signed(Domain::Checkpoint, self.genesis, &self.payload())
    }

    /// Adds a signature, or replaces that organisation's.
    pub fn add(&mut self, record_key: [u8; 32], signature: [u8; 64]) {
        match self.signatures.binary_search_by_key(&record_key, |(key, _)| *key) {
            Ok(at) => self.signatures[at].1 = signature,
            Err(at) => self.signatures.insert(at, (record_key, signature)),
        }
    }

    /// Deterministic CBOR: `[payload, [+ [record key, signature]]]`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.array(2).bytes(&self.payload()).array(self.signatures.len());
        for (key, signature) in &self.signatures {
            w.array(2).bytes(key).bytes(signature);
        }
        w.finish()
    }

    /// Reads the wire form and checks every signature: who signed is then a fact, whether that is
    /// enough is for [`Self::trust`].
    pub fn decode(bytes: &[u8]) -> Result<Self, NotCanonical> {
        cbor::bounded(bytes, CHECKPOINT_BYTES_MAX)?;
        let mut r = Reader::new(bytes);
        r.array(2)?;
        let payload = r.bytes(PAYLOAD_BYTES_MAX)?;
        let signatures = r.list(SIGNERS_MAX, |r| {
            r.array(2)?;
            Ok((r.fixed()?, r.fixed()?))
        })?;
        r.end()?;
        let mut r = Reader::new(payload);
        r.array(6)?;
        r.exactly(VERSION)?;
        let genesis = Genesis(r.fixed()?);
        let (height, digest) = (r.uint()?, r.fixed()?);
        let committee: Vec<[u8; 32]> = r.list(COMMITTEE_MAX, |r| r.fixed())?;
        let time_ms = r.uint()?;
        r.end()?;
        if committee.is_empty() || signatures.is_empty() {
            return Err(NotCanonical::Unexpected);
        }
        let checkpoint = Self { genesis, known: Known { height, digest, committee }, time_ms, signatures };
        let Self { known, signatures, .. } = &checkpoint;
        let sorted =
            known.committee.is_sorted_by(|a, b| a < b) && signatures.is_sorted_by(|(a, _), (b, _)| a < b);
        if !sorted {
            return Err(NotCanonical::Order);
        }
        let message = checkpoint.to_be_signed();
        let good = signatures
            .iter()
            .all(|(key, signature)| cose::is_strong(key) && cose::verify_raw(key, &message, signature));
        if good { Ok(checkpoint) } else { Err(NotCanonical::Signature) }
    }

    /// The block to start from, if enough of the pinned organisations signed it and it is young
    /// enough. `document` must be the one whose hash the verifier pinned.
    pub fn trust(&self, document: &GenesisDocument, pins: &Pins, now_ms: u64) -> Result<Known, NotTrusted> {
        let pinned = document.hash();
        if self.genesis != pinned {
            return Err(NotTrusted::OtherGenesis { found: self.genesis, pinned });
        }
        let founders: Vec<[u8; 32]>;
        let organisations = if pins.organisations.is_empty() {
            founders = document.founders.iter().map(|founder| founder.record_key).collect();
            &founders
        } else {
            &pins.organisations
        };
        let (age_max_ms, pinned) = (pins.age_max_ms, organisations.len());
        let needed = pins.least.unwrap_or(pinned / 2 + 1);
        if needed == 0 || needed > pinned {
            return Err(NotTrusted::Pins { least: needed, pinned });
        }
        let found = self.signatures.iter().filter(|(key, _)| organisations.contains(key)).count();
        if found < needed {
            return Err(NotTrusted::Signers { found, needed });
        }
        let age_ms = now_ms.saturating_sub(self.time_ms);
        if age_ms > age_max_ms {
            return Err(NotTrusted::TooOld { age_ms, max_ms: age_max_ms });
        }
        let by_ms = self.time_ms.saturating_sub(now_ms);
        if by_ms > AHEAD_MAX_MS {
            return Err(NotTrusted::Ahead { by_ms });
        }
        let height = self.known.height;
        if height.wrapping_add(1).checked_rem(document.epoch_blocks) == Some(0) {
            return Err(NotTrusted::EpochEnd { height });
        }
        Ok(self.known.clone())
    }
}
