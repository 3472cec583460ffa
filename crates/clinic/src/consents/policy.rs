//! The one decision every exit passes: page, live stream, wall, export. Pure, deny by default. What a
//! consent's policy contract says is asked before and handed in ([`super::policy_answers`]).

#[cfg(test)]
mod tests;

use crate::errors::Denied;
use std::collections::BTreeMap;
use vault::MONITORING_BACK_MS;
use vitals::clock_fault::LEDGER_APART_MS_MAX;
use vitals::ids::Class;
use vitals::ledger::{Grant, Person, Purpose, Role, Terms, Tip};
use vitals::{Genesis, GrantId, OrgId, PersonId};

/// A ledger view older than this decides nothing new and nothing for other organisations.
pub const VIEW_AGE_MAX_MS: u64 = 60_000;
/// What monitoring reaches back may be asked for by a node whose clock is this far behind the ledger's.
pub const CLOCK_SLACK_MS: u64 = 60_000;
/// A consent that has ended by the ledger's time stands on for at most this long while the clocks disagree.
pub(crate) const CLOCK_FAULT_MS_MAX: u64 = 86_400_000;

/// Who wants to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// A signed-in person.
    Person {
        /// On the ledger.
        person: PersonId,
        /// The role of the session.
        role: Role,
        /// The person's home organisation.
        org: OrgId,
    },
    /// The node's own alarm engine.
    Engine(OrgId),
}

impl Reader {
    fn org(&self) -> OrgId {
        match self {
            Self::Person { org, .. } | Self::Engine(org) => *org,
        }
    }
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    /// Who asks.
    pub reader: Reader,
    /// The patient on the ledger.
    pub patient: PersonId,
    /// Why.
    pub purpose: Purpose,
    /// Which classes.
    pub classes: &'a [Class],
    /// The oldest time asked for, milliseconds; now for what has no past.
    pub from_ms: u64,
}

/// A consent with everything known of it here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Consent {
    /// Its id.
    pub id: GrantId,
    /// As it stands on the finalized view.
    pub grant: Grant,
    /// Its terms, if this vault keeps them.
    pub terms: Option<Terms>,
    /// The patient withdrew it at this node; the ledger will follow.
    pub withdrawn_here: bool,
    /// What it opens less at this node than the ledger says.
    pub restricted: Restricted,
}

/// What a consent opens less here than the ledger says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Restricted {
    /// The patient paused it.
    pub paused: bool,
    /// Another consent takes its place: it opens only what that one says as well.
    pub within: Option<Within>,
}

/// What the consent says that takes another one's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Within {
    /// Its classes.
    pub classes: Vec<Class>,
    /// Valid from, milliseconds.
    pub from_ms: u64,
    /// Valid until (exclusive), milliseconds.
    pub until_ms: u64,
}

impl Consent {
    /// Does it name this class, with all that holds here?
    fn names(&self, terms: &Terms, class: Class) -> bool {
        let within = |within: &Within| within.classes.contains(&class);
        terms.classes.contains(&class) && self.restricted.within.as_ref().is_none_or(within)
    }
}

/// The answer of a consent's policy contract for one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PolicyAnswer {
    /// The class may be opened now.
    Agrees,
    /// It may not.
    Refuses,
    /// It could not be asked: nothing is opened under it.
    Silent,
}

/// One question to a policy: may this class be opened under this consent now?
pub(crate) type Question = (GrantId, Class);

/// Answers of policies. What is not in it is not known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PolicyAnswers(BTreeMap<Question, PolicyAnswer>);

impl FromIterator<(Question, PolicyAnswer)> for PolicyAnswers {
    fn from_iter<I: IntoIterator<Item = (Question, PolicyAnswer)>>(answers: I) -> Self {
        Self(answers.into_iter().collect())
    }
}

impl PolicyAnswers {
    /// The answer for one class of a consent; silent if it is not known.
    #[must_use]
    pub(crate) fn of(&self, grant: GrantId, class: Class) -> PolicyAnswer {
        self.0.get(&(grant, class)).copied().unwrap_or(PolicyAnswer::Silent)
    }

    /// What could not be asked counts as it was decided last. For the alarm engine alone: a network that
    /// fails must not end monitoring. A policy that refuses is obeyed.
    #[must_use]
    pub(crate) fn keeping(mut self, held: GrantId, classes: &[Class]) -> Self {
        for class in classes {
            if self.of(held, *class) == PolicyAnswer::Silent {
                self.0.insert((held, *class), PolicyAnswer::Agrees);
            }
        }
        self
    }
}

/// The ledger view a decision stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct View {
    /// The ledger.
    pub genesis: Genesis,
    /// Its finalized tip.
    pub tip: Tip,
    /// When the tip was first seen here, milliseconds; `None` if nobody looked.
    pub seen_ms: Option<u64>,
    /// The organisation that keeps the record.
    pub home: OrgId,
}

impl View {
    /// Milliseconds since the last finalized block. The time of a block in the future says nothing of its age: then
    /// it is as old as it has been seen here.
    #[must_use]
    pub(crate) fn age_ms(&self, now_ms: u64) -> u64 {
        if self.is_in_future(now_ms) {
            self.seen_ms.map_or(0, |seen_ms| now_ms.abs_diff(seen_ms))
        } else {
            now_ms.saturating_sub(self.tip.time_ms)
        }
    }

    /// Is the ledger's time so far ahead that one of the clocks must be wrong?
    fn is_in_future(&self, now_ms: u64) -> bool {
        self.tip.time_ms > now_ms.saturating_add(LEDGER_APART_MS_MAX)
    }

    /// Refuses when the view is too old to decide anything new upon.
    pub(crate) fn fresh(&self, now_ms: u64) -> Result<(), Denied> {
        let age_ms = self.age_ms(now_ms);
        if age_ms > VIEW_AGE_MAX_MS { Err(Denied::LedgerStale { age_s: age_ms / 1000 }) } else { Ok(()) }
    }
}

/// Permission for exactly the classes of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Permit {
    /// Under which consent; zero for the patient's own reading.
    pub grant: GrantId,
}

/// The patient's own reading stands on no consent.
const OWN: Permit = Permit { grant: GrantId([0; 32]) };

/// May the reader open these classes for this purpose now?
pub(crate) type Decision = Result<Permit, Denied>;

/// Everything a decision is made of, but what policies say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    /// The reader as the directory holds them; none for the engine.
    pub enrolment: Option<&'a Person>,
    /// All consents known for this patient.
    pub consents: &'a [Consent],
    /// The ledger view.
    pub view: &'a View,
    /// Now, milliseconds.
    pub now_ms: u64,
}

impl Facts<'_> {
    /// The later of the two clocks: a node whose clock is a little behind must not revive what has ended. If the
    /// ledger is so far ahead that a clock is wrong, the earlier one: a wrong clock must not close every record.
    /// But what has ended a day ago by the later one stays closed. See docs/decisions/171.
    fn now_ms(&self) -> u64 {
        let tip_ms = self.view.tip.time_ms;
        if self.view.is_in_future(self.now_ms) {
            self.now_ms.max(tip_ms.saturating_sub(CLOCK_FAULT_MS_MAX))
        } else {
            self.now_ms.max(tip_ms)
        }
    }
}

/// Decides. Any consent that covers the whole request suffices, in whatever order they are known.
pub(crate) fn decide(request: &Request<'_>, facts: &Facts<'_>, answers: &PolicyAnswers) -> Decision {
    let Some(grantee) = grantee(request, facts)? else { return Ok(OWN) };
    let covers = |consent: &Consent| {
        let terms = stands(consent, request, facts)?;
        match request.classes.iter().find(|class| !consent.names(terms, **class)) {
            Some(class) => return Err(Denied::ClassNotCovered { class: *class }),
            None if request.classes.is_empty() => return Err(Denied::NoConsent),
            None => {}
        }
        request.classes.iter().try_for_each(|class| agrees(consent, *class, answers))
    };
    let (mut best, mut why) = (None, Denied::NoConsent);
    for consent in named(request, facts, grantee) {
        match covers(consent) {
            Ok(()) => best = best.max(Some((rank(consent), consent.id))),
            Err(nearer) if telling(&nearer) >= telling(&why) => why = nearer,
            Err(_) => {}
        }
    }
    best.map(|(_, grant)| Permit { grant }).ok_or(why)
}

/// As many of the classes as one consent allows, and which: for exits that make do with less.
pub(crate) fn widest(
    request: &Request<'_>,
    facts: &Facts<'_>,
    answers: &PolicyAnswers,
) -> Result<(Permit, Vec<Class>), Denied> {
    let Some(grantee) = grantee(request, facts)? else { return Ok((OWN, request.classes.to_vec())) };
    let (mut best, mut why) = (None, Denied::NoConsent);
    for consent in named(request, facts, grantee) {
        let (mut opened, mut nearest) = (Vec::new(), Denied::NoConsent);
        match stands(consent, request, facts) {
            Ok(terms) => {
                for class in request.classes {
                    let decided = if consent.names(terms, *class) {
                        agrees(consent, *class, answers)
                    } else {
                        Err(Denied::ClassNotCovered { class: *class })
                    };
                    match decided {
                        Ok(()) => opened.push(*class),
                        Err(nearer) if telling(&nearer) >= telling(&nearest) => nearest = nearer,
                        Err(_) => {}
                    }
                }
            }
            Err(nearer) => nearest = nearer,
        }
        if !opened.is_empty() {
            best = best.max(Some((opened.len(), rank(consent), consent.id, opened)));
        } else if telling(&nearest) >= telling(&why) {
            why = nearest;
        }
    }
    best.map(|(_, _, grant, opened)| (Permit { grant }, opened)).ok_or(why)
}

/// What has to be asked of policies before this can be decided: nothing while a consent without a policy
/// covers all of it, and nothing of consents that cover none of it anyway.
#[must_use]
pub(crate) fn questions(request: &Request<'_>, facts: &Facts<'_>) -> Vec<Question> {
    if decide(request, facts, &PolicyAnswers::default()).is_ok() {
        return Vec::new();
    }
    let Ok(Some(grantee)) = grantee(request, facts) else { return Vec::new() };
    let mut questions = Vec::new();
    for consent in named(request, facts, grantee).filter(|consent| consent.grant.policy.is_some()) {
        if let Ok(terms) = stands(consent, request, facts) {
            let covered = request.classes.iter().filter(|class| consent.names(terms, **class));
            questions.extend(covered.map(|class| (consent.id, *class)));
        }
    }
    questions
}

/// For whom a consent has to be given, if one is needed at all: the own record needs none.
fn grantee(request: &Request<'_>, facts: &Facts<'_>) -> Result<Option<PersonId>, Denied> {
    if request.reader.org() != facts.view.home {
        facts.view.fresh(facts.now_ms())?;
    }
    match request.reader {
        Reader::Person { person, role, org } => {
            role_allows(role, request.purpose)?;
            enrolled(facts.enrolment, role, org)?;
            match request.purpose {
                Purpose::Own if person == request.patient => Ok(None),
                Purpose::Own => Err(Denied::NoSuchPatient),
                Purpose::Monitoring => Ok(Some(PersonId::of_organisation(org))),
                _ => Ok(Some(person)),
            }
        }
        Reader::Engine(org) if request.purpose == Purpose::Monitoring => {
            Ok(Some(PersonId::of_organisation(org)))
        }
        Reader::Engine(_) => Err(Denied::NoConsent),
    }
}

fn named<'a>(
    request: &Request<'_>,
    facts: &Facts<'a>,
    grantee: PersonId,
) -> impl Iterator<Item = &'a Consent> + use<'a> {
    let patient = request.patient;
    let named = move |grant: &Grant| grant.patient == patient && grant.grantee == grantee;
    facts.consents.iter().filter(move |consent| named(&consent.grant))
}

/// Of several consents that do, the one that asks no policy, then the one that lasts longest.
fn rank(consent: &Consent) -> (bool, u64) {
    (consent.grant.policy.is_none(), consent.grant.until_ms)
}

/// The purposes for which a role asks, the usual one first. Auditing opens no content.
#[must_use]
pub fn purposes(role: Role) -> &'static [Purpose] {
    match role {
        Role::Clinician => &[Purpose::Treatment, Purpose::Monitoring],
        Role::Family => &[Purpose::Family],
        Role::Auditor => &[Purpose::Audit],
        Role::Patient => &[Purpose::Own],
        Role::Administrator | Role::Other(_) => &[],
    }
}

/// May this role read content for this purpose at all?
pub(crate) fn may_read_for(role: Role, purpose: Purpose) -> bool {
    purpose != Purpose::Audit && purposes(role).contains(&purpose)
}

/// May this role read content for any purpose?
pub(crate) fn may_read(role: Role) -> bool {
    purposes(role).iter().any(|purpose| may_read_for(role, *purpose))
}

fn role_allows(role: Role, purpose: Purpose) -> Result<(), Denied> {
    if may_read_for(role, purpose) { Ok(()) } else { Err(Denied::Role { role }) }
}

/// Is the reader on the ledger, in this role, of this organisation, and not suspended?
pub(crate) fn enrolled(enrolment: Option<&Person>, role: Role, org: OrgId) -> Result<(), Denied> {
    let person = enrolment.ok_or(Denied::NotEnrolled)?;
    // Whenever that was: the ledger's time may have gone back since.
    let suspended = person.suspended_at_ms != 0;
    if person.role != role || person.org != org || suspended { Err(Denied::NotEnrolled) } else { Ok(()) }
}

/// Does the consent stand now, for this purpose and as far back as is asked? Its terms, then.
fn stands<'a>(consent: &'a Consent, request: &Request<'_>, facts: &Facts<'_>) -> Result<&'a Terms, Denied> {
    let (grant, now_ms) = (&consent.grant, facts.now_ms());
    if consent.withdrawn_here || grant.revoked_at_ms != 0 {
        return Err(Denied::Withdrawn);
    }
    let terms = consent.terms.as_ref().ok_or(Denied::NoConsent)?;
    if terms.commitment(facts.view.genesis) != grant.terms {
        return Err(Denied::TermsDiffer);
    }
    if terms.purpose != request.purpose {
        return Err(Denied::NoConsent);
    }
    if now_ms >= grant.until_ms {
        return Err(Denied::Ended { ended_ago_s: (now_ms - grant.until_ms) / 1000 });
    }
    if now_ms < grant.from_ms {
        return Err(Denied::NotYet { begins_in_s: (grant.from_ms - now_ms).div_ceil(1000) });
    }
    if consent.restricted.paused {
        return Err(Denied::ConsentPaused);
    }
    if let Some(within) = &consent.restricted.within {
        if now_ms >= within.until_ms {
            return Err(Denied::Ended { ended_ago_s: (now_ms - within.until_ms) / 1000 });
        }
        if now_ms < within.from_ms {
            return Err(Denied::NotYet { begins_in_s: (within.from_ms - now_ms).div_ceil(1000) });
        }
    }
    // People at the wall see what is now, alarms, and what led to them. The engine reads back by itself.
    let back_ms = now_ms.saturating_sub(request.from_ms);
    let person = matches!(request.reader, Reader::Person { .. });
    if person && request.purpose == Purpose::Monitoring && back_ms > MONITORING_BACK_MS + CLOCK_SLACK_MS {
        return Err(Denied::MonitoringSpan);
    }
    Ok(terms)
}

fn agrees(consent: &Consent, class: Class, answers: &PolicyAnswers) -> Result<(), Denied> {
    match consent.grant.policy.map(|_| answers.of(consent.id, class)) {
        None | Some(PolicyAnswer::Agrees) => Ok(()),
        Some(PolicyAnswer::Refuses) => Err(Denied::PolicyRefuses { class }),
        Some(PolicyAnswer::Silent) => Err(Denied::PolicySilent),
    }
}

/// The most telling of several refusals is the one shown: in whatever order they came.
pub(crate) fn telling(why: &Denied) -> (u8, u64) {
    let first = |class: &Class| u64::MAX - u64::from(class.code());
    match why {
        Denied::PolicySilent => (9, 0),
        Denied::PolicyRefuses { class } => (8, first(class)),
        Denied::MonitoringSpan => (7, 0),
        Denied::ClassNotCovered { class } => (6, first(class)),
        Denied::TermsDiffer => (5, 0),
        Denied::ConsentPaused => (4, 0),
        Denied::Withdrawn => (3, 0),
        Denied::Ended { ended_ago_s } => (2, u64::MAX - ended_ago_s),
        Denied::NotYet { begins_in_s } => (1, u64::MAX - begins_in_s),
        _ => (0, 0),
    }
}
