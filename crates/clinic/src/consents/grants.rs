//! Consents: given and withdrawn by their patient, each an act handed to the ledger.

use super::grant_refusal::GrantRefusal;
use super::policy::{CLOCK_SLACK_MS, may_read_for};
use super::request::each_once;
use super::views::{GrantState, GrantView};
use crate::accounts::Session;
use crate::acts::Ticket;
use crate::clinic::Clinic;
use crate::errors::{ClinicError, Denied};
use vault::{Patient, Replacement, TermsRecord};
use vitals::ids::{Class, Hash};
use vitals::ledger::{Act, ConsentMessage, Outcome, Purpose, Role, SignedGrant, Terms};
use vitals::{GrantId, PersonId};

/// A consent the patient wants to give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRequest {
    /// For whom.
    pub grantee: PersonId,
    /// For what.
    pub purpose: Purpose,
    /// What may be opened.
    pub classes: Vec<Class>,
    /// Valid from, milliseconds.
    pub from_ms: u64,
    /// Valid until (exclusive), milliseconds.
    pub until_ms: u64,
}

/// A signed consent must reach a block within this time.
pub const RELAY_MS: u64 = 10 * 60_000;
/// The longest consent: a year.
pub const GRANT_MS_MAX: u64 = 366 * 86_400_000;
/// What a withdrawal is called.
pub(super) const WITHDRAWAL: &str = "withdrawal of a consent";

impl Clinic {
    /// Gives a consent, signed with the key the vault keeps for the patient.
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but the patient, or on an old ledger view; what is wrong
    /// with the request otherwise.
    pub fn grant(
        &self,
        session: &Session,
        request: &GrantRequest,
        now_ms: u64,
    ) -> Result<Ticket, ClinicError> {
        let patient = self.own_patient(session, now_ms)?;
        self.fits(request, now_ms)?;
        self.sign_grant(&patient, request, now_ms).map(|(_, ticket)| ticket)
    }

    /// Every field must make sense, and whom it names must be able to use it.
    pub(super) fn fits(&self, request: &GrantRequest, now_ms: u64) -> Result<(), ClinicError> {
        if request.grantee.is_organisation() {
            let ours = request.grantee == PersonId::of_organisation(self.org());
            if !ours || request.purpose != Purpose::Monitoring {
                return Err(GrantRefusal::Organisation.into());
            }
        } else {
            let person = self.enrolment(request.grantee)?.ok_or(GrantRefusal::UnknownGrantee)?;
            // Monitoring is the organisation's, and a patient's own reading needs no consent.
            let personal = matches!(request.purpose, Purpose::Treatment | Purpose::Family);
            if !personal || !may_read_for(person.role, request.purpose) {
                return Err(GrantRefusal::Purpose.into());
            }
            if person.suspended_at_ms != 0 {
                return Err(GrantRefusal::SuspendedGrantee.into());
            }
        }
        if request.classes.is_empty() {
            return Err(GrantRefusal::NoClass.into());
        }
        if request.from_ms.saturating_add(CLOCK_SLACK_MS) < now_ms {
            return Err(GrantRefusal::BackDated.into());
        }
        if request.until_ms <= now_ms {
            return Err(GrantRefusal::Past.into());
        }
        if request.until_ms <= request.from_ms {
            return Err(GrantRefusal::Empty.into());
        }
        if request.until_ms - request.from_ms > GRANT_MS_MAX {
            return Err(GrantRefusal::TooLong.into());
        }
        Ok(())
    }

    pub(crate) fn sign_grant(
        &self,
        patient: &Patient,
        request: &GrantRequest,
        now_ms: u64,
    ) -> Result<(GrantId, Ticket), ClinicError> {
        let terms =
            Terms { classes: each_once(&request.classes), purpose: request.purpose, salt: self.random() };
        self.sign_terms(patient, request, terms, self.random(), None, now_ms)
    }

    /// The same with terms and a nonce that are given, and in the place of another consent if one is named.
    pub(super) fn sign_terms(
        &self,
        patient: &Patient,
        request: &GrantRequest,
        terms: Terms,
        nonce: Hash,
        replaces: Option<GrantId>,
        now_ms: u64,
    ) -> Result<(GrantId, Ticket), ClinicError> {
        let message = ConsentMessage {
            patient: patient.person,
            grantee: request.grantee,
            terms: terms.commitment(self.genesis()),
            from_ms: request.from_ms,
            until_ms: request.until_ms,
            nonce,
            deadline_ms: now_ms.max(self.ledger().tip().time_ms) + RELAY_MS,
        };
        let grant = self.ledger().grant_id(&message);
        let signature =
            self.vault().sign_as(patient.person, &self.ledger().consent_digest(&message))?.to_vec();
        // The terms first: a consent on the ledger whose terms are lost would open nothing.
        let record = TermsRecord { grant, terms, grantee: request.grantee, patient: patient.id };
        self.vault().put_terms(record)?;
        if let Some(old) = replaces {
            // What is paused stays paused; and before the ledger hears of the new one, the old one opens no more
            // than both say.
            let paused = self.vault().restriction(old).paused_since_ms;
            self.vault().put_consent_pause(grant, paused)?;
            let (from_ms, until_ms) = (request.from_ms, request.until_ms);
            self.vault().put_replacement(old, Replacement { by: grant, from_ms, until_ms })?;
            self.decide_again(patient.id);
        }
        let ticket = self.submit(Act::Grant(SignedGrant { message, signature }), "consent", now_ms)?;
        Ok((grant, ticket))
    }

    /// Withdraws a consent: at this node at once, everywhere from the next block.
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but the patient whose consent it is. If the ledger does
    /// not take the act now, the consent is withdrawn here all the same.
    pub fn revoke_grant(
        &self,
        session: &Session,
        grant: GrantId,
        now_ms: u64,
    ) -> Result<Ticket, ClinicError> {
        self.signed_in(session, &[Role::Patient], now_ms).map_err(|why| self.denied(why))?;
        let (patient, _) = self.own_grant(session, grant).map_err(|why| self.denied(why))?;
        self.withdraw_here(grant, now_ms);
        self.withdraw_those_replaced_by(grant, now_ms);
        // Also durable before anything else: a restart must not bring the consent back to life.
        let kept = self.vault().put_withdrawal(grant);
        let signature =
            self.vault().sign_as(patient.person, &self.ledger().revocation_digest(grant))?.to_vec();
        let act = match (self.ledger().grant(grant), self.acts.consent_under_way(grant)) {
            // Not arrived yet: its nonce is burnt, so that it never does.
            (Ok(None), Some(message)) => {
                Act::BurnGrant { patient: patient.person, nonce: message.nonce, signature }
            }
            _ => Act::RevokeGrant { grant, signature },
        };
        let ticket = self.submit(act, WITHDRAWAL, now_ms)?;
        kept?;
        Ok(ticket)
    }

    /// The patient's own consents, newest first. Opens nothing of the record.
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but patients.
    pub fn own_consents(&self, session: &Session, now_ms: u64) -> Result<Vec<GrantView>, ClinicError> {
        self.signed_in(session, &[Role::Patient], now_ms).map_err(|why| self.denied(why))?;
        let id = session.patient.ok_or_else(|| self.denied(Denied::NoSuchPatient))?;
        let patient = self.patient(id).map_err(|why| self.denied(why))?;
        Ok(self.grants_of(&patient, now_ms))
    }

    /// The patient's consents, newest first.
    pub(crate) fn grants_of(&self, patient: &Patient, now_ms: u64) -> Vec<GrantView> {
        let ours = PersonId::of_organisation(self.org());
        let mut views: Vec<GrantView> = Vec::new();
        for record in self.vault().terms_of(patient.id) {
            let grantee = match self.vault().account_of(record.grantee) {
                Some(account) => account.name,
                None if record.grantee == ours => "the ward's monitoring".into(),
                None => "somebody of another organisation".into(),
            };
            let answer = self.ledger().grant(record.grant);
            let (silent, on_ledger) = (answer.is_err(), answer.ok().flatten());
            let said = self.given.of(record.grant);
            let restriction = self.vault().restriction(record.grant);
            let refusal = match &said {
                Some(Outcome::Refused { reason }) if on_ledger.is_none() => Some(reason.clone()),
                _ => None,
            };
            let under_way = self.acts.consent_under_way(record.grant);
            let state = match &on_ledger {
                _ if self.vault().is_withdrawn(record.grant) => GrantState::Withdrawn,
                None if silent => GrantState::Unknown,
                None if refusal.is_some() => GrantState::Refused,
                None if under_way.is_some() => GrantState::Pending,
                None => GrantState::NotArrived,
                Some(grant) if grant.revoked_at_ms != 0 => GrantState::Withdrawn,
                Some(grant) if now_ms >= grant.until_ms => GrantState::Ended,
                Some(grant) if now_ms < grant.from_ms => GrantState::Future,
                Some(_) => GrantState::Live,
            };
            let under_way = under_way.map_or((0, 0), |message| (message.from_ms, message.until_ms));
            views.push(GrantView {
                grant: record.grant,
                grantee,
                person: record.grantee,
                purpose: record.terms.purpose,
                classes: record.terms.classes,
                from_ms: on_ledger.as_ref().map_or(under_way.0, |grant| grant.from_ms),
                until_ms: on_ledger.as_ref().map_or(under_way.1, |grant| grant.until_ms),
                state,
                block: match said {
                    Some(Outcome::Done { height }) => Some(height),
                    _ => None,
                },
                refusal,
                paused_since_ms: restriction.paused_since_ms,
                replaced_by: restriction.replaced.map(|replaced| replaced.by),
                late: self.withdrawals.is_late(record.grant),
                vault_kept: true,
            });
        }
        views.sort_by_key(|view| core::cmp::Reverse((view.from_ms, view.grant)));
        views
    }

    pub(super) fn own_patient(&self, session: &Session, now_ms: u64) -> Result<Patient, ClinicError> {
        self.deciding(session, &[Role::Patient], now_ms)?;
        let id = session.patient.ok_or_else(|| self.denied(Denied::NoSuchPatient))?;
        self.patient(id).map_err(|why| self.denied(why))
    }
}
