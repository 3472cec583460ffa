//! Random acts: the contracts in the EVM and their plain-Rust model agree on every outcome and record.

use super::*;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use testkit::model::{AuthoritiesModel, LedgerModel};
use vitals::break_glass::{BreakGlass, SignedBreakGlass, Verdict};
use vitals::eip712::{break_glass_id, grant_id};
use vitals::governance::Motion;
use vitals::ids::sha256;
use vitals::ledger::{Organisation, RevokeReason};
use vitals::log::MerkleLog;

pub(crate) const ORGANISATIONS: u8 = 3;
/// Short, so that committees come and go within a case.
pub(crate) const EPOCH_BLOCKS: u64 = 4;
const VALIDATORS: u8 = 4;
pub(crate) const PEOPLE: u8 = 4;
/// What each of them mostly is: a patient, two clinicians, an auditor.
const ROLES: [u8; PEOPLE as usize] = [1, 2, 2, 5];
pub(crate) const KEYS: u8 = 5;

/// One random step in a small world, so that steps meet each other.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Enrol {
        person: u8,
        role: u8,
        signer_bytes: Option<u8>,
    },
    Register {
        gateway: bool,
        key: u8,
        via: u8,
        binding: bool,
    },
    Revoke {
        key: u8,
        stolen: bool,
    },
    Grant {
        patient: u8,
        grantee: u8,
        nonce: u8,
        signed_by: u8,
        from_s: i64,
        until_s: i64,
        deadline_s: i64,
    },
    GrantUnder {
        patient: u8,
        nonce: u8,
        code: bool,
    },
    RevokeGrant {
        patient: u8,
        nonce: u8,
        signed_by: u8,
    },
    BurnGrant {
        patient: u8,
        nonce: u8,
        signed_by: u8,
    },
    Anchor {
        size: u64,
        honest: bool,
    },
    Suspend {
        person: u8,
    },
    Add {
        key: u8,
        operator: u8,
        endpoint: u8,
    },
    Remove {
        key: u8,
    },
    Replace {
        old: u8,
        new: u8,
    },
    Admit {
        newcomer: u8,
        sender: u8,
    },
    Expel {
        organisation: u8,
    },
    Vote {
        newest_less: u64,
    },
    Settle {
        newest_less: u64,
    },
    Announce {
        key: u8,
        endpoint: u8,
    },
    Policy {
        code: bool,
        named: bool,
        withdraw: bool,
    },
    Glass {
        patient: u8,
        clinician: u8,
        second: u8,
        signed_by: u8,
        nonce: u8,
        from_s: i64,
        minutes: u8,
        reason: bool,
    },
    Review {
        patient: u8,
        clinician: u8,
        nonce: u8,
        auditor: u8,
    },
    Wait {
        hours: u64,
    },
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let person = || 0..PEOPLE;
    let mostly = |good: i64| prop_oneof![4 => Just(good), 1 => -2i64..3];
    prop_oneof![
        4 => (person(), prop::option::weighted(0.2, prop_oneof![Just(1u8), Just(2), Just(5)]), prop::option::weighted(0.1, 0u8..40))
            .prop_map(|(person, role, signer_bytes)| Step::Enrol { person, role: role.unwrap_or(ROLES[usize::from(person)]), signer_bytes }),
        3 => (any::<bool>(), 0..KEYS, 0..KEYS, prop::bool::weighted(0.7))
            .prop_map(|(gateway, key, via, binding)| Step::Register { gateway, key, via: if gateway && binding { key } else { via }, binding: binding != gateway }),
        1 => (0..KEYS, any::<bool>()).prop_map(|(key, stolen)| Step::Revoke { key, stolen }),
        4 => (mostly_number(0), 0..PEOPLE + 2, 0u8..3, prop::option::weighted(0.1, person()), mostly(0), mostly(1000), mostly(100))
            .prop_map(|(patient, grantee, nonce, other, from_s, until_s, deadline_s)| Step::Grant { patient, grantee, nonce, signed_by: other.unwrap_or(patient), from_s, until_s, deadline_s }),
        2 => (mostly_number(0), 0u8..3, prop::option::weighted(0.1, person()))
            .prop_map(|(patient, nonce, other)| Step::RevokeGrant { patient, nonce, signed_by: other.unwrap_or(patient) }),
        1 => (person(), 0u8..3, prop::option::weighted(0.1, person()))
            .prop_map(|(patient, nonce, other)| Step::BurnGrant { patient, nonce, signed_by: other.unwrap_or(patient) }),
        3 => (0u64..40, prop::bool::weighted(0.8)).prop_map(|(size, honest)| Step::Anchor { size, honest }),
        1 => (mostly_number(0), 0u8..3, any::<bool>())
            .prop_map(|(patient, nonce, code)| Step::GrantUnder { patient, nonce, code }),
        5 => governance(),
        4 => emergency(),
        2 => prop_oneof![4 => 0u64..30, 1 => 150u64..200].prop_map(|hours| Step::Wait { hours }),
    ]
}

fn mostly_number(usual: u8) -> impl Strategy<Value = u8> {
    prop_oneof![5 => Just(usual), 1 => 0..PEOPLE]
}

fn governance() -> impl Strategy<Value = Step> {
    let key = || 0..VALIDATORS + 1;
    prop_oneof![
        4 => (key(), 0..ORGANISATIONS + 1, 0u8..4)
            .prop_map(|(key, operator, endpoint)| Step::Add { key, operator, endpoint }),
        1 => key().prop_map(|key| Step::Remove { key }),
        2 => (key(), key()).prop_map(|(old, new)| Step::Replace { old, new }),
        1 => (0u8..5, 0u8..6).prop_map(|(newcomer, sender)| Step::Admit { newcomer, sender }),
        1 => (0..ORGANISATIONS + 1).prop_map(|organisation| Step::Expel { organisation }),
        8 => (0u64..4).prop_map(|newest_less| Step::Vote { newest_less }),
        1 => (0u64..4).prop_map(|newest_less| Step::Settle { newest_less }),
        1 => (key(), 0u8..4).prop_map(|(key, endpoint)| Step::Announce { key, endpoint }),
    ]
}

fn emergency() -> impl Strategy<Value = Step> {
    let person = || 0..PEOPLE;
    prop_oneof![
        1 => person().prop_map(|person| Step::Suspend { person }),
        2 => (any::<bool>(), prop::bool::weighted(0.9), prop::bool::weighted(0.3))
            .prop_map(|(code, named, withdraw)| Step::Policy { code, named, withdraw }),
        6 => (mostly_number(0), mostly_number(1), prop_oneof![Just(2u8), 0..PEOPLE + 3], prop::option::weighted(0.1, person()), 0u8..12,
            prop_oneof![8 => Just(0i64), 1 => 50i64..70], prop_oneof![8 => 1u8..61, 1 => Just(0u8), 1 => Just(61u8)],
            prop::bool::weighted(0.9))
            .prop_map(|(patient, clinician, second, other, nonce, from_s, minutes, reason)| Step::Glass {
                patient, clinician, second, signed_by: other.unwrap_or(clinician), nonce, from_s, minutes, reason,
            }),
        4 => (mostly_number(0), mostly_number(1), 0u8..6, mostly_number(3))
            .prop_map(|(patient, clinician, nonce, auditor)| Step::Review { patient, clinician, nonce, auditor }),
    ]
}

fn endpoint(number: u8) -> String {
    ["", "node.example:4410", "[::1]:1", "no port"][usize::from(number)].into()
}

fn validator(number: u8) -> [u8; 32] {
    // The founding validator is 3; beyond the last one stands the key zero.
    if number == VALIDATORS { [0; 32] } else { [3 + number; 32] }
}

fn policy(code: bool, directory: [u8; 20]) -> [u8; 20] {
    if code { directory } else { [1; 20] }
}

fn glass(patient: u8, clinician: u8, nonce: u8) -> BreakGlass {
    BreakGlass {
        patient: person(1 + patient),
        clinician: person(1 + clinician),
        second: None,
        reason: [7; 32],
        from_ms: 0,
        until_ms: 0,
        nonce: [nonce; 32],
    }
}

pub(crate) fn key(number: u8) -> [u8; 32] {
    [0x40 + number; 32]
}

/// What a step depends on beside itself.
pub(crate) struct World<'a> {
    pub(crate) domain: &'a ConsentDomain,
    pub(crate) now_ms: u64,
    pub(crate) anchored: u64,
    pub(crate) proposals: u64,
    pub(crate) directory: [u8; 20],
    pub(crate) log: &'a MerkleLog,
}

pub(crate) fn act(step: &Step, world: &World<'_>) -> Act {
    let World { domain, now_ms, anchored, proposals, directory, log } = *world;
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
        Step::GrantUnder { patient, nonce, code } => {
            let policy = policy(*code, directory);
            let grantee = PersonId::of_organisation(org(1));
            let message = consent(1 + patient, grantee, *nonce, now_ms);
            let signature = Hand::of(*patient).sign(&domain.consent_under_digest(&message, &policy));
            Act::GrantUnder { signed: SignedGrant { message, signature }, policy }
        }
        Step::Suspend { person: number } => Act::Suspend { person: person(1 + number) },
        Step::Add { key, operator, endpoint: number } => Act::Propose(Motion::AddValidator {
            key: validator(*key),
            org: org(*operator),
            endpoint: endpoint(*number),
        }),
        Step::Remove { key } => Act::Propose(Motion::RemoveValidator { key: validator(*key) }),
        Step::Replace { old, new } => Act::Propose(Motion::ReplaceKey {
            old: validator(*old),
            new: validator(*new),
            endpoint: String::new(),
        }),
        Step::Admit { newcomer, sender } => {
            let sender = account::address_of(&secret(*sender)).unwrap();
            Act::Propose(Motion::AdmitOrganisation { record_key: record_key(*newcomer), sender })
        }
        Step::Expel { organisation } => Act::Propose(Motion::RemoveOrganisation { org: org(*organisation) }),
        Step::Vote { newest_less } => Act::Vote { proposal: proposals.saturating_sub(*newest_less) },
        Step::Settle { newest_less } => Act::Settle { proposal: proposals.saturating_sub(*newest_less) },
        Step::Announce { key, endpoint: number } => {
            Act::Announce { validator: validator(*key), endpoint: endpoint(*number) }
        }
        Step::Policy { code, withdraw: true, .. } => {
            Act::WithdrawPolicy { contract: policy(*code, directory) }
        }
        Step::Policy { code, named, .. } => {
            Act::AddPolicy { name: [u8::from(*named); 32], contract: policy(*code, directory) }
        }
        Step::Glass { patient, clinician, second, signed_by, nonce, from_s, minutes, reason } => {
            let from_ms = at(*from_s);
            let message = BreakGlass {
                second: (*second < PEOPLE).then(|| person(1 + second)),
                reason: [u8::from(*reason); 32],
                from_ms,
                until_ms: from_ms + u64::from(*minutes) * 60_000,
                ..glass(*patient, *clinician, *nonce)
            };
            let digest = domain.break_glass_digest(&message);
            let signature = Hand::of(*signed_by).sign(&digest);
            let second_signature =
                if *second < PEOPLE { Hand::of(*second).sign(&digest) } else { Vec::new() };
            Act::BreakGlass(SignedBreakGlass { message, signature, second_signature })
        }
        Step::Review { patient, clinician, nonce, auditor } => {
            let entry = break_glass_id(&glass(*patient, *clinician, *nonce));
            let (by, verdict, remark) = (person(1 + auditor), Verdict::Justified, [2; 32]);
            let signature = Hand::of(*auditor).sign(&domain.review_digest(&entry, by, verdict, &remark));
            Act::Review { entry, auditor: by, verdict, remark, signature }
        }
        Step::Wait { .. } => unreachable!("handled before"),
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

/// The model of a ward founded by these organisations.
pub(crate) fn model(ward: &Ward) -> LedgerModel {
    let document = &ward.document;
    let founding = document.committee.iter().copied().zip(document.operators.iter().copied());
    LedgerModel::new(ward.machine.domain(), p256_check, founders(ward))
        .governed_by(AuthoritiesModel::new(document.epoch_blocks, founding))
        .with_code([ward.machine.contracts().directory.0.0])
}

pub(crate) fn forty_leaves() -> MerkleLog {
    let mut log = MerkleLog::new();
    for leaf in 0u64..40 {
        log.push(sha256(&[&leaf.to_be_bytes()]));
    }
    log
}

/// More than the default is a campaign: `make oracle`.
fn cases() -> u32 {
    std::env::var("ACESO_ORACLE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(48)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn model_and_evm_agree(steps in prop::collection::vec((0..ORGANISATIONS, step()), 1..80), per_block in 1usize..6) {
        let mut ward = Ward::with_epochs(ORGANISATIONS, EPOCH_BLOCKS);
        let domain = ward.machine.domain();
        let mut model = model(&ward);
        let log = forty_leaves();
        let directory = ward.machine.contracts().directory.0.0;
        let mut nonces = [0; ORGANISATIONS as usize];
        for block in steps.chunks(per_block) {
            for (_, step) in block {
                if let Step::Wait { hours } = step {
                    ward.now_ms += hours * 3_600_000;
                }
            }
            let (time_ms, height) = (ward.now_ms + 1_001, ward.machine.tip().height + 1);
            let (mut txs, mut expected) = (Vec::new(), Vec::new());
            let parent = ward.machine.view();
            for (number, step) in block {
                let sender = account::address_of(&secret(*number)).unwrap();
                // A removed organisation's transaction makes the block invalid.
                if matches!(step, Step::Wait { .. }) || parent.sends_for(sender.into()).is_none() {
                    continue;
                }
                let world = World {
                    domain: &domain,
                    now_ms: time_ms,
                    anchored: model.anchors.get(&org(*number)).map_or(0, |anchor| anchor.size),
                    proposals: model.authorities.proposals.len() as u64,
                    directory,
                    log: &log,
                };
                let act = act(step, &world);
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
        compare(&ward, &model)?;
    }
}

/// Every record of the EVM is the model's.
pub(crate) fn compare(ward: &Ward, model: &LedgerModel) -> Result<(), TestCaseError> {
    let view = ward.machine.view();
    for number in 0..ORGANISATIONS + 2 {
        prop_assert_eq!(view.anchor(org(number)), model.anchors.get(&org(number)).copied());
        prop_assert_eq!(
            view.organisation(org(number)).unwrap(),
            model.organisations.get(&org(number)).cloned()
        );
    }
    prop_assert_eq!(view.organisations().unwrap().len(), model.organisations.len());
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
    let mut validators = model.authorities.validators.clone();
    validators.sort_unstable_by_key(|validator| validator.key);
    prop_assert_eq!(view.validators().unwrap(), validators);
    let mut proposals = model.authorities.proposals.clone();
    proposals.reverse();
    prop_assert_eq!(view.proposals(u64::MAX).unwrap(), proposals);
    let epoch = view.tip().height / EPOCH_BLOCKS;
    for epoch in epoch..epoch + 4 {
        let committee = view.committee(epoch).unwrap();
        prop_assert!(!committee.is_empty(), "nobody acts in epoch {}", epoch);
        prop_assert_eq!(committee, model.authorities.committee(epoch));
    }
    let entries: std::collections::BTreeMap<_, _> =
        view.break_glass_entries(1 << 20).unwrap().into_iter().collect();
    prop_assert_eq!(&entries, &model.glass);
    let policies: std::collections::BTreeMap<_, _> =
        view.policies().unwrap().into_iter().map(|(at, policy)| (at.0.0, policy)).collect();
    prop_assert_eq!(&policies, &model.policies);
    Ok(())
}

/// The property above shows little if most acts are refused.
#[test]
fn random_acts_reach_every_refusal_and_are_often_done() {
    let ward = Ward::with_epochs(ORGANISATIONS, EPOCH_BLOCKS);
    let domain = ward.machine.domain();
    let log = forty_leaves();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut done, mut refused) = (0, std::collections::BTreeMap::<String, u32>::new());
    for _ in 0..100 {
        let (mut model, mut now_ms) = (model(&ward), FOUNDED_MS);
        for height in 1..80 {
            let (number, step) = (0..ORGANISATIONS, step()).new_tree(&mut runner).unwrap().current();
            if let Step::Wait { hours } = step {
                now_ms += hours * 3_600_000;
                continue;
            }
            let world = World {
                domain: &domain,
                now_ms,
                anchored: model.anchors.get(&org(number)).map_or(0, |anchor| anchor.size),
                proposals: model.authorities.proposals.len() as u64,
                directory: ward.machine.contracts().directory.0.0,
                log: &log,
            };
            let act = act(&step, &world);
            let sender = account::address_of(&secret(number)).unwrap();
            match model.apply(sender, &act, height, now_ms) {
                Ok(()) => done += 1,
                Err(why) => *refused.entry(format!("{why:?}")).or_default() += 1,
            }
        }
    }
    println!("done {done}, refused {} ways: {refused:?}", refused.len());
    // All but those that take hundreds of acts, or a person no enrolled organisation names.
    assert!(done > 1_300 && refused.len() >= 47, "done {done}, {} refused {refused:?}", refused.len());
}
