//! Setting an authenticator app up, and recovery codes for when it is lost.

use super::app_set_ups::AppSetUp;
use super::sessions::{Session, Token};
use super::typed_code;
use crate::clinic::Clinic;
use crate::errors::ClinicError;
use vault::{RECOVERY_CODES, TotpKey, VaultError, recovery_hash};
use vitals::PersonId;
use vitals::ids::Hash;

/// Digits of a recovery code: 80 bits.
const CODE_DIGITS: usize = 16;
const GROUP_DIGITS: usize = 4;

/// Recovery codes as they are shown, once.
#[derive(Debug)]
pub struct RecoveryCodes(Vec<Token>);

impl RecoveryCodes {
    /// Each of them.
    pub fn each(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Token::expose)
    }
}

impl Clinic {
    /// Ten new codes, and their hashes in the same order.
    fn draw_recovery_codes(&self, person: PersonId) -> (RecoveryCodes, [Hash; RECOVERY_CODES]) {
        let random: [[u8; CODE_DIGITS]; RECOVERY_CODES] = core::array::from_fn(|_| self.random());
        let codes = random.map(|random| typed_code::written(&random, GROUP_DIGITS));
        let hashes = core::array::from_fn(|at| recovery_hash(person, &typed_code::digits(&codes[at])));
        (RecoveryCodes(codes.map(Token).into()), hashes)
    }

    /// A key for an authenticator app. It is in force once a code of it is given ([`Clinic::confirm_app`]); until then
    /// an app before it stays. Asked again, the same key.
    ///
    /// # Errors
    /// [`ClinicError::NotFresh`], [`ClinicError::Denied`].
    pub fn begin_app(&self, session: &Session, now_ms: u64) -> Result<AppSetUp, ClinicError> {
        self.require_fresh(session, now_ms)?;
        Ok(self.app_set_ups.begin(session.id, TotpKey::random(&self.entropy), now_ms))
    }

    /// Puts the key in force, by a code that the app shows. Gives the recovery codes, which are kept nowhere. All other
    /// sessions of the person end.
    ///
    /// # Errors
    /// [`ClinicError::Field`] for a wrong code: the key still waits. [`ClinicError::Stale`] if none waits.
    pub fn confirm_app(
        &self,
        session: &Session,
        code: &str,
        now_ms: u64,
    ) -> Result<RecoveryCodes, ClinicError> {
        self.require_fresh(session, now_ms)?;
        let set_up = self.app_set_ups.begun(session.id, now_ms).ok_or(ClinicError::Stale)?;
        let wrong = ClinicError::Field {
            field: "code",
            why: "this is not the code that the app shows now: is the clock of the phone right?",
        };
        let step = set_up.key.step_of(code, None, now_ms).ok_or(wrong)?;
        let (codes, hashes) = self.draw_recovery_codes(session.person);
        self.vault().put_app(session.person, &set_up.key, step, &hashes, now_ms)?;
        self.app_set_ups.end(session.id);
        self.factors_changed(session);
        Ok(codes)
    }

    /// No code is asked for at sign-in any more, and the recovery codes end. All other sessions of the person end.
    ///
    /// # Errors
    /// [`ClinicError::NotFresh`]; [`ClinicError::Stale`] where no app was asked for.
    pub fn remove_app(&self, session: &Session, now_ms: u64) -> Result<(), ClinicError> {
        self.require_fresh(session, now_ms)?;
        self.vault().remove_app(session.person, now_ms).map_err(factor_error)?;
        self.factors_changed(session);
        Ok(())
    }

    /// Ten new recovery codes, which are kept nowhere; those before stop working. All other sessions of the person end.
    ///
    /// # Errors
    /// [`ClinicError::NotFresh`]; [`ClinicError::Stale`] where no authenticator app is asked for.
    pub fn renew_recovery_codes(&self, session: &Session, now_ms: u64) -> Result<RecoveryCodes, ClinicError> {
        self.require_fresh(session, now_ms)?;
        let (codes, hashes) = self.draw_recovery_codes(session.person);
        self.vault().put_recovery_codes(session.person, &hashes, now_ms).map_err(factor_error)?;
        self.factors_changed(session);
        Ok(codes)
    }
}

/// Why the vault did not change what an account signs in with.
pub(super) fn factor_error(why: VaultError) -> ClinicError {
    match why {
        VaultError::NotSo | VaultError::NoSigner => ClinicError::Stale,
        why => ClinicError::Vault(why),
    }
}
