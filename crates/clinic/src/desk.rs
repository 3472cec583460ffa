//! What signed-in people do about alarms, and signing in itself.

use crate::clinic::{Clinic, lock};
use crate::errors::{ClinicError, Denied};
use crate::live::{Aftermath, Bed};
use crate::sessions::{ABSOLUTE_MS, IDLE_MS, Session, SignInRefused, Token};
use crate::views::AlarmView;
use std::sync::atomic::{AtomicUsize, Ordering};
use vault::{Entry, Patient};
use vitals::PatientId;
use vitals::alarm::{Condition, Limits};
use vitals::body::{Body, LimitsChange};
use vitals::envelope::ClockQuality;
use vitals::ids::Class;
use vitals::ledger::{Purpose, Role};

/// Most passwords stretched at a time: each takes memory and a thread, and anybody may ask.
const STRETCHES_MAX: usize = 4;

/// One password being stretched.
struct Stretch<'a>(&'a AtomicUsize);

impl<'a> Stretch<'a> {
    fn begin(under_way: &'a AtomicUsize) -> Result<Self, SignInRefused> {
        let stretch = Self(under_way);
        if under_way.fetch_add(1, Ordering::AcqRel) >= STRETCHES_MAX {
            return Err(SignInRefused::Busy);
        }
        Ok(stretch)
    }
}

impl Drop for Stretch<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Clinic {
    /// Signs somebody in. Slow on purpose (Argon2id): call it off the threads that serve others.
    ///
    /// # Errors
    /// [`SignInRefused`]; it never tells whether the login exists.
    pub fn sign_in(
        &self,
        login: &str,
        password: &str,
        now_ms: u64,
    ) -> Result<(Token, Session), SignInRefused> {
        let _stretch = Stretch::begin(&self.stretching)?;
        {
            // Counted as wrong until it proves right, so that tries at the same moment count as well.
            let mut sessions = lock(&self.sessions);
            sessions.may_try(login, now_ms)?;
            sessions.wrong(login, now_ms);
        }
        let account = match self.vault().verify_password(login, password) {
            Ok(Some(account)) => account,
            Ok(None) => return Err(SignInRefused::Wrong),
            Err(why) => {
                tracing::error!(reason = %why, "The vault could not check a password");
                return Err(SignInRefused::Unavailable);
            }
        };
        let patient = self.vault().patient_of(account.person).map(|patient| patient.id);
        let session = Session {
            id: self.random(),
            person: account.person,
            login: account.login,
            name: account.name,
            role: account.role,
            patient,
            idle_until_ms: now_ms + IDLE_MS,
            until_ms: now_ms + ABSOLUTE_MS,
        };
        let token = lock(&self.sessions).open(session.clone(), &self.random());
        Ok((token, session))
    }

    /// The session of a token, at every request; it idles out otherwise.
    ///
    /// # Errors
    /// [`Denied::SignedOut`].
    pub fn session(&self, token: &str, now_ms: u64) -> Result<Session, Denied> {
        lock(&self.sessions).get(token, now_ms).ok_or(Denied::SignedOut)
    }

    /// Ends a session; its live streams close.
    pub fn sign_out(&self, token: &str) {
        if let Some(ended) = lock(&self.sessions).close(token) {
            lock(&self.traces).retain(|(session, ..), _| *session != ended);
        }
    }

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
        act: impl FnOnce(&mut Bed) -> crate::bedside::Noticed,
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
