//! Virtual boards and patients, replay of recordings, and a generator of load. Everything follows
//! from a seed: the same seed gives the same frames. Time is an argument; only [`pty`] waits, by the
//! clock it is given.

pub mod board;
pub mod heart;
pub mod load;
pub mod pty;
pub mod recording;
pub mod room;
pub mod scenario;

pub use board::{BoardConfig, VirtualBoard};
pub use load::Load;
pub use pty::{Rack, RunningBoard, Seen};
pub use recording::Recording;
pub use scenario::{Scenario, Script};
