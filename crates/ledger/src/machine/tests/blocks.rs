//! Blocks: which are valid, what speculation keeps apart, what a restart finds.

use super::*;

#[test]
fn restart_finds_the_same_state_records_and_outcomes() {
    let mut ward = Ward::with(1);
    ward.done(0, &gateway(0x11));
    let txs: Vec<_> =
        (0..50).map(|key| ward.signed(0, 1 + u64::from(key), &sensor(0x20 + key, 0x11))).collect();
    let executed = ward.block(&txs);
    let (tip, header) = (ward.machine.tip(), ward.machine.header(2).unwrap());
    let ward = ward.reopened();
    assert_eq!(ward.machine.tip(), tip);
    assert_eq!(ward.machine.view().snapshot().state_root(), tip.state_root);
    assert_eq!(ward.machine.header(2).unwrap(), header);
    assert_eq!(ward.machine.transactions(2).unwrap(), txs);
    for hash in executed.transaction_hashes() {
        assert_eq!(ward.machine.outcome(hash).unwrap(), Some(Outcome::Done { height: 2 }));
    }
    let device = ward.machine.view().device(DeviceId::of(&[0x20; 32])).unwrap();
    assert!(device.is_some());
}

#[test]
fn folder_of_another_ledger_is_refused() {
    let ward = Ward::with(1);
    let mut other = ward.document.clone();
    other.salt = [1; 32];
    let Ward { dir, machine, .. } = ward;
    drop(machine);
    let refused = Machine::open(dir.path(), &other).unwrap_err();
    assert!(refused.to_string().contains("belongs to the ledger"), "{refused}");
}

#[test]
fn block_delivered_twice_is_committed_once() {
    let mut ward = Ward::with(1);
    let tx = ward.next(0, &gateway(0x11));
    let executed = ward.machine.execute(&ward.machine.view().snapshot(), ward.next_env(), &[&tx]).unwrap();
    let header = ward.header(&executed);
    ward.machine.commit(&header, &[&tx], &executed).unwrap();
    let tip = ward.machine.tip();
    ward.machine.commit(&header, &[&tx], &executed).unwrap();
    assert_eq!(ward.machine.tip(), tip);
    ward.block(&[]);
    ward.machine.commit(&header, &[&tx], &executed).unwrap();
    assert!(ward.machine.is_committed(1, &header.digest()).unwrap());
    assert!(ward.machine.is_committed(1, &[0; 32]).is_err());
    assert!(!ward.machine.is_committed(3, &[0; 32]).unwrap());
}

#[test]
fn committing_what_does_not_fit_is_an_error_and_changes_nothing() {
    let mut ward = Ward::with(1);
    ward.block(&[]);
    let tx = ward.next(0, &gateway(0x11));
    let executed = ward.machine.execute(&ward.machine.view().snapshot(), ward.next_env(), &[&tx]).unwrap();
    let good = ward.header(&executed);
    let tip = ward.machine.tip();
    let wrong: [fn(&mut BlockHeader); 5] = [
        |header| header.height += 1,
        |header| header.parent[0] ^= 1,
        |header| header.state_root[0] ^= 1,
        |header| header.receipts_root[0] ^= 1,
        |header| header.time_ms += 1,
    ];
    for change in wrong {
        let mut header = good.clone();
        change(&mut header);
        assert!(ward.machine.commit(&header, &[&tx], &executed).is_err());
    }
    assert_eq!(ward.machine.tip(), tip);
}

#[test]
fn siblings_do_not_see_each_other_and_children_see_their_parent() {
    let ward = Ward::with(1);
    let root = ward.machine.view().snapshot();
    let (env, later) = (ward.next_env(), BlockEnv { height: 2, time_ms: ward.now_ms });
    let one = ward.machine.execute(&root, env, &[ward.signed(0, 0, &gateway(0x11))]).unwrap();
    let other = ward.machine.execute(&root, env, &[ward.signed(0, 0, &gateway(0x12))]).unwrap();
    assert_ne!(one.state_root, other.state_root);
    let child = [ward.signed(0, 1, &sensor(0x22, 0x11))];
    let on_one = ward.machine.execute(one.snapshot(), later, &child).unwrap();
    let on_other = ward.machine.execute(other.snapshot(), later, &child).unwrap();
    assert!(on_one.receipts[0].succeeded && !on_other.receipts[0].succeeded);
    assert_eq!(root.state_root(), ward.machine.tip().state_root);
    assert_eq!(ward.machine.view().device(DeviceId::of(&[0x22; 32])).unwrap(), None);
}

#[test]
fn same_block_gives_the_same_roots_on_every_node() {
    let (ward, other) = (Ward::with(2), Ward::with(2));
    let txs: Vec<_> = (0..20).map(|n| ward.signed(0, u64::from(n), &gateway(n + 1))).collect();
    let ours = ward.machine.execute(&ward.machine.view().snapshot(), ward.next_env(), &txs).unwrap();
    let theirs = other.machine.execute(&other.machine.view().snapshot(), ward.next_env(), &txs).unwrap();
    assert_eq!(ours.state_root, theirs.state_root);
    assert_eq!(ours.receipts_root, theirs.receipts_root);
    assert_eq!(ours.transactions_root, theirs.transactions_root);
}

#[test]
fn block_with_a_wrong_transaction_is_invalid_and_says_which() {
    let ward = Ward::with(1);
    let good = ward.signed(0, 0, &gateway(0x11));
    let stranger = ward.signed(5, 0, &gateway(0x12));
    let early = ward.signed(0, 2, &gateway(0x12));
    let long = vec![2; TX_BYTES_MAX + 1];
    let trailing = [good.as_slice(), &[0]].concat();
    let root = ward.machine.view().snapshot();
    let invalid = |tx: Vec<u8>| match ward.machine.execute(&root, ward.next_env(), &[good.clone(), tx]) {
        Err(Invalid::Transaction { index: 1, why }) => why,
        other => panic!("{other:?}"),
    };
    assert!(matches!(invalid(stranger), InvalidTx::Sender { .. }));
    assert!(matches!(invalid(early), InvalidTx::Evm(_)));
    assert!(matches!(invalid(good.clone()), InvalidTx::Evm(_)));
    assert_eq!(invalid(long), InvalidTx::TooLong);
    assert_eq!(invalid(trailing), InvalidTx::Malformed);
    assert_eq!(invalid(Vec::new()), InvalidTx::Malformed);
    // A flipped signature byte recovers some stranger, or nobody.
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert!(matches!(invalid(forged), InvalidTx::Sender { .. } | InvalidTx::Signature));
}

#[test]
fn block_out_of_place_is_invalid_and_its_time_is_for_agreement_to_judge() {
    let ward = Ward::with(1);
    let root = ward.machine.view().snapshot();
    let none: [Vec<u8>; 0] = [];
    let at = |height, time_ms| ward.machine.execute(&root, BlockEnv { height, time_ms }, &none);
    assert!(matches!(at(2, FOUNDED_MS), Err(Invalid::Height { .. })));
    assert_eq!(at(1, FOUNDED_MS - 1).unwrap().state_root, root.state_root(), "the time may go back");
    assert_eq!(at(1, FOUNDED_MS).unwrap().state_root, root.state_root());
}

#[test]
fn earlier_view_stays_what_it_was() {
    let mut ward = Ward::with(1);
    ward.done(0, &gateway(0x11));
    let before = ward.machine.view();
    let id = DeviceId::of(&[0x12; 32]);
    assert_eq!(before.device(id).unwrap(), None);
    ward.done(0, &gateway(0x12));
    assert_eq!(before.device(id).unwrap(), None);
    assert!(ward.machine.view().device(id).unwrap().is_some());
}

#[test]
fn receipt_survives_its_encoding() {
    let mut ward = Ward::with(1);
    let (first, second) = (ward.signed(0, 0, &gateway(0x11)), ward.signed(0, 1, &gateway(0x11)));
    let executed = ward.block(&[first, second]);
    assert!(executed.receipts[0].succeeded && executed.receipts[0].logs.len() == 1);
    assert!(!executed.receipts[1].succeeded && executed.receipts[1].revert.len() > 4);
    for receipt in &executed.receipts {
        assert_eq!(Receipt::decode(&receipt.encode()).unwrap(), *receipt);
    }
}
