//! The alarm engine of one patient: pure, fed with readings, the bedside's own alarm events and the
//! passing of time. One open episode per condition, whoever noticed first.

mod replay;
mod signal;

pub(crate) use replay::Recorded;

use crate::monitoring::clocks::Heard;
use crate::monitoring::limits::PatientLimits;
use crate::views::{AlarmPhase, AlarmView};
use signal::{Seen, condition_of};
use std::collections::{BTreeMap, BTreeSet};
use vitals::alarm::{Alarm, AlarmEvent, Condition, Happening, Limits, Priority, Side, State};
use vitals::body::LimitsChange;
use vitals::metric::{Absence, Metric, Reading, Sample};
use vitals::{PatientId, PersonId};

/// Without anything fresh for this long, the patient's data is stale, unless the sensors announced that
/// they send less often. A reading older than this when it arrives goes into the record and raises
/// nothing, whatever was announced.
pub const STALE_MS: u64 = 15_000;
/// An episode the bedside has not called over is held open at most this long after the node itself
/// sees the value back within limits: the bedside may have restarted and forgotten it.
const BEDSIDE_HOLD_MS: u64 = 60_000;
/// Two hands on a stream are over when somebody has answered and the second has been quiet for this
/// long.
const SECOND_HAND_QUIET_MS: u64 = 10 * 60_000;

#[derive(Debug, Clone)]
struct Watch {
    alarm: Alarm,
    owner: Option<String>,
    escalated: u8,
    /// What the node's own evaluation says.
    own: Option<Priority>,
    own_over: bool,
    own_over_since_ms: u64,
    /// What the bedside says, and since when.
    bedside: Option<(Priority, u64)>,
}

impl Watch {
    fn new(condition: Condition) -> Self {
        Self {
            alarm: Alarm::new(condition),
            owner: None,
            escalated: 0,
            own: None,
            own_over: true,
            own_over_since_ms: 0,
            bedside: None,
        }
    }

    /// Both opinions, put to the one machine.
    fn put(&mut self, value: i32, persistence_ms: u64, at_ms: u64) -> Option<AlarmEvent> {
        let held = self
            .bedside
            .filter(|_| !self.own_over || at_ms.saturating_sub(self.own_over_since_ms) < BEDSIDE_HOLD_MS);
        if held.is_none() {
            self.bedside = None;
        }
        let violated = self.own.max(held.map(|(priority, _)| priority));
        let over = self.own_over && held.is_none();
        let event = self.alarm.observe(violated, over, value, persistence_ms, at_ms);
        if event.is_some_and(|e| !matches!(e.happening, Happening::Acknowledged | Happening::Recovered)) {
            self.owner = None;
            self.escalated = 0;
        }
        event
    }

    fn says(&mut self, violated: Option<Priority>, over: bool, at_ms: u64) {
        if over && !self.own_over {
            self.own_over_since_ms = at_ms;
        }
        self.own = violated;
        self.own_over = over;
    }
}

/// What one patient's engine noticed: to be recorded and shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Noticed {
    /// Events the node has to write into the record.
    pub(crate) record: Vec<AlarmEvent>,
    /// Limits that came back because their time was over: to be written as well.
    pub(crate) limits: Vec<LimitsChange>,
    /// Conditions whose episode changed, for the live view.
    pub(crate) changed: Vec<Condition>,
    /// Something else changed that is shown, such as a value that went beyond a limit or came back.
    pub(crate) redraw: bool,
    /// Episodes that began, here or at the bedside.
    pub(crate) raised: u64,
}

impl Noticed {
    fn own(&mut self, event: Option<AlarmEvent>) {
        self.theirs(event);
        self.record.extend(event);
    }

    /// The bedside has sealed this event itself.
    fn theirs(&mut self, event: Option<AlarmEvent>) {
        if let Some(event) = event {
            self.changed.push(event.condition);
            self.raised += u64::from(event.happening == Happening::Raised);
        }
    }

    /// What was noticed besides.
    pub(crate) fn add(&mut self, other: Self) {
        self.record.extend(other.record);
        self.changed.extend(other.changed);
        self.limits.extend(other.limits);
        self.raised += other.raised;
        self.redraw |= other.redraw;
    }

    /// Did anything happen?
    pub(crate) fn is_empty(&self) -> bool {
        let nothing_to_write = self.record.is_empty() && self.limits.is_empty();
        nothing_to_write && self.changed.is_empty() && !self.redraw
    }
}

/// One patient's engine.
#[derive(Debug, Clone)]
pub(crate) struct Bedside {
    patient: PatientId,
    watches: BTreeMap<Condition, Watch>,
    limits: PatientLimits,
    /// Limits at bedsides that have not taken these yet: the stricter count.
    elsewhere: BTreeMap<Metric, Limits>,
    /// Newest reading of each metric that was evaluated.
    newest_ms: BTreeMap<Metric, u64>,
    absent: BTreeMap<Metric, Absence>,
    seen: Seen,
    /// Metrics whose newest value is beyond a limit, whether that rings yet or not.
    beyond: BTreeSet<Metric>,
    /// When something fresh arrived last, by the node's clock.
    fresh_ms: u64,
    /// Without anything fresh for this long, the data is stale.
    stale_after_ms: u64,
    stale: bool,
    /// Does somebody watch? Vital alarms are held while nobody does.
    watched: bool,
    /// When a second hand was seen last.
    second_hand_ms: u64,
}

impl Bedside {
    /// Watching begins now: data is expected within [`STALE_MS`] until [`Bedside::expect_within`] says
    /// otherwise.
    pub(crate) fn new(patient: PatientId, now_ms: u64) -> Self {
        Self {
            patient,
            watches: BTreeMap::new(),
            limits: PatientLimits::adult(),
            elsewhere: BTreeMap::new(),
            newest_ms: BTreeMap::new(),
            absent: BTreeMap::new(),
            seen: Seen::default(),
            beyond: BTreeSet::new(),
            fresh_ms: now_ms,
            stale_after_ms: STALE_MS,
            stale: false,
            watched: true,
            second_hand_ms: now_ms,
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

    /// A change of limits that stands in the record, made by whoever has this name.
    pub(crate) fn change_limits(&mut self, change: &LimitsChange, name: &str) {
        self.limits.apply(change, name);
    }

    fn watch(&mut self, condition: Condition) -> &mut Watch {
        let held_back = self.is_held_back(condition);
        self.watches.entry(condition).or_insert_with(|| {
            let mut watch = Watch::new(condition);
            watch.alarm.inhibit(held_back);
            watch
        })
    }

    /// Holds vital alarms back, or lets them go, by what is stale and absent now.
    fn inhibit(&mut self) {
        let held_back: Vec<bool> =
            self.watches.keys().map(|condition| self.is_held_back(*condition)).collect();
        for (watch, held_back) in self.watches.values_mut().zip(held_back) {
            watch.alarm.inhibit(held_back);
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
    pub(crate) fn readings(&mut self, readings: &[Reading], heard: Heard, now_ms: u64) -> Noticed {
        let mut noticed = Noticed::default();
        let fresh: Vec<Reading> = readings
            .iter()
            .map(|r| Reading { at_ms: heard.here(r.at_ms, now_ms), ..*r })
            .filter(|r| heard.live && Self::is_fresh(r.at_ms, now_ms))
            .collect();
        if !fresh.is_empty() {
            self.fresh_ms = now_ms;
            if self.stale {
                self.stale = false;
                let event = self.watch(Condition::Stale).alarm.observe(None, true, 0, 0, now_ms);
                noticed.own(event);
                self.inhibit();
            }
        }
        for reading in &fresh {
            let newest = self.newest_ms.entry(reading.metric).or_insert(0);
            // What lies in times to come was noted before the node's clock was set back.
            if reading.at_ms > *newest || *newest > now_ms {
                *newest = reading.at_ms;
                self.evaluate(reading, &mut noticed);
            }
        }
        noticed
    }

    fn evaluate(&mut self, reading: &Reading, noticed: &mut Noticed) {
        let (metric, at_ms) = (reading.metric, reading.at_ms);
        match reading.sample {
            Sample::Absent(Absence::WarmingUp) if !self.seen.is_long_without_value(metric, at_ms) => {}
            Sample::Absent(why) => {
                self.seen.lost(metric, at_ms);
                if self.absent.insert(metric, why) != Some(why) {
                    self.inhibit();
                    noticed.changed.push(condition_of(why, metric));
                }
                self.judge_signal(metric, Some(why), at_ms, noticed);
            }
            Sample::Measured(value) => {
                if let Some(why) = self.absent.remove(&metric) {
                    self.inhibit();
                    noticed.changed.push(condition_of(why, metric));
                }
                self.judge_signal(metric, None, at_ms, noticed);
                self.count_what_was_seen(metric, at_ms);
                let Some(limits) = self.limits_in_force(metric) else { return };
                let is_beyond =
                    [Side::Above, Side::Below].into_iter().any(|side| limits.violated(side, value).is_some());
                let was_beyond =
                    if is_beyond { !self.beyond.insert(metric) } else { self.beyond.remove(&metric) };
                noticed.redraw |= is_beyond != was_beyond;
                let sides =
                    [(Side::Above, Condition::Above(metric)), (Side::Below, Condition::Below(metric))];
                for (side, condition) in sides {
                    let violated = limits.violated(side, value);
                    if violated.is_none() && !self.watches.contains_key(&condition) {
                        continue;
                    }
                    let watch = self.watch(condition);
                    watch.says(violated, limits.recovered(side, value), at_ms);
                    noticed.own(watch.put(value, limits.persistence_ms, at_ms));
                }
            }
        }
    }

    /// The bedside's own alarm events arrived. What it raises is raised here at once, as the same
    /// episode; what it raised long ago stands in the record and raises nothing now.
    pub(crate) fn events(&mut self, events: &[AlarmEvent], heard: Heard, now_ms: u64) -> Noticed {
        let mut noticed = Noticed::default();
        for event in events {
            if is_node_s_own(event.condition) {
                continue;
            }
            let at_ms = heard.here(event.at_ms, now_ms);
            match event.happening {
                Happening::Raised | Happening::Worsened | Happening::Returned
                    if heard.live && Self::is_fresh(at_ms, now_ms) =>
                {
                    let watch = self.watch(event.condition);
                    // A value the node has not seen yet: until it has, the bedside's word counts.
                    watch.bedside = Some((event.priority, at_ms));
                    watch.own_over = false;
                    noticed.theirs(watch.put(event.value, 0, now_ms));
                }
                Happening::Recovered | Happening::Closed => {
                    let Some(watch) = self.watches.get_mut(&event.condition) else { continue };
                    if watch.bedside.is_some_and(|(_, since_ms)| since_ms <= at_ms) {
                        watch.bedside = None;
                        if watch.own.is_none() {
                            watch.own_over = true;
                        }
                        noticed.theirs(watch.put(event.value, 0, now_ms));
                    }
                }
                _ => {}
            }
        }
        noticed
    }

    /// Something of the equipment, or of watching itself, came (with the value of its events) or went.
    pub(crate) fn technical(&mut self, condition: Condition, open: Option<i32>, now_ms: u64) -> Noticed {
        let mut noticed = Noticed::default();
        if condition == Condition::Equivocation {
            self.second_hand_ms = now_ms;
        }
        if open.is_none() && !self.watches.contains_key(&condition) {
            return noticed;
        }
        let watch = self.watch(condition);
        let before = watch.alarm.value();
        watch.says(open.map(|_| Priority::Technical), open.is_none(), now_ms);
        noticed.own(watch.put(open.unwrap_or(before), 0, now_ms));
        if watch.alarm.is_open() && watch.alarm.value() != before {
            noticed.changed.push(condition);
        }
        noticed
    }

    /// When [`Bedside::tick`] has something to do next, milliseconds.
    pub(crate) fn next_due_ms(&self) -> Option<u64> {
        let stale = (!self.stale).then(|| self.fresh_ms.saturating_add(self.stale_after_ms));
        let answered = |watch: &&Watch| watch.alarm.state() == State::Acknowledged;
        let quiet = self.watches.get(&Condition::Equivocation).filter(answered);
        let quiet = quiet.map(|_| self.second_hand_ms.saturating_add(SECOND_HAND_QUIET_MS));
        let alarms = self.watches.values().filter_map(|watch| watch.alarm.next_tick_ms());
        alarms.chain(stale).chain(quiet).chain(self.limits.next_due_ms()).min()
    }

    /// Time passes: data goes stale, unanswered high alarms escalate, limits come back.
    pub(crate) fn tick(&mut self, now_ms: u64) -> Noticed {
        let limits = self.limits.expire(now_ms);
        let mut noticed = Noticed { limits, ..Noticed::default() };
        // After the node's clock was set back nothing was heard later than now.
        if self.fresh_ms > now_ms {
            self.fresh_ms = now_ms;
            noticed.redraw = true;
        }
        self.second_hand_ms = self.second_hand_ms.min(now_ms);
        if !self.stale && now_ms.saturating_sub(self.fresh_ms) >= self.stale_after_ms {
            self.stale = true;
            self.inhibit();
            let event =
                self.watch(Condition::Stale).alarm.observe(Some(Priority::Technical), false, 0, 0, now_ms);
            noticed.own(event);
        }
        // Two hands on one stream do not go away by themselves: somebody answers, and the second hand
        // is quiet for a while. Whatever it sends then is a new episode.
        let quiet = now_ms.saturating_sub(self.second_hand_ms) >= SECOND_HAND_QUIET_MS;
        if let Some(watch) = self.watches.get_mut(&Condition::Equivocation)
            && quiet
            && watch.alarm.state() == State::Acknowledged
        {
            watch.says(None, true, now_ms);
            noticed.own(watch.put(0, 0, now_ms));
        }
        for watch in self.watches.values_mut() {
            let event = watch.alarm.tick(now_ms);
            watch.escalated += u8::from(event.is_some());
            noticed.own(event);
        }
        noticed
    }

    /// Somebody answers.
    pub(crate) fn acknowledge(
        &mut self,
        condition: Condition,
        by: PersonId,
        name: &str,
        now_ms: u64,
    ) -> Noticed {
        let mut noticed = Noticed::default();
        if let Some(watch) = self.watches.get_mut(&condition) {
            let event = watch.alarm.acknowledge(by, now_ms);
            if event.is_some() {
                watch.owner = Some(name.to_owned());
            }
            noticed.own(event);
        }
        noticed
    }

    /// Somebody turns the sound off for a while.
    pub(crate) fn silence(
        &mut self,
        condition: Condition,
        by: PersonId,
        for_ms: u64,
        now_ms: u64,
    ) -> Noticed {
        let mut noticed = Noticed::default();
        if let Some(watch) = self.watches.get_mut(&condition) {
            noticed.own(watch.alarm.silence(by, for_ms, now_ms));
        }
        noticed
    }

    /// Somebody turns the sound on again.
    pub(crate) fn end_silence(&mut self, condition: Condition, by: PersonId, now_ms: u64) -> Noticed {
        let mut noticed = Noticed::default();
        if let Some(watch) = self.watches.get_mut(&condition) {
            noticed.own(watch.alarm.end_silence(by, now_ms));
        }
        noticed
    }

    /// When the open episode of a condition began; none while there is none.
    pub(crate) fn open_since_ms(&self, condition: Condition) -> Option<u64> {
        let watch = self.watches.get(&condition).filter(|watch| watch.alarm.is_open())?;
        Some(watch.alarm.raised_at_ms())
    }

    /// The episode of a condition, closed or open; none if there never was one.
    pub(crate) fn view(&self, condition: Condition) -> Option<AlarmView> {
        let watch = self.watches.get(&condition).filter(|watch| watch.alarm.episode() > 0)?;
        let alarm = &watch.alarm;
        let phase = match alarm.state() {
            State::Active => AlarmPhase::Active,
            State::Acknowledged => AlarmPhase::Acknowledged,
            State::Recovered => AlarmPhase::Recovered,
            State::Normal | State::Pending { .. } => AlarmPhase::Closed,
        };
        Some(AlarmView {
            patient: self.patient,
            condition,
            episode: alarm.episode(),
            priority: alarm.priority(),
            phase,
            value: alarm.value(),
            raised_at_ms: alarm.raised_at_ms(),
            active_since_ms: alarm.active_since_ms(),
            owner: watch.owner.clone(),
            silenced_until_ms: alarm.silenced_until_ms(),
            inhibited: alarm.is_inhibited(),
            escalated: watch.escalated,
        })
    }

    /// Open episodes, by [`AlarmView::urgency`].
    pub(crate) fn open(&self) -> Vec<AlarmView> {
        let mut open: Vec<AlarmView> = self
            .watches
            .iter()
            .filter(|(_, watch)| watch.alarm.is_open())
            .filter_map(|(condition, _)| self.view(*condition))
            .collect();
        open.sort_by_key(AlarmView::urgency);
        open
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
