//! Values, times and alarms as people read them.

use vitals::alarm::{Condition, Limits, Priority, Side, Unwatched};
use vitals::ids::Class;
use vitals::ledger::Purpose;
use vitals::metric::{Absence, Metric};

/// Decimals a page shows; records keep all of them.
#[must_use]
pub fn shown_decimals(metric: Metric) -> u8 {
    match metric {
        Metric::BodyTemperature | Metric::AmbientTemperature => 1,
        _ => 0,
    }
}

/// How many raw units one shown unit has.
fn raw_per_step(metric: Metric) -> i64 {
    10i64.pow(u32::from(metric.info().decimals.saturating_sub(shown_decimals(metric))))
}

/// A raw value as a page shows it: rounded half away from zero, with a real minus sign.
#[must_use]
pub fn value(metric: Metric, raw: i32) -> String {
    let per_step = raw_per_step(metric);
    let raw = i64::from(raw);
    let steps = (raw.abs() + per_step / 2) / per_step;
    let sign = if raw < 0 && steps != 0 { "−" } else { "" };
    match shown_decimals(metric) {
        0 => format!("{sign}{steps}"),
        _ => format!("{sign}{}.{}", steps / 10, steps % 10),
    }
}

/// A difference with its sign: `+3`, `−0.2`, `±0`.
#[must_use]
pub fn change(metric: Metric, raw: i32) -> String {
    let text = value(metric, raw);
    match text.chars().any(|c| ('1'..='9').contains(&c)) {
        false => "±0".into(),
        true if raw > 0 => format!("+{text}"),
        true => text,
    }
}

/// Where a value is going.
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
            // Better than the alarm's priority says, and not yet over.
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
        Condition::Equivocation => "Two devices send under one identity".into(),
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
        Condition::NotListening => "The bedside did not hear the ward".into(),
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
        Unwatched::NoConsent => "no consent to monitoring",
        Unwatched::Withdrawn => "the patient withdrew it",
        Unwatched::ConsentEnded => "the consent ended",
        Unwatched::Policy => "the policy of the consent does not allow it",
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

/// For how long nobody has answered, by the step of an alarm's event; nobody else is called at a step.
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

/// A word with a capital first letter.
#[must_use]
pub fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
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
    if changes.is_empty() { "nothing".into() } else { joined(changes.into_iter()) }
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

/// Words joined as in speech: `one, two and three`.
#[must_use]
pub fn joined(words: impl Iterator<Item = String>) -> String {
    let words: Vec<String> = words.collect();
    match words.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
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

/// How long ago, in the largest unit that says it: `2 s`, `4 min`, `3 h`, `2 days`.
#[must_use]
pub fn age(ms: u64) -> String {
    match ms / 1000 {
        s @ 0..=89 => format!("{s} s"),
        s @ 90..=5399 => format!("{} min", (s + 30) / 60),
        s @ 5400..=172_799 => format!("{} h", (s + 1800) / 3600),
        s => format!("{} days", s / 86_400),
    }
}

/// How much time is left, rounded down: `3 days`, `5 hours`, `12 minutes`.
#[must_use]
pub fn left(ms: u64) -> String {
    let said = |number: u64, one: &str| format!("{number} {one}{}", if number == 1 { "" } else { "s" });
    match ms / 60_000 {
        minutes @ 2880.. => said(minutes / 1440, "day"),
        minutes @ 120.. => said(minutes / 60, "hour"),
        minutes => said(minutes, "minute"),
    }
}

/// How far a clock is off, from how many milliseconds it is behind (negative: ahead).
#[must_use]
pub fn off(behind_ms: i64) -> String {
    let far = match behind_ms.unsigned_abs() / 86_400_000 {
        days @ 731.. => format!("{} years", days * 4 / 1461),
        _ => age(behind_ms.unsigned_abs()),
    };
    format!("{far} {}", if behind_ms < 0 { "ahead" } else { "behind" })
}

/// Sequence numbers, from inclusive ranges: `3–5, 9`.
#[must_use]
pub fn numbers(ranges: &[(u64, u64)]) -> String {
    let range = |(first, last): &(u64, u64)| match first == last {
        true => first.to_string(),
        false => format!("{first}–{last}"),
    };
    ranges.iter().map(range).collect::<Vec<_>>().join(", ")
}

/// Bytes as lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    hex::encode(bytes)
}

/// The two ends of a long hex word: `9c1e…40b2`.
#[must_use]
pub fn short_hex(bytes: &[u8]) -> String {
    let text = hex::encode(bytes);
    match text.len() {
        0..=12 => text,
        len => format!("{}…{}", &text[..6], &text[len - 4..]),
    }
}

/// A large count with thin spaces: `1 204 991`.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place != 0 && (digits.len() - place).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// A moment, written for machines and for people. People get UTC from the server; the page's own
/// script rewrites it in the viewer's zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

impl Moment {
    /// Year, month (1 to 12) and day, proleptic Gregorian (after H. Hinnant's days-from-civil).
    fn civil(self) -> (u64, u64, u64) {
        let days = self.0 / 86_400_000 + 719_468;
        let era = days / 146_097;
        let day_of_era = days % 146_097;
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        (year_of_era + era * 400 + u64::from(month <= 2), month, day)
    }

    fn of_day(self) -> (u64, u64, u64, u64) {
        let ms = self.0 % 86_400_000;
        (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
    }

    /// `2026-11-22T13:05:12.345Z`.
    #[must_use]
    pub fn iso(self) -> String {
        let ((year, month, day), (h, m, s, ms)) = (self.civil(), self.of_day());
        format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{ms:03}Z")
    }

    /// `13:05:12 UTC`.
    #[must_use]
    pub fn clock(self) -> String {
        let (h, m, s, _) = self.of_day();
        format!("{h:02}:{m:02}:{s:02} UTC")
    }

    /// `13:05`.
    #[must_use]
    pub fn minute(self) -> String {
        let (h, m, ..) = self.of_day();
        format!("{h:02}:{m:02}")
    }

    /// `22 November 2026`.
    #[must_use]
    pub fn date(self) -> String {
        let (year, month, day) = self.civil();
        let name = usize::try_from(month - 1).ok().and_then(|at| MONTHS.get(at)).unwrap_or(&"");
        format!("{day} {name} {year}")
    }

    /// `22 November 2026, 13:05:12 UTC`.
    #[must_use]
    pub fn full(self) -> String {
        format!("{}, {}", self.date(), self.clock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nobody_answers_nobody_is_said_to_be_told() {
        assert_eq!([1, 2, 3, 4].map(unanswered), [" for 1 minute", " for 3 minutes", " for 5 minutes", ""]);
        let help = include_str!("../templates/pages/help.html");
        assert!(!help.contains("people are told") && help.contains("It calls nobody"));
    }

    #[test]
    fn values_are_rounded_half_away_from_zero_and_signed_with_a_minus() {
        assert_eq!(value(Metric::HeartRate, 1344), "134");
        assert_eq!(value(Metric::HeartRate, 1345), "135");
        assert_eq!(value(Metric::BodyTemperature, 3684), "36.8");
        assert_eq!(value(Metric::AmbientTemperature, -54), "−5.4");
        assert_eq!(value(Metric::AmbientTemperature, 0), "0.0");
        assert_eq!(value(Metric::Pm25, -4), "0");
        assert_eq!(change(Metric::HeartRate, -63), "−6");
        assert_eq!(change(Metric::BodyTemperature, 4), "±0");
        assert_eq!(change(Metric::BodyTemperature, 30), "+0.3");
    }

    #[test]
    fn moments_name_the_right_day() {
        assert_eq!(Moment(0).iso(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Moment(951_782_400_000).date(), "29 February 2000");
        assert_eq!(Moment(1_795_353_912_345).iso(), "2026-11-22T13:25:12.345Z");
        assert_eq!(Moment(4_102_444_800_000).date(), "1 January 2100");
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
    fn ages_use_the_unit_that_says_it() {
        assert_eq!(age(2_400), "2 s");
        assert_eq!(age(240_000), "4 min");
        assert_eq!(age(7_200_000), "2 h");
        assert_eq!(age(200_000_000), "2 days");
    }

    #[test]
    fn what_is_left_is_rounded_down() {
        assert_eq!(left(3 * 86_400_000 - 1), "2 days");
        assert_eq!(left(47 * 3_600_000), "47 hours");
        assert_eq!(left(119 * 60_000), "119 minutes");
        assert_eq!(left(60_000), "1 minute");
    }

    #[test]
    fn a_wrong_clock_says_how_far_and_which_way() {
        assert_eq!(off(3_600_000), "60 min behind");
        assert_eq!(off(-7_200_000), "2 h ahead");
        assert_eq!(off(1_795_348_000_000), "56 years behind");
        assert_eq!(numbers(&[(3, 5), (9, 9)]), "3–5, 9");
    }

    #[test]
    fn counts_and_lists_read_as_in_speech() {
        assert_eq!(count(1_204_991), "1\u{202f}204\u{202f}991");
        assert_eq!(count(999), "999");
        assert_eq!(
            classes(&[Class::Vitals, Class::Environment, Class::Alarms]),
            "vital signs, room values and alarms"
        );
        assert_eq!(short_hex(&[0xab; 32]), "ababab…abab");
    }
}
