//! ledger
pub mod contracts;
pub mod genesis;
pub mod machine;
pub mod account;
pub mod pool;
