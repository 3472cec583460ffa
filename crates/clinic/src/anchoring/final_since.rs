//! Since when an envelope is final: since the block whose anchor covered it first. Later anchors cover it too, but
//! their time is not the answer.

use super::views::FinalSince;
use crate::clinic::Clinic;
use vitals::explorer::{BlockQuery, Explorer, TxAction};
use vitals::ledger::{Act, Outcome};

/// Most questions to the ledger for one answer: halving a hundred million blocks takes 27.
const QUESTIONS_MAX: usize = 64;

/// An anchor in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    size: u64,
    height: u64,
    time_ms: u64,
}

impl Clinic {
    /// The block since which the leaf is final; nothing where this node cannot say: the ledger stands on
    /// another network and this node was started later, or the blocks of then are pruned. May read a
    /// few dozen blocks from disk.
    pub(crate) fn final_since(&self, index: u64) -> Option<FinalSince> {
        let (latest, is_first) = self.anchoring.noted(index)?;
        let search = self.ledger().explorer().and_then(|explorer| {
            let mut search = Search { explorer, clinic: self, questions: 0 };
            search.first(index, latest.height)
        });
        match search {
            Some(found) => Some(FinalSince { height: found.height, time_ms: Some(found.time_ms) }),
            None => is_first.then_some(latest),
        }
    }
}

/// The organisation's newest anchor at or below a height.
enum Newest {
    Anchor(Found),
    /// There is none.
    Nowhere,
    /// It would be in a block whose transactions are pruned.
    Pruned,
}

struct Search<'a> {
    explorer: &'a dyn Explorer,
    clinic: &'a Clinic,
    questions: usize,
}

impl Search<'_> {
    /// The first anchor that covers the leaf, given a height at which one is known to.
    fn first(&mut self, index: u64, covered_at: u64) -> Option<Found> {
        let Newest::Anchor(mut first) = self.newest(covered_at)? else { return None };
        if first.size <= index {
            return None;
        }
        // Below `bare` no anchor covers the leaf, or that is pruned; by doubling steps, then by halving what is between.
        let mut step = 1;
        let (mut bare, mut pruned) = loop {
            let below = first.height.saturating_sub(step);
            match self.newest(below)? {
                Newest::Anchor(found) if found.size > index => first = found,
                other => break (below, matches!(other, Newest::Pruned)),
            }
            step *= 2;
        };
        while first.height - bare > 1 {
            let middle = bare + (first.height - bare) / 2;
            match self.newest(middle)? {
                Newest::Anchor(found) if found.size > index => first = found,
                other => (bare, pruned) = (middle, matches!(other, Newest::Pruned)),
            }
        }
        // An earlier one may be among what is pruned.
        (!pruned).then_some(first)
    }

    /// Nothing if that cannot be said.
    fn newest(&mut self, height: u64) -> Option<Newest> {
        let mut before = height.checked_add(1)?;
        loop {
            self.questions += 1;
            if self.questions > QUESTIONS_MAX {
                return None;
            }
            let asked = BlockQuery { before: Some(before), most: 1, org: Some(self.clinic.org()) };
            let blocks = self.explorer.blocks(&asked).ok()?;
            if let Some(line) = blocks.blocks.first()
                && let Some(size) = self.anchored_in(line.height)?
            {
                return Some(Newest::Anchor(Found { size, height: line.height, time_ms: line.time_ms }));
            }
            if blocks.pruned {
                return Some(Newest::Pruned);
            }
            match blocks.next {
                Some(next) => before = next.min(before - 1),
                None => return Some(Newest::Nowhere),
            }
            if before == 0 {
                return Some(Newest::Nowhere);
            }
        }
    }

    /// What the organisation anchored in a block: an inner none if nothing.
    fn anchored_in(&self, height: u64) -> Option<Option<u64>> {
        let mut first = 0;
        let mut largest = None;
        loop {
            let block = self.explorer.block(height, first).ok()??;
            let told = block.transactions.len();
            let sizes = block.transactions.into_iter().filter_map(|one| match (one.action, one.outcome) {
                (TxAction::Act(Act::Anchor { size, .. }), Outcome::Done { .. })
                    if one.org == Some(self.clinic.org()) =>
                {
                    Some(size)
                }
                _ => None,
            });
            largest = largest.max(sizes.max());
            first += told;
            if told == 0 || first >= block.line.transactions {
                return Some(largest);
            }
        }
    }
}
