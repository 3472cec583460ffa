#![allow(clippy::unwrap_used, reason = "tests")]

use super::{certificate::transcode, *};
use bytes::Bytes;
use commonware_codec::DecodeExt as _;
use commonware_consensus::{
    simplex::types::{Finalize, Proposal},
    types::{Epoch, Round, View},
};
use commonware_cryptography::Signer as _;
use commonware_parallel::Sequential;
use commonware_utils::{iter::NonEmpty, ordered::Set};
use vitals::{
    ids::Genesis,
    proof::certificate::{Certificate, namespace, quorum},
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
fn the_engine_and_the_stranger_agree_on_a_certificate() {
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

            let certificate = transcode(&finalization).unwrap();
            let digest = proposal.payload.0;
            assert_eq!(certificate.verify(&digest, GENESIS, &seats), Ok(()), "n={n} view={view}");
            let good = certificate.encode();
            for at in 0..good.len() {
                let mut bad = good.clone();
                bad[at] ^= 1;
                let verdict =
                    Certificate::decode(&bad).and_then(|c| c.verify(&digest, GENESIS, &seats));
                assert!(verdict.is_err(), "n={n} view={view} byte {at}");
            }
        }
    }
}
