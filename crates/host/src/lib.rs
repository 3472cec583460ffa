//! What a process of ours takes from the machine it runs on: time, randomness, signals, and where its logs go.
//! Only binaries and their tests link this crate; every other crate gets time and chance as arguments.

pub mod clock;
pub mod logs;
pub mod memory;
pub mod output;
pub mod process;
mod sentence;

pub use sentence::sentence;
