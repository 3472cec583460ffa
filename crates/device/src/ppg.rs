//! Streaming beat detection on raw photoplethysmography, in integers.
//!
//! What marks a beat in any PPG, whatever the sensor's range and offset, is the steep systolic edge.
//! So the detector smooths the signal and sums its slope over a short window, once for rising and
//! once for falling edges, because a reflective sensor shows the pulse upside down. Where the sum
//! peaks above a threshold that follows the last beats is a beat. The polarity with the steadier
//! beats is used, and the heart rate is taken from the middle of its last eight intervals.

mod beat_detection;
mod beat_morphology;
mod rate_confirmation;
mod resample;
mod rhythm;
mod sensor_contact;

use alloc::collections::VecDeque;
use beat_detection::{Edges, Timing};
use rate_confirmation::RateConfirmation;
use resample::Resample;
use rhythm::Rhythm;
use sensor_contact::SensorContact;
use vitals::metric::{Absence, Sample};

/// Slowest sampling rate at which a pulse edge can be seen, millihertz.
pub const RATE_MIN_MHZ: u32 = 15_000;
/// Fastest sampling rate taken, millihertz.
pub const RATE_MAX_MHZ: u32 = 400_000;
/// Most intervals the heart rate is taken from.
pub const INTERVALS_MAX: usize = 36;
/// Fewer are taken only while there are no more.
const INTERVALS_MIN: usize = 6;
/// Fewest steady intervals for a heart rate.
const STEADY_MIN: usize = 4;
/// Longest time between two beats (15 a minute), milliseconds.
const INTERVAL_MAX_MS: u32 = 4_000;
/// The whole signal's support for a rate is strong from here on, per mille: then single beats lost or
/// doubled do not matter.
const SUPPORT_STRONG: i64 = 600;
/// From here on it is beyond doubt.
const SUPPORT_STRONGEST: i64 = 700;
/// From here on it confirms by itself the rate that was shown before.
const SUPPORT_ALONE: i64 = 750;
/// At least this share of the intervals must be steady, percent; or this, if the rhythm is beyond doubt.
const STEADY_PERCENT: usize = 60;
const STEADY_PERCENT_LEAST: usize = 45;
/// A polarity fits at best so well, and must fit better by the lead to be chosen instead, per mille.
const FIT_FULL: i64 = 1_000;
const FIT_LEAD: i64 = 40;
/// With fewer samples in a beat its sharp edges look like a slower or faster heart's.
const SAMPLES_PER_BEAT_MIN: u32 = 6;
/// Shorter intervals than this (150 a minute) need the rhythm's support, milliseconds.
const RACING_MS: u32 = 400;
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

/// A beat of the chosen polarity.
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
    /// The rate the board samples at.
    rate_mhz: u32,
    /// The rate after resampling, and the samples of it.
    inside_mhz: u32,
    samples: u64,
    resample: Resample,
    window: VecDeque<i64>,
    smoothed: Option<i64>,
    rhythm: Rhythm,
    rising: Edges,
    falling: Edges,
    /// Which polarity is chosen.
    inverted: bool,
    contact: SensorContact,
    confirmation: RateConfirmation,
}

impl BeatDetector {
    /// A detector for this sampling rate; none outside [`RATE_MIN_MHZ`] to [`RATE_MAX_MHZ`].
    #[must_use]
    pub fn new(rate_mhz: u32) -> Option<Self> {
        if !(RATE_MIN_MHZ..=RATE_MAX_MHZ).contains(&rate_mhz) {
            return None;
        }
        let resample = Resample::new(rate_mhz);
        let inside_mhz = resample.rate_mhz(rate_mhz);
        Some(Self {
            rate_mhz,
            inside_mhz,
            samples: 0,
            resample,
            window: VecDeque::new(),
            smoothed: None,
            rhythm: Rhythm::new(inside_mhz),
            rising: Edges::default(),
            falling: Edges::default(),
            inverted: false,
            contact: SensorContact::default(),
            confirmation: RateConfirmation::default(),
        })
    }

    /// The sampling rate, millihertz.
    #[must_use]
    pub fn rate_mhz(&self) -> u32 {
        self.rate_mhz
    }

    fn span(&self, ms: u32) -> u64 {
        span(self.inside_mhz, ms)
    }

    /// The next raw sample: any range, either polarity.
    pub fn push(&mut self, raw: u16) -> Option<Beat> {
        let light_span = (span(self.rate_mhz, LIGHT_MS), span(self.rate_mhz, LIGHT_STEP_MS));
        if self.contact.push(raw, light_span) && self.contact.off {
            // What the sensor saw before it came off is no heart rate any more.
            self.forget();
        }
        let (mut values, mut count) = ([0; resample::OUT_MAX], 0);
        self.resample.push(raw, |value| {
            if let Some(slot) = values.get_mut(count) {
                *slot = value;
                count += 1;
            }
        });
        values.into_iter().take(count).filter_map(|value| self.step(value)).last()
    }

    /// The next sample after resampling.
    fn step(&mut self, value: i64) -> Option<Beat> {
        self.samples += 1;
        let width = self.span(SMOOTH_MS);
        self.window.push_back(value);
        if self.window.len() as u64 > width {
            self.window.pop_front();
        }
        let now = self.window.iter().sum::<i64>() / i64::try_from(self.window.len()).unwrap_or(1);
        let slope = now - self.smoothed.replace(now).unwrap_or(now);

        let judged = self.rhythm.push(slope);
        let timing = Timing {
            now: self.samples,
            rate_mhz: self.inside_mhz,
            rhythm_ms: self.rhythm.period_ms(),
            edge: usize::try_from(self.span(EDGE_MS)).unwrap_or(1).max(2),
            learn: self.span(LEARN_MS),
        };
        let up = self.rising.push(slope, &timing);
        let down = self.falling.push(-slope, &timing);
        self.choose();
        if judged {
            let now_ms = self.samples * 1_000_000 / u64::from(self.inside_mhz);
            self.confirmation.update(self.measured(now_ms), self.chosen().is_clear(), now_ms);
        }
        if self.contact.off {
            return None;
        }
        let lag_ms = u64::from(self.resample.lag()) * 1_000_000 / u64::from(self.rate_mhz);
        let beat = if self.inverted { down } else { up };
        beat.map(|beat| Beat { at_ms: beat.at_ms.saturating_sub(lag_ms), ..beat })
    }

    /// Samples were lost: intervals across the loss do not count.
    pub fn skip(&mut self) {
        self.resample.forget();
        self.window.clear();
        self.smoothed = None;
        self.rising.last = None;
        self.falling.last = None;
    }

    /// Forgets everything but the rate and the polarity: the sensor came off, or is another.
    fn forget(&mut self) {
        self.resample.forget();
        self.window.clear();
        self.smoothed = None;
        self.rhythm.forget();
        self.rising = Edges::since(self.samples);
        self.falling = Edges::since(self.samples);
    }

    /// Chooses the polarity whose beats fit the rhythm, then the one with the steadier beats; the chosen
    /// one keeps a small lead, so that noise does not make the detector switch.
    fn choose(&mut self) {
        let (mine, other) =
            if self.inverted { (&self.falling, &self.rising) } else { (&self.rising, &self.falling) };
        let (mine_fits, others_fit) = (self.fit(mine), self.fit(other));
        let better = match others_fit - mine_fits {
            lead if lead.abs() <= FIT_LEAD => other.usual > mine.usual * 3 / 2,
            lead => lead > 0,
        };
        if better {
            self.inverted = !self.inverted;
        }
    }

    /// How well the beats of one polarity fit each other and the rhythm, per mille.
    fn fit(&self, edges: &Edges) -> i64 {
        if edges.intervals.len() < STEADY_MIN {
            return 0;
        }
        let at_odds = self.rhythm.period_ms().is_some() && self.support(edges) == 0;
        FIT_FULL - edges.irregular.cast_signed() - if at_odds { FIT_FULL / 2 } else { 0 }
    }

    /// The heart rate now, tenths of a beat per minute, or why there is none.
    #[must_use]
    pub fn heart_rate(&self) -> Sample {
        if self.contact.off { Sample::Absent(Absence::SensorOff) } else { self.confirmation.sample() }
    }

    fn chosen(&self) -> &Edges {
        if self.inverted { &self.falling } else { &self.rising }
    }

    /// The rate by the beats alone, before it is confirmed.
    fn measured(&self, now_ms: u64) -> Sample {
        if self.contact.off {
            return Sample::Absent(Absence::SensorOff);
        }
        let edges = self.chosen();
        let quiet = edges.last.is_none_or(|last| {
            self.samples.saturating_sub(last / FINE.unsigned_abs()) > self.span(INTERVAL_MAX_MS)
        });
        if edges.intervals.len() < STEADY_MIN {
            // Still collecting; after a while too few beats mean noise.
            let warm = self.samples.saturating_sub(edges.since) > self.span(5 * INTERVAL_MAX_MS);
            return Sample::Absent(if warm { Absence::Noisy } else { Absence::WarmingUp });
        }
        let support = self.support(edges);
        let trusted = !quiet && self.is_trusted(edges, support);
        if !trusted {
            if let Some(tenths) = self.rhythm_goes_on(now_ms) {
                return Sample::Measured(tenths);
            }
            // An irregular pulse, or a signal in which beats are lost?
            let unsteady = !quiet && edges.is_clear() && edges.is_irregular() && support < SUPPORT_STRONG;
            return Sample::Absent(if unsteady { Absence::Unsteady } else { Absence::Noisy });
        }
        // 60 s in tenths of a beat, over sixteenths of a sample.
        let tenths = 600 * FINE.unsigned_abs() * u64::from(self.inside_mhz) / 1_000 / edges.summary.middle;
        i32::try_from(tenths)
            .ok()
            .filter(|tenths| *tenths <= self.fastest_tenths())
            .map_or(Sample::Absent(Absence::Noisy), Sample::Measured)
    }

    /// Does the whole signal have the rhythm of these beats? Twice the rate from a dicrotic wave, or half
    /// of it from missed beats, must not pass for a heart rate. Where it has no rhythm at all a slow pulse
    /// is trusted if its beats are all alike; a racing one is not, because noise looks like that.
    fn is_trusted(&self, edges: &Edges, support: i64) -> bool {
        if support >= SUPPORT_STRONGEST && edges.is_steady(STEADY_PERCENT_LEAST) {
            return true;
        }
        if !edges.is_steady(STEADY_PERCENT) {
            return false;
        }
        if support >= SUPPORT_STRONG && !(edges.are_few() && edges.is_irregular()) {
            return true;
        }
        let middle_ms = self.middle_ms(edges);
        let slow = middle_ms >= RACING_MS && !self.rhythm.contradicts(middle_ms);
        !edges.is_irregular() && (support > 0 || slow && edges.is_clear())
    }

    /// The fastest rate that this sampling rate can tell, tenths of a beat per minute.
    fn fastest_tenths(&self) -> i32 {
        i32::try_from(self.rate_mhz / SAMPLES_PER_BEAT_MIN * 600 / 1_000).unwrap_or(i32::MAX)
    }

    /// The rate of the whole signal, where it is beyond doubt and is the one that was shown: a moving hand
    /// makes the detector lose or double beats while the heart rate stays.
    fn rhythm_goes_on(&self, now_ms: u64) -> Option<i32> {
        let period_ms = self.rhythm.period_ms()?;
        let tenths = i32::try_from(600_000 / period_ms.max(1)).ok()?;
        let goes_on =
            self.rhythm.support(period_ms) >= SUPPORT_ALONE && self.confirmation.is_known(tenths, now_ms);
        goes_on.then_some(tenths)
    }

    fn middle_ms(&self, edges: &Edges) -> u32 {
        let ms = edges.summary.middle * 1_000_000 / FINE.unsigned_abs() / u64::from(self.inside_mhz);
        u32::try_from(ms).unwrap_or(u32::MAX)
    }

    fn support(&self, edges: &Edges) -> i64 {
        self.rhythm.support(self.middle_ms(edges))
    }

    /// How many of the newest intervals agree with each other.
    #[must_use]
    pub fn steady_intervals(&self) -> usize {
        self.chosen().summary.steady
    }

    /// Is the pulse upside down, as reflective sensors show it?
    #[must_use]
    pub fn is_inverted(&self) -> bool {
        self.inverted
    }
}

/// Samples of a rate in a span of time, at least one.
fn span(rate_mhz: u32, ms: u32) -> u64 {
    (u64::from(ms) * u64::from(rate_mhz) / 1_000_000).max(1)
}

fn push_bounded<T>(queue: &mut VecDeque<T>, value: T, len_max: usize) {
    if queue.len() >= len_max {
        queue.pop_front();
    }
    queue.push_back(value);
}

/// The value a number of quarters up the sorted values: 2 is the (lower) median.
fn ranked<T: Copy + Ord + Default>(values: &VecDeque<T>, quarters: usize) -> Option<T> {
    const LEN_MAX: usize = INTERVALS_MAX;
    let mut sorted = [T::default(); LEN_MAX];
    let sorted = sorted.get_mut(..values.len())?;
    sorted.iter_mut().zip(values).for_each(|(slot, value)| *slot = *value);
    sorted.sort_unstable();
    sorted.get(values.len().checked_sub(1)? * quarters / 4).copied()
}

#[cfg(test)]
mod tests;
