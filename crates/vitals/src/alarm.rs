//! The alarm state machine, shared by board, gateway and node: pure, one per patient and condition.
//!
//! `normal → pending → active → acknowledged → recovered → closed`, with silence and inhibition as
//! separate flags. Priorities and their presentation are modelled on IEC 60601-1-8; no conformance
//! is claimed.

mod limits;
mod machine;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;
mod unwatched;

pub use limits::{Limits, PERSISTENCE_MAX_MS, Side};
pub use machine::{Alarm, ESCALATE_AFTER_MS, SILENCE_MAX_MS, State};
pub use unwatched::Unwatched;

use crate::cbor::{NotCanonical, Reader, Writer};
use crate::ids::PersonId;
use crate::metric::Metric;
use core::fmt;

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
    /// The metric's sensor gives no signal, or a faulty one.
    SensorOff(Metric),
    /// No data from the patient's board for too long.
    Stale,
    /// An author signed two different envelopes for one sequence number.
    Equivocation,
    /// Envelopes are missing in a stream.
    Gap,
    /// The author's clock is wrong: its times are marked, never rewritten.
    Clock,
    /// The node does not watch a patient from whom it receives data. The value of its events is the
    /// reason's code.
    Unwatched,
    /// The node will soon not watch the patient any more. The value of its events is the hours left.
    WatchEnding,
    /// The bedside hears nothing of its home node: nobody watches it from afar.
    NotListening,
    /// Limits that were given for a time ended at the bedside; the stricter ones are in force.
    LimitsEnded,
    /// Pulses are seen, but no steady rhythm: an irregular heart. About the patient, not the equipment.
    Unsteady(Metric),
    /// The sensor is on, but its signal is too poor for a value: motion, saturation, little light.
    PoorSignal(Metric),
    /// The board samples at a rate at which this cannot be measured: nobody counts the pulse.
    RateNotSupported(Metric),
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
            Self::Clock => 0x403,
            Self::Unwatched => 0x404,
            Self::WatchEnding => 0x405,
            Self::NotListening => 0x410,
            Self::LimitsEnded => 0x411,
            Self::Unsteady(metric) => 0x500 | u16::from(metric.code()),
            Self::PoorSignal(metric) => 0x600 | u16::from(metric.code()),
            Self::RateNotSupported(metric) => 0x700 | u16::from(metric.code()),
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
            (4, 3) => Self::Clock,
            (4, 4) => Self::Unwatched,
            (4, 5) => Self::WatchEnding,
            (4, 0x10) => Self::NotListening,
            (4, 0x11) => Self::LimitsEnded,
            (5, metric) => Self::Unsteady(Metric::from_code(metric)?),
            (6, metric) => Self::PoorSignal(Metric::from_code(metric)?),
            (7, metric) => Self::RateNotSupported(Metric::from_code(metric)?),
            _ => return None,
        })
    }

    /// Reads a wire code.
    ///
    /// # Errors
    /// [`NotCanonical`] for anything but a known code.
    pub fn read(r: &mut Reader<'_>) -> Result<Self, NotCanonical> {
        let code = u16::try_from(r.uint()?).map_err(|_| NotCanonical::TooLong)?;
        Self::from_code(code).ok_or(NotCanonical::Unexpected)
    }

    /// Equipment, not the patient?
    #[must_use]
    pub fn is_technical(self) -> bool {
        !matches!(self, Self::Above(_) | Self::Below(_) | Self::Unsteady(_))
    }

    /// Does it judge a value, so that it can say nothing while there is none?
    #[must_use]
    pub fn judges_a_value(self) -> bool {
        matches!(self, Self::Above(_) | Self::Below(_))
    }

    /// The metric concerned, if one is.
    #[must_use]
    pub fn metric(self) -> Option<Metric> {
        match self {
            Self::Above(metric)
            | Self::Below(metric)
            | Self::SensorOff(metric)
            | Self::Unsteady(metric)
            | Self::PoorSignal(metric)
            | Self::RateNotSupported(metric) => Some(metric),
            Self::Stale
            | Self::Equivocation
            | Self::Gap
            | Self::Clock
            | Self::Unwatched
            | Self::WatchEnding
            | Self::NotListening
            | Self::LimitsEnded => None,
        }
    }
}
/// What happened to an alarm; each is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum AlarmEventKind {
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
    /// Unanswered for so long: the step, in the value, after one, three and five minutes. It is shown;
    /// nobody else is called.
    Escalated = 8,
    /// Somebody ended the silence before its time.
    SilenceEnded = 9,
}

impl AlarmEventKind {
    /// The kind with this wire code.
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
            Self::SilenceEnded,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == code)
    }
}

/// One entry of an alarm's history.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AlarmEvent {
    /// When, milliseconds.
    pub at_ms: u64,
    /// What is wrong.
    pub condition: Condition,
    /// Counts the episodes of this condition at this author.
    pub episode: u32,
    /// What happened.
    pub kind: AlarmEventKind,
    /// How urgent the episode is now.
    pub priority: Priority,
    /// The value that decided it, raw units; 0 where no value decides.
    pub value: i32,
    /// Who did it; zero when the machine did.
    pub by: PersonId,
}

// The value stays out of logs and errors, also where an event is printed.
impl fmt::Debug for AlarmEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlarmEvent")
            .field("at_ms", &self.at_ms)
            .field("condition", &self.condition)
            .field("episode", &self.episode)
            .field("kind", &self.kind)
            .field("priority", &self.priority)
            .finish_non_exhaustive()
    }
}

impl AlarmEvent {
    /// Writes the event.
    pub fn write(&self, w: &mut Writer) {
        w.array(7).uint(self.at_ms).uint(u64::from(self.condition.code()));
        w.uint(u64::from(self.episode)).uint(self.kind as u64);
        w.uint(self.priority as u64).int(i64::from(self.value)).bytes(&self.by.0);
    }

    /// Reads an event.
    pub fn read(r: &mut Reader<'_>) -> Result<Self, NotCanonical> {
        r.array(7)?;
        Ok(Self {
            at_ms: r.uint()?,
            condition: Condition::read(r)?,
            episode: r.u32()?,
            kind: AlarmEventKind::from_code(r.u8()?).ok_or(NotCanonical::Unexpected)?,
            priority: Priority::from_code(r.u8()?).ok_or(NotCanonical::Unexpected)?,
            value: i32::try_from(r.int()?).map_err(|_| NotCanonical::TooLong)?,
            by: PersonId(r.fixed()?),
        })
    }
}
