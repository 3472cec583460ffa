//! Pausing and resuming being watched, by the patient.

use super::pauses::{PAUSE_MS_MAX, PauseView};
use crate::accounts::Session;
use crate::clinic::Clinic;
use crate::errors::{ClinicError, Denied};
use crate::monitoring::LiveEvent;
use vitals::PatientId;
use vitals::alarm::Unwatched;
use vitals::ledger::{Purpose, Role};

/// Shortest.
pub const PAUSE_MS_MIN: u64 = 60_000;
impl Clinic {
    /// Pauses monitoring of this patient for at most [`PAUSE_MS_MAX`]. No consent is touched.
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
        self.pauses.begin(patient, until_ms);
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
        if !self.pauses.end(patient, now_ms) {
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
    pub(super) fn decide_again(&self, patient: PatientId) {
        self.count_generation();
        self.publish(LiveEvent::Changed { patient });
    }

    /// Monitoring is refused while the patient's pause lasts.
    pub(crate) fn not_paused(&self, patient: PatientId, purpose: Purpose) -> Result<(), Denied> {
        let paused = purpose == Purpose::Monitoring && self.pauses.is_paused(patient);
        if paused { Err(Denied::Paused) } else { Ok(()) }
    }

    /// Watching goes on where a pause is over.
    pub(crate) fn end_pauses(&self, now_ms: u64) {
        for patient in self.pauses.end_those_over(now_ms) {
            self.decide_again(patient);
        }
    }

    /// A patient's pause, or one that is over since a short while.
    pub(crate) fn pause_of(&self, patient: PatientId) -> Option<PauseView> {
        self.pauses.view(patient)
    }
}
