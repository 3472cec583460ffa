//! The indexes for blocks, transactions and events, written with their block.

use super::super::receipt::Receipt;
use super::super::tables::{HEADERS, HEIGHTS, PLACES, RECEIPTS, SUMMARIES, SUMMARY_BYTES, StoreError, io};
use super::Store;
use alloy_primitives::Bloom;
use redb::ReadableDatabase;
use vitals::ids::Hash;
use vitals::proof::header::BlockHeader;

/// Gas and events of a block's transactions, in short.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Gas they used.
    pub gas: u64,
    /// Ethereum's logs bloom of the addresses and topics of their events: no event is missed, and there are
    /// some false positives.
    pub bloom: Bloom,
}

/// Blocks whose events may be wanted.
#[derive(Debug, Default)]
pub struct FoundHeights {
    /// Their heights, ascending.
    pub heights: Vec<u64>,
    /// Blocks looked at.
    pub blocks: usize,
    /// The first block that was not looked at any more, if the range has one.
    pub goes_on_at: Option<u64>,
}

impl Summary {
    pub(crate) fn of(receipts: &[Receipt]) -> Self {
        let mut summary = Self::default();
        for receipt in receipts {
            summary.gas = summary.gas.saturating_add(receipt.gas);
            for log in &receipt.logs {
                summary.bloom.accrue_log(log);
            }
        }
        summary
    }

    fn read(bytes: &[u8; SUMMARY_BYTES]) -> Self {
        let mut gas = [0; 8];
        gas.copy_from_slice(&bytes[..8]);
        Self { gas: u64::from_be_bytes(gas), bloom: Bloom::from_slice(&bytes[8..]) }
    }

    fn write(&self) -> [u8; SUMMARY_BYTES] {
        let mut out = [0; SUMMARY_BYTES];
        out[..8].copy_from_slice(&self.gas.to_be_bytes());
        out[8..].copy_from_slice(self.bloom.as_slice());
        out
    }
}

/// Indexes a block, in the transaction that writes it.
pub(in super::super) fn note(
    tx: &redb::WriteTransaction,
    header: &BlockHeader,
    receipts: &[Receipt],
) -> Result<(), StoreError> {
    io!(io!(tx.open_table(HEIGHTS))?.insert(&header.digest(), header.height))?;
    let mut summaries = io!(tx.open_table(SUMMARIES))?;
    if !receipts.is_empty() {
        io!(summaries.insert(header.height, &Summary::of(receipts).write()))?;
    }
    Ok(())
}

impl Store {
    /// The height of the block with this digest.
    pub(crate) fn height_of(&self, digest: &Hash) -> Result<Option<u64>, StoreError> {
        let tx = io!(self.database.begin_read())?;
        let heights = io!(tx.open_table(HEIGHTS))?;
        Ok(io!(heights.get(digest))?.map(|height| height.value()))
    }

    /// Where a transaction stands: height and index.
    pub(crate) fn place(&self, transaction: &Hash) -> Result<Option<(u64, u32)>, StoreError> {
        let tx = io!(self.database.begin_read())?;
        let places = io!(tx.open_table(PLACES))?;
        Ok(io!(places.get(transaction))?.map(|place| place.value()))
    }

    pub(crate) fn summary(&self, height: u64) -> Result<Summary, StoreError> {
        let tx = io!(self.database.begin_read())?;
        let summaries = io!(tx.open_table(SUMMARIES))?;
        Ok(io!(summaries.get(height))?.map_or_else(Summary::default, |row| Summary::read(row.value())))
    }

    /// Heights in a range whose events may be wanted; looks at no more than `blocks_max` blocks.
    pub(crate) fn heights_with(
        &self,
        heights: std::ops::RangeInclusive<u64>,
        blocks_max: usize,
        wanted: impl Fn(&Bloom) -> bool,
    ) -> Result<FoundHeights, StoreError> {
        let tx = io!(self.database.begin_read())?;
        let mut found = FoundHeights::default();
        for row in io!(io!(tx.open_table(SUMMARIES))?.range(heights))? {
            let (height, summary) = io!(row)?;
            if found.blocks == blocks_max {
                found.goes_on_at = Some(height.value());
                break;
            }
            found.blocks += 1;
            if wanted(&Summary::read(summary.value()).bloom) {
                found.heights.push(height.value());
            }
        }
        Ok(found)
    }

    /// Receipts of a height, in order.
    pub(crate) fn receipts(&self, height: u64) -> Result<Vec<Receipt>, StoreError> {
        let tx = io!(self.database.begin_read())?;
        let table = io!(tx.open_table(RECEIPTS))?;
        let mut out = Vec::new();
        for row in io!(table.range((height, 0)..=(height, u32::MAX)))? {
            let receipt = Receipt::decode(io!(row)?.1.value())
                .map_err(|_| StoreError::Damaged("a receipt is unreadable"))?;
            out.push(receipt);
        }
        Ok(out)
    }

    /// Header bytes of the heights in a range, ascending.
    pub(crate) fn headers(&self, heights: std::ops::RangeInclusive<u64>) -> Result<Vec<Vec<u8>>, StoreError> {
        let tx = io!(self.database.begin_read())?;
        let mut out = Vec::new();
        for row in io!(io!(tx.open_table(HEADERS))?.range(heights))? {
            out.push(io!(row)?.1.value().to_vec());
        }
        Ok(out)
    }
}
