//! One patient as the node watches them: pure.

use super::alarms::{Changes, PatientAlarms};
use super::clocks::{AuthorClock, Heard};
use super::deadlines::ResumeLook;
use super::leases::{Ending, Remembered, Watching};
use super::orders::Orders;
use super::recent::Recent;
use super::views::{AlarmPhase, AlarmView, Missing, Technical, Tile, UnwatchedBed, ValueNow};
use crate::anchoring::{EnvelopeRef, ProofState};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use vault::{MonitoringEnd, MonitoringLease};
use vitals::alarm::{Condition, Priority, Unwatched};
use vitals::envelope::{ClockQuality, Envelope, Header};
use vitals::ids::{Class, StreamId};
use vitals::{DeviceId, PatientId};

/// Nobody watching is an alarm after this long: less would ring while a consent is being signed.
pub(crate) const UNWATCHED_AFTER_MS: u64 = 1_000;
/// Arrivals kept for a bed that is not watched yet; older ones are read back from the record.
const WAITING_LEN_MAX: usize = 128;

/// When nobody watching becomes an alarm. A consent may be on its way to the ledger, or another one may
/// stand in for one that was withdrawn; everything else is known at once.
fn alarms_at_ms(why: Unwatched, since_ms: u64) -> u64 {
    match why {
        Unwatched::Starting | Unwatched::NoConsent | Unwatched::Withdrawn => {
            since_ms.saturating_add(UNWATCHED_AFTER_MS)
        }
        _ => since_ms,
    }
}

/// An envelope that was admitted and not looked at yet.
pub(crate) struct Fresh {
    pub(crate) envelope: Envelope,
    /// Its leaf of the log.
    pub(crate) index: u64,
    pub(crate) patient: PatientId,
    /// It does not simply follow the one before it in its stream.
    pub(crate) jumped: bool,
}

/// One patient as the node watches them.
pub(crate) struct MonitoredPatient {
    pub(crate) alarms: PatientAlarms,
    pub(crate) recent: Recent,
    pub(crate) name: String,
    pub(crate) place: String,
    pub(crate) clock: ClockQuality,
    /// Is a sensor paired with the patient? Without one no data is expected.
    pub(crate) expected: bool,
    pub(super) missing: BTreeMap<StreamId, Missing>,
    /// What was asked of the bedsides.
    pub(super) orders: Orders,
    /// When each sensor was heard last.
    pub(super) heard_ms: BTreeMap<DeviceId, u64>,
    /// One per sensor that is or was paired with the patient.
    clocks: BTreeMap<DeviceId, AuthorClock>,
    /// What need not be read back any more.
    pub(super) remembered: Remembered,
    /// When to look next whether a start would read too much.
    pub(super) resume_look: ResumeLook,
    pub(super) watching: Watching,
    /// A clinician's answer for the bed not being monitored.
    pub(super) ended: Option<MonitoringEnd>,
    /// Arrivals from while the bed was not monitored, each with what is known of its clock.
    waiting: VecDeque<(Fresh, Heard)>,
}

impl MonitoredPatient {
    pub(crate) fn is_watched(&self) -> bool {
        self.watching.is_on()
    }

    pub(crate) fn new(patient: PatientId, now_ms: u64) -> Self {
        Self {
            alarms: PatientAlarms::new(patient, now_ms),
            recent: Recent::default(),
            name: String::new(),
            place: String::new(),
            clock: ClockQuality::Unset,
            expected: false,
            missing: BTreeMap::new(),
            orders: Orders::default(),
            heard_ms: BTreeMap::new(),
            clocks: BTreeMap::new(),
            remembered: Remembered::default(),
            resume_look: ResumeLook::default(),
            watching: Watching::starting(now_ms),
            ended: None,
            waiting: VecDeque::new(),
        }
    }

    /// The lease under which the engine may open now; none while nobody watches.
    pub(super) fn lease(&self, now_ms: u64) -> Option<Arc<MonitoringLease>> {
        self.watching.lease(now_ms)
    }

    /// Why nobody watches, and since when.
    pub(crate) fn unwatched(&self) -> Option<(Unwatched, u64)> {
        match &self.watching {
            Watching::No { why, since_ms, .. } if self.expected => Some((*why, *since_ms)),
            _ => None,
        }
    }

    /// Is the bed not monitored, without a clinician's answer for that?
    pub(crate) fn is_alarming_unwatched(&self) -> bool {
        self.unwatched().is_some() && self.ended.is_none()
    }

    /// Open alarms that nobody answered, each with its priority and since when it waits, milliseconds.
    pub(crate) fn unanswered(&self) -> Vec<(Priority, u64)> {
        let waits = |alarm: &AlarmView| matches!(alarm.phase, AlarmPhase::Active | AlarmPhase::Recovered);
        let open = self.alarms.open().into_iter().filter(waits);
        open.map(|alarm| (alarm.priority, alarm.active_since_ms)).collect()
    }

    /// The bed as everybody of the ward may know it while nobody watches: its place, and the name only
    /// if the patient did not withdraw.
    pub(crate) fn unwatched_view(&self, patient: PatientId) -> Option<UnwatchedBed> {
        let (why, since_ms) = self.unwatched()?;
        let ended = self.ended.as_ref().map(|end| (end.at_ms, end.by_name.clone(), end.reason.clone()));
        let alarm = self.alarms.view(Condition::Unwatched).filter(|_| ended.is_none());
        let alarm = alarm.filter(|alarm| alarm.phase != AlarmPhase::Closed);
        Some(UnwatchedBed { patient, place: self.place.clone(), why, since_ms, ended, alarm })
    }

    /// Time passes.
    pub(super) fn tick(&mut self, now_ms: u64) -> Changes {
        let mut changes = Changes::default();
        if self.watching.end_if_over(now_ms) {
            self.stopped();
        }
        if self.watching.is_on() && self.expected {
            changes.add(self.alarms.tick(now_ms));
        }
        changes.add(self.say_unwatched(now_ms));
        changes.add(self.say_ending(now_ms));
        changes
    }

    /// Raises or ends the alarm about nobody watching.
    pub(super) fn say_unwatched(&mut self, now_ms: u64) -> Changes {
        let on = self.is_alarming_unwatched();
        let open = self.alarms.open_since_ms(Condition::Unwatched).is_some();
        let Some((why, since_ms)) = self.unwatched().filter(|_| on) else {
            return if open {
                self.alarms.technical(Condition::Unwatched, None, now_ms)
            } else {
                Changes::default()
            };
        };
        if !open && now_ms < alarms_at_ms(why, since_ms) {
            return Changes::default();
        }
        self.alarms.technical(Condition::Unwatched, Some(why.code()), now_ms)
    }

    /// Announces that watching will end, once at each step.
    fn say_ending(&mut self, now_ms: u64) -> Changes {
        let mut changes = Changes::default();
        let ending = self.watching.ending(now_ms).filter(|_| self.expected);
        let open = self.alarms.open_since_ms(Condition::WatchEnding).is_some();
        match ending {
            None if open => changes.add(self.alarms.technical(Condition::WatchEnding, None, now_ms)),
            // An answer to the step before does not answer this one.
            Some(Ending { step, hours }) if self.watching.announce(step) => {
                changes.add(self.alarms.technical(Condition::WatchEnding, None, now_ms));
                changes.add(self.alarms.technical(Condition::WatchEnding, Some(hours), now_ms));
            }
            _ => {}
        }
        changes
    }

    /// When time alone changes something next, milliseconds.
    pub(super) fn next_due_ms(&self) -> Option<u64> {
        let alarms = (self.watching.is_on() && self.expected).then(|| self.alarms.next_due_ms()).flatten();
        let unwatched = match self.unwatched() {
            Some((why, since_ms))
                if self.ended.is_none() && self.alarms.open_since_ms(Condition::Unwatched).is_none() =>
            {
                Some(alarms_at_ms(why, since_ms))
            }
            _ => None,
        };
        [alarms, unwatched, self.watching.next_due_ms()].into_iter().flatten().min()
    }

    /// When the engine's lease is to be renewed, milliseconds.
    pub(crate) fn renews_ms(&self) -> Option<u64> {
        self.watching.renews_ms()
    }

    /// Keeps an arrival until the bed is monitored.
    pub(super) fn wait(&mut self, fresh: Fresh, heard: Heard) {
        // Where the patient has refused monitoring, nothing is kept for later.
        if let Watching::No {
            why: Unwatched::Withdrawn | Unwatched::ConsentEnded | Unwatched::Paused, ..
        } = self.watching
        {
            return;
        }
        if self.waiting.len() == WAITING_LEN_MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back((fresh, heard));
    }

    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Gives what waited.
    pub(super) fn take_waiting(&mut self) -> VecDeque<(Fresh, Heard)> {
        core::mem::take(&mut self.waiting)
    }

    /// What the time of an arrival says about it and about its author's clock.
    pub(super) fn hear(&mut self, header: &Header, now_ms: u64) -> Heard {
        self.heard_ms.insert(header.author, now_ms);
        let clock = self.clocks.entry(header.author).or_default();
        clock.heard(header.stream, header.seq, header.last_ms, now_ms)
    }

    /// What is known of an author's clock, for what is read back from the record.
    pub(super) fn known_offset_ms(&self, author: DeviceId) -> i64 {
        self.clocks.get(&author).and_then(AuthorClock::known_offset_ms).unwrap_or(0)
    }

    /// How far the bedside's clock is wrong: the worst of several.
    pub(crate) fn clock_off_ms(&self) -> Option<i64> {
        self.clocks.values().filter_map(AuthorClock::wrong_by_ms).max_by_key(|off_ms| off_ms.unsigned_abs())
    }

    pub(super) fn clock_leaps(&self) -> u64 {
        self.clocks.values().map(AuthorClock::leaps).sum()
    }

    /// When an envelope was sealed by the node's clock: its own word, unless that clock is wrong.
    pub(super) fn sealed_ms(&self, header: &Header, heard: Heard, now_ms: u64) -> u64 {
        let wrong = self.clocks.get(&header.author).and_then(AuthorClock::wrong_by_ms).is_some();
        if wrong { heard.here(header.last_ms, now_ms) } else { header.last_ms }
    }

    /// Notes what is missing in a stream (none: nothing is); what was missing before keeps its time.
    pub(super) fn note_missing(&mut self, stream: StreamId, found: Option<Missing>, now_ms: u64) -> Changes {
        match found {
            None => drop(self.missing.remove(&stream)),
            Some(found) => {
                let since_ms = self.missing.get(&stream).map_or(found.since_ms, |missing| missing.since_ms);
                self.missing.insert(stream, Missing { since_ms, ..found });
            }
        }
        let gap = !self.missing.is_empty();
        if gap == self.alarms.open_since_ms(Condition::Gap).is_some() {
            return Changes::default();
        }
        self.alarms.technical(Condition::Gap, gap.then_some(0), now_ms)
    }

    /// The patient as these classes let them be seen. How far values are vouched for is another lock's
    /// to say: they stand as received.
    pub(crate) fn draw(&self, id: PatientId, classes: &[Class], now_ms: u64) -> Tile {
        let may = |class: Class| classes.contains(&class);
        let values: Vec<ValueNow> = self
            .recent
            .newest()
            .filter(|newest| may(newest.reading.metric.info().class))
            .map(|newest| ValueNow {
                metric: newest.reading.metric,
                sample: newest.reading.sample,
                at_ms: newest.reading.at_ms,
                here_ms: newest.here_ms,
                envelope: EnvelopeRef {
                    hash: newest.envelope,
                    index: newest.index,
                    proof: ProofState::Received,
                },
            })
            .collect();
        let sparkline = if may(Class::Vitals) { self.recent.sparkline(now_ms) } else { Vec::new() };
        let profile = may(Class::Profile);
        Tile {
            patient: id,
            name: if profile { self.name.clone() } else { String::new() },
            bed: if profile { self.place.clone() } else { String::new() },
            values,
            sparkline,
            alarms: if may(Class::Alarms) {
                // That nobody watches is the bed's, not the patient's: it stands in a field of its own.
                self.alarms.open().into_iter().filter(|a| a.condition != Condition::Unwatched).collect()
            } else {
                Vec::new()
            },
            technical: Technical {
                stale: self.alarms.is_stale(),
                stale_after_ms: self.alarms.stale_after_ms(),
                last_ms: self.recent.last_ms(),
                absent: self.alarms.absent().into_iter().filter(|(m, _)| may(m.info().class)).collect(),
                clock: self.clock,
                clock_off_ms: self.clock_off_ms(),
                missing: self.missing.values().filter(|missing| may(missing.class)).cloned().collect(),
            },
            limits: if may(Class::Alarms) { self.alarms.limits().all() } else { Vec::new() },
            temporary: if may(Class::Alarms) { self.alarms.limits().temporary() } else { Vec::new() },
            limits_back: if may(Class::Alarms) { self.alarms.limits().came_back(now_ms) } else { Vec::new() },
            unwatched: self.unwatched().map(|(why, _)| why),
            watch_ends_ms: self.watching.ends_ms(),
            orders: if may(Class::Alarms) { self.orders_view(now_ms) } else { Vec::new() },
        }
    }
}
