//! One patient's newest values, as tiles and strips show them.

use super::alarm_card::style;
use super::limits_form;
use super::orders;
use super::patient_status::{Chip, Mark, Status};
use crate::charts::{Band, Bucket, Frame, Run, axis};
use crate::format;
use crate::labels::{self, Trend};
use crate::time::{self, Moment};
use clinic::views::{AlarmPhase, AlarmView, EnvelopeRef, ProofState, SparkPoint, Tile, ValueNow};
use vitals::alarm::{Condition, Limits, Priority};
use vitals::envelope::ClockQuality;
use vitals::metric::{Metric, Sample};

/// A change is measured against the value this long ago.
const TREND_MS: u64 = 15 * 60_000;
/// No change is shown before this much is known.
const TREND_MIN_MS: u64 = 60_000;
/// Height of a small curve.
const SPARK_HEIGHT: f64 = 40.0;

/// The mark that says how far the proof of a value has come.
#[derive(Clone)]
pub(crate) struct ProofMark {
    pub(crate) href: String,
    pub(crate) index: u64,
    /// Filled dots.
    pub(crate) steps: u8,
    pub(crate) word: &'static str,
}

impl ProofMark {
    pub(crate) fn of(envelope: &EnvelopeRef) -> Self {
        Self {
            href: format!("/proof/{}", envelope.index),
            index: envelope.index,
            steps: steps(envelope.proof),
            word: envelope.proof.word(),
        }
    }
}

/// Filled dots of a proof state.
#[must_use]
pub(crate) fn steps(proof: ProofState) -> u8 {
    match proof {
        ProofState::Received => 1,
        ProofState::Anchored => 2,
        ProofState::Final { .. } => 3,
    }
}

/// A small curve.
pub(crate) struct Spark {
    pub(crate) label: String,
    pub(crate) band: Option<Band>,
    pub(crate) lines: Vec<String>,
    pub(crate) runs: Vec<Run>,
}

/// One metric's newest value.
pub(crate) struct Cell {
    pub(crate) metric: Metric,
    pub(crate) code: u8,
    pub(crate) style: &'static str,
    pub(crate) label: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) value: Option<i32>,
    /// The value, or a dash and why.
    pub(crate) shown: String,
    pub(crate) at: Moment,
    /// Style of the worst alarm on it, or nothing.
    pub(crate) out: &'static str,
    pub(crate) has_trend: bool,
    pub(crate) trend: Trend,
    pub(crate) change: String,
    /// In how long.
    pub(crate) change_in: String,
    /// Raw units per shown unit, and decimals shown: how the page's script writes new values.
    pub(crate) scale: u32,
    pub(crate) decimals: u8,
    pub(crate) proof: Option<ProofMark>,
}

/// One patient as tiles and pages show them.
pub(crate) struct BedView {
    pub(crate) patient: String,
    pub(crate) name: String,
    pub(crate) place: String,
    pub(crate) style: &'static str,
    pub(crate) chip: Chip,
    pub(crate) stale: bool,
    /// How old a value may be before it is stale.
    pub(crate) stale_after_ms: u64,
    pub(crate) last: Option<Moment>,
    pub(crate) cells: Vec<Cell>,
    pub(crate) spark: Option<Spark>,
    /// Owner of the worst alarm, and since when there is one; without one, what is not known to be well.
    pub(crate) line: Option<(String, Option<Moment>)>,
    /// Alarms that are off, and what is wrong with clock and streams, a line each.
    pub(crate) marks: Vec<Mark>,
    pub(crate) proof: Option<ProofMark>,
}

fn marks(tile: &Tile) -> Vec<Mark> {
    let technical = &tile.technical;
    let newest = tile.values.iter().max_by_key(|value| value.envelope.index);
    let clock = technical.clock_off_ms.zip(newest).map(|(off_ms, newest)| {
        let never = if technical.clock == ClockQuality::Unset { "never set, " } else { "" };
        let text = format!("Clock {never}{}: newest value marked", time::off(off_ms));
        Mark { icon: "stale", text, at: Moment(newest.at_ms) }
    });
    let missing = technical.missing.iter().map(|missing| Mark {
        icon: "gap",
        text: format!(
            "{} of {} missing (number {}{}), noticed",
            if missing.count == 1 {
                "1 record".into()
            } else {
                format!("{} records", format::count(missing.count))
            },
            labels::class(missing.class),
            format::numbers(&missing.seqs),
            if missing.seqs.iter().map(|(first, last)| last - first + 1).sum::<u64>() < missing.count {
                ", …"
            } else {
                ""
            },
        ),
        at: Moment(missing.since_ms),
    });
    let off = tile.temporary.iter().map(|temporary| Mark {
        icon: if temporary.off.is_empty() { "bell" } else { "mute" },
        text: limits_form::temporary_text(temporary),
        at: Moment(temporary.until_ms),
    });
    let back = tile.limits_back.iter().map(|back| Mark {
        icon: "bell",
        text: format!("The usual limits of {} are back since", labels::inside(back.metric)),
        at: Moment(back.at_ms),
    });
    off.chain(back).chain(orders::marks(tile)).chain(clock).chain(missing).collect()
}

impl BedView {
    /// A tile with just these metrics, whether they have a value or not.
    pub(crate) fn for_wall(tile: &Tile, now_ms: u64) -> Self {
        Self::with(tile, &[Metric::HeartRate, Metric::BodyTemperature], now_ms)
    }

    /// A strip with all metrics that have a value; the body's first.
    pub(crate) fn for_page(tile: &Tile, now_ms: u64) -> Self {
        let metrics: Vec<Metric> = tile.values.iter().map(|value| value.metric).collect();
        Self::with(tile, &metrics, now_ms)
    }

    fn with(tile: &Tile, metrics: &[Metric], now_ms: u64) -> Self {
        let (name, place) = labels::name_and_place(tile);
        let worst = tile.alarms.first();
        let last = tile.technical.last_ms.map(Moment);
        let newest = tile.values.iter().max_by_key(|value| value.envelope.index);
        let status = Status::of(tile, now_ms);
        Self {
            patient: tile.patient.to_string(),
            name,
            place,
            style: match worst {
                None if last.is_none() => "wait",
                None if tile.technical.stale => "tech",
                None => "",
                Some(alarm) => style(alarm),
            },
            chip: worst.map_or_else(|| status.chip(), chip),
            stale: tile.technical.stale,
            stale_after_ms: tile.technical.stale_after_ms,
            last,
            cells: metrics.iter().map(|metric| cell(tile, *metric, now_ms)).collect(),
            spark: spark(
                &tile.sparkline,
                tile.limits.iter().find(|limits| limits.metric == Metric::HeartRate),
                now_ms,
            ),
            line: worst
                .map(|alarm| (owner_line(alarm), Some(Moment(alarm.raised_at_ms))))
                .or_else(|| status.line().map(|line| (line, None))),
            marks: marks(tile),
            proof: newest.map(|value| ProofMark::of(&value.envelope)),
        }
    }
}

fn chip(alarm: &AlarmView) -> Chip {
    let over = alarm.phase == AlarmPhase::Recovered;
    Chip {
        style: style(alarm),
        icon: if over { "low" } else { labels::priority_icon(alarm.priority) },
        stars: alarm.priority.stars(),
        word: if over { "Over".into() } else { format::capital(alarm.priority.word()) },
        well: false,
    }
}

fn owner_line(alarm: &AlarmView) -> String {
    match (&alarm.owner, alarm.phase) {
        (_, AlarmPhase::Recovered) => "Not acknowledged · raised at".into(),
        (Some(owner), _) => format!("{owner} · since"),
        (None, _) => "No owner yet · since".into(),
    }
}

fn cell(tile: &Tile, metric: Metric, now_ms: u64) -> Cell {
    let info = metric.info();
    let now = tile.value(metric);
    let value = now.and_then(|now| match now.sample {
        Sample::Measured(value) => Some(value),
        Sample::Absent(_) => None,
    });
    let change = if metric == Metric::HeartRate {
        value.and_then(|value| change_of(&tile.sparkline, value, now_ms))
    } else {
        None
    };
    let at = Moment(now.map_or(0, |now| now.here_ms));
    let decimals = format::shown_decimals(metric);
    Cell {
        metric,
        code: metric.code(),
        style: labels::metric_style(metric),
        label: info.label,
        unit: info.unit,
        value,
        shown: value.map_or_else(|| absence(now), |value| format::value(metric, value)),
        at,
        out: worst_on(&tile.alarms, metric).map_or("", labels::priority_style),
        has_trend: change.is_some(),
        trend: change.map_or(Trend::Flat, |(change, _)| Trend::of(metric, change)),
        change: change.map_or_else(String::new, |(change, _)| format::change(metric, change)),
        change_in: change.map_or_else(String::new, |(_, ago_ms)| format!("in {}", time::age(ago_ms))),
        scale: 10u32.pow(u32::from(info.decimals)),
        decimals,
        proof: now.map(|now| ProofMark::of(&now.envelope)),
    }
}

fn absence(now: Option<&ValueNow>) -> String {
    match now.map(|now| now.sample) {
        Some(Sample::Absent(why)) => labels::absence(why),
        Some(Sample::Measured(_)) | None => "–",
    }
    .into()
}

/// The worst open physiological alarm on a metric.
fn worst_on(alarms: &[AlarmView], metric: Metric) -> Option<Priority> {
    let physiological = |alarm: &&AlarmView| {
        matches!(alarm.condition, Condition::Above(m) | Condition::Below(m) if m == metric)
            && matches!(alarm.phase, AlarmPhase::Active | AlarmPhase::Acknowledged)
    };
    alarms.iter().filter(physiological).map(|alarm| alarm.priority).max()
}

/// How the value differs from a quarter of an hour ago, or from the oldest that is known.
/// The difference, and in how long, milliseconds.
fn change_of(points: &[SparkPoint], value: i32, now_ms: u64) -> Option<(i32, u64)> {
    let then = points.iter().find(|point| point.at_ms + TREND_MS >= now_ms)?;
    let ago_ms = now_ms.checked_sub(then.at_ms)?;
    (ago_ms >= TREND_MIN_MS).then(|| (value - i32::midpoint(then.low, then.high), ago_ms))
}

/// Room for the data and the innermost limits, and a little beyond.
fn spark_axis(limits: Option<&Limits>, lowest: i32, highest: i32) -> (i32, i32) {
    const MARGIN: i32 = 40;
    let Some(limits) = limits else { return axis(Metric::HeartRate, lowest, highest) };
    let low = limits.below.iter().flatten().max().copied().unwrap_or(lowest).min(lowest);
    let high = limits.above.iter().flatten().min().copied().unwrap_or(highest).max(highest);
    (low - MARGIN, high + MARGIN)
}

/// The small curve of the heart rate.
pub(crate) fn spark(points: &[SparkPoint], limits: Option<&Limits>, now_ms: u64) -> Option<Spark> {
    let (first, last) = (points.first()?, points.last()?);
    let lowest = points.iter().map(|point| point.low).min()?;
    let highest = points.iter().map(|point| point.high).max()?;
    let step_ms =
        points.windows(2).map(|pair| pair[1].at_ms.saturating_sub(pair[0].at_ms)).min().unwrap_or(0);
    let frame = Frame {
        span_ms: (first.at_ms, now_ms.max(last.at_ms + 1)),
        axis: spark_axis(limits, lowest, highest),
        height: SPARK_HEIGHT,
        gap_ms: (step_ms * 3 / 2).max(crate::charts::GAP_MS),
    };
    let buckets: Vec<Bucket> = points
        .iter()
        .map(|point| Bucket {
            at_ms: point.at_ms,
            min: point.low,
            mean: f64::midpoint(f64::from(point.low), f64::from(point.high)),
            max: point.high,
            count: 1,
            envelope: 0,
            broken: false,
        })
        .collect();
    let range = limits.and_then(labels::limits_range).map_or_else(String::new, |range| format!(", {range}"));
    let label = format!(
        "Heart rate, last {}: from {} to {} bpm{range}",
        time::age(now_ms.saturating_sub(first.at_ms)),
        format::value(Metric::HeartRate, lowest),
        format::value(Metric::HeartRate, highest),
    );
    let band = limits.and_then(|limits| frame.band(limits));
    let lines = band.iter().flat_map(|band| {
        let foot = band.top.parse::<f64>().unwrap_or(0.0) + band.height.parse::<f64>().unwrap_or(0.0);
        [band.top.clone(), format!("{foot:.1}")]
    });
    Some(Spark { label, lines: lines.collect(), band, runs: frame.runs(&buckets) })
}
