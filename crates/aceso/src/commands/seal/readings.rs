//! Readings as people write them, `METRIC=VALUE`, and why something is none. Errors name the field and what is
//! allowed, never the value.

use super::decimal::{Decimal, NoDecimal};
use std::fmt;
use vitals::envelope::{COUNT_MAX, TIME_MAX_MS};
use vitals::metric::{Absence, Metric, Reading, Sample};

const REASONS: [(&str, Absence); 6] = [
    ("sensor_off", Absence::SensorOff),
    ("noisy", Absence::Noisy),
    ("out_of_range", Absence::OutOfRange),
    ("warming_up", Absence::WarmingUp),
    ("unsteady", Absence::Unsteady),
    ("rate_not_supported", Absence::RateNotSupported),
];

/// Why something is no reading. The writer's move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotAReading {
    Shape,
    Metric(String),
    Value(Metric),
    Implausible(Metric),
    Unit(Metric),
    Time(&'static str),
    /// Of a SenML pack: it is none.
    Senml(String),
    /// Of a SenML pack: too many records, or none.
    Count(usize),
    /// Of a SenML record: no JSON object.
    NoRecord,
    /// Of a SenML record: a field of the wrong type, or twice.
    Field(String),
    /// Of a SenML record: an unknown label that has to be understood.
    MustUnderstand(String),
    /// Of a SenML record: its name.
    Name,
    /// Of a SenML record: no value, or several.
    NoValue,
    /// Of a SenML record: it rests on a base field that this one, from 1, has wrong.
    RestsOn(usize),
}

impl fmt::Display for NotAReading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape => f.write_str("write METRIC=VALUE, for example heart_rate=72.0"),
            Self::Metric(name) => write!(f, "there is no metric `{name}`; there are {}", metrics()),
            Self::Value(metric) => write!(
                f,
                "{}: write a plain decimal number in {}, or one of {}",
                metric.info().name,
                metric.info().senml_units[0].name,
                REASONS.map(|(word, _)| word).join(", ")
            ),
            Self::Implausible(metric) => {
                let (low, high) = metric.info().plausible;
                write!(
                    f,
                    "{}: the value is outside {} to {} {}, which is a fault of the sensor: seal out_of_range instead",
                    metric.info().name,
                    metric.in_unit(low),
                    metric.in_unit(high),
                    metric.info().senml_units[0].name
                )
            }
            Self::Unit(metric) => {
                let units: Vec<&str> = metric.info().senml_units.iter().map(|unit| unit.name).collect();
                write!(f, "{} is given in {}", metric.info().name, units.join(" or "))
            }
            Self::Time(field) => write!(f, "{field}: the time is before 1970 or after 2200"),
            Self::Senml(what) => write!(f, "not a SenML pack: {what}"),
            Self::Count(count) => write!(f, "a pack holds 1 to {COUNT_MAX} records, not {count}"),
            Self::NoRecord => f.write_str("a record is a JSON object"),
            Self::Field(label) => write!(f, "the field `{label}` is of the wrong type, or stands there twice"),
            Self::MustUnderstand(label) => write!(
                f,
                "the field `{label}` is not understood here, and its name says that it must be (RFC 8428, section 4.4)"
            ),
            Self::Name => f.write_str(
                "its name must begin with a letter or digit and have only letters, digits and - : . / _ \
                 (RFC 8428, section 4.5.1)",
            ),
            Self::NoValue => f.write_str(
                "it must have exactly one value (RFC 8428, section 4.2): `v`, a number, or `vs`, a reason why \
                 there is none",
            ),
            Self::RestsOn(record) => write!(f, "it rests on a base field that record {record} has wrong"),
        }
    }
}

impl std::error::Error for NotAReading {}

fn metrics() -> String {
    Metric::ALL.iter().map(|metric| metric.info().name).collect::<Vec<_>>().join(", ")
}

/// The metric of this name.
pub(super) fn metric(name: &str) -> Result<Metric, NotAReading> {
    Metric::from_name(name).ok_or_else(|| NotAReading::Metric(name.chars().take(64).collect()))
}

/// A number in the metric's unit, rounded half away from zero to the metric's step.
pub(super) fn raw(metric: Metric, value: Decimal) -> Result<i32, NotAReading> {
    let (low, high) = metric.info().plausible;
    let raw = value.rounded(metric.info().decimals).filter(|raw| (low..=high).contains(raw));
    raw.ok_or(NotAReading::Implausible(metric))
}

fn value(metric: Metric, text: &str) -> Result<i32, NotAReading> {
    match Decimal::read(text) {
        Ok(value) if !text.contains(['e', 'E']) => raw(metric, value),
        Err(NoDecimal::TooLarge) => Err(NotAReading::Implausible(metric)),
        _ => Err(NotAReading::Value(metric)),
    }
}

/// The reason for an absent value of this name.
pub(super) fn reason(word: &str) -> Option<Absence> {
    REASONS.iter().find(|(name, _)| *name == word).map(|(_, reason)| *reason)
}

/// Reads `METRIC=VALUE` or `METRIC=REASON`.
pub(super) fn argument(text: &str, at_ms: u64) -> Result<Reading, NotAReading> {
    let (name, said) = text.split_once('=').ok_or(NotAReading::Shape)?;
    let metric = metric(name)?;
    if at_ms > TIME_MAX_MS {
        return Err(NotAReading::Time("--at"));
    }
    let sample = match reason(said) {
        Some(reason) => Sample::Absent(reason),
        None => Sample::Measured(value(metric, said)?),
    };
    Ok(Reading { metric, at_ms, sample })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_a_decimal_in_the_metric_s_unit() {
        let raw = |text: &str| match argument(text, 5).unwrap().sample {
            Sample::Measured(raw) => raw,
            Sample::Absent(_) => panic!("a value"),
        };
        assert_eq!(raw("heart_rate=72"), 720);
        assert_eq!(raw("heart_rate=72.0"), 720);
        assert_eq!(raw("body_temperature=36.5625"), 3656);
        assert_eq!(raw("body_temperature=36.565"), 3657);
        assert_eq!(raw("ambient_temperature=-0.45"), -5);
        assert_eq!(raw("co2=612.5"), 613);
        let off = argument("heart_rate=sensor_off", 5).unwrap();
        assert_eq!(off.sample, Sample::Absent(Absence::SensorOff));
        assert_eq!(off.at_ms, 5);
    }

    #[test]
    fn a_wrong_argument_says_what_is_allowed_and_not_what_was_measured() {
        let says = |text: &str| argument(text, 5).unwrap_err().to_string();
        assert!(says("heart_rate").contains("METRIC=VALUE"));
        assert!(says("pulse=72").contains("no metric `pulse`; there are heart_rate, body_temperature"));
        for wrong in ["", "seventy", "7e1", "72.", ".5", "+72", "--7", "nan", "72 "] {
            assert!(says(&format!("heart_rate={wrong}")).contains("plain decimal number in beat/min"));
        }
        for wrong in ["700.1", "14.9", "99999999999999999999"] {
            let said = says(&format!("heart_rate={wrong}"));
            assert!(said.contains("outside 15 to 300 beat/min") && !said.contains(wrong), "{said}");
        }
        assert!(argument("co2=1", u64::MAX).unwrap_err().to_string().contains("1970"));
    }

    #[test]
    fn the_manual_names_every_metric_with_unit_range_and_step() {
        let manual = include_str!("../../../../../docs/integrate.md").replace('\u{2212}', "-");
        for metric in Metric::ALL {
            let (low, high) = metric.info().plausible;
            let row = format!(
                "| `{}` | {} | {} | {} | {} |",
                metric.info().name,
                metric.info().senml_units[0].name,
                metric.in_unit(low),
                metric.in_unit(high),
                metric.in_unit(1)
            );
            assert!(manual.contains(&row), "{row}");
            let units: Vec<_> =
                metric.info().senml_units.iter().map(|unit| format!("`{}`", unit.name)).collect();
            let row = format!("| `{}` | {} |", metric.info().name, units.join(" "));
            assert!(manual.contains(&row), "{row}");
        }
        for (reason, _) in REASONS {
            assert!(manual.contains(&format!("{reason}`")), "{reason}");
        }
    }
}
