//! Readings as people and other makers' programs write them: `METRIC=VALUE`, and SenML (RFC 8428).
//! Errors name the field and what is allowed, never the value.

use serde::Deserialize;
use serde_json::Number;
use std::fmt;
use vitals::envelope::{COUNT_MAX, TIME_MAX_MS};
use vitals::metric::{Absence, Metric, Reading, Sample};

/// SenML times below this, seconds, are relative to now (RFC 8428, section 4.5.3).
const RELATIVE_BELOW_S: f64 = 268_435_456.0;
/// Highest SenML version there is.
const SENML_VERSION: u32 = 10;
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
    Senml(String),
    /// The record's number in its pack, from 1.
    NoValue(usize),
    Count(usize),
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
                metric.info().senml_units[0],
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
                    metric.info().senml_units[0]
                )
            }
            Self::Unit(metric) => {
                write!(f, "{} is given in {}", metric.info().name, metric.info().senml_units.join(" or "))
            }
            Self::Time(field) => write!(f, "{field}: the time is before 1970 or after 2200"),
            Self::Senml(what) => write!(f, "not a SenML pack: {what}"),
            Self::NoValue(at) => {
                write!(f, "record {at} has no value: `v` is a number, `vs` a reason why there is none")
            }
            Self::Count(count) => write!(f, "a pack holds 1 to {COUNT_MAX} records, not {count}"),
        }
    }
}

impl std::error::Error for NotAReading {}

fn metrics() -> String {
    Metric::ALL.iter().map(|metric| metric.info().name).collect::<Vec<_>>().join(", ")
}

fn metric(name: &str) -> Result<Metric, NotAReading> {
    Metric::from_name(name).ok_or_else(|| NotAReading::Metric(name.chars().take(64).collect()))
}

/// A decimal number in the metric's unit, rounded half away from zero to the metric's step. Decimal
/// from end to end: no binary fraction comes in between.
fn value(metric: Metric, text: &str) -> Result<i32, NotAReading> {
    let wrong = NotAReading::Value(metric);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || digits.ends_with('.') || !all_digits(whole) || !all_digits(fraction) {
        return Err(wrong);
    }
    let decimals = usize::from(metric.info().decimals);
    let kept = fraction.bytes().chain(std::iter::repeat(b'0')).take(decimals);
    let mut raw = 0_i64;
    for byte in whole.bytes().chain(kept) {
        raw = raw
            .checked_mul(10)
            .and_then(|raw| raw.checked_add(i64::from(byte - b'0')))
            .ok_or(NotAReading::Implausible(metric))?;
    }
    if fraction.as_bytes().get(decimals).is_some_and(|byte| *byte >= b'5') {
        raw += 1;
    }
    let raw = i32::try_from(if negative { -raw } else { raw }).ok();
    let (low, high) = metric.info().plausible;
    raw.filter(|raw| (low..=high).contains(raw)).ok_or(NotAReading::Implausible(metric))
}

fn reason(word: &str) -> Option<Absence> {
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

/// Where a pack comes in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source {
    /// Now, for records without a time.
    pub(super) now_ms: u64,
}

/// One SenML record; a field of another name is refused rather than overlooked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    bver: Option<u32>,
    bn: Option<String>,
    bt: Option<f64>,
    bu: Option<String>,
    n: Option<String>,
    u: Option<String>,
    t: Option<f64>,
    v: Option<Number>,
    vs: Option<String>,
}

/// Reads one SenML pack in JSON. The last part of a record's name, after `:` or `/`, is the metric.
pub(super) fn pack(json: &[u8], source: Source) -> Result<Vec<Reading>, NotAReading> {
    let records: Vec<Record> = serde_json::from_slice(json).map_err(|why| NotAReading::Senml(named(&why)))?;
    if records.is_empty() || records.len() > COUNT_MAX as usize {
        return Err(NotAReading::Count(records.len()));
    }
    let (mut base_name, mut base_time, mut base_unit) = (String::new(), 0.0, None);
    let mut readings = Vec::with_capacity(records.len());
    for (at, record) in records.into_iter().enumerate() {
        if record.bver.is_some_and(|version| version > SENML_VERSION) {
            return Err(NotAReading::Senml(format!("`bver` is above {SENML_VERSION}")));
        }
        base_name = record.bn.unwrap_or(base_name);
        base_time = record.bt.unwrap_or(base_time);
        base_unit = record.bu.or(base_unit);
        let name = format!("{base_name}{}", record.n.unwrap_or_default());
        let metric = metric(name.rsplit([':', '/']).next().unwrap_or_default())?;
        let unit = record.u.as_ref().or(base_unit.as_ref());
        if unit.is_some_and(|unit| !metric.info().senml_units.contains(&unit.as_str())) {
            return Err(NotAReading::Unit(metric));
        }
        let sample = match (&record.v, &record.vs) {
            (Some(number), None) => Sample::Measured(value(metric, &number.to_string())?),
            (None, Some(word)) => Sample::Absent(reason(word).ok_or(NotAReading::Value(metric))?),
            _ => return Err(NotAReading::NoValue(at + 1)),
        };
        let at_ms = time_ms(base_time + record.t.unwrap_or(0.0), source.now_ms)?;
        readings.push(Reading { metric, at_ms, sample });
    }
    Ok(readings)
}

/// What the parser minds, without a value: its sentences quote what they found.
fn named(why: &serde_json::Error) -> String {
    let text = why.to_string();
    match text.split_once('`') {
        Some(("unknown field ", rest)) => {
            format!("the field `{}` is not understood here", rest.split('`').next().unwrap_or_default())
        }
        _ => format!("an array of records is expected; see column {}", why.column()),
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range: checked above")]
fn time_ms(seconds: f64, now_ms: u64) -> Result<u64, NotAReading> {
    let ms = (seconds * 1000.0).round();
    let ms = if seconds < RELATIVE_BELOW_S { now_ms as f64 + ms } else { ms };
    if ms.is_finite() && (0.0..=TIME_MAX_MS as f64).contains(&ms) {
        Ok(ms as u64)
    } else {
        Err(NotAReading::Time("t"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const NOW: Source = Source { now_ms: 1_795_348_800_000 };

    fn measured(metric: Metric, raw: i32, at_ms: u64) -> Reading {
        Reading { metric, at_ms, sample: Sample::Measured(raw) }
    }

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
    fn a_senml_pack_is_read_with_its_base_fields() {
        let text = br#"[{"bn":"urn:dev:mac:0024befffe804ff1:","bt":1795348799.5,"bu":"beat/min","n":"heart_rate","v":72.4},
            {"n":"heart_rate","t":1,"v":73},{"n":"body_temperature","u":"Cel","t":1.25,"v":36.6},
            {"n":"heart_rate","t":2,"vs":"noisy"}]"#;
        let at = 1_795_348_799_500;
        assert_eq!(
            pack(text, NOW).unwrap(),
            [
                measured(Metric::HeartRate, 724, at),
                measured(Metric::HeartRate, 730, at + 1000),
                measured(Metric::BodyTemperature, 3660, at + 1250),
                Reading {
                    metric: Metric::HeartRate,
                    at_ms: at + 2000,
                    sample: Sample::Absent(Absence::Noisy)
                },
            ]
        );
        let relative = pack(br#"[{"n":"co2","v":600,"t":-5}]"#, NOW).unwrap();
        assert_eq!(relative, [measured(Metric::Co2, 600, NOW.now_ms - 5000)]);
    }

    #[test]
    fn a_wrong_pack_is_named() {
        let says = |text: &str| pack(text.as_bytes(), NOW).unwrap_err().to_string();
        assert!(says("72").contains("array of records"));
        assert!(says("[]").contains("1 to 4096 records"));
        assert!(says(r#"[{"n":"co2","v":"72"}]"#).contains("array of records is expected; see column"));
        assert!(!says(r#"[{"n":"co2","v":"4711"}]"#).contains("4711"));
        assert!(says(r#"[{"n":"co2","s":1,"v":2}]"#).contains("`s` is not understood"));
        assert!(says(r#"[{"n":"co2"}]"#).contains("record 1 has no value"));
        assert!(says(r#"[{"n":"heart_rate","u":"Hz","v":1.2}]"#).contains("given in beat/min or /min"));
        assert!(says(r#"[{"n":"co2","v":600,"t":1e12}]"#).contains("after 2200"));
        assert!(says(r#"[{"n":"co2","vs":"bad"}]"#).contains("sensor_off"));
        assert!(says(r#"[{"n":"co2","v":1e300}]"#).contains("plain decimal"));
        assert!(says(r#"[{"bver":11,"n":"co2","v":600}]"#).contains("`bver`"));
    }

    #[test]
    fn the_manual_names_every_metric_with_unit_range_and_step() {
        let manual = include_str!("../../../../../docs/integrate.md").replace('\u{2212}', "-");
        for metric in Metric::ALL {
            let (low, high) = metric.info().plausible;
            let row = format!(
                "| `{}` | {} | {} | {} | {} |",
                metric.info().name,
                metric.info().senml_units[0],
                metric.in_unit(low),
                metric.in_unit(high),
                metric.in_unit(1)
            );
            assert!(manual.contains(&row), "{row}");
        }
        for (reason, _) in REASONS {
            assert!(manual.contains(&format!("{reason}`")), "{reason}");
        }
    }
}
