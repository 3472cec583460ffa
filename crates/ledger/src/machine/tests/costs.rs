//! What acts cost, held below bounds, so that a change which makes one dear is seen.

use super::*;
use vitals::eip712::grant_id;
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
    let acts = [
        ("enrol a patient", enrol(&domain, 1, Role::Patient), 200_000),
        ("enrol a clinician", enrol(&domain, 2, Role::Clinician), 200_000),
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
