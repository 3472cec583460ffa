//! Who is signed in. A token is 32 random bytes, known to the browser and stored only as a hash;
//! a session ends after idling or after a shift, whichever comes first.

use std::collections::HashMap;
use vitals::ids::{Hash, sha256};
use vitals::ledger::Role;
use vitals::{PatientId, PersonId};
use zeroize::Zeroize;

/// A session ends after this long without a request.
pub const IDLE_MS: u64 = 15 * 60_000;
/// A session ends after this long in any case.
pub const ABSOLUTE_MS: u64 = 12 * 3_600_000;
/// Most sessions at once; the one idle longest makes room.
pub const SESSIONS_MAX: usize = 4096;
/// Most logins whose wrong tries are remembered.
pub const LOGINS_MAX: usize = 4096;
/// Wrong passwords a login may try before it has to wait.
pub const TRIES_MAX: u32 = 5;
/// How long it waits after that, milliseconds; doubled with each further wrong password.
pub const WAIT_MS: u64 = 30_000;
/// The longest wait, milliseconds.
pub const WAIT_MAX_MS: u64 = 15 * 60_000;

/// What the browser holds: 64 hex digits. Never stored, never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub(crate) String);

impl Token {
    /// The text for the cookie.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl core::fmt::Debug for Token {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Token(secret)")
    }
}

/// A signed-in person.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// Names the session in access entries. Not the token.
    pub id: [u8; 16],
    /// The person on the ledger.
    pub person: PersonId,
    /// Sign-in name.
    pub login: String,
    /// Name, as it will stand in access entries.
    pub name: String,
    /// Role.
    pub role: Role,
    /// The own record, for a patient's session.
    pub patient: Option<PatientId>,
    /// Ends without a further request at this time, milliseconds.
    pub idle_until_ms: u64,
    /// Ends in any case at this time, milliseconds.
    pub until_ms: u64,
}

impl core::fmt::Debug for Session {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Session")
    }
}

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
    /// More sign-ins at a time than the node takes.
    #[error("too many people are signing in right now: try again in a moment")]
    Busy,
    /// The vault could not be asked.
    #[error("signing in does not work right now: the vault does not answer")]
    Unavailable,
}

/// All sessions and recent wrong tries. Pure: the clinic asks the vault about passwords.
#[derive(Default)]
pub(crate) struct SessionBook {
    /// By SHA-256 of the token.
    open: HashMap<Hash, Session>,
    /// By SHA-256 of the login, so that no list of logins lies in memory.
    tries: HashMap<Hash, Tries>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Tries {
    wrong: u32,
    wait_until_ms: u64,
    last_ms: u64,
}

fn token_hash(token: &str) -> Hash {
    sha256(&[b"aceso/session/v1", token.as_bytes()])
}

fn login_hash(login: &str) -> Hash {
    sha256(&[b"aceso/login/v1", login.as_bytes()])
}

impl SessionBook {
    /// May this login try a password now? Also tells a login that does not exist to wait, so that
    /// waiting says nothing.
    pub(crate) fn may_try(&self, login: &str, now_ms: u64) -> Result<(), SignInRefused> {
        let wait_until_ms = self.tries.get(&login_hash(login)).map_or(0, |tries| tries.wait_until_ms);
        if now_ms < wait_until_ms {
            return Err(SignInRefused::Wait { wait_s: (wait_until_ms - now_ms).div_ceil(1000) });
        }
        Ok(())
    }

    pub(crate) fn wrong(&mut self, login: &str, now_ms: u64) {
        if self.tries.len() >= LOGINS_MAX {
            self.tries.retain(|_, tries| now_ms.saturating_sub(tries.last_ms) < WAIT_MAX_MS);
        }
        if self.tries.len() >= LOGINS_MAX {
            // A flood of made-up logins: forget the one tried longest ago.
            let oldest = self.tries.iter().min_by_key(|(_, tries)| tries.last_ms).map(|(login, _)| *login);
            oldest.map(|login| self.tries.remove(&login));
        }
        let tries = self.tries.entry(login_hash(login)).or_default();
        tries.wrong = tries.wrong.saturating_add(1);
        tries.last_ms = now_ms;
        if tries.wrong >= TRIES_MAX {
            let doublings = (tries.wrong - TRIES_MAX).min(16);
            tries.wait_until_ms = now_ms + (WAIT_MS << doublings).min(WAIT_MAX_MS);
        }
    }

    /// Opens a session whose token is `random`.
    pub(crate) fn open(&mut self, session: Session, random: &[u8; 32]) -> Token {
        self.tries.remove(&login_hash(&session.login));
        if self.open.len() >= SESSIONS_MAX {
            let idlest = self.open.iter().min_by_key(|(_, one)| one.idle_until_ms).map(|(hash, _)| *hash);
            idlest.map(|hash| self.open.remove(&hash));
        }
        let text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        self.open.insert(token_hash(&text), session);
        Token(text)
    }

    /// The session of a token; being asked for keeps it from idling out.
    pub(crate) fn get(&mut self, token: &str, now_ms: u64) -> Option<Session> {
        let hash = token_hash(token);
        let session = self.open.get_mut(&hash)?;
        if now_ms >= session.idle_until_ms || now_ms >= session.until_ms {
            self.open.remove(&hash);
            return None;
        }
        session.idle_until_ms = now_ms + IDLE_MS;
        Some(session.clone())
    }

    /// Is the session with this id still open? Does not keep it from idling out.
    pub(crate) fn is_open(&self, id: &[u8; 16], now_ms: u64) -> bool {
        self.open.values().any(|one| one.id == *id && now_ms < one.idle_until_ms && now_ms < one.until_ms)
    }

    /// Ends a session; says which.
    pub(crate) fn close(&mut self, token: &str) -> Option<[u8; 16]> {
        self.open.remove(&token_hash(token)).map(|session| session.id)
    }

    /// Forgets sessions that ended; says which.
    pub(crate) fn sweep(&mut self, now_ms: u64) -> Vec<[u8; 16]> {
        let mut ended = Vec::new();
        self.open.retain(|_, one| {
            let open = now_ms < one.idle_until_ms && now_ms < one.until_ms;
            if !open {
                ended.push(one.id);
            }
            open
        });
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    fn session(login: &str, now_ms: u64) -> Session {
        Session {
            id: [1; 16],
            person: PersonId([2; 32]),
            login: login.into(),
            name: String::new(),
            role: Role::Clinician,
            patient: None,
            idle_until_ms: now_ms + IDLE_MS,
            until_ms: now_ms + ABSOLUTE_MS,
        }
    }

    #[test]
    fn a_session_idles_out_and_ends_with_the_shift() {
        let mut book = SessionBook::default();
        let token = book.open(session("lee", NOW), &[7; 32]);
        assert!(book.get(token.expose(), NOW + IDLE_MS).is_none(), "idle for too long");
        let token = book.open(session("lee", NOW), &[8; 32]);
        let mut now_ms = NOW;
        while now_ms < NOW + ABSOLUTE_MS {
            assert!(book.get(token.expose(), now_ms).is_some());
            now_ms += IDLE_MS - 1;
        }
        assert!(book.get(token.expose(), now_ms).is_none(), "the shift is over");
    }

    #[test]
    fn a_session_is_not_found_by_another_token_or_after_signing_out() {
        let mut book = SessionBook::default();
        let token = book.open(session("lee", NOW), &[7; 32]);
        assert!(book.get("00", NOW).is_none());
        assert!(book.is_open(&[1; 16], NOW));
        book.close(token.expose());
        assert!(book.get(token.expose(), NOW).is_none());
        assert!(!book.is_open(&[1; 16], NOW));
    }

    #[test]
    fn guessing_has_to_wait_longer_and_longer() {
        let mut book = SessionBook::default();
        let mut now_ms = NOW;
        for _ in 0..TRIES_MAX {
            assert!(book.may_try("lee", now_ms).is_ok());
            book.wrong("lee", now_ms);
        }
        assert_eq!(book.may_try("lee", now_ms), Err(SignInRefused::Wait { wait_s: 30 }));
        assert!(book.may_try("amira", now_ms).is_ok(), "only this login waits");
        now_ms += WAIT_MS;
        assert!(book.may_try("lee", now_ms).is_ok());
        book.wrong("lee", now_ms);
        assert_eq!(book.may_try("lee", now_ms), Err(SignInRefused::Wait { wait_s: 60 }));
    }

    #[test]
    fn memory_for_sessions_and_tries_is_bounded() {
        let mut book = SessionBook::default();
        for at in 0..(LOGINS_MAX as u64 + 10) {
            book.wrong(&at.to_string(), NOW + at);
        }
        assert!(book.tries.len() <= LOGINS_MAX);
        for at in 0..(SESSIONS_MAX as u64 + 10) {
            let mut random = [0; 32];
            random[..8].copy_from_slice(&at.to_be_bytes());
            book.open(session("lee", NOW + at), &random);
        }
        assert_eq!(book.open.len(), SESSIONS_MAX);
    }
}
