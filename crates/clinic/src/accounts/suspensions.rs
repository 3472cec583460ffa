//! What administrators do to accounts that exist: suspend and reinstate, a link to a new password, ending sessions.

use super::invitations::{LinkRefused, PASSWORD_BYTES_MAX, link_error};
use super::sessions::{Session, Token};
use crate::clinic::Clinic;
use crate::errors::{ClinicError, Denied};
use vault::{Link, link_hash};
use vitals::PersonId;
use vitals::ledger::Role;
use vitals::origin::Origin;

/// How long a link to a new password works: a day, for its person asked for it.
pub const PASSWORD_LINK_MS: u64 = 24 * 3_600_000;

/// Keeps the guesses at links apart from those at logins.
fn guess_of(secret: &str) -> String {
    format!("password link\0{secret}")
}

impl Clinic {
    /// Suspends an account at this organisation: its sessions and live streams end at once, signing in is refused,
    /// every decision about its person is no. Consents given to the person stay and open nothing meanwhile; the
    /// ledger is not told, for a suspension there is for good. `seen` is
    /// [`PersonPage::seen`](crate::views::PersonPage::seen).
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but administrators; [`ClinicError::Wrong`] for oneself and for the last
    /// administrator; [`ClinicError::Field`] for a reason that is none; [`ClinicError::Stale`].
    pub fn suspend(
        &self,
        session: &Session,
        person: PersonId,
        seen: u64,
        reason: &str,
        now_ms: u64,
    ) -> Result<(), ClinicError> {
        let made = self.administering(session, now_ms)?;
        if session.person == person {
            return Err(ClinicError::Wrong("you cannot suspend yourself: another administrator can".into()));
        }
        // The ledger is asked before the vault takes its lock.
        let administrators =
            self.vault().accounts().into_iter().filter(|one| one.role == Role::Administrator);
        let can_act =
            |person| self.ledger().person(person).ok().flatten().is_some_and(|one| one.suspended_at_ms == 0);
        let others: Vec<PersonId> =
            administrators.map(|one| one.person).filter(|person| can_act(*person)).collect();
        self.vault()
            .suspend(person, seen, reason.trim(), &others, made)
            .map_err(|why| self.account_error(person, why))?;
        self.end_sessions_of(person);
        // What was decided for this person before is decided again.
        self.count_generation();
        Ok(())
    }

    /// Ends a suspension.
    ///
    /// # Errors
    /// As [`Clinic::suspend`].
    pub fn reinstate(
        &self,
        session: &Session,
        person: PersonId,
        seen: u64,
        reason: &str,
        now_ms: u64,
    ) -> Result<(), ClinicError> {
        let made = self.administering(session, now_ms)?;
        let reinstated = self.vault().reinstate(person, seen, reason.trim(), made);
        reinstated.map_err(|why| self.account_error(person, why))?;
        self.count_generation();
        Ok(())
    }

    /// Makes a link by which a person sets a new password. The old one holds, and sessions stay, until it is used.
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but administrators; [`ClinicError::Stale`], also for one who is suspended.
    pub fn offer_password(
        &self,
        session: &Session,
        person: PersonId,
        seen: u64,
        now_ms: u64,
    ) -> Result<Token, ClinicError> {
        let made = self.administering(session, now_ms)?;
        let secret = self.link_secret();
        let link = Link { hash: link_hash(secret.expose()), until_ms: now_ms + PASSWORD_LINK_MS };
        self.vault()
            .offer_password(person, seen, link, made)
            .map_err(|why| self.account_error(person, why))?;
        Ok(secret)
    }

    /// Whose password a link sets: the login, and the end of the link. Guesses make their place wait.
    ///
    /// # Errors
    /// [`LinkRefused`]: the same for every link that does not work.
    pub fn open_password_link(
        &self,
        from: Origin,
        secret: &str,
        now_ms: u64,
    ) -> Result<(String, u64), LinkRefused> {
        let guess = guess_of(secret);
        self.throttle.guess(&guess, from, now_ms)?;
        let account = self.vault().account_by_password_link(&link_hash(secret), now_ms);
        let account = account.ok_or(LinkRefused::Dead)?;
        self.throttle.guessed_right(&guess, from);
        let until_ms = self.vault().password_link_until_ms(account.person).unwrap_or(now_ms);
        Ok((account.login, until_ms))
    }

    /// Sets a new password by a link, ends all sessions of its person, and signs the person in. Slow on purpose, as
    /// [`Clinic::sign_in`].
    ///
    /// # Errors
    /// [`LinkRefused`]; where the password is none, the link still works.
    pub fn set_password_by_link(
        &self,
        from: Origin,
        secret: &str,
        password: &str,
        now_ms: u64,
    ) -> Result<(Token, Session), LinkRefused> {
        self.open_password_link(from, secret, now_ms)?;
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(LinkRefused::Field {
                field: "password",
                why: "the password is longer than 1000 bytes",
            });
        }
        let guess = guess_of(secret);
        let hashing = self.throttle.begin(&guess, from, now_ms)?;
        let set = self.vault().set_password_by_link(&link_hash(secret), password, now_ms);
        if !matches!(set, Err(vault::VaultError::NoLink)) {
            hashing.succeeded(&guess);
        }
        let account = set.map_err(link_error)?;
        self.end_sessions_of(account.person);
        let opened = self.open_session(&account, from, now_ms);
        // Suspended meanwhile: whoever suspended has ended the sessions that were there.
        if self.vault().is_suspended(account.person) {
            self.end_sessions_of(account.person);
            return Err(LinkRefused::Dead);
        }
        Ok(opened)
    }

    /// Ends one session of a person, or all. Gives how many.
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but administrators, and for an id that is nobody's.
    pub fn end_sessions(
        &self,
        session: &Session,
        person: PersonId,
        only: Option<[u8; 16]>,
        now_ms: u64,
    ) -> Result<usize, ClinicError> {
        let made = self.administering(session, now_ms)?;
        if self.vault().account_of(person).is_none() {
            return Err(self.denied(Denied::NoSuchAccount));
        }
        let ended = self.sessions.end_of(person, only);
        if ended != 0 {
            self.vault().note_sessions_ended(person, made)?;
        }
        Ok(ended)
    }

    fn end_sessions_of(&self, person: PersonId) {
        self.sessions.end_of(person, None);
    }
}
