//! What the record says of a bed's alarms, limits and orders, and which part of it still matters: pure.
//!
//! Most of it is over: an episode that ended, limits that were changed again, an order that was confirmed. What may be
//! left out is not judged by rules of its own, which would have to follow every change of the engine: as much is left
//! out as leaves the engine, which is asked each time, in the same state. From then on it does the same.

use super::alarms::{LeftBehind, Recorded};
use super::limits::PatientLimits;
use super::orders::Orders;
use std::collections::{BTreeMap, BTreeSet};
use vitals::DeviceId;
use vitals::alarm::Condition;
use vitals::body::LimitsChange;
use vitals::command::{Confirmation, SignedCommand};
use vitals::metric::Metric;

/// Events looked at while what may be left out is searched for, for each condition and metric. What the search has not
/// come to is kept.
const EFFORT_MAX: usize = 1 << 18;

/// One thing that was said in an envelope.
#[derive(Debug, Clone)]
pub(super) enum Said {
    Event(Recorded),
    /// By the person of this name.
    Limits(LimitsChange, String),
    Order(SignedCommand),
    Confirmation(Confirmation),
}

/// The same with where it stands.
#[derive(Debug, Clone)]
pub(super) struct RecordItem {
    /// Leaf of the log, and place in the body of that envelope.
    pub(super) at: (u64, u64),
    pub(super) author: DeviceId,
    /// Number of the envelope in its author's stream.
    pub(super) seq: u64,
    pub(super) said: Said,
}

/// A change of limits, and the name of who made it.
type Change<'a> = (&'a LimitsChange, &'a str);

/// What was read of a bed's streams of alarms.
#[derive(Debug, Clone, Default)]
pub(super) struct AlarmRecord(Vec<RecordItem>);

/// What follows from it, each in the order in which it counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Sorted {
    pub(super) events: Vec<Recorded>,
    pub(super) limits: Vec<(LimitsChange, String)>,
    pub(super) orders: Vec<SignedCommand>,
    pub(super) confirmations: Vec<(DeviceId, Confirmation)>,
}

impl AlarmRecord {
    pub(super) fn of(mut items: Vec<RecordItem>) -> Self {
        items.sort_by_key(|item| item.at);
        Self(items)
    }

    /// What stands in the log before this leaf.
    pub(super) fn before(mut self, size: u64) -> Self {
        self.0.retain(|item| item.at.0 < size);
        self
    }

    pub(super) fn sorted(self) -> Sorted {
        let mut sorted = Sorted::default();
        let mut words = Vec::new();
        for RecordItem { at, author, seq, said } in self.0 {
            match said {
                Said::Event(event) => sorted.events.push(event),
                Said::Limits(change, name) => sorted.limits.push((change, name)),
                Said::Order(signed) => sorted.orders.push(signed),
                Said::Confirmation(word) => words.push(((author, seq, at.1), word)),
            }
        }
        // A bedside's words count in the order in which it said them.
        words.sort_by_key(|(order, _)| *order);
        sorted.confirmations = words.into_iter().map(|((author, ..), word)| (author, word)).collect();
        sorted
    }

    /// Where that stands which leaves behind what all of it does, ascending.
    pub(super) fn fewest(&self, now_ms: u64) -> Vec<(u64, u64)> {
        let mut kept = BTreeSet::new();
        let mut by_condition: BTreeMap<Condition, Vec<(&RecordItem, &Recorded)>> = BTreeMap::new();
        let mut by_metric: BTreeMap<Metric, Vec<(&RecordItem, Change<'_>)>> = BTreeMap::new();
        for item in &self.0 {
            match &item.said {
                Said::Event(event) if event.counts() => {
                    by_condition.entry(event.event.condition).or_default().push((item, event));
                }
                Said::Limits(change, name) => {
                    by_metric.entry(change.limits.metric).or_default().push((item, (change, name)));
                }
                _ => {}
            }
        }
        for (condition, events) in by_condition {
            kept.extend(fewest(&events, |some| LeftBehind::by(condition, some, now_ms)));
        }
        for changes in by_metric.into_values() {
            let every: Vec<_> = changes.iter().map(|(_, change)| *change).collect();
            let after_all = limits_after(PatientLimits::adult(), &every);
            // Done again, they change nothing.
            kept.extend(fewest(&changes, |some| {
                (limits_after(PatientLimits::adult(), some), limits_after(after_all.clone(), some))
            }));
        }
        kept.extend(self.fewest_orders(now_ms));
        kept.into_iter().collect()
    }

    /// Of the orders, those that are in question and the last one to each sensor, with what was said of them.
    fn fewest_orders(&self, now_ms: u64) -> Vec<(u64, u64)> {
        let after = |record: Self| {
            let Sorted { orders, confirmations, .. } = record.sorted();
            let mut after = Orders::default();
            after.read_back(orders, confirmations, now_ms);
            after
        };
        let of_orders = |item: &&RecordItem| matches!(item.said, Said::Order(_) | Said::Confirmation(_));
        let all: Vec<RecordItem> = self.0.iter().filter(of_orders).cloned().collect();
        let wanted = after(Self(all.clone()));
        let counts = |item: &&RecordItem| match &item.said {
            Said::Order(signed) => wanted.holds(signed),
            Said::Confirmation(word) => wanted.asked(item.author, word),
            _ => false,
        };
        let few: Vec<RecordItem> = all.iter().filter(counts).cloned().collect();
        let few = if after(Self(few.clone())) == wanted { few } else { all };
        few.into_iter().map(|item| item.at).collect()
    }
}

fn limits_after(mut limits: PatientLimits, changes: &[Change<'_>]) -> PatientLimits {
    changes.iter().for_each(|(change, name)| limits.apply(change, name));
    limits
}

/// Where few of these stand that leave behind what all of them do, at least one. Not always the fewest there are: the
/// effort is bounded.
fn fewest<T: Copy, L: PartialEq>(all: &[(&RecordItem, T)], left: impl Fn(&[T]) -> L) -> Vec<(u64, u64)> {
    let of = |some: &[(&RecordItem, T)]| left(&some.iter().map(|(_, one)| *one).collect::<Vec<T>>());
    let wanted = of(all);
    let is_enough = |some: &[(&RecordItem, T)]| !some.is_empty() && of(some) == wanted;
    // Most often only the last ones count.
    let mut len = 1;
    while len < all.len() && !is_enough(&all[all.len() - len..]) {
        len *= 2;
    }
    let mut few = all[all.len() - len.min(all.len())..].to_vec();
    let (mut effort, mut part) = (0, few.len());
    while part > 0 {
        let mut at = 0;
        while at < few.len() && effort < EFFORT_MAX {
            effort += few.len();
            let behind = few.len().min(at + part);
            let without = [&few[..at], &few[behind..]].concat();
            if is_enough(&without) {
                few = without;
            } else {
                at = behind;
            }
        }
        part /= 2;
    }
    few.into_iter().map(|(item, _)| item.at).collect()
}

#[cfg(test)]
mod tests;
