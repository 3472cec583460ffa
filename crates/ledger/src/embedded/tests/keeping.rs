//! What is kept of past blocks by a running chain.

use super::*;
use crate::Chain as _;
use std::collections::BTreeSet;

/// Epochs of eight blocks, and little kept.
fn forgetful(folder: &Path) -> EmbeddedChain {
    let mut config = Config::new(folder.to_owned());
    config.machine.keep_states = 4;
    EmbeddedChain::start(&config, &GenesisDocument { epoch_blocks: 8, ..document() }, &KEYS).unwrap()
}

#[test]
fn bodies_older_than_two_epochs_are_pruned_and_an_earlier_proof_still_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let document = GenesisDocument { epoch_blocks: 8, ..document() };
    let mut ward = Ward { chain: forgetful(folder.path()), log: MerkleLog::new() };
    let first = ward.anchor_next();
    let early = ward.chain.prove(&[Fact::Anchor(org())]).unwrap();
    let early_height = vitals::proof::verify(&document, None, &early).unwrap().header.height;
    while ward.height() < 60 {
        ward.anchor_next();
    }
    let tip = ward.height();
    let kept = ward.chain.machine().kept().unwrap();
    assert!(kept.bodies + 16 > tip - 1 && kept.bodies <= tip + 1 - 16, "{kept:?} at {tip}");
    assert!(ward.chain.machine().transactions(first).unwrap().is_empty(), "pruned");
    assert!(Explorer::block(&ward.chain, first, 0).unwrap().unwrap().line.pruned, "and said so");
    let events = ward.chain.logs(first..=tip);
    assert!(matches!(events, Err(LedgerError::Refused(_))), "not as if there had been none: {events:?}");
    let last = ward.anchor_next();
    assert!(!ward.chain.logs(last..=last).unwrap().is_empty());
    // What was proven then is proven now, and so is what stands now.
    assert_eq!(vitals::proof::verify(&document, None, &early).unwrap().header.height, early_height);
    let now = ward.chain.prove(&[Fact::Anchor(org())]).unwrap();
    assert!(vitals::proof::verify(&document, None, &now).unwrap().header.height > early_height);
    let size = ward.log.size();
    drop(ward);
    // And a start finds everything it needs.
    let chain = forgetful(folder.path());
    assert_eq!(chain.anchor(org()).unwrap().unwrap().size, size);
    assert!(chain.tip().height >= tip);
    let mut ward = Ward { chain, log: MerkleLog::new() };
    for at in 0..size {
        ward.log.push(log::leaf(&at.to_be_bytes()));
    }
    assert!(ward.anchor_next() > last);
}

/// Epochs of which the engine keeps blocks and votes that are not final yet.
fn cached_epochs(consensus: &Path) -> BTreeSet<u64> {
    let names =
        fs::read_dir(consensus).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter_map(|name| name.strip_prefix("marshal-cache-cache-")?.split('-').next()?.parse().ok())
        .collect()
}

#[test]
fn what_was_cached_in_past_epochs_goes_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let document = GenesisDocument { epoch_blocks: 24, ..document() };
    let config = Config::new(folder.path().to_owned());
    let chain = EmbeddedChain::start(&config, &document, &KEYS).unwrap();
    let mut ward = Ward { chain, log: MerkleLog::new() };
    while ward.height() < 24 * 4 + 20 {
        ward.anchor_next();
    }
    let cached = cached_epochs(&folder.path().join("consensus"));
    assert!(!cached.is_empty() && cached.len() <= 2, "{cached:?} at height {}", ward.height());
}

#[test]
fn a_ledger_told_to_keep_everything_does() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::new(folder.path().to_owned());
    (config.history, config.machine.keep_states) = (History::All, 4);
    let document = GenesisDocument { epoch_blocks: 8, ..document() };
    let chain = EmbeddedChain::start(&config, &document, &KEYS).unwrap();
    let mut ward = Ward { chain, log: MerkleLog::new() };
    let first = ward.anchor_next();
    while ward.height() < 40 {
        ward.anchor_next();
    }
    assert_eq!(ward.chain.machine().transactions(first).unwrap().len(), 1);
    assert_eq!(ward.chain.machine().kept().unwrap(), machine::Kept::default());
}

/// Bytes of the files below a folder whose path inside it begins with one of these.
fn bytes_of(folder: &Path, begins: &[&str]) -> u64 {
    let mut sum = 0;
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if begins.iter().any(|begin| name.starts_with(begin)) {
            let files = fs::read_dir(entry.path()).unwrap().map(Result::unwrap);
            sum += files.map(|file| file.metadata().unwrap().len()).sum::<u64>();
        }
    }
    sum
}

#[test]
fn what_the_engine_keeps_of_an_idle_ledger_is_less_than_400_megabytes() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::new(folder.path().to_owned());
    config.agreement.heartbeat = Duration::from_millis(2);
    let chain = EmbeddedChain::start(&config, &document(), &KEYS).unwrap();
    let mut tip = chain.watch_tip();
    let mut reach = |height| {
        while chain.tip().height < height {
            chain.moved(&mut tip);
        }
        chain.tip().height
    };
    let archive = ["blocks-latest-", "finalizations-latest-"];
    let journals = folder.path().join(JOURNALS);
    // Files are written when buffers are full, or at a stop: two of them, two hundred blocks apart.
    let first = reach(100);
    chain.stop();
    let early = bytes_of(&journals, &archive);
    drop(chain);
    let chain = EmbeddedChain::start(&config, &document(), &KEYS).unwrap();
    let mut tip = chain.watch_tip();
    while chain.tip().height < first + 200 {
        chain.moved(&mut tip);
    }
    chain.stop();
    let blocks = chain.tip().height - first;
    let each = (bytes_of(&journals, &archive) - early) / blocks;
    // With more validators a certificate has a signature of 64 bytes of each of a quorum.
    for (validators, quorum) in [(1, 1), (4, 3), (7, 5)] {
        let bytes = each + 65 * (quorum - 1);
        let sum = bytes * consensus::KEEP_BLOCKS;
        println!(
            "blocks and certificates of an idle ledger of {validators}: {bytes} B a block, {} MB for the latest {}",
            sum / 1_000_000,
            consensus::KEEP_BLOCKS
        );
        assert!(each > 100 && (validators > 4 || sum < 400_000_000), "{validators}: {sum} bytes");
    }
}
