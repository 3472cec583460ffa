//! Access without consent, its review, policies, and passkeys.

use super::*;
use crate::contracts::bindings::{Consents, TwoClinicians};
use alloy_primitives::{B256, Bytes, U256};
use alloy_sol_types::{SolCall, SolConstructor, SolValue};
use vitals::break_glass::{BREAK_GLASS_PER_DAY_MAX, BreakGlass, Review, SignedBreakGlass, Verdict};
use vitals::eip712::{break_glass_id, grant_id};
use vitals::ids::{Class, sha256};
use vitals::refusal::Refusal;

const DAY_MS: u64 = 86_400_000;

fn refused(outcome: Outcome, why: Refusal) {
    assert_eq!(outcome, Outcome::Refused { reason: why.to_string() });
}

fn message(ward: &Ward, nonce: u8) -> BreakGlass {
    BreakGlass {
        patient: person(1),
        clinician: person(2),
        second: None,
        reason: [7; 32],
        from_ms: ward.now_ms,
        until_ms: ward.now_ms + 3_600_000,
        nonce: [nonce; 32],
    }
}

fn signed(ward: &Ward, message: BreakGlass) -> Act {
    let digest = ward.machine.domain().break_glass_digest(&message);
    let signature = Hand::of(2).sign(&digest);
    let second_signature = message.second.map_or(Vec::new(), |second| Hand::of(second.0[0]).sign(&digest));
    Act::BreakGlass(SignedBreakGlass { message, signature, second_signature })
}

fn review(ward: &Ward, entry: Hash, verdict: Verdict) -> Act {
    let (auditor, remark) = (person(5), [6; 32]);
    let signature = Hand::of(5).sign(&ward.machine.domain().review_digest(&entry, auditor, verdict, &remark));
    Act::Review { entry, auditor, verdict, remark, signature }
}

/// Amira (1) is the patient, 2 and 3 are clinicians of the first organisation, 4 one of the second, 5 audits.
fn staffed() -> Ward {
    let mut ward = Ward::with(2);
    let domain = ward.machine.domain();
    ward.done(1, &enrol(&domain, 1, Role::Patient));
    ward.done(0, &enrol(&domain, 2, Role::Clinician));
    ward.done(0, &enrol(&domain, 3, Role::Clinician));
    ward.done(1, &enrol(&domain, 4, Role::Clinician));
    ward.done(1, &enrol(&domain, 5, Role::Auditor));
    ward
}

#[test]
fn break_glass_is_counted_and_reviewed_once() {
    let mut ward = staffed();
    // On the first day only with a colleague of the same organisation.
    let alone = message(&ward, 1);
    refused(ward.act(0, &signed(&ward, alone.clone())), Refusal::RoleTooYoung);
    let beside = |second: u8, m: &BreakGlass| BreakGlass { second: Some(person(second)), ..m.clone() };
    refused(ward.act(0, &signed(&ward, beside(4, &alone))), Refusal::SecondClinicianWrong);
    refused(ward.act(0, &signed(&ward, beside(2, &alone))), Refusal::SecondClinicianWrong);
    ward.done(0, &signed(&ward, beside(3, &alone)));
    refused(ward.act(0, &signed(&ward, beside(3, &alone))), Refusal::GlassRepeated);

    ward.now_ms += DAY_MS;
    let m = message(&ward, 2);
    refused(ward.act(1, &signed(&ward, m.clone())), Refusal::ClinicianUnknown);
    let long = BreakGlass { until_ms: m.until_ms + 1, ..m.clone() };
    refused(ward.act(0, &signed(&ward, long)), Refusal::GlassWindowWrong);
    let mute = BreakGlass { reason: [0; 32], ..m.clone() };
    refused(ward.act(0, &signed(&ward, mute)), Refusal::ReasonMissing);
    let nobody = BreakGlass { patient: person(4), ..m.clone() };
    refused(ward.act(0, &signed(&ward, nobody)), Refusal::NotAPatient);
    let Act::BreakGlass(mut forged) = signed(&ward, m.clone()) else { panic!() };
    forged.message.until_ms -= 1;
    refused(ward.act(0, &Act::BreakGlass(forged)), Refusal::SignatureWrong);
    ward.done(0, &signed(&ward, m.clone()));
    let entry = ward.machine.view().break_glass_entry(&break_glass_id(&m)).unwrap().unwrap();
    assert_eq!((entry.patient, entry.clinician, entry.second), (person(1), person(2), None));
    assert_eq!((entry.from_ms, entry.until_ms, entry.review), (m.from_ms, m.until_ms, None));
    assert_eq!(entry.given_at_ms, ward.now_ms / 1000 * 1000);

    // The day's quota, whatever the nonce.
    for nonce in 10..9 + u8::try_from(BREAK_GLASS_PER_DAY_MAX).unwrap() {
        ward.done(0, &signed(&ward, BreakGlass { nonce: [nonce; 32], ..m.clone() }));
    }
    let over = BreakGlass { nonce: [99; 32], ..m.clone() };
    refused(ward.act(0, &signed(&ward, over)), Refusal::GlassQuotaUsed);

    let id = break_glass_id(&m);
    refused(ward.act(0, &review(&ward, [0; 32], Verdict::Justified)), Refusal::EntryUnknown);
    ward.done(1, &review(&ward, id, Verdict::Unjustified));
    let at_ms = ward.now_ms / 1000 * 1000;
    refused(ward.act(0, &review(&ward, id, Verdict::Justified)), Refusal::EntryReviewed);
    let found = Review { auditor: person(5), verdict: Verdict::Unjustified, remark: [6; 32], at_ms };
    assert_eq!(ward.machine.view().break_glass_entry(&id).unwrap().unwrap().review, Some(found));
    let newest = ward.machine.view().break_glass_entries(3).unwrap();
    assert_eq!(newest.len(), 3);
    assert_eq!(ward.machine.view().break_glass_entries(100).unwrap().len(), 11);
    assert_eq!(ward.reopened().machine.view().break_glass_entries(3).unwrap(), newest);
}

#[test]
fn class_under_two_clinicians_opens_when_both_agreed() {
    let mut ward = staffed();
    let consents_ = ward.machine.contracts().consents;
    let notes = U256::from(1u32) << usize::from(Class::Notes.code());
    let arguments = TwoClinicians::constructorCall { consents_, classes_: notes }.abi_encode();
    let policy = deploy(&mut ward, 0, [TwoClinicians::BYTECODE.as_ref(), &arguments].concat());

    let domain = ward.machine.domain();
    let message = consent(1, PersonId::of_organisation(org(0)), 5, ward.now_ms);
    let id = grant_id(message.patient, &message.nonce);
    let under = |message: &ConsentMessage| {
        let signature = Hand::of(1).sign(&domain.consent_under_digest(message, &policy));
        Act::GrantUnder { signed: SignedGrant { message: message.clone(), signature }, policy }
    };
    refused(ward.act(0, &under(&message)), Refusal::PolicyUnknown);
    let name = *b"two clinicians\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    refused(ward.act(0, &Act::AddPolicy { name, contract: [1; 20] }), Refusal::PolicyWithoutCode);
    ward.done(0, &Act::AddPolicy { name, contract: policy });
    refused(ward.act(0, &Act::AddPolicy { name, contract: policy }), Refusal::PolicyKnown);
    let kept = ward.machine.view().policies().unwrap();
    assert_eq!((kept[0].0.0.0, kept[0].1.name, kept[0].1.version), (policy, name, 1));
    // A signature without the policy is not one under it.
    let Act::Grant(plain) = grant(&domain, 1, message.clone()) else { panic!() };
    refused(ward.act(0, &Act::GrantUnder { signed: plain, policy }), Refusal::SignatureWrong);
    ward.done(0, &under(&message));
    assert_eq!(ward.machine.view().grant(id).unwrap().unwrap().policy, Some(policy));

    let agrees = |ward: &Ward, class| ward.machine.policy_agrees(&ward.machine.view(), id, class);
    assert!(agrees(&ward, Class::Vitals), "only notes need two");
    assert!(!agrees(&ward, Class::Notes));
    let agree = |ward: &mut Ward, clinician: u8| {
        let until = ward.now_ms + 3_600_000;
        let (grant, class) = (B256::from(id.0), Class::Notes.code());
        let who = B256::from(person(clinician).0);
        let question = TwoClinicians::agreementDigestCall { grant, class, clinician: who, until };
        let digest =
            ward.machine.query_contract(&ward.machine.view(), policy.into(), question.abi_encode()).unwrap();
        let signature = Hand::of(clinician).sign(&digest[..].try_into().unwrap()).into();
        let call = TwoClinicians::agreeCall { grant, class, clinician: who, until, signature }.abi_encode();
        let sender = account::address_of(&secret(1)).unwrap();
        let nonce = ward.machine.view().nonce(sender.into());
        let key = SecretKey::from_byte_array(&secret(1)).unwrap();
        let raw = account::sign(&key, ward.machine.chain_id(), nonce, (policy.into(), call));
        ward.block(&[raw]).receipts[0].succeeded
    };
    assert!(agree(&mut ward, 2) && agree(&mut ward, 2));
    assert!(!agrees(&ward, Class::Notes), "one clinician twice is one");
    assert!(!agree(&mut ward, 4), "the grantee's own clinicians agree");
    assert!(agree(&mut ward, 3));
    assert!(agrees(&ward, Class::Notes));
    ward.done(0, &Act::Suspend { person: person(3) });
    assert!(!agrees(&ward, Class::Notes), "a suspended clinician agrees to nothing");
    refused(ward.act(1, &Act::WithdrawPolicy { contract: policy }), Refusal::NotTheHomeOrganisation);
    ward.done(0, &Act::WithdrawPolicy { contract: policy });
    let later = ConsentMessage { nonce: [9; 32], ..message };
    refused(ward.act(0, &under(&later)), Refusal::PolicyUnknown);
}

#[test]
fn policy_that_fails_does_not_agree() {
    let mut ward = staffed();
    // The directory answers `permits` by reverting.
    let policy = ward.machine.contracts().directory.0.0;
    ward.done(0, &Act::AddPolicy { name: [1; 32], contract: policy });
    let domain = ward.machine.domain();
    let message = consent(1, person(2), 5, ward.now_ms);
    let id = grant_id(message.patient, &message.nonce);
    let signature = Hand::of(1).sign(&domain.consent_under_digest(&message, &policy));
    ward.done(1, &Act::GrantUnder { signed: SignedGrant { message, signature }, policy });
    assert!(!ward.machine.policy_agrees(&ward.machine.view(), id, Class::Vitals));
}

/// A passkey's answer to a challenge, as a browser gives it, encoded for the verifier.
fn passkey(hand: &SigningKey, digest: &Hash, flags: u8) -> Vec<u8> {
    let challenge = base64url(digest);
    let client_data =
        format!(r#"{{"type":"webauthn.get","challenge":"{challenge}","origin":"https://aceso.example"}}"#);
    let mut authenticator = sha256(&[b"aceso.example"]).to_vec();
    authenticator.push(flags);
    authenticator.extend([0, 0, 0, 1]);
    let signed = sha256(&[&authenticator, &sha256(&[client_data.as_bytes()])]);
    let signature: Signature = hand.sign_prehash(&signed).unwrap();
    let bytes = signature.normalize_s().to_bytes();
    let (r, s) = bytes.split_at(32);
    (
        B256::from_slice(r),
        B256::from_slice(s),
        U256::from(client_data.find(r#""challenge""#).unwrap()),
        U256::from(client_data.find(r#""type""#).unwrap()),
        Bytes::from(authenticator),
        client_data,
    )
        .abi_encode_params()
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..=chunk.len() {
            text.push(char::from(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize]));
        }
    }
    text
}

#[test]
fn passkey_gives_and_withdraws_a_consent() {
    let mut ward = staffed();
    let domain = ward.machine.domain();
    let hand = SigningKey::from_slice(&[0x51; 32]).unwrap();
    let point = hand.verifying_key().to_sec1_point(false);
    let signer = [ward.machine.contracts().webauthn_verifier.as_slice(), &point.as_bytes()[1..]].concat();
    ward.done(0, &Act::Enrol { person: person(9), role: Role::Patient, signer, vault_kept: false });
    let message = consent(9, person(2), 5, ward.now_ms);
    let id = grant_id(message.patient, &message.nonce);
    let digest = domain.consent_digest(&message);
    let give = |signature| Act::Grant(SignedGrant { message: message.clone(), signature });
    // Present, but not verified: a stolen phone that is unlocked.
    refused(ward.act(0, &give(passkey(&hand, &digest, 0x01))), Refusal::SignatureWrong);
    refused(ward.act(0, &give(passkey(&hand, &[1; 32], 0x05))), Refusal::SignatureWrong);
    ward.done(0, &give(passkey(&hand, &digest, 0x05)));
    let signature = passkey(&hand, &domain.revocation_digest(id), 0x05);
    ward.done(1, &Act::RevokeGrant { grant: id, signature });
    assert_ne!(ward.machine.view().grant(id).unwrap().unwrap().revoked_at_ms, 0);
}

#[test]
fn account_and_low_s_rules_hold_for_other_signers() {
    let mut ward = staffed();
    let domain = ward.machine.domain();
    // An external account: 20 bytes, a 65-byte signature.
    let key = SecretKey::from_byte_array(&[0x77; 32]).unwrap();
    let signer = account::address_of(&[0x77; 32]).unwrap().to_vec();
    ward.done(0, &Act::Enrol { person: person(8), role: Role::Patient, signer, vault_kept: false });
    let message = consent(8, person(2), 5, ward.now_ms);
    let digest = secp256k1::Message::from_digest(domain.consent_digest(&message));
    let (parity, bytes) = secp256k1::SECP256K1.sign_ecdsa_recoverable(&digest, &key).serialize_compact();
    let signature = [&bytes[..], &[27 + u8::try_from(i32::from(parity)).unwrap()]].concat();
    ward.done(0, &Act::Grant(SignedGrant { message, signature }));
    // The mirrored P-256 signature, with a high s, is refused.
    let message = consent(1, person(2), 6, ward.now_ms);
    let low = Hand::of(1).sign(&domain.consent_digest(&message));
    let mut high = low.clone();
    high[32..].copy_from_slice(&mirrored(low[32..].try_into().unwrap()));
    let give = |signature| Act::Grant(SignedGrant { message: message.clone(), signature });
    refused(ward.act(0, &give(high)), Refusal::SignatureWrong);
    ward.done(0, &give(low));
}

/// The curve's order less `s`.
fn mirrored(s: [u8; 32]) -> [u8; 32] {
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    (U256::from_str_radix(order, 16).unwrap() - U256::from_be_bytes(s)).to_be_bytes()
}

#[test]
fn contract_computes_the_digests_the_model_does() {
    let ward = staffed();
    let (domain, contracts) = (ward.machine.domain(), ward.machine.contracts());
    let m = BreakGlass { second: Some(person(3)), ..message(&ward, 1) };
    let call = Consents::breakGlassDigestCall {
        m: Consents::BreakGlass {
            patient: m.patient.0.into(),
            clinician: m.clinician.0.into(),
            second: person(3).0.into(),
            reason: m.reason.into(),
            from: m.from_ms,
            until: m.until_ms,
            nonce: m.nonce.into(),
        },
    };
    let ask = |data| ward.machine.query_contract(&ward.machine.view(), contracts.consents, data).unwrap();
    assert_eq!(ask(call.abi_encode())[..], domain.break_glass_digest(&m));
}
