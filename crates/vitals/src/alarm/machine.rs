//! The machine of one condition.

use super::{AlarmEvent, AlarmEventKind, Condition, Priority};
use crate::ids::PersonId;
use core::fmt;

/// Where an alarm stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No violation.
    Normal,
    /// Violated, not long enough yet.
    Pending {
        /// Since when, milliseconds.
        since_ms: u64,
    },
    /// Raised, nobody has answered.
    Active,
    /// Raised, somebody has answered.
    Acknowledged,
    /// Over, but nobody has answered: stays visible (latched).
    Recovered,
}

/// Longest silence that can be asked for.
pub const SILENCE_MAX_MS: u64 = 120_000;
/// Unanswered high alarms escalate after these times.
pub const ESCALATE_AFTER_MS: [u64; 3] = [60_000, 180_000, 300_000];

/// The machine of one condition. It never reads a clock: every call gives the time.
#[derive(Clone, PartialEq, Eq)]
pub struct Alarm {
    condition: Condition,
    state: State,
    priority: Priority,
    /// Since when a worse priority is seen; it counts only once it has persisted.
    worse_since_ms: Option<u64>,
    episode: u32,
    raised_at_ms: u64,
    active_since_ms: u64,
    /// Asked for at the first time, lasting until the second. A clock set back ends it.
    silenced_ms: (u64, u64),
    inhibited: bool,
    escalated: u8,
    value: i32,
}

// The value stays out of logs and errors, also where an alarm is printed.
impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alarm")
            .field("condition", &self.condition)
            .field("state", &self.state)
            .field("priority", &self.priority)
            .field("episode", &self.episode)
            .finish_non_exhaustive()
    }
}

impl Alarm {
    /// A quiet alarm.
    #[must_use]
    pub fn new(condition: Condition) -> Self {
        Self {
            condition,
            state: State::Normal,
            priority: Priority::Technical,
            worse_since_ms: None,
            episode: 0,
            raised_at_ms: 0,
            active_since_ms: 0,
            silenced_ms: (0, 0),
            inhibited: false,
            escalated: 0,
            value: 0,
        }
    }

    /// What it watches for.
    #[must_use]
    pub fn condition(&self) -> Condition {
        self.condition
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Priority of the open episode.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// Number of the current or last episode, from 1.
    #[must_use]
    pub fn episode(&self) -> u32 {
        self.episode
    }

    /// The same, whose current or last episode has this number.
    #[must_use]
    pub fn numbered(self, episode: u32) -> Self {
        Self { episode, ..self }
    }

    /// When the open episode was raised.
    #[must_use]
    pub fn raised_at_ms(&self) -> u64 {
        self.raised_at_ms
    }

    /// Since when it has asked for an answer, milliseconds: it was raised, got worse or came back then. An
    /// answer given before is none to it.
    #[must_use]
    pub fn active_since_ms(&self) -> u64 {
        self.active_since_ms
    }

    /// The value that decided last, raw units.
    #[must_use]
    pub fn value(&self) -> i32 {
        self.value
    }

    /// Is an episode open?
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Active | State::Acknowledged | State::Recovered)
    }

    /// Silenced now?
    #[must_use]
    pub fn is_silenced(&self, now_ms: u64) -> bool {
        (self.silenced_ms.0..self.silenced_ms.1).contains(&now_ms)
    }

    /// Until when the sound is off, milliseconds; in the past when it is on.
    #[must_use]
    pub fn silenced_until_ms(&self) -> u64 {
        self.silenced_ms.1
    }

    /// Held back by a technical alarm?
    #[must_use]
    pub fn is_inhibited(&self) -> bool {
        self.inhibited
    }

    /// Should a buzzer sound now? Also while it is held back: losing sight of a patient is no answer to
    /// an alarm about them.
    #[must_use]
    pub fn sounds(&self, now_ms: u64) -> bool {
        self.state == State::Active && !self.is_silenced(now_ms)
    }

    fn event(&self, now_ms: u64, kind: AlarmEventKind, by: PersonId) -> AlarmEvent {
        AlarmEvent {
            at_ms: now_ms,
            condition: self.condition,
            episode: self.episode,
            kind,
            priority: self.priority,
            value: self.value,
            by,
        }
    }

    fn machine(&self, now_ms: u64, kind: AlarmEventKind) -> AlarmEvent {
        self.event(now_ms, kind, PersonId([0; 32]))
    }

    /// A technical alarm holds this one back (or lets go): nothing is raised on stale or absent
    /// data, and nothing open recovers or falls silent by it.
    pub fn inhibit(&mut self, inhibited: bool) {
        self.inhibited = inhibited;
        if inhibited {
            self.worse_since_ms = None;
            if matches!(self.state, State::Pending { .. }) {
                self.state = State::Normal;
            }
        }
    }

    /// For so many milliseconds until now nothing could be observed: they do not count as part of a
    /// violation that has not lasted long enough yet, and do not end it.
    pub fn interrupted(&mut self, for_ms: u64, now_ms: u64) {
        let later = |since_ms: u64| since_ms.saturating_add(for_ms).min(now_ms);
        if let State::Pending { since_ms } = self.state {
            self.state = State::Pending { since_ms: later(since_ms) };
        }
        self.worse_since_ms = self.worse_since_ms.map(later);
    }

    /// A fresh observation: the priority it violates (or none), whether it is clearly over, and the
    /// value. `persistence_ms` is how long a violation must last.
    pub fn observe(
        &mut self,
        violated: Option<Priority>,
        recovered: bool,
        value: i32,
        persistence_ms: u64,
        now_ms: u64,
    ) -> Option<AlarmEvent> {
        if self.inhibited {
            return None;
        }
        match (self.state, violated) {
            (State::Normal, Some(priority)) => {
                self.state = State::Pending { since_ms: now_ms };
                self.priority = priority;
                self.value = value;
                self.observe_pending(now_ms, now_ms, priority, value, persistence_ms)
            }
            (State::Pending { since_ms }, Some(priority)) => {
                self.observe_pending(since_ms, now_ms, priority, value, persistence_ms)
            }
            (State::Pending { .. }, None) => {
                self.state = State::Normal;
                None
            }
            (State::Active | State::Acknowledged, Some(priority)) => {
                self.observe_open(priority, value, persistence_ms, now_ms)
            }
            (State::Recovered, Some(priority)) => {
                self.state = State::Active;
                self.active_since_ms = now_ms;
                if priority > self.priority {
                    self.worsen(priority, now_ms);
                }
                self.value = value;
                Some(self.machine(now_ms, AlarmEventKind::Returned))
            }
            (State::Active, None) if recovered => {
                self.worse_since_ms = None;
                if self.latches() {
                    self.state = State::Recovered;
                    Some(self.machine(now_ms, AlarmEventKind::Recovered))
                } else {
                    Some(self.close(now_ms, PersonId([0; 32])))
                }
            }
            (State::Acknowledged, None) if recovered => Some(self.close(now_ms, PersonId([0; 32]))),
            (State::Active | State::Acknowledged, None) => {
                self.worse_since_ms = None;
                None
            }
            (State::Normal | State::Recovered, None) => None,
        }
    }

    /// High and medium alarms of the patient stay visible until somebody answers.
    fn latches(&self) -> bool {
        self.priority >= Priority::Medium
    }

    fn observe_pending(
        &mut self,
        since_ms: u64,
        now_ms: u64,
        priority: Priority,
        value: i32,
        persistence_ms: u64,
    ) -> Option<AlarmEvent> {
        self.priority = priority;
        self.value = value;
        // After a clock was set back, persistence counts from now, not from a time still to come.
        let since_ms = since_ms.min(now_ms);
        self.state = State::Pending { since_ms };
        if now_ms - since_ms < persistence_ms {
            return None;
        }
        self.state = State::Active;
        self.episode = self.episode.saturating_add(1);
        self.raised_at_ms = now_ms;
        self.active_since_ms = now_ms;
        self.silenced_ms = (0, 0);
        self.escalated = 0;
        self.worse_since_ms = None;
        Some(self.machine(now_ms, AlarmEventKind::Raised))
    }

    fn observe_open(
        &mut self,
        priority: Priority,
        value: i32,
        persistence_ms: u64,
        now_ms: u64,
    ) -> Option<AlarmEvent> {
        if priority <= self.priority {
            self.worse_since_ms = None;
            self.value = value;
            return None;
        }
        let since_ms = self.worse_since_ms.map_or(now_ms, |since_ms| since_ms.min(now_ms));
        self.worse_since_ms = Some(since_ms);
        if now_ms - since_ms < persistence_ms {
            return None;
        }
        self.state = State::Active;
        self.value = value;
        self.worsen(priority, now_ms);
        Some(self.machine(now_ms, AlarmEventKind::Worsened))
    }

    /// A worse priority: silence ends, and escalation starts again.
    fn worsen(&mut self, priority: Priority, now_ms: u64) {
        self.worse_since_ms = None;
        self.priority = priority;
        self.raised_at_ms = now_ms;
        self.active_since_ms = now_ms;
        self.silenced_ms = (0, 0);
        self.escalated = 0;
    }

    fn close(&mut self, now_ms: u64, by: PersonId) -> AlarmEvent {
        let event = self.event(now_ms, AlarmEventKind::Closed, by);
        self.state = State::Normal;
        self.silenced_ms = (0, 0);
        self.worse_since_ms = None;
        event
    }

    /// Somebody answers. A recovered episode is closed by it.
    pub fn acknowledge(&mut self, by: PersonId, now_ms: u64) -> Option<AlarmEvent> {
        match self.state {
            State::Active => {
                self.state = State::Acknowledged;
                Some(self.event(now_ms, AlarmEventKind::Acknowledged, by))
            }
            State::Recovered => Some(self.close(now_ms, by)),
            State::Normal | State::Pending { .. } | State::Acknowledged => None,
        }
    }

    /// Somebody turns the sound off for a while (at most [`SILENCE_MAX_MS`]). Not an answer. Also after one:
    /// a bedside that has not received the answer goes on ringing.
    pub fn silence(&mut self, by: PersonId, for_ms: u64, now_ms: u64) -> Option<AlarmEvent> {
        if !matches!(self.state, State::Active | State::Acknowledged) {
            return None;
        }
        self.silenced_ms = (now_ms, now_ms.saturating_add(for_ms.min(SILENCE_MAX_MS)));
        Some(self.event(now_ms, AlarmEventKind::Silenced, by))
    }

    /// Somebody turns the sound on again before the silence is over.
    pub fn end_silence(&mut self, by: PersonId, now_ms: u64) -> Option<AlarmEvent> {
        if !self.is_open() || !self.is_silenced(now_ms) {
            return None;
        }
        self.silenced_ms = (0, 0);
        Some(self.event(now_ms, AlarmEventKind::SilenceEnded, by))
    }

    /// When [`Alarm::tick`] has something to do next, milliseconds; none while only an observation or
    /// a person can change anything.
    #[must_use]
    pub fn next_tick_ms(&self) -> Option<u64> {
        if self.state != State::Active || self.priority != Priority::High {
            return None;
        }
        let after_ms = *ESCALATE_AFTER_MS.get(usize::from(self.escalated))?;
        Some(self.raised_at_ms.saturating_add(after_ms))
    }

    /// The time of an answer is over and the violation still stands: it rings again.
    pub fn end_answer(&mut self, now_ms: u64) -> Option<AlarmEvent> {
        if self.state != State::Acknowledged {
            return None;
        }
        self.state = State::Active;
        self.raised_at_ms = now_ms;
        self.active_since_ms = now_ms;
        self.silenced_ms = (0, 0);
        self.escalated = 0;
        Some(self.machine(now_ms, AlarmEventKind::Returned))
    }

    /// Time passes: an unanswered high alarm escalates, step by step. The event's value is the step.
    pub fn tick(&mut self, now_ms: u64) -> Option<AlarmEvent> {
        if now_ms < self.silenced_ms.0 {
            // The clock was set back: two minutes must not become an hour.
            self.silenced_ms = (0, 0);
        }
        if self.state != State::Active || self.priority != Priority::High {
            return None;
        }
        let after_ms = *ESCALATE_AFTER_MS.get(usize::from(self.escalated))?;
        self.raised_at_ms = self.raised_at_ms.min(now_ms);
        if now_ms - self.raised_at_ms < after_ms {
            return None;
        }
        self.escalated += 1;
        let mut event = self.machine(now_ms, AlarmEventKind::Escalated);
        event.value = i32::from(self.escalated);
        Some(event)
    }
}
