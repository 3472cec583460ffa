//! Real pulse recordings, from the board's wire to the node's record.

use crate::record::{self, Opened};
use crate::support::{Folder, said, ward};
use crate::virtual_bed;
use std::path::{Path, PathBuf};
use vitals::body::Body;
use vitals::metric::{Metric, Sample};

fn recording(name: &str) -> String {
    let folder = std::env::var_os("ACESO_RECORDINGS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/recordings"),
        PathBuf::from,
    );
    let file = folder.join(name);
    assert!(file.is_file(), "{} is missing: run scripts/fetch-recordings.sh", file.display());
    file.display().to_string()
}

/// A median is taken of so many heart rates at least.
const RATES_MIN: usize = 8;

/// Measured heart rates of the first patient in the record, tenths of beats per minute.
fn rates(bodies: &[Opened]) -> Vec<i32> {
    bodies
        .iter()
        .filter(|opened| opened.patient == 0)
        .filter_map(|opened| match &opened.body {
            Body::Readings(readings) => Some(readings),
            _ => None,
        })
        .flatten()
        .filter(|reading| reading.metric == Metric::HeartRate)
        .filter_map(|reading| match reading.sample {
            Sample::Measured(value) => Some(value),
            Sample::Absent(_) => None,
        })
        .collect()
}

/// Their median, beats per minute.
fn median_bpm(bodies: &[Opened]) -> f64 {
    let mut tenths = rates(bodies);
    assert!(tenths.len() >= RATES_MIN, "only {} heart rates in the record", tenths.len());
    tenths.sort_unstable();
    f64::from(tenths[tenths.len() / 2]) / 10.0
}

fn recorded_bpm(name: &str, speed: &str, duration: &str) -> f64 {
    let folder = Folder::new();
    let file = recording(name);
    let options = ["--patients", "1", "--recording", &file, "--speed", speed, "--duration", duration];
    // On a busy machine the ward spends part of its time on starting: then it runs again, and its record grows.
    let mut opened = Vec::new();
    for _ in 0..4 {
        let output = ward(&folder, &options);
        assert!(output.status.success(), "{}", said(&output, &folder));
        opened = record::open(&folder);
        if rates(&opened).len() >= RATES_MIN {
            break;
        }
    }
    let bpm = median_bpm(&opened);
    println!("{name}: {bpm} bpm in the record");
    bpm
}

#[test]
fn a_clean_recording_shows_its_rate_in_the_record() {
    let bpm = recorded_bpm("data.csv", "1", "26s");
    assert!((bpm - 58.9).abs() <= 2.0, "{bpm} bpm in the record, 58.9 in truth");
}

#[test]
fn a_noisy_recording_at_eight_times_its_speed_shows_its_median_in_the_record() {
    let bpm = recorded_bpm("data2.csv", "8", "17s");
    assert!((bpm - 62.3).abs() <= 3.0, "{bpm} bpm in the record, 62.3 in truth");
}

#[test]
fn whole_recordings_in_virtual_time_show_their_median_in_the_record() {
    for (name, truth, within) in [("data.csv", 58.9, 2.0), ("data2.csv", 62.3, 3.0), ("data3.csv", 97.3, 3.0)]
    {
        let bpm = median_bpm(&virtual_bed::play(Path::new(&recording(name))));
        println!("{name}: {bpm} bpm in the record, {truth} in truth");
        assert!((bpm - truth).abs() <= within, "{name}: {bpm} bpm in the record, {truth} in truth");
    }
}
