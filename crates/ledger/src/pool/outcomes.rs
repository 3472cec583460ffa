//! What became of the transactions that were submitted here, the latest. Owns its lock.

use parking_lot::Mutex;
use std::collections::VecDeque;
use vitals::ids::Hash;
use vitals::ledger::Outcome;

/// Most outcomes that are remembered.
const OUTCOMES_MAX: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct Outcomes(Mutex<VecDeque<(Hash, Outcome)>>);

impl Outcomes {
    pub(super) fn remember(&self, transaction: Hash, outcome: Option<Outcome>) {
        let Some(outcome) = outcome else { return };
        let mut latest = self.0.lock();
        if latest.len() == OUTCOMES_MAX {
            latest.pop_front();
        }
        latest.push_back((transaction, outcome));
    }

    pub(super) fn of(&self, transaction: &Hash) -> Option<Outcome> {
        let latest = self.0.lock();
        latest.iter().rev().find(|(known, _)| known == transaction).map(|(_, outcome)| outcome.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_outcomes_are_remembered_and_no_more() {
        let outcomes = Outcomes::default();
        let name = |number: usize| vitals::ids::sha256(&[&number.to_be_bytes()]);
        for number in 0..=OUTCOMES_MAX {
            outcomes.remember(name(number), Some(Outcome::Done { height: number as u64 }));
        }
        outcomes.remember([9; 32], None);
        assert_eq!(outcomes.of(&name(0)), None, "the oldest made room");
        assert_eq!(outcomes.of(&name(1)), Some(Outcome::Done { height: 1 }));
        assert_eq!(outcomes.of(&[9; 32]), None);
    }
}
