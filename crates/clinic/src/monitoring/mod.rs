//! The live view: what was just admitted is opened under the monitoring consent, watched for alarms,
//! kept for two hours and told to whoever may see it.

mod actions;
pub(crate) mod alarms;
mod clocks;
mod gateways;
mod limits;
pub(crate) mod recent;

pub use alarms::STALE_MS;
pub use limits::{LIMITS_FOR_MS_MAX, LIMITS_FOR_MS_MIN, LimitsOrder};
pub use recent::RECENT_MS;

use crate::access::{Allowed, MONITORED};
use crate::admit::Fresh;
use crate::clinic::{Clinic, FRESH_LEN_MAX, lock};
use crate::errors::Denied;
use crate::monitoring::alarms::{Bedside, Noticed, Recorded};
use crate::monitoring::clocks::{AuthorClock, Heard};
use crate::monitoring::recent::Recent;
use crate::policy::Reader;
use crate::views::{Equipment, LiveEvent, Missing, Technical, Tile, ValueNow};
use std::collections::{BTreeMap, BTreeSet};
use vault::{Entry, MONITORING_MS_MAX, MonitoringLease, OpenError, Patient};
use vitals::alarm::Condition;
use vitals::body::{AccessEntry, Body};
use vitals::envelope::{ClockQuality, Envelope, Header, TIME_MAX_MS};
use vitals::ids::{Class, StreamId};
use vitals::ledger::Purpose;
use vitals::metric::Metric;
use vitals::{DeviceId, PatientId, PersonId};

/// A denied monitoring is asked for again after this long (or when the ledger moves).
const RETRY_MS: u64 = 1_000;
/// Ranges of missing envelopes that are named; the others are counted.
const MISSING_NAMED_MAX: usize = 4;
/// Newest envelopes of a bedside's alarms that are read back after a restart.
const ALARMS_READ_BACK_MAX: u64 = 4_096;

/// One patient as the node watches them.
pub(crate) struct Bed {
    pub(crate) bedside: Bedside,
    pub(crate) recent: Recent,
    pub(crate) name: String,
    pub(crate) place: String,
    pub(crate) clock: ClockQuality,
    /// Has anything been paired with the patient? Nobody waits for data before.
    pub(crate) expected: bool,
    missing: BTreeMap<StreamId, Missing>,
    /// One per sensor that is or was paired with the patient.
    clocks: BTreeMap<DeviceId, AuthorClock>,
    /// Are the alarms read back that were open when the node stopped?
    restored: bool,
    watch: Watch,
}

/// The engine's own permission to look.
enum Watch {
    /// Asked at this time and ledger height, and denied.
    Blind { asked: Option<(u64, u64)> },
    /// Looking; the consent was checked at this height and generation of withdrawals.
    Looking { lease: Box<MonitoringLease>, checked: (u64, u64) },
}

/// What attending one group brought about, applied once the beds are let go.
#[derive(Default)]
pub(crate) struct Aftermath {
    entries: Vec<Entry>,
    events: Vec<LiveEvent>,
    latencies_ms: Vec<u64>,
    raised: u64,
    unreadable: u64,
}

impl Aftermath {
    /// What a person's action on one bed brought about.
    pub(crate) fn of_action(patient: PatientId, bedside: &Bedside, noticed: Noticed) -> Self {
        let mut after = Self::default();
        after.noticed(patient, bedside, noticed);
        after
    }

    fn noticed(&mut self, patient: PatientId, bedside: &Bedside, noticed: Noticed) {
        if noticed.is_empty() {
            return;
        }
        self.raised += noticed.raised;
        let conditions: BTreeSet<Condition> = noticed.changed.into_iter().collect();
        let views = conditions.iter().filter_map(|condition| bedside.view(*condition));
        self.events.extend(views.map(LiveEvent::Alarm));
        self.events.push(LiveEvent::Changed { patient });
        let back = noticed.limits.into_iter().map(Body::Limits);
        self.entries.extend(back.map(|body| Entry { patient, class: Class::Alarms, body }));
        if !noticed.record.is_empty() {
            self.entries.push(Entry { patient, class: Class::Alarms, body: Body::Alarms(noticed.record) });
        }
    }
}

impl Bed {
    pub(crate) fn new(patient: PatientId, now_ms: u64) -> Self {
        Self {
            bedside: Bedside::new(patient, now_ms),
            recent: Recent::default(),
            name: String::new(),
            place: String::new(),
            clock: ClockQuality::Unset,
            expected: false,
            missing: BTreeMap::new(),
            clocks: BTreeMap::new(),
            restored: false,
            watch: Watch::Blind { asked: None },
        }
    }

    pub(crate) fn is_watched(&self) -> bool {
        matches!(self.watch, Watch::Looking { .. })
    }

    fn lease(&self) -> Option<&MonitoringLease> {
        match &self.watch {
            Watch::Looking { lease, .. } => Some(lease),
            Watch::Blind { .. } => None,
        }
    }

    /// What the time of an arrival says about it and about its author's clock.
    fn hear(&mut self, header: &Header, now_ms: u64) -> Heard {
        let clock = self.clocks.entry(header.author).or_default();
        clock.heard(header.stream, header.seq, header.last_ms, now_ms)
    }

    /// How far the bedside's clock is wrong: the worst of several.
    fn clock_off_ms(&self) -> Option<i64> {
        self.clocks.values().filter_map(AuthorClock::wrong_by_ms).max_by_key(|off_ms| off_ms.unsigned_abs())
    }

    /// When an envelope was sealed by the node's clock: its own word, unless that clock is wrong.
    fn sealed_ms(&self, header: &Header, heard: Heard, now_ms: u64) -> u64 {
        let wrong = self.clocks.get(&header.author).and_then(AuthorClock::wrong_by_ms).is_some();
        if wrong { heard.here(header.last_ms, now_ms) } else { header.last_ms }
    }
}

impl Clinic {
    /// Makes a bed for every patient and reads back what the wall shows.
    pub(crate) fn make_beds(&self, now_ms: u64) {
        let patients = self.vault().patients();
        let mut beds = lock(&self.beds);
        for patient in patients {
            let bed = beds.entry(patient.id).or_insert_with(|| Bed::new(patient.id, now_ms));
            self.furnish(bed, &patient, now_ms);
        }
    }

    /// Notes whether anything is paired with the patient, and looks if the patient lets us.
    pub(crate) fn furnish(&self, bed: &mut Bed, patient: &Patient, now_ms: u64) {
        let own = self.vault().author();
        bed.expected = self.vault().streams_of(patient.id).iter().any(|record| record.author != own);
        if bed.name.is_empty()
            && let Some(account) = self.vault().account_of(patient.person)
        {
            bed.name = account.name;
        }
        self.watch(bed, patient, now_ms);
        let since_ms = bed.bedside.open_since_ms(Condition::Gap).unwrap_or(now_ms);
        for record in self.vault().streams_of(patient.id) {
            self.note_missing(bed, record.stream, since_ms);
        }
    }

    /// Keeps the engine's permission current: looks again whenever the ledger moved or somebody
    /// withdrew a consent, and stops looking when the patient no longer allows it.
    fn watch(&self, bed: &mut Bed, patient: &Patient, now_ms: u64) {
        let now = (self.ledger().tip().height, self.generation());
        match &mut bed.watch {
            Watch::Looking { lease, checked } => {
                let ends = now_ms + RETRY_MS >= lease.until_ms();
                if !ends && *checked == now {
                    return;
                }
                let classes = lease.entry().classes.clone();
                let still =
                    self.decide(Reader::Engine(self.org()), patient, Purpose::Monitoring, &classes, now_ms);
                match still {
                    Ok(_) if !ends => *checked = now,
                    // A halted ledger does not blind the engine: the last decision stands.
                    Err(Denied::LedgerDown) if !ends => {}
                    _ => {
                        bed.watch = Watch::Blind { asked: None };
                        self.watch(bed, patient, now_ms);
                    }
                }
            }
            Watch::Blind { asked } => {
                if asked.is_some_and(|(at_ms, height)| height == now.0 && now_ms < at_ms + RETRY_MS) {
                    return;
                }
                *asked = Some((now_ms, now.0));
                let reader = Reader::Engine(self.org());
                let allowed = self.decide_most(reader, patient, Purpose::Monitoring, &MONITORED, now_ms);
                match allowed.and_then(|allowed| self.lease(patient, &allowed, now_ms)) {
                    Ok(lease) => {
                        self.read_back(bed, patient, &lease, now_ms);
                        bed.watch = Watch::Looking { lease: Box::new(lease), checked: now };
                    }
                    Err(_) => bed.recent = Recent::default(),
                }
            }
        }
    }

    fn lease(&self, patient: &Patient, allowed: &Allowed, now_ms: u64) -> Result<MonitoringLease, Denied> {
        let entry = AccessEntry {
            at_ms: now_ms,
            reader: PersonId::of_organisation(self.org()),
            reader_name: "alarm engine".into(),
            purpose: Purpose::Monitoring,
            grant: allowed.permit.grant,
            classes: allowed.classes.clone(),
            // Whatever time a bedside clock claims: the engine looks at what arrives.
            span_ms: (0, TIME_MAX_MS),
            session: [0; 16],
        };
        let until_ms = now_ms.saturating_add(MONITORING_MS_MAX);
        let (store, ledger) = (self.store(), self.ledger());
        self.vault().log_monitoring(store, ledger, patient.id, entry, until_ms, now_ms).map_err(|why| {
            tracing::warn!(reason = %why, "Monitoring of a patient did not begin");
            Denied::NoConsent
        })
    }

    /// Profile, limits and the last two hours, from the record.
    fn read_back(&self, bed: &mut Bed, patient: &Patient, lease: &MonitoringLease, now_ms: u64) {
        bed.recent = Recent::default();
        let mut alarms: Vec<(u64, Recorded)> = Vec::new();
        for record in self.vault().streams_of(patient.id) {
            if !lease.entry().classes.contains(&record.class) {
                continue;
            }
            let own = record.author == self.vault().author();
            let from_ms = match record.class {
                Class::Vitals | Class::Environment => now_ms.saturating_sub(RECENT_MS),
                Class::Profile | Class::Alarms if own => 0,
                Class::Alarms if !bed.restored => {
                    self.read_back_bedside(record.stream, lease, &mut alarms, now_ms);
                    continue;
                }
                _ => continue,
            };
            for found in self.store().scan(record.stream, from_ms, TIME_MAX_MS) {
                let Ok((located, bytes)) = found else { continue };
                let Ok(envelope) = Envelope::decode(&bytes) else { continue };
                match self.vault().open_monitored(lease, &envelope, now_ms) {
                    Ok(Body::Readings(mut readings)) => {
                        // A clock that ran ahead must not hide what comes now.
                        readings.retain(|reading| reading.at_ms <= now_ms);
                        let heard = Heard { live: false, offset_ms: 0 };
                        bed.recent.add(&readings, envelope.hash(), located.index, heard, now_ms);
                    }
                    Ok(Body::Alarms(events)) if !bed.restored => {
                        let name = |by| self.vault().account_of(by).map(|account| account.name);
                        alarms.extend(events.into_iter().map(|event| {
                            let recorded = Recorded { event, by_bedside: false, name: name(event.by) };
                            (located.index, recorded)
                        }));
                    }
                    Ok(Body::Profile(profile)) => (bed.name, bed.place) = (profile.name, profile.bed),
                    Ok(Body::Limits(change)) => {
                        let account = self.vault().account_of(change.by);
                        let name = account.map_or_else(String::new, |account| account.name);
                        bed.bedside.change_limits(&change, &name);
                    }
                    _ => {}
                }
            }
        }
        if !core::mem::replace(&mut bed.restored, true) {
            alarms.sort_by_key(|(index, _)| *index);
            let alarms: Vec<Recorded> = alarms.into_iter().map(|(_, recorded)| recorded).collect();
            bed.bedside.replay(&alarms, |metric| bed.recent.sample(metric), now_ms);
        }
    }

    /// The newest alarm events of a bedside. By number, not by time: its clock may be wrong.
    fn read_back_bedside(
        &self,
        stream: StreamId,
        lease: &MonitoringLease,
        alarms: &mut Vec<(u64, Recorded)>,
        now_ms: u64,
    ) {
        let Some(head) = self.store().head(stream) else { return };
        for seq in head.last_seq.saturating_sub(ALARMS_READ_BACK_MAX)..=head.last_seq {
            let Some(located) = self.store().locate(stream, seq) else { continue };
            let Ok(Some(bytes)) = self.store().read(stream, seq) else { continue };
            let Ok(envelope) = Envelope::decode(&bytes) else { continue };
            if let Ok(Body::Alarms(events)) = self.vault().open_monitored(lease, &envelope, now_ms) {
                let recorded = |event| Recorded { event, by_bedside: true, name: None };
                alarms.extend(events.into_iter().map(|event| (located.index, recorded(event))));
            }
        }
    }

    pub(crate) fn hand_to_live(&self, fresh: Vec<Fresh>) {
        let skipped = {
            let mut waiting = lock(&self.fresh);
            waiting.extend(fresh);
            let over = waiting.len().saturating_sub(FRESH_LEN_MAX);
            waiting.drain(..over).count()
        };
        if skipped > 0 {
            lock(&self.stats).counters.live_skipped += skipped as u64;
        }
    }

    /// Looks at everything admitted since the last call: opens it, watches it, tells it. Call it
    /// right after the answers of [`Clinic::admit`] are on their way.
    pub fn attend(&self, now_ms: u64) {
        let suspects: Vec<PatientId> = core::mem::take(&mut *lock(&self.suspects)).into_iter().collect();
        let fresh: Vec<Fresh> = lock(&self.fresh).drain(..).collect();
        if suspects.is_empty() && fresh.is_empty() {
            return;
        }
        let mut after = Aftermath::default();
        {
            let mut beds = lock(&self.beds);
            for patient in suspects {
                let bed = beds.entry(patient).or_insert_with(|| Bed::new(patient, now_ms));
                let noticed = bed.bedside.technical(Condition::Equivocation, true, now_ms);
                after.noticed(patient, &bed.bedside, noticed);
            }
            for one in fresh {
                let bed = beds.entry(one.patient).or_insert_with(|| Bed::new(one.patient, now_ms));
                let heard = bed.hear(&one.envelope.header, now_ms);
                let sealed_ms = bed.sealed_ms(&one.envelope.header, heard, now_ms);
                lock(&self.anchoring).sealed(one.index, sealed_ms);
                self.look(bed, &one, heard, now_ms, &mut after);
            }
        }
        self.conclude(after, now_ms);
    }

    fn look(&self, bed: &mut Bed, one: &Fresh, heard: Heard, now_ms: u64, after: &mut Aftermath) {
        let header = &one.envelope.header;
        bed.expected = true;
        bed.clock = header.clock;
        lock(&self.seen).insert(header.author, now_ms);
        let Ok(patient) = self.patient(one.patient) else { return };
        // First of all: what was open before a restart is read back by it.
        self.watch(bed, &patient, now_ms);
        if one.jumped {
            self.note_missing(bed, header.stream, now_ms);
            let noticed = bed.bedside.technical(Condition::Gap, !bed.missing.is_empty(), now_ms);
            after.noticed(one.patient, &bed.bedside, noticed);
        }
        if heard.live {
            let wrong = bed.clock_off_ms().is_some();
            let noticed = bed.bedside.technical(Condition::Clock, wrong, now_ms);
            after.noticed(one.patient, &bed.bedside, noticed);
        }
        let Some(lease) = bed.lease() else { return };
        match self.vault().open_monitored(lease, &one.envelope, now_ms) {
            Ok(Body::Readings(readings)) => {
                let hash = one.envelope.hash();
                bed.recent.add(&readings, hash, one.index, heard, now_ms);
                let noticed = bed.bedside.readings(&readings, heard, now_ms);
                after.latencies_ms.push(now_ms.saturating_sub(bed.sealed_ms(header, heard, now_ms)));
                after.events.push(LiveEvent::Readings {
                    patient: one.patient,
                    readings,
                    offset_ms: heard.offset_ms,
                    envelope: self.envelope_ref(hash, one.index),
                    sealed_at_ms: header.last_ms,
                    live_at_ms: now_ms,
                });
                after.noticed(one.patient, &bed.bedside, noticed);
            }
            Ok(Body::Alarms(events)) => {
                let noticed = bed.bedside.events(&events, heard, now_ms);
                after.noticed(one.patient, &bed.bedside, noticed);
            }
            // A sensor writes nothing else; what it is not allowed to show is not looked at.
            Ok(_) | Err(OpenError::NotCovered(_) | OpenError::LeaseEnded) => {}
            Err(why) => {
                tracing::warn!(reason = %why, log.index = one.index, "An envelope did not open");
                after.unreadable += 1;
            }
        }
    }

    /// Looks what is missing in a stream; what was missing before keeps its time.
    fn note_missing(&self, bed: &mut Bed, stream: StreamId, now_ms: u64) {
        let mut seqs = self.store().gaps(stream);
        let (Some(head), Some(record)) = (self.store().head(stream), self.stream(stream)) else { return };
        if seqs.is_empty() {
            bed.missing.remove(&stream);
            return;
        }
        seqs.truncate(MISSING_NAMED_MAX);
        let count = (head.last_seq + 1).saturating_sub(head.count);
        let since_ms = bed.missing.get(&stream).map_or(now_ms, |missing| missing.since_ms);
        let missing = Missing { stream, class: record.class, count, seqs, since_ms };
        bed.missing.insert(stream, missing);
    }

    /// What is wrong with streams and clocks now, patient by patient: for reports and operators.
    #[must_use]
    pub fn equipment(&self) -> Vec<Equipment> {
        let beds = lock(&self.beds);
        let row = |(patient, bed): (&PatientId, &Bed)| Equipment {
            patient: *patient,
            missing: bed.missing.values().cloned().collect(),
            clock_off_ms: bed.clock_off_ms(),
            two_hands_since_ms: bed.bedside.open_since_ms(Condition::Equivocation),
        };
        let told = |row: &Equipment| {
            !row.missing.is_empty() || row.clock_off_ms.is_some() || row.two_hands_since_ms.is_some()
        };
        beds.iter().map(row).filter(told).collect()
    }

    /// The same as figures, for the counters.
    fn count_equipment(&self) {
        let rows = self.equipment();
        let leaps =
            lock(&self.beds).values().flat_map(|bed| bed.clocks.values()).map(AuthorClock::leaps).sum();
        let mut stats = lock(&self.stats);
        stats.counters.missing_now =
            rows.iter().flat_map(|row| &row.missing).map(|missing| missing.count).sum();
        stats.counters.clocks_wrong_now = rows.iter().filter(|row| row.clock_off_ms.is_some()).count() as u64;
        stats.counters.two_hands_now =
            rows.iter().filter(|row| row.two_hands_since_ms.is_some()).count() as u64;
        stats.counters.clock_leaps = leaps;
    }

    pub(crate) fn tick_beds(&self, now_ms: u64) {
        let mut after = Aftermath::default();
        {
            let mut beds = lock(&self.beds);
            for (id, bed) in beds.iter_mut() {
                if let Ok(patient) = self.patient(*id) {
                    let before = bed.is_watched();
                    self.watch(bed, &patient, now_ms);
                    if before != bed.is_watched() {
                        after.events.push(LiveEvent::Changed { patient: *id });
                    }
                }
                // Gaps are known from the store; after a restart nobody has told of them yet.
                let gap = !bed.missing.is_empty();
                if bed.bedside.open_since_ms(Condition::Gap).is_some() != gap {
                    let noticed = bed.bedside.technical(Condition::Gap, gap, now_ms);
                    after.noticed(*id, &bed.bedside, noticed);
                }
                if bed.expected && bed.is_watched() {
                    let noticed = bed.bedside.tick(now_ms);
                    after.noticed(*id, &bed.bedside, noticed);
                }
            }
        }
        self.conclude(after, now_ms);
        self.count_equipment();
    }

    /// Tells, counts, and writes what the engine noticed into the record. The screen does not wait for
    /// a disk, and an alarm that cannot be recorded is still an alarm.
    pub(crate) fn conclude(&self, after: Aftermath, now_ms: u64) {
        after.events.into_iter().for_each(|event| self.tell(event));
        {
            let mut stats = lock(&self.stats);
            stats.counters.alarms_raised += after.raised;
            stats.counters.unreadable += after.unreadable;
            after.latencies_ms.into_iter().for_each(|latency_ms| stats.seal_to_live.add(latency_ms));
        }
        if after.entries.is_empty() {
            return;
        }
        match self.vault().write(self.store(), &after.entries, ClockQuality::Synced, now_ms) {
            Ok(written) => lock(&self.stats).counters.authored += written.len() as u64,
            Err(why) => tracing::error!(reason = %why, "Alarm events could not be recorded"),
        }
    }

    /// The patient as these classes let them be seen.
    pub(crate) fn draw(&self, id: PatientId, bed: &Bed, classes: &[Class], now_ms: u64) -> Tile {
        let may = |class: Class| classes.contains(&class);
        let values: Vec<ValueNow> = bed
            .recent
            .newest()
            .filter(|newest| may(newest.reading.metric.info().class))
            .map(|newest| ValueNow {
                metric: newest.reading.metric,
                sample: newest.reading.sample,
                at_ms: newest.reading.at_ms,
                here_ms: newest.here_ms,
                envelope: self.envelope_ref(newest.envelope, newest.index),
            })
            .collect();
        let sparkline =
            if may(Class::Vitals) { bed.recent.sparkline(Metric::HeartRate, now_ms) } else { Vec::new() };
        let profile = may(Class::Profile);
        Tile {
            patient: id,
            name: if profile { bed.name.clone() } else { String::new() },
            bed: if profile { bed.place.clone() } else { String::new() },
            values,
            sparkline,
            alarms: if may(Class::Alarms) { bed.bedside.open() } else { Vec::new() },
            technical: Technical {
                stale: bed.bedside.is_stale(),
                last_ms: bed.recent.last_ms(),
                absent: bed.bedside.absent().into_iter().filter(|(m, _)| may(m.info().class)).collect(),
                clock: bed.clock,
                clock_off_ms: bed.clock_off_ms(),
                missing: bed.missing.values().filter(|missing| may(missing.class)).cloned().collect(),
            },
            limits: if may(Class::Alarms) { bed.bedside.limits().all() } else { Vec::new() },
            temporary: if may(Class::Alarms) { bed.bedside.limits().temporary() } else { Vec::new() },
            limits_back: if may(Class::Alarms) { bed.bedside.limits().came_back(now_ms) } else { Vec::new() },
        }
    }

    /// When a device was heard last, milliseconds.
    pub(crate) fn last_seen_ms(&self, device: DeviceId) -> Option<u64> {
        lock(&self.seen).get(&device).copied()
    }
}
