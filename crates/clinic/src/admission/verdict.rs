//! What comes in, and what is answered.

use super::refusal::Refusal;
use vitals::DeviceId;

/// An envelope as a gateway brought it.
#[derive(Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The gateway that carried it, as its connection proved.
    pub from: DeviceId,
    /// The envelope's bytes.
    pub bytes: Vec<u8>,
}

impl core::fmt::Debug for Arrival {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Arrival").field("from", &self.from).field("bytes", &self.bytes.len()).finish()
    }
}

/// What became of an arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Durable, and this leaf of the log.
    Admitted {
        /// Leaf index.
        index: u64,
    },
    /// Durable before; acknowledged again.
    Duplicate {
        /// Leaf index.
        index: u64,
    },
    /// The sender is wrong; resending will not help.
    Refused(Refusal),
    /// Try again later; nothing was stored.
    Busy(String),
}

/// A verdict, and the receipt that goes with a good one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What became of it.
    pub verdict: Verdict,
    /// Encoded [`Receipt`].
    pub receipt: Option<Vec<u8>>,
}

/// The record cannot be trusted or written any more: acknowledge nothing, stop the node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("admission has to stop: {0}")]
pub struct Halted(pub String);
