//! The short fuzz run: every decoder under a few thousand changed golden files, and under every
//! input that once brought one down. `scripts/fuzz.sh` runs the same targets guided by coverage,
//! for as long as wanted.

#[path = "../../../../fuzz/src/ledger.rs"]
#[allow(unreachable_pub, reason = "shared with the fuzzer")]
mod ledger_targets;
#[path = "../../../../fuzz/src/targets.rs"]
#[allow(unreachable_pub, clippy::cast_possible_truncation, reason = "shared with the fuzzer")]
mod targets;

use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use targets::{TARGETS, Target};

const RUNS: u32 = 12_000;
const LENGTH_MAX: usize = 16 * 1024;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn hex_files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "hex") {
            let text: String = fs::read_to_string(&path).unwrap().split_whitespace().collect();
            files
                .push((path.file_stem().unwrap().to_string_lossy().into_owned(), hex::decode(text).unwrap()));
        }
    }
    files.sort();
    files
}

fn all_targets() -> impl Iterator<Item = &'static Target> {
    TARGETS.iter().chain(ledger_targets::TARGETS)
}

fn attack(target: &Target, bytes: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| (target.attack)(bytes))).is_err() {
        panic!("the decoder `{}` fell over these bytes: {}", target.name, hex::encode(bytes));
    }
}

/// One small change, of the kinds that find most: a bit, a byte at its rim, a run gone, doubled,
/// moved or taken from another file.
fn change(bytes: &mut Vec<u8>, other: &[u8], rng: &mut StdRng) {
    const RIMS: [u8; 12] = [0, 1, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x3b, 0x7f, 0x80, 0xfe, 0xff];
    let at = rng.random_range(0..=bytes.len());
    let end = (at + rng.random_range(0..=8_usize)).min(bytes.len());
    match rng.random_range(0..8) {
        0 | 1 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
        2 if at < bytes.len() => bytes[at] = RIMS[rng.random_range(0..RIMS.len())],
        3 => drop(bytes.drain(at..end)),
        4 => {
            let run = bytes[at..end].to_vec();
            bytes.splice(at..at, run);
        }
        5 => bytes.insert(at, RIMS[rng.random_range(0..RIMS.len())]),
        6 => bytes.truncate(at),
        _ if !other.is_empty() => {
            let from = rng.random_range(0..other.len());
            let to = (from + rng.random_range(1..=64_usize)).min(other.len());
            bytes.splice(at..end, other[from..to].iter().copied());
        }
        _ => {}
    }
    bytes.truncate(LENGTH_MAX);
}

#[test]
fn every_decoder_stands_thousands_of_changed_golden_files() {
    let runs = std::env::var("ACESO_FUZZ_RUNS").map_or(RUNS, |runs| runs.parse().unwrap());
    let golden = root().join("testdata/golden");
    let mut seeds = hex_files(&golden);
    seeds.extend(hex_files(&golden.join("bad")));
    seeds.extend(targets::made_seeds());
    seeds.extend(ledger_targets::made_seeds());
    for target in all_targets() {
        let fed: Vec<&Vec<u8>> = seeds
            .iter()
            .filter(|(name, _)| target.seeds.iter().any(|wanted| name.starts_with(wanted)))
            .map(|(_, bytes)| bytes)
            .collect();
        assert!(!fed.is_empty(), "the target {} has seeds", target.name);
        let mut rng = StdRng::seed_from_u64(11);
        for seed in &fed {
            attack(target, seed);
        }
        for _ in 0..runs {
            let mut bytes = fed[rng.random_range(0..fed.len())].clone();
            for _ in 0..=rng.next_u32() % 4 {
                let other = fed[rng.random_range(0..fed.len())];
                change(&mut bytes, other, &mut rng);
            }
            attack(target, &bytes);
        }
    }
}

#[test]
fn what_once_brought_a_decoder_down_no_longer_does() {
    let found = hex_files(&root().join("fuzz/regressions"));
    assert!(!found.is_empty());
    for (name, bytes) in found {
        let (target, _) = name.split_once('-').unwrap();
        let target = all_targets().find(|known| known.name == target).unwrap();
        attack(target, &bytes);
    }
}
