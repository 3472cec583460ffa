//! Everything that must not come in, one by one: each is refused by its own name, counted under it,
//! and changes nothing.

use clinic::{ClinicError, Refusal, Verdict};
use device::Identity;
use testward::{Gateway, Ward, refusal};
use vault::NewStream;
use vitals::cbor::Writer;
use vitals::envelope::{ENVELOPE_BYTES_MAX, Envelope, Header};
use vitals::ids::{Class, binding};
use vitals::ledger::{Act, DeviceKind, Ledger, Outcome};
use vitals::metric::{Metric, Sample};
use vitals::{DeviceId, Genesis};

/// What a refusal must leave as it is.
#[derive(Debug, PartialEq)]
struct Standing {
    size: u64,
    root: [u8; 32],
    height: u64,
    anchored: u64,
    admitted: u64,
    alarms: Vec<(u16, u64)>,
    newest: Vec<(Metric, Sample, u64)>,
}

fn standing(ward: &Ward) -> Standing {
    let (size, root) = ward.clinic.store().log_head();
    let health = ward.clinic.health(ward.now_ms);
    let wall = ward.clinic.wall(&ward.as_("lee"), ward.now_ms).unwrap();
    let tile = &wall.tiles[0];
    Standing {
        size,
        root,
        height: health.height,
        anchored: health.anchored_size,
        admitted: ward.clinic.counters().admitted,
        alarms: tile.alarms.iter().map(|alarm| (alarm.condition.code(), alarm.silenced_until_ms)).collect(),
        newest: tile.values.iter().map(|value| (value.metric, value.sample, value.at_ms)).collect(),
    }
}

/// A ward with one good beat in the record.
fn scene() -> (Ward, Gateway, Vec<u8>) {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 720, 1);
    let next = gateway.sensors[0].pulse(725, ward.now_ms);
    // A wall's first look leaves its trace in the record.
    ward.clinic.wall(&ward.as_("lee"), ward.now_ms).unwrap();
    (ward, gateway, next)
}

/// Refused under this code, with a sentence, counted once, and nothing else changed.
fn stays_out(ward: &mut Ward, from: DeviceId, bytes: Vec<u8>, code: &str, what: &str) -> Refusal {
    let counted = |ward: &Ward| ward.clinic.counters().refused.get(code).copied().unwrap_or(0);
    let (before, times) = (standing(ward), counted(ward));
    let answers = ward.carry(from, &[bytes]);
    assert_eq!(refusal(&answers[0]), code, "{what}");
    assert_eq!(standing(ward), before, "{what} changed something");
    assert_eq!(counted(ward), times + 1, "{what} is counted");
    let Verdict::Refused(why) = answers[0].verdict.clone() else { unreachable!("refused above") };
    why
}

/// The envelope with another header, signed by the same sensor.
fn signed(gateway: &Gateway, good: &[u8], change: impl FnOnce(&mut Header)) -> Vec<u8> {
    let good = Envelope::decode(good).unwrap();
    let mut header = good.header.clone();
    change(&mut header);
    let header_bytes = header.encode();
    let message = vitals::cose::to_be_signed(vitals::cose::Domain::Envelope, header.genesis, &header_bytes);
    let signature: [u8; 64] = gateway.sensors[0].identity.sign(&message);
    Envelope::encode_parts(&header_bytes, &signature, &good.ciphertext)
}

#[test]
fn bytes_that_are_no_envelope_stay_out() {
    let (mut ward, gateway, good) = scene();
    let parts = Envelope::decode(&good).unwrap();
    // The array of two, written longer than needed; then an indefinite one.
    let long_head = [&[0x98, 0x02], &good[1..]].concat();
    let indefinite = [&[0x9f], &good[1..], &[0xff]].concat();
    let mut unprotected = good.clone();
    let at = unprotected.windows(5).position(|w| w == [0x43, 0xa1, 0x01, 0x32, 0xa0]).unwrap() + 4;
    unprotected.splice(at..=at, [0xa1, 0x01, 0x26]);
    let mut short = Writer::new();
    short.array(2);
    vitals::cose::write(&mut short, &parts.header_bytes, &parts.signature);
    short.bytes(&[0; 16]);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("text", b"not an envelope".to_vec()),
        ("a number", vec![0x00]),
        ("a claim of 2^64 bytes", [&[0x82, 0x5b][..], &[0xff; 8]].concat()),
        ("a claim of 2^64 items", [&[0x9b][..], &[0xff; 8]].concat()),
        ("arrays in arrays", vec![0x81; 5000]),
        ("one byte more", [good.clone(), vec![0]].concat()),
        ("twice", good.repeat(2)),
        ("a length not in its shortest form", long_head),
        ("an indefinite array", indefinite),
        ("an unprotected header", unprotected),
        ("a ciphertext of a tag alone", short.finish()),
        ("longer than any", vec![0x82; ENVELOPE_BYTES_MAX + 1]),
        ("a megabyte", vec![0; 1 << 20]),
    ];
    for (what, bytes) in cases {
        stays_out(&mut ward, gateway.id(), bytes, "malformed", what);
    }
    let before = standing(&ward);
    let cut: Vec<Vec<u8>> = (0..good.len()).map(|end| good[..end].to_vec()).collect();
    for answer in ward.carry(gateway.id(), &cut) {
        assert_eq!(refusal(&answer), "malformed", "truncated");
    }
    assert_eq!(standing(&ward), before);
    assert!(matches!(ward.carry(gateway.id(), &[good])[0].verdict, Verdict::Admitted { .. }));
}

#[test]
fn headers_that_break_the_rules_of_a_header_stay_out() {
    let (mut ward, gateway, good) = scene();
    type Change = fn(&mut Header);
    let cases: [(&str, Change); 7] = [
        ("times out of order", |h| h.last_ms = h.first_ms - 1),
        ("a time after 2200", |h| h.last_ms = 7_258_118_400_001),
        ("no reading", |h| h.count = 0),
        ("more readings than any", |h| h.count = 4097),
        ("a number beyond 2^53", |h| h.seq = 1 << 53),
        ("a first with a predecessor", |h| h.seq = 0),
        ("another ciphertext's hash", |h| h.ciphertext_hash[0] ^= 1),
    ];
    for (what, change) in cases {
        stays_out(&mut ward, gateway.id(), signed(&gateway, &good, change), "malformed", what);
    }
}

#[test]
fn an_envelope_that_names_another_ledger_stream_class_or_author_stays_out() {
    let (mut ward, gateway, good) = scene();
    let of = |stream_of: Class| {
        let held = ward.clinic.vault().streams_by(gateway.sensors[0].id());
        held.into_iter().find(|record| record.class == stream_of).unwrap().stream
    };
    let alarms = of(Class::Alarms);
    let from = gateway.id();
    let with = |change: &dyn Fn(&mut Header)| signed(&gateway, &good, |header| change(header));
    stays_out(&mut ward, from, with(&|h| h.genesis = Genesis([9; 32])), "other_ledger", "wrong genesis");
    stays_out(&mut ward, from, with(&|h| h.stream.0[0] ^= 1), "stream_unknown", "wrong stream");
    stays_out(&mut ward, from, with(&|h| h.stream = alarms), "class_wrong", "another stream of the sensor");
    stays_out(&mut ward, from, with(&|h| h.class = Class::Alarms), "class_wrong", "wrong class");
    stays_out(&mut ward, from, with(&|h| h.author.0[0] ^= 1), "author_wrong", "wrong author");
    stays_out(&mut ward, from, with(&|h| h.author = from), "author_wrong", "its gateway as author");
    stays_out(&mut ward, from, with(&|h| h.epoch -= 1), "epoch_before_pairing", "an epoch before pairing");
    stays_out(&mut ward, from, with(&|h| h.epoch += 3661), "epoch_out_of_reach", "an epoch far ahead");
    assert!(matches!(ward.carry(from, &[good])[0].verdict, Verdict::Admitted { .. }));
}

#[test]
fn a_signature_by_another_key_or_over_other_bytes_stays_out() {
    let (mut ward, gateway, good) = scene();
    let envelope = Envelope::decode(&good).unwrap();
    let with = |signature: [u8; 64]| {
        Envelope::encode_parts(&envelope.header_bytes, &signature, &envelope.ciphertext)
    };
    let by = |key: &Identity, message: &[u8]| -> [u8; 64] { key.sign(message) };
    let message = envelope.to_be_signed();
    let mut high = envelope.signature;
    high[63] |= 0xf0;
    let cases = [
        ("zeros", [0; 64]),
        ("by the gateway", by(&gateway.identity, &message)),
        ("over the header alone", by(&gateway.sensors[0].identity, &envelope.header_bytes)),
        ("with s beyond the order", high),
    ];
    for (what, signature) in cases {
        stays_out(&mut ward, gateway.id(), with(signature), "signature_wrong", what);
    }
}

#[test]
fn a_broken_link_is_kept_as_evidence_and_the_record_does_not_change() {
    let (mut ward, gateway, good) = scene();
    let before = standing(&ward);
    let broken = signed(&gateway, &good, |header| header.prev[0] ^= 1);
    let stream = Envelope::decode(&good).unwrap().header.stream;
    let last = ward.clinic.store().head(stream).map(|head| head.last_seq);
    let answers = ward.carry(gateway.id(), std::slice::from_ref(&broken));
    assert_eq!(refusal(&answers[0]), "prev_broken");
    let after = standing(&ward);
    assert_eq!((after.admitted, after.newest), (before.admitted, before.newest));
    assert_eq!(ward.clinic.store().head(stream).map(|head| head.last_seq), last);
    assert_eq!(ward.clinic.store().evidence(stream).unwrap(), [broken], "an alarm and evidence, no record");
    assert!(matches!(ward.carry(gateway.id(), &[good])[0].verdict, Verdict::Admitted { .. }));
}

/// A point of order eight: added to any key, it gives a key that the same secret signs for.
const TORSION: [u8; 32] = [
    0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
    0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
];

/// A stream of this key for the patient at this node, and the key on the ledger with this salt's
/// binding: an envelope for it, signed by somebody.
fn registered(ward: &mut Ward, gateway: &Gateway, good: &[u8], key: [u8; 32], bound_by: [u8; 32]) -> Vec<u8> {
    let patient = ward.as_("amira").patient.unwrap();
    let (author, class, salt) = (DeviceId::of(&key), Class::Vitals, [5; 32]);
    let first_epoch = Envelope::decode(good).unwrap().header.epoch;
    let new = NewStream { author, patient, class, first_epoch, salt };
    let stream = ward.clinic.vault().make_stream(new).unwrap().stream;
    let binding = binding(ward.clinic.genesis(), author, patient, &bound_by);
    let (kind, via) = (DeviceKind::Sensor, gateway.id());
    let act = Act::Register { kind, key, wrap_key: [6; 32], via, binding };
    let id = ward.ledger.submit(act).unwrap();
    ward.block();
    assert!(matches!(ward.ledger.outcome(id), Outcome::Done { .. }));
    signed(gateway, good, |header| {
        header.author = author;
        header.stream = stream;
    })
}

#[test]
fn a_weak_key_that_came_onto_the_ledger_signs_nothing_into_the_record() {
    let (mut ward, gateway, good) = scene();
    let forged = registered(&mut ward, &gateway, &good, TORSION, [5; 32]);
    stays_out(&mut ward, gateway.id(), forged, "key_weak", "a torsioned key");
}

#[test]
fn a_sensor_bound_to_somebody_else_on_the_ledger_stays_out() {
    let (mut ward, gateway, good) = scene();
    let key = Gateway::new(7, 0).identity.keys().key;
    let forged = registered(&mut ward, &gateway, &good, key, [8; 32]);
    stays_out(&mut ward, gateway.id(), forged, "not_bound", "another binding");
}

#[test]
fn a_pairing_request_with_a_weak_key_registers_nothing() {
    let (ward, gateway, _) = scene();
    let patient = ward.as_("amira").patient.unwrap();
    let honest = Gateway::new(7, 1);
    let request = device::pairing::request(&honest.identity, &honest.identities()).unwrap().encode();
    let key = honest.identities()[0].keys().key;
    let at = request.windows(32).position(|window| window == key).unwrap();
    let mut weak = request.clone();
    weak[at..at + 32].copy_from_slice(&TORSION);
    let streams = ward.clinic.vault().streams_by(DeviceId::of(&TORSION)).len();
    for (what, bytes) in [("a weak key", weak), ("cut", request[..100].to_vec()), ("nothing", Vec::new())] {
        let refused = ward.clinic.pair(&ward.admin, &bytes, &[patient], ward.now_ms);
        assert!(matches!(refused, Err(ClinicError::Wrong(_))), "{what}");
    }
    assert_eq!(ward.clinic.vault().streams_by(DeviceId::of(&TORSION)).len(), streams);
    assert!(ward.ledger.device(DeviceId::of(&TORSION)).unwrap().is_none());
    drop(gateway);
}

#[test]
fn what_the_link_turned_away_is_counted_by_its_word() {
    let (ward, _, _) = scene();
    for _ in 0..3 {
        ward.clinic.turned_away("topic_foreign");
    }
    ward.clinic.turned_away("busy");
    let counted = ward.clinic.counters().turned_away;
    assert_eq!(counted.into_iter().collect::<Vec<_>>(), [("busy", 1), ("topic_foreign", 3)]);
}
