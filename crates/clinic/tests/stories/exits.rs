//! Every way out of the record, under a policy that says yes, says no, or cannot be asked; and under
//! monitoring, which reaches two hours back.

use clinic::views::Hidden;
use clinic::{
    ChartRequest, ClinicError, Denied, GrantRequest, LimitsOrder, POLICY_ANSWER_MS_MAX,
    POLICY_ASKED_EVERY_MS, POLICY_RETRY_MS, Scope,
};
use testward::{Gateway, NOON_MS, Ward, denied};
use vitals::alarm::{Condition, Limits, Priority, SILENCE_MAX_MS};
use vitals::ids::Class;
use vitals::ledger::{Purpose, Role};
use vitals::metric::Metric;
use vitals::{GrantId, PatientId};

const CARE: [Class; 4] = [Class::Vitals, Class::Environment, Class::Alarms, Class::Profile];

/// Amira, watched by her ward, treated by Dr Lee and followed by Nadia, each under a policy.
struct Scene {
    ward: Ward,
    gateway: Gateway,
    amira: PatientId,
    monitoring: GrantId,
    /// The leaf of her newest value.
    value: u64,
}

impl Scene {
    fn new() -> Self {
        let (mut ward, [amira]) = Ward::with(["amira"]);
        ward.person("nadia", Role::Family);
        ward.block();
        let mut gateway = ward.gateway(1, &[amira]);
        let treatment = ward.granting("amira", "lee", Purpose::Treatment, &CARE);
        let family = ward.granting("amira", "nadia", Purpose::Family, &CARE);
        let page = ward.clinic.own_page(&ward.as_("amira"), ward.now_ms).unwrap();
        let monitoring = page.grants.iter().find(|grant| grant.purpose == Purpose::Monitoring).unwrap().grant;
        [treatment, family, monitoring].into_iter().for_each(|grant| ward.ledger.put_under_policy(grant));
        ward.beats(&mut gateway, 720, 2);
        let bytes = gateway.sensors[0].pulse(720, ward.now_ms);
        let answers = ward.carry(gateway.id(), &[bytes]);
        let clinic::Verdict::Admitted { index: value } = answers[0].verdict else { panic!() };
        Self { ward, gateway, amira, monitoring, value }
    }

    /// From now on all policies say this, and whoever waits for their answers has them.
    fn policies_say(&mut self, policy: Option<bool>) {
        self.ward.ledger.policies_say(policy);
        self.ward.pass(POLICY_RETRY_MS);
        self.ward.block();
        self.ward.clinic.refresh_policies(self.ward.now_ms);
    }

    fn chart(&self, purpose: Purpose, back_ms: u64) -> ChartRequest {
        let span_ms = (self.ward.now_ms - back_ms, self.ward.now_ms);
        ChartRequest { patient: self.amira, purpose, classes: CARE.to_vec(), span_ms, make_do: false }
    }
}

type Exit = (&'static str, fn(&Scene) -> Result<(), ClinicError>);

/// What a person gets of somebody else's record; each under consent.
const EXITS: [Exit; 16] = [
    ("the page of a doctor", |s| {
        let ask = s.chart(Purpose::Treatment, 900_000);
        s.ward.clinic.open_chart(&s.ward.as_("lee"), &ask, s.ward.now_ms).map(drop)
    }),
    ("the page of a doctor, as much as is allowed", |s| {
        let ask = ChartRequest { make_do: true, ..s.chart(Purpose::Treatment, 900_000) };
        s.ward.clinic.open_chart(&s.ward.as_("lee"), &ask, s.ward.now_ms).map(drop)
    }),
    ("the page for monitoring", |s| {
        let ask = s.chart(Purpose::Monitoring, 900_000);
        s.ward.clinic.open_chart(&s.ward.as_("lee"), &ask, s.ward.now_ms).map(drop)
    }),
    ("the page of a relative", |s| {
        let ask = s.chart(Purpose::Family, 900_000);
        s.ward.clinic.open_chart(&s.ward.as_("nadia"), &ask, s.ward.now_ms).map(drop)
    }),
    ("a doctor's live stream", |s| {
        s.ward
            .clinic
            .follow_patient(&s.ward.as_("lee"), s.amira, Purpose::Treatment, s.ward.now_ms)
            .and_then(|follow| Ok(follow.tile(s.amira, s.ward.now_ms).map(drop)?))
    }),
    ("a live stream for monitoring", |s| {
        s.ward
            .clinic
            .follow_patient(&s.ward.as_("lee"), s.amira, Purpose::Monitoring, s.ward.now_ms)
            .and_then(|follow| Ok(follow.tile(s.amira, s.ward.now_ms).map(drop)?))
    }),
    ("a relative's live stream", |s| {
        s.ward
            .clinic
            .follow_patient(&s.ward.as_("nadia"), s.amira, Purpose::Family, s.ward.now_ms)
            .and_then(|follow| Ok(follow.tile(s.amira, s.ward.now_ms).map(drop)?))
    }),
    ("the wall", |s| {
        let wall = s.ward.clinic.wall(&s.ward.as_("lee"), s.ward.now_ms)?;
        let named = wall.tiles.len() + wall.unmonitored + wall.hidden.len();
        assert!(named == 1 || (named == 0 && wall.unwatched.len() == 1));
        // A wall leaves out whom it may not show; why, the page of the patient says.
        let ask = s.chart(Purpose::Monitoring, 0);
        match wall.tiles.len() {
            1 => Ok(()),
            _ => s.ward.clinic.open_chart(&s.ward.as_("lee"), &ask, s.ward.now_ms).map(drop),
        }
    }),
    ("the wall's live stream", |s| {
        let follow = s.ward.clinic.follow_wall(&s.ward.as_("lee"), s.ward.now_ms)?;
        let ask = s.chart(Purpose::Monitoring, 0);
        match follow.patients().count() {
            1 => Ok(follow.tile(s.amira, s.ward.now_ms).map(drop)?),
            _ => s.ward.clinic.open_chart(&s.ward.as_("lee"), &ask, s.ward.now_ms).map(drop),
        }
    }),
    ("the proof page of a doctor", |s| {
        s.ward.clinic.proof_page(&s.ward.as_("lee"), s.value, s.ward.now_ms).map(drop)
    }),
    ("the proof page of a relative", |s| {
        s.ward.clinic.proof_page(&s.ward.as_("nadia"), s.value, s.ward.now_ms).map(drop)
    }),
    ("answering an alarm", |s| {
        let stale = Condition::Stale;
        allowed(s.ward.clinic.acknowledge(&s.ward.as_("lee"), s.amira, stale, s.ward.now_ms))
    }),
    ("turning a sound off", |s| {
        let (stale, for_ms) = (Condition::Stale, SILENCE_MAX_MS);
        allowed(s.ward.clinic.silence(&s.ward.as_("lee"), s.amira, stale, for_ms, s.ward.now_ms))
    }),
    ("turning a sound on again", |s| {
        let stale = Condition::Stale;
        allowed(s.ward.clinic.end_silence(&s.ward.as_("lee"), s.amira, stale, s.ward.now_ms))
    }),
    ("letting limits come back", |s| {
        let heart = Metric::HeartRate;
        allowed(s.ward.clinic.limits_back(&s.ward.as_("lee"), s.amira, heart, s.ward.now_ms))
    }),
    ("changing limits", |s| {
        let limits = Limits::adult(Metric::HeartRate).unwrap();
        let order = LimitsOrder { limits, reason: "agreed on the round".into(), for_ms: None };
        allowed(s.ward.clinic.set_limits(&s.ward.as_("lee"), s.amira, &order, s.ward.now_ms))
    }),
];

/// There may be nothing to answer just now; that is said only to who may answer.
fn allowed<T>(result: Result<T, ClinicError>) -> Result<(), ClinicError> {
    match result {
        Err(ClinicError::Wrong(_)) => Ok(()),
        other => other.map(drop),
    }
}

#[test]
fn every_exit_asks_the_policy_of_the_consent() {
    let mut scene = Scene::new();
    for (said, wanted) in [
        (Some(true), None),
        (None, Some("the policy could not be asked")),
        (Some(false), Some("does not agree")),
        (Some(true), None),
    ] {
        scene.policies_say(said);
        let before = scene.ward.clinic.store().size();
        for (exit, open) in EXITS {
            match (open(&scene), wanted) {
                (Ok(()), None) => {}
                (Err(ClinicError::Denied(why)), Some(words)) => {
                    assert!(why.to_string().contains(words), "{exit}: {why}");
                }
                (Ok(()), Some(words)) => panic!("{exit} went through, although {words}"),
                (Err(why), _) => panic!("{exit}: {why}"),
            }
        }
        if wanted.is_some() {
            assert_eq!(scene.ward.clinic.store().size(), before, "nothing read, nothing written");
        }
        // What needs no consent goes on: the own record, and proofs without content.
        let now_ms = scene.ward.now_ms;
        let amira = scene.ward.as_("amira");
        let mut sink = |_: &[u8]| Ok(());
        assert!(scene.ward.clinic.own_page(&amira, now_ms).is_ok());
        assert!(scene.ward.clinic.proof_page(&amira, scene.value, now_ms).is_ok());
        assert!(scene.ward.clinic.proof_page(&scene.ward.admin, scene.value, now_ms).is_ok());
        scene.ward.anchor();
        let own = Scope::Patient(scene.amira);
        assert!(scene.ward.clinic.export(&amira, own, scene.ward.now_ms, &mut sink).is_ok());
    }
}

#[test]
fn every_exit_closes_while_its_consent_is_paused_and_opens_when_it_is_resumed() {
    let mut scene = Scene::new();
    scene.policies_say(Some(true));
    let amira = scene.ward.as_("amira");
    let own = scene.ward.clinic.own_consents(&amira, scene.ward.now_ms).unwrap();
    let personal: Vec<GrantId> =
        own.iter().filter(|view| view.purpose != Purpose::Monitoring).map(|view| view.grant).collect();
    for _ in 0..2 {
        let now_ms = scene.ward.now_ms;
        personal.iter().for_each(|grant| scene.ward.clinic.pause_consent(&amira, *grant, now_ms).unwrap());
        scene.ward.clinic.pause_watching(&amira, 600_000, now_ms).unwrap();
        let before = scene.ward.clinic.store().size();
        for (exit, open) in EXITS {
            let why = denied(open(&scene));
            assert!(matches!(why, Denied::ConsentPaused | Denied::Paused), "{exit}: {why}");
        }
        assert_eq!(scene.ward.clinic.store().size(), before, "nothing read, nothing written");
        personal.iter().for_each(|grant| scene.ward.clinic.resume_consent(&amira, *grant, now_ms).unwrap());
        scene.ward.clinic.resume_watching(&amira, now_ms).unwrap();
        scene.ward.pass(2_000);
        for (exit, open) in EXITS {
            assert!(open(&scene).is_ok(), "{exit} opens again");
        }
    }
}

#[test]
fn a_plain_consent_beside_one_under_a_policy_suffices_whatever_their_ids() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    ward.gateway(1, &[amira]);
    let lee = ward.as_("lee");
    for _ in 0..8 {
        ward.granting("amira", "lee", Purpose::Treatment, &[Class::Vitals]);
    }
    let grants: Vec<GrantId> =
        ward.clinic.vault().terms_to(lee.person).into_iter().map(|record| record.grant).collect();
    assert_eq!(grants.len(), 8);
    let span_ms = (ward.now_ms - 1_000, ward.now_ms);
    let ask = ChartRequest {
        patient: amira,
        purpose: Purpose::Treatment,
        classes: vec![Class::Vitals],
        span_ms,
        make_do: false,
    };
    // One after the other comes under the policy; whichever stays plain decides.
    for policy in [Some(false), None] {
        ward.ledger.policies_say(policy);
        for under in &grants[..7] {
            ward.ledger.put_under_policy(*under);
            let chart = ward.clinic.open_chart(&lee, &ask, ward.now_ms).unwrap();
            assert_ne!(chart.grant, *under);
        }
    }
    assert_eq!(ward.ledger.policies_asked(), 0, "nobody waits for a policy that decides nothing");
    ward.ledger.put_under_policy(grants[7]);
    assert_eq!(denied(ward.clinic.open_chart(&lee, &ask, ward.now_ms)), Denied::PolicySilent);
}

#[test]
fn a_policy_that_turns_to_no_closes_an_open_stream_and_says_so() {
    let mut scene = Scene::new();
    scene.policies_say(Some(true));
    let lee = scene.ward.as_("lee");
    let now_ms = scene.ward.now_ms;
    let mut page = scene.ward.clinic.follow_patient(&lee, scene.amira, Purpose::Treatment, now_ms).unwrap();
    let mut wall = scene.ward.clinic.follow_wall(&lee, now_ms).unwrap();
    scene.ward.pass(1_000);
    assert!(page.check(scene.ward.now_ms).is_ok() && wall.check(scene.ward.now_ms).is_ok());
    scene.policies_say(Some(false));
    assert_eq!(page.check(scene.ward.now_ms), Err(Denied::PolicyRefuses { class: Class::Vitals }));
    assert!(page.tile(scene.amira, scene.ward.now_ms).is_err());
    assert!(wall.check(scene.ward.now_ms).is_ok(), "a wall goes on with the others");
    assert_eq!(wall.patients().count(), 0);
    assert!(wall.tile(scene.amira, scene.ward.now_ms).is_err());
}

#[test]
fn a_policy_is_asked_again_at_each_block_and_each_interval_and_never_by_a_stream() {
    let scene = Scene::new();
    let lee = scene.ward.as_("lee");
    let now_ms = scene.ward.now_ms;
    let mut page = scene.ward.clinic.follow_patient(&lee, scene.amira, Purpose::Treatment, now_ms).unwrap();
    scene.ward.clinic.refresh_policies(now_ms);
    let asked = |scene: &Scene| scene.ward.ledger.policies_asked();
    let before = asked(&scene);
    scene.ward.clinic.refresh_policies(now_ms + POLICY_ASKED_EVERY_MS - 1);
    assert_eq!(asked(&scene), before, "no block, and no interval is over");
    scene.ward.ledger.block(now_ms);
    scene.ward.clinic.refresh_policies(now_ms);
    let at_a_block = asked(&scene);
    assert!(at_a_block > before);
    scene.ward.clinic.refresh_policies(now_ms + POLICY_ASKED_EVERY_MS);
    let later = asked(&scene);
    assert!(later > at_a_block, "time alone is enough");
    // Nobody refreshes any more: the last answer does not hold the stream open for ever.
    scene.ward.ledger.block(now_ms + 11_000);
    assert!(page.check(now_ms + 11_000).is_ok());
    let end_ms = now_ms + POLICY_ASKED_EVERY_MS + POLICY_ANSWER_MS_MAX;
    assert!(page.check(end_ms).is_ok());
    assert_eq!(page.check(end_ms + 1_000), Err(Denied::PolicySilent));
    assert_eq!(asked(&scene), later, "an open stream waits for no ledger");
}

#[test]
fn a_policy_that_cannot_be_asked_closes_streams_of_people_and_the_engine_goes_on_and_is_told_of() {
    let mut scene = Scene::new();
    scene.policies_say(Some(true));
    let (amira, lee) = (scene.amira, scene.ward.as_("lee"));
    let now_ms = scene.ward.now_ms;
    let mut page = scene.ward.clinic.follow_patient(&lee, amira, Purpose::Treatment, now_ms).unwrap();
    assert_eq!(scene.ward.clinic.policies_silent(now_ms), 0);
    scene.policies_say(None);
    assert_eq!(page.check(scene.ward.now_ms), Err(Denied::PolicySilent));
    assert!(scene.ward.clinic.policies_silent(scene.ward.now_ms) >= 1, "counted for the operator");
    let raised = scene.ward.clinic.counters().alarms_raised;
    scene.ward.beats(&mut scene.gateway, 1900, 30);
    assert!(scene.ward.clinic.counters().alarms_raised > raised, "the last decision stands");
    let own = scene.ward.clinic.own_page(&scene.ward.as_("amira"), scene.ward.now_ms).unwrap();
    assert!(own.now.value(Metric::HeartRate).is_some() && !own.now.alarms.is_empty());
    scene.policies_say(Some(false));
    scene.ward.beats(&mut scene.gateway, 1900, 2);
    let own = scene.ward.clinic.own_page(&scene.ward.as_("amira"), scene.ward.now_ms).unwrap();
    assert!(own.now.values.is_empty(), "a policy that says no is obeyed");
    assert_ne!(scene.monitoring, GrantId([0; 32]));
}

#[test]
fn a_wall_names_the_bed_it_cannot_show_and_shows_it_again_when_the_policy_answers() {
    let mut scene = Scene::new();
    scene.policies_say(Some(true));
    let lee = scene.ward.as_("lee");
    let mut early = scene.ward.clinic.follow_wall(&lee, scene.ward.now_ms).unwrap();
    scene.policies_say(None);
    assert!(early.check(scene.ward.now_ms).is_ok());
    assert_eq!(early.patients().count(), 0);
    let wall = early.wall(scene.ward.now_ms);
    assert_eq!((wall.tiles.len(), wall.unmonitored, wall.hidden.len()), (0, 0, 1));
    let bed = &wall.hidden[0];
    assert_eq!((bed.place.as_str(), bed.watched, bed.why), ("bed of amira", true, Hidden::PolicySilent));
    assert!(bed.alarm.is_none());
    scene.ward.beats(&mut scene.gateway, 1900, 30);
    let wall = scene.ward.clinic.wall(&lee, scene.ward.now_ms).unwrap();
    let alarm = wall.hidden[0].alarm.unwrap();
    assert_eq!((alarm.priority, alarm.rings), (Priority::High, true), "somebody must go there");
    assert!(wall.tiles.is_empty() && wall.strip.is_empty(), "and that is all that is told");
    let mut late = scene.ward.clinic.follow_wall(&lee, scene.ward.now_ms).unwrap();
    scene.policies_say(Some(true));
    for follow in [&mut early, &mut late] {
        assert!(follow.check(scene.ward.now_ms).is_ok());
        let wall = follow.wall(scene.ward.now_ms);
        assert_eq!((wall.tiles.len(), wall.hidden.len()), (1, 0), "nobody has to load the page again");
        assert!(!wall.strip.is_empty());
    }
}

#[test]
fn monitoring_opens_two_hours_and_more_needs_a_consent_to_treatment() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    ward.person("kim", Role::Clinician);
    ward.block();
    let mut gateway = ward.gateway(1, &[amira]);
    ward.granting("amira", "lee", Purpose::Treatment, &CARE);
    let old = gateway.sensors[0].pulse(720, NOON_MS - 3 * 3_600_000);
    let fresh = gateway.sensors[0].pulse(730, NOON_MS);
    let answers = ward.carry(gateway.id(), &[old, fresh]);
    let [old, fresh] = [0, 1].map(|at| match answers[at].verdict {
        clinic::Verdict::Admitted { index } => index,
        ref other => panic!("{other:?}"),
    });
    let chart = |who: &str, purpose, back_ms| {
        let span_ms = (ward.now_ms - back_ms, ward.now_ms);
        let ask = ChartRequest { patient: amira, purpose, classes: CARE.to_vec(), span_ms, make_do: true };
        ward.clinic.open_chart(&ward.as_(who), &ask, ward.now_ms)
    };
    let points = |chart: clinic::views::Chart| chart.series.iter().map(|one| one.points.len()).sum::<usize>();
    let before = ward.clinic.store().size();
    assert_eq!(denied(chart("kim", Purpose::Monitoring, 24 * 3_600_000)), Denied::MonitoringSpan);
    assert_eq!(denied(chart("lee", Purpose::Monitoring, 24 * 3_600_000)), Denied::MonitoringSpan);
    assert_eq!(ward.clinic.store().size(), before, "nothing read, nothing written");
    assert_eq!(points(chart("kim", Purpose::Monitoring, 2 * 3_600_000).unwrap()), 1);
    assert_eq!(points(chart("lee", Purpose::Treatment, 24 * 3_600_000).unwrap()), 2);
    let proof = |who: &str, index| ward.clinic.proof_page(&ward.as_(who), index, ward.now_ms).map(drop);
    assert_eq!(denied(proof("kim", old)), Denied::MonitoringSpan);
    assert!(proof("kim", fresh).is_ok() && proof("lee", old).is_ok());
    let ended = GrantRequest {
        grantee: ward.as_("kim").person,
        purpose: Purpose::Treatment,
        classes: CARE.to_vec(),
        from_ms: ward.now_ms,
        until_ms: ward.now_ms + 60_000,
    };
    ward.clinic.grant(&ward.as_("amira"), &ended, ward.now_ms).unwrap();
    ward.block();
    let chart = |purpose, back_ms| {
        let span_ms = (ward.now_ms - back_ms, ward.now_ms);
        let ask = ChartRequest { patient: amira, purpose, classes: CARE.to_vec(), span_ms, make_do: true };
        ward.clinic.open_chart(&ward.as_("kim"), &ask, ward.now_ms)
    };
    assert!(chart(Purpose::Treatment, 24 * 3_600_000).is_ok(), "with a consent to treatment");
    assert_eq!(denied(chart(Purpose::Monitoring, 24 * 3_600_000)), Denied::MonitoringSpan, "its own reason");
}
