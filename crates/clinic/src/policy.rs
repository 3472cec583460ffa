//! The one decision every exit passes: page, live stream, wall, export. Pure, deny by default.

use crate::errors::Denied;
use vitals::ids::Class;
use vitals::ledger::{Grant, Person, Purpose, Role, Terms, Tip};
use vitals::{Genesis, GrantId, OrgId, PersonId};

/// A ledger view older than this decides nothing new and nothing for other organisations.
pub const VIEW_AGE_MAX_MS: u64 = 60_000;

/// Who wants to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
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
pub struct Request<'a> {
    /// Who asks.
    pub reader: Reader,
    /// The patient on the ledger.
    pub patient: PersonId,
    /// Why.
    pub purpose: Purpose,
    /// Which classes.
    pub classes: &'a [Class],
}

/// A consent with everything known of it here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// Its id.
    pub id: GrantId,
    /// As it stands on the finalized view.
    pub grant: Grant,
    /// Its terms, if this vault keeps them.
    pub terms: Option<Terms>,
    /// The patient withdrew it at this node; the ledger will follow.
    pub withdrawn_here: bool,
}

/// The ledger view a decision stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// The ledger.
    pub genesis: Genesis,
    /// Its finalized tip.
    pub tip: Tip,
    /// The organisation that keeps the record.
    pub home: OrgId,
}

impl View {
    /// Milliseconds since the last finalized block.
    #[must_use]
    pub fn age_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.tip.time_ms)
    }

    /// Refuses when the view is too old to decide anything new upon.
    pub fn fresh(&self, now_ms: u64) -> Result<(), Denied> {
        let age_ms = self.age_ms(now_ms);
        if age_ms > VIEW_AGE_MAX_MS { Err(Denied::LedgerStale { age_s: age_ms / 1000 }) } else { Ok(()) }
    }
}

/// Permission for exactly the classes of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permit {
    /// Under which consent; zero for the patient's own reading.
    pub grant: GrantId,
}

/// May the reader open these classes for this purpose now?
pub type Decision = Result<Permit, Denied>;

/// Decides. `standing` is the reader as the directory holds them (none for the engine), `consents`
/// all consents known for this patient.
pub fn decide(
    request: &Request<'_>,
    standing: Option<&Person>,
    consents: &[Consent],
    view: &View,
    now_ms: u64,
) -> Decision {
    // The later of the two clocks: a node whose clock went back must not revive what has ended.
    let now_ms = now_ms.max(view.tip.time_ms);
    if request.reader.org() != view.home {
        view.fresh(now_ms)?;
    }
    let grantee = match request.reader {
        Reader::Person { person, role, org } => {
            fitting(role, request.purpose)?;
            enrolled(standing, role, org, now_ms)?;
            if request.purpose == Purpose::Own {
                return if person == request.patient {
                    Ok(Permit { grant: GrantId([0; 32]) })
                } else {
                    Err(Denied::NoSuchPatient)
                };
            }
            if request.purpose == Purpose::Monitoring { PersonId::of_organisation(org) } else { person }
        }
        Reader::Engine(org) if request.purpose == Purpose::Monitoring => PersonId::of_organisation(org),
        Reader::Engine(_) => return Err(Denied::NoConsent),
    };
    let mut why = Denied::NoConsent;
    for consent in consents {
        let named = consent.grant.patient == request.patient && consent.grant.grantee == grantee;
        if !named {
            continue;
        }
        match covers(consent, request, view, now_ms) {
            Ok(()) => return Ok(Permit { grant: consent.id }),
            Err(nearer) if telling(&nearer) >= telling(&why) => why = nearer,
            Err(_) => {}
        }
    }
    Err(why)
}

/// Which role may ask for which purpose at all. Auditing opens no content.
fn fitting(role: Role, purpose: Purpose) -> Result<(), Denied> {
    let fits = matches!(
        (role, purpose),
        (Role::Clinician, Purpose::Treatment | Purpose::Monitoring)
            | (Role::Family, Purpose::Family)
            | (Role::Patient, Purpose::Own)
    );
    if fits { Ok(()) } else { Err(Denied::Role { role }) }
}

/// Is the reader on the ledger, in this role, of this organisation, and not suspended?
pub(crate) fn enrolled(standing: Option<&Person>, role: Role, org: OrgId, now_ms: u64) -> Result<(), Denied> {
    let person = standing.ok_or(Denied::NotEnrolled)?;
    let suspended = person.suspended_at_ms != 0 && person.suspended_at_ms <= now_ms;
    if person.role != role || person.org != org || suspended { Err(Denied::NotEnrolled) } else { Ok(()) }
}

fn covers(consent: &Consent, request: &Request<'_>, view: &View, now_ms: u64) -> Result<(), Denied> {
    let grant = &consent.grant;
    if consent.withdrawn_here || grant.revoked_at_ms != 0 {
        return Err(Denied::Withdrawn);
    }
    let terms = consent.terms.as_ref().ok_or(Denied::NoConsent)?;
    if terms.commitment(view.genesis) != grant.terms {
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
    match request.classes.iter().find(|class| !terms.classes.contains(class)) {
        Some(class) => Err(Denied::ClassNotCovered { class: *class }),
        None if request.classes.is_empty() => Err(Denied::NoConsent),
        None => Ok(()),
    }
}

/// The most telling of several refusals is the one shown.
fn telling(why: &Denied) -> u8 {
    match why {
        Denied::ClassNotCovered { .. } => 5,
        Denied::TermsDiffer => 4,
        Denied::Withdrawn => 3,
        Denied::Ended { .. } => 2,
        Denied::NotYet { .. } => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;
    const HOME: OrgId = OrgId([1; 16]);
    const AMIRA: PersonId = PersonId([2; 32]);
    const DR_LEE: PersonId = PersonId([3; 32]);
    const GENESIS: Genesis = Genesis([4; 32]);

    fn view(age_ms: u64) -> View {
        let tip = Tip { height: 9, time_ms: NOW - age_ms, digest: [0; 32], state_root: [0; 32] };
        View { genesis: GENESIS, tip, home: HOME }
    }

    fn consent(grantee: PersonId, purpose: Purpose, classes: &[Class]) -> Consent {
        let terms = Terms { classes: classes.to_vec(), purpose, salt: [7; 32] };
        let grant = Grant {
            patient: AMIRA,
            grantee,
            terms: terms.commitment(GENESIS),
            from_ms: NOW - 1000,
            until_ms: NOW + 1000,
            revoked_at_ms: 0,
            policy: None,
        };
        Consent { id: GrantId([8; 32]), grant, terms: Some(terms), withdrawn_here: false }
    }

    fn lee(org: OrgId) -> (Reader, Person) {
        let person = Person {
            role: Role::Clinician,
            org,
            signer: vec![],
            vault_kept: true,
            since_ms: 0,
            suspended_at_ms: 0,
        };
        (Reader::Person { person: DR_LEE, role: Role::Clinician, org }, person)
    }

    fn asked(consents: &[Consent], classes: &[Class], age_ms: u64) -> Decision {
        let (reader, person) = lee(HOME);
        let request = Request { reader, patient: AMIRA, purpose: Purpose::Treatment, classes };
        decide(&request, Some(&person), consents, &view(age_ms), NOW)
    }

    #[test]
    fn without_a_consent_nothing_opens() {
        assert_eq!(asked(&[], &[Class::Vitals], 0), Err(Denied::NoConsent));
        let for_another = consent(PersonId([9; 32]), Purpose::Treatment, &[Class::Vitals]);
        assert_eq!(asked(&[for_another], &[Class::Vitals], 0), Err(Denied::NoConsent));
    }

    #[test]
    fn a_consent_opens_its_classes_and_no_other() {
        let consents = [consent(DR_LEE, Purpose::Treatment, &[Class::Vitals])];
        assert!(asked(&consents, &[Class::Vitals], 0).is_ok());
        let more = asked(&consents, &[Class::Vitals, Class::Environment], 0);
        assert_eq!(more, Err(Denied::ClassNotCovered { class: Class::Environment }));
        assert_eq!(asked(&consents, &[], 0), Err(Denied::NoConsent), "nothing asked, nothing given");
    }

    #[test]
    fn a_consent_for_another_purpose_does_not_help() {
        let consents = [consent(DR_LEE, Purpose::Family, &[Class::Vitals])];
        assert_eq!(asked(&consents, &[Class::Vitals], 0), Err(Denied::NoConsent));
    }

    #[test]
    fn withdrawn_ended_and_future_consents_are_told_apart() {
        let good = consent(DR_LEE, Purpose::Treatment, &[Class::Vitals]);
        let with = |change: &dyn Fn(&mut Consent)| {
            let mut changed = good.clone();
            change(&mut changed);
            asked(&[changed], &[Class::Vitals], 0)
        };
        assert_eq!(with(&|c| c.withdrawn_here = true), Err(Denied::Withdrawn));
        assert_eq!(with(&|c| c.grant.revoked_at_ms = NOW), Err(Denied::Withdrawn));
        assert_eq!(with(&|c| c.grant.until_ms = NOW), Err(Denied::Ended { ended_ago_s: 0 }));
        assert_eq!(with(&|c| c.grant.from_ms = NOW + 1), Err(Denied::NotYet { begins_in_s: 1 }));
        assert_eq!(with(&|c| c.terms = None), Err(Denied::NoConsent));
        let widened = with(&|c| c.terms.iter_mut().for_each(|terms| terms.classes.push(Class::Notes)));
        assert_eq!(widened, Err(Denied::TermsDiffer), "terms that were not signed open nothing");
    }

    #[test]
    fn a_live_consent_counts_beside_a_withdrawn_one() {
        let mut withdrawn = consent(DR_LEE, Purpose::Treatment, &[Class::Vitals]);
        withdrawn.withdrawn_here = true;
        let live = consent(DR_LEE, Purpose::Treatment, &[Class::Vitals]);
        assert!(asked(&[withdrawn.clone(), live.clone()], &[Class::Vitals], 0).is_ok());
        assert!(asked(&[live, withdrawn], &[Class::Vitals], 0).is_ok());
    }

    #[test]
    fn on_an_old_view_home_goes_on_and_others_wait() {
        let consents = [consent(DR_LEE, Purpose::Treatment, &[Class::Vitals])];
        assert!(asked(&consents, &[Class::Vitals], 600_000).is_ok());
        let (reader, person) = lee(OrgId([6; 16]));
        let request =
            Request { reader, patient: AMIRA, purpose: Purpose::Treatment, classes: &[Class::Vitals] };
        let late = decide(&request, Some(&person), &consents, &view(61_000), NOW);
        assert_eq!(late, Err(Denied::LedgerStale { age_s: 61 }));
        assert!(decide(&request, Some(&person), &consents, &view(59_000), NOW).is_ok());
    }

    #[test]
    fn suspended_or_unknown_readers_open_nothing() {
        let consents = [consent(DR_LEE, Purpose::Treatment, &[Class::Vitals])];
        let (reader, mut person) = lee(HOME);
        let request =
            Request { reader, patient: AMIRA, purpose: Purpose::Treatment, classes: &[Class::Vitals] };
        assert_eq!(decide(&request, None, &consents, &view(0), NOW), Err(Denied::NotEnrolled));
        person.suspended_at_ms = NOW;
        assert_eq!(decide(&request, Some(&person), &consents, &view(0), NOW), Err(Denied::NotEnrolled));
    }

    #[test]
    fn patients_open_their_own_record_only() {
        let person = Person {
            role: Role::Patient,
            org: HOME,
            signer: vec![],
            vault_kept: true,
            since_ms: 0,
            suspended_at_ms: 0,
        };
        let own = |patient| {
            let reader = Reader::Person { person: AMIRA, role: Role::Patient, org: HOME };
            let request = Request { reader, patient, purpose: Purpose::Own, classes: &[Class::Access] };
            decide(&request, Some(&person), &[], &view(0), NOW)
        };
        assert_eq!(own(AMIRA), Ok(Permit { grant: GrantId([0; 32]) }));
        assert_eq!(own(DR_LEE), Err(Denied::NoSuchPatient));
    }

    #[test]
    fn the_engine_reads_under_the_monitoring_consent_alone() {
        let org = PersonId::of_organisation(HOME);
        let monitoring = [consent(org, Purpose::Monitoring, &[Class::Vitals])];
        let treatment = [consent(DR_LEE, Purpose::Treatment, &[Class::Vitals])];
        let engine = |purpose, consents: &[Consent]| {
            let reader = Reader::Engine(HOME);
            let request = Request { reader, patient: AMIRA, purpose, classes: &[Class::Vitals] };
            decide(&request, None, consents, &view(0), NOW)
        };
        assert!(engine(Purpose::Monitoring, &monitoring).is_ok());
        assert_eq!(engine(Purpose::Monitoring, &treatment), Err(Denied::NoConsent));
        assert_eq!(engine(Purpose::Treatment, &treatment), Err(Denied::NoConsent));
    }
}
