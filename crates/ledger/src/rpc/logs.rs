//! Events.

use super::budget::{self, WorkBudget};
use super::errors::RpcRefusal;
use super::params::{BlockSelector, Params, Wrong, address, at, field, hash, list};
use super::render::{Place, show_log};
use super::{Backend, Session};
use alloy_primitives::{Address, B256, Bloom, BloomInput, Log, keccak256};
use serde_json::{Map, Value};
use std::ops::RangeInclusive;

/// Blocks with transactions that are looked at before their work is counted.
const PAGE_BLOCKS: usize = 1_024;
/// Most events of one answer.
pub const LOGS_MAX: usize = 10_000;
/// Most addresses, and most alternatives for one topic.
pub const WANTED_MAX: usize = 64;

/// Which events: an empty list stands for any.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    addresses: Vec<Address>,
    topics: Vec<Vec<B256>>,
    /// For each list that is not empty, what must be in a block's bloom: one of these.
    blooms: Vec<Vec<Bloom>>,
}

/// Which blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Span {
    /// From one to another, each the newest if left out.
    Range(BlockSelector, BlockSelector),
    /// This one.
    Block(B256),
}

fn one_or_more<'a, T>(
    value: &'a Value,
    read: impl Fn(&'a Value) -> Result<T, Wrong>,
) -> Result<Vec<T>, Wrong> {
    match value {
        Value::Array(_) => list(value, WANTED_MAX, read),
        one => read(one).map(|one| vec![one]),
    }
}

impl Wanted {
    pub(super) fn read(object: &Map<String, Value>) -> Result<Self, Wrong> {
        let addresses = field(object, "address", |value| one_or_more(value, address))?.unwrap_or_default();
        let position = |value: &Value| match value {
            Value::Null => Ok(Vec::new()),
            // Any of these; a null among them stands for any at all.
            Value::Array(several) if several.iter().any(Value::is_null) => Ok(Vec::new()),
            other => one_or_more(other, hash),
        };
        let topics = |value| list(value, 4, position);
        let topics = field(object, "topics", topics)?.unwrap_or_default();
        let of = |bytes: &[u8]| Bloom::from(BloomInput::Raw(bytes));
        let mut blooms = vec![addresses.iter().map(|address| of(address.as_slice())).collect::<Vec<_>>()];
        blooms.extend(topics.iter().map(|any| any.iter().map(|topic| of(topic.as_slice())).collect()));
        blooms.retain(|any| !any.is_empty());
        Ok(Self { addresses, topics, blooms })
    }

    fn maybe_in(&self, block: &Bloom) -> bool {
        *block != Bloom::ZERO && self.blooms.iter().all(|any| any.iter().any(|bloom| block.contains(bloom)))
    }

    fn is(&self, log: &Log) -> bool {
        let topic = |(at, any): (usize, &Vec<B256>)| match log.topics().get(at) {
            None => false,
            Some(topic) => any.is_empty() || any.contains(topic),
        };
        (self.addresses.is_empty() || self.addresses.contains(&log.address))
            && self.topics.iter().enumerate().all(topic)
    }
}

impl Span {
    pub(super) fn read(object: &Map<String, Value>) -> Result<Self, Wrong> {
        let (from, to) = (field(object, "fromBlock", at)?, field(object, "toBlock", at)?);
        match field(object, "blockHash", hash)? {
            None => Ok(Self::Range(from.unwrap_or(BlockSelector::Tip), to.unwrap_or(BlockSelector::Tip))),
            Some(digest) if from.is_none() && to.is_none() => Ok(Self::Block(digest)),
            Some(_) => Err(Wrong("has blockHash beside fromBlock or toBlock".into())),
        }
    }
}

/// The events asked for.
pub(super) fn read(value: &Value) -> Result<(Wanted, Span), Wrong> {
    let Value::Object(object) = value else { return Err(Wrong("is not an object".into())) };
    Ok((Wanted::read(object)?, Span::read(object)?))
}

impl Backend {
    /// The heights of a span that are there. [`Self::scan`] refuses those whose events are not known here.
    pub(super) fn heights(&self, span: Span) -> Result<Option<RangeInclusive<u64>>, RpcRefusal> {
        let tip = self.machine.tip().height;
        let (from, to) = match span {
            Span::Block(digest) => {
                let height = self.height(BlockSelector::Digest(digest))?;
                let height = height.ok_or_else(|| RpcRefusal::not_found("there is no such block"))?;
                (height, height)
            }
            Span::Range(from, to) => {
                let height = |at| match at {
                    BlockSelector::Height(height) => Ok(height),
                    BlockSelector::Tip | BlockSelector::Pending => Ok(tip),
                    BlockSelector::Digest(_) => {
                        Err(RpcRefusal::params("fromBlock and toBlock are heights or tags"))
                    }
                };
                (height(from)?, height(to)?)
            }
        };
        // The tip may have moved past a toBlock that was the newest a moment ago: that is no mistake.
        if from > to && matches!(span, Span::Range(BlockSelector::Height(_), BlockSelector::Height(_))) {
            return Err(RpcRefusal::params(format!("fromBlock {from} is after toBlock {to}")));
        }
        let to = to.min(tip);
        if from > to {
            return Ok(None);
        }
        Ok(Some(from..=to))
    }

    /// Refuses blocks of which this node does not know any more, or never knew, whether there were events in them.
    /// An answer without those would say that there were none.
    fn refuse_pruned(&self, from: u64, to: u64) -> Result<(), RpcRefusal> {
        let kept_from = self.machine.kept()?.summaries;
        if from >= kept_from {
            return Ok(());
        }
        let last = to.min(kept_from - 1);
        Err(RpcRefusal::pruned(&format!("the events of blocks {from} to {last} are pruned"), kept_from))
    }

    /// The wanted events of a block, added to `found`.
    fn logs_of(
        &self,
        height: u64,
        wanted: &Wanted,
        found: &mut Vec<Value>,
        work: &mut WorkBudget,
    ) -> Result<(), RpcRefusal> {
        let receipts = self.machine.receipts(height)?;
        work.spend(budget::RECEIPT.saturating_mul(receipts.len() as u64))?;
        let logs = receipts.iter().flat_map(|receipt| &receipt.logs);
        if !receipts.is_empty() && !logs.into_iter().any(|log| wanted.is(log)) {
            return Ok(());
        }
        let block = self.block_at(height, work)?;
        let raws = self.transactions_of(&block)?;
        if raws.len() != receipts.len() {
            self.receipts_of(&block, raws.len())?;
        }
        let mut number = 0;
        for (index, (raw, receipt)) in raws.iter().zip(&receipts).enumerate() {
            let mut name = None;
            for log in &receipt.logs {
                if wanted.is(log) {
                    let name = *name.get_or_insert_with(|| keccak256(raw));
                    found.push(show_log(log, Place { block: &block, index }, name, number, work)?);
                }
                number += 1;
            }
        }
        Ok(())
    }

    /// The wanted events of a range, bounded by the blocks that have transactions: others cost nothing. With
    /// `stop_early` a long answer ends after a whole block; gives the height to go on from.
    pub(super) fn scan(
        &self,
        heights: RangeInclusive<u64>,
        wanted: &Wanted,
        stop_early: bool,
        work: &mut WorkBudget,
    ) -> Result<(Vec<Value>, u64), RpcRefusal> {
        let (start, end) = (*heights.start(), *heights.end());
        self.refuse_pruned(start, end)?;
        let found = self.look_through(heights, wanted, stop_early, work)?;
        // A commit may have pruned the first of them meanwhile.
        self.refuse_pruned(start, end)?;
        Ok(found)
    }

    fn look_through(
        &self,
        heights: RangeInclusive<u64>,
        wanted: &Wanted,
        stop_early: bool,
        work: &mut WorkBudget,
    ) -> Result<(Vec<Value>, u64), RpcRefusal> {
        let (start, end) = heights.into_inner();
        let (mut found, mut next) = (Vec::new(), start);
        loop {
            let page = self.machine.heights_with(next..=end, PAGE_BLOCKS, |bloom| wanted.maybe_in(bloom))?;
            if let Err(why) = work.spend(budget::HEIGHT * (1 + page.blocks as u64)) {
                return if stop_early && next > start {
                    Ok((found, next))
                } else {
                    Err(too_far(why, start, next))
                };
            }
            for height in page.heights {
                let before = found.len();
                let read = self.logs_of(height, wanted, &mut found, work);
                let full = found.len() > LOGS_MAX;
                if stop_early && before > 0 && (full || read.is_err()) {
                    found.truncate(before);
                    return Ok((found, height));
                }
                read.map_err(|why| too_far(why, start, height))?;
                if full && !stop_early {
                    return Err(RpcRefusal::impossible(format!(
                        "more than {LOGS_MAX} events are asked for: ask for fewer blocks in a request"
                    )));
                }
            }
            match page.goes_on_at {
                Some(height) => next = height,
                None => return Ok((found, end + 1)),
            }
        }
    }
}

/// Of a question that asks for too much: how far one may go.
fn too_far(why: RpcRefusal, start: u64, next: u64) -> RpcRefusal {
    if !why.is_limit() || next == start {
        return why;
    }
    RpcRefusal::limit(format!(
        "the range holds more than one request may look through: ask for blocks {start} to {}, and for the rest \
         from block {next} on",
        next - 1
    ))
}

impl Session<'_> {
    pub(super) fn logs(&mut self, params: Params<'_>) -> Result<Value, RpcRefusal> {
        let (wanted, span) = params.most(1)?.get(0, "filter", read)?;
        let Some(heights) = self.backend.heights(span)? else { return Ok(Value::Array(Vec::new())) };
        let (found, _) = self.backend.scan(heights, &wanted, false, &mut self.work)?;
        Ok(Value::Array(found))
    }
}
