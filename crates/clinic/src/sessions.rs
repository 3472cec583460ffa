//! Who is signed in. A token is 32 random bytes, known to the browser and stored only as a hash;
//! a session ends after idling or after a shift, whichever comes first.

use crate::clinic::{Clinic, lock};
use crate::errors::Denied;
use crate::tries::TryBook;
use std::collections::{HashMap, HashSet};
use vitals::ids::{Hash, sha256};
use vitals::ledger::Role;
use vitals::origin::Origin;
use vitals::{PatientId, PersonId};
use zeroize::Zeroize;

/// A session ends after this long without a request.
pub const IDLE_MS: u64 = 15 * 60_000;
/// A session ends after this long in any case.
pub const ABSOLUTE_MS: u64 = 12 * 3_600_000;
/// Most sessions at once; the one idle longest makes room.
pub const SESSIONS_MAX: usize = 4096;
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
    /// When somebody last touched an open page, by session and patient.
    looked: HashMap<([u8; 16], PatientId), u64>,
    pub(crate) tries: TryBook,
}

fn token_hash(token: &str) -> Hash {
    sha256(&[b"aceso/session/v1", token.as_bytes()])
}

impl SessionBook {
    /// Opens a session whose token is `random`.
    pub(crate) fn open(&mut self, session: Session, random: &[u8; 32]) -> Token {
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

    /// Somebody touches an open page.
    pub(crate) fn look(&mut self, id: [u8; 16], patient: PatientId, now_ms: u64) {
        self.looked.insert((id, patient), now_ms);
    }

    /// A stream begins: counts as a look if it is the first, and otherwise only asks.
    pub(crate) fn begin_looking(&mut self, id: [u8; 16], patient: PatientId, now_ms: u64) -> bool {
        self.looked.entry((id, patient)).or_insert(now_ms);
        self.is_looking(id, patient, now_ms)
    }

    /// Has the session ever opened the patient's page?
    fn has_looked(&self, id: [u8; 16], patient: PatientId) -> bool {
        self.looked.contains_key(&(id, patient))
    }

    /// Has the session touched the patient's page lately?
    pub(crate) fn is_looking(&self, id: [u8; 16], patient: PatientId, now_ms: u64) -> bool {
        self.looked.get(&(id, patient)).is_some_and(|at_ms| now_ms < at_ms.saturating_add(IDLE_MS))
    }

    /// Ends a session; says which.
    pub(crate) fn close(&mut self, token: &str) -> Option<[u8; 16]> {
        let id = self.open.remove(&token_hash(token)).map(|session| session.id)?;
        self.looked.retain(|(one, _), _| *one != id);
        Some(id)
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
        let open: HashSet<[u8; 16]> = self.open.values().map(|one| one.id).collect();
        self.looked.retain(|(id, _), _| open.contains(id));
        ended
    }
}

/// One password being stretched.
struct Stretch<'a>(&'a Clinic, Origin);

impl Drop for Stretch<'_> {
    fn drop(&mut self) {
        lock(&self.0.sessions).tries.end(self.1);
    }
}

impl Clinic {
    /// Signs somebody in at the operator's own door. Slow on purpose (Argon2id): call it off the threads
    /// that serve others.
    ///
    /// # Errors
    /// [`SignInRefused`]; it never tells whether the login exists.
    pub fn sign_in(
        &self,
        login: &str,
        password: &str,
        now_ms: u64,
    ) -> Result<(Token, Session), SignInRefused> {
        self.sign_in_from(Origin::HERE, login, password, now_ms)
    }

    /// Signs somebody in who asks from elsewhere. Wrong tries make that place wait, and no other.
    ///
    /// # Errors
    /// As [`Clinic::sign_in`].
    pub fn sign_in_from(
        &self,
        from: Origin,
        login: &str,
        password: &str,
        now_ms: u64,
    ) -> Result<(Token, Session), SignInRefused> {
        lock(&self.sessions).tries.begin(login, from, now_ms)?;
        let _stretch = Stretch(self, from);
        let account = match self.vault().verify_password(login, password) {
            Ok(Some(account)) => account,
            Ok(None) => return Err(SignInRefused::Wrong),
            Err(why) => {
                tracing::error!(reason = %why, "The vault could not check a password");
                return Err(SignInRefused::Unavailable);
            }
        };
        let patient = self.vault().patient_of(account.person).map(|patient| patient.id);
        let session = Session {
            id: self.random(),
            person: account.person,
            login: account.login,
            name: account.name,
            role: account.role,
            patient,
            idle_until_ms: now_ms + IDLE_MS,
            until_ms: now_ms + ABSOLUTE_MS,
        };
        let random = self.random();
        let mut sessions = lock(&self.sessions);
        sessions.tries.right(login, from);
        let token = sessions.open(session.clone(), &random);
        Ok((token, session))
    }

    /// The session of a token, at every request; it idles out otherwise.
    ///
    /// # Errors
    /// [`Denied::SignedOut`].
    pub fn session(&self, token: &str, now_ms: u64) -> Result<Session, Denied> {
        lock(&self.sessions).get(token, now_ms).ok_or(Denied::SignedOut)
    }

    /// Somebody opened a patient's page. Its live stream ends [`IDLE_MS`] after
    /// the last time: values must not stay on a screen that everybody has left, however long the session
    /// itself is kept by a wall beside it.
    ///
    /// # Errors
    /// [`Denied::SignedOut`].
    pub fn record_opened(&self, session: &Session, patient: PatientId, now_ms: u64) -> Result<(), Denied> {
        let mut sessions = lock(&self.sessions);
        if !sessions.is_open(&session.id, now_ms) {
            return Err(Denied::SignedOut);
        }
        sessions.look(session.id, patient, now_ms);
        Ok(())
    }

    /// Somebody uses a patient's page that is still open.
    ///
    /// # Errors
    /// [`Denied::LeftAlone`] when it has closed, [`Denied::NoSuchPatient`] when it never was open.
    pub fn record_used(&self, session: &Session, patient: PatientId, now_ms: u64) -> Result<(), Denied> {
        let mut sessions = lock(&self.sessions);
        if !sessions.is_open(&session.id, now_ms) {
            return Err(Denied::SignedOut);
        }
        if !sessions.has_looked(session.id, patient) {
            return Err(Denied::NoSuchPatient);
        }
        if !sessions.is_looking(session.id, patient, now_ms) {
            return Err(Denied::LeftAlone);
        }
        sessions.look(session.id, patient, now_ms);
        Ok(())
    }

    /// Ends a session; its live streams close.
    pub fn sign_out(&self, token: &str) {
        if let Some(ended) = lock(&self.sessions).close(token) {
            lock(&self.traces).retain(|(session, ..), _| *session != ended);
        }
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
    fn memory_for_sessions_is_bounded() {
        let mut book = SessionBook::default();
        for at in 0..(SESSIONS_MAX as u64 + 10) {
            let mut random = [0; 32];
            random[..8].copy_from_slice(&at.to_be_bytes());
            book.open(session("lee", NOW + at), &random);
        }
        assert_eq!(book.open.len(), SESSIONS_MAX);
    }
}
