use super::*;

const DEVICE: DeviceId = DeviceId([7; 16]);

/// CONNACK and SUBACK of an agreeable node.
const ACCEPTED: [u8; 12] = [0x20, 3, 0, 0, 0, 0x90, 5, 0, 1, 0, 0, 0];

/// A PUBLISH at QoS 1 and 2 with packet id 0, and with a proper one, on topic `x`.
const PUBLISHES: [[u8; 8]; 4] = [
    [0x32, 6, 0, 1, b'x', 0, 0, 0],
    [0x34, 6, 0, 1, b'x', 0, 0, 0],
    [0x32, 6, 0, 1, b'x', 0, 9, 0],
    [0x34, 6, 0, 1, b'x', 0, 9, 0],
];

#[test]
fn a_node_that_knows_no_commands_yet_is_kept_and_one_without_receipts_is_left() {
    // SUBACK with a reason code per topic: receipts, proofs, commands.
    let accepted = |codes: [u8; 3]| {
        let mut bytes = vec![0x20, 3, 0, 0, 0, 0x90, 6, 0, 1, 0];
        bytes.extend(codes);
        ClientSession::new(DEVICE, 20).receive(&bytes)
    };
    assert!(matches!(accepted([0, 0, 0x87]).as_slice(), [ClientEvent::Ready { .. }]));
    assert!(matches!(accepted([0, 0x87, 0]).as_slice(), [ClientEvent::Close { .. }]));
}

#[test]
fn a_node_that_publishes_at_another_qos_than_ours_is_left() {
    for publish in PUBLISHES {
        let mut session = ClientSession::new(DEVICE, 20);
        let accepted = session.receive(&ACCEPTED);
        assert!(matches!(accepted.as_slice(), [ClientEvent::Ready { .. }]), "{accepted:?}");
        let happened = session.receive(&publish);
        assert!(matches!(happened.as_slice(), [ClientEvent::Close { .. }]), "{publish:?}: {happened:?}");
    }
}
