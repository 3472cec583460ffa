//! After a restart: the episodes that are open, from the alarm events that stand in the record.
//!
//! The events of the node and of the bedside, in the order in which they were admitted, are put to
//! the same machines at their own times. What somebody has answered stays answered.

use super::{Bedside, Watch, is_node_s_own};
use std::collections::BTreeMap;
use vitals::PersonId;
use vitals::alarm::{AlarmEvent, Condition, Happening, SILENCE_MAX_MS, Side};
use vitals::metric::{Metric, Sample};

/// One alarm event of the record.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) event: AlarmEvent,
    /// Did the bedside write it, or the node?
    pub(crate) by_bedside: bool,
    /// The name of whoever did it.
    pub(crate) name: Option<String>,
}

/// What the events tell of one condition besides its machine.
#[derive(Debug, Default, Clone, Copy)]
struct Told {
    /// The node wrote something about this episode. One that only a bedside raised may have sat in a
    /// journal and raised nothing here: if it still stands, the node's own evaluation raises it.
    by_node: bool,
    /// The bedside called it over while the node's own opinion is not known to have changed.
    over_at_bedside: bool,
}

impl Bedside {
    /// Rebuilds what was open. `newest` gives the newest sample of a metric.
    pub(crate) fn replay(
        &mut self,
        recorded: &[Recorded],
        newest: impl Fn(Metric) -> Option<Sample>,
        now_ms: u64,
    ) {
        let mut told: BTreeMap<Condition, Told> = BTreeMap::new();
        for one in recorded {
            let condition = one.event.condition;
            if one.by_bedside && is_node_s_own(condition) {
                continue;
            }
            let watch = self.watches.entry(condition).or_insert_with(|| Watch::new(condition));
            let told = told.entry(condition).or_default();
            watch.relive(one, told, now_ms);
            if !watch.alarm.is_open() {
                *told = Told::default();
            }
        }
        for (condition, told) in told {
            let Some(watch) = self.watches.get_mut(&condition) else { continue };
            let limits = condition.metric().and_then(|metric| self.limits.of(metric));
            let side = match condition {
                Condition::Above(_) => Some(Side::Above),
                Condition::Below(_) => Some(Side::Below),
                _ => None,
            };
            let over = || {
                let Sample::Measured(value) = newest(condition.metric()?)? else { return None };
                Some(limits?.recovered(side?, value))
            };
            if told.over_at_bedside && over() == Some(true) {
                watch.says(None, true, now_ms);
                watch.put(watch.alarm.value(), 0, now_ms);
            }
            if watch.alarm.is_open() && !told.by_node {
                (watch.own, watch.bedside, watch.own_over) = (None, None, true);
                watch.put(watch.alarm.value(), 0, now_ms);
                watch.alarm.acknowledge(PersonId([0; 32]), now_ms);
            }
        }
        self.stale = self.watches.get(&Condition::Stale).is_some_and(|watch| watch.alarm.is_open());
        self.inhibit();
    }
}

impl Watch {
    fn relive(&mut self, one: &Recorded, told: &mut Told, now_ms: u64) {
        let event = &one.event;
        let at_ms = event.at_ms.min(now_ms);
        match event.happening {
            Happening::Raised | Happening::Worsened | Happening::Returned => {
                if one.by_bedside {
                    self.bedside = Some((event.priority, at_ms));
                } else {
                    self.own = Some(event.priority);
                }
                self.own_over = false;
                told.over_at_bedside = false;
                self.put(event.value, 0, at_ms);
            }
            Happening::Acknowledged => {
                if self.alarm.acknowledge(event.by, at_ms).is_some() {
                    self.owner.clone_from(&one.name);
                }
            }
            Happening::Silenced => {
                // For how long is not written: what is silenced longer than it was asked for rings
                // again at most this much later.
                self.alarm.silence(event.by, SILENCE_MAX_MS, at_ms);
            }
            Happening::SilenceEnded => {
                self.alarm.end_silence(event.by, at_ms);
            }
            Happening::Escalated => self.escalated += u8::from(self.alarm.tick(at_ms).is_some()),
            Happening::Recovered | Happening::Closed if one.by_bedside => {
                self.bedside = None;
                if self.own.is_none() {
                    self.own_over = true;
                    self.put(event.value, 0, at_ms);
                }
                told.over_at_bedside = true;
            }
            Happening::Recovered | Happening::Closed => {
                (self.own, self.bedside, self.own_over) = (None, None, true);
                if event.by == PersonId([0; 32]) {
                    self.put(event.value, 0, at_ms);
                } else {
                    self.alarm.acknowledge(event.by, at_ms);
                }
            }
        }
        told.by_node |= !one.by_bedside;
    }
}
