//! Stories of a ward: a real vault and record store in a temporary directory, real devices sealing,
//! and the Rust model of the contracts as the ledger.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(clippy::print_stdout, reason = "measurements are printed")]

mod admission;
mod alarms;
mod clocks;
mod consent;
mod disk;
mod exits;
mod explorer;
mod forty_days;
mod halts;
mod hostile;
mod intervals;
mod ledger;
mod limits;
mod orders;
mod pauses;
mod proofs;
mod speed;
mod strangers;
/// The same small trie that the proof checker's own tests prove with.
#[allow(dead_code, unreachable_pub, reason = "made for another crate's tests")]
#[path = "../../vitals/src/fixture/trie.rs"]
mod trie;
mod waiting;
mod ward;
mod watching;
