//! One function for each decoder that reads bytes from outside. Every one states what must hold for
//! all bytes: nothing panics, and what is accepted encodes back to the very same bytes.
//!
//! Used twice: by the coverage-guided fuzzer in this folder, and by the short run of the
//! integration tests, which changes the golden files at random.

use device::Decoder;
use device::frame::{Down, Message, Up};
use link::mqtt::client_session::ClientSession;
use link::mqtt::server_session::{ServerEvent, ServerSession};
use link::mqtt::topic::{self, Lane};
use link::{Downlink, Verdict};
use vitals::alarm::{AlarmEvent, Limits};
use vitals::body::Body;
use vitals::bundle;
use vitals::cbor::{Reader, Writer};
use vitals::command::{Command, Confirmation, SignedCommand};
use vitals::envelope::{Envelope, Header};
use vitals::pairing::{PairingAnswer, PairingRequest};
use vitals::proof::certificate::Certificate;
use vitals::proof::genesis::GenesisDocument;
use vitals::proof::header::BlockHeader;
use vitals::proof::state::{keccak256, verify_account, verify_slot};
use vitals::proof::{LedgerProof, verify_header};
use vitals::receipt::{Delivery, Receipt, SignedHead};
use vitals::{DeviceId, Genesis};

/// A decoder under attack.
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// What the golden files that feed it begin with, good and bad.
    pub seeds: &'static [&'static str],
    /// Panics if something does not hold.
    pub attack: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "envelope", seeds: &["envelope_"], attack: envelope },
    Target { name: "header", seeds: &["header_v1", "associated_data"], attack: header },
    Target { name: "body", seeds: &["body_"], attack: body },
    Target { name: "alarm", seeds: &["body_alarms", "body_limits"], attack: alarm },
    Target { name: "receipt", seeds: &["receipt_"], attack: receipt },
    Target { name: "tree_head", seeds: &["tree_head_"], attack: tree_head },
    Target { name: "command", seeds: &["command_", "body_command", "body_confirmations"], attack: command },
    Target { name: "delivery", seeds: &["delivery_"], attack: delivery },
    Target { name: "ledger_proof", seeds: &["ledger_proof_"], attack: ledger_proof },
    Target { name: "trie", seeds: &["ledger_proof_"], attack: trie },
    Target { name: "block_header", seeds: &["block_header_"], attack: block_header },
    Target { name: "certificate", seeds: &["certificate_"], attack: certificate },
    Target { name: "genesis", seeds: &["genesis_", "bundle_genesis_v1"], attack: genesis },
    Target { name: "pairing_request", seeds: &["pairing_request_"], attack: pairing_request },
    Target { name: "pairing_answer", seeds: &["pairing_answer_"], attack: pairing_answer },
    Target { name: "bundle", seeds: &["bundle_"], attack: a_bundle },
    Target { name: "board_up", seeds: &["frame_"], attack: board_up },
    Target { name: "board_down", seeds: &["frame_"], attack: board_down },
    Target { name: "mqtt_node", seeds: &["mqtt_"], attack: mqtt_node },
    Target { name: "mqtt_gateway", seeds: &["mqtt_"], attack: mqtt_gateway },
    Target { name: "topic", seeds: &["topic_"], attack: a_topic },
    Target { name: "recording", seeds: &["recording_"], attack: recording },
];

/// The gateway whose connection is attacked.
pub const GATEWAY: DeviceId = DeviceId([7; 16]);

fn envelope(bytes: &[u8]) {
    let Ok(envelope) = Envelope::decode(bytes) else { return };
    assert_eq!(envelope.encode(), bytes, "an accepted envelope has one encoding");
    assert!(!envelope.verify(&[0; 32]), "a weak key signs nothing");
    let _ = (envelope.hash(), envelope.to_be_signed(), envelope.header.nonce());
}

fn header(bytes: &[u8]) {
    let Ok(header) = Header::decode(bytes) else { return };
    assert_eq!(header.encode(), bytes, "an accepted header has one encoding");
    let _ = header.associated_data();
}

fn body(bytes: &[u8]) {
    for first_ms in [0, 1_795_348_800_000, u64::MAX] {
        let Ok(body) = Body::decode(bytes, first_ms) else { continue };
        assert_eq!(body.encode(first_ms), bytes, "an accepted body has one encoding");
        let _ = (body.span_ms(), body.count());
    }
}

fn alarm(bytes: &[u8]) {
    if let Ok(event) = AlarmEvent::read(&mut Reader::new(bytes)) {
        let mut w = Writer::new();
        event.write(&mut w);
        assert!(bytes.starts_with(&w.finish()), "an accepted alarm event has one encoding");
    }
    if let Ok(limits) = Limits::read(&mut Reader::new(bytes)) {
        let mut w = Writer::new();
        limits.write(&mut w);
        assert!(bytes.starts_with(&w.finish()), "accepted limits have one encoding");
    }
}

fn receipt(bytes: &[u8]) {
    let Ok(receipt) = Receipt::decode(bytes) else { return };
    assert_eq!(receipt.encode(), bytes, "an accepted receipt has one encoding");
    assert!(!receipt.verify(Genesis([3; 32]), &[5; 32], b"another header"));
}

fn tree_head(bytes: &[u8]) {
    let Ok(head) = SignedHead::read(&mut Reader::new(bytes)) else { return };
    let mut w = Writer::new();
    head.write(&mut w);
    assert!(bytes.starts_with(&w.finish()), "an accepted tree head has one encoding");
    let _ = head.verify(&[5; 32]);
}

fn command(bytes: &[u8]) {
    if let Ok(signed) = SignedCommand::decode(bytes) {
        assert_eq!(signed.encode(), bytes, "an accepted command has one encoding");
        assert_eq!(Command::decode(&signed.command.encode()), Ok(signed.command));
        assert!(signed.command.is_bounded());
        assert!(!signed.verify(&[5; 32]));
    }
    if let Ok(confirmation) = Confirmation::read(&mut Reader::new(bytes)) {
        let mut w = Writer::new();
        confirmation.write(&mut w);
        assert!(bytes.starts_with(&w.finish()), "an accepted confirmation has one encoding");
    }
}

fn delivery(bytes: &[u8]) {
    let Ok(delivery) = Delivery::decode(bytes) else { return };
    assert_eq!(delivery.encode(), bytes, "an accepted delivery has one encoding");
}

fn ledger_proof(bytes: &[u8]) {
    let Ok(proof) = LedgerProof::decode(bytes) else { return };
    assert_eq!(proof.encode(), bytes, "an accepted ledger proof has one encoding");
    let document = GenesisDocument {
        chain_id: 1,
        name: "fuzz".into(),
        time_ms: 1,
        epoch_blocks: 1,
        committee: vec![[9; 32]],
        operators: vec![],
        founders: vec![],
        contracts: vec![],
        salt: [0; 32],
    };
    assert!(verify_header(&document, &proof).is_err(), "nobody's committee certified this");
}

fn trie(bytes: &[u8]) {
    let Ok(proof) = LedgerProof::decode(bytes) else { return };
    for account in &proof.accounts {
        // The root that makes the first node fit, so that the walk goes on behind it.
        let root = account.nodes.first().map_or([0; 32], |node| keccak256(&[node]));
        let proven = verify_account(&root, account);
        for slot in &account.slots {
            let root = slot.nodes.first().map_or([0; 32], |node| keccak256(&[node]));
            let _ = verify_slot(&root, slot);
            if let Ok(Some(proven)) = &proven {
                let _ = verify_slot(&proven.storage_root, slot);
            }
        }
    }
}

fn block_header(bytes: &[u8]) {
    let Ok(header) = BlockHeader::decode(bytes) else { return };
    assert_eq!(header.encode(), bytes, "an accepted block header has one encoding");
}

fn certificate(bytes: &[u8]) {
    let Ok(certificate) = Certificate::decode(bytes) else { return };
    assert_eq!(certificate.encode(), bytes, "an accepted certificate has one encoding");
    let committee = [[1; 32], [2; 32], [3; 32], [4; 32]];
    assert!(certificate.verify(&[0; 32], Genesis([0; 32]), &committee).is_err());
}

fn genesis(bytes: &[u8]) {
    let Ok(document) = GenesisDocument::decode(bytes) else { return };
    assert_eq!(document.encode(), bytes, "an accepted genesis document has one encoding");
    assert_eq!(document.hash(), GenesisDocument::hash_of(bytes));
}

fn pairing_request(bytes: &[u8]) {
    let Ok(request) = PairingRequest::decode(bytes) else { return };
    assert_eq!(request.encode(), bytes, "an accepted pairing request has one encoding");
}

fn pairing_answer(bytes: &[u8]) {
    let Ok(answer) = PairingAnswer::decode(bytes) else { return };
    assert_eq!(answer.encode(), bytes, "an accepted pairing answer has one encoding");
}

fn a_bundle(bytes: &[u8]) {
    assert!(bundle::verify(bytes, Some(Genesis([1; 32]))).is_err(), "nobody knows the preimage of this pin");
    let _ = bundle::verify(bytes, None);
}

fn frames<M: Message>(bytes: &[u8]) {
    let mut decoder = Decoder::<M>::new();
    for frame in decoder.feed_all(bytes) {
        let line = frame.encode();
        let again = Decoder::<M>::new().feed_all(&line);
        assert_eq!(again.len(), 1, "an accepted frame encodes to one frame");
        assert_eq!(again[0].encode(), line);
    }
}

fn board_up(bytes: &[u8]) {
    frames::<Up>(bytes);
}

fn board_down(bytes: &[u8]) {
    frames::<Down>(bytes);
}

/// The first byte says how the bytes are cut: a reader of a socket never knows.
fn cut(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (size, rest) = bytes.split_first().map_or((1, bytes), |(size, rest)| (usize::from(*size) + 1, rest));
    rest.chunks(size)
}

fn mqtt_node(bytes: &[u8]) {
    let mut session = ServerSession::new(GATEWAY);
    for piece in cut(bytes) {
        let mut slots = Vec::new();
        let mut closed = false;
        for happening in session.receive(piece) {
            assert!(!closed, "nothing happens after the end");
            match happening {
                ServerEvent::Offer { slot, .. } => slots.push(slot),
                ServerEvent::Close(_) => closed = true,
                _ => {}
            }
        }
        // Answered last to first: acknowledgements leave in order all the same.
        for slot in slots.into_iter().rev() {
            let verdict = if slot % 3 == 0 { Verdict::Busy } else { Verdict::Admitted };
            let _ = session.answer(slot, verdict);
        }
        let _ = session.take_output();
        if closed {
            assert!(!session.can_receive());
            assert!(session.receive(piece).is_empty(), "a closed session takes nothing");
        }
    }
    let _ = session.deliver(Downlink::Receipt, vec![1, 2, 3]);
    let _ = session.deliver(Downlink::Command, vec![1, 2, 3]);
}

fn mqtt_gateway(bytes: &[u8]) {
    let mut uplink = ClientSession::new(GATEWAY, 60);
    for (n, piece) in cut(bytes).enumerate() {
        let _ = uplink.receive(piece);
        let _ = uplink.publish(link::PublishId(n as u64), n % 2 == 0, vec![0; 8]);
        let _ = uplink.take_output();
    }
}

fn a_topic(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some((device, lane)) = topic::parse(text) {
        assert_eq!(topic::of(device, lane), text, "a topic has one spelling");
    }
    let _ = topic::covered(text, GATEWAY);
}

fn recording(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = simulator::recording::Recording::parse(text, &Default::default());
}

/// Input that no golden file holds: a conversation with each half of a connection, frames, topics
/// and a recording, as `(name, bytes)`.
pub fn made_seeds() -> Vec<(String, Vec<u8>)> {
    let mut seeds = Vec::new();
    let (mut node, mut gateway) = (ServerSession::new(GATEWAY), ClientSession::new(GATEWAY, 60));
    let (mut up, mut down) = (vec![200], vec![200]);
    for round in 0..6_u64 {
        if round > 2 {
            let _ = gateway.publish(link::PublishId(round), round % 2 == 0, vec![round as u8; 40]);
        }
        let sent = gateway.take_output();
        up.extend(&sent);
        for happening in node.receive(&sent) {
            if let ServerEvent::Offer { slot, .. } = happening {
                let _ = node.answer(slot, Verdict::Admitted);
            }
        }
        let _ = node.deliver(Downlink::Receipt, vec![9; 12]);
        let sent = node.take_output();
        down.extend(&sent);
        let _ = gateway.receive(&sent);
    }
    seeds.push(("mqtt_up".into(), up));
    seeds.push(("mqtt_down".into(), down));
    let lcd = Down::Lcd { lines: [[b'a'; 16], [b'z'; 16]] };
    let up: Vec<u8> = [
        Up::Hello { rate_mhz: 100_000, board: 3 },
        Up::Ppg { counter: 1, board_ms: 10, samples: vec![500, 501, 502] },
        Up::Button { counter: 2, board_ms: 20 },
    ]
    .iter()
    .flat_map(Message::encode)
    .collect();
    seeds.push(("frame_up".into(), up));
    seeds.push(("frame_down".into(), [lcd.encode(), Down::TimeSync { now_ms: 7 }.encode()].concat()));
    for lane in [Lane::Envelope, Lane::Alarm, Lane::Receipt, Lane::Proof, Lane::Command] {
        seeds.push((format!("topic_{lane:?}"), topic::of(GATEWAY, lane).into_bytes()));
    }
    seeds.push(("topic_wild".into(), format!("d/{GATEWAY}/+").into_bytes()));
    let lines: String = (0..600).map(|n| format!("{},{}\n", n * 10, 500 + n % 97)).collect();
    seeds.push(("recording_csv".into(), format!("time,hart\n{lines}").into_bytes()));
    seeds
}
