//! What the wall and the head of a patient's page draw: values now, alarms, limits, beds.

use super::orders::About;
use crate::anchoring::EnvelopeRef;
use crate::health::LedgerHealth;
use core::cmp::Reverse;
use vitals::alarm::{Condition, Limits, Priority, Side, Unwatched};
use vitals::envelope::ClockQuality;
use vitals::ids::{Class, StreamId};
use vitals::metric::{Absence, Metric, Sample};
use vitals::{DeviceId, PatientId};

silent_debug!(
    ValueNow,
    SparkPoint,
    AlarmView,
    Technical,
    TemporaryLimits,
    LimitsBack,
    OrderView,
    Tile,
    SilentGateway,
    UnwatchedBed,
    Wall,
    HiddenBed,
    HiddenAlarm,
);

/// The newest sample of one metric.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ValueNow {
    /// What.
    pub metric: Metric,
    /// The sample.
    pub sample: Sample,
    /// When it was measured, milliseconds, by its author's clock.
    pub at_ms: u64,
    /// When that was by this node's clock, as far as is known: what its age is counted from.
    pub here_ms: u64,
    /// The envelope that brought it.
    pub envelope: EnvelopeRef,
}

impl ValueNow {
    /// Milliseconds since it was measured.
    #[must_use]
    pub fn age_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.here_ms)
    }
}

/// One point of a wall tile's small curve: the lowest and highest value of a slice of time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SparkPoint {
    /// Start of the slice, milliseconds.
    pub at_ms: u64,
    /// Lowest value in it, raw units.
    pub low: i32,
    /// Highest value in it, raw units.
    pub high: i32,
}

/// Where an alarm stands, as people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlarmPhase {
    /// Raised; nobody has answered.
    Active,
    /// Raised; somebody has answered.
    Acknowledged,
    /// Over, unanswered: stays visible.
    Recovered,
    /// The episode is over.
    Closed,
}

/// One episode of one condition of one patient.
#[derive(Clone, PartialEq, Eq)]
pub struct AlarmView {
    /// Whose.
    pub patient: PatientId,
    /// What is wrong.
    pub condition: Condition,
    /// Counts the episodes of this condition at this node.
    pub episode: u32,
    /// How urgent.
    pub priority: Priority,
    /// Where it stands.
    pub phase: AlarmPhase,
    /// The value that decided it, raw units of the condition's metric; 0 for technical alarms.
    pub value: i32,
    /// When it was raised, milliseconds.
    pub raised_at_ms: u64,
    /// Since when it has asked for an answer: it was raised, got worse or came back then.
    pub active_since_ms: u64,
    /// Who answered it.
    pub owner: Option<String>,
    /// The sound is off until then, milliseconds; in the past when it is on.
    pub silenced_until_ms: u64,
    /// Held back by a technical alarm: its values are not to be trusted now.
    pub inhibited: bool,
    /// Steps of escalation so far; 0 to 3.
    pub escalated: u8,
}

/// What somebody saw of an alarm before they acted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenAlarm {
    /// How urgent it was.
    pub priority: Priority,
    /// Since when it had asked for an answer, milliseconds.
    pub active_since_ms: u64,
}

impl SeenAlarm {
    /// Is it still what was seen? Not if it got worse or came back meanwhile.
    #[must_use]
    pub fn covers(self, now: &AlarmView) -> bool {
        now.priority <= self.priority && now.active_since_ms <= self.active_since_ms
    }
}

/// The alarm that somebody acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlarmRef {
    /// What is wrong.
    pub condition: Condition,
    /// What they saw of it; without it they act on whatever stands now.
    pub seen: Option<SeenAlarm>,
}

impl From<Condition> for AlarmRef {
    fn from(condition: Condition) -> Self {
        Self { condition, seen: None }
    }
}

impl AlarmView {
    /// What a person who sees this view has seen of the alarm.
    #[must_use]
    pub fn seen(&self) -> SeenAlarm {
        SeenAlarm { priority: self.priority, active_since_ms: self.active_since_ms }
    }

    /// Is something wrong now, answered or not?
    #[must_use]
    pub fn is_active(&self) -> bool {
        matches!(self.phase, AlarmPhase::Active | AlarmPhase::Acknowledged)
    }

    /// Its place among all alarms.
    #[must_use]
    pub fn urgency(&self) -> Urgency {
        let answered = self.phase != AlarmPhase::Active;
        (!self.is_active(), Reverse(self.priority), answered, self.raised_at_ms)
    }
}

/// The one order of alarms, on tiles, strips and in counts, ascending: what is wrong now before what is over,
/// then the more urgent, then what nobody has answered, then the older.
pub type Urgency = (bool, Reverse<Priority>, bool, u64);

/// The state of a patient's equipment.
#[derive(Clone, PartialEq, Eq)]
pub struct Technical {
    /// Nothing fresh from the bedside: values are grey and struck through.
    pub stale: bool,
    /// How old the newest value may be before it is stale, milliseconds: by what the sensors announced.
    pub stale_after_ms: u64,
    /// Time of the newest reading by this node's clock, milliseconds; none before the first.
    pub last_ms: Option<u64>,
    /// Sensors that give no usable signal, and why.
    pub absent: Vec<(Metric, Absence)>,
    /// How far the bedside trusts its clock.
    pub clock: ClockQuality,
    /// How far that clock is wrong, milliseconds: positive when it is behind. None while it is right.
    pub clock_off_ms: Option<i64>,
    /// Streams with missing envelopes.
    pub missing: Vec<Missing>,
}

/// Missing envelopes of one stream, told while they are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The stream.
    pub stream: StreamId,
    /// Its class.
    pub class: Class,
    /// How many envelopes.
    pub count: u64,
    /// Which, as inclusive ranges of sequence numbers; the first few when there are many.
    pub seqs: Vec<(u64, u64)>,
    /// When this node noticed, milliseconds.
    pub since_ms: u64,
}

/// What is wrong with one patient's streams and clock, for the operator: nothing clinical.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Equipment {
    /// Whose.
    pub patient: PatientId,
    /// Missing envelopes.
    pub missing: Vec<Missing>,
    /// As in [`Technical`].
    pub clock_off_ms: Option<i64>,
    /// Set while two devices write one of the patient's streams under one identity: since when, milliseconds.
    pub forked_since_ms: Option<u64>,
}

/// Limits of one metric that hold for a while.
#[derive(Clone, PartialEq, Eq)]
pub struct TemporaryLimits {
    /// The metric.
    pub metric: Metric,
    /// The sides on which nothing raises an alarm now, and usually something does.
    pub off: Vec<Side>,
    /// Who changed them.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when, milliseconds.
    pub since_ms: u64,
    /// Until when, milliseconds.
    pub until_ms: u64,
    /// The limits that come back then.
    pub back: Limits,
}

/// Limits that came back by themselves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LimitsBack {
    /// The metric.
    pub metric: Metric,
    /// When, milliseconds.
    pub at_ms: u64,
}

/// Where an order to a bedside stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderState {
    /// Asked for; the bedside has not said anything yet.
    Asked {
        /// Set while the bedside is away: when it was heard last, milliseconds, if it ever was.
        away_since_ms: Option<Option<u64>>,
    },
    /// In force at the bedside.
    InForce,
    /// In force, no wider than the bedside allows.
    Narrowed,
    /// Its time is over at the bedside; the stricter limits are in force there.
    Ended,
    /// The bedside had no such alarm.
    Nothing,
    /// Refused there, and why.
    Refused(vitals::command::Outcome),
    /// Its time was over before the bedside said anything.
    Undelivered,
}

/// What was asked of a bedside, and what is in force there.
#[derive(Clone, PartialEq, Eq)]
pub struct OrderView {
    /// The answer or pause of an alarm, or the limits of a metric.
    pub about: About,
    /// It ends a pause instead of beginning one.
    pub ends: bool,
    /// Where it stands.
    pub state: OrderState,
    /// When it was asked for, milliseconds.
    pub asked_at_ms: u64,
    /// When the bedside's word came, milliseconds.
    pub answered_at_ms: Option<u64>,
    /// In force until this time, milliseconds.
    pub until_ms: u64,
    /// The limits in force at the bedside, as it said last.
    pub limits: Option<Limits>,
}

/// One patient on the wall, and the head of the patient's page.
#[derive(Clone, PartialEq, Eq)]
pub struct Tile {
    /// Who.
    pub patient: PatientId,
    /// Name; empty when the consent does not cover the profile.
    pub name: String,
    /// Bed or place; empty when the consent does not cover the profile.
    pub bed: String,
    /// Newest sample per metric, in metric order.
    pub values: Vec<ValueNow>,
    /// Heart rate of the last two hours.
    pub sparkline: Vec<SparkPoint>,
    /// Open episodes, by [`AlarmView::urgency`].
    pub alarms: Vec<AlarmView>,
    /// Sensor and link state.
    pub technical: Technical,
    /// Limits in force.
    pub limits: Vec<Limits>,
    /// Those of them that are changed for a while; an alarm that is off is among them.
    pub temporary: Vec<TemporaryLimits>,
    /// Those that came back by themselves a short while ago.
    pub limits_back: Vec<LimitsBack>,
    /// Why nobody watches; none while somebody does, or nothing is expected.
    pub unwatched: Option<Unwatched>,
    /// When the patient's consent to monitoring ends, milliseconds; none while nobody watches.
    pub watch_ends_ms: Option<u64>,
    /// What was asked of the bedsides, and what is in force there.
    pub orders: Vec<OrderView>,
}

/// A bed that sends data and that nobody watches. It does not name its patient.
#[derive(Clone, PartialEq, Eq)]
pub struct UnwatchedBed {
    /// Its patient, by id.
    pub patient: PatientId,
    /// Its place; empty while unknown.
    pub place: String,
    /// Why nobody watches.
    pub why: Unwatched,
    /// Since when, milliseconds.
    pub since_ms: u64,
    /// Who answered for it: when (milliseconds), name, reason. Then it is no alarm any more.
    pub ended: Option<(u64, String, String)>,
    /// The alarm, while it is open.
    pub alarm: Option<AlarmView>,
}

impl Tile {
    /// The newest sample of a metric.
    #[must_use]
    pub fn value(&self, metric: Metric) -> Option<&ValueNow> {
        self.values.iter().find(|value| value.metric == metric)
    }
}

/// A gateway behind which every bed is silent: one alarm for all of them.
#[derive(Clone, PartialEq, Eq)]
pub struct SilentGateway {
    /// The gateway.
    pub gateway: DeviceId,
    /// The beds' own alarms, which it stands for; they are in the strip as well.
    pub alarms: Vec<AlarmView>,
}

/// The doctor's wall: positions never move, alarms are repeated in a strip above.
#[derive(Clone, PartialEq, Eq)]
pub struct Wall {
    /// One tile per monitored patient, by bed, then id.
    pub tiles: Vec<Tile>,
    /// Open alarms of all tiles, by [`AlarmView::urgency`].
    pub strip: Vec<AlarmView>,
    /// Gateways behind which every bed shown is silent.
    pub gateways: Vec<SilentGateway>,
    /// Beds whose values may not be shown now, by [`HiddenBed::urgency`], then by place and id.
    pub hidden: Vec<HiddenBed>,
    /// Beds that send data and that nobody watches.
    pub unwatched: Vec<UnwatchedBed>,
    /// Patients of this node who do not consent to monitoring and from whom nothing is expected (they
    /// are not shown).
    pub unmonitored: usize,
    /// The ledger.
    pub ledger: LedgerHealth,
    /// When the wall was put together, milliseconds.
    pub at_ms: u64,
}

/// Why a bed stands on the wall without its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hidden {
    /// The policy of the patient's consent could not be asked.
    PolicySilent,
    /// The entry of the access log that comes before the first value could not be written.
    NotRecorded,
    /// The ledger does not answer whether the consent stands.
    LedgerDown,
}

/// The alarm of a hidden bed: neither its condition nor a value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HiddenAlarm {
    /// How urgent.
    pub priority: Priority,
    /// Nobody has answered it.
    pub rings: bool,
    /// The sound is off until then, milliseconds; in the past when it is on.
    pub silenced_until_ms: u64,
    /// When it was raised, milliseconds.
    pub raised_at_ms: u64,
}

/// A bed whose values may not be shown now: no more than sends somebody there.
#[derive(Clone, PartialEq, Eq)]
pub struct HiddenBed {
    /// Whose.
    pub patient: PatientId,
    /// Bed or place; empty while unknown.
    pub place: String,
    /// Why.
    pub why: Hidden,
    /// Does the alarm engine watch it?
    pub watched: bool,
    /// The most urgent of its alarms; one that rings before one that somebody has answered.
    pub alarm: Option<HiddenAlarm>,
}

impl HiddenBed {
    /// Its place among all alarms. Without an alarm it counts as a technical one: the first of them if nobody watches
    /// the bed, else as one that is answered.
    #[must_use]
    pub fn urgency(&self) -> Urgency {
        match self.alarm {
            Some(alarm) => (false, Reverse(alarm.priority), !alarm.rings, alarm.raised_at_ms),
            None if self.watched => (false, Reverse(Priority::Technical), true, u64::MAX),
            None => (false, Reverse(Priority::Technical), false, 0),
        }
    }
}
