//! What acts cost, held below bounds, so that a change which makes one dear is seen.

use super::*;
use vitals::break_glass::{BreakGlass, SignedBreakGlass, Verdict};
use vitals::eip712::{break_glass_id, grant_id};
use vitals::governance::Motion;
use vitals::ids::sha256;
use vitals::ledger::RevokeReason;
use vitals::log::MerkleLog;

#[test]
fn gas_of_every_act_stays_within_its_bound() {
    let mut ward = Ward::with(1);
    let domain = ward.machine.domain();
    let mut log = MerkleLog::new();
    for leaf in 0u64..1_000 {
        log.push(sha256(&[&leaf.to_be_bytes()]));
    }
    let anchor = |old: u64, size| Act::Anchor {
        size,
        root: log.root_at(size).unwrap(),
        consistency: if old == 0 { Vec::new() } else { log.consistency(old, size).unwrap() },
    };
    let message = consent(1, person(2), 1, ward.now_ms);
    let id = grant_id(message.patient, &message.nonce);
    let signature = Hand::of(1).sign(&domain.revocation_digest(id));
    let burnt = grant_id(person(1), &[9; 32]);
    let burning = Hand::of(1).sign(&domain.revocation_digest(burnt));
    let device = DeviceId::of(&[0x22; 32]);
    let sender = account::address_of(&secret(5)).unwrap();
    let admit = Act::Propose(Motion::AdmitOrganisation { record_key: [0xa5; 32], sender });
    let join = Act::Propose(Motion::AddValidator {
        key: [4; 32],
        org: org(0),
        endpoint: "validator-4.hospital.example:4410".into(),
    });
    let announce = Act::Announce { validator: [4; 32], endpoint: "10.0.0.4:4410".into() };
    let directory = ward.machine.contracts().directory.0.0;
    let m = ConsentMessage { nonce: [2; 32], ..message.clone() };
    let under_signature = Hand::of(1).sign(&domain.consent_under_digest(&m, &directory));
    let under =
        Act::GrantUnder { signed: SignedGrant { message: m, signature: under_signature }, policy: directory };
    let m = BreakGlass {
        patient: person(1),
        clinician: person(2),
        second: Some(person(3)),
        reason: [7; 32],
        from_ms: ward.now_ms,
        until_ms: ward.now_ms + 3_600_000,
        nonce: [1; 32],
    };
    let (digest, entry) = (domain.break_glass_digest(&m), break_glass_id(&m));
    let glass = Act::BreakGlass(SignedBreakGlass {
        message: m,
        signature: Hand::of(2).sign(&digest),
        second_signature: Hand::of(3).sign(&digest),
    });
    let (auditor, verdict, remark) = (person(5), Verdict::Justified, [6; 32]);
    let signed = Hand::of(5).sign(&domain.review_digest(&entry, auditor, verdict, &remark));
    let review = Act::Review { entry, auditor, verdict, remark, signature: signed };
    let acts = [
        ("enrol a patient", enrol(&domain, 1, Role::Patient), 200_000),
        ("enrol a clinician", enrol(&domain, 2, Role::Clinician), 200_000),
        ("enrol another clinician", enrol(&domain, 3, Role::Clinician), 200_000),
        ("enrol an auditor", enrol(&domain, 5, Role::Auditor), 200_000),
        ("register a gateway", gateway(0x11), 150_000),
        ("register a sensor", sensor(0x22, 0x11), 180_000),
        (
            "revoke a device",
            Act::Revoke { device, reason: RevokeReason::Retired, last_trusted_seq: 7 },
            60_000,
        ),
        ("give a consent (P-256)", grant(&domain, 1, message), 190_000),
        ("withdraw it", Act::RevokeGrant { grant: id, signature }, 90_000),
        ("burn a nonce", Act::BurnGrant { patient: person(1), nonce: [9; 32], signature: burning }, 130_000),
        ("propose and admit an organisation", admit, 500_000),
        ("propose a validator (and accept it alone)", join, 650_000),
        ("announce an endpoint", announce, 90_000),
        ("add a policy", Act::AddPolicy { name: [1; 32], contract: directory }, 250_000),
        ("give a consent under it (P-256)", under, 220_000),
        ("break the glass, two clinicians (P-256)", glass, 400_000),
        ("review it (P-256)", review, 150_000),
        ("anchor first", anchor(0, 10), 90_000),
        ("anchor next (10 to 1000 leaves)", anchor(10, 1_000), 70_000),
        ("anchor the same again", anchor(1_000, 1_000), 50_000),
    ];
    for (name, act, most) in acts {
        let tx = ward.next(0, &act);
        let limit = ward.machine.check(&tx).unwrap().gas_limit();
        let executed = ward.block(&[tx]);
        let Receipt { succeeded, gas, .. } = executed.receipts[0];
        println!("{name}: {gas} gas of {limit}");
        assert!(succeeded && gas <= most && 2 * gas <= limit, "{name}: {gas} gas");
    }
}
