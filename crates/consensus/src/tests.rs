#![allow(clippy::unwrap_used, reason = "tests")]

use crate::block::{TX_BYTES_MAX, list_root};
use crate::{
    block::{Block, InvalidBlock},
    certificate::{to_certificate, to_finalization},
    *,
};
use bytes::Bytes;
use commonware_codec::{DecodeExt as _, Encode as _, EncodeSize as _};
use commonware_consensus::{
    Block as _, CertifiableBlock as _, Heightable as _,
    simplex::types::{Finalize, Proposal},
    types::{Epoch, Round, View},
};
use commonware_cryptography::{Digestible as _, Signer as _};
use commonware_parallel::Sequential;
use commonware_utils::{iter::NonEmpty, ordered::Set};
use vitals::{
    ids::Genesis,
    proof::{
        certificate::{Certificate, namespace, quorum},
        header::BlockHeader,
    },
};

const GENESIS: Genesis = Genesis([3; 32]);

/// A committee and its keys, in committee order.
fn committee(n: u8) -> (Vec<PrivateKey>, Set<PublicKey>, Vec<[u8; 32]>) {
    let mut keys: Vec<PrivateKey> =
        (1..=n).map(|i| PrivateKey::decode(Bytes::from(vec![i; 32])).unwrap()).collect();
    keys.sort_by_key(|key| key.public_key());
    let set = Set::from_iter_dedup(keys.iter().map(|key| key.public_key()));
    let bytes = set.iter().map(|key| key.as_ref().try_into().unwrap()).collect();
    (keys, set, bytes)
}

#[test]
fn the_engine_and_an_independent_verifier_agree_on_a_certificate() {
    for n in [1, 2, 4, 7] {
        let (keys, set, seats) = committee(n);
        let space = namespace(GENESIS);
        let verifier = Scheme::verifier(&space, set.clone());
        // Views whose numbers take one, two and many bytes.
        for view in [1, 127, 128, 300, 1 << 40] {
            let proposal = Proposal::new(
                Round::new(Epoch::zero(), View::new(view)),
                View::new(view - 1),
                Digest::from([view.to_be_bytes()[7]; 32]),
            );
            let votes: Vec<_> = keys
                .iter()
                .rev()
                .take(quorum(usize::from(n)))
                .map(|key| Scheme::signer(&space, set.clone(), key.clone()).unwrap())
                .map(|scheme| Finalize::sign(&scheme, proposal.clone()).unwrap())
                .collect();
            let votes = NonEmpty::try_new(votes.iter()).unwrap();
            let finalization = Finalization::from_finalizes(&verifier, votes, &Sequential).unwrap();
            assert!(finalization.verify(&mut commonware_utils::test_rng(), &verifier, &Sequential));

            let certificate = to_certificate(&finalization).unwrap();
            let digest = proposal.payload.0;
            assert_eq!(certificate.verify(&digest, GENESIS, &seats), Ok(()), "n={n} view={view}");
            let of = BlockHeader { epoch: 0, view, ..header(&[]) };
            let theirs = Proposal::new(proposal.round, proposal.parent, Digest::from(of.digest()));
            let votes: Vec<_> = keys
                .iter()
                .map(|key| Scheme::signer(&space, set.clone(), key.clone()).unwrap())
                .map(|scheme| Finalize::sign(&scheme, theirs.clone()).unwrap())
                .collect();
            let votes = NonEmpty::try_new(votes.iter()).unwrap();
            let before = Finalization::from_finalizes(&verifier, votes, &Sequential).unwrap();
            let after = to_finalization(&to_certificate(&before).unwrap(), &of, usize::from(n)).unwrap();
            assert_eq!(after, before, "and back");
            assert!(to_finalization(&certificate, &of, quorum(usize::from(n)) - 1).is_none());
            let good = certificate.encode();
            for at in 0..good.len() {
                let mut bad = good.clone();
                bad[at] ^= 1;
                let verdict = Certificate::decode(&bad).and_then(|c| c.verify(&digest, GENESIS, &seats));
                assert!(verdict.is_err(), "n={n} view={view} byte {at}");
            }
        }
    }
}

fn header(transactions: &[Bytes]) -> BlockHeader {
    let (_, _, seats) = committee(3);
    BlockHeader {
        epoch: 1,
        view: 300,
        leader: seats[1],
        parent_view: 299,
        parent: [2; 32],
        height: 9,
        time_ms: 10,
        state_root: [3; 32],
        transactions_root: list_root(transactions.iter().map(AsRef::as_ref)),
        receipts_root: [4; 32],
        extra: [0; 32],
        committee: seats,
    }
}

#[test]
fn a_block_decodes_and_reports_the_fields_of_its_header() {
    let transactions = vec![Bytes::from_static(b"one"), Bytes::new(), Bytes::from(vec![7; 300])];
    let header = header(&transactions);
    let block = Block::new(header.clone(), transactions).unwrap();
    let bytes = block.encode();
    assert_eq!(bytes.len(), block.encode_size());
    assert_eq!(Block::decode(bytes.clone()).unwrap(), block);
    assert_eq!(block.digest().0, header.digest());
    assert_eq!((block.height().get(), block.parent().0), (9, [2; 32]));
    let context = block.context();
    assert_eq!((context.round.epoch().get(), context.round.view().get()), (1, 300));
    assert_eq!((context.parent.0.get(), context.parent.1.0), (299, [2; 32]));
    assert_eq!(context.leader.as_ref(), header.leader);
    for at in 0..bytes.len() {
        let mut bad = bytes.to_vec();
        bad[at] ^= 1;
        // Another block, or none: never the same one.
        let read = Block::decode(Bytes::from(bad));
        assert!(read.is_err() || read.unwrap().digest() != block.digest(), "byte {at}");
        assert!(Block::decode(bytes.slice(..at)).is_err(), "cut at {at}");
    }
}

#[test]
fn a_block_is_refused_with_foreign_or_too_many_transactions() {
    let (mine, foreign) = (vec![Bytes::from_static(b"a")], vec![Bytes::from_static(b"b")]);
    assert_eq!(Block::new(header(&mine), foreign), Err(InvalidBlock::Transactions));
    let long = vec![Bytes::from(vec![0; TX_BYTES_MAX + 1])];
    assert_eq!(Block::new(header(&long), long.clone()), Err(InvalidBlock::TooLong));
    let unled = BlockHeader { leader: [2; 32], ..header(&mine) };
    assert_eq!(Block::new(unled, mine), Err(InvalidBlock::Leader));
}
