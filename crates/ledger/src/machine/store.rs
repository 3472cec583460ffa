//! The ledger on disk: one redb file, one transaction per height, durable before it is visible.

use super::execute::Executed;
use super::receipt::Receipt;
use super::state::{FlatAccount, State};
use alloy_primitives::{Address, B256, U256};
use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use revm::database::states::changes::StateChangeset;
use revm::state::Bytecode;
use std::path::Path;
use vitals::ids::{Genesis, Hash};
use vitals::proof::header::{BlockHeader, digest};

/// Name of the file in the ledger's folder.
const FILE: &str = "state.redb";

const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
/// Address → nonce (8) ‖ balance (32) ‖ code hash (32).
const ACCOUNTS: TableDefinition<&[u8; 20], &[u8; 72]> = TableDefinition::new("accounts");
/// (Address, slot) → value; absent where zero.
const SLOTS: TableDefinition<(&[u8; 20], &[u8; 32]), &[u8; 32]> = TableDefinition::new("slots");
const CODES: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("codes");
const HEADERS: TableDefinition<u64, &[u8]> = TableDefinition::new("headers");
const TRANSACTIONS: TableDefinition<(u64, u32), &[u8]> = TableDefinition::new("transactions");
const RECEIPTS: TableDefinition<(u64, u32), &[u8]> = TableDefinition::new("receipts");
/// Transaction hash → (height, index).
const PLACES: TableDefinition<&[u8; 32], (u64, u32)> = TableDefinition::new("places");

/// Why the store does not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk or the file fails: the operator's move.
    #[error("the ledger's store failed: {0}")]
    Io(#[from] redb::Error),
    /// The file is not what was written: restore or resync.
    #[error("the ledger's store is damaged: {0}")]
    Damaged(&'static str),
    /// The folder belongs to another ledger.
    #[error("the ledger's folder belongs to the ledger {found}, not to {wanted}")]
    OtherGenesis {
        /// Whose it is.
        found: String,
        /// Whose it should be.
        wanted: String,
    },
}

macro_rules! io {
    ($result:expr) => {
        $result.map_err(|error| StoreError::Io(error.into()))
    };
}

#[derive(Debug)]
pub(crate) struct Store(Database);

impl Store {
    pub(crate) fn open(dir: &Path) -> Result<Self, StoreError> {
        // Reads the whole file: every page must have its checksum, or nothing is opened.
        Ok(Self(io!(Database::builder().set_check_integrity_on_open(true).create(dir.join(FILE)))?))
    }

    /// The state at the stored tip and its header, or nothing in a new store.
    pub(crate) fn load(&self, genesis: Genesis) -> Result<Option<(State, BlockHeader)>, StoreError> {
        let tx = io!(self.0.begin_read())?;
        let meta = match tx.open_table(META) {
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
            other => io!(other)?,
        };
        let found = io!(meta.get("genesis"))?.ok_or(StoreError::Damaged("no genesis hash"))?;
        if found.value() != genesis.0 {
            let found = Genesis::from_slice(found.value()).ok_or(StoreError::Damaged("genesis hash"))?;
            return Err(StoreError::OtherGenesis { found: found.to_string(), wanted: genesis.to_string() });
        }
        let mut state = State::default();
        for row in io!(io!(tx.open_table(CODES))?.iter())? {
            let (hash, code) = io!(row)?;
            let bytes = code.value().to_vec();
            if alloy_primitives::keccak256(&bytes) != *hash.value() {
                return Err(StoreError::Damaged("contract code"));
            }
            state.load_code(B256::from(hash.value()), Bytecode::new_raw(bytes.into()));
        }
        for row in io!(io!(tx.open_table(SLOTS))?.iter())? {
            let (key, value) = io!(row)?;
            let (address, slot) = key.value();
            let value = U256::from_be_bytes(*value.value());
            state.load_slot(Address::from(address), &B256::from(slot), &value);
        }
        for row in io!(io!(tx.open_table(ACCOUNTS))?.iter())? {
            let (address, account) = io!(row)?;
            state.set_account(&Address::from(address.value()), &read_account(account.value()));
        }
        let headers = io!(tx.open_table(HEADERS))?;
        let (_, header) = io!(headers.last())?.ok_or(StoreError::Damaged("no header"))?;
        let header =
            BlockHeader::decode(header.value()).map_err(|_| StoreError::Damaged("the newest header"))?;
        if state.root() != header.state_root {
            return Err(StoreError::Damaged("the state does not have the root its header names"));
        }
        Ok(Some((state, header)))
    }

    /// Writes height 0.
    pub(crate) fn found(
        &self,
        genesis: Genesis,
        header: &BlockHeader,
        changes: &StateChangeset,
    ) -> Result<(), StoreError> {
        self.write(|tx| {
            io!(io!(tx.open_table(META))?.insert("genesis", genesis.0.as_slice()))?;
            for table in [TRANSACTIONS, RECEIPTS] {
                io!(tx.open_table(table))?;
            }
            io!(tx.open_table(PLACES))?;
            io!(io!(tx.open_table(HEADERS))?.insert(0, header.encode().as_slice()))?;
            write_changes(tx, changes)
        })
    }

    /// Writes one block and what it changed, all or nothing, durable on return.
    pub(crate) fn append(
        &self,
        header: &BlockHeader,
        txs: &[impl AsRef<[u8]>],
        executed: &Executed,
    ) -> Result<(), StoreError> {
        self.write(|tx| {
            let height = header.height;
            io!(io!(tx.open_table(HEADERS))?.insert(height, header.encode().as_slice()))?;
            let mut transactions = io!(tx.open_table(TRANSACTIONS))?;
            let mut receipts = io!(tx.open_table(RECEIPTS))?;
            let mut places = io!(tx.open_table(PLACES))?;
            let rows = txs.iter().zip(&executed.encoded).zip(&executed.hashes);
            for (index, ((raw, receipt), hash)) in (0u32..).zip(rows) {
                io!(transactions.insert((height, index), raw.as_ref()))?;
                io!(receipts.insert((height, index), receipt.as_slice()))?;
                io!(places.insert(hash, (height, index)))?;
            }
            write_changes(tx, &executed.changes)
        })
    }

    fn write(
        &self,
        fill: impl FnOnce(&redb::WriteTransaction) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut tx = io!(self.0.begin_write())?;
        io!(tx.set_durability(Durability::Immediate))?;
        fill(&tx)?;
        io!(tx.commit())
    }

    pub(crate) fn header(&self, height: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let tx = io!(self.0.begin_read())?;
        let headers = io!(tx.open_table(HEADERS))?;
        Ok(io!(headers.get(height))?.map(|header| header.value().to_vec()))
    }

    pub(crate) fn digest(&self, height: u64) -> Result<Option<Hash>, StoreError> {
        Ok(self.header(height)?.map(|header| digest(&header)))
    }

    pub(crate) fn transactions(&self, height: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        let tx = io!(self.0.begin_read())?;
        let table = io!(tx.open_table(TRANSACTIONS))?;
        let mut out = Vec::new();
        for row in io!(table.range((height, 0)..=(height, u32::MAX)))? {
            out.push(io!(row)?.1.value().to_vec());
        }
        Ok(out)
    }

    /// Where a transaction stands and what it did.
    pub(crate) fn receipt(&self, hash: &Hash) -> Result<Option<(u64, Receipt)>, StoreError> {
        let tx = io!(self.0.begin_read())?;
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

fn write_changes(tx: &redb::WriteTransaction, changes: &StateChangeset) -> Result<(), StoreError> {
    let mut accounts = io!(tx.open_table(ACCOUNTS))?;
    let mut slots = io!(tx.open_table(SLOTS))?;
    let mut codes = io!(tx.open_table(CODES))?;
    for (hash, code) in &changes.contracts {
        io!(codes.insert(&hash.0, code.original_byte_slice()))?;
    }
    let wipe = |slots: &mut redb::Table<'_, (&[u8; 20], &[u8; 32]), &[u8; 32]>, address: &Address| {
        let address = &address.0.0;
        io!(slots.retain_in((address, &[0; 32])..=(address, &[0xff; 32]), |_, _| false))
    };
    for (address, account) in &changes.accounts {
        match account {
            Some(info) => io!(accounts.insert(&address.0.0, &write_account(&info.into())))?,
            None => {
                wipe(&mut slots, address)?;
                io!(accounts.remove(&address.0.0))?
            }
        };
    }
    for change in &changes.storage {
        if change.wipe_storage {
            wipe(&mut slots, &change.address)?;
        }
        for (slot, value) in &change.storage {
            let key = (&change.address.0.0, &slot.to_be_bytes());
            if value.is_zero() {
                io!(slots.remove(key))?;
            } else {
                io!(slots.insert(key, &value.to_be_bytes()))?;
            }
        }
    }
    Ok(())
}

fn write_account(account: &FlatAccount) -> [u8; 72] {
    let mut out = [0; 72];
    out[..8].copy_from_slice(&account.nonce.to_be_bytes());
    out[8..40].copy_from_slice(&account.balance.to_be_bytes::<32>());
    out[40..].copy_from_slice(account.code_hash.as_slice());
    out
}

fn read_account(bytes: &[u8; 72]) -> FlatAccount {
    let mut nonce = [0; 8];
    nonce.copy_from_slice(&bytes[..8]);
    FlatAccount {
        nonce: u64::from_be_bytes(nonce),
        balance: U256::from_be_slice(&bytes[8..40]),
        code_hash: B256::from_slice(&bytes[40..]),
    }
}
