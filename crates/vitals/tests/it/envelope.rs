use proptest::prelude::*;
use testkit::fixture::{Ward, public};
use testkit::golden;
use vitals::cbor::NotCanonical;
use vitals::cose::Domain;
use vitals::envelope::*;
use vitals::ids::{Class, sha256};

fn one() -> (Ward, Vec<u8>) {
    let ward = Ward::new(1, 1);
    let mut stream = ward.stream(0, Class::Vitals);
    ward.seal(&mut stream, 20);
    let bytes = ward.seal(&mut stream, 40);
    (ward, bytes)
}

#[test]
fn envelopes_are_golden() {
    let ward = Ward::new(1, 1);
    let mut stream = ward.stream(0, Class::Vitals);
    let first = ward.seal(&mut stream, 20);
    let second = ward.seal(&mut stream, 40);
    golden!("envelope_v1", first);
    golden!("envelope_v1_next", second);
    let (first, second) = (Envelope::decode(&first).unwrap(), Envelope::decode(&second).unwrap());
    golden!("header_v1", first.header_bytes);
    golden!("associated_data_v1", first.header.associated_data());
    golden!("to_be_signed_v1", first.to_be_signed());
    assert_eq!(second.header.prev, first.hash());
    assert!(second.verify(&public(&ward.sensors[0])));
    assert_eq!(first.header.nonce(), [0; 12]);
    assert_eq!(second.header.nonce()[11], 1);
}

/// A seal as docs/wire.md says, by a cipher of its own: what a stranger would write.
#[test]
fn a_sealed_envelope_opens_as_the_page_says() {
    use aes_gcm::aead::{Aead, KeyInit, Payload};
    use aes_gcm::{Aes256Gcm, Key, Nonce};
    let ward = Ward::new(1, 1);
    let mut stream = ward.stream(0, Class::Vitals);
    ward.seal(&mut stream, 20);
    let plain = testkit::golden::read("body_readings_v1");
    let mut header = Envelope::decode(&ward.seal(&mut stream, 20)).unwrap().header;
    let chain = vitals::keys::ChainKey::new([0x11; 32]);
    let (key, commitment) = chain.content().message(header.genesis, header.stream, header.epoch, &header.run);
    header.first_ms = testkit::fixture::NOON_MS;
    header.last_ms = header.first_ms + 3000;
    header.count = 5;
    header.key_commitment = commitment;
    let cipher = Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key.expose()));
    let (nonce, aad) = (Nonce::from(header.nonce()), header.associated_data());
    let ciphertext = cipher.encrypt(&nonce, Payload { msg: &plain, aad: &aad }).unwrap();
    header.ciphertext_hash = sha256(&[&ciphertext]);
    let bytes = header.encode();
    let signature = testkit::fixture::sign(&ward.sensors[0], Domain::Envelope, header.genesis, &bytes);
    let sealed = Envelope::encode_parts(&bytes, &signature, &ciphertext);
    golden!("envelope_sealed_v1", sealed);
    let read = Envelope::decode(&sealed).unwrap();
    let opened = cipher.decrypt(&nonce, Payload { msg: &read.ciphertext, aad: &aad }).unwrap();
    let body = vitals::body::Body::decode(&opened, read.header.first_ms).unwrap();
    assert_eq!(body.span_ms(), Some((read.header.first_ms, read.header.last_ms)));
    assert_eq!(body.count(), read.header.count);
    assert!(body.fits(read.header.class));
}

#[test]
fn every_changed_byte_is_refused_or_breaks_the_signature() {
    let (ward, good) = one();
    let key = public(&ward.sensors[0]);
    for at in 0..good.len() {
        for change in [0x01, 0x10, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] ^= change;
            let accepted = Envelope::decode(&bad).is_ok_and(|envelope| envelope.verify(&key));
            assert!(!accepted, "byte {at} changed by {change:02x}");
        }
    }
    for len in 0..good.len() {
        assert!(Envelope::decode(&good[..len]).is_err(), "cut at {len}");
    }
    assert_eq!(
        Envelope::decode(&[good.as_slice(), &[0]].concat()),
        Err(Malformed::Encoding(NotCanonical::Trailing))
    );
}

/// The envelope with its header changed, signature and all else as before.
fn with(change: impl FnOnce(&mut Header)) -> Result<Envelope, Malformed> {
    let (_, bytes) = one();
    let good = Envelope::decode(&bytes).unwrap();
    let mut header = good.header;
    change(&mut header);
    Envelope::decode(&Envelope::encode_parts(&header.encode(), &good.signature, &good.ciphertext))
}

#[test]
fn header_out_of_bounds_names_the_field() {
    assert!(with(|_| ()).is_ok());
    assert_eq!(with(|h| h.first_ms = h.last_ms + 1), Err(Malformed::Times));
    assert_eq!(with(|h| h.last_ms = TIME_MAX_MS + 1), Err(Malformed::Times));
    assert_eq!(with(|h| h.epoch = EPOCH_MAX + 1), Err(Malformed::Epoch));
    assert_eq!(with(|h| h.count = 0), Err(Malformed::Count));
    assert_eq!(with(|h| h.count = COUNT_MAX + 1), Err(Malformed::Count));
    assert_eq!(with(|h| h.prev = [0; 32]), Err(Malformed::Prev));
    assert_eq!(with(|h| h.seq = 0), Err(Malformed::Prev));
    assert_eq!(with(|h| h.ciphertext_hash[0] ^= 1), Err(Malformed::Ciphertext));
    assert!(with(|h| h.seq = SEQ_MAX).is_ok());
    assert_eq!(with(|h| h.seq = SEQ_MAX + 1), Err(Malformed::Seq), "the number after it must exist");
    assert_eq!(with(|h| h.seq = u64::MAX), Err(Malformed::Seq));
}

#[test]
fn a_ciphertext_shorter_than_its_tag_is_refused() {
    let ward = Ward::new(1, 1);
    let mut stream = ward.stream(0, Class::Vitals);
    let short = ward.seal(&mut stream, TAG_BYTES);
    assert_eq!(Envelope::decode(&short), Err(Malformed::TooShort));
    let least = ward.seal(&mut stream, TAG_BYTES + 1);
    assert!(Envelope::decode(&least).is_ok());
}

#[test]
fn the_longest_envelope_is_read_and_a_longer_one_is_not() {
    let ward = Ward::new(1, 1);
    let mut stream = ward.stream(0, Class::Vitals);
    let overhead = ward.seal(&mut stream, 30_000).len() - 30_000;
    let longest = ward.seal(&mut stream, ENVELOPE_BYTES_MAX - overhead - 64);
    assert!(Envelope::decode(&longest).is_ok());
    let longer = ward.seal(&mut stream, ENVELOPE_BYTES_MAX);
    assert_eq!(Envelope::decode(&longer), Err(Malformed::Encoding(NotCanonical::TooLong)));
    let body = vitals::body::BODY_BYTES_MAX + TAG_BYTES;
    assert!(Envelope::decode(&ward.seal(&mut stream, body)).is_ok(), "the longest body fits");
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Envelope::decode(&bytes).is_err());
        prop_assert!(Header::decode(&bytes).is_err());
    }

    #[test]
    fn changed_headers_are_refused_or_are_the_only_form(
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..4),
    ) {
        let (_, bytes) = one();
        let mut header = Envelope::decode(&bytes).unwrap().header_bytes;
        for (at, to) in changes {
            let at = at % header.len();
            header[at] = to;
        }
        if let Ok(read) = Header::decode(&header) {
            prop_assert_eq!(read.encode(), header);
        }
    }
}
