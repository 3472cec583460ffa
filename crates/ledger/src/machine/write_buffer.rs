//! The write buffer of the flat state: the changes of the newest blocks, one row per block. A block's slots are
//! scattered over the flat state, one page each, so writing many blocks at once shares pages. Only a rebuild of
//! the trie reads the flat state, and it writes the buffer first.

use super::nodes::CODES;
use super::state::Flat;
use super::tables::{StoreError, WRITE_BUFFER, io, read_account, write_account, write_flat};
use alloy_primitives::{B256, U256};
use redb::{ReadableTable, WriteTransaction};

const UNREADABLE: StoreError = StoreError::Damaged("what a block changed is unreadable");

/// Adds the changes of a block. Codes are written to their table at once, because they are read from it.
pub(super) fn push(tx: &WriteTransaction, height: u64, flat: &Flat) -> Result<(), StoreError> {
    let mut codes = io!(tx.open_table(CODES))?;
    for (hash, code) in &flat.codes {
        io!(codes.insert(&hash.0, code.original_byte_slice()))?;
    }
    // The rows of empty blocks would never be folded: an idle ledger changes nothing.
    if !(flat.accounts.is_empty() && flat.wiped.is_empty() && flat.slots.is_empty()) {
        io!(io!(tx.open_table(WRITE_BUFFER))?.insert(height, encode(flat).as_slice()))?;
    }
    Ok(())
}

/// Writes the buffer to the flat state, the oldest changes first.
pub(super) fn fold(tx: &WriteTransaction) -> Result<(), StoreError> {
    let mut buffer = io!(tx.open_table(WRITE_BUFFER))?;
    for row in io!(buffer.iter())? {
        write_flat(tx, &decode(io!(row)?.1.value()).ok_or(UNREADABLE)?)?;
    }
    io!(buffer.retain(|_, _| false))
}

fn encode(flat: &Flat) -> Vec<u8> {
    let mut row = Vec::with_capacity(12 + flat.accounts.len() * 105 + flat.slots.len() * 96);
    let len = |list: usize| u32::try_from(list).unwrap_or(u32::MAX).to_be_bytes();
    row.extend_from_slice(&len(flat.accounts.len()));
    for (key, account) in &flat.accounts {
        row.extend_from_slice(key.as_slice());
        row.push(u8::from(account.is_some()));
        row.extend(account.iter().flat_map(write_account));
    }
    row.extend_from_slice(&len(flat.wiped.len()));
    row.extend(flat.wiped.iter().flat_map(|key| key.0));
    row.extend_from_slice(&len(flat.slots.len()));
    for (account, slot, value) in &flat.slots {
        row.extend_from_slice(account.as_slice());
        row.extend_from_slice(slot.as_slice());
        row.extend_from_slice(&value.to_be_bytes::<32>());
    }
    row
}

fn decode(mut row: &[u8]) -> Option<Flat> {
    let (mut flat, rest) = (Flat::default(), &mut row);
    for _ in 0..length(rest)? {
        let key = word(rest)?;
        let account = match take::<1>(rest)? {
            [0] => None,
            _ => Some(read_account(&take(rest)?)),
        };
        flat.accounts.push((key, account));
    }
    for _ in 0..length(rest)? {
        flat.wiped.push(word(rest)?);
    }
    for _ in 0..length(rest)? {
        flat.slots.push((word(rest)?, word(rest)?, U256::from_be_bytes(take::<32>(rest)?)));
    }
    rest.is_empty().then_some(flat)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(*taken)
}

fn word(rest: &mut &[u8]) -> Option<B256> {
    take(rest).map(B256::new)
}

fn length(rest: &mut &[u8]) -> Option<u32> {
    take(rest).map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::super::state::FlatAccount;
    use super::*;
    use redb::ReadableTableMetadata as _;

    #[test]
    fn a_block_that_changed_nothing_leaves_no_row() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let database = redb::Database::create(file.path()).unwrap();
        let tx = database.begin_write().unwrap();
        let slots = vec![(B256::repeat_byte(1), B256::repeat_byte(6), U256::from(7))];
        push(&tx, 1, &Flat { slots, ..Flat::default() }).unwrap();
        for height in 2..100 {
            push(&tx, height, &Flat::default()).unwrap();
        }
        let rows = |tx: &WriteTransaction| tx.open_table(WRITE_BUFFER).unwrap().len().unwrap();
        assert_eq!(rows(&tx), 1);
        fold(&tx).unwrap();
        assert_eq!(rows(&tx), 0);
    }

    #[test]
    fn what_a_block_changed_reads_back_and_no_part_of_it_does() {
        let key = B256::repeat_byte;
        let account = FlatAccount { nonce: 3, balance: U256::from(4), code_hash: key(5) };
        let flat = Flat {
            accounts: vec![(key(1), Some(account)), (key(2), None)],
            wiped: vec![key(2)],
            slots: vec![(key(1), key(6), U256::from(7)), (key(1), key(8), U256::ZERO)],
            codes: Vec::new(),
        };
        let row = encode(&flat);
        let read = decode(&row).unwrap();
        assert_eq!((&read.accounts, &read.wiped, &read.slots), (&flat.accounts, &flat.wiped, &flat.slots));
        assert!((0..row.len()).all(|at| decode(&row[..at]).is_none()));
        assert!(decode(&[row, vec![0]].concat()).is_none());
    }
}
