//! A machine's clock that a scenario sets, apart from the simulated time that passes.

use commonware_runtime::{Clock as _, Supervisor as _, deterministic::Context};
use consensus::NodeClock;
use parking_lot::Mutex;
use std::{
    fmt,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};
use vitals::held_clock::{ClockStep, HeldClock};

/// The simulation begins at this time, milliseconds since 1970, so that a clock can be set back by days.
const BEGINS_MS: u64 = 100 * 86_400_000;

/// The clock of one node. Clones are the same clock.
#[derive(Clone)]
pub struct SimulatedClock(Arc<Inner>);

struct Inner {
    context: Context,
    state: Mutex<State>,
}

struct State {
    held: HeldClock,
    off: Off,
}

/// How wrong a machine's clock is.
#[derive(Debug, Clone, Copy, Default)]
struct Off {
    by_ms: i64,
    drift_ms_per_s: i64,
    since_ms: u64,
}

impl Off {
    fn at(self, elapsed_ms: u64) -> i64 {
        let drifted_s = i64::try_from(elapsed_ms.saturating_sub(self.since_ms)).unwrap_or(i64::MAX);
        self.by_ms.saturating_add(self.drift_ms_per_s.saturating_mul(drifted_s) / 1_000)
    }
}

impl fmt::Debug for SimulatedClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedClock").field("off", &self.0.state.lock().off).finish_non_exhaustive()
    }
}

fn elapsed_ms(context: &Context) -> u64 {
    let elapsed = context.current().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

impl SimulatedClock {
    /// The clock of a node that starts now, wrong by `off_ms`.
    #[must_use]
    pub fn new(context: &Context, off_ms: i64) -> Self {
        let context = context.child("node_clock");
        let (elapsed_ms, off) = (elapsed_ms(&context), Off { by_ms: off_ms, ..Off::default() });
        let held = HeldClock::new(shown(elapsed_ms, off), elapsed_ms);
        Self(Arc::new(Inner { context, state: Mutex::new(State { held, off }) }))
    }

    /// As it is, but a step is believed after this time.
    #[must_use]
    pub fn believing_after(self, ms: u64) -> Self {
        {
            let mut state = self.0.state.lock();
            state.held = state.held.clone().believing_after(ms);
        }
        self
    }

    /// Sets the machine's clock to the true time and this much more; from there it drifts.
    pub fn set(&self, by_ms: i64, drift_ms_per_s: i64) {
        let since_ms = elapsed_ms(&self.0.context);
        self.0.state.lock().off = Off { by_ms, drift_ms_per_s, since_ms };
    }

    /// How far the machine's clock is ahead of the true time, milliseconds.
    #[must_use]
    pub fn off_ms(&self) -> i64 {
        self.0.state.lock().off.at(elapsed_ms(&self.0.context))
    }

    /// The step that is named now.
    #[must_use]
    pub fn step(&self) -> Option<ClockStep> {
        let _ = self.now_ms();
        self.0.state.lock().held.step()
    }

    /// The true time, milliseconds since 1970.
    #[must_use]
    pub fn true_ms(&self) -> u64 {
        BEGINS_MS + elapsed_ms(&self.0.context)
    }
}

fn shown(elapsed_ms: u64, off: Off) -> u64 {
    (BEGINS_MS + elapsed_ms).saturating_add_signed(off.at(elapsed_ms))
}

impl NodeClock for SimulatedClock {
    fn now_ms(&self) -> u64 {
        let elapsed_ms = elapsed_ms(&self.0.context);
        let mut state = self.0.state.lock();
        let shown = shown(elapsed_ms, state.off);
        state.held.read(shown, elapsed_ms)
    }

    fn machine_ms(&self) -> u64 {
        shown(elapsed_ms(&self.0.context), self.0.state.lock().off)
    }
}
