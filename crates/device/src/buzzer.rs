//! The sounds of alarms: bursts of pulses by priority, timed after the tables of IEC 60601-1-8.
//!
//! A single-tone buzzer gives timing and count, not pitch and harmonics: this is modelled on the
//! standard, not an implementation of it. The same table drives the board's own buzzer, a pin behind
//! embedded-hal, and the sound of a page.

use embedded_hal::delay::DelayNs;
use embedded_hal::digital::OutputPin;
use vitals::alarm::Priority;

/// One burst and how it repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pattern {
    /// How long each pulse sounds, milliseconds.
    pub pulse_ms: u32,
    /// Silence after each pulse, milliseconds; the last is the pause before the next burst.
    pub gaps_ms: &'static [u32],
}

/// Ten pulses, as 3-2-3-2: immediate response.
const HIGH: Pattern = Pattern { pulse_ms: 120, gaps_ms: &[80, 80, 280, 80, 600, 80, 80, 280, 80, 2_500] };
/// Three pulses: prompt response.
const MEDIUM: Pattern = Pattern { pulse_ms: 180, gaps_ms: &[180, 180, 3_500] };
/// One pulse now and then: awareness.
const LOW: Pattern = Pattern { pulse_ms: 180, gaps_ms: &[16_000] };
/// One short pulse, rarely: equipment, not the patient.
const TECHNICAL: Pattern = Pattern { pulse_ms: 80, gaps_ms: &[30_000] };

impl Pattern {
    /// The pattern of a priority.
    #[must_use]
    pub fn of(priority: Priority) -> Self {
        match priority {
            Priority::High => HIGH,
            Priority::Medium => MEDIUM,
            Priority::Low => LOW,
            Priority::Technical => TECHNICAL,
        }
    }

    /// Time from the start of one burst to the start of the next, milliseconds.
    #[must_use]
    pub fn period_ms(&self) -> u32 {
        self.gaps_ms.iter().map(|gap| self.pulse_ms + gap).sum()
    }

    /// Does it sound this long after the alarm began?
    #[must_use]
    pub fn sounds_at(&self, since_ms: u64) -> bool {
        let mut at = since_ms % u64::from(self.period_ms().max(1));
        for gap in self.gaps_ms {
            if at < u64::from(self.pulse_ms) {
                return true;
            }
            let Some(rest) = at.checked_sub(u64::from(self.pulse_ms + gap)) else { return false };
            at = rest;
        }
        false
    }
}

/// A buzzer on a pin.
#[derive(Debug)]
pub struct Buzzer<P> {
    pin: P,
    playing: Option<(Priority, u64)>,
}

impl<P: OutputPin> Buzzer<P> {
    /// A quiet buzzer.
    pub fn new(pin: P) -> Self {
        Self { pin, playing: None }
    }

    /// Plays the pattern of `priority` from now on, or nothing. The same priority again goes on with
    /// its pattern; another one starts at its first pulse.
    pub fn set(&mut self, priority: Option<Priority>, now_ms: u64) -> Result<(), P::Error> {
        if self.playing.map(|(playing, _)| playing) != priority {
            self.playing = priority.map(|priority| (priority, now_ms));
        }
        self.poll(now_ms)
    }

    /// Switches the pin as the pattern says; to be called every 10 ms or so.
    pub fn poll(&mut self, now_ms: u64) -> Result<(), P::Error> {
        let sounds = self.playing.is_some_and(|(priority, since_ms)| {
            Pattern::of(priority).sounds_at(now_ms.saturating_sub(since_ms))
        });
        if sounds { self.pin.set_high() } else { self.pin.set_low() }
    }

    /// Plays one burst and returns after its last pulse: the self-test at power-up.
    pub fn burst(&mut self, priority: Priority, delay: &mut impl DelayNs) -> Result<(), P::Error> {
        let pattern = Pattern::of(priority);
        let (_, between) = pattern.gaps_ms.split_last().unwrap_or((&0, &[]));
        for gap in between.iter().copied().map(Some).chain([None]) {
            self.pin.set_high()?;
            delay.delay_ms(pattern.pulse_ms);
            self.pin.set_low()?;
            if let Some(gap) = gap {
                delay.delay_ms(gap);
            }
        }
        Ok(())
    }

    /// Gives the pin back.
    pub fn release(self) -> P {
        self.pin
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_hal_mock::eh1::delay::{CheckedDelay, Transaction as Wait};
    use embedded_hal_mock::eh1::digital::{Mock, State, Transaction};
    use std::vec::Vec;

    fn pulses(priority: Priority) -> usize {
        let pattern = Pattern::of(priority);
        let heard: Vec<bool> = (0..u64::from(pattern.period_ms())).map(|at| pattern.sounds_at(at)).collect();
        usize::from(heard[0]) + heard.windows(2).filter(|pair| !pair[0] && pair[1]).count()
    }

    #[test]
    fn bursts_have_ten_three_and_one_pulses() {
        assert_eq!(pulses(Priority::High), 10);
        assert_eq!(pulses(Priority::Medium), 3);
        assert_eq!(pulses(Priority::Low), 1);
        assert_eq!(pulses(Priority::Technical), 1);
    }

    #[test]
    fn worse_alarms_sound_more_often() {
        let heard = |priority| {
            let pattern = Pattern::of(priority);
            pattern.pulse_ms * u32::try_from(pattern.gaps_ms.len()).unwrap() * 100_000 / pattern.period_ms()
        };
        assert!(heard(Priority::High) > heard(Priority::Medium));
        assert!(heard(Priority::Medium) > heard(Priority::Low));
        assert!(heard(Priority::Low) > heard(Priority::Technical));
    }

    #[test]
    fn a_burst_on_the_pin_is_timed_by_its_pattern() {
        let on = Transaction::set(State::High);
        let off = Transaction::set(State::Low);
        let mut pin = Mock::new(&[on.clone(), off.clone(), on.clone(), off.clone(), on, off]);
        let mut delay = CheckedDelay::new(&[180, 180, 180, 180, 180].map(Wait::delay_ms));
        let mut buzzer = Buzzer::new(pin.clone());
        buzzer.burst(Priority::Medium, &mut delay).unwrap();
        pin.done();
        delay.done();
    }

    #[test]
    fn a_worse_alarm_starts_with_its_first_pulse() {
        let states = [State::High, State::Low, State::High, State::Low];
        let mut pin = Mock::new(&states.map(Transaction::set));
        let mut buzzer = Buzzer::new(pin.clone());
        buzzer.set(Some(Priority::Low), 1_000).unwrap();
        buzzer.set(Some(Priority::Low), 5_000).unwrap();
        buzzer.set(Some(Priority::High), 5_000).unwrap();
        buzzer.set(None, 5_050).unwrap();
        pin.done();
    }
}
