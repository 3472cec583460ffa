//! The alarms of one board: one machine per condition, and technical alarms that hold the others
//! back.

use super::NOBODY;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use vitals::alarm::{Alarm, AlarmEvent, Condition, Limits, Priority, Side};
use vitals::metric::{Absence, Reading, Sample};
use vitals::{Metric, PersonId};

/// A sensor that gives nothing raises its alarm after this long.
pub(super) const SENSOR_OFF_AFTER_MS: u64 = 5_000;
/// One whose signal is only noisy: motion passes, and an alarm for each would tire everybody.
pub(super) const NOISY_AFTER_MS: u64 = 15_000;
/// A violation interrupted for longer than this begins anew.
const INTERRUPTED_MS: u64 = 3_000;

/// The machines of one metric.
#[derive(Debug, Clone)]
struct Vital {
    limits: Option<Limits>,
    above: Alarm,
    below: Alarm,
    off: Alarm,
    measured_at_ms: u64,
}

impl Vital {
    fn new(metric: Metric, limits: Option<Limits>) -> Self {
        Self {
            limits,
            above: Alarm::new(Condition::Above(metric)),
            below: Alarm::new(Condition::Below(metric)),
            off: Alarm::new(Condition::SensorOff(metric)),
            measured_at_ms: 0,
        }
    }

    fn observe(&mut self, sample: Sample, now_ms: u64, events: &mut Vec<AlarmEvent>) {
        let nothing_after_ms = match sample {
            Sample::Measured(_) | Sample::Absent(Absence::WarmingUp) => None,
            Sample::Absent(Absence::Noisy) => Some(NOISY_AFTER_MS),
            Sample::Absent(Absence::SensorOff | Absence::OutOfRange) => Some(SENSOR_OFF_AFTER_MS),
        };
        let off = nothing_after_ms.map(|_| Priority::Technical);
        // While it warms up again a sensor that was off is still not back.
        let back = matches!(sample, Sample::Measured(_));
        events.extend(self.off.observe(off, back, 0, nothing_after_ms.unwrap_or(0), now_ms));
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
pub(super) struct Watch {
    limits: Vec<Limits>,
    vitals: BTreeMap<Metric, Vital>,
    technical: [Alarm; 4],
    is_stale: bool,
    events: Vec<AlarmEvent>,
}

impl Watch {
    pub(super) fn new(limits: Vec<Limits>) -> Self {
        Self {
            limits,
            vitals: BTreeMap::new(),
            technical: [Condition::Stale, Condition::Equivocation, Condition::Gap, Condition::Clock]
                .map(Alarm::new),
            is_stale: false,
            events: Vec::new(),
        }
    }

    pub(super) fn set_limits(&mut self, limits: Limits) {
        self.limits.retain(|old| old.metric != limits.metric);
        self.limits.push(limits);
        if let Some(vital) = self.vitals.get_mut(&limits.metric) {
            vital.limits = Some(limits);
        }
    }

    pub(super) fn observe(&mut self, readings: &[Reading], now_ms: u64) {
        for reading in readings {
            let limits = self.limits.iter().find(|limits| limits.metric == reading.metric).copied();
            let vital =
                self.vitals.entry(reading.metric).or_insert_with(|| Vital::new(reading.metric, limits));
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
        self.vitals.values().flat_map(|vital| [&vital.above, &vital.below, &vital.off]).chain(&self.technical)
    }

    fn alarms_mut(&mut self) -> impl Iterator<Item = &mut Alarm> {
        self.vitals
            .values_mut()
            .flat_map(|vital| [&mut vital.above, &mut vital.below, &mut vital.off])
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

    /// The bedside button: anybody may quieten what sounds, for a time, and clear what is over. It is
    /// no answer to an alarm that still stands: for that somebody must say who they are.
    pub(super) fn button(&mut self, for_ms: u64, now_ms: u64) {
        let mut events = Vec::new();
        for alarm in self.alarms_mut() {
            events.extend(match alarm.state() {
                vitals::alarm::State::Recovered => alarm.acknowledge(NOBODY, now_ms),
                _ => alarm.silence(NOBODY, for_ms, now_ms),
            });
        }
        self.events.extend(events);
    }

    pub(super) fn tick(&mut self, now_ms: u64) {
        let events: Vec<AlarmEvent> = self.alarms_mut().filter_map(|alarm| alarm.tick(now_ms)).collect();
        self.events.extend(events);
    }

    pub(super) fn take_events(&mut self) -> Vec<AlarmEvent> {
        core::mem::take(&mut self.events)
    }

    /// Open alarms, worst first: what is unanswered before what is answered or over, then by priority.
    pub(super) fn open(&self, now_ms: u64) -> Vec<(Condition, Priority, bool)> {
        let mut open: Vec<&Alarm> = self.alarms().filter(|alarm| alarm.is_open()).collect();
        open.sort_by_key(|alarm| {
            let answered = alarm.state() != vitals::alarm::State::Active;
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
