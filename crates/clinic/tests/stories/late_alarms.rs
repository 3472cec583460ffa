//! Alarms of the bedside that arrive late, because its gateway was cut off or the node stopped: what still
//! stands rings, what is over is shown as over, and each condition is one entry.

use clinic::ChartRequest;
use clinic::views::{AlarmPhase, AlarmSource, AlarmView, LiveEvent};
use std::sync::Arc;
use testward::{Gateway, NOON_MS, Ward};
use tokio::sync::broadcast::Receiver;
use vitals::PatientId;
use vitals::alarm::{AlarmEventKind, Condition, Priority};
use vitals::ids::Class;
use vitals::ledger::Purpose;
use vitals::metric::Metric;

const FAST: Condition = Condition::Above(Metric::HeartRate);
/// The wall must know what arrived late after at most this long.
const TOLD_WITHIN_MS: u64 = 2_000;

fn scene() -> (Ward, PatientId, Gateway) {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 720, 3);
    (ward, amira, gateway)
}

fn open(ward: &Ward) -> Vec<AlarmView> {
    ward.wall_now().strip
}

fn alarm(ward: &Ward, condition: Condition) -> Option<AlarmView> {
    open(ward).into_iter().find(|alarm| alarm.condition == condition)
}

/// Time passes in the steps of a running node, until late alarms must be told.
fn settle(ward: &mut Ward) {
    (0..TOLD_WITHIN_MS / 250).for_each(|_| ward.pass(250));
}

/// How often pages were told that an alarm of this condition rings.
fn rang(events: &mut Receiver<Arc<LiveEvent>>, condition: Condition) -> usize {
    let events = std::iter::from_fn(|| events.try_recv().ok());
    let rings = |event: Arc<LiveEvent>| match &*event {
        LiveEvent::Alarm(view) => view.condition == condition && view.phase == AlarmPhase::Active,
        _ => false,
    };
    events.filter(|event| rings(Arc::clone(event))).count()
}

fn history(ward: &Ward, patient: PatientId) -> Vec<(AlarmEventKind, AlarmSource)> {
    let span_ms = (NOON_MS, ward.now_ms);
    let classes = vec![Class::Vitals, Class::Alarms];
    let ask = ChartRequest { patient, purpose: Purpose::Own, classes, span_ms, make_do: false };
    let chart = ward.clinic.open_chart(&ward.as_("amira"), &ask, ward.now_ms).unwrap();
    let marks = chart.alarms.into_iter().filter(|mark| mark.event.condition == FAST);
    marks.map(|mark| (mark.event.kind, mark.source)).collect()
}

#[test]
fn an_alarm_that_the_bedside_still_holds_rings_when_its_word_comes_late() {
    let (mut ward, amira, mut gateway) = scene();
    let began_ms = ward.now_ms + 10_000;
    let raised = gateway.sensors[0].alarm(AlarmEventKind::Raised, 1900, began_ms);
    ward.pass(20_000);
    ward.pass(40_000);
    ward.carry(gateway.id(), &[raised]);
    settle(&mut ward);
    let alarm_now = alarm(&ward, FAST).expect("it stands on the wall");
    assert_eq!((alarm_now.phase, alarm_now.priority), (AlarmPhase::Active, Priority::High));
    assert_eq!((alarm_now.raised_at_ms, alarm_now.value), (began_ms, 1900), "with the time it began");
    assert_eq!(ward.clinic.counters().alarms_raised, 2, "it and the lost connection");
    ward.clinic.acknowledge(&ward.as_("lee"), amira, FAST, ward.now_ms).unwrap();
    assert_eq!(alarm(&ward, FAST).unwrap().phase, AlarmPhase::Acknowledged);
    let over = gateway.sensors[0].alarm(AlarmEventKind::Recovered, 720, ward.now_ms);
    ward.carry(gateway.id(), &[over]);
    assert_eq!(alarm(&ward, FAST), None);
}

#[test]
fn an_alarm_that_began_and_ended_unheard_stands_as_over_and_rings_nobody() {
    let (mut ward, amira, mut gateway) = scene();
    let (began_ms, over_ms) = (ward.now_ms + 5_000, ward.now_ms + 30_000);
    let sensor = &mut gateway.sensors[0];
    let raised = sensor.alarm(AlarmEventKind::Raised, 1900, began_ms);
    let over = sensor.alarm(AlarmEventKind::Recovered, 720, over_ms);
    let low = Condition::Above(Metric::Co2);
    let low = [(AlarmEventKind::Raised, 2100, began_ms), (AlarmEventKind::Closed, 1000, over_ms)]
        .map(|(what, value, at_ms)| sensor.alarm_of(low, Priority::Low, what, value, at_ms));
    let mut events = ward.clinic.observer().events();
    ward.pass(60_000);
    for bytes in [raised, over].into_iter().chain(low) {
        ward.carry(gateway.id(), &[bytes]);
    }
    settle(&mut ward);
    ward.beats(&mut gateway, 720, 2);
    assert_eq!(rang(&mut events, FAST), 0, "it is over");
    let alarms = open(&ward);
    assert_eq!(alarms.len(), 1, "a low alarm that is over asks for no answer: {alarms:?}");
    assert_eq!((alarms[0].condition, alarms[0].phase), (FAST, AlarmPhase::Recovered));
    assert_eq!((alarms[0].raised_at_ms, alarms[0].priority), (began_ms, Priority::High));
    let bedside = AlarmSource::Bedside;
    assert_eq!(
        history(&ward, amira),
        [(AlarmEventKind::Raised, bedside), (AlarmEventKind::Recovered, bedside)]
    );
    let ward = ward.reopened();
    assert_eq!(alarm(&ward, FAST).map(|alarm| alarm.phase), Some(AlarmPhase::Recovered), "still unanswered");
    ward.clinic.acknowledge(&ward.as_("lee"), amira, FAST, ward.now_ms).unwrap();
    assert!(open(&ward.reopened()).iter().all(|alarm| alarm.condition != FAST), "answered for good");
}

#[test]
fn an_hour_of_late_alarms_is_one_entry_and_rings_only_for_what_stands() {
    for stands in [false, true] {
        let (mut ward, _, mut gateway) = scene();
        let start_ms = ward.now_ms;
        let mut backlog = Vec::new();
        for minute in 1..60 {
            let at_ms = start_ms + minute * 60_000;
            backlog.push(gateway.sensors[0].alarm(AlarmEventKind::Raised, 1900, at_ms));
            backlog.push(gateway.sensors[0].alarm(AlarmEventKind::Recovered, 720, at_ms + 20_000));
        }
        let last_ms = start_ms + 3_590_000;
        if stands {
            backlog.push(gateway.sensors[0].alarm(AlarmEventKind::Raised, 1950, last_ms));
        }
        ward.pass(3_600_000 + 20_000);
        let mut events = ward.clinic.observer().events();
        for some in backlog.chunks(7) {
            ward.carry(gateway.id(), some);
            ward.pass(250);
        }
        settle(&mut ward);
        let alarms: Vec<_> = open(&ward).into_iter().filter(|alarm| alarm.condition == FAST).collect();
        assert_eq!(alarms.len(), 1);
        assert_eq!(rang(&mut events, FAST), usize::from(stands));
        let expected = if stands { AlarmPhase::Active } else { AlarmPhase::Recovered };
        assert_eq!(alarms[0].phase, expected);
        if stands {
            assert_eq!(alarms[0].raised_at_ms, last_ms);
        }
    }
}

#[test]
fn a_backlog_that_does_not_end_holds_no_alarm_back() {
    let (mut ward, _, mut gateway) = scene();
    let began_ms = ward.now_ms + 1_000;
    let backlog: Vec<_> = (0..40)
        .map(|n| gateway.sensors[0].alarm(AlarmEventKind::Raised, 1900 + n, began_ms + 1_000))
        .collect();
    ward.pass(300_000);
    for (step, one) in backlog.into_iter().enumerate() {
        ward.carry(gateway.id(), &[one]);
        ward.pass(250);
        if step == 24 {
            assert!(alarm(&ward, FAST).is_some(), "after six seconds of them");
        }
    }
}

#[test]
fn what_a_bedside_still_holds_rings_again_after_a_restart_of_the_node() {
    let (mut ward, _, mut gateway) = scene();
    let raised = gateway.sensors[0].alarm(AlarmEventKind::Raised, 1400, ward.now_ms);
    ward.carry(gateway.id(), &[raised]);
    let before = alarm(&ward, FAST).unwrap();
    assert_eq!(before.phase, AlarmPhase::Active, "by the bedside’s word alone");
    let mut ward = ward.reopened();
    assert_eq!(alarm(&ward, FAST), Some(before.clone()));
    // Still late when the node stopped: nobody had been told.
    let worse_ms = ward.now_ms + 10_000;
    let co2 = Condition::Above(Metric::Co2);
    let late = gateway.sensors[0].alarm_of(co2, Priority::Medium, AlarmEventKind::Raised, 9_000, worse_ms);
    ward.pass(60_000);
    ward.carry(gateway.id(), &[late]);
    let mut ward = ward.killed();
    let told = alarm(&ward, co2).expect("from the record");
    assert_eq!((told.phase, told.raised_at_ms), (AlarmPhase::Active, worse_ms));
    // The bedside started again and forgot: the node's own view ends it after a minute.
    ward.beats(&mut gateway, 720, 65);
    assert_eq!(alarm(&ward, FAST).map(|alarm| alarm.phase), Some(AlarmPhase::Recovered));
}

#[test]
fn a_bedside_that_started_again_holds_none_of_its_technical_alarms() {
    const SILENT: Condition = Condition::NotListening;
    for restart_of_the_node in [false, true] {
        let (mut ward, _, mut gateway) = scene();
        let technical = Priority::Technical;
        let raised = gateway.sensors[0].alarm_of(SILENT, technical, AlarmEventKind::Raised, 0, ward.now_ms);
        ward.pass(60_000);
        ward.carry(gateway.id(), &[raised]);
        settle(&mut ward);
        assert_eq!(alarm(&ward, SILENT).map(|alarm| alarm.phase), Some(AlarmPhase::Active));
        if restart_of_the_node {
            ward = ward.reopened();
            assert!(alarm(&ward, SILENT).is_some());
        }
        ward.beats(&mut gateway, 720, 3);
        assert!(alarm(&ward, SILENT).is_some(), "the same run still holds it");
        gateway.sensors[0].restarted(ward.clinic.genesis());
        ward.beats(&mut gateway, 720, 3);
        assert_eq!(alarm(&ward, SILENT), None, "what stands it raises anew");
        assert_eq!(alarm(&ward.reopened(), SILENT), None);
    }
}

#[test]
fn an_answer_from_before_the_outage_is_none_to_what_came_back_during_it() {
    for stands in [true, false] {
        let (mut ward, amira, mut gateway) = scene();
        ward.beats(&mut gateway, 1400, 12);
        let raised = gateway.sensors[0].alarm(AlarmEventKind::Raised, 1400, ward.now_ms);
        ward.carry(gateway.id(), &[raised]);
        ward.clinic.acknowledge(&ward.as_("lee"), amira, FAST, ward.now_ms).unwrap();
        let back_ms = ward.now_ms + 30_000;
        let mut late = vec![
            gateway.sensors[0].alarm(AlarmEventKind::Closed, 720, ward.now_ms + 10_000),
            gateway.sensors[0].alarm(AlarmEventKind::Raised, 1900, back_ms),
        ];
        if !stands {
            late.push(gateway.sensors[0].alarm(AlarmEventKind::Recovered, 720, back_ms + 10_000));
        }
        ward.pass(60_000);
        ward.carry(gateway.id(), &late);
        settle(&mut ward);
        let phase = if stands { AlarmPhase::Active } else { AlarmPhase::Recovered };
        let told = alarm(&ward, FAST).unwrap();
        assert_eq!((told.phase, told.owner.as_deref()), (phase, None));
        assert_eq!(told.active_since_ms, back_ms);
        let ward = ward.reopened();
        assert_eq!(alarm(&ward, FAST).map(|alarm| alarm.phase), Some(phase), "after a restart as well");
    }
}

#[test]
fn an_answer_at_the_bedside_holds_for_an_episode_that_is_told_late() {
    let (mut ward, amira, mut gateway) = scene();
    ward.beats(&mut gateway, 1400, 12);
    ward.clinic.acknowledge(&ward.as_("lee"), amira, FAST, ward.now_ms).unwrap();
    let late: Vec<_> = [
        (AlarmEventKind::Raised, 500),
        (AlarmEventKind::Acknowledged, 2_000),
        (AlarmEventKind::Closed, 20_000),
    ]
    .into_iter()
    .map(|(what, after_ms)| gateway.sensors[0].alarm(what, 1400, ward.now_ms + after_ms))
    .collect();
    ward.pass(60_000);
    ward.carry(gateway.id(), &late);
    settle(&mut ward);
    ward.beats(&mut gateway, 720, 2);
    assert_eq!(alarm(&ward, FAST), None, "answered and over");
}

#[test]
fn an_old_event_that_fills_a_gap_rings_for_nothing_that_is_over() {
    let (mut ward, _, mut gateway) = scene();
    let raised = gateway.sensors[0].alarm(AlarmEventKind::Raised, 1900, ward.now_ms);
    ward.pass(10_000);
    let over = gateway.sensors[0].alarm(AlarmEventKind::Recovered, 720, ward.now_ms);
    ward.carry(gateway.id(), &[over]);
    let mut events = ward.clinic.observer().events();
    ward.pass(30_000);
    ward.carry(gateway.id(), &[raised]);
    settle(&mut ward);
    assert_eq!(rang(&mut events, FAST), 0);
    assert_eq!(alarm(&ward, FAST).map(|alarm| alarm.phase), Some(AlarmPhase::Recovered));
}
