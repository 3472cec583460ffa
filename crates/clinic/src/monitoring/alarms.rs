//! The alarm engine of one patient: pure, fed with readings, the bedside's own alarm events and the
//! passing of time. One open episode per condition, whether the node or the bedside noticed first.

mod answers;
mod bedside;
mod changes;
mod episodes;
mod replay;
mod signal;
mod state;
mod unheard_vitals;

pub(crate) use bedside::Source;
pub(crate) use changes::Changes;
pub(crate) use replay::{LeftBehind, Recorded};

use crate::monitoring::clocks::Heard;
use crate::monitoring::limits::PatientLimits;
use crate::monitoring::staleness::STALE_MS;
use bedside::BedsideEvents;
use signal::{SignalTimes, condition_of};
use state::AlarmState;
use std::collections::{BTreeMap, BTreeSet};
use unheard_vitals::UnheardVitals;
use vitals::PatientId;
use vitals::alarm::{Condition, Limits, Priority, Side, State};
use vitals::body::LimitsChange;
use vitals::ids::Class;
use vitals::metric::{Absence, Metric, Reading, Sample};

/// A forked stream counts as over when somebody has answered and the second branch has been quiet for this
/// long.
const FORK_QUIET_MS: u64 = 10 * 60_000;

/// One patient's engine.
#[derive(Debug, Clone)]
pub(crate) struct PatientAlarms {
    patient: PatientId,
    states: BTreeMap<Condition, AlarmState>,
    bedside: BedsideEvents,
    limits: PatientLimits,
    /// Limits at bedsides that have not taken these yet: the stricter count.
    elsewhere: BTreeMap<Metric, Limits>,
    /// Newest reading of each metric that was evaluated.
    newest_ms: BTreeMap<Metric, u64>,
    absent: BTreeMap<Metric, Absence>,
    signal_times: SignalTimes,
    unheard: UnheardVitals,
    /// Metrics whose newest value is beyond a limit, whether that rings yet or not.
    beyond: BTreeSet<Metric>,
    /// When something fresh arrived last, by the node's clock.
    fresh_ms: u64,
    /// Without anything fresh for this long, the data is stale.
    stale_after_ms: u64,
    stale: bool,
    /// Does somebody watch? Vital alarms are held while nobody does.
    watched: bool,
    /// When a second branch of one of the streams was seen last.
    forked_ms: u64,
}

impl PatientAlarms {
    /// Watching begins now: data is expected within [`STALE_MS`] until [`PatientAlarms::expect_within`] says
    /// otherwise.
    pub(crate) fn new(patient: PatientId, now_ms: u64) -> Self {
        Self {
            patient,
            states: BTreeMap::new(),
            bedside: BedsideEvents::default(),
            limits: PatientLimits::adult(),
            elsewhere: BTreeMap::new(),
            newest_ms: BTreeMap::new(),
            absent: BTreeMap::new(),
            signal_times: SignalTimes::default(),
            unheard: UnheardVitals::expected_from(now_ms),
            beyond: BTreeSet::new(),
            fresh_ms: now_ms,
            stale_after_ms: STALE_MS,
            stale: false,
            watched: true,
            forked_ms: now_ms,
        }
    }

    /// How often the patient's sensors send was announced: data is stale after this long.
    pub(crate) fn expect_within(&mut self, stale_after_ms: u64) {
        self.stale_after_ms = stale_after_ms.max(STALE_MS);
    }

    pub(crate) fn stale_after_ms(&self) -> u64 {
        self.stale_after_ms
    }

    pub(crate) fn is_stale(&self) -> bool {
        self.stale
    }

    pub(crate) fn absent(&self) -> Vec<(Metric, Absence)> {
        self.absent.iter().map(|(metric, why)| (*metric, *why)).collect()
    }

    pub(crate) fn limits(&self) -> &PatientLimits {
        &self.limits
    }

    /// Somebody begins to watch, and expects data before it would be stale; or nobody watches any more.
    pub(crate) fn watched(&mut self, watched: bool, now_ms: u64) {
        self.watched = watched;
        if watched {
            self.fresh_ms = self.fresh_ms.max(now_ms);
            self.unheard.heard_ms = self.unheard.heard_ms.max(now_ms);
        }
        self.inhibit();
    }

    /// Limits at bedsides that are not those here.
    pub(crate) fn limits_elsewhere(&mut self, elsewhere: BTreeMap<Metric, Limits>) {
        self.elsewhere = elsewhere;
    }

    /// What raises alarms here: the patient's limits, and the stricter of these and those at a bedside that
    /// has not taken them.
    fn limits_in_force(&self, metric: Metric) -> Option<Limits> {
        let limits = *self.limits.of(metric)?;
        Some(self.elsewhere.get(&metric).map_or(limits, |elsewhere| limits.stricter(elsewhere)))
    }

    /// The patient's limits, each with the end of its time if it has one.
    pub(crate) fn wanted_limits(&self) -> Vec<(Limits, Option<u64>)> {
        let until_ms = |limits: &Limits| {
            let temporary = self.limits.temporary().into_iter();
            temporary.filter(|it| it.metric == limits.metric).map(|it| it.until_ms).next()
        };
        self.limits.all().into_iter().map(|limits| (limits, until_ms(&limits))).collect()
    }

    /// A change of limits that stands in the record, made by the person of this name.
    pub(crate) fn change_limits(&mut self, change: &LimitsChange, name: &str) {
        self.limits.apply(change, name);
    }

    fn state(&mut self, condition: Condition) -> &mut AlarmState {
        let held_back = self.is_held_back(condition);
        self.states.entry(condition).or_insert_with(|| {
            let mut state = AlarmState::new(condition);
            state.alarm.inhibit(held_back);
            state
        })
    }

    /// Holds vital alarms back, or lets them go, by what is stale and absent now.
    fn inhibit(&mut self) {
        let held_back: Vec<bool> =
            self.states.keys().map(|condition| self.is_held_back(*condition)).collect();
        for (state, held_back) in self.states.values_mut().zip(held_back) {
            state.alarm.inhibit(held_back);
        }
    }

    /// Stale data and a bed that is not watched hold all alarms of the patient back, a sensor that is off
    /// those of its value. A pulse that cannot be read holds nothing back: an alarm that is open goes on
    /// until a value says otherwise.
    fn is_held_back(&self, condition: Condition) -> bool {
        let off = |metric| matches!(self.absent.get(&metric), Some(Absence::SensorOff | Absence::OutOfRange));
        !condition.is_technical()
            && (self.stale
                || !self.watched
                || condition.judges_a_value() && condition.metric().is_some_and(off))
    }

    /// Is a time close enough to now to alarm on?
    fn is_fresh(at_ms: u64, now_ms: u64) -> bool {
        at_ms.abs_diff(now_ms) <= STALE_MS
    }

    /// Readings arrived. Old, repeated and late ones raise nothing; the times of those that are live
    /// count as the node's clock would have said them.
    pub(crate) fn readings(&mut self, readings: &[Reading], heard: Heard, now_ms: u64) -> Changes {
        let mut changes = Changes::default();
        let fresh: Vec<Reading> = readings
            .iter()
            .map(|r| Reading { at_ms: heard.here(r.at_ms, now_ms), ..*r })
            .filter(|r| heard.live && Self::is_fresh(r.at_ms, now_ms))
            .collect();
        if !fresh.is_empty() {
            self.fresh_ms = now_ms;
            if self.stale {
                self.stale = false;
                self.unheard.heard_ms = now_ms;
                let event = self.state(Condition::Stale).alarm.observe(None, true, 0, 0, now_ms);
                changes.own(event);
                self.inhibit();
            }
        }
        if fresh.iter().any(|reading| reading.metric.info().class == Class::Vitals) {
            self.vitals_heard(now_ms, &mut changes);
        }
        for reading in &fresh {
            let newest = self.newest_ms.entry(reading.metric).or_insert(0);
            // What lies in times to come was noted before the node's clock was set back.
            if reading.at_ms > *newest || *newest > now_ms {
                *newest = reading.at_ms;
                self.evaluate(reading, &mut changes);
            }
        }
        changes
    }

    fn evaluate(&mut self, reading: &Reading, changes: &mut Changes) {
        let (metric, at_ms) = (reading.metric, reading.at_ms);
        match reading.sample {
            Sample::Absent(Absence::WarmingUp) if !self.signal_times.is_long_without_value(metric, at_ms) => {
            }
            Sample::Absent(why) => {
                self.signal_times.lost(metric, at_ms);
                if self.absent.insert(metric, why) != Some(why) {
                    self.inhibit();
                    changes.changed.push(condition_of(why, metric));
                }
                self.judge_signal(metric, Some(why), at_ms, changes);
            }
            Sample::Measured(value) => {
                if let Some(why) = self.absent.remove(&metric) {
                    self.inhibit();
                    changes.changed.push(condition_of(why, metric));
                }
                self.judge_signal(metric, None, at_ms, changes);
                self.count_what_was_seen(metric, at_ms);
                let Some(limits) = self.limits_in_force(metric) else { return };
                let is_beyond =
                    [Side::Above, Side::Below].into_iter().any(|side| limits.violated(side, value).is_some());
                let was_beyond =
                    if is_beyond { !self.beyond.insert(metric) } else { self.beyond.remove(&metric) };
                changes.redraw |= is_beyond != was_beyond;
                let sides =
                    [(Side::Above, Condition::Above(metric)), (Side::Below, Condition::Below(metric))];
                for (side, condition) in sides {
                    let violated = limits.violated(side, value);
                    if violated.is_none() && !self.states.contains_key(&condition) {
                        continue;
                    }
                    let state = self.state(condition);
                    state.set_own(violated, limits.recovered(side, value), at_ms);
                    changes.own(state.put(value, limits.persistence_ms, at_ms));
                }
            }
        }
    }

    /// Something of the equipment, or of watching itself, came (with the value of its events) or went.
    pub(crate) fn technical(&mut self, condition: Condition, open: Option<i32>, now_ms: u64) -> Changes {
        let mut changes = Changes::default();
        if condition == Condition::Equivocation {
            self.forked_ms = now_ms;
        }
        if open.is_none() && !self.states.contains_key(&condition) {
            return changes;
        }
        let state = self.state(condition);
        let before = state.alarm.value();
        state.set_own(open.map(|_| Priority::Technical), open.is_none(), now_ms);
        changes.own(state.put(open.unwrap_or(before), 0, now_ms));
        if state.alarm.is_open() && state.alarm.value() != before {
            changes.changed.push(condition);
        }
        changes
    }

    /// When [`PatientAlarms::tick`] has something to do next, milliseconds.
    pub(crate) fn next_due_ms(&self) -> Option<u64> {
        let stale = (!self.stale).then(|| self.fresh_ms.saturating_add(self.stale_after_ms));
        let answered = |state: &&AlarmState| state.alarm.state() == State::Acknowledged;
        let quiet = self.states.get(&Condition::Equivocation).filter(answered);
        let quiet = quiet.map(|_| self.forked_ms.saturating_add(FORK_QUIET_MS));
        let alarms = self.states.values().filter_map(|state| state.alarm.next_tick_ms());
        let late = self.bedside.next_due_ms();
        let of_time = [stale, quiet, late, self.vitals_due_ms(), self.limits.next_due_ms()];
        alarms.chain(of_time.into_iter().flatten()).min()
    }

    /// Time passes: data goes stale, late alarms count, unanswered high alarms escalate, limits come back.
    pub(crate) fn tick(&mut self, now_ms: u64) -> Changes {
        let limits = self.limits.expire(now_ms);
        let mut changes = Changes { limits, ..Changes::default() };
        changes.add(self.apply_late_if_due(now_ms));
        // After the node's clock was set back nothing was heard later than now.
        if self.fresh_ms > now_ms {
            self.fresh_ms = now_ms;
            changes.redraw = true;
        }
        self.forked_ms = self.forked_ms.min(now_ms);
        if !self.stale && now_ms.saturating_sub(self.fresh_ms) >= self.stale_after_ms {
            self.stale = true;
            self.inhibit();
            let event =
                self.state(Condition::Stale).alarm.observe(Some(Priority::Technical), false, 0, 0, now_ms);
            changes.own(event);
        }
        changes.add(self.miss_vitals_if_due(now_ms));
        // A forked stream does not mend by itself: somebody answers, and the second branch is quiet for a
        // while. What it sends after that is a new episode.
        let quiet = now_ms.saturating_sub(self.forked_ms) >= FORK_QUIET_MS;
        if let Some(state) = self.states.get_mut(&Condition::Equivocation)
            && quiet
            && state.alarm.state() == State::Acknowledged
        {
            state.set_own(None, true, now_ms);
            changes.own(state.put(0, 0, now_ms));
        }
        for state in self.states.values_mut() {
            let event = state.alarm.tick(now_ms);
            state.escalated += u8::from(event.is_some());
            changes.own(event);
        }
        changes
    }
}

/// Conditions that the node judges by itself, whatever the bedside says of them.
fn is_node_s_own(condition: Condition) -> bool {
    matches!(
        condition,
        Condition::Stale
            | Condition::Equivocation
            | Condition::Gap
            | Condition::Clock
            | Condition::Unwatched
            | Condition::WatchEnding
    )
}
