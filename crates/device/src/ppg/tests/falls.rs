//! How long a heart may fall before it rings: a bed with its own limits, from the sensor's light to the
//! alarm.

#![allow(clippy::print_stdout, reason = "prints how long each alarm took")]

use super::signals::{Disturbance, Signal};
use crate::{Action, Down, Monitor, MonitorConfig, Up};
use std::vec::Vec;
use std::{format, println};
use vitals::Metric;
use vitals::alarm::{AlarmEventKind, Condition, Limits, Priority, Side};
use vitals::metric::{Reading, Sample};

const START_MS: u64 = 1_790_000_000_000;
const SLOW: Condition = Condition::Below(Metric::HeartRate);
const OFF: Condition = Condition::SensorOff(Metric::HeartRate);
const POOR: Condition = Condition::PoorSignal(Metric::HeartRate);

/// What a bed says, second by second of its signal.
struct Told {
    alarms: Vec<(f64, Condition, AlarmEventKind, Priority)>,
    /// What sounds at the end.
    buzzer: Option<Priority>,
    readings: Vec<(f64, Sample)>,
}

/// A bed that sees this light.
fn bed(samples: &[u16], hz: u32, limits: Option<Limits>) -> Told {
    let mut config = MonitorConfig::default();
    if let Some(limits) = limits {
        config.limits.retain(|it| it.metric != limits.metric);
        config.limits.push(limits);
    }
    let mut monitor = Monitor::new(config);
    monitor.on_frame(Up::Hello { rate_mhz: hz * 1_000, board: 1 }, START_MS);
    let mut told = Told { alarms: Vec::new(), buzzer: None, readings: Vec::new() };
    let per_frame = (hz / 10) as usize;
    for (counter, some) in (0u32..).zip(samples.chunks(per_frame)) {
        let at_s = f64::from(counter + 1) / 10.0;
        let now_ms = START_MS + u64::from(counter + 1) * 100;
        monitor.on_frame(Up::Ppg { counter, board_ms: 0, samples: some.to_vec() }, now_ms);
        for action in monitor.poll(now_ms) {
            match action {
                Action::Alarm(event) => {
                    told.alarms.push((at_s, event.condition, event.kind, event.priority));
                }
                Action::Readings(readings) => {
                    told.readings.extend(readings.iter().map(|reading: &Reading| (at_s, reading.sample)));
                }
                Action::Show(Down::Buzzer(sound)) => told.buzzer = sound,
                _ => {}
            }
        }
    }
    told
}

fn heart(bpm: f64, hz: u32, seconds: f64, seed: u64) -> Vec<u16> {
    Signal { seconds, ..Signal::of(bpm, f64::from(hz), seed) }.samples(Disturbance::Nothing)
}

/// From a true fall to the alarm (docs/decisions/160): the ten seconds of persistence of the limit, and the
/// beats that a rate needs to be believed, which take longer the slower the heart is.
#[test]
fn a_heart_that_falls_rings_within_its_time() {
    let watched = Limits { below: [None, Some(600), Some(400)], ..Limits::adult(Metric::HeartRate).unwrap() };
    for (from, to, limits, priority, within_s) in [
        (120.0, 55.0, Some(watched), Priority::Medium, 26.0),
        (80.0, 38.0, None, Priority::High, 30.0),
        (60.0, 45.0, None, Priority::Medium, 26.0),
        (90.0, 30.0, None, Priority::High, 40.0),
        (80.0, 20.0, None, Priority::High, 36.0),
    ] {
        let mut slowest = 0.0f64;
        for hz in [20, 50, 100, 250] {
            for seed in 0..6 {
                let mut samples = heart(from, hz, 40.0, seed);
                samples.extend(heart(to, hz, 60.0, seed + 10));
                let told = bed(&samples, hz, limits);
                let scene = format!("{from} to {to} at {hz} Hz, heart {seed}: {:?}", told.alarms);
                let raised = told.alarms.iter().find(|it| (it.1, it.2) == (SLOW, AlarmEventKind::Raised));
                let Some((at_s, .., said)) = raised else { panic!("{scene}") };
                assert_eq!(*said, priority, "{scene}");
                assert!(*at_s > 40.0, "not before it fell: {scene}");
                slowest = slowest.max(at_s - 40.0);
                // Whoever must wait longer for it is told meanwhile that there is no rate.
                let first_s = told.alarms.iter().map(|it| it.0 - 40.0).find(|at_s| *at_s > 0.0);
                assert!(first_s.is_some_and(|at_s| at_s <= 32.0), "{scene}");
            }
        }
        println!("{from} to {to} a minute: rings after {slowest:.1} s at the most");
        assert!(slowest <= within_s, "{from} to {to}: {slowest} s");
    }
}

/// A pulse that stops leaves light that does not move, or that breath, ventilator and noise still move. It
/// can't be told from a sensor that came off, and is never shown as a rate within limits.
#[test]
fn a_pulse_that_stops_is_told_in_seconds_and_never_shown_as_well() {
    for (name, wander, noise, within_s) in [
        ("nothing moves", 0.0, 0.0, 9.0),
        ("noise", 0.0, 0.03, 25.0),
        ("a ventilator", 0.5, 0.01, 25.0),
        ("breathing", 0.1, 0.02, 25.0),
    ] {
        for hz in [20, 50, 100, 250] {
            let light = Signal { wander, noise, seconds: 120.0, ..Signal::of(80.0, f64::from(hz), 3) };
            let mut samples = heart(80.0, hz, 40.0, 1);
            samples.extend(light.stopped());
            let told = bed(&samples, hz, None);
            let scene = format!("{name} at {hz} Hz: {:?}", told.alarms);
            let first = told.alarms.iter().find(|it| it.0 > 40.0);
            let Some((at_s, condition, kind, _)) = first else { panic!("{scene}") };
            assert_eq!(*kind, AlarmEventKind::Raised, "{scene}");
            assert!([OFF, POOR].contains(condition) && at_s - 40.0 <= within_s, "{scene}");
            let limits = Limits::adult(Metric::HeartRate).unwrap();
            let well = |sample: &Sample| match sample {
                Sample::Measured(rate) => {
                    [Side::Above, Side::Below].iter().all(|side| limits.violated(*side, *rate).is_none())
                }
                Sample::Absent(_) => false,
            };
            let shown = told.readings.iter().filter(|(at_s, sample)| *at_s > 52.0 && well(sample)).count();
            assert_eq!(shown, 0, "{scene}");
        }
    }
}

#[test]
fn an_alarm_that_rings_is_not_ended_by_a_pulse_that_stops() {
    for (wander, noise) in [(0.0, 0.0), (0.0, 0.03), (0.5, 0.01)] {
        let mut samples = heart(36.0, 50, 60.0, 1);
        samples.extend(Signal { wander, noise, seconds: 120.0, ..Signal::of(36.0, 50.0, 3) }.stopped());
        let told = bed(&samples, 50, None);
        let over = |it: &&(f64, Condition, AlarmEventKind, Priority)| {
            it.1 == SLOW && [AlarmEventKind::Recovered, AlarmEventKind::Closed].contains(&it.2)
        };
        assert_eq!(told.alarms.iter().filter(over).count(), 0, "{:?}", told.alarms);
        assert_eq!(told.buzzer, Some(Priority::High), "{:?}", told.alarms);
    }
}
