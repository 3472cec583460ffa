//! What passkeys sign: challenges that are good once, for one browser or session, for five minutes.
//!
//! A challenge is computed from a key that is drawn at each start, and not kept: whoever asks for the sign-in page a
//! million times takes no memory and pushes nobody's challenge out. Kept are those that were answered, until they would
//! have ended anyway. Owns its lock.

use parking_lot::Mutex;
use std::collections::HashMap;
use vitals::ids::{Hash, sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// How long a challenge may be answered.
pub const CHALLENGE_MS: u64 = 5 * 60_000;
/// Most challenges answered within that time, by passkeys that are known here.
const ANSWERED_MAX: usize = 16_384;

/// What a challenge is for: the answer to one is none to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChallengeFor {
    SignIn = 1,
    Confirm = 2,
    Registration = 3,
}

#[derive(Zeroize, ZeroizeOnDrop)]
struct Key([u8; 32]);

pub(crate) struct Challenges {
    key: Key,
    /// Those that were answered, and when they end, milliseconds.
    answered: Mutex<HashMap<Hash, u64>>,
}

impl Challenges {
    /// With a random key.
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self { key: Key(key), answered: Mutex::default() }
    }

    /// The challenge for `whom`, a browser or a session, made at this time.
    pub(crate) fn of(&self, what: ChallengeFor, whom: &[u8], issued_ms: u64) -> Hash {
        // Every part has its fixed length, so that no two lists of them give the same bytes.
        let whom = sha256(&[whom]);
        sha256(&[b"aceso/challenge/v1", &self.key.0, &[what as u8], &whom, &issued_ms.to_be_bytes()])
    }

    /// May a challenge of that time be answered now? None of the future, after a clock was set back.
    pub(crate) fn is_open(issued_ms: u64, now_ms: u64) -> bool {
        now_ms.checked_sub(issued_ms).is_some_and(|age_ms| age_ms < CHALLENGE_MS)
    }

    /// A passkey answered it. False if one did before, or too many did just now.
    pub(crate) fn answer(&self, challenge: Hash, issued_ms: u64, now_ms: u64) -> bool {
        let mut answered = self.answered.lock();
        if answered.len() >= ANSWERED_MAX {
            answered.retain(|_, until_ms| now_ms < *until_ms);
        }
        if answered.len() >= ANSWERED_MAX || answered.contains_key(&challenge) {
            return false;
        }
        answered.insert(challenge, issued_ms + CHALLENGE_MS);
        true
    }

    /// Forgets those that have ended.
    pub(crate) fn sweep(&self, now_ms: u64) {
        self.answered.lock().retain(|_, until_ms| now_ms < *until_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    #[test]
    fn a_challenge_is_of_one_purpose_one_browser_one_time_and_one_start() {
        let challenges = Challenges::new([1; 32]);
        let one = challenges.of(ChallengeFor::SignIn, b"browser", NOW);
        assert_eq!(challenges.of(ChallengeFor::SignIn, b"browser", NOW), one);
        for other in [
            challenges.of(ChallengeFor::Confirm, b"browser", NOW),
            challenges.of(ChallengeFor::Registration, b"browser", NOW),
            challenges.of(ChallengeFor::SignIn, b"browse", NOW),
            challenges.of(ChallengeFor::SignIn, b"browser", NOW + 1),
            Challenges::new([2; 32]).of(ChallengeFor::SignIn, b"browser", NOW),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn it_is_answered_once_and_within_five_minutes() {
        let challenges = Challenges::new([1; 32]);
        assert!(Challenges::is_open(NOW, NOW) && Challenges::is_open(NOW, NOW + CHALLENGE_MS - 1));
        assert!(!Challenges::is_open(NOW, NOW + CHALLENGE_MS) && !Challenges::is_open(NOW + 1, NOW));
        assert!(challenges.answer([1; 32], NOW, NOW) && !challenges.answer([1; 32], NOW, NOW));
        challenges.sweep(NOW + CHALLENGE_MS - 1);
        assert!(!challenges.answer([1; 32], NOW, NOW + CHALLENGE_MS - 1));
        challenges.sweep(NOW + CHALLENGE_MS);
        assert!(challenges.answered.lock().is_empty(), "it is too old by then");
    }

    #[test]
    fn memory_for_answers_is_bounded_and_none_that_is_open_is_forgotten() {
        let challenges = Challenges::new([1; 32]);
        let nth = |n: usize| sha256(&[&n.to_be_bytes()]);
        for n in 0..ANSWERED_MAX {
            assert!(challenges.answer(nth(n), NOW, NOW));
        }
        assert!(
            !challenges.answer(nth(ANSWERED_MAX), NOW, NOW),
            "refused, rather than one before it forgotten"
        );
        assert!(!challenges.answer(nth(0), NOW, NOW));
        assert!(challenges.answer(nth(ANSWERED_MAX), NOW + CHALLENGE_MS, NOW + CHALLENGE_MS));
    }
}
