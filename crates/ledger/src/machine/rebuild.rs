//! Rebuilds the trie from the flat state, in bounded memory.

use super::nodes::{NODES, Nodes};
use super::persist::Written;
use super::state::{State, set_slot};
use super::tables::{ACCOUNTS, META, ROOTS, SLOTS, StoreError, create_tables, io, read_account};
use super::trie::Trie;
use super::write_buffer;
use alloy_primitives::{B256, U256};
use redb::{ReadableTable, WriteTransaction};
use std::ops::Bound;
use vitals::proof::header::BlockHeader;

/// Slots put into the trie before its nodes go to disk.
const SLOTS_IN_MEMORY_MAX: usize = 1 << 15;

/// Writes the trie of the flat state, which must have the root the header names.
pub(super) fn rebuild(
    tx: &WriteTransaction,
    header: &BlockHeader,
    next: &mut u64,
) -> Result<Option<(u64, B256)>, StoreError> {
    create_tables(tx)?;
    write_buffer::fold(tx)?;
    let mut state = State::default();
    let accounts = io!(tx.open_table(ACCOUNTS))?;
    for row in io!(accounts.iter())? {
        let (key, account) = io!(row)?;
        let key = B256::from(*key.value());
        let storage = storage(tx, &key, next)?;
        state.set_account(&key, &read_account(account.value()), storage)?;
    }
    drop(accounts);
    let (trie, _) = put(tx, state.accounts(), (&Trie::default(), &Nodes::default()), next)?;
    let root = trie.stored_root();
    if trie.root() != B256::from(header.state_root) {
        return Err(StoreError::Damaged("the flat state does not have the root its header names"));
    }
    if let Some((id, _)) = root {
        io!(io!(tx.open_table(ROOTS))?.insert(header.height, id))?;
    }
    io!(io!(tx.open_table(META))?.insert("next node", next.to_be_bytes().as_slice()))?;
    Ok(root)
}

/// One account's storage, on disk.
fn storage(tx: &WriteTransaction, account: &B256, next: &mut u64) -> Result<Trie, StoreError> {
    let (mut stored, mut nodes) = (Trie::default(), Nodes::new(usize::MAX));
    let mut last = None;
    loop {
        let from = last.map_or(Bound::Included([0; 32]), Bound::Excluded);
        let from = from.as_ref().map(|slot| (&account.0, slot));
        let (mut trie, mut count) = (stored.clone(), 0);
        for row in io!(io!(tx.open_table(SLOTS))?
            .range::<(&[u8; 32], &[u8; 32])>((from, Bound::Included((&account.0, &[0xff; 32])),)))?
        .take(SLOTS_IN_MEMORY_MAX)
        {
            let (key, value) = io!(row)?;
            let (_, slot) = key.value();
            set_slot(&mut trie, &nodes, &B256::from(slot), &U256::from_be_bytes(*value.value()))?;
            last = Some(*slot);
            count += 1;
        }
        // The next slots change only the right edge of what was written: that stays in memory, the
        // rest is dropped.
        (stored, nodes) = put(tx, &trie, (&stored, &nodes), next)?;
        if count < SLOTS_IN_MEMORY_MAX {
            return Ok(stored);
        }
    }
}

/// Writes what is new in the trie since it was last written.
fn put(
    tx: &WriteTransaction,
    trie: &Trie,
    (before, nodes): (&Trie, &Nodes),
    next: &mut u64,
) -> Result<(Trie, Nodes), StoreError> {
    let mut written = Written::new(*next);
    let stored = written.trie(trie);
    let mut table = io!(tx.open_table(NODES))?;
    for (id, row) in &written.rows {
        io!(table.insert(id, row.as_slice()))?;
    }
    for id in written.stale(nodes, before)? {
        io!(table.remove(id))?;
    }
    *next = written.next;
    let nodes = Nodes::new(usize::MAX);
    written.remember(&nodes);
    Ok((stored, nodes))
}
