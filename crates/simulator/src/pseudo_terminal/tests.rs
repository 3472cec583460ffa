#![allow(clippy::disallowed_methods, reason = "a real line is read in real time")]

use super::*;
use device::Up;
use std::io::{Read, Write};
use std::time::Instant;

fn clock() -> Clock {
    let start = Instant::now();
    Arc::new(move || u64::try_from(start.elapsed().as_millis()).unwrap())
}

/// A gateway's end of the line.
fn gateway(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

/// Reads frames until one fits.
fn wait_for(line: &mut File, decoder: &mut Decoder<Up>, fits: impl Fn(&Up) -> bool) -> Vec<Up> {
    let mut frames = Vec::new();
    let mut bytes = [0; 256];
    while !frames.iter().any(&fits) {
        let count = line.read(&mut bytes).unwrap();
        frames.extend(decoder.feed_all(&bytes[..count]));
    }
    frames
}

#[test]
fn a_gateway_reads_frames_and_its_answers_are_seen() {
    let board = RunningBoard::start(VirtualBoard::new(Scenario::Healthy, 1), 20, clock()).unwrap();
    let mut line = gateway(board.path());
    let mut decoder = Decoder::new();
    let frames = wait_for(&mut line, &mut decoder, |frame| matches!(frame, Up::Ppg { counter: 30.., .. }));
    assert!(frames.iter().any(|frame| matches!(frame, Up::Hello { rate_mhz: 100_000, .. })));
    assert_eq!(decoder.bad_frames(), 0);

    let lcd = Down::Lcd { lines: [*b"***PULSE HIGH   ", *b"now 142 bpm     "] };
    for answer in [lcd, Down::Buzzer(Some(Priority::High)), Down::Buzzer(None), Down::TimeSync { now_ms: 9 }]
    {
        line.write_all(&answer.encode()).unwrap();
    }
    // The board listens before each frame it writes: so many frames later it has heard everything.
    wait_for(&mut line, &mut decoder, |frame| matches!(frame, Up::Ppg { counter: 200.., .. }));
    let seen = board.stop();
    assert_eq!(seen.lcd.unwrap()[0], "***PULSE HIGH   ");
    assert_eq!((seen.buzzer, seen.buzzer_worst), (None, Some(Priority::High)));
    assert_eq!((seen.time_sent_ms, seen.frames_in, seen.frames_bad), (Some(9), 4, 0));
}

#[test]
fn orders_reach_a_running_board() {
    let rack = RunningBoards::start(vec![VirtualBoard::new(Scenario::Healthy, 1)], 20, &clock()).unwrap();
    let mut line = gateway(&rack.paths()[0]);
    let mut decoder = Decoder::new();
    assert!(rack.set_scenario(0, Scenario::SensorOff));
    assert!(!rack.set_scenario(1, Scenario::SensorOff));
    rack.board(0).unwrap().press_button();
    let off = |frame: &Up| matches!(frame, Up::Slow(slow) if slow.body_temperature.is_none());
    let frames = wait_for(&mut line, &mut decoder, off);
    assert!(frames.iter().any(|frame| matches!(frame, Up::Button { .. })));
    assert_eq!(rack.stop().len(), 1);
}

#[test]
fn a_line_nobody_reads_loses_frames_and_a_gateway_may_come_later() {
    let board = RunningBoard::start(VirtualBoard::new(Scenario::Healthy, 1), 500, clock()).unwrap();
    while board.state().frames_dropped == 0 {
        std::thread::yield_now();
    }
    let mut line = gateway(board.path());
    let mut decoder = Decoder::new();
    let late = wait_for(&mut line, &mut decoder, |frame| matches!(frame, Up::Ppg { counter: 1_000.., .. }));
    assert!(!late.is_empty());
    drop(line);
    let mut again = gateway(board.path());
    wait_for(&mut again, &mut Decoder::new(), |frame| matches!(frame, Up::Slow(_)));
}
