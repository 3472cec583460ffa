//! Where each sequence number of a stream is, in memory. Entries stand in pages of consecutive sequence
//! numbers; each page holds the span of the times in it, so that a range of times is found without looking
//! at every entry and without assuming that a device's clock only goes forward. Which numbers are there
//! is kept apart, as runs without gaps. Adding an entry costs two look-ups in ordered maps, whatever the
//! order in which entries come.

use std::collections::BTreeMap;

/// Sequence numbers of a page. Small in tests, so that short streams have many.
const PAGE_LEN: usize = if cfg!(test) { 8 } else { 256 };
/// Most gaps of one stream in one answer.
pub const GAPS_MAX: usize = 1024;

/// What memory holds per envelope, besides its leaf and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) index: u64,
    pub(crate) first_ms: u64,
    pub(crate) last_ms: u64,
}

/// How the entries of a page stand.
#[derive(Debug)]
enum Order {
    /// In the order of their numbers, without a gap; the first one at this offset.
    Consecutive(usize),
    /// In the order in which they came: for each offset where its entry stands, or [`ABSENT`].
    Arrival(Box<[u8; PAGE_LEN]>),
}

/// No entry at this offset. A full page, whose last entry would stand here, is put in order at once.
const ABSENT: u8 = u8::MAX;
const _: () = assert!(PAGE_LEN <= 1 << u8::BITS, "places in a page fit a byte");

#[derive(Debug)]
struct Page {
    entries: Vec<Entry>,
    order: Order,
    /// Earliest first and latest last time.
    span: (u64, u64),
}

impl Page {
    fn of(offset: usize, entry: Entry) -> Self {
        work(1);
        Self {
            entries: vec![entry],
            order: Order::Consecutive(offset),
            span: (entry.first_ms, entry.last_ms),
        }
    }

    fn get(&self, offset: usize) -> Option<&Entry> {
        match &self.order {
            Order::Consecutive(first) => self.entries.get(offset.checked_sub(*first)?),
            Order::Arrival(places) => match places[offset] {
                ABSENT => None,
                place => Some(&self.entries[usize::from(place)]),
            },
        }
    }

    /// Adds an entry at an offset that has none.
    fn add(&mut self, offset: usize, entry: Entry) {
        work(1);
        self.span = (self.span.0.min(entry.first_ms), self.span.1.max(entry.last_ms));
        let place = self.entries.len();
        self.entries.push(entry);
        match &mut self.order {
            Order::Consecutive(first) if *first + place == offset => return,
            Order::Consecutive(first) => {
                work(place);
                let mut places = Box::new([ABSENT; PAGE_LEN]);
                places[*first..*first + place].iter_mut().zip(0..).for_each(|(at, number)| *at = number);
                self.order = Order::Arrival(places);
            }
            Order::Arrival(_) => {}
        }
        if let Order::Arrival(places) = &mut self.order {
            places[offset] = place_of(place);
            if self.entries.len() == PAGE_LEN {
                work(PAGE_LEN);
                self.entries = places.iter().map(|place| self.entries[usize::from(*place)]).collect();
                self.order = Order::Consecutive(0);
            }
        }
    }

    /// Entries with their offsets, ascending.
    fn iter(&self) -> impl Iterator<Item = (usize, &Entry)> {
        (0..PAGE_LEN).filter_map(|offset| Some((offset, self.get(offset)?)))
    }
}

fn place_of(place: usize) -> u8 {
    u8::try_from(place).expect("a page has at most 256 places")
}

/// One stream.
#[derive(Debug, Default)]
pub(crate) struct StreamIndex {
    /// By number: sequence number / [`PAGE_LEN`].
    pages: BTreeMap<u64, Page>,
    /// Runs of sequence numbers without a gap, first to last; no two touch.
    runs: BTreeMap<u64, u64>,
    pub(crate) count: u64,
    /// Latest time any envelope claims.
    pub(crate) latest_ms: u64,
    /// Header of the envelope with the highest sequence number. Kept as bytes: hashing it when asked
    /// is cheaper than hashing every header on the way in.
    pub(crate) last_header: Vec<u8>,
}

/// Page and offset of a sequence number.
fn page_of(seq: u64) -> (u64, usize) {
    let len = PAGE_LEN as u64;
    (seq / len, usize::try_from(seq % len).expect("less than the length of a page"))
}

impl StreamIndex {
    pub(crate) fn get(&self, seq: u64) -> Option<Entry> {
        let (page, offset) = page_of(seq);
        self.pages.get(&page)?.get(offset).copied()
    }

    /// The highest sequence number.
    pub(crate) fn last_seq(&self) -> Option<u64> {
        self.runs.last_key_value().map(|(_, last)| *last)
    }

    /// Adds an entry for a sequence number that has none.
    pub(crate) fn insert(&mut self, seq: u64, entry: Entry) {
        debug_assert!(self.get(seq).is_none(), "each sequence number is stored once");
        self.count += 1;
        self.latest_ms = self.latest_ms.max(entry.last_ms);
        let (page, offset) = page_of(seq);
        self.pages
            .entry(page)
            .and_modify(|page| page.add(offset, entry))
            .or_insert_with(|| Page::of(offset, entry));
        let last = seq.checked_add(1).and_then(|next| self.runs.remove(&next)).unwrap_or(seq);
        match self.runs.range_mut(..seq).next_back() {
            Some((_, before)) if *before == seq - 1 => *before = last,
            _ => drop(self.runs.insert(seq, last)),
        }
    }

    /// Missing sequence numbers below the highest, as inclusive ranges, ascending. Costs what is taken
    /// from it.
    pub(crate) fn gaps(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut next = 0;
        self.runs.iter().filter_map(move |(first, last)| {
            work(1);
            let gap = (*first > next).then(|| (next, first - 1));
            next = last.saturating_add(1);
            gap
        })
    }

    /// Sequence numbers whose times touch `from_ms..=to_ms`, ascending.
    pub(crate) fn touching(&self, from_ms: u64, to_ms: u64) -> Vec<(u64, Entry)> {
        let mut found = Vec::new();
        for (number, page) in &self.pages {
            if page.span.0 > to_ms || page.span.1 < from_ms {
                continue;
            }
            let touch = |entry: &Entry| entry.first_ms <= to_ms && entry.last_ms >= from_ms;
            let touching = page.iter().filter(|(_, entry)| touch(entry));
            found.extend(touching.map(|(offset, entry)| (number * PAGE_LEN as u64 + offset as u64, *entry)));
        }
        found
    }
}

/// Counts entries written and runs looked at, for tests of what an order costs.
#[cfg(not(test))]
fn work(_: usize) {}

#[cfg(test)]
thread_local! {
    static WORK: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

#[cfg(test)]
fn work(steps: usize) {
    WORK.with(|work| work.set(work.get() + steps as u64));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const ENVELOPES: u64 = 100_000;

    fn entry(seq: u64) -> Entry {
        Entry { index: seq, first_ms: seq * 10, last_ms: seq * 10 + 9 }
    }

    /// Work that `what` costs.
    fn cost<T>(what: impl FnOnce() -> T) -> (T, u64) {
        WORK.with(|work| work.set(0));
        let outcome = what();
        (outcome, WORK.with(std::cell::Cell::get))
    }

    fn filled(order: impl IntoIterator<Item = u64>) -> StreamIndex {
        let mut index = StreamIndex::default();
        order.into_iter().for_each(|seq| index.insert(seq, entry(seq)));
        index
    }

    /// Every number below `len` once, in no order that means anything.
    fn shuffled(len: u64) -> Vec<u64> {
        let mut order: Vec<u64> = (0..len).collect();
        let mut state = 1_u64;
        for at in (1..order.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            order.swap(at, usize::try_from(state >> 33).unwrap() % (at + 1));
        }
        order
    }

    fn orders() -> Vec<(&'static str, Vec<u64>)> {
        let n = ENVELOPES;
        let backwards_in_thousands =
            (0..n / 1000).flat_map(|block| (block * 1000..(block + 1) * 1000).rev()).collect();
        vec![
            ("in order", (0..n).collect()),
            ("newest first", (0..n).rev().collect()),
            ("every other one, then the rest", (0..n).step_by(2).chain((1..n).step_by(2)).collect()),
            ("one per page, then the next of each", {
                let step = PAGE_LEN as u64;
                (0..step).flat_map(|first| (first..n).step_by(PAGE_LEN)).collect()
            }),
            ("from the middle outwards", (0..n / 2).flat_map(|at| [n / 2 - 1 - at, n / 2 + at]).collect()),
            ("a gap at the front, filled backwards", (1000..n).chain((0..1000).rev()).collect()),
            ("each thousand backwards", backwards_in_thousands),
            ("shuffled", shuffled(n)),
        ]
    }

    #[test]
    fn a_stream_costs_the_same_in_whatever_order_it_is_filled() {
        for (name, order) in orders() {
            let (index, work) = cost(|| filled(order));
            assert!(work <= 3 * ENVELOPES, "{name}: {work} steps for {ENVELOPES} envelopes");
            assert_eq!(index.gaps().count(), 0, "{name}");
            assert_eq!((index.count, index.last_seq()), (ENVELOPES, Some(ENVELOPES - 1)), "{name}");
            for seq in (0..ENVELOPES).step_by(97) {
                assert_eq!(index.get(seq), Some(entry(seq)), "{name}");
            }
        }
    }

    #[test]
    fn four_gaps_cost_four_runs_however_many_there_are() {
        let index = filled((0..ENVELOPES).rev().filter(|seq| seq % 2 == 1));
        let (gaps, work) = cost(|| index.gaps().take(4).collect::<Vec<_>>());
        assert_eq!(gaps, [(0, 0), (2, 2), (4, 4), (6, 6)]);
        assert!(work <= 5, "{work} runs were looked at");
    }

    #[test]
    fn a_stream_filled_in_no_order_is_the_set_of_its_numbers() {
        let order = shuffled(300);
        let (mut index, mut held) = (StreamIndex::default(), BTreeSet::new());
        for seq in order.into_iter().map(|seq| if seq % 5 == 0 { u64::MAX - seq } else { seq }) {
            index.insert(seq, entry(seq % 1000));
            held.insert(seq);
            let missing: u64 = index.gaps().map(|(from, to)| to - from + 1).sum();
            assert_eq!(missing, held.last().unwrap() - (held.len() as u64 - 1));
            assert!(index.gaps().all(|(from, to)| held.range(from..=to).next().is_none()));
            let all = index.touching(0, u64::MAX).into_iter().map(|(seq, _)| seq);
            assert!(all.eq(held.iter().copied()));
            assert!(held.iter().all(|seq| index.get(*seq) == Some(entry(seq % 1000))));
        }
    }
}
