//! The state of one condition: two opinions, one episode.

use vitals::alarm::{Alarm, AlarmEvent, AlarmEventKind, Condition, Priority};

/// An episode the bedside has not called over is held open at most this long after the node itself
/// sees the value back within limits: the bedside may have restarted and forgotten it.
const BEDSIDE_HOLD_MS: u64 = 60_000;

/// One condition of one patient: what the node and the bedside say of it, and the episode that follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AlarmState {
    pub(super) alarm: Alarm,
    pub(super) owner: Option<String>,
    /// When the owner answered.
    pub(super) answered_ms: u64,
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
            answered_ms: 0,
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
        self.follow(event)
    }

    /// One observation put to the machine, whatever node and bedside say now.
    pub(super) fn observe(
        &mut self,
        violated: Option<Priority>,
        value: i32,
        at_ms: u64,
    ) -> Option<AlarmEvent> {
        let event = self.alarm.observe(violated, violated.is_none(), value, 0, at_ms);
        self.follow(event)
    }

    /// The bedside calls its episode over.
    pub(super) fn bedside_over(&mut self, value: i32, at_ms: u64) -> Option<AlarmEvent> {
        self.bedside = None;
        if self.own.is_none() {
            self.own_over = true;
        }
        self.put(value, 0, at_ms)
    }

    /// What was answered was over and came back: the answer was not for this.
    pub(super) fn ring_again(&mut self, at_ms: u64) -> Option<AlarmEvent> {
        let event = self.alarm.end_answer(at_ms);
        self.follow(event)
    }

    fn follow(&mut self, event: Option<AlarmEvent>) -> Option<AlarmEvent> {
        if event.is_some_and(|e| !matches!(e.kind, AlarmEventKind::Acknowledged | AlarmEventKind::Recovered))
        {
            self.owner = None;
            self.escalated = 0;
        }
        event
    }

    pub(super) fn set_own(&mut self, violated: Option<Priority>, over: bool, at_ms: u64) {
        if over && !self.own_over {
            self.own_over_since_ms = at_ms;
        }
        self.own = violated;
        self.own_over = over;
    }
}
