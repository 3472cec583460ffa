//! A disk that takes no entry: nothing is shown without its trace, nobody is left without an alarm, and it is told.

use clinic::Verdict;
use clinic::views::{Hidden, LiveEvent};
use std::sync::atomic::Ordering;
use testward::{Gateway, Ward};
use vitals::PatientId;
use vitals::alarm::Priority;

/// Two watched patients behind two gateways.
fn scene() -> (Ward, [PatientId; 2], [Gateway; 2]) {
    let (mut ward, [amira, bela]) = Ward::with(["amira", "bela"]);
    let mut gateways = [ward.gateway(1, &[amira]), ward.gateway(2, &[bela])];
    for gateway in &mut gateways {
        ward.beats(gateway, 720, 2);
    }
    (ward, [amira, bela], gateways)
}

#[test]
fn a_wall_whose_looks_cannot_be_recorded_names_its_beds_and_shows_them_once_they_can() {
    let (ward, _, _) = scene();
    ward.switches.full.store(true, Ordering::SeqCst);
    let before = ward.clinic.store().size();
    let wall = ward.clinic.wall(&ward.as_("lee"), ward.now_ms).unwrap();
    assert_eq!((wall.tiles.len(), wall.hidden.len(), wall.unmonitored), (0, 2, 0), "no value");
    assert_eq!(wall.hidden[0].place, "bed of amira");
    assert_eq!(ward.clinic.store().size(), before);
}

#[test]
fn of_beds_that_cannot_be_shown_the_one_with_the_worst_alarm_comes_first() {
    let (mut ward, [amira, bela], [_, mut second]) = scene();
    ward.beats(&mut second, 1900, 12);
    ward.switches.full.store(true, Ordering::SeqCst);
    let wall = ward.clinic.wall(&ward.as_("lee"), ward.now_ms).unwrap();
    let order: Vec<_> = wall.hidden.iter().map(|bed| (bed.patient, bed.alarm.is_some())).collect();
    assert_eq!(order, [(bela, true), (amira, false)]);
}

#[test]
fn the_alarm_of_a_bed_that_cannot_be_shown_rings_on_when_its_sensor_comes_off() {
    let (mut ward, _, [mut gateway, _]) = scene();
    ward.beats(&mut gateway, 1900, 12);
    for _ in 0..12 {
        ward.pass(1000);
        let off = gateway.sensors[0].finger_off(ward.now_ms);
        ward.carry(gateway.id(), &[off]);
    }
    ward.switches.full.store(true, Ordering::SeqCst);
    let wall = ward.clinic.wall(&ward.as_("lee"), ward.now_ms).unwrap();
    let alarm = wall.hidden[0].alarm.unwrap();
    assert_eq!(
        (alarm.priority, alarm.rings),
        (Priority::High, true),
        "as it does on every page that shows it"
    );
}

#[test]
fn the_entries_of_a_wall_are_written_with_one_sync() {
    let (ward, _, _) = scene();
    ward.clinic.write_alarm_events(ward.now_ms);
    let before = ward.switches.syncs.load(Ordering::SeqCst);
    let wall = ward.clinic.wall(&ward.as_("lee"), ward.now_ms).unwrap();
    assert_eq!(wall.tiles.len(), 2);
    assert_eq!(ward.switches.syncs.load(Ordering::SeqCst) - before, 1);
}

#[test]
fn an_open_wall_shows_a_hidden_bed_once_its_look_is_recorded_and_tells_its_alarm_until_then() {
    let (mut ward, [amira, _], [mut gateway, _]) = scene();
    let lee = ward.as_("lee");
    ward.switches.full.store(true, Ordering::SeqCst);
    let mut wall = ward.clinic.follow_wall(&lee, ward.now_ms).unwrap();
    assert!(
        ward.clinic.health(ward.now_ms).looks_not_recorded && ward.clinic.counters().looks_not_recorded == 2
    );
    ward.switches.full.store(false, Ordering::SeqCst);
    ward.beats(&mut gateway, 1900, 12);
    ward.switches.full.store(true, Ordering::SeqCst);
    let events = wall.take(ward.now_ms).unwrap();
    let told = |event: &LiveEvent| match event {
        LiveEvent::Hidden(bed) if bed.patient == amira => bed.alarm,
        LiveEvent::Readings { .. } | LiveEvent::Alarm(_) => panic!("a value of a bed that is hidden"),
        _ => None,
    };
    let alarm = events.iter().find_map(|event| told(event)).expect("the alarm is told");
    assert_eq!((alarm.priority, alarm.rings), (Priority::High, true));
    assert!(wall.tile(amira, ward.now_ms).is_err());
    let shown = wall.wall(ward.now_ms);
    assert_eq!((shown.tiles.len(), shown.hidden.len(), shown.strip.len()), (0, 2, 0));
    assert!(shown.hidden.iter().all(|bed| bed.why == Hidden::NotRecorded && bed.watched));
    // It can be recorded again.
    ward.switches.full.store(false, Ordering::SeqCst);
    ward.pass(1_000);
    let events = wall.take(ward.now_ms).unwrap();
    assert!(
        events.iter().any(|event| matches!(&**event, LiveEvent::Changed { patient } if *patient == amira))
    );
    let shown = wall.wall(ward.now_ms);
    assert_eq!((shown.tiles.len(), shown.hidden.len(), shown.strip.len()), (2, 0, 1));
    assert!(!ward.clinic.health(ward.now_ms).looks_not_recorded);
    let log = ward.clinic.access_log(&ward.as_("amira"), ward.now_ms).unwrap();
    assert!(log.iter().any(|entry| entry.reader == "lee"), "shown after its entry");
}

#[test]
fn a_record_that_the_disk_refuses_is_told_until_it_is_written_again() {
    let (mut ward, _, [mut gateway, _]) = scene();
    assert!(!ward.clinic.health(ward.now_ms).record_refused);
    ward.switches.full.store(true, Ordering::SeqCst);
    ward.pass(1_000);
    let beat = gateway.sensors[0].pulse(720, ward.now_ms);
    let stored = ward.clinic.store().size();
    let answers = ward.carry(gateway.id(), std::slice::from_ref(&beat));
    assert!(matches!(answers[0].verdict, Verdict::Busy(_)), "the bedside keeps it");
    assert!(ward.clinic.health(ward.now_ms).record_refused);
    ward.switches.full.store(false, Ordering::SeqCst);
    let answers = ward.carry(gateway.id(), &[beat]);
    assert!(matches!(answers[0].verdict, Verdict::Admitted { .. }), "sent again, it is stored");
    assert_eq!(ward.clinic.store().size(), stored + 1);
    assert!(!ward.clinic.health(ward.now_ms).record_refused);
}
