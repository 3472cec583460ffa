//! Agreement between organisations on one order of blocks: commonware's `simplex` and `marshal` with our
//! blocks. A [`StateMachine`] executes them.
//!
//! Read in this order: [`block`] (what is agreed on), [`machine`] (what the state machine must provide),
//! `application` (what a validator proposes and accepts), `block_time` (when), `ancestry` (executing the blocks below it),
//! [`engine`] (the wiring, one for every runtime and network), `monotonic` and `node_clock` (two
//! kinds of time), `network` (links between validators),
//! `no_op_network` (the network of a committee of one), `gossip` (transactions on their way to the next
//! leader), `request_response` (requests between state machines), `fetch_client` (the same for a node
//! without a ledger), `validating_receiver` (drops undecodable blocks), `start_checks` (when a validator
//! must not start), `validator` (the thread that runs it all).
//!
//! This crate is the only one that uses commonware, and has neither contracts nor the EVM.

mod ancestry;
mod application;
pub mod block;
mod block_time;
pub mod certificate;
pub mod engine;
mod fetch_client;
mod gossip;
mod keys;
pub mod machine;
mod monotonic;
pub mod network;
mod no_op_network;
mod node_clock;
mod peer_sets;
mod peer_status;
mod peers;
mod request_response;
mod schemes;
mod start_checks;
mod validating_receiver;
mod validator;

#[cfg(test)]
mod tests;

pub use engine::{Fault, Platform};
pub use fetch_client::fetch;
pub use keys::{is_key, public_key};
pub use machine::{Conflict, Evidence, NotCommitted, NotExecuted, SnapshotBase, StateMachine};
pub use monotonic::MonotonicContext;
pub use node_clock::NodeClock;
pub use peer_sets::PeerSets;
pub use peer_status::{PeerStatus, PeerStatusTable};
pub use peers::Peer;
pub use request_response::{ProtocolViolation, REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX, RequestResponse};
pub use start_checks::UnsafeStart;
pub use validator::{Config, EPOCH_BLOCKS, KEEP_BLOCKS, StartError, Status, Validator, settings};

use commonware_cryptography::{ed25519, sha256};

/// Digest of a block: of its header.
pub type Digest = sha256::Digest;
/// Identifies a validator.
pub type PublicKey = ed25519::PublicKey;
/// A validator's key. Never used for anything but consensus.
pub type PrivateKey = ed25519::PrivateKey;
/// Signs and checks votes.
pub type Scheme = commonware_consensus::simplex::scheme::ed25519::Scheme;
/// The round and parent of a block, as consensus needs them.
pub type Context = commonware_consensus::simplex::types::Context<Digest, PublicKey>;
/// The votes of a quorum that make a block final.
pub type Finalization = commonware_consensus::simplex::types::Finalization<Scheme, Digest>;
