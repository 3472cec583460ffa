//! The ledger in domain words. `ledger` implements it over consensus and contracts; `testkit`
//! implements it in memory, with a model of the contracts, for tests.

pub mod explorer;
mod role;

use crate::break_glass::{SignedBreakGlass, Verdict};
use crate::governance::Motion;
use crate::ids::{Class, DeviceId, Genesis, GrantId, Hash, OrgId, PersonId};
use crate::proof::LedgerProof;
use alloc::{collections::BTreeSet, string::String, vec::Vec};
use core::fmt;
use explorer::Explorer;
pub use role::Role;

/// Shortest ERC-7913 signer.
pub const SIGNER_BYTES_MIN: usize = 20;
/// Longest ERC-7913 signer.
pub const SIGNER_BYTES_MAX: usize = 1024;

/// The finalized view every answer of [`Ledger`] is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tip {
    /// Height of the last finalized block this node has executed.
    pub height: u64,
    /// That block's time, milliseconds since 1970, as its proposer said and the validators bounded.
    pub time_ms: u64,
    /// Digest of that block's header.
    pub digest: Hash,
    /// Root of the contract state after that block.
    pub state_root: Hash,
}

/// An organisation: runs a node, keeps one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organisation {
    /// Ed25519 key that signs tree heads and the organisation's own envelopes.
    pub record_key: [u8; 32],
    /// The account that sends its transactions (20 bytes, Ethereum address).
    pub sender: [u8; 20],
    /// False once removed.
    pub active: bool,
}

/// What a registered key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    /// Authors readings about one patient.
    Sensor,
    /// Carries the envelopes of the sensors registered through it.
    Gateway,
}

/// Why a device's key was withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevokeReason {
    /// Taken out of service: what it sealed before stays welcome.
    Retired,
    /// Lost or stolen: envelopes after the last trusted one are quarantined.
    Stolen,
}

/// The end of a device's trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocation {
    /// Block time of the revocation, milliseconds.
    pub at_ms: u64,
    /// Why.
    pub reason: RevokeReason,
    /// Last sequence number trusted in each of its streams.
    pub last_trusted_seq: u64,
}

/// A device as the registry holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Sensor or gateway.
    pub kind: DeviceKind,
    /// Ed25519 public key.
    pub key: [u8; 32],
    /// X25519 public key, to which stream keys are wrapped.
    pub wrap_key: [u8; 32],
    /// The gateway it was registered through; itself for a gateway.
    pub via: DeviceId,
    /// Home organisation.
    pub org: OrgId,
    /// Salted commitment to the patient ([`crate::ids::binding`]); zero for a gateway.
    pub binding: Hash,
    /// Block time of registration, milliseconds.
    pub since_ms: u64,
    /// Set once trust has ended.
    pub revoked: Option<Revocation>,
}

/// A person as the directory holds them: no name, no birth date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Role.
    pub role: Role,
    /// Home organisation.
    pub org: OrgId,
    /// ERC-7913 signer: 20 bytes address, or verifier address followed by the key.
    pub signer: Vec<u8>,
    /// True while the organisation's vault keeps the person's signing key for them.
    pub vault_kept: bool,
    /// Block time of enrolment, milliseconds.
    pub since_ms: u64,
    /// Zero, or the block time of suspension.
    pub suspended_at_ms: u64,
}

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
    /// The policy contract it is given under: each opening asks it ([`Ledger::policy_agrees`]).
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
    /// 32 random bytes; destroying them makes the commitment mute.
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

/// A log head on the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// Leaves in the log.
    pub size: u64,
    /// RFC 6962 root over them.
    pub root: Hash,
    /// Ledger height at which it was replaced last.
    pub height: u64,
}

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
        /// Signature over [`Ledger::revocation_digest`].
        signature: Vec<u8>,
    },
    /// Relay the withdrawal of a consent that has not arrived: its nonce can never be used.
    BurnGrant {
        /// Whose consent.
        patient: PersonId,
        /// [`ConsentMessage::nonce`].
        nonce: Hash,
        /// Signature over [`Ledger::revocation_digest`].
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

/// Why the ledger did not answer. Says whose move it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerError {
    /// The request is wrong and will stay wrong.
    Refused(String),
    /// Try again: the pool is full, or the wanted height has no certificate yet.
    Busy(String),
    /// The ledger is down; alarms and admission go on without it.
    Down(String),
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "the ledger refused: {why}"),
            Self::Busy(why) => write!(f, "the ledger is busy, try again: {why}"),
            Self::Down(why) => write!(f, "the ledger is down: {why}"),
        }
    }
}

impl core::error::Error for LedgerError {}

/// A fact to prove from the contract state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fact {
    /// The organisation's anchored log head.
    Anchor(OrgId),
    /// The organisation's record key.
    Organisation(OrgId),
    /// A device's key and patient binding.
    Device(DeviceId),
}

/// The permissioned ledger. Answers come from the finalized view; nothing here waits for consensus.
pub trait Ledger: Send + Sync {
    /// The genesis hash: the name of this ledger.
    fn genesis(&self) -> Genesis;
    /// The finalized view all other answers are read from.
    fn tip(&self) -> Tip;
    /// An organisation.
    fn organisation(&self, org: OrgId) -> Result<Option<Organisation>, LedgerError>;
    /// A device of the registry.
    fn device(&self, id: DeviceId) -> Result<Option<Device>, LedgerError>;
    /// A person of the directory.
    fn person(&self, id: PersonId) -> Result<Option<Person>, LedgerError>;
    /// A consent.
    fn grant(&self, id: GrantId) -> Result<Option<Grant>, LedgerError>;
    /// Does the policy the consent was given under ([`Grant::policy`]) agree that this class is opened now?
    /// A ledger that cannot ask policies never answers yes.
    fn policy_agrees(&self, grant: GrantId, class: Class) -> Result<bool, LedgerError> {
        let _ = (grant, class);
        Err(LedgerError::Refused(String::from("this ledger asks no policies")))
    }
    /// The organisation's anchored log head.
    fn anchor(&self, org: OrgId) -> Result<Option<Anchor>, LedgerError>;
    /// The id under which a consent message is stored: keccak256(abi.encode(patient, nonce)).
    fn grant_id(&self, message: &ConsentMessage) -> GrantId;
    /// The EIP-712 digest a patient signs to give the consent.
    fn consent_digest(&self, message: &ConsentMessage) -> Hash;
    /// The EIP-712 digest a patient signs to withdraw the consent.
    fn revocation_digest(&self, grant: GrantId) -> Hash;
    /// The ERC-7913 signer bytes for an uncompressed P-256 public key (x ‖ y).
    fn p256_signer(&self, public_key: &[u8; 64]) -> Vec<u8>;
    /// Hands an act to the pool. Returns at once; see [`Ledger::outcome`].
    fn submit(&self, act: Act) -> Result<ActId, LedgerError>;
    /// What became of an act.
    fn outcome(&self, act: ActId) -> Outcome;
    /// Proves facts at the newest certified height, each proof in the order asked.
    fn prove(&self, facts: &[Fact]) -> Result<LedgerProof, LedgerError>;
    /// The blocks themselves, where this node keeps them.
    fn explorer(&self) -> Option<&dyn Explorer> {
        None
    }
}
