//! Giving a consent from a page: checked field by field, shown before it is given, and given once however often the
//! form arrives. The page's one-time token is the nonce of the consent, so that the consent itself remembers it.

use super::grant_refusal::{GRANTS_OPEN_MAX, GrantRefusal};
use super::grants::GrantRequest;
use super::policy::{may_read_for, purposes};
use super::request::each_once;
use super::seen_as::SeenAs;
use crate::accounts::Session;
use crate::clinic::Clinic;
use crate::errors::ClinicError;
use vault::{AskId, Patient, TermsRecord};
use vitals::eip712::grant_id;
use vitals::ids::{Class, Hash};
use vitals::ledger::{Person, Purpose, Terms};
use vitals::{GrantId, PersonId};

silent_debug!(ConsentPreview);

/// A consent that a patient wants to give. For what follows from the role of whom it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentWish {
    /// For whom.
    pub grantee: PersonId,
    /// What may be opened.
    pub classes: Vec<Class>,
    /// Valid from, milliseconds; from the moment it is given if there is none.
    pub from_ms: Option<u64>,
    /// Valid until (exclusive), milliseconds.
    pub until_ms: u64,
    /// The consent whose place it is to take.
    pub replaces: Option<GrantId>,
    /// The request that it answers.
    pub answers: Option<AskId>,
}

/// A consent before it is given. Nothing was signed yet.
#[derive(Clone, PartialEq, Eq)]
pub struct ConsentPreview {
    /// What would be signed.
    pub request: GrantRequest,
    /// What that person can open now.
    pub before: SeenAs,
    /// And under the consent, from the moment it begins.
    pub after: SeenAs,
    /// To be handed back when it is given.
    pub once: Hash,
}

/// A consent that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Given {
    /// Its id on the ledger.
    pub grant: GrantId,
    /// It was given before: nothing was given now.
    pub again: bool,
}

impl Clinic {
    /// What a consent would mean, checked as if it was given now. Signs nothing, writes nothing. `classes` is what
    /// that person's page asks for.
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but the patient, or on an old ledger view; [`ClinicError::Grant`] with
    /// the field that does not fit.
    pub fn preview_consent(
        &self,
        session: &Session,
        wish: &ConsentWish,
        classes: &[Class],
        now_ms: u64,
    ) -> Result<ConsentPreview, ClinicError> {
        let patient = self.own_patient(session, now_ms)?;
        let request = self.checked(session, &patient, wish, now_ms)?;
        let before = self.seen_by(&patient, request.grantee, classes, None, now_ms)?;
        let after =
            self.seen_by(&patient, request.grantee, classes, Some((&request, wish.replaces)), now_ms)?;
        Ok(ConsentPreview { request, before, after, once: self.random() })
    }

    /// Gives a consent, signed with the key the vault keeps for the patient. The same `once` gives the same consent
    /// again and no second one, also after a restart; one that a crash kept from the ledger is handed in again.
    ///
    /// # Errors
    /// As [`Clinic::preview_consent`].
    pub fn give_consent(
        &self,
        session: &Session,
        wish: &ConsentWish,
        once: Hash,
        now_ms: u64,
    ) -> Result<Given, ClinicError> {
        let given = self.give_once(session, wish, once, now_ms)?;
        if let (Some(ask), Some(patient)) = (wish.answers, session.patient) {
            self.note_answer(patient, (ask, wish.grantee), given.grant, now_ms)?;
        }
        Ok(given)
    }

    fn give_once(
        &self,
        session: &Session,
        wish: &ConsentWish,
        once: Hash,
        now_ms: u64,
    ) -> Result<Given, ClinicError> {
        let patient = self.own_patient(session, now_ms)?;
        let grant = grant_id(patient.person, &once);
        // What was changed before is finished first: a change of a change must not find two old ones.
        self.finish_replacements(now_ms);
        if let Some(record) = self.vault().terms(grant) {
            return self.given_before(session, &patient, &record, wish, once, now_ms);
        }
        let request = self.checked(session, &patient, wish, now_ms)?;
        let terms = Terms { classes: request.classes.clone(), purpose: request.purpose, salt: self.random() };
        match self.sign_terms(&patient, &request, terms, once, wish.replaces, now_ms) {
            Ok(_) => Ok(Given { grant, again: false }),
            // The same form, sent twice at the same moment: the other one was first.
            Err(ClinicError::Vault(_)) if self.vault().terms(grant).is_some() => {
                Ok(Given { grant, again: true })
            }
            Err(why) => Err(why),
        }
    }

    fn given_before(
        &self,
        session: &Session,
        patient: &Patient,
        record: &TermsRecord,
        wish: &ConsentWish,
        once: Hash,
        now_ms: u64,
    ) -> Result<Given, ClinicError> {
        let again = Given { grant: record.grant, again: true };
        let stands = self.vault().is_withdrawn(record.grant)
            || self.acts.consent_under_way(record.grant).is_some()
            || self.ledger().grant(record.grant)?.is_some();
        if stands || record.grantee != wish.grantee || record.terms.classes != each_once(&wish.classes) {
            return Ok(again);
        }
        // Signed and kept, and lost on its way to the ledger: the very same consent once more.
        let request = self.checked(session, patient, wish, now_ms)?;
        self.sign_terms(patient, &request, record.terms.clone(), once, wish.replaces, now_ms)?;
        Ok(again)
    }

    /// The consent as it would be signed, if every field of it fits.
    fn checked(
        &self,
        session: &Session,
        patient: &Patient,
        wish: &ConsentWish,
        now_ms: u64,
    ) -> Result<GrantRequest, ClinicError> {
        let person = self.enrolment(wish.grantee).map_err(|why| self.denied(why))?;
        let purpose = purpose_for(person.as_ref())?;
        let request = GrantRequest {
            grantee: wish.grantee,
            purpose,
            classes: each_once(&wish.classes),
            // The ledger's time may be a little behind.
            from_ms: wish.from_ms.unwrap_or_else(|| now_ms.min(self.ledger().tip().time_ms)),
            until_ms: wish.until_ms,
        };
        self.fits(&request, now_ms)?;
        if let Some(grant) = wish.replaces {
            self.changeable(session, grant, wish, now_ms)?;
        }
        self.stands_alone(patient, &request, wish.replaces, now_ms)?;
        Ok(request)
    }

    /// Two consents to one person in one time would be hard to tell apart: which of them opens what?
    fn stands_alone(
        &self,
        patient: &Patient,
        request: &GrantRequest,
        replaces: Option<GrantId>,
        now_ms: u64,
    ) -> Result<(), ClinicError> {
        let mut open = 0;
        for record in self.vault().terms_of(patient.id) {
            if record.terms.purpose == Purpose::Monitoring || self.vault().is_withdrawn(record.grant) {
                continue;
            }
            let Some((from_ms, until_ms)) = self.window_of(record.grant)? else { continue };
            if until_ms <= now_ms || replaces == Some(record.grant) {
                continue;
            }
            open += 1;
            let overlaps = from_ms < request.until_ms && request.from_ms < until_ms;
            if record.grantee == request.grantee && overlaps {
                return Err(GrantRefusal::Overlaps { grant: record.grant }.into());
            }
        }
        if open >= GRANTS_OPEN_MAX { Err(GrantRefusal::TooMany.into()) } else { Ok(()) }
    }

    /// From when until when a consent is valid or will be; nothing for one that is withdrawn or did not arrive.
    fn window_of(&self, grant: GrantId) -> Result<Option<(u64, u64)>, ClinicError> {
        if let Some(there) = self.ledger().grant(grant)? {
            return Ok((there.revoked_at_ms == 0).then_some((there.from_ms, there.until_ms)));
        }
        if self.given.is_refused(grant) {
            return Ok(None);
        }
        Ok(self.acts.consent_under_way(grant).map(|message| (message.from_ms, message.until_ms)))
    }
}

/// For what a person of this role is given a consent.
fn purpose_for(person: Option<&Person>) -> Result<Purpose, GrantRefusal> {
    let person = person.ok_or(GrantRefusal::UnknownGrantee)?;
    let personal = |purpose: &&Purpose| matches!(**purpose, Purpose::Treatment | Purpose::Family);
    let mut own = purposes(person.role).iter().filter(personal);
    own.find(|purpose| may_read_for(person.role, **purpose)).copied().ok_or(GrantRefusal::Role)
}
