//! Removes what the configuration no longer keeps, a bounded part with every commit and in its transaction:
//! bodies, receipts and headers of old blocks, and nodes of states that can no longer be read.
//!
//! A node that was replaced lies among others that were not. Removing one at a time costs a page each, so
//! the stale nodes of many heights are gathered, sorted, and removed in that order, neighbours together.

use super::Config;
use super::nodes::NODES;
use super::tables::{
    HEADERS, HEIGHTS, META, PLACES, PRUNED_BODIES, PRUNED_HEADERS, RECEIPTS, ROOTS, STALE, SUMMARIES,
    StoreError, TRANSACTIONS, io, number,
};
use alloy_primitives::keccak256;
use redb::{ReadableTable, WriteTransaction};
use vitals::proof::header::{BlockHeader, digest};

/// Most stale nodes of one sweep: eight megabytes of numbers.
const SWEEP_NODES_MAX: usize = 1 << 20;
/// Nodes a commit removes, beside twice what it made stale.
const SWEEP_STEP_NODES: usize = 256;
/// Heights whose bodies, and whose headers, one commit removes at most: enough to catch up with a new policy.
const STEP_HEIGHTS: u64 = 16;

#[derive(Debug)]
pub(super) struct Pruner {
    keep_states: u64,
    keep_bodies: Option<u64>,
    keep_headers: Option<u64>,
    /// Numbers to remove, descending: the next one last.
    sweep: Vec<u64>,
    /// The sweep is done once rows up to this height are removed too.
    sweep_through: u64,
    /// Height at which the next sweep may be gathered.
    gather_at: u64,
}

impl Pruner {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            keep_states: config.keep_states.max(1),
            keep_bodies: config.keep_bodies,
            // A state is found by its header, a body shown with it.
            keep_headers: config
                .keep_headers
                .map(|keep| keep.max(config.keep_states).max(config.keep_bodies.unwrap_or(u64::MAX))),
            sweep: Vec::new(),
            sweep_through: 0,
            // Leftovers from before the restart are gathered with the first commit.
            gather_at: 0,
        }
    }

    /// The trie was rebuilt: nothing is stale.
    pub(super) fn restart(&mut self) {
        self.sweep.clear();
    }

    /// The part of one commit; numbers of the nodes that it removes. `oldest` is the lowest height somebody reads at,
    /// `stale` what the commit made stale.
    pub(super) fn step(
        &mut self,
        tx: &WriteTransaction,
        height: u64,
        oldest: u64,
        stale: usize,
    ) -> Result<Vec<u64>, StoreError> {
        let first_kept = height.saturating_sub(self.keep_states - 1).min(oldest);
        let mut roots = io!(tx.open_table(ROOTS))?;
        io!(roots.retain_in(..first_kept, |_, _| false))?;
        if self.sweep.is_empty() && height >= self.gather_at {
            self.gather(tx, first_kept)?;
            // The more heights, the more neighbours: half as many again as are kept wait on disk.
            self.gather_at = height + self.keep_states.div_ceil(2);
        }
        let mut removed = Vec::new();
        if !self.sweep.is_empty() {
            let mut nodes = io!(tx.open_table(NODES))?;
            for _ in 0..2 * stale + SWEEP_STEP_NODES {
                let Some(id) = self.sweep.pop() else { break };
                io!(nodes.remove(id))?;
                removed.push(id);
            }
            if self.sweep.is_empty() {
                io!(io!(tx.open_table(STALE))?.retain_in(..=self.sweep_through, |_, _| false))?;
            }
        }
        if let Some(keep) = self.keep_bodies {
            delete(tx, PRUNED_BODIES, (height + 1).saturating_sub(keep), delete_body)?;
        }
        if let Some(keep) = self.keep_headers {
            // The header of a state that somebody reads at stays too.
            delete(tx, PRUNED_HEADERS, (height + 1).saturating_sub(keep).min(first_kept), delete_header)?;
        }
        Ok(removed)
    }

    /// Nodes that no state from `first_kept` on has.
    fn gather(&mut self, tx: &WriteTransaction, first_kept: u64) -> Result<(), StoreError> {
        // The nodes of a row belong to the state before its height.
        for row in io!(io!(tx.open_table(STALE))?.range(..=first_kept))? {
            let (height, ids) = io!(row)?;
            let ids = ids.value().chunks_exact(8);
            if !self.sweep.is_empty() && self.sweep.len() + ids.len() > SWEEP_NODES_MAX {
                break;
            }
            self.sweep.extend(ids.filter_map(|id| id.try_into().ok()).map(u64::from_be_bytes));
            self.sweep_through = height.value();
        }
        self.sweep.sort_unstable_by(|one, other| other.cmp(one));
        Ok(())
    }
}

/// Deletes something of the heights below `first_kept`, the oldest first, and notes how far that is done.
fn delete(
    tx: &WriteTransaction,
    done: &'static str,
    first_kept: u64,
    of: impl Fn(&WriteTransaction, u64) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let (from, base) = {
        let meta = io!(tx.open_table(META))?;
        (number(&meta, done)?.unwrap_or(0), number(&meta, "base")?.unwrap_or(0))
    };
    // Of the blocks up to a snapshot nothing was ever here.
    let from = from.max(base);
    let to = first_kept.min(from + STEP_HEIGHTS);
    if from >= to {
        return Ok(());
    }
    for height in from..to {
        of(tx, height)?;
    }
    io!(io!(tx.open_table(META))?.insert(done, to.to_be_bytes().as_slice()))?;
    Ok(())
}

/// Deletes transactions, receipts, places and events of a block. What they were in short stays with its header: it
/// tells whether a question about events concerns the block.
fn delete_body(tx: &WriteTransaction, height: u64) -> Result<(), StoreError> {
    let of_height = (height, 0)..=(height, u32::MAX);
    let mut transactions = io!(tx.open_table(TRANSACTIONS))?;
    let mut hashes = Vec::new();
    for row in io!(transactions.range(of_height.clone()))? {
        hashes.push(keccak256(io!(row)?.1.value()));
    }
    // Most blocks of an idle ledger have none.
    if hashes.is_empty() {
        return Ok(());
    }
    let mut places = io!(tx.open_table(PLACES))?;
    for hash in hashes {
        // The same transaction cannot be part of a later block: its nonce is used.
        io!(places.remove(&hash.0))?;
    }
    io!(transactions.retain_in(of_height.clone(), |_, _| false))?;
    io!(io!(tx.open_table(RECEIPTS))?.retain_in(of_height, |_, _| false))?;
    Ok(())
}

/// Deletes the header of a block, unless it names a committee: those of genesis and of epochs' last blocks stay.
fn delete_header(tx: &WriteTransaction, height: u64) -> Result<(), StoreError> {
    io!(io!(tx.open_table(SUMMARIES))?.remove(height))?;
    let mut headers = io!(tx.open_table(HEADERS))?;
    let Some(bytes) = io!(headers.get(height))?.map(|row| row.value().to_vec()) else { return Ok(()) };
    let header = BlockHeader::decode(&bytes).map_err(|_| StoreError::Damaged("a header"))?;
    if height == 0 || !header.committee.is_empty() {
        return Ok(());
    }
    io!(headers.remove(height))?;
    io!(io!(tx.open_table(HEIGHTS))?.remove(&digest(&bytes)))?;
    Ok(())
}
