//! The import of a snapshot into an empty folder.

use super::super::node::{Child, Children, Kind, StoredNode};
use super::super::nodes::{CODES, NODES};
use super::super::row;
use super::super::state::{Flat, FlatAccount};
use super::super::store::{FILE, PAGE_CACHE_BYTES, builder, note, write, write_format};
use super::super::tables::{HEADERS, META, ROOTS, StoreError, create_tables, io, number, write_flat};
use super::SnapshotError;
use super::item::{Item, KEY_NIBBLES, Place, What, account, key};
use alloy_primitives::{B256, U256, keccak256};
use alloy_trie::nodes::RlpNode;
use alloy_trie::{EMPTY_ROOT_HASH, TrieAccount};
use redb::{Database, ReadableDatabase};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vitals::ids::Genesis;
use vitals::proof::genesis::GenesisDocument;
use vitals::proof::header::BlockHeader;

#[cfg(test)]
mod tests;

/// Name of the file while it is not a ledger yet.
const PART_FILE: &str = "state.redb.part";
/// Most items awaited at once: the siblings on one path through both tries.
const AWAITED_MAX: usize = 2 * 16 * KEY_NIBBLES * 2;

/// What is being imported: genesis hash ‖ encoded header.
const OF: &str = "import of";
/// What is awaited, the next item last.
const AWAITED: &str = "import awaits";
/// The number of the next trie node.
const NEXT: &str = "next node";

/// The import of a snapshot into an empty folder. After a drop or a crash, [`Self::open`] continues it.
#[derive(Debug)]
pub struct Import {
    dir: PathBuf,
    database: Database,
    genesis: Genesis,
    genesis_header: BlockHeader,
    header: BlockHeader,
    /// What is awaited, the next item last.
    awaited: Vec<Item>,
    next: u64,
    items: u64,
}

/// Does this folder hold a ledger already?
#[must_use]
pub fn holds_a_ledger(dir: &Path) -> bool {
    dir.join(FILE).exists()
}

/// Removes an incomplete import.
///
/// # Errors
/// If the disk fails.
pub fn forget(dir: &Path) -> io::Result<()> {
    match std::fs::remove_file(dir.join(PART_FILE)) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => Err(why),
        _ => Ok(()),
    }
}

impl Import {
    /// Starts or continues the import of the state after `header` into `dir`, which the caller has locked. The
    /// caller has verified the header's certificate: every item is checked against the header.
    ///
    /// # Errors
    /// If the folder holds a ledger, or cannot be used.
    pub fn open(dir: &Path, document: &GenesisDocument, header: BlockHeader) -> Result<Self, SnapshotError> {
        if holds_a_ledger(dir) {
            return Err(SnapshotError::Occupied);
        }
        let (state, _, _) = crate::genesis::state(document)?;
        let genesis_header = crate::genesis::header(document, state.root().0);
        let part = dir.join(PART_FILE);
        let database = match open(&part) {
            Ok(database) => database,
            // A damaged partial file is discarded: the import starts again.
            Err(_) => {
                std::fs::remove_file(&part)?;
                open(&part)?
            }
        };
        Self::on(dir.to_owned(), database, document.hash(), genesis_header, header)
    }

    fn on(
        dir: PathBuf,
        database: Database,
        genesis: Genesis,
        genesis_header: BlockHeader,
        header: BlockHeader,
    ) -> Result<Self, SnapshotError> {
        let of = [genesis.0.as_slice(), &header.encode()].concat();
        let (mut awaited, mut next) = (Vec::new(), 2);
        let reference = RlpNode::word_rlp(&B256::from(header.state_root));
        if header.state_root != EMPTY_ROOT_HASH.0 {
            awaited.push(Item::root(StoredNode { id: 1, reference }));
        }
        match read_progress(&database, &of)? {
            Some(progress) => (awaited, next) = progress,
            None => write(&database, |tx| {
                for table in io!(tx.list_tables())?.collect::<Vec<_>>() {
                    io!(tx.delete_table(table))?;
                }
                create_tables(tx)?;
                let mut meta = io!(tx.open_table(META))?;
                io!(meta.insert(OF, of.as_slice()))?;
                io!(meta.insert(AWAITED, write_items(&awaited).as_slice()))?;
                io!(meta.insert(NEXT, next.to_be_bytes().as_slice()))?;
                Ok(())
            })?,
        }
        Ok(Self { dir, database, genesis, genesis_header, header, awaited, next, items: 0 })
    }

    /// Where the next chunk begins; `None` when the state is complete.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        self.awaited.last().map(|item| Place(item.place.clone()))
    }

    /// Items imported since [`Self::open`].
    #[must_use]
    pub fn items(&self) -> u64 {
        self.items
    }

    /// Takes the chunk that begins at [`Self::place`]; durable on return.
    ///
    /// # Errors
    /// If it is not the next part of the certified state: then nothing of it is stored, and another node may
    /// be asked for the same place.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), SnapshotError> {
        let mut taken = Taken { awaited: self.awaited.clone(), next: self.next, ..Taken::default() };
        let mut rest = chunk;
        let mut item = 0;
        while !rest.is_empty() {
            taken.take(&mut rest).map_err(|why| SnapshotError::Refused { item, why })?;
            item += 1;
        }
        if item == 0 {
            return Err(SnapshotError::Refused { item, why: "is missing: the chunk is empty" });
        }
        taken.flat.accounts.sort_unstable_by_key(|(key, _)| *key);
        write(&self.database, |tx| {
            let mut nodes = io!(tx.open_table(NODES))?;
            for (id, row) in &taken.rows {
                io!(nodes.insert(id, row.as_slice()))?;
            }
            let mut codes = io!(tx.open_table(CODES))?;
            for (hash, code) in &taken.codes {
                io!(codes.insert(&hash.0, code.as_slice()))?;
            }
            drop(codes);
            write_flat(tx, &taken.flat)?;
            let mut meta = io!(tx.open_table(META))?;
            io!(meta.insert(AWAITED, write_items(&taken.awaited).as_slice()))?;
            io!(meta.insert(NEXT, taken.next.to_be_bytes().as_slice()))?;
            Ok(())
        })?;
        (self.awaited, self.next) = (taken.awaited, taken.next);
        self.items += item as u64;
        Ok(())
    }

    /// Makes the complete state a ledger, whose tip is the snapshot's header.
    ///
    /// # Errors
    /// If the state is not complete, or the store fails; [`Self::open`] then continues.
    pub fn finish(self) -> Result<(), SnapshotError> {
        self.seal()?;
        let Self { dir, database, .. } = self;
        io!(database.close())?;
        durable::rename(&durable::Os, &dir.join(PART_FILE), &dir.join(FILE))?;
        Ok(())
    }

    /// What makes the file a ledger.
    fn seal(&self) -> Result<(), SnapshotError> {
        if !self.awaited.is_empty() {
            return Err(SnapshotError::Incomplete);
        }
        let height = self.header.height;
        write(&self.database, |tx| {
            let mut headers = io!(tx.open_table(HEADERS))?;
            io!(headers.insert(0, self.genesis_header.encode().as_slice()))?;
            io!(headers.insert(height, self.header.encode().as_slice()))?;
            io!(io!(tx.open_table(ROOTS))?.insert(height, 1))?;
            drop(headers);
            note(tx, &self.genesis_header, &[])?;
            note(tx, &self.header, &[])?;
            let mut meta = io!(tx.open_table(META))?;
            io!(meta.remove(OF))?;
            io!(meta.remove(AWAITED))?;
            drop(meta);
            write_format(tx, self.genesis, height)
        })?;
        Ok(())
    }
}

fn open(part: &Path) -> Result<Database, StoreError> {
    io!(builder().set_cache_size(PAGE_CACHE_BYTES).create(part))
}

/// What a chunk adds.
#[derive(Debug, Default)]
struct Taken {
    awaited: Vec<Item>,
    next: u64,
    rows: Vec<(u64, Vec<u8>)>,
    codes: Vec<(B256, Vec<u8>)>,
    flat: Flat,
}

impl Taken {
    /// Takes one item from the front of `rest`, if it is the one that is awaited.
    fn take(&mut self, rest: &mut &[u8]) -> Result<(), &'static str> {
        let item = self.awaited.pop().ok_or("comes after the end of the state")?;
        match &item.what {
            What::Code(hash) => {
                let (len, left) = rest.split_first_chunk().ok_or("is cut off")?;
                let len = usize::try_from(u32::from_be_bytes(*len)).unwrap_or(usize::MAX);
                let (code, left) = left.split_at_checked(len).ok_or("is cut off")?;
                if keccak256(code) != *hash {
                    return Err("is not the code its account names");
                }
                self.codes.push((*hash, code.to_vec()));
                *rest = left;
            }
            What::Node(far) => {
                let node = row::read_bare(rest).ok_or("is no trie node, or is cut off")?;
                if *node.reference() != far.reference {
                    return Err("does not have the hash that is certified at its place");
                }
                let kind = self.numbered(&item, node.kind)?;
                self.rows.push((far.id, row::write(&kind)));
                let next = item.next(&kind)?;
                self.awaited.extend(next.into_iter().rev());
            }
        }
        Ok(())
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// The node with numbers of this store, and its leaves in the flat state.
    fn numbered(&mut self, item: &Item, kind: Kind) -> Result<Kind, &'static str> {
        Ok(match kind {
            Kind::Extension { path, child: Child::Stored(far) } => {
                Kind::Extension { path, child: Child::Stored(StoredNode { id: self.number(), ..far }) }
            }
            Kind::Extension { .. } => return Err("is no trie node"),
            Kind::Leaf { .. } => self.leaf(item, &[], kind)?,
            Kind::Branch { children } => {
                let mut numbered = Children::with_capacity(children.len());
                for (nibble, child) in children.iter() {
                    let child = match child {
                        Child::Stored(far) => Child::Stored(StoredNode { id: self.number(), ..far.clone() }),
                        Child::InMemory(leaf) => {
                            Child::InMemory(Arc::new(self.leaf(item, &[nibble], leaf.kind.clone())?.into()))
                        }
                    };
                    numbered.put(nibble, child);
                }
                Kind::Branch { children: numbered }
            }
        })
    }

    fn leaf(&mut self, item: &Item, at: &[u8], kind: Kind) -> Result<Kind, &'static str> {
        let Kind::Leaf { path, value, below: said } = kind else { return Err("is no trie node") };
        let nibbles = [item.path(), at, &path.to_vec()].concat();
        if nibbles.len() != KEY_NIBBLES {
            return Err("has a key of another length than keys have");
        }
        let key = key(&nibbles);
        let mut below = None;
        if let Some(owner) = item.owner() {
            let slot: U256 = alloy_rlp::decode_exact(&value).map_err(|_| "holds a word that is none")?;
            self.flat.slots.push((owner, key, slot));
        } else {
            let TrieAccount { nonce, balance, storage_root, code_hash } = account(&value)?;
            self.flat.accounts.push((key, Some(FlatAccount { nonce, balance, code_hash })));
            if storage_root != EMPTY_ROOT_HASH {
                let (id, reference) = (self.number(), RlpNode::word_rlp(&storage_root));
                below = Some(Child::Stored(StoredNode { id, reference }));
            }
        }
        // One state has one form.
        if below.is_some() != said.is_some() {
            return Err("says something else of its storage than its value does");
        }
        Ok(Kind::Leaf { path, value, below })
    }
}

/// Awaited items as bytes: length of place ‖ place ‖ number (0: code) ‖ length of reference ‖ reference.
fn write_items(items: &[Item]) -> Vec<u8> {
    let mut out = Vec::new();
    for item in items {
        let (id, reference) = match &item.what {
            What::Node(far) => (far.id, far.reference.as_slice()),
            What::Code(hash) => (0, hash.as_slice()),
        };
        for bytes in [item.place.as_slice(), reference] {
            out.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
            out.extend_from_slice(bytes);
        }
        out.extend_from_slice(&id.to_be_bytes());
    }
    out
}

fn read_items(mut rest: &[u8]) -> Option<Vec<Item>> {
    let mut items = Vec::new();
    while !rest.is_empty() && items.len() < AWAITED_MAX {
        let mut bytes = || {
            let (len, left) = rest.split_first()?;
            let (bytes, left) = left.split_at_checked(usize::from(*len))?;
            rest = left;
            Some(bytes)
        };
        let (place, reference) = (bytes()?.to_vec(), bytes()?);
        let (id, left) = rest.split_first_chunk()?;
        rest = left;
        let what = match u64::from_be_bytes(*id) {
            0 => What::Code(B256::try_from(reference).ok()?),
            id => What::Node(StoredNode { id, reference: RlpNode::from_raw(reference)? }),
        };
        items.push(Item { place, what });
    }
    rest.is_empty().then_some(items)
}

/// The items awaited before the restart, if the same state was being imported.
fn read_progress(database: &Database, of: &[u8]) -> Result<Option<(Vec<Item>, u64)>, StoreError> {
    let tx = io!(database.begin_read())?;
    let meta = match tx.open_table(META) {
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        other => io!(other)?,
    };
    if io!(meta.get(OF))?.is_none_or(|found| found.value() != of) {
        return Ok(None);
    }
    let damaged = StoreError::Damaged("the progress of an import");
    let awaited = io!(meta.get(AWAITED))?.and_then(|items| read_items(items.value()));
    match (awaited, number(&meta, NEXT)?) {
        (Some(awaited), Some(next)) => Ok(Some((awaited, next))),
        _ => Err(damaged),
    }
}
