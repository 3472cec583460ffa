//! A clinician asks a patient for a consent; the patient answers. Whether there is such a patient, and whether the
//! clinician may know of them, makes no difference to the one who asks, in words or in time: each request is kept, and
//! only an answer tells that somebody read it.

use super::request::each_once;
use crate::accounts::Session;
use crate::clinic::Clinic;
use crate::errors::{ClinicError, Denied};
use crate::monitoring::REASON_BYTES_MIN;
use vault::{ASKS_PER_CLINICIAN_MAX, AskAnswer, AskId, ConsentAsk};
use vitals::body::TEXT_BYTES_MAX;
use vitals::ids::Class;
use vitals::ledger::Role;
use vitals::{GrantId, PatientId, PersonId};

silent_debug!(AskForConsent, AskView);

/// Longest time for which a consent is asked: 30 days. The patient may give it for longer.
pub const ASK_FOR_MS_MAX: u64 = 30 * 86_400_000;
/// One clinician asks one patient again no sooner than after this long.
pub const ASK_AGAIN_MS: u64 = 86_400_000;

/// What a clinician asks for.
#[derive(Clone, PartialEq, Eq)]
pub struct AskForConsent {
    /// Whom: there need not be such a patient.
    pub patient: PatientId,
    /// What they want to see.
    pub classes: Vec<Class>,
    /// Why, in their words.
    pub reason: String,
    /// For how long, milliseconds.
    pub for_ms: u64,
}

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskState {
    /// Not answered yet.
    Open,
    /// Nobody answered in time.
    Ended,
    /// The patient said no then, milliseconds.
    Refused(u64),
    /// The patient gave a consent then, milliseconds: perhaps a narrower one.
    Given(u64, GrantId),
}

/// A request, as the two it concerns see it.
#[derive(Clone, PartialEq, Eq)]
pub struct AskView {
    /// Its name.
    pub id: AskId,
    /// Whom.
    pub patient: PatientId,
    /// Who asks, on the ledger.
    pub clinician: PersonId,
    /// The name of who asks.
    pub name: String,
    /// Their role.
    pub role: Role,
    /// What they want to see.
    pub classes: Vec<Class>,
    /// Why.
    pub reason: String,
    /// For how long, milliseconds.
    pub for_ms: u64,
    /// When it was asked, milliseconds.
    pub asked_at_ms: u64,
    /// When it ends without an answer, milliseconds.
    pub ends_ms: u64,
    /// Where it stands.
    pub state: AskState,
}

impl Clinic {
    /// Asks a patient for a consent. The patient sees it on their page for seven days.
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but clinicians; [`ClinicError::Wrong`] for a request that makes no sense,
    /// one too many, or one that was made a short while ago. Never because of the patient.
    pub fn ask_for_consent(
        &self,
        session: &Session,
        wanted: &AskForConsent,
        now_ms: u64,
    ) -> Result<(), ClinicError> {
        self.require(session, &[Role::Clinician], now_ms).map_err(|why| self.denied(why))?;
        let wrong = |why: &str| Err(ClinicError::Wrong(why.into()));
        let classes = each_once(&wanted.classes);
        let reason = wanted.reason.trim();
        if classes.is_empty() {
            return wrong("a request must name what you want to see: choose at least one");
        }
        if !(REASON_BYTES_MIN..=TEXT_BYTES_MAX).contains(&reason.len()) {
            return wrong("say in a few words why you ask: the patient reads it");
        }
        if wanted.for_ms == 0 || wanted.for_ms > ASK_FOR_MS_MAX {
            return wrong("a consent is asked for at most 30 days");
        }
        let own = self.vault().asks_by(session.person);
        let again = |ask: &&ConsentAsk| {
            let young = now_ms.saturating_sub(ask.asked_at_ms) < ASK_AGAIN_MS;
            ask.patient == wanted.patient && (ask.is_open(now_ms) || young)
        };
        if own.iter().any(|ask| again(&ask)) {
            return wrong("you have asked this patient already: wait for the answer, or until tomorrow");
        }
        if own.iter().filter(|ask| ask.is_open(now_ms)).count() >= usize::from(ASKS_PER_CLINICIAN_MAX) {
            return wrong("sixteen of your requests are not answered yet: wait until one is, or is over");
        }
        let ask = ConsentAsk {
            id: self.random(),
            clinician: session.person,
            patient: wanted.patient,
            classes,
            reason: reason.into(),
            for_ms: wanted.for_ms,
            asked_at_ms: now_ms,
            answer: None,
        };
        self.vault().put_ask(ask, now_ms)?;
        Ok(())
    }

    /// What the caller asked for, newest first. Tells nothing of the patients but their answers.
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but clinicians.
    pub fn asks_by(&self, session: &Session, now_ms: u64) -> Result<Vec<AskView>, ClinicError> {
        self.require(session, &[Role::Clinician], now_ms).map_err(|why| self.denied(why))?;
        let asks = self.vault().asks_by(session.person);
        Ok(asks.into_iter().map(|ask| self.ask_view(ask, now_ms)).collect())
    }

    /// What the caller, a patient, was asked for, newest first.
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but patients.
    pub fn asks_of(&self, session: &Session, now_ms: u64) -> Result<Vec<AskView>, ClinicError> {
        self.signed_in(session, &[Role::Patient], now_ms).map_err(|why| self.denied(why))?;
        let id = session.patient.ok_or_else(|| self.denied(Denied::NoSuchPatient))?;
        let asks = self.vault().asks_of(id);
        Ok(asks.into_iter().map(|ask| self.ask_view(ask, now_ms)).collect())
    }

    /// The patient says no. A request that is answered, or over, stays as it is.
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but the patient who was asked.
    pub fn refuse_ask(&self, session: &Session, id: AskId, now_ms: u64) -> Result<(), ClinicError> {
        self.signed_in(session, &[Role::Patient], now_ms).map_err(|why| self.denied(why))?;
        let own = |ask: &ConsentAsk| session.patient == Some(ask.patient);
        if !self.vault().ask(id).as_ref().is_some_and(own) {
            return Err(self.denied(Denied::NoSuchPatient));
        }
        self.vault().put_ask_answer(id, AskAnswer { at_ms: now_ms, grant: None })?;
        Ok(())
    }

    /// A consent was given as the answer to a request, if it is one to this patient by whom it is for.
    pub(super) fn note_answer(
        &self,
        patient: PatientId,
        (id, grantee): (AskId, PersonId),
        grant: GrantId,
        now_ms: u64,
    ) -> Result<(), ClinicError> {
        let fits = |ask: &ConsentAsk| ask.patient == patient && ask.clinician == grantee;
        if self.vault().ask(id).as_ref().is_some_and(fits) {
            self.vault().put_ask_answer(id, AskAnswer { at_ms: now_ms, grant: Some(grant) })?;
        }
        Ok(())
    }

    fn ask_view(&self, ask: ConsentAsk, now_ms: u64) -> AskView {
        let account = self.vault().account_of(ask.clinician);
        let state = match ask.answer {
            None if ask.is_open(now_ms) => AskState::Open,
            None => AskState::Ended,
            Some(AskAnswer { at_ms, grant: None }) => AskState::Refused(at_ms),
            Some(AskAnswer { at_ms, grant: Some(grant) }) => AskState::Given(at_ms, grant),
        };
        AskView {
            id: ask.id,
            patient: ask.patient,
            clinician: ask.clinician,
            ends_ms: ask.ends_ms(),
            role: account.as_ref().map_or(Role::Clinician, |account| account.role),
            name: account.map_or_else(|| "somebody without an account".into(), |account| account.name),
            classes: ask.classes,
            reason: ask.reason,
            for_ms: ask.for_ms,
            asked_at_ms: ask.asked_at_ms,
            state,
        }
    }
}
