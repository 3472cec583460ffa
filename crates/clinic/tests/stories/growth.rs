//! What gathers over the years, and must not cost more for it. Work is counted, not timed.

use clinic::views::{AlarmPhase, GrantState, Tile};
use clinic::{ChartRequest, Denied, LimitsOrder};
use testward::{Gateway, NOON_MS, Ward, denied};
use vault::ResumePoint;
use vitals::PatientId;
use vitals::alarm::{Condition, Limits};
use vitals::ids::Class;
use vitals::ledger::Purpose;
use vitals::metric::Metric;

/// Consents that are given and withdrawn, each on the ledger before the next.
fn given_and_withdrawn(ward: &mut Ward, consents: usize) {
    for _ in 0..consents {
        ward.granting("amira", "lee", Purpose::Treatment, &[Class::Vitals]);
        let own = ward.now_as("amira");
        let given = ward.clinic.own_consents(&own, ward.now_ms).unwrap();
        let live = given.iter().find(|view| view.state == GrantState::Live).unwrap();
        ward.clinic.revoke_grant(&own, live.grant, ward.now_ms).unwrap();
        ward.block();
    }
}

/// How many consents the ledger is asked for by a minute of passing time, and by one decision.
fn asked(ward: &mut Ward, patient: PatientId) -> (u64, u64) {
    // What is settled by now is noticed.
    for _ in 0..3 {
        ward.later(5_000);
    }
    let before = ward.ledger.grants_asked();
    for _ in 0..12 {
        ward.pass(5_000);
    }
    let minute = ward.ledger.grants_asked();
    let span_ms = (NOON_MS, ward.now_ms);
    let classes = vec![Class::Vitals];
    let ask = ChartRequest { patient, purpose: Purpose::Treatment, classes, span_ms, make_do: false };
    // The first decision after a change may look at all of them once.
    for _ in 0..2 {
        assert_eq!(denied(ward.clinic.open_chart(&ward.now_as("lee"), &ask, ward.now_ms)), Denied::Withdrawn);
    }
    let twice = ward.ledger.grants_asked();
    assert_eq!(denied(ward.clinic.open_chart(&ward.now_as("lee"), &ask, ward.now_ms)), Denied::Withdrawn);
    (minute - before, ward.ledger.grants_asked() - twice)
}

#[test]
fn withdrawn_consents_cost_nothing_once_the_ledger_has_them() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    given_and_withdrawn(&mut ward, 3);
    let few = asked(&mut ward, amira);
    given_and_withdrawn(&mut ward, 60);
    let many = asked(&mut ward, amira);
    println!("questions about consents: 3 withdrawn {few:?}, 63 withdrawn {many:?}");
    assert_eq!(many, few);
    assert!(many.1 <= 2, "a decision looks at what may open something, and at one that says why not");
    let mut ward = ward.reopened();
    assert_eq!(asked(&mut ward, amira), few, "after a restart too");
    let shown = ward.clinic.own_consents(&ward.now_as("amira"), ward.now_ms).unwrap();
    assert_eq!(shown.iter().filter(|view| view.state == GrantState::Withdrawn).count(), 63, "all are shown");
}

#[test]
fn a_consent_withdrawn_here_opens_nothing_while_the_ledger_does_not_know() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let grant = ward.granting("amira", "lee", Purpose::Treatment, &[Class::Vitals]);
    ward.ledger.set_withholding_withdrawals(true);
    ward.clinic.revoke_grant(&ward.as_("amira"), grant, ward.now_ms).unwrap();
    let classes = vec![Class::Vitals];
    for minute in 0..12 {
        ward.later(60_000);
        let span_ms = (NOON_MS, ward.now_ms);
        let ask = ChartRequest {
            patient: amira,
            purpose: Purpose::Treatment,
            classes: classes.clone(),
            span_ms,
            make_do: false,
        };
        let why = denied(ward.clinic.open_chart(&ward.now_as("lee"), &ask, ward.now_ms));
        assert_eq!(why, Denied::Withdrawn, "minute {minute}");
    }
    ward.ledger.set_withholding_withdrawals(false);
    ward.later(10_000);
    ward.later(10_000);
    let there = vitals::ledger::Ledger::grant(&*ward.ledger, grant).unwrap().unwrap();
    assert_ne!(there.revoked_at_ms, 0);
    assert_eq!(ward.clinic.health(ward.now_ms).withdrawals_waiting, 0);
}

#[test]
fn an_organisation_where_nothing_happens_anchors_nothing() {
    let (mut ward, [_]) = Ward::with(["amira"]);
    ward.anchor();
    ward.anchor();
    let before = (ward.ledger.submitted(), ward.clinic.store().size());
    // Half a day of blocks, one a minute.
    for _ in 0..720 {
        ward.later(60_000);
    }
    assert_eq!((ward.ledger.submitted(), ward.clinic.store().size()), before);
}

/// So many times no data comes for a while: each time an alarm is raised and is over, and both are in the record.
fn stale_and_back(ward: &mut Ward, gateway: &mut Gateway, times: usize) {
    for _ in 0..times {
        ward.pass(120_000);
        ward.beats(gateway, 720, 1);
    }
    ward.block();
}

/// Envelopes read while a bed is watched again after a pause.
fn read_after_a_pause(ward: &mut Ward) -> u64 {
    ward.clinic.pause_watching(&ward.now_as("amira"), clinic::PAUSE_MS_MAX, ward.now_ms).unwrap();
    ward.pass(1_000);
    assert!(ward.wall_now().tiles.is_empty());
    let before = ward.clinic.observer().read_back();
    ward.clinic.resume_watching(&ward.now_as("amira"), ward.now_ms).unwrap();
    ward.pass(1_000);
    assert_eq!(ward.wall_now().tiles.len(), 1);
    ward.clinic.observer().read_back() - before
}

/// A bed that is watched again remembers its alarms and limits: what is read is the last two hours, not the alarms of
/// all years, for which the beds that are renewed in the same tick would wait.
#[test]
fn watching_again_reads_no_more_for_all_the_alarms_of_the_past() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    // More than two hours, so that both times as much of them is there.
    stale_and_back(&mut ward, &mut gateway, 80);
    let few = read_after_a_pause(&mut ward);
    stale_and_back(&mut ward, &mut gateway, 320);
    let many = read_after_a_pause(&mut ward);
    println!(
        "envelopes read for a bed that is watched again: after 160 alarm events {few}, after 800 {many}"
    );
    assert!(few > 40, "the last two hours are read: {few}");
    assert!(many <= few + 4, "{many} envelopes after 800 alarm events, {few} after 160");
}

/// What everybody of the ward sees of the bed.
fn tile(ward: &Ward) -> Tile {
    let wall = ward.wall_now();
    assert_eq!((wall.tiles.len(), wall.unwatched.len()), (1, 0), "watched at once");
    wall.tiles[0].clone()
}

/// A start reads what is new since the bed's resume point and what that names, and finds what a start finds that reads
/// everything: with the newest point and with an older one. One of another record or of a longer one is not used.
#[test]
fn a_start_reads_no_more_for_all_the_alarms_of_the_past_and_finds_the_same() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 720, 5);
    let standing = Limits { above: [None, None, Some(1_400)], ..Limits::adult(Metric::HeartRate).unwrap() };
    let order = LimitsOrder { limits: standing, reason: "known fast heart".into(), for_ms: None };
    ward.clinic.set_limits(&ward.as_("lee"), amira, &order, ward.now_ms).unwrap();
    // High, and answered: it stays open behind everything that follows.
    ward.beats(&mut gateway, 1_600, 30);
    ward.clinic
        .acknowledge(&ward.as_("lee"), amira, Condition::Above(Metric::HeartRate), ward.now_ms)
        .unwrap();
    let mut stale = |ward: &mut Ward, times: u64| {
        for _ in 0..times {
            ward.pass(120_000);
            ward.beats(&mut gateway, 1_600, 1);
        }
        ward.block();
    };
    stale(&mut ward, 200);
    let point = |ward: &Ward| ward.clinic.vault().resume_point(amira).unwrap();
    let older = point(&ward).expect("400 alarm events are more than a start should read");
    stale(&mut ward, 400);
    let newer = point(&ward).expect("it was there before");
    assert!(older.size < newer.size && newer.kept.len() < 20, "{} places", newer.kept.len());

    // Killed: what waits for the disk is lost, and nothing is written.
    let ward = ward.killed();
    let (found, few) = (tile(&ward), ward.clinic.observer().read_back());
    let alarm = found.alarms.iter().find(|alarm| alarm.condition == Condition::Above(Metric::HeartRate));
    let alarm = alarm.expect("it stands");
    assert_eq!((alarm.phase, alarm.owner.as_deref()), (AlarmPhase::Acknowledged, Some("lee")));
    assert!(found.limits.contains(&standing));
    let start_with = |mut ward: Ward, name: &str, point: &ResumePoint| {
        ward.clinic.vault().put_resume_point(amira, point).unwrap();
        ward = ward.killed();
        let read = ward.clinic.observer().read_back();
        println!("a start with a resume point {name}: {read} envelopes");
        assert!(tile(&ward) == found, "{name}");
        (ward, read)
    };
    let (ward, all) = start_with(ward, "of another record", &ResumePoint { root: [7; 32], ..newer.clone() });
    assert!(all > 1_200, "everything: {all}");
    let (ward, read) =
        start_with(ward, "of a longer record", &ResumePoint { size: 1 << 40, ..newer.clone() });
    assert_eq!(read, all);
    let (ward, read) = start_with(ward, "that is older", &older);
    assert!((few + 500..all - 200).contains(&read), "{read} of {all}, {few} with the newest");
    let (ward, read) = start_with(ward, "that is the newest", &newer);
    assert_eq!(read, few);
    assert!(few < 400, "{few} envelopes are read after 1,200 alarm events");
    // One that does not fit is replaced once the node runs.
    ward.clinic.vault().put_resume_point(amira, &ResumePoint { root: [7; 32], ..older }).unwrap();
    let mut ward = ward.killed();
    ward.pass(1_000);
    let ward = ward.killed();
    assert!(ward.clinic.observer().read_back() < 400);
}
