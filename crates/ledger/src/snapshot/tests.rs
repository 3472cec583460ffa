#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

use super::*;
use crate::genesis::Founding;
use crate::machine::Machine;
use crate::{Config, EmbeddedChain, Keys, account::address_of};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use vitals::ids::OrgId;
use vitals::ledger::Ledger as _;
use vitals::proof::genesis::Founder;

const KEYS: Keys = Keys { validator: [5; 32], sender: [6; 32] };
const RECORD_KEY: [u8; 32] = [7; 32];
const PATIENCE: Duration = Duration::from_secs(20);

fn document(salt: u8) -> GenesisDocument {
    crate::genesis::document(Founding {
        chain_id: 84_001,
        name: String::from("ward"),
        time_ms: 1_790_000_000_000,
        epoch_blocks: 4,
        committee: vec![crate::validator_key(&KEYS.validator).unwrap()],
        operators: vec![OrgId::of(&RECORD_KEY)],
        founders: vec![Founder { record_key: RECORD_KEY, sender: address_of(&KEYS.sender).unwrap() }],
        salt: [salt; 32],
    })
}

/// A snapshot of a ledger of one.
fn snapshot() -> (TempDir, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::new(folder.path().to_owned());
    config.agreement.heartbeat = Duration::from_millis(20);
    let chain = EmbeddedChain::start(&config, &document(8), &KEYS).unwrap();
    let (mut tip, start) = (chain.watch_tip(), Instant::now());
    assert!(chain.offer().is_err() || chain.tip().height > 2);
    let offer = loop {
        match chain.offer() {
            Ok(offer) if offer.height() > 3 => break offer,
            _ => futures::executor::block_on(tip.changed()).unwrap(),
        }
        assert!(start.elapsed() < PATIENCE);
    };
    let mut bytes = Vec::new();
    let written = offer.write(&mut bytes).unwrap();
    assert_eq!(written, bytes.len() as u64);
    println!("snapshot of height {}: {written} bytes", offer.height());
    (folder, bytes)
}

fn read(bytes: &[u8]) -> Result<(TempDir, Finalized), SnapshotError> {
    let folder = tempfile::tempdir().unwrap();
    let done = import(folder.path(), &document(8), None, &mut &*bytes);
    assert_eq!(done.is_ok(), folder.path().join("state.redb").exists(), "all or nothing");
    Ok((folder, done?))
}

#[test]
fn a_snapshot_is_the_state_of_a_certified_block_and_a_changed_byte_anywhere_is_refused() {
    let (theirs, bytes) = snapshot();
    let (ours, finalized) = read(&bytes).unwrap();
    let height = finalized.header.height;
    {
        let theirs = Machine::open(theirs.path(), &document(8)).unwrap();
        let machine = Machine::open(ours.path(), &document(8)).unwrap();
        let committee_changes = CommitteeChanges::open(ours.path(), &document(8)).unwrap();
        assert_eq!((machine.tip().digest, machine.base().unwrap()), (finalized.digest, height));
        assert_eq!(machine.header(height).unwrap(), theirs.header(height).unwrap());
        assert_eq!(machine.header(height - 1).unwrap(), None);
        assert_eq!(committee_changes.snapshot_base().unwrap().header, finalized.header);
    }
    let again = import(ours.path(), &document(8), None, &mut &*bytes);
    assert!(matches!(again, Err(SnapshotError::State(state::SnapshotError::Occupied))), "{again:?}");

    // All of what stands before the state, every length, and some of the state.
    let head = 52 + usize::try_from(u32::from_be_bytes(bytes[48..52].try_into().unwrap())).unwrap();
    let mut at = head;
    let mut places: Vec<usize> = (head..bytes.len()).step_by(1_499).collect();
    while at < bytes.len() {
        places.extend(at..at + 4);
        at += 4 + usize::try_from(u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())).unwrap();
    }
    assert_eq!(at, bytes.len());
    let changed = |place: usize| {
        let mut bad = bytes.clone();
        bad[place] ^= 1;
        bad
    };
    for place in 0..head {
        let refused = read_head(&document(8), None, &mut &*changed(place));
        assert!(refused.is_err(), "byte {place} of the head");
    }
    for place in places {
        let refused = read(&changed(place)).err();
        assert!(refused.is_some(), "byte {place} of {}", bytes.len());
    }
    for cut in (0..bytes.len()).step_by(9_973).chain([bytes.len() - 1, bytes.len() - 4]) {
        assert!(read(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    let longer = read(&[bytes.as_slice(), &[0]].concat());
    assert!(matches!(longer, Err(SnapshotError::Longer)));
    let other = import(ours.path(), &document(9), None, &mut &*bytes);
    assert!(matches!(other, Err(SnapshotError::OtherLedger { .. })), "{other:?}");
    // A node that knows another final block at this height, or a later one, does not take it.
    let committee = document(8).committee;
    for known in [
        Known { height, digest: [1; 32], committee: committee.clone() },
        Known { height: height + 1, digest: [1; 32], committee },
    ] {
        let refused = read_head(&document(8), Some(&known), &mut &*bytes);
        assert!(matches!(refused, Err(SnapshotError::NotFinal(_))), "{refused:?}");
    }
    assert!(read_head(&document(8), Some(&finalized.known()), &mut &*bytes).is_ok());
}

#[test]
fn state_and_certificate_of_a_snapshot_belong_together() {
    let (_theirs, bytes) = snapshot();
    for lost in ["boundaries.redb", "state.redb"] {
        let (ours, _) = read(&bytes).unwrap();
        std::fs::remove_file(ours.path().join(lost)).unwrap();
        let keys = Keys { validator: [15; 32], sender: [6; 32] };
        let refused = EmbeddedChain::start(&Config::new(ours.path().to_owned()), &document(8), &keys);
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("import a snapshot again"), "{lost}: {refused}");
    }
}
