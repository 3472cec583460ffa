//! The slow sensors, body temperature and room air: values that drift and follow the scenario.

use crate::scenario::Scenario;
use device::frame::Slow;
use libm::{cos, round};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use std::f64::consts::TAU;

const DAY_MS: f64 = 86_400_000.0;
/// Body and room are warmest in the late afternoon.
const WARMEST_MS: f64 = 17.0 * 3_600_000.0;
/// A change of scenario is through after a few of these. Real fevers and fires take longer;
/// a demonstration has no half an hour.
const HURRIED_S: f64 = 5.0;

/// A value that follows its target and trembles.
#[derive(Debug, Clone, Copy)]
struct Slowly {
    value: f64,
    tremble: f64,
}

/// One patient's temperature and one room's air.
#[derive(Debug)]
pub struct SlowSensors {
    chance: ChaCha8Rng,
    /// Body temperature when all is well, degrees Celsius.
    body: f64,
    ambient: f64,
    humidity: f64,
    dust: f64,
    co2: f64,
    tvoc: f64,
    now: Option<[Slowly; Slow::VALUES]>,
}

impl SlowSensors {
    /// The room of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut chance = ChaCha8Rng::seed_from_u64(seed ^ 0x726f_6f6d_0000);
        Self {
            body: chance.random_range(36.5..37.1),
            ambient: chance.random_range(20.5..23.5),
            humidity: chance.random_range(38.0..54.0),
            dust: chance.random_range(4.0..8.5),
            co2: chance.random_range(560.0..850.0),
            tvoc: chance.random_range(70.0..190.0),
            now: None,
            chance,
        }
    }

    /// Degrees above the patient's normal temperature.
    #[must_use]
    pub fn fever(&self) -> f64 {
        self.now.map_or(0.0, |now| (now[0].value - self.body - 0.3).max(0.0))
    }

    /// One second passes; what the slow sensors say then.
    pub fn second(&mut self, scenario: Scenario, day_ms: u64, counter: u32, board_ms: u32) -> Slow {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a day are exact in f64")]
        let daily = cos(TAU * (day_ms as f64 - WARMEST_MS) / DAY_MS);
        let smoke = if scenario == Scenario::SmokyRoom { 1.0 } else { 0.0 };
        let stuffy = if scenario == Scenario::StuffyRoom { 1.0 } else { 0.0 };
        let fever = if scenario == Scenario::Fever { 39.4 - self.body - 0.25 * daily } else { 0.0 };
        let dust = self.dust + 175.0 * smoke;
        // Target, tremble per second, and raw units per unit, in the order of `Slow::values`.
        let targets = [
            (self.body + 0.25 * daily + fever, 0.008, 100.0),
            (self.ambient + 0.8 * daily + 1.5 * stuffy, 0.02, 10.0),
            (self.humidity - 2.0 * daily + 9.0 * stuffy, 0.15, 10.0),
            (dust, 0.05 * dust, 10.0),
            (dust * 1.6 + 20.0 * smoke, 0.07 * dust, 10.0),
            (self.co2 + 150.0 * smoke + (2_600.0 - self.co2) * stuffy, 4.0, 1.0),
            (self.tvoc + 900.0 * smoke + 250.0 * stuffy, 3.0, 1.0),
        ];
        let started = self.now.is_some();
        let mut now = self.now.unwrap_or([Slowly { value: 0.0, tremble: 0.0 }; Slow::VALUES]);
        let mut values = [None; Slow::VALUES];
        for ((slot, (target, tremble, scale)), out) in now.iter_mut().zip(targets).zip(&mut values) {
            // A board that starts in a scenario starts in the middle of it.
            slot.value = if started { slot.value + (target - slot.value) / HURRIED_S } else { target };
            slot.tremble = 0.9 * slot.tremble + self.chance.random_range(-1.0..1.0) * tremble;
            *out = Some(raw((slot.value + slot.tremble).max(0.0) * scale));
        }
        self.now = Some(now);
        let mut slow = Slow::of(counter, board_ms, values);
        if scenario == Scenario::SensorOff {
            slow.body_temperature = None;
        }
        slow
    }
}

/// Fixed point.
fn raw(value: f64) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "clamped to what sensors say")]
    let raw = round(value).clamp(-1e6, 1e6) as i32;
    raw
}
