#![allow(clippy::unwrap_used, reason = "tests")]

use super::super::nodes::{CODES, NODES};
use super::*;
use alloy_primitives::{B256, U256, keccak256};
use alloy_trie::root::storage_root_unhashed;
use proptest::prelude::*;
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, backends::InMemoryBackend};
use std::collections::{BTreeMap, BTreeSet};

/// A store of one trie only, which deletes stale nodes at once.
struct Shelf {
    database: Database,
    nodes: Nodes,
    next: u64,
}

impl Shelf {
    /// With so much memory for nodes.
    fn new(bytes: usize) -> Self {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        Self { database, nodes: Nodes::new(bytes), next: 1 }
    }

    fn put(&mut self, before: &Trie, trie: &Trie) -> Trie {
        let mut written = Written::new(self.next);
        let stored = written.trie(trie);
        let stale = written.stale(&self.nodes, before).unwrap();
        let tx = self.database.begin_write().unwrap();
        {
            let mut table = tx.open_table(NODES).unwrap();
            tx.open_table(CODES).unwrap();
            for (id, row) in &written.rows {
                assert!(row.len() <= row::ROW_BYTES_MAX);
                assert!(table.insert(id, row.as_slice()).unwrap().is_none());
            }
            for id in stale {
                assert!(table.remove(id).unwrap().is_some(), "stale twice");
            }
        }
        tx.commit().unwrap();
        self.next = written.next;
        self.nodes.refresh(&self.database).unwrap();
        written.remember(&self.nodes);
        stored
    }

    /// Every row that the trie reaches, each loaded and held against its hash.
    fn reached(&self, trie: &Trie) -> BTreeSet<u64> {
        let (mut reached, mut left) = (BTreeSet::new(), Vec::from_iter(trie.0.clone()));
        while let Some(child) = left.pop() {
            if let Child::Stored(far) = &child {
                assert!(reached.insert(far.id));
            }
            match &child.load(&self.nodes).unwrap().kind {
                Kind::Leaf { below, .. } => left.extend(below.clone()),
                Kind::Extension { child, .. } => left.push(child.clone()),
                Kind::Branch { children } => left.extend(children.values().cloned()),
            }
        }
        reached
    }

    fn rows(&self) -> BTreeSet<u64> {
        let tx = self.database.begin_read().unwrap();
        let table = tx.open_table(NODES).unwrap();
        let rows = table.iter().unwrap().map(|row| row.unwrap().0.value()).collect::<BTreeSet<_>>();
        assert_eq!(rows.len() as u64, table.len().unwrap());
        rows
    }
}

fn slot(index: u16) -> B256 {
    B256::from(U256::from(index))
}

fn change(nodes: &Nodes, trie: &mut Trie, flat: &mut BTreeMap<u16, u64>, changes: &[(u16, u64)]) {
    for (index, value) in changes {
        let key = keccak256(slot(*index));
        if *value == 0 {
            trie.remove(nodes, &key).unwrap();
            flat.remove(index);
        } else {
            trie.set(nodes, &key, alloy_rlp::encode(U256::from(*value)), None).unwrap();
            flat.insert(*index, *value);
        }
    }
}

/// Blocks of changes; zero removes.
fn blocks() -> impl Strategy<Value = Vec<Vec<(u16, u64)>>> {
    let value = prop_oneof![2 => Just(0), 3 => any::<u64>()];
    prop::collection::vec(prop::collection::vec((0u16..300, value), 0..60), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is read comes from disk, or from memory, or from a block before that is not written yet.
    #[test]
    fn tries_come_back_from_disk_and_leave_nothing_behind(blocks in blocks(), bytes in prop_oneof![Just(0), Just(8 << 20)], late in any::<bool>()) {
        let mut shelf = Shelf::new(bytes);
        let (mut flat, mut stored, mut last) = (BTreeMap::new(), Trie::default(), None);
        for changes in blocks {
            // Built on a parent that is not on disk yet, where the scene asks for it.
            let mut trie = last.take().unwrap_or_else(|| stored.clone());
            let parent = trie.clone();
            change(&shelf.nodes, &mut trie, &mut flat, &changes);
            if late {
                stored = shelf.put(&stored, &parent);
            }
            let whole = storage_root_unhashed(flat.iter().map(|(index, value)| (slot(*index), U256::from(*value))));
            prop_assert_eq!(trie.root(), whole);
            if late {
                last = Some(trie);
            } else {
                stored = shelf.put(&stored, &trie);
                prop_assert_eq!(stored.root(), whole);
                prop_assert_eq!(shelf.reached(&stored), shelf.rows());
            }
        }
        if let Some(trie) = last {
            stored = shelf.put(&stored, &trie);
        }
        prop_assert_eq!(shelf.reached(&stored), shelf.rows());
        for index in 0..300 {
            let key = keccak256(slot(index));
            let read = stored.get(&shelf.nodes, &key, |leaf, _| alloy_rlp::decode_exact::<U256>(leaf).unwrap()).unwrap();
            prop_assert_eq!(read, flat.get(&index).map(|value| U256::from(*value)));
        }
    }

    #[test]
    fn hostile_rows_are_refused_without_panic(row in prop::collection::vec(any::<u8>(), 0..200), tag in 0u8..5) {
        let row = [&[tag], row.as_slice()].concat();
        if let Some(node) = row::read(&row) {
            node.encode();
        }
        row::read_bare(&mut row.as_slice());
    }
}

#[test]
fn every_changed_byte_of_a_node_is_found_when_it_is_read() {
    let mut shelf = Shelf::new(0);
    let (mut trie, mut flat) = (Trie::default(), BTreeMap::new());
    change(
        &shelf.nodes,
        &mut trie,
        &mut flat,
        &(0..200).map(|at| (at, u64::from(at) + 1)).collect::<Vec<_>>(),
    );
    let stored = shelf.put(&Trie::default(), &trie);
    let Some(Child::Stored(root)) = stored.0.clone() else { panic!("{stored:?}") };
    let row = {
        let tx = shelf.database.begin_read().unwrap();
        tx.open_table(NODES).unwrap().get(root.id).unwrap().unwrap().value().to_vec()
    };
    let load = |row: Option<&[u8]>| {
        let tx = shelf.database.begin_write().unwrap();
        {
            let mut table = tx.open_table(NODES).unwrap();
            match row {
                Some(row) => table.insert(root.id, row).unwrap().is_some(),
                None => table.remove(root.id).unwrap().is_some(),
            };
        }
        tx.commit().unwrap();
        // A reader without a cache.
        let nodes = Nodes::new(0);
        nodes.refresh(&shelf.database).unwrap();
        nodes.load(&root)
    };
    let is_number = |at: usize| {
        // Numbers of children are not hashed: a wrong one leads to a node with another hash.
        at >= 5 && (at - 5) % (8 + 1 + 33) < 8
    };
    for at in 0..row.len() {
        let mut bad = row.clone();
        bad[at] ^= 1;
        if !is_number(at) {
            assert_eq!(load(Some(&bad)).unwrap_err(), NodeFault::Damaged { id: root.id }, "byte {at}");
        }
    }
    assert_eq!(load(Some(&row[..row.len() - 1])).unwrap_err(), NodeFault::Damaged { id: root.id });
    assert_eq!(load(None).unwrap_err(), NodeFault::Missing { id: root.id });
    load(Some(&row)).unwrap();
}
