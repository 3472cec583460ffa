//! A bed from which data arrives, but no vital signs: the sensor was never heard, or its stream fell silent.

use super::{Changes, PatientAlarms};
use vitals::alarm::{Condition, Priority};
use vitals::ids::Class;
use vitals::metric::Metric;

/// No sensor is missed sooner, however often it announced to send.
const UNHEARD_AFTER_MS: u64 = 30_000;

/// When vital signs were heard last.
#[derive(Debug, Clone, Default)]
pub(super) struct UnheardVitals {
    /// They are missed after this long; none while no sensor for them is paired.
    after_ms: Option<u64>,
    /// When a reading of them was fresh last, or was expected from then on.
    pub(super) heard_ms: u64,
    /// The condition that says so now.
    raised: Option<Condition>,
}

impl UnheardVitals {
    pub(super) fn expected_from(now_ms: u64) -> Self {
        Self { heard_ms: now_ms, ..Self::default() }
    }
}

impl PatientAlarms {
    /// Vital signs are missed after this long, milliseconds, and never before [`UNHEARD_AFTER_MS`]; none while
    /// no sensor for them is paired.
    pub(crate) fn expect_vitals_within(&mut self, after_ms: Option<u64>) {
        self.unheard.after_ms = after_ms.map(|after_ms| after_ms.max(UNHEARD_AFTER_MS));
    }

    /// When they will be missed, milliseconds. Where nothing at all arrives, the data is stale instead.
    pub(super) fn vitals_due_ms(&self) -> Option<u64> {
        let waits = !self.stale && self.unheard.raised.is_none();
        self.unheard.after_ms.filter(|_| waits).map(|after_ms| self.unheard.heard_ms.saturating_add(after_ms))
    }

    pub(super) fn miss_vitals_if_due(&mut self, now_ms: u64) -> Changes {
        let mut changes = Changes::default();
        // After the node's clock was set back nothing was heard later than now.
        self.unheard.heard_ms = self.unheard.heard_ms.min(now_ms);
        if self.vitals_due_ms().is_some_and(|due_ms| due_ms <= now_ms) {
            let of_vitals = self.newest_ms.iter().filter(|(metric, _)| metric.info().class == Class::Vitals);
            let last = of_vitals.max_by_key(|(_, at_ms)| **at_ms).map(|(metric, _)| *metric);
            let condition = Condition::SensorOff(last.unwrap_or(Metric::HeartRate));
            self.unheard.raised = Some(condition);
            let state = self.state(condition);
            state.set_own(Some(Priority::Technical), false, now_ms);
            changes.own(state.put(0, 0, now_ms));
        }
        changes
    }

    /// A fresh reading of vital signs, whatever it says.
    pub(super) fn vitals_heard(&mut self, now_ms: u64, changes: &mut Changes) {
        self.unheard.heard_ms = now_ms;
        if let Some(condition) = self.unheard.raised.take() {
            let state = self.state(condition);
            state.set_own(None, true, now_ms);
            changes.own(state.put(0, 0, now_ms));
        }
    }
}
