//! Pauses: a patient is not watched for a while. The consent stands; every decision for monitoring is no
//! until the pause is over, and then watching goes on by itself. Owns its lock.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use vitals::PatientId;

/// Longest pause.
pub const PAUSE_MS_MAX: u64 = 60 * 60_000;
/// The patient's page tells so long that watching went on.
const TOLD_OVER_MS: u64 = 60 * 60_000;

/// A pause of watching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseView {
    /// Nobody watches until then, milliseconds; then watching goes on.
    Until {
        /// The end.
        until_ms: u64,
    },
    /// Watching went on then, a short while ago, milliseconds.
    OverSince {
        /// The end.
        at_ms: u64,
    },
}

#[derive(Default)]
struct Kept {
    until_ms: BTreeMap<PatientId, u64>,
    over_ms: BTreeMap<PatientId, u64>,
}

/// Pauses in force, and those that are over since a short while.
#[derive(Default)]
pub(crate) struct Pauses(Mutex<Kept>);

impl Pauses {
    /// Those that stand in the vault.
    pub(crate) fn of(kept: BTreeMap<PatientId, u64>) -> Self {
        // What is over by now ends at the first tick, like any other.
        Self(Mutex::new(Kept { until_ms: kept, over_ms: BTreeMap::new() }))
    }

    /// Begins one.
    pub(crate) fn begin(&self, patient: PatientId, until_ms: u64) {
        self.0.lock().until_ms.insert(patient, until_ms);
    }

    /// Ends one before its time. False if there is none.
    pub(crate) fn end(&self, patient: PatientId, now_ms: u64) -> bool {
        let mut kept = self.0.lock();
        let ended = kept.until_ms.remove(&patient).is_some();
        if ended {
            kept.over_ms.insert(patient, now_ms);
        }
        ended
    }

    pub(crate) fn is_paused(&self, patient: PatientId) -> bool {
        self.0.lock().until_ms.contains_key(&patient)
    }

    /// Takes away those whose time is over; gives whose.
    pub(crate) fn end_those_over(&self, now_ms: u64) -> Vec<PatientId> {
        let mut kept = self.0.lock();
        let over: Vec<PatientId> = kept
            .until_ms
            .iter()
            // No pause is this long: the clock was set back meanwhile.
            .filter(|(_, until)| now_ms >= **until || **until - now_ms > PAUSE_MS_MAX)
            .map(|(patient, _)| *patient)
            .collect();
        for patient in &over {
            if let Some(until_ms) = kept.until_ms.remove(patient) {
                kept.over_ms.insert(*patient, until_ms);
            }
        }
        kept.over_ms.retain(|_, at_ms| now_ms.saturating_sub(*at_ms) < TOLD_OVER_MS);
        over
    }

    /// A patient's pause, or one that is over since a short while.
    pub(crate) fn view(&self, patient: PatientId) -> Option<PauseView> {
        let kept = self.0.lock();
        let lasts = kept.until_ms.get(&patient).map(|until_ms| PauseView::Until { until_ms: *until_ms });
        lasts.or_else(|| kept.over_ms.get(&patient).map(|at_ms| PauseView::OverSince { at_ms: *at_ms }))
    }
}
