//! What is kept and for how long, and what damage to it comes to.

use super::super::node::{Child, Kind, StoredNode};
use super::super::nodes::{NODES, Nodes};
use super::super::state::{State as Flatless, set_slot};
use super::super::tables::{ACCOUNTS, ROOTS, SLOTS, STALE, read_account};
use super::super::trie::Trie;
use super::super::write_buffer;
use super::*;
use alloy_primitives::{B256, U256};
use alloy_trie::nodes::RlpNode;
use redb::{ReadableDatabase, ReadableTable, ReadableTableMetadata};
use std::collections::BTreeSet;

/// Holds every row of the store against every other: each kept state whole, the flat state of the tip the
/// same as its trie, no node that neither a state has nor a sweep will remove.
pub(crate) fn audit(machine: &Machine) {
    let store = &machine.0.store;
    let tx = store.database().begin_read().unwrap();
    let mut reached = BTreeSet::new();
    let nodes = Nodes::new(1 << 20);
    nodes.refresh(store.database()).unwrap();
    let mut tip_root = None;
    for row in tx.open_table(ROOTS).unwrap().iter().unwrap() {
        let (height, id) = row.unwrap();
        let header = BlockHeader::decode(&machine.header(height.value()).unwrap().unwrap()).unwrap();
        let reference = RlpNode::word_rlp(&B256::from(header.state_root));
        let mut left = vec![Child::Stored(StoredNode { id: id.value(), reference })];
        while let Some(child) = left.pop() {
            if let Child::Stored(far) = &child
                && !reached.insert(far.id)
            {
                continue;
            }
            match &child.load(&nodes).unwrap().kind {
                Kind::Leaf { below, .. } => left.extend(below.clone()),
                Kind::Extension { child, .. } => left.push(child.clone()),
                Kind::Branch { children } => left.extend(children.values().cloned()),
            }
        }
        tip_root = Some((height.value(), header.state_root));
    }
    let tip = machine.tip();
    assert_eq!(tip_root, Some((tip.height, tip.state_root)));
    let mut stale = BTreeSet::new();
    for row in tx.open_table(STALE).unwrap().iter().unwrap() {
        let ids = row.unwrap().1.value().to_vec();
        stale.extend(ids.chunks_exact(8).map(|id| u64::from_be_bytes(id.try_into().unwrap())));
    }
    for row in tx.open_table(NODES).unwrap().iter().unwrap() {
        let id = row.unwrap().0.value();
        assert!(reached.contains(&id) || stale.contains(&id), "node {id} is nobody's");
    }
    // What waits for the flat state goes into it, for this look only.
    let tx = machine.0.store.database().begin_write().unwrap();
    write_buffer::fold(&tx).unwrap();
    let (mut flat, slots) = (Flatless::default(), tx.open_table(SLOTS).unwrap());
    for row in tx.open_table(ACCOUNTS).unwrap().iter().unwrap() {
        let (key, account) = row.unwrap();
        let (key, mut storage) = (*key.value(), Trie::default());
        for row in slots.range((&key, &[0; 32])..=(&key, &[0xff; 32])).unwrap() {
            let (slot, value) = row.unwrap();
            let value = U256::from_be_bytes(*value.value());
            set_slot(&mut storage, &Nodes::default(), &B256::from(slot.value().1), &value).unwrap();
        }
        flat.set_account(&B256::from(key), &read_account(account.value()), storage).unwrap();
    }
    assert_eq!(flat.root(), B256::from(tip.state_root), "flat state and trie are one");
}

fn rows(machine: &Machine) -> u64 {
    let tx = machine.0.store.database().begin_read().unwrap();
    tx.open_table(NODES).unwrap().len().unwrap()
}

fn device(key: u8) -> DeviceId {
    DeviceId::of(&[key; 32])
}

/// Keeps little, and nothing in memory.
fn frugal() -> Config {
    Config {
        keep_states: 3,
        keep_bodies: Some(5),
        keep_headers: None,
        node_cache_bytes: 0,
        write_buffer_changes_max: 12,
    }
}

#[test]
fn latest_states_are_read_and_proven_and_older_ones_are_refused() {
    let mut ward = Ward::keeping(1, frugal());
    let mut roots = vec![ward.machine.tip().state_root];
    for key in 1..=20 {
        ward.done(0, &gateway(key));
        roots.push(ward.machine.tip().state_root);
        audit(&ward.machine);
    }
    let ward = ward.reopened();
    for height in 18..=20u8 {
        let view = ward.machine.view_at(u64::from(height)).unwrap();
        assert_eq!(view.tip().state_root, roots[usize::from(height)]);
        assert!(view.device(device(height)).unwrap().is_some());
        assert_eq!(view.device(device(height + 1)).unwrap(), None);
        let proof = &view.prove(&[vitals::ledger::Fact::Device(device(height))])[0];
        vitals::proof::contracts::read_device(
            &roots[usize::from(height)],
            &ward.document,
            device(height),
            proof,
        )
        .unwrap()
        .unwrap();
    }
    for height in [0, 1, 17, 21] {
        let refused = ward.machine.view_at(height).unwrap_err();
        assert!(matches!(refused, StoreError::NotKept { kept: 3, .. }), "{refused}");
    }
    audit(&ward.machine);
}

#[test]
fn a_height_that_is_being_read_is_kept() {
    let mut ward = Ward::keeping(1, frugal());
    ward.done(0, &gateway(1));
    let old = ward.machine.view();
    for key in 2..=20 {
        ward.done(0, &gateway(key));
    }
    assert!(old.device(device(1)).unwrap().is_some());
    assert_eq!(old.device(device(2)).unwrap(), None);
    assert_eq!(old.prove_slots(ward.machine.contracts().devices, &[[1; 32]]).slots.len(), 1);
    assert_eq!(ward.machine.fault(), None);
    ward.machine.view_at(1).unwrap();
    drop(old);
    ward.done(0, &gateway(21));
    assert!(ward.machine.view_at(1).is_err());
    for key in 22..=30 {
        ward.done(0, &gateway(key));
    }
    audit(&ward.machine);
}

#[test]
fn nothing_piles_up_where_the_state_does_not_grow() {
    let mut ward = Ward::keeping(1, frugal());
    ward.done(0, &gateway(1));
    let mut log = vitals::log::MerkleLog::new();
    let mut most = 0;
    for leaf in 0u64..60 {
        let old = log.size();
        log.push(vitals::log::leaf(&leaf.to_be_bytes()));
        let consistency = if old == 0 { Vec::new() } else { log.consistency(old, log.size()).unwrap() };
        ward.done(0, &Act::Anchor { size: log.size(), root: log.root(), consistency });
        if leaf == 20 {
            most = rows(&ward.machine);
        }
    }
    audit(&ward.machine);
    assert!(rows(&ward.machine) <= most + 20, "{} nodes, {most} before", rows(&ward.machine));
}

/// Commits empty blocks; every hundredth names a committee, as an epoch's last one does.
pub(super) fn idle(ward: &mut Ward, blocks: u64) {
    let none: [Vec<u8>; 0] = [];
    for _ in 0..blocks {
        ward.now_ms += 2_000;
        let executed = ward.machine.execute(&ward.machine.view().snapshot(), ward.next_env(), &none).unwrap();
        let mut header = ward.header(&executed);
        if header.height % 100 == 99 {
            header.committee = vec![[3; 32]];
        }
        ward.machine.commit(&header, &none, &executed).unwrap();
    }
}

#[test]
fn headers_go_by_policy_and_those_of_epochs_ends_stay() {
    let config = Config { keep_headers: Some(40), ..frugal() };
    let mut ward = Ward::keeping(1, config);
    ward.done(0, &gateway(1));
    let first = ward.machine.tip();
    idle(&mut ward, 250);
    let tip = ward.machine.tip().height;
    let kept = ward.machine.kept().unwrap();
    let headers = tip + 1 - 40;
    assert_eq!(kept, Kept { headers, summaries: headers, bodies: tip + 1 - 5 });
    for height in 0..=tip {
        let stays = height == 0 || height % 100 == 99 || height >= kept.headers;
        assert_eq!(ward.machine.header(height).unwrap().is_some(), stays, "{height}");
        if let Some(header) = ward.machine.header(height).unwrap() {
            let found = ward.machine.height_of(&vitals::proof::header::digest(&header)).unwrap();
            assert_eq!(found, Some(height));
        }
    }
    assert_eq!(ward.machine.height_of(&first.digest).unwrap(), None);
    // Consensus may deliver again what is pruned by now: it was final.
    assert!(ward.machine.is_committed(1, &first.digest).unwrap());
    assert!(ward.machine.is_committed(99, &[1; 32]).is_err(), "another block than the one that is known");
    let mut ward = ward.reopened();
    assert_eq!(ward.machine.kept().unwrap(), kept);
    idle(&mut ward, 10);
    assert_eq!(ward.machine.kept().unwrap().headers, kept.headers + 10);
    audit(&ward.machine);
}

#[test]
fn a_ledger_that_kept_everything_is_pruned_once_it_is_told_to() {
    let mut ward = Ward::with(1);
    for key in 1..=60 {
        ward.done(0, &gateway(key));
    }
    assert_eq!(ward.machine.kept().unwrap(), Kept::default());
    ward.config = Config { keep_states: 3, keep_bodies: Some(5), keep_headers: Some(7), ..Config::default() };
    let mut ward = ward.reopened();
    // A bounded part with every block.
    for key in 61..=65 {
        ward.done(0, &gateway(key));
    }
    assert_eq!(ward.machine.kept().unwrap(), Kept { headers: 59, summaries: 59, bodies: 61 });
    assert!(ward.machine.transactions(1).unwrap().is_empty() && ward.machine.header(1).unwrap().is_none());
    // And what it did stays.
    assert!(ward.machine.view().device(device(1)).unwrap().is_some());
    audit(&ward.machine);
}

#[test]
fn bodies_go_by_policy_and_headers_stay() {
    let mut ward = Ward::keeping(1, frugal());
    let mut hashes = vec![[0; 32]];
    for key in 1..=12 {
        let tx = ward.next(0, &gateway(key));
        hashes.push(ward.block(&[tx]).transaction_hashes()[0]);
    }
    for height in 1..=12u64 {
        let kept = height > 7;
        assert_eq!(ward.machine.transactions(height).unwrap().len(), usize::from(kept), "{height}");
        let receipt = ward.machine.receipt(&hashes[usize::try_from(height).unwrap()]).unwrap();
        assert_eq!(receipt.is_some(), kept, "{height}");
        assert!(ward.machine.header(height).unwrap().is_some());
    }
}

#[test]
fn blocks_committed_together_are_the_same_chain() {
    let mut ward = Ward::with(1);
    let mut alone = Ward::with(1);
    let mut parent = ward.machine.view().snapshot();
    let (mut blocks, mut tip) = (Vec::new(), ward.machine.tip());
    for key in 1..=6u8 {
        let tx = ward.signed(0, u64::from(key) - 1, &gateway(key));
        ward.now_ms += 1_001;
        let env = BlockEnv { height: tip.height + 1, time_ms: ward.now_ms };
        let executed = ward.machine.execute(&parent, env, std::slice::from_ref(&tx)).unwrap();
        let header = BlockHeader {
            parent: tip.digest,
            view: env.height,
            parent_view: tip.height,
            ..ward.header(&executed)
        };
        (tip, parent) = (tip_of(&header), executed.snapshot().clone());
        blocks.push((header, vec![tx.clone()], executed));
        alone.block(&[tx]);
    }
    fn as_final(blocks: &[(BlockHeader, Vec<Vec<u8>>, Executed)]) -> Vec<FinalBlock<'_, Vec<u8>>> {
        let block = |(header, transactions, executed)| FinalBlock { header, transactions, executed };
        blocks.iter().map(|(header, txs, executed)| block((header, txs.as_slice(), executed))).collect()
    }
    // A gap among them: none of them is committed.
    let mut holed = as_final(&blocks);
    holed.remove(2);
    assert!(ward.machine.commit_all(&holed).is_err());
    assert_eq!(ward.machine.tip().height, 0);
    // Some of them have been delivered before.
    ward.machine.commit_all(&as_final(&blocks[..2])).unwrap();
    ward.machine.commit_all(&as_final(&blocks)).unwrap();
    ward.machine.commit_all(&as_final(&blocks)).unwrap();
    assert_eq!(ward.machine.tip(), alone.machine.tip());
    assert_eq!(ward.machine.header(4).unwrap(), alone.machine.header(4).unwrap());
    assert!(ward.machine.view_at(4).is_err(), "between them nothing is read at");
    ward.machine.view_at(2).unwrap();
    audit(&ward.machine);
    let ward = ward.reopened();
    assert_eq!(ward.machine.tip(), alone.machine.tip());
    audit(&ward.machine);
}

fn harm(machine: &Machine, harm: impl Fn(&mut Vec<u8>) -> bool) -> usize {
    let tx = machine.0.store.database().begin_write().unwrap();
    let mut harmed = 0;
    {
        let mut table = tx.open_table(NODES).unwrap();
        let rows: Vec<_> = table
            .iter()
            .unwrap()
            .map(|row| row.unwrap())
            .map(|(id, row)| (id.value(), row.value().to_vec()))
            .collect();
        for (id, mut row) in rows {
            if harm(&mut row) {
                table.insert(id, row.as_slice()).unwrap();
                harmed += 1;
            }
        }
    }
    tx.commit().unwrap();
    harmed
}

/// Turns a bit that the node's hash covers; at its end may stand where a child is kept.
fn middle(row: &mut [u8]) -> bool {
    let at = row.len() / 2;
    row.get_mut(at).map(|byte| *byte ^= 1).is_some()
}

#[test]
fn damaged_root_is_found_at_the_start_and_the_trie_rebuilt() {
    let mut ward = Ward::with(1);
    for key in 1..=9 {
        ward.done(0, &gateway(key));
    }
    let tip = ward.machine.tip();
    assert!(harm(&ward.machine, |row| middle(row)) > 9);
    let ward = ward.reopened();
    assert_eq!(ward.machine.tip(), tip);
    assert_eq!(ward.machine.fault(), None);
    audit(&ward.machine);
    assert!(ward.machine.view().device(device(3)).unwrap().is_some());
    assert!(ward.machine.view_at(3).is_err(), "only the tip's state can be made anew");
    audit(&ward.reopened().machine);
}

#[test]
fn damaged_node_stops_the_machine_when_it_is_read_and_the_next_start_mends_it() {
    let mut ward = Ward::keeping(1, frugal());
    for key in 1..=9 {
        ward.done(0, &gateway(key));
    }
    let next = ward.next(0, &gateway(10));
    // Slots of devices stand deep below: one of their nodes, but no node on the way to it.
    let deepest = |row: &mut Vec<u8>| row.len() < 180 && row.last_mut().map(|byte| *byte ^= 1).is_some();
    assert!(harm(&ward.machine, deepest) > 0);
    ward.machine.0.store.nodes.refresh(ward.machine.0.store.database()).unwrap();
    let view = ward.machine.view();
    let faulty = (1..=9).map(|key| view.device(device(key))).filter(Result::is_err).count();
    assert!(faulty > 0);
    let fault = ward.machine.fault().unwrap();
    assert!(matches!(fault, NodeFault::Damaged { .. }), "{fault}");
    let refused = ward.machine.execute(&view.snapshot(), ward.next_env(), &[next]).unwrap_err();
    assert!(refused.to_string().contains(&fault.to_string()), "{refused}");
    // A block executed elsewhere, before: it is not committed either.
    let other = Ward::with(1);
    let none: [Vec<u8>; 0] = [];
    let executed = other.machine.execute(&other.machine.view().snapshot(), other.next_env(), &none).unwrap();
    let append = ward.machine.0.store.append(
        &[FinalBlock { header: &ward.header(&executed), transactions: &none, executed: &executed }],
        view.state(),
    );
    assert!(append.unwrap_err().to_string().contains("rebuilds the trie"));
    drop(view);
    let mut ward = ward.reopened();
    assert_eq!(ward.machine.fault(), None);
    for key in 1..=9 {
        assert!(ward.machine.view().device(device(key)).unwrap().is_some());
    }
    audit(&ward.machine);
    ward.done(0, &gateway(10));
    audit(&ward.machine);
}

#[test]
fn wrong_flat_state_is_refused() {
    let mut ward = Ward::with(1);
    ward.done(0, &gateway(1));
    harm(&ward.machine, |row| middle(row));
    {
        let tx = ward.machine.0.store.database().begin_write().unwrap();
        {
            let mut slots = tx.open_table(SLOTS).unwrap();
            let (account, slot) = {
                let first = slots.first().unwrap().unwrap();
                let (account, slot) = first.0.value();
                (*account, *slot)
            };
            slots.insert((&account, &slot), &[9; 32]).unwrap();
        }
        tx.commit().unwrap();
    }
    let Ward { dir, document, machine, config, .. } = ward;
    drop(machine);
    let refused = Machine::open_with(dir.path(), &document, &config).unwrap_err();
    assert!(refused.to_string().contains("flat state does not have the root"), "{refused}");
}

#[test]
fn memory_for_nodes_stays_within_its_bound() {
    let config = Config { node_cache_bytes: 256 << 10, ..Config::default() };
    let mut ward = Ward::keeping(1, config);
    let txs: Vec<_> = (0..200u16)
        .map(|n| {
            let key = vitals::ids::sha256(&[&n.to_be_bytes()]);
            let via = DeviceId::of(&key);
            let act =
                Act::Register { kind: DeviceKind::Gateway, key, wrap_key: [7; 32], via, binding: [0; 32] };
            ward.signed(0, u64::from(n), &act)
        })
        .collect();
    for txs in txs.chunks(40) {
        ward.block(txs);
    }
    let (bytes, reads) = ward.machine.node_memory();
    assert!(bytes <= 256 << 10, "{bytes}");
    assert!(reads > 0);
    audit(&ward.machine);
}

#[test]
fn nodes_that_are_no_longer_stored_leave_the_memory_too() {
    let mut ward = Ward::keeping(1, Config { node_cache_bytes: 64 << 20, ..frugal() });
    for key in 1..=40 {
        // Somebody reads what the block replaces, after it: with room for all of it, it stays in memory.
        let before = ward.machine.view();
        ward.done(0, &gateway(key));
        assert_eq!(before.device(device(key)).unwrap(), None);
    }
    let store = &ward.machine.0.store;
    let tx = store.database().begin_read().unwrap();
    let stored = tx.open_table(NODES).unwrap();
    let cached = store.nodes.cached();
    assert!(cached.len() > 10, "{}", cached.len());
    let gone: Vec<u64> = cached.into_iter().filter(|id| stored.get(id).unwrap().is_none()).collect();
    assert!(gone.is_empty(), "in memory and on no disk: {gone:?}");
}
