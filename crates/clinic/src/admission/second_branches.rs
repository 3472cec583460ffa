//! Where refused branches of streams ended last. A copied gateway sends ahead before it hears that it was refused: what
//! continues a refused envelope is of the refused branch as well, also at a number that the record does not reach yet.
//! Owns its lock.

use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use vitals::envelope::Header;
use vitals::ids::{Hash, StreamId};

/// Most branches remembered of one stream: one for each further writer.
const BRANCHES_PER_STREAM_MAX: usize = 8;
/// Most streams remembered; beyond, all are forgotten and learnt again from the next refusal.
const STREAMS_MAX: usize = 4_096;

/// The last refused envelope of each branch, by stream, oldest branch first.
#[derive(Debug, Default)]
pub(crate) struct SecondBranches(Mutex<HashMap<StreamId, VecDeque<Hash>>>);

impl SecondBranches {
    /// An envelope was refused as one of a second branch.
    pub(crate) fn refused(&self, header: &Header, hash: Hash) {
        let mut streams = self.0.lock();
        if streams.len() >= STREAMS_MAX && !streams.contains_key(&header.stream) {
            streams.clear();
        }
        let branches = streams.entry(header.stream).or_default();
        branches.retain(|tip| *tip != header.prev && *tip != hash);
        if branches.len() >= BRANCHES_PER_STREAM_MAX {
            branches.pop_front();
        }
        branches.push_back(hash);
    }

    /// Does the envelope continue one that was refused?
    pub(crate) fn is_continued_by(&self, header: &Header) -> bool {
        self.0.lock().get(&header.stream).is_some_and(|branches| branches.contains(&header.prev))
    }
}
