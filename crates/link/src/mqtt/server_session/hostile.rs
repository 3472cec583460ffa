//! Every way to break the protocol, byte by byte, before and after CONNECT, in both versions.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::mqtt::topic::Lane;
use vitals::envelope::ENVELOPE_BYTES_MAX;

const DEVICE: DeviceId = DeviceId([7; 16]);
const CONNECT_V5: &[u8] = b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x14\x00\x00\x00";
const CONNECT_V3: &[u8] = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x14\x00\x00";

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut length = body.len();
    loop {
        let low = u8::try_from(length & 0x7f).unwrap();
        length >>= 7;
        bytes.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            break;
        }
    }
    bytes.extend_from_slice(body);
    bytes
}

fn text(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

/// A PUBLISH with these flags; version 5 has `properties`, 3.1.1 has none at all.
fn publish(flags: u8, topic: &[u8], id: u16, properties: Option<&[u8]>, payload: &[u8]) -> Vec<u8> {
    let mut body = text(topic);
    if flags & 6 != 0 {
        body.extend_from_slice(&id.to_be_bytes());
    }
    if let Some(properties) = properties {
        body.push(u8::try_from(properties.len()).unwrap());
        body.extend_from_slice(properties);
    }
    body.extend_from_slice(payload);
    packet(0x30 | flags, &body)
}

fn own() -> Vec<u8> {
    topic::of(DEVICE, Lane::Envelope).into_bytes()
}

fn connected(connect: &[u8]) -> ServerSession {
    let mut node = ServerSession::new(DEVICE);
    assert_eq!(node.receive(connect), [ServerEvent::Connected { silence_ms_max: 30_000 }]);
    node.take_output();
    node
}

/// The refusal that ended the session, after which it reads no more.
fn ended(node: &mut ServerSession, happened: &[ServerEvent], what: &str) -> MqttRefusal {
    let [ServerEvent::Refused(why), ServerEvent::Close(sentence)] = happened else {
        panic!("{what}: {happened:?}")
    };
    assert_eq!(sentence, why.sentence());
    assert!(!node.can_receive(), "{what}");
    assert!(node.receive(&publish(2, &own(), 1, None, b"x")).is_empty(), "{what}: nothing is heard any more");
    *why
}

#[test]
fn broken_packets_close_the_session_under_their_code() {
    use MqttRefusal::{
        Malformed, PacketIdInUse, PacketTooLong, Protocol, Qos as QosRefused, Retain, TopicAlias,
    };
    let own = own();
    let v5 = |flags, id| publish(flags, &own, id, Some(b""), b"x");
    let cases: Vec<(&str, Vec<u8>, MqttRefusal)> = vec![
        ("packet type 0", packet(0x00, b""), Malformed),
        ("reserved flags of SUBSCRIBE", packet(0x80, b"\x00\x01\x00\x00\x01a\x00"), Malformed),
        ("a length without an end", vec![0x32, 0xff, 0xff, 0xff, 0xff, 0x7f], Malformed),
        ("a length of 256 MiB", vec![0x32, 0xff, 0xff, 0xff, 0x7f], PacketTooLong),
        ("a length one above the bound", vec![0x32, 0x80, 0x80, 0x06], PacketTooLong),
        ("a PUBLISH without a topic", packet(0x32, b""), Malformed),
        ("a topic longer than its packet", packet(0x32, b"\x00\xffd/"), Malformed),
        ("a topic that is no UTF-8", publish(2, b"d/\xff\xfe/e", 1, Some(b""), b"x"), Malformed),
        ("packet id 0", v5(2, 0), Malformed),
        ("both QoS bits", v5(6, 1), Malformed),
        ("QoS 0", v5(0, 0), QosRefused),
        ("QoS 2", v5(4, 1), QosRefused),
        ("retained", v5(3, 1), Retain),
        ("a packet id twice", [v5(2, 1), v5(10, 1)].concat(), PacketIdInUse),
        ("a topic alias", publish(2, &own, 1, Some(b"\x23\x00\x01"), b"x"), TopicAlias),
        ("a property that is none", publish(2, &own, 1, Some(b"\x7f\x00"), b"x"), Malformed),
        ("properties longer than the packet", packet(0x32, b"\x00\x01d\x00\x01\x50"), Malformed),
        ("CONNECT twice", CONNECT_V5.to_vec(), Protocol),
        ("CONNACK", packet(0x20, b"\x00\x00\x00"), Protocol),
        ("SUBACK", packet(0x90, b"\x00\x01\x00\x00"), Protocol),
        ("PINGRESP", packet(0xd0, b""), Protocol),
        ("AUTH", packet(0xf0, b"\x18\x00"), Protocol),
        ("SUBSCRIBE to nothing", packet(0x82, b"\x00\x01\x00"), Protocol),
        ("SUBSCRIBE with packet id 0", packet(0x82, b"\x00\x00\x00\x00\x01a\x00"), Malformed),
        ("bytes behind a PINGREQ", packet(0xc0, b"\x00"), Malformed),
    ];
    for (what, bytes, expected) in cases {
        let mut node = connected(CONNECT_V5);
        let mut happened = node.receive(&bytes);
        happened.retain(|event| !matches!(event, ServerEvent::Offer { .. }));
        let why = ended(&mut node, &happened, what);
        let out = node.take_output();
        assert_eq!((out[0], Some(out[2])), (0xe0, why.reason_code()), "{what}: DISCONNECT under its code");
        assert_eq!(why, expected, "{what}");
    }
}

#[test]
fn nothing_is_published_before_connect() {
    let cases = [
        publish(2, &own(), 1, Some(b""), b"x"),
        packet(0x82, b"\x00\x01\x00\x00\x01a\x00"),
        packet(0xc0, b""),
        packet(0xe0, b""),
    ];
    for bytes in cases {
        let mut node = ServerSession::new(DEVICE);
        let happened = node.receive(&bytes);
        ended(&mut node, &happened, "before CONNECT");
        assert!(node.take_output().is_empty(), "a stranger is told nothing");
    }
}

#[test]
fn a_broken_connect_opens_nothing() {
    let cases: [(&str, Vec<u8>); 7] = [
        ("another protocol", packet(0x10, b"\x00\x04HTTP\x05\x02\x00\x14\x00\x00\x00")),
        ("version 3", packet(0x10, b"\x00\x06MQIsdp\x03\x02\x00\x14\x00\x00")),
        ("version 6", packet(0x10, b"\x00\x04MQTT\x06\x02\x00\x14\x00\x00\x00")),
        ("flags in the fixed header", packet(0x1f, b"\x00\x04MQTT\x05\x02\x00\x14\x00\x00\x00")),
        ("a client id that is no UTF-8", packet(0x10, b"\x00\x04MQTT\x05\x02\x00\x14\x00\x00\x02\xff\xfe")),
        ("bytes behind it", packet(0x10, b"\x00\x04MQTT\x05\x02\x00\x14\x00\x00\x00garbage")),
        ("too long", vec![0x10, 0x80, 0x80, 0x06]),
    ];
    for (what, bytes) in cases {
        let mut node = ServerSession::new(DEVICE);
        let happened = node.receive(&bytes);
        assert!(!happened.iter().any(|h| matches!(h, ServerEvent::Connected { .. })), "{what}");
        ended(&mut node, &happened, what);
    }
}

#[test]
fn version_3_1_1_breaks_off_without_a_word() {
    let own = own();
    let cases = [
        ("packet id 0", publish(2, &own, 0, None, b"x")),
        ("QoS 2", publish(4, &own, 1, None, b"x")),
        ("QoS 0", publish(0, &own, 0, None, b"x")),
        ("retained", publish(3, &own, 1, None, b"x")),
        ("no UTF-8", publish(2, b"\xff", 1, None, b"x")),
        ("CONNECT twice", CONNECT_V3.to_vec()),
        ("too long", vec![0x32, 0xff, 0xff, 0xff, 0x7f]),
        ("AUTH", packet(0xf0, b"\x18\x00")),
    ];
    for (what, bytes) in cases {
        let mut node = connected(CONNECT_V3);
        let happened = node.receive(&bytes);
        ended(&mut node, &happened, what);
        assert!(node.take_output().is_empty(), "{what}");
    }
    // A refused topic, here one with a wildcard, has no other word in 3.1.1 either.
    let mut node = connected(CONNECT_V3);
    let happened = node.receive(&publish(2, b"d/+/e", 1, None, b"x"));
    assert!(matches!(
        happened.as_slice(),
        [ServerEvent::Refused(MqttRefusal::TopicUnknown), ServerEvent::Close(_)]
    ));
}

#[test]
fn topics_with_wildcards_or_control_characters_are_none_of_ours() {
    let mut node = connected(CONNECT_V5);
    for (id, topic) in
        (1..).zip([b"d/+/e".as_slice(), b"d/#", b"#", b"d/\x00/e", b"$SYS/broker", &[b'/'; 5000]])
    {
        let happened = node.receive(&publish(2, topic, id, Some(b""), b"x"));
        assert_eq!(happened, [ServerEvent::Refused(MqttRefusal::TopicUnknown)], "{topic:?}");
        let out = node.take_output();
        assert_eq!((out[0], out[4]), (0x40, 0x90));
    }
}

#[test]
fn a_flood_beyond_the_window_that_is_never_answered_is_not_read() {
    for (connect, properties) in [(CONNECT_V5, Some(&b""[..])), (CONNECT_V3, None)] {
        let mut node = connected(connect);
        let flood: Vec<u8> =
            (1..=2 * RECEIVE_MAXIMUM).flat_map(|id| publish(2, &own(), id, properties, b"x")).collect();
        let happened = node.receive(&flood);
        assert_eq!(happened.len(), usize::from(RECEIVE_MAXIMUM));
        assert!(happened.iter().all(|h| matches!(h, ServerEvent::Offer { .. })));
        assert!(!node.can_receive(), "the shell reads no further");
        assert!(node.take_output().is_empty());
    }
}

#[test]
fn an_envelope_too_long_is_refused_and_the_session_goes_on() {
    let mut node = connected(CONNECT_V5);
    let happened = node.receive(&publish(2, &own(), 5, Some(b""), &[0; ENVELOPE_BYTES_MAX + 1]));
    assert_eq!(happened, [ServerEvent::Refused(LinkRefusal::PayloadTooLong.into())]);
    let out = node.take_output();
    assert_eq!((out[0], &out[2..5]), (0x40, [0, 5, 0x99].as_slice()));
    let happened = node.receive(&publish(2, &own(), 6, Some(b""), &[0; ENVELOPE_BYTES_MAX]));
    assert!(matches!(happened.as_slice(), [ServerEvent::Offer { .. }]));
}

#[test]
fn a_device_that_connects_too_often_is_told_to_wait() {
    for (connect, welcome) in [(CONNECT_V5, [0x20, 0x9f]), (CONNECT_V3, [0x20, 3])] {
        let mut node = ServerSession::refusing(DEVICE, LinkRefusal::ReconnectRate);
        let happened = node.receive(connect);
        assert_eq!(ended(&mut node, &happened, "too often"), LinkRefusal::ReconnectRate.into());
        let out = node.take_output();
        assert_eq!([out[0], out[3]], welcome);
    }
}

#[test]
fn a_half_sent_packet_is_known_as_such() {
    let mut node = connected(CONNECT_V5);
    assert_eq!((node.packets(), node.is_within_packet()), (1, false));
    let whole = publish(2, &own(), 1, Some(b""), &[0; 1000]);
    for byte in &whole[..whole.len() - 1] {
        assert!(node.receive(&[*byte]).is_empty());
        assert_eq!((node.packets(), node.is_within_packet()), (1, true));
    }
    assert_eq!(node.receive(&whole[whole.len() - 1..]).len(), 1);
    assert_eq!((node.packets(), node.is_within_packet()), (2, false));
}
