//! A witness keeps the heads it saw and reports when the ledger goes back or splits.
//!
//! An attacker with the keys of a former committee can show a ledger that looks whole from the genesis on,
//! and one who controls a validator can withhold later blocks. Neither deceives a verifier that has seen
//! later heads: every gateway keeps what it saw, across restarts.

use super::genesis::GenesisDocument;
use super::header::{COMMITTEE_MAX, digest};
use super::{BrokenLink, Finalized, Known, LedgerProof, verify};
use crate::cbor::{self, NotCanonical, Reader, Writer};
use crate::ids::{Genesis, Hash};
use crate::ledger::Anchor;
use alloc::vec::Vec;
use core::fmt;

/// Heads kept.
pub const HEADS_MAX: usize = 64;
/// How long only older heads may be shown before that is called a rollback: a node that restarts or
/// catches up shows older ones for a while.
pub const ROLLBACK_GRACE_MS: u64 = 10 * 60_000;
/// Longest encoded witness.
pub const WITNESS_BYTES_MAX: usize = 16 * 1024;
const VERSION: u64 = 1;

/// What must not happen on a correct ledger. An operator has to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    /// For longer than the grace time only heads below the newest one seen were shown.
    Rollback {
        /// Height of the newest head seen.
        seen: u64,
        /// Height shown.
        shown: u64,
    },
    /// A block was certified that does not belong to the ledger seen before.
    SplitView {
        /// Its height.
        height: u64,
    },
    /// The anchored log became shorter, or has another root at a size seen.
    Log {
        /// Leaves anchored.
        size: u64,
    },
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rollback { seen, shown } => write!(
                f,
                "the ledger went back: block {shown} is shown as its newest, block {seen} was seen before"
            ),
            Self::SplitView { height } => write!(
                f,
                "the ledger is split: a certified block {height} does not belong to the ledger seen before"
            ),
            Self::Log { size } => write!(
                f,
                "the anchored log does not continue the one seen before: {size} envelopes are shown now"
            ),
        }
    }
}

/// The newest heads seen on one ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    genesis: Genesis,
    /// (height, digest), ascending.
    heads: Vec<(u64, Hash)>,
    /// The committee that certifies the block after the newest.
    committee: Vec<[u8; 32]>,
    /// Size and root of the log anchored at the newest head that showed one.
    log: Option<(u64, Hash)>,
    /// Since when only older heads were shown.
    older_since_ms: Option<u64>,
    alarm: Option<Alarm>,
}

impl Witness {
    /// A witness that has seen nothing yet.
    #[must_use]
    pub fn new(genesis: Genesis) -> Self {
        Self {
            genesis,
            heads: Vec::new(),
            committee: Vec::new(),
            log: None,
            older_since_ms: None,
            alarm: None,
        }
    }

    /// The newest block seen.
    #[must_use]
    pub fn known(&self) -> Option<Known> {
        let (height, digest) = *self.heads.last()?;
        Some(Known { height, digest, committee: self.committee.clone() })
    }

    /// What is wrong with this ledger. A rollback ends when the ledger comes past the newest head
    /// seen; a split stays, until somebody decided which ledger is right and starts a new witness.
    #[must_use]
    pub fn alarm(&self) -> Option<Alarm> {
        self.alarm
    }

    /// Verifies a proof from the newest block seen on, and keeps its head. A proof about an older
    /// block is not accepted: it could come from keys that were retired since.
    ///
    /// # Errors
    /// The first link that does not hold. Look at [`Self::alarm`] then.
    pub fn verify(
        &mut self,
        document: &GenesisDocument,
        proof: &LedgerProof,
        now_ms: u64,
    ) -> Result<Finalized, BrokenLink> {
        let known = self.known();
        let broken = match verify(document, known.as_ref(), proof) {
            Ok(finalized) => {
                self.remember(&finalized);
                return Ok(finalized);
            }
            Err(broken) => broken,
        };
        match broken {
            BrokenLink::OlderThanKnown { height, known } => {
                let shown = digest(&proof.header);
                if self.heads.iter().any(|(at, seen)| *at == height && *seen != shown) {
                    self.split(height);
                }
                let since_ms = *self.older_since_ms.get_or_insert(now_ms);
                if now_ms.saturating_sub(since_ms) >= ROLLBACK_GRACE_MS {
                    self.alarm.get_or_insert(Alarm::Rollback { seen: known, shown: height });
                }
            }
            BrokenLink::OtherBlock { height } => self.split(height),
            _ if known.is_some() => {
                // Whole from the genesis on, and not the ledger seen before: keys that stood once.
                if let Ok(other) = verify(document, None, proof) {
                    self.split(other.header.height);
                }
            }
            _ => {}
        }
        Err(broken)
    }

    /// Holds the log head that a proof just verified shows against the one before.
    pub fn saw_log(&mut self, anchor: &Anchor) {
        if let Some((size, root)) = self.log
            && (anchor.size < size || (anchor.size == size && anchor.root != root))
        {
            self.alarm = Some(Alarm::Log { size: anchor.size });
            return;
        }
        self.log = Some((anchor.size, anchor.root));
    }

    fn split(&mut self, height: u64) {
        if !matches!(self.alarm, Some(Alarm::SplitView { .. } | Alarm::Log { .. })) {
            self.alarm = Some(Alarm::SplitView { height });
        }
    }

    fn remember(&mut self, finalized: &Finalized) {
        let Known { height, digest, committee } = finalized.known();
        self.older_since_ms = None;
        if matches!(self.alarm, Some(Alarm::Rollback { .. })) {
            self.alarm = None;
        }
        if self.heads.last().is_some_and(|(newest, _)| *newest >= height) {
            return;
        }
        if self.heads.len() == HEADS_MAX {
            self.heads.remove(0);
        }
        self.heads.push((height, digest));
        self.committee = committee;
    }

    /// The form it is kept in: `[1, genesis, [* [height, digest]], [* validator], [] or [size, root],
    /// older since or 0, [] or [kind, first number, second number]]`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.array(7).uint(VERSION).bytes(&self.genesis.0).array(self.heads.len());
        for (height, digest) in &self.heads {
            w.array(2).uint(*height).bytes(digest);
        }
        w.array(self.committee.len());
        for validator in &self.committee {
            w.bytes(validator);
        }
        match &self.log {
            None => w.array(0),
            Some((size, root)) => w.array(2).uint(*size).bytes(root),
        };
        w.uint(self.older_since_ms.unwrap_or(0));
        match self.alarm {
            None => w.array(0),
            Some(Alarm::Rollback { seen, shown }) => w.array(3).uint(1).uint(seen).uint(shown),
            Some(Alarm::SplitView { height }) => w.array(3).uint(2).uint(height).uint(0),
            Some(Alarm::Log { size }) => w.array(3).uint(3).uint(size).uint(0),
        };
        w.finish()
    }

    /// Reads what [`Self::encode`] wrote for this ledger.
    pub fn decode(bytes: &[u8], genesis: Genesis) -> Result<Self, NotCanonical> {
        cbor::bounded(bytes, WITNESS_BYTES_MAX)?;
        let mut r = Reader::new(bytes);
        r.array(7)?;
        r.exactly(VERSION)?;
        if r.fixed::<32>()? != genesis.0 {
            return Err(NotCanonical::Unexpected);
        }
        let heads = r.list(HEADS_MAX, |r| {
            r.array(2)?;
            Ok((r.uint()?, r.fixed()?))
        })?;
        let committee: Vec<[u8; 32]> = r.list(COMMITTEE_MAX, |r| r.fixed())?;
        let log = match r.any_array()? {
            0 => None,
            2 => Some((r.uint()?, r.fixed()?)),
            _ => return Err(NotCanonical::Unexpected),
        };
        let older_since_ms = Some(r.uint()?).filter(|since| *since != 0);
        let alarm = match r.any_array()? {
            0 => None,
            3 => Some(match (r.uint()?, r.uint()?, r.uint()?) {
                (1, seen, shown) => Alarm::Rollback { seen, shown },
                (2, height, 0) => Alarm::SplitView { height },
                (3, size, 0) => Alarm::Log { size },
                _ => return Err(NotCanonical::Unexpected),
            }),
            _ => return Err(NotCanonical::Unexpected),
        };
        r.end()?;
        let sorted = heads.is_sorted_by(|(a, _), (b, _)| a < b) && committee.is_sorted_by(|a, b| a < b);
        if !sorted || heads.is_empty() != committee.is_empty() {
            return Err(NotCanonical::Order);
        }
        Ok(Self { genesis, heads, committee, log, older_since_ms, alarm })
    }
}
