//! Curves as SVG coordinates, and the thinning of a record to what a screen can show. Nothing is
//! ever drawn across a gap.

use clinic::views::Point;
use vitals::alarm::Limits;
use vitals::metric::{Metric, Sample};

/// Width of every drawing's own coordinate system.
pub const WIDTH: f64 = 1000.0;
/// Buckets of a chart over its whole span: one per two or three screen columns.
pub const BUCKETS: u64 = 450;
/// Slices of a small curve further apart than this are not joined.
pub const GAP_MS: u64 = 15_000;
/// Top and bottom of a drawing that stay free.
const PADDING: f64 = 3.0;

/// A stretch of time with at least one value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Its start, milliseconds.
    pub at_ms: u64,
    /// Lowest value, raw units.
    pub min: i32,
    /// Mean value, raw units.
    pub mean: f64,
    /// Highest value, raw units.
    pub max: i32,
    /// Values in it.
    pub count: u32,
    /// The newest envelope in it: position in the chart's list.
    pub envelope: u32,
    /// There was a "no value" between the bucket before and this one.
    pub broken: bool,
}

/// Samples that are expected this often may miss two in a row before the curve breaks.
const INTERVALS_JOINED: u64 = 3;

/// Values further apart than this are not joined: three times the device's usual interval, and at least the
/// distance of neighbouring buckets.
#[must_use]
pub fn gap_ms(points: &[Point], bucket_ms: u64) -> u64 {
    let mut apart: Vec<u64> = points
        .windows(2)
        .map(|pair| pair[1].at_ms.saturating_sub(pair[0].at_ms))
        .filter(|ms| *ms > 0)
        .collect();
    let middle = apart.len() / 2;
    let usual = if apart.is_empty() { 0 } else { *apart.select_nth_unstable(middle).1 };
    (INTERVALS_JOINED * usual).max(bucket_ms + bucket_ms / 2)
}

/// Thins samples in time order to buckets of `bucket_ms`. Buckets without a value are left out.
#[must_use]
pub fn thin(points: &[Point], bucket_ms: u64) -> Vec<Bucket> {
    let mut buckets: Vec<Bucket> = Vec::new();
    let mut broken = false;
    for point in points {
        let Sample::Measured(value) = point.sample else {
            broken = true;
            continue;
        };
        let broken = core::mem::take(&mut broken) && !buckets.is_empty();
        let at_ms = point.at_ms - point.at_ms % bucket_ms.max(1);
        match buckets.last_mut() {
            Some(bucket) if bucket.at_ms == at_ms => {
                bucket.min = bucket.min.min(value);
                bucket.max = bucket.max.max(value);
                bucket.count += 1;
                bucket.mean += (f64::from(value) - bucket.mean) / f64::from(bucket.count);
                bucket.envelope = point.envelope;
            }
            _ => buckets.push(Bucket {
                at_ms,
                min: value,
                mean: f64::from(value),
                max: value,
                count: 1,
                envelope: point.envelope,
                broken,
            }),
        }
    }
    buckets
}

/// The lowest and highest value an axis shows, raw units: the metric's own range, widened to hold the data.
#[must_use]
pub fn axis(metric: Metric, lowest: i32, highest: i32) -> (i32, i32) {
    let (low, high) = metric.info().axis;
    (low.min(lowest), high.max(highest))
}

/// One unbroken piece of a curve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Polygon from the highest values back along the lowest.
    pub band: String,
    /// Polyline of the means.
    pub line: String,
}

/// A place between two limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Band {
    /// Its upper edge.
    pub top: String,
    /// Its height.
    pub height: String,
}

/// How a drawing's axes lie.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    /// First and last millisecond.
    pub span_ms: (u64, u64),
    /// Lowest and highest raw value.
    pub axis: (i32, i32),
    /// Height of the drawing.
    pub height: f64,
    /// Values further apart than this are not joined.
    pub gap_ms: u64,
}

impl Frame {
    #[allow(clippy::cast_precision_loss, reason = "a few days of milliseconds fit an f64 exactly")]
    fn x(&self, at_ms: u64) -> f64 {
        let span = self.span_ms.1.saturating_sub(self.span_ms.0).max(1) as f64;
        at_ms.saturating_sub(self.span_ms.0) as f64 / span * WIDTH
    }

    fn y(&self, value: f64) -> f64 {
        let (low, high) = (f64::from(self.axis.0), f64::from(self.axis.1));
        let inner = self.height - 2.0 * PADDING;
        let y = self.height - PADDING - (value - low) / (high - low).max(1.0) * inner;
        y.clamp(0.0, self.height)
    }

    /// The curve through buckets in time order, broken at gaps.
    #[must_use]
    pub fn runs(&self, buckets: &[Bucket]) -> Vec<Run> {
        buckets
            .chunk_by(|before, after| {
                !after.broken && after.at_ms.saturating_sub(before.at_ms) <= self.gap_ms
            })
            .map(|run| self.run(run))
            .collect()
    }

    fn run(&self, buckets: &[Bucket]) -> Run {
        let at = |bucket: &Bucket, value: f64| format!("{:.1},{:.1}", self.x(bucket.at_ms), self.y(value));
        let upper = buckets.iter().map(|bucket| at(bucket, f64::from(bucket.max)));
        let lower = buckets.iter().rev().map(|bucket| at(bucket, f64::from(bucket.min)));
        let mut line: Vec<String> = buckets.iter().map(|bucket| at(bucket, bucket.mean)).collect();
        if let [only] = buckets {
            // A single value is a dot: a line of one pixel.
            line.push(format!("{:.1},{:.1}", self.x(only.at_ms) + 1.0, self.y(only.mean)));
        }
        Run { band: upper.chain(lower).collect::<Vec<_>>().join(" "), line: line.join(" ") }
    }

    /// Where thresholds lie, as far as the axis shows them.
    #[must_use]
    pub fn lines(&self, limits: &Limits) -> Vec<String> {
        limits
            .above
            .iter()
            .chain(&limits.below)
            .flatten()
            .filter(|limit| (self.axis.0..=self.axis.1).contains(limit))
            .map(|limit| format!("{:.1}", self.y(f64::from(*limit))))
            .collect()
    }

    /// The place between the innermost limits.
    #[must_use]
    pub fn band(&self, limits: &Limits) -> Option<Band> {
        let low = limits.below.iter().flatten().max().copied();
        let high = limits.above.iter().flatten().min().copied();
        if low.is_none() && high.is_none() {
            return None;
        }
        let top = self.y(f64::from(high.unwrap_or(self.axis.1)));
        let foot = self.y(f64::from(low.unwrap_or(self.axis.0)));
        Some(Band { top: format!("{top:.1}"), height: format!("{:.1}", (foot - top).max(0.0)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(at_ms: u64, value: Option<i32>) -> Point {
        let sample = value.map_or(Sample::Absent(vitals::metric::Absence::Noisy), Sample::Measured);
        Point { at_ms, sample, envelope: 0 }
    }

    #[test]
    fn thinning_keeps_extremes_and_leaves_gaps_open() {
        let points = [point(0, Some(700)), point(500, Some(900)), point(1000, None), point(4000, Some(800))];
        let buckets = thin(&points, 2000);
        assert_eq!(buckets.len(), 2);
        assert_eq!((buckets[0].min, buckets[0].max, buckets[0].count), (700, 900, 2));
        assert!((buckets[0].mean - 800.0).abs() < 1e-9);
        assert_eq!(buckets[1].at_ms, 4000);
    }

    #[test]
    fn a_curve_is_broken_where_data_is_missing() {
        let frame = Frame { span_ms: (0, 100_000), axis: (400, 1400), height: 40.0, gap_ms: GAP_MS };
        let points: Vec<Point> =
            [0, 1000, 2000, 60_000, 61_000].iter().map(|at| point(*at, Some(800))).collect();
        assert_eq!(frame.runs(&thin(&points, 1000)).len(), 2);
    }

    #[test]
    fn no_value_breaks_the_curve_however_short_it_was() {
        // 68 at 19:13:18, off, 171 at 19:13:32: once one slope.
        let mut points: Vec<Point> = (0..18).map(|s| point(s * 1000, Some(680))).collect();
        points.extend((18..32).map(|s| point(s * 1000, None)));
        points.extend((32..40).map(|s| point(s * 1000, Some(1710))));
        let bucket_ms = 2000;
        let frame = Frame {
            span_ms: (0, 100_000),
            axis: (400, 1800),
            height: 40.0,
            gap_ms: gap_ms(&points, bucket_ms),
        };
        assert_eq!(frame.runs(&thin(&points, bucket_ms)).len(), 2);
        // A second without a value is enough; a hole of nothing breaks it just the same.
        let second: Vec<Point> =
            (0..40).map(|s| point(s * 1000, (!(18..20).contains(&s)).then_some(680))).collect();
        assert_eq!(frame.runs(&thin(&second, bucket_ms)).len(), 2);
        let hole: Vec<Point> =
            (0..40).filter(|s| !(18..24).contains(s)).map(|s| point(s * 1000, Some(680))).collect();
        assert_eq!(frame.runs(&thin(&hole, bucket_ms)).len(), 2);
    }

    #[test]
    fn a_device_that_sends_once_a_minute_has_a_curve() {
        let points: Vec<Point> = [0, 1, 2, 3, 7, 8].iter().map(|m| point(m * 60_000, Some(700))).collect();
        let gap_ms = gap_ms(&points, 2000);
        assert_eq!(gap_ms, 180_000);
        let frame = Frame { span_ms: (0, 900_000), axis: (400, 1400), height: 40.0, gap_ms };
        assert_eq!(frame.runs(&thin(&points, 2000)).len(), 2, "one line, and a hole of four minutes");
    }

    #[test]
    fn an_axis_never_hides_danger() {
        assert_eq!(axis(Metric::HeartRate, 700, 750), (400, 1400));
        assert_eq!(axis(Metric::HeartRate, 300, 1900), (300, 1900));
    }
}
