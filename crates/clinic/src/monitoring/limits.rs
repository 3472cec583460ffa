//! One patient's limits over time: those in force, and those that come back when a change for a while is
//! over.

use super::views::{LimitsBack, TemporaryLimits};
use std::collections::BTreeMap;
use vitals::PersonId;
use vitals::alarm::Limits;
use vitals::body::{LimitsChange, LimitsChangeDetails};
use vitals::metric::Metric;

/// Longest time for which an alarm may be off, or limits may be changed for a while.
pub const LIMITS_FOR_MS_MAX: u64 = 12 * 3_600_000;
/// Shortest.
pub const LIMITS_FOR_MS_MIN: u64 = 60_000;
/// How long a bed tells that limits came back.
const TOLD_BACK_MS: u64 = 15 * 60_000;
/// Why limits come back, in the record.
const OVER: &str = "the time of the change was over";
/// Written by the machine.
const NOBODY: PersonId = PersonId([0; 32]);

/// What a clinician asks for.
#[derive(Clone, PartialEq, Eq)]
pub struct LimitsOrder {
    /// The limits from now on.
    pub limits: Limits,
    /// Why.
    pub reason: String,
    /// For how long; until they are changed again if none is said. Required where an alarm is turned off.
    pub for_ms: Option<u64>,
}

impl core::fmt::Debug for LimitsOrder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("LimitsOrder").field("limits", &self.limits).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Temporary {
    since_ms: u64,
    until_ms: u64,
    /// The limits that stood without an end.
    back: Limits,
    name: String,
    reason: String,
}

/// The limits of one patient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PatientLimits {
    now: BTreeMap<Metric, Limits>,
    temporary: BTreeMap<Metric, Temporary>,
    /// When limits came back by themselves.
    back_ms: BTreeMap<Metric, u64>,
}

impl PatientLimits {
    /// An adult's, until somebody changes them.
    pub(crate) fn adult() -> Self {
        let now = Metric::ALL.iter().filter_map(|m| Some((*m, Limits::adult(*m)?))).collect();
        Self { now, temporary: BTreeMap::new(), back_ms: BTreeMap::new() }
    }

    /// Those of a metric that are in force.
    pub(crate) fn of(&self, metric: Metric) -> Option<&Limits> {
        self.now.get(&metric)
    }

    /// All that are in force.
    pub(crate) fn all(&self) -> Vec<Limits> {
        self.now.values().copied().collect()
    }

    /// A change that stands in the record, in the order in which they were made; doing all of them again
    /// gives the same.
    pub(crate) fn apply(&mut self, change: &LimitsChange, name: &str) {
        let metric = change.limits.metric;
        match (change.until_ms(), &change.details) {
            (Some(until_ms), Some(details)) => {
                let standing = self.temporary.get(&metric).map(|temporary| temporary.back);
                let back = standing.or_else(|| self.now.get(&metric).copied()).unwrap_or(details.before);
                let temporary = Temporary {
                    since_ms: change.at_ms,
                    until_ms,
                    back,
                    name: name.into(),
                    reason: details.reason.clone(),
                };
                self.temporary.insert(metric, temporary);
                self.back_ms.remove(&metric);
            }
            _ => {
                let over = self.temporary.remove(&metric).is_some() && change.by == NOBODY;
                if over {
                    self.back_ms.insert(metric, change.at_ms);
                } else {
                    self.back_ms.remove(&metric);
                }
            }
        }
        self.now.insert(metric, change.limits);
    }

    /// When limits come back next, milliseconds.
    pub(crate) fn next_due_ms(&self) -> Option<u64> {
        self.temporary.values().map(|temporary| temporary.until_ms).min()
    }

    /// Lets limits come back whose time has come. Each is a change, to be recorded and told.
    pub(crate) fn expire(&mut self, now_ms: u64) -> Vec<LimitsChange> {
        // One from times to come was made before the clock was set back: it would last too long.
        let is_over = |it: &Temporary| now_ms >= it.until_ms || now_ms + LIMITS_FOR_MS_MIN < it.since_ms;
        let over = self.temporary.iter().filter(|(_, temporary)| is_over(temporary));
        let changes: Vec<LimitsChange> = over
            .filter_map(|(metric, temporary)| {
                let before = *self.now.get(metric)?;
                let details = LimitsChangeDetails { before, reason: OVER.into(), until_ms: None };
                Some(LimitsChange {
                    at_ms: now_ms,
                    by: NOBODY,
                    limits: temporary.back,
                    details: Some(details),
                })
            })
            .collect();
        changes.iter().for_each(|change| self.apply(change, ""));
        changes
    }

    /// The limits that stand without an end, of a metric whose limits are changed for a while.
    pub(crate) fn standing(&self, metric: Metric) -> Option<Limits> {
        self.temporary.get(&metric).map(|temporary| temporary.back)
    }

    /// Those that are changed for a while.
    pub(crate) fn temporary(&self) -> Vec<TemporaryLimits> {
        let view = |(metric, temporary): (&Metric, &Temporary)| {
            let limits = self.now.get(metric)?;
            Some(TemporaryLimits {
                metric: *metric,
                off: limits.turned_off().collect(),
                by: temporary.name.clone(),
                reason: temporary.reason.clone(),
                since_ms: temporary.since_ms,
                until_ms: temporary.until_ms,
                back: temporary.back,
            })
        };
        self.temporary.iter().filter_map(view).collect()
    }

    /// Those that came back by themselves a short while ago.
    pub(crate) fn came_back(&self, now_ms: u64) -> Vec<LimitsBack> {
        let lately = |(_, at_ms): &(&Metric, &u64)| now_ms.saturating_sub(**at_ms) < TOLD_BACK_MS;
        let view = |(metric, at_ms): (&Metric, &u64)| LimitsBack { metric: *metric, at_ms: *at_ms };
        self.back_ms.iter().filter(lately).map(view).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use vitals::alarm::Side;

    const HOUR_MS: u64 = 3_600_000;

    fn usual() -> Limits {
        Limits::adult(Metric::HeartRate).expect("the heart rate has limits")
    }

    fn high_from(tenths: i32) -> Limits {
        Limits { above: [None, None, Some(tenths)], ..usual() }
    }

    fn off() -> Limits {
        Limits { above: [None; 3], ..usual() }
    }

    fn change(at_ms: u64, limits: Limits, before: Limits, until_ms: Option<u64>) -> LimitsChange {
        let details = LimitsChangeDetails { before, reason: "stress test".into(), until_ms };
        LimitsChange { at_ms, by: PersonId([7; 32]), limits, details: Some(details) }
    }

    fn limits_of(all: &PatientLimits) -> Limits {
        *all.of(Metric::HeartRate).expect("the heart rate has limits")
    }

    #[test]
    fn what_stood_without_an_end_comes_back_also_after_a_second_change_for_a_while() {
        let mut all = PatientLimits::adult();
        all.apply(&change(0, high_from(1400), usual(), None), "lee");
        all.apply(&change(10, off(), high_from(1400), Some(HOUR_MS)), "lee");
        all.apply(&change(20, high_from(1700), off(), Some(2 * HOUR_MS)), "kim");
        assert_eq!(limits_of(&all), high_from(1700));
        assert!(all.expire(2 * HOUR_MS - 1).is_empty());
        let back = all.expire(2 * HOUR_MS);
        assert_eq!(back.len(), 1);
        assert_eq!((back[0].limits, back[0].by), (high_from(1400), NOBODY));
        assert_eq!(
            back[0].details.as_ref().map(|details| details.before),
            Some(high_from(1700)),
            "old and new value"
        );
        assert_eq!(limits_of(&all), high_from(1400));
        assert!(all.temporary().is_empty() && all.expire(3 * HOUR_MS).is_empty(), "told once");
    }

    #[test]
    fn a_bed_tells_who_turned_an_alarm_off_why_and_until_when_and_that_it_is_back() {
        let mut all = PatientLimits::adult();
        all.apply(&change(5, off(), usual(), Some(HOUR_MS)), "lee");
        let told = all.temporary();
        assert_eq!((told[0].metric, &told[0].off), (Metric::HeartRate, &vec![Side::Above]));
        assert_eq!((told[0].by.as_str(), told[0].reason.as_str()), ("lee", "stress test"));
        assert_eq!((told[0].since_ms, told[0].until_ms, told[0].back), (5, HOUR_MS, usual()));
        assert!(all.came_back(HOUR_MS).is_empty());
        all.expire(HOUR_MS);
        assert_eq!(all.came_back(HOUR_MS + 60_000)[0].at_ms, HOUR_MS);
        assert!(all.came_back(HOUR_MS + TOLD_BACK_MS).is_empty());
    }

    #[test]
    fn an_alarm_that_is_off_comes_back_when_the_clock_is_set_back() {
        let mut all = PatientLimits::adult();
        all.apply(&change(10 * HOUR_MS, off(), usual(), Some(11 * HOUR_MS)), "lee");
        assert!(all.expire(10 * HOUR_MS - 30_000).is_empty(), "clocks are corrected by moments");
        assert_eq!(all.expire(8 * HOUR_MS).len(), 1, "an hour does not become three");
        assert_eq!(limits_of(&all), usual());
    }

    proptest! {
        #[test]
        fn doing_the_record_again_changes_nothing(
            steps in proptest::collection::vec((1000..2900i32, proptest::option::of(1..50u64), 0..40u64), 1..40),
        ) {
            let mut all = PatientLimits::adult();
            let (mut record, mut now_ms) = (Vec::new(), 0);
            for (tenths, until_ms, passed_ms) in steps {
                now_ms += passed_ms;
                record.extend(all.expire(now_ms));
                let before = limits_of(&all);
                let until_ms = until_ms.map(|ms| now_ms + ms);
                let one = change(now_ms, high_from(tenths), before, until_ms);
                all.apply(&one, "lee");
                record.push(one);
            }
            let told = |all: &PatientLimits| (all.all(), all.temporary(), all.standing(Metric::HeartRate));
            let wanted = told(&all);
            let mut anew = PatientLimits::adult();
            record.iter().for_each(|one| anew.apply(one, "lee"));
            prop_assert_eq!(told(&anew), wanted.clone());
            record.iter().for_each(|one| all.apply(one, "lee"));
            prop_assert_eq!(told(&all), wanted);
        }
    }
}
