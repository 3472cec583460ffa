//! What the contracts keep, read from storage and from proofs.

use super::*;
use std::collections::BTreeMap;
use vitals::eip712::grant_id;
use vitals::ids::sha256;
use vitals::ledger::{Anchor, Fact, RevokeReason};
use vitals::log::MerkleLog;
use vitals::proof::contracts::{read_anchor, read_device, read_organisation};
use vitals::proof::state::NotProven;

#[test]
fn founders_are_in_the_directory_from_the_start() {
    let ward = Ward::with(3);
    let view = ward.machine.view();
    for number in 0..3 {
        let organisation = view.organisation(org(number)).unwrap().unwrap();
        assert_eq!(organisation.record_key, record_key(number));
        assert_eq!(organisation.sender, account::address_of(&secret(number)).unwrap());
        assert!(organisation.active);
        assert_eq!(view.sends_for(organisation.sender.into()), Some(org(number)));
    }
    assert_eq!(view.organisation(org(9)).unwrap(), None);
    assert_eq!(view.sends_for(Address::ZERO), None);
    assert_eq!(ward.machine.genesis_header().state_root, view.tip().state_root);
}

#[test]
fn deployer_address_is_the_one_its_label_gives() {
    let hash = alloy_primitives::keccak256("aceso/deployer/v1");
    assert_eq!(crate::genesis::DEPLOYER.as_slice(), &hash[12..]);
}

#[test]
fn genesis_of_another_build_is_refused_by_name() {
    let mut ward = Ward::with(1);
    ward.document.contracts[2].code = [0; 32];
    let refused = Machine::open(tempfile::tempdir().unwrap().path(), &ward.document).unwrap_err();
    assert!(refused.to_string().contains("Devices"), "{refused}");
}

#[test]
fn device_is_paired_revoked_and_proven() {
    let mut ward = Ward::with(2);
    ward.done(0, &gateway(0x11));
    ward.done(0, &sensor(0x22, 0x11));
    let id = DeviceId::of(&[0x22; 32]);
    let device = ward.machine.view().device(id).unwrap().unwrap();
    assert_eq!(device.key, [0x22; 32]);
    assert_eq!(device.via, DeviceId::of(&[0x11; 32]));
    assert_eq!((device.org, device.binding, device.wrap_key), (org(0), [0x22; 32], [8; 32]));
    assert_eq!(device.since_ms, ward.now_ms / 1000 * 1000);
    assert_eq!(device.revoked, None);

    let refused =
        ward.act(1, &Act::Revoke { device: id, reason: RevokeReason::Stolen, last_trusted_seq: 41 });
    assert_eq!(refused, Outcome::Refused { reason: "only the home organisation decides about this".into() });
    ward.done(0, &Act::Revoke { device: id, reason: RevokeReason::Stolen, last_trusted_seq: 41 });
    let device = ward.machine.view().device(id).unwrap().unwrap();
    let revoked = device.revoked.unwrap();
    assert_eq!((revoked.reason, revoked.last_trusted_seq), (RevokeReason::Stolen, 41));

    let view = ward.machine.view();
    let (root, absent) = (view.tip().state_root, DeviceId([1; 16]));
    let facts = [Fact::Device(id), Fact::Device(absent), Fact::Organisation(org(1)), Fact::Anchor(org(1))];
    let proofs = view.prove(&facts);
    assert_eq!(read_device(&root, &ward.document, id, &proofs[0]), Ok(Some(device)));
    assert_eq!(read_device(&root, &ward.document, absent, &proofs[1]), Ok(None));
    assert_eq!(read_device(&root, &ward.document, absent, &proofs[0]), Err(NotProven::WrongSlots));
    let known = view.organisation(org(1)).unwrap();
    assert_eq!(read_organisation(&root, &ward.document, org(1), &proofs[2]), Ok(known));
    assert_eq!(read_organisation(&root, &ward.document, org(1), &proofs[3]), Err(NotProven::WrongAccount));
    assert_eq!(read_anchor(&root, &ward.document, org(1), &proofs[3]), Ok(None));
    assert_eq!(read_anchor(&[0; 32], &ward.document, org(1), &proofs[3]), Err(NotProven::WrongNode));
}

#[test]
fn every_changed_byte_of_a_device_proof_is_refused() {
    let mut ward = Ward::with(1);
    ward.done(0, &gateway(0x11));
    let (id, view) = (DeviceId::of(&[0x11; 32]), ward.machine.view());
    let good = view.prove(&[Fact::Device(id)]).remove(0);
    let read = |proof: &_| read_device(&view.tip().state_root, &ward.document, id, proof);
    assert!(read(&good).unwrap().is_some());
    let refused = |mutate: &dyn Fn(&mut vitals::proof::AccountProof)| {
        let mut bad = good.clone();
        mutate(&mut bad);
        assert!(read(&bad).is_err());
    };
    for node in 0..good.nodes.len() {
        for byte in 0..good.nodes[node].len() {
            refused(&|bad| bad.nodes[node][byte] ^= 0x40);
        }
    }
    for (slot, proof) in good.slots.iter().enumerate() {
        for byte in 0..32 {
            refused(&|bad| bad.slots[slot].key[byte] ^= 1);
        }
        for node in 0..proof.nodes.len() {
            for byte in 0..proof.nodes[node].len() {
                refused(&|bad| bad.slots[slot].nodes[node][byte] ^= 1);
            }
        }
    }
    for byte in 0..20 {
        refused(&|bad| bad.address[byte] ^= 1);
    }
}

#[test]
fn patient_gives_and_withdraws_a_consent() {
    let mut ward = Ward::with(2);
    let domain = ward.machine.domain();
    ward.done(0, &enrol(&domain, 1, Role::Patient));
    ward.done(1, &enrol(&domain, 2, Role::Clinician));
    let message = consent(1, person(2), 5, ward.now_ms);
    let id = grant_id(message.patient, &message.nonce);

    // The clinician cannot sign for the patient.
    let forged = ward.act(1, &grant(&domain, 2, message.clone()));
    assert!(matches!(forged, Outcome::Refused { reason } if reason.contains("signature")));
    // Any organisation relays.
    ward.done(1, &grant(&domain, 1, message.clone()));
    let kept = ward.machine.view().grant(id).unwrap().unwrap();
    assert_eq!((kept.patient, kept.grantee, kept.terms), (message.patient, message.grantee, message.terms));
    assert_eq!((kept.from_ms, kept.until_ms, kept.revoked_at_ms), (message.from_ms, message.until_ms, 0));
    let again = ward.act(0, &grant(&domain, 1, message));
    assert!(matches!(again, Outcome::Refused { reason } if reason.contains("nonce")));

    let signature = Hand::of(1).sign(&domain.revocation_digest(id));
    ward.done(0, &Act::RevokeGrant { grant: id, signature });
    assert_eq!(ward.machine.view().grant(id).unwrap().unwrap().revoked_at_ms, ward.now_ms / 1000 * 1000);
}

#[test]
fn consent_withdrawn_before_it_arrives_never_arrives() {
    let mut ward = Ward::with(1);
    let domain = ward.machine.domain();
    ward.done(0, &enrol(&domain, 1, Role::Patient));
    let message = consent(1, PersonId::of_organisation(org(0)), 5, ward.now_ms);
    let id = grant_id(message.patient, &message.nonce);
    let signature = Hand::of(1).sign(&domain.revocation_digest(id));
    ward.done(0, &Act::BurnGrant { patient: message.patient, nonce: message.nonce, signature });
    assert!(matches!(ward.act(0, &grant(&domain, 1, message)), Outcome::Refused { .. }));
    let burnt = ward.machine.view().grant(id).unwrap().unwrap();
    assert!(burnt.revoked_at_ms > 0 && burnt.until_ms == 0);
}

#[test]
fn consent_signed_for_another_ledger_is_refused() {
    let mut ward = Ward::with(1);
    let domain = ward.machine.domain();
    let contracts = ward.machine.contracts();
    let other = ConsentDomain::new(
        Genesis([1; 32]),
        ward.machine.chain_id(),
        &contracts.consents.0.0,
        contracts.p256_verifier.0.0,
    );
    ward.done(0, &enrol(&domain, 1, Role::Patient));
    let message = consent(1, PersonId::of_organisation(org(0)), 5, ward.now_ms);
    assert!(matches!(ward.act(0, &grant(&other, 1, message)), Outcome::Refused { .. }));
}

#[test]
fn anchored_log_only_grows() {
    let mut ward = Ward::with(2);
    let mut log = MerkleLog::new();
    let mut anchored = 0;
    for size in [1u64, 2, 3, 7, 8, 9, 64, 100] {
        while log.size() < size {
            log.push(sha256(&[&log.size().to_be_bytes()]));
        }
        let consistency = if anchored == 0 { Vec::new() } else { log.consistency(anchored, size).unwrap() };
        ward.done(0, &Act::Anchor { size, root: log.root(), consistency });
        let height = ward.machine.tip().height;
        assert_eq!(ward.machine.view().anchor(org(0)), Some(Anchor { size, root: log.root(), height }));
        anchored = size;
    }
    // The same head again is done and changes nothing; another one is refused.
    let before = ward.machine.view().anchor(org(0));
    ward.done(0, &Act::Anchor { size: 100, root: log.root(), consistency: Vec::new() });
    assert_eq!(ward.machine.view().anchor(org(0)), before);
    for (size, root) in [(100, [1; 32]), (99, log.root_at(99).unwrap()), (101, [1; 32]), (0, [0; 32])] {
        let outcome = ward.act(0, &Act::Anchor { size, root, consistency: Vec::new() });
        assert!(matches!(outcome, Outcome::Refused { .. }), "{size}: {outcome:?}");
    }
    assert_eq!(ward.machine.view().anchor(org(0)), before);
    assert_eq!(ward.machine.view().anchor(org(1)), None);
    let (root, proof) = (ward.machine.tip().state_root, ward.machine.view().prove(&[Fact::Anchor(org(0))]));
    assert_eq!(read_anchor(&root, &ward.document, org(0), &proof[0]), Ok(before));
}

#[test]
fn long_and_short_signers_are_read_back_whole() {
    let mut ward = Ward::with(1);
    for (number, len) in [(1, 20), (2, 31), (3, 32), (4, 33), (5, 84), (6, 1024)] {
        let signer: Vec<u8> = (0..len).map(|byte: u16| byte.to_le_bytes()[0]).collect();
        let act = Act::Enrol {
            person: person(number),
            role: Role::Family,
            signer: signer.clone(),
            vault_kept: number % 2 == 0,
        };
        ward.done(0, &act);
        let kept = ward.machine.view().person(person(number)).unwrap().unwrap();
        assert_eq!((kept.signer, kept.vault_kept), (signer, number % 2 == 0));
        assert_eq!((kept.role, kept.org, kept.suspended_at_ms), (Role::Family, org(0), 0));
    }
}

#[test]
fn artifacts_were_made_from_the_committed_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contracts");
    for name in std::fs::read_dir(root.join("artifacts")).unwrap() {
        let name = name.unwrap().file_name().into_string().unwrap();
        let artifact = std::fs::read(root.join("artifacts").join(&name)).unwrap();
        let artifact: serde_json::Value = serde_json::from_slice(&artifact).unwrap();
        let recorded: BTreeMap<String, String> = serde_json::from_value(artifact["sources"].clone()).unwrap();
        let mut sources = BTreeMap::new();
        for file in std::fs::read_dir(root.join("src")).unwrap() {
            let path = file.unwrap().path();
            let hash = alloy_primitives::hex::encode(sha256(&[&std::fs::read(&path).unwrap()]));
            sources.insert(path.file_name().unwrap().to_str().unwrap().to_string(), hash);
        }
        assert_eq!(recorded, sources, "{name} is stale: run node contracts/compile.cjs");
    }
}
