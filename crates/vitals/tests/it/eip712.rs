use testkit::golden;
use vitals::break_glass::{BreakGlass, Verdict};
use vitals::eip712::*;
use vitals::ids::{Genesis, PersonId};
use vitals::ledger::ConsentMessage;

/// The domain and the consent of the golden files.
fn golden_consent() -> (ConsentDomain, ConsentMessage) {
    let domain = ConsentDomain::new(Genesis([0x22; 32]), 84_001, &[0x11; 20], [0x12; 20]);
    let message = ConsentMessage {
        patient: PersonId([0x33; 32]),
        grantee: PersonId([0x34; 32]),
        terms: [0x35; 32],
        from_ms: 1_800_000_000_000,
        until_ms: 1_800_086_400_000,
        nonce: [0x36; 32],
        deadline_ms: 1_800_000_600_000,
    };
    (domain, message)
}

/// Both digests, as the contract computes them (`docs/decisions/013`): the domain of chain 84001,
/// contract 0x11…11, genesis 0x22…22; the message's fields count up from 0x33.
#[test]
fn digests_patients_sign_are_the_golden_ones() {
    let (domain, message) = golden_consent();
    let id = grant_id(message.patient, &message.nonce);
    let digests = [domain.consent_digest(&message), domain.revocation_digest(id), id.0].concat();
    golden!("consent_digests_v1", digests);
}

/// The other three, of the same domain: a consent under the policy at 0x44…44, an access without
/// consent with and without a second clinician, an auditor's verdict on it.
#[test]
fn digests_of_policies_and_of_accesses_without_consent_are_the_golden_ones() {
    let (domain, message) = golden_consent();
    let alone = BreakGlass {
        patient: PersonId([0x33; 32]),
        clinician: PersonId([0x37; 32]),
        second: None,
        reason: [0x39; 32],
        from_ms: 1_800_000_000_000,
        until_ms: 1_800_003_600_000,
        nonce: [0x3a; 32],
    };
    let together = BreakGlass { second: Some(PersonId([0x38; 32])), ..alone.clone() };
    let entry = break_glass_id(&alone);
    let (auditor, remark) = (PersonId([0x3b; 32]), [0x3c; 32]);
    let digests = [
        domain.consent_under_digest(&message, &[0x44; 20]),
        domain.break_glass_digest(&alone),
        domain.break_glass_digest(&together),
        entry,
        domain.review_digest(&entry, auditor, Verdict::Justified, &remark),
    ]
    .concat();
    golden!("policy_and_glass_digests_v1", digests);
}

#[test]
fn signer_of_a_p256_key_names_the_verifier_first() {
    let domain = ConsentDomain::new(Genesis([1; 32]), 1, &[2; 20], [3; 20]);
    let signer = domain.p256_signer(&[4; 64]);
    assert_eq!((signer.len(), &signer[..20], &signer[20..]), (84, &[3; 20][..], &[4; 64][..]));
}
