//! Acts: the changes an organisation asks the ledger for, and what became of them.

use super::consent::SignedGrant;
use super::registry::{DeviceKind, RevokeReason};
use super::role::Role;
use crate::break_glass::{SignedBreakGlass, Verdict};
use crate::governance::Motion;
use crate::ids::{DeviceId, GrantId, Hash, PersonId};
use alloc::{string::String, vec::Vec};

/// A change an organisation asks the ledger for. The organisation's node sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Enrol a person under the sending organisation.
    Enrol {
        /// New person id.
        person: PersonId,
        /// Role.
        role: Role,
        /// ERC-7913 signer.
        signer: Vec<u8>,
        /// Is the key kept by the vault?
        vault_kept: bool,
    },
    /// Register a device of the sending organisation.
    Register {
        /// Sensor or gateway.
        kind: DeviceKind,
        /// Ed25519 public key; its id is derived.
        key: [u8; 32],
        /// X25519 public key.
        wrap_key: [u8; 32],
        /// Gateway it is reached through (itself for a gateway).
        via: DeviceId,
        /// Patient binding; zero for a gateway.
        binding: Hash,
    },
    /// End a device's trust.
    Revoke {
        /// Which.
        device: DeviceId,
        /// Why.
        reason: RevokeReason,
        /// Last trusted sequence number.
        last_trusted_seq: u64,
    },
    /// Relay a consent signed by the patient.
    Grant(SignedGrant),
    /// Relay a revocation signed by the patient.
    RevokeGrant {
        /// Which consent.
        grant: GrantId,
        /// Signature over [`super::Ledger::revocation_digest`].
        signature: Vec<u8>,
    },
    /// Relay the withdrawal of a consent that has not arrived: its nonce can never be used.
    BurnGrant {
        /// Whose consent.
        patient: PersonId,
        /// [`super::ConsentMessage::nonce`].
        nonce: Hash,
        /// Signature over [`super::Ledger::revocation_digest`].
        signature: Vec<u8>,
    },
    /// Replace the organisation's log head.
    Anchor {
        /// Leaves now.
        size: u64,
        /// Root now.
        root: Hash,
        /// RFC 6962 consistency proof from the anchored size to this one; empty for the first.
        consistency: Vec<Hash>,
    },
    /// Propose a change of validators or organisations; a seated organisation votes for its own at once.
    Propose(Motion),
    /// Vote for a proposal; the vote that makes it more than half carries it out.
    Vote {
        /// [`crate::governance::Proposal::id`].
        proposal: u64,
    },
    /// Carry out a proposal whose votes became more than half because others lost their seats.
    Settle {
        /// [`crate::governance::Proposal::id`].
        proposal: u64,
    },
    /// Say where a validator of the sending organisation is reached.
    Announce {
        /// Its key.
        validator: [u8; 32],
        /// host:port, or empty for nowhere.
        endpoint: String,
    },
    /// Suspend a person of the sending organisation.
    Suspend {
        /// Who.
        person: PersonId,
    },
    /// Relay a consent that is good only where a policy agrees.
    GrantUnder {
        /// Signed over [`crate::eip712::ConsentDomain::consent_under_digest`].
        signed: SignedGrant,
        /// The policy contract.
        policy: [u8; 20],
    },
    /// Offer a contract as the next version of a policy.
    AddPolicy {
        /// ASCII, filled up with zeros.
        name: [u8; 32],
        /// Where it stands.
        contract: [u8; 20],
    },
    /// No new consent names this policy.
    WithdrawPolicy {
        /// Where it stands.
        contract: [u8; 20],
    },
    /// Vote for a role beyond the first five. The vote of more than half of the seated organisations defines it.
    SupportRole {
        /// Code, 6 to 255.
        role: u8,
        /// ASCII, filled up with zeros.
        name: [u8; 32],
        /// One of the first five: people with the new role are enrolled under it.
        base: Role,
    },
    /// Assign a defined role to a person whom the sending organisation is going to enrol under its base.
    AssignRole {
        /// Who; not enrolled yet.
        person: PersonId,
        /// Code of a defined role.
        role: u8,
    },
    /// Log an access without consent, by a clinician of the sending organisation.
    BreakGlass(SignedBreakGlass),
    /// Relay an auditor's verdict on such an access.
    Review {
        /// [`crate::eip712::break_glass_id`].
        entry: Hash,
        /// Who.
        auditor: PersonId,
        /// What they found.
        verdict: Verdict,
        /// Salted commitment to their remark.
        remark: Hash,
        /// Signed over [`crate::eip712::ConsentDomain::review_digest`].
        signature: Vec<u8>,
    },
}

/// Names a submitted act.
pub type ActId = Hash;

/// What became of an act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Waiting for a block.
    Pending,
    /// In the finalized block at this height.
    Done {
        /// Height.
        height: u64,
    },
    /// Finalized, but the contract refused it.
    Refused {
        /// The contract's reason.
        reason: String,
    },
    /// Not known here (never submitted, or dropped from the pool).
    Unknown,
}
