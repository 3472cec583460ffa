//! Real recordings replayed through board, frames and monitor. They are not ours to ship:
//! `scripts/fetch-recordings.sh` gets them.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests that print what they measured")]

use crate::recording::{Hints, Recording};
use crate::{BoardConfig, VirtualBoard};
use device::frame::Message;
use device::{Action, Decoder, Monitor, MonitorConfig, Up};
use std::path::PathBuf;
use std::sync::Arc;
use vitals::Metric;
use vitals::metric::Sample;

fn recording(name: &str) -> Recording {
    let folder = std::env::var_os("ACESO_RECORDINGS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/recordings")),
        PathBuf::from,
    );
    let path = folder.join(name);
    assert!(path.exists(), "{name} is not there: run scripts/fetch-recordings.sh");
    Recording::from_csv(&path, &Hints::default()).unwrap()
}

/// Median heart rate, tenths, of the readings a bed gives while the recording plays once.
fn median_tenths(name: &str, recording: Recording) -> i32 {
    let length_ms = recording.length_ms();
    let config = BoardConfig { recording: Some(Arc::new(recording)), ..BoardConfig::default() };
    let (mut board, mut monitor) = (VirtualBoard::with(config), Monitor::new(MonitorConfig::default()));
    let mut line = Decoder::<Up>::new();
    let mut rates = Vec::new();
    for board_ms in (0..length_ms).step_by(100) {
        let now_ms = 1_790_000_000_000 + board_ms;
        for frame in board.frames_until(board_ms) {
            for read in line.feed_all(&frame.encode()) {
                monitor.on_frame(read, now_ms);
            }
        }
        for action in monitor.poll(now_ms) {
            let Action::Readings(readings) = action else { continue };
            rates.extend(readings.iter().filter_map(|reading| match reading.sample {
                Sample::Measured(raw) if reading.metric == Metric::HeartRate => Some(raw),
                _ => None,
            }));
        }
    }
    assert_eq!((line.bad_frames(), monitor.frames_lost()), (0, 0));
    rates.sort_unstable();
    let median = rates[rates.len() / 2];
    println!("{name}: median {}.{} bpm over {} readings", median / 10, median % 10, rates.len());
    median
}

#[test]
fn the_rate_of_each_recording_is_found_in_the_file() {
    for (name, rate_mhz) in [
        ("data.csv", 100_000),
        ("data2.csv", 117_000),
        ("data3.csv", 100_400),
        ("201902020222_Data.csv", 19_580),
    ] {
        let found = recording(name).rate_mhz();
        assert!(found.abs_diff(rate_mhz) <= 50, "{name}: {found} instead of {rate_mhz}");
    }
}

#[test]
fn the_readings_of_a_bed_show_the_recorded_heart_rate() {
    for (name, truth, within) in [
        ("data.csv", 589, 20),
        ("data2.csv", 623, 30),
        ("data3.csv", 973, 30),
        ("201902020222_Data.csv", 800, 40),
    ] {
        let median = median_tenths(name, recording(name));
        assert!((median - truth).abs() <= within, "{name}: {median} tenths instead of {truth}");
    }
}

#[test]
fn the_wearable_brings_its_own_heart_rate() {
    let recording = recording("201902020222_Data.csv");
    assert!(
        (0..recording.samples().len()).filter_map(|index| recording.own_rate_bpm(index)).count() > 14_000
    );
}
