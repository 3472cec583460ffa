//! What stands between the bedside and the recorder: what is to be recorded goes one way, what the ward
//! ordered and how recording stands go the other.
//!
//! The recorder may wait for its disk for as long as that takes; the bedside never does. So everything that
//! waits here is bounded, and the lock is held for pure work only. When there is no more room
//! - readings are given up, the newest first: what waits is recorded without a hole,
//! - of the alarm events of one bed and condition the last one waits: none is given up,
//! - what the node sent is given up, and its session begins anew: the node sends it again.

use crate::counters::{Counters, note};
use link::{Event, Uplink};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use vitals::alarm::{AlarmEvent, Condition};
use vitals::command::{Command, Confirmation};
use vitals::metric::Reading;

/// Readings that wait, at most: three boards for two and a half hours, about 10 MB.
const READINGS_MAX: usize = 250_000;
/// Alarm events that wait one by one, at most.
const ALARM_EVENTS_MAX: usize = 50_000;
/// What the node sent and the recorder has not looked at yet: events, and bytes of their content, at most.
const NODE_EVENTS_MAX: usize = 4_096;
const NODE_BYTES_MAX: usize = 8 << 20;
/// With nothing new the recorder is woken this often, for what falls due by time.
const WAKE_EVERY_MS: u64 = 50;
/// Polls that the recorder takes at once: one group, with one sync.
const POLLS_AT_ONCE_MAX: usize = 256;

/// What one poll of a bed brought, to be sealed and recorded.
#[derive(Debug, Default)]
pub(crate) struct Sampled {
    /// Which bed, in configuration order.
    pub(crate) n: usize,
    /// When, by the steady clock.
    pub(crate) at_ms: u64,
    pub(crate) readings: Vec<Reading>,
    pub(crate) alarms: Vec<AlarmEvent>,
    /// What became of commands. They are few: a command passes the recorder before it is carried out.
    pub(crate) confirmations: Vec<Confirmation>,
}

impl Sampled {
    fn is_empty(&self) -> bool {
        self.readings.is_empty() && self.alarms.is_empty() && self.confirmations.is_empty()
    }
}

/// A session with the node begins or is over.
#[derive(Debug)]
pub(crate) enum Session {
    Open(Box<dyn Uplink>),
    Over,
}

/// How recording stands, as the recorder saw it last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    pub(crate) beds: Vec<BedStanding>,
    /// The ledger shown to this gateway contradicts one that was signed before.
    pub(crate) ledger_split: bool,
    /// The node's receipts say that this computer's clock is far off.
    pub(crate) clock_wrong: bool,
    /// The node's time, by its last receipt, less this gateway's.
    pub(crate) clock_off_ms: i64,
    /// The node owes an answer.
    pub(crate) awaits_answers: bool,
    /// Readings are given up: no room for what is not proven, or the disk failed.
    pub(crate) losing: bool,
}

/// How the streams of one bed stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct BedStanding {
    /// One of them has a second writer.
    pub(crate) forked: bool,
    /// The node refused an envelope of one of them.
    pub(crate) rejected: bool,
}

/// What the recorder works on next.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// The gateway's clock and the steady one.
    pub(crate) now_ms: u64,
    pub(crate) steady_ms: u64,
    /// Comes before [`Self::events`].
    pub(crate) session: Option<Session>,
    pub(crate) events: VecDeque<Event>,
    /// Some of what the node sent was given up: its session must begin anew.
    pub(crate) events_dropped: bool,
    pub(crate) sampled: Vec<Sampled>,
    /// The gateway ends: first brings home what is sealed, or not.
    pub(crate) stop: Option<bool>,
    /// Nothing more waits.
    pub(crate) is_last: bool,
}

/// How recording stands, and what the bedside has to do.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub(crate) standing: Standing,
    /// Commands to be carried out now; that they were seen is durable.
    pub(crate) orders: Vec<(usize, Command)>,
    /// Since when, by the steady clock, the oldest waits of what is not recorded yet.
    pub(crate) oldest_ms: Option<u64>,
    /// The recorder has ended.
    pub(crate) is_over: bool,
}

/// What there was no room for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct NoRoom {
    /// Readings that were given up.
    pub(crate) readings: usize,
    /// Alarm events in whose place a later one of their bed and condition waits.
    pub(crate) alarm_events: usize,
}

#[derive(Debug)]
struct State {
    readings_max: usize,
    alarm_events_max: usize,
    now_ms: u64,
    steady_ms: u64,
    sampled: VecDeque<Sampled>,
    readings: usize,
    alarm_events: usize,
    /// The last alarm event by bed and condition, once there is no more room for each of them. They come after
    /// [`Self::sampled`].
    last_events: BTreeMap<(usize, Condition), (u64, AlarmEvent)>,
    session: Option<Session>,
    events: VecDeque<Event>,
    event_bytes: usize,
    events_dropped: bool,
    stop: Option<bool>,
    /// Something has happened since the recorder looked, and when it was woken last, by the steady clock.
    woken: bool,
    woken_at_ms: u64,
    orders: Vec<(usize, Command)>,
    standing: Standing,
    /// When the oldest was sampled of what the recorder has in hand.
    in_hand_ms: Option<u64>,
    is_over: bool,
}

/// The queue between one bedside thread and one recorder.
pub(crate) struct RecorderQueue {
    state: Mutex<State>,
    changed: Condvar,
    counters: Arc<Counters>,
}

fn bytes_of(event: &Event) -> usize {
    match event {
        Event::Receipt(bytes) | Event::Proof(bytes) | Event::Command(bytes) => bytes.len(),
        Event::Refused { sentence, .. } => sentence.len(),
        Event::Acked { .. } | Event::CommandTooLong(_) | Event::Closed { .. } => 0,
    }
}

impl State {
    fn put(&mut self, mut sampled: Sampled, no_room: &mut NoRoom) {
        if self.readings + sampled.readings.len() > self.readings_max {
            no_room.readings += sampled.readings.len();
            sampled.readings.clear();
        }
        // A later event must not overtake one that waits for its turn.
        if !self.last_events.is_empty() || self.alarm_events + sampled.alarms.len() > self.alarm_events_max {
            for event in sampled.alarms.drain(..) {
                let key = (sampled.n, event.condition);
                let before = self.last_events.insert(key, (sampled.at_ms, event));
                no_room.alarm_events += usize::from(before.is_some());
            }
        }
        self.readings += sampled.readings.len();
        self.alarm_events += sampled.alarms.len();
        if !sampled.is_empty() {
            self.sampled.push_back(sampled);
        }
    }

    fn note(&self, counters: &Counters) {
        note(&counters.readings_waiting, self.readings);
        note(&counters.alarm_events_waiting, self.alarm_events + self.last_events.len());
    }

    fn take_sampled(&mut self) -> Vec<Sampled> {
        let mut taken: Vec<Sampled> =
            self.sampled.drain(..self.sampled.len().min(POLLS_AT_ONCE_MAX)).collect();
        for sampled in &taken {
            self.readings -= sampled.readings.len();
            self.alarm_events -= sampled.alarms.len();
        }
        if self.sampled.is_empty() {
            let mut last: Vec<_> = std::mem::take(&mut self.last_events).into_iter().collect();
            last.sort_by_key(|(_, (at_ms, _))| *at_ms);
            taken.extend(last.into_iter().map(|((n, _), (at_ms, event))| Sampled {
                n,
                at_ms,
                alarms: vec![event],
                ..Sampled::default()
            }));
        }
        taken
    }

    fn oldest_ms(&self) -> Option<u64> {
        let waiting = self.sampled.front().map(|sampled| sampled.at_ms);
        let last = self.last_events.values().map(|(at_ms, _)| *at_ms).min();
        [self.in_hand_ms, waiting, last].into_iter().flatten().min()
    }
}

impl RecorderQueue {
    pub(crate) fn new(now_ms: u64, counters: Arc<Counters>) -> Self {
        let state = State {
            readings_max: READINGS_MAX,
            alarm_events_max: ALARM_EVENTS_MAX,
            now_ms,
            steady_ms: now_ms,
            sampled: VecDeque::new(),
            readings: 0,
            alarm_events: 0,
            last_events: BTreeMap::new(),
            session: None,
            events: VecDeque::new(),
            event_bytes: 0,
            events_dropped: false,
            stop: None,
            woken: false,
            woken_at_ms: now_ms,
            orders: Vec::new(),
            standing: Standing::default(),
            in_hand_ms: None,
            is_over: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), counters }
    }

    /// Room for so many readings and alarm events only.
    #[cfg(test)]
    pub(crate) fn bound(&self, readings_max: usize, alarm_events_max: usize) {
        let mut state = self.state();
        (state.readings_max, state.alarm_events_max) = (readings_max, alarm_events_max);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) {
        state.woken = true;
        state.woken_at_ms = state.steady_ms;
        drop(state);
        self.changed.notify_one();
    }

    // The bedside's side.

    /// Hands over what was sampled at all beds, and the time.
    pub(crate) fn put(&self, sampled: Vec<Sampled>, now_ms: u64, steady_ms: u64) -> NoRoom {
        let mut state = self.state();
        (state.now_ms, state.steady_ms) = (now_ms, steady_ms);
        let mut no_room = NoRoom::default();
        let is_due = steady_ms.saturating_sub(state.woken_at_ms) >= WAKE_EVERY_MS
            || sampled.iter().any(|sampled| !sampled.is_empty());
        for sampled in sampled {
            state.put(sampled, &mut no_room);
        }
        state.note(&self.counters);
        if is_due {
            self.wake(state);
        }
        no_room
    }

    /// Hands over what the node sent.
    pub(crate) fn event(&self, event: Event) {
        let mut state = self.state();
        let bytes = state.event_bytes + bytes_of(&event);
        if state.events.len() >= NODE_EVENTS_MAX || bytes > NODE_BYTES_MAX {
            state.events.clear();
            state.event_bytes = 0;
            state.events_dropped = true;
        } else {
            state.event_bytes = bytes;
            state.events.push_back(event);
        }
        self.wake(state);
    }

    /// A session has begun or is over. Acknowledgements of the one before mean nothing any more; receipts, proofs
    /// and commands do.
    pub(crate) fn session(&self, session: Session) {
        let mut state = self.state();
        state.events.retain(|event| !matches!(event, Event::Acked { .. } | Event::Refused { .. }));
        state.event_bytes = state.events.iter().map(bytes_of).sum();
        state.events_dropped = false;
        let before = state.session.replace(session);
        self.wake(state);
        drop(before);
    }

    /// The gateway ends: first what is sealed is brought home, or not. What was handed over is recorded first.
    pub(crate) fn stop(&self, drain: bool) {
        let mut state = self.state();
        state.stop = Some(drain);
        self.wake(state);
    }

    /// How recording stands, and what was ordered since this was last asked.
    pub(crate) fn take_summary(&self) -> Summary {
        let mut state = self.state();
        Summary {
            standing: state.standing.clone(),
            orders: std::mem::take(&mut state.orders),
            oldest_ms: state.oldest_ms(),
            is_over: state.is_over,
        }
    }

    // The recorder's side.

    /// Waits until there is something to do.
    pub(crate) fn take(&self) -> Work {
        let mut state = self.state();
        while !state.woken {
            self.changed.wait(&mut state);
        }
        let sampled = state.take_sampled();
        state.note(&self.counters);
        state.in_hand_ms = sampled.first().map(|sampled| sampled.at_ms);
        let is_last = state.sampled.is_empty();
        state.woken = !is_last;
        state.event_bytes = 0;
        Work {
            now_ms: state.now_ms,
            steady_ms: state.steady_ms,
            session: state.session.take(),
            events: std::mem::take(&mut state.events),
            events_dropped: std::mem::take(&mut state.events_dropped),
            sampled,
            stop: state.stop,
            is_last,
        }
    }

    /// A command that is to be carried out: that it was seen is durable.
    pub(crate) fn order(&self, n: usize, command: Command) {
        self.state().orders.push((n, command));
    }

    /// What was taken is recorded or given up.
    pub(crate) fn done(&self, standing: Standing) {
        let mut state = self.state();
        state.standing = standing;
        state.in_hand_ms = None;
    }

    /// Notes that the recorder has ended once the guard is dropped, however it ended.
    pub(crate) fn over_when_dropped(self: &Arc<Self>) -> impl Drop + use<> {
        Guard(self.clone(), |queue| queue.state().is_over = true)
    }

    /// Stops the recorder once the guard is dropped: nobody hands anything over any more.
    pub(crate) fn stop_when_dropped(self: &Arc<Self>) -> impl Drop + use<> {
        Guard(self.clone(), |queue| queue.stop(false))
    }
}

struct Guard(Arc<RecorderQueue>, fn(&RecorderQueue));

impl Drop for Guard {
    fn drop(&mut self) {
        (self.1)(&self.0);
    }
}

#[cfg(test)]
mod tests;
