//! Token buckets. Time is an argument, milliseconds from any start.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// Most keys told apart; beyond, strangers share one bucket.
const KEYS_MAX: usize = 8 * 1024;

/// How much may be spent: at once, and again every second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// At once, after a rest.
    pub burst: u32,
    /// Refilled every second.
    pub per_s: u32,
}

/// What is left of a rate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    rate: Rate,
    /// In thousandths; below zero is a debt.
    left: i64,
    at_ms: u64,
}

impl Bucket {
    pub(crate) fn full(rate: Rate, now_ms: u64) -> Self {
        Self { rate, left: i64::from(rate.burst) * 1000, at_ms: now_ms }
    }

    fn refill(&mut self, now_ms: u64) {
        // A second refills `per_s`, so a millisecond refills as many thousandths.
        let passed = i64::try_from(now_ms.saturating_sub(self.at_ms)).unwrap_or(i64::MAX);
        let full = i64::from(self.rate.burst) * 1000;
        self.left = self.left.saturating_add(passed.saturating_mul(i64::from(self.rate.per_s))).min(full);
        self.at_ms = self.at_ms.max(now_ms);
    }

    /// Takes one, if it is there.
    pub(crate) fn take(&mut self, now_ms: u64) -> bool {
        self.refill(now_ms);
        let there = self.left >= 1000;
        if there {
            self.left -= 1000;
        }
        there
    }

    /// Spends, if need be on credit, and says how long to wait until the debt is paid.
    pub(crate) fn spend(&mut self, amount: usize, now_ms: u64) -> Duration {
        self.refill(now_ms);
        self.left = self.left.saturating_sub(i64::try_from(amount).unwrap_or(i64::MAX / 1000) * 1000);
        let debt = u64::try_from(-self.left).unwrap_or(0);
        Duration::from_millis(debt.div_ceil(u64::from(self.rate.per_s.max(1))))
    }

    fn is_full(&mut self, now_ms: u64) -> bool {
        self.refill(now_ms);
        self.left >= i64::from(self.rate.burst) * 1000
    }
}

/// A bucket for each of many.
#[derive(Debug)]
pub(crate) struct Buckets<K> {
    rate: Rate,
    known: HashMap<K, Bucket>,
    others: Bucket,
}

impl<K: Eq + Hash> Buckets<K> {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, known: HashMap::new(), others: Bucket::full(rate, 0) }
    }

    /// Takes one from the bucket of `key`.
    pub(crate) fn take(&mut self, key: K, now_ms: u64) -> bool {
        if let Some(bucket) = self.known.get_mut(&key) {
            return bucket.take(now_ms);
        }
        if self.known.len() >= KEYS_MAX {
            // A full bucket remembers nothing.
            self.known.retain(|_, bucket| !bucket.is_full(now_ms));
        }
        if self.known.len() >= KEYS_MAX {
            return self.others.take(now_ms);
        }
        let mut bucket = Bucket::full(self.rate, now_ms);
        let there = bucket.take(now_ms);
        self.known.insert(key, bucket);
        there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, per_s: 2 };

    #[test]
    fn a_burst_is_free_and_then_the_rate_holds() {
        let mut bucket = Bucket::full(RATE, 1000);
        assert_eq!([1000; 4].map(|now_ms| bucket.take(now_ms)), [true, true, true, false]);
        assert_eq!([1499, 1500, 1500].map(|now_ms| bucket.take(now_ms)), [false, true, false]);
        assert!(bucket.take(100_000));
        assert_eq!([100_000; 3].map(|now_ms| bucket.take(now_ms)), [true, true, false]);
        assert!(!bucket.take(0), "a clock that goes back gives nothing");
    }

    #[test]
    fn a_debt_names_its_wait() {
        let mut bucket = Bucket::full(RATE, 0);
        assert_eq!(bucket.spend(3, 0), Duration::ZERO);
        assert_eq!(bucket.spend(2, 0), Duration::from_secs(1));
        assert_eq!(bucket.spend(0, 500), Duration::from_millis(500));
        assert_eq!(bucket.spend(0, 1000), Duration::ZERO);
        assert!(bucket.spend(usize::MAX, 1000) > Duration::from_secs(1));
    }

    #[test]
    fn each_has_its_own_and_the_table_is_bounded() {
        let mut buckets = Buckets::new(RATE);
        for _ in 0..3 {
            assert!(buckets.take(1, 0));
        }
        assert!(!buckets.take(1, 0));
        assert!(buckets.take(2, 0));
        for key in 0..3 * KEYS_MAX {
            buckets.take(key, 0);
        }
        assert!(buckets.known.len() <= KEYS_MAX);
        assert!(!buckets.take(usize::MAX, 0), "the rest shares one bucket, and it is empty");
        assert!(buckets.take(usize::MAX, 2000), "after a rest the table is free again");
        assert!(buckets.known.len() < 10);
    }
}
