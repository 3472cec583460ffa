//! Sampling rate × heart rate: right or absent, never another number.

#![allow(clippy::print_stdout, reason = "prints the table of truth and answer")]

use super::signals::{Chance, Disturbance, Signal};
use super::wave;
use crate::{Action, BeatDetector, Monitor, MonitorConfig, Up};
use std::string::String;
use std::vec::Vec;
use std::{format, println};
use vitals::Metric;
use vitals::alarm::{AlarmEventKind, Condition};
use vitals::metric::{Absence, Sample};

const SAMPLING_HZ: [f64; 9] = [15.0, 16.0, 18.0, 20.0, 25.0, 30.0, 50.0, 100.0, 250.0];
/// From here on a pulse must be shown, second of signal.
const SHOWN_FROM_S: usize = 12;
/// A number further from the truth is another number, beats a minute. The made-up hearts sway by two
/// percent with the breath; over its eight seconds the mean of a rate that is right stays within this.
const TOLERANCE_BPM: f64 = 3.0;
/// In the first seconds only part of a breath has been seen.
const TOLERANCE_EARLY: f64 = 0.03;

/// What is shown after each second of signal.
pub(super) fn shown(samples: &[u16], rate_mhz: u32) -> Vec<Sample> {
    let mut detector = BeatDetector::new(rate_mhz).unwrap();
    let seconds = |count: usize| count as u64 * 1_000 / u64::from(rate_mhz);
    let mut shown = Vec::new();
    for (index, raw) in samples.iter().enumerate() {
        detector.push(*raw);
        if seconds(index + 1) != seconds(index) {
            shown.push(detector.heart_rate());
        }
    }
    shown
}

/// How far what is shown is from the truth, beats a minute; none where nothing is.
pub(super) fn off(sample: Sample, bpm: f64) -> Option<f64> {
    match sample {
        Sample::Measured(tenths) => Some((f64::from(tenths) / 10.0 - bpm).abs()),
        Sample::Absent(_) => None,
    }
}

/// The seconds of one cell: how many were to be right, were right, and were another number.
#[derive(Default, Clone, Copy)]
struct Cell {
    due: usize,
    right: usize,
    wrong: usize,
}

impl Cell {
    fn add(&mut self, shown: &[Sample], bpm: f64) {
        for (second, sample) in (1..).zip(shown) {
            let off = off(*sample, bpm);
            let late = second >= SHOWN_FROM_S;
            let bound = if late { TOLERANCE_BPM } else { TOLERANCE_BPM.max(bpm * TOLERANCE_EARLY) };
            self.wrong += usize::from(off.is_some_and(|off| off > bound));
            self.due += usize::from(late);
            self.right += usize::from(late && off.is_some_and(|off| off <= bound));
        }
    }

    fn percent(self) -> usize {
        self.right * 100 / self.due.max(1)
    }
}

/// Hearts that differ in all but their rate, so that nothing is tuned to one of them.
fn hearts(bpm: f64, hz: f64) -> Vec<Vec<u16>> {
    let heart = Signal::of(bpm, hz, 1);
    let made = [
        heart,
        Signal { seed: 2, noise: 0.0, sway: 0.0, ..heart },
        Signal { seed: 3, dicrotic: 0.2, wander: 1.0, noise: 0.02, upside_down: true, ..heart },
        Signal { seed: 4, dicrotic: 0.5, noise: 0.03, ..heart },
        Signal { seed: 5, dicrotic: 0.5, wander: 1.0, upside_down: true, ..heart },
        Signal { seed: 6, dicrotic: 0.1, wander: 0.5, noise: 0.02, sway: 0.01, ..heart },
    ];
    made.iter().map(|signal| signal.samples(Disturbance::Nothing)).collect()
}

#[test]
fn a_rate_is_right_or_absent_at_every_sampling_rate() {
    let mut failed = Vec::new();
    println!("share of the seconds from {SHOWN_FROM_S} on that are right, percent; ! is another number");
    let rates: Vec<f64> = (2..=24).map(|tens| f64::from(tens) * 10.0).collect();
    let head: String = rates.iter().map(|bpm| format!("{bpm:>5}")).collect();
    println!("   Hz {head}");
    for hz in SAMPLING_HZ {
        let mut row = format!("{hz:>5} ");
        for bpm in &rates {
            let mut cell = Cell::default();
            for samples in hearts(*bpm, hz) {
                cell.add(&shown(&samples, (hz * 1_000.0) as u32), *bpm);
            }
            row += &format!("{:>4}{}", cell.percent(), if cell.wrong > 0 { "!" } else { " " });
            if cell.wrong > 0 {
                failed.push(format!("{hz} Hz, {bpm}/min: {} seconds of another number", cell.wrong));
            }
            if hz >= 20.0 && (40.0..=180.0).contains(bpm) && cell.percent() < 95 {
                failed.push(format!("{hz} Hz, {bpm}/min: right in {} percent", cell.percent()));
            }
        }
        println!("{row}");
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Six intervals at 16 a minute take 23 seconds: from second 40 on the rate is shown.
#[test]
fn a_very_slow_heart_is_counted() {
    let mut failed = Vec::new();
    for hz in SAMPLING_HZ.into_iter().filter(|hz| *hz >= 20.0) {
        for bpm in [16.0, 18.0, 20.0] {
            let (mut due, mut right) = (0, 0);
            for seed in 0..6 {
                let heart = Signal { seconds: 90.0, ..Signal::of(bpm, hz, seed) };
                for sample in &shown(&heart.samples(Disturbance::Nothing), heart.rate_mhz())[40..] {
                    due += 1;
                    right += usize::from(off(*sample, bpm).is_some_and(|off| off <= 1.0));
                }
            }
            println!("{hz} Hz, {bpm}/min: right in {right} of {due} seconds");
            if right * 100 < due * 95 {
                failed.push(format!("{hz} Hz, {bpm}/min: {right} of {due}"));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// The sharper the pulse the sooner too few samples make it look like another: what can't be told is
/// not told.
#[test]
fn a_sharp_pulse_sampled_too_slowly_is_absent() {
    for hz in SAMPLING_HZ {
        for bpm in [40.0, 55.0, 72.0, 110.0, 150.0, 180.0, 200.0, 220.0] {
            let mut cell = Cell::default();
            cell.add(&shown(&wave(bpm, hz, 400.0, 40.0), (hz * 1_000.0) as u32), bpm);
            assert_eq!(cell.wrong, 0, "{hz} Hz, {bpm}/min");
            assert!(
                hz < 20.0 || bpm > 180.0 || cell.percent() >= 95,
                "{hz} Hz, {bpm}/min: {}",
                cell.percent()
            );
        }
    }
}

#[test]
fn an_irregular_heart_is_unsteady_and_has_no_rate() {
    let (mut seconds, mut unsteady, mut rates) = (0, 0, 0);
    for hz in [20.0, 25.0, 50.0, 100.0, 250.0] {
        for bpm in [60.0, 75.0, 90.0, 110.0, 130.0] {
            for (seed, irregular) in [(1, 0.3), (2, 0.3), (3, 0.4)] {
                let heart = Signal { irregular, seconds: 120.0, ..Signal::of(bpm, hz, seed) };
                let shown = shown(&heart.samples(Disturbance::Nothing), heart.rate_mhz());
                for sample in shown.iter().skip(20) {
                    seconds += 1;
                    unsteady += usize::from(*sample == Sample::Absent(Absence::Unsteady));
                    rates += usize::from(matches!(sample, Sample::Measured(_)));
                    assert_ne!(*sample, Sample::Absent(Absence::SensorOff));
                }
            }
        }
    }
    println!("{seconds} seconds of irregular hearts: {unsteady} unsteady, {rates} with a rate");
    assert!(unsteady * 100 >= seconds * 85);
    assert!(rates * 200 <= seconds, "half a percent at most");
}

#[test]
fn an_intensive_care_pulse_is_never_halved_by_wander_saturation_steps_and_slow_returns() {
    let (mut seconds, mut measured, mut far) = (0, 0, 0);
    for hz in [25.0, 50.0, 100.0, 250.0] {
        for bpm in [50.0, 72.0, 95.0, 126.0, 150.0] {
            for disturbance in Disturbance::ALL {
                for seed in 0..3 {
                    // The breath moves the baseline by twice the pulse's height.
                    let heart = Signal { wander: 1.0, seconds: 120.0, ..Signal::of(bpm, hz, seed) };
                    for sample in shown(&heart.samples(disturbance), heart.rate_mhz()) {
                        seconds += 1;
                        let Some(off) = off(sample, bpm) else { continue };
                        measured += 1;
                        far += usize::from(off > TOLERANCE_BPM);
                        let scene = format!("{bpm}/min at {hz} Hz, {disturbance:?}, seed {seed}");
                        let share = if disturbance == Disturbance::Swing { 0.35 } else { 0.15 };
                        assert!(off <= bpm * share, "{scene}: {off:.0} off");
                    }
                }
            }
        }
    }
    println!("{seconds} disturbed seconds: {measured} with a rate, {far} of them more than 3 off");
    assert!(measured * 100 >= seconds * 80);
    assert!(far * 200 <= measured, "half a percent at most");
}

#[test]
fn noise_is_neither_a_rate_nor_an_unsteady_pulse() {
    let mut chance = Chance(7);
    for hz in [20.0, 50.0, 100.0, 250.0] {
        let noise: Vec<u16> =
            (0..(600.0 * hz) as usize).map(|_| chance.between(400.0, 800.0) as u16).collect();
        for sample in shown(&noise, (hz * 1_000.0) as u32) {
            assert!(
                matches!(sample, Sample::Absent(Absence::Noisy | Absence::WarmingUp)),
                "{hz} Hz: {sample:?}"
            );
        }
    }
}

#[test]
fn a_rate_that_halves_or_doubles_is_shown_only_when_it_has_lasted() {
    for (before, after) in [(126.0, 63.0), (65.0, 130.0)] {
        let mut samples =
            Signal { seconds: 30.0, ..Signal::of(before, 100.0, 1) }.samples(Disturbance::Nothing);
        samples.extend(Signal::of(after, 100.0, 2).samples(Disturbance::Nothing));
        let shown = shown(&samples, 100_000);
        assert!(shown[12..30].iter().all(|sample| off(*sample, before).is_some_and(|off| off <= 3.0)));
        let turned =
            shown.iter().position(|sample| off(*sample, after).is_some_and(|off| off <= 5.0)).unwrap();
        assert!((36..=44).contains(&turned), "{before} to {after} shown in second {turned}");
        // Nothing in between is shown, and nothing old once it is over.
        for (second, sample) in shown.iter().enumerate().skip(33) {
            assert!(off(*sample, after).is_none_or(|off| off <= 5.0), "second {second}: {sample:?}");
        }
    }
}

/// What a monitor says of the pulse's upper limit while it gets this signal, ten frames a second.
fn upper_limit(samples: &[u16], rate_mhz: u32) -> Vec<AlarmEventKind> {
    let mut monitor = Monitor::new(MonitorConfig::default());
    let start_ms = 1_790_000_000_000;
    monitor.on_frame(Up::Hello { rate_mhz, board: 1 }, start_ms);
    let len = (rate_mhz / 10_000) as usize;
    let mut happened = Vec::new();
    for (index, frame) in samples.chunks(len).enumerate() {
        let now_ms = start_ms + (index as u64 + 1) * 100;
        let frame = Up::Ppg { counter: index as u32, board_ms: index as u32 * 100, samples: frame.to_vec() };
        monitor.on_frame(frame, now_ms);
        happened.extend(monitor.poll(now_ms).into_iter().filter_map(|action| match action {
            Action::Alarm(event) if event.condition == Condition::Above(Metric::HeartRate) => {
                Some(event.kind)
            }
            _ => None,
        }));
    }
    happened
}

#[test]
fn an_alarm_of_a_racing_heart_is_never_over_while_it_races_whatever_the_hand_does() {
    for disturbance in Disturbance::ALL {
        for (bpm, hz) in [(126.0, 250.0), (126.0, 100.0), (140.0, 50.0), (152.0, 250.0)] {
            for seed in 0..6 {
                let heart = Signal { wander: 1.0, seconds: 180.0, ..Signal::of(bpm, hz, seed) };
                let happened = upper_limit(&heart.samples(disturbance), heart.rate_mhz());
                let scene = format!("{bpm}/min at {hz} Hz, {disturbance:?}, seed {seed}: {happened:?}");
                assert_eq!(happened.first(), Some(&AlarmEventKind::Raised), "{scene}");
                let over = [AlarmEventKind::Recovered, AlarmEventKind::Closed];
                assert!(!happened.iter().any(|kind| over.contains(kind)), "{scene}");
            }
        }
    }
}

#[test]
fn a_racing_heart_that_cannot_be_read_any_more_keeps_its_alarm() {
    let racing = Signal { seconds: 40.0, ..Signal::of(140.0, 100.0, 1) };
    let mut samples = racing.samples(Disturbance::Nothing);
    let mut chance = Chance(3);
    samples.extend((0..12_000).map(|_| chance.between(19_000.0, 22_000.0) as u16));
    let happened = upper_limit(&samples, 100_000);
    assert!(!happened.contains(&AlarmEventKind::Recovered) && !happened.contains(&AlarmEventKind::Closed));
    assert!(
        happened.contains(&AlarmEventKind::Escalated),
        "two minutes unanswered, and not held back: {happened:?}"
    );
    samples.extend(Signal { seconds: 40.0, ..Signal::of(72.0, 100.0, 2) }.samples(Disturbance::Nothing));
    assert_eq!(upper_limit(&samples, 100_000).last(), Some(&AlarmEventKind::Recovered));
}
