//! The permissioned ledger: execution of the organisations' contracts (revm) in the order they agree
//! on ([`consensus`]), proofs of the result, and all of it as one [`vitals::ledger::Ledger`].
//!
//! Start with [`embedded`], the ledger inside a node. [`machine`] executes and keeps blocks,
//! [`replica`] implements consensus' state machine, [`contracts`] and [`genesis`] define what runs, [`pool`]
//! and [`account`] bring acts in. [`chain`] is the interface behind `Ledger`, [`remote`] the same contracts on
//! another network. Keys, ids and proofs are types of `vitals` or bytes.

pub mod account;
pub mod chain;
pub mod committee_changes;
pub mod contracts;
pub mod embedded;
pub mod evidence;
mod explorer;
pub mod genesis;
pub mod machine;
mod outbox;
pub mod pool;
pub mod remote;
pub mod replica;
pub mod rpc;
pub mod snapshot;

#[cfg(test)]
mod simulation;

pub use chain::Chain;
pub use consensus::{EPOCH_BLOCKS, NodeClock, Peer, Status, public_key as validator_key};
pub use embedded::{Config, EPOCHS_MIN, EmbeddedChain, History, Keys, OpenError};
pub use replica::Stats;
