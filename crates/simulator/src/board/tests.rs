use super::*;
use device::{Action, BeatDetector, Down, Monitor, MonitorConfig};
use vitals::Metric;
use vitals::alarm::{AlarmEvent, AlarmEventKind, Condition, Priority};
use vitals::metric::{Reading, Sample};

const NOON_MS: u64 = 12 * 3_600_000;

fn board(scenario: Scenario, seed: u64) -> VirtualBoard {
    VirtualBoard::with(BoardConfig { scenario, seed, time_of_day_ms: NOON_MS, ..BoardConfig::default() })
}

/// A board watched by a monitor: everything that came of so many seconds.
fn watched(board: &mut VirtualBoard, seconds: u64) -> Vec<Action> {
    let mut monitor = Monitor::new(MonitorConfig::default());
    let mut actions = Vec::new();
    for tenth in 1..=seconds * 10 {
        let now_ms = 1_790_000_000_000 + tenth * 100;
        for frame in board.frames_until(tenth * 100) {
            monitor.on_frame(frame, now_ms);
        }
        actions.extend(monitor.poll(now_ms));
    }
    actions
}

fn readings(actions: &[Action]) -> Vec<Reading> {
    let all = actions.iter().filter_map(|action| match action {
        Action::Readings(readings) => Some(readings.clone()),
        _ => None,
    });
    all.flatten().collect()
}

fn last(actions: &[Action], metric: Metric) -> Sample {
    readings(actions).iter().rev().find(|reading| reading.metric == metric).expect("it is fitted").sample
}

fn raised(actions: &[Action]) -> Vec<(Condition, Priority)> {
    let raised = actions.iter().filter_map(|action| match action {
        Action::Alarm(AlarmEvent {
            kind: AlarmEventKind::Raised | AlarmEventKind::Worsened,
            condition,
            priority,
            ..
        }) => Some((*condition, *priority)),
        _ => None,
    });
    raised.collect()
}

#[test]
fn the_same_seed_gives_the_same_frames_however_they_are_asked_for() {
    let mut whole = board(Scenario::Restless, 7);
    let mut parts = board(Scenario::Restless, 7);
    let frames = whole.frames_until(20_000);
    let pieces: Vec<Up> =
        (0..=20_000).step_by(37).chain([20_000]).flat_map(|ms| parts.frames_until(ms)).collect();
    assert_eq!(frames, pieces);
    assert_ne!(frames, board(Scenario::Restless, 8).frames_until(20_000));
}

#[test]
fn a_second_has_ten_light_frames_and_one_slow_one() {
    let frames = board(Scenario::Healthy, 1).frames_until(60_000);
    let light = frames.iter().filter(|frame| matches!(frame, Up::Ppg { .. })).count();
    let slow = frames.iter().filter(|frame| matches!(frame, Up::Slow(_))).count();
    assert_eq!((light, slow), (600, 61));
    assert!(matches!(frames.iter().find(|frame| !matches!(frame, Up::Slow(_))), Some(Up::Hello { .. })));
    let counters: Vec<u32> = frames
        .iter()
        .filter_map(|frame| match frame {
            Up::Ppg { counter, .. } | Up::Button { counter, .. } => Some(*counter),
            Up::Slow(slow) => Some(slow.counter),
            Up::Hello { .. } => None,
        })
        .collect();
    assert!(counters.iter().enumerate().all(|(index, counter)| *counter as usize == index));
}

#[test]
fn healthy_patients_are_measured_and_raise_nothing() {
    for seed in 0..12 {
        let mut board = board(Scenario::Healthy, seed);
        let actions = watched(&mut board, 180);
        assert_eq!(raised(&actions), vec![], "seed {seed}");
        let pulses: Vec<Sample> =
            readings(&actions).iter().filter(|r| r.metric == Metric::HeartRate).map(|r| r.sample).collect();
        let measured = pulses.iter().filter(|sample| matches!(sample, Sample::Measured(500..=900))).count();
        assert!(measured * 100 >= pulses.len() * 88, "seed {seed}: {measured} of {}", pulses.len());
        assert!(matches!(last(&actions, Metric::BodyTemperature), Sample::Measured(3620..=3750)));
        assert!(matches!(last(&actions, Metric::Aqi), Sample::Measured(10..=60)));
    }
}

#[test]
fn the_measured_rate_is_the_made_up_one() {
    for seed in 20..30 {
        let mut heart = crate::pulse_signal::PulseSignal::new(seed);
        let mut detector = BeatDetector::new(crate::pulse_signal::RATE_MHZ).unwrap();
        let (mut told, mut made) = (Vec::new(), Vec::new());
        for index in 0..12_000u32 {
            detector.push(heart.sample(Scenario::Healthy, NOON_MS, 0.0));
            if index > 1_000
                && index % 100 == 0
                && let Sample::Measured(tenths) = detector.heart_rate()
            {
                told.push(f64::from(tenths) / 10.0);
                made.push(heart.rate_bpm());
            }
        }
        // The median: a moving finger may swing like a racing heart for some seconds.
        let median = |rates: &mut Vec<f64>| {
            rates.sort_by(f64::total_cmp);
            rates[rates.len() / 2]
        };
        let off = median(&mut told) - median(&mut made);
        assert!(off.abs() < 1.0, "seed {seed}: {off:.2} bpm off");
    }
}

#[test]
fn the_pulse_is_lower_at_night() {
    let at = |time_of_day_ms| {
        let config = BoardConfig { seed: 3, time_of_day_ms, ..BoardConfig::default() };
        let actions = watched(&mut VirtualBoard::with(config), 60);
        match last(&actions, Metric::HeartRate) {
            Sample::Measured(tenths) => tenths,
            absent @ Sample::Absent(_) => panic!("{absent:?}"),
        }
    };
    assert!(at(4 * 3_600_000) + 60 < at(16 * 3_600_000));
}

#[test]
fn every_scenario_raises_its_alarm_within_half_a_minute() {
    for (scenario, condition, priority) in [
        (Scenario::Tachycardia, Condition::Above(Metric::HeartRate), Priority::High),
        (Scenario::Bradycardia, Condition::Below(Metric::HeartRate), Priority::High),
        (Scenario::Fever, Condition::Above(Metric::BodyTemperature), Priority::Medium),
        (Scenario::SmokyRoom, Condition::Above(Metric::Pm25), Priority::Medium),
        (Scenario::SensorOff, Condition::SensorOff(Metric::HeartRate), Priority::Technical),
        (Scenario::Unplugged, Condition::Stale, Priority::Technical),
    ] {
        for seed in 0..5 {
            let script = format!("at 20 s: {}", scenario.name()).parse().unwrap();
            let config = BoardConfig { seed, script, time_of_day_ms: NOON_MS, ..BoardConfig::default() };
            let actions = watched(&mut VirtualBoard::with(config), 52);
            let raised = raised(&actions);
            assert!(raised.contains(&(condition, priority)), "{scenario:?}, seed {seed}: {raised:?}");
            let buzzes = actions.iter().any(|action| matches!(action, Action::Show(Down::Buzzer(Some(_)))));
            assert!(buzzes, "{scenario:?}, seed {seed}: quiet");
        }
    }
}

#[test]
fn twenty_seconds_of_tachycardia_are_alarmed_and_recover() {
    for seed in 0..10 {
        let script = "at 20 s: tachycardia for 20 s".parse().unwrap();
        let config = BoardConfig { seed, script, time_of_day_ms: NOON_MS, ..BoardConfig::default() };
        let actions = watched(&mut VirtualBoard::with(config), 80);
        let events: Vec<(AlarmEventKind, Priority)> = actions
            .iter()
            .filter_map(|action| match action {
                Action::Alarm(event) if event.condition == Condition::Above(Metric::HeartRate) => {
                    Some((event.kind, event.priority))
                }
                _ => None,
            })
            .collect();
        assert_eq!(events.first().map(|(kind, _)| *kind), Some(AlarmEventKind::Raised), "seed {seed}");
        assert!(events.iter().any(|(_, priority)| *priority >= Priority::Medium), "seed {seed}: {events:?}");
        assert_eq!(events.last().map(|(kind, _)| *kind), Some(AlarmEventKind::Recovered), "seed {seed}");
    }
}

#[test]
fn an_irregular_heart_is_never_called_a_sensor_that_is_off() {
    for seed in 0..10 {
        let script = "at 20 s: irregular".parse().unwrap();
        let config = BoardConfig { seed, script, time_of_day_ms: NOON_MS, ..BoardConfig::default() };
        let actions = watched(&mut VirtualBoard::with(config), 140);
        let raised = raised(&actions);
        assert!(raised.contains(&(Condition::Unsteady(Metric::HeartRate), Priority::Medium)), "seed {seed}");
        assert!(
            !raised.iter().any(|(condition, _)| *condition == Condition::SensorOff(Metric::HeartRate)),
            "seed {seed}: {raised:?}"
        );
        let rates = pulses(&actions).into_iter().skip(40).filter(Option::is_some).count();
        assert!(rates <= 3, "seed {seed}: {rates} rates of an irregular heart");
    }
}

/// The pulse second by second, tenths of a beat per minute.
fn pulses(actions: &[Action]) -> Vec<Option<i32>> {
    let of = |reading: Reading| match reading.sample {
        Sample::Measured(tenths) => Some(tenths),
        Sample::Absent(_) => None,
    };
    readings(actions).into_iter().filter(|r| r.metric == Metric::HeartRate).map(of).collect()
}

#[test]
fn artefacts_of_intensive_care_neither_raise_an_alarm_nor_show_another_rate() {
    let (mut seconds, mut shown) = (0, 0);
    for seed in 0..10 {
        let mut board = board(Scenario::Artefacts, seed);
        let actions = watched(&mut board, 300);
        let of_pulse = |(condition, _): &(Condition, Priority)| condition.judges_a_value();
        assert!(!raised(&actions).iter().any(of_pulse), "seed {seed}: {:?}", raised(&actions));
        let pulses = pulses(&actions);
        let mut rates: Vec<i32> = pulses.iter().copied().flatten().collect();
        seconds += pulses.len();
        shown += rates.len();
        rates.sort_unstable();
        let (lowest, middle, highest) = (rates[0], rates[rates.len() / 2], rates[rates.len() - 1]);
        assert!(
            lowest * 10 >= middle * 8 && highest * 10 <= middle * 12,
            "seed {seed}: {lowest} to {highest}"
        );
    }
    assert!(shown * 100 >= seconds * 60, "{shown} of {seconds} seconds between artefacts have a rate");
}

#[test]
fn a_stuffy_room_is_noticed_in_a_few_minutes() {
    let actions = watched(&mut board(Scenario::StuffyRoom, 2), 90);
    assert!(raised(&actions).contains(&(Condition::Above(Metric::Co2), Priority::Low)));
}

#[test]
fn a_recording_is_replayed_at_its_own_rate_and_starts_again() {
    let text: String = (0..500).map(|index| format!("{}\n", 400 + index % 90)).collect();
    let recording =
        Recording::parse(&text, &crate::recording::Hints { rate_mhz: Some(117_000), column: None }).unwrap();
    let config = BoardConfig { recording: Some(Arc::new(recording)), ..BoardConfig::default() };
    let mut board = VirtualBoard::with(config);
    let samples: Vec<u16> = board
        .frames_until(10_000)
        .into_iter()
        .filter_map(|frame| match frame {
            Up::Ppg { samples, .. } => Some(samples),
            _ => None,
        })
        .flatten()
        .collect();
    assert_eq!(samples.len(), 1_170);
    assert_eq!(samples[500], samples[0]);
    assert_eq!(board.rate_mhz(), 117_000);
}
