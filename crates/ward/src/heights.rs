//! Watches the heights of all nodes from outside, as a person with a stop-watch would.

use host::clock;
use operator::{Client, GetTip};
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a node is asked.
const EVERY: Duration = Duration::from_millis(50);
/// A node that does not answer for so long is asked anew.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Seen {
    /// Last height of each node; none while it does not answer.
    heights: Vec<Option<u64>>,
    /// When a new height was first seen anywhere, oldest first.
    advances: Vec<(Instant, u64)>,
}

/// The watch.
#[derive(Clone)]
pub(crate) struct Heights(Arc<Mutex<Seen>>);

impl Heights {
    /// Watches these nodes until the runtime ends.
    pub(crate) fn watch(nodes: Vec<Client>) -> Self {
        let seen = Seen { heights: vec![None; nodes.len()], advances: Vec::new() };
        let heights = Self(Arc::new(Mutex::new(seen)));
        for (at, node) in nodes.into_iter().enumerate() {
            let heights = heights.clone();
            tokio::spawn(async move {
                loop {
                    let tip = tokio::time::timeout(ANSWER_WITHIN, node.ask(GetTip {})).await;
                    heights.note(at, tip.ok().and_then(Result::ok).map(|tip| tip.height));
                    tokio::time::sleep(EVERY).await;
                }
            });
        }
        heights
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock()
    }

    fn note(&self, at: usize, height: Option<u64>) {
        let mut seen = self.lock();
        seen.heights[at] = height;
        if let Some(height) = height
            && seen.advances.last().is_none_or(|(_, highest)| height > *highest)
        {
            seen.advances.push((clock::instant(), height));
        }
    }

    /// The highest block seen anywhere.
    pub(crate) fn highest(&self) -> u64 {
        self.lock().advances.last().map_or(0, |(_, height)| *height)
    }

    /// Blocks seen being made, and over what time.
    pub(crate) fn made(&self) -> (u64, Duration) {
        let seen = self.lock();
        match (seen.advances.first(), seen.advances.last()) {
            (Some((from, low)), Some((until, high))) => (high - low, until.duration_since(*from)),
            _ => (0, Duration::ZERO),
        }
    }

    /// The height of one node; none while it does not answer.
    pub(crate) fn of(&self, at: usize) -> Option<u64> {
        self.lock().heights[at]
    }

    /// The longest time without a new block, of all pauses that reach into the time since `from`.
    pub(crate) fn longest_pause(&self, from: Instant) -> Duration {
        let seen = self.lock();
        longest(seen.advances.iter().map(|(at, _)| *at), from, clock::instant())
    }
}

fn longest(advances: impl Iterator<Item = Instant>, from: Instant, until: Instant) -> Duration {
    let mut last: Option<Instant> = None;
    let mut longest = Duration::ZERO;
    for at in advances.chain([until]) {
        if let Some(last) = last
            && at > from
        {
            longest = longest.max(at.duration_since(last));
        }
        last = Some(at);
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_around_a_kill_counts_from_the_last_block_before_it() {
        let start = clock::instant();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let pause =
            |blocks: &[u64], from, until| longest(blocks.iter().map(|ms| at(*ms)), at(from), at(until));
        assert_eq!(pause(&[0, 5_000, 5_100, 6_000, 6_050], 5_200, 6_060), Duration::from_millis(900));
        assert_eq!(pause(&[0, 100], 150, 2_100), Duration::from_millis(2_000), "still standing");
        assert_eq!(pause(&[], 0, 10), Duration::ZERO);
    }
}
