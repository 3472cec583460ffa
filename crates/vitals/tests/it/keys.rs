use vitals::ids::{Genesis, StreamId};
use vitals::keys::*;

#[test]
fn the_schedule_has_fixed_vectors() {
    let chain = ChainKey::new([0x11; 32]);
    let genesis = Genesis([0x22; 32]);
    let stream = StreamId([0x33; 16]);
    let (next, content) = (chain.next(), chain.content());
    let (message, commitment) = content.message(genesis, stream, 20_779, &[0x44; 16]);
    // next chain ‖ content ‖ chain commitment ‖ message key ‖ message key commitment
    let vectors: [&[u8]; 5] =
        [next.expose(), content.expose(), &chain.commitment(), message.expose(), &commitment];
    testkit::golden!("keys_v1", vectors.concat());
}

#[test]
fn a_step_is_hkdf_as_rfc_5869_writes_it() {
    use sha2::{Digest, Sha256};
    fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
        let mut block = [0u8; 64];
        block[..key.len()].copy_from_slice(key);
        let inner: Vec<u8> = block.iter().map(|b| b ^ 0x36).chain(message.iter().copied()).collect();
        let inner = Sha256::digest(inner);
        let outer: Vec<u8> = block.iter().map(|b| b ^ 0x5c).chain(inner).collect();
        Sha256::digest(outer).into()
    }
    let chain = ChainKey::new([0x11; 32]);
    let extracted = hmac(&[0; 32], &[0x11; 32]);
    let first = |info: &[u8]| hmac(&extracted, &[info, &[1]].concat());
    assert_eq!(*chain.next().expose(), first(b"aceso/chain/v1/next"));
    assert_eq!(*chain.content().expose(), first(b"aceso/chain/v1/content"));
    assert_eq!(chain.commitment(), first(b"aceso/chain/v1/commit"));
}

#[test]
fn steps_add_up_and_stop_at_their_bound() {
    let chain = ChainKey::new([5; 32]);
    let by_two = chain.forward(2).unwrap().forward(3).unwrap();
    assert_eq!(by_two.expose(), chain.forward(5).unwrap().expose());
    assert!(chain.forward(STEPS_MAX + 1).is_none());
}

#[test]
fn every_input_of_a_message_key_changes_it() {
    let content = ChainKey::new([5; 32]).content();
    let key = |genesis, stream, epoch, run: &[u8; 16]| {
        let (key, commitment) = content.message(Genesis(genesis), StreamId(stream), epoch, run);
        (*key.expose(), commitment)
    };
    let one = key([0; 32], [0; 16], 0, &[0; 16]);
    for other in [
        key([1; 32], [0; 16], 0, &[0; 16]),
        key([0; 32], [1; 16], 0, &[0; 16]),
        key([0; 32], [0; 16], 1, &[0; 16]),
        key([0; 32], [0; 16], 0, &[1; 16]),
    ] {
        assert!(one.0 != other.0 && one.1 != other.1);
    }
}

#[test]
fn keys_do_not_print() {
    assert_eq!(format!("{:?}", ChainKey::new([5; 32])), "ChainKey(secret)");
}

#[test]
fn a_day_is_an_epoch() {
    assert_eq!(epoch_of(0), 0);
    assert_eq!(epoch_of(EPOCH_MS - 1), 0);
    assert_eq!(epoch_of(testkit::fixture::NOON_MS), 20_779);
    assert_eq!(epoch_of(u64::MAX), u32::MAX);
    assert_eq!(epoch_of(vitals::envelope::TIME_MAX_MS), vitals::envelope::EPOCH_MAX);
}
