//! From an admitted envelope to a value on a page and an alarm: opened without a lock, applied to the
//! bed under it, sent to subscribers, and queued for the record.

use super::alarms::{Changes, Source};
use super::clocks::Heard;
use super::events::LiveEvent;
use super::monitored_patient::{Fresh, MonitoredPatient};
use super::state::BEDS_AT_ONCE;
use super::views::Missing;
use crate::anchoring::EnvelopeRef;
use crate::clinic::Clinic;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use vault::{Entry, MonitoringLease, OpenError};
use vitals::PatientId;
use vitals::alarm::Condition;
use vitals::body::Body;
use vitals::ids::{Class, Hash};
use vitals::metric::Reading;

/// What work on beds brought about, applied once the lock is let go.
#[derive(Default)]
pub(crate) struct Effects {
    entries: Vec<Entry>,
    events: Vec<Event>,
    latencies_ms: Vec<u64>,
    /// Log index and seal time of what arrived.
    sealed: Vec<(u64, u64)>,
    raised: u64,
    unreadable: u64,
}

/// An event before it is sent: the proof state of its envelope is looked up then.
enum Event {
    Ready(LiveEvent),
    Readings {
        patient: PatientId,
        readings: Vec<Reading>,
        offset_ms: i64,
        envelope: (Hash, u64),
        sealed_at_ms: u64,
    },
}

impl Effects {
    /// What a person's action on one bed brought about.
    pub(crate) fn of_action(patient: PatientId, bed: &MonitoredPatient, changes: Changes) -> Self {
        let mut effects = Self::default();
        effects.changes(patient, bed, changes);
        effects
    }

    /// The bed has to be drawn again.
    pub(crate) fn changed(&mut self, patient: PatientId) {
        self.events.push(Event::Ready(LiveEvent::Changed { patient }));
    }

    /// Whether somebody watches the bed changed.
    pub(crate) fn watching(&mut self, patient: PatientId, bed: &MonitoredPatient) {
        let unwatched = bed.unwatched_view(patient);
        self.events.push(Event::Ready(LiveEvent::Watching { patient, unwatched }));
        self.changed(patient);
    }

    pub(crate) fn changes(&mut self, patient: PatientId, bed: &MonitoredPatient, changes: Changes) {
        if changes.is_empty() {
            return;
        }
        self.raised += changes.raised;
        let conditions: BTreeSet<Condition> = changes.changed.into_iter().collect();
        if conditions.contains(&Condition::Unwatched) {
            self.watching(patient, bed);
        }
        let views = conditions.iter().filter_map(|condition| bed.alarms.view(*condition));
        self.events.extend(views.map(LiveEvent::Alarm).map(Event::Ready));
        self.changed(patient);
        let back = changes.limits.into_iter().map(Body::Limits);
        self.entries.extend(back.map(|body| Entry { patient, class: Class::Alarms, body }));
        if !changes.record.is_empty() {
            self.entries.push(Entry { patient, class: Class::Alarms, body: Body::Alarms(changes.record) });
        }
    }
}

/// An arrival, opened if a lease allows it.
struct Opened {
    fresh: Fresh,
    /// Already judged when it came, if it waited.
    heard: Option<Heard>,
    body: Option<Result<Body, OpenError>>,
    missing: Option<Option<Missing>>,
}

impl Clinic {
    pub(crate) fn hand_to_monitoring(&self, fresh: Vec<Fresh>) {
        let skipped = self.monitoring.arrived(fresh);
        if skipped > 0 {
            self.stats.count(|counters| counters.live_skipped += skipped as u64);
        }
    }

    /// Processes everything admitted since the last call: opens it, evaluates alarms, sends events. Waits for
    /// neither disk nor ledger. Call it from one thread, right after the answers of
    /// [`Clinic::admit`] are on their way.
    pub fn attend(&self, now_ms: u64) {
        let (forked, fresh) = self.monitoring.take_arrivals();
        if !forked.is_empty() {
            let mut effects = Effects::default();
            for patient in forked {
                self.monitoring.with(patient, now_ms, |bed| {
                    let changes = bed.alarms.technical(Condition::Equivocation, Some(0), now_ms);
                    effects.changes(patient, bed, changes);
                });
            }
            self.conclude(effects, now_ms);
        }
        let mut fresh = fresh.into_iter().map(|fresh| (fresh, None)).peekable();
        while fresh.peek().is_some() {
            self.look_at(fresh.by_ref().take(BEDS_AT_ONCE).collect(), now_ms);
        }
    }

    /// Processes what arrived before the bed was monitored.
    pub(super) fn attend_waiting(&self, now_ms: u64) {
        let waiting: Vec<PatientId> = self
            .monitoring
            .of_all(|patient, bed| (bed.lease(now_ms).is_some() && bed.has_waiting()).then_some(patient));
        for patient in waiting {
            let waited = self.monitoring.with(patient, now_ms, MonitoredPatient::take_waiting);
            self.look_at(waited.into_iter().map(|(fresh, heard)| (fresh, Some(heard))).collect(), now_ms);
        }
    }

    fn look_at(&self, some: Vec<(Fresh, Option<Heard>)>, now_ms: u64) {
        let patients: BTreeSet<PatientId> = some.iter().map(|(fresh, _)| fresh.patient).collect();
        let leases: BTreeMap<PatientId, Arc<MonitoringLease>> = patients
            .into_iter()
            .filter_map(|patient| Some((patient, self.monitoring.of(patient, |bed| bed.lease(now_ms))??)))
            .collect();
        let opened: Vec<Opened> = some
            .into_iter()
            .map(|(fresh, heard)| {
                let lease = leases.get(&fresh.patient);
                let body = lease.map(|lease| self.vault().open_monitored(lease, &fresh.envelope, now_ms));
                let missing = fresh.jumped.then(|| self.missing_of(fresh.envelope.header.stream, now_ms));
                Opened { fresh, heard, body, missing }
            })
            .collect();
        let mut effects = Effects::default();
        for one in opened {
            let patient = one.fresh.patient;
            self.monitoring.with(patient, now_ms, |bed| bed.take_in(one, now_ms, &mut effects));
        }
        self.conclude(effects, now_ms);
    }

    /// Sends events, counts them, and queues alarm events for the record. Waits for no disk: an alarm that
    /// cannot be recorded is still an alarm.
    pub(crate) fn conclude(&self, effects: Effects, now_ms: u64) {
        let Effects { entries, events, latencies_ms, sealed, raised, unreadable } = effects;
        if !sealed.is_empty() {
            self.anchoring.sealed(sealed);
        }
        for event in events {
            self.publish(match event {
                Event::Ready(event) => event,
                Event::Readings { patient, readings, offset_ms, envelope: (hash, index), sealed_at_ms } => {
                    let envelope: EnvelopeRef = self.envelope_ref(hash, index);
                    LiveEvent::Readings {
                        patient,
                        readings,
                        offset_ms,
                        envelope,
                        sealed_at_ms,
                        live_at_ms: now_ms,
                    }
                }
            });
        }
        if raised > 0 || unreadable > 0 {
            self.stats.count(|counters| {
                counters.alarms_raised += raised;
                counters.unreadable += unreadable;
            });
        }
        if !latencies_ms.is_empty() {
            self.stats.live(latencies_ms);
        }
        if !entries.is_empty() {
            self.monitoring.to_write(entries);
        }
    }
}

impl MonitoredPatient {
    /// An envelope arrived for this bed. Pure.
    fn take_in(&mut self, one: Opened, now_ms: u64, effects: &mut Effects) {
        let Opened { fresh, heard, body, missing } = one;
        let waited = heard.is_some();
        let header = &fresh.envelope.header;
        let patient = fresh.patient;
        let heard = heard.unwrap_or_else(|| self.hear(header, now_ms));
        let sealed_ms = self.sealed_ms(header, heard, now_ms);
        if !waited {
            effects.sealed.push((fresh.index, sealed_ms));
            self.expected = true;
            self.clock = header.clock;
            if let Some(missing) = missing {
                let changes = self.note_missing(header.stream, missing, now_ms);
                effects.changes(patient, self, changes);
            }
            if heard.live {
                let wrong = self.clock_off_ms().is_some();
                let changes = self.alarms.technical(Condition::Clock, wrong.then_some(0), now_ms);
                effects.changes(patient, self, changes);
                let here_ms = heard.here(header.last_ms, now_ms);
                let changes = self.alarms.bedside_runs(Source::of(header), here_ms, now_ms);
                effects.changes(patient, self, changes);
            }
        }
        match body {
            None => self.wait(fresh, heard),
            Some(Ok(Body::Readings(readings))) => {
                let hash = fresh.envelope.hash();
                self.recent.add(&readings, hash, fresh.index, heard, now_ms);
                let changes = self.alarms.readings(&readings, heard, now_ms);
                effects.latencies_ms.push(now_ms.saturating_sub(sealed_ms));
                effects.events.push(Event::Readings {
                    patient,
                    readings,
                    offset_ms: heard.offset_ms,
                    envelope: (hash, fresh.index),
                    sealed_at_ms: header.last_ms,
                });
                effects.changes(patient, self, changes);
            }
            Some(Ok(Body::Alarms(events))) => {
                let changes = self.alarms.events(&events, Source::of(header), heard, now_ms);
                effects.changes(patient, self, changes);
            }
            Some(Ok(Body::Confirmations(words))) => {
                self.confirmed(header.author, &words, now_ms);
                effects.changed(patient);
            }
            // A sensor writes nothing else; what it is not allowed to show is not looked at.
            Some(Ok(_) | Err(OpenError::NotCovered(_) | OpenError::LeaseEnded)) => {}
            Some(Err(why)) => {
                tracing::warn!(reason = %why, log.index = fresh.index, "An envelope did not open");
                effects.unreadable += 1;
            }
        }
    }
}
