//! What the node counted: for the administrator's page, the metrics and the ward's report.

use parking_lot::Mutex;
use std::collections::BTreeMap;

/// Buckets per doubling of latency.
const STEPS: u64 = 8;
/// Buckets: up to 2^24 ms, more than four hours.
const BUCKETS: usize = 24 * 8;

/// Upper bounds, inclusive, of the classes in which a [`Latency`] is counted, milliseconds: from what an alarm may take
/// to the hour that a gateway was cut off.
pub const LATENCY_CLASSES_MS: [u64; 14] =
    [10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 3_600_000];

/// A latency: percentiles, milliseconds, within 1/8 of their value, and how many values lie in each class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// Half are faster.
    pub p50_ms: u64,
    /// 99 of 100 are faster.
    pub p99_ms: u64,
    /// The slowest.
    pub max_ms: u64,
    /// All of them added up.
    pub sum_ms: u64,
    /// How many lie in each class of [`LATENCY_CLASSES_MS`], without those of the classes before; the last counts
    /// what lies beyond.
    pub in_class: [u64; LATENCY_CLASSES_MS.len() + 1],
}

/// What this node counted since it started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counters {
    /// Envelopes admitted.
    pub admitted: u64,
    /// Readings in them, as their headers say.
    pub admitted_readings: u64,
    /// Envelopes acknowledged again.
    pub duplicate: u64,
    /// Envelopes refused, by code.
    pub refused: BTreeMap<&'static str, u64>,
    /// What the node refused at the link, or held back, before any envelope was looked at; by code.
    pub turned_away: BTreeMap<&'static str, u64>,
    /// Envelopes of stolen devices kept apart.
    pub quarantined: u64,
    /// Envelopes the node wrote itself (access entries, alarm answers, profiles).
    pub authored: u64,
    /// Envelopes that did not open under their key.
    pub unreadable: u64,
    /// Envelopes that were admitted too fast for the live view and are in the record only.
    pub live_skipped: u64,
    /// Anchors that became final.
    pub anchors: u64,
    /// Alarm episodes that began, at the bedside or here.
    pub alarms_raised: u64,
    /// Envelopes missing in all streams now.
    pub missing_now: u64,
    /// Patients whose bedside clock is wrong now.
    pub clocks_wrong_now: u64,
    /// Patients with a stream that two devices write now under one identity.
    pub forked_streams_now: u64,
    /// Beds that send data, that nobody watches and that nobody answered for, now.
    pub unwatched_now: u64,
    /// Alarms that nobody answered now, by [`Priority::word`].
    pub unanswered_now: BTreeMap<&'static str, Unanswered>,
    /// When the first consent ends under which a bed is watched now, milliseconds since 1970; none if none is watched.
    pub consent_ends_first_ms: Option<u64>,
    /// Alarm events that wait for the disk now.
    pub alarm_events_unwritten_now: u64,
    /// Alarm events that were given up because the disk took none for too long.
    pub alarm_events_lost: u64,
    /// Leaps of bedside clocks while they ran.
    pub clock_leaps: u64,
    /// Looks at a bed of a wall that were refused because the access log took no entry.
    pub looks_not_recorded: u64,
    /// Records opened.
    pub charts_opened: u64,
    /// Withdrawn consents that were not on the ledger after [`crate::LATE_BLOCKS`] blocks.
    pub withdrawals_late: u64,
    /// Requests denied by policy.
    pub denied: u64,
    /// From sealing to the live view.
    pub seal_to_live: Latency,
    /// From sealing to the finalized anchor on this node's view.
    pub seal_to_final: Latency,
}

/// Alarms of one priority that nobody answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unanswered {
    /// How many episodes.
    pub count: u64,
    /// Since when the first of them waits, milliseconds since 1970.
    pub since_ms: u64,
}

impl Counters {
    /// Refused envelopes of all codes.
    #[must_use]
    pub fn refused_total(&self) -> u64 {
        self.refused.values().sum()
    }
}

/// Counters and the histograms behind their latencies. Owns its lock.
#[derive(Default)]
pub(crate) struct Stats(Mutex<Figures>);

#[derive(Debug, Clone)]
struct Figures {
    counters: Counters,
    seal_to_live: Histogram,
    seal_to_final: Histogram,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            counters: Counters::default(),
            seal_to_live: Histogram::new(),
            seal_to_final: Histogram::new(),
        }
    }
}

impl Stats {
    /// Counts. `count` must be pure: it holds the lock.
    pub(crate) fn count(&self, count: impl FnOnce(&mut Counters)) {
        count(&mut self.0.lock().counters);
    }

    /// Envelopes of the node's own were written.
    pub(crate) fn authored(&self, envelopes: usize) {
        self.0.lock().counters.authored += envelopes as u64;
    }

    /// How long envelopes took from sealing to the live view, milliseconds.
    pub(crate) fn live(&self, latencies_ms: impl IntoIterator<Item = u64>) {
        let mut figures = self.0.lock();
        latencies_ms.into_iter().for_each(|latency_ms| figures.seal_to_live.add(latency_ms));
    }

    /// How long envelopes took from sealing to the finalized anchor, milliseconds.
    pub(crate) fn finalized(&self, latencies_ms: impl IntoIterator<Item = u64>) {
        let mut figures = self.0.lock();
        figures.counters.anchors += 1;
        latencies_ms.into_iter().for_each(|latency_ms| figures.seal_to_final.add(latency_ms));
    }

    /// Everything so far.
    pub(crate) fn counters(&self) -> Counters {
        let figures = self.0.lock();
        Counters {
            seal_to_live: figures.seal_to_live.latency(),
            seal_to_final: figures.seal_to_final.latency(),
            ..figures.counters.clone()
        }
    }

    /// Counts from nothing.
    pub(crate) fn reset(&self) {
        *self.0.lock() = Figures::default();
    }
}

/// A histogram of fixed size: eight buckets per doubling.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max_ms: u64,
    sum_ms: u64,
    in_class: [u64; LATENCY_CLASSES_MS.len() + 1],
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { buckets: vec![0; BUCKETS], count: 0, max_ms: 0, sum_ms: 0, in_class: Default::default() }
    }

    pub(crate) fn add(&mut self, value_ms: u64) {
        let at = bucket(value_ms).min(BUCKETS - 1);
        self.buckets[at] += 1;
        self.count += 1;
        self.max_ms = self.max_ms.max(value_ms);
        self.sum_ms = self.sum_ms.saturating_add(value_ms);
        self.in_class[LATENCY_CLASSES_MS.partition_point(|upper| *upper < value_ms)] += 1;
    }

    fn percentile(&self, percent: u64) -> u64 {
        let wanted = (self.count * percent).div_ceil(100);
        let mut seen = 0;
        for (at, held) in self.buckets.iter().enumerate() {
            seen += held;
            if seen >= wanted {
                return upper(at).min(self.max_ms);
            }
        }
        self.max_ms
    }

    pub(crate) fn latency(&self) -> Latency {
        if self.count == 0 {
            return Latency::default();
        }
        Latency {
            count: self.count,
            p50_ms: self.percentile(50),
            p99_ms: self.percentile(99),
            max_ms: self.max_ms,
            sum_ms: self.sum_ms,
            in_class: self.in_class,
        }
    }
}

/// Values below 8 have a bucket each; above, eight per doubling.
fn bucket(value: u64) -> usize {
    let index = if value < STEPS {
        value
    } else {
        let doubling = u64::from(value.ilog2()) - 3;
        STEPS + doubling * STEPS + ((value >> doubling) - STEPS)
    };
    usize::try_from(index).unwrap_or(usize::MAX)
}

/// The largest value of a bucket.
fn upper(at: usize) -> u64 {
    let at = at as u64;
    if at < STEPS {
        return at;
    }
    let (doubling, step) = ((at - STEPS) / STEPS, (at - STEPS) % STEPS);
    ((STEPS + step + 1) << doubling) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_stay_within_an_eighth() {
        let mut histogram = Histogram::new();
        (1..=1000).for_each(|value| histogram.add(value));
        let latency = histogram.latency();
        assert_eq!(latency.count, 1000);
        assert!((500..=563).contains(&latency.p50_ms), "{}", latency.p50_ms);
        assert!((990..=1000).contains(&latency.p99_ms), "{}", latency.p99_ms);
        assert_eq!(latency.max_ms, 1000);
    }

    #[test]
    fn every_value_lies_in_the_bucket_that_names_it() {
        for value in (0..5000).chain([1 << 20, (1 << 24) - 1]) {
            let at = bucket(value);
            assert!(upper(at) >= value && (at == 0 || upper(at - 1) < value), "{value}");
        }
    }

    #[test]
    fn every_value_is_counted_in_one_class_and_a_bound_belongs_to_its_class() {
        let mut histogram = Histogram::new();
        let values = [0, 10, 11, 25, 3_600_000, 3_600_001, u64::MAX / 2];
        values.into_iter().for_each(|value| histogram.add(value));
        let latency = histogram.latency();
        let mut wanted = [0; LATENCY_CLASSES_MS.len() + 1];
        (wanted[0], wanted[1], wanted[13], wanted[14]) = (2, 2, 1, 2);
        assert_eq!(latency.in_class, wanted);
        assert_eq!((latency.count, latency.sum_ms), (7, values.into_iter().sum()));
        assert!(LATENCY_CLASSES_MS.is_sorted());
    }

    #[test]
    fn nothing_measured_is_all_zero() {
        assert_eq!(Histogram::new().latency(), Latency::default());
    }
}
