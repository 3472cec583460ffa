//! Monitoring: what was just admitted is opened under the patient's consent, watched for alarms, kept
//! for two hours and told to whoever may see it. A bed that is not watched is itself an alarm.
//!
//! # Who does what
//!
//! ```text
//! admission ─▶ arrivals ─▶ attend: opens (no lock) ─▶ beds (lock, pure) ─▶ events told ─▶ unwritten ─▶ write_alarm_events
//!                            ▲                          ▲                                                (fsync, no lock)
//!            lease of each bed                          └─ tick: only the beds that have a deadline now
//!                            │
//!                          keep_watch: asks the ledger, writes access entries in one group, reads back (no lock)
//! ```
//!
//! A node runs [`Clinic::attend`] and [`Clinic::tick`] on one thread, [`Clinic::keep_watch`] on a
//! second and [`Clinic::write_alarm_events`] on a third, so that neither a slow disk nor a slow ledger
//! is in the way of an alarm.
//!
//! # The lock
//!
//! [`Monitoring`] owns every bed. Its locks are taken in this file only, for as long as a pure function
//! of one bed runs: never across a disk, the ledger, a key or another lock.

mod actions;
pub(crate) mod alarms;
mod attend;
mod bed;
mod clocks;
mod commands;
mod gateways;
mod leases;
mod limits;
mod orders;
mod read_back;
pub(crate) mod recent;
mod unwatched;
mod writing;

pub use alarms::STALE_MS;
pub(crate) use bed::Bed;
pub use leases::ANNOUNCE_MS;
pub use leases::LeasePlan;
pub use limits::{LIMITS_FOR_MS_MAX, LIMITS_FOR_MS_MIN, LimitsOrder};
pub use orders::About;
pub use recent::RECENT_MS;
pub use unwatched::REASON_BYTES_MIN;

use crate::admit::Fresh;
use crate::clinic::{Clinic, FRESH_LEN_MAX, lock};
use crate::views::Equipment;
use attend::Effects;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use vault::Entry;
use vitals::PatientId;
use vitals::alarm::Condition;

/// Alarm events that may wait for the disk; beyond that the oldest are lost, and counted.
const UNWRITTEN_LEN_MAX: usize = 65_536;
/// Beds looked at under one hold of the lock.
const BEDS_AT_ONCE: usize = 64;

/// Every bed of the node, and what waits to be looked at or written down.
#[derive(Default)]
pub(crate) struct Monitoring {
    beds: Mutex<Beds>,
    arrivals: Mutex<Arrivals>,
    unwritten: Mutex<VecDeque<Entry>>,
    /// Alarm events that were given up because the disk did not take them for too long.
    unwritten_lost: AtomicU64,
    plan: LeasePlan,
}

#[derive(Default)]
struct Beds {
    by_patient: BTreeMap<PatientId, Bed>,
    /// When each bed has something to do next by the mere passing of time, ascending.
    due: BTreeSet<(u64, PatientId)>,
    /// The latest tick: a clock that goes back makes every bed look again.
    ticked_ms: u64,
}

#[derive(Default)]
struct Arrivals {
    fresh: VecDeque<Fresh>,
    /// Patients in whose streams a second branch was seen since anybody looked.
    forked: BTreeSet<PatientId>,
}

impl Beds {
    fn with<T>(&mut self, patient: PatientId, now_ms: u64, work: impl FnOnce(&mut Bed) -> T) -> T {
        let bed = self.by_patient.entry(patient).or_insert_with(|| Bed::new(patient, now_ms));
        let before = bed.due_ms;
        let done = work(bed);
        bed.due_ms = bed.next_due_ms();
        if bed.due_ms != before {
            if let Some(before_ms) = before {
                self.due.remove(&(before_ms, patient));
            }
            self.due.extend(bed.due_ms.map(|due_ms| (due_ms, patient)));
        }
        done
    }
}

impl Monitoring {
    pub(crate) fn new(plan: LeasePlan) -> Self {
        Self { plan, ..Self::default() }
    }

    /// Works on one bed, which is made if it is not there. `work` must be pure: it holds the lock.
    pub(crate) fn with<T>(&self, patient: PatientId, now_ms: u64, work: impl FnOnce(&mut Bed) -> T) -> T {
        lock(&self.beds).with(patient, now_ms, work)
    }

    /// The same for a bed that must be there.
    pub(crate) fn of<T>(
        &self,
        patient: PatientId,
        now_ms: u64,
        work: impl FnOnce(&mut Bed) -> T,
    ) -> Option<T> {
        let mut beds = lock(&self.beds);
        beds.by_patient.contains_key(&patient).then(|| beds.with(patient, now_ms, work))
    }

    /// Something of every bed, in the order of patients.
    pub(crate) fn of_all<T>(&self, mut look: impl FnMut(PatientId, &Bed) -> Option<T>) -> Vec<T> {
        lock(&self.beds).by_patient.iter().filter_map(|(id, bed)| look(*id, bed)).collect()
    }

    /// Works on the beds that have something to do now.
    fn with_due(&self, now_ms: u64, mut work: impl FnMut(PatientId, &mut Bed)) {
        let due: Vec<PatientId> = {
            let mut beds = lock(&self.beds);
            let back = now_ms < beds.ticked_ms;
            beds.ticked_ms = now_ms;
            if back {
                beds.by_patient.keys().copied().collect()
            } else {
                beds.due.range(..=(now_ms, PatientId([0xff; 16]))).map(|(_, patient)| *patient).collect()
            }
        };
        for some in due.chunks(BEDS_AT_ONCE) {
            let mut beds = lock(&self.beds);
            for patient in some {
                beds.with(*patient, now_ms, |bed| work(*patient, bed));
            }
        }
    }

    /// When time alone will change something next, milliseconds; none while nothing can.
    pub(crate) fn next_due_ms(&self) -> Option<u64> {
        lock(&self.beds).due.first().map(|(due_ms, _)| *due_ms)
    }

    /// Takes what was admitted; the oldest is let go when too much waits. Gives how many were.
    fn arrived(&self, fresh: Vec<Fresh>) -> usize {
        let mut arrivals = lock(&self.arrivals);
        arrivals.fresh.extend(fresh);
        let over = arrivals.fresh.len().saturating_sub(FRESH_LEN_MAX);
        arrivals.fresh.drain(..over).count()
    }

    /// A second branch of one of this patient's streams was refused.
    pub(crate) fn forked(&self, patient: PatientId) {
        lock(&self.arrivals).forked.insert(patient);
    }

    fn take_arrivals(&self) -> (Vec<PatientId>, Vec<Fresh>) {
        let mut arrivals = lock(&self.arrivals);
        let Arrivals { fresh, forked } = core::mem::take(&mut *arrivals);
        (forked.into_iter().collect(), fresh.into())
    }

    /// Notes alarm events that are to be written into the record.
    fn to_write(&self, entries: Vec<Entry>) {
        let mut unwritten = lock(&self.unwritten);
        unwritten.extend(entries);
        let over = unwritten.len().saturating_sub(UNWRITTEN_LEN_MAX);
        unwritten.drain(..over);
        self.unwritten_lost.fetch_add(over as u64, Ordering::Relaxed);
    }

    /// Events that could not be written go back, before those that came meanwhile.
    fn write_again(&self, entries: Vec<Entry>) {
        let mut unwritten = lock(&self.unwritten);
        for entry in entries.into_iter().rev() {
            unwritten.push_front(entry);
        }
    }

    fn take_unwritten(&self, most: usize) -> Vec<Entry> {
        let mut unwritten = lock(&self.unwritten);
        let some = unwritten.len().min(most);
        unwritten.drain(..some).collect()
    }

    /// Alarm events that wait for the disk, and those that were given up.
    pub(crate) fn unwritten(&self) -> (usize, u64) {
        (lock(&self.unwritten).len(), self.unwritten_lost.load(Ordering::Relaxed))
    }
}

impl Clinic {
    /// Works on one bed that is there, whatever the time. Pure: it holds the lock.
    fn with_bed<T>(&self, patient: PatientId, work: impl FnOnce(&mut Bed) -> T) -> Option<T> {
        lock(&self.monitoring.beds).by_patient.get_mut(&patient).map(work)
    }

    /// The same for every bed.
    fn each_bed(&self, mut work: impl FnMut(PatientId, &mut Bed)) {
        let mut beds = lock(&self.monitoring.beds);
        beds.by_patient.iter_mut().for_each(|(patient, bed)| work(*patient, bed));
    }

    /// Time passes for the beds that have something to do now: data goes stale, unanswered alarms
    /// escalate, leases and consents end. Costs what changed, whatever the number of beds.
    pub(crate) fn tick_beds(&self, now_ms: u64) {
        let mut effects = Effects::default();
        self.monitoring.with_due(now_ms, |patient, bed| {
            let before = bed.unwatched();
            let noticed = bed.tick(now_ms);
            if bed.unwatched() != before {
                effects.watching(patient, bed);
            }
            effects.noticed(patient, bed, noticed);
        });
        self.conclude(effects, now_ms);
    }

    /// When time alone will change something for a bed next, milliseconds: nothing has to be ticked
    /// before. None while only an arrival, a person or the ledger can change anything.
    #[must_use]
    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.monitoring.next_due_ms()
    }

    /// What is wrong with streams and clocks now, patient by patient: for reports and operators.
    #[must_use]
    pub fn equipment(&self) -> Vec<Equipment> {
        self.monitoring.of_all(|patient, bed| {
            let row = Equipment {
                patient,
                missing: bed.missing.values().cloned().collect(),
                clock_off_ms: bed.clock_off_ms(),
                two_hands_since_ms: bed.bedside.open_since_ms(Condition::Equivocation),
            };
            let told =
                !row.missing.is_empty() || row.clock_off_ms.is_some() || row.two_hands_since_ms.is_some();
            told.then_some(row)
        })
    }

    /// The same as figures, with what is not watched and not written, for the counters.
    pub(crate) fn count_beds(&self) {
        let rows = self.equipment();
        let leaps: u64 = self.monitoring.of_all(|_, bed| Some(bed.clock_leaps())).into_iter().sum();
        let unwatched = self.monitoring.of_all(|_, bed| bed.is_alarming_unwatched().then_some(()));
        let (unwritten, lost) = self.monitoring.unwritten();
        let mut stats = lock(&self.stats);
        let counters = &mut stats.counters;
        counters.missing_now = rows.iter().flat_map(|row| &row.missing).map(|missing| missing.count).sum();
        counters.clocks_wrong_now = rows.iter().filter(|row| row.clock_off_ms.is_some()).count() as u64;
        counters.two_hands_now = rows.iter().filter(|row| row.two_hands_since_ms.is_some()).count() as u64;
        counters.clock_leaps = leaps;
        counters.unwatched_now = unwatched.len() as u64;
        counters.alarm_events_unwritten_now = unwritten as u64;
        counters.alarm_events_lost = lost;
    }
}
