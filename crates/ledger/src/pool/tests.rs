#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
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
    assert_eq!(pool.submit(ward.signed(0, 1 << 40, &gateway(1))), Err(PoolError::Full));

    assert_eq!(pool.outcome(&hash).unwrap(), Outcome::Pending);
    ward.block(std::slice::from_ref(&first));
    assert_eq!(pool.outcome(&hash).unwrap(), Outcome::Done { height: 1 });
    pool.committed(&ward.machine.view());
    assert_eq!(pool.waiting(), 0);
    assert_eq!(pool.submit(first), Err(PoolError::NonceUsed { nonce: 0, next: 1 }));
    assert_eq!(pool.outcome(&sha256(&[b"never"])).unwrap(), Outcome::Unknown);
}

#[test]
fn flood_of_one_sender_meets_its_cap_and_delays_nobody() {
    let ward = Ward::with(2);
    let pool = Pool::new(ward.machine.clone());
    let act = gateway(1);
    for nonce in 0..SENDER_TXS_MAX as u64 {
        pool.submit(ward.signed(0, nonce, &act)).unwrap();
    }
    assert_eq!(pool.submit(ward.signed(0, SENDER_TXS_MAX as u64, &act)), Err(PoolError::Full));
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
