//! Which limits are in force at a board: its own, those ordered for a time, and the floor, the widest
//! limits that an order can set.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use vitals::Metric;
use vitals::alarm::Limits;

/// Limits that were ordered for a time.
#[derive(Debug, Clone, Copy)]
struct Ordered {
    limits: Limits,
    /// By the caller's clock and by the alarm clock; whichever comes first.
    until_ms: (u64, u64),
    ended: bool,
}

/// The limits of one board.
#[derive(Debug, Clone, Default)]
pub(super) struct LimitTable {
    own: BTreeMap<Metric, Limits>,
    floor: BTreeMap<Metric, Limits>,
    ordered: BTreeMap<Metric, Ordered>,
}

impl LimitTable {
    pub(super) fn new(own: &[Limits], floor: &[Limits]) -> Self {
        let by_metric = |all: &[Limits]| all.iter().map(|limits| (limits.metric, *limits)).collect();
        Self { own: by_metric(own), floor: by_metric(floor), ordered: BTreeMap::new() }
    }

    pub(super) fn set_own(&mut self, limits: Limits) {
        self.own.insert(limits.metric, limits);
    }

    /// `until_ms` by the caller's clock, `for_ms` from now by the alarm clock.
    pub(super) fn order(&mut self, limits: Limits, until_ms: u64, steady_until_ms: u64) {
        let ordered = Ordered { limits, until_ms: (until_ms, steady_until_ms), ended: false };
        self.ordered.insert(limits.metric, ordered);
    }

    /// What raises alarms now: what was ordered, or the board's own; once the time of an order is over
    /// the stricter of both; and never wider than the floor.
    pub(super) fn in_force(&self, metric: Metric) -> Option<Limits> {
        let own = self.own.get(&metric).copied();
        let limits = match self.ordered.get(&metric) {
            Some(ordered) if !ordered.ended => Some(ordered.limits),
            Some(ordered) => Some(own.map_or(ordered.limits, |own| own.stricter(&ordered.limits))),
            None => own,
        };
        match (limits, self.floor.get(&metric)) {
            (Some(limits), Some(floor)) => Some(limits.stricter(floor)),
            (limits, floor) => limits.or(floor.copied()),
        }
    }

    /// Ends the orders whose time is over; gives the metrics of those that just did.
    pub(super) fn expire(&mut self, now_ms: u64, steady_ms: u64) -> Vec<Metric> {
        let mut over = Vec::new();
        for (metric, ordered) in &mut self.ordered {
            let (until_ms, steady_until_ms) = ordered.until_ms;
            if !ordered.ended && (now_ms >= until_ms || steady_ms >= steady_until_ms) {
                ordered.ended = true;
                over.push(*metric);
            }
        }
        over
    }

    pub(super) fn any_ended(&self) -> bool {
        self.ordered.values().any(|ordered| ordered.ended)
    }
}
