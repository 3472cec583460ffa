//! Blocks, transactions and receipts.

use super::budget::{self, WorkBudget};
use super::errors::RpcRefusal;
use super::params::{BlockSelector, Params, flag, hash, quantity};
use super::render::{self, Block, Place, Transaction};
use super::{Backend, Session};
use crate::machine::{BLOCK_GAS_MAX, Receipt, StoreError};
use alloy_primitives::keccak256;
use serde_json::{Value, json};

/// Most blocks of a fee history.
pub const FEE_BLOCKS_MAX: u64 = 128;
/// Most percentiles of a fee history.
const PERCENTILES_MAX: usize = 100;

impl Backend {
    /// The height of a block there is.
    pub(super) fn height(&self, at: BlockSelector) -> Result<Option<u64>, RpcRefusal> {
        let tip = self.machine.tip().height;
        Ok(match at {
            BlockSelector::Tip | BlockSelector::Pending => Some(tip),
            BlockSelector::Height(height) => Some(height).filter(|height| *height <= tip),
            // A block is stored a moment before it is seen.
            BlockSelector::Digest(digest) => {
                self.machine.height_of(&digest.0)?.filter(|height| *height <= tip)
            }
        })
    }

    pub(super) fn block_at(&self, height: u64, work: &mut WorkBudget) -> Result<Block, RpcRefusal> {
        work.spend(budget::BLOCK)?;
        let header = self.machine.header(height)?;
        let Some(header) = header else {
            let from = self.machine.kept()?.headers;
            return Err(RpcRefusal::pruned(&format!("block {height} is pruned"), from));
        };
        Block::read(header)
    }

    /// A block's transactions, or that they are not kept any more.
    pub(super) fn transactions_of(&self, block: &Block) -> Result<Vec<Vec<u8>>, RpcRefusal> {
        let transactions = self.machine.transactions(block.header.height)?;
        let empty = self.machine.genesis_header().transactions_root;
        if transactions.is_empty() && block.header.transactions_root != empty {
            return Err(self.pruned_body(block.header.height)?);
        }
        Ok(transactions)
    }

    pub(super) fn receipts_of(&self, block: &Block, count: usize) -> Result<Vec<Receipt>, RpcRefusal> {
        let receipts = self.machine.receipts(block.header.height)?;
        if receipts.len() == count { Ok(receipts) } else { Err(self.pruned_body(block.header.height)?) }
    }

    fn pruned_body(&self, height: u64) -> Result<RpcRefusal, RpcRefusal> {
        let from = self.machine.kept()?.bodies;
        let what = format!("the transactions of block {height} are not kept here any more");
        Ok(RpcRefusal::pruned(&what, from))
    }
}

impl Session<'_> {
    /// The block a first parameter names, if there is one.
    fn named(&mut self, params: &Params<'_>) -> Result<Option<Block>, RpcRefusal> {
        let at = params.get(0, "block", super::params::at)?;
        match self.backend.height(at)? {
            None => Ok(None),
            Some(height) => self.backend.block_at(height, &mut self.work).map(Some),
        }
    }

    pub(super) fn block(&mut self, params: Params<'_>) -> Result<Value, RpcRefusal> {
        let params = params.most(2)?;
        let full = params.maybe(1).is_some() && params.get(1, "with transactions", flag)?;
        let Some(block) = self.named(&params)? else { return Ok(Value::Null) };
        let raws = self.backend.transactions_of(&block)?;
        let mut shown = Vec::with_capacity(raws.len());
        for (index, raw) in raws.iter().enumerate() {
            if full {
                let transaction = Transaction::read(raw, &mut self.work)?;
                shown.push(transaction.show(Some(Place { block: &block, index }), &mut self.work)?);
            } else {
                self.work.bytes(70)?;
                shown.push(render::bytes(keccak256(raw).as_slice()));
            }
        }
        let summary = self.backend.machine.summary(block.header.height)?;
        block.show(&summary, shown, raws.iter().map(Vec::len).sum(), &mut self.work)
    }

    pub(super) fn transactions_in_block(&mut self, params: Params<'_>) -> Result<Value, RpcRefusal> {
        let Some(block) = self.named(&params.most(1)?)? else { return Ok(Value::Null) };
        Ok(render::quantity(self.backend.transactions_of(&block)?.len() as u64))
    }

    pub(super) fn transaction_in_block(&mut self, params: Params<'_>) -> Result<Value, RpcRefusal> {
        let index = params.most(2)?.get(1, "index", quantity)?;
        let Some(block) = self.named(&params)? else { return Ok(Value::Null) };
        self.show_transaction(&block, index)
    }

    fn show_transaction(&mut self, block: &Block, index: u64) -> Result<Value, RpcRefusal> {
        let raws = self.backend.transactions_of(block)?;
        let Some((index, raw)) = usize::try_from(index).ok().and_then(|at| raws.get(at).map(|raw| (at, raw)))
        else {
            return Ok(Value::Null);
        };
        Transaction::read(raw, &mut self.work)?.show(Some(Place { block, index }), &mut self.work)
    }

    pub(super) fn transaction(&mut self, params: Params<'_>) -> Result<Value, RpcRefusal> {
        let name = params.most(1)?.get(0, "transaction hash", hash)?;
        // What waits is looked up first: a commit between the two questions is then seen by the second.
        let waiting = self.backend.pool.waiting_bytes(&name.0);
        if let Some((height, index)) = self.backend.machine.place(&name.0)? {
            let block = self.backend.block_at(height, &mut self.work)?;
            return self.show_transaction(&block, u64::from(index));
        }
        let Some(raw) = waiting else { return Ok(Value::Null) };
        Transaction::read(&raw, &mut self.work)?.show(None, &mut self.work)
    }

    pub(super) fn receipt(&mut self, params: Params<'_>) -> Result<Value, RpcRefusal> {
        let name = params.most(1)?.get(0, "transaction hash", hash)?;
        let Some((height, index)) = self.backend.machine.place(&name.0)? else { return Ok(Value::Null) };
        let block = self.backend.block_at(height, &mut self.work)?;
        let raws = self.backend.transactions_of(&block)?;
        let receipts = self.backend.receipts_of(&block, raws.len())?;
        self.work.spend(budget::RECEIPT.saturating_mul(receipts.len() as u64))?;
        let index = index as usize;
        let (Some(raw), Some(receipt)) = (raws.get(index), receipts.get(index)) else {
            return Err(StoreError::Damaged("a transaction is not where it should be").into());
        };
        let before = totals(&receipts[..index]);
        let transaction = Transaction::read(raw, &mut self.work)?;
        transaction.show_receipt(Place { block: &block, index }, receipt, before, &mut self.work)
    }

    pub(super) fn block_receipts(&mut self, params: Params<'_>) -> Result<Value, RpcRefusal> {
        let Some(block) = self.named(&params.most(1)?)? else { return Ok(Value::Null) };
        let raws = self.backend.transactions_of(&block)?;
        let receipts = self.backend.receipts_of(&block, raws.len())?;
        let (mut before, mut shown) = ((0, 0), Vec::with_capacity(raws.len()));
        for (index, (raw, receipt)) in raws.iter().zip(&receipts).enumerate() {
            self.work.spend(budget::RECEIPT)?;
            let transaction = Transaction::read(raw, &mut self.work)?;
            let place = Place { block: &block, index };
            shown.push(transaction.show_receipt(place, receipt, before, &mut self.work)?);
            let more = totals(std::slice::from_ref(receipt));
            before = (before.0 + more.0, before.1 + more.1);
        }
        Ok(Value::Array(shown))
    }

    /// Blocks here have no uncles.
    pub(super) fn no_uncles(&mut self, params: Params<'_>) -> Result<Value, RpcRefusal> {
        let block = self.named(&params.most(1)?)?;
        Ok(block.map_or(Value::Null, |_| json!("0x0")))
    }

    pub(super) fn no_uncle(&mut self, params: Params<'_>) -> Result<Value, RpcRefusal> {
        params.most(2)?.get(1, "index", quantity)?;
        self.named(&params).map(|_| Value::Null)
    }

    /// What was paid for gas: nothing, ever.
    pub(super) fn fee_history(&mut self, params: Params<'_>) -> Result<Value, RpcRefusal> {
        let count = params.most(3)?.get(0, "number of blocks", |value| match value.as_u64() {
            Some(count) => Ok(count),
            None => quantity(value),
        })?;
        let newest = params.get(1, "newest block", super::params::at)?;
        let percentiles = match params.maybe(2) {
            None => 0,
            Some(_) => params.get(2, "percentiles", |value| {
                let one = |value: &Value| {
                    let fits = value.as_f64().is_some_and(|one| (0.0..=100.0).contains(&one));
                    if fits { Ok(()) } else { Err(super::params::Wrong("has one outside 0 to 100".into())) }
                };
                super::params::list(value, PERCENTILES_MAX, one).map(|list| list.len())
            })?,
        };
        let Some(newest) = self.backend.height(newest)? else {
            return Err(RpcRefusal::not_found("there is no such block yet"));
        };
        let count = count.min(FEE_BLOCKS_MAX).min(newest + 1);
        // A shorter history than was asked for is allowed where the rest is not there.
        let kept_from = self.backend.machine.kept()?.summaries;
        if newest < kept_from {
            return Err(RpcRefusal::pruned(&format!("what block {newest} used is pruned"), kept_from));
        }
        let count = count.min(newest + 1 - kept_from);
        let oldest = newest + 1 - count;
        let rows = usize::try_from(count).unwrap_or(0);
        self.work.spend(budget::HEIGHT * count)?;
        self.work.bytes((rows + 1) * (32 + 8 * percentiles))?;
        let mut used = Vec::with_capacity(rows);
        for height in oldest..oldest + count {
            let gas = self.backend.machine.summary(height)?.gas;
            #[allow(clippy::cast_precision_loss, reason = "a ratio for a chart; both are below 2^53")]
            used.push(gas as f64 / BLOCK_GAS_MAX as f64);
        }
        let mut shown = json!({
            "oldestBlock": render::quantity(oldest),
            "baseFeePerGas": vec!["0x0"; rows + 1],
            "gasUsedRatio": used,
        });
        if percentiles > 0 {
            shown["reward"] = json!(vec![vec!["0x0"; percentiles]; rows]);
        }
        Ok(shown)
    }
}

/// Gas and events of receipts.
fn totals(receipts: &[Receipt]) -> (u64, usize) {
    receipts.iter().fold((0, 0), |(gas, logs), receipt| (gas + receipt.gas, logs + receipt.logs.len()))
}
