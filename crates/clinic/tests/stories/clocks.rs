//! Wrong clocks, two hands and gaps as the ward sees them, and what a restart must not forget.

use clinic::Verdict;
use clinic::views::{AlarmPhase, AlarmView, Tile};
use testward::{Gateway, NOON_MS, Ward, refusal};
use vitals::alarm::{AlarmEventKind, Condition};
use vitals::envelope::Envelope;
use vitals::ids::Class;
use vitals::metric::{Metric, Sample};

const FAST: Condition = Condition::Above(Metric::HeartRate);
const HOUR_MS: i64 = 3_600_000;

fn tile(ward: &Ward) -> Tile {
    ward.clinic.wall(&ward.as_("lee"), ward.now_ms).unwrap().tiles[0].clone()
}

fn alarms(ward: &Ward) -> Vec<AlarmView> {
    tile(ward).alarms
}

fn conditions(ward: &Ward) -> Vec<Condition> {
    alarms(ward).iter().map(|alarm| alarm.condition).collect()
}

fn scene() -> (Ward, vitals::PatientId, Gateway) {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let gateway = ward.gateway(1, &[amira]);
    (ward, amira, gateway)
}

#[test]
fn a_clock_an_hour_off_is_told_marked_and_the_patient_watched_all_the_same() {
    let never_set = i64::try_from(NOON_MS).unwrap() - 5_000;
    for behind_ms in [HOUR_MS, -HOUR_MS, never_set] {
        let (mut ward, _, mut gateway) = scene();
        ward.beats_off(&mut gateway, 720, 14, behind_ms);
        assert_eq!(conditions(&ward), [Condition::Clock], "{behind_ms}");
        let now = tile(&ward);
        assert!(!now.technical.stale);
        assert_eq!(now.technical.clock_off_ms, Some(behind_ms));
        let value = now.value(Metric::HeartRate).unwrap();
        assert_eq!(value.at_ms, ward.now_ms.saturating_add_signed(-behind_ms), "marked, never rewritten");
        assert_eq!((value.here_ms, value.age_ms(ward.now_ms)), (ward.now_ms, 0));
        ward.beats_off(&mut gateway, 1400, 12, behind_ms);
        assert_eq!(conditions(&ward), [FAST, Condition::Clock], "{behind_ms}");
        assert!(!alarms(&ward)[0].inhibited);
        ward.pass(250);
        assert_eq!(ward.clinic.counters().clocks_wrong_now, 1);
        let told = ward.clinic.equipment();
        assert_eq!((told.len(), told[0].clock_off_ms), (1, Some(behind_ms)));
    }
}

#[test]
fn a_clock_that_leaps_while_it_runs_hides_no_second_of_the_patient() {
    let (mut ward, amira, mut gateway) = scene();
    ward.beats(&mut gateway, 720, 5);
    ward.beats_off(&mut gateway, 1400, 6, HOUR_MS);
    assert_eq!(conditions(&ward), [Condition::Clock], "told at once");
    ward.beats_off(&mut gateway, 1400, 6, -HOUR_MS);
    assert_eq!(conditions(&ward), [FAST, Condition::Clock], "the leap did not begin the violation anew");
    ward.clinic.acknowledge(&ward.as_("lee"), amira, FAST, ward.now_ms).unwrap();
    ward.beats(&mut gateway, 720, 3);
    assert!(conditions(&ward).is_empty(), "right again, and over");
    assert_eq!(tile(&ward).technical.clock_off_ms, None);
    ward.pass(250);
    assert_eq!(ward.clinic.counters().clock_leaps, 3);
}

/// How far the node’s clock is set back: further than data may be old, and not by whole seconds, for a value of
/// the very millisecond of another counts as the same one told again.
const BACK_MS: u64 = 40_300;

#[test]
fn the_node_s_own_clock_set_back_hides_no_value_and_no_alarm() {
    let (mut ward, _, mut gateway) = scene();
    ward.beats(&mut gateway, 720, 60);
    ward.now_ms -= BACK_MS;
    let behind_ms = -i64::try_from(BACK_MS).unwrap();
    ward.beats_off(&mut gateway, 1400, 1, behind_ms);
    let drawn = tile(&ward);
    let value = drawn.value(Metric::HeartRate).unwrap();
    assert_eq!((value.sample, value.age_ms(ward.now_ms)), (Sample::Measured(1400), 0), "what came last");
    assert!(value.here_ms <= ward.now_ms, "nothing was measured later than now");
    assert!(drawn.sparkline.iter().all(|point| point.at_ms <= ward.now_ms), "no curve in times to come");
    ward.beats_off(&mut gateway, 1400, 11, behind_ms);
    assert!(conditions(&ward).contains(&FAST), "{:?}", conditions(&ward));
}

#[test]
fn a_bed_that_falls_silent_as_the_node_s_clock_is_set_back_is_told_in_time() {
    let (mut ward, amira, mut gateway) = scene();
    ward.beats(&mut gateway, 1400, 60);
    ward.clinic.silence(&ward.as_("lee"), amira, FAST, 120_000, ward.now_ms).unwrap();
    ward.now_ms -= BACK_MS;
    ward.pass(1_000);
    assert!(alarms(&ward)[0].silenced_until_ms <= ward.now_ms, "a silence does not grow");
    ward.pass(15_000);
    assert!(conditions(&ward).contains(&Condition::Stale), "{:?}", conditions(&ward));
}

#[test]
fn what_sat_in_the_journal_of_a_slow_clock_raises_nothing() {
    let (mut ward, _, mut gateway) = scene();
    ward.beats_off(&mut gateway, 720, 20, HOUR_MS);
    let behind = ward.now_ms.saturating_add_signed(-HOUR_MS);
    let backlog: Vec<_> =
        (1..600).map(|second| gateway.sensors[0].pulse(1900, behind + 1_000 * second)).collect();
    ward.pass(620_000);
    ward.carry(gateway.id(), &backlog);
    assert_eq!(conditions(&ward), [Condition::Clock, Condition::Stale]);
    ward.beats_off(&mut gateway, 720, 1, HOUR_MS);
    assert_eq!(conditions(&ward), [Condition::Clock], "live again");
}

#[test]
fn an_alarm_that_stands_in_the_journal_of_a_slow_clock_is_told_with_the_node_s_time() {
    let (mut ward, _, mut gateway) = scene();
    ward.beats_off(&mut gateway, 720, 20, HOUR_MS);
    let began_ms = ward.now_ms + 10_000;
    let behind_ms = began_ms.saturating_add_signed(-HOUR_MS);
    let raised = gateway.sensors[0].alarm(AlarmEventKind::Raised, 1900, behind_ms);
    ward.pass(620_000);
    ward.carry(gateway.id(), &[raised]);
    ward.pass(2_000);
    let told = alarms(&ward).into_iter().find(|alarm| alarm.condition == FAST).expect("it stands");
    assert_eq!((told.phase, told.raised_at_ms), (AlarmPhase::Active, began_ms));
}

#[test]
fn a_journal_that_empties_after_a_restart_of_the_node_passes_for_no_slow_clock() {
    let (mut ward, _, mut gateway) = scene();
    ward.beats(&mut gateway, 720, 5);
    let start = ward.now_ms;
    let backlog: Vec<_> =
        (1..1_200).map(|second| gateway.sensors[0].pulse(1900, start + 1_000 * second)).collect();
    ward.now_ms += 1_200_000;
    let mut ward = ward.reopened();
    for group in backlog.chunks(40) {
        ward.now_ms += 1_000;
        ward.carry(gateway.id(), group);
        ward.clinic.tick(ward.now_ms);
        assert!(!conditions(&ward).contains(&Condition::Clock));
        assert!(!conditions(&ward).contains(&FAST), "{} s late", (ward.now_ms - start) / 1_000);
    }
}

#[test]
fn a_second_hand_stays_told_until_it_is_answered_and_quiet() {
    let (mut ward, amira, mut gateway) = scene();
    ward.beats(&mut gateway, 700, 2);
    let mut copy = gateway.sensors[0].clone_at(ward.clinic.genesis(), Class::Vitals);
    let second = |ward: &mut Ward, copy: &mut testward::Sensor, gateway: &Gateway| {
        let theirs = copy.pulse(1990, ward.now_ms);
        assert!(["equivocation", "prev_broken"].contains(&refusal(&ward.carry(gateway.id(), &[theirs])[0])));
    };
    ward.beats(&mut gateway, 710, 1);
    second(&mut ward, &mut copy, &gateway);
    assert_eq!(conditions(&ward), [Condition::Equivocation]);
    ward.pass(250);
    assert_eq!(ward.clinic.counters().forked_streams_now, 1);
    let lee = ward.as_("lee");
    ward.clinic.acknowledge(&lee, amira, Condition::Equivocation, ward.now_ms).unwrap();
    for _ in 0..20 {
        ward.beats(&mut gateway, 710, 1);
        second(&mut ward, &mut copy, &gateway);
        assert_eq!(alarms(&ward)[0].phase, AlarmPhase::Acknowledged, "one answer is enough");
    }
    assert_eq!(alarms(&ward)[0].episode, 1);
    ward.beats(&mut gateway, 710, 599);
    assert_eq!(conditions(&ward), [Condition::Equivocation]);
    ward.beats(&mut gateway, 710, 2);
    assert!(conditions(&ward).is_empty(), "quiet for ten minutes");
    second(&mut ward, &mut copy, &gateway);
    assert_eq!(alarms(&ward)[0].phase, AlarmPhase::Active, "and there it is again");
}

#[test]
fn an_acknowledged_alarm_does_not_ring_anew_after_a_restart() {
    let (mut ward, amira, mut gateway) = scene();
    ward.beats(&mut gateway, 1400, 12);
    ward.clinic.acknowledge(&ward.as_("lee"), amira, FAST, ward.now_ms).unwrap();
    let before = alarms(&ward)[0].clone();
    let mut ward = ward.reopened();
    assert_eq!(alarms(&ward), [before]);
    ward.beats(&mut gateway, 1400, 30);
    assert_eq!(alarms(&ward)[0].phase, AlarmPhase::Acknowledged);
    assert_eq!(alarms(&ward)[0].owner.as_deref(), Some("lee"));
    assert_eq!(ward.clinic.counters().alarms_raised, 0);
    ward.beats(&mut gateway, 720, 2);
    assert!(conditions(&ward).is_empty());
    assert!(conditions(&ward.reopened()).is_empty(), "and what is over stays over");
}

#[test]
fn an_alarm_that_the_bedside_raised_and_somebody_answered_is_restored_too() {
    let (mut ward, amira, mut gateway) = scene();
    ward.beats(&mut gateway, 1400, 3);
    let raised = gateway.sensors[0].alarm(AlarmEventKind::Raised, 1400, ward.now_ms);
    ward.carry(gateway.id(), &[raised]);
    ward.clinic.acknowledge(&ward.as_("lee"), amira, FAST, ward.now_ms).unwrap();
    let mut ward = ward.reopened();
    ward.beats(&mut gateway, 1400, 15);
    assert_eq!(alarms(&ward)[0].phase, AlarmPhase::Acknowledged);
    ward.beats(&mut gateway, 720, 2);
    let closed = gateway.sensors[0].alarm(AlarmEventKind::Closed, 720, ward.now_ms);
    ward.carry(gateway.id(), &[closed]);
    assert!(conditions(&ward).is_empty());
    assert!(conditions(&ward.reopened()).is_empty());
}

#[test]
fn an_unanswered_alarm_goes_on_after_a_restart_where_it_stood() {
    let (mut ward, _, mut gateway) = scene();
    ward.beats(&mut gateway, 1400, 75);
    let before = alarms(&ward)[0].clone();
    assert_eq!((before.phase, before.escalated), (AlarmPhase::Active, 1));
    let mut ward = ward.reopened();
    assert_eq!(alarms(&ward), std::slice::from_ref(&before));
    ward.beats(&mut gateway, 1400, 10);
    assert_eq!(alarms(&ward)[0].escalated, 1, "no step is told twice");
    ward.beats(&mut gateway, 720, 3);
    assert_eq!(alarms(&ward)[0].phase, AlarmPhase::Recovered, "over, and still unanswered");
    let ward = ward.reopened();
    assert_eq!((alarms(&ward)[0].phase, alarms(&ward)[0].episode), (AlarmPhase::Recovered, before.episode));
}

#[test]
fn gaps_and_second_hands_are_still_told_after_a_restart() {
    let (mut ward, _, mut gateway) = scene();
    let beats: Vec<_> =
        (1..=5).map(|second| gateway.sensors[0].pulse(700, NOON_MS + 1_000 * second)).collect();
    let mut copy = gateway.sensors[0].clone_at(ward.clinic.genesis(), Class::Vitals);
    ward.now_ms += 5_000;
    ward.carry(gateway.id(), &[beats[0].clone(), beats[3].clone(), beats[4].clone()]);
    let stream = Envelope::decode(&beats[0]).unwrap().header.stream;
    let ours = gateway.sensors[0].pulse(700, ward.now_ms);
    let theirs = copy.pulse(1990, ward.now_ms);
    ward.carry(gateway.id(), &[ours, theirs]);
    let told = |ward: &Ward| {
        let now = tile(ward);
        let missing = now.technical.missing[0].clone();
        assert_eq!((missing.stream, missing.class), (stream, Class::Vitals));
        assert_eq!((missing.count, missing.seqs.as_slice()), (2, [(1, 2)].as_slice()));
        let mut conditions: Vec<_> = now.alarms.iter().map(|alarm| alarm.condition).collect();
        conditions.sort_unstable();
        assert_eq!(conditions, [Condition::Equivocation, Condition::Gap]);
    };
    told(&ward);
    ward.pass(250);
    assert_eq!((ward.clinic.counters().missing_now, ward.clinic.counters().forked_streams_now), (2, 1));
    let mut ward = ward.reopened();
    told(&ward);
    let late = ward.carry(gateway.id(), &[beats[2].clone(), beats[1].clone()]);
    assert!(late.iter().all(|answer| matches!(answer.verdict, Verdict::Admitted { .. })));
    assert_eq!(conditions(&ward), [Condition::Equivocation]);
    assert!(tile(&ward).technical.missing.is_empty());
}
