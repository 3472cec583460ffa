//! Streaming beat detection on raw photoplethysmography, in integers.
//!
//! What marks a beat in any PPG, whatever the sensor's range and offset, is the steep systolic edge.
//! So the detector smooths the signal and sums its slope over a short window, once for rising and
//! once for falling edges, because a reflective sensor shows the pulse upside down. Where the sum
//! peaks above a threshold that follows the last beats is a beat. The polarity with the steadier
//! beats is believed, and the heart rate is taken from the middle of its last eight intervals.

mod edges;
mod light;
mod rhythm;

use alloc::collections::VecDeque;
use edges::{Edges, Timing};
use light::Light;
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
/// Longest time between two beats (20 a minute), milliseconds.
const INTERVAL_MAX_MS: u32 = 3_000;
/// The intervals must agree with the rhythm of the whole signal to this share, percent.
const RHYTHM_PERCENT: u64 = 25;
/// Shorter intervals than this (150 a minute) need the rhythm's word, milliseconds.
const RACING_MS: u64 = 400;
/// Smoothing window, milliseconds.
const SMOOTH_MS: u32 = 60;
/// Window over which the slope is summed, about one systolic edge, milliseconds.
const EDGE_MS: u32 = 140;
/// Learns for this long before the first beat, milliseconds.
const LEARN_MS: u32 = 2_000;
/// Span in which the sensor must show moving light to be on, milliseconds.
const LIGHT_MS: u32 = 3_000;
/// How often that is judged, milliseconds.
const LIGHT_STEP_MS: u32 = 500;
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
        self.rising = Edges::since(self.samples);
        self.falling = Edges::since(self.samples);
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

#[cfg(test)]
mod tests;
