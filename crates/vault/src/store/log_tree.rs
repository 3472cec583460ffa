//! The log's tree with its fresh end in memory: of leaves that lie far enough behind, only the roots
//! of whole blocks are kept, 1/256 of the hashes. What is below such a root is read from the disk
//! when a path needs it, and used only if it gives that root.

use std::sync::{Arc, OnceLock};
use vitals::ids::Hash;
use vitals::log::{self, empty_root};

/// A block is 2^`BLOCK_LEVEL` leaves. Small in tests, so that small logs have many.
pub(super) const BLOCK_LEVEL: u32 = if cfg!(test) { 2 } else { 8 };
/// Leaves in a block.
pub(super) const BLOCK_LEN: u64 = 1 << BLOCK_LEVEL;

/// The hashes of one whole block: its leaves first, its root last.
pub(super) struct Block(Vec<Vec<Hash>>);

impl Block {
    /// The block over these leaves, [`BLOCK_LEN`] of them.
    pub(super) fn of(leaves: Vec<Hash>) -> Self {
        debug_assert_eq!(leaves.len() as u64, BLOCK_LEN, "a block is whole");
        let mut levels = vec![leaves];
        while let Some(below) = levels.last().filter(|level| level.len() > 1) {
            let above = below.chunks_exact(2).map(|pair| node(&pair[0], &pair[1])).collect();
            levels.push(above);
        }
        Self(levels)
    }

    pub(super) fn root(&self) -> Hash {
        self.0[BLOCK_LEVEL as usize][0]
    }
}

/// This block is needed and not in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotHere(pub(super) u64);

/// Gives a block that was read before.
pub(super) type Blocks<'a> = &'a dyn Fn(u64) -> Option<Arc<Block>>;

#[derive(Debug, Default)]
pub(super) struct Tree {
    size: u64,
    /// Leaves before this one are not in memory; a multiple of [`BLOCK_LEN`].
    base: u64,
    /// `low[k][i]` is the root of the complete subtree over 2^k leaves, the first one from `base` on.
    low: [Vec<Hash>; BLOCK_LEVEL as usize],
    /// The same for k ≥ [`BLOCK_LEVEL`], from leaf 0 on.
    high: Vec<Vec<Hash>>,
    /// The edge of the log as it stands, made when it is first asked for. Whoever asks again before the next leaf
    /// (receipts, anchors, proofs) hashes nothing, however long the log is.
    edge: OnceLock<Edge>,
}

/// The ragged subtrees at the right edge of a log of one size, for paths to many leaves of it: each is
/// part of half of all paths or of a quarter, and costs a hash a level to make.
#[derive(Debug, Clone)]
pub struct Edge {
    size: u64,
    /// First leaf and hash of each subtree that ends with the log, the widest first.
    tails: Vec<(u64, Hash)>,
}

impl Edge {
    /// Leaves in the log it is the edge of.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of that log: its widest subtree and everything behind.
    fn root(&self) -> Hash {
        self.tails.first().map_or_else(empty_root, |(_, hash)| *hash)
    }

    fn tail(&self, from: u64) -> Option<Hash> {
        self.tails.iter().find(|(first, _)| *first == from).map(|(_, hash)| *hash)
    }
}

fn node(left: &Hash, right: &Hash) -> Hash {
    work();
    log::node(left, right)
}

/// Counts hashes, for tests of what an answer costs.
#[cfg(not(test))]
fn work() {}

#[cfg(test)]
thread_local! {
    static WORK: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

#[cfg(test)]
fn work() {
    WORK.with(|work| work.set(work.get() + 1));
}

/// The hashes that `what` costs.
#[cfg(test)]
pub(super) fn hashes_of<T>(what: impl FnOnce() -> T) -> (T, u64) {
    WORK.with(|work| work.set(0));
    let outcome = what();
    (outcome, WORK.with(std::cell::Cell::get))
}

fn at(index: u64) -> usize {
    usize::try_from(index).expect("an index of something held in memory fits usize")
}

impl Tree {
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn push(&mut self, leaf: Hash) -> u64 {
        let index = self.size;
        self.size += 1;
        self.edge.take();
        let mut hash = leaf;
        for level in &mut self.low {
            level.push(hash);
            if level.len() % 2 == 1 {
                return index;
            }
            hash = node(&level[level.len() - 2], &level[level.len() - 1]);
        }
        self.push_high(hash);
        index
    }

    fn push_high(&mut self, root: Hash) {
        let mut hash = root;
        for level in 0.. {
            if self.high.len() == level {
                self.high.push(Vec::new());
            }
            let nodes = &mut self.high[level];
            nodes.push(hash);
            if nodes.len() % 2 == 1 {
                return;
            }
            hash = node(&nodes[nodes.len() - 2], &nodes[nodes.len() - 1]);
        }
    }

    /// Adds leaves of which only the roots of the blocks that they fill are at hand, and the leaves
    /// behind the last whole block. Nothing is added if these are not as many as they must be.
    pub(super) fn push_sealed(&mut self, roots: &[Hash], rest: &[Hash]) -> bool {
        if roots.is_empty() {
            let fits = self.size % BLOCK_LEN + (rest.len() as u64) < BLOCK_LEN;
            if fits {
                rest.iter().for_each(|leaf| {
                    self.push(*leaf);
                });
            }
            return fits;
        }
        if rest.len() as u64 >= BLOCK_LEN {
            return false;
        }
        self.edge.take();
        roots.iter().for_each(|root| self.push_high(*root));
        self.low = Default::default();
        self.base = self.high[0].len() as u64 * BLOCK_LEN;
        self.size = self.base;
        rest.iter().for_each(|leaf| {
            self.push(*leaf);
        });
        true
    }

    /// Forgets the leaves before `index`, as far as they fill blocks.
    pub(super) fn forget_before(&mut self, index: u64) {
        let base = index.min(self.size) / BLOCK_LEN * BLOCK_LEN;
        let blocks = base.saturating_sub(self.base) / BLOCK_LEN;
        for (level, nodes) in (0..).zip(&mut self.low) {
            nodes.drain(..at(blocks << (BLOCK_LEVEL - level)));
        }
        self.base = self.base.max(base);
    }

    /// The leaves in memory, and the index of the first of them.
    pub(super) fn fresh_leaves(&self) -> (u64, &[Hash]) {
        (self.base, &self.low[0])
    }

    /// Roots of the whole blocks that end behind leaf `from`.
    pub(super) fn block_roots_from(&self, from: u64) -> &[Hash] {
        self.high.first().and_then(|roots| roots.get(at(from / BLOCK_LEN)..)).unwrap_or(&[])
    }

    pub(super) fn block_root(&self, block: u64) -> Option<Hash> {
        self.high.first()?.get(at(block)).copied()
    }

    fn get(&self, level: u32, index: u64, blocks: Blocks<'_>) -> Result<Hash, NotHere> {
        if level >= BLOCK_LEVEL {
            return Ok(self.high[(level - BLOCK_LEVEL) as usize][at(index)]);
        }
        let base = self.base >> level;
        if index >= base {
            return Ok(self.low[level as usize][at(index - base)]);
        }
        let per_block = BLOCK_LEVEL - level;
        let block = index >> per_block;
        let held = blocks(block).ok_or(NotHere(block))?;
        Ok(held.0[level as usize][at(index - (block << per_block))])
    }

    /// RFC 6962 MTH over leaves `from..to`, where `from` is a multiple of the subtree's span.
    fn subtree(&self, from: u64, to: u64, blocks: Blocks<'_>) -> Result<Hash, NotHere> {
        let width = to - from;
        if width.is_power_of_two() {
            let level = width.trailing_zeros();
            return self.get(level, from >> level, blocks);
        }
        let split = from + largest_power_below(width);
        Ok(node(&self.subtree(from, split, blocks)?, &self.subtree(split, to, blocks)?))
    }

    /// The leaf at `index`.
    pub(super) fn leaf(&self, index: u64, blocks: Blocks<'_>) -> Result<Option<Hash>, NotHere> {
        if index < self.size { self.get(0, index, blocks).map(Some) } else { Ok(None) }
    }

    /// The root now: always in memory.
    pub(super) fn root(&self) -> Hash {
        self.edge_now().root()
    }

    /// As [`vitals::log::MerkleLog::root_at`].
    pub(super) fn root_at(&self, size: u64, blocks: Blocks<'_>) -> Result<Option<Hash>, NotHere> {
        match size {
            0 => Ok(Some(empty_root())),
            _ if size == self.size => Ok(Some(self.edge_now().root())),
            _ if size < self.size => self.subtree(0, size, blocks).map(Some),
            _ => Ok(None),
        }
    }

    /// The right edge of the first `size` leaves, or nothing when there are not so many.
    pub(super) fn edge(&self, size: u64, blocks: Blocks<'_>) -> Result<Option<Edge>, NotHere> {
        match size {
            0 => Ok(None),
            _ if size == self.size => Ok(Some(self.edge_now().clone())),
            _ if size < self.size => self.make_edge(size, blocks).map(Some),
            _ => Ok(None),
        }
    }

    /// The edge of the log as it stands.
    fn edge_now(&self) -> &Edge {
        self.edge.get_or_init(|| {
            self.make_edge(self.size, &|_| None)
                .expect("the leaves behind the last whole block are in memory")
        })
    }

    fn make_edge(&self, size: u64, blocks: Blocks<'_>) -> Result<Edge, NotHere> {
        // The log is whole subtrees side by side, one for each bit of its size.
        let mut whole = Vec::new();
        let mut from = 0;
        while from < size {
            let width = 1 << (size - from).ilog2();
            whole.push((from, self.subtree(from, from + width, blocks)?));
            from += width;
        }
        let mut tails: Vec<(u64, Hash)> = Vec::with_capacity(whole.len());
        for (from, hash) in whole.into_iter().rev() {
            let tail = tails.last().map_or(hash, |(_, behind)| node(&hash, behind));
            tails.push((from, tail));
        }
        tails.reverse();
        Ok(Edge { size, tails })
    }

    /// As [`vitals::log::MerkleLog::inclusion`].
    pub(super) fn inclusion(
        &self,
        index: u64,
        size: u64,
        blocks: Blocks<'_>,
    ) -> Result<Option<Vec<Hash>>, NotHere> {
        match self.edge(size, blocks)? {
            Some(edge) => self.inclusion_at(index, &edge, blocks),
            None => Ok(None),
        }
    }

    /// The same, with the edge made before.
    pub(super) fn inclusion_at(
        &self,
        index: u64,
        edge: &Edge,
        blocks: Blocks<'_>,
    ) -> Result<Option<Vec<Hash>>, NotHere> {
        let size = edge.size;
        if index >= size || size > self.size {
            return Ok(None);
        }
        let mut path = Vec::with_capacity(size.ilog2() as usize + 1);
        let (mut from, mut to) = (0, size);
        while to - from > 1 {
            let split = from + largest_power_below(to - from);
            if index < split {
                let tail = if to == size { edge.tail(split) } else { None };
                path.push(match tail {
                    Some(hash) => hash,
                    None => self.subtree(split, to, blocks)?,
                });
                to = split;
            } else {
                path.push(self.subtree(from, split, blocks)?);
                from = split;
            }
        }
        path.reverse();
        Ok(Some(path))
    }

    /// As [`vitals::log::MerkleLog::consistency`].
    pub(super) fn consistency(
        &self,
        old: u64,
        new: u64,
        blocks: Blocks<'_>,
    ) -> Result<Option<Vec<Hash>>, NotHere> {
        if old > new || new > self.size {
            return Ok(None);
        }
        if old == 0 || old == new {
            return Ok(Some(Vec::new()));
        }
        let edge = (new == self.size).then(|| self.edge_now());
        let (mut from, mut to, mut whole, mut path) = (0, new, true, Vec::new());
        while old != to {
            let split = from + largest_power_below(to - from);
            if old <= split {
                let tail = edge.filter(|_| to == new).and_then(|edge| edge.tail(split));
                path.push(match tail {
                    Some(hash) => hash,
                    None => self.subtree(split, to, blocks)?,
                });
                to = split;
            } else {
                path.push(self.subtree(from, split, blocks)?);
                from = split;
                whole = false;
            }
        }
        if !whole {
            path.push(self.subtree(from, to, blocks)?);
        }
        path.reverse();
        Ok(Some(path))
    }
}

/// The largest power of two smaller than `width`, for `width` ≥ 2.
fn largest_power_below(width: u64) -> u64 {
    1 << (63 - (width - 1).leading_zeros())
}
