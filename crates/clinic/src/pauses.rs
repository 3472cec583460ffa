//! Pauses: a patient is not watched for a while. The consent stands; every decision for monitoring is no
//! until the pause is over, and then watching goes on by itself.

use crate::clinic::{Clinic, lock};
use crate::errors::{ClinicError, Denied};
use crate::sessions::Session;
use crate::views::{LiveEvent, PauseView};
use std::collections::BTreeMap;
use vitals::PatientId;
use vitals::alarm::Unwatched;
use vitals::ledger::{Purpose, Role};

/// Longest pause.
pub const PAUSE_MS_MAX: u64 = 60 * 60_000;
/// Shortest.
pub const PAUSE_MS_MIN: u64 = 60_000;
/// The patient's page tells so long that watching went on.
const TOLD_OVER_MS: u64 = 60 * 60_000;

/// Pauses in force, and those that are over since a short while.
#[derive(Debug, Default)]
pub(crate) struct Pauses {
    until_ms: BTreeMap<PatientId, u64>,
    over_ms: BTreeMap<PatientId, u64>,
}

impl Pauses {
    /// Those that stand in the vault.
    pub(crate) fn of(kept: BTreeMap<PatientId, u64>) -> Self {
        // What is over by now ends at the first tick, like any other.
        Self { until_ms: kept, over_ms: BTreeMap::new() }
    }

    /// Takes away those whose time is over; gives whose.
    fn end(&mut self, now_ms: u64) -> Vec<PatientId> {
        let over: Vec<PatientId> = self
            .until_ms
            .iter()
            // No pause is this long: the clock was set back meanwhile.
            .filter(|(_, until)| now_ms >= **until || **until - now_ms > PAUSE_MS_MAX)
            .map(|(patient, _)| *patient)
            .collect();
        for patient in &over {
            if let Some(until_ms) = self.until_ms.remove(patient) {
                self.over_ms.insert(*patient, until_ms);
            }
        }
        self.over_ms.retain(|_, at_ms| now_ms.saturating_sub(*at_ms) < TOLD_OVER_MS);
        over
    }
}

impl Clinic {
    /// Nobody watches this patient for a while: at most [`PAUSE_MS_MAX`]. No consent is touched.
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but the patient; [`ClinicError::Wrong`] for a pause that is
    /// too long or too short, or where nobody watches; the vault's failure, and then nothing is paused.
    pub fn pause_watching(&self, session: &Session, for_ms: u64, now_ms: u64) -> Result<(), ClinicError> {
        let patient = self.pausing(session, now_ms)?;
        if !(PAUSE_MS_MIN..=PAUSE_MS_MAX).contains(&for_ms) {
            return Err(ClinicError::Wrong("a pause lasts from one minute to an hour".into()));
        }
        let until_ms = now_ms.saturating_add(for_ms);
        // Durable first: a restart must not watch somebody who asked for a pause.
        self.vault().put_pause(patient, until_ms)?;
        lock(&self.pauses).until_ms.insert(patient, until_ms);
        self.decide_again(patient);
        self.stop_watching(patient, Unwatched::Paused, now_ms);
        Ok(())
    }

    /// Ends a pause before its time.
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but the patient; [`ClinicError::Wrong`] without a pause.
    pub fn resume_watching(&self, session: &Session, now_ms: u64) -> Result<(), ClinicError> {
        let patient = self.pausing(session, now_ms)?;
        let ended = {
            let mut pauses = lock(&self.pauses);
            let ended = pauses.until_ms.remove(&patient).is_some();
            if ended {
                pauses.over_ms.insert(patient, now_ms);
            }
            ended
        };
        if !ended {
            return Err(ClinicError::Wrong("there is no pause".into()));
        }
        self.vault().put_pause(patient, 0)?;
        self.decide_again(patient);
        Ok(())
    }

    /// Signed in as a patient; enough to pause, as for withdrawing a consent.
    fn pausing(&self, session: &Session, now_ms: u64) -> Result<PatientId, ClinicError> {
        self.signed_in(session, &[Role::Patient], now_ms).map_err(|why| self.denied(why))?;
        let id = session.patient.ok_or_else(|| self.denied(Denied::NoSuchPatient))?;
        self.patient(id).map_err(|why| self.denied(why))?;
        Ok(id)
    }

    /// Everything decided about this patient is decided again, at once.
    fn decide_again(&self, patient: PatientId) {
        self.count_generation();
        self.tell(LiveEvent::Changed { patient });
    }

    /// Monitoring is refused while the patient's pause lasts.
    pub(crate) fn not_paused(&self, patient: PatientId, purpose: Purpose) -> Result<(), Denied> {
        let paused = purpose == Purpose::Monitoring && lock(&self.pauses).until_ms.contains_key(&patient);
        if paused { Err(Denied::Paused) } else { Ok(()) }
    }

    /// Watching goes on where a pause is over.
    pub(crate) fn end_pauses(&self, now_ms: u64) {
        let over = lock(&self.pauses).end(now_ms);
        for patient in over {
            self.decide_again(patient);
        }
    }

    /// A patient's pause, or one that is over since a short while.
    pub(crate) fn pause_of(&self, patient: PatientId) -> Option<PauseView> {
        let pauses = lock(&self.pauses);
        let lasts = pauses.until_ms.get(&patient).map(|until_ms| PauseView::Until { until_ms: *until_ms });
        lasts.or_else(|| pauses.over_ms.get(&patient).map(|at_ms| PauseView::OverSince { at_ms: *at_ms }))
    }
}
