//! The decision held against cases, and against every consent by itself.

use super::*;

const NOW: u64 = 1_700_000_000_000;
const HOME: OrgId = OrgId([1; 16]);
const AMIRA: PersonId = PersonId([2; 32]);
const DR_LEE: PersonId = PersonId([3; 32]);
const GENESIS: Genesis = Genesis([4; 32]);

fn view(age_ms: u64) -> View {
    let tip = Tip { height: 9, time_ms: NOW - age_ms, digest: [0; 32], state_root: [0; 32] };
    View { genesis: GENESIS, tip, seen_ms: None, home: HOME }
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
    Consent {
        id: GrantId([8; 32]),
        grant,
        terms: Some(terms),
        withdrawn_here: false,
        restricted: Restricted::default(),
    }
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

fn given(request: &Request<'_>, enrolment: Option<&Person>, consents: &[Consent], age_ms: u64) -> Decision {
    let facts = Facts { enrolment, consents, view: &view(age_ms), now_ms: NOW };
    decide(request, &facts, &PolicyAnswers::default())
}

fn asked(consents: &[Consent], classes: &[Class], age_ms: u64) -> Decision {
    let (reader, person) = lee(HOME);
    let request = Request { reader, patient: AMIRA, purpose: Purpose::Treatment, classes, from_ms: 0 };
    given(&request, Some(&person), consents, age_ms)
}

#[test]
fn a_restriction_takes_away_and_never_adds() {
    let both = [Class::Vitals, Class::Alarms];
    let whole = consent(DR_LEE, Purpose::Treatment, &both);
    assert!(asked(std::slice::from_ref(&whole), &both, 0).is_ok());
    let paused = Consent { restricted: Restricted { paused: true, within: None }, ..whole.clone() };
    assert_eq!(asked(std::slice::from_ref(&paused), &[Class::Vitals], 0), Err(Denied::ConsentPaused));
    assert!(asked(&[paused, whole.clone()], &[Class::Vitals], 0).is_ok(), "another one is not paused");
    let within = |classes: &[Class], from_ms, until_ms| {
        let within = Some(Within { classes: classes.to_vec(), from_ms, until_ms });
        [Consent { restricted: Restricted { paused: false, within }, ..whole.clone() }]
    };
    let narrower = within(&[Class::Vitals, Class::Profile], NOW - 10, NOW + 10);
    assert!(asked(&narrower, &[Class::Vitals], 0).is_ok());
    for class in [Class::Alarms, Class::Profile] {
        assert_eq!(asked(&narrower, &[class], 0), Err(Denied::ClassNotCovered { class }), "both must say it");
    }
    let over = within(&both, NOW - 10, NOW);
    assert_eq!(asked(&over, &[Class::Vitals], 0), Err(Denied::Ended { ended_ago_s: 0 }));
    let later = within(&both, NOW + 5, NOW + 10);
    assert_eq!(asked(&later, &[Class::Vitals], 0), Err(Denied::NotYet { begins_in_s: 1 }));
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
    let request = Request {
        reader,
        patient: AMIRA,
        purpose: Purpose::Treatment,
        classes: &[Class::Vitals],
        from_ms: NOW,
    };
    let late = given(&request, Some(&person), &consents, 61_000);
    assert_eq!(late, Err(Denied::LedgerStale { age_s: 61 }));
    assert!(given(&request, Some(&person), &consents, 59_000).is_ok());
}

#[test]
fn suspended_or_unknown_readers_open_nothing() {
    let consents = [consent(DR_LEE, Purpose::Treatment, &[Class::Vitals])];
    let (reader, mut person) = lee(HOME);
    let request = Request {
        reader,
        patient: AMIRA,
        purpose: Purpose::Treatment,
        classes: &[Class::Vitals],
        from_ms: NOW,
    };
    assert_eq!(given(&request, None, &consents, 0), Err(Denied::NotEnrolled));
    for suspended_at_ms in [1, NOW, NOW + CLOCK_FAULT_MS_MAX] {
        person.suspended_at_ms = suspended_at_ms;
        assert_eq!(
            given(&request, Some(&person), &consents, 0),
            Err(Denied::NotEnrolled),
            "{suspended_at_ms}"
        );
    }
}

/// How far the ledger's time is ahead of this node's, and the decision about a consent that ends in a second.
fn with_the_ledger_ahead_by(ms: u64) -> Decision {
    let (reader, person) = lee(HOME);
    let classes = &[Class::Vitals];
    let request = Request { reader, patient: AMIRA, purpose: Purpose::Treatment, classes, from_ms: NOW };
    let mut view = view(0);
    view.tip.time_ms = NOW + ms;
    let consents = [consent(DR_LEE, Purpose::Treatment, classes)];
    let facts = Facts { enrolment: Some(&person), consents: &consents, view: &view, now_ms: NOW };
    decide(&request, &facts, &PolicyAnswers::default())
}

#[test]
fn a_ledger_whose_time_is_wrong_closes_no_record_and_revives_nothing_for_more_than_a_day() {
    assert!(with_the_ledger_ahead_by(999).is_ok());
    assert!(matches!(with_the_ledger_ahead_by(1_000), Err(Denied::Ended { .. })), "the later clock counts");
    assert!(matches!(with_the_ledger_ahead_by(LEDGER_APART_MS_MAX), Err(Denied::Ended { .. })));
    assert!(with_the_ledger_ahead_by(LEDGER_APART_MS_MAX + 1).is_ok(), "a clock is wrong: the earlier one");
    assert!(with_the_ledger_ahead_by(CLOCK_FAULT_MS_MAX).is_ok());
    assert!(matches!(with_the_ledger_ahead_by(CLOCK_FAULT_MS_MAX + 1_000), Err(Denied::Ended { .. })));
}

#[test]
fn a_tip_in_the_future_is_as_old_as_it_was_seen() {
    let ahead = View { seen_ms: Some(NOW - 70_000), ..view(0) };
    let ahead = View { tip: Tip { time_ms: NOW + 3_600_000, ..ahead.tip }, ..ahead };
    assert_eq!(ahead.age_ms(NOW), 70_000);
    assert_eq!(ahead.fresh(NOW), Err(Denied::LedgerStale { age_s: 70 }));
    assert_eq!(View { seen_ms: Some(NOW - 500), ..ahead }.fresh(NOW), Ok(()));
}

const EVERY_PURPOSE: [Purpose; 5] =
    [Purpose::Treatment, Purpose::Monitoring, Purpose::Family, Purpose::Own, Purpose::Audit];

/// What each role reads for, where a consent (or, for one's own record, none) allows it.
const READS_FOR: &[(Role, &[Purpose])] = &[
    (Role::Patient, &[Purpose::Own]),
    (Role::Clinician, &[Purpose::Treatment, Purpose::Monitoring]),
    (Role::Administrator, &[]),
    (Role::Family, &[Purpose::Family]),
    (Role::Auditor, &[]),
];

#[test]
fn each_role_reads_for_its_own_purposes_and_no_other() {
    let named: Vec<Role> = READS_FOR.iter().map(|(role, _)| *role).collect();
    assert_eq!(named, Role::NAMED, "every named role has a row");
    for (role, reads_for) in READS_FOR.iter().copied().chain([(Role::Other(200), &[][..])]) {
        assert_eq!(may_read(role), !reads_for.is_empty(), "{role:?}");
        for purpose in EVERY_PURPOSE {
            let person = Person { role, ..lee(HOME).1 };
            let reader = Reader::Person { person: DR_LEE, role, org: HOME };
            let grantee =
                if purpose == Purpose::Monitoring { PersonId::of_organisation(HOME) } else { DR_LEE };
            let patient = if purpose == Purpose::Own { DR_LEE } else { AMIRA };
            let consents = [consent(grantee, purpose, &[Class::Vitals])];
            let request = Request { reader, patient, purpose, classes: &[Class::Vitals], from_ms: NOW };
            let decided = given(&request, Some(&person), &consents, 0);
            if reads_for.contains(&purpose) {
                assert!(decided.is_ok(), "{role:?} for {purpose:?}: {decided:?}");
            } else {
                assert_eq!(decided, Err(Denied::Role { role }), "{role:?} for {purpose:?}");
            }
        }
    }
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
        let request =
            Request { reader, patient, purpose: Purpose::Own, classes: &[Class::Access], from_ms: NOW };
        given(&request, Some(&person), &[], 0)
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
        let request = Request { reader, patient: AMIRA, purpose, classes: &[Class::Vitals], from_ms: NOW };
        given(&request, None, consents, 0)
    };
    assert!(engine(Purpose::Monitoring, &monitoring).is_ok());
    assert_eq!(engine(Purpose::Monitoring, &treatment), Err(Denied::NoConsent));
    assert_eq!(engine(Purpose::Treatment, &treatment), Err(Denied::NoConsent));
}

#[test]
fn a_role_that_no_rule_names_opens_nothing_whatever_is_consented() {
    let decided = |role, purpose| {
        let (_, person) = lee(HOME);
        let person = Person { role, ..person };
        let reader = Reader::Person { person: AMIRA, role, org: HOME };
        let consents = [AMIRA, PersonId::of_organisation(HOME)]
            .map(|grantee| consent(grantee, purpose, &[Class::Vitals]));
        let request = Request { reader, patient: AMIRA, purpose, classes: &[Class::Vitals], from_ms: NOW };
        given(&request, Some(&person), &consents, 0)
    };
    for purpose in EVERY_PURPOSE {
        for role in [Role::Other(6), Role::Other(7), Role::Other(255)] {
            assert_eq!(decided(role, purpose), Err(Denied::Role { role }), "{purpose:?}");
        }
        let named = [Role::Clinician, Role::Family, Role::Patient];
        let opens = named.into_iter().filter(|role| decided(*role, purpose).is_ok()).count();
        assert_eq!(opens, usize::from(purpose != Purpose::Audit), "one of the named roles may: {purpose:?}");
    }
}

fn under_policy(id: u8, classes: &[Class]) -> Consent {
    let mut one = consent(DR_LEE, Purpose::Treatment, classes);
    (one.id, one.grant.policy) = (GrantId([id; 32]), Some([0x44; 20]));
    one
}

fn with_answers(consents: &[Consent], classes: &[Class], answers: &PolicyAnswers) -> Decision {
    let (reader, person) = lee(HOME);
    let request = Request { reader, patient: AMIRA, purpose: Purpose::Treatment, classes, from_ms: NOW };
    let facts = Facts { enrolment: Some(&person), consents, view: &view(0), now_ms: NOW };
    decide(&request, &facts, answers)
}

#[test]
fn a_policy_that_was_not_asked_or_says_no_opens_nothing() {
    let consents = [under_policy(1, &[Class::Vitals])];
    let said = |answer| [((GrantId([1; 32]), Class::Vitals), answer)].into_iter().collect();
    let opened = |answers: &PolicyAnswers| with_answers(&consents, &[Class::Vitals], answers);
    assert_eq!(opened(&PolicyAnswers::default()), Err(Denied::PolicySilent));
    assert_eq!(opened(&said(PolicyAnswer::Silent)), Err(Denied::PolicySilent));
    assert_eq!(opened(&said(PolicyAnswer::Refuses)), Err(Denied::PolicyRefuses { class: Class::Vitals }));
    assert_eq!(opened(&said(PolicyAnswer::Agrees)), Ok(Permit { grant: GrantId([1; 32]) }));
}

#[test]
fn what_was_held_is_kept_while_the_policy_is_silent_and_no_longer_when_it_says_no() {
    let held = GrantId([1; 32]);
    let kept = PolicyAnswers::default().keeping(held, &[Class::Vitals]);
    assert_eq!(kept.of(held, Class::Vitals), PolicyAnswer::Agrees);
    assert_eq!(kept.of(held, Class::Alarms), PolicyAnswer::Silent, "only what was held");
    let refused: PolicyAnswers = [((held, Class::Vitals), PolicyAnswer::Refuses)].into_iter().collect();
    assert_eq!(refused.keeping(held, &[Class::Vitals]).of(held, Class::Vitals), PolicyAnswer::Refuses);
}

#[test]
fn monitoring_by_people_reaches_back_two_hours_and_the_engine_s_does_not_end_there() {
    let org = PersonId::of_organisation(HOME);
    let consents = [consent(org, Purpose::Monitoring, &[Class::Vitals])];
    let (reader, person) = lee(HOME);
    let back = |reader, enrolment, back_ms: u64| {
        let (purpose, from_ms) = (Purpose::Monitoring, NOW - back_ms);
        let request = Request { reader, patient: AMIRA, purpose, classes: &[Class::Vitals], from_ms };
        given(&request, enrolment, &consents, 0)
    };
    assert!(back(reader, Some(&person), 0).is_ok());
    assert!(back(reader, Some(&person), MONITORING_BACK_MS).is_ok());
    let day = back(reader, Some(&person), 86_400_000);
    assert_eq!(day, Err(Denied::MonitoringSpan));
    assert!(back(Reader::Engine(HOME), None, NOW).is_ok());
    let stranger = Request {
        reader,
        patient: DR_LEE,
        purpose: Purpose::Monitoring,
        classes: &[Class::Vitals],
        from_ms: 0,
    };
    assert_eq!(given(&stranger, Some(&person), &consents, 0), Err(Denied::NoConsent), "tells no one more");
}

#[test]
fn policies_are_asked_only_when_it_matters() {
    let asked = |consents: &[Consent], classes: &[Class]| {
        let (reader, person) = lee(HOME);
        let request = Request { reader, patient: AMIRA, purpose: Purpose::Treatment, classes, from_ms: NOW };
        questions(&request, &Facts { enrolment: Some(&person), consents, view: &view(0), now_ms: NOW })
    };
    let under = under_policy(1, &[Class::Vitals, Class::Notes]);
    assert_eq!(asked(core::slice::from_ref(&under), &[Class::Vitals]), [(under.id, Class::Vitals)]);
    let plain = consent(DR_LEE, Purpose::Treatment, &[Class::Vitals]);
    assert_eq!(asked(&[under.clone(), plain.clone()], &[Class::Vitals]), [], "the plain one suffices");
    let both = asked(&[plain, under.clone()], &[Class::Vitals, Class::Alarms]);
    assert_eq!(both, [(under.id, Class::Vitals)], "what it covers of a request that may be made smaller");
    let mut over = under;
    over.grant.until_ms = NOW;
    assert_eq!(asked(&[over], &[Class::Vitals]), []);
}

const CLASSES: [Class; 4] = [Class::Vitals, Class::Environment, Class::Alarms, Class::Profile];

/// A consent as it may be: its id, its classes, its state, and what its policy says, if it has one.
type Drawn = ([u8; 32], Vec<bool>, u8, u8);

fn drawn(from: &[Drawn]) -> (Vec<Consent>, PolicyAnswers) {
    let mut answers = Vec::new();
    let consents = from.iter().map(|(id, covered, state, policy)| {
        let classes: Vec<Class> =
            CLASSES.into_iter().zip(covered).filter_map(|(class, one)| one.then_some(class)).collect();
        let mut one = consent(DR_LEE, Purpose::Treatment, &classes);
        one.id = GrantId(*id);
        match state {
            0 => one.withdrawn_here = true,
            1 => one.grant.until_ms = NOW,
            2 => one.grant.from_ms = NOW + 1,
            3 => one.terms = None,
            _ => {}
        }
        if *policy > 0 {
            one.grant.policy = Some([*policy; 20]);
            let answer = [PolicyAnswer::Agrees, PolicyAnswer::Refuses, PolicyAnswer::Silent];
            let answer = answer[usize::from(policy % 3)];
            answers.extend(CLASSES.into_iter().map(|class| ((one.id, class), answer)));
        }
        one
    });
    (consents.collect(), answers.into_iter().collect())
}

proptest::proptest! {
    /// Whatever ids consents have, and in whatever order they are known.
    #[test]
    fn any_covering_consent_suffices_whatever_its_id(
        consents in proptest::collection::btree_map(
            proptest::prelude::any::<[u8; 32]>(),
            (proptest::collection::vec(proptest::prelude::any::<bool>(), 4), 0..8u8, 0..6u8),
            0..6,
        ),
        wanted in proptest::sample::subsequence(CLASSES.to_vec(), 1..=4),
        turn in 0..6usize,
    ) {
        let from: Vec<Drawn> =
            consents.into_iter().map(|(id, (covered, state, policy))| (id, covered, state, policy)).collect();
        let (mut consents, answers) = drawn(&from);
        let alone = consents
            .iter()
            .filter(|one| with_answers(core::slice::from_ref(*one), &wanted, &answers).is_ok())
            .map(|one| one.id)
            .collect::<Vec<_>>();
        let together = with_answers(&consents, &wanted, &answers);
        let turns = turn % consents.len().max(1);
        consents.rotate_left(turns);
        proptest::prop_assert_eq!(&together, &with_answers(&consents, &wanted, &answers), "no order decides");
        match together {
            Ok(permit) => proptest::prop_assert!(alone.contains(&permit.grant)),
            Err(_) => proptest::prop_assert!(alone.is_empty()),
        }
        // Nothing of a silent policy is missing in what is asked before the decision.
        let (reader, person) = lee(HOME);
        let request = Request {
            reader, patient: AMIRA, purpose: Purpose::Treatment, classes: &wanted, from_ms: NOW,
        };
        let facts = Facts { enrolment: Some(&person), consents: &consents, view: &view(0), now_ms: NOW };
        let asked = questions(&request, &facts);
        let heard: PolicyAnswers = asked.iter().map(|(id, class)| ((*id, *class), answers.of(*id, *class))).collect();
        proptest::prop_assert_eq!(decide(&request, &facts, &heard).is_ok(), together.is_ok());
        let most = widest(&request, &facts, &heard);
        match &most {
            Ok((permit, opened)) => {
                proptest::prop_assert!(opened.iter().all(|class| wanted.contains(class)));
                let one = consents.iter().find(|one| one.id == permit.grant).unwrap();
                proptest::prop_assert!(with_answers(core::slice::from_ref(one), opened, &answers).is_ok());
                proptest::prop_assert!(together.is_err() || *opened == wanted);
            }
            Err(_) => proptest::prop_assert!(together.is_err()),
        }
    }
}
