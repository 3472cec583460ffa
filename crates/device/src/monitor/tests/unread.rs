//! A pulse that is there and is not shown: nothing of it may pass in silence.

use super::*;
use alloc::vec::Vec;

const PULSE: Metric = Metric::HeartRate;
const RACES: Condition = Condition::Above(PULSE);

/// A board of 100 samples a second on a finger.
struct Finger {
    bed: Bed,
    index: u32,
    /// Beats a minute; none while the sensor sees nothing.
    bpm: Option<u32>,
}

impl Finger {
    fn of(bpm: u32) -> Self {
        let mut bed = Bed::with_temperature(3700);
        bed.monitor.on_frame(Up::Hello { rate_mhz: 100_000, board: 1 }, bed.now_ms);
        Self { bed, index: 0, bpm: Some(bpm) }
    }

    /// Tenths of a second pass with a frame each; `lost` says which frames are.
    fn tenths(&mut self, count: u32, lost: impl Fn(u32) -> bool) {
        for tenth in 0..count {
            let samples: Vec<u16> = (0..10)
                .map(|_| {
                    self.index += 1;
                    let Some(bpm) = self.bpm else { return 500 };
                    let period = 6_000 / bpm;
                    let at = self.index % period;
                    let up = period / 7;
                    u16::try_from(if at < up {
                        400 + 300 * at / up
                    } else {
                        700 - 300 * (at - up) / (period - up)
                    })
                    .unwrap()
                })
                .collect();
            self.bed.counter += 1;
            self.bed.now_ms += 100;
            if !lost(tenth) {
                let frame = Up::Ppg { counter: self.bed.counter, board_ms: 0, samples };
                self.bed.monitor.on_frame(frame, self.bed.now_ms);
            }
            self.bed.poll();
        }
    }

    fn seconds(&mut self, count: u32) -> &mut Self {
        self.tenths(count * 10, |_| false);
        self
    }
}

#[test]
fn an_alarm_that_nobody_answered_rings_on_when_the_sensor_comes_off() {
    let mut finger = Finger::of(150);
    finger.seconds(40);
    assert_eq!(finger.bed.buzzer(), Some(Priority::High));
    finger.bpm = None;
    finger.seconds(60);
    assert_eq!(finger.bed.buzzer(), Some(Priority::High), "{:?}", finger.bed.events());
    let answer =
        Answer { condition: RACES, priority: Priority::High, by: SOMEBODY, age_ms: 0, for_ms: 60_000 };
    assert_eq!(finger.bed.monitor.answer(answer, finger.bed.now_ms), Answered::Done);
    finger.seconds(2);
    assert_eq!(finger.bed.buzzer(), Some(Priority::Technical), "the sensor is still off");
}

#[test]
fn a_sensor_that_comes_off_and_back_without_end_is_told() {
    for (off, on) in [(5, 4), (7, 4), (7, 7), (6, 5)] {
        let mut finger = Finger::of(80);
        for _ in 0..8 {
            finger.bpm = None;
            finger.seconds(off);
            finger.bpm = Some(80);
            finger.seconds(on);
        }
        let told = finger.bed.events().iter().any(|(_, kind)| *kind == AlarmEventKind::Raised);
        let pulse = finger.bed.readings().into_iter().filter(|it| it.metric == PULSE);
        let (mut without, mut longest) = (0, 0);
        for reading in pulse {
            without = if matches!(reading.sample, Sample::Measured(_)) { 0 } else { without + 1 };
            longest = longest.max(without);
        }
        assert!(told || longest <= 30, "{off} s off, {on} s on: {longest} s without a value and no alarm");
    }
}

#[test]
fn a_board_that_never_says_its_rate_is_told() {
    let mut finger = Finger::of(80);
    finger.bed.monitor = Monitor::new(MonitorConfig::default());
    finger.seconds(40);
    let off = (Condition::SensorOff(PULSE), AlarmEventKind::Raised);
    assert!(finger.bed.events().contains(&off), "{:?}", finger.bed.events());
}

#[test]
fn a_line_that_loses_frames_is_told_or_the_pulse_is_shown() {
    for every in [3, 5, 10, 20, 30, 50] {
        let mut finger = Finger::of(150);
        finger.tenths(900, |tenth| tenth % every == 0);
        let told = finger.bed.events().iter().any(|(_, kind)| *kind == AlarmEventKind::Raised);
        let measured =
            finger.bed.readings().iter().filter(|it| matches!(it.sample, Sample::Measured(_))).count();
        assert!(told, "each {every}th frame lost: {measured} values and no alarm");
    }
}

#[test]
fn a_racing_heart_that_is_read_now_and_then_rings() {
    for (read, unread) in [(4, 4), (6, 5), (9, 4)] {
        let mut vital = Vec::new();
        let mut watch = AlarmState::new(&MonitorConfig::default().limits, &[]);
        for second in 0..90u64 {
            let is_read = second % (read + unread) < read;
            let sample = if is_read { Sample::Measured(1500) } else { Sample::Absent(Absence::Noisy) };
            watch.observe(&[Reading { metric: PULSE, at_ms: 0, sample }], 1_000_000 + second * 1_000);
            vital.extend(watch.take_events().into_iter().map(|event| (second, event.condition)));
        }
        assert!(
            vital.iter().any(|(_, condition)| *condition == RACES),
            "{read} s of {}: {vital:?}",
            read + unread
        );
    }
}

#[test]
fn a_pause_asked_for_before_an_alarm_began_quietens_nothing() {
    let mut bed = Bed::with_temperature(3950);
    bed.seconds(20, true);
    let mut pause = |age_ms| bed.monitor.pause(FEVER, SOMEBODY, age_ms, 60_000, bed.now_ms);
    assert_eq!(pause(30_000), Answered::Worse, "what stood then was another");
    assert_eq!(pause(500), Answered::Done);
    bed.seconds(1, true);
    assert_eq!(bed.buzzer(), None);
}

#[test]
fn an_answer_given_while_it_was_over_does_not_quieten_what_came_back() {
    let mut bed = Bed::with_temperature(3950);
    bed.seconds(20, true);
    bed.temperature = Some(3700);
    bed.seconds(10, true);
    assert_eq!(bed.events().last(), Some(&(FEVER, AlarmEventKind::Recovered)));
    bed.temperature = Some(3950);
    bed.seconds(3, true);
    assert_eq!(bed.buzzer(), Some(Priority::Medium));
    // Answered five seconds ago, when it was over.
    let answer =
        Answer { condition: FEVER, priority: Priority::Medium, by: SOMEBODY, age_ms: 5_000, for_ms: 60_000 };
    assert_eq!(bed.monitor.answer(answer, bed.now_ms), Answered::Worse);
    bed.seconds(1, true);
    assert_eq!(bed.buzzer(), Some(Priority::Medium), "nobody has answered what stands now");
}
