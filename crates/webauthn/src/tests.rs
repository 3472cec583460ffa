#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use proptest::prelude::*;
use testkit::authenticator::{Authenticator, Page, Said, client_data};

const CHALLENGE: [u8; 32] = [7; 32];

fn party() -> RelyingParty {
    RelyingParty::of("ward.example", true).unwrap()
}

fn page() -> Page {
    Page::at("ward.example")
}

fn registered(authenticator: &Authenticator) -> Registered {
    let Said { client_data, authenticator_data, .. } = authenticator.create(&page(), &CHALLENGE);
    register(&party(), &CHALLENGE, &client_data, &authenticator_data).unwrap()
}

fn used(said: &Said, key: &PublicKey, backup_eligible: bool) -> Result<Used, Refused> {
    let Said { client_data, authenticator_data, signature } = said;
    authenticate(
        &party(),
        &CHALLENGE,
        key,
        backup_eligible,
        Assertion { client_data, authenticator_data, signature },
    )
}

#[test]
fn a_passkey_is_made_and_used() {
    let mut authenticator = Authenticator::new(1, b"handle");
    let made = registered(&authenticator);
    assert_eq!(made.credential_id, authenticator.id);
    assert_eq!(made.public_key.encode(), authenticator.cose_key());
    assert_eq!((made.sign_count, made.backup_eligible, made.backed_up), (0, false, false));
    let said = authenticator.get(&page(), &CHALLENGE);
    assert_eq!(used(&said, &made.public_key, false), Ok(Used { sign_count: 1, backed_up: false }));
}

#[test]
fn what_a_passkey_of_elsewhere_or_of_another_time_says_is_refused() {
    let mut authenticator = Authenticator::new(1, b"handle");
    let key = registered(&authenticator).public_key;
    let mut try_at = |page: &Page, challenge: &[u8]| used(&authenticator.get(page, challenge), &key, false);
    let ours = page();
    for origin in
        ["https://ward.example.evil", "http://ward.example", "https://ward.example:8443", "null", ""]
    {
        let page = Page { origin: origin.into(), ..ours.clone() };
        assert_eq!(try_at(&page, &CHALLENGE), Err(Refused::Origin), "{origin}");
    }
    let framed = Page { cross_origin: true, ..ours.clone() };
    assert_eq!(try_at(&framed, &CHALLENGE), Err(Refused::Origin));
    for rp_id in ["example", "evil.example", "ward.example.", "WARD.EXAMPLE"] {
        let page = Page { rp_id: rp_id.into(), ..ours.clone() };
        assert_eq!(try_at(&page, &CHALLENGE), Err(Refused::RelyingParty), "{rp_id}");
    }
    for challenge in [&[8; 32][..], &[7; 31], &[7; 33], &[]] {
        assert_eq!(try_at(&ours, challenge), Err(Refused::Challenge));
    }
    let other = registered(&Authenticator::new(2, b"handle")).public_key;
    let said = Authenticator::new(1, b"handle").get(&ours, &CHALLENGE);
    assert_eq!(used(&said, &other, false), Err(Refused::Signature), "another key's");
}

#[test]
fn a_user_who_was_not_there_or_not_verified_is_refused_when_a_passkey_is_made_and_used() {
    for (flags, why) in
        [(0b100, Refused::NotPresent), (0b001, Refused::NotVerified), (0, Refused::NotPresent)]
    {
        let mut authenticator = Authenticator::new(1, b"handle");
        let key = registered(&authenticator).public_key;
        authenticator.flags = flags;
        assert_eq!(used(&authenticator.get(&page(), &CHALLENGE), &key, false), Err(why));
        let said = authenticator.create(&page(), &CHALLENGE);
        assert_eq!(register(&party(), &CHALLENGE, &said.client_data, &said.authenticator_data), Err(why));
    }
}

#[test]
fn flags_of_a_backup_are_noted_and_must_not_contradict_one_another() {
    let mut authenticator = Authenticator::new(1, b"handle");
    authenticator.flags = 0b1_1101;
    let made = registered(&authenticator);
    assert!(made.backup_eligible && made.backed_up);
    let said = authenticator.get(&page(), &CHALLENGE);
    assert_eq!(used(&said, &made.public_key, true), Ok(Used { sign_count: 1, backed_up: true }));
    assert_eq!(used(&said, &made.public_key, false), Err(Refused::Backup), "eligible, and was not");
    authenticator.flags = 0b1_0101;
    assert_eq!(used(&authenticator.get(&page(), &CHALLENGE), &made.public_key, false), Err(Refused::Backup));
}

#[test]
fn one_ceremony_does_not_stand_for_the_other() {
    let mut authenticator = Authenticator::new(1, b"handle");
    let key = registered(&authenticator).public_key;
    let mut said = authenticator.get(&page(), &CHALLENGE);
    said.client_data = client_data("webauthn.create", &page(), &CHALLENGE);
    assert_eq!(used(&said, &key, false), Err(Refused::Ceremony));
    let made = authenticator.create(&page(), &CHALLENGE);
    let get = client_data("webauthn.get", &page(), &CHALLENGE);
    assert_eq!(register(&party(), &CHALLENGE, &get, &made.authenticator_data), Err(Refused::Ceremony));
    let bare = authenticator.get(&page(), &CHALLENGE).authenticator_data;
    let refused = register(&party(), &CHALLENGE, &made.client_data, &bare);
    assert_eq!(refused, Err(Refused::AuthenticatorData), "no passkey in it");
}

#[test]
fn client_data_is_read_however_browsers_order_it_and_no_member_counts_twice() {
    let mut authenticator = Authenticator::new(1, b"handle");
    let key = registered(&authenticator).public_key;
    let challenge = testkit::authenticator::base64url(&CHALLENGE);
    let check = |text: String| client_data::check(text.as_bytes(), Ceremony::Get, &CHALLENGE, &party());
    let origin = "https://ward.example";
    for good in [
        format!(r#"{{"challenge":"{challenge}","origin":"{origin}","type":"webauthn.get"}}"#),
        format!(
            r#"{{"type":"webauthn.get","challenge":"{challenge}","origin":"https:\/\/ward.example","crossOrigin":false,"other_keys_can_be_added_here":"do not compare clientDataJSON against a template"}}"#
        ),
    ] {
        assert_eq!(check(good.clone()), Ok(()), "{good}");
    }
    for (bad, why) in [
        (String::new(), Refused::ClientData),
        ("[]".into(), Refused::ClientData),
        (format!(r#"{{"type":"webauthn.get","challenge":"{challenge}"}}"#), Refused::ClientData),
        (
            format!(
                r#"{{"type":"webauthn.get","challenge":"{challenge}","origin":"{origin}","origin":"{origin}"}}"#
            ),
            Refused::ClientData,
        ),
        (
            format!(r#"{{"type":"webauthn.get","challenge":"{challenge}=","origin":"{origin}"}}"#),
            Refused::Challenge,
        ),
        (
            format!(
                r#"{{"type":"webauthn.get","challenge":"{challenge}","origin":"{origin}","topOrigin":"https://evil"}}"#
            ),
            Refused::Origin,
        ),
        (" ".repeat(CLIENT_DATA_BYTES_MAX + 1), Refused::ClientData),
    ] {
        assert_eq!(check(bad.clone()), Err(why), "{bad}");
    }
    // What was checked is what was signed.
    let mut said = authenticator.get(&page(), &CHALLENGE);
    said.client_data.push(b' ');
    assert_eq!(used(&said, &key, false), Err(Refused::Signature));
}

#[test]
fn authenticator_data_that_ends_early_or_goes_on_is_refused() {
    let made = Authenticator::new(1, b"handle").create(&page(), &CHALLENGE);
    let read = |bytes: &[u8]| register(&party(), &CHALLENGE, &made.client_data, bytes).map(drop);
    assert_eq!(read(&made.authenticator_data), Ok(()));
    for len in 0..made.authenticator_data.len() {
        assert!(read(&made.authenticator_data[..len]).is_err(), "{len} bytes");
    }
    let longer = [&made.authenticator_data[..], &[0xa0]].concat();
    assert_eq!(read(&longer), Err(Refused::AuthenticatorData), "no flag says that more follows");
    let mut extended = longer;
    extended[32] |= 0x80;
    assert_eq!(read(&extended), Ok(()), "with the flag, extensions that nobody asked for");
    let mut missing = made.authenticator_data.clone();
    missing[32] |= 0x80;
    assert_eq!(read(&missing), Err(Refused::AuthenticatorData));
    assert_eq!(read(&vec![0; AUTHENTICATOR_DATA_BYTES_MAX + 1]), Err(Refused::AuthenticatorData));
}

#[test]
fn a_key_of_another_algorithm_or_encoding_is_refused() {
    let good = Authenticator::new(1, b"handle").cose_key();
    assert_eq!(PublicKey::decode(&good).unwrap().encode(), good);
    // Ed25519, and P-256 with its members in another order.
    let ed25519 = [&[0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21, 0x58, 0x20][..], &[9; 32]].concat();
    let reordered = [&[0xa5, 0x03, 0x26, 0x01, 0x02, 0x20, 0x01, 0x21, 0x58, 0x20][..], &good[10..]].concat();
    let longer = [&good[..], &[0]].concat();
    for bad in [&ed25519[..], &reordered, &longer, &good[..76], &[]] {
        assert_eq!(PublicKey::decode(bad), Err(Refused::Key));
    }
    // A point that is not on the curve verifies nothing.
    let nowhere = PublicKey::Es256([1; 64]);
    let said = Authenticator::new(1, b"handle").get(&page(), &CHALLENGE);
    assert_eq!(used(&said, &nowhere, false), Err(Refused::Signature));
}

/// Windows computers without ECC in their TPM: signed by aws-lc's own RSA.
#[test]
fn an_rsa_passkey_is_made_and_used() {
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
    for (size, len) in [(KeySize::Rsa2048, 256_u16), (KeySize::Rsa3072, 384)] {
        let pair = KeyPair::generate(size).unwrap();
        let modulus = pair.public_key().modulus().big_endian_without_leading_zero().to_vec();
        let key = PublicKey::Rs256(modulus.clone());
        let head = [&[0xa4, 0x01, 0x03, 0x03, 0x39, 0x01, 0x00, 0x20, 0x59][..], &len.to_be_bytes()].concat();
        let wanted = [&head[..], &modulus, &[0x21, 0x43, 0x01, 0x00, 0x01]].concat();
        assert_eq!(key.encode(), wanted);
        assert_eq!(PublicKey::decode(&wanted), Ok(key.clone()));
        let mut said = Authenticator::new(1, b"handle").get(&page(), &CHALLENGE);
        let message = [&said.authenticator_data[..], &sha256(&[&said.client_data])].concat();
        let mut signature = vec![0; usize::from(len)];
        let random = aws_lc_rs::rand::SystemRandom::new();
        pair.sign(&RSA_PKCS1_SHA256, &random, &message, &mut signature).unwrap();
        said.signature = signature;
        assert!(used(&said, &key, false).is_ok());
        said.signature[9] ^= 1;
        assert_eq!(used(&said, &key, false), Err(Refused::Signature));
        let mut short = wanted;
        short[head.len()] &= 0x7f;
        assert_eq!(PublicKey::decode(&short), Err(Refused::Key), "a modulus written long");
    }
}

#[test]
fn passkeys_belong_to_a_name_over_tls_or_to_localhost() {
    let of = |host: &str, over_tls| {
        RelyingParty::of(host, over_tls).map(|one| (one.origin().to_string(), one.id().to_string()))
    };
    let is = |origin: &str, id: &str| Some((origin.to_string(), id.to_string()));
    assert_eq!(of("ward.example", true), is("https://ward.example", "ward.example"));
    assert_eq!(of("ward.example:8443", true), is("https://ward.example:8443", "ward.example"));
    assert_eq!(of("localhost:8080", false), is("http://localhost:8080", "localhost"));
    assert_eq!(of("ward.example", false), None, "no TLS");
    for host in [
        "127.0.0.1:8080",
        "10.0.0.7",
        "[::1]:8080",
        "",
        ":443",
        "ward.example:",
        "ward.example:x",
        "ward..example",
        "ward.example.",
        "WARD.example",
        "ward_1",
        "ward.example:123456",
        "a b",
        "ward.example:443:1",
    ] {
        assert_eq!(of(host, true), None, "{host}");
    }
    let long = format!("{}.example", "a".repeat(64));
    assert_eq!(of(&long, true), None);
}

proptest! {
    /// Whatever comes in: a verdict, and what was not made by this key's owner is never taken.
    #[test]
    fn no_bytes_make_it_panic_and_one_changed_bit_is_refused(
        junk in proptest::collection::vec(any::<u8>(), 0..600), at in any::<proptest::sample::Index>(), bit in 0..8_u8,
    ) {
        let _ = AuthenticatorData::read(&junk);
        let _ = PublicKey::decode(&junk);
        let _ = client_data::check(&junk, Ceremony::Get, &CHALLENGE, &party());
        let mut authenticator = Authenticator::new(1, b"handle");
        let key = registered(&authenticator).public_key;
        let said = authenticator.get(&page(), &CHALLENGE);
        for field in 0..3 {
            let mut said = said.clone();
            let bytes = match field {
                0 => &mut said.client_data,
                1 => &mut said.authenticator_data,
                _ => &mut said.signature,
            };
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(used(&said, &key, false).is_err());
        }
    }
}
