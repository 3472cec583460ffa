//! What pages draw: plain read models, already decided upon. A view that exists has passed
//! [`crate::policy::decide`] and left its trace; nothing here reaches back into the record.
//!
//! Views hold names and clinical values, so their `Debug` prints the type's name alone.

use vitals::alarm::{Condition, Limits, Priority, Side, Unwatched};
use vitals::body::LimitsChange;
use vitals::envelope::ClockQuality;
use vitals::ids::{Class, Hash, StreamId};
use vitals::ledger::{ActId, DeviceKind, Outcome, Purpose, Revocation, Role};
use vitals::metric::{Absence, Metric, Reading, Sample};
use vitals::{DeviceId, GrantId, PatientId, PersonId};

macro_rules! silent_debug {
    ($($name:ident),* $(,)?) => {
        $(impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(stringify!($name))
            }
        })*
    };
}

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
    Point,
    Series,
    EnvelopeRef,
    AlarmMark,
    LimitsMark,
    Gap,
    Chart,
    AccessView,
    GrantView,
    OwnPage,
    LiveEvent,
    PersonRow
);

/// How far a value is vouched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProofState {
    /// Durable, and in the organisation's log.
    Received,
    /// Covered by a log head handed to the ledger.
    Anchored,
    /// Covered by the finalized log head: anyone can check it offline.
    Final {
        /// Ledger height of the anchor that covers it.
        height: u64,
    },
}

impl ProofState {
    /// The word shown beside a value.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Anchored => "anchored",
            Self::Final { .. } => "final",
        }
    }
}

/// Where an envelope stands, for links to its proof.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EnvelopeRef {
    /// [`vitals::envelope::header_hash`].
    pub hash: Hash,
    /// Leaf index in the organisation's log: names the envelope's proof page.
    pub index: u64,
    /// How far it is vouched for.
    pub proof: ProofState,
}

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
    /// Who answered it.
    pub owner: Option<String>,
    /// The sound is off until then, milliseconds; in the past when it is on.
    pub silenced_until_ms: u64,
    /// Held back by a technical alarm: its values are not to be trusted now.
    pub inhibited: bool,
    /// Steps of escalation so far; 0 to 3.
    pub escalated: u8,
}

impl AlarmView {
    /// Is something wrong now, answered or not?
    #[must_use]
    pub fn is_active(&self) -> bool {
        matches!(self.phase, AlarmPhase::Active | AlarmPhase::Acknowledged)
    }

    /// The one order of alarms, on tiles, strips and in counts: what is wrong now before what is over, then
    /// the more urgent, then what nobody has answered, then the older.
    #[must_use]
    pub fn urgency(&self) -> (bool, core::cmp::Reverse<Priority>, bool, u64) {
        let answered = self.phase != AlarmPhase::Active;
        (!self.is_active(), core::cmp::Reverse(self.priority), answered, self.raised_at_ms)
    }
}

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
    /// Set while two hands write one of the patient's streams: since when, milliseconds.
    pub two_hands_since_ms: Option<u64>,
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
    pub about: crate::About,
    /// It ends a pause instead of beginning one.
    pub ends: bool,
    /// Where it stands.
    pub state: OrderState,
    /// When it was asked for, milliseconds.
    pub asked_at_ms: u64,
    /// When the bedside's word came, milliseconds.
    pub told_at_ms: Option<u64>,
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

/// The node's view of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerHealth {
    /// Height of the last finalized block executed here.
    pub height: u64,
    /// Digest of that block's header, where this node can show it: what a page remembers.
    pub tip: Option<Hash>,
    /// That block's time, milliseconds.
    pub tip_ms: u64,
    /// True when the view is too old to decide anything new upon.
    pub stale: bool,
    /// Milliseconds since that block.
    pub age_ms: u64,
    /// Withdrawn consents that the ledger does not hold yet.
    pub withdrawals_waiting: usize,
    /// Those of them that should have been there long ago ([`crate::LATE_BLOCKS`]).
    pub withdrawals_late: usize,
    /// Leaves in the organisation's log.
    pub log_size: u64,
    /// Leaves covered by anchors handed to the ledger.
    pub anchored_size: u64,
    /// Leaves covered by the finalized anchor.
    pub final_size: u64,
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
    /// Beds that cannot be shown because the policy of their consent could not be asked.
    pub hidden: Vec<HiddenBed>,
    /// Patients of this node who do not consent to monitoring (they are not shown).
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

/// A bed whose patient nobody may see now, because the policy of the consent could not be asked: no more
/// than sends somebody there.
#[derive(Clone, PartialEq, Eq)]
pub struct HiddenBed {
    /// Whose.
    pub patient: PatientId,
    /// Bed or place.
    pub place: String,
    /// The alarm engine goes on under the policy's last answer.
    pub watched: bool,
    /// The worst alarm that nobody has answered there.
    pub alarm: Option<Priority>,
}

/// One sample in a chart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// When, milliseconds.
    pub at_ms: u64,
    /// What.
    pub sample: Sample,
    /// Which envelope brought it: position in [`Chart::envelopes`].
    pub envelope: u32,
}

/// All samples of one metric in a chart, in time order.
#[derive(Clone, PartialEq, Eq)]
pub struct Series {
    /// The metric.
    pub metric: Metric,
    /// Its samples.
    pub points: Vec<Point>,
}

/// Who wrote a mark in the alarm history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlarmSource {
    /// The bedside, which alarms on its own.
    Bedside,
    /// The node's engine, or a person through it.
    Node,
}

/// One entry of the alarm history.
#[derive(Clone, PartialEq, Eq)]
pub struct AlarmMark {
    /// What happened.
    pub event: vitals::alarm::AlarmEvent,
    /// Who wrote it.
    pub source: AlarmSource,
    /// The name of whoever did it; none when a machine did.
    pub by: Option<String>,
    /// Its envelope.
    pub envelope: EnvelopeRef,
}

/// One change of limits in the history.
#[derive(Clone, PartialEq, Eq)]
pub struct LimitsMark {
    /// What was changed, and why.
    pub change: LimitsChange,
    /// The name of whoever did it; none when the time was over.
    pub by: Option<String>,
    /// Its envelope.
    pub envelope: EnvelopeRef,
}

/// Missing envelopes: left open in every curve, never interpolated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// In which class.
    pub class: Class,
    /// First missing sequence number.
    pub from_seq: u64,
    /// First sequence number after it that is here.
    pub until_seq: u64,
    /// End of the last envelope before it, milliseconds.
    pub from_ms: u64,
    /// Start of the first envelope after it, milliseconds.
    pub until_ms: u64,
}

/// An opened record.
#[derive(Clone, PartialEq, Eq)]
pub struct Chart {
    /// The patient now.
    pub now: Tile,
    /// Why it was opened.
    pub purpose: Purpose,
    /// Under which consent; zero for the patient's own reading.
    pub grant: GrantId,
    /// What was opened.
    pub classes: Vec<Class>,
    /// Span opened, milliseconds, inclusive.
    pub span_ms: (u64, u64),
    /// Samples per metric.
    pub series: Vec<Series>,
    /// Alarm history in the span, oldest first.
    pub alarms: Vec<AlarmMark>,
    /// Changes of limits in the span, oldest first.
    pub limits: Vec<LimitsMark>,
    /// Missing envelopes.
    pub gaps: Vec<Gap>,
    /// Envelopes the points come from.
    pub envelopes: Vec<EnvelopeRef>,
    /// Envelopes that did not open under their key: shown, never hidden.
    pub unreadable: u32,
    /// The access entry written before anything was read.
    pub trace: EnvelopeRef,
}

/// One opening of the record, for the patient to read.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessView {
    /// When, milliseconds.
    pub at_ms: u64,
    /// The reader's name at that time.
    pub reader: String,
    /// Who looked, on the ledger: the organisation for its alarm engine, and in entries of older builds
    /// for whoever stood at its wall.
    pub person: PersonId,
    /// The session in which they looked; zero for the alarm engine.
    pub session: [u8; 16],
    /// Why.
    pub purpose: Purpose,
    /// Under which consent; zero for the patient's own reading.
    pub grant: GrantId,
    /// What.
    pub classes: Vec<Class>,
    /// Span opened, milliseconds, inclusive.
    pub span_ms: (u64, u64),
    /// Its envelope.
    pub envelope: EnvelopeRef,
}

/// Where a consent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantState {
    /// Handed to the ledger, not final yet.
    Pending,
    /// Not valid yet.
    Future,
    /// Opens the record now.
    Live,
    /// Its time is over.
    Ended,
    /// Withdrawn by the patient.
    Withdrawn,
}

/// A consent as its patient sees it.
#[derive(Clone, PartialEq, Eq)]
pub struct GrantView {
    /// Its id on the ledger.
    pub grant: GrantId,
    /// For whom: a name, or the ward's monitoring.
    pub grantee: String,
    /// For whom, on the ledger.
    pub person: PersonId,
    /// For what.
    pub purpose: Purpose,
    /// What may be opened.
    pub classes: Vec<Class>,
    /// Valid from, milliseconds.
    pub from_ms: u64,
    /// Valid until (exclusive), milliseconds.
    pub until_ms: u64,
    /// Where it stands.
    pub state: GrantState,
    /// Withdrawn, but not on the ledger after [`crate::LATE_BLOCKS`] blocks: others may not know.
    pub late: bool,
    /// True: the hospital's vault keeps the signing key for the patient. Always said on the page.
    pub vault_kept: bool,
}

/// A pause of watching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseView {
    /// Nobody watches until then, milliseconds; then watching goes on.
    Until {
        /// The end.
        until_ms: u64,
    },
    /// Watching went on then, a short while ago, milliseconds.
    OverSince {
        /// The end.
        at_ms: u64,
    },
}

/// The patient's own page.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnPage {
    /// Own values and alarms.
    pub now: Tile,
    /// Who may read, newest first.
    pub grants: Vec<GrantView>,
    /// Whether the patient paused being watched.
    pub pause: Option<PauseView>,
    /// Who read, newest first.
    pub access: Vec<AccessView>,
    /// The entry this very reading left.
    pub trace: EnvelopeRef,
    /// The ledger.
    pub ledger: LedgerHealth,
}

/// What happens now, to whoever may see it (see [`crate::follow::Follow`]).
#[derive(Clone, PartialEq, Eq)]
pub enum LiveEvent {
    /// An envelope of readings was admitted and opened.
    Readings {
        /// Whose.
        patient: PatientId,
        /// The readings, by metric, then in time order; their times are the author's.
        readings: Vec<Reading>,
        /// To be added to the author's times to get this node's, milliseconds.
        offset_ms: i64,
        /// Its envelope.
        envelope: EnvelopeRef,
        /// When its author sealed it (the header's last time), milliseconds.
        sealed_at_ms: u64,
        /// When it became live here, milliseconds.
        live_at_ms: u64,
    },
    /// An episode was raised or changed.
    Alarm(AlarmView),
    /// Data stopped, came back, a sensor fell off: read the tile again.
    Changed {
        /// Whose.
        patient: PatientId,
    },
    /// Whether somebody watches a bed changed, or the alarm about it. It names no patient, so every
    /// clinician of the ward is told.
    Watching {
        /// The bed's patient, by id.
        patient: PatientId,
        /// What is to be said of it; none once somebody watches.
        unwatched: Option<UnwatchedBed>,
    },
    /// Somebody opened the record.
    Access {
        /// Whose.
        patient: PatientId,
    },
    /// The log is anchored further. Values whose index is below are anchored or final.
    Proof {
        /// Leaves covered by anchors handed to the ledger.
        anchored_size: u64,
        /// Leaves covered by the finalized anchor.
        final_size: u64,
        /// Ledger height of that anchor.
        height: u64,
    },
}

/// The proof page of one envelope: everything but its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeProof {
    /// Header hash.
    pub hash: Hash,
    /// Leaf index in the organisation's log.
    pub index: u64,
    /// How far it is vouched for.
    pub proof: ProofState,
    /// Consent class.
    pub class: Class,
    /// Who sealed and signed it.
    pub author: DeviceId,
    /// Position in its stream.
    pub seq: u64,
    /// Earliest and latest time in it, milliseconds.
    pub span_ms: (u64, u64),
    /// Readings or events in it.
    pub count: u32,
    /// Length on the wire, bytes.
    pub bytes: usize,
    /// How far its author trusted the clock.
    pub clock: ClockQuality,
    /// The finalized head that covers it.
    pub anchored: Option<AnchoredProof>,
    /// Who looked at what, if this is an entry of the asker's own access log.
    pub access: Option<AccessView>,
}

/// The anchor that covered an envelope first: from then on nobody could take it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FinalSince {
    /// Height of the block that holds it.
    pub height: u64,
    /// That block's time, milliseconds; none where this node does not know it.
    pub time_ms: Option<u64>,
}

/// The finalized part of an envelope's proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnchoredProof {
    /// Leaves of the anchored head.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// Inclusion path of the envelope.
    pub path: Vec<Hash>,
    /// Height of the certified block the head was read from.
    pub height: u64,
    /// That block's digest.
    pub block: Hash,
    /// That block's time, milliseconds: when the newest head was certified, not when this envelope
    /// became final.
    pub block_time_ms: u64,
    /// Since when the envelope is final; none where this node does not know it.
    pub since: Option<FinalSince>,
    /// Positions of the validators whose signatures certify the block.
    pub signers: Vec<u32>,
}

/// A device on the administrator's page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRow {
    /// Its id.
    pub device: DeviceId,
    /// Sensor or gateway.
    pub kind: DeviceKind,
    /// The gateway that carries it (itself for a gateway).
    pub via: DeviceId,
    /// The patient it is bound to; none for a gateway.
    pub patient: Option<PatientId>,
    /// Block time of registration, milliseconds.
    pub since_ms: u64,
    /// Set once trust has ended.
    pub revoked: Option<Revocation>,
    /// Last time anything of it was admitted since this node started, milliseconds.
    pub last_seen_ms: Option<u64>,
}

/// A person on the administrator's page.
#[derive(Clone, PartialEq, Eq)]
pub struct PersonRow {
    /// The person on the ledger.
    pub person: PersonId,
    /// Sign-in name.
    pub login: String,
    /// Name.
    pub name: String,
    /// Role.
    pub role: Role,
    /// Final on the ledger?
    pub enrolled: bool,
    /// Does the vault keep the signing key?
    pub vault_kept: bool,
}

/// An act that has not become final yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingAct {
    /// Its name at the ledger.
    pub act: ActId,
    /// What it is, e.g. `consent`, `anchor`, `device registration`.
    pub what: &'static str,
    /// When it was handed in, milliseconds.
    pub since_ms: u64,
    /// Where it stands.
    pub outcome: Outcome,
}

/// The administrator's page: nothing clinical.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminPage {
    /// Devices.
    pub devices: Vec<DeviceRow>,
    /// Accounts.
    pub people: Vec<PersonRow>,
    /// The ledger.
    pub ledger: LedgerHealth,
    /// Acts under way.
    pub pending: Vec<PendingAct>,
    /// Counters and latencies.
    pub counters: crate::stats::Counters,
}
