//! What the ledger said of the consents that were given at this node since it started: the block that holds each, or
//! why it was refused. Of older ones the ledger says that they stand, not in which block. Owns its lock.

use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use vitals::GrantId;
use vitals::ledger::Outcome;

/// Most consents remembered; the oldest is forgotten.
const GIVEN_LEN_MAX: usize = 4_096;

#[derive(Default)]
struct Kept {
    outcomes: HashMap<GrantId, Outcome>,
    order: VecDeque<GrantId>,
}

/// What became of consents given here.
#[derive(Default)]
pub(crate) struct GivenConsents(Mutex<Kept>);

impl GivenConsents {
    /// The ledger has decided on these.
    pub(crate) fn note(&self, decided: Vec<(GrantId, Outcome)>) {
        let mut kept = self.0.lock();
        for (grant, outcome) in decided {
            if kept.outcomes.insert(grant, outcome).is_none() {
                kept.order.push_back(grant);
            }
            if kept.order.len() > GIVEN_LEN_MAX
                && let Some(oldest) = kept.order.pop_front()
            {
                kept.outcomes.remove(&oldest);
            }
        }
    }

    /// What the ledger said of one, if that is known.
    pub(crate) fn of(&self, grant: GrantId) -> Option<Outcome> {
        self.0.lock().outcomes.get(&grant).cloned()
    }

    /// Did the ledger refuse it?
    pub(crate) fn is_refused(&self, grant: GrantId) -> bool {
        matches!(self.0.lock().outcomes.get(&grant), Some(Outcome::Refused { .. }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_so_many_are_remembered_and_the_newest_of_them() {
        let given = GivenConsents::default();
        let id = |number: u32| {
            let mut id = [0; 32];
            id[..4].copy_from_slice(&number.to_be_bytes());
            GrantId(id)
        };
        let many = u32::try_from(GIVEN_LEN_MAX).unwrap() + 3;
        for number in 0..many {
            given.note(vec![(id(number), Outcome::Done { height: number.into() })]);
            given.note(vec![(id(number), Outcome::Done { height: number.into() })]);
        }
        assert_eq!(given.of(id(2)), None);
        assert_eq!(given.of(id(3)), Some(Outcome::Done { height: 3 }));
        assert_eq!(given.of(id(many - 1)), Some(Outcome::Done { height: (many - 1).into() }));
        assert_eq!(given.0.lock().outcomes.len(), GIVEN_LEN_MAX);
    }
}
