//! ledger
pub mod contracts;
pub mod genesis;
pub mod machine;
