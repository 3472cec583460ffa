//! The rhythm of the last seconds: at which lag the signal's slope is most like itself.
//!
//! Beats found one by one can be twice too many (a strong dicrotic wave) or noise; the whole signal
//! tells which. The slope's autocorrelation does not care which way up the pulse is.

use super::push_bounded;
use alloc::collections::VecDeque;

/// The slope is summed to about this rate, hertz.
const RATE_HZ: u32 = 50;
/// Seconds looked at.
const SPAN_S: u32 = 5;
/// Seconds needed at least.
const SPAN_MIN_S: u32 = 4;
/// Longest period looked for, milliseconds (30 a minute).
const PERIOD_MAX_MS: u32 = 2_000;
/// Shortest period looked for, milliseconds (240 a minute).
const PERIOD_MIN_MS: u32 = 250;
/// A rhythm must explain this share of the slope's power, percent.
const LIKENESS_MIN: i64 = 45;
/// The shortest period nearly as good as the best is the rhythm; its multiples are as good, percent.
const NEARLY: i64 = 85;
/// The whole power.
const FULL: i64 = 1_000;
/// Jolts count no more than so many times the mean slope.
const CLIP: i64 = 4;

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
    /// The period, milliseconds.
    period_ms: Option<u32>,
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
            period_ms: None,
        }
    }

    pub(super) fn forget(&mut self) {
        *self = Self::new(self.rate_mhz * self.every);
    }

    /// The period, if there is a rhythm.
    pub(super) fn period_ms(&self) -> Option<u32> {
        self.period_ms
    }

    fn steps_in(&self, ms: u32) -> usize {
        usize::try_from(u64::from(ms) * u64::from(self.rate_mhz) / 1_000_000).unwrap_or(0)
    }

    pub(super) fn push(&mut self, slope: i64) {
        self.sum += slope;
        self.held += 1;
        if self.held < self.every {
            return;
        }
        let len_max = self.steps_in(SPAN_S * 1_000);
        push_bounded(&mut self.steps, self.sum, len_max);
        (self.sum, self.held) = (0, 0);
        self.until_judged += 1;
        // Twice a second is often enough for something that takes seconds to change.
        if self.until_judged * 2_000 >= self.rate_mhz {
            self.until_judged = 0;
            self.period_ms = self.judge();
        }
    }

    fn judge(&self) -> Option<u32> {
        let len = self.steps.len();
        if len < self.steps_in(SPAN_MIN_S * 1_000) {
            return None;
        }
        let count = i64::try_from(len).ok()?;
        let limit = CLIP * self.steps.iter().map(|step| step.abs()).sum::<i64>() / count;
        let clipped: alloc::vec::Vec<i64> =
            self.steps.iter().map(|step| (*step).clamp(-limit, limit)).collect();
        let power = clipped.iter().map(|step| step * step).sum::<i64>() / count;
        if power == 0 {
            return None;
        }
        // Share of the power, per lag; one lag beyond each end, to see what is a peak.
        let from = self.steps_in(PERIOD_MIN_MS).max(2) - 1;
        let to = (self.steps_in(PERIOD_MAX_MS) + 1).min(len * 2 / 3);
        let likeness: alloc::vec::Vec<i64> = (from..=to)
            .map(|lag| {
                let product: i64 =
                    clipped.iter().zip(clipped.get(lag..).unwrap_or(&[])).map(|(a, b)| a * b).sum();
                product * FULL / i64::try_from(len - lag).unwrap_or(1).max(1) / power
            })
            .collect();
        let peaks =
            || likeness.windows(3).enumerate().filter_map(|(index, three)| Some((index, top(three)?)));
        let best = peaks().map(|(_, height)| height).max()?;
        if best * 100 < LIKENESS_MIN * FULL {
            return None;
        }
        let (index, _) = peaks().find(|(_, height)| height * 100 >= best * NEARLY)?;
        let lag = u64::try_from(from + index + 1).ok()?;
        u32::try_from(lag * 1_000_000 / u64::from(self.rate_mhz)).ok()
    }
}

/// The height of the parabola through three neighbours, if the middle one is a peak: a period between
/// two steps must not look less alike than its multiple that falls on one.
fn top(three: &[i64]) -> Option<i64> {
    let &[before, middle, after] = three else { return None };
    let is_peak = middle >= before && middle > after;
    is_peak.then(|| middle + (after - before).pow(2) / (8 * (2 * middle - before - after)))
}
