#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use std::sync::Arc;
use tokio::sync::oneshot::Receiver;
use vitals::cbor::Writer;

fn gateway(number: u16) -> DeviceId {
    let mut id = [0; 16];
    id[..2].copy_from_slice(&number.to_be_bytes());
    DeviceId(id)
}

/// The beginning of an envelope of this class, as far as the queue looks.
fn envelope(class: Class, filler: usize) -> Vec<u8> {
    let mut header = Writer::new();
    header.array(15).uint(VERSION).bytes(&[1; 32]).bytes(&[2; 16]).uint(u64::from(class.code()));
    let mut whole = Writer::new();
    whole.array(2);
    cose::write(&mut whole, &header.finish(), &[0; 64]);
    whole.bytes(&vec![0; filler]);
    whole.finish()
}

fn waiting(from: DeviceId, bytes: Vec<u8>) -> (Waiting, Receiver<link::Verdict>) {
    let (reply, verdict) = Reply::once();
    (Waiting { arrival: Arrival { from, bytes }, reply }, verdict)
}

fn push(queue: &Queue, alarm: bool, from: DeviceId, class: Class) -> Result<Option<LinkRefusal>, Busy> {
    queue.push(alarm, waiting(from, envelope(class, 20)).0)
}

fn carriers(group: &[Waiting]) -> Vec<DeviceId> {
    group.iter().map(|waiting| waiting.arrival.from).collect()
}

#[test]
fn under_a_flood_of_one_gateway_anothers_alarm_is_in_the_next_group() {
    let queue = Queue::default();
    let (flood, quiet) = (gateway(1), gateway(2));
    let mut taken = 0;
    while push(&queue, taken % 2 == 0, flood, Class::Alarms).is_ok() {
        taken += 1;
    }
    assert_eq!(taken, 2 * SHARE_MAX, "the one that floods fills its own share");
    push(&queue, true, quiet, Class::Alarms).unwrap();
    push(&queue, false, quiet, Class::Vitals).unwrap();
    let group = queue.next_group().unwrap();
    assert_eq!(carriers(&group)[1], quiet, "the second in turn is the other's alarm");
    assert!(carriers(&group)[2..].contains(&quiet));
}

#[test]
fn gateways_are_served_in_turn_and_each_in_its_order() {
    let queue = Queue::default();
    for n in 0..4usize {
        queue.push(false, waiting(gateway(1), envelope(Class::Vitals, 20 + n)).0).unwrap();
    }
    push(&queue, false, gateway(2), Class::Vitals).unwrap();
    push(&queue, false, gateway(3), Class::Vitals).unwrap();
    let group = queue.next_group().unwrap();
    assert_eq!(carriers(&group)[..4], [gateway(1), gateway(2), gateway(3), gateway(1)]);
    let first: Vec<usize> =
        group.iter().filter(|w| w.arrival.from == gateway(1)).map(|w| w.arrival.bytes.len()).collect();
    assert!(first.is_sorted());
}

#[test]
fn what_is_no_alarm_waits_with_the_others_whatever_its_topic_says() {
    let queue = Queue::default();
    assert_eq!(push(&queue, true, gateway(1), Class::Vitals), Ok(Some(LinkRefusal::NotAnAlarm)));
    assert_eq!(
        queue.push(true, waiting(gateway(1), b"garbage".to_vec()).0),
        Ok(Some(LinkRefusal::NotAnAlarm))
    );
    assert_eq!(push(&queue, true, gateway(2), Class::Alarms), Ok(None));
    assert_eq!(carriers(&queue.next_group().unwrap())[0], gateway(2));
}

#[test]
fn a_full_lane_makes_room_for_who_has_least_and_tells_the_longest_line() {
    let queue = Queue::default();
    let flooding = u16::try_from(WAITING_MAX / SHARE_MAX).unwrap();
    let mut verdicts = Vec::new();
    for number in 1..=flooding {
        for _ in 0..SHARE_MAX {
            let (waiting, verdict) = waiting(gateway(number), envelope(Class::Vitals, 20));
            queue.push(false, waiting).unwrap();
            verdicts.push(verdict);
        }
    }
    assert_eq!(push(&queue, false, gateway(1), Class::Vitals), Err(Busy));
    let quiet = gateway(999);
    assert_eq!(push(&queue, false, quiet, Class::Vitals), Ok(Some(LinkRefusal::Busy)));
    let told = verdicts.iter_mut().filter_map(|verdict| verdict.try_recv().ok()).collect::<Vec<_>>();
    assert_eq!(told, [link::Verdict::Busy], "one was asked to try again");
    assert_eq!(push(&queue, true, gateway(1), Class::Alarms), Ok(None), "alarms have their own lane");
    assert!(carriers(&queue.next_group().unwrap()).contains(&quiet));
}

#[test]
fn bytes_are_bounded_as_well() {
    let queue = Queue::default();
    let mut held = 0;
    'flood: for number in 0.. {
        for _ in 0..SHARE_MAX {
            let (waiting, _verdict) = waiting(gateway(number), vec![0; 60_000]);
            match queue.push(false, waiting) {
                Ok(None) => held += 60_000,
                _ => break 'flood,
            }
        }
    }
    assert!(held <= WAITING_BYTES_MAX && held > WAITING_BYTES_MAX - 120_000);
}

#[test]
fn a_closed_queue_takes_nothing_and_gives_out_what_it_holds() {
    let queue = Arc::new(Queue::default());
    push(&queue, false, gateway(1), Class::Vitals).unwrap();
    queue.close();
    assert_eq!(push(&queue, true, gateway(1), Class::Alarms), Err(Busy));
    assert_eq!(queue.next_group().unwrap().len(), 1);
    assert!(queue.next_group().is_none());
}
