//! Answers of the policy contracts of consents. Each answer carries its time: it is asked again at every
//! block and every ten seconds while somebody needs it, and one that is too old counts as silence.

use super::policy::{PolicyAnswer, PolicyAnswers, Question};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use vitals::GrantId;

/// A policy is asked again after this long, and at every block.
pub const POLICY_ASKED_EVERY_MS: u64 = 10_000;
/// One that could not be asked is asked again after this long.
pub const POLICY_RETRY_MS: u64 = 5_000;
/// An older answer opens nothing: asking may have been held up.
pub const POLICY_ANSWER_MS_MAX: u64 = 30_000;
/// An answer that nobody needed for this long is forgotten.
const NEEDED_MS: u64 = 60_000;
/// Most answers kept. Beyond that a question counts as unanswered.
const ANSWERS_MAX: usize = 65_536;

#[derive(Debug, Clone, Copy)]
struct KeptAnswer {
    answer: PolicyAnswer,
    /// When it was asked last and at which height; not at all yet.
    queried: Option<(u64, u64)>,
    needed_ms: u64,
}

impl KeptAnswer {
    /// Has it to be asked (again)?
    fn is_due(&self, height: u64, now_ms: u64) -> bool {
        let Some((asked_ms, asked_at)) = self.queried else { return true };
        let age_ms = now_ms.abs_diff(asked_ms);
        match self.answer {
            PolicyAnswer::Silent => age_ms >= POLICY_RETRY_MS,
            _ => asked_at != height || age_ms >= POLICY_ASKED_EVERY_MS,
        }
    }

    fn answer(&self, now_ms: u64) -> PolicyAnswer {
        let young =
            self.queried.is_some_and(|(asked_ms, _)| now_ms.abs_diff(asked_ms) <= POLICY_ANSWER_MS_MAX);
        if young { self.answer } else { PolicyAnswer::Silent }
    }
}

/// Answers by question. Owns its lock; no policy is asked while it is held.
#[derive(Default)]
pub(crate) struct PolicyBook(Mutex<HashMap<Question, KeptAnswer>>);

impl PolicyBook {
    /// These answers are needed from now on; gives those that have to be asked (again).
    pub(crate) fn need(&self, questions: &[Question], height: u64, now_ms: u64) -> Vec<Question> {
        let mut kept = self.0.lock();
        note_need(&mut kept, questions, now_ms);
        let is_due = |question: &Question| kept.get(question).is_some_and(|said| said.is_due(height, now_ms));
        questions.iter().copied().filter(is_due).collect()
    }

    /// What was said last; it is kept current from now on.
    pub(crate) fn answers(&self, questions: &[Question], now_ms: u64) -> PolicyAnswers {
        let mut kept = self.0.lock();
        note_need(&mut kept, questions, now_ms);
        let answer =
            |question: &Question| kept.get(question).map_or(PolicyAnswer::Silent, |said| said.answer(now_ms));
        questions.iter().map(|question| (*question, answer(question))).collect()
    }

    /// Everything needed that has to be asked again. Forgets what nobody needs any more.
    pub(crate) fn due(&self, height: u64, now_ms: u64) -> Vec<Question> {
        let mut kept = self.0.lock();
        kept.retain(|_, said| now_ms.abs_diff(said.needed_ms) < NEEDED_MS);
        kept.iter().filter(|(_, said)| said.is_due(height, now_ms)).map(|(question, _)| *question).collect()
    }

    /// Keeps what was heard. True if any answer is another one than before.
    pub(crate) fn note(&self, heard: Vec<(Question, PolicyAnswer)>, height: u64, now_ms: u64) -> bool {
        let mut kept = self.0.lock();
        let mut changed = false;
        for (question, answer) in heard {
            if let Some(said) = kept.get_mut(&question) {
                changed |= said.queried.is_some() && said.answer != answer;
                (said.answer, said.queried) = (answer, Some((now_ms, height)));
            }
        }
        changed
    }

    /// How many policies that are needed now could not be asked.
    pub(crate) fn silent(&self, now_ms: u64) -> usize {
        let kept = self.0.lock();
        let silent = kept.iter().filter(|(_, said)| {
            said.queried.is_some()
                && said.answer(now_ms) == PolicyAnswer::Silent
                && now_ms.abs_diff(said.needed_ms) < NEEDED_MS
        });
        let grants: BTreeSet<GrantId> = silent.map(|((grant, _), _)| *grant).collect();
        grants.len()
    }
}

fn note_need(kept: &mut HashMap<Question, KeptAnswer>, questions: &[Question], now_ms: u64) {
    for question in questions {
        if let Some(said) = kept.get_mut(question) {
            said.needed_ms = now_ms;
        } else if kept.len() < ANSWERS_MAX {
            let said = KeptAnswer { answer: PolicyAnswer::Silent, queried: None, needed_ms: now_ms };
            kept.insert(*question, said);
        }
    }
}
