//! What pages draw: plain read models, already decided upon. A view that exists has passed
//! [`crate::policy::decide`] and left its trace; nothing here reaches back into the record.
//!
//! Views hold names and clinical values, so their `Debug` prints the type's name alone.

mod ward;

pub use ward::*;

use vitals::body::LimitsChange;
use vitals::envelope::ClockQuality;
use vitals::ids::{Class, Hash};
use vitals::ledger::{ActId, DeviceKind, Outcome, Purpose, Revocation, Role};
use vitals::metric::{Metric, Reading, Sample};
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
