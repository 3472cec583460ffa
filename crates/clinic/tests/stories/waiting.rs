//! A slow disk and a slow ledger: nobody who watches waits for either.

use clinic::views::LiveEvent;
use clinic::{Arrival, Verdict};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use testward::Ward;
use vitals::alarm::Condition;
use vitals::metric::Metric;

const FAST: Condition = Condition::Above(Metric::HeartRate);
/// Long enough for any machine; nothing here takes a thousandth of it unless it waits for a gate.
const AT_MOST: Duration = Duration::from_secs(20);

/// Runs `work` on a thread of its own; gives its answer, unless it waits for something.
fn unless_it_waits<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, answer) = mpsc::channel();
    thread::spawn(move || done.send(work()));
    answer.recv_timeout(AT_MOST).ok()
}

#[test]
fn no_tick_and_no_alarm_waits_for_disk_or_ledger() {
    let (mut ward, [amira, bela]) = Ward::with(["amira", "bela"]);
    let mut gateway = ward.gateway(1, &[amira, bela]);
    ward.beats(&mut gateway, 720, 3);
    let (clinic, now_ms) = (ward.clinic.clone(), ward.now_ms);
    let later_ms = now_ms + 14_000;
    let from = gateway.id();
    let mut racing = |board: usize| -> Vec<Arrival> {
        let sensor = &mut gateway.sensors[board];
        let pulses: Vec<Vec<u8>> = (1..=14).map(|n| sensor.pulse(1900, now_ms + n * 1000)).collect();
        pulses.into_iter().map(|bytes| Arrival { from, bytes }).collect()
    };
    // One racing heart is noticed and not written down yet; another one is admitted and not looked at.
    clinic.admit(&racing(0), later_ms).unwrap();
    clinic.watch_beds(later_ms);
    assert!(clinic.counters().alarm_events_unwritten_now > 0);
    let answers = clinic.admit(&racing(1), later_ms).unwrap();
    assert!(answers.iter().all(|answer| matches!(answer.verdict, Verdict::Admitted { .. })));
    let mut events = clinic.observer().events();

    // Somebody writes, and somebody asks the ledger; both will be held for as long as the gates are shut.
    ward.switches.sync.shut();
    ward.ledger.questions.shut();
    let writer = {
        let clinic = clinic.clone();
        thread::spawn(move || clinic.write_alarm_events(later_ms))
    };
    let keeper = {
        let clinic = clinic.clone();
        // A block has passed, as far as anybody knows: every lease is asked about again.
        clinic.observer().forget_decisions();
        thread::spawn(move || clinic.keep_watch(later_ms))
    };

    let watching = clinic.clone();
    let watched = unless_it_waits(move || {
        // What arrived, one after the other, as it would have been seen.
        watching.watch_beds(later_ms);
        watching.watch_beds(later_ms + 200);
    });
    assert!(watched.is_some(), "watching waits for the disk or the ledger");
    let told = core::iter::from_fn(|| events.try_recv().ok());
    let raised = told.filter(
        |event| matches!(&**event, LiveEvent::Alarm(view) if view.condition == FAST && view.patient == bela),
    );
    assert!(raised.count() > 0, "the alarm rings while disk and ledger are held");
    // A page that is open draws its bed, health and counters.
    let drawing = clinic.clone();
    let drawn = unless_it_waits(move || {
        let tile = drawing.observer().tile(bela, &clinic::MONITORED, later_ms).unwrap();
        (tile.alarms.len(), drawing.health(later_ms).height, drawing.counters().admitted)
    });
    assert_eq!(drawn.map(|(alarms, ..)| alarms), Some(1), "drawing waits for the disk or the ledger");
    assert!(!keeper.is_finished(), "the ledger really did not answer");
    assert!(!writer.is_finished(), "the disk really did not answer");

    ward.ledger.questions.open();
    ward.switches.sync.open();
    keeper.join().unwrap();
    writer.join().unwrap();
    // Now it is written down as well.
    clinic.write_alarm_events(later_ms);
    assert_eq!(clinic.counters().alarm_events_unwritten_now, 0);
}

#[test]
fn admission_waits_for_the_disk_and_for_no_ledger_that_it_knows() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 720, 2);
    let (clinic, now_ms) = (ward.clinic.clone(), ward.now_ms + 1_000);
    let bytes = gateway.sensors[0].pulse(720, now_ms);
    let arrival = Arrival { from: gateway.id(), bytes };
    ward.ledger.questions.shut();
    let admitting: Arc<_> = clinic.clone();
    let admitted = unless_it_waits(move || admitting.admit(&[arrival], now_ms).unwrap());
    ward.ledger.questions.open();
    let admitted = admitted.expect("a known device is admitted while the ledger is asked by nobody");
    assert!(matches!(admitted[0].verdict, Verdict::Admitted { .. }));
}
