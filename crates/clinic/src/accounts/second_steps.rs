//! Sign-ins that wait for their code. Until it is given there is no session, and what the browser holds meanwhile opens
//! nothing. Owns its lock.

use super::sessions::Token;
use parking_lot::Mutex;
use std::collections::HashMap;
use vitals::PersonId;
use vitals::ids::{Hash, sha256};

/// How long after the password the code may be given.
pub const SECOND_STEP_MS: u64 = 5 * 60_000;
/// Wrong codes after which the password has to be typed again.
const WRONG_MAX: u32 = 5;
/// Most sign-ins that wait for a code at a time; the one that ends next makes room.
const STEPS_MAX: usize = 1024;
/// Most of one account, so that none fills the table; its one that ends next makes room.
const STEPS_PER_PERSON_MAX: usize = 8;

#[derive(Clone, Copy)]
pub(super) struct Step {
    pub(super) person: PersonId,
    /// How long the account's history was when the password was looked at.
    pub(super) before: u64,
    until_ms: u64,
    wrong: u32,
}

/// Sign-ins that wait for a code, by the hash of their token.
#[derive(Default)]
pub(crate) struct SecondSteps(Mutex<HashMap<Hash, Step>>);

fn token_hash(token: &str) -> Hash {
    sha256(&[b"aceso/second-step/v1", token.as_bytes()])
}

impl SecondSteps {
    pub(super) fn open(&self, person: PersonId, before: u64, now_ms: u64, random: &[u8; 32]) -> Token {
        let text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut steps = self.0.lock();
        let own = steps.values().filter(|step| step.person == person).count();
        if own >= STEPS_PER_PERSON_MAX || steps.len() >= STEPS_MAX {
            let of = |step: &Step| own < STEPS_PER_PERSON_MAX || step.person == person;
            let may_go = steps.iter().filter(|(_, step)| of(step));
            let next = may_go.min_by_key(|(_, step)| step.until_ms).map(|(key, _)| *key);
            next.map(|key| steps.remove(&key));
        }
        let step = Step { person, before, until_ms: now_ms + SECOND_STEP_MS, wrong: 0 };
        steps.insert(token_hash(&text), step);
        Token(text)
    }

    /// The sign-in that waits under this token.
    pub(super) fn waiting(&self, token: &str, now_ms: u64) -> Option<Step> {
        let step = *self.0.lock().get(&token_hash(token))?;
        // A clock that was set back makes none last longer.
        let lasts = now_ms < step.until_ms && step.until_ms <= now_ms + SECOND_STEP_MS;
        lasts.then_some(step)
    }

    pub(super) fn wrong(&self, token: &str) {
        let (mut steps, key) = (self.0.lock(), token_hash(token));
        if let Some(step) = steps.get_mut(&key) {
            step.wrong += 1;
            if step.wrong >= WRONG_MAX {
                steps.remove(&key);
            }
        }
    }

    /// It is complete. False if it was ended, or completed by another request, meanwhile.
    pub(super) fn take(&self, token: &str) -> bool {
        self.0.lock().remove(&token_hash(token)).is_some()
    }

    /// Ends all of a person: the password or a factor was changed, or the account suspended.
    pub(super) fn end_of(&self, person: PersonId) {
        self.0.lock().retain(|_, step| step.person != person);
    }

    /// Forgets those that ended.
    pub(crate) fn sweep(&self, now_ms: u64) {
        self.0.lock().retain(|_, step| now_ms < step.until_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    fn person(n: u8) -> PersonId {
        PersonId([n; 32])
    }

    fn whose(steps: &SecondSteps, token: &Token, now_ms: u64) -> Option<PersonId> {
        steps.waiting(token.expose(), now_ms).map(|step| step.person)
    }

    #[test]
    fn a_step_ends_after_five_minutes_or_five_wrong_codes_and_is_completed_once() {
        let steps = SecondSteps::default();
        let token = steps.open(person(1), 0, NOW, &[7; 32]);
        assert_eq!(whose(&steps, &token, NOW + SECOND_STEP_MS - 1), Some(person(1)));
        assert_eq!(whose(&steps, &token, NOW + SECOND_STEP_MS), None);
        assert_eq!(whose(&steps, &token, NOW - 1), None, "the clock was set back");
        assert!(steps.waiting("00", NOW).is_none());
        assert!(steps.take(token.expose()) && !steps.take(token.expose()));
        let token = steps.open(person(1), 0, NOW, &[8; 32]);
        for _ in 0..WRONG_MAX {
            assert!(steps.waiting(token.expose(), NOW).is_some());
            steps.wrong(token.expose());
        }
        assert!(steps.waiting(token.expose(), NOW).is_none());
    }

    #[test]
    fn the_steps_of_one_person_end_and_nobody_else_s() {
        let steps = SecondSteps::default();
        let one = steps.open(person(1), 0, NOW, &[1; 32]);
        let other = steps.open(person(2), 0, NOW, &[2; 32]);
        steps.end_of(person(1));
        assert!(steps.waiting(one.expose(), NOW).is_none() && steps.waiting(other.expose(), NOW).is_some());
        steps.sweep(NOW + SECOND_STEP_MS);
        assert!(steps.0.lock().is_empty());
    }

    #[test]
    fn memory_for_steps_is_bounded_and_no_account_takes_it_from_the_others() {
        let steps = SecondSteps::default();
        let open = |n: u64, whose: PersonId| {
            let mut random = [0; 32];
            random[..8].copy_from_slice(&n.to_be_bytes());
            steps.open(whose, 0, NOW + n, &random)
        };
        let whose = |n: u64| PersonId(sha256(&[&n.to_be_bytes()]));
        let first = open(0, whose(0));
        for n in 1..1000 {
            open(n, whose(1));
        }
        assert_eq!(steps.0.lock().len(), 1 + STEPS_PER_PERSON_MAX);
        assert!(steps.waiting(first.expose(), NOW).is_some(), "another account's flood");
        let many: Vec<Token> = (1000..3000).map(|n| open(n, whose(n))).collect();
        let last = &many[many.len() - 1];
        assert_eq!(steps.0.lock().len(), STEPS_MAX);
        assert!(steps.waiting(last.expose(), NOW + 2999).is_some());
    }
}
