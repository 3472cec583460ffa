//! How far an envelope is vouched for, as pages show it.

use vitals::ids::Hash;

silent_debug!(EnvelopeRef);

/// How far a value is vouched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProofState {
    /// Durable, and in the organisation's log.
    Received,
    /// Covered by a log head handed to the ledger.
    Anchored,
    /// Covered by the finalized log head: anyone can check it offline.
    Final {
        /// Ledger height of the anchor that covers it.
        height: u64,
    },
}

impl ProofState {
    /// The word shown beside a value.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Anchored => "anchored",
            Self::Final { .. } => "final",
        }
    }
}

/// Where an envelope stands, for links to its proof.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EnvelopeRef {
    /// [`vitals::envelope::header_hash`].
    pub hash: Hash,
    /// Leaf index in the organisation's log: names the envelope's proof page.
    pub index: u64,
    /// How far it is vouched for.
    pub proof: ProofState,
}

/// The anchor that covered an envelope first: from then on nobody could take it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FinalSince {
    /// Height of the block that holds it.
    pub height: u64,
    /// That block's time, milliseconds; none where this node does not know it.
    pub time_ms: Option<u64>,
}
