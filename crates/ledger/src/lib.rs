//! The permissioned ledger: agreement between organisations (commonware), execution of their
//! contracts (revm), proofs of the result, and all of it as one [`vitals::ledger::Ledger`].
//!
//! Start with [`embedded`], the ledger inside a node. [`consensus`] agrees on blocks, [`machine`]
//! executes and keeps them, [`contracts`] and [`genesis`] say what runs, [`pool`] and [`account`]
//! bring acts in. Keys, ids and proofs go in and out as the bytes and words of `vitals`.

pub mod account;
pub mod consensus;
pub mod contracts;
pub mod embedded;
pub mod genesis;
pub mod machine;
pub mod pool;

pub use consensus::{EPOCH_BLOCKS, Stats, Status};
pub use embedded::{Config, EmbeddedChain, Keys, OpenError, validator_key};
