//! Wrong passwords: who has to wait before the next attempt, and how many passwords are hashed at a time.
//!
//! A delay applies to a login *as tried from one place*, so that guessing from one place delays nobody
//! anywhere else. A place that tries many logins is delayed as a whole. Only a few passwords are hashed at
//! once. Time is an argument. Owns its lock.

use parking_lot::Mutex;
use std::collections::HashMap;
use vitals::ids::{Hash, sha256};
use vitals::origin::Origin;

/// Most pairs of login and place whose wrong tries are remembered.
pub(crate) const PAIRS_MAX: usize = 4096;
/// Most places whose tries are remembered.
pub(crate) const PLACES_MAX: usize = 4096;
/// Wrong passwords a login may try from one place before it has to wait there.
pub(crate) const TRIES_MAX: u32 = 5;
/// How long it waits after that, milliseconds; doubled with each further wrong password.
pub(crate) const WAIT_MS: u64 = 30_000;
/// The longest wait, milliseconds.
pub(crate) const WAIT_MAX_MS: u64 = 15 * 60_000;
/// Wrong passwords one place may try in a row, whatever the logins.
pub(crate) const PLACE_TRIES_MAX: u64 = 20;
/// A place regains one try in this time, milliseconds.
pub(crate) const PLACE_TRY_MS: u64 = 10_000;
/// Most passwords hashed at a time: each takes memory and a thread, and anybody may ask.
pub const PASSWORD_HASHES_MAX: usize = 4;
/// Most of them for one place, so that no place takes them all.
pub const PASSWORD_HASHES_PER_ORIGIN_MAX: usize = 2;

/// Why nobody was signed in. It never tells whether the login exists.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignInRefused {
    /// Wrong login or password.
    #[error("the login or the password is wrong")]
    Wrong,
    /// Too many wrong tries.
    #[error("too many wrong tries: wait {wait_s} s and try again")]
    Wait {
        /// Seconds to wait.
        wait_s: u64,
    },
    /// The password is right, and the account is suspended. Nobody who guesses learns it.
    #[error("your account is suspended: ask an administrator of this hospital")]
    Suspended,
    /// More sign-ins at a time than the node takes.
    #[error("too many people are signing in right now: try again in a moment")]
    Busy,
    /// The vault could not be asked.
    #[error("signing in does not work right now: the vault does not answer")]
    Unavailable,
}

#[derive(Debug, Clone, Copy, Default)]
struct Tries {
    wrong: u32,
    wait_until_ms: u64,
    last_ms: u64,
}

/// Recent attempts.
#[derive(Default)]
struct Attempts {
    /// By SHA-256 of place and login, so that no list of logins lies in memory.
    pairs: HashMap<Hash, Tries>,
    /// When each place will have regained all its tries, milliseconds.
    places: HashMap<Origin, u64>,
    /// Passwords being hashed now, by place.
    hashing: HashMap<Origin, usize>,
}

fn pair(login: &str, from: Origin) -> Hash {
    sha256(&[b"aceso/login/v2", &from.tag(), login.as_bytes()])
}

fn wait(until_ms: u64, now_ms: u64) -> SignInRefused {
    SignInRefused::Wait { wait_s: until_ms.saturating_sub(now_ms).div_ceil(1000).max(1) }
}

impl Attempts {
    /// Begins a try, which counts as wrong until it proves [`right`](Self::right), so that tries at the
    /// same moment count as well. Also makes a login wait that does not exist, so that waiting says
    /// nothing. After an `Ok`, call [`end`](Self::end) whatever comes of it.
    fn begin(&mut self, login: &str, from: Origin, now_ms: u64) -> Result<(), SignInRefused> {
        let regained_ms = self.may_try(login, from, now_ms)?;
        let here = self.hashing.get(&from).copied().unwrap_or(0);
        if self.hashing.values().sum::<usize>() >= PASSWORD_HASHES_MAX
            || (from != Origin::HERE && here >= PASSWORD_HASHES_PER_ORIGIN_MAX)
        {
            return Err(SignInRefused::Busy);
        }
        self.hashing.insert(from, here + 1);
        self.count(login, from, regained_ms, now_ms);
        Ok(())
    }

    /// A try for which no password is hashed: the secret of a link, or the code of a new node.
    fn guess(&mut self, secret: &str, from: Origin, now_ms: u64) -> Result<(), SignInRefused> {
        let regained_ms = self.may_try(secret, from, now_ms)?;
        self.count(secret, from, regained_ms, now_ms);
        Ok(())
    }

    /// Must this login, or this place, wait? If not: when the place will have regained all its tries after this one.
    fn may_try(&mut self, login: &str, from: Origin, now_ms: u64) -> Result<u64, SignInRefused> {
        let key = pair(login, from);
        // A clock that was set back must not make anybody wait for it to come round again.
        if self.pairs.get(&key).is_some_and(|tries| now_ms < tries.last_ms) {
            self.pairs.remove(&key);
        }
        if self.places.get(&from).is_some_and(|at_ms| *at_ms > now_ms + PLACE_TRIES_MAX * PLACE_TRY_MS) {
            self.places.remove(&from);
        }
        let until_ms = self.pairs.get(&key).map_or(0, |tries| tries.wait_until_ms);
        if now_ms < until_ms {
            return Err(wait(until_ms, now_ms));
        }
        let regained_ms = self.places.get(&from).map_or(now_ms, |at_ms| now_ms.max(*at_ms)) + PLACE_TRY_MS;
        let free_ms = regained_ms.saturating_sub(PLACE_TRIES_MAX * PLACE_TRY_MS);
        if from != Origin::HERE && now_ms < free_ms {
            return Err(wait(free_ms, now_ms));
        }
        Ok(regained_ms)
    }

    fn count(&mut self, login: &str, from: Origin, regained_ms: u64, now_ms: u64) {
        if from != Origin::HERE {
            self.make_room_for_place(from, now_ms);
            self.places.insert(from, regained_ms);
        }
        self.wrong(pair(login, from), now_ms);
    }

    fn wrong(&mut self, key: Hash, now_ms: u64) {
        if self.pairs.len() >= PAIRS_MAX && !self.pairs.contains_key(&key) {
            self.pairs.retain(|_, tries| now_ms.saturating_sub(tries.last_ms) < WAIT_MAX_MS);
            if self.pairs.len() >= PAIRS_MAX {
                // A flood of made-up logins: forget the one tried longest ago.
                let oldest = self.pairs.iter().min_by_key(|(_, tries)| tries.last_ms).map(|(key, _)| *key);
                oldest.map(|key| self.pairs.remove(&key));
            }
        }
        let tries = self.pairs.entry(key).or_default();
        tries.wrong = tries.wrong.saturating_add(1);
        tries.last_ms = now_ms;
        if tries.wrong >= TRIES_MAX {
            let doublings = (tries.wrong - TRIES_MAX).min(16);
            tries.wait_until_ms = now_ms + (WAIT_MS << doublings).min(WAIT_MAX_MS);
        }
    }

    fn make_room_for_place(&mut self, from: Origin, now_ms: u64) {
        if self.places.len() < PLACES_MAX || self.places.contains_key(&from) {
            return;
        }
        self.places.retain(|_, at_ms| now_ms < *at_ms);
        if self.places.len() >= PLACES_MAX {
            let nearest = self.places.iter().min_by_key(|(_, at_ms)| **at_ms).map(|(place, _)| *place);
            nearest.map(|place| self.places.remove(&place));
        }
    }

    /// The password was right: the try does not count, nor do those before it at this place.
    fn right(&mut self, login: &str, from: Origin) {
        self.pairs.remove(&pair(login, from));
        if let Some(at_ms) = self.places.get_mut(&from) {
            *at_ms = at_ms.saturating_sub(PLACE_TRY_MS);
        }
    }

    /// The password has been hashed, for better or worse.
    fn end(&mut self, from: Origin) {
        if let Some(under_way) = self.hashing.get_mut(&from) {
            *under_way -= 1;
            if *under_way == 0 {
                self.hashing.remove(&from);
            }
        }
    }
}

/// Attempts to sign in.
#[derive(Default)]
pub(crate) struct LoginThrottle(Mutex<Attempts>);

/// One password that is being hashed.
pub(crate) struct PasswordHash<'a>(&'a LoginThrottle, Origin);

impl LoginThrottle {
    /// Begins an attempt, which counts as wrong until it [`succeeds`](PasswordHash::succeeded). It takes one
    /// of the places of those whose passwords are hashed now, until it is dropped.
    pub(crate) fn begin(
        &self,
        login: &str,
        from: Origin,
        now_ms: u64,
    ) -> Result<PasswordHash<'_>, SignInRefused> {
        self.0.lock().begin(login, from, now_ms)?;
        Ok(PasswordHash(self, from))
    }

    /// Counts a guess at a secret for which no password is hashed, before it is looked at.
    pub(crate) fn guess(&self, secret: &str, from: Origin, now_ms: u64) -> Result<(), SignInRefused> {
        self.0.lock().guess(secret, from, now_ms)
    }

    /// The guess was right: it does not count.
    pub(crate) fn guessed_right(&self, secret: &str, from: Origin) {
        self.0.lock().right(secret, from);
    }
}

impl PasswordHash<'_> {
    /// The password was right.
    pub(crate) fn succeeded(&self, login: &str) {
        self.0.0.lock().right(login, self.1);
    }
}

impl Drop for PasswordHash<'_> {
    fn drop(&mut self) {
        self.0.0.lock().end(self.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    const NOW: u64 = 1_700_000_000_000;

    fn place(last: u8) -> Origin {
        Origin::of(IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)))
    }

    fn guess(book: &mut Attempts, login: &str, from: Origin, now_ms: u64) -> Result<(), SignInRefused> {
        book.begin(login, from, now_ms)?;
        book.end(from);
        Ok(())
    }

    #[test]
    fn guessing_has_to_wait_longer_and_longer() {
        let mut book = Attempts::default();
        let mut now_ms = NOW;
        for _ in 0..TRIES_MAX {
            assert!(guess(&mut book, "lee", place(1), now_ms).is_ok());
        }
        assert_eq!(book.begin("lee", place(1), now_ms), Err(SignInRefused::Wait { wait_s: 30 }));
        assert!(guess(&mut book, "amira", place(1), now_ms).is_ok(), "only this login waits");
        now_ms += WAIT_MS;
        assert!(guess(&mut book, "lee", place(1), now_ms).is_ok());
        assert_eq!(book.begin("lee", place(1), now_ms), Err(SignInRefused::Wait { wait_s: 60 }));
    }

    #[test]
    fn a_stranger_s_guesses_make_nobody_wait_elsewhere() {
        let mut book = Attempts::default();
        for at in 0..1000 {
            let _ = guess(&mut book, "lee", place(66), NOW + at);
        }
        assert!(book.begin("lee", place(66), NOW + 1000).is_err());
        assert!(guess(&mut book, "lee", place(1), NOW + 1000).is_ok(), "the ward's own computer");
        assert!(guess(&mut book, "lee", Origin::HERE, NOW + 1000).is_ok(), "the operator's own door");
    }

    #[test]
    fn a_place_that_tries_many_logins_waits_as_a_whole_and_regains_tries() {
        let mut book = Attempts::default();
        let tried = (0..1000).filter(|n| guess(&mut book, &n.to_string(), place(66), NOW).is_ok()).count();
        assert_eq!(tried as u64, PLACE_TRIES_MAX);
        assert!(guess(&mut book, "lee", place(1), NOW).is_ok());
        let later = NOW + 3 * PLACE_TRY_MS;
        let tried = (0..1000).filter(|n| guess(&mut book, &n.to_string(), place(66), later).is_ok()).count();
        assert_eq!(tried, 3, "guessing goes on at a try in ten seconds at most");
        for _ in 0..100 {
            assert!(guess(&mut book, "lee", place(2), NOW).is_ok());
            book.right("lee", place(2));
        }
    }

    #[test]
    fn no_place_takes_all_the_hashing_there_is() {
        let mut book = Attempts::default();
        for login in ["a", "b"] {
            assert!(book.begin(login, place(66), NOW).is_ok());
        }
        assert_eq!(book.begin("c", place(66), NOW), Err(SignInRefused::Busy));
        assert!(book.begin("lee", place(1), NOW).is_ok());
        assert!(book.begin("kim", place(2), NOW).is_ok());
        assert_eq!(book.begin("ada", place(3), NOW), Err(SignInRefused::Busy), "four at a time, no more");
        book.end(place(66));
        assert!(book.begin("ada", place(3), NOW).is_ok());
    }

    #[test]
    fn a_clock_set_back_makes_nobody_wait_for_it() {
        let mut book = Attempts::default();
        for n in 0..100 {
            let _ = guess(&mut book, "lee", place(1), NOW);
            let _ = guess(&mut book, &n.to_string(), place(1), NOW);
        }
        assert!(guess(&mut book, "lee", place(1), NOW).is_err());
        assert!(guess(&mut book, "lee", place(1), NOW - 86_400_000).is_ok());
    }

    #[test]
    fn guesses_at_a_link_wait_as_passwords_do_and_take_no_turn_of_those_who_sign_in() {
        let mut book = Attempts::default();
        let guessed = (0..1000).filter(|n| book.guess(&n.to_string(), place(66), NOW).is_ok()).count();
        assert_eq!(guessed as u64, PLACE_TRIES_MAX, "a place that tries many waits as a whole");
        let same = (0..1000).filter(|_| book.guess("one", place(1), NOW).is_ok()).count();
        assert_eq!(same as u64, u64::from(TRIES_MAX));
        for _ in 0..100 {
            assert!(book.guess("right", place(2), NOW).is_ok());
            book.right("right", place(2));
        }
        assert!(book.hashing.is_empty());
    }

    #[test]
    fn memory_for_tries_is_bounded() {
        let mut book = Attempts::default();
        for at in 0..(PAIRS_MAX as u64 + 10) {
            let from = Origin::of(IpAddr::V6(Ipv6Addr::from(u128::from(at) << 64)));
            let _ = guess(&mut book, &at.to_string(), from, NOW + at);
        }
        assert_eq!((book.pairs.len(), book.places.len()), (PAIRS_MAX, PLACES_MAX));
        assert!(book.hashing.is_empty());
    }

    #[test]
    fn one_host_of_many_ipv6_addresses_is_one_place() {
        let one = |last| Origin::of(IpAddr::V6(Ipv6Addr::new(0xfd00, 1, 2, 3, 4, 5, 6, last)));
        assert_eq!(one(1), one(2));
        assert_ne!(Origin::of(IpAddr::V6(Ipv6Addr::UNSPECIFIED)), Origin::HERE);
        assert_eq!(Origin::of("::ffff:10.0.0.1".parse().expect("an address")), place(1));
    }
}
