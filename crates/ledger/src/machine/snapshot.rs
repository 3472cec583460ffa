//! The state at a final height, for a node that joins late. A snapshot is the state trie's nodes in order
//! (each before its children, an account's storage and code after it), cut into chunks.
//!
//! Whoever imports it begins with a header he has a certificate for, and always knows the hash of the next
//! item before it comes: the header names the root, every node its children, every account its storage and
//! code. So an item that was damaged, cut off, put in another place or made up is refused when it comes,
//! whoever sent it, and chunks may come from different nodes. What came is durable after every chunk, and
//! nothing is a ledger until the last one.

use super::node::{Child, Children, Kind, Link, Node, StoredNode};
use super::nodes::{CODES, NODES, Nodes};
use super::row;
use super::state::{Flat, FlatAccount};
use super::store::{FILE, PAGE_CACHE_BYTES, builder, note, write, write_format};
use super::tables::{HEADERS, META, ROOTS, StoreError, create_tables, io, number, write_flat};
use super::view::View;
use alloy_primitives::{B256, U256, keccak256};
use alloy_trie::nodes::RlpNode;
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, TrieAccount};
use redb::{Database, ReadableDatabase};
use revm::primitives::KECCAK_EMPTY;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vitals::ids::Genesis;
use vitals::proof::genesis::GenesisDocument;
use vitals::proof::header::BlockHeader;

#[cfg(test)]
mod tests;

/// Longest chunk. Larger than the largest item: a contract's code.
pub const CHUNK_BYTES_MAX: usize = 256 * 1024;
/// Name of the file while it is not a ledger yet.
const PART_FILE: &str = "state.redb.part";
/// Nibbles of a key.
const KEY_NIBBLES: usize = 64;
/// Stands between an account's key and a place in its storage.
const STORAGE: u8 = 0x10;
/// Stands behind an account's key for its code.
const CODE: u8 = 0x11;
/// Longest place: an account's key, a mark, a slot's key.
const PLACE_LEN_MAX: usize = 2 * KEY_NIBBLES + 1;
/// Most items awaited at once: the siblings on one path through both tries.
const AWAITED_MAX: usize = 2 * 16 * KEY_NIBBLES * 2;

/// What is being imported: genesis hash ‖ encoded header.
const OF: &str = "import of";
/// What is awaited, the next item last.
const AWAITED: &str = "import awaits";
/// The number of the next trie node.
const NEXT: &str = "next node";

/// Why a snapshot is not given or not taken.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The folder cannot be used.
    #[error("the snapshot's file cannot be used: {0}")]
    Io(#[from] io::Error),
    /// There is a ledger already.
    #[error("the folder holds a ledger already; a snapshot begins a new one")]
    Occupied,
    /// The document is not one this build can run.
    #[error(transparent)]
    Genesis(#[from] crate::genesis::GenesisError),
    /// Nothing stands at this place of the state.
    #[error("the state has nothing at the place the snapshot is asked to go on from")]
    NoSuchPlace,
    /// The chunk is not what comes next in the certified state: ask another node.
    #[error("item {item} of the chunk {why}")]
    Refused {
        /// Its place in the chunk.
        item: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The last chunk has not come.
    #[error("the snapshot is not complete")]
    Incomplete,
}

/// A place in the state from which a snapshot goes on. Whoever imports knows it; the empty one is the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place(Vec<u8>);

impl Place {
    /// As bytes, at most 129.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A place somebody asks for; nothing if it cannot be one.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let nibble = |(at, byte): (usize, &u8)| match at {
            KEY_NIBBLES => [STORAGE, CODE].contains(byte),
            _ => *byte < 16,
        };
        (bytes.len() <= PLACE_LEN_MAX && bytes.iter().enumerate().all(nibble)).then(|| Self(bytes.to_vec()))
    }
}

/// An item of a snapshot: where it stands, and what it must hash to. Places are in the items' order:
/// account nodes by path, then behind an account's key its storage nodes by path, then its code.
#[derive(Debug, Clone)]
struct Item {
    place: Vec<u8>,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Node(StoredNode),
    Code(B256),
}

impl Item {
    fn root(far: StoredNode) -> Self {
        Self { place: Vec::new(), what: What::Node(far) }
    }

    /// What comes after this node, in order.
    fn next(&self, kind: &Kind) -> Result<Vec<Self>, &'static str> {
        let mut items = Vec::new();
        match kind {
            Kind::Leaf { path, value, below } => self.behind_leaf(path, value, below, &mut items)?,
            Kind::Extension { path, child } => items.extend(self.child(&path.to_vec(), child)),
            Kind::Branch { children } => {
                for (nibble, child) in children.iter() {
                    match child {
                        Child::InMemory(leaf) => {
                            let Kind::Leaf { path, value, below } = &leaf.kind else { continue };
                            let path = Nibbles::from_nibbles([nibble]).join(path);
                            self.behind_leaf(&path, value, below, &mut items)?;
                        }
                        child => items.extend(self.child(&[nibble], child)),
                    }
                }
            }
        }
        Ok(items)
    }

    fn child(&self, path: &[u8], child: &Child) -> Option<Self> {
        let Child::Stored(far) = child else { return None };
        Some(Self { place: [&self.place, path].concat(), what: What::Node(far.clone()) })
    }

    /// An account's storage and code.
    fn behind_leaf(
        &self,
        path: &Nibbles,
        value: &[u8],
        below: &Link,
        items: &mut Vec<Self>,
    ) -> Result<(), &'static str> {
        if self.owner().is_some() {
            return Ok(());
        }
        let account = account(value)?;
        let key = [self.place.as_slice(), &path.to_vec()].concat();
        if let Some(Child::Stored(storage)) = below {
            let place = [key.as_slice(), &[STORAGE]].concat();
            items.push(Self { place, what: What::Node(storage.clone()) });
        }
        if account.code_hash != KECCAK_EMPTY {
            let place = [key.as_slice(), &[CODE]].concat();
            items.push(Self { place, what: What::Code(account.code_hash) });
        }
        Ok(())
    }

    /// The account in whose storage this stands.
    fn owner(&self) -> Option<B256> {
        self.place.get(..=KEY_NIBBLES).map(|place| key(&place[..KEY_NIBBLES]))
    }

    /// The path of a node within its trie.
    fn path(&self) -> &[u8] {
        if self.place.len() > KEY_NIBBLES { &self.place[KEY_NIBBLES + 1..] } else { &self.place }
    }
}

fn key(nibbles: &[u8]) -> B256 {
    B256::from_slice(&Nibbles::from_nibbles(nibbles).pack())
}

fn account(value: &[u8]) -> Result<TrieAccount, &'static str> {
    alloy_rlp::decode_exact(value).map_err(|_| "holds an account that is none")
}

/// The items of the state from `place` on, as many as fit into `bytes_max` (at most
/// [`CHUNK_BYTES_MAX`]). The same bytes on every node that keeps this height.
///
/// # Errors
/// If nothing stands at that place, or the store fails.
pub fn export(view: &View, place: &Place, bytes_max: usize) -> Result<Vec<u8>, SnapshotError> {
    Ok(export_on(view, place, bytes_max)?.0)
}

/// [`export`], and the place after it; none at the end.
///
/// # Errors
/// As [`export`].
pub fn export_on(
    view: &View,
    place: &Place,
    bytes_max: usize,
) -> Result<(Vec<u8>, Option<Place>), SnapshotError> {
    let (state, bytes_max) = (view.state(), bytes_max.min(CHUNK_BYTES_MAX));
    let nodes = state.nodes();
    let mut left = match &state.accounts().0 {
        Some(Child::Stored(root)) => vec![Item::root(root.clone())],
        _ => return Err(SnapshotError::NoSuchPlace),
    };
    let (mut chunk, mut found, mut next) = (Vec::new(), false, None);
    while let Some(item) = left.pop() {
        found |= item.place == place.0;
        if !found && !place.0.starts_with(&item.place) {
            if item.place < place.0 {
                continue;
            }
            return Err(SnapshotError::NoSuchPlace);
        }
        let start = chunk.len();
        match &item.what {
            What::Node(far) => {
                let node = load(nodes, far)?;
                if found {
                    row::write_bare(&node.kind, &mut chunk);
                }
                let next = item.next(&node.kind).map_err(StoreError::Damaged)?;
                left.extend(next.into_iter().rev());
            }
            What::Code(hash) => {
                let code = nodes.code(hash).map_err(StoreError::from)?;
                let code = code.original_byte_slice();
                chunk.extend_from_slice(&u32::try_from(code.len()).unwrap_or(u32::MAX).to_be_bytes());
                chunk.extend_from_slice(code);
            }
        }
        if start > 0 && chunk.len() > bytes_max {
            chunk.truncate(start);
            next = Some(Place(item.place));
            break;
        }
    }
    if found { Ok((chunk, next)) } else { Err(SnapshotError::NoSuchPlace) }
}

fn load(nodes: &Nodes, far: &StoredNode) -> Result<Arc<Node>, StoreError> {
    Ok(nodes.load(far)?)
}

/// A snapshot on its way into an empty folder. Dropped and begun again, it goes on where it was.
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

/// Forgets what came of a snapshot that is not complete.
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
    /// Begins, or goes on, to import the state after `header` into `dir`, which the caller has locked. The
    /// caller has checked the header's certificate: all that comes is held against it alone.
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
            // What is not whole, not even its pages, is no loss: it comes again.
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

    /// Where the next chunk begins; nothing once all of the state is here.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        self.awaited.last().map(|item| Place(item.place.clone()))
    }

    /// Items taken since this began or went on.
    #[must_use]
    pub fn items(&self) -> u64 {
        self.items
    }

    /// Takes the chunk that begins at [`Self::place`]; durable on return.
    ///
    /// # Errors
    /// If it is not exactly what comes next in the certified state: then nothing of it is taken, and
    /// another node may be asked for the same place.
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
    /// If the state is not complete, or the store fails; [`Self::begin`] then goes on.
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

/// What an earlier life awaited next, if it imported the same state.
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
