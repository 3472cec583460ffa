//! What signed-in people do about alarms.

use crate::accounts::Session;
use crate::clinic::Clinic;
use crate::consents::AccessRequest;
use crate::errors::{ClinicError, Denied};
use crate::monitoring::LiveEvent;
use crate::monitoring::views::{AlarmRef, AlarmView};
use crate::monitoring::{
    Changes, Effects, LIMITS_FOR_MS_MAX, LIMITS_FOR_MS_MIN, LimitsOrder, MonitoredPatient, OrderRequest,
};
use vault::{Entry, Patient};
use vitals::PatientId;
use vitals::alarm::{Condition, Limits};
use vitals::body::{Body, LimitsChange, LimitsChangeDetails, TEXT_BYTES_MAX};
use vitals::envelope::ClockQuality;
use vitals::ids::Class;
use vitals::ledger::{Purpose, Role};
use vitals::metric::Metric;

/// Why nothing is done about an alarm that is not the one that was seen.
const CHANGED: &str = "this alarm got worse or came back since you saw it: look again";

/// Why an answer changes nothing: somebody gave one already, or the alarm is over.
fn nothing_to_answer(answer: Option<(&str, u64)>, now_ms: u64) -> String {
    let Some((name, at_ms)) = answer else {
        return "there is nothing to answer: the alarm is over".into();
    };
    let ago_s = now_ms.saturating_sub(at_ms) / 1_000;
    let ago = if ago_s < 120 { format!("{ago_s} s") } else { format!("{} min", ago_s / 60) };
    format!("{name} answered this alarm already, {ago} ago")
}

impl Clinic {
    /// Answers an alarm: "seen, I am on it". Written into the record.
    ///
    /// # Errors
    /// [`ClinicError::Denied`], or [`ClinicError::Wrong`] when there is nothing to answer, or the alarm is
    /// worse or later than what was seen of it.
    pub fn acknowledge(
        &self,
        session: &Session,
        patient: PatientId,
        alarm: impl Into<AlarmRef>,
        now_ms: u64,
    ) -> Result<AlarmView, ClinicError> {
        self.carer(session, patient, now_ms)?;
        let alarm = alarm.into();
        let condition = alarm.condition;
        let seen = self.monitoring.of(patient, |bed| bed.alarms.view(condition)).flatten();
        let view = self.act(
            patient,
            alarm,
            now_ms,
            |bed| nothing_to_answer(bed.alarms.answer_to(condition), now_ms),
            |bed| bed.alarms.acknowledge(condition, session.person, &session.name, now_ms),
        )?;
        // As it stood when it was answered: worse than that is not answered at the bedside.
        let answer = OrderRequest::answer(&seen.unwrap_or_else(|| view.clone()), session.person);
        self.ask_bedsides(patient, answer, now_ms);
        Ok(view)
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
        alarm: impl Into<AlarmRef>,
        for_ms: u64,
        now_ms: u64,
    ) -> Result<AlarmView, ClinicError> {
        self.carer(session, patient, now_ms)?;
        let alarm = alarm.into();
        let condition = alarm.condition;
        let view = self.act(
            patient,
            alarm,
            now_ms,
            |_| "there is no sound to turn off: the alarm does not sound".into(),
            |bed| bed.alarms.silence(condition, session.person, for_ms, now_ms),
        )?;
        let until_ms = now_ms.saturating_add(for_ms);
        self.ask_bedsides(patient, OrderRequest::pause(condition, session.person, until_ms), now_ms);
        Ok(view)
    }

    /// Turns an alarm's sound on again before its silence is over. Written into the record.
    ///
    /// # Errors
    /// As [`Clinic::acknowledge`].
    pub fn end_silence(
        &self,
        session: &Session,
        patient: PatientId,
        condition: Condition,
        now_ms: u64,
    ) -> Result<AlarmView, ClinicError> {
        self.carer(session, patient, now_ms)?;
        let nothing = |_: &MonitoredPatient| "there is no silence to end: the alarm may sound".into();
        let view = self.act(patient, condition.into(), now_ms, nothing, |bed| {
            bed.alarms.end_silence(condition, session.person, now_ms)
        })?;
        self.ask_bedsides(patient, OrderRequest::end_pause(condition, session.person), now_ms);
        Ok(view)
    }

    fn act(
        &self,
        patient: PatientId,
        alarm: AlarmRef,
        now_ms: u64,
        nothing: impl FnOnce(&MonitoredPatient) -> String,
        act: impl FnOnce(&mut MonitoredPatient) -> Changes,
    ) -> Result<AlarmView, ClinicError> {
        let AlarmRef { condition, seen } = alarm;
        let acted = self.monitoring.of(patient, |bed| {
            let now = bed.alarms.view(condition);
            // A lesser or an earlier alarm was seen, and not this one.
            if seen.zip(now).is_some_and(|(seen, now)| !seen.covers(&now)) {
                return Err(CHANGED.into());
            }
            let changes = act(bed);
            let view = bed.alarms.view(condition).filter(|_| !changes.is_empty());
            let view = view.ok_or_else(|| nothing(bed))?;
            Ok((view, Effects::of_action(patient, bed, changes)))
        });
        let (view, effects) = acted.ok_or(Denied::NoSuchPatient)?.map_err(ClinicError::Wrong)?;
        self.conclude(effects, now_ms);
        Ok(view)
    }

    /// Changes a patient's limits of one metric. Written into the record, with what they replace and why,
    /// before they are in force. False, and nothing is written, if these limits are in force already, without an end.
    ///
    /// # Errors
    /// [`ClinicError::Denied`], or [`ClinicError::Wrong`] for limits out of order, a change without a
    /// reason, or an alarm turned off without an end.
    pub fn set_limits(
        &self,
        session: &Session,
        patient: PatientId,
        order: &LimitsOrder,
        now_ms: u64,
    ) -> Result<bool, ClinicError> {
        self.carer(session, patient, now_ms)?;
        let wrong = |why: &str| Err(ClinicError::Wrong(why.into()));
        let LimitsOrder { limits, reason, for_ms } = order;
        if !limits.in_order() {
            return wrong("worse limits must lie further out, and the upper ones above the lower ones");
        }
        let reason = reason.trim();
        if reason.is_empty() || reason.len() > TEXT_BYTES_MAX || reason.chars().any(char::is_control) {
            return wrong("a change of limits needs a reason, a line of at most 256 letters");
        }
        let bounded = |ms: u64| (LIMITS_FOR_MS_MIN..=LIMITS_FOR_MS_MAX).contains(&ms);
        if for_ms.is_some_and(|ms| !bounded(ms)) {
            return wrong("a change for a while lasts from one minute to twelve hours");
        }
        if for_ms.is_none() && limits.turned_off().next().is_some() {
            return wrong("an alarm is turned off for a while only: say for how long");
        }
        let before = self.in_force(patient, limits.metric).unwrap_or(*limits);
        // Those changed for a while get another end, or none.
        if before == *limits && self.standing(patient, limits.metric).is_none() {
            return Ok(false);
        }
        let until_ms = for_ms.map(|ms| now_ms + ms);
        let details = LimitsChangeDetails { before, reason: reason.into(), until_ms };
        let change =
            LimitsChange { at_ms: now_ms, by: session.person, limits: *limits, details: Some(details) };
        self.change_limits(session, patient, change, now_ms)?;
        Ok(true)
    }

    /// Lets the limits that stood before a change for a while come back now.
    ///
    /// # Errors
    /// [`ClinicError::Denied`], or [`ClinicError::Wrong`] when they are not changed for a while.
    pub fn limits_back(
        &self,
        session: &Session,
        patient: PatientId,
        metric: Metric,
        now_ms: u64,
    ) -> Result<(), ClinicError> {
        self.carer(session, patient, now_ms)?;
        let (Some(limits), Some(before)) = (self.standing(patient, metric), self.in_force(patient, metric))
        else {
            return Err(ClinicError::Wrong("these limits are not changed for a while".into()));
        };
        let details =
            LimitsChangeDetails { before, reason: "turned on again before its time".into(), until_ms: None };
        let change = LimitsChange { at_ms: now_ms, by: session.person, limits, details: Some(details) };
        self.change_limits(session, patient, change, now_ms)
    }

    /// The limits that come back when a change for a while is over.
    fn standing(&self, patient: PatientId, metric: Metric) -> Option<Limits> {
        self.monitoring.of(patient, |bed| bed.alarms.limits().standing(metric)).flatten()
    }

    fn in_force(&self, patient: PatientId, metric: Metric) -> Option<Limits> {
        let watched = self.monitoring.of(patient, |bed| bed.alarms.limits().of(metric).copied());
        watched.flatten().or_else(|| Limits::adult(metric))
    }

    /// Into the record first: what is in force can always be read.
    fn change_limits(
        &self,
        session: &Session,
        patient: PatientId,
        change: LimitsChange,
        now_ms: u64,
    ) -> Result<(), ClinicError> {
        let asked = OrderRequest::limits(change.limits, change.until_ms(), session.person);
        let orders = self.orders_for(patient, asked, now_ms);
        let mut entries = vec![Entry { patient, class: Class::Alarms, body: Body::Limits(change.clone()) }];
        entries.extend(Self::order_entries(patient, &orders));
        let written = self.vault().write(self.store(), &entries, ClockQuality::Synced, now_ms)?;
        self.stats.authored(written.len());
        self.monitoring.of(patient, |bed| {
            bed.alarms.change_limits(&change, &session.name);
            bed.weigh_limits();
        });
        self.send_orders(patient, orders);
        self.publish(LiveEvent::Changed { patient });
        Ok(())
    }

    /// A clinician whom the patient lets see alarms, for treatment or on the wall.
    fn carer(&self, session: &Session, patient: PatientId, now_ms: u64) -> Result<Patient, ClinicError> {
        self.require(session, &[Role::Clinician], now_ms).map_err(|why| self.denied(why))?;
        let patient = self.patient(patient).map_err(|why| self.denied(why))?;
        let (reader, classes) = (self.reader(session), &[Class::Alarms]);
        let ask = AccessRequest {
            reader,
            patient: &patient,
            purpose: Purpose::Treatment,
            classes,
            from_ms: now_ms,
        };
        self.decide_any(&ask, &[Purpose::Treatment, Purpose::Monitoring], now_ms)
            .map_err(|why| self.denied(why))?;
        Ok(patient)
    }
}
