#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::account::{Account, address_of};
use crate::genesis::Founding;
use crate::snapshot::{Head, SnapshotError, SnapshotRequest, fetch::SnapshotFetch};
use consensus::RequestResponse as _;
use ed25519_zebra::{SigningKey, VerificationKey};
use tempfile::TempDir;
use vitals::ids::OrgId;
use vitals::ledger::Act;
use vitals::proof::certificate::message;
use vitals::proof::genesis::{Founder, GenesisDocument};
use vitals::proof::verify;

const SENDER: [u8; 32] = [6; 32];
const RECORD_KEY: [u8; 32] = [7; 32];
const EPOCH_BLOCKS: u64 = 4;

fn validator(number: u8) -> SigningKey {
    SigningKey::from([number; 32])
}

fn public(number: u8) -> [u8; 32] {
    VerificationKey::from(&validator(number)).into()
}

/// A ledger whose first committee is validator 1.
fn document() -> GenesisDocument {
    crate::genesis::document(Founding {
        chain_id: 84_001,
        name: String::from("ward"),
        time_ms: 1_790_000_000_000,
        epoch_blocks: EPOCH_BLOCKS,
        committee: vec![public(1)],
        operators: vec![OrgId::of(&RECORD_KEY)],
        founders: vec![Founder { record_key: RECORD_KEY, sender: address_of(&SENDER).unwrap() }],
        salt: [8; 32],
    })
}

fn member(folder: &Path) -> Replica {
    member_at(Machine::open(folder, &document()).unwrap(), folder)
}

fn member_at(machine: Machine, folder: &Path) -> Replica {
    let committee_changes = CommitteeChanges::open(folder, &document()).unwrap();
    Replica::new(machine.clone(), Pool::new(machine)).with_committee_changes(committee_changes)
}

/// The next block, naming the next committee if it is an epoch's last, and its certificate by a validator.
fn next(replica: &Replica, committee: u8, by: u8) -> (Block, Certificate) {
    let tip = replica.machine.tip();
    let height = tip.height + 1;
    let last = height % EPOCH_BLOCKS == EPOCH_BLOCKS - 1;
    let header = BlockHeader {
        epoch: height / EPOCH_BLOCKS,
        view: height,
        leader: public(by),
        parent_view: height - 1,
        parent: tip.digest,
        height,
        time_ms: tip.time_ms + 1_000,
        state_root: [0; 32],
        transactions_root: [0; 32],
        receipts_root: [0; 32],
        extra: [0; 32],
        committee: if last { vec![public(committee)] } else { Vec::new() },
    };
    let block = replica.build(header, Vec::new()).unwrap();
    let header = block.header();
    let (epoch, view, parent_view) = (header.epoch, header.view, header.parent_view);
    let message = message(document().hash(), epoch, view, parent_view, &header.digest());
    let signatures = vec![(0, validator(by).sign(&message).to_bytes())];
    (block, Certificate { epoch, view, parent_view, signatures })
}

/// Both commit the next blocks up to a height; only those at `bare` come to the second without certificate.
fn go_on(ours: &Replica, theirs: &Replica, upto: u64, (committee, by): (u8, u8), bare: &[u64]) {
    while ours.machine.tip().height < upto {
        let (block, certificate) = next(ours, committee, by);
        let digest = block.header().digest();
        ours.commit(&block, digest, Some(&certificate), 0).unwrap();
        let certificate = (!bare.contains(&block.header().height)).then_some(&certificate);
        theirs.commit(&block, digest, certificate, 0).unwrap();
    }
}

fn pair() -> ([TempDir; 2], Replica, Replica) {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (ours, theirs) = (member(folders[0].path()), member(folders[1].path()));
    (folders, ours, theirs)
}

#[test]
fn a_change_of_the_committee_without_its_certificate_is_asked_for_until_it_comes_also_after_a_restart() {
    let (folders, whole, lacking) = pair();
    // Validator 1 gives way to 2, and 2 to 3; of neither change does the second node get the certificate.
    go_on(&whole, &lacking, 3, (2, 1), &[3]);
    go_on(&whole, &lacking, 7, (3, 2), &[7]);
    go_on(&whole, &lacking, 9, (3, 3), &[]);
    assert_eq!((whole.gap(), whole.next_request()), (None, None));
    assert_eq!(lacking.gap(), Some(3));
    let proof = lacking.prove(&[]).unwrap();
    assert!(verify(&document(), None, &proof).is_err(), "nobody follows it across the gap");

    drop(lacking);
    let lacking = member(folders[1].path());
    assert_eq!(lacking.gap(), Some(3), "it knows after a restart");
    let question = lacking.next_request().unwrap();
    let answer = whole.respond(&question).unwrap().unwrap();
    // A proof that does not lead from genesis is not accepted.
    for bad in 0..answer.len() {
        let mut lie = answer.to_vec();
        lie[bad] ^= 1;
        assert!(lacking.receive_response(&question, &lie).is_err(), "byte {bad}");
    }
    assert_eq!(lacking.gap(), Some(3));
    lacking.receive_response(&question, &answer).unwrap();
    assert_eq!((lacking.gap(), lacking.next_request()), (None, None));
    assert_eq!(lacking.respond(&question).unwrap().unwrap(), answer, "now it can tell others");
    go_on(&whole, &lacking, 10, (3, 3), &[]);
    assert_eq!(verify(&document(), None, &lacking.prove(&[]).unwrap()).unwrap().changes, 2);
    assert_eq!(whole.respond(&SnapshotRequest::Changes { above: 7 }.encode()).unwrap(), None);
}

#[test]
fn a_batch_that_no_honest_validator_sends_is_a_violation_and_a_stale_one_is_not() {
    let (folders, ours, theirs) = pair();
    let account = Account::open(&SENDER, folders[0].path(), ours.machine.clone(), ours.pool.clone()).unwrap();
    account.submit(&Act::Anchor { size: 1, root: [1; 32], consistency: Vec::new() }).unwrap();
    let batch: Vec<Bytes> =
        ours.pool.next_batch(&ours.machine.view().snapshot()).into_iter().map(Bytes::from).collect();
    assert_eq!(batch.len(), 1);
    assert_eq!(theirs.incoming(batch.clone()), Ok(()));
    assert_eq!(theirs.incoming(batch.clone()), Ok(()), "known");
    for at in [0, batch[0].len() / 2, batch[0].len() - 1] {
        let mut forged = batch[0].to_vec();
        forged[at] ^= 1;
        let verdict = theirs.incoming(vec![forged.into()]);
        // A changed byte may be another account's signature: that account may be registered elsewhere already.
        assert!(verdict.is_err() || theirs.pool.waiting() == 1, "byte {at}: {verdict:?}");
    }
    let garbage = theirs.incoming(vec![batch[0].clone(), Bytes::from_static(b"no transaction")]).unwrap_err();
    assert!(garbage.to_string().contains("transaction 1 of a batch is invalid"), "{garbage}");
    let heavy = theirs.incoming(vec![batch[0].clone(); 1 + crate::pool::BATCH_BYTES_MAX / batch[0].len()]);
    assert!(heavy.is_err());
    assert_eq!(theirs.pool.waiting(), 1);
}

#[test]
fn a_joining_node_imports_an_epochs_last_state_and_reports_a_peer_that_sends_another() {
    let (_folders, ours, theirs) = pair();
    assert_eq!(ours.respond(&SnapshotRequest::Head.encode()).unwrap(), None, "nothing to give yet");
    go_on(&ours, &theirs, 6, (2, 1), &[]);
    assert!(ours.respond(b"").is_err() && ours.respond(&[9; 9]).is_err() && ours.respond(&[2; 300]).is_err());

    let folder = tempfile::tempdir().unwrap();
    let fetch = || SnapshotFetch::new(folder.path().to_owned(), document(), None);
    let newcomer = fetch();
    let question = newcomer.next_request().unwrap();
    assert!(newcomer.receive_response(&question, b"no proof").is_err());
    let mut later = LedgerProof::decode(&ours.respond(&question).unwrap().unwrap()).unwrap();
    later.header = ours.machine.header(5).unwrap().unwrap();
    assert!(newcomer.receive_response(&question, &later.encode()).is_err(), "a header nobody certified");
    newcomer.receive_response(&question, &ours.respond(&question).unwrap().unwrap()).unwrap();

    let mut chunks = 0;
    while let Some(question) = newcomer.next_request() {
        let answer = ours.respond(&question).unwrap().unwrap();
        assert_eq!(theirs.respond(&question).unwrap().unwrap(), answer, "from whomever");
        let mut lie = answer.to_vec();
        lie[answer.len() / 2] ^= 1;
        assert!(newcomer.receive_response(&question, &lie).is_err());
        assert_eq!(newcomer.next_request(), Some(question.clone()), "it asks on");
        if chunks == 0 {
            // While it reads, the others go on; what it reads stays.
            go_on(&ours, &theirs, 9, (2, 2), &[]);
            for _ in 0..8 {
                newcomer.request_failed(&question);
            }
            assert_eq!(
                newcomer.next_request().unwrap(),
                SnapshotRequest::Head.encode(),
                "it looks for a newer one"
            );
            let head = ours.respond(&SnapshotRequest::Head.encode()).unwrap().unwrap();
            let height =
                Head::of(&document(), None, LedgerProof::decode(&head).unwrap()).unwrap().header().height;
            assert_eq!(height, 7);
            newcomer.receive_response(&SnapshotRequest::Head.encode(), &head).unwrap();
            assert!(ours.respond(&question).unwrap().is_some(), "somebody reads it");
            chunks += 1;
            continue;
        }
        newcomer.receive_response(&question, &answer).unwrap();
        chunks += 1;
    }
    let machine = Machine::open(folder.path(), &document()).unwrap();
    assert_eq!((machine.tip().height, machine.base().unwrap()), (7, 7));
    let late = member_at(machine, folder.path());
    assert_eq!(late.snapshot_base().unwrap().header.height, 7);
    assert_eq!(late.committee_changes.as_ref().unwrap().len(), 1);
    let again = fetch();
    again
        .receive_response(
            &SnapshotRequest::Head.encode(),
            &ours.respond(&SnapshotRequest::Head.encode()).unwrap().unwrap(),
        )
        .unwrap();
    assert!(matches!(again.outcome(), Some(Err(SnapshotError::State(_)))), "the folder holds a ledger");
}

#[test]
fn block_with_wrong_roots_gets_no_vote_and_changes_nothing() {
    let (folders, ours, theirs) = pair();
    let account = Account::open(&SENDER, folders[0].path(), ours.machine.clone(), ours.pool.clone()).unwrap();
    account.submit(&Act::Anchor { size: 1, root: [1; 32], consistency: Vec::new() }).unwrap();
    let transactions = ours.next_batch(&ours.machine.tip().digest);
    let honest = ours.build(next(&ours, 1, 1).0.header().clone(), transactions.clone()).unwrap();
    let before = theirs.machine.tip();
    let refused = |header: BlockHeader, transactions: Vec<Bytes>| {
        let block = Block::new(header, transactions).unwrap();
        let why = theirs.check(&block, block.header().digest()).unwrap_err();
        assert!(!theirs.has_executed(&block.header().digest()));
        why.to_string()
    };
    let header = honest.header().clone();
    for lie in [
        BlockHeader { state_root: [1; 32], ..header.clone() },
        BlockHeader { receipts_root: [1; 32], ..header.clone() },
    ] {
        assert!(refused(lie, transactions.clone()).contains("are not those of its transactions"));
    }
    let root = |transactions: &[Bytes]| consensus::block::list_root(transactions.iter().map(AsRef::as_ref));
    let mut forged = transactions[0].to_vec();
    forged[3] ^= 1;
    for (bad, why) in [
        (vec![Bytes::from(forged)], "transaction 0"),
        (vec![transactions[0].clone(), transactions[0].clone()], "transaction 1"),
    ] {
        let said = refused(BlockHeader { transactions_root: root(&bad), ..header.clone() }, bad);
        assert!(said.contains(why), "{said}");
    }
    assert!(refused(BlockHeader { height: 7, ..header.clone() }, transactions.clone()).contains("7"));
    assert!(
        refused(BlockHeader { parent: [1; 32], ..header.clone() }, transactions).contains("not available")
    );
    assert_eq!((theirs.machine.tip(), theirs.pool.waiting()), (before, 0));
    assert_eq!(theirs.check(&honest, honest.header().digest()), Ok(()));
}
