//! The tree without its old leaves against the one that keeps them all.

use super::super::log_tree::{BLOCK_LEN, Block, NotHere, Tree};
use super::*;
use proptest::prelude::*;
use std::collections::HashMap;
use vitals::log::MerkleLog;

#[derive(Debug, Clone)]
enum Move {
    Push(u64),
    Sealed(u64),
    Forget(u64),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        (0u64..20).prop_map(Move::Push),
        (1u64..30).prop_map(Move::Sealed),
        (0u64..100).prop_map(Move::Forget),
    ];
    prop::collection::vec(one, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_tree_without_its_old_leaves_gives_the_same_roots_and_paths(moves in moves()) {
        let (mut tree, mut whole) = (Tree::default(), MerkleLog::new());
        for one in moves {
            match one {
                Move::Push(count) => {
                    for _ in 0..count {
                        let leaf = log::leaf(&whole.size().to_be_bytes());
                        prop_assert_eq!(tree.push(leaf), whole.push(leaf));
                    }
                }
                Move::Sealed(count) => {
                    let first = whole.size();
                    for index in first..first + count {
                        whole.push(log::leaf(&index.to_be_bytes()));
                    }
                    let size = whole.size();
                    let blocks = first / BLOCK_LEN..size / BLOCK_LEN;
                    let leaves = |from: u64, to: u64| (from..to).map(|at| whole.leaf(at).unwrap()).collect::<Vec<_>>();
                    let roots: Vec<_> = blocks.clone()
                        .map(|block| Block::of(leaves(block * BLOCK_LEN, (block + 1) * BLOCK_LEN)).root())
                        .collect();
                    let rest = leaves(if roots.is_empty() { first } else { blocks.end * BLOCK_LEN }, size);
                    prop_assert!(tree.push_sealed(&roots, &rest));
                }
                Move::Forget(index) => tree.forget_before(index),
            }
        }
        let size = whole.size();
        prop_assert_eq!((tree.size(), tree.root()), (size, whole.root()));
        let read: HashMap<u64, Arc<Block>> = (0..size / BLOCK_LEN)
            .map(|block| {
                let leaves = (block * BLOCK_LEN..(block + 1) * BLOCK_LEN).map(|at| whole.leaf(at).unwrap());
                (block, Arc::new(Block::of(leaves.collect())))
            })
            .collect();
        for (block, held) in &read {
            prop_assert_eq!(tree.block_root(*block), Some(held.root()));
        }
        let blocks = |block: u64| read.get(&block).cloned();
        for old in 0..=size + 1 {
            prop_assert_eq!(tree.root_at(old, &blocks), Ok(whole.root_at(old)));
            prop_assert_eq!(tree.leaf(old, &blocks), Ok(whole.leaf(old)));
            prop_assert_eq!(tree.inclusion(old, size, &blocks), Ok(whole.inclusion(old, size)));
            prop_assert_eq!(tree.inclusion(0, old, &blocks), Ok(whole.inclusion(0, old)));
            prop_assert_eq!(tree.consistency(old, size, &blocks), Ok(whole.consistency(old, size)));
            // Without its blocks it names the one that it needs, or gives the same answer.
            match tree.leaf(old, &|_| None) {
                Ok(leaf) => prop_assert_eq!(leaf, whole.leaf(old)),
                Err(NotHere(block)) => prop_assert_eq!(block, old / BLOCK_LEN),
            }
        }
    }
}
