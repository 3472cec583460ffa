//! A ledger whose committee changes: goldens of everything that crosses a change, and what is refused.

use super::bad::{Bad, said};
use testkit::fixture::committees::*;
use testkit::fixture::{key, public};
use testkit::golden;
use vitals::bundle::{self, Verifier};
use vitals::ledger::Fact;
use vitals::proof::certificate::Certificate;
use vitals::proof::checkpoint::Checkpoint;
use vitals::proof::header::BlockHeader;
use vitals::proof::{Certified, LedgerProof, verify, verify_header};

#[test]
fn everything_across_changes_of_the_committee_is_golden() {
    let ward = ward();
    golden!("bundle_genesis_v2", ward.document.encode());
    let proof = ward.prove(&[Fact::Anchor(ward.org())], HEIGHT);
    golden!("ledger_proof_v2", proof.encode());
    let read = LedgerProof::decode(&proof.encode()).unwrap();
    let finalized = verify(&ward.document, None, &read).unwrap();
    assert_eq!((finalized.header.height, finalized.changes), (HEIGHT, 2));
    assert_eq!(finalized.committee, validators(2).iter().map(public).collect::<Vec<_>>());
    golden!("bundle_v2", ward.bundle());
    let report = bundle::verify(&ward.bundle(), Some(ward.genesis())).unwrap();
    assert!(report.to_string().contains("after 2 changes of the validators"), "{report}");
    let vouched = checkpoint(&ward, 300, &validators(1), &organisations()[1..]);
    golden!("checkpoint_v1", vouched.encode());
    assert_eq!(Checkpoint::decode(&vouched.encode()).as_ref(), Ok(&vouched));
    let mut verifier = Verifier::new(Some(ward.genesis())).starting_at(vouched.clone(), pins(), NOW_MS);
    verifier.push(&ward.bundle()).unwrap();
    assert!(verifier.finish().unwrap().to_string().contains("checkpoint at block 300"));
    let mut verifier = Verifier::new(Some(ward.genesis())).starting_at(vouched, pins(), NOW_MS + 30 * DAY_MS);
    let broken = verifier.push(&ward.bundle()).unwrap_err();
    assert_eq!((broken.item, broken.field), (0, "checkpoint"));
}

pub(super) fn bad(out: &mut Vec<Bad>) {
    proofs(out);
    checkpoints(out);
    bundles(out);
}

fn proofs(out: &mut Vec<Bad>) {
    let ward = ward();
    let good = ward.prove(&[Fact::Anchor(ward.org())], HEIGHT);
    let changes = ward.changes.clone();
    let mut add = |name, change: &dyn Fn(&mut Vec<Certified>, &mut LedgerProof)| {
        let (mut proof, mut changes) = (good.clone(), changes.clone());
        change(&mut changes, &mut proof);
        proof.changes = Some(changes);
        let why = said(verify_header(&ward.document, &proof));
        out.push((name, "ledger proof 2", proof.encode(), why));
    };
    let of = |certified: &Certified| BlockHeader::decode(&certified.header).unwrap();
    let cut = |bytes: &[u8], keep: usize| {
        let mut certificate = Certificate::decode(bytes).unwrap();
        certificate.signatures.truncate(keep);
        certificate.encode()
    };
    add("bad/ledger_proof_v2_skipped_change", &|changes, _| {
        changes.remove(0);
    });
    add("bad/ledger_proof_v2_last_change_left_out", &|changes, _| {
        changes.pop();
    });
    add("bad/ledger_proof_v2_wrong_order", &|changes, _| changes.swap(0, 1));
    add("bad/ledger_proof_v2_change_twice", &|changes, _| changes.push(changes[1].clone()));
    // Retired validators go on as if they had never been voted out.
    add("bad/ledger_proof_v2_old_committee", &|_, proof| {
        let header = BlockHeader::decode(&proof.header).unwrap();
        proof.certificate = ward.certify(&header, &validators(1)).encode();
    });
    add("bad/ledger_proof_v2_old_committee_changes", &|changes, _| {
        changes[1] = ward.certified(&of(&changes[1]), &validators(0));
    });
    add("bad/ledger_proof_v2_few_signatures", &|_, proof| proof.certificate = cut(&proof.certificate, 2));
    add("bad/ledger_proof_v2_change_few_signatures", &|changes, _| {
        changes[0].certificate = cut(&changes[0].certificate, 2);
    });
    add("bad/ledger_proof_v2_swapped_boundary", &|changes, _| {
        changes[1].certificate = changes[0].certificate.clone();
    });
    add("bad/ledger_proof_v2_other_boundary", &|changes, _| {
        let mut header = of(&changes[0]);
        header.committee = validators(2).iter().map(public).collect();
        changes[0].header = header.encode();
    });
    add("bad/ledger_proof_v2_epoch_mismatch", &|_, proof| {
        let mut certificate = Certificate::decode(&proof.certificate).unwrap();
        certificate.epoch = 3;
        proof.certificate = certificate.encode();
    });
    // The rest is signed in full: a committee that breaks the rules is refused as well.
    add("bad/ledger_proof_v2_not_the_last_height", &|changes, _| {
        let header = BlockHeader { height: 254, ..of(&changes[0]) };
        changes[0] = ward.certified(&header, &validators(0));
    });
    add("bad/ledger_proof_v2_height_of_another_epoch", &|changes, _| {
        let header = BlockHeader { height: 383, ..of(&changes[0]) };
        changes[0] = ward.certified(&header, &validators(0));
    });
    add("bad/ledger_proof_v2_change_to_nobody", &|changes, _| {
        let header = BlockHeader { committee: vec![], ..of(&changes[0]) };
        changes[0] = ward.certified(&header, &validators(0));
    });
    add("bad/ledger_proof_v2_change_to_the_same", &|changes, _| {
        let committee = validators(0).iter().map(public).collect();
        let header = BlockHeader { committee, ..of(&changes[0]) };
        changes[0] = ward.certified(&header, &validators(0));
    });
    add("bad/ledger_proof_v2_before_the_change", &|_, proof| {
        let header = ward.block(500);
        let Certified { header, certificate } = ward.certified(&header, &validators(2));
        (proof.header, proof.certificate) = (header, certificate);
    });
}

fn checkpoints(out: &mut Vec<Bad>) {
    let ward = ward();
    let (pins, orgs) = (pins(), organisations());
    let mut add = |name, bytes: Vec<u8>| {
        let why = match Checkpoint::decode(&bytes) {
            Err(why) => why.to_string(),
            Ok(checkpoint) => said(checkpoint.trust(&ward.document, &pins, NOW_MS)),
        };
        out.push((name, "checkpoint", bytes, why));
    };
    let committee = validators(1);
    let good = checkpoint(&ward, 300, &committee, &orgs[1..]);
    add("bad/checkpoint_few_signers", checkpoint(&ward, 300, &committee, &orgs[..1]).encode());
    let strangers = [orgs[0], key("stranger", 0), key("stranger", 1)];
    add("bad/checkpoint_strangers", checkpoint(&ward, 300, &committee, &strangers).encode());
    let mut bad = good.clone();
    bad.signatures[0].1[0] ^= 1;
    add("bad/checkpoint_signature", bad.encode());
    let mut bad = good.clone();
    bad.known.digest[0] ^= 1;
    add("bad/checkpoint_other_block", bad.encode());
    let mut bad = good.clone();
    bad.signatures.swap(0, 1);
    add("bad/checkpoint_signers_order", bad.encode());
    let resigned = |change: &dyn Fn(&mut Checkpoint)| {
        let mut checkpoint = good.clone();
        change(&mut checkpoint);
        let message = checkpoint.to_be_signed();
        for key in &orgs {
            checkpoint.add(public(key), key.sign(&message).to_bytes());
        }
        checkpoint.encode()
    };
    add("bad/checkpoint_too_old", resigned(&|checkpoint| checkpoint.time_ms = NOW_MS - 31 * DAY_MS));
    add("bad/checkpoint_ahead", resigned(&|checkpoint| checkpoint.time_ms = NOW_MS + DAY_MS));
    add("bad/checkpoint_of_another_ledger", resigned(&|checkpoint| checkpoint.genesis.0[0] ^= 1));
    add("bad/checkpoint_epoch_end", resigned(&|checkpoint| checkpoint.known.height = 383));
    add("bad/checkpoint_no_committee", resigned(&|checkpoint| checkpoint.known.committee.clear()));
    let mut longer = good.encode();
    longer.push(0);
    add("bad/checkpoint_trailing", longer);
}

fn bundles(out: &mut Vec<Bad>) {
    let ward = ward();
    let good = ward.bundle();
    let pin = Some(ward.genesis());
    let mut add = |name, bytes: Vec<u8>| {
        let why = said(bundle::verify(&bytes, pin));
        out.push((name, "bundle 2", bytes, why));
    };
    // The first item says "aceso/bundle/v2"; its last letter follows the heads of item, array and text.
    let mut mixed = good.clone();
    let at = good.windows(15).position(|text| text == b"aceso/bundle/v2").unwrap() + 14;
    mixed[at] = b'1';
    add("bad/bundle_v2_called_v1", mixed);
    let mut skipped = self::ward();
    skipped.changes.remove(0);
    add("bad/bundle_v2_skipped_change", skipped.bundle());
}
