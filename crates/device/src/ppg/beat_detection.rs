//! Detects the beats of one polarity: where the summed slope peaks, and what the intervals between the
//! peaks show.

use super::beat_morphology::BeatMorphology;
use super::{Beat, FINE, INTERVAL_MAX_MS, INTERVALS_MAX, INTERVALS_MIN, STEADY_MIN, push_bounded, ranked};
use alloc::collections::VecDeque;

/// The heart rate is a mean over this long, two breaths or so: breathing sways the rate.
const MEAN_MS: u32 = 8_000;
/// And over this long while it moves, milliseconds.
const MOVING_MS: u32 = 4_000;
/// It moves when the two differ by more than this, percent.
const MOVES_PERCENT: u64 = 5;
/// Intervals that differ from the one before by more than this on average are irregular, per mille:
/// breathing sways a heart slowly, flutter and fibrillation do not.
const IRREGULAR_MIN: u64 = 120;
/// Fewer intervals than this are few, and irregular from here on, per mille.
const FEW: usize = 10;
const IRREGULAR_FEW_MIN: u64 = 75;
/// A single interval counts no more than so much: one missed beat is no irregular heart, per mille.
const IRREGULAR_EACH_MAX: u64 = 300;
/// A beat so many times higher than usual is a jolt.
const JOLT: i64 = 3;
/// So many jolts in a row are the pulse: the usual height was wrong.
const JOLTS_MAX: usize = 5;
/// An interval is steady within a quarter of the median.
const SPREAD_DIVISOR: u64 = 4;
/// Fast hearts are regular, noise is not: below one second the share shrinks with the interval.
const SPREAD_FULL_MS: u32 = 1_000;
/// Shortest time between two beats (260 a minute), milliseconds.
const INTERVAL_MIN_MS: u32 = 230;
/// No second beat within this share of the median interval: the dicrotic wave, percent.
const REFRACTORY_PERCENT: u32 = 48;
/// The interval expected before anything is known, milliseconds.
const EXPECTED_MS: u32 = 1_000;
/// The slope sum must rise above this share of a usual beat's, percent.
const THRESHOLD_PERCENT: i64 = 50;
/// Beats whose edges the threshold follows.
const PEAKS: usize = 7;

/// Times that depend on the sampling rate, in samples.
pub(super) struct Timing {
    /// This sample's number.
    pub(super) now: u64,
    pub(super) rate_mhz: u32,
    /// Period of the whole signal, if that is beyond doubt.
    pub(super) rhythm_ms: Option<u32>,
    /// Samples in an edge.
    pub(super) edge: usize,
    /// Samples to learn from.
    pub(super) learn: u64,
}

impl Timing {
    fn ms(&self, sixteenths: u64) -> u64 {
        sixteenths * 1_000_000 / FINE.unsigned_abs() / u64::from(self.rate_mhz)
    }

    fn sixteenths(&self, ms: u32) -> u64 {
        u64::from(ms) * u64::from(self.rate_mhz) * FINE.unsigned_abs() / 1_000_000
    }
}

/// A peak of the slope sum that is being followed.
#[derive(Debug, Clone, Copy)]
struct Peak {
    height: i64,
    before: i64,
    after: Option<i64>,
    at: u64,
}

/// What some intervals show.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct IntervalSummary {
    /// How many there are, and how many of them are steady.
    pub(super) of: usize,
    pub(super) steady: usize,
    /// Mean of the steady ones.
    pub(super) middle: u64,
    irregular: u64,
}

/// The edges of one polarity. Times are in sixteenths of a sample.
#[derive(Debug, Clone, Default)]
pub(super) struct Edges {
    /// Number of the sample it began with.
    pub(super) since: u64,
    slopes: VecDeque<i64>,
    sum: i64,
    sum_before: i64,
    learnt: i64,
    peak: Option<Peak>,
    /// Slope sums of the last beats.
    heights: VecDeque<i64>,
    /// Their median.
    pub(super) usual: i64,
    pub(super) last: Option<u64>,
    pub(super) intervals: VecDeque<u64>,
    /// What the newest intervals show.
    pub(super) summary: IntervalSummary,
    /// How far the intervals of the last seconds are from the one before on average, per mille of their
    /// median.
    pub(super) irregular: u64,
    shapes: BeatMorphology,
    jolts: usize,
}

impl Edges {
    /// Knows nothing before this sample.
    pub(super) fn since(sample: u64) -> Self {
        Self { since: sample, ..Self::default() }
    }

    pub(super) fn push(&mut self, slope: i64, timing: &Timing) -> Option<Beat> {
        self.shapes.push(slope, timing.now, timing.rate_mhz);
        let slope = slope.max(0);
        self.slopes.push_back(slope);
        let gone = if self.slopes.len() > timing.edge { self.slopes.pop_front() } else { None };
        self.sum_before = self.sum;
        self.sum += slope - gone.unwrap_or(0);

        if timing.now.saturating_sub(self.since) <= timing.learn {
            self.learnt = self.learnt.max(self.sum);
            self.usual = self.learnt;
            return None;
        }
        self.follow(timing)
    }

    /// The threshold: a share of the usual height, less and less once a beat is overdue.
    fn threshold(&self, timing: &Timing) -> i64 {
        let full = (self.usual * THRESHOLD_PERCENT / 100).max(1);
        let Some(last) = self.last else { return full };
        let expected = self.expected(timing);
        let waited = (timing.now * FINE.unsigned_abs()).saturating_sub(last);
        let overdue = waited.saturating_sub(expected * 3 / 2);
        // Halved for each further expected interval, down to an eighth.
        let halvings = (overdue * 2 / expected.max(1)).min(3);
        full >> halvings
    }

    fn follow(&mut self, timing: &Timing) -> Option<Beat> {
        match &mut self.peak {
            None => {
                if self.sum > self.threshold(timing) && self.may_beat(timing) {
                    self.peak =
                        Some(Peak { height: self.sum, before: self.sum_before, after: None, at: timing.now });
                }
                None
            }
            Some(peak) if self.sum > peak.height => {
                *peak = Peak { height: self.sum, before: self.sum_before, after: None, at: timing.now };
                None
            }
            Some(peak) => {
                let after = *peak.after.get_or_insert(self.sum);
                let peak = *peak;
                // Over when the sum has clearly fallen, or an edge's length has passed.
                let over = self.sum * 4 < peak.height * 3
                    || timing.now.saturating_sub(peak.at) >= timing.edge as u64;
                if !over {
                    return None;
                }
                self.peak = None;
                if peak.height > self.usual.saturating_mul(JOLT) && self.intervals.len() >= STEADY_MIN {
                    self.jolts += 1;
                    if self.jolts <= JOLTS_MAX {
                        self.jolt();
                        return None;
                    }
                    self.heights.clear();
                }
                self.jolts = 0;
                Some(self.beat(peak, after, timing))
            }
        }
    }

    /// Too high for a beat: the time from here to the next beat is no interval.
    fn jolt(&mut self) {
        self.last = None;
    }

    /// Far enough from the beat before?
    fn may_beat(&self, timing: &Timing) -> bool {
        let Some(last) = self.last else { return true };
        let waited = (timing.now * FINE.unsigned_abs()).saturating_sub(last);
        let refractory = self.expected(timing) * u64::from(REFRACTORY_PERCENT) / 100;
        waited >= timing.sixteenths(INTERVAL_MIN_MS).max(refractory)
    }

    /// The interval to expect: from the rhythm, or the last intervals, or a slow heart's.
    fn expected(&self, timing: &Timing) -> u64 {
        match timing.rhythm_ms {
            Some(ms) => timing.sixteenths(ms),
            None if self.summary.middle > 0 => self.summary.middle,
            None => timing.sixteenths(EXPECTED_MS),
        }
    }

    fn beat(&mut self, peak: Peak, after: i64, timing: &Timing) -> Beat {
        // The top of a parabola through the highest sum and its neighbours, in sixteenths.
        let bend = (2 * peak.height - peak.before - after).max(1);
        let shift = (FINE / 2 * (after - peak.before) / bend).clamp(-FINE / 2, FINE / 2);
        let at = (peak.at * FINE.unsigned_abs()).saturating_add_signed(shift);

        self.shapes.beat(peak.at, timing.rate_mhz);
        // An outlier counts at most twice the usual, so that one jolt does not raise the threshold out of reach.
        push_bounded(&mut self.heights, peak.height.min(self.usual.saturating_mul(2)), PEAKS);
        // The upper quartile: a dicrotic wave between two beats must not pull the threshold down.
        self.usual = ranked(&self.heights, 3).unwrap_or(peak.height);

        let interval = self.last.replace(at).map(|last| at.saturating_sub(last));
        let interval_ms = interval.map(|interval| timing.ms(interval));
        if let (Some(interval), Some(ms)) = (interval, interval_ms) {
            if ms <= u64::from(INTERVAL_MAX_MS) {
                push_bounded(&mut self.intervals, interval, INTERVALS_MAX);
            } else {
                self.intervals.clear();
            }
            self.judge(timing);
        }
        Beat { at_ms: timing.ms(at), interval_ms: interval_ms.and_then(|ms| u32::try_from(ms).ok()) }
    }

    /// Do enough intervals agree? In a row of pulse, dicrotic wave, pulse only half of them do.
    pub(super) fn is_steady(&self, share_percent: usize) -> bool {
        self.summary.steady >= STEADY_MIN && self.summary.steady * 100 >= self.summary.of * share_percent
    }

    pub(super) fn are_few(&self) -> bool {
        self.intervals.len() < FEW
    }

    /// Does each interval tell little of the next? Of a few intervals less is enough: chance makes some of
    /// an irregular heart look even.
    pub(super) fn is_irregular(&self) -> bool {
        let bound = if self.are_few() { IRREGULAR_FEW_MIN } else { IRREGULAR_MIN };
        self.irregular >= bound
    }

    /// Are they pulses, steady or not?
    pub(super) fn is_clear(&self) -> bool {
        self.shapes.are_alike()
    }

    /// Takes the mean of the steady intervals of the last seconds; of the last few if the rate moves.
    fn judge(&mut self, timing: &Timing) {
        let calm = self.summarise(MEAN_MS, timing);
        let moving = self.summarise(MOVING_MS, timing);
        self.irregular = calm.irregular;
        let moves = calm.middle.abs_diff(moving.middle) * 100 > calm.middle * MOVES_PERCENT;
        self.summary = if moves { moving } else { calm };
    }

    /// The intervals of so many milliseconds, and never fewer than [`INTERVALS_MIN`] if there are more.
    fn summarise(&self, span_ms: u32, timing: &Timing) -> IntervalSummary {
        let span = timing.sixteenths(span_ms);
        let mut sum = 0;
        let newest: VecDeque<u64> = self
            .intervals
            .iter()
            .rev()
            .enumerate()
            .take_while(|(index, interval)| {
                sum += **interval;
                *index < INTERVALS_MIN || sum <= span
            })
            .map(|(_, interval)| *interval)
            .collect();
        let Some(median) = ranked(&newest, 2) else { return IntervalSummary::default() };
        let full = timing.sixteenths(SPREAD_FULL_MS);
        // Never finer than a sample, which is as well as a beat can be placed.
        let spread = (median * median.min(full) / full / SPREAD_DIVISOR).max(FINE.unsigned_abs());
        let steady = newest.iter().filter(|interval| interval.abs_diff(median) <= spread);
        let (count, sum) = steady.fold((0u64, 0u64), |(count, sum), interval| (count + 1, sum + interval));
        let apart = newest.iter().zip(newest.iter().skip(1)).map(|(interval, before)| {
            (interval.abs_diff(*before) * 1_000 / median.max(1)).min(IRREGULAR_EACH_MAX)
        });
        IntervalSummary {
            of: newest.len(),
            steady: usize::try_from(count).unwrap_or(0),
            middle: sum.checked_div(count).unwrap_or(0),
            irregular: apart.sum::<u64>() / (newest.len() as u64 - 1).max(1),
        }
    }
}
