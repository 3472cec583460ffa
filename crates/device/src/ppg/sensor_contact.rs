//! Sensor contact: is the sensor on the body?

use alloc::collections::VecDeque;

/// A signal that moves no more than this, in converter counts, is no pulse.
const FLAT_COUNTS: u16 = 3;
/// So many percent of the samples at one end of the range: saturated, or no light.
const STUCK_PERCENT: usize = 80;

/// Tells a sensor on the body from one that is off: flat, or stuck at one end of its range.
#[derive(Debug, Clone, Default)]
pub(super) struct SensorContact {
    window: VecDeque<u16>,
    until_judged: u64,
    pub(super) off: bool,
}

impl SensorContact {
    /// Takes the next raw sample; true when contact was decided again.
    pub(super) fn push(&mut self, raw: u16, (span, step): (u64, u64)) -> bool {
        self.window.push_back(raw);
        if self.window.len() as u64 > span {
            self.window.pop_front();
        }
        self.until_judged += 1;
        if self.until_judged < step || (self.window.len() as u64) < span {
            return false;
        }
        self.until_judged = 0;
        let low = self.window.iter().min().copied().unwrap_or(0);
        let high = self.window.iter().max().copied().unwrap_or(0);
        let stuck = |end: u16| {
            let near = self.window.iter().filter(|raw| raw.abs_diff(end) <= 1).count();
            near * 100 >= self.window.len() * STUCK_PERCENT
        };
        self.off = high - low <= FLAT_COUNTS || stuck(low) || stuck(high);
        true
    }
}
