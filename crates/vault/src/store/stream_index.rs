//! Where each sequence number of a stream is, in memory. Entries stand in pages of consecutive sequence
//! numbers; pages and groups of them (`page_groups.rs`) hold the span of the times in them, so that a range of
//! times is found without looking at every entry or page and without assuming that a device's clock only goes
//! forward. Runs of full pages are kept apart, so that a gap is found without walking over them. Adding an entry costs one look-up in the map of
//! pages, whatever the order in which entries come: 256 times fewer keys than entries, so that entries in no
//! order stay within the processor's caches. A page that is full is packed: it does not change any more.

use super::packed_entries::{Entry, Packed};
use super::page_groups::{PageGroups, Summary};
use std::collections::BTreeMap;
use std::iter;

/// Sequence numbers of a page. Small in tests, so that short streams have many.
const PAGE_LEN: usize = if cfg!(test) { 8 } else { 256 };
/// Most gaps of one stream in one answer.
pub const GAPS_MAX: usize = 1024;

/// How the entries of a page stand.
#[derive(Debug)]
enum Order {
    /// In the order of their numbers, without a gap; the first one at this offset.
    Consecutive(usize),
    /// In the order in which they came: for each offset where its entry stands, or [`ABSENT`].
    Arrival(Box<[u8; PAGE_LEN]>),
    /// All of them, in the order of their numbers.
    Full(Packed),
}

/// No entry at this offset. A full page, whose last entry would stand here, is packed at once.
const ABSENT: u8 = u8::MAX;
const _: () = assert!(PAGE_LEN <= 1 << u8::BITS, "places in a page fit a byte");

#[derive(Debug)]
struct Page {
    /// None once the page is full.
    entries: Vec<Entry>,
    order: Order,
    summary: Summary,
}

impl Page {
    fn of(offset: usize, entry: Entry) -> Self {
        work(1);
        Self { entries: vec![entry], order: Order::Consecutive(offset), summary: Summary::of(entry) }
    }

    fn get(&self, offset: usize) -> Option<Entry> {
        match &self.order {
            Order::Consecutive(first) => self.entries.get(offset.checked_sub(*first)?).copied(),
            Order::Arrival(places) => match places[offset] {
                ABSENT => None,
                place => Some(self.entries[usize::from(place)]),
            },
            Order::Full(packed) => packed.iter().nth(offset),
        }
    }

    /// Adds an entry at an offset that has none.
    fn add(&mut self, offset: usize, entry: Entry) {
        work(1);
        self.summary.add(Summary::of(entry));
        let place = self.entries.len();
        self.entries.push(entry);
        match &mut self.order {
            Order::Consecutive(first) if *first + place == offset => {}
            Order::Consecutive(first) => {
                work(place);
                let mut places = Box::new([ABSENT; PAGE_LEN]);
                places[*first..*first + place].iter_mut().zip(0..).for_each(|(at, number)| *at = number);
                self.order = Order::Arrival(places);
            }
            Order::Arrival(_) => {}
            Order::Full(_) => debug_assert!(false, "a full page has no free offset"),
        }
        if let Order::Arrival(places) = &mut self.order {
            places[offset] = place_of(place);
        }
        if self.entries.len() == PAGE_LEN {
            work(PAGE_LEN);
            let packed = match &self.order {
                Order::Arrival(places) => {
                    Packed::of(places.iter().map(|place| self.entries[usize::from(*place)]))
                }
                _ => Packed::of(self.entries.iter().copied()),
            };
            (self.entries, self.order) = (Vec::new(), Order::Full(packed));
        }
    }

    fn is_full(&self) -> bool {
        matches!(self.order, Order::Full(_))
    }

    /// Offsets that have entries, as runs without a gap: first and last of each, ascending.
    fn runs(&self) -> impl Iterator<Item = (usize, usize)> {
        let mut from = 0;
        let has = |offset: &usize| self.is_full() || self.get(*offset).is_some();
        iter::from_fn(move || {
            let first = (from..PAGE_LEN).find(has)?;
            let behind = (first..PAGE_LEN).find(|offset| !has(offset)).unwrap_or(PAGE_LEN);
            from = behind;
            Some((first, behind - 1))
        })
    }

    /// Entries with their offsets, ascending.
    fn iter(&self) -> impl Iterator<Item = (usize, Entry)> {
        let packed = match &self.order {
            Order::Full(packed) => Some(packed.iter().enumerate()),
            _ => None,
        };
        let others = if packed.is_some() { 0..0 } else { 0..PAGE_LEN };
        let others = others.filter_map(|offset| Some((offset, self.get(offset)?)));
        packed.into_iter().flatten().chain(others)
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
    groups: PageGroups,
    /// Runs of full pages, first to last by number; no two touch.
    full: BTreeMap<u64, u64>,
    last_seq: Option<u64>,
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

/// Sequence number of an offset in a page.
fn seq_of(page: u64, offset: usize) -> u64 {
    page * PAGE_LEN as u64 + offset as u64
}

impl StreamIndex {
    pub(crate) fn get(&self, seq: u64) -> Option<Entry> {
        let (page, offset) = page_of(seq);
        self.pages.get(&page)?.get(offset)
    }

    /// The highest sequence number.
    pub(crate) fn last_seq(&self) -> Option<u64> {
        self.last_seq
    }

    /// Adds an entry for a sequence number that has none.
    pub(crate) fn insert(&mut self, seq: u64, entry: Entry) {
        debug_assert!(self.get(seq).is_none(), "each sequence number is stored once");
        self.count += 1;
        self.latest_ms = self.latest_ms.max(entry.last_ms);
        self.last_seq = self.last_seq.max(Some(seq));
        let (number, offset) = page_of(seq);
        let page = self
            .pages
            .entry(number)
            .and_modify(|page| page.add(offset, entry))
            .or_insert_with(|| Page::of(offset, entry));
        if page.is_full() {
            self.join_full(number);
        }
        self.groups.add(number, entry);
    }

    /// Adds a page that has become full to the runs of full pages.
    fn join_full(&mut self, number: u64) {
        let last = self.full.remove(&(number + 1)).unwrap_or(number);
        match self.full.range_mut(..number).next_back() {
            Some((_, before)) if *before == number - 1 => *before = last,
            _ => drop(self.full.insert(number, last)),
        }
    }

    /// Sequence numbers that are there, as runs: first and last of each, ascending. A run ends at the end of
    /// its page, or of its run of full pages. Costs what is taken from it.
    fn runs(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut from = 0;
        let page = move || {
            let (number, page) = self.pages.range(from..).next()?;
            let last = self.full.get(number).copied().unwrap_or(*number);
            // No page has the highest number there is: a page is longer than one.
            from = last + 1;
            Some((*number, last, page))
        };
        iter::from_fn(page).flat_map(|(number, last, page)| {
            page.runs().map(move |(first, end)| {
                work(1);
                (seq_of(number, first), seq_of(last, end))
            })
        })
    }

    /// Missing sequence numbers below the highest, as inclusive ranges, ascending. Costs what is taken
    /// from it.
    pub(crate) fn gaps(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut next = 0;
        self.runs().filter_map(move |(first, last)| {
            let gap = (first > next).then(|| (next, first - 1));
            next = last.saturating_add(1);
            gap
        })
    }

    /// Pages whose groups and themselves hold what is `wanted`, ascending.
    fn pages_with(&self, wanted: impl Fn(&Summary) -> bool) -> impl Iterator<Item = (u64, &Page)> {
        let looked_at = move |summary: &Summary| {
            work(1);
            wanted(summary)
        };
        let groups = self.groups.pages(&looked_at);
        let pages = groups.into_iter().flat_map(|numbers| self.pages.range(numbers));
        pages.filter(move |(_, page)| looked_at(&page.summary)).map(|(number, page)| (*number, page))
    }

    /// Sequence numbers whose times touch `from_ms..=to_ms`, ascending. Costs the pages that may hold one.
    pub(crate) fn touching(&self, from_ms: u64, to_ms: u64) -> Vec<(u64, Entry)> {
        let mut found = Vec::new();
        for (number, page) in self.pages_with(|summary| summary.may_touch(from_ms, to_ms)) {
            let touch = |entry: &Entry| entry.first_ms <= to_ms && entry.last_ms >= from_ms;
            let touching = page.iter().filter(|(_, entry)| touch(entry));
            found.extend(touching.map(|(offset, entry)| (seq_of(number, offset), entry)));
        }
        found
    }

    /// Entries whose index is at least `first`, with their sequence numbers, ascending. Costs the pages that have
    /// one.
    pub(crate) fn since(&self, first: u64) -> impl Iterator<Item = (u64, Entry)> {
        self.pages_with(move |summary| summary.has_since(first)).flat_map(move |(number, page)| {
            let late = page.iter().filter(move |(_, entry)| entry.index >= first);
            late.map(move |(offset, entry)| (seq_of(number, offset), entry))
        })
    }
}

/// Counts entries written, and runs and summaries looked at, for tests of what an order costs.
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
    fn what_is_stored_takes_a_few_bytes_of_memory_whatever_its_times() {
        // Twenty beds whose envelopes come in turn, half a second apart, with times that are not quite even.
        let mut index = StreamIndex::default();
        let envelope = |seq: u64| {
            let first_ms = 1_795_348_800_000 + seq * 1_000 + seq * seq % 17;
            Entry { index: seq * 40 + seq * 7 % 5, first_ms, last_ms: first_ms + 900 + seq % 100 }
        };
        (0..ENVELOPES).for_each(|seq| index.insert(seq, envelope(seq)));
        let full = index.pages.values().filter_map(|page| match &page.order {
            Order::Full(packed) => Some(packed.bytes() as u64),
            _ => None,
        });
        let (pages, bytes) = full.fold((0, 0), |(pages, bytes), page| (pages + 1, bytes + page));
        assert_eq!(pages * PAGE_LEN as u64, ENVELOPES);
        assert!(bytes <= 5 * ENVELOPES, "{bytes} bytes for {ENVELOPES} envelopes");
        assert!((0..ENVELOPES).all(|seq| index.get(seq) == Some(envelope(seq))));
        // Clocks that leap take more and lose nothing.
        let leaping = |seq: u64| match seq % 3 {
            0 => Entry { index: seq, first_ms: u64::MAX, last_ms: 0 },
            1 => Entry { index: u64::MAX - seq, first_ms: 0, last_ms: u64::MAX },
            _ => entry(seq),
        };
        let mut index = StreamIndex::default();
        (0..100).for_each(|seq| index.insert(seq, leaping(seq)));
        assert!((0..100).all(|seq| index.get(seq) == Some(leaping(seq))));
        assert!(index.touching(0, u64::MAX).into_iter().all(|(seq, found)| found == leaping(seq)));
    }

    #[test]
    fn entries_since_an_index_are_those_in_every_order_of_filling() {
        for (name, order) in orders() {
            let mut index = StreamIndex::default();
            for (at, seq) in order.iter().enumerate() {
                index.insert(*seq, Entry { index: at as u64, ..entry(*seq) });
            }
            let from: u64 = ENVELOPES - 1000;
            let found: BTreeSet<(u64, u64)> =
                index.since(from).map(|(seq, entry)| (entry.index, seq)).collect();
            let late = (0..).zip(&order).filter(|(at, _)| *at >= from).map(|(at, seq)| (at, *seq));
            assert!(found.into_iter().eq(late), "{name}");
            // A look for each of the twenty pages that they may stand in, and for those beside them in each group.
            let (found, work) = cost(|| index.since(ENVELOPES - 20).count());
            assert_eq!(found, 20, "{name}");
            assert!(work <= 700, "{name}: {work} steps for the 20 that came last");
        }
    }

    #[test]
    fn a_range_of_times_costs_what_it_holds_however_long_the_stream_is() {
        for (name, order) in orders() {
            let index = filled(order);
            let last_ms = ENVELOPES * 10;
            let (found, work) = cost(|| index.touching(last_ms - 200, u64::MAX));
            assert!(found.into_iter().map(|(seq, _)| seq).eq(ENVELOPES - 20..ENVELOPES), "{name}");
            assert!(work <= 100, "{name}: {work} steps for 20 of {ENVELOPES} envelopes");
        }
    }

    #[test]
    fn a_range_of_times_is_found_whatever_the_clocks_said() {
        // Three clocks: one that goes on, one that leaps back and forth, and one that is never set.
        let at = |seq: u64| match seq % 3 {
            0 => entry(seq % ENVELOPES),
            1 => entry(seq.wrapping_mul(2_654_435_761) % ENVELOPES),
            _ => Entry { index: seq, first_ms: 0, last_ms: seq % 7 },
        };
        let seqs = shuffled(3_000).into_iter().map(|seq| if seq % 5 == 0 { u64::MAX - seq } else { seq });
        let mut index = StreamIndex::default();
        let held: BTreeSet<u64> = seqs.inspect(|seq| index.insert(*seq, at(*seq))).collect();
        for from_ms in (0..ENVELOPES * 10).step_by(13_331) {
            for long_ms in [0, 5, 900, 100_000] {
                let to_ms = from_ms + long_ms;
                let touches = |seq: &&u64| at(**seq).first_ms <= to_ms && at(**seq).last_ms >= from_ms;
                let found = index.touching(from_ms, to_ms).into_iter().map(|(seq, _)| seq);
                assert!(found.eq(held.iter().filter(touches).copied()), "{from_ms} to {to_ms}");
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
    fn a_gap_behind_full_pages_costs_no_walk_over_them() {
        let index = filled((0..ENVELOPES).filter(|seq| *seq != ENVELOPES - 20));
        let (gaps, work) = cost(|| index.gaps().collect::<Vec<_>>());
        assert_eq!(gaps, [(ENVELOPES - 20, ENVELOPES - 20)]);
        assert!(work <= 4, "{work} runs were looked at");
    }

    /// What is looked up for each envelope stays small enough for a processor's cache.
    #[test]
    fn a_stream_of_many_gaps_has_no_more_keys_than_pages() {
        let pages = usize::try_from(ENVELOPES).unwrap() / PAGE_LEN;
        for (name, order) in orders() {
            let mut index = StreamIndex::default();
            for seq in order {
                index.insert(seq, entry(seq));
                let keys = index.pages.len() + index.full.len();
                assert!(keys <= pages + pages / 2 + 1, "{name}: {keys} keys for {pages} pages");
            }
            assert_eq!(index.full.len(), 1, "{name}: all pages are one run");
        }
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
