//! Consents: what a patient signs, what the ledger holds of it, and the terms that stay off the ledger.

use crate::ids::{Class, Genesis, Hash, PersonId};
use alloc::{collections::BTreeSet, vec::Vec};

/// A consent as the ledger holds it. Classes and purpose stand in the salted `terms` commitment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Whose record.
    pub patient: PersonId,
    /// Who may open it: a person, or an organisation's monitoring ([`PersonId`] of the org).
    pub grantee: PersonId,
    /// [`Terms::commitment`].
    pub terms: Hash,
    /// Valid from, milliseconds.
    pub from_ms: u64,
    /// Valid until (exclusive), milliseconds.
    pub until_ms: u64,
    /// Zero, or the block time of revocation.
    pub revoked_at_ms: u64,
    /// The policy contract it is given under: each opening asks it ([`super::Ledger::policy_agrees`]).
    pub policy: Option<[u8; 20]>,
}

/// Why a record is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Purpose {
    /// Treatment (TREAT).
    Treatment = 1,
    /// Watching on a wall and by the alarm engine.
    Monitoring = 2,
    /// A relative follows (FAMRQT).
    Family = 3,
    /// The patient reads their own record (PATRQT).
    Own = 4,
    /// An auditor verifies.
    Audit = 5,
}

impl Purpose {
    /// The purpose with this wire code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::Treatment, Self::Monitoring, Self::Family, Self::Own, Self::Audit]
            .into_iter()
            .find(|purpose| *purpose as u8 == code)
    }

    /// The word used on pages and in reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Treatment => "treatment",
            Self::Monitoring => "monitoring",
            Self::Family => "family",
            Self::Own => "own record",
            Self::Audit => "audit",
        }
    }
}

/// What a consent allows. Kept off the ledger, which holds only its salted commitment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Classes that may be opened, ascending, without repeats.
    pub classes: Vec<Class>,
    /// For what.
    pub purpose: Purpose,
    /// 32 random bytes; once they are destroyed, the commitment reveals nothing.
    pub salt: [u8; 32],
}

impl Terms {
    /// SHA-256("aceso/terms/v1" ‖ genesis ‖ salt ‖ purpose ‖ class codes).
    #[must_use]
    pub fn commitment(&self, genesis: Genesis) -> Hash {
        // In their one order, so that the same terms have one commitment.
        let codes: BTreeSet<u8> = self.classes.iter().map(|class| class.code()).collect();
        let codes: Vec<u8> = codes.into_iter().collect();
        crate::ids::sha256(&[b"aceso/terms/v1", &genesis.0, &self.salt, &[self.purpose as u8], &codes])
    }
}

/// The fields of a consent that its patient signs (EIP-712).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentMessage {
    /// Whose record.
    pub patient: PersonId,
    /// For whom.
    pub grantee: PersonId,
    /// [`Terms::commitment`].
    pub terms: Hash,
    /// Valid from, milliseconds.
    pub from_ms: u64,
    /// Valid until, milliseconds.
    pub until_ms: u64,
    /// Unordered 256-bit nonce; together with the patient it names the grant.
    pub nonce: Hash,
    /// Latest block time at which the message may be relayed, milliseconds.
    pub deadline_ms: u64,
}

/// A consent with its patient's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedGrant {
    /// What is agreed.
    pub message: ConsentMessage,
    /// Signature in the form the patient's ERC-7913 signer expects (P-256: r ‖ s, low s).
    pub signature: Vec<u8>,
}
