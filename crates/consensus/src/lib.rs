//! Agreement between organisations on one order of blocks: commonware's `simplex` and `marshal` over
//! our blocks, for whatever [`StateMachine`] executes them.
//!
//! Read in this order: [`block`] (what is agreed), [`machine`] (what is asked of the state machine),
//! `application` (what a validator proposes and accepts), `footing` (what it builds on), [`engine`] (the
//! wiring, once for every runtime and network), `network` (links between validators), `gossip`
//! (transactions on their way to whoever proposes), `errand` (questions between state machines), `sieve`
//! (what is no block), `guard` (when a validator must not start), `validator` (the thread that runs it
//! all).
//!
//! This crate is the only home of commonware, and knows neither contracts nor the EVM.

mod application;
pub mod block;
pub mod certificate;
mod courier;
pub mod engine;
mod errand;
mod footing;
mod gossip;
mod guard;
pub mod network;
mod peer_sets;
mod peers;
mod quiet;
mod sieve;
mod validator;
mod watch;

pub mod machine;

#[cfg(test)]
mod tests;

pub use courier::fetch;
pub use engine::Fault;
pub use errand::{ANSWER_BYTES_MAX, Errands, QUESTION_BYTES_MAX};
pub use guard::{Unsafe, make_durably};
pub use machine::{Conflict, Evidence, Floor, Hostile, NotCommitted, NotExecuted, StateMachine};
pub use peer_sets::PeerSets;
pub use peers::Peer;
pub use validator::{Config, EPOCH_BLOCKS, StartError, Status, Validator, is_key, public_key, settings};
pub use watch::Observed;

use commonware_cryptography::{ed25519, sha256};

/// Digest of a block: of its header.
pub type Digest = sha256::Digest;
/// Names a validator.
pub type PublicKey = ed25519::PublicKey;
/// A validator's key. Never used for anything but consensus.
pub type PrivateKey = ed25519::PrivateKey;
/// Signs and checks votes.
pub type Scheme = commonware_consensus::simplex::scheme::ed25519::Scheme;
/// What consensus asks a block for.
pub type Context = commonware_consensus::simplex::types::Context<Digest, PublicKey>;
/// A quorum's word that a block is final.
pub type Finalization = commonware_consensus::simplex::types::Finalization<Scheme, Digest>;
