//! What the wall shows of one patient without reading the record: the newest value of each metric, and the last two
//! hours of the one that has a curve.

use super::clocks::Heard;
use super::views::SparkPoint;
use std::collections::{BTreeMap, VecDeque};
use vitals::ids::Hash;
use vitals::metric::{Metric, Reading, Sample};

/// How far back the live view reaches.
pub const RECENT_MS: u64 = 2 * 3_600_000;
/// Values of the curve are kept as the lowest and highest of so many milliseconds: two hours at one value a second were
/// what made a node grow for two hours after each start.
const SLICE_MS: u64 = SPARK_SPAN_MIN_MS / SPARK_POINTS;
/// The metric of a wall tile's small curve. Of the others only the newest value is kept.
pub(crate) const CURVE: Metric = Metric::HeartRate;
/// Points of the curve.
pub(crate) const SPARK_POINTS: u64 = 60;
/// The curve never shows less than this, so that a new patient's noise is not blown up.
const SPARK_SPAN_MIN_MS: u64 = 5 * 60_000;

/// The newest sample of a metric and where it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Newest {
    pub(crate) reading: Reading,
    /// When that was by the node's clock, as far as is known.
    pub(crate) here_ms: u64,
    pub(crate) envelope: Hash,
    pub(crate) index: u64,
}

/// Recent samples, bounded in time and number. Times are the node's, so that values keep their order when an author's
/// clock leaps.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recent {
    /// Of [`CURVE`], by time: slices of [`SLICE_MS`] that hold a value.
    curve: VecDeque<SparkPoint>,
    newest: BTreeMap<Metric, Newest>,
}

impl Recent {
    /// Adds readings of one envelope. Late ones find their place, repeated ones change nothing.
    pub(crate) fn add(
        &mut self,
        readings: &[Reading],
        envelope: Hash,
        index: u64,
        heard: Heard,
        now_ms: u64,
    ) {
        for reading in readings {
            let here_ms = heard.here(reading.at_ms, now_ms);
            if reading.metric == CURVE {
                self.curve_until(now_ms);
                if let Sample::Measured(value) = reading.sample {
                    self.add_to_curve(here_ms, value);
                }
            }
            // Times to come were noted before the node's clock was set back: they would hide what is now.
            let newer =
                self.newest.get(&reading.metric).is_none_or(|n| n.here_ms < here_ms || n.here_ms > now_ms);
            if newer {
                self.newest.insert(reading.metric, Newest { reading: *reading, here_ms, envelope, index });
            }
        }
    }

    /// Forgets what was noted for later than now, before the node's clock was set back.
    fn curve_until(&mut self, now_ms: u64) {
        while self.curve.back().is_some_and(|slice| slice.at_ms > now_ms) {
            self.curve.pop_back();
        }
    }

    fn add_to_curve(&mut self, here_ms: u64, value: i32) {
        let kept = &mut self.curve;
        let at_ms = here_ms - here_ms % SLICE_MS;
        // Nearly every value belongs to the newest slice, or begins the next.
        let newest = kept.back().is_none_or(|slice| slice.at_ms < at_ms);
        let at = if newest { kept.len() } else { kept.partition_point(|slice| slice.at_ms < at_ms) };
        match kept.get_mut(at).filter(|slice| slice.at_ms == at_ms) {
            Some(slice) => {
                slice.low = slice.low.min(value);
                slice.high = slice.high.max(value);
            }
            None => kept.insert(at, SparkPoint { at_ms, low: value, high: value }),
        }
        let last_ms = kept.back().map_or(0, |slice| slice.at_ms);
        while kept.front().is_some_and(|slice| slice.at_ms + RECENT_MS < last_ms) {
            kept.pop_front();
        }
    }

    /// Newest sample of each metric, in metric order.
    pub(crate) fn newest(&self) -> impl Iterator<Item = &Newest> {
        self.newest.values()
    }

    /// Time of the newest reading of all, by the node's clock.
    pub(crate) fn last_ms(&self) -> Option<u64> {
        self.newest.values().map(|newest| newest.here_ms).max()
    }

    /// The newest sample of one metric.
    pub(crate) fn sample(&self, metric: Metric) -> Option<Sample> {
        self.newest.get(&metric).map(|newest| newest.reading.sample)
    }

    /// The last two hours of [`CURVE`] (less while there is less), lowest and highest per slice of the curve; slices
    /// without a value are left out, so that gaps stay open.
    pub(crate) fn sparkline(&self, now_ms: u64) -> Vec<SparkPoint> {
        let kept = &self.curve;
        let oldest_ms = kept.front().map_or(now_ms, |slice| slice.at_ms);
        let span_ms = now_ms.saturating_sub(oldest_ms).clamp(SPARK_SPAN_MIN_MS, RECENT_MS);
        let slice_ms = span_ms.div_ceil(SPARK_POINTS).next_multiple_of(SLICE_MS);
        let mut points: Vec<SparkPoint> = Vec::new();
        for slice in kept.iter().skip_while(|slice| slice.at_ms + span_ms < now_ms) {
            let start_ms = slice.at_ms - slice.at_ms % slice_ms;
            match points.last_mut() {
                Some(point) if point.at_ms == start_ms => {
                    point.low = point.low.min(slice.low);
                    point.high = point.high.max(slice.high);
                }
                _ => points.push(SparkPoint { at_ms: start_ms, ..*slice }),
            }
        }
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEARD: Heard = Heard { live: true, offset_ms: 0 };
    const NOW_MS: u64 = 200_000_000;

    fn pulse(at_ms: u64, tenths: i32) -> Reading {
        Reading { metric: Metric::HeartRate, at_ms, sample: Sample::Measured(tenths) }
    }

    fn times(recent: &Recent) -> Vec<u64> {
        recent.curve.iter().map(|slice| slice.at_ms).collect()
    }

    #[test]
    fn late_readings_find_their_place_and_do_not_become_the_newest() {
        let mut recent = Recent::default();
        recent.add(&[pulse(10_000, 700), pulse(22_000, 720)], [1; 32], 0, HEARD, NOW_MS);
        recent.add(&[pulse(16_000, 710)], [2; 32], 1, HEARD, NOW_MS);
        assert_eq!(times(&recent), [10_000, 15_000, 20_000]);
        let before = recent.curve.clone();
        recent.add(&[pulse(16_000, 710)], [3; 32], 2, HEARD, NOW_MS);
        assert_eq!(recent.curve, before, "a repeated one changes nothing");
        assert_eq!(recent.newest().next().map(|newest| newest.index), Some(0));
        assert_eq!(recent.last_ms(), Some(22_000));
    }

    #[test]
    fn what_was_noted_for_later_than_now_leaves_the_curve() {
        let mut recent = Recent::default();
        recent.add(&[pulse(10_000, 700), pulse(900_000, 1_900)], [1; 32], 0, HEARD, 900_000);
        recent.add(&[pulse(20_000, 710)], [2; 32], 1, HEARD, 21_000);
        assert_eq!(times(&recent), [10_000, 20_000]);
    }

    #[test]
    fn values_keep_their_order_when_a_clock_leaps_back() {
        let mut recent = Recent::default();
        recent.add(&[pulse(10_000_000, 700)], [1; 32], 0, HEARD, 10_000_100);
        let leapt = Heard { live: true, offset_ms: 3_600_000 };
        recent.add(&[pulse(6_401_000, 710)], [2; 32], 1, leapt, 10_001_100);
        let newest = recent.newest().next().unwrap();
        assert_eq!((newest.index, newest.here_ms, newest.reading.at_ms), (1, 10_001_000, 6_401_000));
    }

    #[test]
    fn memory_is_bounded_whatever_the_rate() {
        let mut recent = Recent::default();
        for tenth in 0..100_000 {
            recent.add(&[pulse(tenth * 100, 700)], [1; 32], tenth, HEARD, NOW_MS);
        }
        assert_eq!(recent.curve.len() as u64, RECENT_MS / SLICE_MS + 1);
        recent.add(&[pulse(100_000_000, 700)], [1; 32], 10_001, HEARD, NOW_MS);
        assert_eq!(recent.curve.len(), 1, "all others are older than two hours");
    }

    #[test]
    fn of_a_metric_without_a_curve_only_the_newest_value_is_kept_and_the_first_of_its_moment() {
        let mut recent = Recent::default();
        let warm = |at_ms, hundredths| Reading {
            metric: Metric::BodyTemperature,
            at_ms,
            sample: Sample::Measured(hundredths),
        };
        for (index, reading) in
            [warm(1_000, 3_680), warm(2_000, 3_690), warm(1_500, 3_990)].iter().enumerate()
        {
            recent.add(core::slice::from_ref(reading), [1; 32], index as u64, HEARD, NOW_MS);
        }
        assert!(recent.curve.is_empty());
        assert_eq!(
            recent.sample(Metric::BodyTemperature),
            Some(Sample::Measured(3_690)),
            "a late one is not newer"
        );
        recent.add(&[warm(2_000, 4_000)], [2; 32], 3, HEARD, NOW_MS);
        assert_eq!(
            recent.newest().next().map(|newest| newest.index),
            Some(1),
            "a repeated one changes nothing"
        );
        assert_eq!(recent.last_ms(), Some(2_000));
    }

    #[test]
    fn the_curve_keeps_extremes_and_leaves_gaps_open() {
        let mut recent = Recent::default();
        let off = Reading {
            metric: Metric::HeartRate,
            at_ms: 60_000,
            sample: Sample::Absent(vitals::metric::Absence::SensorOff),
        };
        recent.add(
            &[pulse(1_000, 700), pulse(2_000, 1900), pulse(3_000, 650), off, pulse(90_000, 800)],
            [1; 32],
            0,
            HEARD,
            NOW_MS,
        );
        let curve = recent.sparkline(91_000);
        assert_eq!(curve.iter().map(|p| (p.low, p.high)).collect::<Vec<_>>(), [(650, 1900), (800, 800)]);
    }
}
