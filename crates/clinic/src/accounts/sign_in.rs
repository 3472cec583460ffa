//! Signing in and out, and what keeps a session and its open pages alive.

use super::login_throttle::SignInRefused;
use super::second_step::SignInStep;
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
    /// As [`Clinic::sign_in`]; [`SignInRefused::CodeNeeded`] for an account that asks for a code as well.
    pub fn sign_in_from(
        &self,
        from: Origin,
        login: &str,
        password: &str,
        now_ms: u64,
    ) -> Result<(Token, Session), SignInRefused> {
        let (account, before) = self.check_password(from, login, password, now_ms)?;
        if self.asks_for_code(&account)? {
            return Err(SignInRefused::CodeNeeded);
        }
        self.let_in(&account, from, before, now_ms, || self.password_alone(login, password))
    }

    /// The same for the sign-in page: an account that asks for a code gets no session yet, but its second step.
    ///
    /// # Errors
    /// As [`Clinic::sign_in`].
    pub fn begin_sign_in(
        &self,
        from: Origin,
        login: &str,
        password: &str,
        now_ms: u64,
    ) -> Result<SignInStep, SignInRefused> {
        let (account, before) = self.check_password(from, login, password, now_ms)?;
        if self.asks_for_code(&account)? {
            let step = self.second_steps.open(account.person, before, now_ms, &self.random());
            return Ok(SignInStep::Code(step));
        }
        let (token, session) =
            self.let_in(&account, from, before, now_ms, || self.password_alone(login, password))?;
        Ok(SignInStep::Done(token, session))
    }

    /// Whose password this is, and how long the account's history was before it was looked at.
    fn check_password(
        &self,
        from: Origin,
        login: &str,
        password: &str,
        now_ms: u64,
    ) -> Result<(Account, u64), SignInRefused> {
        let hashing = self.throttle.begin(login, from, now_ms)?;
        let held = self.vault().account(login);
        let before = held.map_or(0, |account| self.vault().events_len(account.person));
        let account = self.by_password(login, password)?;
        hashing.succeeded(login);
        Ok((account, before))
    }

    fn by_password(&self, login: &str, password: &str) -> Result<Account, SignInRefused> {
        let checked = self.vault().verify_password(login, password);
        checked.map_err(|why| SignInRefused::unavailable(&why))?.ok_or(SignInRefused::Wrong)
    }

    fn asks_for_code(&self, account: &Account) -> Result<bool, SignInRefused> {
        let factors = self.vault().second_factors(account.person);
        Ok(factors.map_err(|why| SignInRefused::unavailable(&why))?.app_since_ms.is_some())
    }

    /// Is the password still right, and still enough?
    fn password_alone(&self, login: &str, password: &str) -> Result<(), SignInRefused> {
        let account = self.by_password(login, password)?;
        if self.asks_for_code(&account)? { Err(SignInRefused::CodeNeeded) } else { Ok(()) }
    }

    /// A session for somebody who has given every proof the account asks for, unless it is suspended. `before` is how
    /// long the account's history was when the proofs were looked at: if it has grown since, `again` looks once more.
    pub(crate) fn let_in(
        &self,
        account: &Account,
        from: Origin,
        before: u64,
        now_ms: u64,
        again: impl FnOnce() -> Result<(), SignInRefused>,
    ) -> Result<(Token, Session), SignInRefused> {
        if self.vault().is_suspended(account.person) {
            return Err(SignInRefused::Suspended);
        }
        self.complete(account, now_ms);
        let opened = self.open_session(account, from, now_ms);
        // Suspended, or given another password or factor, while this one was checked: the sessions that were there have
        // been ended by then, and this one came too late for that.
        if before != self.vault().events_len(account.person) {
            let still = if self.vault().is_suspended(account.person) {
                Err(SignInRefused::Suspended)
            } else {
                again()
            };
            if let Err(why) = still {
                self.sign_out(opened.0.expose());
                return Err(why);
            }
        }
        Ok(opened)
    }

    /// The person of a session proves again who they are, by the password. Slow on purpose, and delayed like a sign-in.
    ///
    /// # Errors
    /// [`SignInRefused::Wrong`], [`SignInRefused::Wait`], [`SignInRefused::Busy`], [`SignInRefused::Unavailable`].
    pub fn confirm_by_password(
        &self,
        from: Origin,
        session: &Session,
        password: &str,
        now_ms: u64,
    ) -> Result<(), SignInRefused> {
        let (account, _) = self.check_password(from, &session.login, password, now_ms)?;
        if account.person != session.person {
            return Err(SignInRefused::Wrong);
        }
        self.sessions.prove(session.id, now_ms);
        Ok(())
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
