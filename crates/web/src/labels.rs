//! What alarms, conditions, values, roles and consents are called on a page.

use crate::format::{joined, short_hex, value};
use clinic::views::Tile;
use vitals::alarm::{Condition, Limits, Priority, Side, Unwatched};
use vitals::ids::Class;
use vitals::ledger::Purpose;
use vitals::metric::{Absence, Metric};

/// The direction of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trend {
    /// Rising.
    Up,
    /// Steady.
    Flat,
    /// Falling.
    Down,
}

impl Trend {
    /// The trend of a change, in raw units of the metric.
    #[must_use]
    pub fn of(metric: Metric, change: i32) -> Self {
        let steady = match metric {
            Metric::HeartRate => 30,
            Metric::BodyTemperature => 20,
            _ => i32::MAX,
        };
        match change {
            _ if change >= steady => Self::Up,
            _ if change <= -steady => Self::Down,
            _ => Self::Flat,
        }
    }

    /// Name of its icon.
    #[must_use]
    pub fn icon(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Flat => "flat",
            Self::Down => "down",
        }
    }

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "rising",
            Self::Flat => "steady",
            Self::Down => "falling",
        }
    }
}

/// An alarm in one line: what is measured, against which limit.
#[must_use]
pub fn alarm(condition: Condition, raw: i32, limit: Option<i32>) -> String {
    let compare = |metric: Metric, sign: &str, word: &str| {
        let info = metric.info();
        let unit = if metric == Metric::HeartRate { String::new() } else { format!(" {}", info.unit) };
        match limit {
            Some(limit) if beyond(sign, raw, limit) => {
                format!("{} {} {sign} {}{unit}", info.label, value(metric, raw), value(metric, limit))
            }
            // The value is better than the alarm's priority says, and the alarm not over yet.
            Some(limit) => {
                format!("{} {}{unit}, was {sign} {}", info.label, value(metric, raw), value(metric, limit))
            }
            None => format!("{} {word}: {}{unit}", info.label, value(metric, raw)),
        }
    };
    match condition {
        Condition::Above(metric) => compare(metric, "≥", "high"),
        Condition::Below(metric) => compare(metric, "≤", "low"),
        Condition::SensorOff(metric) => format!("Sensor off: {}", inside(metric)),
        Condition::Stale => "No data from the bedside".into(),
        Condition::Equivocation => "Two devices are sending under one identity".into(),
        Condition::Gap => "Records are missing".into(),
        Condition::Clock => "The bedside’s clock is wrong".into(),
        Condition::Unwatched => match Unwatched::from_code(raw) {
            Some(why) => format!("Nobody watches: {}", unwatched(why)),
            None => "Nobody watches".into(),
        },
        Condition::WatchEnding => match raw {
            ..=0 => "Watching ends within the hour".into(),
            hours if hours < 48 => format!("Watching ends in {hours} h"),
            hours => format!("Watching ends in {} days", hours / 24),
        },
        Condition::NotListening => "The bedside could not reach the ward".into(),
        Condition::LimitsEnded => "Limits at the bedside ended: the stricter ones hold there".into(),
        Condition::Unsteady(Metric::HeartRate) => "No steady pulse".into(),
        Condition::Unsteady(metric) => format!("Not steady: {}", inside(metric)),
        Condition::PoorSignal(metric) => format!("Poor signal: {}", inside(metric)),
        Condition::RateNotSupported(metric) => {
            format!("Sampling rate not supported: {}", inside(metric))
        }
    }
}

/// Why nobody watches, to stand after a colon.
#[must_use]
pub fn unwatched(why: Unwatched) -> &'static str {
    match why {
        Unwatched::Starting => "it is being set up",
        Unwatched::NoConsent => "there is no consent to monitoring",
        Unwatched::Withdrawn => "the patient withdrew the consent",
        Unwatched::ConsentEnded => "the consent has ended",
        Unwatched::Policy => "a rule of the patient’s consent does not allow it",
        Unwatched::LedgerDown => "the ledger does not answer",
        Unwatched::NotRecorded => "the access log cannot be written",
        Unwatched::Paused => "paused by the patient",
    }
}

/// Why a value is missing, in the value's place.
#[must_use]
pub fn absence(why: Absence) -> &'static str {
    match why {
        Absence::SensorOff => "off",
        Absence::Noisy => "poor signal",
        Absence::OutOfRange => "fault",
        Absence::WarmingUp => "…",
        Absence::Unsteady => "unsteady",
        Absence::RateNotSupported => "not supported",
    }
}

fn beyond(sign: &str, raw: i32, limit: i32) -> bool {
    if sign == "≥" { raw >= limit } else { raw <= limit }
}

/// For how long nobody has answered, by the step of the event. No step calls anybody.
#[must_use]
pub fn unanswered(step: i32) -> &'static str {
    match step {
        1 => " for 1 minute",
        2 => " for 3 minutes",
        3 => " for 5 minutes",
        _ => "",
    }
}

/// What is wrong, without figures.
#[must_use]
pub fn condition(condition: Condition) -> String {
    match condition {
        Condition::Above(metric) => format!("{} high", inside(metric)),
        Condition::Below(metric) => format!("{} low", inside(metric)),
        other => {
            let text = alarm(other, 0, None);
            let mut letters = text.chars();
            letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
        }
    }
}

/// Name of a priority's icon.
#[must_use]
pub fn priority_icon(priority: Priority) -> &'static str {
    match priority {
        Priority::High => "high",
        Priority::Medium => "medium",
        Priority::Low => "low",
        Priority::Technical => "tech",
    }
}

/// Style name of a priority.
#[must_use]
pub fn priority_style(priority: Priority) -> &'static str {
    match priority {
        Priority::Technical => "tech",
        other => other.word(),
    }
}

/// A metric's label inside a sentence: `heart rate`, but `PM2.5` and `CO₂`.
#[must_use]
pub fn inside(metric: Metric) -> String {
    match metric {
        Metric::Pm25 | Metric::Pm10 | Metric::Co2 | Metric::Tvoc => metric.info().label.into(),
        _ => metric.info().label.to_lowercase(),
    }
}

/// Style name of a metric: which colour draws it.
#[must_use]
pub fn metric_style(metric: Metric) -> &'static str {
    match metric {
        Metric::HeartRate => "hr",
        Metric::BodyTemperature => "temp",
        _ => "env",
    }
}

/// The innermost limits in words, e.g. `50–90`; nothing when there are none.
#[must_use]
pub fn limits_range(limits: &Limits) -> Option<String> {
    let metric = limits.metric;
    let low = limits.below.iter().flatten().max().map(|raw| value(metric, *raw));
    let high = limits.above.iter().flatten().min().map(|raw| value(metric, *raw));
    match (low, high) {
        (Some(low), Some(high)) => Some(format!("alarms ≤ {low} or ≥ {high}")),
        (None, Some(high)) => Some(format!("alarms ≥ {high}")),
        (Some(low), None) => Some(format!("alarms ≤ {low}")),
        (None, None) => None,
    }
}

/// What differs between two limits of one metric: `high from 131 to 150, low (upper) from 91 to none`.
#[must_use]
pub fn limits_changed(before: &Limits, after: &Limits) -> String {
    let metric = after.metric;
    let shown = |limit: Option<i32>| limit.map_or_else(|| "none".into(), |raw| value(metric, raw));
    let side = |name: &'static str, before: [Option<i32>; 3], after: [Option<i32>; 3]| {
        let levels = [Priority::Low, Priority::Medium, Priority::High].into_iter().zip(before).zip(after);
        levels
            .rev()
            .filter(|((_, before), after)| before != after)
            .map(move |((priority, before), after)| {
                format!("{name} {} limit from {} to {}", priority.word(), shown(before), shown(after))
            })
            .collect::<Vec<_>>()
    };
    let mut changes = side("upper", before.above, after.above);
    changes.extend(side("lower", before.below, after.below));
    if changes.is_empty() { "the values as before".into() } else { joined(changes.into_iter()) }
}

/// The sides of a metric on which no alarm is raised: `high and low heart rate`.
#[must_use]
pub fn turned_off(metric: Metric, off: &[Side]) -> String {
    let words = off.iter().map(|side| match side {
        Side::Above => "high".to_string(),
        Side::Below => "low".into(),
    });
    format!("{} {}", joined(words), inside(metric))
}

/// A class as a patient understands it.
#[must_use]
pub fn class(class: Class) -> &'static str {
    match class {
        Class::Vitals => "vital signs",
        Class::Environment => "room values",
        Class::Alarms => "alarms",
        Class::Profile => "name and bed",
        Class::Notes => "notes",
        Class::Messages => "messages",
        Class::Access => "access log",
    }
}

/// Classes joined as in speech: `vital signs, room values and alarms`.
#[must_use]
pub fn classes(list: &[Class]) -> String {
    if list.is_empty() { "nothing".into() } else { joined(list.iter().map(|item| class(*item).to_string())) }
}

/// A purpose as a patient understands it.
#[must_use]
pub fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Treatment => "for treatment",
        Purpose::Monitoring => "for monitoring",
        Purpose::Family => "to keep an eye on the patient",
        Purpose::Own => "as their own record",
        Purpose::Audit => "to audit",
    }
}

/// A purpose in addresses.
#[must_use]
pub fn purpose_word(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Own => "own",
        other => other.word(),
    }
}

/// Name and place, or words for them where the consent does not cover them.
#[must_use]
pub fn name_and_place(tile: &Tile) -> (String, String) {
    let name = if tile.name.is_empty() { "Name not shown".into() } else { tile.name.clone() };
    let place = if tile.bed.is_empty() {
        format!("Patient {}", short_hex(&tile.patient.0))
    } else {
        tile.bed.clone()
    };
    (name, place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unanswered_alarm_never_claims_that_anybody_was_called() {
        assert_eq!([1, 2, 3, 4].map(unanswered), [" for 1 minute", " for 3 minutes", " for 5 minutes", ""]);
        let help = include_str!("../templates/pages/help.html");
        assert!(!help.contains("people are told") && help.contains("It calls nobody"));
    }

    #[test]
    fn an_alarm_names_value_and_limit() {
        assert_eq!(alarm(Condition::Above(Metric::HeartRate), 1342, Some(1310)), "Heart rate 134 ≥ 131");
        assert_eq!(
            alarm(Condition::Below(Metric::BodyTemperature), 3480, Some(3500)),
            "Temperature 34.8 ≤ 35.0 °C"
        );
        assert_eq!(alarm(Condition::Above(Metric::HeartRate), 1150, Some(1310)), "Heart rate 115, was ≥ 131");
        assert_eq!(alarm(Condition::SensorOff(Metric::HeartRate), 0, None), "Sensor off: heart rate");
        assert_eq!(alarm(Condition::PoorSignal(Metric::HeartRate), 0, None), "Poor signal: heart rate");
        assert_eq!(
            alarm(Condition::RateNotSupported(Metric::HeartRate), 0, None),
            "Sampling rate not supported: heart rate"
        );
        assert_eq!(alarm(Condition::Unsteady(Metric::HeartRate), 0, None), "No steady pulse");
        assert_eq!(condition(Condition::Unsteady(Metric::HeartRate)), "no steady pulse");
    }

    #[test]
    fn every_missing_value_says_why_in_its_own_words() {
        let words: std::collections::BTreeSet<_> = Absence::ALL.map(absence).into();
        assert_eq!(words.len(), Absence::ALL.len());
        assert_ne!(absence(Absence::Unsteady), absence(Absence::SensorOff));
    }

    #[test]
    fn classes_read_as_in_speech() {
        assert_eq!(
            classes(&[Class::Vitals, Class::Environment, Class::Alarms]),
            "vital signs, room values and alarms"
        );
    }
}
