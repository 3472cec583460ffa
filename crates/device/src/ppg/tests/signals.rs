//! Made-up pulses of which the truth is known, as other makers' sensors give them: a systolic and a
//! dicrotic wave of fixed width, breathing that sways the rate and the baseline, noise, and what happens
//! at a bed.

use core::f64::consts::TAU;
use std::vec::Vec;

/// Chance from a seed.
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    fn gauss(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

/// What happens to a signal every six to twenty seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disturbance {
    Nothing,
    /// Stuck at one end of the range for a second or two.
    Saturation,
    /// The baseline jumps, and stays.
    Step,
    /// The baseline jumps, and comes back slowly.
    SlowReturn,
    /// The hand swings for one to three seconds.
    Swing,
}

impl Disturbance {
    pub(super) const ALL: [Self; 5] =
        [Self::Nothing, Self::Saturation, Self::Step, Self::SlowReturn, Self::Swing];
}

fn breath(at: f64) -> f64 {
    libm::sin(TAU * 0.25 * at)
}

/// The samples of a converter.
fn counts(values: &[f64]) -> Vec<u16> {
    values.iter().map(|value| (20_000.0 + 900.0 * value).clamp(0.0, 65_535.0) as u16).collect()
}

/// A pulse. Heights are in pulses.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signal {
    pub(super) hz: f64,
    pub(super) bpm: f64,
    pub(super) seconds: f64,
    pub(super) dicrotic: f64,
    /// How far breathing moves the baseline either way.
    pub(super) wander: f64,
    /// How far breathing sways the rate either way, a part of it.
    pub(super) sway: f64,
    pub(super) noise: f64,
    /// Each interval is longer or shorter by up to this part.
    pub(super) irregular: f64,
    pub(super) upside_down: bool,
    pub(super) seed: u64,
}

impl Signal {
    pub(super) fn of(bpm: f64, hz: f64, seed: u64) -> Self {
        Self {
            hz,
            bpm,
            seconds: 60.0,
            dicrotic: 0.35,
            wander: 0.1,
            sway: 0.02,
            noise: 0.01,
            irregular: 0.0,
            upside_down: false,
            seed,
        }
    }

    pub(super) fn rate_mhz(&self) -> u32 {
        (self.hz * 1_000.0) as u32
    }

    /// The samples of a converter.
    pub(super) fn samples(&self, disturbance: Disturbance) -> Vec<u16> {
        let mut chance = Chance(self.seed * 7_919 + self.bpm as u64);
        let mut values = self.values(&mut chance);
        self.disturb(disturbance, &mut values, &mut chance);
        let counts = counts(&values).into_iter();
        counts.map(|raw| if self.upside_down { u16::MAX - raw } else { raw }).collect()
    }

    /// The light after the heart has stopped: breathing and noise only.
    pub(super) fn stopped(&self) -> Vec<u16> {
        counts(&self.light(&[], &mut Chance(self.seed)))
    }

    fn values(&self, chance: &mut Chance) -> Vec<f64> {
        let mut beats = Vec::new();
        let mut at = chance.between(0.0, 1.0);
        while at < self.seconds {
            beats.push((at, 1.0));
            let odd = 1.0 + chance.between(-self.irregular, self.irregular);
            at += 60.0 / self.bpm * (1.0 + self.sway * breath(at)) * odd;
        }
        self.light(&beats, chance)
    }

    /// What the sensor sees of beats at these times and of these heights.
    fn light(&self, beats: &[(f64, f64)], chance: &mut Chance) -> Vec<f64> {
        let bell = |from: f64, at: f64, width: f64| libm::exp(-0.5 * ((from - at) / width).powi(2));
        let mut past = 0;
        (0..(self.hz * self.seconds) as usize)
            .map(|index| {
                let at = index as f64 / self.hz;
                while beats.get(past).is_some_and(|(beat, _)| at - beat > 1.0) {
                    past += 1;
                }
                let near = beats.iter().skip(past).take_while(|(beat, _)| at - beat > -0.1);
                let pulses = near.map(|(beat, height)| {
                    height * (bell(at - beat, 0.12, 0.055) + self.dicrotic * bell(at - beat, 0.34, 0.09))
                });
                pulses.sum::<f64>() + self.wander * breath(at) + self.noise * chance.gauss()
            })
            .collect()
    }

    fn disturb(&self, disturbance: Disturbance, values: &mut [f64], chance: &mut Chance) {
        let mut at = 15.0;
        while at < self.seconds - 5.0 {
            let rest = values.iter_mut().skip((at * self.hz) as usize);
            let since = |index: usize| index as f64 / self.hz;
            match disturbance {
                Disturbance::Nothing => {}
                Disturbance::Saturation => {
                    let (lasts, end) =
                        (chance.between(1.0, 2.0), if chance.unit() < 0.5 { 1.6 } else { -1.2 });
                    rest.enumerate()
                        .take_while(|(index, _)| since(*index) < lasts)
                        .for_each(|(_, value)| *value = end);
                }
                Disturbance::Step => {
                    let by = chance.between(-6.0, 6.0);
                    rest.for_each(|value| *value += by);
                }
                Disturbance::SlowReturn => {
                    let (by, slow) = (chance.between(-8.0, 8.0), chance.between(0.5, 3.0));
                    rest.enumerate()
                        .for_each(|(index, value)| *value += by * libm::exp(-since(index) / slow));
                }
                Disturbance::Swing => {
                    let (lasts, hz) = (chance.between(1.0, 3.0), chance.between(0.6, 3.0));
                    let strength = chance.between(0.8, 2.5);
                    rest.enumerate().take_while(|(index, _)| since(*index) < lasts).for_each(
                        |(index, value)| {
                            let left = lasts - since(index);
                            *value +=
                                strength * libm::sin(TAU * hz * left) * libm::sin(left.min(1.0) * TAU / 4.0);
                        },
                    );
                }
            }
            at += chance.between(6.0, 20.0);
        }
    }
}
