//! Confirms a heart rate before it is shown. A new rate must last, and one that differs much from the rate
//! shown before must last longer: motion and saturation are short, a heart rate is not.

use vitals::metric::{Absence, Sample};

/// A first rate must last this long, milliseconds.
const FIRST_MS: u64 = 1_500;
/// A rate that is another must last this long, milliseconds.
const ANOTHER_MS: u64 = 4_000;
/// And one that is about a multiple or a part of the one before, milliseconds.
const MULTIPLE_MS: u64 = 6_000;
/// And any rate after a pulse that was unsteady for long: some beats of an irregular heart look even by
/// chance.
const UNSTEADY_MS: u64 = 6_000;
/// Each unsteady judgement counts for this many steady ones, up to a bound, and long is from here on.
const UNSTEADY_STEP: u32 = 2;
const UNSTEADY_MAX: u32 = 24;
const UNSTEADY_LONG: u32 = 8;
/// Within this share it is the same rate, percent.
const SAME_PERCENT: i32 = 16;
/// And within this one while the beats do not look alike: motion may be among them, percent.
const SAME_UNLIKE_PERCENT: i32 = 6;
/// Within this one the rhythm of the signal alone is enough, percent.
const KNOWN_PERCENT: i32 = 12;
/// A rate that was shown is remembered for so long, milliseconds.
const REMEMBERED_MS: u64 = 60_000;

/// The last rate shown, and the one that is being confirmed.
#[derive(Debug, Clone, Default)]
pub(super) struct RateConfirmation {
    /// Tenths of a beat a minute, and when it was shown last, milliseconds of signal.
    trusted: Option<(i32, u64)>,
    /// The rate that is being confirmed, and since when.
    candidate: Option<(i32, u64)>,
    /// Rises while the pulse is unsteady, falls while it is steady.
    unsteady: u32,
    shown: Option<Sample>,
}

impl RateConfirmation {
    /// What is shown now.
    pub(super) fn sample(&self) -> Sample {
        self.shown.unwrap_or(Sample::Absent(Absence::WarmingUp))
    }

    /// Is this about the rate that was shown last, and not long ago?
    pub(super) fn is_known(&self, tenths: i32, now_ms: u64) -> bool {
        self.remembered(now_ms).is_some_and(|before| is_within(tenths, before, KNOWN_PERCENT))
    }

    fn remembered(&self, now_ms: u64) -> Option<i32> {
        self.trusted.filter(|(_, at_ms)| now_ms - at_ms < REMEMBERED_MS).map(|(tenths, _)| tenths)
    }

    /// Takes the rate that the beats give at this time of the signal.
    pub(super) fn update(&mut self, measured: Sample, alike: bool, now_ms: u64) {
        self.shown = Some(match measured {
            Sample::Absent(why) => {
                self.candidate = None;
                if why == Absence::Unsteady {
                    self.unsteady = (self.unsteady + UNSTEADY_STEP).min(UNSTEADY_MAX);
                }
                Sample::Absent(why)
            }
            Sample::Measured(tenths) => self.weigh(tenths, alike, now_ms),
        });
    }

    fn weigh(&mut self, tenths: i32, alike: bool, now_ms: u64) -> Sample {
        let same_percent = if alike { SAME_PERCENT } else { SAME_UNLIKE_PERCENT };
        let wait_ms = match self.remembered(now_ms) {
            None => FIRST_MS,
            Some(before) if is_within(tenths, before, same_percent) => 0,
            Some(before) if is_multiple(tenths, before) => MULTIPLE_MS,
            Some(_) => ANOTHER_MS,
        };
        let wait_ms = if self.unsteady >= UNSTEADY_LONG { wait_ms.max(UNSTEADY_MS) } else { wait_ms };
        self.unsteady = self.unsteady.saturating_sub(1);
        let since_ms = match self.candidate {
            Some((candidate, since_ms)) if is_same(tenths, candidate) => since_ms,
            _ => now_ms,
        };
        self.candidate = Some((tenths, since_ms));
        if now_ms - since_ms < wait_ms {
            // A sensor is warming up only once.
            let first = matches!(self.shown, None | Some(Sample::Absent(Absence::WarmingUp)));
            return Sample::Absent(if first { Absence::WarmingUp } else { Absence::Noisy });
        }
        self.trusted = Some((tenths, now_ms));
        Sample::Measured(tenths)
    }
}

fn is_within(a: i32, b: i32, percent: i32) -> bool {
    (a - b).abs() * 100 <= a.max(b) * percent
}

fn is_same(a: i32, b: i32) -> bool {
    is_within(a, b, SAME_PERCENT)
}

/// Is one about twice or three times the other?
fn is_multiple(a: i32, b: i32) -> bool {
    let (low, high) = (a.min(b), a.max(b));
    [2, 3].into_iter().any(|times| is_same(low * times, high))
}
