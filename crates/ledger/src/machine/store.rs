//! The ledger on disk: one redb file. State, trie, block and receipts of a height are written in one
//! transaction, durable before it is visible.

use super::Config;
use super::execute::Executed;
use super::nodes::{NODES, Nodes};
use super::persist::Written;
use super::pins::Pins;
use super::prune::Pruner;
use super::receipt::Receipt;
use super::state::{Flat, State};
use super::tables::{
    HEADERS, META, PLACES, PRUNED_BODIES, PRUNED_HEADERS, RECEIPTS, ROOTS, STALE, StoreError, TRANSACTIONS,
    create_tables, io, number, write_flat,
};
use super::write_buffer;
use alloy_primitives::B256;
use parking_lot::Mutex;
use redb::{Database, Durability, ReadableDatabase, ReadableTable, WriteTransaction};
use std::path::Path;
use vitals::ids::{Genesis, Hash};
use vitals::proof::header::{BlockHeader, digest};

/// Name of the file in the ledger's folder.
pub(super) const FILE: &str = "state.redb";
/// redb's own memory; the trie has another, and the file is in the system's.
pub(super) const PAGE_CACHE_BYTES: usize = 4 << 20;
/// What this build writes: flat state by hashed keys, trie nodes by number.
const FORMAT: u64 = 2;

/// A final block and its effects.
#[derive(Debug)]
pub struct FinalBlock<'a, T> {
    /// Its header.
    pub header: &'a BlockHeader,
    /// Its transactions.
    pub transactions: &'a [T],
    /// The result of its execution on its parent.
    pub executed: &'a Executed,
}

/// The lowest heights of which something is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kept {
    /// Headers from this height on, beside genesis and the last blocks of epochs.
    pub headers: u64,
    /// From this height on it is known what the transactions came to in short: their gas and the bloom of their
    /// events. That is kept with the header, but never comes with a snapshot.
    pub summaries: u64,
    /// Transactions, receipts and events from this height on.
    pub bodies: u64,
}

mod index;
pub(super) use index::note;
pub use index::{FoundHeights, Summary};

#[derive(Debug)]
pub(crate) struct Store {
    database: Database,
    pub(super) nodes: Nodes,
    pub(super) pins: Pins,
    /// One writer at a time.
    writer: Mutex<Writer>,
}

#[derive(Debug)]
struct Writer {
    /// Number of the next trie node.
    next: u64,
    pruner: Pruner,
    /// Changes in the write buffer; after a start the bound is assumed.
    buffered: usize,
    buffered_max: usize,
}

pub(super) fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    // Reads the whole file: it opens only if every page matches its checksum.
    builder.set_check_integrity_on_open(true).set_cache_size(PAGE_CACHE_BYTES);
    builder
}

impl Store {
    pub(crate) fn open(dir: &Path, config: &Config) -> Result<Self, StoreError> {
        Ok(Self::on(io!(builder().create(dir.join(FILE)))?, config))
    }

    pub(super) fn on(database: Database, config: &Config) -> Self {
        let writer = Mutex::new(Writer {
            next: 1,
            pruner: Pruner::new(config),
            buffered: config.write_buffer_changes_max,
            buffered_max: config.write_buffer_changes_max,
        });
        let nodes = Nodes::new(config.node_cache_bytes);
        Self { database, nodes, pins: Pins::default(), writer }
    }

    /// The state at the stored tip and its header; `None` in a new store.
    pub(crate) fn load(&self, genesis: Genesis) -> Result<Option<(State, BlockHeader)>, StoreError> {
        let (header, root) = {
            let tx = io!(self.database.begin_read())?;
            let meta = match tx.open_table(META) {
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
                other => io!(other)?,
            };
            let found = io!(meta.get("genesis"))?.ok_or(StoreError::Damaged("no genesis hash"))?;
            if found.value() != genesis.0 {
                let found = Genesis::from_slice(found.value()).ok_or(StoreError::Damaged("genesis hash"))?;
                return Err(StoreError::OtherGenesis {
                    found: found.to_string(),
                    wanted: genesis.to_string(),
                });
            }
            if number(&meta, "format")? != Some(FORMAT) {
                return Err(StoreError::OldFormat);
            }
            let next =
                number(&meta, "next node")?.ok_or(StoreError::Damaged("no number of the next node"))?;
            self.writer.lock().next = next;
            let headers = io!(tx.open_table(HEADERS))?;
            let (_, header) = io!(headers.last())?.ok_or(StoreError::Damaged("no header"))?;
            let header =
                BlockHeader::decode(header.value()).map_err(|_| StoreError::Damaged("the newest header"))?;
            let root = io!(io!(tx.open_table(ROOTS))?.get(header.height))?.map(|root| root.value());
            // A fault was seen while the ledger ran.
            let sound = io!(meta.get("damage"))?.is_none();
            (header, root.filter(|_| sound))
        };
        io!(self.nodes.refresh(&self.database))?;
        // The root must have the hash the header names; all nodes beneath it are checked when they are read.
        if let Some(root) = root {
            let state = self.state(Some((root, B256::from(header.state_root))), header.height);
            match state.accounts().0.as_ref().map(|root| root.load(&self.nodes)) {
                None | Some(Ok(_)) => return Ok(Some((state, header))),
                Some(Err(fault)) => tracing::warn!(%fault, "The state trie is damaged: {fault}"),
            }
        }
        let root = self.rebuild(&header)?;
        Ok(Some((self.state(root, header.height), header)))
    }

    #[cfg(test)]
    pub(super) fn database(&self) -> &Database {
        &self.database
    }

    pub(super) fn state(&self, root: Option<(u64, B256)>, height: u64) -> State {
        State::stored(self.nodes.clone(), root, Some(self.pins.pin(height)))
    }

    /// Rebuilds the trie from the flat state.
    fn rebuild(&self, header: &BlockHeader) -> Result<Option<(u64, B256)>, StoreError> {
        tracing::warn!(height = header.height, "Rebuilding the state trie from the flat state");
        let mut writer = self.writer.lock();
        let mut next = writer.next;
        let mut root = None;
        self.write(|tx| {
            for table in [io!(tx.delete_table(NODES))?, io!(tx.delete_table(ROOTS))?] {
                tracing::debug!(existed = table, "Removed a table of the trie");
            }
            io!(tx.delete_table(STALE))?;
            io!(io!(tx.open_table(META))?.remove("damage"))?;
            root = super::rebuild::rebuild(tx, header, &mut next)?;
            Ok(())
        })?;
        writer.next = next;
        writer.pruner.restart();
        io!(self.nodes.refresh(&self.database))?;
        Ok(root)
    }

    /// Writes height 0 and returns its stored state.
    pub(crate) fn create_genesis(
        &self,
        genesis: Genesis,
        header: &BlockHeader,
        state: &State,
        flat: &Flat,
    ) -> Result<State, StoreError> {
        let mut writer = self.writer.lock();
        let mut written = Written::new(writer.next);
        let trie = written.trie(state.accounts());
        self.write(|tx| {
            let mut meta = io!(tx.open_table(META))?;
            io!(meta.insert("genesis", genesis.0.as_slice()))?;
            io!(meta.insert("format", FORMAT.to_be_bytes().as_slice()))?;
            drop(meta);
            create_tables(tx)?;
            io!(io!(tx.open_table(HEADERS))?.insert(0, header.encode().as_slice()))?;
            note(tx, header, &[])?;
            write_flat(tx, flat)?;
            write_trie(tx, 0, &written, &trie, &[])
        })?;
        writer.next = written.next;
        io!(self.nodes.refresh(&self.database))?;
        written.remember(&self.nodes);
        Ok(self.state(trie.stored_root(), 0))
    }

    /// Writes blocks that follow each other and what they changed, all or nothing, durable on return.
    /// Only the state after the last one can be read later. Returns that state, stored.
    pub(crate) fn append<T: AsRef<[u8]>>(
        &self,
        blocks: &[FinalBlock<'_, T>],
        before: &State,
    ) -> Result<State, StoreError> {
        let last = blocks.last().ok_or(StoreError::Damaged("no block to append"))?;
        if let Some(fault) = self.nodes.fault() {
            self.note_damage()?;
            return Err(fault.clone().into());
        }
        let mut writer = self.writer.lock();
        let mut written = Written::new(writer.next);
        let trie = written.trie(last.executed.after.state.accounts());
        let height = last.header.height;
        let stale = match written.stale(&self.nodes, before.accounts()) {
            Ok(stale) => stale,
            Err(fault) => {
                self.note_damage()?;
                return Err(fault.into());
            }
        };
        let oldest = self.pins.lowest().unwrap_or(height);
        let mut buffered = writer.buffered;
        let mut pruned = Vec::new();
        self.write(|tx| {
            for block in blocks {
                write_block(tx, block)?;
                write_buffer::push(tx, block.header.height, &block.executed.flat)?;
                buffered += block.executed.flat.slots.len() + block.executed.flat.accounts.len();
            }
            if buffered > writer.buffered_max {
                write_buffer::fold(tx)?;
                buffered = 0;
            }
            write_trie(tx, height, &written, &trie, &stale)?;
            pruned = writer.pruner.step(tx, height, oldest, stale.len())?;
            Ok(())
        })?;
        (writer.next, writer.buffered) = (written.next, buffered);
        io!(self.nodes.refresh(&self.database))?;
        self.nodes.forget(&stale);
        // Whoever read an older height may have brought them back.
        self.nodes.forget(&pruned);
        written.remember(&self.nodes);
        Ok(self.state(trie.stored_root(), height))
    }

    /// Records that the trie is damaged, so that the next start rebuilds it.
    pub(super) fn note_damage(&self) -> Result<(), StoreError> {
        self.write(|tx| {
            io!(io!(tx.open_table(META))?.insert("damage", [1].as_slice()))?;
            Ok(())
        })
    }

    fn write(
        &self,
        fill: impl FnOnce(&WriteTransaction) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        write(&self.database, fill)
    }

    /// The state after a height, if it is kept.
    pub(crate) fn state_at(&self, height: u64, root_hash: Hash) -> Result<Option<State>, StoreError> {
        let tx = io!(self.database.begin_read())?;
        let root = io!(io!(tx.open_table(ROOTS))?.get(height))?.map(|root| root.value());
        Ok(root.map(|root| self.state(Some((root, B256::from(root_hash))), height)))
    }

    pub(crate) fn header(&self, height: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let tx = io!(self.database.begin_read())?;
        let headers = io!(tx.open_table(HEADERS))?;
        Ok(io!(headers.get(height))?.map(|header| header.value().to_vec()))
    }

    /// The height of a snapshot this store began with: it never had the blocks up to it.
    pub(crate) fn base(&self) -> Result<u64, StoreError> {
        let tx = io!(self.database.begin_read())?;
        Ok(number(&io!(tx.open_table(META))?, "base")?.unwrap_or(0))
    }

    /// What is kept of past blocks.
    pub(crate) fn kept(&self) -> Result<Kept, StoreError> {
        let tx = io!(self.database.begin_read())?;
        let meta = io!(tx.open_table(META))?;
        let base = number(&meta, "base")?.unwrap_or(0);
        // A snapshot brings the header of its block, and nothing else of it.
        let begun = if base == 0 { 0 } else { base + 1 };
        let headers = number(&meta, PRUNED_HEADERS)?.unwrap_or(0).max(base);
        let bodies = number(&meta, PRUNED_BODIES)?.unwrap_or(0).max(begun);
        Ok(Kept { headers, summaries: headers.max(begun), bodies })
    }

    pub(crate) fn digest(&self, height: u64) -> Result<Option<Hash>, StoreError> {
        Ok(self.header(height)?.map(|header| digest(&header)))
    }

    pub(crate) fn transactions(&self, height: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        let tx = io!(self.database.begin_read())?;
        let table = io!(tx.open_table(TRANSACTIONS))?;
        let mut out = Vec::new();
        for row in io!(table.range((height, 0)..=(height, u32::MAX)))? {
            out.push(io!(row)?.1.value().to_vec());
        }
        Ok(out)
    }

    /// The height and receipt of a transaction.
    pub(crate) fn receipt(&self, hash: &Hash) -> Result<Option<(u64, Receipt)>, StoreError> {
        let tx = io!(self.database.begin_read())?;
        let Some(place) = io!(io!(tx.open_table(PLACES))?.get(hash))?.map(|place| place.value()) else {
            return Ok(None);
        };
        let receipts = io!(tx.open_table(RECEIPTS))?;
        let receipt = io!(receipts.get(place))?.ok_or(StoreError::Damaged("a receipt is missing"))?;
        let receipt =
            Receipt::decode(receipt.value()).map_err(|_| StoreError::Damaged("a receipt is unreadable"))?;
        Ok(Some((place.0, receipt)))
    }
}

pub(super) fn write(
    database: &Database,
    fill: impl FnOnce(&WriteTransaction) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut tx = io!(database.begin_write())?;
    io!(tx.set_durability(Durability::Immediate))?;
    fill(&tx)?;
    io!(tx.commit())
}

pub(super) fn write_format(tx: &WriteTransaction, genesis: Genesis, base: u64) -> Result<(), StoreError> {
    let mut meta = io!(tx.open_table(META))?;
    io!(meta.insert("genesis", genesis.0.as_slice()))?;
    io!(meta.insert("base", base.to_be_bytes().as_slice()))?;
    io!(meta.insert("format", FORMAT.to_be_bytes().as_slice()))?;
    Ok(())
}

fn write_block<T: AsRef<[u8]>>(tx: &WriteTransaction, block: &FinalBlock<'_, T>) -> Result<(), StoreError> {
    let height = block.header.height;
    io!(io!(tx.open_table(HEADERS))?.insert(height, block.header.encode().as_slice()))?;
    let mut transactions = io!(tx.open_table(TRANSACTIONS))?;
    let mut receipts = io!(tx.open_table(RECEIPTS))?;
    let mut places = io!(tx.open_table(PLACES))?;
    let rows = block.transactions.iter().zip(&block.executed.encoded).zip(&block.executed.hashes);
    for (index, ((raw, receipt), hash)) in (0u32..).zip(rows) {
        io!(transactions.insert((height, index), raw.as_ref()))?;
        io!(receipts.insert((height, index), receipt.as_slice()))?;
        io!(places.insert(hash, (height, index)))?;
    }
    note(tx, block.header, &block.executed.receipts)
}

fn write_trie(
    tx: &WriteTransaction,
    height: u64,
    written: &Written,
    trie: &super::trie::Trie,
    stale: &[u64],
) -> Result<(), StoreError> {
    let mut nodes = io!(tx.open_table(NODES))?;
    for (id, row) in &written.rows {
        io!(nodes.insert(id, row.as_slice()))?;
    }
    if let Some((root, _)) = trie.stored_root() {
        io!(io!(tx.open_table(ROOTS))?.insert(height, root))?;
    }
    if !stale.is_empty() {
        let ids: Vec<u8> = stale.iter().flat_map(|id| id.to_be_bytes()).collect();
        io!(io!(tx.open_table(STALE))?.insert(height, ids.as_slice()))?;
    }
    io!(io!(tx.open_table(META))?.insert("next node", written.next.to_be_bytes().as_slice()))?;
    Ok(())
}
