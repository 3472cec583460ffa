//! The last two hours of one patient in memory: what the wall shows without reading the record.

use super::clocks::Heard;
use super::views::SparkPoint;
use std::collections::{BTreeMap, VecDeque};
use vitals::ids::Hash;
use vitals::metric::{Metric, Reading, Sample};

/// How far back the live view reaches.
pub const RECENT_MS: u64 = 2 * 3_600_000;
/// Most samples kept per metric: two hours at one per second.
pub(crate) const SAMPLES_MAX: usize = 7_200;
/// Points of a wall tile's small curve.
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

/// Recent samples per metric, bounded in time and number. Times are the node's, so that values keep
/// their order when an author's clock leaps.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recent {
    samples: BTreeMap<Metric, VecDeque<(u64, Sample)>>,
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
            let kept = self.samples.entry(reading.metric).or_default();
            // Times to come were noted before the node's clock was set back: they would hide what is now.
            while kept.back().is_some_and(|(at_ms, _)| *at_ms > now_ms) {
                kept.pop_back();
            }
            // Nearly every reading is newer than all before it, or as new.
            let newest = kept.back().is_none_or(|(at_ms, _)| *at_ms <= here_ms);
            let at = if newest { kept.len() } else { kept.partition_point(|(at_ms, _)| *at_ms <= here_ms) };
            if at.checked_sub(1).and_then(|before| kept.get(before)).is_some_and(|b| b.0 == here_ms) {
                continue;
            }
            kept.insert(at, (here_ms, reading.sample));
            let last_ms = kept.back().map_or(0, |(at_ms, _)| *at_ms);
            while kept.len() > SAMPLES_MAX
                || kept.front().is_some_and(|(at_ms, _)| at_ms + RECENT_MS < last_ms)
            {
                kept.pop_front();
            }
            let newer =
                self.newest.get(&reading.metric).is_none_or(|n| n.here_ms <= here_ms || n.here_ms > now_ms);
            if newer {
                self.newest.insert(reading.metric, Newest { reading: *reading, here_ms, envelope, index });
            }
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

    /// The metric's last two hours (less while there is less), lowest and highest per slice; slices
    /// without a value are left out, so that gaps stay open.
    pub(crate) fn sparkline(&self, metric: Metric, now_ms: u64) -> Vec<SparkPoint> {
        let Some(kept) = self.samples.get(&metric) else { return Vec::new() };
        let oldest_ms = kept.front().map_or(now_ms, |(at_ms, _)| *at_ms);
        let span_ms = now_ms.saturating_sub(oldest_ms).clamp(SPARK_SPAN_MIN_MS, RECENT_MS);
        let slice_ms = span_ms.div_ceil(SPARK_POINTS);
        let mut points: Vec<SparkPoint> = Vec::new();
        for (at_ms, sample) in kept.iter().skip_while(|(at_ms, _)| at_ms + span_ms < now_ms) {
            let Sample::Measured(value) = *sample else { continue };
            let start_ms = at_ms - at_ms % slice_ms;
            match points.last_mut() {
                Some(point) if point.at_ms == start_ms => {
                    point.low = point.low.min(value);
                    point.high = point.high.max(value);
                }
                _ => points.push(SparkPoint { at_ms: start_ms, low: value, high: value }),
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

    #[test]
    fn late_readings_find_their_place_and_do_not_become_the_newest() {
        let mut recent = Recent::default();
        recent.add(&[pulse(10_000, 700), pulse(12_000, 720)], [1; 32], 0, HEARD, NOW_MS);
        recent.add(&[pulse(11_000, 710)], [2; 32], 1, HEARD, NOW_MS);
        let times: Vec<u64> = recent.samples[&Metric::HeartRate].iter().map(|(at_ms, _)| *at_ms).collect();
        assert_eq!(times, [10_000, 11_000, 12_000]);
        recent.add(&[pulse(11_000, 990)], [3; 32], 2, HEARD, NOW_MS);
        assert_eq!(recent.samples[&Metric::HeartRate].len(), 3, "a repeated one changes nothing");
        assert_eq!(recent.newest().next().map(|newest| newest.index), Some(0));
        assert_eq!(recent.last_ms(), Some(12_000));
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
    fn memory_is_bounded_in_time_and_number() {
        let mut recent = Recent::default();
        for second in 0..10_000 {
            recent.add(&[pulse(second * 1000, 700)], [1; 32], second, HEARD, NOW_MS);
        }
        assert!(recent.samples[&Metric::HeartRate].len() <= SAMPLES_MAX);
        recent.add(&[pulse(100_000_000, 700)], [1; 32], 10_001, HEARD, NOW_MS);
        assert_eq!(recent.samples[&Metric::HeartRate].len(), 1, "all others are older than two hours");
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
        let curve = recent.sparkline(Metric::HeartRate, 91_000);
        assert_eq!(curve.iter().map(|p| (p.low, p.high)).collect::<Vec<_>>(), [(650, 1900), (800, 800)]);
    }
}
