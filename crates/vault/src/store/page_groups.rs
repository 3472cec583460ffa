//! What the pages of a stream hold, summed up by groups of pages, groups of groups and so on, so that the pages of a
//! range of times, or those that came last, are found without looking at all. Exact in whatever order times come: a
//! group says what its pages hold between them, and only groups that can hold nothing are left out.

use super::packed_entries::Entry;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Pages of a group, and groups of a larger one. Small in tests, so that short streams have many.
const GROUP_LEN: u64 = if cfg!(test) { 4 } else { 64 };

/// What some entries hold between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Summary {
    /// Earliest first time.
    first_ms: u64,
    /// Latest last time.
    last_ms: u64,
    /// Highest index.
    newest: u64,
}

impl Summary {
    pub(super) fn of(entry: Entry) -> Self {
        Self { first_ms: entry.first_ms, last_ms: entry.last_ms, newest: entry.index }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.first_ms = self.first_ms.min(other.first_ms);
        self.last_ms = self.last_ms.max(other.last_ms);
        self.newest = self.newest.max(other.newest);
    }

    /// May a time of these lie within `from_ms..=to_ms`?
    pub(super) fn may_touch(&self, from_ms: u64, to_ms: u64) -> bool {
        self.first_ms <= to_ms && self.last_ms >= from_ms
    }

    /// Is the index of one of these at least `first`?
    pub(super) fn has_since(&self, first: u64) -> bool {
        self.newest >= first
    }
}

/// The groups of one stream's pages.
#[derive(Debug, Default)]
pub(super) struct PageGroups {
    /// Groups of pages, then groups of those, and so on, each by the number of its first page divided by how many
    /// pages it has. The last level is short.
    levels: Vec<BTreeMap<u64, Summary>>,
}

impl PageGroups {
    /// Notes an entry of a page.
    pub(super) fn add(&mut self, page: u64, entry: Entry) {
        let (mut number, summary) = (page, Summary::of(entry));
        if self.levels.is_empty() {
            self.levels.push(BTreeMap::new());
        }
        for level in &mut self.levels {
            number /= GROUP_LEN;
            level.entry(number).and_modify(|group| group.add(summary)).or_insert(summary);
        }
        let top = self.levels.last().expect("made above");
        if top.len() as u64 > GROUP_LEN {
            let mut above: BTreeMap<u64, Summary> = BTreeMap::new();
            for (number, summary) in top {
                let group = above.entry(number / GROUP_LEN).or_insert(*summary);
                group.add(*summary);
            }
            self.levels.push(above);
        }
    }

    /// The numbers of the pages of each group that holds what is `wanted`, ascending. `wanted` must hold for a group
    /// whenever it holds for one of its parts.
    pub(super) fn pages(&self, wanted: impl Fn(&Summary) -> bool) -> Vec<RangeInclusive<u64>> {
        let mut found = vec![0..=u64::MAX];
        for level in self.levels.iter().rev() {
            let groups = found.into_iter().flat_map(|numbers| level.range(numbers));
            let wanted = groups.filter(|(_, group)| wanted(group));
            found =
                wanted.map(|(number, _)| number * GROUP_LEN..=number * GROUP_LEN + (GROUP_LEN - 1)).collect();
        }
        found
    }
}
