//! Random acts: the contracts in the EVM and their plain-Rust model agree on every outcome and record.

use super::*;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use vitals::eip712::grant_id;
use vitals::ids::sha256;
use vitals::ledger::{Organisation, RevokeReason};
use vitals::log::MerkleLog;
use vitals::model::LedgerModel;

const ORGANISATIONS: u8 = 2;
const PEOPLE: u8 = 4;
const KEYS: u8 = 5;

/// One random step in a small world, so that steps meet each other.
#[derive(Debug, Clone)]
enum Step {
    Enrol { person: u8, role: u8, signer_bytes: Option<u8> },
    Register { gateway: bool, key: u8, via: u8, binding: bool },
    Revoke { key: u8, stolen: bool },
    Grant { patient: u8, grantee: u8, nonce: u8, signed_by: u8, from_s: i64, until_s: i64, deadline_s: i64 },
    RevokeGrant { patient: u8, nonce: u8, signed_by: u8 },
    BurnGrant { patient: u8, nonce: u8, signed_by: u8 },
    Anchor { size: u64, honest: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let person = || 0..PEOPLE;
    let mostly = |good: i64| prop_oneof![4 => Just(good), 1 => -2i64..3];
    prop_oneof![
        2 => (person(), 1u8..3, prop::option::weighted(0.1, 0u8..40))
            .prop_map(|(person, role, signer_bytes)| Step::Enrol { person, role, signer_bytes }),
        3 => (any::<bool>(), 0..KEYS, 0..KEYS, prop::bool::weighted(0.7))
            .prop_map(|(gateway, key, via, binding)| Step::Register { gateway, key, via: if gateway && binding { key } else { via }, binding: binding != gateway }),
        1 => (0..KEYS, any::<bool>()).prop_map(|(key, stolen)| Step::Revoke { key, stolen }),
        4 => (person(), 0..PEOPLE + 2, 0u8..3, prop::option::weighted(0.1, person()), mostly(0), mostly(1000), mostly(100))
            .prop_map(|(patient, grantee, nonce, other, from_s, until_s, deadline_s)| Step::Grant { patient, grantee, nonce, signed_by: other.unwrap_or(patient), from_s, until_s, deadline_s }),
        2 => (person(), 0u8..3, prop::option::weighted(0.1, person()))
            .prop_map(|(patient, nonce, other)| Step::RevokeGrant { patient, nonce, signed_by: other.unwrap_or(patient) }),
        1 => (person(), 0u8..3, prop::option::weighted(0.1, person()))
            .prop_map(|(patient, nonce, other)| Step::BurnGrant { patient, nonce, signed_by: other.unwrap_or(patient) }),
        3 => (0u64..40, prop::bool::weighted(0.8)).prop_map(|(size, honest)| Step::Anchor { size, honest }),
    ]
}

fn key(number: u8) -> [u8; 32] {
    [0x40 + number; 32]
}

fn act(step: &Step, domain: &ConsentDomain, now_ms: u64, anchored: u64, log: &MerkleLog) -> Act {
    let withdrawal = |patient: &u8, nonce: &u8, signed_by: &u8| {
        let id = grant_id(person(1 + patient), &[*nonce; 32]);
        (id, Hand::of(*signed_by).sign(&domain.revocation_digest(id)))
    };
    let at = |offset_s: i64| now_ms.saturating_add_signed(1000 * offset_s);
    match step {
        Step::Enrol { person: number, role, signer_bytes } => Act::Enrol {
            person: person(1 + number),
            role: Role::from_code(*role).unwrap(),
            signer: signer_bytes
                .map_or_else(|| Hand::of(*number).signer(domain), |len| vec![1; usize::from(len)]),
            vault_kept: true,
        },
        Step::Register { gateway, key: number, via, binding } => Act::Register {
            kind: if *gateway { DeviceKind::Gateway } else { DeviceKind::Sensor },
            key: key(*number),
            wrap_key: [1; 32],
            via: DeviceId::of(&key(*via)),
            binding: if *binding { [5; 32] } else { [0; 32] },
        },
        Step::Revoke { key: number, stolen } => Act::Revoke {
            device: DeviceId::of(&key(*number)),
            reason: if *stolen { RevokeReason::Stolen } else { RevokeReason::Retired },
            last_trusted_seq: u64::from(*number),
        },
        Step::Grant { patient, grantee, nonce, signed_by, from_s, until_s, deadline_s } => {
            let grantee = match grantee {
                number if *number < PEOPLE => person(1 + number),
                number if *number == PEOPLE => PersonId::of_organisation(org(1)),
                _ => PersonId::of_organisation(org(77)),
            };
            let message = ConsentMessage {
                patient: person(1 + patient),
                grantee,
                terms: [3; 32],
                from_ms: at(*from_s),
                until_ms: at(*until_s),
                nonce: [*nonce; 32],
                deadline_ms: at(*deadline_s),
            };
            grant(domain, *signed_by, message)
        }
        Step::RevokeGrant { patient, nonce, signed_by } => {
            let (grant, signature) = withdrawal(patient, nonce, signed_by);
            Act::RevokeGrant { grant, signature }
        }
        Step::BurnGrant { patient, nonce, signed_by } => {
            let (_, signature) = withdrawal(patient, nonce, signed_by);
            Act::BurnGrant { patient: person(1 + patient), nonce: [*nonce; 32], signature }
        }
        Step::Anchor { size, honest } => {
            let consistency = match anchored {
                0 => Vec::new(),
                old if old < *size => log.consistency(old, *size).unwrap(),
                _ => Vec::new(),
            };
            let mut root = log.root_at(*size).unwrap();
            root[0] ^= u8::from(!honest);
            Act::Anchor { size: *size, root, consistency }
        }
    }
}

fn founders(ward: &Ward) -> Vec<(OrgId, Organisation)> {
    let organisation = |founder: &Founder| Organisation {
        record_key: founder.record_key,
        sender: founder.sender,
        active: true,
    };
    ward.document.founders.iter().map(|founder| (founder.org(), organisation(founder))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn model_and_evm_agree(steps in prop::collection::vec((0..ORGANISATIONS, step()), 1..60), per_block in 1usize..6) {
        let mut ward = Ward::with(ORGANISATIONS);
        let domain = ward.machine.domain();
        let mut model = LedgerModel::new(domain, p256_check, founders(&ward));
        let mut log = MerkleLog::new();
        for leaf in 0u64..40 {
            log.push(sha256(&[&leaf.to_be_bytes()]));
        }
        let mut nonces = [0; ORGANISATIONS as usize];
        for block in steps.chunks(per_block) {
            let (time_ms, height) = (ward.now_ms + 1_001, ward.machine.tip().height + 1);
            let (mut txs, mut expected) = (Vec::new(), Vec::new());
            for (number, step) in block {
                let anchored = model.anchors.get(&org(*number)).map_or(0, |anchor| anchor.size);
                let act = act(step, &domain, time_ms, anchored, &log);
                let sender = account::address_of(&secret(*number)).unwrap();
                expected.push((format!("{step:?}"), model.apply(sender, &act, height, time_ms).err()));
                txs.push(ward.signed(*number, nonces[usize::from(*number)], &act));
                nonces[usize::from(*number)] += 1;
            }
            let executed = ward.block(&txs);
            for (receipt, (step, expected)) in executed.receipts.iter().zip(expected) {
                let refusal = crate::contracts::refusal(&receipt.revert);
                prop_assert_eq!(receipt.succeeded, expected.is_none(), "{}: {:?}", &step, refusal);
                prop_assert_eq!(refusal, expected, "{}", step);
            }
        }
        let ward = ward.reopened();
        let view = ward.machine.view();
        for number in 0..ORGANISATIONS {
            prop_assert_eq!(view.anchor(org(number)), model.anchors.get(&org(number)).copied());
            prop_assert_eq!(view.organisation(org(number)).unwrap(), model.organisations.get(&org(number)).cloned());
        }
        for number in 0..PEOPLE {
            let id = person(1 + number);
            prop_assert_eq!(view.person(id).unwrap(), model.people.get(&id).cloned());
            for nonce in 0..3 {
                let id = grant_id(id, &[nonce; 32]);
                prop_assert_eq!(view.grant(id).unwrap(), model.grants.get(&id).cloned());
            }
        }
        for number in 0..KEYS {
            let id = DeviceId::of(&key(number));
            prop_assert_eq!(view.device(id).unwrap(), model.devices.get(&id).cloned());
        }
    }
}

/// The property above says little if its acts never get anywhere.
#[test]
fn random_acts_reach_every_refusal_and_are_often_done() {
    let ward = Ward::with(ORGANISATIONS);
    let domain = ward.machine.domain();
    let mut log = MerkleLog::new();
    (0u64..40).for_each(|leaf| {
        log.push(sha256(&[&leaf.to_be_bytes()]));
    });
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut done, mut refused) = (0, std::collections::BTreeMap::<String, u32>::new());
    for _ in 0..60 {
        let mut model = LedgerModel::new(domain, p256_check, founders(&ward));
        for height in 1..60 {
            let (number, step) = (0..ORGANISATIONS, step()).new_tree(&mut runner).unwrap().current();
            let anchored = model.anchors.get(&org(number)).map_or(0, |anchor| anchor.size);
            let act = act(&step, &domain, FOUNDED_MS, anchored, &log);
            let sender = account::address_of(&secret(number)).unwrap();
            match model.apply(sender, &act, height, FOUNDED_MS) {
                Ok(()) => done += 1,
                Err(why) => *refused.entry(format!("{why:?}")).or_default() += 1,
            }
        }
    }
    println!("done {done}, refused {refused:?}");
    // All but the two that no act of an enrolled organisation about an ordinary person meets.
    assert!(done > 700 && refused.len() == 21, "done {done}, refused {refused:?}");
}
