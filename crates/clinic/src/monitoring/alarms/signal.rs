//! The alarms of the signal itself: a sensor that is off, a signal that cannot be read, and a pulse that
//! can be read and has no steady beat.

use super::{Changes, PatientAlarms};
use std::collections::BTreeMap;
use vitals::alarm::{Condition, Priority};
use vitals::metric::{Absence, Metric};

/// A sensor must be without signal for this long before that is an alarm.
const SENSOR_OFF_AFTER_MS: u64 = 10_000;
/// And with a signal that cannot be read, or a pulse without a steady beat; the bedside says it sooner.
const POOR_AFTER_MS: u64 = 20_000;
const UNSTEADY_AFTER_MS: u64 = 15_000;

/// A signal that cannot be read for no longer than this interrupts nothing.
const INTERRUPTED_MS: u64 = 3_000;
/// A violation that could not be seen for longer than this starts again; up to then the time unseen does not
/// count, and what was seen before does.
const FORGOTTEN_MS: u64 = 30_000;
/// A sensor that says for so long that it warms up is off.
const WARMING_UP_MS: u64 = 30_000;

/// When values were seen, by the node's clock.
#[derive(Debug, Clone, Default)]
pub(super) struct SignalTimes {
    /// Since when there has been none.
    lost_ms: BTreeMap<Metric, u64>,
    /// When one came last, or the sensor was heard first.
    valued_ms: BTreeMap<Metric, u64>,
}

impl SignalTimes {
    /// There is no value now.
    pub(super) fn lost(&mut self, metric: Metric, at_ms: u64) {
        self.lost_ms.entry(metric).or_insert(at_ms);
        self.valued_ms.entry(metric).or_insert(at_ms);
    }

    pub(super) fn is_long_without_value(&mut self, metric: Metric, at_ms: u64) -> bool {
        let valued_ms = *self.valued_ms.entry(metric).or_insert(at_ms);
        at_ms.saturating_sub(valued_ms) > WARMING_UP_MS
    }

    /// There is a value; gives for how long there was none.
    fn found(&mut self, metric: Metric, at_ms: u64) -> u64 {
        self.valued_ms.insert(metric, at_ms);
        self.lost_ms.remove(&metric).map_or(0, |lost_ms| at_ms.saturating_sub(lost_ms))
    }
}

impl PatientAlarms {
    /// A value came: what was on its way to become an alarm before the signal was lost still counts, the
    /// time in which nothing was seen does not.
    pub(super) fn count_what_was_seen(&mut self, metric: Metric, at_ms: u64) {
        let unseen_ms = self.signal_times.found(metric, at_ms);
        if unseen_ms <= INTERRUPTED_MS {
            return;
        }
        let forgotten = unseen_ms > FORGOTTEN_MS.max(self.stale_after_ms);
        for condition in [Condition::Above(metric), Condition::Below(metric)] {
            let held_back = self.is_held_back(condition);
            let Some(state) = self.states.get_mut(&condition) else { continue };
            if forgotten {
                state.alarm.inhibit(true);
                state.alarm.inhibit(held_back);
            } else {
                state.alarm.interrupted(unseen_ms, at_ms);
            }
        }
    }

    /// Is there a signal, and one that can be read? A pulse that was unsteady is over only when a steady
    /// one is measured.
    pub(super) fn judge_signal(
        &mut self,
        metric: Metric,
        why: Option<Absence>,
        at_ms: u64,
        changes: &mut Changes,
    ) {
        let now = why.map(|why| condition_of(why, metric));
        for (condition, priority, after_ms) in [
            (Condition::SensorOff(metric), Priority::Technical, SENSOR_OFF_AFTER_MS),
            (Condition::Unsteady(metric), Priority::Medium, UNSTEADY_AFTER_MS),
            (Condition::PoorSignal(metric), Priority::Technical, POOR_AFTER_MS),
            (Condition::RateNotSupported(metric), Priority::Technical, SENSOR_OFF_AFTER_MS),
        ] {
            let is_so = now == Some(condition);
            if !is_so && !self.states.contains_key(&condition) {
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
            let state = self.state(condition);
            state.set_own(is_so.then_some(priority), is_over, at_ms);
            changes.own(state.put(0, after_ms, at_ms));
        }
    }
}

/// What is wrong when a value is missing for this reason.
pub(super) fn condition_of(why: Absence, metric: Metric) -> Condition {
    match why {
        Absence::SensorOff | Absence::OutOfRange | Absence::WarmingUp => Condition::SensorOff(metric),
        Absence::Noisy => Condition::PoorSignal(metric),
        Absence::Unsteady => Condition::Unsteady(metric),
        Absence::RateNotSupported => Condition::RateNotSupported(metric),
    }
}
