//! Every bed of the node, and what waits to be looked at or written down. Owns its locks, each held for as
//! long as a pure function of one bed runs: never across a disk, the ledger, a key or another lock.

use super::deadlines::Deadlines;
use super::leases::LeasePlan;
use super::monitored_patient::{Fresh, MonitoredPatient};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use vault::Entry;
use vitals::{DeviceId, PatientId};

/// Admitted envelopes that may wait for the live view; beyond that the oldest go into the record
/// only.
const FRESH_LEN_MAX: usize = 65_536;
/// Alarm events that may wait for the disk; beyond that the oldest are lost, and counted.
const UNWRITTEN_LEN_MAX: usize = 65_536;
/// Beds looked at under one hold of the lock.
pub(super) const BEDS_AT_ONCE: usize = 64;

/// Every bed of the node, and what waits to be looked at or written down.
#[derive(Default)]
pub(crate) struct Monitoring {
    beds: Mutex<MonitoredPatients>,
    arrivals: Mutex<Arrivals>,
    unwritten: Mutex<VecDeque<Entry>>,
    /// Alarm events that were given up because the disk did not take them for too long.
    unwritten_lost: AtomicU64,
    /// Envelopes read for beds before they were watched.
    read_back: AtomicU64,
    pub(super) plan: LeasePlan,
}

#[derive(Default)]
struct MonitoredPatients {
    by_patient: BTreeMap<PatientId, MonitoredPatient>,
    /// When each bed has something to do next by the mere passing of time.
    ticks: Deadlines,
    /// When an order to a bedside of the bed is to be sent next.
    sends: Deadlines,
    /// When what the bedsides hold is to be compared next with what they should.
    tends: Deadlines,
}

#[derive(Default)]
struct Arrivals {
    fresh: VecDeque<Fresh>,
    /// Patients in whose streams a second branch was seen since anybody looked.
    forked: BTreeSet<PatientId>,
}

impl MonitoredPatients {
    fn with<T>(
        &mut self,
        patient: PatientId,
        now_ms: u64,
        work: impl FnOnce(&mut MonitoredPatient) -> T,
    ) -> T {
        self.by_patient.entry(patient).or_insert_with(|| MonitoredPatient::new(patient, now_ms));
        self.of(patient, work).expect("made above")
    }

    /// Works on a bed, and updates its deadlines afterwards.
    fn of<T>(&mut self, patient: PatientId, work: impl FnOnce(&mut MonitoredPatient) -> T) -> Option<T> {
        let bed = self.by_patient.get_mut(&patient)?;
        let done = work(bed);
        self.ticks.set(patient, bed.next_due_ms());
        self.sends.set(patient, bed.orders.next_send_ms());
        self.tends.set(patient, bed.next_tend_ms());
        Some(done)
    }

    /// The beds of these deadlines that are due.
    fn due(&mut self, of: impl FnOnce(&mut Self) -> &mut Deadlines, now_ms: u64) -> Vec<PatientId> {
        of(self).due(now_ms).unwrap_or_else(|| self.by_patient.keys().copied().collect())
    }
}

impl Monitoring {
    pub(crate) fn new(plan: LeasePlan) -> Self {
        Self { plan, ..Self::default() }
    }

    /// Works on one bed, which is made if it is not there. `work` must be pure: it holds the lock.
    pub(crate) fn with<T>(
        &self,
        patient: PatientId,
        now_ms: u64,
        work: impl FnOnce(&mut MonitoredPatient) -> T,
    ) -> T {
        self.beds.lock().with(patient, now_ms, work)
    }

    /// The same for a bed that must be there.
    pub(crate) fn of<T>(
        &self,
        patient: PatientId,
        work: impl FnOnce(&mut MonitoredPatient) -> T,
    ) -> Option<T> {
        self.beds.lock().of(patient, work)
    }

    /// Something of every bed, in the order of patients.
    pub(crate) fn of_all<T>(
        &self,
        mut look: impl FnMut(PatientId, &MonitoredPatient) -> Option<T>,
    ) -> Vec<T> {
        self.beds.lock().by_patient.iter().filter_map(|(id, bed)| look(*id, bed)).collect()
    }

    /// Works on the beds that have something to do now.
    pub(super) fn with_due(&self, now_ms: u64, mut work: impl FnMut(PatientId, &mut MonitoredPatient)) {
        let due = self.beds.lock().due(|beds| &mut beds.ticks, now_ms);
        for some in due.chunks(BEDS_AT_ONCE) {
            let mut beds = self.beds.lock();
            for patient in some {
                beds.with(*patient, now_ms, |bed| work(*patient, bed));
            }
        }
    }

    /// When time alone will change something next, milliseconds; none while nothing can.
    pub(crate) fn next_due_ms(&self) -> Option<u64> {
        self.beds.lock().ticks.first_ms()
    }

    /// Beds with an order that is to be sent now.
    pub(crate) fn to_send(&self, now_ms: u64) -> Vec<PatientId> {
        self.beds.lock().due(|beds| &mut beds.sends, now_ms)
    }

    /// Beds whose bedsides may not hold what they should.
    pub(crate) fn to_tend(&self, now_ms: u64) -> Vec<PatientId> {
        self.beds.lock().due(|beds| &mut beds.tends, now_ms)
    }

    /// Takes what was admitted. Drops the oldest when too much waits, and gives how many were dropped.
    pub(super) fn arrived(&self, fresh: Vec<Fresh>) -> usize {
        let mut arrivals = self.arrivals.lock();
        arrivals.fresh.extend(fresh);
        let over = arrivals.fresh.len().saturating_sub(FRESH_LEN_MAX);
        arrivals.fresh.drain(..over).count()
    }

    /// A second branch of one of this patient's streams was refused.
    pub(crate) fn forked(&self, patient: PatientId) {
        self.arrivals.lock().forked.insert(patient);
    }

    pub(super) fn take_arrivals(&self) -> (Vec<PatientId>, Vec<Fresh>) {
        let mut arrivals = self.arrivals.lock();
        let Arrivals { fresh, forked } = core::mem::take(&mut *arrivals);
        (forked.into_iter().collect(), fresh.into())
    }

    /// Notes alarm events that are to be written into the record.
    pub(super) fn to_write(&self, entries: Vec<Entry>) {
        let mut unwritten = self.unwritten.lock();
        unwritten.extend(entries);
        let over = unwritten.len().saturating_sub(UNWRITTEN_LEN_MAX);
        unwritten.drain(..over);
        self.unwritten_lost.fetch_add(over as u64, Ordering::Relaxed);
    }

    /// Events that could not be written go back, before those that came meanwhile.
    pub(super) fn write_again(&self, entries: Vec<Entry>) {
        let mut unwritten = self.unwritten.lock();
        for entry in entries.into_iter().rev() {
            unwritten.push_front(entry);
        }
    }

    pub(super) fn take_unwritten(&self, most: usize) -> Vec<Entry> {
        let mut unwritten = self.unwritten.lock();
        let some = unwritten.len().min(most);
        unwritten.drain(..some).collect()
    }

    /// When a sensor of this patient was heard last, milliseconds, since this node started.
    pub(crate) fn last_heard_ms(&self, patient: PatientId, sensor: DeviceId) -> Option<u64> {
        self.of(patient, |bed| bed.heard_ms.get(&sensor).copied()).flatten()
    }

    pub(super) fn count_read_back(&self, envelopes: u64) {
        self.read_back.fetch_add(envelopes, Ordering::Relaxed);
    }

    /// Envelopes read for beds before they were watched, since this node started.
    pub(crate) fn read_back(&self) -> u64 {
        self.read_back.load(Ordering::Relaxed)
    }

    /// Alarm events that wait for the disk, and those that were given up.
    pub(crate) fn unwritten(&self) -> (usize, u64) {
        (self.unwritten.lock().len(), self.unwritten_lost.load(Ordering::Relaxed))
    }
}
