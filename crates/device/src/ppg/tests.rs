#![allow(clippy::cast_possible_truncation, reason = "made-up waves, all in range")]

mod falls;
mod recordings;
mod signals;
mod sweep;

use super::*;
use proptest::prelude::*;
use std::vec::Vec;

/// A pulse wave of `bpm` with a dicrotic wave, `height` counts high, breathing a little, at `hz`.
fn wave(bpm: f64, hz: f64, height: f64, seconds: f64) -> Vec<u16> {
    let bump =
        |phase: f64, at: f64, width: f64| libm::exp(-(phase - at) * (phase - at) / (2.0 * width * width));
    let mut phase = 0.0;
    let count = (seconds * hz) as usize;
    (0..count)
        .map(|index| {
            let breath = libm::sin(index as f64 / hz * core::f64::consts::TAU * 0.25);
            phase = (phase + bpm * (1.0 + 0.03 * breath) / 60.0 / hz) % 1.0;
            let pulse = bump(phase, 0.2, 0.07) + 0.35 * bump(phase, 0.55, 0.09);
            (300.0 + height * (pulse + 0.1 * breath)) as u16
        })
        .collect()
}

fn rate_after(samples: &[u16], hz: f64) -> Sample {
    let mut detector = BeatDetector::new((hz * 1_000.0) as u32).unwrap();
    samples.iter().for_each(|raw| {
        detector.push(*raw);
    });
    detector.heart_rate()
}

fn assert_near(sample: Sample, bpm: f64, scene: &str) {
    let Sample::Measured(tenths) = sample else { panic!("{scene}: {sample:?} instead of {bpm}") };
    let off = f64::from(tenths) / 10.0 - bpm;
    // The waves breathe by 3 %, so the last eight beats may be that much off the mean.
    assert!(off.abs() <= 2.0 + bpm * 0.03, "{scene}: {tenths} tenths instead of {bpm} bpm");
}

#[test]
fn slow_and_fast_hearts_are_counted_at_every_rate_and_either_way_up() {
    for hz in [20.0, 25.0, 50.0, 100.0, 117.0, 250.0] {
        for bpm in [40.0, 55.0, 72.0, 110.0, 150.0, 180.0] {
            for height in [40.0, 400.0, 30_000.0] {
                let samples = wave(bpm, hz, height, 20.0);
                let scene = std::format!("{bpm} bpm, {hz} Hz, {height} counts");
                assert_near(rate_after(&samples, hz), bpm, &scene);
                let upside_down: Vec<u16> = samples.iter().map(|raw| u16::MAX - raw).collect();
                assert_near(rate_after(&upside_down, hz), bpm, &scene);
            }
        }
    }
}

#[test]
fn a_heart_that_races_is_followed_within_ten_seconds() {
    let mut samples = wave(70.0, 100.0, 400.0, 20.0);
    samples.extend(wave(140.0, 100.0, 400.0, 10.0));
    assert_near(rate_after(&samples, 100.0), 140.0, "70 to 140");
    samples.extend(wave(70.0, 100.0, 400.0, 15.0));
    assert_near(rate_after(&samples, 100.0), 70.0, "back to 70");
}

#[test]
fn a_flat_or_saturated_signal_is_a_sensor_that_is_off() {
    let worn = wave(70.0, 100.0, 400.0, 20.0);
    for off in [0, 512, 1023, u16::MAX] {
        let mut samples = worn.clone();
        samples.extend((0..400).map(|index| off - u16::from(off > 0 && index % 7 == 0)));
        assert_eq!(rate_after(&samples, 100.0), Sample::Absent(Absence::SensorOff), "stuck at {off}");
    }
}

#[test]
fn a_sensor_put_back_warms_up_and_then_counts() {
    let mut samples = wave(70.0, 100.0, 400.0, 20.0);
    samples.extend([512; 600]);
    samples.extend(wave(90.0, 100.0, 400.0, 3.0));
    assert_eq!(rate_after(&samples, 100.0), Sample::Absent(Absence::WarmingUp));
    samples.extend(wave(90.0, 100.0, 400.0, 12.0));
    assert_near(rate_after(&samples, 100.0), 90.0, "put back");
}

#[test]
fn noise_is_no_pulse() {
    let mut state = 1u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 22
    };
    let mut detector = BeatDetector::new(100_000).unwrap();
    let mut believed = 0;
    for second in 0..120 {
        for _ in 0..100 {
            detector.push(u16::try_from(random()).unwrap());
        }
        believed += u32::from(second > 10 && matches!(detector.heart_rate(), Sample::Measured(_)));
    }
    assert!(believed <= 12, "noise gave a heart rate in {believed} of 110 seconds");
}

#[test]
fn a_rate_no_pulse_can_be_seen_at_is_refused() {
    assert!(BeatDetector::new(RATE_MIN_MHZ - 1).is_none());
    assert!(BeatDetector::new(RATE_MAX_MHZ + 1).is_none());
    assert!(BeatDetector::new(0).is_none());
}

proptest! {
    #[test]
    fn any_samples_at_any_rate_are_taken(
        rate_mhz in RATE_MIN_MHZ..=RATE_MAX_MHZ,
        samples in prop::collection::vec(prop_oneof![any::<u16>(), Just(0), Just(u16::MAX)], 0..3000),
    ) {
        let mut detector = BeatDetector::new(rate_mhz).unwrap();
        for raw in samples {
            if let Some(Beat { interval_ms: Some(interval_ms), .. }) = detector.push(raw) {
                prop_assert!(interval_ms > 200);
            }
        }
        if let Sample::Measured(tenths) = detector.heart_rate() {
            prop_assert!((140..=3000).contains(&tenths));
        }
        prop_assert!(detector.window.len() <= 400);
    }
}
