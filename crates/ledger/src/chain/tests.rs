//! The same stories on our own chain and on another one.
#![allow(clippy::unwrap_used, reason = "tests")]

pub(crate) mod anvil;
mod world;

use crate::contracts::Contracts;
use crate::contracts::bindings::{Anchors, Devices};
use crate::machine::tests::{Hand, consent, enrol, gateway, grant, person, sensor};
use alloy_sol_types::SolEvent;
use vitals::ids::{Class, DeviceId, PersonId};
use vitals::ledger::{Act, Anchor, Fact, LedgerError, Outcome, Revocation, RevokeReason, Role, SignedGrant};
use vitals::log::{self, MerkleLog};
use vitals::refusal::Refusal;
use world::{Place, World, org};

macro_rules! on_both_chains {
    ($($story:ident),* $(,)?) => {
        mod embedded {
            $(#[test]
            fn $story() {
                super::$story(super::World::embedded());
            })*
        }
        mod anvil_network {
            $(#[test]
            fn $story() {
                super::$story(super::World::anvil());
            })*
        }
    };
}

on_both_chains!(
    every_record_reads_back_as_it_was_sent,
    a_contract_refuses_for_the_same_reason,
    a_consent_is_withdrawn_before_or_after_it_arrives,
    acts_submitted_at_once_are_each_done_once_and_in_order,
    contracts_say_what_they_did,
    acts_on_their_way_survive_a_restart,
    a_stopped_chain_answers_but_takes_nothing,
    uncertified_height_cannot_be_proven,
    a_policy_is_asked_at_each_opening,
);

fn log_of(leaves: u8) -> MerkleLog {
    let mut log = MerkleLog::new();
    (0..leaves).for_each(|leaf| {
        log.push(log::leaf(&[leaf]));
    });
    log
}

fn first_anchor(log: &MerkleLog) -> Act {
    Act::Anchor { size: log.size(), root: log.root(), consistency: Vec::new() }
}

fn every_record_reads_back_as_it_was_sent(world: World) {
    let (chain, domain) = (&world.chain, world.domain());
    assert!(chain.organisation(org()).unwrap().unwrap().active);
    assert_eq!(chain.organisation(org()).unwrap().unwrap().sender, chain.sender());
    world.done(enrol(&domain, 1, Role::Patient));
    world.done(enrol(&domain, 2, Role::Clinician));
    world.done(gateway(1));
    world.done(sensor(2, 1));
    let message = consent(1, person(2), 9, world.now_ms());
    world.done(grant(&domain, 1, message.clone()));
    let (log, id) = (log_of(5), chain.grant_id(&message));
    let height = world.done(first_anchor(&log));
    let (reason, device) = (RevokeReason::Stolen, DeviceId::of(&[2; 32]));
    world.done(Act::Revoke { device, reason, last_trusted_seq: 77 });

    let view = chain.view();
    let patient = view.person(person(1)).unwrap().unwrap();
    assert_eq!((patient.role, patient.org, patient.vault_kept), (Role::Patient, org(), true));
    assert_eq!(patient.signer, Hand::of(1).signer(&domain));
    assert!(patient.since_ms > 0 && patient.since_ms <= view.tip().time_ms);
    let gateway = view.device(DeviceId::of(&[1; 32])).unwrap().unwrap();
    assert_eq!((gateway.key, gateway.wrap_key, gateway.revoked), ([1; 32], [7; 32], None));
    let sensor = view.device(device).unwrap().unwrap();
    assert_eq!((sensor.via, sensor.binding), (DeviceId::of(&[1; 32]), [2; 32]));
    let Some(Revocation { at_ms, .. }) = sensor.revoked else { panic!("{sensor:?}") };
    assert_eq!(sensor.revoked, Some(Revocation { at_ms, reason, last_trusted_seq: 77 }));
    let given = view.grant(id).unwrap().unwrap();
    assert_eq!((given.patient, given.grantee, given.terms), (person(1), person(2), message.terms));
    assert_eq!((given.from_ms, given.until_ms, given.revoked_at_ms), (message.from_ms, message.until_ms, 0));
    assert_eq!(view.anchor(org()).unwrap(), Some(Anchor { size: 5, root: log.root(), height }));
    assert_eq!(view.person(person(3)).unwrap(), None);
    assert_eq!(view.device(DeviceId::of(&[3; 32])).unwrap(), None);
    assert_eq!(chain.genesis(), world.document.hash());

    // All of it is there after a restart too.
    let (tip, world) = (view.tip(), world.restarted());
    assert!(world.chain.tip().height >= tip.height);
    assert_eq!(world.chain.person(person(1)).unwrap(), Some(patient));
    assert_eq!(world.chain.device(device).unwrap(), Some(sensor));
    assert_eq!(world.chain.grant(id).unwrap(), Some(given));
}

fn a_contract_refuses_for_the_same_reason(world: World) {
    let domain = world.domain();
    world.done(enrol(&domain, 1, Role::Patient));
    world.done(first_anchor(&log_of(3)));
    let forged = grant(&domain, 2, consent(1, PersonId::of_organisation(org()), 1, world.now_ms()));
    let expected = [
        (enrol(&domain, 1, Role::Patient), Refusal::PersonAlreadyEnrolled),
        (sensor(2, 1), Refusal::ViaNotALiveGateway),
        (forged, Refusal::SignatureWrong),
        (Act::Anchor { size: 3, root: [1; 32], consistency: Vec::new() }, Refusal::LogForked),
        (Act::Anchor { size: 2, root: [1; 32], consistency: Vec::new() }, Refusal::LogShrunk),
        (Act::Anchor { size: 4, root: [1; 32], consistency: vec![[2; 32]] }, Refusal::ConsistencyWrong),
    ];
    for (act, refusal) in expected {
        assert_eq!(world.refused(act), refusal.to_string());
    }
    assert_eq!(world.chain.anchor(org()).unwrap().unwrap().size, 3, "a refused act changes nothing");
}

fn a_consent_is_withdrawn_before_or_after_it_arrives(world: World) {
    let domain = world.domain();
    world.done(enrol(&domain, 1, Role::Patient));
    let organisation = PersonId::of_organisation(org());
    let given = consent(1, organisation, 1, world.now_ms());
    world.done(grant(&domain, 1, given.clone()));
    let id = world.chain.grant_id(&given);
    let signature = Hand::of(1).sign(&world.chain.revocation_digest(id));
    world.done(Act::RevokeGrant { grant: id, signature: signature.clone() });
    assert_ne!(world.chain.grant(id).unwrap().unwrap().revoked_at_ms, 0);
    let again = world.refused(Act::RevokeGrant { grant: id, signature });
    assert_eq!(again, Refusal::GrantAlreadyRevoked.to_string());

    let late = consent(1, organisation, 2, world.now_ms());
    let id = world.chain.grant_id(&late);
    let signature = Hand::of(1).sign(&world.chain.revocation_digest(id));
    world.done(Act::BurnGrant { patient: person(1), nonce: late.nonce, signature });
    assert_eq!(world.refused(grant(&domain, 1, late)), Refusal::NonceUsed.to_string());
    assert_eq!(world.chain.grant(id).unwrap().unwrap().grantee, PersonId([0; 32]));
}

fn acts_submitted_at_once_are_each_done_once_and_in_order(world: World) {
    let ids: Vec<_> = (1..=40).map(|key| world.chain.submit(gateway(key)).unwrap()).collect();
    let mut last = 0;
    for id in ids {
        let Outcome::Done { height } = world.settled(id) else { panic!("{:?}", world.settled(id)) };
        assert!(height >= last, "{height} after {last}");
        last = height;
    }
    assert!((1..=40).all(|key| world.chain.device(DeviceId::of(&[key; 32])).unwrap().is_some()));
    assert_eq!(world.settled([1; 32]), Outcome::Unknown);
}

fn contracts_say_what_they_did(world: World) {
    let contracts = Contracts::of(&world.document).unwrap();
    let registered = world.done(gateway(1));
    let log = log_of(3);
    let anchored = world.done(first_anchor(&log));
    let events = world.chain.logs(registered..=anchored).unwrap();
    let [first, second] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((first.height, first.log.address), (registered, contracts.devices));
    let event = Devices::DeviceRegistered::decode_log(&first.log).unwrap();
    assert_eq!((event.id.0, event.kind), (DeviceId::of(&[1; 32]).0, 2));
    assert_eq!((second.height, second.log.address), (anchored, contracts.anchors));
    let event = Anchors::Anchored::decode_log(&second.log).unwrap();
    assert_eq!((event.size, event.root.0), (3, log.root()));
    assert_eq!(world.chain.logs(anchored + 1..=anchored + 100).unwrap(), []);
}

fn acts_on_their_way_survive_a_restart(world: World) {
    if let Place::Anvil(place) = &world.place {
        place.0.call("evm_setAutomine", serde_json::json!([false]));
    }
    let ids: Vec<_> = (1..=5).map(|key| world.chain.submit(gateway(key)).unwrap()).collect();
    let world = world.restarted();
    if let Place::Anvil(place) = &world.place {
        place.0.call("evm_setAutomine", serde_json::json!([true]));
        place.0.call("evm_mine", serde_json::json!([]));
    }
    for id in &ids {
        assert!(matches!(world.settled(*id), Outcome::Done { .. }), "{:?}", world.settled(*id));
    }
    // A start later they are out of the account's hands, and still known.
    let world = world.restarted();
    for id in &ids {
        assert!(matches!(world.settled(*id), Outcome::Done { .. }));
    }
    let again = world.refused(gateway(1));
    assert_eq!(again, Refusal::DeviceAlreadyRegistered.to_string());
    world.done(gateway(6));
}

fn a_stopped_chain_answers_but_takes_nothing(world: World) {
    world.done(gateway(1));
    world.chain.stop();
    assert!(world.chain.device(DeviceId::of(&[1; 32])).unwrap().is_some());
    assert!(matches!(world.chain.submit(gateway(2)), Err(LedgerError::Down(_))));
    world.restarted().done(gateway(2));
}

fn uncertified_height_cannot_be_proven(world: World) {
    world.done(first_anchor(&log_of(1)));
    let proof = world.chain.prove(&[Fact::Anchor(org())]);
    match &world.place {
        Place::Embedded => assert_eq!(proof.unwrap().accounts.len(), 1),
        Place::Anvil(_) => {
            let Err(LedgerError::Refused(why)) = proof else { panic!("{proof:?}") };
            assert!(why.contains("no certificate of ours"), "{why}");
        }
    }
}

fn a_policy_is_asked_at_each_opening(world: World) {
    let (chain, domain) = (&world.chain, world.domain());
    let directory = Contracts::of(&world.document).unwrap().directory.0.0;
    world.done(enrol(&domain, 1, Role::Patient));
    let plain = consent(1, PersonId::of_organisation(org()), 1, world.now_ms());
    world.done(grant(&domain, 1, plain.clone()));
    assert!(chain.policy_agrees(chain.grant_id(&plain), Class::Vitals).unwrap(), "no policy, no objection");

    // A contract that is not a policy: whatever it answers, it does not agree.
    world.done(Act::AddPolicy { name: [1; 32], contract: directory });
    let message = consent(1, PersonId::of_organisation(org()), 2, world.now_ms());
    let id = chain.grant_id(&message);
    let signature = Hand::of(1).sign(&domain.consent_under_digest(&message, &directory));
    let signed = SignedGrant { message, signature };
    world.done(Act::GrantUnder { signed, policy: directory });
    assert_eq!(chain.grant(id).unwrap().unwrap().policy, Some(directory));
    assert!(!chain.policy_agrees(id, Class::Vitals).unwrap());

    let Place::Anvil(place) = &world.place else { return };
    let says = |code: &str| {
        place.0.call(
            "anvil_setCode",
            serde_json::json!([alloy_primitives::hex::encode_prefixed(directory), code]),
        );
        chain.policy_agrees(id, Class::Vitals)
    };
    assert!(says("0x60015f5260205ff3").unwrap(), "it says yes to everything");
    assert!(!says("0x60025f5260205ff3").unwrap(), "two is no yes");
    assert!(!says("0x5f5ffd").unwrap(), "it fails");
    chain.stop();
    assert!(matches!(chain.policy_agrees(id, Class::Vitals), Err(LedgerError::Down(_))));
}
