//! People and consents: each change is an act handed to the ledger.

use crate::clinic::{Clinic, lock};
use crate::errors::{ClinicError, Denied};
use crate::sessions::Session;
use crate::views::{GrantState, GrantView, PendingAct};
use std::collections::VecDeque;
use vault::{Account, Entry, NewAccount, Patient, TermsRecord};
use vitals::body::{Body, Profile};
use vitals::envelope::ClockQuality;
use vitals::ids::{Class, Hash};
use vitals::ledger::{Act, ActId, ConsentMessage, Outcome, Purpose, Role, SignedGrant, Terms};
use vitals::{GrantId, PatientId, PersonId};

/// A consent the patient wants to give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
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

/// Names an act handed to the ledger; `settle` says what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// The act at the ledger.
    pub act: ActId,
    /// What it is, e.g. `consent`.
    pub what: &'static str,
}

/// A signed consent must reach a block within this time.
pub const RELAY_MS: u64 = 10 * 60_000;
/// The longest consent: a year.
pub const GRANT_MS_MAX: u64 = 366 * 86_400_000;
/// Acts kept under way or refused.
pub const ACTS_MAX: usize = 1024;
/// An act the ledger lost is handed in again after this long.
const RESUBMIT_MS: u64 = 5_000;
/// A refused act stays on the administrator's page for this long.
const SHOW_REFUSED_MS: u64 = 10 * 60_000;
/// What a withdrawal is called.
const WITHDRAWAL: &str = "withdrawal of a consent";
struct Pending {
    ticket: Ticket,
    act: Act,
    since_ms: u64,
    tried_ms: u64,
    outcome: Outcome,
}

/// Acts handed to the ledger that are not final yet.
#[derive(Default)]
pub(crate) struct Acts {
    pending: VecDeque<Pending>,
    /// When withdrawals were last held against the ledger.
    withdrawals_ms: u64,
}

impl Acts {
    /// Acts that are not final yet, and where they stand.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = (&Act, &Outcome)> {
        self.pending.iter().map(|pending| (&pending.act, &pending.outcome))
    }
}

/// A person to be registered.
#[derive(Clone, Copy)]
pub struct NewPerson<'a> {
    /// Sign-in name.
    pub login: &'a str,
    /// Name.
    pub name: &'a str,
    /// Password.
    pub password: &'a str,
    /// Role.
    pub role: Role,
}

impl core::fmt::Debug for NewPerson<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("NewPerson")
    }
}

impl Clinic {
    /// The first account of a new organisation: its administrator.
    ///
    /// # Errors
    /// [`ClinicError::Wrong`] if there are accounts already.
    pub fn first_administrator(
        &self,
        login: &str,
        name: &str,
        password: &str,
        now_ms: u64,
    ) -> Result<Ticket, ClinicError> {
        let new = NewPerson { login, name, password, role: Role::Administrator };
        let account = {
            // Held while looking and making: of two who found an organisation at once, one is too late.
            let _founding = lock(&self.acts);
            if !self.vault().accounts().is_empty() {
                return Err(ClinicError::Wrong(
                    "there are accounts already: let an administrator make more".into(),
                ));
            }
            self.account(&new)?
        };
        self.enrol(&account, now_ms)
    }

    /// Registers a person who is no patient.
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but administrators; otherwise what is wrong.
    pub fn create_person(
        &self,
        session: &Session,
        new: &NewPerson<'_>,
        now_ms: u64,
    ) -> Result<(PersonId, Ticket), ClinicError> {
        self.deciding(session, &[Role::Administrator], now_ms)?;
        if new.role == Role::Patient {
            return Err(ClinicError::Wrong("a patient is registered with a bed".into()));
        }
        let account = self.account(new)?;
        Ok((account.person, self.enrol(&account, now_ms)?))
    }

    /// Registers a patient and writes the profile.
    ///
    /// # Errors
    /// As [`Clinic::create_person`]; clinicians may do it too.
    pub fn create_patient(
        &self,
        session: &Session,
        new: &NewPerson<'_>,
        bed: &str,
        now_ms: u64,
    ) -> Result<(PatientId, Ticket), ClinicError> {
        self.deciding(session, &[Role::Administrator, Role::Clinician], now_ms)?;
        if new.role != Role::Patient {
            return Err(ClinicError::Wrong("only patients have a bed".into()));
        }
        let account = self.account(new)?;
        let (person, ticket) = (account.person, self.enrol(&account, now_ms)?);
        let patient = Patient { id: PatientId(self.random()), person, since_ms: now_ms };
        self.vault().put_patient(patient)?;
        let profile = Profile { at_ms: now_ms, name: new.name.into(), bed: bed.into() };
        let entry = Entry { patient: patient.id, class: Class::Profile, body: Body::Profile(profile) };
        self.vault().write(self.store(), &[entry], ClockQuality::Synced, now_ms)?;
        lock(&self.stats).counters.authored += 1;
        self.vault().put_bed_place(patient.id, bed)?;
        self.monitoring.with(patient.id, now_ms, |made| {
            (made.name, made.place) = (new.name.into(), bed.into());
        });
        Ok((patient.id, ticket))
    }

    fn account(&self, new: &NewPerson<'_>) -> Result<Account, ClinicError> {
        let NewPerson { login, name, password, role } = *new;
        let person = PersonId(self.random());
        Ok(self.vault().put_account(NewAccount { login, name, role, person, password })?)
    }

    fn enrol(&self, account: &Account, now_ms: u64) -> Result<Ticket, ClinicError> {
        let signer = self.ledger().p256_signer(&account.public_key);
        let act = Act::Enrol { person: account.person, role: account.role, signer, vault_kept: true };
        self.submit(act, "enrolment", now_ms)
    }

    /// Gives a consent, signed with the key the vault keeps for the patient.
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but the patient, or on an old ledger view; what is wrong
    /// with the wish otherwise.
    pub fn grant(&self, session: &Session, wish: &Wish, now_ms: u64) -> Result<Ticket, ClinicError> {
        let patient = self.own_patient(session, now_ms)?;
        self.fits(wish, now_ms)?;
        self.sign_grant(&patient, wish, now_ms).map(|(_, ticket)| ticket)
    }

    /// Who the wish names must be able to use it.
    fn fits(&self, wish: &Wish, now_ms: u64) -> Result<(), ClinicError> {
        let wrong = |why: &str| Err(ClinicError::Wrong(why.into()));
        if wish.until_ms <= wish.from_ms || wish.until_ms <= now_ms {
            return wrong("a consent must end after it begins, and in the future");
        }
        if wish.until_ms - wish.from_ms > GRANT_MS_MAX {
            return wrong("a consent lasts at most a year; it can be given again");
        }
        if wish.classes.is_empty() {
            return wrong("a consent must name what may be read");
        }
        if wish.grantee.is_organisation() {
            let ours = wish.grantee == PersonId::of_organisation(self.org());
            return if ours && wish.purpose == Purpose::Monitoring {
                Ok(())
            } else {
                wrong("an organisation is given consent for monitoring only")
            };
        }
        let person = self.ledger().person(wish.grantee)?;
        match (person.map(|person| person.role), wish.purpose) {
            (Some(Role::Clinician), Purpose::Treatment) | (Some(Role::Family), Purpose::Family) => Ok(()),
            (None, _) => wrong("nobody with this id is on the ledger yet"),
            _ => wrong("clinicians are given consent for treatment, relatives for following"),
        }
    }

    pub(crate) fn sign_grant(
        &self,
        patient: &Patient,
        wish: &Wish,
        now_ms: u64,
    ) -> Result<(GrantId, Ticket), ClinicError> {
        let mut classes = wish.classes.clone();
        classes.sort_unstable();
        classes.dedup();
        let terms = Terms { classes, purpose: wish.purpose, salt: self.random() };
        let message = ConsentMessage {
            patient: patient.person,
            grantee: wish.grantee,
            terms: terms.commitment(self.genesis()),
            from_ms: wish.from_ms,
            until_ms: wish.until_ms,
            nonce: self.random(),
            deadline_ms: now_ms.max(self.ledger().tip().time_ms) + RELAY_MS,
        };
        let grant = self.ledger().grant_id(&message);
        let signature =
            self.vault().sign_as(patient.person, &self.ledger().consent_digest(&message))?.to_vec();
        // The terms first: a consent on the ledger whose terms are lost would open nothing.
        let record = TermsRecord { grant, terms, grantee: wish.grantee, patient: patient.id };
        self.vault().put_terms(record)?;
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
        let id = session.patient.ok_or_else(|| self.denied(Denied::NoSuchPatient))?;
        let patient = self.patient(id).map_err(|why| self.denied(why))?;
        let ours = self.vault().terms(grant).is_some_and(|record| record.patient == id);
        if !ours {
            return Err(self.denied(Denied::NoSuchPatient));
        }
        self.withdraw_here(grant, now_ms);
        // Also durable before anything else: a restart must not bring the consent back to life.
        let kept = self.vault().put_withdrawal(grant);
        let signature =
            self.vault().sign_as(patient.person, &self.ledger().revocation_digest(grant))?.to_vec();
        let act = match (self.ledger().grant(grant), self.nonce_under_way(grant)) {
            // Not arrived yet: its nonce is burnt, so that it never does.
            (Ok(None), Some(nonce)) => Act::BurnGrant { patient: patient.person, nonce, signature },
            _ => Act::RevokeGrant { grant, signature },
        };
        let ticket = self.submit(act, WITHDRAWAL, now_ms)?;
        kept?;
        Ok(ticket)
    }

    /// Withdrawals that the ledger did not take, or that a restart lost on their way to it, go again.
    pub(crate) fn hand_in_withdrawals(&self, now_ms: u64) {
        let under_way: Vec<GrantId> = {
            let mut acts = lock(&self.acts);
            if now_ms.abs_diff(acts.withdrawals_ms) < RESUBMIT_MS {
                return;
            }
            acts.withdrawals_ms = now_ms;
            let acts = acts.pending.iter().filter_map(|pending| match &pending.act {
                Act::RevokeGrant { grant, .. } => Some(*grant),
                _ => None,
            });
            acts.collect()
        };
        let withdrawn = lock(&self.withdrawn).clone();
        for grant in withdrawn.into_iter().filter(|grant| !under_way.contains(grant)) {
            let stands =
                self.ledger().grant(grant).is_ok_and(|grant| grant.is_some_and(|g| g.revoked_at_ms == 0));
            let patient = self.vault().terms(grant).and_then(|record| self.vault().patient(record.patient));
            let Some(patient) = patient.filter(|_| stands) else { continue };
            let digest = self.ledger().revocation_digest(grant);
            let signed = self.vault().sign_as(patient.person, &digest).map_err(ClinicError::from);
            let handed_in = signed.and_then(|signature| {
                let act = Act::RevokeGrant { grant, signature: signature.to_vec() };
                self.submit(act, WITHDRAWAL, now_ms)
            });
            if let Err(why) = handed_in {
                tracing::warn!(reason = %why, "A withdrawal of a consent is not with the ledger yet");
            }
        }
    }

    pub(crate) fn nonce_under_way(&self, grant: GrantId) -> Option<Hash> {
        let acts = lock(&self.acts);
        acts.pending.iter().find_map(|pending| match &pending.act {
            Act::Grant(signed) if self.ledger().grant_id(&signed.message) == grant => {
                Some(signed.message.nonce)
            }
            _ => None,
        })
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

    /// From and until of a consent that is not on the ledger yet.
    fn span_under_way(&self, grant: GrantId) -> Option<(u64, u64)> {
        let acts = lock(&self.acts);
        acts.pending.iter().find_map(|pending| match &pending.act {
            Act::Grant(signed) if self.ledger().grant_id(&signed.message) == grant => {
                Some((signed.message.from_ms, signed.message.until_ms))
            }
            _ => None,
        })
    }

    /// Whom a patient may consent to: clinicians and relatives with an account here.
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but patients.
    pub fn colleagues(
        &self,
        session: &Session,
        now_ms: u64,
    ) -> Result<Vec<(PersonId, String, Role)>, ClinicError> {
        self.require(session, &[Role::Patient], now_ms).map_err(|why| self.denied(why))?;
        let accounts = self.vault().accounts().into_iter();
        let readers = accounts.filter(|account| matches!(account.role, Role::Clinician | Role::Family));
        Ok(readers.map(|account| (account.person, account.name, account.role)).collect())
    }

    /// The patient's consents, newest first.
    pub(crate) fn grants_of(&self, patient: &Patient, now_ms: u64) -> Vec<GrantView> {
        let withdrawn = lock(&self.withdrawn).clone();
        let ours = PersonId::of_organisation(self.org());
        let mut views: Vec<GrantView> = Vec::new();
        for record in self.vault().terms_of(patient.id) {
            let grantee = match self.vault().account_of(record.grantee) {
                Some(account) => account.name,
                None if record.grantee == ours => "the ward's monitoring".into(),
                None => "somebody of another organisation".into(),
            };
            let on_ledger = self.ledger().grant(record.grant).ok().flatten();
            let state = match &on_ledger {
                _ if withdrawn.contains(&record.grant) => GrantState::Withdrawn,
                None => GrantState::Pending,
                Some(grant) if grant.revoked_at_ms != 0 => GrantState::Withdrawn,
                Some(grant) if now_ms >= grant.until_ms => GrantState::Ended,
                Some(grant) if now_ms < grant.from_ms => GrantState::Future,
                Some(_) => GrantState::Live,
            };
            let under_way = self.span_under_way(record.grant).unwrap_or_default();
            views.push(GrantView {
                grant: record.grant,
                grantee,
                person: record.grantee,
                purpose: record.terms.purpose,
                classes: record.terms.classes,
                from_ms: on_ledger.as_ref().map_or(under_way.0, |grant| grant.from_ms),
                until_ms: on_ledger.as_ref().map_or(under_way.1, |grant| grant.until_ms),
                state,
                late: self.is_late(record.grant),
                vault_kept: true,
            });
        }
        views.sort_by_key(|view| core::cmp::Reverse((view.from_ms, view.grant)));
        views
    }

    /// New decisions need a fresh view of the ledger.
    pub(crate) fn deciding(&self, session: &Session, roles: &[Role], now_ms: u64) -> Result<(), ClinicError> {
        self.require(session, roles, now_ms)
            .and_then(|()| self.view().fresh(now_ms))
            .map_err(|why| self.denied(why))
    }

    fn own_patient(&self, session: &Session, now_ms: u64) -> Result<Patient, ClinicError> {
        self.deciding(session, &[Role::Patient], now_ms)?;
        let id = session.patient.ok_or_else(|| self.denied(Denied::NoSuchPatient))?;
        self.patient(id).map_err(|why| self.denied(why))
    }

    pub(crate) fn submit(&self, act: Act, what: &'static str, now_ms: u64) -> Result<Ticket, ClinicError> {
        let ticket = Ticket { act: self.ledger().submit(act.clone())?, what };
        let mut acts = lock(&self.acts);
        if acts.pending.len() == ACTS_MAX {
            acts.pending.pop_front();
        }
        acts.pending.push_back(Pending {
            ticket,
            act,
            since_ms: now_ms,
            tried_ms: now_ms,
            outcome: Outcome::Pending,
        });
        Ok(ticket)
    }

    /// What became of an act.
    #[must_use]
    pub fn settle(&self, ticket: &Ticket) -> Outcome {
        self.ledger().outcome(ticket.act)
    }

    /// Forgets acts that are final, hands in again what the ledger lost.
    pub(crate) fn settle_acts(&self, now_ms: u64) {
        let mut acts = lock(&self.acts);
        for pending in &mut acts.pending {
            pending.outcome = self.ledger().outcome(pending.ticket.act);
            let lost =
                pending.outcome == Outcome::Unknown && now_ms.saturating_sub(pending.tried_ms) >= RESUBMIT_MS;
            if lost {
                pending.tried_ms = now_ms;
                if let Ok(act) = self.ledger().submit(pending.act.clone()) {
                    pending.ticket.act = act;
                }
            }
        }
        acts.pending.retain(|pending| match pending.outcome {
            Outcome::Done { .. } => false,
            Outcome::Refused { .. } => now_ms.saturating_sub(pending.since_ms) < SHOW_REFUSED_MS,
            Outcome::Pending | Outcome::Unknown => true,
        });
    }

    pub(crate) fn acts_under_way(&self) -> Vec<PendingAct> {
        let acts = lock(&self.acts);
        let view = |pending: &Pending| PendingAct {
            act: pending.ticket.act,
            what: pending.ticket.what,
            since_ms: pending.since_ms,
            outcome: pending.outcome.clone(),
        };
        acts.pending.iter().map(view).collect()
    }
}
