//! Following live: an exit like any other. It passes the same decision before the first value, again
//! whenever the ledger moves or a consent is withdrawn, and closes when the answer becomes no. Waiting
//! and deciding are apart, so that whoever waits never stands in line for a lock.

use crate::access::{Ask, MONITORED, Trace};
use crate::clinic::{Clinic, lock};
use crate::errors::{ClinicError, Denied};
use crate::sessions::Session;
use crate::views::{HiddenBed, LiveEvent, Tile, Wall};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use vault::{MONITORING_BACK_MS, Patient};
use vitals::PatientId;
use vitals::ids::Class;
use vitals::ledger::{Purpose, Role};

/// What somebody who follows one patient asks for; they make do with what the patient allows.
const FOLLOWED: [Class; 4] = MONITORED;

/// The decision is made again after this long, even if nothing moved.
const CHECK_MS: u64 = 1_000;

/// Patients of a wall with their classes, and those whom only a silent policy hides.
type Monitored = (Vec<(Patient, Vec<Class>)>, Vec<PatientId>);

/// One open live stream.
pub struct Follow {
    clinic: Arc<Clinic>,
    session: Session,
    purpose: Purpose,
    /// A wall goes on without a patient who withdraws; a patient's page closes.
    wall: bool,
    scope: BTreeMap<PatientId, Vec<Class>>,
    events: Receiver<Arc<LiveEvent>>,
    /// Ledger height, generation of withdrawals, and time of the last decision.
    checked: (u64, u64, u64),
    heard: Vec<Arc<LiveEvent>>,
    /// Events were missed: everything is to be looked at again.
    missed: bool,
    /// The node tells nothing any more.
    over: bool,
    /// Patients who withdrew or are hidden or shown again, not told yet.
    gone: Vec<PatientId>,
    /// Patients of a wall who are hidden while a policy cannot be asked.
    silent: BTreeSet<PatientId>,
}

impl core::fmt::Debug for Follow {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Follow").field("patients", &self.scope.len()).finish_non_exhaustive()
    }
}

impl Clinic {
    /// The wall: every patient who consents to monitoring. Leaves one entry per patient and session
    /// before the first value.
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but clinicians.
    pub fn wall(&self, session: &Session, now_ms: u64) -> Result<Wall, ClinicError> {
        let (scope, silent) = self.monitored(session, now_ms)?;
        let tiles = scope.iter().map(|(patient, classes)| self.tile_of(patient, classes, now_ms)).collect();
        let hidden = silent.iter().map(|patient| self.hidden_bed(*patient, now_ms)).collect();
        Ok(self.wall_of(tiles, hidden, now_ms))
    }

    /// Somebody has to go there: neither values nor the alarm itself, but that there is one.
    fn hidden_bed(&self, patient: PatientId, now_ms: u64) -> HiddenBed {
        let known = self.monitoring.of(patient, now_ms, |bed| {
            let alarms = bed.bedside.open();
            let active = alarms.iter().filter(|alarm| alarm.is_active());
            let alarm = active.map(|alarm| alarm.priority).max();
            HiddenBed { patient, place: bed.place.clone(), watched: bed.is_watched(), alarm }
        });
        known.unwrap_or(HiddenBed { patient, place: String::new(), watched: false, alarm: None })
    }

    fn wall_of(&self, mut tiles: Vec<Tile>, hidden: Vec<HiddenBed>, now_ms: u64) -> Wall {
        tiles.sort_by(|a, b| (&a.bed, a.patient).cmp(&(&b.bed, b.patient)));
        let mut unwatched = self.monitoring.of_all(|patient, bed| bed.unwatched_view(patient));
        unwatched.sort_by(|a, b| (&a.place, a.patient).cmp(&(&b.place, b.patient)));
        let of_tiles = tiles.iter().flat_map(|tile| tile.alarms.clone());
        let of_beds = unwatched.iter().filter_map(|bed| bed.alarm.clone());
        let mut strip: Vec<_> = of_tiles.chain(of_beds).collect();
        strip.sort_by_key(crate::views::AlarmView::urgency);
        let shown: BTreeSet<PatientId> = tiles
            .iter()
            .map(|tile| tile.patient)
            .chain(unwatched.iter().map(|bed| bed.patient))
            .chain(hidden.iter().map(|bed| bed.patient))
            .collect();
        let unmonitored = self.vault().patients().len().saturating_sub(shown.len());
        let gateways = self.silent_gateways(&tiles);
        let ledger = self.health(now_ms);
        Wall { tiles, strip, gateways, unwatched, hidden, unmonitored, ledger, at_ms: now_ms }
    }

    /// Does this patient stand on the session's wall? Shows nothing, and leaves no entry.
    #[must_use]
    pub fn may_watch(&self, session: &Session, patient: PatientId, now_ms: u64) -> bool {
        let (reader, purpose) = (self.reader(session), Purpose::Monitoring);
        let decide = |patient: &Patient| {
            let ask = Ask { reader, patient, purpose, classes: &FOLLOWED, from_ms: now_ms };
            self.decide_most(&ask, now_ms)
        };
        self.require(session, &[Role::Clinician], now_ms).is_ok()
            && self.patient(patient).is_ok_and(|patient| decide(&patient).is_ok())
    }

    /// Follows the wall.
    ///
    /// # Errors
    /// As [`Clinic::wall`].
    pub fn follow_wall(self: &Arc<Self>, session: &Session, now_ms: u64) -> Result<Follow, ClinicError> {
        let events = self.listen();
        let (scope, silent) = self.monitored(session, now_ms)?;
        let scope = scope.into_iter().map(|(patient, classes)| (patient.id, classes)).collect();
        let mut follow = self.follow(session, Purpose::Monitoring, true, scope, events, now_ms);
        follow.silent = silent.into_iter().collect();
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
    ) -> Result<Follow, ClinicError> {
        self.require(session, &[Role::Clinician, Role::Family, Role::Patient], now_ms)
            .map_err(|why| self.denied(why))?;
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
        // A stream that is opened again by itself is nobody looking.
        if !lock(&self.sessions).begin_looking(session.id, patient, now_ms) {
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
    ) -> Follow {
        let checked = (self.ledger().tip().height, self.generation(), now_ms);
        Follow {
            clinic: Arc::clone(self),
            session: session.clone(),
            purpose,
            wall,
            scope,
            events,
            checked,
            heard: Vec::new(),
            missed: false,
            over: false,
            gone: Vec::new(),
            silent: BTreeSet::new(),
        }
    }

    /// Patients this session may see on the wall, each with a trace left; and those it may not see only
    /// because a policy could not be asked.
    fn monitored(&self, session: &Session, now_ms: u64) -> Result<Monitored, ClinicError> {
        self.require(session, &[Role::Clinician], now_ms).map_err(|why| self.denied(why))?;
        let (mut monitored, mut silent) = (Vec::new(), Vec::new());
        for patient in self.vault().patients() {
            match self.trace(session, &patient, Purpose::Monitoring, now_ms) {
                Ok(classes) => monitored.push((patient, classes)),
                Err(ClinicError::Denied(Denied::NotEnrolled)) => return Err(self.denied(Denied::NotEnrolled)),
                Err(ClinicError::Denied(Denied::PolicySilent)) => silent.push(patient.id),
                Err(ClinicError::Denied(_)) => {}
                Err(why) => return Err(why),
            }
        }
        Ok((monitored, silent))
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
        let ask = Ask { reader: self.reader(session), patient, purpose, classes: &FOLLOWED, from_ms };
        let allowed = self.decide_most(&ask, now_ms)?;
        let key = (session.id, patient.id, purpose);
        if let Some(trace) = lock(&self.traces).get(&key)
            && trace.allowed == allowed
        {
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
        lock(&self.stats).counters.authored += 1;
        lock(&self.traces).insert(key, Trace { allowed, hash, index, own: None });
        self.tell(LiveEvent::Access { patient: patient.id });
        Ok(classes)
    }
}

impl Follow {
    /// Waits until something happened that may concern this stream. It decides and shows nothing, takes
    /// no lock, and may be given up at any moment.
    pub async fn wait(&mut self) {
        match self.events.recv().await {
            Ok(event) => self.heard.push(event),
            Err(RecvError::Lagged(_)) => self.missed = true,
            Err(RecvError::Closed) => self.over = true,
        }
    }

    /// What happened since, as this session may see it now.
    ///
    /// # Errors
    /// Why the stream has to close; say so to the reader and close it.
    pub fn take(&mut self, now_ms: u64) -> Result<Vec<Arc<LiveEvent>>, Denied> {
        loop {
            match self.events.try_recv() {
                Ok(event) => self.heard.push(event),
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
        let heard = core::mem::take(&mut self.heard);
        // Too slow to be told everything: told to look again.
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
        if !lock(&self.clinic.sessions).is_open(&self.session.id, now_ms) {
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
        // Also who watches nobody yet must not go on once suspended.
        match self.clinic.standing(&self.session, now_ms) {
            Ok(()) | Err(Denied::LedgerDown) => {}
            Err(why) => return Err(why),
        }
        let reader = self.clinic.reader(&self.session);
        let (mut gone, mut silent) = (Vec::new(), BTreeSet::new());
        for (id, classes) in &self.scope {
            let decided = self.clinic.patient(*id).and_then(|patient| {
                let purpose = self.purpose;
                let ask = Ask { reader, patient: &patient, purpose, classes, from_ms: now_ms };
                self.clinic.decide_at_hand(&ask, now_ms)
            });
            match decided {
                Ok(_) | Err(Denied::LedgerDown) => {}
                // Comes back by itself: a wall stays open for a whole shift.
                Err(Denied::PolicySilent) if self.wall => {
                    silent.insert(*id);
                }
                Err(why) if self.wall && why != Denied::NotEnrolled => gone.push(*id),
                Err(why) => return Err(why),
            }
        }
        for id in gone {
            self.scope.remove(&id);
            self.gone.push(id);
        }
        let late: Vec<PatientId> =
            self.silent.iter().copied().filter(|id| !self.scope.contains_key(id)).collect();
        for id in late {
            match self.begin(id, now_ms) {
                Some(classes) => {
                    self.scope.insert(id, classes);
                }
                None => {
                    silent.insert(id);
                }
            }
        }
        self.gone.extend(self.silent.symmetric_difference(&silent));
        self.silent = silent;
        self.checked = now;
        Ok(())
    }

    /// Begins to show a patient whose policy was silent when the wall was opened, once it agrees.
    fn begin(&self, id: PatientId, now_ms: u64) -> Option<Vec<Class>> {
        let (clinic, purpose) = (&self.clinic, self.purpose);
        let patient = clinic.patient(id).ok()?;
        let reader = clinic.reader(&self.session);
        let ask = Ask { reader, patient: &patient, purpose, classes: &FOLLOWED, from_ms: now_ms };
        clinic.decide_most_at_hand(&ask, now_ms).ok()?;
        clinic.trace(&self.session, &patient, purpose, now_ms).ok()
    }

    /// One patient as this stream may show them.
    ///
    /// # Errors
    /// [`Denied::NoSuchPatient`] for anybody this stream does not follow (any more).
    pub fn tile(&self, patient: PatientId, now_ms: u64) -> Result<Tile, Denied> {
        let classes = self.scope.get(&patient).ok_or(Denied::NoSuchPatient)?;
        let patient = self.clinic.patient(patient)?;
        let (reader, purpose) = (self.clinic.reader(&self.session), self.purpose);
        let ask = Ask { reader, patient: &patient, purpose, classes, from_ms: now_ms };
        self.clinic.decide_at_hand(&ask, now_ms)?;
        Ok(self.clinic.tile_of(&patient, classes, now_ms))
    }

    /// The wall as this stream may show it now.
    #[must_use]
    pub fn wall(&self, now_ms: u64) -> Wall {
        let tiles = self.patients().filter_map(|patient| self.tile(patient, now_ms).ok()).collect();
        let hidden = self.silent.iter().map(|patient| self.clinic.hidden_bed(*patient, now_ms)).collect();
        self.clinic.wall_of(tiles, hidden, now_ms)
    }

    fn left_alone(&self, now_ms: u64) -> bool {
        let sessions = lock(&self.clinic.sessions);
        self.scope.keys().any(|patient| !sessions.is_looking(self.session.id, *patient, now_ms))
    }

    /// Patients this stream shows.
    pub fn patients(&self) -> impl Iterator<Item = PatientId> {
        self.scope.keys().copied().filter(|patient| !self.silent.contains(patient))
    }

    /// The event as this stream may show it, if at all.
    fn pass(&self, event: &Arc<LiveEvent>) -> Option<Arc<LiveEvent>> {
        let may = |patient: &PatientId, class: Class| {
            let classes = self.scope.get(patient).filter(|_| !self.silent.contains(patient));
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
            LiveEvent::Alarm(view) => may(&view.patient, Class::Alarms).then(|| Arc::clone(event)),
            LiveEvent::Changed { patient } => {
                let told = self.scope.contains_key(patient) || self.silent.contains(patient);
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
