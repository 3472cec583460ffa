//! The state of a bed without an open alarm: nothing may look normal that is not known to be.

use crate::format;
use crate::labels;
use crate::time::Moment;
use clinic::views::{Tile, ValueNow};
use vitals::alarm::{Limits, Side};
use vitals::metric::{Absence, Metric, Sample};

/// A mark on a tile: icon, stars and word.
pub(crate) struct Chip {
    pub(crate) style: &'static str,
    pub(crate) icon: &'static str,
    pub(crate) stars: &'static str,
    pub(crate) word: String,
    /// Does it say that all is well? Then it is shown only while the page is connected.
    pub(crate) well: bool,
}

/// Something to know of the bed that does not take the values away.
pub(crate) struct Mark {
    pub(crate) icon: &'static str,
    pub(crate) text: String,
    /// The time that goes with it.
    pub(crate) at: Moment,
}

/// The worst that is known of a bed without an open alarm, and the values concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    /// Nothing was ever measured.
    Waiting,
    /// Nothing fresh comes from the bedside.
    NoData,
    /// The consent covers no alarms: whether values are in limits may not be shown.
    NotShown,
    /// A value is beyond a limit, not long enough yet to ring; or its sensor is still settling.
    Checking(Vec<Metric>),
    /// The sensor gives no usable signal.
    NoSignal(Vec<Metric>),
    /// The newest value is too old to say.
    NotKnown(Vec<Metric>),
    /// Nothing beyond a limit is known, and an alarm is turned off.
    AlarmOff(Vec<String>),
    /// Every watched value is fresh, and within its limits.
    InLimits,
}

/// The state of one watched value.
#[derive(PartialEq, Eq)]
enum ValueState {
    InLimits,
    Checking,
    NoSignal,
    NotKnown,
}

fn value_state(now: &ValueNow, limits: &Limits, stale_after_ms: u64, now_ms: u64) -> ValueState {
    match now.sample {
        _ if now.age_ms(now_ms) >= stale_after_ms => ValueState::NotKnown,
        Sample::Absent(Absence::WarmingUp) => ValueState::Checking,
        Sample::Absent(_) => ValueState::NoSignal,
        Sample::Measured(value) => {
            let beyond =
                [Side::Above, Side::Below].into_iter().any(|side| limits.violated(side, value).is_some());
            if beyond { ValueState::Checking } else { ValueState::InLimits }
        }
    }
}

impl Status {
    pub(crate) fn of(tile: &Tile, now_ms: u64) -> Self {
        if tile.technical.last_ms.is_none() {
            return Self::Waiting;
        }
        if tile.technical.stale {
            return Self::NoData;
        }
        if tile.limits.is_empty() {
            return Self::NotShown;
        }
        let watched: Vec<(Metric, ValueState)> = tile
            .limits
            .iter()
            .filter_map(|limits| {
                let value = tile.value(limits.metric)?;
                Some((limits.metric, value_state(value, limits, tile.technical.stale_after_ms, now_ms)))
            })
            .collect();
        let those = |wanted: ValueState| -> Vec<Metric> {
            watched.iter().filter(|(_, said)| *said == wanted).map(|(metric, _)| *metric).collect()
        };
        let (checking, no_signal, not_known) =
            (those(ValueState::Checking), those(ValueState::NoSignal), those(ValueState::NotKnown));
        let off: Vec<String> = tile
            .temporary
            .iter()
            .filter(|temporary| !temporary.off.is_empty())
            .map(|temporary| labels::turned_off(temporary.metric, &temporary.off))
            .collect();
        if !checking.is_empty() {
            Self::Checking(checking)
        } else if !no_signal.is_empty() {
            Self::NoSignal(no_signal)
        } else if !not_known.is_empty() || watched.is_empty() {
            Self::NotKnown(not_known)
        } else if !off.is_empty() {
            Self::AlarmOff(off)
        } else {
            Self::InLimits
        }
    }

    /// Is everything known to be well?
    pub(crate) fn is_well(&self) -> bool {
        *self == Self::InLimits
    }

    /// The mark on a tile.
    pub(crate) fn chip(&self) -> Chip {
        let (style, icon, word) = match self {
            Self::Waiting => ("flag", "stale", "Waiting"),
            Self::NoData => ("tech", "stale", "No data"),
            Self::NotShown => ("flag", "lock", "Alarms not shown"),
            Self::Checking(_) => ("flag", "stale", "Checking"),
            Self::NoSignal(_) => ("flag", "off", "No signal"),
            Self::NotKnown(_) => ("flag", "stale", "Not known"),
            Self::AlarmOff(_) => ("flag", "mute", "Alarm off"),
            Self::InLimits => ("ok", "check", "In limits"),
        };
        Chip { style, icon, stars: "", word: word.into(), well: self.is_well() }
    }

    /// The values concerned; none where the mark says it all.
    pub(crate) fn line(&self) -> Option<String> {
        match self {
            Self::Checking(metrics) => Some(format!("Checking {}", named(metrics))),
            Self::NoSignal(metrics) => Some(format!("No signal from {}", named(metrics))),
            Self::NotKnown(metrics) if metrics.is_empty() => Some("Nothing with limits is measured".into()),
            Self::NotKnown(metrics) => Some(format!("No fresh value of {}", named(metrics))),
            // A line of its own says who turned an alarm off, why and until when.
            Self::Waiting | Self::NoData | Self::NotShown | Self::AlarmOff(_) | Self::InLimits => None,
        }
    }

    /// What a page says in place of a list of alarms.
    pub(crate) fn no_alarm(&self) -> String {
        match (self, self.line()) {
            (Self::Waiting, _) => "Waiting for the first value".into(),
            (Self::NoData, _) => "No alarm, and no fresh data".into(),
            (Self::NotShown, _) => "The consent covers no alarms".into(),
            (Self::AlarmOff(what), _) => {
                format!("No alarm. Turned off: {}", format::joined(what.iter().cloned()))
            }
            (_, Some(line)) => format!("No alarm yet. {line}"),
            _ => "No alarm".into(),
        }
    }

    /// What it means, for the patient.
    pub(crate) fn lead(&self) -> String {
        match self {
            Self::Waiting => "Your device has not sent a value yet.".into(),
            Self::NoData => "Your device has been silent for a while. The values below are old.".into(),
            Self::NotShown => "Your device is working.".into(),
            Self::Checking(metrics) => {
                format!("Your device is working. It is checking your {}.", named(metrics))
            }
            Self::NoSignal(metrics) => format!(
                "Your device is working, but it gets no signal for your {}. Please check that its sensor sits well.",
                named(metrics)
            ),
            Self::NotKnown(_) => {
                "Some of your values are old. If this stays so, please tell the ward.".into()
            }
            Self::AlarmOff(what) => format!(
                "Your device is working. Your care team has turned the alarm for {} off for a while.",
                format::joined(what.iter().cloned())
            ),
            Self::InLimits => "Your values are in your limits, and your device is working.".into(),
        }
    }
}

/// Metrics joined as in speech.
fn named(metrics: &[Metric]) -> String {
    format::joined(metrics.iter().map(|metric| labels::inside(*metric)))
}
