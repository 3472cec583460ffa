//! The first administrator of a new node, set up on a page: whoever reads what the node printed at its start knows the
//! code.

use super::invitations::{Chosen, LinkRefused, fits, link_error};
use super::login_throttle::SignInRefused;
use super::sessions::{Session, Token};
use crate::clinic::Clinic;
use crate::errors::ClinicError;
use vitals::origin::Origin;

/// Keeps the guesses at the code apart from those at logins.
const GUESS: &str = "set-up\0";
const WRONG: LinkRefused =
    LinkRefused::Field { field: "code", why: "this is not the code that the node printed at its last start" };

impl Clinic {
    /// Has nobody an account here yet?
    #[must_use]
    pub fn needs_set_up(&self) -> bool {
        self.vault().accounts_len() == 0
    }

    /// A new code with which the first administrator is made; the one before stops working. None if there are
    /// accounts already. It is to be printed where the operator of the node alone reads it.
    #[must_use]
    pub fn offer_set_up(&self) -> Option<Token> {
        if !self.needs_set_up() {
            return None;
        }
        Some(Token(self.set_up.renew(&self.random())))
    }

    /// Makes the first administrator, by the code, and signs them in. Slow on purpose, as [`Clinic::sign_in`].
    ///
    /// # Errors
    /// [`LinkRefused::Field`] names what is wrong: the code, which is refused the same way when there is none, or
    /// something that was chosen; [`LinkRefused::Later`].
    pub fn set_up(
        &self,
        from: Origin,
        code: &str,
        chosen: &Chosen<'_>,
        now_ms: u64,
    ) -> Result<(Token, Session), LinkRefused> {
        let hashing = self.throttle.begin(GUESS, from, now_ms)?;
        if !self.set_up.is_right(code) {
            return Err(WRONG);
        }
        hashing.succeeded(GUESS);
        let chosen = Chosen { login: chosen.login.trim(), name: chosen.name.trim(), ..*chosen };
        fits(&chosen)?;
        match self.first_administrator(chosen.login, chosen.name, chosen.password, now_ms) {
            // Not handed in yet: that is done again at the next sign-in.
            Ok(_) | Err(ClinicError::Ledger(_)) => {}
            Err(ClinicError::Vault(why)) => return Err(link_error(why)),
            // Somebody else was the first.
            Err(_) => return Err(WRONG),
        }
        self.set_up.end();
        let account = self.vault().account(chosen.login);
        let account = account.ok_or(LinkRefused::Later(SignInRefused::Unavailable))?;
        Ok(self.open_session(&account, from, now_ms))
    }
}
