//! A virtual board: what a real one would send, as a function of its seed and time.

use crate::pulse_signal::{PulseSignal, RATE_MHZ};
use crate::recording::Recording;
use crate::scenario::{Scenario, Script};
use crate::slow_sensors::SlowSensors;
use device::Up;
use std::sync::Arc;

/// Samples in a light frame; ten frames a second at 100 Hz.
const SAMPLES: u64 = 10;
/// A board names its rate again after so long.
const HELLO_MS: u64 = 5_000;

/// How a virtual board is set.
#[derive(Debug, Clone, Default)]
pub struct BoardConfig {
    /// Number of the board, for people.
    pub number: u32,
    /// Chance of patient and room.
    pub seed: u64,
    /// What happens while the script sets nothing.
    pub scenario: Scenario,
    /// Timed events.
    pub script: Script,
    /// Time of day when the board starts, milliseconds after midnight.
    pub time_of_day_ms: u64,
    /// A recorded pulse in place of the made-up one. It starts again at its end.
    pub recording: Option<Arc<Recording>>,
}

/// What makes the light signal.
#[derive(Debug)]
enum Pulse {
    Made(Box<PulseSignal>),
    Recorded(Arc<Recording>),
}

/// A board, its patient and its room.
#[derive(Debug)]
pub struct VirtualBoard {
    config: BoardConfig,
    rate_mhz: u32,
    pulse: Pulse,
    room: SlowSensors,
    counter: u32,
    /// Light frames made.
    frames: u64,
    /// Seconds of slow values made.
    seconds: u64,
    pressed: bool,
}

impl VirtualBoard {
    /// A healthy or less healthy patient from a seed.
    #[must_use]
    pub fn new(scenario: Scenario, seed: u64) -> Self {
        Self::with(BoardConfig { scenario, seed, ..BoardConfig::default() })
    }

    /// A board set in every detail.
    #[must_use]
    pub fn with(config: BoardConfig) -> Self {
        let (pulse, rate_mhz) = match &config.recording {
            Some(recording) => (Pulse::Recorded(Arc::clone(recording)), recording.rate_mhz()),
            None => (Pulse::Made(Box::new(PulseSignal::new(config.seed))), RATE_MHZ),
        };
        Self {
            rate_mhz,
            pulse,
            room: SlowSensors::new(config.seed),
            counter: 0,
            frames: 0,
            seconds: 0,
            pressed: false,
            config,
        }
    }

    /// Number of the board.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.config.number
    }

    /// Light samples per 1000 seconds.
    #[must_use]
    pub fn rate_mhz(&self) -> u32 {
        self.rate_mhz
    }

    /// What happens from now on while the script sets nothing.
    pub fn set_scenario(&mut self, scenario: Scenario) {
        self.config.scenario = scenario;
    }

    /// Somebody presses the button at the bedside.
    pub fn press_button(&mut self) {
        self.pressed = true;
    }

    /// When the next frame is due, milliseconds since the board started.
    #[must_use]
    pub fn next_due_ms(&self) -> u64 {
        self.light_due_ms().min(self.seconds * 1_000)
    }

    /// A frame is due when its last sample is taken.
    fn light_due_ms(&self) -> u64 {
        (self.frames + 1) * SAMPLES * 1_000_000 / u64::from(self.rate_mhz)
    }

    /// All frames due until `board_ms`, inclusive, in order.
    pub fn frames_until(&mut self, board_ms: u64) -> Vec<Up> {
        let mut frames = Vec::new();
        if std::mem::take(&mut self.pressed) {
            frames.push(Up::Button { counter: self.count(), board_ms: clock(board_ms) });
        }
        loop {
            let (light_ms, slow_ms) = (self.light_due_ms(), self.seconds * 1_000);
            if light_ms.min(slow_ms) > board_ms {
                return frames;
            }
            if slow_ms <= light_ms {
                self.slow_frame(slow_ms, &mut frames);
            } else {
                self.light_frame(light_ms, &mut frames);
            }
        }
    }

    fn scenario_at(&self, board_ms: u64) -> Scenario {
        self.config.script.at(board_ms).unwrap_or(self.config.scenario)
    }

    fn day_ms(&self, board_ms: u64) -> u64 {
        (self.config.time_of_day_ms + board_ms) % 86_400_000
    }

    fn slow_frame(&mut self, board_ms: u64, frames: &mut Vec<Up>) {
        self.seconds += 1;
        let (scenario, day_ms) = (self.scenario_at(board_ms), self.day_ms(board_ms));
        let slow = self.room.second(scenario, day_ms, self.counter, clock(board_ms));
        if scenario != Scenario::Unplugged {
            self.count();
            frames.push(Up::Slow(slow));
        }
    }

    fn light_frame(&mut self, board_ms: u64, frames: &mut Vec<Up>) {
        let (scenario, day_ms) = (self.scenario_at(board_ms), self.day_ms(board_ms));
        let first = self.frames * SAMPLES;
        let fever = self.room.fever();
        let samples = (first..first + SAMPLES)
            .map(|index| match &mut self.pulse {
                Pulse::Made(heart) => heart.sample(scenario, day_ms, fever),
                Pulse::Recorded(recording) if scenario != Scenario::SensorOff => recording.sample(index),
                Pulse::Recorded(_) => u16::MAX,
            })
            .collect();
        let every = (HELLO_MS * u64::from(self.rate_mhz) / 1_000_000 / SAMPLES).max(1);
        let hello = self.frames.is_multiple_of(every);
        self.frames += 1;
        if scenario == Scenario::Unplugged {
            return;
        }
        if hello {
            frames.push(Up::Hello { rate_mhz: self.rate_mhz, board: self.config.number });
        }
        let started_ms = first * 1_000_000 / u64::from(self.rate_mhz);
        frames.push(Up::Ppg { counter: self.count(), board_ms: clock(started_ms), samples });
    }

    fn count(&mut self) -> u32 {
        let counter = self.counter;
        self.counter = counter.wrapping_add(1);
        counter
    }
}

/// The board's 32-bit clock, which wraps after 49 days as an Arduino's does.
fn clock(board_ms: u64) -> u32 {
    u32::try_from(board_ms & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
