//! What a chart and a patient's own page draw.

use crate::anchoring::EnvelopeRef;
use crate::consents::{GrantView, PauseView};
use crate::health::LedgerHealth;
use crate::monitoring::views::Tile;
use vitals::body::LimitsChange;
use vitals::ids::Class;
use vitals::ledger::Purpose;
use vitals::metric::{Metric, Sample};
use vitals::{GrantId, PersonId};

silent_debug!(Point, Series, AlarmMark, LimitsMark, Gap, Chart, AccessView, OwnPage);

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
    /// The name of the person who did it; none when a machine did.
    pub by: Option<String>,
    /// Its envelope.
    pub envelope: EnvelopeRef,
}

/// One change of limits in the history.
#[derive(Clone, PartialEq, Eq)]
pub struct LimitsMark {
    /// What was changed, and why.
    pub change: LimitsChange,
    /// The name of the person who did it; none when the time was over.
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
    /// for everybody at its wall.
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
