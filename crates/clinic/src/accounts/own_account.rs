//! Somebody's own account: how it signs in, what happened to it, and the change of its password.

use super::passkeys::{self, PasskeyLine};
use super::people_page::EventLine;
use super::sessions::Session;
use crate::clinic::Clinic;
use crate::errors::ClinicError;
use vault::{SecondFactors, VaultError};

silent_debug!(OwnAccount);

/// An account as its person sees it.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnAccount {
    /// What has to be given beside the password.
    pub factors: SecondFactors,
    /// Passkeys, in the order in which they were added.
    pub passkeys: Vec<PasskeyLine>,
    /// Other open sessions.
    pub other_sessions: usize,
    /// History, the newest first.
    pub history: Vec<EventLine>,
}

impl Clinic {
    /// Signed in, whatever the role.
    pub(super) fn require_session(&self, session: &Session, now_ms: u64) -> Result<(), ClinicError> {
        self.signed_in(session, &[session.role], now_ms).map_err(|why| self.denied(why))
    }

    /// Has the person of this session proved within [`crate::FRESH_MS`] who they are?
    #[must_use]
    pub fn is_fresh(&self, session: &Session, now_ms: u64) -> bool {
        self.sessions.is_fresh(session.id, now_ms)
    }

    /// Signed in, and not only by a browser that was left open.
    pub(super) fn require_fresh(&self, session: &Session, now_ms: u64) -> Result<(), ClinicError> {
        self.require_session(session, now_ms)?;
        if self.is_fresh(session, now_ms) { Ok(()) } else { Err(ClinicError::NotFresh) }
    }

    /// What an account signs in with has changed: whoever signed in with what was before is signed out, this session
    /// aside.
    pub(super) fn factors_changed(&self, session: &Session) {
        self.sessions.end_others(session.person, session.id);
        self.second_steps.end_of(session.person);
    }

    /// The account of this session.
    ///
    /// # Errors
    /// [`ClinicError::Denied`], [`ClinicError::Vault`].
    pub fn own_account(&self, session: &Session, now_ms: u64) -> Result<OwnAccount, ClinicError> {
        self.require_session(session, now_ms)?;
        Ok(OwnAccount {
            factors: self.vault().second_factors(session.person)?,
            passkeys: self.vault().passkeys_of(session.person).into_iter().map(passkeys::line).collect(),
            other_sessions: self.sessions.of(session.person, now_ms).len().saturating_sub(1),
            history: self.account_history(session.person)?,
        })
    }

    /// Changes the password; all other sessions of the person end. Slow on purpose, as [`Clinic::sign_in`].
    ///
    /// # Errors
    /// [`ClinicError::NotFresh`]; [`ClinicError::Field`] for a password that is none.
    pub fn change_password(&self, session: &Session, password: &str, now_ms: u64) -> Result<(), ClinicError> {
        self.require_fresh(session, now_ms)?;
        if password.len() > super::PASSWORD_BYTES_MAX {
            return Err(ClinicError::Field {
                field: "password",
                why: "the password is longer than 1000 bytes",
            });
        }
        let changed = self.vault().change_password(session.person, password, now_ms);
        changed.map_err(|why| match why {
            VaultError::Unfit(why) => ClinicError::Field { field: "password", why },
            why => super::authenticator_app::factor_error(why),
        })?;
        self.factors_changed(session);
        Ok(())
    }
}
