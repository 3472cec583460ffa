#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::machine::tests::{Ward, gateway, secret};
use crate::outbox::{OUTBOX_BYTES_MAX, record};
use vitals::ids::DeviceId;
use vitals::ledger::Outcome;

fn open(ward: &Ward) -> (Pool, Account) {
    let pool = Pool::new(ward.machine.clone());
    let account = Account::open(&secret(0), ward.dir.path(), ward.machine.clone(), pool.clone()).unwrap();
    (pool, account)
}

#[test]
fn address_is_the_one_ethereum_derives() {
    // The first account of the well-known test mnemonic of Hardhat and anvil.
    let secret = alloy_primitives::hex!("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80");
    let address = alloy_primitives::hex!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
    assert_eq!(address_of(&secret).unwrap(), address);
    assert!(matches!(address_of(&[0; 32]), Err(AccountError::NotAKey)));
}

#[test]
fn acts_get_one_nonce_each_and_are_done_in_order() {
    let mut ward = Ward::with(1);
    let (pool, account) = open(&ward);
    let ids: Vec<_> = (1..=20).map(|key| account.submit(&gateway(key)).unwrap()).collect();
    let batch = pool.next_batch(&ward.machine.view().snapshot());
    assert_eq!(batch.len(), 20);
    let executed = ward.block(&batch);
    pool.committed(&ward.machine.view());
    assert_eq!(executed.transaction_hashes(), ids);
    assert!(ids.iter().all(|id| pool.outcome(id).unwrap() == Outcome::Done { height: 1 }));
    assert!(ward.machine.view().device(DeviceId::of(&[20; 32])).unwrap().is_some());
    account.submit(&gateway(21)).unwrap();
}

#[test]
fn acts_not_final_at_a_crash_are_sent_again() {
    let mut ward = Ward::with(1);
    let (pool, account) = open(&ward);
    let ids: Vec<_> = (1..=3).map(|key| account.submit(&gateway(key)).unwrap()).collect();
    ward.block(&pool.next_batch(&ward.machine.view().snapshot())[..1]);
    drop((pool, account));
    // The crash tears the last record of a fourth.
    let path = ward.dir.path().join(FILE);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, [&whole[..], &[0, 0, 1, 0, 2]].concat()).unwrap();

    let mut ward = ward.reopened();
    let (pool, account) = open(&ward);
    assert_eq!(pool.waiting(), 2);
    assert_eq!(pool.outcome(&ids[0]).unwrap(), Outcome::Done { height: 1 });
    assert_eq!(pool.outcome(&ids[2]).unwrap(), Outcome::Pending);
    let fourth = account.submit(&gateway(4)).unwrap();
    ward.block(&pool.next_batch(&ward.machine.view().snapshot()));
    assert_eq!(pool.outcome(&ids[2]).unwrap(), Outcome::Done { height: 2 });
    assert_eq!(pool.outcome(&fourth).unwrap(), Outcome::Done { height: 2 });
}

#[test]
fn lost_outbox_leaves_no_gap_behind() {
    let mut ward = Ward::with(1);
    let (pool, account) = open(&ward);
    account.submit(&gateway(1)).unwrap();
    account.submit(&gateway(2)).unwrap();
    drop((pool, account));
    // Only the second record survives.
    let path = ward.dir.path().join(FILE);
    let records = read_outbox(&Os, &path).unwrap();
    std::fs::write(&path, record(&records[1])).unwrap();
    let (pool, account) = open(&ward);
    account.submit(&gateway(3)).unwrap();
    let batch = pool.next_batch(&ward.machine.view().snapshot());
    assert_eq!(batch.len(), 2);
    ward.block(&batch);
}

#[test]
fn outbox_drops_final_acts() {
    let mut ward = Ward::with(1);
    let (pool, account) = open(&ward);
    account.submit(&gateway(1)).unwrap();
    ward.block(&pool.next_batch(&ward.machine.view().snapshot()));
    pool.committed(&ward.machine.view());
    // An invalid record ends the reading, and makes the file too long.
    let torn = vec![0xff; usize::try_from(OUTBOX_BYTES_MAX).unwrap()];
    account.outbox.lock().append_raw(&torn);
    account.submit(&gateway(2)).unwrap();
    assert_eq!(read_outbox(&Os, &ward.dir.path().join(FILE)).unwrap().len(), 1);
}

#[test]
fn account_of_no_organisation_is_refused_in_words() {
    let ward = Ward::with(1);
    let pool = Pool::new(ward.machine.clone());
    let account = Account::open(&secret(9), ward.dir.path(), ward.machine.clone(), pool).unwrap();
    let refused = account.submit(&gateway(1)).unwrap_err();
    assert!(matches!(refused, LedgerError::Refused(_)), "{refused}");
    assert!(!format!("{account:?}").contains(&alloy_primitives::hex::encode(secret(9))));
}

#[test]
fn an_act_that_the_full_disk_refused_is_in_no_block_and_the_next_one_takes_its_nonce() {
    let mut ward = Ward::with(1);
    let pool = Pool::new(ward.machine.clone());
    let disk = testkit::lossy::Lossy::default();
    disk.make_folder(ward.dir.path()).unwrap();
    let on = Arc::new(disk.clone());
    let account =
        Account::open_on(on, &secret(0), ward.dir.path(), ward.machine.clone(), pool.clone()).unwrap();
    let first = account.submit(&gateway(1)).unwrap();
    disk.set_full(true);
    for key in 2..5 {
        let down = account.submit(&gateway(key)).unwrap_err();
        assert!(matches!(&down, LedgerError::Down(why) if why.contains("nothing was sent")), "{down}");
        assert_eq!(pool.waiting(), 1, "only what was accepted waits");
        assert_eq!(pool.next_batch(&ward.machine.view().snapshot()).len(), 1);
    }
    disk.set_full(false);
    let last = account.submit(&gateway(5)).unwrap();
    let executed = ward.block(&pool.next_batch(&ward.machine.view().snapshot()));
    assert_eq!(executed.transaction_hashes(), [first, last]);
    let kept = read_outbox(&disk.after_crash(testkit::lossy::Unsynced::Lost), &ward.dir.path().join(FILE));
    assert_eq!(kept.unwrap().len(), 2, "and a restart sends the same two");
}
