use super::*;
use alloc::string::String;
use proptest::prelude::*;

fn hex(hash: &[u8]) -> String {
    hash.iter().map(|byte| alloc::format!("{byte:02x}")).collect()
}

/// The tree of the certificate-transparency reference implementation's test vectors.
const INPUTS: [&[u8]; 8] = [
    b"",
    &[0x00],
    &[0x10],
    &[0x20, 0x21],
    &[0x30, 0x31],
    &[0x40, 0x41, 0x42, 0x43],
    &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
    &[0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f],
];

const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn known() -> MerkleLog {
    let mut log = MerkleLog::new();
    for input in INPUTS {
        log.push(leaf(input));
    }
    log
}

fn numbered(size: u64) -> MerkleLog {
    let mut log = MerkleLog::new();
    for n in 0..size {
        assert_eq!(log.push(leaf(&n.to_be_bytes())), n);
    }
    log
}

#[test]
fn roots_are_those_of_rfc_6962() {
    let log = known();
    assert_eq!(hex(&empty_root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_eq!(log.root_at(0), Some(empty_root()));
    for (size, root) in (1..).zip(ROOTS) {
        assert_eq!(hex(&log.root_at(size).unwrap()), root, "size {size}");
    }
    assert_eq!(log.root_at(9), None);
}

#[test]
fn paths_are_those_of_rfc_6962() {
    let log = known();
    let path: Vec<String> = log.inclusion(0, 8).unwrap().iter().map(|hash| hex(hash)).collect();
    assert_eq!(
        path,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ]
    );
    let path: Vec<String> = log.consistency(6, 8).unwrap().iter().map(|hash| hex(hash)).collect();
    assert_eq!(
        path,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ]
    );
}

#[test]
fn every_leaf_of_every_small_log_is_proven_at_its_place_only() {
    for size in 1..=33u64 {
        let log = numbered(size);
        let root = log.root();
        for index in 0..size {
            let path = log.inclusion(index, size).unwrap();
            let leaf = log.leaf(index).unwrap();
            for claimed in 0..size + 2 {
                assert_eq!(verify_inclusion(leaf, claimed, size, &path, &root), claimed == index);
            }
        }
        assert_eq!(log.inclusion(size, size), None);
    }
}

#[test]
fn every_small_log_extends_every_shorter_one() {
    let log = numbered(33);
    for new in 0..=33 {
        for old in 0..=new {
            let path = log.consistency(old, new).unwrap();
            let (old_root, new_root) = (log.root_at(old).unwrap(), log.root_at(new).unwrap());
            assert!(verify_consistency(old, &old_root, new, &new_root, &path), "{old} to {new}");
            if old > 0 {
                assert!(!verify_consistency(old, &[9; 32], new, &new_root, &path), "{old} to {new}");
            }
            if old < new && old > 0 {
                assert!(!verify_consistency(old, &old_root, new, &[9; 32], &path), "{old} to {new}");
                assert!(!verify_consistency(new, &new_root, old, &old_root, &path));
                assert!(!verify_consistency(old, &old_root, new, &new_root, &path[1..]));
            }
        }
    }
}

proptest! {
    #[test]
    fn a_changed_inclusion_path_proves_nothing(
        size in 2..2000u64,
        pick in any::<u64>(),
        flip in any::<(usize, u8)>(),
        extra in any::<[u8; 32]>(),
    ) {
        let log = numbered(size);
        let (index, root) = (pick % size, log.root());
        let (leaf, path) = (log.leaf(index).unwrap(), log.inclusion(index, size).unwrap());
        prop_assert!(verify_inclusion(leaf, index, size, &path, &root));
        let mut bad = path.clone();
        let at = flip.0 % (32 * bad.len());
        bad[at / 32][at % 32] ^= flip.1.max(1);
        prop_assert!(!verify_inclusion(leaf, index, size, &bad, &root));
        let mut longer = path.clone();
        longer.push(extra);
        prop_assert!(!verify_inclusion(leaf, index, size, &longer, &root));
        prop_assert!(!verify_inclusion(leaf, index, size, &path[1..], &root));
        prop_assert!(!verify_inclusion(extra, index, size, &path, &root));
    }

    #[test]
    fn a_changed_consistency_proof_proves_nothing(
        new in 2..2000u64,
        pick in any::<u64>(),
        flip in any::<(usize, u8)>(),
        extra in any::<[u8; 32]>(),
    ) {
        let log = numbered(new);
        let old = 1 + pick % (new - 1);
        let (old_root, new_root) = (log.root_at(old).unwrap(), log.root());
        let path = log.consistency(old, new).unwrap();
        prop_assert!(verify_consistency(old, &old_root, new, &new_root, &path));
        let mut bad = path.clone();
        let at = flip.0 % (32 * bad.len());
        bad[at / 32][at % 32] ^= flip.1.max(1);
        prop_assert!(!verify_consistency(old, &old_root, new, &new_root, &bad));
        let mut longer = path.clone();
        longer.push(extra);
        prop_assert!(!verify_consistency(old, &old_root, new, &new_root, &longer));
    }

    #[test]
    fn any_numbers_and_any_path_are_answered(
        index in any::<u64>(),
        size in any::<u64>(),
        path in proptest::collection::vec(any::<[u8; 32]>(), 0..70),
    ) {
        prop_assert!(!verify_inclusion([0; 32], index, size, &path, &[1; 32]));
        prop_assert!(!verify_consistency(index, &[0; 32], size, &[1; 32], &path));
    }
}
