use super::*;
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, single_shot_open};
use vitals::pairing::{PairingAnswer, StreamKey, wrap_info};

/// What `device` does with an answer.
pub(super) fn unwrap(sensor: &Sensor, key: &StreamKey, genesis: Genesis) -> Option<ChainKey> {
    let secret = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(&sensor.wrap).unwrap();
    let encapsulated = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(&key.encapsulated).unwrap();
    let info = wrap_info(genesis, key.stream, sensor.id(), key.epoch);
    let opened = single_shot_open::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &secret,
        &encapsulated,
        &info,
        &key.wrapped,
        &[],
    );
    let chain = ChainKey::new(opened.ok()?.try_into().unwrap());
    (chain.commitment() == key.commitment).then_some(chain)
}

#[test]
fn only_the_paired_sensor_gets_its_chain_key() {
    let scene = Scene::new();
    let sensor = Sensor::new(5);
    let (stream, chain) = sensor.pair(&scene, Class::Vitals);
    let later =
        scene.vault.pairing_answer(&sensor.request(), &[stream.stream], stream.first_epoch + 3).unwrap();
    let decoded = PairingAnswer::decode(&later.encode()).unwrap();
    assert_eq!(
        (decoded.record_key, decoded.genesis()),
        (scene.vault.record_key(), scene.vault.genesis().unwrap())
    );
    let key = &decoded.streams[0];
    let stepped = unwrap(&sensor, key, decoded.genesis()).unwrap();
    assert_eq!(stepped.expose(), chain.forward(3).unwrap().expose());
    let thief = Sensor { keys: sensor.keys, wrap: Sensor::new(6).wrap, key: Sensor::new(5).key };
    assert!(unwrap(&thief, key, decoded.genesis()).is_none());
    assert!(unwrap(&sensor, &StreamKey { epoch: key.epoch + 1, ..key.clone() }, decoded.genesis()).is_none());
    assert!(unwrap(&sensor, key, Genesis([0; 32])).is_none());
}

#[test]
fn a_chain_key_is_never_handed_out_for_an_earlier_day() {
    let scene = Scene::new();
    let sensor = Sensor::new(5);
    let (stream, _) = sensor.pair(&scene, Class::Vitals);
    let answer = |epoch| scene.vault.pairing_answer(&sensor.request(), &[stream.stream], epoch);
    assert!(matches!(answer(stream.first_epoch - 1), Err(VaultError::Regressed { .. })));
    answer(stream.first_epoch + 2).unwrap();
    answer(stream.first_epoch + 2).unwrap();
    assert!(matches!(answer(stream.first_epoch + 1), Err(VaultError::Regressed { .. })));
    assert!(matches!(answer(stream.first_epoch + 5000), Err(VaultError::Epoch)));
}

#[test]
fn keys_are_wrapped_only_to_what_their_author_signed() {
    let scene = Scene::new();
    let sensor = Sensor::new(5);
    let (stream, _) = sensor.pair(&scene, Class::Vitals);
    let answer =
        |request: &PairingRequest| scene.vault.pairing_answer(request, &[stream.stream], stream.first_epoch);
    let mut swapped = sensor.request();
    swapped.sensors[0].wrap_key = Sensor::new(6).keys.wrap_key;
    assert!(matches!(answer(&swapped), Err(VaultError::Unpaired)));
    assert!(matches!(answer(&Sensor::new(6).request()), Err(VaultError::Unpaired)));
    let unknown =
        scene.vault.pairing_answer(&sensor.request(), &[vitals::StreamId([0; 16])], stream.first_epoch);
    assert!(matches!(unknown, Err(VaultError::NoStream)));
}

#[test]
fn a_stream_is_made_once() {
    let scene = Scene::new();
    let sensor = Sensor::new(5);
    let (stream, chain) = sensor.pair(&scene, Class::Vitals);
    let again = NewStream {
        author: sensor.id(),
        patient: scene.amira.id,
        class: Class::Vitals,
        first_epoch: stream.first_epoch + 9,
        salt: [8; 32],
    };
    assert_eq!(scene.vault.make_stream(again).unwrap(), stream);
    let answer = scene.vault.pairing_answer(&sensor.request(), &[stream.stream], stream.first_epoch).unwrap();
    let held = unwrap(&sensor, &answer.streams[0], answer.genesis()).unwrap();
    assert_eq!(held.expose(), chain.expose());
    let stranger = NewStream { patient: PatientId([0; 16]), ..again };
    assert!(matches!(scene.vault.make_stream(stranger), Err(VaultError::NoPatient)));
}
