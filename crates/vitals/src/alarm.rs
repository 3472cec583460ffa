//! The alarm state machine, shared by board, gateway and node: pure, one per patient and condition.
//!
//! `normal → pending → active → acknowledged → recovered → closed`, with silence and inhibition as
//! separate flags. Priorities and their presentation are modelled on IEC 60601-1-8; no conformance
//! is claimed.

use crate::cbor::{NotCanonical, Reader, Writer};
use crate::ids::PersonId;
use crate::metric::Metric;
use alloc::vec::Vec;

/// How urgent. Ordered: `Low < Medium < High`. Technical alarms stand apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Priority {
    /// Equipment, not the patient: cyan.
    Technical = 0,
    /// Awareness.
    Low = 1,
    /// Prompt response.
    Medium = 2,
    /// Immediate response.
    High = 3,
}

impl Priority {
    /// The priority with this wire code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::Technical, Self::Low, Self::Medium, Self::High].into_iter().find(|p| *p as u8 == code)
    }

    /// The mark shown beside the colour: never colour alone.
    #[must_use]
    pub fn stars(self) -> &'static str {
        match self {
            Self::Technical => "",
            Self::Low => "*",
            Self::Medium => "**",
            Self::High => "***",
        }
    }

    /// The word shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Technical => "technical",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// What is wrong. One open episode per patient and condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// The metric is above its limit.
    Above(Metric),
    /// The metric is below its limit.
    Below(Metric),
    /// The metric's sensor gives no usable signal.
    SensorOff(Metric),
    /// No data from the patient's board for too long.
    Stale,
    /// An author signed two different envelopes for one sequence number.
    Equivocation,
    /// Envelopes are missing in a stream.
    Gap,
}

impl Condition {
    /// The wire code.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::Above(metric) => 0x100 | u16::from(metric.code()),
            Self::Below(metric) => 0x200 | u16::from(metric.code()),
            Self::SensorOff(metric) => 0x300 | u16::from(metric.code()),
            Self::Stale => 0x400,
            Self::Equivocation => 0x401,
            Self::Gap => 0x402,
        }
    }

    /// The condition with this wire code.
    #[must_use]
    pub fn from_code(code: u16) -> Option<Self> {
        let [kind, low] = code.to_be_bytes();
        Some(match (kind, low) {
            (1, metric) => Self::Above(Metric::from_code(metric)?),
            (2, metric) => Self::Below(Metric::from_code(metric)?),
            (3, metric) => Self::SensorOff(Metric::from_code(metric)?),
            (4, 0) => Self::Stale,
            (4, 1) => Self::Equivocation,
            (4, 2) => Self::Gap,
            _ => return None,
        })
    }

    /// Equipment, not the patient?
    #[must_use]
    pub fn is_technical(self) -> bool {
        !matches!(self, Self::Above(_) | Self::Below(_))
    }

    /// The metric concerned, if one is.
    #[must_use]
    pub fn metric(self) -> Option<Metric> {
        match self {
            Self::Above(metric) | Self::Below(metric) | Self::SensorOff(metric) => Some(metric),
            Self::Stale | Self::Equivocation | Self::Gap => None,
        }
    }
}

/// Limits of one metric: a threshold per priority and side, in raw units of the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The metric.
    pub metric: Metric,
    /// A value at or above is an alarm of this priority: low, medium, high; ascending.
    pub above: [Option<i32>; 3],
    /// A value at or below is an alarm of this priority: low, medium, high; descending.
    pub below: [Option<i32>; 3],
    /// A raised alarm recovers only this far inside its lowest limit.
    pub hysteresis: i32,
    /// A violation must last this long before it is raised.
    pub persistence_ms: u64,
}

/// Bits of [`Limits`] on the wire: which thresholds are there.
const THRESHOLDS: usize = 6;

impl Limits {
    /// Adult defaults from the NEWS2 bands (our mapping to priorities); none for metrics without one.
    #[must_use]
    pub fn adult(metric: Metric) -> Option<Self> {
        let limits = |above, below, hysteresis, persistence_ms| {
            Some(Self { metric, above, below, hysteresis, persistence_ms })
        };
        match metric {
            Metric::HeartRate => limits(
                [Some(910), Some(1110), Some(1310)],
                [None, Some(500), Some(400)],
                20,
                10_000,
            ),
            Metric::BodyTemperature => limits(
                [Some(3810), Some(3910), None],
                [Some(3600), None, Some(3500)],
                20,
                15_000,
            ),
            Metric::AmbientTemperature => limits([Some(300), None, None], [Some(160), None, None], 5, 60_000),
            Metric::Co2 => limits([Some(2000), None, None], [None; 3], 100, 60_000),
            Metric::Pm25 => limits([Some(554), Some(1254), None], [None; 3], 20, 15_000),
            _ => None,
        }
    }

    /// The worst priority the value violates on this side.
    #[must_use]
    pub fn violated(&self, side: Side, value: i32) -> Option<Priority> {
        let thresholds = match side {
            Side::Above => &self.above,
            Side::Below => &self.below,
        };
        [Priority::High, Priority::Medium, Priority::Low]
            .into_iter()
            .zip(thresholds.iter().rev())
            .find(|(_, threshold)| {
                threshold.is_some_and(|limit| match side {
                    Side::Above => value >= limit,
                    Side::Below => value <= limit,
                })
            })
            .map(|(priority, _)| priority)
    }

    /// Is the value far enough inside all limits of this side to call it over?
    #[must_use]
    pub fn recovered(&self, side: Side, value: i32) -> bool {
        match side {
            Side::Above => self.violated(side, value.saturating_add(self.hysteresis)).is_none(),
            Side::Below => self.violated(side, value.saturating_sub(self.hysteresis)).is_none(),
        }
    }

    /// Writes `[metric, [thresholds…], hysteresis, persistence]`; an absent threshold is an empty text.
    pub fn write(&self, w: &mut Writer) {
        w.array(4).uint(u64::from(self.metric.code())).array(THRESHOLDS);
        for threshold in self.above.iter().chain(&self.below) {
            match threshold {
                Some(value) => w.array(1).int(i64::from(*value)),
                None => w.array(0),
            };
        }
        w.uint(u64::from(self.hysteresis.unsigned_abs())).uint(self.persistence_ms);
    }

    /// Reads what [`Self::write`] wrote and checks the order of thresholds.
    pub fn read(r: &mut Reader<'_>) -> Result<Self, NotCanonical> {
        r.array(4)?;
        let metric = Metric::from_code(r.u8()?).ok_or(NotCanonical::Unexpected)?;
        let thresholds: Vec<Option<i32>> = {
            r.array(THRESHOLDS)?;
            (0..THRESHOLDS)
                .map(|_| {
                    let value = r.list(1, |r| {
                        i32::try_from(r.int()?).map_err(|_| NotCanonical::TooLong)
                    })?;
                    Ok(value.first().copied())
                })
                .collect::<Result<_, NotCanonical>>()?
        };
        let side = |from: usize| [thresholds[from], thresholds[from + 1], thresholds[from + 2]];
        let hysteresis = i32::try_from(r.uint()?).map_err(|_| NotCanonical::TooLong)?;
        let limits =
            Self { metric, above: side(0), below: side(3), hysteresis, persistence_ms: r.uint()? };
        if limits.in_order() { Ok(limits) } else { Err(NotCanonical::Order) }
    }

    /// Are the thresholds in order: worse priorities further out, and the two sides apart?
    #[must_use]
    pub fn in_order(&self) -> bool {
        let above: Vec<i32> = self.above.iter().flatten().copied().collect();
        let below: Vec<i32> = self.below.iter().flatten().copied().collect();
        above.is_sorted_by(|a, b| a < b)
            && below.is_sorted_by(|a, b| a > b)
            && above.iter().all(|high| below.iter().all(|low| low < high))
    }
}

/// Which side of the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Too high.
    Above,
    /// Too low.
    Below,
}

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

/// What happened to an alarm; each is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Happening {
    /// A new episode began.
    Raised = 1,
    /// The same episode got a worse priority: acknowledgement and silence are void.
    Worsened = 2,
    /// Somebody answered.
    Acknowledged = 3,
    /// Somebody silenced the sound for a time.
    Silenced = 4,
    /// The violation is over, unanswered.
    Recovered = 5,
    /// The violation came back before the episode was closed.
    Returned = 6,
    /// The episode is over.
    Closed = 7,
    /// Unanswered for so long that more people are told (the value is the step).
    Escalated = 8,
}

impl Happening {
    /// The happening with this wire code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        [
            Self::Raised,
            Self::Worsened,
            Self::Acknowledged,
            Self::Silenced,
            Self::Recovered,
            Self::Returned,
            Self::Closed,
            Self::Escalated,
        ]
        .into_iter()
        .find(|happening| *happening as u8 == code)
    }
}

/// One entry of an alarm's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlarmEvent {
    /// When, milliseconds.
    pub at_ms: u64,
    /// What is wrong.
    pub condition: Condition,
    /// Counts the episodes of this condition at this author.
    pub episode: u32,
    /// What happened.
    pub happening: Happening,
    /// How urgent the episode is now.
    pub priority: Priority,
    /// The value that decided it, raw units; 0 for technical alarms.
    pub value: i32,
    /// Who did it; zero when the machine did.
    pub by: PersonId,
}

impl AlarmEvent {
    /// Writes the event.
    pub fn write(&self, w: &mut Writer) {
        w.array(7).uint(self.at_ms).uint(u64::from(self.condition.code()));
        w.uint(u64::from(self.episode)).uint(self.happening as u64);
        w.uint(self.priority as u64).int(i64::from(self.value)).bytes(&self.by.0);
    }

    /// Reads an event.
    pub fn read(r: &mut Reader<'_>) -> Result<Self, NotCanonical> {
        r.array(7)?;
        let at_ms = r.uint()?;
        let code = u16::try_from(r.uint()?).map_err(|_| NotCanonical::TooLong)?;
        Ok(Self {
            at_ms,
            condition: Condition::from_code(code).ok_or(NotCanonical::Unexpected)?,
            episode: r.u32()?,
            happening: Happening::from_code(r.u8()?).ok_or(NotCanonical::Unexpected)?,
            priority: Priority::from_code(r.u8()?).ok_or(NotCanonical::Unexpected)?,
            value: i32::try_from(r.int()?).map_err(|_| NotCanonical::TooLong)?,
            by: PersonId(r.fixed()?),
        })
    }
}

/// Longest silence that can be asked for.
pub const SILENCE_MAX_MS: u64 = 120_000;
/// Unanswered high alarms escalate after these times.
pub const ESCALATE_AFTER_MS: [u64; 3] = [60_000, 180_000, 300_000];

/// The machine of one condition. It never reads a clock: every call says what time it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    condition: Condition,
    state: State,
    priority: Priority,
    /// Worse priority seen, and since when; raised only once it has persisted.
    worse: Option<(Priority, u64)>,
    episode: u32,
    raised_at_ms: u64,
    silenced_until_ms: u64,
    inhibited: bool,
    escalated: u8,
    value: i32,
}

impl Alarm {
    /// A quiet alarm.
    #[must_use]
    pub fn new(condition: Condition) -> Self {
        Self {
            condition,
            state: State::Normal,
            priority: Priority::Technical,
            worse: None,
            episode: 0,
            raised_at_ms: 0,
            silenced_until_ms: 0,
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

    /// When the open episode was raised.
    #[must_use]
    pub fn raised_at_ms(&self) -> u64 {
        self.raised_at_ms
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
        now_ms < self.silenced_until_ms
    }

    /// Until when the sound is off, milliseconds; in the past when it is on.
    #[must_use]
    pub fn silenced_until_ms(&self) -> u64 {
        self.silenced_until_ms
    }

    /// Held back by a technical alarm?
    #[must_use]
    pub fn is_inhibited(&self) -> bool {
        self.inhibited
    }

    /// Should a buzzer sound now?
    #[must_use]
    pub fn sounds(&self, now_ms: u64) -> bool {
        self.state == State::Active && !self.is_silenced(now_ms) && !self.inhibited
    }

    fn event(&self, now_ms: u64, happening: Happening, by: PersonId) -> AlarmEvent {
        AlarmEvent {
            at_ms: now_ms,
            condition: self.condition,
            episode: self.episode,
            happening,
            priority: self.priority,
            value: self.value,
            by,
        }
    }

    fn machine(&self, now_ms: u64, happening: Happening) -> AlarmEvent {
        self.event(now_ms, happening, PersonId([0; 32]))
    }

    /// A technical alarm holds this one back (or lets go): nothing is raised on stale or absent
    /// data, and nothing open recovers by it.
    pub fn inhibit(&mut self, inhibited: bool) {
        self.inhibited = inhibited;
        if inhibited {
            self.worse = None;
            if matches!(self.state, State::Pending { .. }) {
                self.state = State::Normal;
            }
        }
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
                self.priority = self.priority.max(priority);
                self.value = value;
                Some(self.machine(now_ms, Happening::Returned))
            }
            (State::Active, None) if recovered => {
                self.worse = None;
                if self.latches() {
                    self.state = State::Recovered;
                    Some(self.machine(now_ms, Happening::Recovered))
                } else {
                    Some(self.close(now_ms, PersonId([0; 32])))
                }
            }
            (State::Acknowledged, None) if recovered => Some(self.close(now_ms, PersonId([0; 32]))),
            (State::Active | State::Acknowledged, None) => {
                self.worse = None;
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
        if now_ms.saturating_sub(since_ms) < persistence_ms {
            return None;
        }
        self.state = State::Active;
        self.episode = self.episode.saturating_add(1);
        self.raised_at_ms = now_ms;
        self.silenced_until_ms = 0;
        self.escalated = 0;
        self.worse = None;
        Some(self.machine(now_ms, Happening::Raised))
    }

    fn observe_open(
        &mut self,
        priority: Priority,
        value: i32,
        persistence_ms: u64,
        now_ms: u64,
    ) -> Option<AlarmEvent> {
        if priority <= self.priority {
            self.worse = None;
            self.value = value;
            return None;
        }
        let (_, since_ms) = *self.worse.get_or_insert((priority, now_ms));
        if now_ms.saturating_sub(since_ms) < persistence_ms {
            return None;
        }
        self.worse = None;
        self.state = State::Active;
        self.priority = priority;
        self.value = value;
        self.raised_at_ms = now_ms;
        self.silenced_until_ms = 0;
        self.escalated = 0;
        Some(self.machine(now_ms, Happening::Worsened))
    }

    fn close(&mut self, now_ms: u64, by: PersonId) -> AlarmEvent {
        let event = self.event(now_ms, Happening::Closed, by);
        self.state = State::Normal;
        self.silenced_until_ms = 0;
        self.worse = None;
        event
    }

    /// Somebody answers. A recovered episode is closed by it.
    pub fn acknowledge(&mut self, by: PersonId, now_ms: u64) -> Option<AlarmEvent> {
        match self.state {
            State::Active => {
                self.state = State::Acknowledged;
                Some(self.event(now_ms, Happening::Acknowledged, by))
            }
            State::Recovered => Some(self.close(now_ms, by)),
            State::Normal | State::Pending { .. } | State::Acknowledged => None,
        }
    }

    /// Somebody turns the sound off for a while (at most [`SILENCE_MAX_MS`]). Not an answer.
    pub fn silence(&mut self, by: PersonId, for_ms: u64, now_ms: u64) -> Option<AlarmEvent> {
        if self.state != State::Active {
            return None;
        }
        self.silenced_until_ms = now_ms.saturating_add(for_ms.min(SILENCE_MAX_MS));
        Some(self.event(now_ms, Happening::Silenced, by))
    }

    /// Time passes: an unanswered high alarm escalates, step by step. The event's value is the step.
    pub fn tick(&mut self, now_ms: u64) -> Option<AlarmEvent> {
        if self.state != State::Active || self.priority != Priority::High {
            return None;
        }
        let after_ms = *ESCALATE_AFTER_MS.get(usize::from(self.escalated))?;
        if now_ms.saturating_sub(self.raised_at_ms) < after_ms {
            return None;
        }
        self.escalated += 1;
        let mut event = self.machine(now_ms, Happening::Escalated);
        event.value = i32::from(self.escalated);
        Some(event)
    }
}
