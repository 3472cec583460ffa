//! The clocks that decide which times blocks carry.

use crate::monotonic::MonotonicContext;
use parking_lot::Mutex;
use std::fmt::Debug;
use vitals::held_clock::HeldClock;

/// What a node takes for the time. Durations and deadlines never come from here.
pub trait NodeClock: Debug + Send + Sync + 'static {
    /// The node's time, milliseconds since 1970: the machine's clock, held through its steps.
    fn now_ms(&self) -> u64;
    /// What the machine's clock shows, milliseconds since 1970.
    fn machine_ms(&self) -> u64;
}

/// The clock of the machine it runs on.
#[derive(Debug)]
pub(crate) struct MachineClock {
    context: MonotonicContext,
    held: Mutex<HeldClock>,
}

impl MachineClock {
    pub(crate) fn new(context: MonotonicContext) -> Self {
        let held = Mutex::new(HeldClock::new(context.machine_ms(), context.elapsed_ms()));
        Self { context, held }
    }
}

impl NodeClock for MachineClock {
    fn now_ms(&self) -> u64 {
        self.held.lock().read(self.context.machine_ms(), self.context.elapsed_ms())
    }

    fn machine_ms(&self) -> u64 {
        self.context.machine_ms()
    }
}
