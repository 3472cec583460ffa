//! When an alarm is an alarm.

use clinic::views::{AlarmPhase, AlarmSource, AlarmView};
use clinic::{ChartRequest, ClinicError, Denied, LimitsOrder};
use testward::{Gateway, NOON_MS, Ward, denied};
use vitals::PatientId;
use vitals::alarm::{AlarmEventKind, Condition, Limits, Priority};
use vitals::ids::Class;
use vitals::ledger::Purpose;
use vitals::metric::{Absence, Metric};

const FAST: Condition = Condition::Above(Metric::HeartRate);
const OFF: Condition = Condition::SensorOff(Metric::HeartRate);

fn open(ward: &Ward) -> Vec<AlarmView> {
    ward.clinic.wall(&ward.as_("lee"), ward.now_ms).unwrap().strip
}

fn conditions(ward: &Ward) -> Vec<Condition> {
    open(ward).iter().map(|alarm| alarm.condition).collect()
}

fn history(ward: &mut Ward, patient: PatientId) -> Vec<(AlarmEventKind, AlarmSource, Option<String>)> {
    let span_ms = (NOON_MS, ward.now_ms);
    let classes = vec![Class::Vitals, Class::Alarms];
    let ask = ChartRequest { patient, purpose: Purpose::Own, classes, span_ms, make_do: false };
    let chart = ward.clinic.open_chart(&ward.as_("amira"), &ask, ward.now_ms).unwrap();
    chart.alarms.into_iter().map(|mark| (mark.event.kind, mark.source, mark.by)).collect()
}

#[test]
fn a_racing_heart_is_raised_once_answered_and_closed() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 720, 3);
    ward.beats(&mut gateway, 1400, 9);
    assert!(conditions(&ward).is_empty(), "not long enough yet");
    ward.beats(&mut gateway, 1400, 3);
    let alarms = open(&ward);
    assert_eq!(alarms.len(), 1);
    assert_eq!((alarms[0].condition, alarms[0].priority, alarms[0].value), (FAST, Priority::High, 1400));
    assert_eq!(alarms[0].phase, AlarmPhase::Active);
    let lee = ward.as_("lee");
    let answered = ward.clinic.acknowledge(&lee, amira, FAST, ward.now_ms).unwrap();
    assert_eq!((answered.phase, answered.owner.as_deref()), (AlarmPhase::Acknowledged, Some("lee")));
    let twice = ward.clinic.acknowledge(&lee, amira, FAST, ward.now_ms + 40_000);
    let Err(ClinicError::Wrong(why)) = twice else { panic!("already answered") };
    assert_eq!(why, "lee answered this alarm already, 40 s ago");
    ward.beats(&mut gateway, 720, 2);
    assert!(conditions(&ward).is_empty());
    let story = history(&mut ward, amira);
    let kinds: Vec<_> = story.iter().map(|(kind, ..)| *kind).collect();
    assert_eq!(kinds, [AlarmEventKind::Raised, AlarmEventKind::Acknowledged, AlarmEventKind::Closed]);
    assert_eq!(story[1].2.as_deref(), Some("lee"), "who answered is in the record");
    assert_eq!(ward.clinic.counters().alarms_raised, 1);
}

#[test]
fn bedside_and_node_share_one_episode() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 1400, 3);
    let raised = gateway.sensors[0].alarm(AlarmEventKind::Raised, 1400, ward.now_ms);
    ward.carry(gateway.id(), &[raised]);
    assert_eq!(conditions(&ward), [FAST], "at once, on the bedside's word");
    ward.beats(&mut gateway, 1400, 20);
    assert_eq!(conditions(&ward), [FAST], "the node's own evaluation opens no second one");
    assert_eq!(open(&ward)[0].episode, 1);
    let lee = ward.as_("lee");
    ward.clinic.acknowledge(&lee, amira, FAST, ward.now_ms).unwrap();
    ward.beats(&mut gateway, 720, 3);
    assert_eq!(conditions(&ward), [FAST], "the bedside has not called it over yet");
    let closed = gateway.sensors[0].alarm(AlarmEventKind::Closed, 720, ward.now_ms);
    ward.carry(gateway.id(), &[closed]);
    assert!(conditions(&ward).is_empty());
    let sources: Vec<_> = history(&mut ward, amira).into_iter().map(|(what, who, _)| (what, who)).collect();
    let bedside = AlarmSource::Bedside;
    let expected = [
        (AlarmEventKind::Raised, bedside),
        (AlarmEventKind::Acknowledged, AlarmSource::Node),
        (AlarmEventKind::Closed, bedside),
    ];
    assert_eq!(sources, expected, "each written once, by whoever noticed");
}

#[test]
fn a_bedside_that_forgot_its_alarm_does_not_hold_it_open_forever() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 1400, 2);
    let raised = gateway.sensors[0].alarm(AlarmEventKind::Raised, 1400, ward.now_ms);
    ward.carry(gateway.id(), &[raised]);
    ward.clinic.acknowledge(&ward.as_("lee"), amira, FAST, ward.now_ms).unwrap();
    ward.beats(&mut gateway, 720, 59);
    assert_eq!(conditions(&ward), [FAST]);
    ward.beats(&mut gateway, 720, 5);
    assert!(conditions(&ward).is_empty());
}

#[test]
fn no_vital_alarm_is_raised_on_stale_data() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 720, 3);
    let backlog: Vec<_> = (0..60).map(|n| gateway.sensors[0].pulse(1900, ward.now_ms + 1000 * n)).collect();
    ward.pass(14_000);
    assert!(conditions(&ward).is_empty());
    ward.pass(2_000);
    assert_eq!(conditions(&ward), [Condition::Stale], "nothing came for 15 s");
    assert!(ward.clinic.wall(&ward.as_("lee"), ward.now_ms).unwrap().tiles[0].technical.stale);
    ward.pass(300_000);
    let answers = ward.carry(gateway.id(), &backlog);
    assert_eq!(answers.len(), 60);
    ward.pass(2_000);
    assert_eq!(conditions(&ward), [Condition::Stale], "late data goes into the record and raises nothing");
    ward.beats(&mut gateway, 720, 1);
    assert!(conditions(&ward).is_empty(), "fresh data ends it");
    let story = history(&mut ward, amira);
    assert_eq!(
        story
            .iter()
            .filter(|(what, who, _)| (*what, *who) == (AlarmEventKind::Raised, AlarmSource::Node))
            .count(),
        1
    );
}

#[test]
fn a_sensor_that_falls_off_freezes_its_alarms_and_quietens_none() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 1400, 12);
    assert_eq!(conditions(&ward), [FAST]);
    for _ in 0..12 {
        ward.pass(1000);
        let off = gateway.sensors[0].finger_off(ward.now_ms);
        ward.carry(gateway.id(), &[off]);
    }
    let alarms = open(&ward);
    assert_eq!(alarms.iter().map(|alarm| alarm.condition).collect::<Vec<_>>(), [FAST, OFF]);
    assert!(alarms[0].inhibited, "frozen, not over");
    assert_eq!(alarms[0].phase, AlarmPhase::Active, "and nobody has answered it");
    without(&mut ward, &mut gateway, Absence::SensorOff, 50);
    assert_eq!(open(&ward)[0].escalated, 1, "a minute unanswered is told");
    ward.beats(&mut gateway, 1400, 1);
    let alarms = open(&ward);
    assert_eq!(alarms.len(), 1);
    assert!(!alarms[0].inhibited);
}

/// Seconds without a value, for one reason.
fn without(ward: &mut Ward, gateway: &mut Gateway, why: Absence, seconds: u64) {
    for _ in 0..seconds {
        ward.pass(1000);
        let bytes = gateway.sensors[0].no_pulse(why, ward.now_ms);
        ward.carry(gateway.id(), &[bytes]);
    }
}

#[test]
fn a_signal_that_cannot_be_read_neither_ends_nor_quietens_a_high_alarm() {
    for why in [Absence::Noisy, Absence::Unsteady] {
        let (mut ward, [amira]) = Ward::with(["amira"]);
        let mut gateway = ward.gateway(1, &[amira]);
        ward.beats(&mut gateway, 1400, 12);
        assert_eq!(conditions(&ward), [FAST]);
        without(&mut ward, &mut gateway, why, 62);
        let alarms = open(&ward);
        assert_eq!(alarms[0].condition, FAST, "{why:?}");
        assert_eq!((alarms[0].phase, alarms[0].inhibited), (AlarmPhase::Active, false), "{why:?}");
        assert_eq!(alarms[0].escalated, 1, "{why:?}: a minute unanswered");
        ward.beats(&mut gateway, 720, 2);
        assert!(open(&ward).iter().all(|alarm| alarm.phase == AlarmPhase::Recovered), "{why:?}");
    }
}

#[test]
fn what_was_seen_before_a_signal_was_lost_counts_and_the_time_unseen_does_not() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 1400, 8);
    without(&mut ward, &mut gateway, Absence::Noisy, 5);
    ward.beats(&mut gateway, 1400, 1);
    assert!(conditions(&ward).is_empty(), "nine seconds are not long enough");
    ward.beats(&mut gateway, 1400, 3);
    assert_eq!(conditions(&ward), [FAST]);
}

#[test]
fn a_racing_heart_that_is_read_now_and_then_rings() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    for _ in 0..4 {
        ward.beats(&mut gateway, 1400, 4);
        without(&mut ward, &mut gateway, Absence::Noisy, 6);
    }
    assert_eq!(conditions(&ward), [FAST]);
}

#[test]
fn a_violation_from_before_a_long_silence_of_the_signal_begins_anew() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 1400, 8);
    without(&mut ward, &mut gateway, Absence::Noisy, 40);
    ward.beats(&mut gateway, 1400, 8);
    assert!(conditions(&ward).is_empty(), "{:?}", conditions(&ward));
    ward.beats(&mut gateway, 1400, 4);
    assert_eq!(conditions(&ward), [FAST]);
}

#[test]
fn a_sensor_that_warms_up_without_end_is_told() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    without(&mut ward, &mut gateway, Absence::WarmingUp, 20);
    assert!(conditions(&ward).is_empty(), "it may");
    without(&mut ward, &mut gateway, Absence::WarmingUp, 30);
    assert_eq!(conditions(&ward), [OFF]);
    ward.beats(&mut gateway, 720, 2);
    assert!(conditions(&ward).is_empty());
}

#[test]
fn vital_signs_that_were_never_heard_or_fall_silent_are_missed_while_the_room_is_heard() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    let room = |ward: &mut Ward, gateway: &mut Gateway, seconds: u64| {
        for _ in 0..seconds {
            ward.pass(1000);
            let bytes = gateway.sensors[0].room(215, ward.now_ms);
            ward.carry(gateway.id(), &[bytes]);
        }
    };
    room(&mut ward, &mut gateway, 28);
    assert!(conditions(&ward).is_empty(), "not long enough yet");
    room(&mut ward, &mut gateway, 4);
    assert_eq!(conditions(&ward), [OFF], "never heard");
    ward.beats(&mut gateway, 720, 1);
    assert!(conditions(&ward).is_empty());
    room(&mut ward, &mut gateway, 32);
    assert_eq!(conditions(&ward), [OFF], "heard before");
    let mut ward = ward.reopened();
    ward.beats(&mut gateway, 720, 2);
    assert!(conditions(&ward).is_empty());
    let mut ward = ward.reopened();
    room(&mut ward, &mut gateway, 32);
    assert_eq!(conditions(&ward), [OFF], "never heard since the node started");
}

#[test]
fn an_irregular_heart_is_no_steady_pulse_and_not_a_sensor_that_is_off() {
    const UNSTEADY: Condition = Condition::Unsteady(Metric::HeartRate);
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 880, 3);
    without(&mut ward, &mut gateway, Absence::Unsteady, 10);
    without(&mut ward, &mut gateway, Absence::Noisy, 1);
    without(&mut ward, &mut gateway, Absence::Unsteady, 8);
    let alarms = open(&ward);
    assert_eq!(alarms.len(), 1, "{alarms:?}");
    assert_eq!((alarms[0].condition, alarms[0].priority), (UNSTEADY, Priority::Medium));
    without(&mut ward, &mut gateway, Absence::SensorOff, 12);
    assert_eq!(conditions(&ward), [UNSTEADY, OFF], "a sensor that is off says nothing of the heart");
    ward.beats(&mut gateway, 880, 2);
    let alarms = open(&ward);
    assert_eq!(alarms.len(), 1, "{alarms:?}");
    assert_eq!((alarms[0].condition, alarms[0].phase), (UNSTEADY, AlarmPhase::Recovered), "seen by nobody");
    let lee = ward.as_("lee");
    ward.clinic.acknowledge(&lee, amira, UNSTEADY, ward.now_ms).unwrap();
    assert!(conditions(&ward).is_empty());
}

#[test]
fn a_poor_signal_is_told_as_such_and_is_over_when_the_finger_is_out() {
    const POOR: Condition = Condition::PoorSignal(Metric::HeartRate);
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 720, 3);
    without(&mut ward, &mut gateway, Absence::Noisy, 22);
    assert_eq!(conditions(&ward), [POOR]);
    without(&mut ward, &mut gateway, Absence::SensorOff, 12);
    assert_eq!(conditions(&ward), [OFF]);
    without(&mut ward, &mut gateway, Absence::Noisy, 22);
    assert_eq!(conditions(&ward), [POOR]);
    ward.beats(&mut gateway, 720, 2);
    assert!(conditions(&ward).is_empty());
}

#[test]
fn an_unanswered_high_alarm_escalates_and_a_silenced_one_stays_unanswered() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 1400, 12);
    let lee = ward.as_("lee");
    let silenced = ward.clinic.silence(&lee, amira, FAST, 3_600_000, ward.now_ms).unwrap();
    assert_eq!(silenced.phase, AlarmPhase::Active);
    assert!(silenced.silenced_until_ms <= ward.now_ms + 120_000, "for two minutes at most");
    ward.beats(&mut gateway, 1400, 61);
    assert_eq!(open(&ward)[0].escalated, 1);
    ward.beats(&mut gateway, 1400, 240);
    assert_eq!(open(&ward)[0].escalated, 3);
    ward.clinic.acknowledge(&lee, amira, FAST, ward.now_ms).unwrap();
    ward.beats(&mut gateway, 1400, 100);
    let story = history(&mut ward, amira);
    let steps = story.iter().filter(|(what, ..)| *what == AlarmEventKind::Escalated).count();
    assert_eq!(steps, 3, "each step is in the record, none after the answer");
}

#[test]
fn an_answer_that_was_lost_with_the_node_is_claimed_nowhere_and_it_rings_again() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 1400, 12);
    ward.clinic.write_alarm_events(ward.now_ms);
    let lee = ward.as_("lee");
    ward.clinic.silence(&lee, amira, FAST, 120_000, ward.now_ms).unwrap();
    ward.clinic.acknowledge(&lee, amira, FAST, ward.now_ms).unwrap();
    let mut ward = ward.killed();
    let alarms = open(&ward);
    assert_eq!((alarms[0].condition, alarms[0].phase), (FAST, AlarmPhase::Active), "it rings again");
    assert_eq!((alarms[0].owner.as_deref(), alarms[0].silenced_until_ms), (None, 0));
    let story = history(&mut ward, amira);
    assert_eq!(story.iter().map(|(what, ..)| *what).collect::<Vec<_>>(), [AlarmEventKind::Raised]);
    ward.clinic.acknowledge(&ward.as_("lee"), amira, FAST, ward.now_ms).unwrap();
    ward.clinic.write_alarm_events(ward.now_ms);
    let mut ward = ward.killed();
    assert_eq!(open(&ward)[0].owner.as_deref(), Some("lee"), "what is on the disk is kept");
    let story = history(&mut ward, amira);
    assert_eq!(
        story.last().map(|(what, _, by)| (*what, by.as_deref())),
        Some((AlarmEventKind::Acknowledged, Some("lee")))
    );
}

#[test]
fn limits_are_personal_recorded_and_read_back() {
    let (mut ward, [amira, bruno]) = Ward::with(["amira", "bruno"]);
    let mut gateway = ward.gateway(1, &[amira, bruno]);
    let lee = ward.as_("lee");
    let mut limits = Limits::adult(Metric::HeartRate).unwrap();
    limits.above = [None, None, Some(1000)];
    limits.persistence_ms = 0;
    let order = |limits| LimitsOrder { limits, reason: "agreed on the round".into(), for_ms: None };
    ward.clinic.set_limits(&lee, amira, &order(limits), ward.now_ms).unwrap();
    ward.beats(&mut gateway, 1010, 1);
    let alarms = open(&ward);
    assert_eq!((alarms.len(), alarms[0].patient, alarms[0].priority), (1, amira, Priority::High));
    let wall = ward.clinic.wall(&lee, ward.now_ms).unwrap();
    let of = |patient| wall.tiles.iter().find(|tile| tile.patient == patient).unwrap().limits.clone();
    assert!(of(amira).contains(&limits) && !of(bruno).contains(&limits));
    let mut wrong = limits;
    wrong.above = [Some(1200), None, Some(1000)];
    let refused = ward.clinic.set_limits(&lee, amira, &order(wrong), ward.now_ms);
    assert!(matches!(refused, Err(ClinicError::Wrong(_))));
    let reopened = ward.reopened();
    let wall = reopened.clinic.wall(&reopened.as_("lee"), reopened.now_ms).unwrap();
    let tile = wall.tiles.iter().find(|tile| tile.patient == amira).unwrap();
    assert!(tile.limits.contains(&limits), "limits survive a restart");
    assert_eq!(tile.values.len(), 1, "and so do the last two hours");
    assert_eq!((tile.name.as_str(), tile.bed.as_str()), ("amira", "bed of amira"));
}

#[test]
fn strangers_answer_no_alarm() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 1400, 12);
    let page = ward.clinic.own_page(&ward.as_("amira"), ward.now_ms).unwrap();
    let monitoring = page.grants[0].grant;
    ward.clinic.revoke_grant(&ward.as_("amira"), monitoring, ward.now_ms).unwrap();
    let why = denied(ward.clinic.acknowledge(&ward.as_("lee"), amira, FAST, ward.now_ms));
    assert_eq!(why, Denied::Withdrawn);
    assert!(denied(ward.clinic.acknowledge(&ward.admin, amira, FAST, ward.now_ms)) != Denied::Withdrawn);
}
