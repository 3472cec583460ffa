//! Passkeys of accounts: added, renamed, removed, and used to sign in without a login or to confirm who sits there.

use super::authenticator_app::factor_error;
use super::challenges::{ChallengeFor, Challenges};
use super::login_throttle::SignInRefused;
use super::sessions::{Session, Token};
use crate::clinic::Clinic;
use crate::errors::{ClinicError, Denied};
use vault::{Account, Passkey, PasskeyUse, VaultError};
use vitals::PersonId;
use vitals::ids::{Hash, sha256};
use vitals::origin::Origin;
use webauthn::{Assertion, PublicKey, RelyingParty};

silent_debug!(PasskeyLine);

/// A point of P-256, its base: what an answer with an unknown passkey is held against, so that it takes as long.
const NOBODY_S_KEY: [u8; 64] = [
    0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2, 0x77,
    0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f, 0xe3,
    0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33,
    0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5,
];

/// What an authenticator is asked to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasskeyRequest {
    /// The challenge.
    pub challenge: Hash,
    /// When it was made, milliseconds; the answer says it again.
    pub issued_ms: u64,
}

/// What a browser answers, of a passkey that was used.
#[derive(Clone, Copy)]
pub struct PasskeyAnswer<'a> {
    /// Of the request.
    pub issued_ms: u64,
    /// Id of the credential.
    pub id: &'a [u8],
    /// What the authenticator knows the account by.
    pub handle: &'a [u8],
    /// The rest.
    pub assertion: Assertion<'a>,
}

/// What a browser answers, of a passkey that was made.
#[derive(Clone, Copy)]
pub struct NewPasskey<'a> {
    /// Of the request.
    pub issued_ms: u64,
    /// What its person calls it.
    pub name: &'a str,
    /// `response.clientDataJSON`.
    pub client_data: &'a [u8],
    /// `response.getAuthenticatorData()`.
    pub authenticator_data: &'a [u8],
}

impl core::fmt::Debug for PasskeyAnswer<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("PasskeyAnswer")
    }
}

impl core::fmt::Debug for NewPasskey<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("NewPasskey")
    }
}

/// Names one passkey of an account in addresses: the head of its id's hash.
pub type PasskeyId = [u8; 16];

/// One passkey, as its person sees it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasskeyLine {
    /// Names it.
    pub id: PasskeyId,
    /// Id of the credential, for browsers to leave out what is there already.
    pub credential: Vec<u8>,
    /// What its person calls it.
    pub name: String,
    /// The name of this site that it works under.
    pub rp_id: String,
    /// Can it be copied to other devices?
    pub backup_eligible: bool,
    /// Was it?
    pub backed_up: bool,
    /// When it was added, milliseconds.
    pub added_ms: u64,
    /// When it was used last, milliseconds.
    pub used_ms: Option<u64>,
}

fn id_of(credential: &[u8]) -> PasskeyId {
    let hash = sha256(&[b"aceso/passkey/v1", credential]);
    core::array::from_fn(|at| hash[at])
}

pub(super) fn line(one: Passkey) -> PasskeyLine {
    PasskeyLine {
        id: id_of(&one.id),
        credential: one.id,
        name: one.name,
        rp_id: one.rp_id,
        backup_eligible: one.backup_eligible,
        backed_up: one.backed_up,
        added_ms: one.added_ms,
        used_ms: one.used_ms,
    }
}

impl Clinic {
    /// What the sign-in page asks passkeys to sign. `browser` names the browser, by a cookie that nobody else has.
    #[must_use]
    pub fn passkey_sign_in_request(&self, browser: &str, now_ms: u64) -> PasskeyRequest {
        self.passkey_request(ChallengeFor::SignIn, browser.as_bytes(), now_ms)
    }

    /// What confirms who sits before this session.
    #[must_use]
    pub fn passkey_confirm_request(&self, session: &Session, now_ms: u64) -> PasskeyRequest {
        self.passkey_request(ChallengeFor::Confirm, &session.id, now_ms)
    }

    fn passkey_request(&self, what: ChallengeFor, whom: &[u8], issued_ms: u64) -> PasskeyRequest {
        PasskeyRequest { challenge: self.challenges.of(what, whom, issued_ms), issued_ms }
    }

    /// What makes a passkey for this session's account, and what authenticators know the account by.
    ///
    /// # Errors
    /// [`ClinicError::NotFresh`], [`ClinicError::Denied`].
    pub fn begin_passkey(
        &self,
        session: &Session,
        now_ms: u64,
    ) -> Result<(PasskeyRequest, [u8; 32]), ClinicError> {
        self.require_fresh(session, now_ms)?;
        let request = self.passkey_request(ChallengeFor::Registration, &session.id, now_ms);
        Ok((request, self.vault().passkey_handle(session.person)))
    }

    /// Adds the passkey that was made. All other sessions of the person end.
    ///
    /// # Errors
    /// [`ClinicError::NotFresh`]; [`ClinicError::Field`] for a name that is none, or where the passkey is not what was
    /// asked for.
    pub fn add_passkey(
        &self,
        session: &Session,
        party: &RelyingParty,
        new: &NewPasskey<'_>,
        now_ms: u64,
    ) -> Result<(), ClinicError> {
        self.require_fresh(session, now_ms)?;
        let wrong = |why| ClinicError::Field { field: "passkey", why };
        let name = new.name.trim();
        if name.is_empty() {
            return Err(ClinicError::Field { field: "name", why: "give the passkey a name" });
        }
        if !Challenges::is_open(new.issued_ms, now_ms) {
            return Err(wrong("that took longer than five minutes: try once more"));
        }
        let challenge = self.challenges.of(ChallengeFor::Registration, &session.id, new.issued_ms);
        let made = webauthn::register(party, &challenge, new.client_data, new.authenticator_data);
        let made = made.map_err(|why| {
            tracing::info!(reason = %why, "A passkey was not added");
            wrong("this passkey cannot be added here: it was made for another page, or without your PIN, finger or face")
        })?;
        if !self.challenges.answer(challenge, new.issued_ms, now_ms) {
            return Err(wrong("this form was sent before: look whether the passkey is there"));
        }
        let passkey = Passkey {
            id: made.credential_id,
            rp_id: party.id().into(),
            key: made.public_key.encode(),
            sign_count: made.sign_count,
            backup_eligible: made.backup_eligible,
            backed_up: made.backed_up,
            name: name.into(),
            added_ms: now_ms,
            used_ms: None,
        };
        self.vault().add_passkey(session.person, passkey).map_err(|why| match why {
            VaultError::PasskeyTaken => wrong("this passkey is in use already"),
            VaultError::Unfit(why) => ClinicError::Field { field: "name", why },
            why => ClinicError::Vault(why),
        })?;
        self.factors_changed(session);
        Ok(())
    }

    /// The credential that an address names.
    fn own_passkey(&self, session: &Session, id: PasskeyId) -> Result<Vec<u8>, ClinicError> {
        let held = self.vault().passkeys_of(session.person);
        let found = held.into_iter().find(|one| id_of(&one.id) == id);
        Ok(found.ok_or_else(|| self.denied(Denied::NoSuchAccount))?.id)
    }

    /// Removes a passkey of the account. All other sessions of the person end.
    ///
    /// # Errors
    /// [`ClinicError::NotFresh`]; [`ClinicError::Denied`] for one that is not there, or somebody else's.
    pub fn remove_passkey(&self, session: &Session, id: PasskeyId, now_ms: u64) -> Result<(), ClinicError> {
        self.require_fresh(session, now_ms)?;
        let credential = self.own_passkey(session, id)?;
        self.vault().remove_passkey(session.person, &credential, now_ms).map_err(factor_error)?;
        self.factors_changed(session);
        Ok(())
    }

    /// Gives a passkey of the account another name.
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for one that is not there, or somebody else's; [`ClinicError::Field`] for a name that is
    /// none.
    pub fn rename_passkey(
        &self,
        session: &Session,
        id: PasskeyId,
        name: &str,
        now_ms: u64,
    ) -> Result<(), ClinicError> {
        self.require_session(session, now_ms)?;
        let credential = self.own_passkey(session, id)?;
        self.vault().rename_passkey(session.person, &credential, name.trim()).map_err(|why| match why {
            VaultError::Unfit(why) => ClinicError::Field { field: "name", why },
            why => factor_error(why),
        })
    }

    /// Signs in whoever holds this passkey: no login, no password, no code. The authenticator has verified its user.
    ///
    /// # Errors
    /// [`SignInRefused::PasskeyWrong`], the same whatever is wrong; [`SignInRefused::PasskeyCopied`];
    /// [`SignInRefused::Suspended`], only to who holds it; [`SignInRefused::Wait`].
    pub fn sign_in_by_passkey(
        &self,
        from: Origin,
        party: &RelyingParty,
        browser: &str,
        answer: &PasskeyAnswer<'_>,
        now_ms: u64,
    ) -> Result<(Token, Session), SignInRefused> {
        let (what, whom) = (ChallengeFor::SignIn, browser.as_bytes());
        let (account, before) = self.check_passkey(from, party, what, whom, None, answer, now_ms)?;
        let is_held = || match self.vault().passkey(answer.id) {
            Some((of, _)) if of.person == account.person => Ok(()),
            _ => Err(SignInRefused::PasskeyWrong),
        };
        self.let_in(&account, from, before, now_ms, is_held)
    }

    /// The person of a session proves again who they are, by a passkey of the account.
    ///
    /// # Errors
    /// As [`Clinic::sign_in_by_passkey`]; somebody else's passkey is a wrong one.
    pub fn confirm_by_passkey(
        &self,
        from: Origin,
        party: &RelyingParty,
        session: &Session,
        answer: &PasskeyAnswer<'_>,
        now_ms: u64,
    ) -> Result<(), SignInRefused> {
        let (what, whom) = (ChallengeFor::Confirm, &session.id[..]);
        self.check_passkey(from, party, what, whom, Some(session.person), answer, now_ms)?;
        self.sessions.prove(session.id, now_ms);
        Ok(())
    }

    /// Whose passkey this is, and how long the account's history was when it was looked at.
    #[allow(clippy::too_many_arguments, reason = "each is a thing that the answer is held against")]
    fn check_passkey(
        &self,
        from: Origin,
        party: &RelyingParty,
        what: ChallengeFor,
        whom: &[u8],
        wanted: Option<PersonId>,
        answer: &PasskeyAnswer<'_>,
        now_ms: u64,
    ) -> Result<(Account, u64), SignInRefused> {
        // One key for all of a place: there is nothing to guess one by one.
        const GUESS: &str = "passkey\0";
        self.throttle.guess(GUESS, from, now_ms)?;
        let challenge = self.challenges.of(what, whom, answer.issued_ms);
        let found = self.vault().passkey(answer.id);
        let (key, eligible) = match &found {
            Some((_, held)) => {
                let key = PublicKey::decode(&held.key);
                let damaged = |_| VaultError::Damaged("the key of a passkey is not readable".into());
                (key.map_err(damaged).map_err(|why| SignInRefused::unavailable(&why))?, held.backup_eligible)
            }
            None => (PublicKey::Es256(NOBODY_S_KEY), false),
        };
        let used = webauthn::authenticate(party, &challenge, &key, eligible, answer.assertion);
        let refuse = |why: &str| {
            tracing::info!(reason = why, "A passkey was refused");
            SignInRefused::PasskeyWrong
        };
        let used = used.map_err(|why| refuse(&why.to_string()))?;
        let (account, held) = found.ok_or_else(|| refuse("nobody has it"))?;
        let before = self.vault().events_len(account.person);
        if answer.handle != self.vault().passkey_handle(account.person) {
            return Err(refuse("it names another account"));
        }
        if wanted.is_some_and(|wanted| wanted != account.person) {
            return Err(refuse("it is of another account than the session"));
        }
        if held.rp_id != party.id() {
            return Err(refuse("it belongs to another name of this site"));
        }
        if !Challenges::is_open(answer.issued_ms, now_ms) {
            return Err(refuse("its challenge is too old"));
        }
        if !self.challenges.answer(challenge, answer.issued_ms, now_ms) {
            return Err(refuse("its challenge was answered before"));
        }
        let used = PasskeyUse { sign_count: used.sign_count, backed_up: used.backed_up, at_ms: now_ms };
        match self.vault().use_passkey(account.person, answer.id, used) {
            Ok(()) => {}
            Err(VaultError::CountWentBack) => {
                tracing::warn!(
                    "A passkey was refused: its count of signatures went back, there may be a copy of it"
                );
                return Err(SignInRefused::PasskeyCopied);
            }
            // Removed meanwhile.
            Err(VaultError::NotSo) => return Err(refuse("it was removed")),
            Err(why) => return Err(SignInRefused::unavailable(&why)),
        }
        self.throttle.guessed_right(GUESS, from);
        Ok((account, before))
    }
}
