mod remote_commands;
mod unread;

use super::*;
use alloc::vec;
use vitals::alarm::AlarmEventKind;

const START_MS: u64 = 1_790_000_000_500;

/// A bed: a monitor, a board with only the temperature sensors, and what came of it.
struct Bed {
    monitor: Monitor,
    now_ms: u64,
    counter: u32,
    temperature: Option<i32>,
    done: Vec<Action>,
}

impl Bed {
    fn with_temperature(raw: i32) -> Self {
        Self {
            monitor: Monitor::new(MonitorConfig::default()),
            now_ms: START_MS,
            counter: 0,
            temperature: Some(raw),
            done: Vec::new(),
        }
    }

    fn frame(&mut self) {
        self.counter += 1;
        let slow = Slow { counter: self.counter, body_temperature: self.temperature, ..Slow::default() };
        self.monitor.on_frame(Up::Slow(slow), self.now_ms);
    }

    fn poll(&mut self) {
        self.done.extend(self.monitor.poll(self.now_ms));
    }

    /// Seconds pass with a frame each, polled ten times a second.
    fn seconds(&mut self, count: u32, talking: bool) -> &mut Self {
        for _ in 0..count {
            if talking {
                self.frame();
            }
            for _ in 0..10 {
                self.now_ms += 100;
                self.poll();
            }
        }
        self
    }

    fn events(&self) -> Vec<(Condition, AlarmEventKind)> {
        self.done
            .iter()
            .filter_map(|action| match action {
                Action::Alarm(event) => Some((event.condition, event.kind)),
                _ => None,
            })
            .collect()
    }

    fn readings(&self) -> Vec<Reading> {
        self.done
            .iter()
            .filter_map(|action| match action {
                Action::Readings(readings) => Some(readings.clone()),
                _ => None,
            })
            .flatten()
            .collect()
    }

    fn buzzer(&self) -> Option<Priority> {
        let told = self.done.iter().rev().find_map(|action| match action {
            Action::Show(Down::Buzzer(priority)) => Some(*priority),
            _ => None,
        });
        told.expect("the buzzer is told within five seconds")
    }

    fn lcd(&self) -> [alloc::string::String; 2] {
        let told = self.done.iter().rev().find_map(|action| match action {
            Action::Show(Down::Lcd { lines }) => Some(*lines),
            _ => None,
        });
        told.expect("the LCD is told within five seconds")
            .map(|line| alloc::string::String::from_utf8(line.to_vec()).unwrap())
    }
}

const FEVER: Condition = Condition::Above(Metric::BodyTemperature);
const OFF: Condition = Condition::SensorOff(Metric::BodyTemperature);
const SOMEBODY: PersonId = PersonId([7; 32]);

#[test]
fn one_reading_per_metric_and_second_and_none_of_what_is_not_fitted() {
    let mut bed = Bed::with_temperature(3680);
    let readings = bed.seconds(30, true).readings();
    // Thirty seconds that begin in the middle of one touch thirty-one.
    assert_eq!(readings.len(), 31);
    assert!(
        readings.iter().all(|r| r.metric == Metric::BodyTemperature && r.sample == Sample::Measured(3680))
    );
    let mut seconds: Vec<u64> = readings.iter().map(|r| r.at_ms / 1_000).collect();
    seconds.dedup();
    assert_eq!(seconds.len(), 31);
    assert_eq!(bed.events(), vec![]);
    assert_eq!(bed.buzzer(), None);
    assert_eq!(bed.lcd()[0], "-- bpm  36.8 C  ");
}

#[test]
fn a_fever_is_raised_after_its_persistence_and_stays_until_answered() {
    let mut bed = Bed::with_temperature(3950);
    assert_eq!(bed.seconds(14, true).events(), vec![]);
    assert_eq!(bed.seconds(4, true).events(), vec![(FEVER, AlarmEventKind::Raised)]);
    assert_eq!(bed.buzzer(), Some(Priority::Medium));
    assert_eq!(bed.lcd(), ["**TEMP HIGH     ", "now 39.5 C      "]);
    bed.temperature = Some(3700);
    bed.seconds(3, true);
    assert_eq!(bed.events()[1..], [(FEVER, AlarmEventKind::Recovered)]);
    assert_eq!(bed.buzzer(), None);
    assert!(bed.lcd()[0].starts_with("**TEMP HIGH"));
    assert!(bed.monitor.acknowledge(FEVER, SOMEBODY, bed.now_ms));
    bed.seconds(1, true);
    assert_eq!(bed.events()[2..], [(FEVER, AlarmEventKind::Closed)]);
    assert_eq!(bed.lcd()[0], "-- bpm  37.0 C  ");
}

#[test]
fn a_brief_violation_raises_nothing() {
    let mut bed = Bed::with_temperature(3950);
    bed.seconds(10, true);
    bed.temperature = Some(3700);
    bed.seconds(2, true);
    bed.temperature = Some(3950);
    assert_eq!(bed.seconds(14, true).events(), vec![]);
}

#[test]
fn a_sensor_that_comes_off_is_a_technical_alarm_and_holds_the_fever_back() {
    let mut bed = Bed::with_temperature(3950);
    bed.seconds(10, true);
    bed.temperature = None;
    bed.seconds(8, true);
    assert_eq!(bed.events(), vec![(OFF, AlarmEventKind::Raised)]);
    assert_eq!(bed.lcd(), ["TEMP ?          ", "check the sensor"]);
    assert_eq!(bed.readings().last().unwrap().sample, Sample::Absent(Absence::SensorOff));
    bed.temperature = Some(3950);
    bed.seconds(10, true);
    assert_eq!(bed.events()[1..], [(OFF, AlarmEventKind::Closed)]);
    bed.seconds(8, true);
    assert_eq!(bed.events()[2..], [(FEVER, AlarmEventKind::Raised)]);
}

#[test]
fn an_open_alarm_does_not_recover_by_losing_its_sensor() {
    let mut bed = Bed::with_temperature(3950);
    bed.seconds(20, true);
    bed.temperature = None;
    bed.seconds(20, true);
    assert_eq!(bed.events(), vec![(FEVER, AlarmEventKind::Raised), (OFF, AlarmEventKind::Raised)]);
    bed.temperature = Some(3950);
    bed.seconds(5, true);
    assert_eq!(bed.buzzer(), Some(Priority::Medium));
}

#[test]
fn a_board_that_falls_silent_is_stale_and_its_last_value_is_not_repeated() {
    let mut bed = Bed::with_temperature(3680);
    bed.seconds(10, true);
    bed.seconds(20, false);
    assert_eq!(bed.events(), vec![(Condition::Stale, AlarmEventKind::Raised)]);
    let measured = bed.readings().iter().filter(|r| matches!(r.sample, Sample::Measured(_))).count();
    assert!(measured <= 13, "{measured} values from 10 s of data");
    assert!(bed.readings().len() <= 16, "no readings from a board that is gone");
    assert_eq!(bed.lcd(), ["NO DATA         ", "check the board "]);
    bed.seconds(5, true);
    assert_eq!(bed.events()[1..], [(Condition::Stale, AlarmEventKind::Closed)]);
}

#[test]
fn no_fever_is_raised_on_stale_data() {
    let mut bed = Bed::with_temperature(3950);
    bed.seconds(10, true);
    bed.seconds(60, false);
    assert_eq!(bed.events(), vec![(Condition::Stale, AlarmEventKind::Raised)]);
}

#[test]
fn a_clock_that_leaps_raises_nothing_and_one_that_goes_back_delays_nothing() {
    let mut bed = Bed::with_temperature(3950);
    bed.seconds(3, true);
    bed.now_ms += 3_600_000;
    assert_eq!(bed.seconds(3, true).events(), vec![]);
    bed.now_ms -= 7_200_000;
    bed.seconds(14, true);
    assert_eq!(bed.events(), vec![(FEVER, AlarmEventKind::Raised)]);
    let Some(Action::Alarm(event)) = bed.done.iter().find(|action| matches!(action, Action::Alarm(_))) else {
        panic!("raised above")
    };
    assert!(event.at_ms <= bed.now_ms, "events carry the caller's time");
}

#[test]
fn the_bedside_button_quietens_but_does_not_answer() {
    let mut bed = Bed::with_temperature(3950);
    bed.seconds(20, true);
    bed.counter += 1;
    bed.monitor.on_frame(Up::Button { counter: bed.counter, board_ms: 0 }, bed.now_ms);
    bed.seconds(10, true);
    assert_eq!(bed.events()[1..], [(FEVER, AlarmEventKind::Silenced)]);
    assert_eq!(bed.buzzer(), None);
    assert!(bed.lcd()[0].starts_with("**TEMP HIGH"));
    bed.seconds(115, true);
    assert_eq!(bed.buzzer(), Some(Priority::Medium));
}

#[test]
fn a_worse_alarm_breaks_the_silence() {
    let limits = Limits {
        above: [Some(3810), Some(3910), Some(4000)],
        ..Limits::adult(Metric::BodyTemperature).unwrap()
    };
    let mut bed = Bed::with_temperature(3850);
    bed.monitor.set_limits(limits);
    bed.seconds(20, true);
    assert!(bed.monitor.silence(FEVER, SOMEBODY, 120_000, bed.now_ms));
    bed.seconds(5, true);
    assert_eq!(bed.buzzer(), None);
    bed.temperature = Some(4050);
    bed.seconds(20, true);
    assert_eq!(bed.buzzer(), Some(Priority::High));
}

#[test]
fn an_impossible_value_is_a_fault_and_not_a_measurement() {
    let mut bed = Bed::with_temperature(9999);
    bed.seconds(30, true);
    assert!(bed.readings().iter().all(|r| r.sample == Sample::Absent(Absence::OutOfRange)));
    assert_eq!(bed.events(), vec![(OFF, AlarmEventKind::Raised)]);
}

#[test]
fn what_the_node_refused_is_shown_at_the_bed() {
    let mut bed = Bed::with_temperature(3680);
    bed.seconds(3, true);
    bed.monitor.report(Condition::Gap, true, bed.now_ms);
    bed.seconds(6, true);
    assert_eq!(bed.lcd(), ["NOT DELIVERED   ", "call technician "]);
    bed.monitor.report(Condition::Gap, false, bed.now_ms);
    bed.seconds(1, true);
    assert_eq!(
        bed.events(),
        vec![(Condition::Gap, AlarmEventKind::Raised), (Condition::Gap, AlarmEventKind::Closed)]
    );
}

#[test]
fn lost_frames_are_counted_and_a_restart_is_not_a_loss() {
    let mut bed = Bed::with_temperature(3680);
    bed.seconds(2, true);
    bed.counter += 5;
    bed.seconds(2, true);
    bed.counter = 0;
    bed.seconds(2, true);
    assert_eq!(bed.monitor.frames_lost(), 5);
}

#[test]
fn the_air_index_comes_with_the_particles() {
    let mut monitor = Monitor::new(MonitorConfig::default());
    monitor.on_frame(Up::Slow(Slow { pm2_5: Some(354), ..Slow::default() }), START_MS);
    let actions = monitor.poll(START_MS);
    let Some(Action::Readings(readings)) = actions.first() else { panic!("{actions:?}") };
    let said: Vec<_> = readings.iter().map(|r| (r.metric, r.sample)).collect();
    assert_eq!(said, [(Metric::Pm25, Sample::Measured(354)), (Metric::Aqi, Sample::Measured(100))]);
}

#[test]
fn a_monitor_that_heard_nothing_says_nothing() {
    let mut monitor = Monitor::new(MonitorConfig::default());
    assert!((0..100u64).all(|step| monitor.poll(START_MS + step * 1_000).is_empty()));
}

#[test]
fn beats_from_before_a_silence_are_no_heart_rate_after_it() {
    let mut monitor = Monitor::new(MonitorConfig::default());
    let (mut now_ms, mut counter, mut index) = (START_MS, 0, 0u32);
    let mut light = |monitor: &mut Monitor, now_ms: u64| {
        // 75 a minute: a saw tooth with a steep edge every 0.8 s.
        let samples = (0..10).map(|_| {
            index += 1;
            let at = index % 80;
            u16::try_from(if at < 12 { 400 + 25 * at } else { 700 - 4 * (at - 12) }).unwrap()
        });
        let frame = Up::Ppg { counter, board_ms: 0, samples: samples.collect() };
        counter += 1;
        monitor.on_frame(frame, now_ms);
        monitor.poll(now_ms)
    };
    monitor.on_frame(Up::Hello { rate_mhz: 100_000, board: 1 }, now_ms);
    let pulse = |actions: &[Action]| {
        actions.iter().find_map(|action| match action {
            Action::Readings(readings) => Some(readings[0].sample),
            _ => None,
        })
    };
    let mut last = None;
    for _ in 0..150 {
        now_ms += 100;
        last = pulse(&light(&mut monitor, now_ms)).or(last);
    }
    assert_eq!(last, Some(Sample::Measured(750)));
    for _ in 0..100 {
        now_ms += 100;
        monitor.poll(now_ms);
    }
    for _ in 0..30 {
        now_ms += 100;
        if let Some(sample) = pulse(&light(&mut monitor, now_ms)) {
            assert_eq!(sample, Sample::Absent(Absence::WarmingUp));
        }
    }
}

#[test]
fn a_rate_no_pulse_can_be_seen_at_is_told_as_such() {
    let mut bed = Bed::with_temperature(3680);
    bed.monitor.on_frame(Up::Hello { rate_mhz: 1_000, board: 1 }, bed.now_ms);
    for _ in 0..60 {
        bed.counter += 1;
        let frame = Up::Ppg { counter: bed.counter, board_ms: 0, samples: vec![1] };
        bed.monitor.on_frame(frame, bed.now_ms);
        bed.seconds(1, true);
    }
    let of = |it: &&Reading| it.metric == Metric::HeartRate;
    let pulse: Vec<Sample> = bed.readings().iter().filter(of).map(|it| it.sample).collect();
    assert!(pulse.len() > 50 && pulse.iter().all(|it| *it == Sample::Absent(Absence::RateNotSupported)));
    let told = Condition::RateNotSupported(Metric::HeartRate);
    assert_eq!(bed.events(), vec![(told, AlarmEventKind::Raised)], "and nothing else is said of it");
    assert_eq!(bed.lcd(), ["PULSE SAMPLING  ", "rate unsupported"]);
    assert_eq!(bed.buzzer(), Some(Priority::Technical));
    bed.monitor.on_frame(Up::Hello { rate_mhz: 100_000, board: 1 }, bed.now_ms);
    bed.counter += 1;
    bed.monitor.on_frame(Up::Ppg { counter: bed.counter, board_ms: 0, samples: vec![1] }, bed.now_ms);
    bed.seconds(1, true);
    assert_eq!(bed.events().last(), Some(&(told, AlarmEventKind::Closed)));
}
