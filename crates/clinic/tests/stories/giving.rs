//! A consent is shown before it is given, given once, and said to be no further than it is.

use clinic::views::{ConsentPreview, GrantState, Reach, SeenAs};
use clinic::{ChartRequest, ClinicError, ConsentWish, GRANTS_OPEN_MAX, GrantField, GrantRefusal, MONITORED};
use std::collections::BTreeSet;
use testward::{Gateway, Ward, denied};
use vault::TermsRecord;
use vitals::eip712::grant_id;
use vitals::ids::Class;
use vitals::ledger::{Purpose, Role, Terms};
use vitals::{GrantId, PatientId, PersonId};

const DAY_MS: u64 = 86_400_000;

/// Amira, watched by her ward and treated by nobody yet; Dr Lee, and Nadia of her family.
fn scene() -> (Ward, PatientId, Gateway) {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    ward.person("nadia", Role::Family);
    ward.person("orin", Role::Auditor);
    ward.block();
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 720, 3);
    (ward, amira, gateway)
}

fn wish(ward: &Ward, to: &str, classes: &[Class]) -> ConsentWish {
    let until_ms = ward.now_ms + 7 * DAY_MS;
    ConsentWish {
        grantee: ward.as_(to).person,
        classes: classes.to_vec(),
        from_ms: None,
        until_ms,
        replaces: None,
        answers: None,
    }
}

fn preview(ward: &Ward, wish: &ConsentWish) -> Result<ConsentPreview, ClinicError> {
    ward.clinic.preview_consent(&ward.as_("amira"), wish, &MONITORED, ward.now_ms)
}

/// Everything that a preview must not touch.
fn written(ward: &Ward, amira: PatientId) -> (u64, u64, usize) {
    (ward.clinic.store().size(), ward.ledger.submitted(), ward.clinic.vault().terms_of(amira).len())
}

#[test]
fn a_consent_is_given_once_however_often_the_form_arrives() {
    let (mut ward, amira, _) = scene();
    let wish = wish(&ward, "lee", &[Class::Vitals, Class::Alarms]);
    let before = written(&ward, amira);
    let once = preview(&ward, &wish).unwrap().once;
    assert_ne!(once, preview(&ward, &wish).unwrap().once, "each page has its own");
    assert_eq!(written(&ward, amira), before, "nothing is given by looking");
    let give = |ward: &Ward, wish: &ConsentWish| {
        ward.clinic.give_consent(&ward.as_("amira"), wish, once, ward.now_ms).unwrap()
    };
    let both: Vec<_> = std::thread::scope(|scope| {
        let one = || scope.spawn(|| give(&ward, &wish));
        [one(), one()].map(|given| given.join().unwrap()).into()
    });
    assert_eq!(both[0].grant, both[1].grant, "two at the same moment are one");
    assert!(both.iter().any(|given| !given.again));
    let given = both[0];
    ward.block();
    let wider = ConsentWish { classes: Class::ALL.to_vec(), ..wish.clone() };
    for late in [&wish, &wider] {
        let again = give(&ward, late);
        assert_eq!((again.grant, again.again), (given.grant, true), "the token stands for one consent");
    }
    let mut ward = ward.reopened();
    ward.block();
    assert!(give(&ward, &wish).again, "after a restart too");
    let own = ward.clinic.own_consents(&ward.as_("amira"), ward.now_ms).unwrap();
    let treatment: Vec<_> = own.iter().filter(|grant| grant.purpose == Purpose::Treatment).collect();
    assert_eq!(treatment.len(), 1);
    assert_eq!(treatment[0].classes, [Class::Vitals, Class::Alarms]);
    ward.clinic.revoke_grant(&ward.as_("amira"), given.grant, ward.now_ms).unwrap();
    ward.block();
    assert!(give(&ward, &wish).again, "what was withdrawn does not come back by an old page");
    let own = ward.clinic.own_consents(&ward.as_("amira"), ward.now_ms).unwrap();
    assert!(own.iter().all(|grant| grant.purpose != Purpose::Treatment || !grant.state.is_open()));
}

#[test]
fn a_consent_that_a_crash_kept_from_the_ledger_is_handed_in_again_by_the_same_form() {
    let (mut ward, amira, _) = scene();
    let wish = wish(&ward, "lee", &[Class::Vitals]);
    let once = preview(&ward, &wish).unwrap().once;
    let grant = grant_id(ward.as_("amira").person, &once);
    // The terms were kept, and then the node stopped.
    let terms = Terms { classes: vec![Class::Vitals], purpose: Purpose::Treatment, salt: [7; 32] };
    let record = TermsRecord { grant, terms, grantee: wish.grantee, patient: amira };
    ward.clinic.vault().put_terms(record).unwrap();
    let state = |ward: &Ward| {
        let own = ward.clinic.own_consents(&ward.as_("amira"), ward.now_ms).unwrap();
        own.iter().find(|view| view.grant == grant).unwrap().state
    };
    assert_eq!(state(&ward), GrantState::NotArrived, "and nobody says that it is on its way");
    ward.clinic.give_consent(&ward.as_("amira"), &wish, once, ward.now_ms).unwrap();
    ward.block();
    assert_eq!(state(&ward), GrantState::Live);
}

#[test]
fn each_field_of_a_consent_that_does_not_fit_is_named_and_nothing_is_signed() {
    let (mut ward, amira, _) = scene();
    ward.person("kim", Role::Clinician);
    ward.block();
    ward.ledger.suspend(ward.as_("kim").person, ward.now_ms);
    let open = ward.granting("amira", "nadia", Purpose::Family, &[Class::Vitals]);
    let good = wish(&ward, "lee", &[Class::Vitals]);
    let now_ms = ward.now_ms;
    let to = |who: &str| ConsentWish { grantee: ward.as_(who).person, ..good.clone() };
    let before = written(&ward, amira);
    for (case, wrong, why) in [
        ("nobody", ConsentWish { grantee: PersonId([7; 32]), ..good.clone() }, GrantRefusal::UnknownGrantee),
        ("suspended", to("kim"), GrantRefusal::SuspendedGrantee),
        ("an auditor", to("orin"), GrantRefusal::Role),
        ("oneself", to("amira"), GrantRefusal::Role),
        (
            "an organisation",
            ConsentWish { grantee: PersonId::of_organisation(ward.clinic.org()), ..good.clone() },
            GrantRefusal::UnknownGrantee,
        ),
        ("overlapping", to("nadia"), GrantRefusal::Overlaps { grant: open }),
        ("empty", ConsentWish { classes: vec![], ..good.clone() }, GrantRefusal::NoClass),
        (
            "back-dated",
            ConsentWish { from_ms: Some(now_ms - 60_001), ..good.clone() },
            GrantRefusal::BackDated,
        ),
        ("over", ConsentWish { until_ms: now_ms, ..good.clone() }, GrantRefusal::Past),
        (
            "upside down",
            ConsentWish { from_ms: Some(now_ms + 2 * DAY_MS), until_ms: now_ms + DAY_MS, ..good.clone() },
            GrantRefusal::Empty,
        ),
        (
            "never-ending",
            ConsentWish { until_ms: now_ms + 367 * DAY_MS, ..good.clone() },
            GrantRefusal::TooLong,
        ),
        ("endless", ConsentWish { until_ms: u64::MAX, ..good.clone() }, GrantRefusal::TooLong),
    ] {
        let refused = |result: Result<(), ClinicError>| match result {
            Err(ClinicError::Grant(why)) => why,
            other => panic!("{case}: {other:?}"),
        };
        assert_eq!(refused(preview(&ward, &wrong).map(drop)), why, "{case}");
        let given = ward.clinic.give_consent(&ward.as_("amira"), &wrong, [9; 32], now_ms);
        assert_eq!(refused(given.map(drop)), why, "{case}");
        assert!(why.to_string().len() > 20, "a sentence");
    }
    assert_eq!(GrantRefusal::Overlaps { grant: open }.field(), GrantField::Grantee);
    assert_eq!(GrantRefusal::NoClass.field(), GrantField::Classes);
    assert_eq!(GrantRefusal::BackDated.field(), GrantField::From);
    assert_eq!(GrantRefusal::TooLong.field(), GrantField::Until);
    for who in ["lee", "nadia", "orin"] {
        let give = ward.clinic.give_consent(&ward.as_(who), &good, [9; 32], now_ms);
        assert!(matches!(give, Err(ClinicError::Denied(_))), "{who}");
    }
    assert_eq!(written(&ward, amira), before);
    // One after the other is no overlap.
    let next = ConsentWish { from_ms: Some(now_ms + DAY_MS), ..to("nadia") };
    ward.clinic.give_consent(&ward.as_("amira"), &next, [9; 32], now_ms).unwrap();
}

#[test]
fn consents_that_are_not_over_are_bounded() {
    let (mut ward, _, _) = scene();
    let own = ward.as_("amira");
    for number in 0..GRANTS_OPEN_MAX as u64 {
        let from_ms = ward.now_ms + number * DAY_MS;
        let next = ConsentWish {
            from_ms: Some(from_ms),
            until_ms: from_ms + DAY_MS,
            ..wish(&ward, "lee", &[Class::Vitals])
        };
        let once = [u8::try_from(number).unwrap(); 32];
        ward.clinic.give_consent(&own, &next, once, ward.now_ms).unwrap();
    }
    ward.block();
    let more =
        ward.clinic.give_consent(&own, &wish(&ward, "nadia", &[Class::Vitals]), [0xff; 32], ward.now_ms);
    assert!(matches!(more, Err(ClinicError::Grant(GrantRefusal::TooMany))));
}

#[test]
fn what_is_known_of_a_consent_is_said_and_no_more() {
    let (mut ward, _, _) = scene();
    let find = |ward: &Ward, grant: GrantId| {
        let own = ward.clinic.own_consents(&ward.as_("amira"), ward.now_ms).unwrap();
        own.into_iter().find(|view| view.grant == grant).unwrap()
    };
    let good = wish(&ward, "lee", &[Class::Vitals]);
    let give = |ward: &Ward, wish: &ConsentWish, once| {
        ward.clinic.give_consent(&ward.as_("amira"), wish, once, ward.now_ms).unwrap().grant
    };
    let given = give(&ward, &good, [1; 32]);
    assert_eq!((find(&ward, given).state, find(&ward, given).block), (GrantState::Pending, None));
    ward.block();
    let height = vitals::ledger::Ledger::tip(&*ward.ledger).height;
    assert_eq!((find(&ward, given).state, find(&ward, given).block), (GrantState::Live, Some(height)));
    // One that the ledger refuses: it is over before a block comes.
    let short = ConsentWish { until_ms: ward.now_ms + 1_000, ..wish(&ward, "nadia", &[Class::Vitals]) };
    let refused = give(&ward, &short, [2; 32]);
    ward.later(30_000);
    let view = find(&ward, refused);
    assert_eq!(view.state, GrantState::Refused);
    assert!(view.refusal.is_some_and(|why| why.len() > 10), "with the reason");
    ward.later(11 * 60_000);
    assert_eq!(find(&ward, refused).state, GrantState::Refused, "also when the act is forgotten");
    // What stood in the way of nothing does not stand in the way of another one.
    let late = wish(&ward, "nadia", &[Class::Vitals]);
    give(&ward, &late, [3; 32]);
    let mut ward = ward.reopened();
    ward.block();
    assert_eq!((find(&ward, given).state, find(&ward, given).block), (GrantState::Live, None));
    assert_eq!(find(&ward, refused).state, GrantState::NotArrived);
}

fn opened(seen: &SeenAs) -> BTreeSet<Class> {
    seen.classes.iter().filter(|row| row.reach != Reach::Nothing).map(|row| row.class).collect()
}

#[test]
fn the_record_as_another_sees_it_is_what_their_chart_opens_and_leaves_no_trace() {
    let (mut ward, amira, _) = scene();
    let chart = |ward: &Ward, who: &str, purpose| {
        let span_ms = (ward.now_ms - 900_000, ward.now_ms);
        let ask =
            ChartRequest { patient: amira, purpose, classes: MONITORED.to_vec(), span_ms, make_do: true };
        let chart = ward.clinic.open_chart(&ward.as_(who), &ask, ward.now_ms);
        chart.map_or_else(|_| BTreeSet::new(), |chart| chart.classes.into_iter().collect())
    };
    let seen = |ward: &Ward, who: &str| {
        let (before, denied) = (written(ward, amira), ward.clinic.counters().denied);
        let seen =
            ward.clinic.seen_as(&ward.as_("amira"), ward.as_(who).person, &MONITORED, ward.now_ms).unwrap();
        assert_eq!(written(ward, amira), before, "nobody has looked");
        assert_eq!(ward.clinic.counters().denied, denied);
        seen
    };
    let same = |ward: &Ward, scene: &str| {
        for (who, purposes) in
            [("lee", &[Purpose::Treatment, Purpose::Monitoring][..]), ("nadia", &[Purpose::Family])]
        {
            let seen = seen(ward, who);
            let by_chart: BTreeSet<Class> =
                purposes.iter().flat_map(|purpose| chart(ward, who, *purpose)).collect();
            assert_eq!(opened(&seen), by_chart, "{scene}: {who}");
            let treated = chart(ward, who, purposes[0]);
            let whole = seen.classes.iter().filter(|row| row.reach == Reach::Whole);
            assert_eq!(whole.map(|row| row.class).collect::<BTreeSet<_>>(), treated, "{scene}: {who}");
        }
        assert!(opened(&seen(ward, "orin")).is_empty(), "{scene}");
    };
    same(&ward, "watched only");
    let vitals = seen(&ward, "lee").classes[0];
    assert_eq!((vitals.class, vitals.kept, vitals.opened), (Class::Vitals, 3, 3));
    // Before it is given, the preview says what will be.
    for (who, classes) in [("lee", &[Class::Vitals, Class::Profile][..]), ("nadia", &[Class::Alarms])] {
        let wish = wish(&ward, who, classes);
        let preview = preview(&ward, &wish).unwrap();
        assert_eq!(preview.before, seen(&ward, who));
        ward.clinic.give_consent(&ward.as_("amira"), &wish, preview.once, ward.now_ms).unwrap();
        ward.block();
        assert_eq!(opened(&preview.after), opened(&seen(&ward, who)), "{who}");
        let whole = |seen: &SeenAs| seen.classes.iter().map(|row| row.reach).collect::<Vec<_>>();
        assert_eq!(whole(&preview.after), whole(&seen(&ward, who)), "{who}");
    }
    same(&ward, "given");
    ward.clinic.pause_watching(&ward.as_("amira"), 600_000, ward.now_ms).unwrap();
    same(&ward, "watching is paused");
    let own = ward.clinic.own_consents(&ward.as_("amira"), ward.now_ms).unwrap();
    for view in own {
        ward.clinic.revoke_grant(&ward.as_("amira"), view.grant, ward.now_ms).unwrap();
        same(&ward, "one more is withdrawn");
    }
    ward.ledger.suspend(ward.as_("lee").person, ward.now_ms);
    same(&ward, "suspended");
    let log = ward.clinic.access_log(&ward.as_("amira"), ward.now_ms).unwrap();
    let by_lee = log.iter().filter(|entry| entry.person == ward.as_("lee").person).count();
    assert!(by_lee > 0, "his charts of this test, and nothing else, left entries");
    for who in ["lee", "orin"] {
        let asks = ward.clinic.seen_as(&ward.as_(who), ward.as_("lee").person, &MONITORED, ward.now_ms);
        assert!(asks.is_err(), "{who}");
    }
    let nobody = ward.clinic.seen_as(&ward.as_("amira"), PersonId([7; 32]), &MONITORED, ward.now_ms);
    assert_eq!(denied(nobody), clinic::Denied::NoSuchPatient);
}
