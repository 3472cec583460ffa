//! Streaming beat detection on raw photoplethysmography, in integers.
//!
//! What marks a beat in any PPG, whatever the sensor's range and offset, is the steep systolic edge.
//! So the detector smooths the signal and sums its slope over a short window, once for rising and
//! once for falling edges, because a reflective sensor shows the pulse upside down. Where the sum
//! peaks above a threshold that follows the last beats is a beat. The polarity with the steadier
//! beats is believed, and the heart rate is taken from the middle of its last eight intervals.

mod rhythm;

use alloc::collections::VecDeque;
use rhythm::Rhythm;
use vitals::metric::{Absence, Sample};

/// Slowest sampling rate at which a pulse edge can be seen, millihertz.
pub const RATE_MIN_MHZ: u32 = 15_000;
/// Fastest sampling rate taken, millihertz.
pub const RATE_MAX_MHZ: u32 = 400_000;
/// Intervals the heart rate is taken from.
pub const INTERVALS: usize = 8;
/// Fewest steady intervals for a heart rate.
const STEADY_MIN: usize = 4;
/// And at least this share of the last ones, percent.
const STEADY_PERCENT: usize = 60;
/// An interval is steady within a quarter of the median.
const SPREAD_DIVISOR: u64 = 4;
/// Fast hearts are regular, noise is not: below one second the share shrinks with the interval.
const SPREAD_FULL_MS: u32 = 1_000;
/// Shortest time between two beats (240 a minute), milliseconds.
const INTERVAL_MIN_MS: u32 = 250;
/// Longest time between two beats (20 a minute), milliseconds.
const INTERVAL_MAX_MS: u32 = 3_000;
/// No second beat within this share of the median interval: the dicrotic wave, percent.
const REFRACTORY_PERCENT: u32 = 48;
/// The interval expected before anything is known, milliseconds.
const EXPECTED_MS: u32 = 1_000;
/// The intervals must agree with the rhythm of the whole signal to this share, percent.
const RHYTHM_PERCENT: u64 = 25;
/// Shorter intervals than this (150 a minute) need the rhythm's word, milliseconds.
const RACING_MS: u64 = 400;
/// Smoothing window, milliseconds.
const SMOOTH_MS: u32 = 60;
/// Window over which the slope is summed, about one systolic edge, milliseconds.
const EDGE_MS: u32 = 140;
/// The slope sum must rise above this share of a usual beat's, percent.
const THRESHOLD_PERCENT: i64 = 50;
/// Beats whose edges the threshold follows.
const PEAKS: usize = 7;
/// Learns for this long before the first beat, milliseconds.
const LEARN_MS: u32 = 2_000;
/// Span in which the sensor must show moving light to be on, milliseconds.
const LIGHT_MS: u32 = 3_000;
/// How often that is judged, milliseconds.
const LIGHT_STEP_MS: u32 = 500;
/// A signal that moves no more than this, in converter counts, is no pulse.
const FLAT_COUNTS: u16 = 3;
/// So many percent of the samples at one end of the range: saturated, or no light.
const STUCK_PERCENT: usize = 80;
/// Fixed-point steps per converter count and per sample.
const FINE: i64 = 16;

/// A beat of the polarity believed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    /// Milliseconds of signal before it.
    pub at_ms: u64,
    /// Since the beat before, milliseconds, if that one was seen.
    pub interval_ms: Option<u32>,
}

/// Finds beats in a stream of samples of one rate.
#[derive(Debug, Clone)]
pub struct BeatDetector {
    rate_mhz: u32,
    samples: u64,
    window: VecDeque<i64>,
    smoothed: Option<i64>,
    rhythm: Rhythm,
    rising: Edges,
    falling: Edges,
    /// Which polarity is believed.
    inverted: bool,
    light: Light,
}

impl BeatDetector {
    /// A detector for this sampling rate; none outside [`RATE_MIN_MHZ`] to [`RATE_MAX_MHZ`].
    #[must_use]
    pub fn new(rate_mhz: u32) -> Option<Self> {
        (RATE_MIN_MHZ..=RATE_MAX_MHZ).contains(&rate_mhz).then(|| Self {
            rate_mhz,
            samples: 0,
            window: VecDeque::new(),
            smoothed: None,
            rhythm: Rhythm::new(rate_mhz),
            rising: Edges::default(),
            falling: Edges::default(),
            inverted: false,
            light: Light::default(),
        })
    }

    /// The sampling rate, millihertz.
    #[must_use]
    pub fn rate_mhz(&self) -> u32 {
        self.rate_mhz
    }

    /// Samples in a span of time, at least one.
    fn span(&self, ms: u32) -> u64 {
        (u64::from(ms) * u64::from(self.rate_mhz) / 1_000_000).max(1)
    }

    /// The next raw sample: any range, either polarity.
    pub fn push(&mut self, raw: u16) -> Option<Beat> {
        self.samples += 1;
        let light_span = (self.span(LIGHT_MS), self.span(LIGHT_STEP_MS));
        if self.light.push(raw, light_span) && self.light.off {
            // What the sensor saw before it came off is no heart rate any more.
            self.forget();
        }
        let width = self.span(SMOOTH_MS);
        self.window.push_back(i64::from(raw) * FINE);
        if self.window.len() as u64 > width {
            self.window.pop_front();
        }
        let now = self.window.iter().sum::<i64>() / i64::try_from(self.window.len()).unwrap_or(1);
        let slope = now - self.smoothed.replace(now).unwrap_or(now);

        self.rhythm.push(slope);
        let timing = Timing {
            now: self.samples,
            rate_mhz: self.rate_mhz,
            rhythm_ms: self.rhythm.period_ms(),
            edge: usize::try_from(self.span(EDGE_MS)).unwrap_or(1).max(2),
            learn: self.span(LEARN_MS),
        };
        let up = self.rising.push(slope, &timing);
        let down = self.falling.push(-slope, &timing);
        self.choose();
        if self.light.off {
            return None;
        }
        if self.inverted { down } else { up }
    }

    /// Samples were lost: intervals across the loss do not count.
    pub fn skip(&mut self) {
        self.window.clear();
        self.smoothed = None;
        self.rising.last = None;
        self.falling.last = None;
    }

    /// Forgets everything but the rate and the polarity: the sensor came off, or is another.
    fn forget(&mut self) {
        self.window.clear();
        self.smoothed = None;
        self.rhythm.forget();
        self.rising = Edges { since: self.samples, ..Edges::default() };
        self.falling = Edges { since: self.samples, ..Edges::default() };
    }

    /// Believes the polarity with the steadier beats; the one believed keeps a small lead, so that
    /// noise does not make the detector jump.
    fn choose(&mut self) {
        let (mine, other) =
            if self.inverted { (&self.falling, &self.rising) } else { (&self.rising, &self.falling) };
        let better = match other.steady.cmp(&mine.steady) {
            core::cmp::Ordering::Greater => other.steady > mine.steady + 1,
            core::cmp::Ordering::Equal => other.usual > mine.usual * 3 / 2,
            core::cmp::Ordering::Less => false,
        };
        if better {
            self.inverted = !self.inverted;
        }
    }

    /// The heart rate now, tenths of a beat per minute, or why there is none.
    #[must_use]
    pub fn heart_rate(&self) -> Sample {
        if self.light.off {
            return Sample::Absent(Absence::SensorOff);
        }
        let edges = if self.inverted { &self.falling } else { &self.rising };
        if edges.intervals.len() < STEADY_MIN {
            // Still collecting; after a while that is no excuse any more.
            let warm = self.samples.saturating_sub(edges.since) > self.span(4 * INTERVAL_MAX_MS);
            return Sample::Absent(if warm { Absence::Noisy } else { Absence::WarmingUp });
        }
        let quiet = edges.last.is_none_or(|last| {
            self.samples.saturating_sub(last / FINE.unsigned_abs()) > self.span(INTERVAL_MAX_MS)
        });
        if quiet || !edges.is_steady() || !self.agrees(edges) {
            return Sample::Absent(Absence::Noisy);
        }
        // 60 s in tenths of a beat, over sixteenths of a sample.
        let tenths = 600 * FINE.unsigned_abs() * u64::from(self.rate_mhz) / 1_000 / edges.middle;
        i32::try_from(tenths).map_or(Sample::Absent(Absence::Noisy), Sample::Measured)
    }

    /// Do the intervals fit the rhythm of the whole signal? Twice the rate from a dicrotic wave must
    /// not pass for a heart rate. An irregular heart shows no rhythm and is believed without, a racing
    /// one is not: that is how noise looks.
    fn agrees(&self, edges: &Edges) -> bool {
        let middle_ms = edges.middle * 1_000_000 / FINE.unsigned_abs() / u64::from(self.rate_mhz);
        match self.rhythm.period_ms() {
            Some(ms) => middle_ms.abs_diff(u64::from(ms)) * 100 <= u64::from(ms) * RHYTHM_PERCENT,
            None => middle_ms >= RACING_MS,
        }
    }

    /// How many of the last [`INTERVALS`] intervals agree with each other.
    #[must_use]
    pub fn steady_intervals(&self) -> usize {
        if self.inverted { self.falling.steady } else { self.rising.steady }
    }

    /// Is the pulse upside down, as reflective sensors show it?
    #[must_use]
    pub fn is_inverted(&self) -> bool {
        self.inverted
    }
}

/// Times that depend on the sampling rate, in samples.
struct Timing {
    now: u64,
    rate_mhz: u32,
    rhythm_ms: Option<u32>,
    edge: usize,
    learn: u64,
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

/// The edges of one polarity. Times are in sixteenths of a sample.
#[derive(Debug, Clone, Default)]
struct Edges {
    since: u64,
    slopes: VecDeque<i64>,
    sum: i64,
    sum_before: i64,
    learnt: i64,
    peak: Option<Peak>,
    /// Slope sums of the last beats.
    heights: VecDeque<i64>,
    /// Their median.
    usual: i64,
    last: Option<u64>,
    intervals: VecDeque<u64>,
    steady: usize,
    /// Mean of the steady intervals.
    middle: u64,
}

impl Edges {
    fn push(&mut self, slope: i64, timing: &Timing) -> Option<Beat> {
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
                    self.peak = Some(Peak { height: self.sum, before: self.sum_before, after: None, at: timing.now });
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
                Some(self.beat(peak, after, timing))
            }
        }
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
            None if self.middle > 0 => self.middle,
            None => timing.sixteenths(EXPECTED_MS),
        }
    }

    fn beat(&mut self, peak: Peak, after: i64, timing: &Timing) -> Beat {
        // The top of a parabola through the highest sum and its neighbours, in sixteenths.
        let bend = (2 * peak.height - peak.before - after).max(1);
        let shift = (FINE / 2 * (after - peak.before) / bend).clamp(-FINE / 2, FINE / 2);
        let at = (peak.at * FINE.unsigned_abs()).saturating_add_signed(shift);

        // An outlier counts at most twice the usual, so that one jolt does not deafen the detector.
        push_bounded(&mut self.heights, peak.height.min(self.usual.saturating_mul(2)), PEAKS);
        // The upper quartile: a dicrotic wave between two beats must not pull the threshold down.
        self.usual = ranked(&self.heights, 3).unwrap_or(peak.height);

        let interval = self.last.replace(at).map(|last| at.saturating_sub(last));
        let interval_ms = interval.map(|interval| timing.ms(interval));
        if let (Some(interval), Some(ms)) = (interval, interval_ms) {
            if ms <= u64::from(INTERVAL_MAX_MS) {
                push_bounded(&mut self.intervals, interval, INTERVALS);
            } else {
                self.intervals.clear();
            }
            self.judge(timing);
        }
        Beat { at_ms: timing.ms(at), interval_ms: interval_ms.and_then(|ms| u32::try_from(ms).ok()) }
    }

    /// Do enough intervals agree? In a row of pulse, dicrotic wave, pulse only half of them do.
    fn is_steady(&self) -> bool {
        self.steady >= STEADY_MIN && self.steady * 100 >= self.intervals.len() * STEADY_PERCENT
    }

    /// Counts the steady intervals and takes their mean.
    fn judge(&mut self, timing: &Timing) {
        let Some(median) = ranked(&self.intervals, 2) else {
            (self.steady, self.middle) = (0, 0);
            return;
        };
        let full = timing.sixteenths(SPREAD_FULL_MS);
        // Never finer than a sample, which is as well as a beat can be placed.
        let spread = (median * median.min(full) / full / SPREAD_DIVISOR).max(FINE.unsigned_abs());
        let steady = self.intervals.iter().filter(|interval| interval.abs_diff(median) <= spread);
        let (count, sum) = steady.fold((0u64, 0u64), |(count, sum), interval| (count + 1, sum + interval));
        self.steady = usize::try_from(count).unwrap_or(0);
        self.middle = sum.checked_div(count).unwrap_or(0);
    }
}

fn push_bounded<T>(queue: &mut VecDeque<T>, value: T, len_max: usize) {
    if queue.len() >= len_max {
        queue.pop_front();
    }
    queue.push_back(value);
}

/// The value a number of quarters up the sorted values: 2 is the (lower) median.
fn ranked<T: Copy + Ord + Default>(values: &VecDeque<T>, quarters: usize) -> Option<T> {
    const LEN_MAX: usize = 16;
    let mut sorted = [T::default(); LEN_MAX];
    let sorted = sorted.get_mut(..values.len())?;
    sorted.iter_mut().zip(values).for_each(|(slot, value)| *slot = *value);
    sorted.sort_unstable();
    sorted.get(values.len().checked_sub(1)? * quarters / 4).copied()
}

/// Tells a sensor on the body from one that is off: flat, or stuck at one end of its range.
#[derive(Debug, Clone, Default)]
struct Light {
    seen: VecDeque<u16>,
    until_judged: u64,
    off: bool,
}

impl Light {
    /// Says whether it was judged anew.
    fn push(&mut self, raw: u16, (span, step): (u64, u64)) -> bool {
        self.seen.push_back(raw);
        if self.seen.len() as u64 > span {
            self.seen.pop_front();
        }
        self.until_judged += 1;
        if self.until_judged < step || (self.seen.len() as u64) < span {
            return false;
        }
        self.until_judged = 0;
        let low = self.seen.iter().min().copied().unwrap_or(0);
        let high = self.seen.iter().max().copied().unwrap_or(0);
        let stuck = |end: u16| {
            let near = self.seen.iter().filter(|raw| raw.abs_diff(end) <= 1).count();
            near * 100 >= self.seen.len() * STUCK_PERCENT
        };
        self.off = high - low <= FLAT_COUNTS || stuck(low) || stuck(high);
        true
    }
}

#[cfg(test)]
mod tests;
