//! What tests of several crates share. Linked by tests and benches only, never by a program.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "tests")]

mod dice;
pub mod lossy;

pub use dice::Dice;
