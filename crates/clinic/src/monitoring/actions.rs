//! What signed-in people do about alarms.

use crate::clinic::{Clinic, lock};
use crate::errors::{ClinicError, Denied};
use crate::monitoring::{Aftermath, Bed};
use crate::sessions::Session;
use crate::views::AlarmView;
use vault::{Entry, Patient};
use vitals::PatientId;
use vitals::alarm::{Condition, Limits};
use vitals::body::{Body, LimitsChange};
use vitals::envelope::ClockQuality;
use vitals::ids::Class;
use vitals::ledger::{Purpose, Role};

impl Clinic {
    /// Answers an alarm: "seen, I am on it". Written into the record.
    ///
    /// # Errors
    /// [`ClinicError::Denied`], or [`ClinicError::Wrong`] when there is nothing to answer.
    pub fn acknowledge(
        &self,
        session: &Session,
        patient: PatientId,
        condition: Condition,
        now_ms: u64,
    ) -> Result<AlarmView, ClinicError> {
        self.carer(session, patient, now_ms)?;
        self.act(
            patient,
            condition,
            now_ms,
            "there is nothing to answer: the alarm is closed or answered",
            |bed| bed.bedside.acknowledge(condition, session.person, &session.name, now_ms),
        )
    }

    /// Turns an alarm's sound off for a while (at most [`vitals::alarm::SILENCE_MAX_MS`]). Not an
    /// answer; a worse alarm breaks it. Written into the record.
    ///
    /// # Errors
    /// As [`Clinic::acknowledge`].
    pub fn silence(
        &self,
        session: &Session,
        patient: PatientId,
        condition: Condition,
        for_ms: u64,
        now_ms: u64,
    ) -> Result<AlarmView, ClinicError> {
        self.carer(session, patient, now_ms)?;
        self.act(
            patient,
            condition,
            now_ms,
            "there is no sound to turn off: the alarm does not sound",
            |bed| bed.bedside.silence(condition, session.person, for_ms, now_ms),
        )
    }

    fn act(
        &self,
        patient: PatientId,
        condition: Condition,
        now_ms: u64,
        nothing: &str,
        act: impl FnOnce(&mut Bed) -> crate::monitoring::alarms::Noticed,
    ) -> Result<AlarmView, ClinicError> {
        let (view, after) = {
            let mut beds = lock(&self.beds);
            let bed = beds.get_mut(&patient).ok_or(Denied::NoSuchPatient)?;
            let noticed = act(bed);
            if noticed.is_empty() {
                return Err(ClinicError::Wrong(nothing.into()));
            }
            let view = bed.bedside.view(condition).ok_or_else(|| ClinicError::Wrong(nothing.into()))?;
            (view, Aftermath::of_action(patient, &bed.bedside, noticed))
        };
        // The beds are let go first: other alarms do not wait for this one's disk.
        self.conclude(after, now_ms);
        Ok(view)
    }

    /// Changes a patient's limits of one metric. Written into the record before they are in force.
    ///
    /// # Errors
    /// [`ClinicError::Denied`], or [`ClinicError::Wrong`] for limits out of order.
    pub fn set_limits(
        &self,
        session: &Session,
        patient: PatientId,
        limits: Limits,
        now_ms: u64,
    ) -> Result<(), ClinicError> {
        self.carer(session, patient, now_ms)?;
        if !limits.in_order() || limits.hysteresis < 0 {
            return Err(ClinicError::Wrong(
                "worse limits must lie further out, and the upper ones above the lower ones".into(),
            ));
        }
        let body = Body::Limits(LimitsChange { at_ms: now_ms, by: session.person, limits });
        let entry = Entry { patient, class: Class::Alarms, body };
        self.vault().write(self.store(), &[entry], ClockQuality::Synced, now_ms)?;
        lock(&self.stats).counters.authored += 1;
        if let Some(bed) = lock(&self.beds).get_mut(&patient) {
            bed.bedside.set_limits(limits);
        }
        self.tell(crate::views::LiveEvent::Changed { patient });
        Ok(())
    }

    /// A clinician whom the patient lets see alarms, for treatment or on the wall.
    fn carer(&self, session: &Session, patient: PatientId, now_ms: u64) -> Result<Patient, ClinicError> {
        self.require(session, &[Role::Clinician], now_ms).map_err(|why| self.denied(why))?;
        let patient = self.patient(patient).map_err(|why| self.denied(why))?;
        let reader = self.reader(session);
        let allowed = [Purpose::Treatment, Purpose::Monitoring]
            .into_iter()
            .map(|purpose| self.decide(reader, &patient, purpose, &[Class::Alarms], now_ms))
            .reduce(Result::or);
        match allowed {
            Some(Ok(_)) => Ok(patient),
            Some(Err(why)) => Err(self.denied(why)),
            None => Err(self.denied(Denied::NoConsent)),
        }
    }
}
