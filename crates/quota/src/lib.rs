//! Token buckets: how much a sender may take, at once and over time (docs/decisions/152).
//!
//! Time is an argument, milliseconds from any start, so that every run can be replayed. A clock that
//! goes back gives nothing. Each operation costs a few integer instructions, and the table of
//! [`Buckets`] has a bound.

use std::collections::HashMap;
use std::hash::Hash;

/// How much may be taken: at once, and again over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    burst: u32,
    refill: u32,
    every_ms: u32,
}

impl Rate {
    /// `burst` at once after a rest, and `per_s` more every second.
    #[must_use]
    pub const fn per_second(burst: u32, per_s: u32) -> Self {
        Self { burst, refill: per_s, every_ms: 1_000 }
    }

    /// `burst` at once after a rest, and one more every `every_ms` milliseconds (at least one).
    #[must_use]
    pub const fn one_in(burst: u32, every_ms: u32) -> Self {
        Self { burst, refill: 1, every_ms: if every_ms == 0 { 1 } else { every_ms } }
    }

    /// Tokens are counted in so many parts, of which a millisecond refills [`Self::refill`].
    fn parts(self, tokens: i64) -> i64 {
        tokens.saturating_mul(i64::from(self.every_ms))
    }

    fn full(self) -> i64 {
        self.parts(i64::from(self.burst))
    }
}

/// What is left of a rate.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    rate: Rate,
    /// Parts of tokens; below zero is a debt.
    left: i64,
    at_ms: u64,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn full(rate: Rate, now_ms: u64) -> Self {
        Self { rate, left: rate.full(), at_ms: now_ms }
    }

    fn refill(&mut self, now_ms: u64) {
        let passed = i64::try_from(now_ms.saturating_sub(self.at_ms)).unwrap_or(i64::MAX);
        let gained = passed.saturating_mul(i64::from(self.rate.refill));
        self.left = self.left.saturating_add(gained).min(self.rate.full());
        self.at_ms = self.at_ms.max(now_ms);
    }

    /// Milliseconds until `missing` parts are refilled.
    fn wait_ms(&self, missing: i64) -> u64 {
        u64::try_from(missing).unwrap_or(0).div_ceil(u64::from(self.rate.refill.max(1)))
    }

    /// Takes one token.
    ///
    /// # Errors
    /// There is none: the milliseconds after which to ask again.
    pub fn take(&mut self, now_ms: u64) -> Result<(), u64> {
        self.refill(now_ms);
        let one = self.rate.parts(1);
        if self.left < one {
            return Err(self.wait_ms(one - self.left));
        }
        self.left -= one;
        Ok(())
    }

    /// Takes `amount` tokens, on credit if need be. Gives the milliseconds until the debt is paid.
    pub fn spend(&mut self, amount: usize, now_ms: u64) -> u64 {
        self.refill(now_ms);
        let amount = i64::try_from(amount).unwrap_or(i64::MAX);
        self.left = self.left.saturating_sub(self.rate.parts(amount));
        self.wait_ms(self.left.saturating_neg())
    }

    fn is_full(&mut self, now_ms: u64) -> bool {
        self.refill(now_ms);
        self.left >= self.rate.full()
    }
}

/// A bucket of one rate for each of many keys. Full buckets are forgotten; when `keys_max` are not full,
/// further keys share one bucket.
#[derive(Debug)]
pub struct Buckets<K> {
    rate: Rate,
    keys_max: usize,
    known: HashMap<K, Bucket>,
    others: Bucket,
}

impl<K: Eq + Hash> Buckets<K> {
    /// Full buckets for every key, of which at most `keys_max` are told apart at a time.
    #[must_use]
    pub fn new(rate: Rate, keys_max: usize) -> Self {
        Self { rate, keys_max, known: HashMap::new(), others: Bucket::full(rate, 0) }
    }

    fn bucket(&mut self, key: K, now_ms: u64) -> &mut Bucket {
        if self.known.len() >= self.keys_max && !self.known.contains_key(&key) {
            // A full bucket remembers nothing.
            self.known.retain(|_, bucket| !bucket.is_full(now_ms));
            if self.known.len() >= self.keys_max {
                return &mut self.others;
            }
        }
        self.known.entry(key).or_insert_with(|| Bucket::full(self.rate, now_ms))
    }

    /// Takes one token of `key`.
    ///
    /// # Errors
    /// There is none: the milliseconds after which to ask again.
    pub fn take(&mut self, key: K, now_ms: u64) -> Result<(), u64> {
        self.bucket(key, now_ms).take(now_ms)
    }

    /// Takes `amount` tokens of `key`, on credit if need be. Gives the milliseconds until the debt is
    /// paid.
    pub fn spend(&mut self, key: K, amount: usize, now_ms: u64) -> u64 {
        self.bucket(key, now_ms).spend(amount, now_ms)
    }

    /// Keys told apart now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Is no key told apart?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate::per_second(3, 2);
    const KEYS_MAX: usize = 1_000;

    #[test]
    fn a_burst_is_free_and_then_the_rate_holds() {
        let mut bucket = Bucket::full(RATE, 1000);
        assert_eq!([1000; 4].map(|now_ms| bucket.take(now_ms)), [Ok(()), Ok(()), Ok(()), Err(500)]);
        assert_eq!([1499, 1500, 1500].map(|now_ms| bucket.take(now_ms)), [Err(1), Ok(()), Err(500)]);
        assert!(bucket.take(100_000).is_ok());
        assert_eq!([100_000; 3].map(|now_ms| bucket.take(now_ms).is_ok()), [true, true, false]);
        assert!(bucket.take(0).is_err(), "a clock that goes back gives nothing");
    }

    #[test]
    fn a_rate_may_be_slower_than_one_a_second() {
        let mut bucket = Bucket::full(Rate::one_in(2, 10_000), 0);
        assert_eq!([0; 3].map(|now_ms| bucket.take(now_ms)), [Ok(()), Ok(()), Err(10_000)]);
        assert_eq!([9_999, 10_000, 10_001].map(|at| bucket.take(at)), [Err(1), Ok(()), Err(9_999)]);
    }

    #[test]
    fn a_debt_names_its_wait() {
        let mut bucket = Bucket::full(RATE, 0);
        assert_eq!(bucket.spend(3, 0), 0);
        assert_eq!(bucket.spend(2, 0), 1_000);
        assert_eq!(bucket.spend(0, 500), 500);
        assert_eq!(bucket.spend(0, 1000), 0);
        assert!(bucket.spend(usize::MAX, 1000) > 1_000);
    }

    #[test]
    fn a_fast_rate_is_exact_to_the_token() {
        // 32 MiB a second: 29.8 ns a byte.
        let rate = Rate::per_second(0, 32 << 20);
        let mut bucket = Bucket::full(rate, 0);
        let mut now_ms = 0;
        for _ in 0..100 {
            now_ms += bucket.spend(32 << 20, now_ms);
        }
        assert_eq!(now_ms, 100_000);
    }

    #[test]
    fn each_has_its_own_and_the_table_is_bounded() {
        let mut buckets = Buckets::new(RATE, KEYS_MAX);
        for _ in 0..3 {
            assert!(buckets.take(1, 0).is_ok());
        }
        assert!(buckets.take(1, 0).is_err());
        assert!(buckets.take(2, 0).is_ok());
        for key in 0..3 * KEYS_MAX {
            let _ = buckets.take(key, 0);
        }
        assert!(buckets.len() <= KEYS_MAX);
        assert!(buckets.take(usize::MAX, 0).is_err(), "the rest shares one bucket, and it is empty");
        assert!(buckets.take(usize::MAX, 2000).is_ok(), "after a rest the table is free again");
        assert!(buckets.len() < 10);
    }
}
