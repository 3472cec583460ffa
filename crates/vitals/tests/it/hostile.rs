//! Hostile bytes against the readers of headers, certificates and trie nodes: always an answer, and
//! what is accepted is the only form.

use proptest::prelude::*;
use testkit::fixture::Ward;
use vitals::ids::Class;
use vitals::ledger::Fact;
use vitals::proof::certificate::Certificate;
use vitals::proof::header::BlockHeader;
use vitals::proof::state::{keccak256, verify_account, verify_slot};
use vitals::proof::{AccountProof, SlotProof, contracts};

fn ward() -> Ward {
    let mut ward = Ward::new(4, 2);
    let mut stream = ward.stream(0, Class::Vitals);
    ward.admit(&mut stream, 20);
    ward
}

/// Whoever forges nodes forges the hashes above them too: each node is made the root in its turn.
fn walk(node: Vec<u8>) {
    let root = keccak256(&[&node]);
    let _ = verify_slot(&root, &SlotProof { key: [7; 32], nodes: vec![node.clone()] });
    let _ = verify_account(&root, &AccountProof { address: [7; 20], nodes: vec![node], slots: vec![] });
}

proptest! {
    #[test]
    fn any_bytes_as_a_trie_node_are_answered(node in proptest::collection::vec(any::<u8>(), 0..700)) {
        walk(node);
    }

    #[test]
    fn changed_trie_nodes_are_answered(
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..5),
        cut in any::<usize>(),
    ) {
        let ward = ward();
        let device = ward.sensor_id(0);
        for account in ward.prove(&[Fact::Device(device), Fact::Anchor(ward.org())], 41).accounts {
            let slots = account.slots.iter().flat_map(|slot| slot.nodes.clone());
            for mut node in account.nodes.clone().into_iter().chain(slots) {
                for (at, to) in &changes {
                    let at = at % node.len();
                    node[at] = *to;
                }
                walk(node[..cut % node.len()].to_vec());
                walk(node);
            }
        }
    }

    #[test]
    fn headers_and_certificates_have_one_form(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..4),
    ) {
        let ward = ward();
        let proof = ward.prove(&[], 41);
        let (mut header, mut certificate) = (proof.header, proof.certificate);
        for (at, to) in changes {
            let (a, b) = (at % header.len(), at % certificate.len());
            (header[a], certificate[b]) = (to, to);
        }
        for bytes in [&bytes, &header] {
            if let Ok(read) = BlockHeader::decode(bytes) {
                prop_assert_eq!(&read.encode(), bytes);
            }
        }
        for bytes in [&bytes, &certificate] {
            if let Ok(read) = Certificate::decode(bytes) {
                prop_assert_eq!(&read.encode(), bytes);
            }
        }
    }
}

#[test]
fn a_proof_of_absence_shows_nothing_there() {
    let ward = ward();
    let stranger = vitals::DeviceId([9; 16]);
    let proof = ward.prove(&[Fact::Device(stranger)], 41);
    let root = ward.block(41).state_root;
    let read = contracts::read_device(&root, &ward.document, stranger, &proof.accounts[0]);
    assert_eq!(read, Ok(None));
}

#[test]
fn a_proof_for_one_device_is_none_for_another() {
    let ward = ward();
    let (one, other) = (ward.sensor_id(0), ward.sensor_id(1));
    let proof = ward.prove(&[Fact::Device(one)], 41);
    let root = ward.block(41).state_root;
    assert!(contracts::read_device(&root, &ward.document, other, &proof.accounts[0]).is_err());
    let mut relabelled = proof.accounts[0].clone();
    for (slot, key) in relabelled.slots.iter_mut().zip(contracts::device_slots(other)) {
        slot.key = key;
    }
    let read = contracts::read_device(&root, &ward.document, other, &relabelled);
    assert!(!matches!(read, Ok(Some(_))), "one device's record passes for another's");
}
