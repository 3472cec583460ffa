#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::machine::Config;
use crate::machine::tests::{Ward, gateway, secret};
use vitals::ids::sha256;

fn sender(org: u8) -> Address {
    crate::account::address_of(&secret(org)).unwrap().into()
}

#[test]
fn transactions_leave_in_nonce_order_however_they_arrive() {
    let mut ward = Ward::with(1);
    let pool = Pool::new(ward.machine.clone());
    let txs: Vec<_> = (0..6u8).map(|nonce| ward.signed(0, u64::from(nonce), &gateway(nonce + 1))).collect();
    for index in [3, 1, 5, 0, 2] {
        pool.submit(txs[index].clone()).unwrap();
    }
    // 4 is missing: 5 waits for it.
    assert_eq!(pool.next_batch(&ward.machine.view().snapshot()), txs[..4].to_vec());
    assert_eq!(pool.next_nonce(sender(0)), 4);
    ward.block(&txs[..4]);
    pool.committed(&ward.machine.view());
    assert_eq!(pool.waiting(), 1);
    assert!(pool.next_batch(&ward.machine.view().snapshot()).is_empty());
    pool.submit(txs[4].clone()).unwrap();
    assert_eq!(pool.next_batch(&ward.machine.view().snapshot()), txs[4..].to_vec());
}

#[test]
fn senders_take_turns_in_order_of_arrival() {
    let ward = Ward::with(2);
    let pool = Pool::new(ward.machine.clone());
    let tx = |org, nonce: u8| ward.signed(org, u64::from(nonce), &gateway(10 * org + nonce + 1));
    for tx in [tx(0, 0), tx(0, 1), tx(0, 2), tx(1, 0), tx(1, 1)] {
        pool.submit(tx).unwrap();
    }
    let turns = vec![tx(0, 0), tx(1, 0), tx(0, 1), tx(1, 1), tx(0, 2)];
    assert_eq!(pool.next_batch(&ward.machine.view().snapshot()), turns);
}

#[test]
fn batch_on_a_block_that_is_not_final_goes_on_where_it_ends() {
    let ward = Ward::with(1);
    let pool = Pool::new(ward.machine.clone());
    let txs: Vec<_> = (0..4u8).map(|nonce| ward.signed(0, u64::from(nonce), &gateway(nonce + 1))).collect();
    for tx in &txs {
        pool.submit(tx.clone()).unwrap();
    }
    let parent = ward.machine.view().snapshot();
    let executed = ward.machine.execute(&parent, ward.next_env(), &txs[..2]).unwrap();
    assert_eq!(pool.next_batch(executed.snapshot()), txs[2..].to_vec());
}

#[test]
fn wrong_stale_and_second_transactions_are_refused_in_words() {
    let mut ward = Ward::with(1);
    let pool = Pool::new(ward.machine.clone());
    let (first, rival) = (ward.signed(0, 0, &gateway(1)), ward.signed(0, 0, &gateway(2)));
    let hash = pool.submit(first.clone()).unwrap();
    assert_eq!(pool.submit(first.clone()).unwrap(), hash);
    assert_eq!(pool.waiting(), 1);
    assert_eq!(pool.submit(rival), Err(PoolError::NonceTaken { nonce: 0 }));
    let stranger = pool.submit(ward.signed(7, 0, &gateway(1))).unwrap_err();
    assert!(stranger.to_string().contains("no active organisation's sender"), "{stranger}");
    assert_eq!(pool.submit(vec![2; 40]), Err(PoolError::Invalid(InvalidTx::Malformed)));
    let far = PoolError::NonceTooFar { nonce: 1 << 40, next: 0 };
    assert_eq!(pool.submit(ward.signed(0, 1 << 40, &gateway(1))), Err(far));

    assert_eq!(pool.outcome(&hash).unwrap(), Outcome::Pending);
    ward.block(std::slice::from_ref(&first));
    assert_eq!(pool.outcome(&hash).unwrap(), Outcome::Done { height: 1 });
    pool.committed(&ward.machine.view());
    assert_eq!(pool.waiting(), 0);
    assert_eq!(pool.submit(first), Err(PoolError::NonceUsed { nonce: 0, next: 1 }));
    assert_eq!(pool.outcome(&sha256(&[b"never"])).unwrap(), Outcome::Unknown);
}

#[test]
fn flood_of_one_sender_is_capped_and_does_not_delay_others() {
    let ward = Ward::with(2);
    let pool = Pool::new(ward.machine.clone());
    let act = gateway(1);
    for nonce in 0..SENDER_TXS_MAX as u64 {
        pool.submit(ward.signed(0, nonce, &act)).unwrap();
    }
    let far = pool.submit(ward.signed(0, SENDER_TXS_MAX as u64, &act)).unwrap_err();
    assert!(far.to_string().contains("too far ahead"), "{far}");
    assert_eq!(pool.next_nonce(sender(0)), SENDER_TXS_MAX as u64);
    let other = ward.signed(1, 0, &gateway(2));
    pool.submit(other.clone()).unwrap();
    let batch = pool.next_batch(&ward.machine.view().snapshot());
    assert_eq!(batch[1], other);
    // What the pool hands out is a block others accept.
    ward.machine.execute(&ward.machine.view().snapshot(), ward.next_env(), &batch).unwrap();
    assert!(batch.len() > 500);
}

#[test]
fn discarded_transaction_makes_room_for_another_of_its_nonce() {
    let ward = Ward::with(1);
    let pool = Pool::new(ward.machine.clone());
    let (first, second) = (ward.signed(0, 0, &gateway(1)), ward.signed(0, 0, &gateway(2)));
    pool.submit(first.clone()).unwrap();
    pool.discard(&first, &InvalidTx::Gas);
    assert_eq!(pool.waiting(), 0);
    pool.submit(second).unwrap();
}

#[test]
fn expensive_transactions_of_one_sender_leave_the_others_their_share() {
    let ward = Ward::with(2);
    let pool = Pool::new(ward.machine.clone());
    // As many bytes as may wait in one transaction, each asking for much gas.
    let dear = |nonce: u8| {
        let key = secp256k1::SecretKey::from_byte_array(&secret(0)).unwrap();
        let call = (ward.machine.contracts().anchors, vec![nonce; 40_000]);
        crate::account::sign(&key, ward.machine.chain_id(), u64::from(nonce), call)
    };
    for nonce in 0..40 {
        pool.submit(dear(nonce)).unwrap();
    }
    let small: Vec<_> =
        (0..100u8).map(|nonce| ward.signed(1, u64::from(nonce), &gateway(nonce + 1))).collect();
    for tx in &small {
        pool.submit(tx.clone()).unwrap();
    }
    let batch = pool.next_batch(&ward.machine.view().snapshot());
    assert!(small.iter().all(|tx| batch.contains(tx)), "all of the modest sender's");
    assert!(batch.len() > 105, "and of the other what is left: {}", batch.len());
    ward.machine.execute(&ward.machine.view().snapshot(), ward.next_env(), &batch).unwrap();
}

#[test]
fn batch_of_another_validator_is_looked_at_within_bounds() {
    let mut ward = Ward::with(2);
    let pool = Pool::new(ward.machine.clone());
    let txs: Vec<_> = (0..4u8).map(|nonce| ward.signed(0, u64::from(nonce), &gateway(nonce + 1))).collect();
    ward.block(&txs[..1]);
    pool.submit(txs[1].clone()).unwrap();
    let received = pool.receive(&txs);
    assert_eq!((received.taken, received.known), (2, 2));
    assert!(!received.is_violation());
    assert_eq!(pool.receive(&txs).known, 4);

    // Honest, but not for us: no fault of the peer's.
    let stranger = ward.signed(7, 0, &gateway(1));
    let rival = ward.signed(0, 2, &gateway(9));
    let received = pool.receive(&[stranger, rival]);
    assert_eq!(received.refused.len(), 2);
    assert_eq!(received.refused[1], (1, PoolError::NonceTaken { nonce: 2 }));
    assert!(!received.is_violation());

    // Garbage: a few, then no more work.
    let garbage: Vec<_> = (0..200u8).map(|n| vec![2, n, 7]).collect();
    let received = pool.receive(&garbage);
    assert_eq!((received.refused.len(), received.ignored), (BATCH_INVALID_MAX, 200 - BATCH_INVALID_MAX));
    assert!(received.is_violation());
    let bomb = vec![txs[0].clone(); BATCH_TXS_MAX + 5];
    let received = pool.receive(&bomb);
    assert!(received.ignored >= 5);
    assert_eq!(received.known + received.ignored, bomb.len());
    assert!(received.is_violation());
    let heavy = vec![vec![0; BATCH_BYTES_MAX / 2]; 3];
    assert!(pool.receive(&heavy).oversize);
    // Senders that are not registered here yet: little work, and no blame.
    let strangers: Vec<_> = (10..30u8).map(|org| ward.signed(org, 0, &gateway(org))).collect();
    let received = pool.receive(&strangers);
    assert_eq!(received.ignored, strangers.len() - BATCH_INVALID_MAX);
    assert!(!received.is_violation());
    assert_eq!(pool.waiting(), 3);
}

#[test]
fn gossiped_transactions_expire_and_own_ones_stay() {
    let mut ward = Ward::with(2);
    let pool = Pool::new(ward.machine.clone());
    // Both wait behind a gap.
    let (ours, theirs) = (ward.signed(0, 5, &gateway(1)), ward.signed(1, 5, &gateway(2)));
    let hash = pool.submit(ours.clone()).unwrap();
    assert_eq!(pool.receive(&[theirs]).taken, 1);
    assert_eq!(pool.waiting_since(&hash), Some(0));
    ward.now_ms += WAIT_MAX_MS;
    ward.block(&[]);
    pool.committed(&ward.machine.view());
    assert_eq!(pool.waiting(), 1);
    assert_eq!(pool.waiting_bytes(&hash), Some(ours));
    assert_eq!(pool.waiting_since(&hash), Some(0));
}

#[test]
fn full_pool_drops_from_the_largest_sender_and_never_what_was_submitted_here() {
    let ward = Ward::with(6);
    let pool = Pool::new(ward.machine.clone());
    let heavy = |org: u8, nonce: u64| {
        let key = secp256k1::SecretKey::from_byte_array(&secret(org)).unwrap();
        let call = (ward.machine.contracts().anchors, vec![org; 60_000]);
        crate::account::sign(&key, ward.machine.chain_id(), nonce, call)
    };
    // Four senders fill the pool through other validators, each up to its share.
    let mut refused = None;
    for org in 0..4 {
        for nonce in 0.. {
            match pool.submit_from_peer(heavy(org, nonce)) {
                Ok(_) => {}
                Err(why) => {
                    refused = Some(why);
                    break;
                }
            }
        }
    }
    let refused = refused.unwrap();
    assert!(matches!(refused, PoolError::SenderFull { .. }), "{refused}");
    // One who has nothing is let in all the same.
    let hash = pool.submit(heavy(4, 0)).unwrap();
    for nonce in 1..20 {
        pool.submit_from_peer(heavy(4, nonce)).unwrap();
    }
    assert!(pool.waiting_since(&hash).is_some());
    // What waits is still without gaps, so that all of it can go.
    let batch = pool.next_batch(&ward.machine.view().snapshot());
    assert!(batch.contains(&heavy(4, 0)));
    assert!(batch.len() >= 15);
}

#[test]
fn the_outcome_of_an_own_transaction_outlives_its_block() {
    let config = Config { keep_states: 1, keep_bodies: Some(1), ..Config::default() };
    let mut ward = Ward::keeping(2, config);
    let pool = Pool::new(ward.machine.clone());
    let (ours, theirs) = (ward.signed(0, 0, &gateway(1)), ward.signed(1, 0, &gateway(2)));
    let own = pool.submit(ours.clone()).unwrap();
    assert_eq!(pool.receive(std::slice::from_ref(&theirs)).taken, 1);
    let refused = pool.submit(ward.signed(0, 1, &gateway(1))).unwrap();
    ward.block(&[ours, theirs.clone(), pool.waiting_bytes(&refused).unwrap()]);
    pool.committed(&ward.machine.view());
    let height = ward.machine.tip().height;
    let told = |hash| (pool.outcome(&hash).unwrap(), ward.machine.outcome(&hash).unwrap().is_some());
    let (before, stored) = told(refused);
    assert!(stored && matches!(before, Outcome::Refused { .. }), "{before:?}");
    assert_eq!(told(own), (Outcome::Done { height }, true));
    // A node that catches up commits many blocks before anybody asks again.
    for _ in 0..3 {
        ward.block(&[]);
        pool.committed(&ward.machine.view());
    }
    let told = |hash| (pool.outcome(&hash).unwrap(), ward.machine.outcome(&hash).unwrap().is_some());
    assert_eq!(told(own), (Outcome::Done { height }, false), "not taken for lost and handed in again");
    assert_eq!(told(refused), (before, false));
    assert_eq!(told(keccak256(&theirs).0).0, Outcome::Unknown, "who submitted it knows");
}
