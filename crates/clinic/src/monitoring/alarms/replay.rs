//! After a restart: the episodes that are open, from the alarm events that stand in the record.
//!
//! The events of the node and of the bedside, in the order in which they were admitted, are put to
//! the same machines at their own times. What somebody has answered stays answered.

use super::state::AlarmState;
use super::{PatientAlarms, is_node_s_own};
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
    /// The name of the person who did it.
    pub(crate) name: Option<String>,
}

/// What the events tell of one condition besides its machine.
#[derive(Debug, Default, Clone, Copy)]
struct Replayed {
    /// The node wrote something about this episode. One that only a bedside raised may have sat in a
    /// journal and raised nothing here: if it still stands, the node's own evaluation raises it.
    by_node: bool,
    /// The bedside called it over while the node's own opinion is not known to have changed.
    over_at_bedside: bool,
}

impl PatientAlarms {
    /// Rebuilds what was open. `newest` gives the newest sample of a metric.
    pub(crate) fn replay(
        &mut self,
        recorded: &[Recorded],
        newest: impl Fn(Metric) -> Option<Sample>,
        now_ms: u64,
    ) {
        let mut told: BTreeMap<Condition, Replayed> = BTreeMap::new();
        for one in recorded {
            let condition = one.event.condition;
            if one.by_bedside && is_node_s_own(condition) {
                continue;
            }
            let state = self.states.entry(condition).or_insert_with(|| AlarmState::new(condition));
            let told = told.entry(condition).or_default();
            state.relive(one, told, now_ms);
            if !state.alarm.is_open() {
                *told = Replayed::default();
            }
        }
        for (condition, told) in told {
            let Some(state) = self.states.get_mut(&condition) else { continue };
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
                state.says(None, true, now_ms);
                state.put(state.alarm.value(), 0, now_ms);
            }
            if state.alarm.is_open() && !told.by_node {
                (state.own, state.bedside, state.own_over) = (None, None, true);
                state.put(state.alarm.value(), 0, now_ms);
                state.alarm.acknowledge(PersonId([0; 32]), now_ms);
            }
        }
        self.stale = self.states.get(&Condition::Stale).is_some_and(|state| state.alarm.is_open());
        self.inhibit();
    }
}

impl AlarmState {
    fn relive(&mut self, one: &Recorded, told: &mut Replayed, now_ms: u64) {
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
