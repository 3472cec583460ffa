//! The shared words of Aceso: readings, envelopes, logs, receipts, proofs, alarms and the ledger in
//! domain words. No I/O, no clock, no randomness: time and chance come in as arguments.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod alarm;
pub mod batch;
pub mod body;
pub mod break_glass;
pub mod bundle;
pub mod cbor;
pub mod clock_fault;
pub mod command;
pub mod cose;
pub mod eip712;
pub mod entropy;
pub mod envelope;
pub mod governance;
pub mod held_clock;
pub mod ids;
pub mod keys;
pub mod ledger;
pub mod log;
pub mod metric;
pub mod origin;
pub mod pairing;
pub mod proof;
pub mod receipt;
pub mod refusal;

pub use ids::{DeviceId, Genesis, GrantId, OrgId, PatientId, PersonId, StreamId};
pub use ledger::explorer;
pub use metric::Metric;
