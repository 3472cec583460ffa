//! Invitations: an administrator makes a one-time link, and its person makes the account.

use super::login_throttle::SignInRefused;
use super::sessions::{Session, Token};
use crate::clinic::Clinic;
use crate::errors::{ClinicError, Denied};
use vault::{Acceptance, Invited, Link, Made, NewInvitation, VaultError, link_hash};
use vitals::body::TEXT_BYTES_MAX;
use vitals::ledger::Role;
use vitals::origin::Origin;
use vitals::{PatientId, PersonId};

silent_debug!(InvitationView);

/// How long an invitation may be taken up: three days, so that a weekend lies in it.
pub const INVITATION_MS: u64 = 72 * 3_600_000;
/// Longest login, bytes of UTF-8.
pub const LOGIN_BYTES_MAX: usize = 200;
/// Longest password that is given on a page, bytes of UTF-8.
pub const PASSWORD_BYTES_MAX: usize = 1000;

/// Whom an administrator invites.
#[derive(Clone, Copy)]
pub struct InviteRequest<'a> {
    /// In which role.
    pub role: Role,
    /// The name to begin with; may be empty, and the person may write another.
    pub name: &'a str,
    /// A patient's bed; empty for everybody else.
    pub bed: &'a str,
    /// Random, of the form: sent twice, it invites once.
    pub form: [u8; 16],
}

impl core::fmt::Debug for InviteRequest<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("InviteRequest")
    }
}

/// What became of it.
#[derive(Debug)]
pub enum InviteOutcome {
    /// The secret of the link, which is kept nowhere.
    Now(PersonId, Token),
    /// This form made this invitation before.
    Before(PersonId),
}

/// What an invitation says to whom it invites.
#[derive(Clone, PartialEq, Eq)]
pub struct InvitationView {
    /// In which role.
    pub role: Role,
    /// The suggested name.
    pub name: String,
    /// A patient's bed.
    pub bed: String,
    /// End of the link (exclusive), milliseconds.
    pub until_ms: u64,
}

/// What an invited person chose.
#[derive(Clone, Copy)]
pub struct Chosen<'a> {
    /// What is typed to sign in.
    pub login: &'a str,
    /// What others are shown.
    pub name: &'a str,
    /// What proves it.
    pub password: &'a str,
}

impl core::fmt::Debug for Chosen<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Chosen")
    }
}

/// Why a link did nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkRefused {
    /// Guessed, used, replaced, withdrawn or ended: one sentence for all of them.
    #[error("this link does not work, or does not work any more: ask the administrator for a new one")]
    Dead,
    /// Too many wrong links, or too many sign-ins.
    #[error(transparent)]
    Later(SignInRefused),
    /// A field is wrong; the link still works.
    #[error("{why}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl From<SignInRefused> for LinkRefused {
    fn from(why: SignInRefused) -> Self {
        Self::Later(why)
    }
}

/// Keeps the guesses at links apart from those at logins.
fn guess_of(secret: &str) -> String {
    format!("link\0{secret}")
}

/// What is wrong with a name or a login as it was typed.
pub(super) fn fits(chosen: &Chosen<'_>) -> Result<(), LinkRefused> {
    let wrong = |field, why| Err(LinkRefused::Field { field, why });
    if chosen.name.is_empty() {
        return wrong("name", "the name is missing");
    }
    if chosen.name.len() > TEXT_BYTES_MAX {
        return wrong("name", "the name is longer than 256 bytes");
    }
    if chosen.login.is_empty() {
        return wrong("login", "the login is missing");
    }
    if chosen.login.len() > LOGIN_BYTES_MAX {
        return wrong("login", "the login is longer than 200 bytes");
    }
    if chosen.password.len() > PASSWORD_BYTES_MAX {
        return wrong("password", "the password is longer than 1000 bytes");
    }
    Ok(())
}

impl Clinic {
    /// A secret that nobody guesses: 256 random bits.
    pub(super) fn link_secret(&self) -> Token {
        let random: [u8; 32] = self.random();
        Token(random.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Administrators alone change accounts; they need no fresh view of the ledger for it.
    pub(super) fn administering(&self, session: &Session, now_ms: u64) -> Result<Made, ClinicError> {
        self.require(session, &[Role::Administrator], now_ms).map_err(|why| self.denied(why))?;
        Ok(Made { by: Some(session.person), at_ms: now_ms })
    }

    /// Invites somebody by a link.
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but administrators; [`ClinicError::Field`] for what does not fit.
    pub fn invite(
        &self,
        session: &Session,
        request: &InviteRequest<'_>,
        now_ms: u64,
    ) -> Result<InviteOutcome, ClinicError> {
        let made = self.administering(session, now_ms)?;
        let InviteRequest { role, name, bed, form } = *request;
        let wrong = |field, why| Err(ClinicError::Field { field, why });
        if !role.is_founding() {
            return wrong("role", "choose one of the roles");
        }
        if name.len() > TEXT_BYTES_MAX {
            return wrong("name", "the name is longer than 256 bytes");
        }
        match (role, bed) {
            (Role::Patient, "") => return wrong("bed", "a patient needs a bed or a place"),
            (Role::Patient, _) | (_, "") => {}
            _ => return wrong("bed", "only patients have a bed: leave this empty"),
        }
        if bed.len() > TEXT_BYTES_MAX {
            return wrong("bed", "the bed is longer than 256 bytes");
        }
        let (person, secret) = (PersonId(self.random()), self.link_secret());
        let link = Link { hash: link_hash(secret.expose()), until_ms: now_ms + INVITATION_MS };
        let new = NewInvitation { person, role, name, bed, form, link };
        Ok(match self.vault().put_invitation(new, made)? {
            Invited::Now => InviteOutcome::Now(person, secret),
            Invited::Before(person) => InviteOutcome::Before(person),
        })
    }

    /// A new link for an invitation that nobody took up; the one before stops working. `seen` is
    /// [`PersonPage::seen`](crate::views::PersonPage::seen) of the page it was asked for on.
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but administrators; [`ClinicError::Stale`].
    pub fn renew_invitation(
        &self,
        session: &Session,
        person: PersonId,
        seen: u64,
        now_ms: u64,
    ) -> Result<Token, ClinicError> {
        let made = self.administering(session, now_ms)?;
        let secret = self.link_secret();
        let link = Link { hash: link_hash(secret.expose()), until_ms: now_ms + INVITATION_MS };
        self.vault()
            .renew_invitation(person, seen, link, made)
            .map_err(|why| self.account_error(person, why))?;
        Ok(secret)
    }

    /// Ends an invitation: its link stops working.
    ///
    /// # Errors
    /// As [`Clinic::renew_invitation`].
    pub fn withdraw_invitation(
        &self,
        session: &Session,
        person: PersonId,
        seen: u64,
        now_ms: u64,
    ) -> Result<(), ClinicError> {
        let made = self.administering(session, now_ms)?;
        let withdrawn = self.vault().withdraw_invitation(person, seen, made);
        withdrawn.map_err(|why| self.account_error(person, why))
    }

    /// Why an account was not changed.
    pub(super) fn account_error(&self, person: PersonId, why: VaultError) -> ClinicError {
        let is_known =
            self.vault().account_of(person).is_some() || self.vault().invitation_of(person).is_some();
        match why {
            VaultError::Stale | VaultError::NotSo | VaultError::NoSigner if !is_known => {
                self.denied(Denied::NoSuchAccount)
            }
            VaultError::Stale | VaultError::NotSo | VaultError::NoSigner => ClinicError::Stale,
            VaultError::LastAdministrator => ClinicError::Wrong(
                "this is the last administrator who can sign in: invite another one first".into(),
            ),
            VaultError::Unfit(why) => ClinicError::Field { field: "reason", why },
            why => ClinicError::Vault(why),
        }
    }

    /// What a link invites to. Guesses make their place wait.
    ///
    /// # Errors
    /// [`LinkRefused`]: the same for every link that does not work.
    pub fn open_invitation(
        &self,
        from: Origin,
        secret: &str,
        now_ms: u64,
    ) -> Result<InvitationView, LinkRefused> {
        let guess = guess_of(secret);
        self.throttle.guess(&guess, from, now_ms)?;
        let found = self.vault().invitation_by_link(&link_hash(secret), now_ms).ok_or(LinkRefused::Dead)?;
        self.throttle.guessed_right(&guess, from);
        let vault::Invitation { role, name, bed, link, .. } = found;
        Ok(InvitationView { role, name, bed, until_ms: link.until_ms })
    }

    /// Takes an invitation up: makes the account, enrols it on the ledger, and signs its person in. Slow on purpose,
    /// as [`Clinic::sign_in`].
    ///
    /// # Errors
    /// [`LinkRefused`]; where a field is wrong, the link still works.
    pub fn accept_invitation(
        &self,
        from: Origin,
        secret: &str,
        chosen: &Chosen<'_>,
        now_ms: u64,
    ) -> Result<(Token, Session), LinkRefused> {
        self.open_invitation(from, secret, now_ms)?;
        let chosen = Chosen { login: chosen.login.trim(), name: chosen.name.trim(), ..*chosen };
        fits(&chosen)?;
        let guess = guess_of(secret);
        let hashing = self.throttle.begin(&guess, from, now_ms)?;
        let Chosen { login, name, password } = chosen;
        let wanted = Acceptance { login, name, password, patient: PatientId(self.random()) };
        let accepted = self.vault().accept_invitation(&link_hash(secret), &wanted, now_ms);
        // Somebody who holds the link makes nobody wait by choosing a login that is taken.
        if !matches!(accepted, Err(VaultError::NoLink)) {
            hashing.succeeded(&guess);
        }
        let account = accepted.map_err(link_error)?;
        self.complete(&account, now_ms);
        Ok(self.open_session(&account, from, now_ms))
    }
}

/// Why the vault did not do what a link asked for.
pub(super) fn link_error(why: VaultError) -> LinkRefused {
    match why {
        VaultError::NoLink => LinkRefused::Dead,
        VaultError::LoginTaken => {
            LinkRefused::Field { field: "login", why: "this login is taken: choose another" }
        }
        VaultError::Unfit(why) => LinkRefused::Field { field: "password", why },
        why => {
            tracing::error!(reason = %why, "The vault could not use a link");
            LinkRefused::Later(SignInRefused::Unavailable)
        }
    }
}
