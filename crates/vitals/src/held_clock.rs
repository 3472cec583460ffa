//! A node's time, held through steps of the machine's clock.
//!
//! The machine's clock can be set, by an operator, a time service or a guest agent. Everything that a node does by
//! time would follow at once: leases would end, silences last for ever, blocks would carry a time that no other
//! node accepts. So the node's time goes on by the monotonic clock, and a step is a named fault until the clock is
//! right again, or until the step has lasted.

/// The machine's clock may differ from the node's time by this much, milliseconds. More is a step.
pub const STEP_MS_MIN: u64 = 2_000;
/// A step that lasts this long is believed, milliseconds: the node's time follows it.
pub const BELIEVED_AFTER_MS: u64 = 5 * 60_000;
/// A longer step is believed only by a restart, or by a young process, milliseconds.
pub const BELIEVED_STEP_MS_MAX: u64 = 3_600_000;
/// A process is young for this long, milliseconds. A machine without a clock of its own gets its time only after
/// it has started: then a step of any length is believed.
pub const YOUNG_MS: u64 = 10 * 60_000;
/// In a young process a step is believed after this long, milliseconds.
pub const YOUNG_BELIEVED_AFTER_MS: u64 = 60_000;
/// A step that was believed stays named this long, milliseconds.
pub const NAMED_FOR_MS: u64 = 3_600_000;
/// The node's time follows a smaller difference by one millisecond in this many: faster than the crystals of
/// computers err (100 parts in a million), and too slow to notice.
const FOLLOW_ONE_IN_MS: u64 = 10_000;

/// The machine's clock was set while the node ran, or drifted far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockStep {
    /// By how much, milliseconds; negative if it was set back.
    pub by_ms: i64,
    /// Does the node's time follow it by now?
    pub believed: bool,
}

impl core::fmt::Display for ClockStep {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let seconds = self.by_ms.unsigned_abs().div_ceil(1_000);
        let way = if self.by_ms < 0 { "back" } else { "ahead" };
        write!(f, "the clock of this node's machine was set {way} by {seconds} s")?;
        match self.believed {
            true => f.write_str(", and the node follows it"),
            false => f.write_str("; the node keeps its own time"),
        }
    }
}

/// The node's time. All times are milliseconds: the machine's since 1970, the monotonic ones since any moment.
#[derive(Debug, Clone)]
pub struct HeldClock {
    /// Node time less monotonic time.
    offset_ms: i64,
    followed_ms: u64,
    started_ms: u64,
    believed_after_ms: u64,
    /// Monotonic time at which the step that stands now was first seen, and its length then.
    stepped: Option<(u64, i64)>,
    /// The offset before the last step that was believed, and the monotonic time at which it was.
    before: Option<(i64, u64)>,
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

impl HeldClock {
    /// Begins with what the machine's clock shows.
    #[must_use]
    pub fn new(machine_ms: u64, monotonic_ms: u64) -> Self {
        Self {
            offset_ms: signed(machine_ms).saturating_sub(signed(monotonic_ms)),
            followed_ms: monotonic_ms,
            started_ms: monotonic_ms,
            believed_after_ms: BELIEVED_AFTER_MS,
            stepped: None,
            before: None,
        }
    }

    /// As it is, but a step is believed after this time.
    #[must_use]
    pub fn believing_after(self, believed_after_ms: u64) -> Self {
        Self { believed_after_ms, ..self }
    }

    /// The node's time now.
    pub fn read(&mut self, machine_ms: u64, monotonic_ms: u64) -> u64 {
        let shown = signed(machine_ms).saturating_sub(signed(monotonic_ms));
        let is_step = |by_ms: i64| by_ms.unsigned_abs() > STEP_MS_MIN;
        if let Some((before_ms, at_ms)) = self.before {
            let returned = !is_step(shown.saturating_sub(before_ms));
            if returned && is_step(shown.saturating_sub(self.offset_ms)) {
                // The step was taken back: the time from before is good at once.
                (self.offset_ms, self.before, self.stepped) = (before_ms, None, None);
            } else if monotonic_ms.saturating_sub(at_ms) >= NAMED_FOR_MS {
                self.before = None;
            }
        }
        let by_ms = shown.saturating_sub(self.offset_ms);
        if !is_step(by_ms) {
            self.stepped = None;
            self.follow(by_ms, monotonic_ms);
        } else {
            let since_ms = match self.stepped {
                Some((since_ms, _)) => since_ms,
                None => monotonic_ms,
            };
            self.stepped = Some((since_ms, by_ms));
            self.followed_ms = monotonic_ms;
            let young = since_ms.saturating_sub(self.started_ms) < YOUNG_MS;
            let (after_ms, most_ms) = match young {
                true => (self.believed_after_ms.min(YOUNG_BELIEVED_AFTER_MS), u64::MAX),
                false => (self.believed_after_ms, BELIEVED_STEP_MS_MAX),
            };
            let lasted = monotonic_ms.saturating_sub(since_ms) >= after_ms;
            if lasted && by_ms.unsigned_abs() <= most_ms {
                self.before =
                    Some((self.before.map_or(self.offset_ms, |(first_ms, _)| first_ms), monotonic_ms));
                (self.offset_ms, self.stepped) = (shown, None);
            }
        }
        u64::try_from(signed(monotonic_ms).saturating_add(self.offset_ms)).unwrap_or(0)
    }

    fn follow(&mut self, by_ms: i64, monotonic_ms: u64) {
        let most = monotonic_ms.saturating_sub(self.followed_ms) / FOLLOW_ONE_IN_MS;
        self.followed_ms += most * FOLLOW_ONE_IN_MS;
        self.offset_ms += by_ms.clamp(-signed(most), signed(most));
    }

    /// The step that is named now, as of the last reading.
    #[must_use]
    pub fn step(&self) -> Option<ClockStep> {
        match (self.stepped, self.before) {
            (Some((_, by_ms)), _) => Some(ClockStep { by_ms, believed: false }),
            (None, Some((before_ms, _))) => {
                Some(ClockStep { by_ms: self.offset_ms.saturating_sub(before_ms), believed: true })
            }
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString as _;

    const START: u64 = 1_800_000_000_000;
    const DAY_MS: i64 = 86_400_000;

    /// A machine whose clock is off by something.
    struct Machine {
        elapsed_ms: u64,
        off_ms: i64,
        clock: HeldClock,
    }

    impl Machine {
        fn new() -> Self {
            Self { elapsed_ms: 0, off_ms: 0, clock: HeldClock::new(START, 0) }
        }

        /// A second later: how far the node's time is from the true one.
        fn second(&mut self) -> i64 {
            self.elapsed_ms += 1_000;
            let shown = u64::try_from(signed(START + self.elapsed_ms) + self.off_ms).unwrap();
            let now = self.clock.read(shown, self.elapsed_ms);
            signed(now) - signed(START + self.elapsed_ms)
        }

        fn seconds(&mut self, n: u64) -> i64 {
            (0..n).map(|_| self.second()).last().unwrap()
        }
    }

    #[test]
    fn a_step_is_named_at_once_and_moves_no_time_until_it_has_lasted() {
        for off_ms in [-90_000, -30_000, -2_001, 2_001, 3_600_000] {
            let mut machine = Machine::new();
            assert_eq!((machine.seconds(YOUNG_MS / 1_000), machine.clock.step()), (0, None));
            machine.off_ms = off_ms;
            assert_eq!(machine.second(), 0);
            assert_eq!(machine.clock.step(), Some(ClockStep { by_ms: off_ms, believed: false }));
            assert_eq!(machine.seconds(BELIEVED_AFTER_MS / 1_000 - 1), 0, "{off_ms}");
            assert_eq!(machine.second(), off_ms, "it has lasted");
            assert_eq!(machine.clock.step(), Some(ClockStep { by_ms: off_ms, believed: true }));
            machine.off_ms = 0;
            assert_eq!((machine.second(), machine.clock.step()), (0, None), "taken back: right at once");
        }
    }

    #[test]
    fn a_step_of_a_day_is_believed_by_a_restart_alone() {
        for off_ms in [-DAY_MS, DAY_MS] {
            let mut machine = Machine::new();
            machine.seconds(YOUNG_MS / 1_000);
            machine.off_ms = off_ms;
            assert_eq!(machine.seconds(7_200), 0);
            assert_eq!(machine.clock.step(), Some(ClockStep { by_ms: off_ms, believed: false }));
            machine.off_ms = 0;
            assert_eq!((machine.second(), machine.clock.step()), (0, None));
        }
    }

    #[test]
    fn a_machine_that_gets_its_time_after_the_start_is_believed_after_a_minute() {
        let mut machine = Machine::new();
        machine.off_ms = -20_000 * DAY_MS;
        machine.clock = HeldClock::new(START - 20_000 * 86_400_000, 0);
        assert_eq!(machine.seconds(30), -20_000 * DAY_MS, "1970");
        machine.off_ms = 0;
        assert_eq!(machine.seconds(60), -20_000 * DAY_MS);
        assert_eq!(machine.second(), 0);
    }

    #[test]
    fn a_step_that_is_believed_stays_named_for_an_hour() {
        let mut machine = Machine::new();
        machine.seconds(YOUNG_MS / 1_000);
        machine.off_ms = -60_000;
        machine.seconds(BELIEVED_AFTER_MS / 1_000 + NAMED_FOR_MS / 1_000);
        assert!(machine.clock.step().is_some());
        machine.seconds(2);
        assert_eq!(machine.clock.step(), None);
        assert_eq!(machine.second(), -60_000);
    }

    #[test]
    fn a_drift_is_named_once_it_is_two_seconds() {
        for ms_per_s in [-20, 20] {
            let mut machine = Machine::new();
            let mut named = None;
            for _ in 0..110 {
                machine.off_ms += ms_per_s;
                let from_truth = machine.second();
                assert!(from_truth.abs() <= 11, "the node's time follows by one in ten thousand");
                named = named.or(machine.clock.step().map(|_| machine.off_ms));
            }
            assert!(named.is_some_and(|off_ms| (2_000..2_060).contains(&off_ms.abs())), "{named:?}");
        }
    }

    #[test]
    fn a_small_difference_is_followed_slowly_and_never_named() {
        let mut machine = Machine::new();
        machine.off_ms = 1_000;
        assert_eq!(machine.seconds(1_000), 100);
        assert_eq!(machine.seconds(10_000), 1_000);
        assert_eq!(machine.clock.step(), None);
    }

    #[test]
    fn a_step_is_told_in_words() {
        let back = ClockStep { by_ms: -90_000, believed: false };
        assert_eq!(
            back.to_string(),
            "the clock of this node's machine was set back by 90 s; the node keeps its own time"
        );
        let ahead = ClockStep { by_ms: 3_600_000, believed: true };
        assert!(ahead.to_string().ends_with("set ahead by 3600 s, and the node follows it"));
    }
}
