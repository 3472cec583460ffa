//! What one patient costs a gateway per second: frames, beats, alarms, and sealing. Prints
//! microseconds of processor time per patient and second of signal, single-threaded.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement: it reads the clock and prints"
)]

use device::frame::Message;
use device::{Action, Decoder, Monitor, MonitorConfig, Up};
use simulator::{Load, Scenario, VirtualBoard};
use std::hint::black_box;
use std::time::Instant;
use vitals::Genesis;

const SECONDS: u32 = 600;
const START_MS: u64 = 1_790_000_000_000;

fn main() {
    let mut board = VirtualBoard::new(Scenario::Healthy, 1);
    let started = Instant::now();
    let seconds: Vec<Vec<u8>> = (1..=SECONDS)
        .map(|second| {
            board.frames_until(u64::from(second) * 1_000).iter().flat_map(Message::encode).collect()
        })
        .collect();
    let bytes: usize = seconds.iter().map(Vec::len).sum();
    println!(
        "simulated board: {:.1} µs/s, {} bytes/s",
        started.elapsed().as_secs_f64() * 1e6 / f64::from(SECONDS),
        bytes / SECONDS as usize
    );

    let (mut decoder, mut monitor) = (Decoder::<Up>::new(), Monitor::new(MonitorConfig::default()));
    let mut readings = 0;
    let started = Instant::now();
    for (second, bytes) in (1u64..).zip(&seconds) {
        let now_ms = START_MS + second * 1_000;
        for frame in decoder.feed_all(bytes) {
            monitor.on_frame(frame, now_ms);
        }
        for action in monitor.poll(now_ms) {
            if let Action::Readings(made) = action {
                readings += made.len();
            }
        }
    }
    println!(
        "decoder and monitor: {:.1} µs/s, {readings} readings",
        started.elapsed().as_secs_f64() * 1e6 / f64::from(SECONDS)
    );

    let mut load = Load::new(Genesis([1; 32]), 3, 1, START_MS);
    let count = 5_000;
    let started = Instant::now();
    let bytes: usize = black_box(load.envelopes(count)).iter().map(|loaded| loaded.sealed.bytes.len()).sum();
    println!(
        "sealing: {:.1} µs per envelope of {} bytes",
        started.elapsed().as_secs_f64() * 1e6 / count as f64,
        bytes / count
    );
}
