//! SenML packs in JSON: RFC 8428, with the feature bits of RFC 9100 and the units of RFC 8798.
//!
//! A record that cannot be taken is refused by its number, and the others are kept. What it says in its base
//! fields still holds for those after it; where such a field is itself wrong, the records that rest on it
//! are refused as well.

use super::decimal::{Decimal, NoDecimal};
use super::readings::{NotAReading, metric, raw, reason};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;
use vitals::envelope::{COUNT_MAX, TIME_MAX_MS};
use vitals::metric::{Reading, Sample};

/// Times below this, seconds, are relative to now (RFC 8428, section 4.5.3).
const RELATIVE_BELOW_S: f64 = 268_435_456.0;
/// The version of a pack that names none.
const VERSION: u64 = 10;
/// The version with feature 4, secondary units (RFC 9100, section 4).
const VERSION_SECONDARY_UNITS: u64 = VERSION + (1 << 4);
/// Longest label that is repeated in an error, bytes.
const LABEL_BYTES_MAX: usize = 32;

/// What a pack gives.
#[derive(Debug, Default)]
pub(super) struct Pack {
    /// Readings, in the order of their records.
    pub(super) readings: Vec<Reading>,
    /// Records refused: number in the pack, from 1, and why.
    pub(super) refused: Vec<(usize, NotAReading)>,
}

/// Reads one pack. The last part of a record's name, after `:` or `/`, is the metric. `now_ms` is the time
/// that relative times are counted from.
///
/// # Errors
/// If no record of it can be taken: it is no pack, or of a version that is not understood.
pub(super) fn read(json: &[u8], now_ms: u64) -> Result<Pack, NotAReading> {
    let records: Vec<Record> = serde_json::from_slice(json).map_err(|why| {
        NotAReading::Senml(format!("an array of records is expected; see column {}", why.column()))
    })?;
    if records.is_empty() || records.len() > COUNT_MAX as usize {
        return Err(NotAReading::Count(records.len()));
    }
    check_version(&records)?;
    let (mut base, mut pack) = (Base::default(), Pack::default());
    for (number, record) in (1..).zip(&records) {
        match base.reading(number, record, now_ms) {
            Ok(reading) => pack.readings.push(reading),
            Err(why) => pack.refused.push((number, why)),
        }
    }
    Ok(pack)
}

/// All records have one version (RFC 8428, section 4.4), and its features are understood.
fn check_version(records: &[Record]) -> Result<(), NotAReading> {
    let version_of = |record: &Record| {
        let mut fields = record.fields.iter().flatten().filter(|(label, _)| label == "bver");
        match (fields.next(), fields.next()) {
            (None, _) => Ok(None),
            (Some((_, version)), None) => version.as_u64().map(Some).ok_or(()),
            (Some(_), Some(_)) => Err(()),
        }
    };
    let wrong = |what: &str| NotAReading::Senml(what.to_owned());
    let mut version = None;
    for record in records {
        let named = version_of(record).map_err(|()| wrong("`bver` is not one positive whole number"))?;
        let first = *version.get_or_insert(named.unwrap_or(VERSION));
        if named.is_some_and(|named| named != first) {
            return Err(wrong("its records name two versions in `bver`"));
        }
    }
    match version {
        Some(1..=VERSION | VERSION_SECONDARY_UNITS) | None => Ok(()),
        Some(_) => Err(wrong(
            "`bver` asks for what is not understood here: 10 is, and 26, which adds secondary units (RFC 9100)",
        )),
    }
}

/// The base fields that hold, each the value or the number of the record that has it wrong.
#[derive(Debug)]
struct Base {
    name: Result<String, usize>,
    time_s: Result<f64, usize>,
    unit: Result<Option<String>, usize>,
    value: Result<Decimal, usize>,
    /// A record with an unknown base field that must be understood.
    unknown: Result<(), usize>,
}

impl Default for Base {
    fn default() -> Self {
        Self {
            name: Ok(String::new()),
            time_s: Ok(0.0),
            unit: Ok(None),
            value: Ok(Decimal::default()),
            unknown: Ok(()),
        }
    }
}

/// The regular fields of a record that a reading is made of.
#[derive(Debug, Default)]
struct Regular<'a> {
    name: Option<&'a str>,
    unit: Option<&'a str>,
    value: Option<Result<Decimal, NoDecimal>>,
    reason: Option<&'a str>,
    /// A value that is no reading: boolean, or data.
    other: bool,
    time_s: f64,
}

fn text(value: &Value) -> Option<&str> {
    value.as_str()
}

fn decimal(value: &Value) -> Result<Decimal, NoDecimal> {
    match value {
        Value::Number(number) => Decimal::read(&number.to_string()),
        _ => Err(NoDecimal::Malformed),
    }
}

/// A label, if it can be repeated in an error.
fn printable(label: &str) -> String {
    let plain = label.len() <= LABEL_BYTES_MAX && label.bytes().all(|byte| byte.is_ascii_graphic());
    if plain { label.to_owned() } else { "…".to_owned() }
}

impl Base {
    /// Takes the fields of a record in: the base fields for it and those after it, the others for it alone.
    fn take<'a>(&mut self, number: usize, fields: &'a [(String, Value)]) -> Result<Regular<'a>, NotAReading> {
        let (mut seen, mut regular, mut wrong) = (BTreeSet::new(), Regular::default(), None);
        for (label, value) in fields {
            let twice = !seen.insert(label.as_str());
            let ok = match label.as_str() {
                // Looked at for the pack as a whole.
                "bver" => true,
                "bn" => set(&mut self.name, text(value).map(str::to_owned), twice, number),
                "bt" => set(&mut self.time_s, value.as_f64(), twice, number),
                "bu" => set(&mut self.unit, text(value).map(|unit| Some(unit.to_owned())), twice, number),
                "bv" => set(&mut self.value, decimal(value).ok(), twice, number),
                "n" => text(value).map(|name| regular.name = Some(name)).is_some(),
                "u" => text(value).map(|unit| regular.unit = Some(unit)).is_some(),
                "v" => {
                    regular.value = Some(decimal(value));
                    value.is_number()
                }
                "vs" => text(value).map(|word| regular.reason = Some(word)).is_some(),
                "vb" | "vd" => {
                    regular.other = true;
                    true
                }
                "t" => value.as_f64().map(|time_s| regular.time_s = time_s).is_some(),
                // Defined, and of no use here: base sum, sum, update time.
                "bs" | "s" | "ut" => value.is_number(),
                // RFC 8428, section 4.4.
                unknown if unknown.ends_with('_') => {
                    if unknown.starts_with('b') {
                        self.unknown = Err(number);
                    }
                    wrong.get_or_insert_with(|| NotAReading::MustUnderstand(printable(unknown)));
                    continue;
                }
                _ => continue,
            };
            if twice || !ok {
                wrong.get_or_insert_with(|| NotAReading::Field(label.clone()));
            }
        }
        wrong.map_or(Ok(regular), Err)
    }

    fn reading(&mut self, number: usize, record: &Record, now_ms: u64) -> Result<Reading, NotAReading> {
        let fields = record.fields.as_ref().ok_or(NotAReading::NoRecord)?;
        let regular = self.take(number, fields)?;
        let rests_on = |record: &usize| NotAReading::RestsOn(*record);
        self.unknown.as_ref().map_err(rests_on)?;
        let name = format!("{}{}", self.name.as_ref().map_err(rests_on)?, regular.name.unwrap_or_default());
        // Before the name: what has base fields alone has no name of its own either.
        if regular.value.is_none() && regular.reason.is_none() && !regular.other {
            return Err(NotAReading::NoValue);
        }
        check_name(&name)?;
        let metric = metric(name.rsplit([':', '/']).next().unwrap_or_default())?;
        let sample = match (regular.value, regular.reason, regular.other) {
            (Some(value), None, false) => {
                let base = self.value.as_ref().map_err(rests_on)?;
                let unit = match regular.unit {
                    Some(unit) => Some(unit),
                    None => self.unit.as_ref().map_err(rests_on)?.as_deref(),
                };
                let units = metric.info().senml_units;
                // Without a unit the context says which (RFC 8428, section 4.5.2): the metric's own.
                let unit = unit.map_or(units.first(), |name| units.iter().find(|unit| unit.name == name));
                let unit = unit.ok_or(NotAReading::Unit(metric))?;
                let value = value.ok().and_then(|value| {
                    base.plus(value)?.times(unit.times)?.less_hundredths(unit.less_hundredths)
                });
                Sample::Measured(raw(metric, value.ok_or(NotAReading::Implausible(metric))?)?)
            }
            (None, Some(word), false) => Sample::Absent(reason(word).ok_or(NotAReading::Value(metric))?),
            (None, None, true) => return Err(NotAReading::Value(metric)),
            _ => return Err(NotAReading::NoValue),
        };
        let time_s = self.time_s.as_ref().map_err(rests_on)? + regular.time_s;
        Ok(Reading { metric, at_ms: time_ms(time_s, now_ms)?, sample })
    }
}

/// Sets a base field, or notes who has it wrong. False if it is wrong.
fn set<T>(field: &mut Result<T, usize>, value: Option<T>, twice: bool, number: usize) -> bool {
    *field = value.filter(|_| !twice).ok_or(number);
    field.is_ok()
}

/// RFC 8428, section 4.5.1.
fn check_name(name: &str) -> Result<(), NotAReading> {
    let begins = name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
    let goes_on = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-:./_".contains(&byte));
    if begins && goes_on { Ok(()) } else { Err(NotAReading::Name) }
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

/// One record: its fields as they stand there, also those that stand there twice.
#[derive(Debug)]
struct Record {
    /// None if it is no JSON object.
    fields: Option<Vec<(String, Value)>>,
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(RecordVisitor)
    }
}

struct RecordVisitor;

const NO_RECORD: Record = Record { fields: None };

impl<'de> Visitor<'de> for RecordVisitor {
    type Value = Record;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Record { fields: Some(fields) })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Record, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(NO_RECORD)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Record, E> {
        Ok(NO_RECORD)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Record, E> {
        Ok(NO_RECORD)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Record, E> {
        Ok(NO_RECORD)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Record, E> {
        Ok(NO_RECORD)
    }

    fn visit_str<E>(self, _: &str) -> Result<Record, E> {
        Ok(NO_RECORD)
    }

    fn visit_unit<E>(self) -> Result<Record, E> {
        Ok(NO_RECORD)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;
