//! The rhythm of the last seconds: at which lag the signal's slope is most like itself.
//!
//! Beats found one by one can be twice too many (a strong dicrotic wave), half of them, or noise; the
//! whole signal tells which. The slope's correlation with itself does not care which way up the pulse
//! is, and each lag is measured against the power of its own two stretches, so that a jolt or a pulse
//! that grows does not favour one lag over another.

use super::{FINE, push_bounded};
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// The slope is summed to about this rate, hertz.
const RATE_HZ: u32 = 50;
/// Longest period looked for, milliseconds (15 a minute).
const PERIOD_MAX_MS: u32 = 4_000;
/// Shortest period looked for, milliseconds (260 a minute).
const PERIOD_MIN_MS: u32 = 230;
/// The stretch compared with the one a lag before, milliseconds; more for long lags.
const STRETCH_MS: u32 = 4_000;
/// A rhythm must be like itself by this share, per mille.
const LIKENESS_MIN: i64 = 450;
/// The shortest period nearly as good as the best is the rhythm; its multiples are as good, percent.
const NEARLY: i64 = 72;
/// A period is supported only if it is this good beside the best, percent.
const SUPPORTED: i64 = 60;
/// And if no half or third of it is this good beside it, percent: then that may be the beat.
const DOUBTFUL: i64 = 75;
/// A peak is near a period within this share of it, percent.
const NEAR_PERCENT: u32 = 18;
/// The whole likeness.
const FULL: i64 = 1_000;
/// Slopes are taken against their mean over this long, milliseconds.
const LEVEL_MS: u32 = 800;
/// Jolts count no more than so many times the mean slope.
const CLIP: i64 = 4;

/// A lag at which the signal is like itself.
#[derive(Debug, Clone, Copy)]
struct Peak {
    ms: u32,
    /// Of [`FULL`].
    height: i64,
}

/// Follows the rhythm of one signal.
#[derive(Debug, Clone)]
pub(super) struct Rhythm {
    /// Samples summed into one step.
    every: u32,
    held: u32,
    sum: i64,
    steps: VecDeque<i64>,
    /// Steps per 1000 seconds.
    rate_mhz: u32,
    until_judged: u32,
    /// By lag.
    peaks: Vec<Peak>,
    best: i64,
}

impl Rhythm {
    pub(super) fn new(rate_mhz: u32) -> Self {
        let every = (rate_mhz / 1_000 / RATE_HZ).max(1);
        Self {
            every,
            held: 0,
            sum: 0,
            steps: VecDeque::new(),
            rate_mhz: rate_mhz / every,
            until_judged: 0,
            peaks: Vec::new(),
            best: 0,
        }
    }

    pub(super) fn forget(&mut self) {
        *self = Self::new(self.rate_mhz * self.every);
    }

    /// The rhythm of the signal by itself: the shortest period nearly as good as the best.
    pub(super) fn period_ms(&self) -> Option<u32> {
        let found = self.best >= LIKENESS_MIN;
        self.peaks.iter().find(|peak| found && peak.height * 100 >= self.best * NEARLY).map(|peak| peak.ms)
    }

    /// How far the whole signal supports this period, of [`FULL`]: nothing if it does not come again
    /// then, comes again much better at other times, or nearly as well after a half or third of it.
    pub(super) fn support(&self, period_ms: u32) -> i64 {
        let at = self.highest_near(period_ms);
        let part = self.highest_near(period_ms / 2).max(self.highest_near(period_ms / 3));
        let is_clear = at * 100 >= self.best * SUPPORTED && part * 100 < at * DOUBTFUL;
        if at >= LIKENESS_MIN && is_clear { at } else { 0 }
    }

    /// Does the signal come again at times that speak against this period: sooner, or after two or three
    /// of them as it does not after one?
    pub(super) fn contradicts(&self, period_ms: u32) -> bool {
        let sooner = self
            .peaks
            .iter()
            .any(|peak| peak.height >= LIKENESS_MIN && peak.ms * 100 < period_ms * (100 - NEAR_PERCENT));
        let multiple = self.highest_near(period_ms * 2).max(self.highest_near(period_ms * 3));
        sooner || multiple >= LIKENESS_MIN
    }

    fn highest_near(&self, period_ms: u32) -> i64 {
        let is_near = |peak: &&Peak| peak.ms.abs_diff(period_ms) * 100 <= period_ms * NEAR_PERCENT;
        self.peaks.iter().filter(is_near).map(|peak| peak.height).max().unwrap_or(0)
    }

    fn steps_in(&self, ms: u32) -> usize {
        usize::try_from(u64::from(ms) * u64::from(self.rate_mhz) / 1_000_000).unwrap_or(0)
    }

    /// Takes the next slope; true when the rhythm was computed again.
    pub(super) fn push(&mut self, slope: i64) -> bool {
        self.sum += slope;
        self.held += 1;
        if self.held < self.every {
            return false;
        }
        let len_max = self.steps_in(PERIOD_MAX_MS * 5 / 2 + 100);
        push_bounded(&mut self.steps, self.sum, len_max);
        (self.sum, self.held) = (0, 0);
        self.until_judged += 1;
        // Twice a second is often enough for something that takes seconds to change.
        if self.until_judged * 2_000 < self.rate_mhz {
            return false;
        }
        self.until_judged = 0;
        self.peaks = self.judge();
        self.best = self.peaks.iter().map(|peak| peak.height).max().unwrap_or(0);
        true
    }

    /// The slopes without what the breath and a slow return add: each less the mean around it.
    fn levelled(&self) -> Vec<i64> {
        let reach = self.steps_in(LEVEL_MS) / 2;
        let sums: Vec<i64> = core::iter::once(0)
            .chain(self.steps.iter().scan(0, |sum, step| {
                *sum += step;
                Some(*sum)
            }))
            .collect();
        let around = |index: usize| {
            let (from, until) = (index.saturating_sub(reach), (index + reach).min(self.steps.len() - 1) + 1);
            let sum = sums.get(until).zip(sums.get(from)).map_or(0, |(until, from)| until - from);
            sum / i64::try_from(until - from).unwrap_or(1)
        };
        self.steps.iter().enumerate().map(|(index, step)| step - around(index)).collect()
    }

    /// All lags at which the signal is more like itself than just before and after.
    fn judge(&self) -> Vec<Peak> {
        let level = self.levelled();
        let count = i64::try_from(level.len()).unwrap_or(i64::MAX).max(1);
        let limit = CLIP * level.iter().map(|step| step.abs()).sum::<i64>() / count;
        let clipped: Vec<i64> = level.into_iter().map(|step| step.clamp(-limit, limit)).collect();
        // One lag beyond each end, to see what is a peak.
        let from = self.steps_in(PERIOD_MIN_MS).max(2) - 1;
        let to = self.steps_in(PERIOD_MAX_MS) + 1;
        let stretch = self.steps_in(STRETCH_MS);
        let likeness: Vec<i64> =
            (from..=to).map_while(|lag| alike(&clipped, lag, stretch.max(lag * 3 / 2))).collect();
        let peak = |(index, three): (usize, &[i64])| {
            let (shift, height) = top(three)?;
            let lag = ((from + index + 1) as u64 * FINE.unsigned_abs()).saturating_add_signed(shift);
            let ms = u32::try_from(lag * 1_000_000 / FINE.unsigned_abs() / u64::from(self.rate_mhz)).ok()?;
            Some(Peak { ms, height })
        };
        likeness.windows(3).enumerate().filter_map(peak).collect()
    }
}

/// How like the newest stretch is to the one a lag before, of [`FULL`]; none while it is not known.
fn alike(steps: &[i64], lag: usize, stretch: usize) -> Option<i64> {
    let start = steps.len().checked_sub(stretch)?;
    let newer = steps.get(start..)?;
    let older = steps.get(start.checked_sub(lag)?..)?;
    let (mut both, mut new_power, mut old_power) = (0i64, 0u64, 0u64);
    for (new, old) in newer.iter().zip(older) {
        both += new * old;
        new_power += (new * new).unsigned_abs();
        old_power += (old * old).unsigned_abs();
    }
    let power = i64::try_from(new_power.isqrt() * old_power.isqrt()).ok()?;
    Some(if power == 0 { 0 } else { both / (power / FULL).max(1) })
}

/// The top of the parabola through three neighbours, if the middle one is a peak: how far it lies from
/// the middle in sixteenths, and its height. A period between two steps must not look less alike than
/// its multiple that falls on one.
fn top(three: &[i64]) -> Option<(i64, i64)> {
    let &[before, middle, after] = three else { return None };
    let (slant, bend) = (after - before, 2 * middle - before - after);
    let is_peak = middle >= before && middle > after;
    is_peak.then(|| (FINE / 2 * slant / bend, middle + slant.pow(2) / (8 * bend)))
}
