//! The ledger in domain words. `ledger` implements it over consensus and contracts; `testkit`
//! implements it in memory, with a model of the contracts, for tests.

mod act;
mod consent;
pub mod explorer;
mod registry;
mod role;

pub use act::{Act, ActId, Outcome};
pub use consent::{ConsentMessage, Grant, Purpose, SignedGrant, Terms};
pub use registry::{
    Anchor, Device, DeviceKind, Organisation, Person, Revocation, RevokeReason, SIGNER_BYTES_MAX,
    SIGNER_BYTES_MIN,
};
pub use role::Role;

use crate::ids::{Class, DeviceId, Genesis, GrantId, Hash, OrgId, PersonId};
use crate::proof::LedgerProof;
use alloc::{string::String, vec::Vec};
use core::fmt;
use explorer::Explorer;

/// The finalized view every answer of [`Ledger`] is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tip {
    /// Height of the last finalized block this node has executed.
    pub height: u64,
    /// That block's time, milliseconds since 1970, as its proposer set it within the validators' bounds.
    pub time_ms: u64,
    /// Digest of that block's header.
    pub digest: Hash,
    /// Root of the contract state after that block.
    pub state_root: Hash,
}

/// Why the ledger did not answer, and so who has to act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerError {
    /// The request is wrong and will stay wrong.
    Refused(String),
    /// Try again: the pool is full, or the wanted height has no certificate yet.
    Busy(String),
    /// The ledger is down; alarms and admission go on without it.
    Down(String),
    /// This node has removed the block that was asked for.
    Pruned {
        /// Its height.
        height: u64,
        /// The lowest height that is kept.
        from: u64,
    },
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "the ledger refused: {why}"),
            Self::Busy(why) => write!(f, "the ledger is busy, try again: {why}"),
            Self::Down(why) => write!(f, "the ledger is down: {why}"),
            Self::Pruned { height, from } => {
                write!(f, "block {height} is pruned: this node keeps blocks from {from} on")
            }
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
    /// How far the clocks of the other validators are ahead of this node's, milliseconds, by the blocks that came
    /// since `from_ms`; negative if they are behind. `None` where nothing tells.
    fn others_ahead_ms(&self, from_ms: u64) -> Option<i64> {
        let _ = from_ms;
        None
    }
    /// Why this ledger has ended, if it has: what is read from it stands still, and acts are refused.
    fn down(&self) -> Option<String> {
        None
    }
    /// The blocks themselves, where this node keeps them.
    fn explorer(&self) -> Option<&dyn Explorer> {
        None
    }
}
