#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use ed25519_zebra::{SigningKey, VerificationKey};
use vitals::proof::{LedgerProof, certificate::message, verify};

fn validators(first: u8) -> Vec<SigningKey> {
    let mut keys: Vec<SigningKey> = (first..first + 4).map(|byte| SigningKey::from([byte; 32])).collect();
    keys.sort_by_key(public);
    keys
}

fn public(key: &SigningKey) -> [u8; 32] {
    VerificationKey::from(key).into()
}

fn document() -> GenesisDocument {
    GenesisDocument {
        chain_id: 1,
        name: String::from("ward"),
        time_ms: 1,
        epoch_blocks: 16,
        committee: validators(1).iter().map(public).collect(),
        operators: vec![vitals::OrgId([1; 16]); 4],
        founders: vec![],
        contracts: vec![],
        salt: [0; 32],
    }
}

fn header(height: u64, next: &[SigningKey]) -> BlockHeader {
    BlockHeader {
        epoch: height / 16,
        view: height,
        leader: [1; 32],
        parent_view: height - 1,
        parent: [2; 32],
        height,
        time_ms: height,
        state_root: [3; 32],
        transactions_root: [4; 32],
        receipts_root: [5; 32],
        extra: [0; 32],
        committee: next.iter().map(public).collect(),
    }
}

fn certificate(header: &BlockHeader, by: &[SigningKey]) -> Certificate {
    let (epoch, view, parent_view) = (header.epoch, header.view, header.parent_view);
    let message = message(document().hash(), epoch, view, parent_view, &header.digest());
    let signatures = (0..).zip(by).take(3).map(|(place, key)| (place, key.sign(&message).to_bytes()));
    Certificate { epoch, view, parent_view, signatures: signatures.collect() }
}

#[test]
fn only_changes_of_the_committee_are_kept_and_a_proof_carries_those_below_its_block() {
    let folder = tempfile::tempdir().unwrap();
    let committee_changes = CommitteeChanges::open(folder.path(), &document()).unwrap();
    let record = |height, next: &[SigningKey], by: &[SigningKey]| {
        let header = header(height, next);
        committee_changes.record(&header, &certificate(&header, by)).unwrap()
    };
    assert!(!record(14, &[], &validators(1)));
    assert!(!record(15, &validators(1), &validators(1)), "the same committee goes on");
    assert!(record(31, &validators(2), &validators(1)));
    assert!(!record(31, &validators(2), &validators(1)), "delivered again");
    assert!(!record(47, &validators(2), &validators(2)));
    assert!(record(63, &validators(3), &validators(2)));
    let heights = |height| committee_changes.before(height).len();
    assert_eq!([heights(31), heights(32), heights(63), heights(64)], [0, 1, 1, 2]);
    assert_eq!(committee_changes.committee(), (4, validators(3).iter().map(public).collect()));

    let last = header(70, &[]);
    let proof = LedgerProof {
        changes: Some(committee_changes.before(70)),
        header: last.encode(),
        certificate: certificate(&last, &validators(3)).encode(),
        accounts: vec![],
    };
    assert_eq!(verify(&document(), None, &proof).unwrap().changes, 2);
}

#[test]
fn a_change_that_does_not_verify_is_not_stored() {
    let folder = tempfile::tempdir().unwrap();
    let committee_changes = CommitteeChanges::open(folder.path(), &document()).unwrap();
    let change = header(31, &validators(2));
    let refused = committee_changes.record(&change, &certificate(&change, &validators(2)));
    assert!(
        matches!(refused, Err(CommitteeChangeError::InvalidLink(_))),
        "certified by the committee it names"
    );
    let early = header(30, &validators(2));
    assert!(committee_changes.record(&early, &certificate(&early, &validators(1))).is_err());
    assert!(committee_changes.is_empty());
    assert!(committee_changes.lacks(&change));
}

#[test]
fn changes_survive_a_restart_and_a_newcomer_takes_them_over() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = header(31, &validators(2));
    let second = header(47, &validators(3));
    let committee_changes = CommitteeChanges::open(here.path(), &document()).unwrap();
    committee_changes.record(&first, &certificate(&first, &validators(1))).unwrap();
    committee_changes.record(&second, &certificate(&second, &validators(2))).unwrap();
    let all = committee_changes.all();
    drop(committee_changes);
    let committee_changes = CommitteeChanges::open(here.path(), &document()).unwrap();
    assert_eq!(committee_changes.all(), all);

    let newcomer = CommitteeChanges::open(there.path(), &document()).unwrap();
    assert!(newcomer.extend(&all[1..]).is_err(), "one is missing");
    assert!(newcomer.is_empty());
    newcomer.extend(&all).unwrap();
    newcomer.extend(&all).unwrap();
    assert_eq!(newcomer.committee(), committee_changes.committee());
    drop(newcomer);
    let other = GenesisDocument { salt: [1; 32], ..document() };
    assert!(matches!(CommitteeChanges::open(there.path(), &other), Err(CommitteeChangeError::Damaged(_))));
}
