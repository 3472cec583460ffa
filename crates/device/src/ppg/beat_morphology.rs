//! Beat morphology: do the beats look like each other? Pulses do, however irregular; noise and motion do
//! not.

use super::{push_bounded, span};
use alloc::collections::VecDeque;

/// What is compared lies so long before and after the steepest moment, milliseconds.
const BEFORE_MS: u32 = 250;
const AFTER_MS: u32 = 200;
/// The slope is summed to so many steps.
const STEPS: usize = 16;
/// The mean shape moves by this part towards each new one.
const MEAN_SHARE: i64 = 4;
/// Beats compared.
const BEATS: usize = 8;
/// A beat looks like the others from this likeness on, percent.
const ALIKE_PERCENT: i64 = 80;
/// So many of them must look like the others.
const ALIKE_MIN: usize = 6;

type Shape = [i64; STEPS];

/// The shapes of the last beats of one polarity.
#[derive(Debug, Clone, Default)]
pub(super) struct BeatMorphology {
    slopes: VecDeque<i64>,
    /// A beat whose shape is complete at this sample.
    due: Option<u64>,
    mean: Shape,
    pub(super) alike: VecDeque<bool>,
}

impl BeatMorphology {
    /// The next slope; its sample's number.
    pub(super) fn push(&mut self, slope: i64, now: u64, rate_mhz: u32) {
        let len = usize::try_from(span(rate_mhz, BEFORE_MS + AFTER_MS)).unwrap_or(1);
        push_bounded(&mut self.slopes, slope, len);
        if self.due.is_some_and(|due| now >= due) {
            self.due = None;
            self.compare(len);
        }
    }

    /// A beat was steepest at this sample.
    pub(super) fn beat(&mut self, at: u64, rate_mhz: u32) {
        self.due = Some(at + span(rate_mhz, AFTER_MS));
    }

    /// Do most of the last beats look like each other?
    pub(super) fn are_alike(&self) -> bool {
        self.alike.iter().filter(|alike| **alike).count() >= ALIKE_MIN
    }

    fn compare(&mut self, len: usize) {
        if self.slopes.len() < len {
            return;
        }
        let mut shape: Shape = [0; STEPS];
        for (index, slope) in self.slopes.iter().enumerate() {
            if let Some(step) = shape.get_mut(index * STEPS / len) {
                *step += slope;
            }
        }
        if self.mean == [0; STEPS] {
            self.mean = shape;
            return;
        }
        let (mut both, mut power, mut mean_power) = (0i64, 0u64, 0u64);
        for (step, mean) in shape.iter().zip(&self.mean) {
            both += step * mean;
            power += (step * step).unsigned_abs();
            mean_power += (mean * mean).unsigned_abs();
        }
        let full = (power.isqrt() * mean_power.isqrt()).max(1);
        let alike = both > 0 && both.unsigned_abs() / (full / 100).max(1) >= ALIKE_PERCENT.unsigned_abs();
        push_bounded(&mut self.alike, alike, BEATS);
        for (mean, step) in self.mean.iter_mut().zip(&shape) {
            *mean += (step - *mean) / MEAN_SHARE;
        }
    }
}
