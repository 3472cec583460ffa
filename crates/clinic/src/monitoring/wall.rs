//! The wall: every patient who consents to monitoring, each with one entry in the access log before the
//! first value. A bed that cannot be shown is named, with its alarm and without its values.

use super::events::LiveEvent;
use super::views::{AlarmPhase, AlarmView, Hidden, HiddenAlarm, HiddenBed, Tile, Wall};
use crate::access_traces::Trace;
use crate::accounts::Session;
use crate::clinic::Clinic;
use crate::consents::{AccessRequest, Allowed, MONITORED};
use crate::errors::{ClinicError, Denied};
use std::collections::{BTreeMap, BTreeSet};
use vault::{AccessError, MONITORING_BACK_MS, MonitoringLease, Patient};
use vitals::PatientId;
use vitals::alarm::Condition;
use vitals::ids::Class;
use vitals::ledger::{Purpose, Role};

/// Entries of a wall that are written with one sync.
const ENTRIES_AT_ONCE: usize = 256;

/// Patients of a wall with their classes, and those who stand on it without their values.
pub(crate) type Monitored = (Vec<(Patient, Vec<Class>)>, BTreeMap<PatientId, Hidden>);

/// The classes that may be shown; else why the bed stands on the wall without them, or nothing if it does not
/// stand there.
type Traced = Result<Vec<Class>, Option<Hidden>>;

impl Clinic {
    /// The wall: every patient who consents to monitoring. Leaves one entry per patient and session
    /// before the first value; all of them are written together. Where that fails, the beds are shown
    /// without values ([`Hidden::NotRecorded`]).
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but clinicians.
    pub fn wall(&self, session: &Session, now_ms: u64) -> Result<Wall, ClinicError> {
        let (scope, hidden) = self.monitored(session, now_ms)?;
        let tiles = scope.iter().map(|(patient, classes)| self.tile_of(patient, classes, now_ms)).collect();
        Ok(self.wall_of(tiles, &hidden, now_ms))
    }

    /// What is told of a bed whose values may not be shown now: that it is there, and its worst alarm's
    /// priority. The alarm that rings comes before one that was answered.
    pub(crate) fn hidden_bed(&self, patient: PatientId, why: Hidden) -> HiddenBed {
        let known = self.monitoring.of(patient, |bed| {
            let alarm = |alarm: AlarmView| HiddenAlarm {
                priority: alarm.priority,
                // Also while its sensor is off: losing sight of a patient is no answer.
                rings: alarm.phase == AlarmPhase::Active,
                silenced_until_ms: alarm.silenced_until_ms,
                raised_at_ms: alarm.raised_at_ms,
            };
            // That nobody watches is said of every bed, to everybody.
            let tells = |alarm: &AlarmView| alarm.is_active() && alarm.condition != Condition::Unwatched;
            let alarms = bed.alarms.open().into_iter().filter(tells).map(alarm);
            let alarm = alarms.max_by_key(|alarm| (alarm.rings, alarm.priority));
            HiddenBed { patient, place: bed.place.clone(), why, watched: bed.is_watched(), alarm }
        });
        known.unwrap_or(HiddenBed { patient, place: String::new(), why, watched: false, alarm: None })
    }

    pub(crate) fn wall_of(
        &self,
        mut tiles: Vec<Tile>,
        hidden: &BTreeMap<PatientId, Hidden>,
        now_ms: u64,
    ) -> Wall {
        tiles.sort_by(|a, b| (&a.bed, a.patient).cmp(&(&b.bed, b.patient)));
        let mut hidden: Vec<HiddenBed> =
            hidden.iter().map(|(patient, why)| self.hidden_bed(*patient, *why)).collect();
        hidden.sort_by(|a, b| (a.urgency(), &a.place, a.patient).cmp(&(b.urgency(), &b.place, b.patient)));
        let mut unwatched = self.monitoring.of_all(|patient, bed| bed.unwatched_view(patient));
        unwatched.sort_by(|a, b| (&a.place, a.patient).cmp(&(&b.place, b.patient)));
        let of_tiles = tiles.iter().flat_map(|tile| tile.alarms.clone());
        let of_beds = unwatched.iter().filter_map(|bed| bed.alarm.clone());
        let mut strip: Vec<_> = of_tiles.chain(of_beds).collect();
        strip.sort_by_key(AlarmView::urgency);
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

    /// The patient now, as these classes let them be seen.
    pub(crate) fn tile_of(&self, patient: &Patient, classes: &[Class], now_ms: u64) -> Tile {
        let mut tile = self.monitoring.with(patient.id, now_ms, |bed| bed.draw(patient.id, classes, now_ms));
        for value in &mut tile.values {
            value.envelope = self.envelope_ref(value.envelope.hash, value.envelope.index);
        }
        tile
    }

    /// Does this patient stand on the session's wall? Shows nothing, and leaves no entry.
    #[must_use]
    pub fn may_watch(&self, session: &Session, patient: PatientId, now_ms: u64) -> bool {
        let (reader, purpose) = (self.reader(session), Purpose::Monitoring);
        let decide = |patient: &Patient| {
            let ask = AccessRequest { reader, patient, purpose, classes: &MONITORED, from_ms: now_ms };
            self.decide_most(&ask, now_ms)
        };
        self.require(session, &[Role::Clinician], now_ms).is_ok()
            && self.patient(patient).is_ok_and(|patient| decide(&patient).is_ok())
    }

    /// Patients this session may see on the wall, each with a trace left; and those it may not see only
    /// because something does not answer. May wait for policies and for one sync of the disk.
    pub(crate) fn monitored(&self, session: &Session, now_ms: u64) -> Result<Monitored, ClinicError> {
        self.require(session, &[Role::Clinician], now_ms).map_err(|why| self.denied(why))?;
        let (reader, purpose) = (self.reader(session), Purpose::Monitoring);
        let from_ms = now_ms.saturating_sub(MONITORING_BACK_MS);
        let (mut allowed, mut hidden) = (Vec::new(), BTreeMap::new());
        for patient in self.vault().patients() {
            let ask = AccessRequest { reader, patient: &patient, purpose, classes: &MONITORED, from_ms };
            match self.decide_most(&ask, now_ms) {
                Ok(one) => allowed.push((patient, one)),
                Err(Denied::NotEnrolled) => return Err(self.denied(Denied::NotEnrolled)),
                Err(why) => hidden.extend(self.hides(patient.id, &why).map(|why| (patient.id, why))),
            }
        }
        let mut shown = Vec::new();
        for (patient, traced) in self.wall_traces(session, allowed, now_ms) {
            match traced {
                Ok(classes) => shown.push((patient, classes)),
                Err(why) => hidden.extend(why.map(|why| (patient.id, why))),
            }
        }
        Ok((shown, hidden))
    }

    /// Does the bed stand on the wall without values, where this is the answer? A patient of whom it is not
    /// known whether they consent is named only if the ward watches them.
    pub(crate) fn hides(&self, patient: PatientId, why: &Denied) -> Option<Hidden> {
        let watched = || self.monitoring.of(patient, |bed| bed.is_watched()) == Some(true);
        match why {
            Denied::PolicySilent => Some(Hidden::PolicySilent),
            Denied::LedgerDown => watched().then_some(Hidden::LedgerDown),
            _ => None,
        }
    }

    /// Leaves the session's one entry for each of these patients where it is not there yet (or the consent
    /// it stands on changed): all that are missing with one sync. Gives the classes that may be shown, or
    /// why the bed stands there without them; nothing where it does not stand there at all.
    pub(crate) fn wall_traces(
        &self,
        session: &Session,
        wanted: Vec<(Patient, Allowed)>,
        now_ms: u64,
    ) -> Vec<(Patient, Traced)> {
        let key = |patient: &Patient| (session.id, patient.id, Purpose::Monitoring);
        let left = |patient: &Patient, allowed: &Allowed| {
            self.traces.get(&key(patient)).is_some_and(|trace| trace.allowed == *allowed)
        };
        let (left, missing): (Vec<_>, Vec<_>) =
            wanted.into_iter().partition(|(patient, allowed)| left(patient, allowed));
        let mut traced: Vec<_> =
            left.into_iter().map(|(patient, allowed)| (patient, Ok(allowed.classes))).collect();
        for some in missing.chunks(ENTRIES_AT_ONCE) {
            let leases = self.wall_leases(session, some, now_ms);
            for ((patient, allowed), lease) in some.iter().zip(leases) {
                let shown = lease.map(|lease| {
                    let (hash, index) = (lease.written().hash, lease.written().index);
                    self.stats.authored(1);
                    self.traces
                        .keep(key(patient), Trace { allowed: allowed.clone(), hash, index, own: None });
                    self.publish(LiveEvent::Access { patient: patient.id });
                    allowed.classes.clone()
                });
                traced.push((*patient, shown));
            }
        }
        traced
    }

    fn wall_leases(
        &self,
        session: &Session,
        wanted: &[(Patient, Allowed)],
        now_ms: u64,
    ) -> Vec<Result<MonitoringLease, Option<Hidden>>> {
        let span_ms = (now_ms.saturating_sub(MONITORING_BACK_MS), session.until_ms.max(now_ms));
        let entries = wanted.iter().map(|(patient, allowed)| {
            let entry = self.entry(session, Purpose::Monitoring, allowed, span_ms, now_ms);
            (patient.id, entry, session.until_ms)
        });
        let made = self.vault().log_monitoring_of(self.store(), self.ledger(), entries.collect(), now_ms);
        self.traces.written(made.is_ok());
        match made {
            Ok(made) => made.into_iter().map(|lease| lease.map_err(|why| refused(&why))).collect(),
            Err(why) => {
                self.stats.count(|counters| counters.looks_not_recorded += wanted.len() as u64);
                tracing::error!(
                    reason = %why, beds = wanted.len(),
                    "Looks at a wall could not be recorded: its beds are shown without values"
                );
                wanted.iter().map(|_| Err(Some(Hidden::NotRecorded))).collect()
            }
        }
    }
}

/// Is the bed of a patient who consents shown without values, where this is the vault's answer?
fn refused(why: &AccessError) -> Option<Hidden> {
    match why {
        AccessError::Denied(_) | AccessError::PolicyRefuses(_) => None,
        AccessError::PolicySilent(_) => Some(Hidden::PolicySilent),
        AccessError::Ledger(_) => Some(Hidden::LedgerDown),
        AccessError::Write(_) | AccessError::Vault(_) => Some(Hidden::NotRecorded),
    }
}
