#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use proptest::prelude::*;
use vitals::{Genesis, PatientId, PersonId};

const SENSOR: DeviceId = DeviceId([1; 16]);
const GATEWAY: DeviceId = DeviceId([9; 16]);
const NOON_MS: u64 = 1_795_348_800_000;

fn pulse(high: i32) -> Limits {
    Limits { above: [None, None, Some(high)], ..Limits::adult(Metric::HeartRate).unwrap() }
}

fn order(sensor: DeviceId, seq: u64, at_ms: u64, action: Action) -> SignedCommand {
    let until_ms = at_ms + action.force_ms_max();
    let command = Command {
        genesis: Genesis([1; 32]),
        gateway: GATEWAY,
        bedside: sensor,
        patient: PatientId([4; 16]),
        seq,
        at_ms,
        deliver_by_ms: until_ms,
        in_force_until_ms: until_ms,
        by: PersonId([7; 32]),
        action,
    };
    SignedCommand { command, signature: [0; 64] }
}

fn word(signed: &SignedCommand, outcome: Outcome) -> Confirmation {
    Confirmation {
        at_ms: 0,
        seq: signed.command.seq,
        command: signed.command.hash(),
        outcome,
        until_ms: 0,
        limits: None,
    }
}

#[test]
fn an_order_is_sent_until_the_bedside_answers_and_not_beyond_its_time() {
    let mut orders = Orders::default();
    let pause = order(SENSOR, 1, NOON_MS, Action::Silence { condition: Condition::Above(Metric::HeartRate) });
    orders.note(pause);
    assert_eq!(orders.due(&|_| false, NOON_MS), [], "nobody is connected");
    assert_eq!(orders.due(&|gateway| gateway == GATEWAY, NOON_MS), [pause]);
    orders.sent(&pause.command, true, NOON_MS);
    assert_eq!(orders.due(&|_| true, NOON_MS + AGAIN_MS - 1), []);
    assert_eq!(orders.due(&|_| true, NOON_MS + AGAIN_MS), [pause]);
    orders.sent(&pause.command, true, NOON_MS + AGAIN_MS);
    orders.connected(GATEWAY);
    assert_eq!(orders.due(&|_| true, NOON_MS + AGAIN_MS), [pause], "it is back");
    assert_eq!(orders.due(&|_| true, pause.command.deliver_by_ms + 1), [], "too late");
    orders.confirmed(SENSOR, &[word(&pause, Outcome::InForce)], NOON_MS + 20_000);
    assert_eq!(orders.due(&|_| true, NOON_MS + 60_000), []);
}

#[test]
fn until_every_bedside_has_taken_limits_those_at_the_others_count_beside_them() {
    let other = DeviceId([2; 16]);
    let mut orders = Orders::default();
    let adult = Limits::adult(Metric::HeartRate).unwrap();
    assert_eq!(orders.elsewhere(&pulse(1500)), None, "there is no bedside");
    orders.sensors_are(vec![(SENSOR, GATEWAY), (other, GATEWAY)], NOON_MS);
    assert_eq!(orders.elsewhere(&adult), None);
    let (one, two) = (
        order(SENSOR, 1, NOON_MS, Action::Limits(pulse(1500))),
        order(other, 1, NOON_MS, Action::Limits(pulse(1500))),
    );
    orders.note(one);
    orders.note(two);
    orders.confirmed(SENSOR, &[word(&one, Outcome::InForce)], NOON_MS);
    assert_eq!(orders.elsewhere(&pulse(1500)), Some(adult), "the other has its own");
    orders.confirmed(other, &[word(&two, Outcome::TooLate)], NOON_MS);
    assert_eq!(orders.elsewhere(&pulse(1500)), Some(adult), "refused there");
    orders.confirmed(other, &[word(&two, Outcome::Narrowed)], NOON_MS);
    orders.confirmed(other, &[word(&two, Outcome::NotNewer)], NOON_MS);
    assert_eq!(orders.elsewhere(&pulse(1500)), None);
    orders.confirmed(other, &[word(&two, Outcome::Ended)], NOON_MS);
    assert_eq!(orders.elsewhere(&pulse(1500)), Some(adult.stricter(&pulse(1500))));
}

#[test]
fn a_word_about_an_order_that_was_overtaken_says_nothing_of_the_newer_one() {
    let mut orders = Orders::default();
    orders.sensors_are(vec![(SENSOR, GATEWAY)], NOON_MS);
    let (old, new) = (
        order(SENSOR, 1, NOON_MS, Action::Limits(pulse(1500))),
        order(SENSOR, 2, NOON_MS, Action::Limits(pulse(1600))),
    );
    orders.note(old);
    orders.note(new);
    orders.note(old);
    orders.confirmed(SENSOR, &[word(&old, Outcome::InForce)], NOON_MS);
    assert_eq!(orders.due(&|_| true, NOON_MS), [new]);
    assert!(orders.elsewhere(&pulse(1600)).is_some());
    orders.confirmed(SENSOR, &[word(&new, Outcome::InForce)], NOON_MS);
    assert_eq!(orders.elsewhere(&pulse(1600)), None);
}

#[test]
fn limits_are_asked_for_where_they_are_missing_and_again_in_time() {
    let mut orders = Orders::default();
    let adult = Limits::adult(Metric::HeartRate).unwrap();
    orders.sensors_are(vec![(SENSOR, GATEWAY)], NOON_MS);
    assert_eq!(orders.missing(&[(adult, None)], NOON_MS), [], "a bedside has them by itself");
    let wanted = [(pulse(1500), None)];
    let longest_ms = NOON_MS + LIMITS_MS_MAX;
    assert_eq!(orders.missing(&wanted, NOON_MS), [(SENSOR, GATEWAY, pulse(1500), longest_ms)]);
    let first = order(SENSOR, 1, NOON_MS, Action::Limits(pulse(1500)));
    orders.note(first);
    assert_eq!(orders.missing(&wanted, NOON_MS), [], "asked for");
    orders.confirmed(SENSOR, &[word(&first, Outcome::InForce)], NOON_MS);
    assert_eq!(orders.missing(&wanted, NOON_MS + LIMITS_MS_MAX - RENEW_MS), []);
    assert_eq!(orders.missing(&wanted, NOON_MS + LIMITS_MS_MAX - RENEW_MS + 1).len(), 1, "half is left");
    // For a while only: not asked for beyond it, and what stood before is when it is over.
    let while_ms = Some(NOON_MS + LIMITS_MS_MAX);
    assert_eq!(orders.missing(&[(pulse(1500), while_ms)], NOON_MS + LIMITS_MS_MAX - 1), []);
    assert_eq!(orders.missing(&[(adult, None)], NOON_MS).len(), 1, "other limits than were asked for");
    orders.confirmed(SENSOR, &[word(&first, Outcome::Ended)], NOON_MS);
    assert_eq!(orders.missing(&wanted, NOON_MS + 1).len(), 1, "ended there, wanted here");
    orders.sensors_are(vec![], NOON_MS);
    assert_eq!(orders.missing(&wanted, NOON_MS), []);
    assert!(orders.is_empty());
}

#[test]
fn no_order_overtakes_one_that_the_connection_did_not_take() {
    let mut orders = Orders::default();
    let first = order(SENSOR, 1, NOON_MS, Action::Limits(pulse(1500)));
    let second =
        order(SENSOR, 2, NOON_MS, Action::Silence { condition: Condition::Above(Metric::HeartRate) });
    orders.note(second);
    orders.note(first);
    assert_eq!(orders.due(&|_| true, NOON_MS), [first, second]);
    orders.sent(&first.command, false, NOON_MS);
    assert_eq!(orders.due(&|_| true, NOON_MS), [], "the first is tried again in a second");
    assert_eq!(orders.due(&|_| true, NOON_MS + NOT_TAKEN_MS), [first, second]);
    orders.sent(&first.command, true, NOON_MS + NOT_TAKEN_MS);
    assert_eq!(orders.due(&|_| true, NOON_MS + NOT_TAKEN_MS), [second], "it is on its way");
    // Lost on the way after all: the bedside took the second before.
    orders.confirmed(SENSOR, &[word(&first, Outcome::NotNewer)], NOON_MS + 2_000);
    orders.sensors_are(vec![(SENSOR, GATEWAY)], NOON_MS);
    let wanted = [(pulse(1500), None)];
    assert_eq!(orders.missing(&wanted, NOON_MS + 2_000), [], "not in haste");
    assert_eq!(orders.missing(&wanted, NOON_MS + 2_000 + REFUSED_MS).len(), 1);
}

proptest! {
    #[test]
    fn numbers_grow_whatever_the_clock_does(times in proptest::collection::vec(0..1_000u64, 1..100)) {
        let mut orders = Orders::default();
        let mut last = 0;
        for now_ms in times {
            let seq = orders.next_seq(SENSOR, now_ms);
            prop_assert!(seq > last && seq >= now_ms);
            last = seq;
        }
    }
}
