//! Forty days of a ward on a moved clock: no second of a bed that is neither watched nor alarmed.
//!
//! The observer shares no code with the engine. It knows what the devices sent and what the people did;
//! it sees what open pages are told and what stands on the disk; and it says what was missed. Three
//! planted faults (no renewals, no announcements, no spreading of renewals) must make it complain.

use clinic::Clinic;
use clinic::LeasePlan;
use clinic::views::{AlarmPhase, LiveEvent};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::iter::Peekable;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::vec::IntoIter;
use testward::{Gateway, NOON_MS, Ward, entropy};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;
use vitals::PatientId;
use vitals::alarm::Condition;
use vitals::ids::{Class, StreamId};
use vitals::ledger::{Ledger as _, Purpose};

pub(super) const MINUTE_MS: u64 = 60_000;
pub(super) const HOUR_MS: u64 = 60 * MINUTE_MS;
pub(super) const DAY_MS: u64 = 24 * HOUR_MS;
/// An end must have been announced so long before it.
const NOTICE_MS: u64 = 2 * DAY_MS;
/// Blocks whose acts the ledger keeps.
const BLOCKS_KEPT: u64 = 256;
/// More beds than this must not be renewed in one minute.
const RENEWED_AT_ONCE_MAX: usize = 3;

/// What the observer knows of one bed.
#[derive(Default)]
struct ObservedBed {
    /// The newest reading that a page was told.
    told_ms: u64,
    /// Is the alarm about nobody watching open?
    alarmed: bool,
    /// Since when an end is announced.
    announced_ms: Option<u64>,
    /// Consents to monitoring as the patient gave them: from, until; cut short by a withdrawal.
    consents: Vec<(u64, u64)>,
}

impl ObservedBed {
    fn consented(&self, at_ms: u64) -> bool {
        self.consents.iter().any(|(from_ms, until_ms)| (*from_ms..*until_ms).contains(&at_ms))
    }
}

struct Observer {
    events: Receiver<Arc<LiveEvent>>,
    beds: BTreeMap<PatientId, ObservedBed>,
    /// While the disk is full, leases may run out: then an alarm is right, and silence is not.
    disk_full: bool,
    complaints: BTreeSet<String>,
}

impl Observer {
    fn complain(&mut self, what: String) {
        if self.complaints.len() < 20 {
            self.complaints.insert(what);
        }
    }

    /// Reads what open pages are told.
    fn listen(&mut self, now_ms: u64) {
        loop {
            let event = match self.events.try_recv() {
                Ok(event) => event,
                Err(TryRecvError::Lagged(_)) => {
                    self.complain("the observer was told too much at once".into());
                    continue;
                }
                Err(_) => return,
            };
            match &*event {
                LiveEvent::Readings { patient, readings, .. } => {
                    let newest_ms = readings.iter().map(|reading| reading.at_ms).max().unwrap_or(0);
                    let bed = self.beds.entry(*patient).or_default();
                    bed.told_ms = bed.told_ms.max(newest_ms);
                }
                LiveEvent::Watching { patient, unwatched } => {
                    let bed = self.beds.entry(*patient).or_default();
                    bed.alarmed = unwatched.as_ref().is_some_and(|bed| bed.alarm.is_some());
                }
                LiveEvent::Alarm(view) if view.condition == Condition::WatchEnding => {
                    let bed = self.beds.entry(view.patient).or_default();
                    // Since when it stands, not when it was repeated last.
                    match view.phase {
                        AlarmPhase::Active => drop(bed.announced_ms.get_or_insert(now_ms)),
                        AlarmPhase::Closed => bed.announced_ms = None,
                        _ => {}
                    }
                }
                _ => {}
            }
        }
    }

    /// The node has started again: open pages are told from here on.
    fn starts_again(&mut self, ward: &Ward) {
        self.events = ward.clinic.observer().events();
        for (patient, bed) in &mut self.beds {
            let open = |condition| ward.clinic.observer().open_since_ms(*patient, condition);
            bed.alarmed = open(Condition::Unwatched).is_some();
            bed.announced_ms = bed.announced_ms.or(open(Condition::WatchEnding));
        }
    }

    /// A bed sent a reading at this very moment: either it was seen, or somebody is called.
    fn sent(&mut self, patient: PatientId, now_ms: u64) {
        let bed = &self.beds[&patient];
        let (seen, alarmed, consented) = (bed.told_ms >= now_ms, bed.alarmed, bed.consented(now_ms));
        let day = now_ms / DAY_MS;
        if !seen && !alarmed {
            self.complain(format!("day {day}: a bed was neither watched nor alarmed"));
        }
        if seen && alarmed {
            self.complain(format!("day {day}: a bed was watched and called unwatched"));
        }
        if seen && !consented {
            self.complain(format!("day {day}: a bed was watched without consent"));
        }
        if alarmed && consented && !self.disk_full {
            self.complain(format!("day {day}: a bed with a consent was not watched, for no reason"));
        }
    }

    /// A consent ran out now: that had to be announced.
    fn ended(&mut self, patient: PatientId, until_ms: u64) {
        let announced = self.beds[&patient].announced_ms;
        if announced.is_none_or(|at_ms| at_ms + NOTICE_MS > until_ms) {
            self.complain("an end of watching was not announced days before".into());
        }
    }
}

/// When access entries were written for each bed, to the minute: from the disk.
fn renewals(ward: &Ward, patients: &[PatientId]) -> BTreeMap<u64, usize> {
    let author = ward.clinic.vault().author();
    let mut at: BTreeMap<u64, usize> = BTreeMap::new();
    for patient in patients {
        let stream = StreamId::of(ward.clinic.genesis(), author, *patient, Class::Access);
        let store = ward.clinic.store();
        let last = store.head(stream).map_or(0, |head| head.last_seq);
        for located in (0..=last).filter_map(|seq| store.locate(stream, seq)) {
            *at.entry(located.first_ms / MINUTE_MS).or_default() += 1;
        }
    }
    at
}

/// What a patient does, and when, in hours from the start.
pub(super) enum Step {
    Withdraw,
    LetWatch { days: u64 },
    DiskFull(bool),
}

/// Patients by number: some let it end, some renew in time or late, some withdraw and come back; one
/// night the disk is full.
fn script(beds: usize) -> Vec<(u64, usize, Step)> {
    let mut steps = Vec::new();
    for bed in 0..beds {
        match bed % 4 {
            0 => steps.push((27 * 24 + 5, bed, Step::LetWatch { days: 30 })),
            1 => steps.push((31 * 24 + 7, bed, Step::LetWatch { days: 20 })),
            2 => {
                steps.push((9 * 24 + 3, bed, Step::Withdraw));
                steps.push((10 * 24 + 9, bed, Step::LetWatch { days: 25 }));
            }
            _ => {}
        }
    }
    steps.push((20 * 24, 0, Step::DiskFull(true)));
    steps.push((20 * 24 + 10, 0, Step::DiskFull(false)));
    steps.sort_by_key(|(hour, ..)| *hour);
    steps
}

/// A few days: each patient withdraws, comes back for four days, and lets that end.
fn short(beds: usize) -> Vec<(u64, usize, Step)> {
    let withdraw = (0..beds).map(|bed| (5, bed, Step::Withdraw));
    let come_back = (0..beds).map(|bed| (6 + bed as u64, bed, Step::LetWatch { days: 4 }));
    withdraw.chain(come_back).collect()
}

/// How thin a story is told.
#[derive(Clone, Copy)]
pub(super) struct Thin {
    /// The ledger makes a block this often, milliseconds.
    pub(super) block_ms: u64,
    /// Each bed sends this often, milliseconds.
    pub(super) every_ms: u64,
    /// And every second so long before and after a renewal or an expiry.
    pub(super) around_ms: u64,
}

/// A story of some beds.
pub(super) struct Story {
    pub(super) beds: usize,
    pub(super) days: u64,
    pub(super) plan: LeasePlan,
    pub(super) steps: Vec<(u64, usize, Step)>,
    pub(super) thin: Thin,
    /// The node stops and starts again at these hours, every second time without having written what waited.
    pub(super) restarts: BTreeSet<u64>,
}

/// One look at everything.
#[derive(Clone, Copy)]
pub(super) struct Tick {
    /// How long it took, nanoseconds.
    pub(super) took_ns: u64,
    /// Questions to the ledger about consents: some in the tick after a block, none in most others.
    pub(super) asked: u64,
}

/// What was done on one day.
#[derive(Default)]
pub(super) struct Work {
    pub(super) ticks: Vec<Tick>,
}

/// A start of the node.
#[derive(Clone, Copy)]
pub(super) struct Start {
    /// How long it took until the beds were watched, milliseconds.
    pub(super) took_ms: u64,
    /// Envelopes that were read and opened for that.
    pub(super) read: u64,
}

/// How a story went.
pub(super) struct Told {
    pub(super) complaints: BTreeSet<String>,
    pub(super) starts: Vec<Start>,
    /// By day.
    pub(super) work: Vec<Work>,
    /// Envelopes in the record at the end.
    pub(super) envelopes: u64,
}

/// A story that was told up to some hour, and may go on.
pub(super) struct Telling {
    ward: Ward,
    gateway: Gateway,
    observer: Observer,
    names: Vec<String>,
    patients: Vec<PatientId>,
    thin: Thin,
    steps: Peekable<IntoIter<(u64, usize, Step)>>,
    restarts: VecDeque<u64>,
    /// When each consent ends.
    expiries: BTreeSet<(u64, usize)>,
    /// Hours in which many leases may be made at once.
    together: BTreeSet<u64>,
    /// What every bed does next.
    next_ms: Vec<u64>,
    block_ms: u64,
    start_ms: u64,
    work: Vec<Work>,
    starts: Vec<Start>,
}

/// Tells a story from beginning to end; gives the complaints.
pub(super) fn told(story: Story) -> Told {
    let days = story.days;
    Telling::begin(story).until(24 * days).end()
}

impl Telling {
    pub(super) fn begin(story: Story) -> Self {
        let Story { beds, days, plan, steps, thin, restarts } = story;
        // In memory, where the machine has such a folder: syncs cost nothing there.
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let mut ward = Ward::in_folder(folder.unwrap(), |vault, store, ledger| {
            Clinic::open_planned(vault, store, ledger, entropy("clinic"), plan, NOON_MS).unwrap()
        });
        let names: Vec<String> = (0..beds).map(|n| format!("patient {n}")).collect();
        let patients: Vec<PatientId> = names.iter().map(|name| ward.patient(name)).collect();
        ward.block();
        let gateway = ward.gateway(1, &patients);
        let start_ms = ward.now_ms;
        let mut observer = Observer {
            events: ward.clinic.observer().events(),
            beds: BTreeMap::new(),
            disk_full: false,
            complaints: BTreeSet::new(),
        };
        for patient in &patients {
            let bed = observer.beds.entry(*patient).or_default();
            bed.consents.push((start_ms - 1, start_ms + 30 * DAY_MS));
        }
        Self {
            ward,
            gateway,
            observer,
            names,
            patients,
            thin,
            together: steps.iter().map(|(hour, ..)| *hour).chain(restarts.iter().copied()).collect(),
            steps: steps.into_iter().peekable(),
            restarts: restarts.into_iter().collect(),
            expiries: (0..beds).map(|bed| (start_ms + 30 * DAY_MS, bed)).collect(),
            next_ms: (0..beds).map(|bed| start_ms + 1_000 + 700 * bed as u64).collect(),
            block_ms: start_ms,
            start_ms,
            work: (0..=days).map(|_| Work::default()).collect(),
            starts: Vec::new(),
        }
    }

    /// Goes on until this hour from the start.
    #[allow(clippy::disallowed_methods, reason = "what a tick takes is measured")]
    pub(super) fn until(mut self, hour: u64) -> Self {
        let end_ms = self.start_ms + hour * HOUR_MS;
        while self.ward.now_ms < end_ms {
            let step_ms = self.steps.peek().map_or(u64::MAX, |(hour, ..)| self.start_ms + hour * HOUR_MS);
            let expiry_ms = self.expiries.first().map_or(u64::MAX, |(at_ms, _)| *at_ms);
            let deadline_ms =
                self.ward.clinic.next_deadline_ms().unwrap_or(u64::MAX).max(self.ward.now_ms + 1);
            let sends_ms = self.next_ms.iter().min().copied().unwrap_or(u64::MAX);
            let restart_ms = self.restarts.front().map_or(u64::MAX, |hour| self.start_ms + hour * HOUR_MS);
            self.ward.now_ms =
                step_ms.min(restart_ms).min(expiry_ms).min(deadline_ms).min(sends_ms).max(self.ward.now_ms);
            let now_ms = self.ward.now_ms;
            if now_ms >= self.block_ms + self.thin.block_ms {
                self.block_ms = now_ms;
                self.ward.ledger.block(now_ms);
                // As a node does: of the acts of past blocks nothing is left.
                self.ward.ledger.prune(self.ward.ledger.tip().height.saturating_sub(BLOCKS_KEPT));
                // The recorder is late by up to as long, and nobody notices.
                self.ward.clinic.write_alarm_events(now_ms);
            }
            if now_ms >= restart_ms {
                self.restarts.pop_front();
                self = self.restarted();
            }
            while self.steps.peek().is_some_and(|(hour, ..)| self.start_ms + hour * HOUR_MS <= now_ms) {
                let (_, bed, step) = self.steps.next().unwrap();
                act(
                    &mut self.ward,
                    &mut self.observer,
                    &self.names[bed],
                    self.patients[bed],
                    &step,
                    &mut self.expiries,
                    bed,
                );
                self.block_ms = now_ms;
            }
            let now_ms = self.ward.now_ms;
            while self.expiries.first().is_some_and(|(at_ms, _)| *at_ms <= now_ms) {
                let (until_ms, bed) = self.expiries.pop_first().unwrap();
                self.observer.ended(self.patients[bed], until_ms);
            }
            let (asked, began) = (self.ward.ledger.grants_asked(), std::time::Instant::now());
            self.ward.clinic.keep_watch(now_ms);
            self.ward.clinic.watch_beds(now_ms);
            self.ward.clinic.tend_ledger(now_ms);
            let took_ns = u64::try_from(began.elapsed().as_nanos()).unwrap();
            let asked = self.ward.ledger.grants_asked() - asked;
            let day = usize::try_from((now_ms - self.start_ms) / DAY_MS).unwrap().min(self.work.len() - 1);
            let today = &mut self.work[day];
            today.ticks.push(Tick { took_ns, asked });
            self.observer.listen(now_ms);
            let around = around(&self.ward, &self.patients, &self.expiries, self.thin.around_ms, now_ms);
            send(
                &mut self.ward,
                &mut self.gateway,
                &mut self.observer,
                &self.patients,
                &mut self.next_ms,
                &around,
                self.thin,
            );
        }
        self
    }

    /// The node stops and starts again, every second time without having written what waited.
    #[allow(clippy::disallowed_methods, reason = "what a start takes is measured")]
    pub(super) fn restarted(mut self) -> Self {
        let began = std::time::Instant::now();
        self.ward =
            if self.restarts.len().is_multiple_of(2) { self.ward.reopened() } else { self.ward.killed() };
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap();
        // Every bed begins anew.
        self.together.insert(hour_of(self.ward.now_ms / MINUTE_MS, self.start_ms));
        self.starts.push(Start { took_ms, read: self.ward.clinic.observer().read_back() });
        self.observer.starts_again(&self.ward);
        self
    }

    /// The last judgement of the observer, and what was counted.
    pub(super) fn end(self) -> Told {
        let Self { ward, mut observer, patients, together, start_ms, work, starts: told, .. } = self;
        let envelopes = ward.clinic.store().size();
        let starts = BTreeSet::from([start_ms / MINUTE_MS, start_ms / MINUTE_MS + 1]);
        let most = renewals(&ward, &patients)
            .into_iter()
            .filter(|(minute, _)| !starts.contains(minute))
            // Whoever comes back after a full disk or with a consent of the same hour begins together.
            .filter(|(minute, _)| !together.contains(&hour_of(*minute, start_ms)))
            .map(|(minute, count)| (count, minute))
            .max();
        if most.is_some_and(|(count, _)| count > RENEWED_AT_ONCE_MAX) {
            let (count, minute) = most.unwrap_or_default();
            let hour = hour_of(minute, start_ms);
            observer.complain(format!("{count} leases were renewed in one minute of hour {hour}"));
        }
        Told { complaints: observer.complaints, starts: told, work, envelopes }
    }
}

/// The hour of the story in which a minute of the clock lies.
fn hour_of(minute: u64, start_ms: u64) -> u64 {
    (minute * MINUTE_MS).saturating_sub(start_ms.saturating_sub(MINUTE_MS)) / HOUR_MS
}

fn act(
    ward: &mut Ward,
    observer: &mut Observer,
    name: &str,
    patient: PatientId,
    step: &Step,
    expiries: &mut BTreeSet<(u64, usize)>,
    bed: usize,
) {
    let now_ms = ward.now_ms;
    // Nobody signs anything on an old view of the ledger.
    ward.ledger.block(now_ms);
    let session = || ward.clinic.sign_in(name, "a secret word", now_ms).unwrap().1;
    match step {
        Step::DiskFull(full) => {
            ward.switches.full.store(*full, Ordering::SeqCst);
            observer.disk_full = *full;
        }
        Step::Withdraw => {
            let own = session();
            let grants = ward.clinic.own_consents(&own, now_ms).unwrap();
            let monitoring = grants.iter().find(|grant| grant.purpose == Purpose::Monitoring).unwrap();
            ward.clinic.revoke_grant(&own, monitoring.grant, now_ms).unwrap();
            ward.ledger.block(now_ms);
            let seen = observer.beds.get_mut(&patient).unwrap();
            seen.consents.iter_mut().for_each(|(_, until_ms)| *until_ms = now_ms.min(*until_ms));
            expiries.retain(|(_, of)| *of != bed);
            // The alarm waits a second for another consent.
            ward.clinic.tick(now_ms);
            ward.now_ms += 1_000;
        }
        Step::LetWatch { days } => {
            ward.clinic.let_ward_watch(&session(), days * DAY_MS, now_ms).unwrap();
            ward.ledger.block(now_ms);
            ward.clinic.tick(now_ms);
            // Asked again when the ledger moved.
            ward.now_ms += 1_000;
            ward.clinic.tick(ward.now_ms);
            let seen = observer.beds.get_mut(&patient).unwrap();
            seen.consents.push((now_ms, now_ms + days * DAY_MS));
            expiries.retain(|(_, of)| *of != bed);
            let until_ms = seen.consents.iter().map(|(_, until_ms)| *until_ms).max().unwrap();
            expiries.insert((until_ms, bed));
        }
    }
}

/// Beds whose lease or consent changes about now.
fn around(
    ward: &Ward,
    patients: &[PatientId],
    expiries: &BTreeSet<(u64, usize)>,
    around_ms: u64,
    now_ms: u64,
) -> BTreeSet<usize> {
    let renews = ward.clinic.observer().renewals();
    let near = |at_ms: u64| at_ms.abs_diff(now_ms) <= around_ms;
    let renewing = renews.into_iter().filter(|(_, at_ms)| near(*at_ms));
    let renewing = renewing.filter_map(|(patient, _)| patients.iter().position(|p| *p == patient));
    let ending = expiries.iter().filter(|(at_ms, _)| near(*at_ms)).map(|(_, bed)| *bed);
    renewing.chain(ending).collect()
}

/// Everybody whose time has come sends one envelope, in one group.
fn send(
    ward: &mut Ward,
    gateway: &mut Gateway,
    observer: &mut Observer,
    patients: &[PatientId],
    next_ms: &mut [u64],
    around: &BTreeSet<usize>,
    thin: Thin,
) {
    let now_ms = ward.now_ms;
    let mut senders = Vec::new();
    for (bed, next_ms) in next_ms.iter_mut().enumerate() {
        let every_ms = if around.contains(&bed) { 1_000 } else { thin.every_ms };
        *next_ms = (*next_ms).min(now_ms + every_ms);
        if *next_ms <= now_ms {
            *next_ms = now_ms + every_ms;
            senders.push(bed);
        }
    }
    // A full disk takes nothing: there is nothing to be seen, and the data waits at the bedside.
    if senders.is_empty() || observer.disk_full {
        return;
    }
    let from = gateway.id();
    let bytes: Vec<Vec<u8>> = senders.iter().map(|bed| gateway.sensors[*bed].pulse(720, now_ms)).collect();
    ward.carry(from, &bytes);
    observer.listen(now_ms);
    for bed in senders {
        observer.sent(patients[bed], now_ms);
    }
}

/// Every five minutes, and all of ten minutes around whatever changes; a block an hour.
const USUAL: Thin = Thin { block_ms: HOUR_MS, every_ms: 5 * MINUTE_MS, around_ms: 5 * MINUTE_MS };

fn complaints(beds: usize, days: u64, plan: LeasePlan, steps: Vec<(u64, usize, Step)>) -> BTreeSet<String> {
    told(Story { beds, days, plan, steps, thin: USUAL, restarts: BTreeSet::new() }).complaints
}

fn told_rightly() -> BTreeSet<String> {
    complaints(5, 6, LeasePlan::default(), short(5))
}

#[test]
fn every_second_of_forty_days_is_watched_or_alarmed() {
    // Two halves of the ward side by side.
    let halves = [10, 10]
        .map(|beds| std::thread::spawn(move || complaints(beds, 40, LeasePlan::default(), script(beds))));
    for half in halves {
        let complaints = half.join().unwrap();
        assert!(complaints.is_empty(), "{complaints:#?}");
    }
}

#[test]
fn the_observer_misses_no_planted_fault() {
    let right = LeasePlan::default();
    let faults = [
        ("no renewals", LeasePlan { renews: false, ..right }, "for no reason", 3),
        ("no announcements", LeasePlan { announces: false, ..right }, "not announced", 6),
        ("no spreading", LeasePlan { spreads: false, ..right }, "in one minute", 3),
    ];
    let script = |days: u64| if days == 6 { short(5) } else { Vec::new() };
    let told = faults.map(|(name, plan, complaint, days)| {
        std::thread::spawn(move || (name, complaint, complaints(5, days, plan, script(days))))
    });
    for one in told {
        let (name, complaint, complaints) = one.join().unwrap();
        assert!(complaints.iter().any(|text| text.contains(complaint)), "{name}: {complaints:#?}");
    }
    let none = told_rightly();
    assert!(none.is_empty(), "without a fault the same stories are fine: {none:#?}");
}
