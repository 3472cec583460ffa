//! Stories of a ward: a real vault and record store in a temporary directory, real devices sealing,
//! and the Rust model of the contracts as the ledger.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(clippy::print_stdout, reason = "measurements are printed")]

mod admission;
mod alarms;
mod asking;
mod bundle_size;
mod changing;
mod clocks;
mod consent;
mod exits;
mod explorer;
mod forty_days;
mod full_disk;
mod giving;
mod growth;
mod halts;
mod hostile;
mod intervals;
mod late_alarms;
mod limits;
mod orders;
mod pauses;
mod people;
mod proofs;
mod set_up;
mod speed;
mod strangers;
mod suspensions;
mod waiting;
mod watching;
mod year;
