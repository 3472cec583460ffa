use ed25519_zebra::SigningKey;
use proptest::prelude::*;
use testkit::fixture::{Ward, key, public, seed, sign};
use testkit::golden;
use vitals::cbor::NotCanonical;
use vitals::cose::Domain;
use vitals::ids::{Class, DeviceId, Genesis};
use vitals::keys::ChainKey;
use vitals::pairing::*;

fn keys(signing: &SigningKey) -> DeviceKeys {
    DeviceKeys { key: public(signing), wrap_key: vitals::ids::sha256(&[b"wrap", &public(signing)]) }
}

fn request(signers: &[SigningKey]) -> PairingRequest {
    request_every(signers, None)
}

fn request_every(signers: &[SigningKey], interval_ms: Option<u64>) -> PairingRequest {
    let all: Vec<DeviceKeys> = signers.iter().map(keys).collect();
    let (gateway, sensors) = (all[0], all[1..].to_vec());
    let payload = PairingRequest::payload(&gateway, &sensors, interval_ms);
    let sign = |key: &SigningKey| sign(key, Domain::PairingRequest, Genesis([0; 32]), &payload);
    PairingRequest { gateway, sensors, interval_ms, signatures: signers.iter().map(sign).collect() }
}

fn answer(change: impl FnOnce(&mut PairingAnswer)) -> Vec<u8> {
    let ward = Ward::new(1, 1);
    let stream = ward.stream(0, Class::Vitals);
    let chain = ChainKey::new(seed("chain", 0));
    let mut answer = PairingAnswer {
        genesis_document: ward.document.encode(),
        record_key: public(&ward.record),
        gateway: DeviceId::of(&public(&ward.gateway)),
        streams: vec![StreamKey {
            author: ward.sensor_id(0),
            stream: stream.id,
            class: stream.class,
            epoch: 20_779,
            commitment: chain.commitment(),
            encapsulated: seed("encapsulated", 0),
            wrapped: [0x77; 48],
        }],
        signature: [0; 64],
    };
    change(&mut answer);
    answer.signature = sign(&ward.record, Domain::PairingAnswer, answer.genesis(), &answer.payload());
    answer.encode()
}

#[test]
fn pairing_is_golden() {
    let request = request(&[key("gateway", 0), key("sensor", 0), key("sensor", 1)]);
    golden!("pairing_request_v1", request.encode());
    assert_eq!(PairingRequest::decode(&request.encode()), Ok(request));
    let bytes = answer(|_| ());
    golden!("pairing_answer_v1", bytes);
    assert_eq!(PairingAnswer::decode(&bytes).unwrap().encode(), bytes);
}

#[test]
fn a_request_may_announce_how_often_its_sensors_send() {
    let signers = [key("gateway", 0), key("sensor", 0)];
    let once_a_minute = request_every(&signers, Some(60_000));
    golden!("pairing_request_v2", once_a_minute.encode());
    assert_eq!(PairingRequest::decode(&once_a_minute.encode()), Ok(once_a_minute.clone()));
    for bound in [INTERVAL_MS_MIN, INTERVAL_MS_MAX] {
        assert!(PairingRequest::decode(&request_every(&signers, Some(bound)).encode()).is_ok());
    }
    let too_often = request_every(&signers, Some(INTERVAL_MS_MIN - 1)).encode();
    assert_eq!(PairingRequest::decode(&too_often), Err(NotCanonical::Unexpected));
    let too_seldom = request_every(&signers, Some(INTERVAL_MS_MAX + 1)).encode();
    assert_eq!(PairingRequest::decode(&too_seldom), Err(NotCanonical::TooLong));
    let changed = PairingRequest { interval_ms: Some(120_000), ..once_a_minute };
    assert_eq!(PairingRequest::decode(&changed.encode()), Err(NotCanonical::Signature), "it is signed");
}

#[test]
fn every_key_must_have_signed_the_request() {
    let (gateway, sensor, stranger) = (key("gateway", 0), key("sensor", 0), key("stranger", 0));
    let mut other = request(&[gateway, sensor]);
    other.signatures[1] = sign(
        &stranger,
        Domain::PairingRequest,
        Genesis([0; 32]),
        &PairingRequest::payload(&other.gateway, &other.sensors, None),
    );
    assert_eq!(PairingRequest::decode(&other.encode()), Err(NotCanonical::Signature));
    let mut fewer = request(&[gateway, sensor]);
    fewer.signatures.pop();
    assert_eq!(PairingRequest::decode(&fewer.encode()), Err(NotCanonical::Signature));
}

#[test]
fn a_request_with_a_repeated_key_is_refused() {
    let (gateway, sensor) = (key("gateway", 0), key("sensor", 0));
    let twice = request(&[gateway, sensor, sensor]);
    assert_eq!(PairingRequest::decode(&twice.encode()), Err(NotCanonical::Order));
    let itself = request(&[gateway, gateway]);
    assert_eq!(PairingRequest::decode(&itself.encode()), Err(NotCanonical::Order));
}

#[test]
fn a_weak_key_is_not_paired() {
    let mut weak = request(&[key("gateway", 0), key("sensor", 0)]);
    weak.sensors[0].key = [0; 32];
    weak.sensors[0].key[0] = 1;
    let payload = PairingRequest::payload(&weak.gateway, &weak.sensors, None);
    weak.signatures[0] = sign(&key("gateway", 0), Domain::PairingRequest, Genesis([0; 32]), &payload);
    weak.signatures[1] = [0; 64];
    weak.signatures[1][0] = 1;
    assert_eq!(PairingRequest::decode(&weak.encode()), Err(NotCanonical::Signature));
}

#[test]
fn an_answer_out_of_bounds_is_refused_though_signed() {
    assert!(PairingAnswer::decode(&answer(|_| ())).is_ok());
    let late = answer(|answer| answer.streams[0].epoch = vitals::envelope::EPOCH_MAX + 1);
    assert_eq!(PairingAnswer::decode(&late), Err(NotCanonical::TooLong));
    let twice = answer(|answer| answer.streams.push(answer.streams[0].clone()));
    assert_eq!(PairingAnswer::decode(&twice), Err(NotCanonical::Order));
}

#[test]
fn every_changed_byte_of_an_answer_is_refused() {
    let good = answer(|_| ());
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(PairingAnswer::decode(&bad).is_err(), "byte {at}");
    }
}

#[test]
fn every_changed_byte_of_a_request_is_refused() {
    let good = request(&[key("gateway", 0), key("sensor", 0)]).encode();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(PairingRequest::decode(&bad).is_err(), "byte {at}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(PairingRequest::decode(&bytes).is_err());
        prop_assert!(PairingAnswer::decode(&bytes).is_err());
    }

    #[test]
    fn any_interval_is_read_as_it_was_announced(interval_ms in INTERVAL_MS_MIN..=INTERVAL_MS_MAX) {
        let request = request_every(&[key("gateway", 0), key("sensor", 0)], Some(interval_ms));
        prop_assert_eq!(PairingRequest::decode(&request.encode()), Ok(request));
    }
}
