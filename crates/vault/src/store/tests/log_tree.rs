//! The tree without its old leaves against the one that keeps them all.

use super::super::log_tree::{BLOCK_LEN, Block, NotHere, Tree, hashes_of};
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
            // Asked in between too: what is kept of one size must not be told of the next.
            prop_assert_eq!(tree.root(), whole.root());
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

/// A tick anchors the head that admission has just signed: that must cost the same in the second year as on the
/// first day.
#[test]
fn the_head_of_a_log_is_hashed_once_however_often_it_is_asked_for_and_however_long_the_log_is() {
    // Every subtree of these is ragged: as many hashes as there can be.
    for size in [(1_u64 << 9) - 1, (1 << 17) - 1] {
        let mut tree = Tree::default();
        (0..size).for_each(|index| {
            tree.push(log::leaf(&index.to_be_bytes()));
        });
        let (root, first) = hashes_of(|| tree.root());
        assert_eq!(first, u64::from(size.count_ones()) - 1, "{size} leaves");
        let none = |_: u64| None;
        let (again, hashes) = hashes_of(|| tree.root_at(size, &none).unwrap().unwrap());
        assert_eq!((again, hashes), (root, 0), "{size} leaves: the root that is anchored");
        let (_, hashes) = hashes_of(|| tree.edge(size, &none).unwrap().unwrap());
        assert_eq!(hashes, 0, "{size} leaves: the edge for receipts");
        for before in [size - 1, size - 100, size / 2, 1] {
            let (path, hashes) = hashes_of(|| tree.consistency(before, size, &none).unwrap().unwrap());
            assert_eq!(hashes, 0, "{size} leaves: {} hashes from {before}", path.len());
        }
    }
}
