//! A patient's own record, and who read it.

use super::open::ChartRequest;
use super::views::{AccessView, Chart, OwnPage};
use crate::access_traces::Trace;
use crate::accounts::Session;
use crate::clinic::Clinic;
use crate::consents::{AccessRequest, Allowed};
use crate::errors::{ClinicError, Denied};
use std::sync::Arc;
use vault::Patient;
use vitals::body::Body;
use vitals::envelope::Envelope;
use vitals::ids::{Class, StreamId};
use vitals::ledger::{Purpose, Role};

/// What a patient opens of the own record.
pub(crate) const OWN: [Class; 5] =
    [Class::Vitals, Class::Environment, Class::Alarms, Class::Profile, Class::Access];

/// Entries of the access log shown at once, newest first.
pub const ACCESS_SHOWN_MAX: usize = 500;

impl Clinic {
    /// The patient's own record.
    ///
    /// # Errors
    /// As [`Clinic::open_chart`].
    pub fn own_chart(
        &self,
        session: &Session,
        classes: &[Class],
        span_ms: (u64, u64),
        now_ms: u64,
    ) -> Result<Chart, ClinicError> {
        let patient = session.patient.ok_or_else(|| self.denied(Denied::Role { role: session.role }))?;
        let classes = classes.to_vec();
        let request = ChartRequest { patient, purpose: Purpose::Own, classes, span_ms, make_do: false };
        self.open_chart(session, &request, now_ms)
    }

    /// The patient's own page. Reading it leaves one entry per session.
    ///
    /// # Errors
    /// As [`Clinic::open_chart`].
    pub fn own_page(&self, session: &Session, now_ms: u64) -> Result<OwnPage, ClinicError> {
        let (patient, trace) = self.own_trace(session, now_ms)?;
        Ok(OwnPage {
            now: self.tile_of(&patient, &trace.allowed.classes, now_ms),
            grants: self.grants_of(&patient, now_ms),
            pause: self.pause_of(patient.id),
            access: self.own_access(&patient, &trace)?,
            trace: self.envelope_ref(trace.hash, trace.index),
            ledger: self.health(now_ms),
        })
    }

    /// Who read the patient's record, newest first.
    ///
    /// # Errors
    /// As [`Clinic::open_chart`].
    pub fn access_log(&self, session: &Session, now_ms: u64) -> Result<Vec<AccessView>, ClinicError> {
        let (patient, trace) = self.own_trace(session, now_ms)?;
        self.own_access(&patient, &trace)
    }

    /// The entry this session left for reading its own record; written now if it is the first time.
    pub(crate) fn own_trace(&self, session: &Session, now_ms: u64) -> Result<(Patient, Trace), ClinicError> {
        self.require(session, &[Role::Patient], now_ms).map_err(|why| self.denied(why))?;
        let id = session.patient.ok_or_else(|| self.denied(Denied::NoSuchPatient))?;
        let patient = self.patient(id).map_err(|why| self.denied(why))?;
        let reader = self.reader(session);
        let ask =
            AccessRequest { reader, patient: &patient, purpose: Purpose::Own, classes: &OWN, from_ms: 0 };
        let permit = self.decide(&ask, now_ms).map_err(|why| self.denied(why))?;
        let key = (session.id, id, Purpose::Own);
        if let Some(trace) = self.traces.get(&key) {
            return Ok((patient, trace));
        }
        let allowed = Allowed { permit, classes: OWN.to_vec() };
        let span_ms = (0, session.until_ms.max(now_ms));
        let access = self.log_access(session, &patient, Purpose::Own, &allowed, span_ms, now_ms)?;
        let (hash, index) = (access.written().hash, access.written().index);
        let trace = Trace { allowed, hash, index, own: Some(Arc::new(access)) };
        self.traces.keep(key, trace.clone());
        Ok((patient, trace))
    }

    fn own_access(&self, patient: &Patient, trace: &Trace) -> Result<Vec<AccessView>, ClinicError> {
        let Some(access) = &trace.own else { return Ok(Vec::new()) };
        let released = self.vault().release(access);
        let stream = StreamId::of(self.genesis(), self.vault().author(), patient.id, Class::Access);
        let found = self.store().find(stream, 0, u64::MAX);
        let mut views = Vec::new();
        for located in found.iter().rev().take(ACCESS_SHOWN_MAX) {
            let Some(envelope) = self.envelope(located.index)? else { continue };
            if let Ok(Body::Access(entry)) = released.open(&envelope) {
                views.push(self.access_view(entry, envelope.hash(), located.index));
            }
        }
        Ok(views)
    }

    /// An entry of the asker's own access log.
    pub(crate) fn own_entry(
        &self,
        session: &Session,
        envelope: &Envelope,
        index: u64,
        now_ms: u64,
    ) -> Result<Option<AccessView>, ClinicError> {
        let (_, trace) = self.own_trace(session, now_ms)?;
        let opened = trace.own.as_ref().map(|access| self.vault().release(access).open(envelope));
        Ok(match opened {
            Some(Ok(Body::Access(entry))) => Some(self.access_view(entry, envelope.hash(), index)),
            _ => None,
        })
    }
}
