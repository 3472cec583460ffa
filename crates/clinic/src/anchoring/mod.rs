//! The organisation's log on the ledger: anchored, final, and proven to gateways.

mod anchors;
mod carried;
mod final_since;
mod state;
mod views;

pub use anchors::Outgoing;
pub(crate) use carried::Carried;
pub(crate) use state::Anchoring;
pub use views::{EnvelopeRef, FinalSince, ProofState};
