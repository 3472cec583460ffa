//! Beat detection on real recordings. They are not ours to ship: `scripts/fetch-recordings.sh` gets
//! them.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "a test of one file after another, which prints what it measured"
)]

use crate::BeatDetector;
use std::path::PathBuf;
use std::println;
use std::string::String;
use std::vec::Vec;
use vitals::metric::Sample;

fn recording(name: &str) -> String {
    let folder = std::env::var_os("ACESO_RECORDINGS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/recordings")),
        PathBuf::from,
    );
    std::fs::read_to_string(folder.join(name))
        .unwrap_or_else(|why| panic!("{name} is not there ({why}): run scripts/fetch-recordings.sh"))
}

fn column(name: &str, column: usize, separator: char) -> Vec<f64> {
    recording(name)
        .lines()
        .filter_map(|line| line.split(separator).nth(column)?.trim().parse().ok())
        .collect()
}

/// Heart rate, beats per minute, after each second of signal; none where there is none.
fn heart_rates(samples: &[u16], rate_mhz: u32) -> Vec<(usize, Option<f64>)> {
    let mut detector = BeatDetector::new(rate_mhz).unwrap();
    let mut rates = Vec::new();
    for (index, raw) in samples.iter().enumerate() {
        detector.push(*raw);
        let seconds = |count: usize| count as u64 * 1_000 / u64::from(rate_mhz);
        if seconds(index + 1) != seconds(index) {
            rates.push((
                index,
                match detector.heart_rate() {
                    Sample::Measured(tenths) => Some(f64::from(tenths) / 10.0),
                    Sample::Absent(_) => None,
                },
            ));
        }
    }
    rates
}

fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(sorted.len() - 1) * percent / 100]
}

/// Median and mean over the seconds that have a heart rate, and the share of those, percent.
fn judged(name: &str, samples: &[u16], rate_mhz: u32) -> (f64, f64, usize) {
    let rates = heart_rates(samples, rate_mhz);
    let measured: Vec<f64> = rates.iter().filter_map(|(_, rate)| *rate).collect();
    let (median, mean) = (percentile(&measured, 50), measured.iter().sum::<f64>() / measured.len() as f64);
    let share = measured.len() * 100 / rates.len();
    println!("{name}: median {median:.1} bpm, mean {mean:.1} bpm, {share} % of {} s measured", rates.len());
    (median, mean, share)
}

fn adc(values: &[f64]) -> Vec<u16> {
    values.iter().map(|value| *value as u16).collect()
}

#[test]
fn the_clean_recording_shows_its_heart_rate() {
    let samples = adc(&column("data.csv", 0, ','));
    let (median, mean, share) = judged("data.csv", &samples, 100_000);
    assert!((median - 58.9).abs() <= 2.0 && (mean - 58.9).abs() <= 2.0);
    assert!(share >= 60);
    let upside_down: Vec<u16> = samples.iter().map(|raw| u16::MAX - raw).collect();
    let (median, ..) = judged("data.csv upside down", &upside_down, 100_000);
    assert!((median - 58.9).abs() <= 2.0);
}

#[test]
fn the_noisy_recording_shows_its_heart_rate() {
    let (median, ..) = judged("data2.csv", &adc(&column("data2.csv", 1, ',')), 117_000);
    assert!((median - 62.3).abs() <= 3.0);
}

#[test]
fn the_long_recording_shows_its_heart_rate() {
    let (median, mean, share) = judged("data3.csv", &adc(&column("data3.csv", 1, ',')), 100_400);
    assert!((median - 97.3).abs() <= 3.0 && (mean - 97.3).abs() <= 3.0);
    assert!(share >= 85);
}

/// The wearable's light sensor counts in millions at about 19.6 Hz; a 16-bit board would see it
/// scaled. Its own heart rate is an average over some seconds and lags, so a tenth of the values may
/// differ by several beats.
#[test]
fn the_wearable_recording_agrees_with_its_own_heart_rate() {
    let name = "201902020222_Data.csv";
    let (light, own) = (column(name, 1, '\t'), column(name, 2, '\t'));
    let low = light.iter().copied().fold(f64::MAX, f64::min);
    let high = light.iter().copied().fold(f64::MIN, f64::max);
    let samples: Vec<u16> =
        light.iter().map(|value| ((value - low) / (high - low) * f64::from(u16::MAX)) as u16).collect();
    let rates = heart_rates(&samples, 19_583);
    let differences: Vec<f64> = rates
        .iter()
        .filter_map(|(index, rate)| Some((*rate)? - own.get(*index).copied().filter(|own| *own > 0.0)?))
        .map(f64::abs)
        .collect();
    let (median, p90) = (percentile(&differences, 50), percentile(&differences, 90));
    println!(
        "{name}: difference from hrm over {} of {} s: median {median:.1} bpm, 90th percentile {p90:.1} bpm",
        differences.len(),
        rates.len()
    );
    // Measured 1.6 and 5.0; the bound leaves room for tuning, not for twice or half the rate.
    assert!(median <= 3.0 && p90 <= 8.0);
    assert!(differences.len() * 100 >= rates.len() * 80);
}
