//! Following live: an exit like any other. It passes the same decision before the first value, again
//! whenever the ledger moves or a consent is withdrawn, and closes when the answer becomes no. Waiting
//! and deciding are apart, so that waiting never means waiting for a lock.

use super::events::LiveEvent;
use super::views::{Hidden, Tile, Wall};
use crate::access_traces::Trace;
use crate::accounts::Session;
use crate::clinic::Clinic;
use crate::consents::{AccessRequest, MONITORED};
use crate::errors::{ClinicError, Denied};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use vault::{MONITORING_BACK_MS, Patient};
use vitals::PatientId;
use vitals::ids::Class;
use vitals::ledger::Purpose;

/// What somebody who follows one patient asks for; they make do with what the patient allows.
const FOLLOWED: [Class; 4] = MONITORED;

/// The decision is made again after this long, even if nothing moved.
const CHECK_MS: u64 = 1_000;

/// One open live stream.
pub struct Subscription {
    clinic: Arc<Clinic>,
    session: Session,
    purpose: Purpose,
    /// A wall goes on without a patient who withdraws; a patient's page closes.
    wall: bool,
    scope: BTreeMap<PatientId, Vec<Class>>,
    events: Receiver<Arc<LiveEvent>>,
    /// Ledger height, generation of withdrawals, and time of the last decision.
    checked: (u64, u64, u64),
    received: Vec<Arc<LiveEvent>>,
    /// Events were missed: everything is to be looked at again.
    missed: bool,
    /// The node has stopped sending events.
    over: bool,
    /// Patients who withdrew or are hidden or shown again, not told yet.
    gone: Vec<PatientId>,
    /// Patients of a wall whose values may not be shown now, and why.
    hidden: BTreeMap<PatientId, Hidden>,
}

impl core::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Subscription").field("patients", &self.scope.len()).finish_non_exhaustive()
    }
}

impl Clinic {
    /// Follows the wall.
    ///
    /// # Errors
    /// As [`Clinic::wall`].
    pub fn follow_wall(
        self: &Arc<Self>,
        session: &Session,
        now_ms: u64,
    ) -> Result<Subscription, ClinicError> {
        let events = self.listen();
        let (scope, hidden) = self.monitored(session, now_ms)?;
        let scope = scope.into_iter().map(|(patient, classes)| (patient.id, classes)).collect();
        let mut follow = self.follow(session, Purpose::Monitoring, true, scope, events, now_ms);
        follow.hidden = hidden;
        Ok(follow)
    }

    /// Follows one patient.
    ///
    /// A page left alone closes: see [`Clinic::record_opened`].
    ///
    /// # Errors
    /// [`ClinicError::Denied`] with the reason; then nothing was shown.
    pub fn follow_patient(
        self: &Arc<Self>,
        session: &Session,
        patient: PatientId,
        purpose: Purpose,
        now_ms: u64,
    ) -> Result<Subscription, ClinicError> {
        self.require_reader(session, now_ms).map_err(|why| self.denied(why))?;
        let events = self.listen();
        let classes = if purpose == Purpose::Own {
            // First, for a refused look must not stand in the asker's own access log either.
            if session.patient != Some(patient) {
                return Err(self.denied(Denied::NoSuchPatient));
            }
            let (_, trace) = self.own_trace(session, now_ms)?;
            trace.allowed.classes
        } else {
            let patient = self.patient(patient).map_err(|why| self.denied(why))?;
            self.trace(session, &patient, purpose, now_ms)?
        };
        // A stream that reconnects by itself does not count as a person looking.
        if !self.sessions.begin_looking(session.id, patient, now_ms) {
            return Err(self.denied(Denied::LeftAlone));
        }
        Ok(self.follow(session, purpose, false, BTreeMap::from([(patient, classes)]), events, now_ms))
    }

    fn follow(
        self: &Arc<Self>,
        session: &Session,
        purpose: Purpose,
        wall: bool,
        scope: BTreeMap<PatientId, Vec<Class>>,
        events: Receiver<Arc<LiveEvent>>,
        now_ms: u64,
    ) -> Subscription {
        let checked = (self.ledger().tip().height, self.generation(), now_ms);
        Subscription {
            clinic: Arc::clone(self),
            session: session.clone(),
            purpose,
            wall,
            scope,
            events,
            checked,
            received: Vec::new(),
            missed: false,
            over: false,
            gone: Vec::new(),
            hidden: BTreeMap::new(),
        }
    }

    /// Decides, and leaves the session's one entry for this patient and purpose if it is not there
    /// yet (or the consent it stands on changed).
    fn trace(
        &self,
        session: &Session,
        patient: &Patient,
        purpose: Purpose,
        now_ms: u64,
    ) -> Result<Vec<Class>, ClinicError> {
        let from_ms = now_ms.saturating_sub(MONITORING_BACK_MS);
        let ask =
            AccessRequest { reader: self.reader(session), patient, purpose, classes: &FOLLOWED, from_ms };
        let allowed = self.decide_most(&ask, now_ms)?;
        let key = (session.id, patient.id, purpose);
        if self.traces.get(&key).is_some_and(|trace| trace.allowed == allowed) {
            return Ok(allowed.classes);
        }
        let span_ms = (from_ms, session.until_ms.max(now_ms));
        let entry = self.entry(session, purpose, &allowed, span_ms, now_ms);
        let (store, ledger) = (self.store(), self.ledger());
        let written = if purpose == Purpose::Monitoring {
            let until_ms = session.until_ms;
            let lease = self.vault().log_monitoring(store, ledger, patient.id, entry, until_ms, now_ms)?;
            (lease.written().hash, lease.written().index)
        } else {
            let access = self.vault().log_access(store, ledger, patient.id, entry, now_ms)?;
            (access.written().hash, access.written().index)
        };
        let (hash, index) = written;
        let classes = allowed.classes.clone();
        self.stats.authored(1);
        self.traces.keep(key, Trace { allowed, hash, index, own: None });
        self.publish(LiveEvent::Access { patient: patient.id });
        Ok(classes)
    }
}

impl Subscription {
    /// Waits until something happened that may concern this stream. It decides and shows nothing, takes
    /// no lock, and may be given up at any moment.
    pub async fn wait(&mut self) {
        match self.events.recv().await {
            Ok(event) => self.received.push(event),
            Err(RecvError::Lagged(_)) => self.missed = true,
            Err(RecvError::Closed) => self.over = true,
        }
    }

    /// What happened since, as this session may see it now.
    ///
    /// # Errors
    /// Why the stream has to close; show that to the reader and close it.
    pub fn take(&mut self, now_ms: u64) -> Result<Vec<Arc<LiveEvent>>, Denied> {
        loop {
            match self.events.try_recv() {
                Ok(event) => self.received.push(event),
                Err(TryRecvError::Lagged(_)) => self.missed = true,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Closed) => {
                    self.over = true;
                    break;
                }
            }
        }
        if self.over {
            return Err(Denied::SignedOut);
        }
        self.check(now_ms)?;
        let heard = core::mem::take(&mut self.received);
        // The subscriber fell behind and missed events: it has to read the tiles again.
        let again =
            if core::mem::take(&mut self.missed) { self.scope.keys().copied().collect() } else { Vec::new() };
        let changed = core::mem::take(&mut self.gone).into_iter().chain(again);
        let changed = changed.map(|patient| Arc::new(LiveEvent::Changed { patient }));
        Ok(changed.chain(heard.iter().filter_map(|event| self.pass(event))).collect())
    }

    /// May the stream stay open? Cheap while nothing changed.
    ///
    /// # Errors
    /// Why it has to close.
    pub fn check(&mut self, now_ms: u64) -> Result<(), Denied> {
        if !self.clinic.sessions.is_open(&self.session.id, now_ms) {
            return Err(Denied::SignedOut);
        }
        if !self.wall && self.left_alone(now_ms) {
            return Err(Denied::LeftAlone);
        }
        let now = (self.clinic.ledger().tip().height, self.clinic.generation(), now_ms);
        let moved = (now.0, now.1) != (self.checked.0, self.checked.1);
        // Consents end with time too, whether or not the ledger still makes blocks.
        if !moved && now_ms.abs_diff(self.checked.2) < CHECK_MS {
            return Ok(());
        }
        // A suspended person's stream ends even if it shows no patient yet.
        match self.clinic.enrolled(&self.session) {
            Ok(()) | Err(Denied::LedgerDown) => {}
            Err(why) => return Err(why),
        }
        let reader = self.clinic.reader(&self.session);
        let (mut gone, mut hidden) = (Vec::new(), BTreeMap::new());
        for (id, classes) in &self.scope {
            let decided = self.clinic.patient(*id).and_then(|patient| {
                let purpose = self.purpose;
                let ask = AccessRequest { reader, patient: &patient, purpose, classes, from_ms: now_ms };
                self.clinic.decide_at_hand(&ask, now_ms)
            });
            match decided {
                Ok(_) | Err(Denied::LedgerDown) => {}
                // Comes back by itself: a wall stays open for a whole shift.
                Err(Denied::PolicySilent) if self.wall => {
                    hidden.insert(*id, Hidden::PolicySilent);
                }
                Err(why) if self.wall && why != Denied::NotEnrolled => gone.push(*id),
                Err(why) => return Err(why),
            }
        }
        for id in gone {
            self.scope.remove(&id);
            self.gone.push(id);
        }
        let never_shown = self.hidden.keys().copied().filter(|id| !self.scope.contains_key(id)).collect();
        hidden.extend(self.begin(never_shown, now_ms));
        let moved = |one: &BTreeMap<PatientId, Hidden>, other: &BTreeMap<PatientId, Hidden>| {
            one.iter().filter(|(id, why)| other.get(id) != Some(why)).map(|(id, _)| *id).collect::<Vec<_>>()
        };
        self.gone.extend(moved(&self.hidden, &hidden).into_iter().chain(moved(&hidden, &self.hidden)));
        self.hidden = hidden;
        self.checked = now;
        Ok(())
    }

    /// Begins to show patients who stood on the wall without values from the start, where that is possible
    /// now. Gives those who still do. Waits for one sync if any can be shown.
    fn begin(&mut self, ids: Vec<PatientId>, now_ms: u64) -> Vec<(PatientId, Hidden)> {
        let (clinic, purpose) = (self.clinic.clone(), self.purpose);
        let reader = clinic.reader(&self.session);
        let (mut allowed, mut hidden) = (Vec::new(), Vec::new());
        for id in ids {
            let decided = clinic.patient(id).and_then(|patient| {
                let from_ms = now_ms.saturating_sub(MONITORING_BACK_MS);
                let ask = AccessRequest { reader, patient: &patient, purpose, classes: &FOLLOWED, from_ms };
                clinic.decide_most_at_hand(&ask, now_ms).map(|allowed| (patient, allowed))
            });
            match decided {
                Ok(one) => allowed.push(one),
                Err(why) => hidden.extend(clinic.hides(id, &why).map(|why| (id, why))),
            }
        }
        for (patient, traced) in clinic.wall_traces(&self.session, allowed, now_ms) {
            match traced {
                Ok(classes) => {
                    self.scope.insert(patient.id, classes);
                }
                Err(why) => hidden.extend(why.map(|why| (patient.id, why))),
            }
        }
        hidden
    }

    /// One patient as this stream may show them.
    ///
    /// # Errors
    /// [`Denied::NoSuchPatient`] for anybody this stream does not follow (any more).
    pub fn tile(&self, patient: PatientId, now_ms: u64) -> Result<Tile, Denied> {
        let classes = self.scope.get(&patient).ok_or(Denied::NoSuchPatient)?;
        let patient = self.clinic.patient(patient)?;
        let (reader, purpose) = (self.clinic.reader(&self.session), self.purpose);
        let ask = AccessRequest { reader, patient: &patient, purpose, classes, from_ms: now_ms };
        self.clinic.decide_at_hand(&ask, now_ms)?;
        Ok(self.clinic.tile_of(&patient, classes, now_ms))
    }

    /// The wall as this stream may show it now.
    #[must_use]
    pub fn wall(&self, now_ms: u64) -> Wall {
        let tiles = self.patients().filter_map(|patient| self.tile(patient, now_ms).ok()).collect();
        self.clinic.wall_of(tiles, &self.hidden, now_ms)
    }

    fn left_alone(&self, now_ms: u64) -> bool {
        let looking = |patient| self.clinic.sessions.is_looking(self.session.id, patient, now_ms);
        self.scope.keys().any(|patient| !looking(*patient))
    }

    /// Patients this stream shows.
    pub fn patients(&self) -> impl Iterator<Item = PatientId> {
        self.scope.keys().copied().filter(|patient| !self.hidden.contains_key(patient))
    }

    /// The event as this stream may show it, if at all.
    fn pass(&self, event: &Arc<LiveEvent>) -> Option<Arc<LiveEvent>> {
        let may = |patient: &PatientId, class: Class| {
            let classes = self.scope.get(patient).filter(|_| !self.hidden.contains_key(patient));
            classes.is_some_and(|classes| classes.contains(&class))
        };
        match &**event {
            LiveEvent::Readings { patient, readings, offset_ms, envelope, sealed_at_ms, live_at_ms } => {
                let seen: Vec<_> =
                    readings.iter().filter(|r| may(patient, r.metric.info().class)).copied().collect();
                if seen.len() == readings.len() {
                    return Some(Arc::clone(event));
                }
                let (patient, offset_ms, envelope) = (*patient, *offset_ms, *envelope);
                let (sealed_at_ms, live_at_ms) = (*sealed_at_ms, *live_at_ms);
                (!seen.is_empty()).then(|| {
                    Arc::new(LiveEvent::Readings {
                        patient,
                        readings: seen,
                        offset_ms,
                        envelope,
                        sealed_at_ms,
                        live_at_ms,
                    })
                })
            }
            LiveEvent::Alarm(view) => match self.hidden.get(&view.patient) {
                Some(why) => {
                    let bed = self.clinic.hidden_bed(view.patient, *why);
                    Some(Arc::new(LiveEvent::Hidden(bed)))
                }
                None => may(&view.patient, Class::Alarms).then(|| Arc::clone(event)),
            },
            // Made above, for one stream.
            LiveEvent::Hidden(_) => None,
            LiveEvent::Changed { patient } => {
                let told = self.scope.contains_key(patient) || self.hidden.contains_key(patient);
                told.then(|| Arc::clone(event))
            }
            LiveEvent::Watching { .. } => self.wall.then(|| Arc::clone(event)),
            LiveEvent::Access { patient } => {
                let own = self.purpose == Purpose::Own && self.scope.contains_key(patient);
                own.then(|| Arc::clone(event))
            }
            LiveEvent::Proof { .. } => Some(Arc::clone(event)),
        }
    }
}
