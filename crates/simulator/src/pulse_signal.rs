//! The pulse of a made-up patient: rate with its daily rhythm, wander and breathing, and the light
//! signal with dicrotic notch, noise and motion.

use crate::scenario::Scenario;
use libm::{cos, exp, sin};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use std::f64::consts::TAU;

/// Light samples per 1000 seconds.
pub const RATE_MHZ: u32 = 100_000;
/// The converter's range.
const ADC_MAX: f64 = 1023.0;
/// Highest pulse at night is so much lower than by day, beats per minute.
const DAILY_BPM: f64 = 6.0;
const DAY_MS: f64 = 86_400_000.0;
/// The pulse is lowest at four in the morning.
const LOWEST_MS: f64 = 4.0 * 3_600_000.0;

/// How far an irregular heart's intervals differ, a part of them.
const IRREGULAR: f64 = 0.33;
/// Seconds between two artefacts, on average.
const ARTEFACT_EVERY_S: f64 = 12.0;

/// What an artefact does to the signal.
#[derive(Debug)]
enum Artefact {
    /// Stuck at one end of the range for so many samples.
    Saturated(u32, f64),
    /// Moved by so much, which goes back by this part each sample; a step goes back in minutes.
    Moved(f64, f64),
}

/// A patient's heart and the light sensor on the finger.
#[derive(Debug)]
pub struct PulseSignal {
    chance: ChaCha8Rng,
    /// Resting rate, beats per minute.
    resting: f64,
    breaths_hz: f64,
    breath_phase: f64,
    /// Slow wander around the resting rate, beats per minute.
    wander: f64,
    /// The rate now, beats per minute.
    rate: f64,
    phase: f64,
    /// Height of the pulse in converter counts.
    height: f64,
    /// Samples of motion still to come, and its strength.
    motion: Option<(u32, f64, f64)>,
    artefact: Option<Artefact>,
    /// The current beat takes so many times as long as the rate implies.
    odd: f64,
    upside_down: bool,
    started: bool,
}

impl PulseSignal {
    /// The heart of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut chance = ChaCha8Rng::seed_from_u64(seed ^ 0x6865_6172_7400);
        let resting = chance.random_range(60.0..80.0);
        Self {
            resting,
            breaths_hz: chance.random_range(0.2..0.3),
            breath_phase: chance.random_range(0.0..1.0),
            wander: 0.0,
            rate: resting,
            phase: 0.0,
            height: chance.random_range(140.0..260.0),
            motion: None,
            artefact: None,
            odd: 1.0,
            // Half of the boards have a reflective sensor.
            upside_down: chance.random_bool(0.5),
            started: false,
            chance,
        }
    }

    /// The rate now, beats per minute.
    #[must_use]
    pub fn rate_bpm(&self) -> f64 {
        self.rate
    }

    /// The next light sample. `day_ms` is the time of day, `fever` degrees above normal.
    pub fn sample(&mut self, scenario: Scenario, day_ms: u64, fever: f64) -> u16 {
        let hz = f64::from(RATE_MHZ) / 1_000.0;
        if scenario == Scenario::SensorOff {
            self.motion = None;
            return if self.chance.random_bool(0.1) { 1022 } else { 1023 };
        }
        self.step(scenario, day_ms, fever, hz);
        let breath = sin(TAU * self.breath_phase);
        let beat = bump(self.phase, 0.18, 0.065) + 0.32 * bump(self.phase, 0.50, 0.08);
        let noise = self.chance.random_range(-2.0..2.0);
        let wander = if scenario == Scenario::Artefacts { self.height } else { 12.0 };
        let signal = 420.0
            + self.height * (1.0 + 0.08 * breath) * beat
            + wander * breath
            + noise
            + self.motion(scenario, hz);
        let signal = self.artefact(scenario, hz, signal);
        let signal = if self.upside_down { ADC_MAX - signal } else { signal };
        counts(signal)
    }

    fn step(&mut self, scenario: Scenario, day_ms: u64, fever: f64, hz: f64) {
        // A day as a wave: an approximation every cardiologist knows as the cosinor.
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a day are exact in f64")]
        let daily = -DAILY_BPM * cos(TAU * (day_ms as f64 - LOWEST_MS) / DAY_MS);
        // Wander comes back within about two minutes and strays by about two beats.
        self.wander += -self.wander / (120.0 * hz) + self.chance.random_range(-0.045..0.045);
        let (wanted, within_s) = match scenario {
            Scenario::Tachycardia => (142.0, 1.5),
            Scenario::Bradycardia => (37.0, 1.5),
            // Eight beats more per degree.
            _ => (self.resting + daily + 8.0 * fever, 8.0),
        };
        let wanted = wanted + self.wander;
        // A board that starts in a scenario starts in the middle of it.
        self.rate = if self.started { self.rate + (wanted - self.rate) / (within_s * hz) } else { wanted };
        self.started = true;
        // Breathing in speeds the heart up; a racing one hardly.
        self.breath_phase = (self.breath_phase + self.breaths_hz / hz) % 1.0;
        let sway = 0.03 * (self.resting / self.rate).min(1.2) * sin(TAU * self.breath_phase);
        self.phase += self.rate * (1.0 + sway) / 60.0 / hz / self.odd;
        if self.phase >= 1.0 {
            self.phase -= 1.0;
            self.odd = match scenario {
                Scenario::Irregular => self.chance.random_range(1.0 - IRREGULAR..1.0 + IRREGULAR),
                _ => 1.0,
            };
        }
    }

    /// The signal after what a sensor in intensive care goes through.
    fn artefact(&mut self, scenario: Scenario, hz: f64, signal: f64) -> f64 {
        if scenario != Scenario::Artefacts {
            self.artefact = None;
            return signal;
        }
        if self.artefact.is_none() && self.chance.random_bool(1.0 / (ARTEFACT_EVERY_S * hz)) {
            let end = if self.chance.random_bool(0.5) { ADC_MAX } else { 0.0 };
            let by = self.chance.random_range(-4.0..4.0) * self.height;
            self.artefact = Some(match self.chance.random_range(0..3) {
                0 => Artefact::Saturated(self.chance.random_range(100..200), end),
                1 => Artefact::Moved(by / 4.0, 1.0 / (60.0 * hz)),
                _ => Artefact::Moved(by, 1.0 / (self.chance.random_range(0.5..3.0) * hz)),
            });
        }
        match &mut self.artefact {
            None => signal,
            Some(Artefact::Saturated(left, end)) => {
                let end = *end;
                *left -= 1;
                if *left == 0 {
                    self.artefact = None;
                }
                end
            }
            Some(Artefact::Moved(by, part)) => {
                let moved = *by;
                *by -= moved * *part;
                if by.abs() < 1.0 {
                    self.artefact = None;
                }
                signal + moved
            }
        }
    }

    /// What moving the finger adds: a swing that fades in and out.
    fn motion(&mut self, scenario: Scenario, hz: f64) -> f64 {
        let mean_s = if scenario == Scenario::Restless { 6.0 } else { 240.0 };
        if self.motion.is_none() && self.chance.random_bool(1.0 / (mean_s * hz)) {
            let samples = self.chance.random_range(100..300);
            let strength = self.chance.random_range(0.8..2.5) * self.height;
            self.motion = Some((samples, strength, self.chance.random_range(0.6..3.0)));
        }
        let Some((left, strength, swing_hz)) = &mut self.motion else { return 0.0 };
        let at = f64::from(*left) / hz;
        let added = *strength * sin(TAU * *swing_hz * at) * sin(at.min(1.0) * TAU / 4.0);
        *left -= 1;
        if *left == 0 {
            self.motion = None;
        }
        added
    }
}

/// A bell around `at` in a beat that begins again after 1.
fn bump(phase: f64, at: f64, width: f64) -> f64 {
    let distance = phase - at;
    exp(-distance * distance / (2.0 * width * width))
}

/// A converter count.
fn counts(signal: f64) -> u16 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the converter's range"
    )]
    let counts = signal.clamp(0.0, ADC_MAX) as u16;
    counts
}
