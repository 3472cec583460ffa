//! Removes what the configuration no longer keeps, a bounded part with every commit and in its transaction:
//! bodies and receipts of old blocks, and nodes of states that can no longer be read.
//!
//! A node that was replaced lies among others that were not. Removing one at a time costs a page each, so
//! the stale nodes of many heights are gathered, sorted, and removed in that order, neighbours together.

use super::Config;
use super::nodes::NODES;
use super::tables::{PLACES, RECEIPTS, ROOTS, STALE, StoreError, TRANSACTIONS, io};
use alloy_primitives::keccak256;
use redb::{ReadableTable, WriteTransaction};

/// Most stale nodes of one sweep: eight megabytes of numbers.
const SWEEP_NODES_MAX: usize = 1 << 20;
/// Nodes a commit removes, beside twice what it made stale.
const SWEEP_STEP_NODES: usize = 256;
/// Heights whose bodies one commit removes at most: enough to catch up with a new policy.
const BODIES_STEP_HEIGHTS: usize = 4;

#[derive(Debug)]
pub(super) struct Pruner {
    keep_states: u64,
    keep_bodies: Option<u64>,
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

    /// The part of one commit. `oldest` is the lowest height somebody reads at, `stale` what the commit
    /// made stale.
    pub(super) fn step(
        &mut self,
        tx: &WriteTransaction,
        height: u64,
        oldest: u64,
        stale: usize,
    ) -> Result<(), StoreError> {
        let first_kept = height.saturating_sub(self.keep_states - 1).min(oldest);
        let mut roots = io!(tx.open_table(ROOTS))?;
        io!(roots.retain_in(..first_kept, |_, _| false))?;
        if self.sweep.is_empty() && height >= self.gather_at {
            self.gather(tx, first_kept)?;
            // The more heights, the more neighbours: half as many again as are kept wait on disk.
            self.gather_at = height + self.keep_states.div_ceil(2);
        }
        if !self.sweep.is_empty() {
            let mut nodes = io!(tx.open_table(NODES))?;
            for _ in 0..2 * stale + SWEEP_STEP_NODES {
                let Some(id) = self.sweep.pop() else { break };
                io!(nodes.remove(id))?;
            }
            if self.sweep.is_empty() {
                io!(io!(tx.open_table(STALE))?.retain_in(..=self.sweep_through, |_, _| false))?;
            }
        }
        match self.keep_bodies {
            Some(keep) => forget_bodies(tx, (height + 1).saturating_sub(keep)),
            None => Ok(()),
        }
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

/// Deletes transactions, receipts and places of blocks below `first_kept`, the oldest first.
fn forget_bodies(tx: &WriteTransaction, first_kept: u64) -> Result<(), StoreError> {
    let mut transactions = io!(tx.open_table(TRANSACTIONS))?;
    let mut receipts = io!(tx.open_table(RECEIPTS))?;
    let mut places = io!(tx.open_table(PLACES))?;
    for _ in 0..BODIES_STEP_HEIGHTS {
        let oldest = io!(transactions.first())?.map(|(key, _)| key.value().0);
        let Some(height) = oldest.filter(|height| *height < first_kept) else { break };
        let of_height = (height, 0)..=(height, u32::MAX);
        let mut hashes = Vec::new();
        for row in io!(transactions.range(of_height.clone()))? {
            hashes.push(keccak256(io!(row)?.1.value()));
        }
        for hash in hashes {
            // The same transaction cannot be part of a later block: its nonce is used.
            io!(places.remove(&hash.0))?;
        }
        io!(transactions.retain_in(of_height.clone(), |_, _| false))?;
        io!(receipts.retain_in(of_height, |_, _| false))?;
    }
    Ok(())
}
