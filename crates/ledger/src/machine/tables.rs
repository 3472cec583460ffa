//! The tables of the store and how their rows are encoded.

use super::nodes::{CODES, NODES, NodeFault};
use super::state::{Flat, FlatAccount};
use alloy_primitives::{B256, U256};
use redb::{ReadableTable, TableDefinition, WriteTransaction};

pub(super) const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
/// Keccak-256 of address → nonce (8) ‖ balance (32) ‖ code hash (32).
pub(super) const ACCOUNTS: TableDefinition<&[u8; 32], &[u8; 72]> = TableDefinition::new("flat accounts");
/// (Keccak-256 of address, Keccak-256 of slot) → value; absent where zero.
pub(super) const SLOTS: TableDefinition<(&[u8; 32], &[u8; 32]), &[u8; 32]> =
    TableDefinition::new("flat slots");
/// Height → number of the state's root node. A height without one cannot be read at.
pub(super) const ROOTS: TableDefinition<u64, u64> = TableDefinition::new("roots");
/// Height → numbers (8 each, ascending) of the nodes the state before it had and it has no more.
pub(super) const STALE: TableDefinition<u64, &[u8]> = TableDefinition::new("stale nodes");
pub(super) const HEADERS: TableDefinition<u64, &[u8]> = TableDefinition::new("headers");
pub(super) const TRANSACTIONS: TableDefinition<(u64, u32), &[u8]> = TableDefinition::new("transactions");
pub(super) const RECEIPTS: TableDefinition<(u64, u32), &[u8]> = TableDefinition::new("receipts");
/// Transaction hash → (height, index).
pub(super) const PLACES: TableDefinition<&[u8; 32], (u64, u32)> = TableDefinition::new("places");
/// Height → accounts changed, accounts emptied, slots changed; each list with its length (4) before it.
pub(super) const WRITE_BUFFER: TableDefinition<u64, &[u8]> = TableDefinition::new("late flat changes");

/// Digest of a header → its height.
pub(super) const HEIGHTS: TableDefinition<&[u8; 32], u64> = TableDefinition::new("heights");
/// Height → gas used (8) ‖ Ethereum logs bloom (256); absent where a block has no transactions.
pub(super) const SUMMARIES: TableDefinition<u64, &[u8; SUMMARY_BYTES]> = TableDefinition::new("summaries");
pub(super) const SUMMARY_BYTES: usize = 8 + 256;

/// Single values: bodies, and headers, below these heights are removed.
pub(super) const PRUNED_BODIES: &str = "bodies removed below";
pub(super) const PRUNED_HEADERS: &str = "headers removed below";

/// Why the store does not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk or the file fails.
    #[error("the ledger's store failed: {0}")]
    Io(#[from] redb::Error),
    /// The file is not what was written: restore or resync.
    #[error("the ledger's store is damaged: {0}")]
    Damaged(&'static str),
    /// A part of the trie is not what was written: the next start rebuilds it from the flat state.
    #[error("the ledger's store is damaged: {0}; the next start rebuilds the trie from the flat state")]
    Node(#[from] NodeFault),
    /// The folder belongs to another ledger.
    #[error("the ledger's folder belongs to the ledger {found}, not to {wanted}")]
    OtherGenesis {
        /// Whose it is.
        found: String,
        /// Whose it should be.
        wanted: String,
    },
    /// Another build's file.
    #[error("the ledger's folder was written by an older build: create the ledger again or fetch a snapshot")]
    OldFormat,
    /// Pruned, or not there yet.
    #[error("the state after block {height} is not kept: only those of the last {kept} blocks are")]
    NotKept {
        /// The height asked for.
        height: u64,
        /// How many are kept.
        kept: u64,
    },
}

macro_rules! io {
    ($result:expr) => {
        $result.map_err(|error| $crate::machine::StoreError::Io(error.into()))
    };
}
pub(super) use io;

/// A number in the table of single values.
pub(super) fn number(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
    key: &str,
) -> Result<Option<u64>, StoreError> {
    let Some(bytes) = io!(meta.get(key))? else { return Ok(None) };
    let bytes = bytes.value().try_into().map_err(|_| StoreError::Damaged("a number is no number"))?;
    Ok(Some(u64::from_be_bytes(bytes)))
}

/// Creates the tables that a new ledger does not write to.
pub(super) fn create_tables(tx: &WriteTransaction) -> Result<(), StoreError> {
    for table in [TRANSACTIONS, RECEIPTS] {
        io!(tx.open_table(table))?;
    }
    io!(tx.open_table(PLACES))?;
    io!(tx.open_table(WRITE_BUFFER))?;
    io!(tx.open_table(STALE))?;
    io!(tx.open_table(ROOTS))?;
    io!(tx.open_table(NODES))?;
    io!(tx.open_table(CODES))?;
    Ok(())
}

pub(super) fn write_flat(tx: &WriteTransaction, flat: &Flat) -> Result<(), StoreError> {
    let mut accounts = io!(tx.open_table(ACCOUNTS))?;
    let mut slots = io!(tx.open_table(SLOTS))?;
    let mut codes = io!(tx.open_table(CODES))?;
    for (hash, code) in &flat.codes {
        io!(codes.insert(&hash.0, code.original_byte_slice()))?;
    }
    let gone = flat.accounts.iter().filter(|(_, account)| account.is_none()).map(|(key, _)| key);
    for key in gone.chain(&flat.wiped) {
        io!(slots.retain_in((&key.0, &[0; 32])..=(&key.0, &[0xff; 32]), |_, _| false))?;
    }
    for (key, account) in &flat.accounts {
        match account {
            Some(account) => io!(accounts.insert(&key.0, &write_account(account)))?,
            None => io!(accounts.remove(&key.0))?,
        };
    }
    for (account, slot, value) in &flat.slots {
        let key = (&account.0, &slot.0);
        if value.is_zero() {
            io!(slots.remove(key))?;
        } else {
            io!(slots.insert(key, &value.to_be_bytes()))?;
        }
    }
    Ok(())
}

pub(super) fn write_account(account: &FlatAccount) -> [u8; 72] {
    let mut out = [0; 72];
    out[..8].copy_from_slice(&account.nonce.to_be_bytes());
    out[8..40].copy_from_slice(&account.balance.to_be_bytes::<32>());
    out[40..].copy_from_slice(account.code_hash.as_slice());
    out
}

pub(super) fn read_account(bytes: &[u8; 72]) -> FlatAccount {
    let mut nonce = [0; 8];
    nonce.copy_from_slice(&bytes[..8]);
    FlatAccount {
        nonce: u64::from_be_bytes(nonce),
        balance: U256::from_be_slice(&bytes[8..40]),
        code_hash: B256::from_slice(&bytes[40..]),
    }
}
