//! What tests of several crates share: an oracle of the contracts, a ledger in memory, disks that lose
//! and refuse, wards of fixed keys, golden files. Linked by tests, benches and examples, never by a program.
//!
//! It stands below `clinic`: a ward with a clinic is `testward`. A crate's own unit tests cannot mix their
//! types with those made here from the crate as its users link it, so `vitals` uses it in `tests/` only.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "tests")]
#![allow(missing_docs, reason = "a test names what it uses; the words stand where a name does not say it")]

mod dice;
mod disks;
pub mod fixture;
mod gate;
pub mod golden;
mod logged;
pub mod lossy;
mod memory_ledger;
pub mod model;
mod storage_words;
pub mod switched;
pub mod trie;
pub mod unopened;

pub use dice::Dice;
pub use disks::{EmptyDisk, disks};
pub use gate::Gate;
pub use logged::logged;
pub use memory_ledger::MemoryLedger;
