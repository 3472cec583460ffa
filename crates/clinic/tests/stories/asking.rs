//! A clinician asks for a consent, and the patient answers.

use clinic::views::{AskState, AskView};
use clinic::{
    ASK_AGAIN_MS, ASK_FOR_MS_MAX, ASK_MS, ASKS_PER_CLINICIAN_MAX, AskForConsent, ClinicError, ConsentWish,
};
use testward::{Ward, denied};
use vitals::PatientId;
use vitals::ids::Class;
use vitals::ledger::{Purpose, Role};

const WEEK_MS: u64 = 7 * 86_400_000;

fn scene() -> (Ward, PatientId) {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    ward.person("kim", Role::Clinician);
    ward.person("nadia", Role::Family);
    ward.block();
    (ward, amira)
}

fn wanted(patient: PatientId) -> AskForConsent {
    let classes = vec![Class::Alarms, Class::Vitals];
    AskForConsent { patient, classes, reason: " your night was restless ".into(), for_ms: WEEK_MS }
}

fn asked(ward: &Ward, who: &str, patient: PatientId) -> Result<(), ClinicError> {
    ward.clinic.ask_for_consent(&ward.now_as(who), &wanted(patient), ward.now_ms)
}

fn by(ward: &Ward, who: &str) -> Vec<AskView> {
    ward.clinic.asks_by(&ward.now_as(who), ward.now_ms).unwrap()
}

fn of_amira(ward: &Ward) -> Vec<AskView> {
    ward.clinic.asks_of(&ward.now_as("amira"), ward.now_ms).unwrap()
}

#[test]
fn a_clinician_asks_and_the_patient_allows_less_or_says_no_and_both_see_it() {
    let (mut ward, amira) = scene();
    asked(&ward, "lee", amira).unwrap();
    asked(&ward, "kim", amira).unwrap();
    let open = of_amira(&ward);
    assert_eq!(open.len(), 2);
    let from_lee = open.iter().find(|ask| ask.name == "lee").unwrap();
    assert_eq!((from_lee.role, from_lee.reason.as_str()), (Role::Clinician, "your night was restless"));
    assert_eq!(from_lee.classes, [Class::Vitals, Class::Alarms]);
    assert_eq!((from_lee.state, from_lee.for_ms), (AskState::Open, WEEK_MS));
    let own = ward.clinic.own_consents(&ward.as_("amira"), ward.now_ms).unwrap();
    assert!(own.iter().all(|grant| grant.purpose == Purpose::Monitoring), "asking opens nothing");
    let from_kim = open.iter().find(|ask| ask.name == "kim").unwrap();
    for who in ["lee", "nadia"] {
        assert!(ward.clinic.refuse_ask(&ward.as_(who), from_kim.id, ward.now_ms).is_err(), "{who}");
    }
    ward.clinic.refuse_ask(&ward.as_("amira"), from_kim.id, ward.now_ms).unwrap();
    // Less than was asked for is an answer too.
    let wish = ConsentWish {
        grantee: from_lee.clinician,
        classes: vec![Class::Vitals],
        from_ms: None,
        until_ms: ward.now_ms + WEEK_MS,
        replaces: None,
        answers: Some(from_lee.id),
    };
    let given = ward.clinic.give_consent(&ward.as_("amira"), &wish, [1; 32], ward.now_ms).unwrap();
    ward.block();
    for asks in [by(&ward, "lee"), of_amira(&ward)] {
        let lee = asks.iter().find(|ask| ask.name == "lee").unwrap();
        assert_eq!(lee.state, AskState::Given(ward.now_ms, given.grant));
    }
    assert_eq!(by(&ward, "kim")[0].state, AskState::Refused(ward.now_ms));
    // An answer is given once: the no stays a no, also if a consent names that request.
    let late = ConsentWish { grantee: from_kim.clinician, answers: Some(from_kim.id), ..wish.clone() };
    ward.clinic.give_consent(&ward.as_("amira"), &late, [2; 32], ward.now_ms).unwrap();
    assert_eq!(by(&ward, "kim")[0].state, AskState::Refused(ward.now_ms));
    let ward = ward.killed();
    assert!(matches!(by(&ward, "lee")[0].state, AskState::Given(..)), "and a restart forgets nothing");
}

#[test]
fn a_patient_who_does_not_exist_is_asked_like_one_who_is_hidden() {
    let (ward, amira) = scene();
    let nobody = PatientId([0x77; 16]);
    let state = |ward: &Ward| (ward.clinic.store().size(), ward.ledger.submitted());
    let before = state(&ward);
    for patient in [amira, nobody] {
        asked(&ward, "lee", patient).unwrap();
        let again = asked(&ward, "lee", patient);
        assert!(matches!(again, Err(ClinicError::Wrong(why)) if why.contains("already")), "{patient}");
    }
    assert_eq!(state(&ward), before);
    let asks = by(&ward, "lee");
    let shown = |patient| {
        let ask = asks.iter().find(|ask| ask.patient == patient).unwrap();
        (ask.name.clone(), ask.classes.clone(), ask.reason.clone(), ask.state, ask.ends_ms)
    };
    assert_eq!(shown(amira), shown(nobody));
    assert_eq!(of_amira(&ward).len(), 1);
}

#[test]
fn requests_are_bounded_and_end_after_a_week() {
    let (mut ward, amira) = scene();
    for who in ["amira", "nadia", "admin"] {
        let session = if who == "admin" { ward.admin.clone() } else { ward.as_(who) };
        assert!(ward.clinic.ask_for_consent(&session, &wanted(amira), ward.now_ms).is_err(), "{who}");
    }
    let lee = ward.as_("lee");
    for (case, wrong) in [
        ("nothing", AskForConsent { classes: vec![], ..wanted(amira) }),
        ("no reason", AskForConsent { reason: "  a ".into(), ..wanted(amira) }),
        ("an endless reason", AskForConsent { reason: "x".repeat(257), ..wanted(amira) }),
        ("no time", AskForConsent { for_ms: 0, ..wanted(amira) }),
        ("too long", AskForConsent { for_ms: ASK_FOR_MS_MAX + 1, ..wanted(amira) }),
    ] {
        let refused = ward.clinic.ask_for_consent(&lee, &wrong, ward.now_ms);
        assert!(matches!(refused, Err(ClinicError::Wrong(_))), "{case}");
    }
    assert!(by(&ward, "lee").is_empty());
    asked(&ward, "lee", amira).unwrap();
    for number in 1..ASKS_PER_CLINICIAN_MAX {
        asked(&ward, "lee", PatientId([number; 16])).unwrap();
    }
    let full = asked(&ward, "lee", PatientId([99; 16]));
    assert!(matches!(full, Err(ClinicError::Wrong(why)) if why.contains("not answered")));
    asked(&ward, "kim", amira).unwrap();
    let id = of_amira(&ward).iter().find(|ask| ask.name == "kim").unwrap().id;
    ward.clinic.refuse_ask(&ward.as_("amira"), id, ward.now_ms).unwrap();
    assert!(asked(&ward, "kim", amira).is_err(), "nobody is asked again and again");
    ward.now_ms += ASK_AGAIN_MS;
    ward.block();
    asked(&ward, "kim", amira).unwrap();
    ward.now_ms += ASK_MS - ASK_AGAIN_MS;
    ward.block();
    let states: Vec<_> = of_amira(&ward).iter().map(|ask| (ask.name.clone(), ask.state)).collect();
    assert_eq!(states, [("kim".into(), AskState::Open), ("lee".into(), AskState::Ended)]);
    let over = of_amira(&ward).iter().find(|ask| ask.name == "lee").unwrap().id;
    ward.clinic.refuse_ask(&ward.now_as("amira"), over, ward.now_ms).unwrap();
    let still = of_amira(&ward).into_iter().find(|ask| ask.id == over).unwrap();
    assert_eq!(still.state, AskState::Ended, "what is over is not answered any more");
    asked(&ward, "lee", PatientId([99; 16])).unwrap();
    assert_eq!(
        by(&ward, "lee").len(),
        usize::from(ASKS_PER_CLINICIAN_MAX),
        "in the place of one that is over"
    );
    let nobody = ward.clinic.refuse_ask(&ward.now_as("amira"), [0; 16], ward.now_ms);
    assert_eq!(denied(nobody), clinic::Denied::NoSuchPatient);
}
