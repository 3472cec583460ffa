//! Where each sequence number of a stream is, in memory: runs without gaps, and for each block of a
//! run the span of times in it, so that a range of times is found without looking at every entry and
//! without assuming that a device's clock only goes forward.

use std::collections::BTreeMap;

/// Entries summed up by one block's span.
const BLOCK_LEN: usize = 256;
/// Most gaps of one stream in one answer.
pub const GAPS_MAX: usize = 1024;

/// What memory holds per envelope, besides its leaf and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) index: u64,
    pub(crate) first_ms: u64,
    pub(crate) last_ms: u64,
}

#[derive(Debug, Default)]
struct Run {
    entries: Vec<Entry>,
    /// Earliest first and latest last time of each block of [`BLOCK_LEN`] entries.
    spans: Vec<(u64, u64)>,
}

impl Run {
    fn push(&mut self, entry: Entry) {
        if self.entries.len().is_multiple_of(BLOCK_LEN) {
            self.spans.push((entry.first_ms, entry.last_ms));
        }
        self.entries.push(entry);
        let span = self.spans.last_mut().expect("an entry has a block: pushed above");
        *span = (span.0.min(entry.first_ms), span.1.max(entry.last_ms));
    }
}

/// One stream.
#[derive(Debug, Default)]
pub(crate) struct StreamIndex {
    /// Runs of consecutive sequence numbers by their first; no two touch.
    runs: BTreeMap<u64, Run>,
    pub(crate) count: u64,
    /// Latest time any envelope claims.
    pub(crate) latest_ms: u64,
    /// Header of the envelope with the highest sequence number. Kept as bytes: hashing it when asked
    /// is cheaper than hashing every header on the way in.
    pub(crate) last_header: Vec<u8>,
}

impl StreamIndex {
    fn run_at(&self, seq: u64) -> Option<(u64, &Run)> {
        let (first, run) = self.runs.range(..=seq).next_back()?;
        Some((*first, run))
    }

    pub(crate) fn get(&self, seq: u64) -> Option<Entry> {
        let (first, run) = self.run_at(seq)?;
        run.entries.get(usize::try_from(seq - first).ok()?).copied()
    }

    /// The highest sequence number.
    pub(crate) fn last_seq(&self) -> Option<u64> {
        let (first, run) = self.runs.last_key_value()?;
        Some(first + (run.entries.len() as u64 - 1))
    }

    /// Adds an entry for a sequence number that has none.
    pub(crate) fn insert(&mut self, seq: u64, entry: Entry) {
        debug_assert!(self.get(seq).is_none(), "each sequence number is stored once");
        self.count += 1;
        self.latest_ms = self.latest_ms.max(entry.last_ms);
        let before = self.run_at(seq).map(|(first, run)| (first, run.entries.len() as u64));
        let first = match before {
            Some((first, len)) if first + len == seq => first,
            _ => seq,
        };
        self.runs.entry(first).or_default().push(entry);
        if let Some(next) = seq.checked_add(1).and_then(|next| self.runs.remove(&next)) {
            let run = self.runs.entry(first).or_default();
            next.entries.into_iter().for_each(|entry| run.push(entry));
        }
    }

    /// Missing sequence numbers below the highest, as inclusive ranges; the first [`GAPS_MAX`].
    pub(crate) fn gaps(&self) -> Vec<(u64, u64)> {
        let mut next = 0;
        let mut gaps = Vec::new();
        for (first, run) in &self.runs {
            if *first > next && gaps.len() < GAPS_MAX {
                gaps.push((next, first - 1));
            }
            next = first.saturating_add(run.entries.len() as u64);
        }
        gaps
    }

    /// Sequence numbers whose times touch `from_ms..=to_ms`, ascending.
    pub(crate) fn touching(&self, from_ms: u64, to_ms: u64) -> Vec<(u64, Entry)> {
        let mut found = Vec::new();
        for (first, run) in &self.runs {
            for (block, span) in run.spans.iter().enumerate() {
                if span.0 > to_ms || span.1 < from_ms {
                    continue;
                }
                let from = block * BLOCK_LEN;
                let to = run.entries.len().min(from + BLOCK_LEN);
                for (at, entry) in run.entries[from..to].iter().enumerate() {
                    if entry.first_ms <= to_ms && entry.last_ms >= from_ms {
                        found.push((first + (from + at) as u64, *entry));
                    }
                }
            }
        }
        found
    }
}
