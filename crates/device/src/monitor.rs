//! Monitors one board: frames in; readings, alarm events and what the board shows out.
//!
//! [`Monitor::on_frame`] takes a frame of the board, [`Monitor::poll`] is called ten times a second or
//! so and gives what there is to do: once a second one reading per metric, an alarm event as soon as
//! it happens, and what the LCD and buzzer should do now.

mod alarm_state;
mod limits;

use crate::air_quality::aqi_of_pm2_5;
use crate::display::{AlarmDisplay, Note, alarm_text, calm_text};
use crate::frame::{Down, LcdText, Slow, Up};
use crate::ppg::BeatDetector;
use alarm_state::AlarmState;
use alloc::vec::Vec;
use vitals::alarm::{AlarmEvent, Condition, Limits, Priority, SILENCE_MAX_MS};
use vitals::metric::{Absence, Reading, Sample};
use vitals::{Metric, PersonId};

/// Without any frame for so long the board is gone: no readings, and the stale alarm.
pub const STALE_AFTER_MS: u64 = 5_000;
/// A slow sensor's value is held for so long, and never shown as new afterwards.
pub const FRESH_MS: u64 = 2_500;
/// LCD and buzzer are sent again after so long, in case a frame was lost.
pub const REFRESH_MS: u64 = 5_000;
/// The time is sent to the board after so long.
pub const TIME_SYNC_MS: u64 = 60_000;
/// Lines of the LCD that take turns stand for so long.
const TURN_MS: u64 = 3_000;
/// How long the LCD tells of new limits.
const NEW_LIMITS_MS: u64 = 60_000;
/// Longest step of the alarm clock: a clock that leaps ahead neither raises nor escalates anything.
const STEP_MAX_MS: u64 = 2_000;
/// The slow sensors' metrics, in the wire order of [`Slow::values`].
const SLOW_METRICS: [Metric; Slow::VALUES] = [
    Metric::BodyTemperature,
    Metric::AmbientTemperature,
    Metric::RelativeHumidity,
    Metric::Pm25,
    Metric::Pm10,
    Metric::Co2,
    Metric::Tvoc,
];
/// No person: the machine, or a button that anybody can press.
const NOBODY: PersonId = PersonId([0; 32]);

/// How a monitor is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonitorConfig {
    /// The board's own alarm limits, at most one entry per metric; a metric without an entry raises no
    /// alarm.
    pub limits: Vec<Limits>,
    /// The floor: whatever is ordered from afar, limits are never wider than these.
    pub floor: Vec<Limits>,
}

impl Default for MonitorConfig {
    fn default() -> Self {
        Self {
            limits: Metric::ALL.iter().filter_map(|metric| Limits::adult(*metric)).collect(),
            floor: Vec::new(),
        }
    }
}

/// What there is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Seal and store these: one per metric.
    Readings(Vec<Reading>),
    /// Seal and send this at once.
    Alarm(AlarmEvent),
    /// Send this to the board.
    Show(Down),
    /// The time of ordered limits is over: the stricter ones are in force.
    LimitsEnded(Metric),
}

/// What became of an answer given on the ward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// The alarm is answered, or closed if it was over.
    Done,
    /// There is no such alarm that waits for an answer.
    Nothing,
    /// The alarm is worse than the one answered, or began later.
    Worse,
}

/// An answer given on the ward, away from the bedside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Which alarm.
    pub condition: Condition,
    /// How urgent it was.
    pub priority: Priority,
    /// Who answers.
    pub by: PersonId,
    /// How long ago it was given, milliseconds: what was raised since is not answered by it.
    pub age_ms: u64,
    /// How long it holds from now, milliseconds.
    pub for_ms: u64,
}

/// The last value of one slow sensor.
#[derive(Debug, Clone, Copy)]
struct LatestValue {
    value: Option<i32>,
    at_ms: u64,
}

/// Monitors one board.
#[derive(Debug, Clone)]
pub struct Monitor {
    alarms: AlarmState,
    beats: Option<BeatDetector>,
    /// The board named a rate no pulse can be seen at.
    rate_refused: bool,
    /// Per slow metric what came last; none until the sensor gave its first value, so that a sensor
    /// that is not fitted is not missed.
    slow: [Option<LatestValue>; Slow::VALUES],
    counter: Option<u32>,
    frames_lost: u64,
    frame_at_ms: Option<u64>,
    pulse_at_ms: Option<u64>,
    /// The alarm clock: goes with the caller's, but neither back nor ahead in leaps.
    steady_ms: Option<u64>,
    polled_at_ms: u64,
    second: Option<u64>,
    latest: Vec<Reading>,
    shown: Option<(LcdText, u64)>,
    buzzing: Option<(Option<Priority>, u64)>,
    time_sent_at_ms: Option<u64>,
    /// When limits were ordered last.
    new_limits_at_ms: Option<u64>,
    /// What is sampled is not recorded.
    not_recorded: bool,
    pending: Vec<Action>,
}

impl Monitor {
    /// A monitor that has received nothing yet.
    #[must_use]
    pub fn new(config: MonitorConfig) -> Self {
        Self {
            alarms: AlarmState::new(&config.limits, &config.floor),
            beats: None,
            rate_refused: false,
            slow: [None; Slow::VALUES],
            counter: None,
            frames_lost: 0,
            frame_at_ms: None,
            pulse_at_ms: None,
            steady_ms: None,
            polled_at_ms: 0,
            second: None,
            latest: Vec::new(),
            shown: None,
            buzzing: None,
            time_sent_at_ms: None,
            new_limits_at_ms: None,
            not_recorded: false,
            pending: Vec::new(),
        }
    }

    /// Takes one frame of the board.
    pub fn on_frame(&mut self, frame: Up, now_ms: u64) {
        let steady_ms = self.advance(now_ms);
        self.frame_at_ms = Some(steady_ms);
        match frame {
            Up::Hello { rate_mhz, .. } => {
                if self.beats.as_ref().is_none_or(|beats| beats.rate_mhz() != rate_mhz) {
                    self.beats = BeatDetector::new(rate_mhz);
                    self.rate_refused = self.beats.is_none();
                }
            }
            Up::Ppg { counter, samples, .. } => {
                let lost = self.count(counter);
                self.pulse_at_ms = Some(steady_ms);
                if let Some(beats) = &mut self.beats {
                    if lost {
                        beats.skip();
                    }
                    for sample in samples {
                        beats.push(sample);
                    }
                }
            }
            Up::Slow(slow) => {
                self.count(slow.counter);
                for (held, value) in self.slow.iter_mut().zip(slow.values()) {
                    if held.is_some() || value.is_some() {
                        *held = Some(LatestValue { value, at_ms: steady_ms });
                    }
                }
            }
            Up::Button { counter, .. } => {
                self.count(counter);
                self.alarms.button(SILENCE_MAX_MS, steady_ms);
            }
        }
    }

    /// Counts lost frames; true when some were lost, or the board started again.
    fn count(&mut self, counter: u32) -> bool {
        let expected = self.counter.replace(counter).map(|before| before.wrapping_add(1));
        let lost = expected.map_or(0, |expected| counter.wrapping_sub(expected));
        // A board that started again counts from zero: nothing is known to be lost.
        if lost < u32::MAX / 2 {
            self.frames_lost += u64::from(lost);
        }
        lost != 0
    }

    /// Moves the alarm clock.
    fn advance(&mut self, now_ms: u64) -> u64 {
        let step = now_ms.saturating_sub(self.polled_at_ms).min(STEP_MAX_MS);
        self.polled_at_ms = now_ms;
        let steady_ms = self.steady_ms.map_or(now_ms, |steady_ms| steady_ms.saturating_add(step));
        self.steady_ms = Some(steady_ms);
        steady_ms
    }

    /// What there is to do now.
    pub fn poll(&mut self, now_ms: u64) -> Vec<Action> {
        let steady_ms = self.advance(now_ms);
        let stale = self.frame_at_ms.is_some_and(|frame| steady_ms.saturating_sub(frame) > STALE_AFTER_MS);
        self.alarms.stale(stale, steady_ms);
        let second = now_ms / 1_000;
        if self.second.replace(second) != Some(second) && !stale {
            let readings = self.sample(now_ms, steady_ms);
            self.alarms.observe(&readings, steady_ms);
            self.latest.clone_from(&readings);
            if !readings.is_empty() {
                self.pending.push(Action::Readings(readings));
            }
        }
        if stale {
            self.latest.clear();
            // Beats from before the silence tell nothing about the heart after it.
            self.beats = self.beats.take().and_then(|beats| BeatDetector::new(beats.rate_mhz()));
        }
        let ended = self.alarms.tick(now_ms, steady_ms);
        self.pending.extend(ended.into_iter().map(Action::LimitsEnded));
        let events = self.alarms.take_events();
        self.pending
            .extend(events.into_iter().map(|event| Action::Alarm(AlarmEvent { at_ms: now_ms, ..event })));
        if self.frame_at_ms.is_some() {
            self.show(now_ms, steady_ms);
        }
        core::mem::take(&mut self.pending)
    }

    /// One reading per metric that is fitted.
    fn sample(&self, now_ms: u64, steady_ms: u64) -> Vec<Reading> {
        let mut readings = Vec::with_capacity(Metric::ALL.len());
        let mut put = |metric: Metric, sample| {
            readings.push(Reading { metric, at_ms: now_ms, sample: plausible(metric, sample) });
        };
        if let Some(pulse_at_ms) = self.pulse_at_ms {
            let fresh = steady_ms.saturating_sub(pulse_at_ms) <= FRESH_MS;
            put(
                Metric::HeartRate,
                match &self.beats {
                    Some(beats) if fresh => beats.heart_rate(),
                    None if self.rate_refused => Sample::Absent(Absence::RateNotSupported),
                    // Samples of a rate not yet known tell nothing.
                    None if fresh => Sample::Absent(Absence::WarmingUp),
                    _ => Sample::Absent(Absence::SensorOff),
                },
            );
        }
        for (metric, held) in SLOW_METRICS.into_iter().zip(&self.slow) {
            let Some(held) = held else { continue };
            let fresh = steady_ms.saturating_sub(held.at_ms) <= FRESH_MS;
            let sample = match held.value {
                Some(raw) if fresh => Sample::Measured(raw),
                _ => Sample::Absent(Absence::SensorOff),
            };
            put(metric, sample);
            if metric == Metric::Pm25 {
                put(
                    Metric::Aqi,
                    match plausible(metric, sample) {
                        Sample::Measured(raw) => {
                            aqi_of_pm2_5(raw).map_or(Sample::Absent(Absence::OutOfRange), Sample::Measured)
                        }
                        absent => absent,
                    },
                );
            }
        }
        readings
    }

    fn show(&mut self, now_ms: u64, steady_ms: u64) {
        let mut text = match self.alarms.worst() {
            Some((condition, priority, others)) => {
                let value = condition.metric().and_then(|metric| match self.latest_of(metric) {
                    Some(Sample::Measured(raw)) => Some(raw),
                    _ => None,
                });
                alarm_text(&AlarmDisplay { condition, priority, value, others })
            }
            None => calm_text(|metric| self.latest_of(metric)),
        };
        if let Some(note) = self.note(steady_ms) {
            text[1] = note.line();
        }
        let due = |told: u64| steady_ms.saturating_sub(told) >= REFRESH_MS;
        if self.shown.is_none_or(|(shown, told)| shown != text || due(told)) {
            self.shown = Some((text, steady_ms));
            self.pending.push(Action::Show(Down::Lcd { lines: text }));
        }
        let sound = self.alarms.sound(steady_ms);
        if self.buzzing.is_none_or(|(buzzing, told)| buzzing != sound || due(told)) {
            self.buzzing = Some((sound, steady_ms));
            self.pending.push(Action::Show(Down::Buzzer(sound)));
        }
        if self.time_sent_at_ms.is_none_or(|told| steady_ms.saturating_sub(told) >= TIME_SYNC_MS) {
            self.time_sent_at_ms = Some(steady_ms);
            self.pending.push(Action::Show(Down::TimeSync { now_ms }));
        }
    }

    /// What stands in the second line now in place of the value: notes and value take turns.
    fn note(&self, steady_ms: u64) -> Option<Note> {
        let mut notes: Vec<Note> = self.alarms.notes(steady_ms).into_iter().flatten().collect();
        let lately = |at_ms: u64| steady_ms.saturating_sub(at_ms) < NEW_LIMITS_MS;
        notes.extend(self.not_recorded.then_some(Note::NotRecorded));
        notes.extend(self.new_limits_at_ms.filter(|at_ms| lately(*at_ms)).map(|_| Note::NewLimits));
        let turn = usize::try_from(steady_ms / TURN_MS).unwrap_or(0) % (notes.len() + 1);
        notes.get(turn.checked_sub(1)?).copied()
    }

    fn latest_of(&self, metric: Metric) -> Option<Sample> {
        self.latest.iter().find(|reading| reading.metric == metric).map(|reading| reading.sample)
    }

    /// A known person answers an alarm; false when none of this condition is open.
    pub fn acknowledge(&mut self, condition: Condition, by: PersonId, now_ms: u64) -> bool {
        let steady_ms = self.advance(now_ms);
        self.alarms.acknowledge(condition, by, steady_ms)
    }

    /// A known person turns the sound of an alarm off for a while; false when it does not sound.
    pub fn silence(&mut self, condition: Condition, by: PersonId, for_ms: u64, now_ms: u64) -> bool {
        let steady_ms = self.advance(now_ms);
        self.alarms.silence(condition, by, for_ms, steady_ms)
    }

    /// A pause ordered on the ward, asked for `age_ms` ago: as [`Self::silence`], but not of an alarm that began, got
    /// worse or came back since.
    pub fn pause(
        &mut self,
        condition: Condition,
        by: PersonId,
        age_ms: u64,
        for_ms: u64,
        now_ms: u64,
    ) -> Answered {
        let steady_ms = self.advance(now_ms);
        self.alarms.pause(condition, by, age_ms, for_ms, steady_ms)
    }

    /// A known person turns the sound of an alarm on again; false when it was not paused.
    pub fn end_silence(&mut self, condition: Condition, by: PersonId, now_ms: u64) -> bool {
        let steady_ms = self.advance(now_ms);
        self.alarms.end_silence(condition, by, steady_ms)
    }

    /// An answer given on the ward: for an alarm no worse and no later than the one that was answered, and for
    /// a time. What still stands when that is over rings again.
    pub fn answer(&mut self, answer: Answer, now_ms: u64) -> Answered {
        let steady_ms = self.advance(now_ms);
        self.alarms.answer(answer, steady_ms)
    }

    /// Replaces the board's own limits of one metric from the next reading on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.alarms.set_limits(limits);
    }

    /// Limits for a time, until `until_ms` of the caller's clock; in place of those ordered before, and
    /// never wider than the floor. When the time is over the stricter of these and the board's own
    /// limits are in force, and an alarm tells the bedside.
    pub fn order_limits(&mut self, limits: Limits, until_ms: u64, now_ms: u64) {
        let steady_ms = self.advance(now_ms);
        self.restore_limits(limits, until_ms, now_ms);
        self.new_limits_at_ms = Some(steady_ms);
    }

    /// Limits ordered before a restart, as [`Self::order_limits`] and without saying that they are new.
    pub fn restore_limits(&mut self, limits: Limits, until_ms: u64, now_ms: u64) {
        let steady_ms = self.advance(now_ms);
        let steady_until_ms = steady_ms.saturating_add(until_ms.saturating_sub(now_ms));
        self.alarms.order_limits(limits, until_ms, steady_until_ms);
    }

    /// The limits that raise alarms of this metric now.
    #[must_use]
    pub fn limits_in_force(&self, metric: Metric) -> Option<Limits> {
        self.alarms.limits_in_force(metric)
    }

    /// A technical condition that the board cannot know: [`Condition::Equivocation`],
    /// [`Condition::Gap`] (the node refused an envelope, or none can be kept), [`Condition::Clock`] or
    /// [`Condition::NotListening`]. Others are ignored.
    pub fn report(&mut self, condition: Condition, wrong: bool, now_ms: u64) {
        let steady_ms = self.advance(now_ms);
        let from_gateway =
            [Condition::Equivocation, Condition::Gap, Condition::Clock, Condition::NotListening];
        if from_gateway.contains(&condition) {
            self.alarms.report(condition, wrong, steady_ms);
        }
    }

    /// Is what is sampled here not recorded? Then the LCD's second line says so, in turn with what else stands
    /// there. The alarm is [`Condition::Gap`], which [`Self::report`] takes.
    pub fn set_not_recorded(&mut self, is: bool) {
        self.not_recorded = is;
    }

    /// Open alarms, worst first: condition, priority, and does it sound.
    #[must_use]
    pub fn open_alarms(&self) -> Vec<(Condition, Priority, bool)> {
        self.alarms.open(self.steady_ms.unwrap_or(0))
    }

    /// Frames the board sent that were not received.
    #[must_use]
    pub fn frames_lost(&self) -> u64 {
        self.frames_lost
    }

    /// The beat detector, once the board has named its rate.
    #[must_use]
    pub fn beats(&self) -> Option<&BeatDetector> {
        self.beats.as_ref()
    }
}

/// A value outside its plausible range is a sensor fault, not a measurement.
fn plausible(metric: Metric, sample: Sample) -> Sample {
    let (low, high) = metric.info().plausible;
    match sample {
        Sample::Measured(raw) if !(low..=high).contains(&raw) => Sample::Absent(Absence::OutOfRange),
        sample => sample,
    }
}

#[cfg(test)]
mod tests;
