//! The bedside's own alarm events, also those that arrive late because its gateway was cut off.
//!
//! An event that arrives in time counts at once. Late events of one condition are put together until the
//! last of them is there, so that an hour of backlog is one entry and rings only for what still stands.

use super::state::AlarmState;
use super::{Changes, PatientAlarms, is_node_s_own};
use crate::monitoring::clocks::Heard;
use std::collections::BTreeMap;
use vitals::DeviceId;
use vitals::alarm::{AlarmEvent, AlarmEventKind, Condition, Priority, State};
use vitals::envelope::Header;

/// Late events count once none has come for this long.
const LATE_QUIET_MS: u64 = 1_000;
/// They wait for further ones for at most this long.
const LATE_WAIT_MAX_MS: u64 = 5_000;

/// Where an event of the bedside comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Source {
    pub(super) author: DeviceId,
    /// Its number in the author's stream of alarms.
    pub(super) seq: u64,
    /// Drawn anew at every start of the bedside.
    pub(super) run: [u8; 16],
}

impl Source {
    pub(crate) fn of(header: &Header) -> Self {
        Self { author: header.author, seq: header.seq, run: header.run }
    }
}

/// The newest event of one condition at one bedside, by the order of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Newest {
    seq: u64,
    run: [u8; 16],
    at_ms: u64,
    stands: bool,
}

/// An episode of which nobody was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Episode {
    priority: Priority,
    value: i32,
    since_ms: u64,
    /// Somebody answered it at the bedside.
    answered: bool,
}

/// What the late events of one condition at one bedside say together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct LateEpisodes {
    /// The bedside called an episode over, last then.
    over_ms: Option<u64>,
    /// The worst episode that began and ended, with its end; of equals the newest.
    ended: Option<(Episode, u64)>,
    /// The episode that stands after all of them.
    stands: Option<Episode>,
}

impl LateEpisodes {
    fn end(&mut self, episode: Episode, over_ms: u64) {
        let worse = self.ended.is_none_or(|(before, _)| episode.priority >= before.priority);
        if worse && !episode.answered {
            self.ended = Some((episode, over_ms));
        }
    }

    /// The same condition at another bedside of the patient.
    fn with(mut self, other: Self) -> Self {
        self.over_ms = self.over_ms.max(other.over_ms);
        if let Some((episode, over_ms)) = other.ended {
            self.end(episode, over_ms);
        }
        self.stands = [self.stands, other.stands].into_iter().flatten().max_by_key(|one| one.priority);
        self
    }
}

/// What is known of the bedside's alarm events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct BedsideEvents {
    newest: BTreeMap<(Condition, DeviceId), Newest>,
    late: BTreeMap<(Condition, DeviceId), LateEpisodes>,
    /// When the first and the last of the late ones arrived.
    late_ms: Option<(u64, u64)>,
}

impl BedsideEvents {
    /// When late events count at the latest, milliseconds; none while there are none.
    pub(super) fn next_due_ms(&self) -> Option<u64> {
        let (first_ms, last_ms) = self.late_ms?;
        Some(last_ms.saturating_add(LATE_QUIET_MS).min(first_ms.saturating_add(LATE_WAIT_MAX_MS)))
    }

    fn newest(&self, condition: Condition, source: Source) -> Option<Newest> {
        self.newest.get(&(condition, source.author)).copied()
    }

    /// Notes an event that was read or applied; one that is older than another known one is not the last word.
    pub(super) fn note(&mut self, event: &AlarmEvent, source: Source, at_ms: u64) {
        let stands = match event.kind {
            AlarmEventKind::Raised | AlarmEventKind::Worsened | AlarmEventKind::Returned => true,
            AlarmEventKind::Recovered | AlarmEventKind::Closed => false,
            _ => return,
        };
        let Source { author, seq, run } = source;
        if self.newest(event.condition, source).is_none_or(|newest| newest.seq <= seq) {
            self.newest.insert((event.condition, author), Newest { seq, run, at_ms, stands });
        }
    }

    /// Keeps a late event until it counts.
    fn keep(&mut self, event: &AlarmEvent, source: Source, at_ms: u64, now_ms: u64) {
        let newer = self.newest(event.condition, source).filter(|newest| newest.seq > source.seq);
        let late = self.late.entry((event.condition, source.author)).or_default();
        let AlarmEvent { priority, value, .. } = *event;
        let begun = Episode { priority, value, since_ms: at_ms, answered: false };
        match (event.kind, newer) {
            // It filled a gap: what came after it in the stream is known.
            (AlarmEventKind::Raised | AlarmEventKind::Worsened | AlarmEventKind::Returned, Some(newer))
                if !newer.stands =>
            {
                late.end(begun, newer.at_ms);
            }
            (AlarmEventKind::Raised | AlarmEventKind::Worsened | AlarmEventKind::Returned, None) => {
                let since_ms = late.stands.map_or(at_ms, |before| before.since_ms);
                late.stands = Some(Episode { since_ms, ..begun });
            }
            (AlarmEventKind::Recovered | AlarmEventKind::Closed, None) => {
                if let Some(episode) = late.stands.take() {
                    late.end(episode, at_ms);
                }
                late.over_ms = Some(at_ms);
            }
            (AlarmEventKind::Acknowledged, None) => {
                if let Some(episode) = &mut late.stands {
                    episode.answered = true;
                }
            }
            _ => {}
        }
        self.note(event, source, at_ms);
        let first_ms = self.late_ms.map_or(now_ms, |(first_ms, _)| first_ms.min(now_ms));
        self.late_ms = Some((first_ms, now_ms));
    }

    /// Technical alarms that a bedside held before it started again: whatever still stands it raises anew.
    fn forget(&mut self, source: Source, sealed_ms: u64) -> Vec<Condition> {
        let forgotten = self.newest.iter_mut().filter(|((condition, author), newest)| {
            let before = newest.stands && newest.run != source.run && newest.at_ms < sealed_ms;
            *author == source.author && condition.is_technical() && before
        });
        forgotten
            .map(|((condition, _), newest)| {
                newest.stands = false;
                *condition
            })
            .collect()
    }
}

impl PatientAlarms {
    /// The bedside's own alarm events arrived. What it raises is raised here as the same episode, at once or,
    /// if it is late, when the late events that belong together are there.
    pub(crate) fn events(
        &mut self,
        events: &[AlarmEvent],
        source: Source,
        heard: Heard,
        now_ms: u64,
    ) -> Changes {
        let mut changes = Changes::default();
        for event in events.iter().filter(|event| !is_node_s_own(event.condition)) {
            let at_ms = heard.here(event.at_ms, now_ms);
            let is_last = self.bedside.newest(event.condition, source).is_none_or(|n| n.seq <= source.seq);
            if heard.live && is_last && Self::is_fresh(at_ms, now_ms) {
                // A stream keeps its order: what is late was sealed before this.
                changes.add(self.apply_late());
                self.bedside.note(event, source, at_ms);
                changes.theirs(self.apply(event, at_ms, now_ms));
            } else {
                self.bedside.keep(event, source, at_ms, now_ms);
            }
        }
        changes
    }

    /// An event that arrived in time.
    fn apply(&mut self, event: &AlarmEvent, at_ms: u64, now_ms: u64) -> Option<AlarmEvent> {
        match event.kind {
            AlarmEventKind::Raised | AlarmEventKind::Worsened | AlarmEventKind::Returned => {
                self.by_bedside(event.condition, |state| {
                    // A value the node has not seen yet: until it has, the bedside's word counts.
                    state.bedside = Some((event.priority, at_ms));
                    state.own_over = false;
                    state.put(event.value, 0, now_ms)
                })
            }
            AlarmEventKind::Recovered | AlarmEventKind::Closed => {
                let bedside = self.states.get(&event.condition)?.bedside;
                bedside.filter(|(_, since_ms)| *since_ms <= at_ms)?;
                self.by_bedside(event.condition, |state| state.bedside_over(event.value, now_ms))
            }
            _ => None,
        }
    }

    /// Works on a condition by what the bedside saw: that this node has no values now holds nothing back.
    fn by_bedside<T>(&mut self, condition: Condition, work: impl FnOnce(&mut AlarmState) -> T) -> T {
        let held_back = self.is_held_back(condition);
        let state = self.state(condition);
        state.alarm.inhibit(false);
        let done = work(state);
        state.alarm.inhibit(held_back);
        done
    }

    /// Late events count if they have waited long enough.
    pub(super) fn apply_late_if_due(&mut self, now_ms: u64) -> Changes {
        match self.bedside.next_due_ms() {
            Some(due_ms) if due_ms <= now_ms => self.apply_late(),
            _ => Changes::default(),
        }
    }

    /// Late events count now: at the times at which they happened.
    fn apply_late(&mut self) -> Changes {
        let mut changes = Changes::default();
        self.bedside.late_ms = None;
        let mut conditions: BTreeMap<Condition, LateEpisodes> = BTreeMap::new();
        for ((condition, _), late) in core::mem::take(&mut self.bedside.late) {
            let all = conditions.remove(&condition).unwrap_or_default().with(late);
            conditions.insert(condition, all);
        }
        for (condition, late) in conditions {
            self.apply_late_of(condition, late, &mut changes);
        }
        changes
    }

    fn apply_late_of(&mut self, condition: Condition, late: LateEpisodes, changes: &mut Changes) {
        // The last value that the node itself judged: what the bedside says of later times counts more.
        let judged_ms = condition.metric().and_then(|metric| self.newest_ms.get(&metric)).copied();
        if !self.states.contains_key(&condition) && late.stands.is_none() && late.ended.is_none() {
            return;
        }
        self.by_bedside(condition, |state| {
            if let Some(over_ms) = late.over_ms
                && state.bedside.is_some_and(|(_, since_ms)| since_ms <= over_ms)
            {
                changes.theirs(state.bedside_over(state.alarm.value(), over_ms));
            }
            let active_since_ms = state.alarm.active_since_ms();
            let is_answered = state.alarm.state() == State::Acknowledged;
            let came_back = |since_ms: u64| is_answered && since_ms > active_since_ms;
            if let Some(Episode { priority, value, since_ms, answered }) = late.stands {
                let came_back = late.over_ms.is_some() && !answered && came_back(since_ms);
                state.bedside = Some((priority, since_ms));
                state.own_over = false;
                // The node's own value is newer than one that came late.
                let value = if state.own.is_some() { state.alarm.value() } else { value };
                changes.theirs(state.put(value, 0, since_ms));
                if came_back {
                    changes.own(state.ring_again(since_ms));
                }
            } else if let Some((episode, over_ms)) = late.ended
                && episode.priority >= Priority::Medium
            {
                match state.alarm.state() {
                    State::Active => {}
                    State::Acknowledged => {
                        let judged_since = judged_ms.is_some_and(|judged_ms| judged_ms > over_ms);
                        if came_back(episode.since_ms) && !judged_since {
                            changes.own(state.ring_again(episode.since_ms));
                            (state.own, state.own_over) = (None, true);
                            changes.own(state.put(episode.value, 0, over_ms));
                        }
                    }
                    State::Normal | State::Pending { .. } | State::Recovered => {
                        changes.theirs(state.observe(
                            Some(episode.priority),
                            episode.value,
                            episode.since_ms,
                        ));
                        changes.theirs(state.observe(None, episode.value, over_ms));
                    }
                }
            }
        });
    }

    /// The bedside sent something just now, sealed at `sealed_ms`. Has it started again since it raised what it
    /// holds? The node notes the end of technical alarms that only the earlier run held.
    pub(crate) fn bedside_runs(&mut self, source: Source, sealed_ms: u64, now_ms: u64) -> Changes {
        let mut changes = Changes::default();
        let forgotten = self.bedside.forget(source, sealed_ms);
        if !forgotten.is_empty() {
            changes.add(self.apply_late());
        }
        for condition in forgotten {
            let event = self.by_bedside(condition, |state| state.bedside_over(0, now_ms));
            changes.own(event);
        }
        changes
    }
}
