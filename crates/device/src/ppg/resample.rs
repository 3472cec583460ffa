//! One rate for all sensors: samples are brought to between 60 and 120 a second before anything is
//! looked for. At 15 samples a second a fast heart beats every four samples; where its beats stand
//! between them only interpolation tells.

use super::FINE;
use alloc::collections::VecDeque;

/// The rate inside lies between this and twice this, millihertz.
const INSIDE_MHZ: u32 = 60_000;
/// Samples an interpolated one is made of.
const TAPS: usize = 8;
/// An interpolated sample lies so many samples behind the newest.
const LAG: u32 = 4;
/// Most samples that come out for one.
pub(super) const OUT_MAX: usize = 4;
/// What the taps of a phase sum up to.
const UNIT: i64 = 1_024;
/// A sine cardinal under a raised cosine, a quarter, a half and three quarters of a sample on.
const PHASES: [[i64; TAPS]; 3] = [
    [-6, 41, -143, 912, 281, -79, 19, -1],
    [-4, 40, -150, 626, 626, -150, 40, -4],
    [-1, 19, -79, 281, 912, -143, 41, -6],
];

/// Interpolates slow signals and averages fast ones.
#[derive(Debug, Clone)]
pub(super) struct Resample {
    up: u32,
    down: u32,
    window: VecDeque<i64>,
    sum: i64,
    held: u32,
}

impl Resample {
    pub(super) fn new(rate_mhz: u32) -> Self {
        let up = match rate_mhz {
            0..30_000 => 4,
            30_000..60_000 => 2,
            _ => 1,
        };
        Self { up, down: (rate_mhz / INSIDE_MHZ).max(1), window: VecDeque::new(), sum: 0, held: 0 }
    }

    /// The rate that comes out, millihertz.
    pub(super) fn rate_mhz(&self, rate_mhz: u32) -> u32 {
        rate_mhz * self.up / self.down
    }

    /// How many of the samples that go in what comes out lags behind.
    pub(super) fn lag(&self) -> u32 {
        if self.up > 1 { LAG } else { 0 }
    }

    pub(super) fn forget(&mut self) {
        self.window.clear();
        (self.sum, self.held) = (0, 0);
    }

    /// The next sample; what comes out has [`FINE`] steps per count.
    pub(super) fn push(&mut self, raw: u16, mut out: impl FnMut(i64)) {
        let value = i64::from(raw) * FINE;
        if self.up > 1 {
            // What was before the first sample was no jump.
            while self.window.len() < TAPS {
                self.window.push_back(value);
            }
            self.window.pop_front();
            self.window.push_back(value);
            out(self.window.get(TAPS / 2 - 1).copied().unwrap_or(value));
            for (phase, taps) in PHASES.iter().enumerate() {
                if self.up == 4 || phase == 1 {
                    out(self.window.iter().zip(taps).map(|(seen, tap)| seen * tap).sum::<i64>() / UNIT);
                }
            }
            return;
        }
        self.sum += value;
        self.held += 1;
        if self.held == self.down {
            out(self.sum / i64::from(self.down));
            (self.sum, self.held) = (0, 0);
        }
    }
}
