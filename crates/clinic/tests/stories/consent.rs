//! Who reads what, and the trace it leaves.

use clinic::{ChartRequest, ClinicError, Denied, GrantRequest};
use std::collections::BTreeSet;
use testward::{NOON_MS, Ward, denied};
use vitals::PatientId;
use vitals::alarm::{Condition, Unwatched};
use vitals::envelope::Envelope;
use vitals::ids::{Class, StreamId};
use vitals::ledger::{Outcome, Purpose, Role};
use vitals::metric::Metric;

fn today(patient: PatientId, classes: &[Class]) -> ChartRequest {
    let span_ms = (NOON_MS - 3_600_000, NOON_MS + 3_600_000);
    ChartRequest { patient, purpose: Purpose::Treatment, classes: classes.to_vec(), span_ms, make_do: false }
}

fn accesses(ward: &Ward, patient: PatientId) -> u64 {
    let author = ward.clinic.vault().author();
    let stream = StreamId::of(ward.clinic.genesis(), author, patient, Class::Access);
    ward.clinic.store().head(stream).map_or(0, |head| head.count)
}

#[test]
fn a_consent_opens_the_chart_and_a_revoked_one_closes_it() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 720, 3);
    let lee = ward.as_("lee");
    let ask = today(amira, &[Class::Vitals]);
    assert_eq!(denied(ward.clinic.open_chart(&lee, &ask, ward.now_ms)), Denied::NoConsent);
    let grant = ward.granting("amira", "lee", Purpose::Treatment, &[Class::Vitals, Class::Profile]);
    let chart = ward.clinic.open_chart(&lee, &ask, ward.now_ms).unwrap();
    assert_eq!(chart.series.len(), 1);
    assert_eq!(chart.series[0].metric, Metric::HeartRate);
    assert_eq!(chart.series[0].points.len(), 3);
    assert_eq!((chart.grant, chart.unreadable), (grant, 0));
    let before = accesses(&ward, amira);
    ward.clinic.revoke_grant(&ward.as_("amira"), grant, ward.now_ms).unwrap();
    let at_once = denied(ward.clinic.open_chart(&lee, &ask, ward.now_ms));
    assert_eq!(at_once, Denied::Withdrawn, "at this node at once, before any block");
    ward.block();
    assert_eq!(denied(ward.clinic.open_chart(&lee, &ask, ward.now_ms)), Denied::Withdrawn);
    assert_eq!(accesses(&ward, amira), before, "a denied request reads nothing and logs no access");
    assert_eq!(ward.clinic.counters().denied, 3);
}

#[test]
fn a_read_leaves_its_trace_before_the_value() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 720, 1);
    ward.granting("amira", "lee", Purpose::Treatment, &[Class::Vitals]);
    let before = ward.clinic.store().size();
    let chart =
        ward.clinic.open_chart(&ward.as_("lee"), &today(amira, &[Class::Vitals]), ward.now_ms).unwrap();
    assert_eq!(chart.trace.index, before, "written by the opening itself");
    let bytes = ward.clinic.store().read_index(chart.trace.index).unwrap().unwrap();
    let envelope = Envelope::decode(&bytes).unwrap();
    assert_eq!(envelope.header.class, Class::Access);
    assert!(envelope.verify(&ward.clinic.vault().record_key()));
    let log = ward.clinic.access_log(&ward.as_("amira"), ward.now_ms).unwrap();
    let entry = log.iter().find(|entry| entry.envelope.hash == chart.trace.hash).unwrap();
    assert_eq!((entry.reader.as_str(), entry.purpose), ("lee", Purpose::Treatment));
    assert_eq!(entry.classes, [Class::Vitals]);
}

#[test]
fn only_the_classes_of_the_consent_leave() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 720, 2);
    let room = gateway.sensors[0].room(215, ward.now_ms);
    ward.carry(gateway.id(), &[room]);
    ward.granting("amira", "lee", Purpose::Treatment, &[Class::Environment]);
    let lee = ward.as_("lee");
    let both = today(amira, &[Class::Vitals, Class::Environment]);
    let why = denied(ward.clinic.open_chart(&lee, &both, ward.now_ms));
    assert_eq!(why, Denied::ClassNotCovered { class: Class::Vitals });
    let chart = ward.clinic.open_chart(&lee, &today(amira, &[Class::Environment]), ward.now_ms).unwrap();
    let metrics: BTreeSet<Metric> = chart.series.iter().map(|series| series.metric).collect();
    assert_eq!(metrics, BTreeSet::from([Metric::AmbientTemperature]));
    assert!(chart.now.values.iter().all(|value| value.metric.info().class == Class::Environment));
    assert!(chart.now.sparkline.is_empty() && chart.now.name.is_empty() && chart.now.alarms.is_empty());
}

#[test]
fn another_patient_s_data_never_leaves() {
    let (mut ward, [amira, bruno]) = Ward::with(["amira", "bruno"]);
    let mut gateway = ward.gateway(1, &[amira, bruno]);
    for second in 0..3 {
        let at_ms = NOON_MS + 1000 * second;
        let group = [gateway.sensors[0].pulse(720, at_ms), gateway.sensors[1].pulse(1110, at_ms)];
        ward.now_ms = at_ms;
        ward.carry(gateway.id(), &group);
    }
    ward.granting("amira", "lee", Purpose::Treatment, &[Class::Vitals]);
    let chart =
        ward.clinic.open_chart(&ward.as_("lee"), &today(amira, &[Class::Vitals]), ward.now_ms).unwrap();
    let values: Vec<_> = chart.series[0].points.iter().map(|point| point.sample).collect();
    assert_eq!(values, [vitals::metric::Sample::Measured(720); 3]);
    let why = denied(ward.clinic.open_chart(&ward.as_("lee"), &today(bruno, &[Class::Vitals]), ward.now_ms));
    assert_eq!(why, Denied::NoConsent);
    let amira_s = ward.as_("amira");
    let mut ask = today(bruno, &[Class::Vitals]);
    ask.purpose = Purpose::Own;
    assert_eq!(denied(ward.clinic.open_chart(&amira_s, &ask, ward.now_ms)), Denied::NoSuchPatient);
    let nosy = ward.clinic.follow_patient(&amira_s, bruno, Purpose::Own, ward.now_ms);
    assert_eq!(denied(nosy), Denied::NoSuchPatient);
    let bruno_s: Vec<u64> = (0..ward.clinic.store().size())
        .filter(|index| {
            let bytes = ward.clinic.store().read_index(*index).unwrap().unwrap();
            let stream = Envelope::decode(&bytes).unwrap().header.stream;
            ward.clinic.vault().stream(stream).unwrap().patient == bruno
        })
        .collect();
    for index in bruno_s {
        assert!(ward.clinic.proof_page(&amira_s, index, ward.now_ms).is_err(), "not even that it exists");
    }
}

#[test]
fn roles_open_what_is_theirs_and_nothing_else() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    ward.person("nadia", Role::Family);
    ward.person("orin", Role::Auditor);
    ward.block();
    let grant = ward.granting("amira", "nadia", Purpose::Family, &[Class::Vitals, Class::Alarms]);
    let ask = |purpose| ChartRequest { purpose, ..today(amira, &[Class::Vitals]) };
    let now_ms = ward.now_ms;
    assert_eq!(
        ward.clinic.open_chart(&ward.as_("nadia"), &ask(Purpose::Family), now_ms).unwrap().grant,
        grant
    );
    let treating = denied(ward.clinic.open_chart(&ward.as_("nadia"), &ask(Purpose::Treatment), now_ms));
    assert_eq!(treating, Denied::Role { role: Role::Family });
    for role in ["orin"] {
        let session = ward.as_(role);
        for purpose in [Purpose::Treatment, Purpose::Monitoring, Purpose::Audit, Purpose::Own] {
            assert!(ward.clinic.open_chart(&session, &ask(purpose), now_ms).is_err());
        }
        assert!(ward.clinic.wall(&session, now_ms).is_err());
        assert!(ward.clinic.admin_page(&session, now_ms).is_err());
    }
    assert!(ward.clinic.wall(&ward.admin, now_ms).is_err());
    assert!(ward.clinic.open_chart(&ward.admin, &ask(Purpose::Treatment), now_ms).is_err());
    assert!(ward.clinic.admin_page(&ward.admin, now_ms).is_ok());
    let lee = ward.as_("lee");
    assert!(ward.clinic.admin_page(&lee, now_ms).is_err());
    let acked = ward.clinic.acknowledge(&ward.as_("nadia"), amira, Condition::Stale, now_ms);
    assert_eq!(denied(acked), Denied::Role { role: Role::Family });
}

#[test]
fn the_wall_writes_one_entry_per_patient_and_session() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 720, 2);
    let before = accesses(&ward, amira);
    let lee = ward.as_("lee");
    for _ in 0..5 {
        let wall = ward.clinic.wall(&lee, ward.now_ms).unwrap();
        assert_eq!(wall.tiles.len(), 1);
        assert_eq!((wall.tiles[0].name.as_str(), wall.tiles[0].bed.as_str()), ("amira", "bed of amira"));
        assert!(wall.tiles[0].value(Metric::HeartRate).is_some());
    }
    assert_eq!(accesses(&ward, amira), before + 1);
    let (_, again) = ward.clinic.sign_in("lee", "a secret word", ward.now_ms).unwrap();
    ward.clinic.wall(&again, ward.now_ms).unwrap();
    assert_eq!(accesses(&ward, amira), before + 2, "another session, another entry");
    let page = ward.clinic.own_page(&ward.as_("amira"), ward.now_ms).unwrap();
    assert!(page.access.iter().any(|entry| entry.reader == "lee" && entry.purpose == Purpose::Monitoring));
    assert!(
        page.access.iter().any(|entry| entry.reader == "alarm engine"),
        "the engine's looking is on record"
    );
    assert!(page.grants.iter().all(|grant| grant.vault_kept), "labelled as kept by the vault");
}

#[test]
fn everybody_at_the_wall_stands_in_the_access_log_by_person_and_session() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    ward.person("kim", Role::Clinician);
    ward.block();
    ward.gateway(1, &[amira]);
    for _ in 0..3 {
        ward.clinic.wall(&ward.as_("lee"), ward.now_ms).unwrap();
        ward.pass(1_000);
        ward.clinic.wall(&ward.as_("kim"), ward.now_ms).unwrap();
    }
    let ask = ChartRequest { purpose: Purpose::Monitoring, ..today(amira, &[Class::Vitals]) };
    ward.clinic.open_chart(&ward.as_("kim"), &ask, ward.now_ms).unwrap();
    let log = ward.clinic.access_log(&ward.as_("amira"), ward.now_ms).unwrap();
    let seen = |name: &str| {
        let entries = log.iter().filter(|entry| entry.reader == name);
        entries.map(|entry| (entry.person, entry.session, entry.purpose)).collect::<Vec<_>>()
    };
    let (lee, kim) = (ward.as_("lee"), ward.as_("kim"));
    assert_eq!(seen("lee"), [(lee.person, lee.id, Purpose::Monitoring)]);
    assert_eq!(seen("kim"), [(kim.person, kim.id, Purpose::Monitoring); 2], "the wall, and a chart");
    let org = vitals::PersonId::of_organisation(ward.clinic.org());
    assert!(seen("alarm engine").iter().all(|(person, session, _)| (*person, *session) == (org, [0; 16])));
}

#[test]
fn a_proof_of_an_access_entry_shows_its_patient_who_looked_at_what() {
    let (mut ward, [amira, bruno]) = Ward::with(["amira", "bruno"]);
    ward.person("orin", Role::Auditor);
    ward.block();
    ward.gateway(1, &[amira]);
    let lee = ward.as_("lee");
    ward.clinic.wall(&lee, ward.now_ms).unwrap();
    let log = ward.clinic.access_log(&ward.as_("amira"), ward.now_ms).unwrap();
    let entry = log.iter().find(|entry| entry.reader == "lee").unwrap();
    let index = entry.envelope.index;
    let page = ward.clinic.proof_page(&ward.as_("amira"), index, ward.now_ms).unwrap();
    let shown = page.access.unwrap();
    assert_eq!((shown.person, shown.reader.as_str(), shown.session), (lee.person, "lee", lee.id));
    assert_eq!((shown.purpose, &shown.classes), (Purpose::Monitoring, &entry.classes));
    assert_eq!(shown.span_ms, entry.span_ms);
    let audited = ward.clinic.proof_page(&ward.as_("orin"), index, ward.now_ms).unwrap();
    assert!(audited.access.is_none(), "auditors see proofs, not what is in them");
    assert!(ward.clinic.proof_page(&lee, index, ward.now_ms).is_err());
    assert!(ward.clinic.proof_page(&ward.as_("bruno"), index, ward.now_ms).is_err());
    assert_eq!(bruno, ward.as_("bruno").patient.unwrap());
}

#[test]
fn who_withdraws_monitoring_leaves_the_wall_and_the_engine_goes_blind() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 720, 2);
    let lee = ward.as_("lee");
    assert_eq!(ward.clinic.wall(&lee, ward.now_ms).unwrap().tiles.len(), 1);
    let page = ward.clinic.own_page(&ward.as_("amira"), ward.now_ms).unwrap();
    let monitoring = page.grants.iter().find(|grant| grant.purpose == Purpose::Monitoring).unwrap().grant;
    ward.clinic.revoke_grant(&ward.as_("amira"), monitoring, ward.now_ms).unwrap();
    let wall = ward.clinic.wall(&lee, ward.now_ms).unwrap();
    assert_eq!((wall.tiles.len(), wall.unwatched.len(), wall.unmonitored), (0, 1, 0));
    ward.beats(&mut gateway, 1900, 30);
    let own = ward.clinic.own_page(&ward.as_("amira"), ward.now_ms).unwrap();
    assert!(own.now.values.is_empty() && own.now.alarms.is_empty(), "nobody watches");
    assert_eq!(own.now.unwatched, Some(Unwatched::Withdrawn), "and the patient's own page says so");
    assert_eq!(ward.clinic.counters().alarms_raised, 1, "only that nobody watches");
}

#[test]
fn an_open_stream_closes_when_its_consent_ends() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    let grant = ward.granting("amira", "lee", Purpose::Treatment, &[Class::Vitals]);
    let lee = ward.as_("lee");
    let mut follow = ward.clinic.follow_patient(&lee, amira, Purpose::Treatment, ward.now_ms).unwrap();
    ward.beats(&mut gateway, 720, 1);
    assert!(follow.tile(amira, ward.now_ms).is_ok());
    assert!(follow.check(ward.now_ms).is_ok());
    ward.clinic.revoke_grant(&ward.as_("amira"), grant, ward.now_ms).unwrap();
    assert_eq!(follow.check(ward.now_ms), Err(Denied::Withdrawn));
    assert_eq!(follow.tile(amira, ward.now_ms).err(), Some(Denied::Withdrawn));
}

#[tokio::test]
async fn live_events_reach_only_those_who_may_see_them() {
    let (mut ward, [amira, bruno]) = Ward::with(["amira", "bruno"]);
    let mut gateway = ward.gateway(1, &[amira, bruno]);
    ward.granting("amira", "lee", Purpose::Treatment, &[Class::Vitals]);
    let lee = ward.as_("lee");
    let mut follow = ward.clinic.follow_patient(&lee, amira, Purpose::Treatment, ward.now_ms).unwrap();
    let at_ms = ward.now_ms;
    let group = [
        gateway.sensors[1].pulse(990, at_ms),
        gateway.sensors[0].room(215, at_ms),
        gateway.sensors[0].pulse(720, at_ms),
    ];
    ward.now_ms += 40;
    ward.carry(gateway.id(), &group);
    follow.wait().await;
    let events = follow.take(ward.now_ms).unwrap();
    let clinic::views::LiveEvent::Readings { patient, readings, sealed_at_ms, live_at_ms, .. } = &*events[0]
    else {
        panic!("readings come first")
    };
    assert_eq!((*patient, readings.len(), readings[0].metric), (amira, 1, Metric::HeartRate));
    assert_eq!((*sealed_at_ms, *live_at_ms), (at_ms, at_ms + 40));
    ward.clinic.sign_out("00");
    let latency = ward.clinic.counters().seal_to_live;
    assert_eq!((latency.count, latency.max_ms), (3, 40));
}

#[test]
fn a_patients_stream_closes_a_quarter_of_an_hour_after_the_last_look_and_the_wall_stays() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    ward.gateway(1, &[amira]);
    ward.granting("amira", "lee", Purpose::Treatment, &[Class::Vitals]);
    let (token, lee) = ward.clinic.sign_in("lee", "a secret word", ward.now_ms).unwrap();
    let start_ms = ward.now_ms;
    let follow = |now_ms| ward.clinic.follow_patient(&lee, amira, Purpose::Treatment, now_ms);
    let mut chart = follow(start_ms).unwrap();
    let mut wall = ward.clinic.follow_wall(&lee, start_ms).unwrap();
    // The wall keeps the session; somebody touches the chart once.
    let keep = |now_ms| ward.clinic.session(token.expose(), now_ms).map(drop);
    keep(start_ms + 600_000).unwrap();
    ward.clinic.record_opened(&lee, amira, start_ms + 600_000).unwrap();
    keep(start_ms + 1_200_000).unwrap();
    assert!(chart.take(start_ms + 600_000 + clinic::IDLE_MS - 1).is_ok());
    let alone_ms = start_ms + 600_000 + clinic::IDLE_MS;
    assert_eq!(chart.take(alone_ms).err(), Some(Denied::LeftAlone));
    assert!(wall.take(alone_ms).is_ok(), "a wall may stay");
    assert_eq!(
        denied(follow(alone_ms)),
        Denied::LeftAlone,
        "a browser that connects again is nobody looking"
    );
    ward.clinic.record_opened(&lee, amira, alone_ms).unwrap();
    assert!(follow(alone_ms).is_ok());
}

#[tokio::test]
async fn a_stream_closes_with_its_session() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    ward.gateway(1, &[amira]);
    let (token, lee) = ward.clinic.sign_in("lee", "a secret word", ward.now_ms).unwrap();
    let mut follow = ward.clinic.follow_wall(&lee, ward.now_ms).unwrap();
    assert!(follow.check(ward.now_ms).is_ok());
    ward.clinic.sign_out(token.expose());
    assert_eq!(follow.check(ward.now_ms), Err(Denied::SignedOut));
    assert_eq!(denied(ward.clinic.wall(&lee, ward.now_ms)), Denied::SignedOut, "nor anything else");
}

#[test]
fn a_halted_ledger_keeps_home_charts_open_and_decides_nothing_new() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.granting("amira", "lee", Purpose::Treatment, &[Class::Vitals]);
    ward.beats(&mut gateway, 720, 70);
    assert!(ward.clinic.health(ward.now_ms).stale);
    let lee = ward.as_("lee");
    assert!(ward.clinic.open_chart(&lee, &today(amira, &[Class::Vitals]), ward.now_ms).is_ok());
    let request = GrantRequest {
        grantee: lee.person,
        purpose: Purpose::Treatment,
        classes: vec![Class::Vitals],
        from_ms: ward.now_ms,
        until_ms: ward.now_ms + 1000,
    };
    let why = denied(ward.clinic.grant(&ward.as_("amira"), &request, ward.now_ms));
    assert_eq!(why, Denied::LedgerStale { age_s: 70 });
    let why = denied(ward.clinic.pair(&ward.admin, &[], &[], ward.now_ms));
    assert_eq!(why, Denied::LedgerStale { age_s: 70 });
}

#[test]
fn a_consent_withdrawn_before_its_block_never_arrives() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let lee = ward.as_("lee");
    let request = GrantRequest {
        grantee: lee.person,
        purpose: Purpose::Treatment,
        classes: vec![Class::Vitals],
        from_ms: ward.now_ms,
        until_ms: ward.now_ms + 86_400_000,
    };
    ward.clinic.grant(&ward.as_("amira"), &request, ward.now_ms).unwrap();
    let grant = ward.clinic.vault().terms_to(lee.person)[0].grant;
    ward.clinic.revoke_grant(&ward.as_("amira"), grant, ward.now_ms).unwrap();
    ward.block();
    let why = denied(ward.clinic.open_chart(&lee, &today(amira, &[Class::Vitals]), ward.now_ms));
    assert_eq!(why, Denied::Withdrawn);
    use vitals::ledger::Ledger;
    assert_ne!(ward.ledger.grant(grant).unwrap().unwrap().revoked_at_ms, 0);
}

#[test]
fn wishes_that_make_no_sense_are_told_so() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let lee = ward.as_("lee").person;
    let amira_s = ward.as_("amira");
    let good = GrantRequest {
        grantee: lee,
        purpose: Purpose::Treatment,
        classes: vec![Class::Vitals],
        from_ms: NOON_MS,
        until_ms: NOON_MS + 1000,
    };
    let wrong = |request: GrantRequest| match ward.clinic.grant(&amira_s, &request, NOON_MS) {
        Err(ClinicError::Grant(why)) => why,
        other => panic!("{other:?}"),
    };
    wrong(GrantRequest { until_ms: good.from_ms, ..good.clone() });
    wrong(GrantRequest { until_ms: NOON_MS + 400 * 86_400_000, ..good.clone() });
    wrong(GrantRequest { classes: vec![], ..good.clone() });
    wrong(GrantRequest { purpose: Purpose::Family, ..good.clone() });
    wrong(GrantRequest { grantee: vitals::PersonId([7; 32]), ..good.clone() });
    wrong(GrantRequest { grantee: vitals::PersonId::of_organisation(ward.clinic.org()), ..good.clone() });
    assert_eq!(
        denied(ward.clinic.grant(&ward.as_("lee"), &good, NOON_MS)),
        Denied::Role { role: Role::Clinician }
    );
    let ticket = ward.clinic.grant(&amira_s, &good, NOON_MS).unwrap();
    assert_eq!(ward.clinic.settle(&ticket), Outcome::Pending);
    ward.block();
    ward.done(&ticket);
    assert!(ward.clinic.vault().patient(amira).is_some());
}

#[test]
fn a_span_upside_down_or_endless_is_refused() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    ward.granting("amira", "lee", Purpose::Treatment, &[Class::Vitals]);
    for span_ms in [(2, 1), (0, u64::MAX), (0, 32 * 86_400_000)] {
        let ask = ChartRequest { span_ms, ..today(amira, &[Class::Vitals]) };
        assert_eq!(
            denied(ward.clinic.open_chart(&ward.as_("lee"), &ask, NOON_MS)),
            Denied::Span { max_days: 31 }
        );
    }
}

#[test]
fn a_withdrawal_the_ledger_never_heard_of_survives_a_restart_and_reaches_it() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let grant = ward.granting("amira", "lee", Purpose::Treatment, &[Class::Vitals]);
    ward.ledger.set_down(true);
    assert!(ward.clinic.revoke_grant(&ward.as_("amira"), grant, ward.now_ms).is_err());
    ward.ledger.set_down(false);
    let mut ward = ward.reopened();
    let ask = today(amira, &[Class::Vitals]);
    assert_eq!(denied(ward.clinic.open_chart(&ward.as_("lee"), &ask, ward.now_ms)), Denied::Withdrawn);
    ward.block();
    ward.block();
    let on_ledger = vitals::ledger::Ledger::grant(&*ward.ledger, grant).unwrap().unwrap();
    assert_ne!(on_ledger.revoked_at_ms, 0, "handed in again by the next start");
}

#[test]
fn an_open_stream_closes_at_the_end_of_its_consent_though_the_ledger_stands_still() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let lee = ward.as_("lee");
    let (from_ms, until_ms) = (ward.now_ms, ward.now_ms + 60_000);
    let (purpose, classes) = (Purpose::Treatment, vec![Class::Vitals]);
    let request = GrantRequest { grantee: lee.person, purpose, classes, from_ms, until_ms };
    ward.clinic.grant(&ward.as_("amira"), &request, ward.now_ms).unwrap();
    ward.block();
    let mut follow = ward.clinic.follow_patient(&lee, amira, Purpose::Treatment, ward.now_ms).unwrap();
    assert!(follow.check(until_ms - 1_000).is_ok());
    assert_eq!(follow.check(until_ms), Err(Denied::Ended { ended_ago_s: 0 }));
}
