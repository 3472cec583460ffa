//! When each bed has something to do next: so that whatever looks regularly costs what is due, whatever the
//! number of beds. Pure.

use std::collections::{BTreeMap, BTreeSet};
use vitals::PatientId;

/// At most one deadline for each bed.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    of: BTreeMap<PatientId, u64>,
    by_time: BTreeSet<(u64, PatientId)>,
    /// When the deadlines were read last: after a clock was set back every bed is due.
    looked_ms: u64,
}

impl Deadlines {
    /// The bed's next deadline, milliseconds; none while there is none.
    pub(super) fn set(&mut self, patient: PatientId, at_ms: Option<u64>) {
        let before = match at_ms {
            Some(at_ms) => self.of.insert(patient, at_ms),
            None => self.of.remove(&patient),
        };
        if before != at_ms {
            if let Some(before_ms) = before {
                self.by_time.remove(&(before_ms, patient));
            }
            self.by_time.extend(at_ms.map(|at_ms| (at_ms, patient)));
        }
    }

    /// The beds whose deadline is there, the earliest first; `None` for all of them, whether they have a
    /// deadline or not, because the clock went back.
    pub(super) fn due(&mut self, now_ms: u64) -> Option<Vec<PatientId>> {
        let back = now_ms < core::mem::replace(&mut self.looked_ms, now_ms);
        let due = || self.by_time.range(..=(now_ms, PatientId([0xff; 16]))).map(|(_, patient)| *patient);
        (!back).then(|| due().collect())
    }

    /// The earliest of all, milliseconds.
    pub(super) fn first_ms(&self) -> Option<u64> {
        self.by_time.first().map(|(at_ms, _)| *at_ms)
    }
}

/// When a bed's resume point is looked at next: so long after that time, by a clock that may be set back, and not before
/// the log is so long that the point may have to move. What waits longest comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ResumeLook {
    pub(super) at_ms: u64,
    pub(super) wait_ms: u64,
    /// Leaves of the log.
    pub(super) log_size: u64,
    /// Envelopes of the bed's alarms with which the point is to be moved; none while that was not looked up.
    pub(super) move_at: Option<u64>,
}

impl ResumeLook {
    pub(super) fn is_due(&self, now_ms: u64, log_size: u64) -> bool {
        now_ms.abs_diff(self.at_ms) >= self.wait_ms && log_size >= self.log_size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_comes_in_the_order_of_time_and_stays_until_it_is_set_anew() {
        let [one, two, three] = [1, 2, 3].map(|n| PatientId([n; 16]));
        let mut deadlines = Deadlines::default();
        deadlines.set(one, Some(300));
        deadlines.set(two, Some(100));
        deadlines.set(three, Some(200));
        assert_eq!(deadlines.due(99), Some(vec![]));
        assert_eq!(deadlines.due(200), Some(vec![two, three]));
        assert_eq!(deadlines.due(200), Some(vec![two, three]));
        deadlines.set(two, Some(400));
        deadlines.set(three, None);
        assert_eq!(deadlines.due(399), Some(vec![one]));
        assert_eq!((deadlines.first_ms(), deadlines.due(398)), (Some(300), None), "the clock went back");
        assert_eq!(deadlines.due(400), Some(vec![one, two]));
    }

    #[test]
    fn a_resume_point_is_looked_at_when_time_has_passed_and_the_log_has_grown() {
        let look = ResumeLook { at_ms: 1_000, wait_ms: 500, log_size: 40, move_at: Some(9) };
        let due = |now_ms, log_size| look.is_due(now_ms, log_size);
        assert_eq!([due(1_499, 40), due(1_500, 39), due(1_500, 40)], [false, false, true]);
        assert!(due(500, 40), "the clock was set back");
        assert!(ResumeLook::default().is_due(1_000, 0), "nothing was looked at yet");
    }
}
