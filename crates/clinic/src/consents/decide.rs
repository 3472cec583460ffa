//! From a session to a decision, and from a decision to the trace it leaves.

use super::closed::{is_closed, needless};
use super::policy::{self, Consent, Facts, Permit, PolicyAnswers, Reader, Request, Restricted, Within};
use super::request::{AccessRequest, Allowed};
use crate::accounts::Session;
use crate::clinic::Clinic;
use crate::errors::{ClinicError, Denied};
use vault::Patient;
use vitals::body::AccessEntry;
use vitals::ids::Class;
use vitals::ledger::{Act, Outcome, Person, Purpose, Role};
use vitals::{GrantId, PatientId, PersonId};

/// May a decision wait until policies have answered?
enum Asking {
    Now,
    Never,
}

impl Clinic {
    pub(crate) fn reader(&self, session: &Session) -> Reader {
        Reader::Person { person: session.person, role: session.role, org: self.org() }
    }

    pub(crate) fn patient(&self, id: PatientId) -> Result<Patient, Denied> {
        self.vault().patient(id).ok_or(Denied::NoSuchPatient)
    }

    /// The decision every exit passes, with everything this node and its ledger view know. It asks the
    /// policies of consents where the last answer is too old, and waits for the ledger: never
    /// call it on an async worker or under a lock.
    pub(crate) fn decide(&self, ask: &AccessRequest<'_>, now_ms: u64) -> Result<Permit, Denied> {
        self.judge(ask, Asking::Now, now_ms, policy::decide)
    }

    /// The same from what policies said last, which is kept current while it is needed: waits for nothing.
    pub(crate) fn decide_at_hand(&self, ask: &AccessRequest<'_>, now_ms: u64) -> Result<Permit, Denied> {
        self.judge(ask, Asking::Never, now_ms, policy::decide)
    }

    /// The first of several purposes that opens; else the most telling refusal. May wait as
    /// [`Clinic::decide`].
    pub(crate) fn decide_any(
        &self,
        ask: &AccessRequest<'_>,
        purposes: &[Purpose],
        now_ms: u64,
    ) -> Result<Permit, Denied> {
        let mut why = Denied::NoConsent;
        for purpose in purposes {
            match self.decide(&AccessRequest { purpose: *purpose, ..*ask }, now_ms) {
                Ok(permit) => return Ok(permit),
                Err(nearer) if policy::telling(&nearer) >= policy::telling(&why) => why = nearer,
                Err(_) => {}
            }
        }
        Err(why)
    }

    /// May the alarm engine go on under the consent it holds? True if only on its last decision, because
    /// the policy could not be asked: the caller must report that. Waits for nothing.
    pub(crate) fn decide_held(
        &self,
        patient: &Patient,
        held: GrantId,
        classes: &[Class],
        now_ms: u64,
    ) -> Result<bool, Denied> {
        let (reader, purpose) = (Reader::Engine(self.org()), Purpose::Monitoring);
        let ask = AccessRequest { reader, patient, purpose, classes, from_ms: now_ms };
        self.judge(&ask, Asking::Never, now_ms, |request, facts, answers| {
            if policy::decide(request, facts, answers).is_ok() {
                return Ok(false);
            }
            policy::decide(request, facts, &answers.clone().keeping(held, classes)).map(|_| true)
        })
    }

    fn judge<T>(
        &self,
        ask: &AccessRequest<'_>,
        asking: Asking,
        now_ms: u64,
        decide: impl Fn(&Request<'_>, &Facts<'_>, &PolicyAnswers) -> Result<T, Denied>,
    ) -> Result<T, Denied> {
        self.judge_supposing(ask, asking, (&[], None), now_ms, decide)
    }

    /// The same as if these consents stood as well, and one did not.
    fn judge_supposing<T>(
        &self,
        ask: &AccessRequest<'_>,
        asking: Asking,
        (supposed, gone): (&[Consent], Option<GrantId>),
        now_ms: u64,
        decide: impl Fn(&Request<'_>, &Facts<'_>, &PolicyAnswers) -> Result<T, Denied>,
    ) -> Result<T, Denied> {
        let view = self.view();
        let enrolment = match ask.reader {
            Reader::Person { person, .. } => self.enrolment(person)?,
            Reader::Engine(_) => None,
        };
        let own = ask.purpose == Purpose::Own;
        let mut consents = if own { Vec::new() } else { self.consents(ask.patient, ask.purpose, now_ms)? };
        consents.retain(|consent| gone != Some(consent.id));
        consents.extend_from_slice(supposed);
        let AccessRequest { reader, purpose, classes, from_ms, .. } = *ask;
        let request = Request { reader, patient: ask.patient.person, purpose, classes, from_ms };
        let facts = Facts { enrolment: enrolment.as_ref(), consents: &consents, view: &view, now_ms };
        let questions = policy::questions(&request, &facts);
        let answers = match asking {
            _ if questions.is_empty() => PolicyAnswers::default(),
            Asking::Now => self.ask_policies_of(&questions, now_ms),
            Asking::Never => self.answers_at_hand(&questions, now_ms),
        };
        decide(&request, &facts, &answers)
    }

    /// The consents of a patient that the ledger knows, with the terms kept here. Left out are those that
    /// could not decide anything: whose terms say another purpose, and those that are over where others say
    /// more.
    pub(crate) fn consents(
        &self,
        patient: &Patient,
        purpose: Purpose,
        now_ms: u64,
    ) -> Result<Vec<Consent>, Denied> {
        self.not_paused(patient.id, purpose)?;
        let tip_ms = self.ledger().tip().time_ms;
        let known = self.vault().grants_len_of(patient.id);
        let considered = self
            .open_consents
            .of(patient.id, known)
            .unwrap_or_else(|| self.open_consents.note(patient.id, self.vault().grants_of(patient.id)));
        let mut consents = self.looked_up(considered.open.iter().copied(), purpose)?;
        let at_ms = now_ms.max(tip_ms);
        let standing: Vec<PersonId> = consents
            .iter()
            .filter(|one| !one.withdrawn_here && !is_closed(&one.grant, at_ms) && one.grant.from_ms <= at_ms)
            .map(|one| one.grant.grantee)
            .collect();
        // What is over says nothing to whom something opens.
        let is_long = considered.is_long(purpose);
        let spared = if is_long { &[][..] } else { &standing };
        consents.extend(self.looked_up(considered.told(purpose, spared), purpose)?);
        let is_over = |one: &&Consent| considered.open.contains(&one.id) && is_closed(&one.grant, tip_ms);
        let about = |one: &Consent| (one.id, (one.grant.grantee, purpose));
        let closed: Vec<_> = consents.iter().filter(is_over).map(about).collect();
        let needless = needless(&consents, tip_ms);
        let sorted = is_long.then_some(purpose);
        if !closed.is_empty() || !needless.is_empty() || is_long {
            self.open_consents.close(patient.id, &closed, &needless, sorted);
        }
        // What is decided stands on the one that lasts longest.
        consents.sort_by_key(|consent| core::cmp::Reverse(consent.grant.until_ms));
        Ok(consents)
    }

    /// Consents for a purpose as the ledger has them.
    fn looked_up(
        &self,
        ids: impl Iterator<Item = GrantId>,
        purpose: Purpose,
    ) -> Result<Vec<Consent>, Denied> {
        let mut found = Vec::new();
        for id in ids {
            let Some(record) = self.vault().terms(id).filter(|record| record.terms.purpose == purpose) else {
                continue;
            };
            // Before the ledger is asked: see [`Withdrawals::contains`](super::Withdrawals::contains).
            let withdrawn_here = self.withdrawals.contains(id);
            if let Some(grant) = self.ledger().grant(id).map_err(|_| Denied::LedgerDown)? {
                let restricted = self.restricted(id);
                found.push(Consent { id, grant, terms: Some(record.terms), withdrawn_here, restricted });
            }
        }
        Ok(found)
    }

    /// What a consent opens less here than the ledger says.
    fn restricted(&self, grant: GrantId) -> Restricted {
        let here = self.vault().restriction(grant);
        let Some(replaced) = here.replaced else {
            return Restricted { paused: here.paused_since_ms.is_some(), within: None };
        };
        // A pause of the one that takes its place is a pause of both.
        let paused = here.paused_since_ms.or(self.vault().restriction(replaced.by).paused_since_ms);
        // Without its terms it says nothing, and so both say nothing.
        let classes = self.vault().terms(replaced.by).map_or_else(Vec::new, |other| other.terms.classes);
        let (from_ms, until_ms) = (replaced.from_ms, replaced.until_ms);
        Restricted { paused: paused.is_some(), within: Some(Within { classes, from_ms, until_ms }) }
    }

    /// As much of what is asked for as one consent allows. May wait as [`Clinic::decide`].
    pub(crate) fn decide_most(&self, ask: &AccessRequest<'_>, now_ms: u64) -> Result<Allowed, Denied> {
        let (permit, classes) = self.judge(ask, Asking::Now, now_ms, policy::widest)?;
        Ok(Allowed { permit, classes })
    }

    /// The same as if these consents stood as well, and one did not: for who wants to know what a consent would open.
    pub(crate) fn decide_most_supposing(
        &self,
        ask: &AccessRequest<'_>,
        supposed: (&[Consent], Option<GrantId>),
        now_ms: u64,
    ) -> Result<Allowed, Denied> {
        let (permit, classes) = self.judge_supposing(ask, Asking::Now, supposed, now_ms, policy::widest)?;
        Ok(Allowed { permit, classes })
    }

    /// The same from what policies said last: waits for nothing.
    pub(crate) fn decide_most_at_hand(
        &self,
        ask: &AccessRequest<'_>,
        now_ms: u64,
    ) -> Result<Allowed, Denied> {
        let (permit, classes) = self.judge(ask, Asking::Never, now_ms, policy::widest)?;
        Ok(Allowed { permit, classes })
    }

    /// The access entry of a session, for the vault to write down.
    pub(crate) fn entry(
        &self,
        session: &Session,
        purpose: Purpose,
        allowed: &Allowed,
        span_ms: (u64, u64),
        now_ms: u64,
    ) -> AccessEntry {
        let reader = if purpose == Purpose::Monitoring {
            PersonId::of_organisation(self.org())
        } else {
            session.person
        };
        AccessEntry {
            at_ms: now_ms,
            reader,
            reader_name: session.name.clone(),
            purpose,
            grant: allowed.permit.grant,
            classes: allowed.classes.clone(),
            span_ms,
            session: session.id,
            person: (purpose == Purpose::Monitoring).then_some(session.person),
        }
    }

    /// Which accounts may do what the clinic does for people, beyond reading: signed in, of such a role,
    /// and enrolled on the ledger.
    pub(crate) fn require(&self, session: &Session, roles: &[Role], now_ms: u64) -> Result<(), Denied> {
        self.signed_in(session, roles, now_ms)?;
        self.enrolled(session)
    }

    /// Signed in with a role that may read, and on the ledger in it.
    pub(crate) fn require_reader(&self, session: &Session, now_ms: u64) -> Result<(), Denied> {
        let own = [session.role];
        self.require(session, if policy::may_read(session.role) { &own } else { &[] }, now_ms)
    }

    /// Signed in with such a role. Enough for withdrawing a consent, which must work while the ledger is
    /// down and for people who were suspended; not enough for anything else.
    pub(crate) fn signed_in(&self, session: &Session, roles: &[Role], now_ms: u64) -> Result<(), Denied> {
        if !self.sessions.is_open(&session.id, now_ms) {
            return Err(Denied::SignedOut);
        }
        if roles.contains(&session.role) { Ok(()) } else { Err(Denied::Role { role: session.role }) }
    }

    /// Does the ledger still hold this person in the role of the session?
    pub(crate) fn enrolled(&self, session: &Session) -> Result<(), Denied> {
        let Some(person) = self.enrolment(session.person)? else {
            // Of an account that was made a moment ago.
            let under_way = self.acts.any_under_way(|act, outcome| {
                matches!(act, Act::Enrol { person, .. } if *person == session.person)
                    && *outcome == Outcome::Pending
            });
            return Err(if under_way { Denied::EnrolmentPending } else { Denied::NotEnrolled });
        };
        policy::enrolled(Some(&person), session.role, self.org())
    }

    /// A person as the ledger holds them. Who is suspended at this organisation counts as suspended, whatever the
    /// ledger says: every decision about a person asks here.
    pub(crate) fn enrolment(&self, person: PersonId) -> Result<Option<Person>, Denied> {
        let mut found = self.ledger().person(person).map_err(|_| Denied::LedgerDown)?;
        if let Some(found) = &mut found
            && self.vault().is_suspended(person)
        {
            found.suspended_at_ms = found.suspended_at_ms.max(1);
        }
        Ok(found)
    }

    /// New decisions need a fresh view of the ledger.
    pub(crate) fn deciding(&self, session: &Session, roles: &[Role], now_ms: u64) -> Result<(), ClinicError> {
        self.require(session, roles, now_ms)
            .and_then(|()| self.view().fresh(now_ms))
            .map_err(|why| self.denied(why))
    }
}
