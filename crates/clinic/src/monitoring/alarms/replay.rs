//! After a restart: the episodes that are open, from the alarm events that stand in the record.
//!
//! The events of the node and of the bedside, in the order in which they were admitted, are put to
//! the same machines at their own times. What somebody has answered stays answered.

use super::bedside::{BedsideEvents, Source};
use super::state::AlarmState;
use super::{PatientAlarms, is_node_s_own};
use std::collections::BTreeMap;
use vitals::PersonId;
use vitals::alarm::{AlarmEvent, AlarmEventKind, Condition, Priority, SILENCE_MAX_MS, Side};
use vitals::envelope::TIME_MAX_MS;
use vitals::metric::{Metric, Sample};

/// One alarm event of the record.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) event: AlarmEvent,
    /// The bedside that wrote it; none if the node did.
    pub(crate) bedside: Option<Source>,
    /// The name of the person who did it.
    pub(crate) name: Option<String>,
}

impl Recorded {
    /// Does it count? What a bedside says of the node's own conditions does not.
    pub(crate) fn counts(&self) -> bool {
        self.bedside.is_none() || !is_node_s_own(self.event.condition)
    }

    /// Puts the event to what is known of its condition. `over_at_bedside`: a bedside called it over while the node's
    /// own opinion is not known to have changed.
    fn relive(
        &self,
        state: &mut AlarmState,
        over_at_bedside: &mut bool,
        bedside: &mut BedsideEvents,
        now_ms: u64,
    ) {
        if let Some(source) = self.bedside {
            bedside.note(&self.event, source, self.event.at_ms.min(now_ms));
        }
        state.relive(self, over_at_bedside, now_ms);
        *over_at_bedside &= state.alarm.is_open();
    }
}

/// What the events of one condition leave behind.
#[derive(PartialEq, Eq)]
pub(crate) struct LeftBehind([(AlarmState, bool, BedsideEvents); 4]);

impl LeftBehind {
    /// After these events: in a bed that knows nothing of the condition and in one where the node has raised it since
    /// its start, both by a clock that is later than all of them and by that of now. Episodes are not counted.
    pub(crate) fn by(condition: Condition, events: &[&Recorded], now_ms: u64) -> Self {
        let after = |(raised, now_ms): (Option<Priority>, u64)| {
            let (mut state, mut over, mut bedside) =
                (AlarmState::new(condition), false, BedsideEvents::default());
            if raised.is_some() {
                state.set_own(raised, false, now_ms);
                state.put(0, 0, now_ms);
            }
            events.iter().for_each(|one| one.relive(&mut state, &mut over, &mut bedside, now_ms));
            let episode = state.alarm.episode().min(1);
            (AlarmState { alarm: state.alarm.numbered(episode), ..state }, over, bedside)
        };
        let raised = Some(if condition.is_technical() { Priority::Technical } else { Priority::Medium });
        Self([(None, TIME_MAX_MS), (None, now_ms), (raised, TIME_MAX_MS), (raised, now_ms)].map(after))
    }
}

impl PatientAlarms {
    /// Rebuilds what was open. `newest` gives the newest sample of a metric.
    pub(crate) fn replay(
        &mut self,
        recorded: &[Recorded],
        newest: impl Fn(Metric) -> Option<Sample>,
        now_ms: u64,
    ) {
        let mut over_at_bedside: BTreeMap<Condition, bool> = BTreeMap::new();
        for one in recorded.iter().filter(|one| one.counts()) {
            let condition = one.event.condition;
            let state = self.states.entry(condition).or_insert_with(|| AlarmState::new(condition));
            let over = over_at_bedside.entry(condition).or_default();
            one.relive(state, over, &mut self.bedside, now_ms);
        }
        for (condition, over_at_bedside) in over_at_bedside {
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
            if over_at_bedside && over() == Some(true) {
                state.set_own(None, true, now_ms);
                state.put(state.alarm.value(), 0, now_ms);
            }
        }
        self.stale = self.states.get(&Condition::Stale).is_some_and(|state| state.alarm.is_open());
        self.inhibit();
    }
}

impl AlarmState {
    fn relive(&mut self, one: &Recorded, over_at_bedside: &mut bool, now_ms: u64) {
        let event = &one.event;
        let at_ms = event.at_ms.min(now_ms);
        match event.kind {
            AlarmEventKind::Raised | AlarmEventKind::Worsened | AlarmEventKind::Returned => {
                if one.bedside.is_some() {
                    self.bedside = Some((event.priority, at_ms));
                } else {
                    self.own = Some(event.priority);
                }
                self.own_over = false;
                *over_at_bedside = false;
                self.put(event.value, 0, at_ms);
                if one.bedside.is_none() && event.kind == AlarmEventKind::Returned {
                    self.ring_again(at_ms);
                }
            }
            AlarmEventKind::Acknowledged => {
                if self.alarm.acknowledge(event.by, at_ms).is_some() {
                    self.owner.clone_from(&one.name);
                    self.answered_ms = at_ms;
                }
            }
            AlarmEventKind::Silenced => {
                // For how long is not written: what is silenced longer than it was asked for rings
                // again at most this much later.
                self.alarm.silence(event.by, SILENCE_MAX_MS, at_ms);
            }
            AlarmEventKind::SilenceEnded => {
                self.alarm.end_silence(event.by, at_ms);
            }
            AlarmEventKind::Escalated => self.escalated += u8::from(self.alarm.tick(at_ms).is_some()),
            AlarmEventKind::Recovered | AlarmEventKind::Closed if one.bedside.is_some() => {
                self.bedside = None;
                if self.own.is_none() {
                    self.own_over = true;
                    self.put(event.value, 0, at_ms);
                }
                *over_at_bedside = true;
            }
            AlarmEventKind::Recovered | AlarmEventKind::Closed => {
                (self.own, self.bedside, self.own_over) = (None, None, true);
                if event.by == PersonId([0; 32]) {
                    self.put(event.value, 0, at_ms);
                } else {
                    self.alarm.acknowledge(event.by, at_ms);
                }
            }
        }
        // Episodes before the events that were read back are counted by the node's own word.
        if one.bedside.is_none() && (1..event.episode).contains(&self.alarm.episode()) {
            self.alarm = self.alarm.clone().numbered(event.episode);
        }
    }
}
