//! Time passes for beds, and what is wrong with them now is counted.

use super::attend::Effects;
use super::views::Equipment;
use crate::clinic::Clinic;
use crate::stats::Unanswered;
use std::collections::BTreeMap;
use vitals::alarm::Condition;

impl Clinic {
    /// Time passes for the beds that have something to do now: data goes stale, unanswered alarms
    /// escalate, leases and consents end. Costs what changed, whatever the number of beds.
    pub(crate) fn tick_beds(&self, now_ms: u64) {
        let mut effects = Effects::default();
        self.monitoring.with_due(now_ms, |patient, bed| {
            let before = bed.unwatched();
            let changes = bed.tick(now_ms);
            if bed.unwatched() != before {
                effects.watching(patient, bed);
            }
            effects.changes(patient, bed, changes);
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
                forked_since_ms: bed.alarms.open_since_ms(Condition::Equivocation),
            };
            let told = !row.missing.is_empty() || row.clock_off_ms.is_some() || row.forked_since_ms.is_some();
            told.then_some(row)
        })
    }

    /// The same as figures, with what is not watched and not written, for the counters.
    pub(crate) fn count_beds(&self) {
        let rows = self.equipment();
        let leaps: u64 = self.monitoring.of_all(|_, bed| Some(bed.clock_leaps())).into_iter().sum();
        let unwatched = self.monitoring.of_all(|_, bed| bed.is_alarming_unwatched().then_some(()));
        let (unwritten, lost) = self.monitoring.unwritten();
        let mut unanswered: BTreeMap<&'static str, Unanswered> = BTreeMap::new();
        for (priority, since_ms) in
            self.monitoring.of_all(|_, bed| Some(bed.unanswered())).into_iter().flatten()
        {
            let one = unanswered.entry(priority.word()).or_insert(Unanswered { count: 0, since_ms });
            one.count += 1;
            one.since_ms = one.since_ms.min(since_ms);
        }
        let consent_ends_first_ms = self.monitoring.of_all(|_, bed| bed.watching.ends_ms()).into_iter().min();
        self.stats.count(|counters| {
            counters.missing_now =
                rows.iter().flat_map(|row| &row.missing).map(|missing| missing.count).sum();
            counters.clocks_wrong_now = rows.iter().filter(|row| row.clock_off_ms.is_some()).count() as u64;
            counters.forked_streams_now =
                rows.iter().filter(|row| row.forked_since_ms.is_some()).count() as u64;
            counters.clock_leaps = leaps;
            counters.unwatched_now = unwatched.len() as u64;
            counters.unanswered_now = unanswered;
            counters.consent_ends_first_ms = consent_ends_first_ms;
            counters.alarm_events_unwritten_now = unwritten as u64;
            counters.alarm_events_lost = lost;
        });
    }
}
