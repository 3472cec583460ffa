//! The state of one condition: two opinions, one episode.

use vitals::alarm::{Alarm, AlarmEvent, Condition, Happening, Priority};

/// An episode the bedside has not called over is held open at most this long after the node itself
/// sees the value back within limits: the bedside may have restarted and forgotten it.
const BEDSIDE_HOLD_MS: u64 = 60_000;

/// One condition of one patient: what the node and the bedside say of it, and the episode that follows.
#[derive(Debug, Clone)]
pub(super) struct AlarmState {
    pub(super) alarm: Alarm,
    pub(super) owner: Option<String>,
    pub(super) escalated: u8,
    /// What the node's own evaluation says.
    pub(super) own: Option<Priority>,
    pub(super) own_over: bool,
    pub(super) own_over_since_ms: u64,
    /// What the bedside says, and since when.
    pub(super) bedside: Option<(Priority, u64)>,
}

impl AlarmState {
    pub(super) fn new(condition: Condition) -> Self {
        Self {
            alarm: Alarm::new(condition),
            owner: None,
            escalated: 0,
            own: None,
            own_over: true,
            own_over_since_ms: 0,
            bedside: None,
        }
    }

    /// Both opinions, put to the one machine.
    pub(super) fn put(&mut self, value: i32, persistence_ms: u64, at_ms: u64) -> Option<AlarmEvent> {
        let held = self
            .bedside
            .filter(|_| !self.own_over || at_ms.saturating_sub(self.own_over_since_ms) < BEDSIDE_HOLD_MS);
        if held.is_none() {
            self.bedside = None;
        }
        let violated = self.own.max(held.map(|(priority, _)| priority));
        let over = self.own_over && held.is_none();
        let event = self.alarm.observe(violated, over, value, persistence_ms, at_ms);
        if event.is_some_and(|e| !matches!(e.happening, Happening::Acknowledged | Happening::Recovered)) {
            self.owner = None;
            self.escalated = 0;
        }
        event
    }

    pub(super) fn says(&mut self, violated: Option<Priority>, over: bool, at_ms: u64) {
        if over && !self.own_over {
            self.own_over_since_ms = at_ms;
        }
        self.own = violated;
        self.own_over = over;
    }
}
