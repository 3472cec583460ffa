//! Access without consent, and policies a consent may name.

use crate::ids::{Hash, OrgId, PersonId};
use alloc::vec::Vec;

/// Longest access without consent, milliseconds.
pub const BREAK_GLASS_MS_MAX: u64 = 3_600_000;
/// A younger role needs a second clinician, milliseconds.
pub const ROLE_AGE_MS_MIN: u64 = 86_400_000;
/// Most entries of one clinician in one day (UTC).
pub const BREAK_GLASS_PER_DAY_MAX: u32 = 10;
/// An entry may be dated ahead of block time by this much, milliseconds.
pub const AHEAD_MS_MAX: u64 = 60_000;
/// Most policies ever, withdrawn ones included.
pub const POLICIES_MAX: usize = 256;

/// What a clinician signs to open a record without consent (EIP-712).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakGlass {
    /// Whose record.
    pub patient: PersonId,
    /// Who opens it.
    pub clinician: PersonId,
    /// Who stands by it and signs the same; needed while the clinician's role is younger than a day.
    pub second: Option<PersonId>,
    /// Salted commitment to the reason.
    pub reason: Hash,
    /// Milliseconds.
    pub from_ms: u64,
    /// Milliseconds, exclusive; at most an hour later.
    pub until_ms: u64,
    /// Unordered 256-bit nonce.
    pub nonce: Hash,
}

/// The same with its signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedBreakGlass {
    /// What is done.
    pub message: BreakGlass,
    /// The clinician's.
    pub signature: Vec<u8>,
    /// The second clinician's; empty without one.
    pub second_signature: Vec<u8>,
}

/// What an auditor found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    /// The access was justified.
    Justified = 1,
    /// It was not.
    Unjustified = 2,
}

impl Verdict {
    /// The verdict with this wire code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::Justified, Self::Unjustified].into_iter().find(|verdict| *verdict as u8 == code)
    }
}

/// An auditor's review of an access without consent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// Who.
    pub auditor: PersonId,
    /// What they found.
    pub verdict: Verdict,
    /// Salted commitment to their remark.
    pub remark: Hash,
    /// Block time, milliseconds.
    pub at_ms: u64,
}

/// An access without consent, as the ledger holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakGlassEntry {
    /// Whose record.
    pub patient: PersonId,
    /// Who opened it.
    pub clinician: PersonId,
    /// Who stood by.
    pub second: Option<PersonId>,
    /// Salted commitment to the reason.
    pub reason: Hash,
    /// Milliseconds.
    pub from_ms: u64,
    /// Milliseconds, exclusive.
    pub until_ms: u64,
    /// Block time at which the entry arrived, milliseconds.
    pub given_at_ms: u64,
    /// Set once reviewed.
    pub review: Option<Review>,
}

/// A policy contract of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// What it is called: ASCII, filled up with zeros.
    pub name: [u8; 32],
    /// Counts from 1 for each name.
    pub version: u32,
    /// Who added it.
    pub org: OrgId,
    /// Block time, milliseconds.
    pub added_at_ms: u64,
    /// Zero, or the block time from which new consents cannot name it.
    pub withdrawn_at_ms: u64,
}
