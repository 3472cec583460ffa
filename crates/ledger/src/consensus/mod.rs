//! Agreement: commonware's `simplex` and `marshal` over our blocks and our state machine.
//!
//! Read in this order: [`block`] (what is agreed), `state` (what a block does), `application` (what
//! a validator proposes and accepts), `engine` (the wiring, once for every runtime and network),
//! `guard` (when a validator must not start), `validator` (the thread that runs it all).

mod application;
pub mod block;
pub mod certificate;
mod engine;
mod guard;
mod quiet;
mod state;
mod validator;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use engine::Fault;
pub use guard::Unsafe;
pub(crate) use guard::make_durably;
pub(crate) use state::State;
pub use state::Stats;
pub(crate) use validator::Validator;
pub use validator::{Config, EPOCH_BLOCKS, StartError, Status};

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
