//! The alarms of one board: one machine per condition, and technical alarms that hold the others
//! back.

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
/// One whose signal is only poor: motion passes, and an alarm for each would tire everybody.
pub(super) const POOR_AFTER_MS: u64 = 15_000;
/// An irregular pulse; sooner than a poor signal, so that a pulse that is both is told as what it is.
pub(super) const UNSTEADY_AFTER_MS: u64 = 12_000;
/// A violation interrupted for longer than this begins anew.
const INTERRUPTED_MS: u64 = 3_000;

/// The machines of one metric.
#[derive(Debug, Clone)]
struct MetricAlarms {
    limits: Option<Limits>,
    above: Alarm,
    below: Alarm,
    off: Alarm,
    poor: Alarm,
    unsteady: Alarm,
    measured_at_ms: u64,
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
            measured_at_ms: 0,
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
            if now_ms.saturating_sub(self.measured_at_ms) > INTERRUPTED_MS {
                self.forget_pending(held);
            }
            return;
        };
        self.measured_at_ms = now_ms;
        let Some(limits) = self.limits else { return };
        for (side, alarm) in [(Side::Above, &mut self.above), (Side::Below, &mut self.below)] {
            let violated = limits.violated(side, value);
            let recovered = limits.recovered(side, value);
            events.extend(alarm.observe(violated, recovered, value, limits.persistence_ms, now_ms));
        }
    }

    /// Is there a signal, and one that can be read? A sensor that is off says nothing of the heart, so
    /// an unsteady pulse is over only when a steady one is measured.
    fn observe_signal(&mut self, sample: Sample, now_ms: u64, events: &mut Vec<AlarmEvent>) {
        let (off, silent, unsteady) = match sample {
            // While it warms up again a sensor that was off is still not back.
            Sample::Absent(Absence::WarmingUp) => {
                for alarm in [&mut self.off, &mut self.poor] {
                    events.extend(alarm.observe(None, false, 0, 0, now_ms));
                }
                return;
            }
            Sample::Measured(_) => (false, false, false),
            Sample::Absent(Absence::SensorOff | Absence::OutOfRange) => (true, false, false),
            Sample::Absent(Absence::Noisy) => (false, true, false),
            Sample::Absent(Absence::Unsteady) => (false, true, true),
        };
        let technical = |wrong: bool| wrong.then_some(Priority::Technical);
        events.extend(self.off.observe(technical(off), !off, 0, SENSOR_OFF_AFTER_MS, now_ms));
        if unsteady {
            self.unsteady_at_ms = now_ms;
            let medium = Some(Priority::Medium);
            events.extend(self.unsteady.observe(medium, false, 0, UNSTEADY_AFTER_MS, now_ms));
        } else if matches!(sample, Sample::Measured(_)) {
            events.extend(self.unsteady.observe(None, true, 0, 0, now_ms));
        } else if now_ms.saturating_sub(self.unsteady_at_ms) > INTERRUPTED_MS {
            events.extend(self.unsteady.observe(None, false, 0, 0, now_ms));
        }
        // An unsteady pulse that is told as such is no poor signal as well.
        let poor = silent && !(unsteady && self.unsteady.is_open());
        events.extend(self.poor.observe(technical(poor), !poor, 0, POOR_AFTER_MS, now_ms));
    }

    /// Takes back what was on its way to become an alarm.
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
    /// Until when answers from afar hold.
    answered_until_ms: BTreeMap<Condition, u64>,
    /// Limits ended, and nobody has answered that or ordered others.
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

    /// No board, no alarm about the patient: what is open stays open and quiet.
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
            .flat_map(|vital| [&vital.above, &vital.below, &vital.off, &vital.poor, &vital.unsteady])
            .chain(&self.technical)
    }

    fn alarms_mut(&mut self) -> impl Iterator<Item = &mut Alarm> {
        self.vitals
            .values_mut()
            .flat_map(|vital| {
                [&mut vital.above, &mut vital.below, &mut vital.off, &mut vital.poor, &mut vital.unsteady]
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
        let later = alarm.raised_at_ms() > now_ms.saturating_sub(answer.age_ms);
        if alarm.priority() > answer.priority || later {
            return Answered::Worse;
        }
        self.acknowledge(answer.condition, answer.by, now_ms);
        self.answered_until_ms.insert(answer.condition, now_ms.saturating_add(answer.for_ms));
        Answered::Done
    }

    /// The bedside button: anybody may quieten what sounds, for a time, and clear what is over. Pressed
    /// while nothing sounds, it ends the pause. It is no answer to an alarm that still stands: for that
    /// somebody must say who they are.
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

    /// What is to be said besides the alarm that the LCD shows.
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
