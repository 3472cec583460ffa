//! What the policy contracts of consents say. Each answer carries its time: it is asked again at every
//! block and every ten seconds while somebody needs it, and one that is too old counts as silence.
//!
//! Asking waits for the ledger, on another network for seconds. So it is done where a page may wait
//! ([`Clinic::decide`]) and by a thread of its own ([`Clinic::refresh_policies`]), which keeps current
//! what open streams stand on; they only look at what is at hand.

use crate::clinic::{Clinic, lock};
use crate::policy::{PolicyAnswer, PolicyAnswers, Question};
use std::collections::{BTreeMap, HashMap};
use vitals::GrantId;
use vitals::ids::Class;

/// A policy is asked again after this long, and at every block.
pub const POLICY_ASKED_EVERY_MS: u64 = 10_000;
/// One that could not be asked is asked again after this long.
pub const POLICY_RETRY_MS: u64 = 5_000;
/// An older answer opens nothing: whoever asks for it may have been held up.
pub const POLICY_ANSWER_MS_MAX: u64 = 30_000;
/// An answer that nobody needed for this long is forgotten.
const NEEDED_MS: u64 = 60_000;
/// Policies asked side by side: one that answers late must not make the others' answers old.
const ASKED_AT_ONCE: usize = 8;
/// Most answers kept. Beyond that a question counts as unanswered.
const ANSWERS_MAX: usize = 65_536;

#[derive(Debug, Clone, Copy)]
struct Said {
    answer: PolicyAnswer,
    /// When it was asked last and at which height; not at all yet.
    asked: Option<(u64, u64)>,
    needed_ms: u64,
}

impl Said {
    /// Has it to be asked (again)?
    fn is_due(&self, height: u64, now_ms: u64) -> bool {
        let Some((asked_ms, asked_at)) = self.asked else { return true };
        let age_ms = now_ms.abs_diff(asked_ms);
        match self.answer {
            PolicyAnswer::Silent => age_ms >= POLICY_RETRY_MS,
            _ => asked_at != height || age_ms >= POLICY_ASKED_EVERY_MS,
        }
    }

    fn answer(&self, now_ms: u64) -> PolicyAnswer {
        let young = self.asked.is_some_and(|(asked_ms, _)| now_ms.abs_diff(asked_ms) <= POLICY_ANSWER_MS_MAX);
        if young { self.answer } else { PolicyAnswer::Silent }
    }
}

/// Answers by question.
#[derive(Default)]
pub(crate) struct Policies(HashMap<Question, Said>);

impl Clinic {
    /// Answers to these questions, asked where the last one is no longer good. Waits for the ledger.
    pub(crate) fn ask_policies_of(&self, questions: &[Question], now_ms: u64) -> PolicyAnswers {
        let height = self.ledger().tip().height;
        let due: Vec<Question> = {
            let mut policies = lock(&self.policies);
            policies.need(questions, now_ms);
            questions.iter().copied().filter(|question| policies.is_due(question, height, now_ms)).collect()
        };
        self.ask_all(&due, height, now_ms);
        self.answers_at_hand(questions, now_ms)
    }

    /// What policies said last. Waits for nothing; what is asked here is kept current from now on.
    pub(crate) fn answers_at_hand(&self, questions: &[Question], now_ms: u64) -> PolicyAnswers {
        let mut policies = lock(&self.policies);
        policies.need(questions, now_ms);
        questions.iter().map(|question| (*question, policies.answer(question, now_ms))).collect()
    }

    /// Asks again what open streams and the alarm engine stand on, at every block and every
    /// [`POLICY_ASKED_EVERY_MS`]. Waits for the ledger: call it about once a second, on a thread of its own.
    pub fn refresh_policies(&self, now_ms: u64) {
        let height = self.ledger().tip().height;
        let due: Vec<Question> = {
            let mut policies = lock(&self.policies);
            policies.0.retain(|_, said| now_ms.abs_diff(said.needed_ms) < NEEDED_MS);
            let due = policies.0.iter().filter(|(_, said)| said.is_due(height, now_ms));
            due.map(|(question, _)| *question).collect()
        };
        self.ask_all(&due, height, now_ms);
    }

    /// How many policies that are needed now could not be asked.
    #[must_use]
    pub fn policies_silent(&self, now_ms: u64) -> usize {
        let policies = lock(&self.policies);
        let silent = policies.0.iter().filter(|(_, said)| {
            said.asked.is_some()
                && said.answer(now_ms) == PolicyAnswer::Silent
                && now_ms.abs_diff(said.needed_ms) < NEEDED_MS
        });
        let grants: std::collections::BTreeSet<GrantId> = silent.map(|((grant, _), _)| *grant).collect();
        grants.len()
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
        let changed = {
            let mut policies = lock(&self.policies);
            let mut changed = false;
            for (question, answer) in heard {
                if let Some(said) = policies.0.get_mut(&question) {
                    changed |= said.asked.is_some() && said.answer != answer;
                    (said.answer, said.asked) = (answer, Some((now_ms, height)));
                }
            }
            changed
        };
        if changed {
            self.count_generation();
        }
    }
}

impl Policies {
    fn need(&mut self, questions: &[Question], now_ms: u64) {
        for question in questions {
            if let Some(said) = self.0.get_mut(question) {
                said.needed_ms = now_ms;
            } else if self.0.len() < ANSWERS_MAX {
                let said = Said { answer: PolicyAnswer::Silent, asked: None, needed_ms: now_ms };
                self.0.insert(*question, said);
            }
        }
    }

    fn is_due(&self, question: &Question, height: u64, now_ms: u64) -> bool {
        self.0.get(question).is_some_and(|said| said.is_due(height, now_ms))
    }

    fn answer(&self, question: &Question, now_ms: u64) -> PolicyAnswer {
        self.0.get(question).map_or(PolicyAnswer::Silent, |said| said.answer(now_ms))
    }
}
