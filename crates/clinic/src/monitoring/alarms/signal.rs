//! The alarms of the signal itself: a sensor that is off, a signal that cannot be read, and a pulse that
//! can be read and has no steady beat.

use super::{Bedside, Noticed};
use vitals::alarm::{Condition, Priority};
use vitals::metric::{Absence, Metric};

/// A sensor must be without signal for this long before that is an alarm.
const SENSOR_OFF_AFTER_MS: u64 = 10_000;
/// And with a signal that cannot be read, or a pulse without a steady beat; the bedside says it sooner.
const POOR_AFTER_MS: u64 = 20_000;
const UNSTEADY_AFTER_MS: u64 = 15_000;

impl Bedside {
    /// Is there a signal, and one that can be read? A pulse that was unsteady is over only when a steady
    /// one is measured.
    pub(super) fn judge_signal(
        &mut self,
        metric: Metric,
        why: Option<Absence>,
        at_ms: u64,
        noticed: &mut Noticed,
    ) {
        let now = why.map(|why| condition_of(why, metric));
        for (condition, priority, after_ms) in [
            (Condition::SensorOff(metric), Priority::Technical, SENSOR_OFF_AFTER_MS),
            (Condition::Unsteady(metric), Priority::Medium, UNSTEADY_AFTER_MS),
            (Condition::PoorSignal(metric), Priority::Technical, POOR_AFTER_MS),
        ] {
            let is_so = now == Some(condition);
            if !is_so && !self.watches.contains_key(&condition) {
                continue;
            }
            let is_over = match condition {
                Condition::Unsteady(_) => why.is_none(),
                _ => !is_so,
            };
            // A moment of motion does not interrupt an unsteady pulse.
            if matches!((condition, why), (Condition::Unsteady(_), Some(Absence::Noisy))) {
                continue;
            }
            let watch = self.watch(condition);
            watch.says(is_so.then_some(priority), is_over, at_ms);
            noticed.own(watch.put(0, after_ms, at_ms));
        }
    }
}

/// What is wrong when a value is missing for this reason.
pub(super) fn condition_of(why: Absence, metric: Metric) -> Condition {
    match why {
        Absence::SensorOff | Absence::OutOfRange | Absence::WarmingUp => Condition::SensorOff(metric),
        Absence::Noisy => Condition::PoorSignal(metric),
        Absence::Unsteady => Condition::Unsteady(metric),
    }
}
