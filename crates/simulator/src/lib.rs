//! Virtual boards and patients, replay of recordings, and a generator of load. Everything follows
//! from a seed: the same seed gives the same frames. Time is an argument; only [`pseudo_terminal`] waits, by the
//! clock it is given.

pub mod board;
pub mod load_generator;
pub mod pseudo_terminal;
pub mod pulse_signal;
pub mod recording;
pub mod scenario;
pub mod slow_sensors;

pub use board::{BoardConfig, VirtualBoard};
pub use load_generator::Load;
pub use pseudo_terminal::{BoardState, RunningBoard, RunningBoards};
pub use recording::Recording;
pub use scenario::{Scenario, Script};
