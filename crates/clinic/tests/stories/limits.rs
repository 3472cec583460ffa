//! Limits over time: an alarm that is off has a name, a reason and an end.

use clinic::views::{AlarmPhase, Chart, GrantState, Tile};
use clinic::{ChartRequest, ClinicError, GrantRequest, LimitsOrder};
use testward::{NOON_MS, Ward};
use vitals::alarm::{Condition, Limits, Priority, Side};
use vitals::ids::Class;
use vitals::ledger::Purpose;
use vitals::metric::{Metric, Reading, Sample};
use vitals::{PatientId, PersonId};

const HOUR_MS: u64 = 3_600_000;
/// Shorter than a session lasts unused.
const WHILE_MS: u64 = 600_000;

fn usual() -> Limits {
    Limits::adult(Metric::HeartRate).unwrap()
}

fn high_off(for_ms: Option<u64>) -> LimitsOrder {
    LimitsOrder { limits: Limits { above: [None; 3], ..usual() }, reason: "stress test".into(), for_ms }
}

fn tile(ward: &Ward) -> Tile {
    ward.clinic.wall(&ward.as_("lee"), ward.now_ms).unwrap().tiles[0].clone()
}

fn heart(tile: &Tile) -> Limits {
    *tile.limits.iter().find(|limits| limits.metric == Metric::HeartRate).unwrap()
}

fn chart(ward: &Ward, patient: PatientId) -> Chart {
    let span_ms = (NOON_MS, ward.now_ms);
    let ask = ChartRequest {
        patient,
        purpose: Purpose::Own,
        classes: vec![Class::Vitals, Class::Alarms],
        span_ms,
        make_do: false,
    };
    ward.clinic.open_chart(&ward.as_("amira"), &ask, ward.now_ms).unwrap()
}

#[test]
fn an_alarm_is_not_turned_off_without_a_reason_and_an_end() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    ward.gateway(1, &[amira]);
    let lee = ward.as_("lee");
    let refused = |order: LimitsOrder| match ward.clinic.set_limits(&lee, amira, &order, ward.now_ms) {
        Err(ClinicError::Wrong(why)) => why,
        other => panic!("not refused: {other:?}"),
    };
    assert!(refused(high_off(None)).contains("for a while only"));
    for reason in ["", "  ", "two\nlines", &"x".repeat(257)] {
        assert!(refused(LimitsOrder { reason: reason.into(), ..high_off(Some(HOUR_MS)) }).contains("reason"));
    }
    for for_ms in [0, 59_999, 12 * HOUR_MS + 1, u64::MAX] {
        assert!(refused(high_off(Some(for_ms))).contains("twelve hours"), "{for_ms}");
    }
    let out_of_reach = Limits { above: [None, None, Some(3000)], ..usual() };
    let order = LimitsOrder { limits: out_of_reach, ..high_off(None) };
    assert!(refused(order).contains("for a while only"), "a limit that no value reaches is none");
    let without = LimitsOrder { limits: usual(), reason: String::new(), for_ms: None };
    assert!(refused(without).contains("reason"), "every change has one");
    assert_eq!(heart(&tile(&ward)), usual(), "nothing was changed");
    assert!(chart(&ward, amira).limits.is_empty(), "and nothing recorded");
}

#[test]
fn an_alarm_that_is_off_comes_back_loudly_when_its_time_is_over() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 720, 2);
    let lee = ward.as_("lee");
    ward.clinic.set_limits(&lee, amira, &high_off(Some(WHILE_MS)), ward.now_ms).unwrap();
    let off_at_ms = ward.now_ms;
    super::orders::answered(&mut ward, &mut gateway, vitals::command::Outcome::InForce);
    let told = tile(&ward).temporary;
    assert_eq!((told[0].metric, &told[0].off), (Metric::HeartRate, &vec![Side::Above]));
    assert_eq!((told[0].by.as_str(), told[0].reason.as_str()), ("lee", "stress test"));
    assert_eq!(told[0].until_ms, off_at_ms + WHILE_MS);
    ward.beats(&mut gateway, 1400, 15);
    assert!(tile(&ward).alarms.is_empty(), "it is off");
    // The clock moves to just before the end, and then past it.
    ward.now_ms = off_at_ms + WHILE_MS - 1000;
    ward.clinic.tick(ward.now_ms);
    assert_eq!(tile(&ward).temporary.len(), 1, "not over yet");
    let mut live = ward.clinic.follow_wall(&lee, ward.now_ms).unwrap();
    ward.pass(1000);
    let now = tile(&ward);
    assert_eq!((heart(&now), now.temporary.len()), (usual(), 0), "the limits from before are back");
    assert_eq!(now.limits_back[0].metric, Metric::HeartRate);
    assert!(told_to_look(&mut live, amira, ward.now_ms), "open pages are told");
    let history = chart(&ward, amira).limits;
    let [off, back] = history.as_slice() else { panic!("two changes stand in the record") };
    assert_eq!(off.by.as_deref(), Some("lee"));
    let why = off.change.details.as_ref().unwrap();
    assert_eq!((why.before, off.change.limits), (usual(), high_off(None).limits), "old and new value");
    assert_eq!((why.reason.as_str(), why.until_ms), ("stress test", Some(off_at_ms + WHILE_MS)));
    assert_eq!((back.by.clone(), back.change.limits), (None, usual()), "by nobody");
    assert_eq!(back.change.details.as_ref().unwrap().before, high_off(None).limits);
    ward.beats(&mut gateway, 1400, 12);
    let alarms = tile(&ward).alarms;
    assert_eq!(
        (alarms[0].condition, alarms[0].phase),
        (Condition::Above(Metric::HeartRate), AlarmPhase::Active)
    );
}

fn told_to_look(live: &mut clinic::Subscription, patient: PatientId, now_ms: u64) -> bool {
    let events = live.take(now_ms).unwrap();
    let changed = |event: &clinic::views::LiveEvent| matches!(event, clinic::views::LiveEvent::Changed { patient: who } if *who == patient);
    events.iter().any(|event| changed(event))
}

#[test]
fn a_node_that_was_stopped_when_the_time_was_over_lets_the_limits_come_back_at_once() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 720, 2);
    let lee = ward.as_("lee");
    let standing = Limits { above: [None, None, Some(1400)], ..usual() };
    let order = LimitsOrder { limits: standing, reason: "known fast heart".into(), for_ms: None };
    ward.clinic.set_limits(&lee, amira, &order, ward.now_ms).unwrap();
    ward.clinic.set_limits(&lee, amira, &high_off(Some(WHILE_MS)), ward.now_ms).unwrap();
    ward.pass(60_000);
    let mut ward = ward.reopened();
    let still = tile(&ward);
    assert_eq!(still.temporary[0].by, "lee", "who turned it off is known after a restart");
    assert_eq!(still.temporary[0].back, standing);
    ward.now_ms += 2 * HOUR_MS;
    let mut ward = ward.reopened();
    ward.block();
    let now = tile(&ward);
    assert_eq!((heart(&now), now.temporary.len()), (standing, 0));
    assert_eq!(chart(&ward, amira).limits.len(), 3, "their return is in the record");
    let again = ward.reopened();
    assert_eq!((heart(&tile(&again)), chart(&again, amira).limits.len()), (standing, 3), "and once only");
}

/// Withdraws every consent to monitoring.
fn withdraw_monitoring(ward: &mut Ward) {
    let own = ward.as_("amira");
    let live = |view: &clinic::views::GrantView| {
        view.purpose == Purpose::Monitoring && view.state == GrantState::Live
    };
    for view in ward.clinic.own_consents(&own, ward.now_ms).unwrap().into_iter().filter(live) {
        ward.clinic.revoke_grant(&own, view.grant, ward.now_ms).unwrap();
    }
    ward.block();
    ward.pass(1_000);
    assert!(ward.wall_now().tiles.is_empty());
}

#[test]
fn limits_are_read_as_soon_as_a_consent_covers_alarms() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 720, 2);
    let standing = Limits { above: [None, None, Some(1400)], ..usual() };
    let order = LimitsOrder { limits: standing, reason: "known fast heart".into(), for_ms: None };
    ward.clinic.set_limits(&ward.as_("lee"), amira, &order, ward.now_ms).unwrap();
    withdraw_monitoring(&mut ward);
    // The next consent leaves alarms out, and under it the node starts: the limits cannot be read.
    let vitals_alone = GrantRequest {
        grantee: PersonId::of_organisation(ward.clinic.org()),
        purpose: Purpose::Monitoring,
        classes: vec![Class::Vitals],
        from_ms: ward.now_ms,
        until_ms: ward.now_ms + HOUR_MS,
    };
    ward.clinic.grant(&ward.as_("amira"), &vitals_alone, ward.now_ms).unwrap();
    ward.block();
    let mut ward = ward.reopened();
    ward.block();
    assert!(tile(&ward).limits.is_empty());
    withdraw_monitoring(&mut ward);
    ward.clinic.let_ward_watch(&ward.as_("amira"), HOUR_MS, ward.now_ms).unwrap();
    ward.block();
    ward.pass(1_000);
    assert_eq!(heart(&tile(&ward)), standing);
}

#[test]
fn limits_that_are_in_force_already_are_written_no_second_time() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    ward.gateway(1, &[amira]);
    let lee = ward.as_("lee");
    let set =
        |ward: &Ward, order: &LimitsOrder| ward.clinic.set_limits(&lee, amira, order, ward.now_ms).unwrap();
    let order = |limits, for_ms| LimitsOrder { limits, reason: "known fast heart".into(), for_ms };
    let changes = |ward: &Ward| chart(ward, amira).limits.len();
    let standing = Limits { above: [None, None, Some(1400)], ..usual() };
    assert!(!set(&ward, &order(usual(), None)), "an adult's, as they are");
    assert!(!set(&ward, &order(usual(), Some(WHILE_MS))), "for a while, and then the same");
    assert_eq!((changes(&ward), tile(&ward).temporary.len()), (0, 0));
    assert!(set(&ward, &order(standing, None)));
    ward.pass(1_000);
    assert!(!set(&ward, &order(standing, None)), "sent twice");
    assert_eq!(changes(&ward), 1);
    // Limits that end get another end, or none: that is a change.
    assert!(set(&ward, &high_off(Some(WHILE_MS))));
    ward.pass(1_000);
    assert!(set(&ward, &high_off(Some(WHILE_MS))), "a minute longer");
    assert_eq!((changes(&ward), tile(&ward).temporary[0].until_ms), (3, ward.now_ms + WHILE_MS));
    let fast = Limits { above: [None, None, Some(1600)], ..usual() };
    assert!(set(&ward, &order(fast, Some(WHILE_MS))) && set(&ward, &order(fast, None)));
    assert_eq!((changes(&ward), tile(&ward).temporary.len(), heart(&tile(&ward))), (5, 0, fast));
}

#[test]
fn an_alarm_is_turned_on_again_before_its_time() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    ward.gateway(1, &[amira]);
    let lee = ward.as_("lee");
    let nothing = ward.clinic.limits_back(&lee, amira, Metric::HeartRate, ward.now_ms);
    assert!(matches!(nothing, Err(ClinicError::Wrong(_))), "it is not off");
    ward.clinic.set_limits(&lee, amira, &high_off(Some(WHILE_MS)), ward.now_ms).unwrap();
    ward.pass(60_000);
    ward.clinic.limits_back(&lee, amira, Metric::HeartRate, ward.now_ms).unwrap();
    assert_eq!((heart(&tile(&ward)), tile(&ward).temporary.len()), (usual(), 0));
    let history = chart(&ward, amira).limits;
    assert_eq!(history.last().unwrap().by.as_deref(), Some("lee"));
    ward.pass(WHILE_MS);
    assert_eq!(chart(&ward, amira).limits.len(), 2, "nothing comes back a second time");
    let strangers = ward.clinic.limits_back(&ward.as_("amira"), amira, Metric::HeartRate, ward.now_ms);
    assert!(matches!(strangers, Err(ClinicError::Denied(_))));
}

#[test]
fn what_is_wrong_now_comes_before_what_is_over() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    let mut both = |ward: &mut Ward, pulse: i32, warmth: i32, seconds: u64| {
        for _ in 0..seconds {
            ward.pass(1000);
            let at_ms = ward.now_ms;
            let reading = |metric, raw| Reading { metric, at_ms, sample: Sample::Measured(raw) };
            let readings = vec![reading(Metric::HeartRate, pulse), reading(Metric::BodyTemperature, warmth)];
            let bytes = gateway.sensors[0].readings(Class::Vitals, readings);
            ward.carry(gateway.id(), &[bytes]);
        }
    };
    both(&mut ward, 1400, 3680, 12);
    both(&mut ward, 720, 3950, 17);
    let wall = ward.clinic.wall(&ward.as_("lee"), ward.now_ms).unwrap();
    for order in [&wall.strip, &wall.tiles[0].alarms] {
        let told: Vec<_> = order.iter().map(|alarm| (alarm.priority, alarm.phase)).collect();
        assert_eq!(told, [(Priority::Medium, AlarmPhase::Active), (Priority::High, AlarmPhase::Recovered)]);
    }
}

#[test]
fn a_silence_is_ended_and_given_again_after_the_answer_and_both_are_recorded() {
    use vitals::alarm::AlarmEventKind::{Acknowledged, Raised, SilenceEnded, Silenced};
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 1400, 12);
    let fast = Condition::Above(Metric::HeartRate);
    let (lee, clinic) = (ward.as_("lee"), ward.clinic.clone());
    assert!(matches!(clinic.end_silence(&lee, amira, fast, ward.now_ms), Err(ClinicError::Wrong(_))));
    clinic.silence(&lee, amira, fast, 120_000, ward.now_ms).unwrap();
    let ended = clinic.end_silence(&lee, amira, fast, ward.now_ms + 1000).unwrap();
    assert!(ended.silenced_until_ms <= ward.now_ms + 1000, "it sounds again");
    clinic.acknowledge(&lee, amira, fast, ward.now_ms + 2000).unwrap();
    let after = clinic.silence(&lee, amira, fast, 120_000, ward.now_ms + 3000).unwrap();
    assert_eq!(after.phase, AlarmPhase::Acknowledged);
    drop(clinic);
    ward.pass(4000);
    let told: Vec<_> = chart(&ward, amira).alarms.iter().map(|mark| mark.event.kind).collect();
    assert_eq!(told, [Raised, Silenced, SilenceEnded, Acknowledged, Silenced]);
    // After a restart it is as it was.
    let ward = ward.reopened();
    let alarm = tile(&ward).alarms[0].clone();
    assert_eq!((alarm.phase, alarm.owner.as_deref()), (AlarmPhase::Acknowledged, Some("lee")));
    assert!(alarm.silenced_until_ms > ward.now_ms);
}
