//! The curves of a record over a span, their limits, alarm marks, gaps and table twins.

use super::bed::ProofMark;
use super::history::episodes;
use crate::charts::{BUCKETS, Bucket, Frame, Run, axis, gap_ms, thin};
use crate::format;
use crate::labels;
use crate::time::{self, Moment};
use askama::Template;
use askama::filters::HtmlSafe;
use clinic::MONITORING_BACK_MS;
use clinic::views::{Chart, EnvelopeRef, ProofState, Series};
use vitals::alarm::Limits;
use vitals::ledger::Purpose;
use vitals::metric::{Metric, Sample};

/// Rows of a table twin.
const ROWS: u64 = 12;
/// Newest values listed one by one.
const NEWEST: usize = 20;
/// Ticks of the time axis, both ends included.
const TICKS: u64 = 5;

/// A span one can choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    /// In addresses.
    pub(crate) word: &'static str,
    /// On the page.
    pub(crate) label: &'static str,
    /// Length, milliseconds.
    pub(crate) length_ms: u64,
}

/// All spans one can choose.
pub(crate) const RANGES: [Range; 5] = [
    Range { word: "15m", label: "15 min", length_ms: 15 * 60_000 },
    Range { word: "1h", label: "1 h", length_ms: 3_600_000 },
    Range { word: "2h", label: "2 h", length_ms: 2 * 3_600_000 },
    Range { word: "8h", label: "8 h", length_ms: 8 * 3_600_000 },
    Range { word: "24h", label: "24 h", length_ms: 24 * 3_600_000 },
];

/// The span of this name; a quarter of an hour if none is named.
#[must_use]
pub(crate) fn range(word: &str) -> Option<Range> {
    if word.is_empty() {
        return Some(RANGES[0]);
    }
    RANGES.into_iter().find(|range| range.word == word)
}

struct RangeLink {
    word: &'static str,
    label: &'static str,
    href: String,
    current: bool,
}

struct Drawing {
    runs: Vec<Run>,
    lines: Vec<String>,
    top: String,
    foot: String,
    foot_y: u32,
}

struct Row {
    from: Moment,
    empty: bool,
    min: String,
    mean: String,
    max: String,
    proof: ProofMark,
}

struct NewestRow {
    at: Moment,
    value: String,
    proof: ProofMark,
}

/// One metric's curve.
struct Plot {
    code: u8,
    style: &'static str,
    label: &'static str,
    inside: String,
    unit: &'static str,
    height: u32,
    scale: u32,
    decimals: u8,
    limits: Option<String>,
    /// `priority side raw;…` for the page's script.
    limits_data: String,
    /// `bucket min mean max broken;…`: bucket counted from the span's first, values raw.
    points: String,
    /// Values further apart are not joined, milliseconds.
    gap_ms: u64,
    /// The newest sample is "no value": what comes next is not joined to what was.
    broken: bool,
    /// Lowest and highest raw value of the axis.
    axis: String,
    /// The text for readers who cannot see the curve.
    spoken: String,
    span: String,
    drawing: Drawing,
    rows: Vec<Row>,
    newest: Vec<NewestRow>,
}

/// The curves: a fragment of the patient's page.
#[derive(Template)]
#[template(path = "parts/trends.html")]
pub(crate) struct TrendsPart {
    from: Moment,
    until: Moment,
    bucket_ms: u64,
    /// `from until style label;…` for the page's script.
    marks: String,
    ranges: Vec<RangeLink>,
    plots: Vec<Plot>,
    ticks: Vec<Moment>,
    slice: String,
}

impl HtmlSafe for TrendsPart {}

impl TrendsPart {
    /// The curves of a chart; `address` is the page's path with every query field but the range.
    pub(crate) fn of(chart: &Chart, chosen: Range, address: &str) -> Self {
        let (from_ms, until_ms) = chart.span_ms;
        let bucket_ms = (until_ms.saturating_sub(from_ms) / BUCKETS).max(1);
        let start_ms = from_ms - from_ms % bucket_ms;
        let marks: Vec<String> = episodes(chart)
            .iter()
            .map(|episode| {
                format!(
                    "{} {} {} {} {}",
                    episode.metric_code(),
                    episode.from_ms,
                    episode.until_ms,
                    labels::priority_style(episode.priority),
                    episode.label()
                )
            })
            .collect();
        let separator = if address.contains('?') { '&' } else { '?' };
        Self {
            from: Moment(start_ms),
            until: Moment(until_ms),
            bucket_ms,
            marks: marks.join(";"),
            ranges: RANGES
                .iter()
                // What monitoring does not reach is not offered.
                .filter(|range| chart.purpose != Purpose::Monitoring || range.length_ms <= MONITORING_BACK_MS)
                .map(|range| RangeLink {
                    word: range.word,
                    label: range.label,
                    href: format!("{address}{separator}range={}", range.word),
                    current: *range == chosen,
                })
                .collect(),
            plots: chart
                .series
                .iter()
                .filter_map(|series| plot(chart, series, start_ms, bucket_ms))
                .collect(),
            ticks: (0..TICKS)
                .map(|tick| Moment(start_ms + (until_ms - start_ms) * tick / (TICKS - 1)))
                .collect(),
            slice: time::age(until_ms.saturating_sub(start_ms) / ROWS),
        }
    }
}

fn plot(chart: &Chart, series: &Series, start_ms: u64, bucket_ms: u64) -> Option<Plot> {
    let metric = series.metric;
    let buckets = thin(&series.points, bucket_ms);
    let lowest = buckets.iter().map(|bucket| bucket.min).min()?;
    let highest = buckets.iter().map(|bucket| bucket.max).max()?;
    let limits = chart.now.limits.iter().find(|limits| limits.metric == metric);
    let (height, height_f) = match metric {
        Metric::HeartRate => (190, 190.0),
        Metric::BodyTemperature => (150, 150.0),
        _ => (96, 96.0),
    };
    let frame = Frame {
        span_ms: (start_ms, chart.span_ms.1),
        axis: axis(metric, lowest, highest),
        height: height_f,
        gap_ms: gap_ms(&series.points, bucket_ms),
    };
    let points: Vec<String> = buckets
        .iter()
        .map(|bucket| {
            format!(
                "{} {} {:.1} {} {}",
                bucket.at_ms.saturating_sub(start_ms) / bucket_ms,
                bucket.min,
                bucket.mean,
                bucket.max,
                u8::from(bucket.broken)
            )
        })
        .collect();
    let info = metric.info();
    let spoken = format!(
        "{}, {} to {}: from {} to {} {}{}. A table follows.",
        info.label,
        Moment(start_ms).clock(),
        Moment(chart.span_ms.1).clock(),
        format::value(metric, lowest),
        format::value(metric, highest),
        info.unit,
        limits.and_then(labels::limits_range).map_or_else(String::new, |range| format!(", {range}")),
    );
    Some(Plot {
        code: metric.code(),
        style: labels::metric_style(metric),
        label: metric.info().label,
        inside: labels::inside(metric),
        unit: metric.info().unit,
        height,
        scale: 10u32.pow(u32::from(metric.info().decimals)),
        decimals: format::shown_decimals(metric),
        limits: limits.and_then(labels::limits_range),
        limits_data: limits.map_or_else(String::new, limits_data),
        points: points.join(";"),
        gap_ms: frame.gap_ms,
        broken: series.points.last().is_some_and(|last| matches!(last.sample, Sample::Absent(_))),
        axis: format!("{} {}", frame.axis.0, frame.axis.1),
        spoken,
        span: format!("from {} to {}", format::value(metric, lowest), format::value(metric, highest)),
        drawing: Drawing {
            runs: frame.runs(&buckets),
            lines: limits.map_or_else(Vec::new, |limits| frame.lines(limits)),
            top: format::value(metric, frame.axis.1),
            foot: format::value(metric, frame.axis.0),
            foot_y: height - 4,
        },
        rows: rows(chart, metric, &buckets, start_ms),
        newest: newest(chart, series),
    })
}

fn limits_data(limits: &Limits) -> String {
    let styles = ["low", "medium", "high"];
    let side = |name: &'static str, values: [Option<i32>; 3]| {
        styles
            .into_iter()
            .zip(values)
            .filter_map(move |(style, value)| Some(format!("{style} {name} {}", value?)))
    };
    side("above", limits.above).chain(side("below", limits.below)).collect::<Vec<_>>().join(";")
}

/// Of two values, the mark of the one whose proof has come less far.
fn weakest(one: &EnvelopeRef, other: &EnvelopeRef) -> EnvelopeRef {
    let rank = |envelope: &EnvelopeRef| match envelope.proof {
        ProofState::Received => 0,
        ProofState::Anchored => 1,
        ProofState::Final { .. } => 2,
    };
    if rank(other) < rank(one) { *other } else { *one }
}

#[allow(clippy::cast_possible_truncation, reason = "a mean of i32 values lies between them")]
fn rows(chart: &Chart, metric: Metric, buckets: &[Bucket], start_ms: u64) -> Vec<Row> {
    let slice_ms = (chart.span_ms.1.saturating_sub(start_ms) / ROWS).max(1);
    let nothing = |from| Row {
        from,
        empty: true,
        min: String::new(),
        mean: String::new(),
        max: String::new(),
        proof: ProofMark::of(&chart.trace),
    };
    (0..ROWS)
        .rev()
        .map(|slot| {
            let from_ms = start_ms + slot * slice_ms;
            let here: Vec<&Bucket> = buckets
                .iter()
                .filter(|bucket| (from_ms..from_ms + slice_ms).contains(&bucket.at_ms))
                .collect();
            let count: f64 = here.iter().map(|bucket| f64::from(bucket.count)).sum();
            let sum: f64 = here.iter().map(|bucket| bucket.mean * f64::from(bucket.count)).sum();
            let envelopes =
                here.iter().filter_map(|bucket| chart.envelopes.get(usize::try_from(bucket.envelope).ok()?));
            let proof = envelopes.copied().reduce(|one, other| weakest(&one, &other));
            let (Some(min), Some(max), Some(proof)) = (
                here.iter().map(|bucket| bucket.min).min(),
                here.iter().map(|bucket| bucket.max).max(),
                proof,
            ) else {
                return nothing(Moment(from_ms));
            };
            Row {
                from: Moment(from_ms),
                empty: false,
                min: format::value(metric, min),
                mean: format::value(metric, (sum / count).round() as i32),
                max: format::value(metric, max),
                proof: ProofMark::of(&proof),
            }
        })
        .collect()
}

fn newest(chart: &Chart, series: &Series) -> Vec<NewestRow> {
    series
        .points
        .iter()
        .rev()
        .take(NEWEST)
        .filter_map(|point| {
            let envelope = chart.envelopes.get(usize::try_from(point.envelope).ok()?)?;
            let value = match point.sample {
                Sample::Measured(value) => format::value(series.metric, value),
                Sample::Absent(_) => "no value".into(),
            };
            Some(NewestRow { at: Moment(point.at_ms), value, proof: ProofMark::of(envelope) })
        })
        .collect()
}
