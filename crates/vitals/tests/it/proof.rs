use ed25519_zebra::{SigningKey, VerificationKey};
use testkit::fixture::committees::{self, HEIGHT, NOW_MS, checkpoint, organisations, pins, validators};
use testkit::fixture::{Ward, public};
use vitals::cbor::NotCanonical;
use vitals::ledger::{Anchor, Fact};
use vitals::proof::chain::BrokenLink;
use vitals::proof::checkpoint::{NotTrusted, Pins};
use vitals::proof::witness::{Alarm, HEADS_MAX, ROLLBACK_GRACE_MS, Witness};
use vitals::proof::*;

fn document(key: &SigningKey) -> genesis::GenesisDocument {
    genesis::GenesisDocument {
        chain_id: 1,
        name: String::from("ward"),
        time_ms: 5,
        epoch_blocks: u64::MAX / 2,
        committee: vec![VerificationKey::from(key).into()],
        operators: vec![],
        founders: vec![],
        contracts: vec![],
        salt: [3; 32],
    }
}

fn proof(key: &SigningKey, document: &genesis::GenesisDocument, epoch: u64) -> LedgerProof {
    let header = header::BlockHeader {
        epoch,
        view: 4,
        leader: document.committee[0],
        parent_view: 3,
        parent: [1; 32],
        height: 2,
        time_ms: 9,
        state_root: [2; 32],
        transactions_root: [3; 32],
        receipts_root: [4; 32],
        extra: [0; 32],
        committee: vec![],
    };
    let message = certificate::message(document.hash(), epoch, 4, 3, &header.digest());
    let certificate = certificate::Certificate {
        epoch,
        view: 4,
        parent_view: 3,
        signatures: vec![(0, key.sign(&message).to_bytes())],
    };
    LedgerProof {
        changes: None,
        header: header.encode(),
        certificate: certificate.encode(),
        accounts: vec![AccountProof {
            address: [6; 20],
            nodes: vec![vec![1, 2], vec![3]],
            slots: vec![SlotProof { key: [7; 32], nodes: vec![vec![8; 532]] }],
        }],
    }
}

#[test]
fn certified_header_verifies_and_any_changed_byte_is_refused() {
    let key = SigningKey::from([1; 32]);
    let document = document(&key);
    let good = proof(&key, &document, 0);
    assert_eq!(verify_header(&document, &good).unwrap().height, 2);
    for at in 0..good.header.len() {
        let mut bad = good.clone();
        bad.header[at] ^= 1;
        assert!(verify_header(&document, &bad).is_err(), "header byte {at}");
    }
    for at in 0..good.certificate.len() {
        let mut bad = good.clone();
        bad.certificate[at] ^= 1;
        assert!(verify_header(&document, &bad).is_err(), "certificate byte {at}");
    }
}

#[test]
fn founding_committee_cannot_certify_later_epochs() {
    let key = SigningKey::from([1; 32]);
    let document = document(&key);
    let later = proof(&key, &document, 1);
    assert_eq!(verify_header(&document, &later), Err(BrokenLink::LaterEpoch { epoch: 1 }));
}

#[test]
fn a_proof_reads_back_and_refuses_other_bytes() {
    let key = SigningKey::from([1; 32]);
    let bytes = proof(&key, &document(&key), 0).encode();
    let read = LedgerProof::decode(&bytes).unwrap();
    assert_eq!(read.encode(), bytes);
    for len in 0..bytes.len() {
        assert!(LedgerProof::decode(&bytes[..len]).is_err(), "cut at {len}");
    }
    let mut longer = bytes;
    longer.push(0);
    assert_eq!(LedgerProof::decode(&longer), Err(NotCanonical::Trailing));
}

fn head(ward: &Ward, height: u64) -> LedgerProof {
    ward.prove(&[Fact::Anchor(ward.org())], height)
}

fn keys(keys: &[SigningKey]) -> Vec<[u8; 32]> {
    keys.iter().map(public).collect()
}

#[test]
fn a_committee_stands_until_a_header_it_certified_names_another() {
    let mut ward = committees::unmoved();
    assert_eq!(verify(&ward.document, None, &head(&ward, 600)).unwrap().committee, keys(&validators(0)));
    ward.change_committee(255, &validators(1));
    ward.change_committee(511, &validators(4));
    let finalized = verify(&ward.document, None, &head(&ward, 900)).unwrap();
    assert_eq!((finalized.committee, finalized.changes), (keys(&validators(4)), 2));
    assert_eq!(verify_changes(&ward.document, &ward.changes), Ok((4, keys(&validators(4)))));
}

#[test]
fn every_changed_byte_of_a_change_is_refused() {
    let ward = committees::ward();
    let good = head(&ward, HEIGHT);
    for number in 0..2 {
        let change = &ward.changes[number];
        for at in 0..change.header.len() + change.certificate.len() {
            let mut bad = good.clone();
            let change = &mut bad.changes.as_mut().unwrap()[number];
            match at.checked_sub(change.header.len()) {
                None => change.header[at] ^= 1,
                Some(at) => change.certificate[at] ^= 1,
            }
            assert!(verify(&ward.document, None, &bad).is_err(), "change {number}, byte {at}");
        }
    }
}

/// What whoever stole the keys of a committee that once stood can make: a ledger without the change.
fn forged(height: u64) -> (Ward, LedgerProof) {
    let ward = committees::unmoved();
    let proof = head(&ward, height);
    (ward, proof)
}

#[test]
fn stolen_keys_of_an_old_committee_pass_from_the_genesis_and_fail_at_a_checkpoint() {
    let ward = committees::ward();
    let (_, lie) = forged(HEIGHT);
    assert!(verify(&ward.document, None, &lie).is_ok(), "signatures alone cannot tell");
    let known = checkpoint(&ward, 300, &validators(1), &organisations());
    let known = known.trust(&ward.document, &pins(), NOW_MS).unwrap();
    assert!(matches!(verify(&ward.document, Some(&known), &lie), Err(BrokenLink::Certificate(_))));
    assert!(verify(&ward.document, Some(&known), &head(&ward, HEIGHT)).is_ok());
    // A change of its own does not help: it does not lead to the known committee.
    let (mut ward, _) = forged(HEIGHT);
    ward.change_committee(255, &validators(7));
    let lie = verify(&ward.document, Some(&known), &head(&ward, HEIGHT));
    assert_eq!(lie, Err(BrokenLink::OtherCommittee { known: 300 }));
}

#[test]
fn a_known_block_stands_in_for_changes_that_are_not_shown() {
    let ward = committees::ward();
    let mut cut = head(&ward, HEIGHT);
    cut.changes.as_mut().unwrap().remove(0);
    assert!(matches!(verify(&ward.document, None, &cut), Err(BrokenLink::Change { number: 1, .. })));
    let known = checkpoint(&ward, 300, &validators(1), &[]).known;
    assert!(verify(&ward.document, Some(&known), &cut).is_ok());
    let known = checkpoint(&ward, 599, &validators(2), &[]).known;
    assert!(verify(&ward.document, Some(&known), &head(&ward, HEIGHT)).is_ok());
    cut.changes.as_mut().unwrap().clear();
    assert!(verify(&ward.document, Some(&known), &cut).is_ok());
    let other = Known { committee: keys(&validators(1)), ..known };
    assert_eq!(
        verify(&ward.document, Some(&other), &head(&ward, HEIGHT)),
        Err(BrokenLink::OtherCommittee { known: 599 })
    );
}

#[test]
fn at_or_below_the_known_height_only_the_same_block_verifies() {
    let ward = committees::ward();
    let known = verify(&ward.document, None, &head(&ward, HEIGHT)).unwrap().known();
    assert!(verify(&ward.document, Some(&known), &head(&ward, HEIGHT)).is_ok());
    let older = verify(&ward.document, Some(&known), &head(&ward, 599));
    assert_eq!(older, Err(BrokenLink::OlderThanKnown { height: 599, known: HEIGHT }));
    let other = verify(&ward.document, Some(&known), &forged(HEIGHT).1);
    assert!(other.is_ok(), "it is the known block, whoever else signed it");
    let known = Known { digest: [1; 32], ..known };
    let other = verify(&ward.document, Some(&known), &head(&ward, HEIGHT));
    assert_eq!(other, Err(BrokenLink::OtherBlock { height: HEIGHT }));
}

#[test]
fn a_header_that_changes_the_committee_is_known_with_the_one_after_it() {
    let mut ward = committees::unmoved();
    let header = header::BlockHeader { committee: keys(&validators(1)), ..ward.block(255) };
    let Certified { header, certificate } = ward.certified(&header, &validators(0));
    let boundary = LedgerProof { changes: Some(vec![]), header, certificate, accounts: vec![] };
    let known = verify(&ward.document, None, &boundary).unwrap().known();
    assert_eq!(known.committee, keys(&validators(1)));
    ward.change_committee(255, &validators(1));
    assert!(verify(&ward.document, Some(&known), &head(&ward, 256)).is_ok());
    assert!(verify(&ward.document, Some(&known), &boundary).is_ok(), "shown again");
}

#[test]
fn a_checkpoint_needs_enough_of_the_pinned_organisations() {
    let ward = committees::ward();
    let signed = checkpoint(&ward, 300, &validators(1), &organisations());
    let trust = |pins: &Pins| signed.trust(&ward.document, pins, NOW_MS);
    let good = pins();
    assert!(trust(&good).is_ok());
    assert!(trust(&Pins { least: Some(2), ..good.clone() }).is_ok());
    let all = Pins { least: Some(3), ..good.clone() };
    let two = checkpoint(&ward, 300, &validators(1), &organisations()[1..]);
    let too_few = two.trust(&ward.document, &all, NOW_MS);
    assert_eq!(too_few, Err(NotTrusted::Signers { found: 2, needed: 3 }));
    for least in [0, 4] {
        let nonsense = Pins { least: Some(least), ..good.clone() };
        assert_eq!(trust(&nonsense), Err(NotTrusted::Pins { least, pinned: 3 }));
    }
    let others = Pins { organisations: vec![[9; 32], [8; 32]], least: Some(1), ..good };
    assert_eq!(trust(&others), Err(NotTrusted::Signers { found: 0, needed: 1 }));
}

#[test]
fn a_witness_alarms_on_rollback_after_the_grace_and_only_then() {
    let ward = committees::ward();
    let mut witness = Witness::new(ward.genesis());
    witness.verify(&ward.document, &head(&ward, 700), 0).unwrap();
    let older = |witness: &mut Witness, at_ms| {
        assert!(witness.verify(&ward.document, &head(&ward, 650), at_ms).is_err(), "not believed");
        witness.alarm()
    };
    assert_eq!(older(&mut witness, 1), None);
    assert_eq!(older(&mut witness, ROLLBACK_GRACE_MS), None);
    // Kept across a restart: the grace does not begin anew.
    let mut witness = Witness::decode(&witness.encode(), ward.genesis()).unwrap();
    let alarm = Some(Alarm::Rollback { seen: 700, shown: 650 });
    assert_eq!(older(&mut witness, 1 + ROLLBACK_GRACE_MS), alarm);
    assert_eq!(Witness::decode(&witness.encode(), ward.genesis()).unwrap().alarm(), alarm);
    witness.verify(&ward.document, &head(&ward, 701), 2 * ROLLBACK_GRACE_MS).unwrap();
    assert_eq!(witness.alarm(), None, "the ledger went on");
    assert_eq!(witness.known().unwrap().height, 701);
}

#[test]
fn a_witness_sees_a_ledger_that_was_forged_with_old_keys() {
    let ward = committees::ward();
    let mut witness = Witness::new(ward.genesis());
    witness.verify(&ward.document, &head(&ward, HEIGHT), 0).unwrap();
    assert!(witness.verify(&ward.document, &forged(HEIGHT + 5).1, 1).is_err());
    assert_eq!(witness.alarm(), Some(Alarm::SplitView { height: HEIGHT + 5 }));
    witness.verify(&ward.document, &head(&ward, HEIGHT + 9), 2).unwrap();
    assert!(witness.alarm().is_some(), "a split stays");
    // Bytes that nobody signed are no split.
    let mut garbled = head(&ward, HEIGHT + 1);
    garbled.certificate[60] ^= 1;
    let mut fresh = Witness::new(ward.genesis());
    fresh.verify(&ward.document, &head(&ward, HEIGHT), 0).unwrap();
    assert!(fresh.verify(&ward.document, &garbled, 1).is_err());
    assert_eq!(fresh.alarm(), None);
}

#[test]
fn a_witness_sees_two_blocks_at_one_height() {
    let ward = committees::ward();
    let other = {
        let mut other = committees::ward();
        other.org_active = false;
        other
    };
    for (seen, shown) in [(HEIGHT, HEIGHT), (HEIGHT + 1, HEIGHT)] {
        let mut witness = Witness::new(ward.genesis());
        witness.verify(&ward.document, &head(&ward, HEIGHT), 0).unwrap();
        witness.verify(&ward.document, &head(&ward, seen), 0).unwrap();
        assert!(witness.verify(&ward.document, &head(&other, shown), 1).is_err());
        assert_eq!(witness.alarm(), Some(Alarm::SplitView { height: shown }));
    }
}

#[test]
fn a_witness_holds_the_log_to_what_it_was() {
    let anchor = |size, byte| Anchor { size, root: [byte; 32], height: 1 };
    let genesis = vitals::Genesis([1; 32]);
    for (bad, alarms) in [(anchor(9, 5), true), (anchor(10, 6), true), (anchor(10, 5), false)] {
        let mut witness = Witness::new(genesis);
        witness.saw_log(&anchor(10, 5));
        witness.saw_log(&bad);
        assert_eq!(witness.alarm().is_some(), alarms);
        assert_eq!(Witness::decode(&witness.encode(), genesis), Ok(witness));
    }
}

#[test]
fn a_witness_is_bounded_and_reads_back_only_its_own_ledger() {
    let ward = committees::unmoved();
    let mut witness = Witness::new(ward.genesis());
    for height in 1..=HEADS_MAX as u64 + 9 {
        witness.verify(&ward.document, &head(&ward, height), 0).unwrap();
    }
    let bytes = witness.encode();
    assert!(bytes.len() < witness::WITNESS_BYTES_MAX);
    assert_eq!(Witness::decode(&bytes, ward.genesis()), Ok(witness));
    assert!(Witness::decode(&bytes, vitals::Genesis([0; 32])).is_err());
    for len in 0..bytes.len() {
        assert!(Witness::decode(&bytes[..len], ward.genesis()).is_err(), "cut at {len}");
    }
}
