//! Pausing and resuming a consent to a person, by the patient: at this organisation, at once, until it is resumed. The
//! ledger holds nothing of it.

use crate::accounts::Session;
use crate::clinic::Clinic;
use crate::errors::{ClinicError, Denied};
use vault::Patient;
use vitals::GrantId;
use vitals::ledger::{Purpose, Role};

impl Clinic {
    /// Pauses a consent: nothing is opened under it here until it is resumed, and open pages close. Pausing again
    /// changes nothing.
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but the patient whose consent it is; [`ClinicError::Wrong`] for the
    /// ward's watching, which has a pause of its own; the vault's failure, and then nothing is paused.
    pub fn pause_consent(&self, session: &Session, grant: GrantId, now_ms: u64) -> Result<(), ClinicError> {
        // Enough to pause, as for withdrawing: it must work while the ledger is down.
        self.signed_in(session, &[Role::Patient], now_ms).map_err(|why| self.denied(why))?;
        let patient = self.own_personal(session, grant)?;
        if self.vault().restriction(grant).paused_since_ms.is_none() {
            // Durable first: a restart must not open what was paused.
            self.vault().put_consent_pause(grant, Some(now_ms))?;
        }
        self.decide_again(patient.id);
        Ok(())
    }

    /// Resumes a consent: it opens what it says again, as long as it says so. Without a pause nothing changes.
    ///
    /// # Errors
    /// As [`Clinic::pause_consent`], and for a patient who is suspended.
    pub fn resume_consent(&self, session: &Session, grant: GrantId, now_ms: u64) -> Result<(), ClinicError> {
        self.require(session, &[Role::Patient], now_ms).map_err(|why| self.denied(why))?;
        let patient = self.own_personal(session, grant)?;
        self.vault().put_consent_pause(grant, None)?;
        self.decide_again(patient.id);
        Ok(())
    }

    fn own_personal(&self, session: &Session, grant: GrantId) -> Result<Patient, ClinicError> {
        let (patient, record) = self.own_grant(session, grant).map_err(|why| self.denied(why))?;
        if record.terms.purpose == Purpose::Monitoring {
            return Err(ClinicError::Wrong(
                "watching is paused on your page, for at most an hour: this pause is for consents to people"
                    .into(),
            ));
        }
        if self.vault().is_withdrawn(grant) {
            return Err(self.denied(Denied::NoSuchPatient));
        }
        Ok(patient)
    }
}
