//! The form that changes a patient's alarm limits: what it shows, and how it is read.

use crate::fields::Fields;
use crate::format;
use crate::labels;
use crate::time::{self, Moment};
use clinic::LimitsOrder;
use clinic::views::{TemporaryLimits, Tile};
use vitals::Metric;
use vitals::alarm::{Limits, Priority};
use vitals::body::TEXT_BYTES_MAX;

/// Names of the six fields: side, then priority from low to high, as in [`Limits`].
const FIELDS: [(&str, Priority); 6] = [
    ("above_low", Priority::Low),
    ("above_medium", Priority::Medium),
    ("above_high", Priority::High),
    ("below_low", Priority::Low),
    ("below_medium", Priority::Medium),
    ("below_high", Priority::High),
];

/// Fields of the form, all required but those with a question mark: a missing one would turn an alarm off by accident.
pub(super) const FIELDS_OF_FORM: [&str; 11] = [
    "metric",
    "for?",
    "above_low",
    "above_medium",
    "above_high",
    "below_low",
    "below_medium",
    "below_high",
    "reason",
    "minutes",
    "off?",
];

/// For how long limits may be changed: minutes, and the label.
const DURATIONS: [(u64, &str); 7] = [
    (15, "15 minutes"),
    (30, "30 minutes"),
    (60, "1 hour"),
    (120, "2 hours"),
    (240, "4 hours"),
    (480, "8 hours"),
    (720, "12 hours"),
];
/// How long an alarm is off unless something else is chosen, minutes.
const OFF_MINUTES: u64 = 60;

/// One field of the form.
pub(crate) struct LimitField {
    pub(crate) name: &'static str,
    pub(crate) style: &'static str,
    pub(crate) icon: &'static str,
    pub(crate) stars: &'static str,
    pub(crate) word: String,
    pub(crate) side: &'static str,
    pub(crate) value: String,
}

/// One choice of how long.
pub(crate) struct Duration {
    pub(crate) minutes: String,
    pub(crate) label: &'static str,
    pub(crate) chosen: bool,
}

/// A change for a while that is in force.
pub(crate) struct ForAWhile {
    pub(crate) off: bool,
    pub(crate) text: String,
    pub(crate) until: Moment,
    pub(crate) back: String,
}

/// The limits of one metric, and the form that changes them.
pub(crate) struct LimitsForm {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) inside: String,
    pub(crate) unit: &'static str,
    pub(crate) sentence: String,
    pub(crate) usual: bool,
    pub(crate) changeable: bool,
    pub(crate) open: bool,
    /// Why what was entered does not fit: said where it was entered.
    pub(crate) problem: Option<String>,
    pub(crate) persistence: String,
    pub(crate) fields: Vec<LimitField>,
    pub(crate) reason: String,
    pub(crate) durations: Vec<Duration>,
    /// Set when what was entered would turn an alarm off: which, asked before it is done.
    pub(crate) question: Option<String>,
    pub(crate) for_a_while: Option<ForAWhile>,
}

/// A change for a while in one line, to be followed by the time when it ends.
pub(crate) fn temporary_text(temporary: &TemporaryLimits) -> String {
    let what = if temporary.off.is_empty() {
        format!("Limits of {} changed", labels::inside(temporary.metric))
    } else {
        format!("Alarm off: {}", labels::turned_off(temporary.metric, &temporary.off))
    };
    format!("{what}, by {} ({}), until", temporary.by, temporary.reason)
}

impl LimitsForm {
    /// The form for these limits, filled with what was entered if that did not fit or has to be confirmed.
    pub(crate) fn of(
        limits: &Limits,
        tile: &Tile,
        changeable: bool,
        entered: Option<(&str, &Fields)>,
    ) -> Self {
        let metric = limits.metric;
        let info = metric.info();
        let entered =
            entered.filter(|(_, fields)| fields.get("metric").is_some_and(|name| name == info.name));
        let problem = entered.map(|(why, _)| why.to_string());
        let entered = entered.map(|(_, fields)| fields);
        let entered_in = |name: &str| entered.and_then(|fields| fields.get(name).cloned());
        let values = limits.above.iter().chain(&limits.below);
        let field = |((name, priority), value): ((&'static str, Priority), &Option<i32>)| LimitField {
            name,
            style: labels::priority_style(priority),
            icon: labels::priority_icon(priority),
            stars: priority.stars(),
            word: format::capital(priority.word()),
            side: if name.starts_with("above") { "at or above" } else { "at or below" },
            value: entered_in(name).unwrap_or_else(|| {
                value.map_or_else(String::new, |raw| format::value(metric, raw).replace('−', "-"))
            }),
        };
        let question = entered.and_then(|fields| {
            let off: Vec<_> = read(metric, fields, limits).ok()?.turned_off().collect();
            (!off.is_empty()).then(|| labels::turned_off(metric, &off))
        });
        let temporary = tile.temporary.iter().find(|temporary| temporary.metric == metric);
        let range = |limits: &Limits| {
            labels::limits_range(limits)
                .map_or_else(|| "No alarm on this value.".into(), |range| format::capital(&range))
        };
        Self {
            name: info.name,
            label: info.label,
            inside: labels::inside(metric),
            unit: info.unit,
            sentence: range(limits),
            usual: Limits::adult(metric).as_ref() == Some(limits),
            changeable,
            open: entered.is_some(),
            problem,
            persistence: time::age(limits.persistence_ms),
            fields: FIELDS.into_iter().zip(values).map(field).collect(),
            reason: entered_in("reason").unwrap_or_default(),
            durations: durations(&entered_in("minutes").unwrap_or_default(), question.is_some()),
            question,
            for_a_while: temporary.map(|temporary| ForAWhile {
                off: !temporary.off.is_empty(),
                text: temporary_text(temporary),
                until: Moment(temporary.until_ms),
                back: range(&temporary.back),
            }),
        }
    }
}

/// How long: without an end only while no alarm is turned off.
fn durations(chosen: &str, off: bool) -> Vec<Duration> {
    let usual = OFF_MINUTES.to_string();
    let chosen = if off && chosen.is_empty() { &usual } else { chosen };
    let open_end = (!off).then_some((String::new(), "Until changed again"));
    let all = DURATIONS.iter().map(|(minutes, label)| (minutes.to_string(), *label));
    open_end
        .into_iter()
        .chain(all)
        .map(|(minutes, label)| Duration { chosen: minutes == chosen, minutes, label })
        .collect()
}

/// What a form asks for, and why it cannot be done.
pub(super) fn order(metric: Metric, fields: &Fields, before: &Limits) -> Result<LimitsOrder, String> {
    let field = |name: &str| fields.get(name).map_or("", String::as_str).trim();
    let limits = read(metric, fields, before)?;
    let reason = field("reason").to_string();
    if reason.is_empty() || reason.len() > TEXT_BYTES_MAX {
        return Err("Say in a few words why the limits are changed.".into());
    }
    let minutes = field("minutes");
    let known = DURATIONS.iter().find(|(known, _)| known.to_string() == minutes);
    let for_ms = match (minutes, known) {
        ("", _) => None,
        (_, Some((minutes, _))) => Some(minutes * 60_000),
        (_, None) => return Err("There is no such length of time to choose.".into()),
    };
    let off: Vec<_> = limits.turned_off().collect();
    if !off.is_empty() && (field("off") != "yes" || for_ms.is_none()) {
        let what = labels::turned_off(metric, &off);
        return Err(format!(
            "This turns the alarm for {what} off: nobody will be called for it. Say for how long, and confirm."
        ));
    }
    Ok(LimitsOrder { limits, reason, for_ms })
}

/// Reads limits from a form; the sentence says which field does not fit.
pub(crate) fn read(metric: Metric, fields: &Fields, before: &Limits) -> Result<Limits, String> {
    let mut values = [None; 6];
    for ((name, priority), value) in FIELDS.into_iter().zip(&mut values) {
        let text = fields.get(name).map_or("", String::as_str).trim();
        if text.is_empty() {
            continue;
        }
        let side = if name.starts_with("above") { "upper" } else { "lower" };
        let raw = raw(metric, text).ok_or_else(|| {
            let (low, high) = metric.info().plausible;
            format!(
                "The {side} {} limit must be a number from {} to {}.",
                priority.word(),
                format::value(metric, low),
                format::value(metric, high)
            )
        })?;
        *value = Some(raw);
    }
    let [a, b, c, d, e, f] = values;
    let limits = Limits { metric, above: [a, b, c], below: [d, e, f], ..*before };
    if limits.in_order() {
        Ok(limits)
    } else {
        Err("A more urgent limit must lie further out, and the upper limits above the lower ones.".into())
    }
}

/// A decimal number in the metric's unit, as raw units; none outside the range of its sensor.
fn raw(metric: Metric, text: &str) -> Option<i32> {
    let text = text.replace(',', ".").replace('−', "-");
    let (sign, digits) = text.strip_prefix('-').map_or((1, text.as_str()), |rest| (-1, rest));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let decimals = usize::from(metric.info().decimals);
    let plain = |text: &str| text.len() <= 6 && text.bytes().all(|c| c.is_ascii_digit());
    if whole.is_empty() || !plain(whole) || !plain(part) || part.len() > decimals {
        return None;
    }
    let raw: i64 = format!("{whole}{part:0<decimals$}").parse().ok()?;
    let raw = i32::try_from(sign * raw).ok()?;
    let (low, high) = metric.info().plausible;
    (low..=high).contains(&raw).then_some(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_the_metrics_unit() {
        assert_eq!(raw(Metric::HeartRate, "120"), Some(1200));
        assert_eq!(raw(Metric::BodyTemperature, "38,1"), Some(3810));
        assert_eq!(raw(Metric::AmbientTemperature, "-5.5"), Some(-55));
        for wrong in ["", ".", "-", "12a", "1e3", "38.123", "9999999", "−", "10", "١٢"] {
            assert_eq!(raw(Metric::BodyTemperature, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn limits_out_of_order_are_refused_in_a_sentence() {
        let before = Limits::adult(Metric::HeartRate).expect("the heart rate has limits");
        let form = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(k, v)| ((*k).to_string(), (*v).to_string())).collect::<Fields>()
        };
        let good = read(
            Metric::HeartRate,
            &form(&[("above_low", "100"), ("above_high", "140"), ("below_high", "40")]),
            &before,
        )
        .expect("these are in order");
        assert_eq!((good.above, good.below), ([Some(1000), None, Some(1400)], [None, None, Some(400)]));
        assert!(
            read(Metric::HeartRate, &form(&[("above_low", "140"), ("above_high", "100")]), &before).is_err()
        );
        assert!(
            read(Metric::HeartRate, &form(&[("above_low", "40"), ("below_low", "60")]), &before).is_err()
        );
        let why =
            read(Metric::HeartRate, &form(&[("above_medium", "fast")]), &before).expect_err("not a number");
        assert!(why.contains("upper medium"), "{why}");
    }
}
