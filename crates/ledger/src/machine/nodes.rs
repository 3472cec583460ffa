//! Loads trie nodes from disk, through a bounded cache. Every loaded node is checked against the hash in its
//! parent, so that damage is detected before the node is used.

use super::node::{Child, Kind, Node, StoredNode};
use super::row;
use alloy_primitives::map::HashMap;
use alloy_primitives::{B256, keccak256};
use parking_lot::{Mutex, MutexGuard, RwLock};
use redb::{ReadOnlyTable, ReadableDatabase, TableDefinition};
use revm::state::Bytecode;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Number → row.
pub(super) const NODES: TableDefinition<u64, &[u8]> = TableDefinition::new("nodes");
/// Keccak-256 → contract code.
pub(super) const CODES: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("codes");

/// Memory for trie nodes, of all heights together, unless configured otherwise.
pub const NODE_CACHE_BYTES: usize = 64 << 20;
/// Memory for analysed contract code.
const CODE_CACHE_BYTES: usize = 8 << 20;
/// Parts of the node memory, each with its own lock.
const SHARDS: usize = 16;
/// Memory of one cache entry beside its content.
const ENTRY_BYTES: usize = 96;
/// A node without its children and value, and the count of its uses; what an allocator adds.
const NODE_BYTES: usize = size_of::<Node>() + 32;
/// What one child of a branch takes in memory.
const CHILD_BYTES: usize = size_of::<Child>();

/// Why a node cannot be loaded. The state beneath it is then unknown, and the machine stops.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeFault {
    /// The disk or the file fails.
    #[error("trie node {id} cannot be read: {why}")]
    Io {
        /// Its number.
        id: u64,
        /// The store's error.
        why: String,
    },
    /// It is not there.
    #[error("trie node {id} is missing")]
    Missing {
        /// Its number.
        id: u64,
    },
    /// It is not what was written.
    #[error("trie node {id} does not have the hash its parent names")]
    Damaged {
        /// Its number.
        id: u64,
    },
    /// A contract's code is not there, or not what was written.
    #[error("the contract code {hash} is missing or damaged")]
    Code {
        /// Its hash.
        hash: B256,
    },
}

/// The nodes of one store. Clones share everything. The default has no store: nothing is on disk yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Nodes(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    tables: RwLock<Option<Arc<Tables>>>,
    shards: [Mutex<Generations<u64, Arc<Node>>>; SHARDS],
    codes: Mutex<Generations<B256, Bytecode>>,
    cache_bytes_max: usize,
    reads: AtomicU64,
    /// The first fault: nothing read since can be trusted.
    fault: OnceLock<NodeFault>,
}

#[derive(Debug)]
struct Tables {
    nodes: ReadOnlyTable<u64, &'static [u8]>,
    codes: ReadOnlyTable<&'static [u8; 32], &'static [u8]>,
}

impl Nodes {
    pub(super) fn new(cache_bytes_max: usize) -> Self {
        Self(Arc::new(Inner { cache_bytes_max, ..Inner::default() }))
    }

    /// Opens the newest committed tables. Call it after every commit, so that no old page is held.
    pub(super) fn refresh(&self, database: &redb::Database) -> Result<(), redb::Error> {
        let tx = database.begin_read()?;
        let tables = Tables { nodes: tx.open_table(NODES)?, codes: tx.open_table(CODES)? };
        *self.0.tables.write() = Some(Arc::new(tables));
        Ok(())
    }

    fn tables(&self) -> Option<Arc<Tables>> {
        self.0.tables.read().clone()
    }

    fn shard(&self, id: u64) -> MutexGuard<'_, Generations<u64, Arc<Node>>> {
        self.0.shards[usize::try_from(id % SHARDS as u64).unwrap_or(0)].lock()
    }

    pub(super) fn load(&self, far: &StoredNode) -> Result<Arc<Node>, NodeFault> {
        let id = far.id;
        if let Some(node) = self.shard(id).get(&id) {
            return Ok(node);
        }
        self.0.reads.fetch_add(1, Ordering::Relaxed);
        let tables = self.tables().ok_or(NodeFault::Missing { id })?;
        let row = tables.nodes.get(id).map_err(|why| NodeFault::Io { id, why: why.to_string() })?;
        let row = row.ok_or(NodeFault::Missing { id })?;
        let node = row::read(row.value()).ok_or(NodeFault::Damaged { id })?;
        if *node.reference() != far.reference {
            return Err(NodeFault::Damaged { id });
        }
        let _ = node.id.set(id);
        let node = Arc::new(node);
        self.remember(id, node.clone());
        Ok(node)
    }

    pub(super) fn remember(&self, id: u64, node: Arc<Node>) {
        let bytes = ENTRY_BYTES + weight(&node);
        self.shard(id).insert(id, node, bytes, self.0.cache_bytes_max / SHARDS);
    }

    /// Removes nodes that are no longer part of the newest state from the cache. Readers of older heights
    /// load them from disk.
    pub(super) fn forget(&self, ids: &[u64]) {
        for id in ids {
            self.shard(*id).remove(id);
        }
    }

    #[cfg(test)]
    pub(super) fn cached(&self) -> Vec<u64> {
        let of = |shard: &Mutex<Generations<u64, Arc<Node>>>| {
            let shard = shard.lock();
            shard.young.keys().chain(shard.old.keys()).copied().collect::<Vec<_>>()
        };
        self.0.shards.iter().flat_map(of).collect()
    }

    pub(super) fn code(&self, hash: &B256) -> Result<Bytecode, NodeFault> {
        if let Some(code) = self.0.codes.lock().get(hash) {
            return Ok(code);
        }
        let damaged = NodeFault::Code { hash: *hash };
        let tables = self.tables().ok_or_else(|| damaged.clone())?;
        let row = tables.codes.get(&hash.0).ok().flatten().ok_or_else(|| damaged.clone())?;
        let bytes = row.value().to_vec();
        if keccak256(&bytes) != *hash {
            return Err(damaged);
        }
        let weight = ENTRY_BYTES + bytes.len() + bytes.len() / 8;
        let code = Bytecode::new_raw(bytes.into());
        self.0.codes.lock().insert(*hash, code.clone(), weight, CODE_CACHE_BYTES);
        Ok(code)
    }

    /// The value; an error is kept as the store's fault.
    pub(super) fn note<T>(&self, result: Result<T, NodeFault>) -> Option<T> {
        result
            .inspect_err(|fault| {
                if self.0.fault.set(fault.clone()).is_ok() {
                    tracing::error!(%fault, "The ledger's state is damaged: {fault}");
                }
            })
            .ok()
    }

    /// The first fault since the store was opened.
    pub(super) fn fault(&self) -> Option<&NodeFault> {
        self.0.fault.get()
    }

    /// Nodes that had to be read from disk.
    pub(super) fn reads(&self) -> u64 {
        self.0.reads.load(Ordering::Relaxed)
    }

    /// Bytes of cached nodes.
    pub(super) fn bytes(&self) -> usize {
        self.0.shards.iter().map(|shard| shard.lock().bytes()).sum()
    }
}

/// Memory of a node and the leaves inside it.
fn weight(node: &Node) -> usize {
    match &node.kind {
        Kind::Leaf { value, .. } => NODE_BYTES + value.len(),
        Kind::Extension { .. } => NODE_BYTES,
        Kind::Branch { children } => {
            let inside = |child: &Child| match child {
                Child::InMemory(leaf) => weight(leaf),
                Child::Stored(_) => 0,
            };
            children.len() * CHILD_BYTES + NODE_BYTES + children.values().map(inside).sum::<usize>()
        }
    }
}

/// A cache in two generations: when the young one reaches half of the bound, the old one is dropped and the
/// young one becomes the old one. An entry that is read becomes young again.
#[derive(Debug)]
struct Generations<K, V> {
    young: HashMap<K, (V, usize)>,
    old: HashMap<K, (V, usize)>,
    young_bytes: usize,
    old_bytes: usize,
}

impl<K, V> Default for Generations<K, V> {
    fn default() -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), young_bytes: 0, old_bytes: 0 }
    }
}

impl<K: Hash + Eq + Copy, V: Clone> Generations<K, V> {
    fn get(&mut self, key: &K) -> Option<V> {
        if let Some((value, _)) = self.young.get(key) {
            return Some(value.clone());
        }
        let (value, bytes) = self.old.remove(key)?;
        self.old_bytes -= bytes;
        self.young_bytes += bytes;
        self.young.insert(*key, (value.clone(), bytes));
        Some(value)
    }

    fn insert(&mut self, key: K, value: V, bytes: usize, bytes_max: usize) {
        if self.young_bytes + bytes > bytes_max / 2 {
            self.old = std::mem::take(&mut self.young);
            self.old_bytes = std::mem::take(&mut self.young_bytes);
        }
        if let Some((_, before)) = self.young.insert(key, (value, bytes)) {
            self.young_bytes -= before;
        }
        self.young_bytes += bytes;
    }

    fn remove(&mut self, key: &K) {
        if let Some((_, bytes)) = self.young.remove(key) {
            self.young_bytes -= bytes;
        } else if let Some((_, bytes)) = self.old.remove(key) {
            self.old_bytes -= bytes;
        }
    }

    fn bytes(&self) -> usize {
        self.young_bytes + self.old_bytes
    }
}
