//! Old leaves: read from the disk a block at a time, used only if they give the root in memory.

use super::log_tree::{BLOCK_LEN, Block, Blocks, NotHere, Tree};
use super::segment::file_name;
use super::segment_index::{LEAF_BYTES, index_name};
use super::state::State;
use super::{Corruption, Store, StoreError, segment};
use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use vitals::ids::Hash;
use vitals::log;

/// Most blocks kept after they were read: 1 MiB.
const BLOCKS_MAX: usize = 64;

/// Leaves of one index file: number of its segment, where in the file, how many.
type Part = (u64, Option<u64>, usize);

impl State {
    /// Where the leaves of a block stand.
    fn parts(&self, block: u64) -> Vec<Part> {
        let (mut from, to) = (block * BLOCK_LEN, (block + 1) * BLOCK_LEN);
        let first = self.segments.partition_point(|segment| segment.first_index <= from).saturating_sub(1);
        let mut parts = Vec::new();
        for (number, segment) in (first as u64..).zip(&self.segments[first..]) {
            let end = (segment.first_index + segment.frames.len() as u64).min(to);
            if from < end {
                let skip = (from - segment.first_index) * LEAF_BYTES as u64;
                let len = usize::try_from(end - from).unwrap_or(0);
                parts.push((number, segment.leaves_at.map(|at| at + skip), len));
                from = end;
            }
        }
        parts
    }
}

impl Store {
    /// Queries the log, reading the blocks that it needs. The disk is never waited for with the state
    /// locked.
    pub(super) fn with_blocks<T>(
        &self,
        ask: impl Fn(&Tree, Blocks<'_>) -> Result<Option<T>, NotHere>,
    ) -> Result<Option<T>, StoreError> {
        let read: RefCell<Vec<(u64, Arc<Block>)>> = RefCell::default();
        let held = |wanted: u64| {
            let read = read.borrow();
            let held = read.iter().find(|(block, _)| *block == wanted);
            held.map(|(_, block)| Arc::clone(block))
        };
        loop {
            let NotHere(block) = match ask(&self.state().log, &held) {
                Ok(answer) => return Ok(answer),
                Err(missing) => missing,
            };
            let found = self.block(block)?;
            read.borrow_mut().push((block, found));
        }
    }

    fn block(&self, number: u64) -> Result<Arc<Block>, StoreError> {
        let held = {
            let mut blocks = self.blocks.lock();
            let at = blocks.iter().position(|(held, _)| *held == number);
            at.map(|at| {
                let held = blocks.remove(at);
                let block = Arc::clone(&held.1);
                blocks.push(held);
                block
            })
        };
        if let Some(block) = held {
            return Ok(block);
        }
        let block = Arc::new(self.read_block(number)?);
        let mut blocks = self.blocks.lock();
        if blocks.len() == BLOCKS_MAX {
            blocks.remove(0);
        }
        blocks.push((number, Arc::clone(&block)));
        Ok(block)
    }

    fn read_block(&self, number: u64) -> Result<Block, StoreError> {
        let (parts, root) = {
            let state = self.state();
            (state.parts(number), state.log.block_root(number))
        };
        let is_right = |block: &Block| Some(block.root()) == root;
        let segment = parts.first().map_or(0, |(segment, ..)| *segment);
        // The newest segment has no index yet.
        if parts.iter().all(|(_, at, _)| at.is_some()) {
            if let Ok(leaves) = self.read_leaves(&parts) {
                let block = Block::of(leaves);
                if is_right(&block) {
                    return Ok(block);
                }
            }
            tracing::warn!(
                segment,
                block = number,
                "Leaves of the log are read from the envelopes: their index is damaged"
            );
        }
        let leaves = (number * BLOCK_LEN..(number + 1) * BLOCK_LEN).map(|index| self.leaf_of_frame(index));
        let block = Block::of(leaves.collect::<Result<_, _>>()?);
        if is_right(&block) {
            return Ok(block);
        }
        Err(Corruption::at(file_name(segment), 0, "its envelopes do not give the log's root").into())
    }

    fn read_leaves(&self, parts: &[Part]) -> io::Result<Vec<Hash>> {
        let mut leaves = Vec::new();
        for (segment, at, len) in parts {
            let at = at.ok_or(io::ErrorKind::NotFound)?;
            let mut bytes = vec![0; len * LEAF_BYTES];
            self.handle(&index_name(*segment))?.read_at(&mut bytes, at)?;
            leaves.extend(bytes.as_chunks::<LEAF_BYTES>().0);
        }
        if leaves.len() as u64 == BLOCK_LEN { Ok(leaves) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn leaf_of_frame(&self, index: u64) -> Result<Hash, StoreError> {
        let bytes = self.read_index(index)?.unwrap_or_default();
        let header = segment::header_of(&bytes);
        header.map(|(_, header)| log::leaf(header)).ok_or_else(|| {
            let place = self.state().place(index);
            let (segment, offset) =
                place.map_or((0, 0), |place| (u64::from(place.segment), u64::from(place.offset)));
            Corruption::at(file_name(segment), offset, "not an envelope").into()
        })
    }

    /// Reads every envelope and holds it against the log: what a start leaves to the day when it is
    /// read. Goes on beside readers and the writer, and takes as long as the store is large.
    ///
    /// # Errors
    /// [`StoreError::Halt`] naming file and place of the first thing that is damaged.
    pub fn verify(&self) -> Result<u64, StoreError> {
        let (size, root) = self.log_head();
        let mut tree = Tree::default();
        for index in 0..size {
            tree.push(self.leaf_of_frame(index)?);
            if tree.size().is_multiple_of(BLOCK_LEN) {
                tree.forget_before(tree.size());
            }
        }
        if tree.root() == root {
            return Ok(size);
        }
        Err(Corruption::at(file_name(0), 0, "the envelopes do not give the log's root").into())
    }
}
