//! Who decides: organisations that run validators vote on validators and on organisations.

use crate::ids::{Hash, OrgId};
use alloc::{string::String, vec::Vec};

/// A proposal that is older counts no more votes, milliseconds.
pub const PROPOSAL_AGE_MS_MAX: u64 = 7 * 24 * 3600 * 1000;
/// Most proposals of one organisation that are open at a time.
pub const PROPOSALS_OPEN_MAX: usize = 8;
/// Most validators that stay at a time.
pub const VALIDATORS_STAYING_MAX: usize = 100;
/// A change acts this many epochs after the one it was accepted in.
pub const EPOCHS_AHEAD: u64 = 2;
/// Longest endpoint, bytes.
pub const ENDPOINT_BYTES_MAX: usize = 255;
/// Most organisations ever, removed ones included.
pub const ORGANISATIONS_MAX: usize = 1000;

/// What an organisation proposes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Motion {
    /// A validator joins.
    AddValidator {
        /// Ed25519 key.
        key: [u8; 32],
        /// The active organisation that operates it.
        org: OrgId,
        /// Where it is reached, host:port; may be empty.
        endpoint: String,
    },
    /// A validator leaves.
    RemoveValidator {
        /// Its key.
        key: [u8; 32],
    },
    /// A validator of the proposing organisation goes on under another key.
    ReplaceKey {
        /// The key that goes.
        old: [u8; 32],
        /// The key that comes.
        new: [u8; 32],
        /// Where the new one is reached, host:port; may be empty.
        endpoint: String,
    },
    /// An organisation is admitted to the directory.
    AdmitOrganisation {
        /// Its record key; the id is derived from it.
        record_key: [u8; 32],
        /// The account that sends its transactions.
        sender: [u8; 20],
    },
    /// An organisation leaves, with all its validators.
    RemoveOrganisation {
        /// Which.
        org: OrgId,
    },
}

/// A proposal was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acceptance {
    /// Block time, milliseconds.
    pub at_ms: u64,
    /// First epoch whose committee shows it.
    pub acts_from_epoch: u64,
}

/// A proposal with its votes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Counts from 1.
    pub id: u64,
    /// What.
    pub motion: Motion,
    /// Whose.
    pub proposer: OrgId,
    /// Block time, milliseconds.
    pub proposed_at_ms: u64,
    /// Who voted for it, in order; an organisation without a seat by now does not count.
    pub votes: Vec<OrgId>,
    /// Set once carried out.
    pub accepted: Option<Acceptance>,
}

impl Proposal {
    /// Can it still be voted for at this block time?
    #[must_use]
    pub fn is_open(&self, now_ms: u64) -> bool {
        self.accepted.is_none() && now_ms <= self.proposed_at_ms.saturating_add(PROPOSAL_AGE_MS_MAX)
    }
}

/// A validator as the contract `Authorities` holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validator {
    /// Ed25519 key.
    pub key: [u8; 32],
    /// The organisation that operates it.
    pub org: OrgId,
    /// First epoch of its committee.
    pub from_epoch: u64,
    /// First epoch without it; nothing while it stays.
    pub until_epoch: Option<u64>,
    /// Where it is reached, host:port; empty if it was never announced.
    pub endpoint: String,
}

impl Validator {
    /// Is it in the committee of this epoch?
    #[must_use]
    pub fn acts_in(&self, epoch: u64) -> bool {
        self.from_epoch <= epoch && self.until_epoch.is_none_or(|until| epoch < until)
    }
}

/// The keys of an epoch's committee, ascending.
#[must_use]
pub fn committee(validators: &[Validator], epoch: u64) -> Vec<Hash> {
    let acting = validators.iter().filter(|validator| validator.acts_in(epoch));
    let mut keys: Vec<Hash> = acting.map(|validator| validator.key).collect();
    keys.sort_unstable();
    keys
}

/// Empty, or host:port: letters, digits and `.-:[]` as the host, then a colon and one to five digits.
#[must_use]
pub fn is_endpoint(text: &str) -> bool {
    if text.is_empty() {
        return true;
    }
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let in_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    text.len() <= ENDPOINT_BYTES_MAX
        && !host.is_empty()
        && host.bytes().all(in_host)
        && (1..=5).contains(&port.len())
        && port.bytes().all(|byte| byte.is_ascii_digit())
}
