#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::machine::nodes::Nodes;
use alloy_primitives::U256;
use alloy_trie::proof::{ProofRetainer, verify_proof};
use alloy_trie::{HashBuilder, root::storage_root_unhashed};
use proptest::prelude::*;
use std::collections::BTreeMap;
use vitals::proof::SlotProof;
use vitals::proof::state::{NotProven, verify_slot};

/// Slots and values; zero removes. Few slots, so that removals hit.
fn changes() -> impl Strategy<Value = Vec<(u16, u64)>> {
    prop::collection::vec((0u16..400, prop_oneof![1 => Just(0), 3 => any::<u64>(), 1 => 1u64..100]), 0..300)
}

fn slot(index: u16) -> B256 {
    B256::from(U256::from(index))
}

fn build(changes: &[(u16, u64)]) -> (Trie, BTreeMap<u16, u64>) {
    let (mut trie, mut flat) = (Trie::default(), BTreeMap::new());
    for (index, value) in changes {
        let key = keccak256(slot(*index));
        if *value == 0 {
            trie.remove(&Nodes::default(), &key).unwrap();
            flat.remove(index);
        } else {
            trie.set(&Nodes::default(), &key, alloy_rlp::encode(U256::from(*value)), None).unwrap();
            flat.insert(*index, *value);
        }
    }
    (trie, flat)
}

fn proof(trie: &Trie, index: u16) -> SlotProof {
    let key = slot(index);
    SlotProof { key: key.0, nodes: trie.prove(&Nodes::default(), &keccak256(key)).unwrap() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn root_values_and_proofs_agree_with_alloy_trie(changes in changes(), asked in prop::collection::vec(0u16..500, 20)) {
        let (trie, flat) = build(&changes);
        let whole = storage_root_unhashed(flat.iter().map(|(index, value)| (slot(*index), U256::from(*value))));
        prop_assert_eq!(trie.root(), whole);
        let paths: Vec<Nibbles> = asked.iter().map(|index| Nibbles::unpack(keccak256(slot(*index)))).collect();
        let mut theirs = HashBuilder::default().with_proof_retainer(ProofRetainer::new(paths));
        let mut sorted: Vec<_> = flat.iter().map(|(i, v)| (keccak256(slot(*i)), alloy_rlp::encode(U256::from(*v)))).collect();
        sorted.sort();
        for (key, value) in &sorted {
            theirs.add_leaf(Nibbles::unpack(key), value);
        }
        prop_assert_eq!(theirs.root(), whole);
        let theirs = theirs.take_proof_nodes();
        for index in asked {
            let key = keccak256(slot(index));
            let wanted = flat.get(&index).map(|value| U256::from(*value));
            let value = trie.get(&Nodes::default(), &key, |mut leaf, _| <U256 as alloy_rlp::Decodable>::decode(&mut leaf).unwrap()).unwrap();
            prop_assert_eq!(value, wanted);
            let ours = proof(&trie, index);
            let read = verify_slot(&whole.0, &ours).unwrap();
            prop_assert_eq!(U256::from_be_bytes(read), wanted.unwrap_or_default());
            if flat.is_empty() {
                continue;
            }
            let path = Nibbles::unpack(key);
            let nodes: Vec<alloy_primitives::Bytes> = ours.nodes.iter().cloned().map(Into::into).collect();
            verify_proof(whole, path, wanted.map(alloy_rlp::encode), &nodes).unwrap();
            // And the other way round: our verifier accepts alloy's proof.
            let nodes = theirs.matching_nodes_sorted(&path).into_iter().map(|(_, node)| node.to_vec()).collect();
            let read = verify_slot(&whole.0, &SlotProof { key: slot(index).0, nodes }).unwrap();
            prop_assert_eq!(U256::from_be_bytes(read), wanted.unwrap_or_default());
        }
    }

    #[test]
    fn older_trie_is_untouched_by_later_changes(first in changes(), later in changes()) {
        let (old, flat) = build(&first);
        let root = old.root();
        let mut new = old.clone();
        for (index, value) in later {
            let key = keccak256(slot(index));
            let nodes = Nodes::default();
            if value == 0 { new.remove(&nodes, &key).unwrap() } else { new.set(&nodes, &key, alloy_rlp::encode(U256::from(value)), None).unwrap() }
        }
        new.root();
        let whole = storage_root_unhashed(flat.iter().map(|(index, value)| (slot(*index), U256::from(*value))));
        prop_assert_eq!(old.root(), root);
        prop_assert_eq!(root, whole);
    }

    #[test]
    fn any_changed_byte_of_a_proof_is_refused(changes in changes(), index in 0u16..500, place in any::<prop::sample::Index>(), flip in 1u8..) {
        let (trie, flat) = build(&changes);
        prop_assume!(!flat.is_empty());
        let root = trie.root().0;
        let mut proof = proof(&trie, index);
        let node = place.index(proof.nodes.len());
        let byte = place.index(proof.nodes[node].len());
        proof.nodes[node][byte] ^= flip;
        prop_assert_eq!(verify_slot(&root, &proof), Err(NotProven::WrongNode));
    }

    #[test]
    fn hostile_nodes_are_refused_without_panic(nodes in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..4)) {
        // The root is the true hash of the first node, so that its bytes are parsed.
        let root = keccak256(&nodes[0]).0;
        let _ = verify_slot(&root, &SlotProof { key: [7; 32], nodes });
    }
}

#[test]
fn every_single_changed_byte_and_every_cut_of_one_proof_is_refused() {
    let (trie, _) = build(&(0..300).map(|index| (index, u64::from(index) + 1)).collect::<Vec<_>>());
    let root = trie.root().0;
    for index in [5, 450] {
        let good = proof(&trie, index);
        verify_slot(&root, &good).unwrap();
        for node in 0..good.nodes.len() {
            for byte in 0..good.nodes[node].len() {
                let mut bad = good.clone();
                bad.nodes[node][byte] ^= 1;
                assert_eq!(verify_slot(&root, &bad), Err(NotProven::WrongNode));
            }
            let mut cut = good.clone();
            cut.nodes.remove(node);
            assert!(verify_slot(&root, &cut).is_err());
        }
        let mut long = good.clone();
        long.nodes.push(good.nodes[0].clone());
        assert_eq!(verify_slot(&root, &long), Err(NotProven::Surplus));
    }
}
