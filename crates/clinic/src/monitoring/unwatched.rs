//! Beds that nobody watches: the alarm about it, and how a clinician answers for it.

use super::attend::Effects;
use super::views::UnwatchedBed;
use crate::accounts::Session;
use crate::clinic::Clinic;
use crate::errors::ClinicError;
use vault::{Entry, MonitoringEnd};
use vitals::PatientId;
use vitals::alarm::Condition;
use vitals::body::{Body, Dismissal, TEXT_BYTES_MAX};
use vitals::envelope::ClockQuality;
use vitals::ids::Class;
use vitals::ledger::Role;

/// A reason must say at least this much, bytes.
pub const REASON_BYTES_MIN: usize = 4;

impl Clinic {
    /// Beds that send data and are not watched. They name no patient who withdrew, so every clinician
    /// of the ward may know them.
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but clinicians.
    pub fn unwatched_beds(&self, session: &Session, now_ms: u64) -> Result<Vec<UnwatchedBed>, ClinicError> {
        self.require(session, &[Role::Clinician], now_ms).map_err(|why| self.denied(why))?;
        Ok(self.monitoring.of_all(|patient, bed| bed.unwatched_view(patient)))
    }

    /// A clinician answers for a bed that nobody watches, and says why that is right. The alarm ends
    /// until somebody watches the bed again; the reason stands in the record.
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but clinicians; [`ClinicError::Wrong`] if the bed is
    /// watched or the reason says nothing.
    pub fn end_unwatched(
        &self,
        session: &Session,
        patient: PatientId,
        reason: &str,
        now_ms: u64,
    ) -> Result<(), ClinicError> {
        self.require(session, &[Role::Clinician], now_ms).map_err(|why| self.denied(why))?;
        let patient = self.patient(patient).map_err(|why| self.denied(why))?;
        let reason = reason.trim();
        if !(REASON_BYTES_MIN..=TEXT_BYTES_MAX).contains(&reason.len()) {
            return Err(ClinicError::Wrong(format!(
                "say in a few words why nobody has to watch this bed ({REASON_BYTES_MIN} to {TEXT_BYTES_MAX} bytes)"
            )));
        }
        let unwatched = self.monitoring.of(patient.id, |bed| bed.is_alarming_unwatched());
        if unwatched != Some(true) {
            return Err(ClinicError::Wrong(
                "this bed is watched, or somebody answered for it already".into(),
            ));
        }
        let dismissal = Dismissal {
            at_ms: now_ms,
            by: session.person,
            condition: Condition::Unwatched,
            reason: reason.into(),
        };
        let entry = Entry { patient: patient.id, class: Class::Alarms, body: Body::Dismissal(dismissal) };
        // On record before the alarm ends.
        self.vault().write(self.store(), &[entry], ClockQuality::Synced, now_ms)?;
        self.stats.authored(1);
        let end = MonitoringEnd {
            at_ms: now_ms,
            by: session.person,
            by_name: session.name.clone(),
            reason: reason.into(),
        };
        self.vault().put_monitoring_end(patient.id, Some(end.clone()))?;
        let mut effects = Effects::default();
        self.monitoring.with(patient.id, now_ms, |bed| {
            if bed.is_alarming_unwatched() {
                bed.ended = Some(end);
                let changes = bed.say_unwatched(now_ms);
                effects.watching(patient.id, bed);
                effects.changes(patient.id, bed, changes);
            }
        });
        self.conclude(effects, now_ms);
        Ok(())
    }
}
