//! The bedside half of Aceso: frames from a board, beat detection, limits and alarms, LCD and buzzer,
//! and the sealing of what was measured. No I/O, no clock, no randomness: bytes,
//! times and keys come in as arguments, so that every run can be replayed.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod air_quality;
pub mod buzzer;
pub mod display;
pub mod frame;
pub mod monitor;
pub mod pairing;
pub mod ppg;
pub mod seal;

pub use frame::{Decoder, Down, Up};
pub use monitor::{Action, Answer, Answered, Monitor, MonitorConfig};
pub use pairing::Identity;
pub use ppg::BeatDetector;
pub use seal::{SealError, Sealed, Sealer, SealerState};
