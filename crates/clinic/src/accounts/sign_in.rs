//! Signing in and out, and what keeps a session and its open pages alive.

use super::login_throttle::SignInRefused;
use super::sessions::{ABSOLUTE_MS, IDLE_MS, Session, Token};
use crate::clinic::Clinic;
use crate::errors::Denied;
use vault::Account;
use vitals::PatientId;
use vitals::origin::Origin;

impl Clinic {
    /// Signs somebody in from this machine ([`Origin::HERE`]). Slow on purpose (Argon2id): call it off the threads
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

    /// Signs somebody in from `from`. Wrong passwords delay the next attempts from that place, and no other.
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
        let hashing = self.throttle.begin(login, from, now_ms)?;
        let changes = |account: &Account| self.vault().events_len(account.person);
        let before = self.vault().account(login).as_ref().map(changes);
        let account = self.by_password(login, password)?;
        hashing.succeeded(login);
        if self.vault().is_suspended(account.person) {
            return Err(SignInRefused::Suspended);
        }
        self.complete(&account, now_ms);
        let opened = self.open_session(&account, from, now_ms);
        // Suspended, or given another password, while this one was checked: the sessions that were there have been
        // ended by then, and this one came too late for that.
        if before != Some(changes(&account)) {
            let still = if self.vault().is_suspended(account.person) {
                Err(SignInRefused::Suspended)
            } else {
                self.by_password(login, password).map(drop)
            };
            if let Err(why) = still {
                self.sign_out(opened.0.expose());
                return Err(why);
            }
        }
        Ok(opened)
    }

    /// Whose password this is.
    fn by_password(&self, login: &str, password: &str) -> Result<Account, SignInRefused> {
        match self.vault().verify_password(login, password) {
            Ok(Some(account)) => Ok(account),
            Ok(None) => Err(SignInRefused::Wrong),
            Err(why) => {
                tracing::error!(reason = %why, "The vault could not check a password");
                Err(SignInRefused::Unavailable)
            }
        }
    }

    /// A session for somebody who has proved who they are.
    pub(crate) fn open_session(&self, account: &Account, from: Origin, now_ms: u64) -> (Token, Session) {
        let patient = self.vault().patient_of(account.person).map(|patient| patient.id);
        let session = Session {
            id: self.random(),
            person: account.person,
            login: account.login.clone(),
            name: account.name.clone(),
            role: account.role,
            patient,
            idle_until_ms: now_ms + IDLE_MS,
            until_ms: now_ms + ABSOLUTE_MS,
        };
        let random = self.random();
        let token = self.sessions.open(session.clone(), from, &random);
        if let Err(why) = self.vault().note_sign_in(account.person, now_ms) {
            // Nobody is kept out because of it.
            tracing::warn!(reason = %why, "The vault could not note a sign-in");
        }
        (token, session)
    }

    /// The session of a token, at every request; it idles out otherwise.
    ///
    /// # Errors
    /// [`Denied::SignedOut`].
    pub fn session(&self, token: &str, now_ms: u64) -> Result<Session, Denied> {
        self.sessions.get(token, now_ms).ok_or(Denied::SignedOut)
    }

    /// Somebody opened a patient's page. Its live stream ends [`IDLE_MS`] after
    /// the last time: values must not stay on a screen that everybody has left, however long the session
    /// itself is kept by a wall beside it.
    ///
    /// # Errors
    /// [`Denied::SignedOut`].
    pub fn record_opened(&self, session: &Session, patient: PatientId, now_ms: u64) -> Result<(), Denied> {
        self.sessions.look(session, patient, now_ms)
    }

    /// Somebody uses a patient's page that is still open.
    ///
    /// # Errors
    /// [`Denied::LeftAlone`] when it has closed, [`Denied::NoSuchPatient`] when it never was open.
    pub fn record_used(&self, session: &Session, patient: PatientId, now_ms: u64) -> Result<(), Denied> {
        self.sessions.look_again(session, patient, now_ms)
    }

    /// Ends a session; its live streams close.
    pub fn sign_out(&self, token: &str) {
        if let Some(ended) = self.sessions.close(token) {
            self.traces.forget(&[ended]);
        }
    }
}
