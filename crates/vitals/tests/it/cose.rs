use proptest::prelude::*;
use testkit::fixture::{key, public, sign};
use vitals::cbor::{NotCanonical, Reader, Writer};
use vitals::cose::*;
use vitals::ids::Genesis;

const GENESIS: Genesis = Genesis([4; 32]);
const DOMAINS: [Domain; 6] = [
    Domain::Envelope,
    Domain::Head,
    Domain::PairingRequest,
    Domain::PairingAnswer,
    Domain::Checkpoint,
    Domain::Command,
];

#[test]
fn a_signature_is_good_for_one_key_domain_ledger_and_payload() {
    let (ours, other) = (key("cose", 0), key("cose", 1));
    for domain in DOMAINS {
        let signature = sign(&ours, domain, GENESIS, b"payload");
        assert!(verify(&public(&ours), domain, GENESIS, b"payload", &signature));
        assert!(!verify(&public(&other), domain, GENESIS, b"payload", &signature));
        assert!(!verify(&public(&ours), domain, Genesis([5; 32]), b"payload", &signature));
        assert!(!verify(&public(&ours), domain, GENESIS, b"payloae", &signature));
        for elsewhere in DOMAINS.into_iter().filter(|other| *other != domain) {
            assert!(!verify(&public(&ours), elsewhere, GENESIS, b"payload", &signature));
        }
    }
}

#[test]
fn weak_keys_are_recognised() {
    use curve25519_dalek::constants::EIGHT_TORSION;
    use curve25519_dalek::edwards::CompressedEdwardsY;
    let strong = public(&key("cose", 0));
    assert!(is_strong(&strong));
    let point = CompressedEdwardsY(strong).decompress().unwrap();
    assert!(!is_strong(&EIGHT_TORSION[0].compress().0));
    for torsion in &EIGHT_TORSION[1..] {
        assert!(!is_strong(&torsion.compress().0), "small order");
        assert!(!is_strong(&(point + torsion).compress().0), "small-order part");
    }
    // y = 1 written as p + 1, which ZIP-215 decodes too.
    let mut high = [0xff; 32];
    (high[0], high[31]) = (0xee, 0x7f);
    assert!(CompressedEdwardsY(high).decompress().is_some());
    assert!(!is_strong(&high), "not the one encoding");
    assert!(!is_strong(&[2; 32]) || CompressedEdwardsY([2; 32]).decompress().is_some());
}

#[test]
fn a_weak_key_would_sign_anything() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    assert!(verify(&identity, Domain::Envelope, GENESIS, b"one", &signature));
    assert!(verify(&identity, Domain::Envelope, GENESIS, b"another", &signature));
    assert!(!is_strong(&identity));
}

#[test]
fn only_the_one_form_is_read() {
    let signature = sign(&key("cose", 0), Domain::Head, GENESIS, b"x");
    let mut w = Writer::new();
    write(&mut w, b"x", &signature);
    let good = w.finish();
    assert_eq!(read(&mut Reader::new(&good), 1), Ok((b"x".as_slice(), signature)));
    assert_eq!(read(&mut Reader::new(&good), 0), Err(NotCanonical::TooLong));
    // tag, array, protected header, empty unprotected header, payload's head and signature's head
    for at in [0, 1, 2, 3, 4, 5, 6, 7, 9] {
        for flip in 1..=255u8 {
            let mut bad = good.clone();
            bad[at] ^= flip;
            assert!(read(&mut Reader::new(&bad), 1).is_err(), "byte {at} changed by {flip:02x}");
        }
    }
}

proptest! {
    #[test]
    fn any_changed_bit_of_a_signature_breaks_it(bit in 0..512usize, number in 0..50u64) {
        let ours = key("cose", number);
        let mut signature = sign(&ours, Domain::Envelope, GENESIS, &number.to_be_bytes());
        signature[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!verify(&public(&ours), Domain::Envelope, GENESIS, &number.to_be_bytes(), &signature));
    }
}
