//! Limits of a metric: one threshold per priority and side, hysteresis and persistence.

use super::Priority;
use crate::cbor::{NotCanonical, Reader, Writer};
use crate::metric::{AdultLimits, Metric};
use alloc::vec::Vec;

/// Limits of one metric: a threshold per priority and side, in raw units of the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The metric.
    pub metric: Metric,
    /// A value at or above is an alarm of this priority: low, medium, high; ascending.
    pub above: [Option<i32>; 3],
    /// A value at or below is an alarm of this priority: low, medium, high; descending.
    pub below: [Option<i32>; 3],
    /// A raised alarm recovers only this far inside its lowest limit.
    pub hysteresis: i32,
    /// A violation must last this long before it is raised.
    pub persistence_ms: u64,
}

/// Thresholds of [`Limits`] on the wire: three above, three below.
const THRESHOLDS: usize = 6;
/// Longest persistence that can be asked for: longer would turn the alarm off unseen.
pub const PERSISTENCE_MAX_MS: u64 = 600_000;

impl Limits {
    /// Adult defaults, from the metric's entry; none for metrics without one.
    #[must_use]
    pub fn adult(metric: Metric) -> Option<Self> {
        let AdultLimits { above, below, hysteresis, persistence_ms } = metric.info().limits?;
        Some(Self { metric, above, below, hysteresis, persistence_ms })
    }

    /// The worst priority the value violates on this side.
    #[must_use]
    pub fn violated(&self, side: Side, value: i32) -> Option<Priority> {
        let thresholds = match side {
            Side::Above => &self.above,
            Side::Below => &self.below,
        };
        [Priority::High, Priority::Medium, Priority::Low]
            .into_iter()
            .zip(thresholds.iter().rev())
            .find(|(_, threshold)| {
                threshold.is_some_and(|limit| match side {
                    Side::Above => value >= limit,
                    Side::Below => value <= limit,
                })
            })
            .map(|(priority, _)| priority)
    }

    /// Is the value far enough inside all limits of this side to call it over?
    #[must_use]
    pub fn recovered(&self, side: Side, value: i32) -> bool {
        match side {
            Side::Above => self.violated(side, value.saturating_add(self.hysteresis)).is_none(),
            Side::Below => self.violated(side, value.saturating_sub(self.hysteresis)).is_none(),
        }
    }

    /// Does no value that the sensor can say raise anything on this side?
    #[must_use]
    pub fn is_off(&self, side: Side) -> bool {
        let (lowest, highest) = self.metric.info().plausible;
        match side {
            Side::Above => self.above.iter().flatten().all(|limit| *limit >= highest),
            Side::Below => self.below.iter().flatten().all(|limit| *limit <= lowest),
        }
    }

    /// The sides on which a value usually raises an alarm, and none does under these limits.
    pub fn turned_off(&self) -> impl Iterator<Item = Side> + use<'_> {
        let usual = Self::adult(self.metric);
        [Side::Above, Side::Below].into_iter().filter(move |side| {
            self.is_off(*side) && usual.as_ref().is_some_and(|usual| !usual.is_off(*side))
        })
    }

    /// The limits that raise whatever either of the two raises, as early as either does: each value's
    /// priority is the worse of both, it recovers only where both say so. A lower priority that a higher
    /// one hides is left out. The two sides may overlap; then every value is an alarm.
    #[must_use]
    pub fn stricter(&self, other: &Self) -> Self {
        let side = |ours: &[Option<i32>; 3], theirs: &[Option<i32>; 3], inner: fn(i32, i32) -> i32| {
            let mut merged = [None; 3];
            let mut worse: Option<i32> = None;
            for level in (0..3).rev() {
                let both = [ours[level], theirs[level]].into_iter().flatten().reduce(inner);
                // At or beyond the threshold of a worse priority it would never be seen.
                merged[level] = both.filter(|at| worse.is_none_or(|worse| inner(*at, worse) != worse));
                worse = merged[level].or(worse);
            }
            merged
        };
        Self {
            metric: self.metric,
            above: side(&self.above, &other.above, i32::min),
            below: side(&self.below, &other.below, i32::max),
            hysteresis: self.hysteresis.max(other.hysteresis),
            persistence_ms: self.persistence_ms.min(other.persistence_ms),
        }
    }

    /// Writes `[metric, [thresholds…], hysteresis, persistence]`; a threshold is an array of one integer,
    /// or of none where it is absent.
    pub fn write(&self, w: &mut Writer) {
        w.array(4).uint(u64::from(self.metric.code())).array(THRESHOLDS);
        for threshold in self.above.iter().chain(&self.below) {
            match threshold {
                Some(value) => w.array(1).int(i64::from(*value)),
                None => w.array(0),
            };
        }
        w.uint(u64::from(self.hysteresis.max(0).unsigned_abs())).uint(self.persistence_ms);
    }

    /// Reads what [`Self::write`] wrote and checks the order of thresholds.
    pub fn read(r: &mut Reader<'_>) -> Result<Self, NotCanonical> {
        r.array(4)?;
        let metric = Metric::from_code(r.u8()?).ok_or(NotCanonical::Unexpected)?;
        let thresholds: Vec<Option<i32>> = {
            r.array(THRESHOLDS)?;
            (0..THRESHOLDS)
                .map(|_| {
                    let value = r.list(1, |r| i32::try_from(r.int()?).map_err(|_| NotCanonical::TooLong))?;
                    Ok(value.first().copied())
                })
                .collect::<Result<_, NotCanonical>>()?
        };
        let side = |from: usize| [thresholds[from], thresholds[from + 1], thresholds[from + 2]];
        let hysteresis = i32::try_from(r.uint()?).map_err(|_| NotCanonical::TooLong)?;
        let persistence_ms = r.uint_max(PERSISTENCE_MAX_MS)?;
        let limits = Self { metric, above: side(0), below: side(3), hysteresis, persistence_ms };
        if limits.in_order() { Ok(limits) } else { Err(NotCanonical::Order) }
    }

    /// Are the limits usable: worse priorities further out, the two sides apart, hysteresis not
    /// negative, persistence at most [`PERSISTENCE_MAX_MS`]?
    #[must_use]
    pub fn in_order(&self) -> bool {
        let above: Vec<i32> = self.above.iter().flatten().copied().collect();
        let below: Vec<i32> = self.below.iter().flatten().copied().collect();
        let bounded = self.hysteresis >= 0 && self.persistence_ms <= PERSISTENCE_MAX_MS;
        bounded
            && above.is_sorted_by(|a, b| a < b)
            && below.is_sorted_by(|a, b| a > b)
            && above.iter().all(|high| below.iter().all(|low| low < high))
    }
}

/// Which side of the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Too high.
    Above,
    /// Too low.
    Below,
}
