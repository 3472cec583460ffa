//! Asking the policy contracts of consents. It waits for the ledger, on another network for seconds. So it
//! is done where a page may wait ([`Clinic::decide`]) and by a thread of its own
//! ([`Clinic::refresh_policies`]), which keeps current what open streams stand on; they only look at what is
//! at hand.

use super::policy::{PolicyAnswer, PolicyAnswers, Question};
use crate::clinic::Clinic;
use std::collections::BTreeMap;
use vitals::GrantId;
use vitals::ids::Class;

/// Policies asked side by side: one that answers late must not make the others' answers old.
const ASKED_AT_ONCE: usize = 8;

impl Clinic {
    /// Answers to these questions, asked where the last one is no longer good. Waits for the ledger.
    pub(crate) fn ask_policies_of(&self, questions: &[Question], now_ms: u64) -> PolicyAnswers {
        let height = self.ledger().tip().height;
        let due = self.policies.need(questions, height, now_ms);
        self.ask_all(&due, height, now_ms);
        self.answers_at_hand(questions, now_ms)
    }

    /// What policies said last. Waits for nothing; what is asked here is kept current from now on.
    pub(crate) fn answers_at_hand(&self, questions: &[Question], now_ms: u64) -> PolicyAnswers {
        self.policies.answers(questions, now_ms)
    }

    /// Asks again what open streams and the alarm engine stand on, at every block and every
    /// [`POLICY_ASKED_EVERY_MS`]. Waits for the ledger: call it about once a second, on a thread of its own.
    pub fn refresh_policies(&self, now_ms: u64) {
        let height = self.ledger().tip().height;
        let due = self.policies.due(height, now_ms);
        self.ask_all(&due, height, now_ms);
    }

    /// How many policies that are needed now could not be asked.
    #[must_use]
    pub fn policies_silent(&self, now_ms: u64) -> usize {
        self.policies.silent(now_ms)
    }

    fn ask_all(&self, due: &[Question], height: u64, now_ms: u64) {
        let mut by_grant: BTreeMap<GrantId, Vec<Class>> = BTreeMap::new();
        for (grant, class) in due {
            by_grant.entry(*grant).or_default().push(*class);
        }
        let all: Vec<(GrantId, Vec<Class>)> = by_grant.into_iter().collect();
        for some in all.chunks(ASKED_AT_ONCE) {
            let heard: Vec<(Question, PolicyAnswer)> = match some {
                [(grant, classes)] => self.ask(*grant, classes),
                some => std::thread::scope(|scope| {
                    let ask = |one: &'_ (GrantId, Vec<Class>)| self.ask(one.0, &one.1);
                    let spawn = |one| std::thread::Builder::new().spawn_scoped(scope, move || ask(one));
                    let asking: Vec<_> = some.iter().map(|one| (one, spawn(one))).collect();
                    let heard = asking.into_iter().map(|(one, asking)| match asking {
                        Ok(asking) => asking.join().unwrap_or_default(),
                        // No more threads now: it takes longer.
                        Err(_) => ask(one),
                    });
                    heard.flatten().collect()
                }),
            };
            self.note(heard, height, now_ms);
        }
    }

    /// One policy. If it cannot be asked of one class it is not asked of the next.
    fn ask(&self, grant: GrantId, classes: &[Class]) -> Vec<(Question, PolicyAnswer)> {
        let mut silent = false;
        let answers = classes.iter().map(|class| {
            let said = if silent { None } else { Some(self.ledger().policy_agrees(grant, *class)) };
            let answer = match said {
                Some(Ok(true)) => PolicyAnswer::Agrees,
                Some(Ok(false)) => PolicyAnswer::Refuses,
                Some(Err(why)) => {
                    silent = true;
                    tracing::warn!(reason = %why, "The policy of a consent could not be asked");
                    PolicyAnswer::Silent
                }
                None => PolicyAnswer::Silent,
            };
            ((grant, *class), answer)
        });
        answers.collect()
    }

    /// Keeps what was heard. Decisions made on another answer are made again.
    fn note(&self, heard: Vec<(Question, PolicyAnswer)>, height: u64, now_ms: u64) {
        if self.policies.note(heard, height, now_ms) {
            self.count_generation();
        }
    }
}
