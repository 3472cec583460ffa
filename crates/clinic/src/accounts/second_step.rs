//! The second step of a sign-in: the password was right, and the account asks for a code as well.

use super::login_throttle::SignInRefused;
use super::sessions::{Session, Token};
use super::typed_code;
use crate::clinic::Clinic;
use vault::recovery_hash;
use vitals::PersonId;
use vitals::origin::Origin;

/// How far a sign-in got.
#[derive(Debug)]
pub enum SignInStep {
    /// The person is signed in.
    Done(Token, Session),
    /// A code is asked for. The token names this sign-in and nothing else.
    Code(Token),
}

/// What a person proves the second step with, as it was typed.
#[derive(Clone, Copy)]
pub enum SecondProof<'a> {
    /// What the authenticator app shows.
    AppCode(&'a str),
    /// One of the recovery codes.
    RecoveryCode(&'a str),
}

impl core::fmt::Debug for SecondProof<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::AppCode(_) => "AppCode(secret)",
            Self::RecoveryCode(_) => "RecoveryCode(secret)",
        })
    }
}

impl SecondProof<'_> {
    /// Keeps the guesses at codes apart from those at logins, and at the two kinds from one another: whoever guesses
    /// at the app's code keeps nobody from using a recovery code.
    fn guess_of(self, person: PersonId) -> String {
        match self {
            Self::AppCode(_) => format!("app code\0{person}"),
            Self::RecoveryCode(_) => format!("recovery code\0{person}"),
        }
    }
}

impl Clinic {
    /// Does a sign-in wait for its code under this token?
    #[must_use]
    pub fn waits_for_code(&self, token: &str, now_ms: u64) -> bool {
        self.second_steps.waiting(token, now_ms).is_some()
    }

    /// Completes a sign-in. Guesses count for the account wherever they come from, for only who knows the password gets
    /// here; and for the place.
    ///
    /// # Errors
    /// [`SignInRefused::CodeWrong`], [`SignInRefused::Wait`], [`SignInRefused::StepEnded`],
    /// [`SignInRefused::Suspended`], [`SignInRefused::Unavailable`].
    pub fn complete_sign_in(
        &self,
        from: Origin,
        token: &str,
        proof: SecondProof<'_>,
        now_ms: u64,
    ) -> Result<(Token, Session), SignInRefused> {
        let step = self.second_steps.waiting(token, now_ms).ok_or(SignInRefused::StepEnded)?;
        let person = step.person;
        let account = self.vault().account_of(person).ok_or(SignInRefused::StepEnded)?;
        let guess = proof.guess_of(person);
        let anywhere = format!("{guess}\0anywhere");
        self.throttle.guess(&guess, from, now_ms)?;
        self.throttle.guess(&anywhere, Origin::HERE, now_ms)?;
        let is_right = match proof {
            SecondProof::AppCode(code) => self.vault().use_app_code(person, code, now_ms),
            SecondProof::RecoveryCode(code) => {
                let hash = recovery_hash(person, &typed_code::digits(code));
                self.vault().use_recovery_code(person, &hash, now_ms)
            }
        };
        if !is_right.map_err(|why| SignInRefused::unavailable(&why))? {
            self.second_steps.wrong(token);
            return Err(SignInRefused::CodeWrong);
        }
        self.throttle.guessed_right(&guess, from);
        self.throttle.guessed_right(&anywhere, Origin::HERE);
        if !self.second_steps.take(token) {
            return Err(SignInRefused::StepEnded);
        }
        // A recovery code adds a line to the history itself. Any other one since the password was looked at, and the
        // sign-in begins again: what it was checked against may have changed.
        let own = u64::from(matches!(proof, SecondProof::RecoveryCode(_)));
        self.let_in(&account, from, step.before + own, now_ms, || Err(SignInRefused::StepEnded))
    }
}
