#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use vitals::alarm::{AlarmEventKind, Priority};
use vitals::metric::Sample;
use vitals::{Metric, PersonId};

const FAST: Condition = Condition::Above(Metric::HeartRate);

fn reading(at_ms: u64) -> Reading {
    Reading { metric: Metric::HeartRate, at_ms, sample: Sample::Measured(720) }
}

fn event(at_ms: u64, condition: Condition, kind: AlarmEventKind) -> AlarmEvent {
    let (episode, priority, value, by) = (1, Priority::High, 0, PersonId([0; 32]));
    AlarmEvent { at_ms, condition, episode, kind, priority, value, by }
}

fn sampled(n: usize, at_ms: u64, readings: usize, alarms: Vec<AlarmEvent>) -> Sampled {
    Sampled { n, at_ms, readings: vec![reading(at_ms); readings], alarms, confirmations: Vec::new() }
}

fn queue(readings_max: usize, alarm_events_max: usize) -> RecorderQueue {
    let queue = RecorderQueue::new(0, Arc::default());
    queue.bound(readings_max, alarm_events_max);
    queue
}

/// Readings and alarm events that wait, as the figures tell it.
fn waiting(queue: &RecorderQueue) -> (u64, u64) {
    let figures = queue.counters.summary();
    (figures.readings_waiting, figures.alarm_events_waiting)
}

/// Everything that waits, as the recorder would take it.
fn drain(queue: &RecorderQueue) -> Vec<Sampled> {
    let mut all = Vec::new();
    loop {
        let work = queue.take();
        all.extend(work.sampled);
        if work.is_last {
            return all;
        }
    }
}

#[test]
fn what_waits_is_taken_in_order_and_once() {
    let queue = queue(10_000, 10_000);
    for at_ms in 0..1_000 {
        let happened = vec![event(at_ms, FAST, AlarmEventKind::Raised)];
        queue.put(vec![sampled(0, at_ms, 2, happened), sampled(1, at_ms, 1, vec![])], at_ms, at_ms);
    }
    let taken = drain(&queue);
    assert_eq!(taken.len(), 2_000);
    let of_first = taken.iter().filter(|sampled| sampled.n == 0);
    assert!(of_first.map(|sampled| sampled.at_ms).eq(0..1_000));
    assert_eq!(waiting(&queue), (0, 0));
    queue.put(Vec::new(), 1_100, 1_100);
    assert!(drain(&queue).is_empty());
}

#[test]
fn without_room_new_readings_are_given_up_and_no_alarm_is() {
    let queue = queue(10, 4);
    let mut dropped = 0;
    for at_ms in 0..8 {
        let happened = vec![event(at_ms, FAST, AlarmEventKind::Raised)];
        dropped += queue.put(vec![sampled(0, at_ms, 4, happened)], at_ms, at_ms).readings;
        let (readings, alarm_events) = waiting(&queue);
        assert!(readings <= 10 && alarm_events <= 4 + 1);
    }
    assert_eq!(dropped, 6 * 4, "two polls of four fit");
    queue.put(vec![sampled(1, 8, 0, vec![event(8, Condition::Stale, AlarmEventKind::Raised)])], 8, 8);
    queue.put(vec![sampled(0, 9, 0, vec![event(9, FAST, AlarmEventKind::Closed)])], 9, 9);
    let taken = drain(&queue);
    assert_eq!(taken.iter().map(|sampled| sampled.readings.len()).sum::<usize>(), 8);
    let events: Vec<_> = taken
        .iter()
        .flat_map(|sampled| sampled.alarms.iter().map(|event| (sampled.n, event.condition, event.at_ms)))
        .collect();
    // The first four, and then of each bed and condition the last, in the order of their times.
    let first: Vec<_> = (0..4).map(|at_ms| (0, FAST, at_ms)).collect();
    assert_eq!(events, [first, vec![(1, Condition::Stale, 8), (0, FAST, 9)]].concat());
    assert_eq!(taken.last().unwrap().alarms[0].kind, AlarmEventKind::Closed, "as it stands now");
    // There is room again.
    let no_room = queue.put(vec![sampled(0, 10, 4, vec![event(10, FAST, AlarmEventKind::Raised)])], 10, 10);
    assert_eq!((no_room, waiting(&queue)), (NoRoom::default(), (4, 1)));
}

#[test]
fn an_event_overtakes_none_that_waits_for_its_turn() {
    let queue = queue(10_000, POLLS_AT_ONCE_MAX + 10);
    let put = |at_ms: u64| {
        let happened = vec![event(at_ms, FAST, AlarmEventKind::Raised)];
        queue.put(vec![sampled(0, at_ms, 0, happened)], at_ms, at_ms);
    };
    let full = POLLS_AT_ONCE_MAX as u64 + 10;
    (0..=full).for_each(put);
    // The recorder takes a part: there is room, and yet the last event must come after the one before it.
    assert_eq!(queue.take().sampled.len(), POLLS_AT_ONCE_MAX);
    put(full + 1);
    let times: Vec<u64> = drain(&queue).iter().map(|sampled| sampled.at_ms).collect();
    let expected: Vec<u64> = (POLLS_AT_ONCE_MAX as u64..full).chain([full + 1]).collect();
    assert_eq!(times, expected);
}

#[test]
fn the_age_of_what_is_not_recorded_counts_what_the_recorder_has_in_hand() {
    let queue = queue(10, 10);
    assert_eq!(queue.take_summary().oldest_ms, None);
    queue.put(vec![sampled(0, 5, 1, vec![])], 5, 5);
    assert_eq!(queue.take_summary().oldest_ms, Some(5));
    assert_eq!(queue.take().sampled.len(), 1);
    queue.put(vec![sampled(0, 6, 1, vec![])], 6, 6);
    assert_eq!(queue.take_summary().oldest_ms, Some(5), "taken is not recorded");
    queue.done(Standing::default());
    assert_eq!(queue.take_summary().oldest_ms, Some(6));
}

#[test]
fn what_the_node_sends_is_bounded_and_its_session_begins_anew() {
    let queue = queue(10, 10);
    for _ in 0..NODE_EVENTS_MAX {
        queue.event(Event::Receipt(vec![1]));
    }
    assert_eq!(queue.state().events.len(), NODE_EVENTS_MAX);
    queue.event(Event::Receipt(vec![1]));
    assert!(queue.state().events.is_empty());
    for _ in 0..9 {
        queue.event(Event::Proof(vec![0; NODE_BYTES_MAX / 8]));
        assert!(queue.state().event_bytes <= NODE_BYTES_MAX);
    }
    let work = queue.take();
    assert!(work.events_dropped && work.events.is_empty());
    queue.event(Event::Receipt(vec![1]));
    assert!(!queue.take().events_dropped, "said once");
}

#[test]
fn a_session_leaves_its_evidence_and_orders_to_the_next_and_not_its_answers() {
    let queue = queue(10, 10);
    let id = link::PublishId(3);
    let kept = [Event::Receipt(vec![1]), Event::Proof(vec![2]), Event::Command(vec![3])];
    queue.event(Event::Acked { id });
    kept.iter().cloned().for_each(|event| queue.event(event));
    let (why, sentence) = (link::Rejection::Conflict, String::new());
    queue.event(Event::Refused { id, why, sentence });
    queue.session(Session::Over);
    queue.event(Event::Acked { id });
    let work = queue.take();
    assert!(matches!(work.session, Some(Session::Over)));
    assert!(work.events.into_iter().eq(kept.into_iter().chain([Event::Acked { id }])));
}
