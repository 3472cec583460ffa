//! The alarms of one board: one state machine per condition, and technical alarms that inhibit the
//! others.

use super::limits::LimitTable;
use super::{Answer, Answered, NOBODY};
use crate::display::Note;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use vitals::alarm::{Alarm, AlarmEvent, Condition, Limits, Priority, Side, State};
use vitals::metric::{Absence, Reading, Sample};
use vitals::{Metric, PersonId};

/// A sensor that gives nothing raises its alarm after this long.
pub(super) const SENSOR_OFF_AFTER_MS: u64 = 5_000;
/// A poor signal: motion passes, and an alarm for each would cause alarm fatigue.
pub(super) const POOR_AFTER_MS: u64 = 15_000;
/// An irregular pulse; sooner than a poor signal, so that a pulse that is both is reported as irregular.
pub(super) const UNSTEADY_AFTER_MS: u64 = 12_000;
/// A signal that cannot be read for no longer than this interrupts nothing.
const INTERRUPTED_MS: u64 = 3_000;
/// A violation that could not be seen for longer than this starts over; up to then the time unseen does not
/// count, and what was seen before does.
const FORGOTTEN_MS: u64 = 30_000;
/// A sensor that gave no value for so long, for whatever reasons in turn, is off.
const NO_VALUE_MS: u64 = 30_000;

/// The machines of one metric.
#[derive(Debug, Clone)]
struct MetricAlarms {
    limits: Option<Limits>,
    above: Alarm,
    below: Alarm,
    off: Alarm,
    poor: Alarm,
    unsteady: Alarm,
    unsupported: Alarm,
    measured_at_ms: u64,
    /// When a value came last, or the first sample.
    valued_at_ms: Option<u64>,
    unsteady_at_ms: u64,
}

impl MetricAlarms {
    fn new(metric: Metric, limits: Option<Limits>) -> Self {
        Self {
            limits,
            above: Alarm::new(Condition::Above(metric)),
            below: Alarm::new(Condition::Below(metric)),
            off: Alarm::new(Condition::SensorOff(metric)),
            poor: Alarm::new(Condition::PoorSignal(metric)),
            unsteady: Alarm::new(Condition::Unsteady(metric)),
            unsupported: Alarm::new(Condition::RateNotSupported(metric)),
            measured_at_ms: 0,
            valued_at_ms: None,
            unsteady_at_ms: 0,
        }
    }

    fn observe(&mut self, sample: Sample, now_ms: u64, events: &mut Vec<AlarmEvent>) {
        self.observe_signal(sample, now_ms, events);
        let held = self.off.is_open();
        for alarm in [&mut self.above, &mut self.below] {
            alarm.inhibit(held);
        }
        let Sample::Measured(value) = sample else {
            if now_ms.saturating_sub(self.measured_at_ms) > FORGOTTEN_MS {
                self.forget_pending(held);
            }
            return;
        };
        let unseen_ms = now_ms.saturating_sub(core::mem::replace(&mut self.measured_at_ms, now_ms));
        if unseen_ms > INTERRUPTED_MS {
            self.above.interrupted(unseen_ms, now_ms);
            self.below.interrupted(unseen_ms, now_ms);
        }
        let Some(limits) = self.limits else { return };
        for (side, alarm) in [(Side::Above, &mut self.above), (Side::Below, &mut self.below)] {
            let violated = limits.violated(side, value);
            let recovered = limits.recovered(side, value);
            events.extend(alarm.observe(violated, recovered, value, limits.persistence_ms, now_ms));
        }
    }

    /// The alarms about the signal itself. A sensor that is off tells nothing of the heart, so an unsteady
    /// pulse is over only when a steady one is measured.
    fn observe_signal(&mut self, sample: Sample, now_ms: u64, events: &mut Vec<AlarmEvent>) {
        let technical = |wrong: bool| wrong.then_some(Priority::Technical);
        let unsupported = sample == Sample::Absent(Absence::RateNotSupported);
        events.extend(self.unsupported.observe(
            technical(unsupported),
            !unsupported,
            0,
            SENSOR_OFF_AFTER_MS,
            now_ms,
        ));
        let never = !unsupported && self.is_without_value(sample, now_ms);
        let (off, silent, unsteady) = match sample {
            // While it warms up, a sensor that was off is not back yet.
            Sample::Absent(Absence::WarmingUp) => {
                events.extend(self.off.observe(technical(never), false, 0, 0, now_ms));
                events.extend(self.poor.observe(None, false, 0, 0, now_ms));
                return;
            }
            Sample::Measured(_) | Sample::Absent(Absence::RateNotSupported) => (false, false, false),
            Sample::Absent(Absence::SensorOff | Absence::OutOfRange) => (true, false, false),
            Sample::Absent(Absence::Noisy) => (false, true, false),
            Sample::Absent(Absence::Unsteady) => (false, true, true),
        };
        let off_after_ms = if never { 0 } else { SENSOR_OFF_AFTER_MS };
        events.extend(self.off.observe(technical(off || never), !off && !never, 0, off_after_ms, now_ms));
        if unsteady {
            self.unsteady_at_ms = now_ms;
            let medium = Some(Priority::Medium);
            events.extend(self.unsteady.observe(medium, false, 0, UNSTEADY_AFTER_MS, now_ms));
        } else if matches!(sample, Sample::Measured(_)) {
            events.extend(self.unsteady.observe(None, true, 0, 0, now_ms));
        } else if now_ms.saturating_sub(self.unsteady_at_ms) > INTERRUPTED_MS {
            events.extend(self.unsteady.observe(None, false, 0, 0, now_ms));
        }
        // An unsteady pulse that is reported as such is not a poor signal as well.
        let poor = silent && !(unsteady && self.unsteady.is_open());
        events.extend(self.poor.observe(technical(poor), !poor, 0, POOR_AFTER_MS, now_ms));
    }

    /// Has there been no value for long, and no alarm says so? Reasons that come in turn, or warming up
    /// without end, must not pass in silence.
    fn is_without_value(&mut self, sample: Sample, now_ms: u64) -> bool {
        let valued_at_ms = self.valued_at_ms.get_or_insert(now_ms);
        if matches!(sample, Sample::Measured(_)) {
            *valued_at_ms = now_ms;
        }
        let long = now_ms.saturating_sub(*valued_at_ms) > NO_VALUE_MS;
        long && !self.poor.is_open() && !self.unsteady.is_open()
    }

    /// Forgets a violation that has not lasted long enough for an alarm.
    fn forget_pending(&mut self, held: bool) {
        for alarm in [&mut self.above, &mut self.below] {
            alarm.inhibit(true);
            alarm.inhibit(held);
        }
    }
}

/// All alarms of one board.
#[derive(Debug, Clone)]
pub(super) struct AlarmState {
    limits: LimitTable,
    vitals: BTreeMap<Metric, MetricAlarms>,
    technical: [Alarm; 6],
    /// Until when answers given on the ward hold.
    answered_until_ms: BTreeMap<Condition, u64>,
    /// Limits ended, and that was neither answered nor followed by others.
    limits_ended: bool,
    is_stale: bool,
    events: Vec<AlarmEvent>,
}

impl AlarmState {
    pub(super) fn new(own: &[Limits], floor: &[Limits]) -> Self {
        let technical = [
            Condition::Stale,
            Condition::Equivocation,
            Condition::Gap,
            Condition::Clock,
            Condition::NotListening,
            Condition::LimitsEnded,
        ];
        Self {
            limits: LimitTable::new(own, floor),
            vitals: BTreeMap::new(),
            technical: technical.map(Alarm::new),
            answered_until_ms: BTreeMap::new(),
            limits_ended: false,
            is_stale: false,
            events: Vec::new(),
        }
    }

    pub(super) fn set_limits(&mut self, limits: Limits) {
        self.limits.set_own(limits);
        self.put_in_force(limits.metric);
    }

    pub(super) fn order_limits(&mut self, limits: Limits, until_ms: u64, steady_until_ms: u64) {
        self.limits.order(limits, until_ms, steady_until_ms);
        self.limits_ended = self.limits.any_ended();
        self.put_in_force(limits.metric);
    }

    pub(super) fn limits_in_force(&self, metric: Metric) -> Option<Limits> {
        self.limits.in_force(metric)
    }

    fn put_in_force(&mut self, metric: Metric) {
        let limits = self.limits.in_force(metric);
        if let Some(vital) = self.vitals.get_mut(&metric) {
            vital.limits = limits;
        }
    }

    pub(super) fn observe(&mut self, readings: &[Reading], now_ms: u64) {
        for reading in readings {
            let limits = self.limits.in_force(reading.metric);
            let vital = self
                .vitals
                .entry(reading.metric)
                .or_insert_with(|| MetricAlarms::new(reading.metric, limits));
            // The index is computed: its sensor's alarm is that of the particles.
            if reading.metric == Metric::Aqi && matches!(reading.sample, Sample::Absent(_)) {
                continue;
            }
            vital.observe(reading.sample, now_ms, &mut self.events);
        }
    }

    /// Without its board there is no new alarm about the patient: what is open stays open and silent.
    pub(super) fn stale(&mut self, stale: bool, now_ms: u64) {
        self.report(Condition::Stale, stale, now_ms);
        if self.is_stale != stale {
            self.is_stale = stale;
            for vital in self.vitals.values_mut() {
                let held = stale || vital.off.is_open();
                vital.forget_pending(held);
                vital.unsteady.inhibit(stale);
            }
        }
    }

    pub(super) fn report(&mut self, condition: Condition, wrong: bool, now_ms: u64) {
        let Some(alarm) = self.technical.iter_mut().find(|alarm| alarm.condition() == condition) else {
            return;
        };
        let violated = wrong.then_some(Priority::Technical);
        self.events.extend(alarm.observe(violated, !wrong, 0, 0, now_ms));
    }

    fn alarms(&self) -> impl Iterator<Item = &Alarm> {
        self.vitals
            .values()
            .flat_map(|vital| {
                let MetricAlarms { above, below, off, poor, unsteady, unsupported, .. } = vital;
                [above, below, off, poor, unsteady, unsupported]
            })
            .chain(&self.technical)
    }

    fn alarms_mut(&mut self) -> impl Iterator<Item = &mut Alarm> {
        self.vitals
            .values_mut()
            .flat_map(|vital| {
                let MetricAlarms { above, below, off, poor, unsteady, unsupported, .. } = vital;
                [above, below, off, poor, unsteady, unsupported]
            })
            .chain(&mut self.technical)
    }

    pub(super) fn acknowledge(&mut self, condition: Condition, by: PersonId, now_ms: u64) -> bool {
        let event = self
            .alarms_mut()
            .find(|alarm| alarm.condition() == condition)
            .and_then(|alarm| alarm.acknowledge(by, now_ms));
        self.events.extend(event);
        event.is_some()
    }

    pub(super) fn silence(&mut self, condition: Condition, by: PersonId, for_ms: u64, now_ms: u64) -> bool {
        let event = self
            .alarms_mut()
            .find(|alarm| alarm.condition() == condition)
            .and_then(|alarm| alarm.silence(by, for_ms, now_ms));
        self.events.extend(event);
        event.is_some()
    }

    pub(super) fn end_silence(&mut self, condition: Condition, by: PersonId, now_ms: u64) -> bool {
        let event = self
            .alarms_mut()
            .find(|alarm| alarm.condition() == condition)
            .and_then(|alarm| alarm.end_silence(by, now_ms));
        self.events.extend(event);
        event.is_some()
    }

    pub(super) fn answer(&mut self, answer: Answer, now_ms: u64) -> Answered {
        let found = self.alarms_mut().find(|alarm| alarm.condition() == answer.condition);
        let Some(alarm) = found.filter(|alarm| matches!(alarm.state(), State::Active | State::Recovered))
        else {
            return Answered::Nothing;
        };
        if alarm.priority() > answer.priority || is_later(alarm, answer.age_ms, now_ms) {
            return Answered::Worse;
        }
        self.acknowledge(answer.condition, answer.by, now_ms);
        self.answered_until_ms.insert(answer.condition, now_ms.saturating_add(answer.for_ms));
        Answered::Done
    }

    /// A pause ordered on the ward, asked for so long ago: not of an alarm that began, got worse or came back since.
    pub(super) fn pause(
        &mut self,
        condition: Condition,
        by: PersonId,
        age_ms: u64,
        for_ms: u64,
        now_ms: u64,
    ) -> Answered {
        let Some(alarm) = self.alarms_mut().find(|alarm| alarm.condition() == condition) else {
            return Answered::Nothing;
        };
        if alarm.is_open() && is_later(alarm, age_ms, now_ms) {
            return Answered::Worse;
        }
        let event = alarm.silence(by, for_ms, now_ms);
        self.events.extend(event);
        if event.is_some() { Answered::Done } else { Answered::Nothing }
    }

    /// The bedside button: anybody may pause the sound for a time, and clear what is over. Pressed while
    /// nothing sounds, it ends the pause. It does not answer an alarm that still stands: for that a person
    /// must be identified.
    pub(super) fn button(&mut self, for_ms: u64, now_ms: u64) {
        let sounds = self.sound(now_ms).is_some();
        let mut events = Vec::new();
        for alarm in self.alarms_mut() {
            events.extend(match alarm.state() {
                State::Recovered => alarm.acknowledge(NOBODY, now_ms),
                State::Active if sounds => alarm.silence(NOBODY, for_ms, now_ms),
                _ if !sounds => alarm.end_silence(NOBODY, now_ms),
                _ => None,
            });
        }
        self.events.extend(events);
    }

    /// Time passes; `now_ms` is the caller's clock. Gives the metrics whose ordered limits just ended.
    pub(super) fn tick(&mut self, now_ms: u64, steady_ms: u64) -> Vec<Metric> {
        let events: Vec<AlarmEvent> = self.alarms_mut().filter_map(|alarm| alarm.tick(steady_ms)).collect();
        self.events.extend(events);
        let over = |until_ms: &u64| steady_ms >= *until_ms;
        let conditions: Vec<Condition> =
            self.answered_until_ms.iter().filter(|(_, until)| over(until)).map(|(it, _)| *it).collect();
        for condition in conditions {
            self.answered_until_ms.remove(&condition);
            let event = self
                .alarms_mut()
                .find(|alarm| alarm.condition() == condition)
                .and_then(|alarm| alarm.end_answer(steady_ms));
            self.events.extend(event);
        }
        let ended = self.limits.expire(now_ms, steady_ms);
        for metric in &ended {
            self.put_in_force(*metric);
        }
        let told = |alarm: &&Alarm| alarm.condition() == Condition::LimitsEnded;
        let answered = self.alarms().find(told).is_some_and(|alarm| alarm.state() == State::Acknowledged);
        self.limits_ended = !ended.is_empty() || self.limits_ended && !answered;
        self.report(Condition::LimitsEnded, self.limits_ended, steady_ms);
        ended
    }

    /// Notes to show besides the alarm on the LCD.
    pub(super) fn notes(&self, now_ms: u64) -> [Option<Note>; 3] {
        let shown = self.worst().map(|(condition, ..)| condition);
        let of_shown = self.alarms().find(|alarm| Some(alarm.condition()) == shown).and_then(|alarm| {
            match alarm.state() {
                State::Acknowledged => Some(Note::Answered),
                State::Active if alarm.is_silenced(now_ms) => Some(Note::Paused),
                _ => None,
            }
        });
        // What stands behind the alarm shown and changes how far it can be relied upon.
        let behind = |condition, note| {
            let open = |alarm: &Alarm| alarm.condition() == condition && alarm.is_open();
            (shown != Some(condition) && self.alarms().any(open)).then_some(note)
        };
        [
            of_shown,
            behind(Condition::NotListening, Note::WardNotListening),
            behind(Condition::LimitsEnded, Note::LimitsEnded),
        ]
    }

    pub(super) fn take_events(&mut self) -> Vec<AlarmEvent> {
        core::mem::take(&mut self.events)
    }

    /// Open alarms, worst first: what is unanswered before what is answered or over, then by priority.
    pub(super) fn open(&self, now_ms: u64) -> Vec<(Condition, Priority, bool)> {
        let mut open: Vec<&Alarm> = self.alarms().filter(|alarm| alarm.is_open()).collect();
        open.sort_by_key(|alarm| {
            let answered = alarm.state() != State::Active;
            (answered, core::cmp::Reverse(alarm.priority()), alarm.condition())
        });
        open.into_iter().map(|alarm| (alarm.condition(), alarm.priority(), alarm.sounds(now_ms))).collect()
    }

    /// The alarm to show, and how many more are open.
    pub(super) fn worst(&self) -> Option<(Condition, Priority, usize)> {
        let open = self.open(0);
        open.first().map(|(condition, priority, _)| (*condition, *priority, open.len() - 1))
    }

    /// What the buzzer should sound now.
    pub(super) fn sound(&self, now_ms: u64) -> Option<Priority> {
        self.alarms().filter(|alarm| alarm.sounds(now_ms)).map(Alarm::priority).max()
    }
}

/// Has the alarm stood for less than this?
fn is_later(alarm: &Alarm, age_ms: u64, now_ms: u64) -> bool {
    alarm.active_since_ms() > now_ms.saturating_sub(age_ms)
}
