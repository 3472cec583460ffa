#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::COMMAND_PAYLOAD_MAX;
use crate::ingress::RefusalReason;
use crate::mqtt::KEEP_ALIVE_S_MAX;
use crate::mqtt::client_session::{ClientEvent, ClientSession};
use crate::mqtt::topic::Lane;
use crate::uplink::{Event, PublishId, Rejection};
use proptest::prelude::*;

const DEVICE: DeviceId = DeviceId([7; 16]);

/// A session and an uplink back to back, past their welcome.
struct Pair {
    node: ServerSession,
    device: ClientSession,
}

impl Pair {
    fn connected() -> Self {
        let mut pair = Self { node: ServerSession::new(DEVICE), device: ClientSession::new(DEVICE, 20) };
        let (node, device) = pair.exchange();
        assert_eq!(node[0], ServerEvent::Connected { silence_ms_max: 30_000 });
        assert_eq!(node[1], ServerEvent::Subscribed(Downlink::ALL.to_vec()));
        assert_eq!(device, [ClientEvent::Ready { window: RECEIVE_MAXIMUM }]);
        pair
    }

    /// Carries bytes both ways until nothing is left to say.
    fn exchange(&mut self) -> (Vec<ServerEvent>, Vec<ClientEvent>) {
        let (mut node, mut device) = (Vec::new(), Vec::new());
        loop {
            let up = self.device.take_output();
            node.extend(self.node.receive(&up));
            let down = self.node.take_output();
            if up.is_empty() && down.is_empty() {
                return (node, device);
            }
            device.extend(self.device.receive(&down));
        }
    }
}

fn uplink_events(happened: Vec<ClientEvent>) -> Vec<Event> {
    happened
        .into_iter()
        .map(|event| match event {
            ClientEvent::Uplink(event) => event,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn an_envelope_is_acknowledged_only_after_its_verdict() {
    let mut pair = Pair::connected();
    assert!(pair.device.publish(PublishId(1), false, b"sealed".to_vec()));
    let (node, device) = pair.exchange();
    assert_eq!(node, [ServerEvent::Offer { slot: 0, alarm: false, bytes: b"sealed".to_vec() }]);
    assert_eq!(device, []);
    assert_eq!(pair.node.answer(0, Verdict::Admitted), []);
    assert_eq!(uplink_events(pair.exchange().1), [Event::Acked { id: PublishId(1) }]);
}

#[test]
fn acknowledgements_leave_in_the_order_of_arrival() {
    let mut pair = Pair::connected();
    for id in 0..3 {
        assert!(pair.device.publish(PublishId(id), id == 2, vec![0]));
    }
    let (node, _) = pair.exchange();
    assert!(matches!(node[2], ServerEvent::Offer { slot: 2, alarm: true, .. }));
    pair.node.answer(2, Verdict::Duplicate);
    pair.node.answer(1, Verdict::Busy);
    assert_eq!(pair.exchange().1, []);
    pair.node.answer(0, Verdict::Admitted);
    let events = uplink_events(pair.exchange().1);
    assert_eq!(events[0], Event::Acked { id: PublishId(0) });
    let Event::Refused { id: PublishId(1), why: Rejection::Busy, sentence } = &events[1] else {
        panic!("{events:?}")
    };
    assert!(sentence.contains("try again"));
    assert_eq!(events[2], Event::Acked { id: PublishId(2) });
}

#[test]
fn every_refusal_has_its_code_and_its_sentence() {
    for (reason, code, expected) in [
        (RefusalReason::Conflict, 0x83, Rejection::Conflict),
        (RefusalReason::NotAuthorized, 0x87, Rejection::NotAuthorized),
        (RefusalReason::PayloadInvalid, 0x99, Rejection::PayloadInvalid),
    ] {
        let mut pair = Pair::connected();
        pair.device.publish(PublishId(0), false, vec![1]);
        pair.exchange();
        // Longer than the bound, and a character across the cut.
        let sentence = "ü".repeat(REASON_BYTES);
        pair.node.answer(0, Verdict::Refused { reason, sentence });
        let puback = pair.node.take_output();
        assert_eq!((puback[0], puback[5]), (0x40, code));
        let events = uplink_events(pair.device.receive(&puback));
        let [Event::Refused { why, sentence, .. }] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!(*why, expected);
        assert_eq!(*sentence, "ü".repeat(REASON_BYTES / 2));
    }
}

const REASON_BYTES: usize = crate::mqtt::REASON_BYTES_MAX;

/// One PUBLISH of version 5 (QoS 1, no properties), written by hand.
fn publish_v5(topic: &str, packet_id: u16, first: u8) -> Vec<u8> {
    let mut body = u16::try_from(topic.len()).unwrap().to_be_bytes().to_vec();
    body.extend_from_slice(topic.as_bytes());
    if first & 6 != 0 {
        body.extend_from_slice(&packet_id.to_be_bytes());
    }
    body.extend_from_slice(&[0, b'x']);
    let mut packet = vec![first, u8::try_from(body.len()).unwrap()];
    packet.extend(body);
    packet
}

#[test]
fn foreign_and_unknown_topics_are_refused_and_the_session_goes_on() {
    let mut pair = Pair::connected();
    let foreign = topic::of(DeviceId([8; 16]), Lane::Envelope);
    let downward = topic::of(DEVICE, Lane::Receipt);
    for (topic, code) in [(foreign.as_str(), 0x87), (&downward, 0x87), ("d/x/e", 0x90), ("temperature", 0x90)]
    {
        let happened = pair.node.receive(&publish_v5(topic, 9, 0x32));
        let [ServerEvent::Refused(why)] = happened.as_slice() else { panic!("{happened:?}") };
        assert!(why.is_misaddressed() && why.reason_code() == Some(code));
        let out = pair.node.take_output();
        assert_eq!((out[0], &out[2..5]), (0x40, [0, 9, code].as_slice()), "{topic}");
    }
    assert!(pair.device.publish(PublishId(0), false, vec![1]));
    assert_eq!(pair.exchange().0.len(), 1);
}

#[test]
fn the_device_never_publishes_beyond_the_window() {
    let mut pair = Pair::connected();
    for id in 0..u64::from(RECEIVE_MAXIMUM) {
        assert!(pair.device.publish(PublishId(id), false, vec![0]));
    }
    assert!(!pair.device.publish(PublishId(99), false, vec![0]));
    pair.exchange();
    pair.node.answer(0, Verdict::Admitted);
    pair.exchange();
    assert!(pair.device.publish(PublishId(99), false, vec![0]));
}

#[test]
fn receipts_and_proofs_arrive_on_their_lanes() {
    let mut pair = Pair::connected();
    assert!(pair.node.deliver(Downlink::Receipt, b"receipt".to_vec()));
    assert!(pair.node.deliver(Downlink::Proof, vec![5; 500_000]));
    let events = uplink_events(pair.exchange().1);
    assert_eq!(events, [Event::Receipt(b"receipt".to_vec()), Event::Proof(vec![5; 500_000])]);
}

#[test]
fn what_is_longer_than_a_command_is_thrown_away_by_the_device() {
    let mut pair = Pair::connected();
    assert!(pair.node.deliver(Downlink::Command, vec![1; COMMAND_PAYLOAD_MAX]));
    assert!(pair.node.deliver(Downlink::Command, vec![2; COMMAND_PAYLOAD_MAX + 1]));
    let events = uplink_events(pair.exchange().1);
    let expected =
        [Event::Command(vec![1; COMMAND_PAYLOAD_MAX]), Event::CommandTooLong(COMMAND_PAYLOAD_MAX + 1)];
    assert_eq!(events, expected);
}

#[test]
fn a_foreign_client_id_is_refused_with_a_sentence() {
    let mut node = ServerSession::new(DEVICE);
    let mut device = ClientSession::new(DeviceId([9; 16]), 20);
    let happened = node.receive(&device.take_output());
    assert!(matches!(
        happened.as_slice(),
        [ServerEvent::Refused(MqttRefusal::ClientId), ServerEvent::Close(_)]
    ));
    let events = device.receive(&node.take_output());
    let [ClientEvent::Refused { code: 0x85, reason }] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(reason, MqttRefusal::ClientId.sentence());
}

/// A 3.1.1 client with an empty client id, written by hand.
fn connect_v3() -> Vec<u8> {
    b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00".to_vec()
}

fn publish_v3(packet_id: u16) -> Vec<u8> {
    let topic = topic::of(DEVICE, Lane::Envelope);
    let mut packet =
        vec![0x32, u8::try_from(topic.len() + 5).unwrap(), 0, u8::try_from(topic.len()).unwrap()];
    packet.extend_from_slice(topic.as_bytes());
    packet.extend_from_slice(&packet_id.to_be_bytes());
    packet.push(b'x');
    packet
}

#[test]
fn version_3_1_1_is_acknowledged_and_closed_on_refusal() {
    let mut node = ServerSession::new(DEVICE);
    let silence_ms_max = u32::from(KEEP_ALIVE_S_MAX) * 1500;
    assert_eq!(node.receive(&connect_v3()), [ServerEvent::Connected { silence_ms_max }]);
    assert_eq!(node.take_output(), [0x20, 2, 0, 0]);
    node.receive(&publish_v3(1));
    node.receive(&publish_v3(2));
    assert_eq!(node.answer(0, Verdict::Admitted), []);
    assert_eq!(node.take_output(), [0x40, 2, 0, 1]);
    let refused = Verdict::Refused { reason: RefusalReason::PayloadInvalid, sentence: "bad seal".into() };
    assert_eq!(node.answer(1, refused), [ServerEvent::Close("refused: bad seal".into())]);
    assert!(node.take_output().is_empty());
}

/// A version 5 client with keep-alive 20, written by hand.
const CONNECT_V5: &[u8] = b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x14\x00\x00\x00";

#[test]
fn a_client_that_ignores_its_window_is_held_back_and_all_of_it_is_acknowledged() {
    let own = topic::of(DEVICE, Lane::Envelope);
    let v5: Vec<u8> = (1..=200).flat_map(|id| publish_v5(&own, id, 0x32)).collect();
    let v3: Vec<u8> = (1..=200).flat_map(publish_v3).collect();
    for (connect, flood) in [(CONNECT_V5.to_vec(), v5), (connect_v3(), v3)] {
        let mut node = ServerSession::new(DEVICE);
        node.receive(&connect);
        node.take_output();
        let mut offered = node.receive(&flood).len();
        assert_eq!(offered, usize::from(RECEIVE_MAXIMUM), "what came inside the window is taken");
        assert!(!node.can_receive());
        let mut acknowledged = Vec::new();
        for slot in 0..200 {
            let happened = node.answer(slot, Verdict::Admitted);
            assert!(happened.iter().all(|event| matches!(event, ServerEvent::Offer { .. })), "{happened:?}");
            offered += happened.len();
            assert!(node.unacked() <= usize::from(RECEIVE_MAXIMUM));
            acknowledged.extend(node.take_output());
        }
        assert_eq!(offered, 200);
        assert!(node.can_receive());
        let ids: Vec<u8> = (1..=200).flat_map(|id| [0x40, 2, 0, id]).collect();
        assert_eq!(acknowledged, ids, "each once, in order, and no DISCONNECT");
    }
}

proptest! {
    /// However the bytes are cut and whenever verdicts come: nothing is lost, the window is kept.
    #[test]
    fn the_window_holds_whatever_the_order_of_bytes_and_verdicts(
        v5: bool,
        cuts in proptest::collection::vec(1usize..4000, 1..60),
        verdicts in proptest::collection::vec(0u64..40, 1..60),
    ) {
        const COUNT: u16 = 250;
        let own = topic::of(DEVICE, Lane::Envelope);
        let packet = |id| if v5 { publish_v5(&own, id, 0x32) } else { publish_v3(id) };
        let flood: Vec<u8> = (1..=COUNT).flat_map(packet).collect();
        let mut node = ServerSession::new(DEVICE);
        node.receive(if v5 { CONNECT_V5.to_vec() } else { connect_v3() }.as_slice());
        let (mut sent, mut offered, mut answered) = (0, 0_u64, 0_u64);
        let take = |happened: Vec<ServerEvent>, offered: &mut u64| {
            for event in happened {
                let ServerEvent::Offer { slot, .. } = event else { return Err(format!("{event:?}")) };
                assert_eq!(slot, *offered);
                *offered += 1;
            }
            Ok(())
        };
        let (mut cuts, mut verdicts) = (cuts.into_iter().cycle(), verdicts.into_iter().chain([1]).cycle());
        while answered < u64::from(COUNT) {
            if node.can_receive() && sent < flood.len() {
                let end = flood.len().min(sent + cuts.next().unwrap_or(1));
                prop_assert_eq!(take(node.receive(&flood[sent..end]), &mut offered), Ok(()));
                sent = end;
            }
            for _ in 0..verdicts.next().unwrap_or(1) {
                if answered < offered {
                    let happened = node.answer(answered, Verdict::Admitted);
                    answered += 1;
                    prop_assert_eq!(take(happened, &mut offered), Ok(()));
                }
            }
            prop_assert!(node.unacked() <= usize::from(RECEIVE_MAXIMUM));
        }
        prop_assert_eq!((sent, node.unacked()), (flood.len(), 0));
    }
}

#[test]
fn a_client_is_given_the_keep_alive_it_asks_for_and_none_stays_none_for_eighteen_hours() {
    for asked in [0_u16, 1, 60, 61, 120, 3600, u16::MAX] {
        let taken = if asked == 0 { KEEP_ALIVE_S_MAX } else { asked };
        let silence_ms_max = u32::from(taken) * 1500;
        for version in [4, 5] {
            let [high, low] = asked.to_be_bytes();
            let mut connect = vec![0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', version, 2, high, low, 0, 0];
            if version == 5 {
                connect[1] = 13;
                connect.push(0);
            }
            let mut node = ServerSession::new(DEVICE);
            assert_eq!(node.receive(&connect), [ServerEvent::Connected { silence_ms_max }], "{asked}");
            if version == 5 {
                let [high, low] = taken.to_be_bytes();
                let out = node.take_output();
                assert!(out.windows(3).any(|told| told == [0x13, high, low]), "Server Keep Alive: {out:?}");
            }
        }
    }
}

#[test]
fn a_device_listens_on_its_own_topics_only() {
    let mut pair = Pair::connected();
    // SUBSCRIBE, packet id 2, no properties, "#" and "d/+/r" with QoS 1.
    let happened = pair.node.receive(b"\x82\x0f\x00\x02\x00\x00\x01#\x01\x00\x05d/+/r\x01");
    assert_eq!(happened, [ServerEvent::Refused(MqttRefusal::SubscriptionForeign)]);
    let out = pair.node.take_output();
    assert_eq!((out[0], &out[out.len() - 2..]), (0x90, [0x87, 0x87].as_slice()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_bytes_bring_a_session_down(bytes in proptest::collection::vec(any::<u8>(), 0..200), open: bool) {
        let mut node = ServerSession::new(DEVICE);
        if open {
            node.receive(&connect_v3());
        }
        node.receive(&bytes);
        prop_assert!(node.unacked() <= 200);
    }

    #[test]
    fn a_damaged_stream_brings_neither_side_down(at in 0usize..400, mask in 1u8..) {
        let mut device = ClientSession::new(DEVICE, 20);
        let mut up = device.take_output();
        let mut node = ServerSession::new(DEVICE);
        node.receive(&up);
        let mut down = node.take_output();
        let place = at % down.len();
        down[place] ^= mask;
        device.receive(&down);
        let place = at % up.len();
        up[place] ^= mask;
        ServerSession::new(DEVICE).receive(&up);
    }
}

#[test]
fn a_silence_of_one_and_a_half_times_an_odd_keep_alive_is_not_cut_short() {
    for (seconds, silence_ms_max) in [(1, 1500), (3, 4500), (5, 7500)] {
        let mut node = ServerSession::new(DEVICE);
        let connect = [0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, seconds, 0, 0, 0];
        assert_eq!(node.receive(&connect), [ServerEvent::Connected { silence_ms_max }]);
    }
}

#[test]
fn an_empty_client_id_with_a_session_to_keep_is_rejected_in_version_3_1_1() {
    let mut node = ServerSession::new(DEVICE);
    let connect = [0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 4, 0, 0, 20, 0, 0];
    let happened = node.receive(&connect);
    assert!(matches!(happened[..], [ServerEvent::Refused(MqttRefusal::ClientId), ServerEvent::Close(_)]));
    assert_eq!(node.take_output(), [0x20, 2, 0, 2]);
}

#[test]
fn a_will_beyond_what_is_announced_is_no_connection() {
    // Flags: will with QoS 2, will retained, will with QoS 1.
    for (flags, code) in [(0x16, 0x9b), (0x26, 0x9a), (0x0e, 0)] {
        let mut node = ServerSession::new(DEVICE);
        let mut connect = vec![0x10, 19, 0, 4, b'M', b'Q', b'T', b'T', 5, flags, 0, 20, 0, 0, 0];
        // No will properties, topic `t`, nothing in it.
        connect.extend([0, 0, 1, b't', 0, 0]);
        node.receive(&connect);
        assert_eq!(node.take_output()[3], code, "{flags:02x}");
    }
}

#[test]
fn what_was_announced_as_not_available_is_refused_by_its_name() {
    let mut pair = Pair::connected();
    let shared = format!("$share/all/{}", topic::of(DEVICE, Lane::Receipt));
    for (filter, properties, code) in [
        (shared.as_str(), vec![0], 0x9e),
        (&topic::of(DEVICE, Lane::Receipt), vec![2, 0x0b, 5], 0xa1),
        ("#", vec![0], 0x87),
    ] {
        let mut body = vec![0, 9];
        body.extend(properties);
        body.extend(u16::try_from(filter.len()).unwrap().to_be_bytes());
        body.extend(filter.as_bytes());
        body.push(0);
        let mut packet = vec![0x82, u8::try_from(body.len()).unwrap()];
        packet.extend(body);
        pair.node.receive(&packet);
        assert_eq!(pair.node.take_output().last(), Some(&code), "{filter}");
    }
}
