//! How an author's clock stands against the node's, told from when its envelopes arrive: pure, one per
//! author.
//!
//! An arrival's *lead* is the node's time less the last time the author wrote: the error of the clock
//! plus the way. One figure cannot tell a slow clock from a late envelope; the order of the stream
//! can. What continues a stream was sealed after what it continues, so behind an envelope that was
//! live a moment ago nothing is older than that moment, whatever its clock says. Where nothing live
//! came before, the author is taken at its word within [`STALE_MS`]; further off, only a lead that
//! stays the same while time passes is believed to be the clock's: a journal that empties runs
//! through its times faster than they pass.

use super::staleness::STALE_MS;
use std::collections::BTreeMap;
use vitals::ids::StreamId;

/// Further off than this a clock is wrong; up to this it is taken at its word.
const WRONG_MS: u64 = STALE_MS;
/// A wrong clock is right again below this.
const RIGHT_MS: u64 = 10_000;
/// An unknown lead must stay the same for this long.
const SETTLE_MS: u64 = 12_000;
/// One that fits what was known of the clock before, for this long.
const SETTLE_KNOWN_MS: u64 = 2_000;
/// Or it comes after a pause of this length: what empties a journal does not pause.
const PAUSE_MS: u64 = 500;
/// How much a lead that stays the same may vary: the way is not always equally long.
const STEADY_MS: i64 = 1_000;
/// The fewest arrivals that can show it.
const SETTLE_ARRIVALS: u32 = 3;
/// A lead that contradicts the stream's order by more than this is a leap of the clock.
const LEAP_MS: i64 = 1_000;
/// No clock runs slower than this many milliseconds per second: a lead that grows faster is lateness.
const DRIFT_MS_PER_S: u64 = 1;

/// What an arrival says about its times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heard {
    /// It was sealed at most [`STALE_MS`] ago: alarms may rest on it.
    pub(crate) live: bool,
    /// To be added to the author's times to get the node's, as far as is known.
    pub(crate) offset_ms: i64,
}

impl Heard {
    /// A time of the author's, as the node's clock would have said it. Never later than now.
    pub(crate) fn here(self, at_ms: u64, now_ms: u64) -> u64 {
        at_ms.saturating_add_signed(self.offset_ms).min(now_ms)
    }
}

/// The newest envelope of a stream.
#[derive(Debug, Clone, Copy)]
struct Front {
    seq: u64,
    arrived_ms: u64,
    /// How old it was at most when it arrived; none if it may have been old.
    age_ms: Option<i64>,
}

/// A lead under observation.
#[derive(Debug, Clone, Copy)]
struct Trial {
    since_ms: u64,
    low_ms: i64,
    high_ms: i64,
    arrivals: u32,
}

impl Trial {
    fn new(lead_ms: i64, now_ms: u64) -> Self {
        Self { since_ms: now_ms, low_ms: lead_ms, high_ms: lead_ms, arrivals: 1 }
    }
}

/// One author's clock.
#[derive(Debug, Clone, Default)]
pub(crate) struct AuthorClock {
    /// At most one per class.
    fronts: BTreeMap<StreamId, Front>,
    /// The offset while it is trusted.
    offset_ms: Option<i64>,
    /// The last one that was.
    known_ms: Option<i64>,
    trial: Option<Trial>,
    heard_ms: u64,
    wrong: bool,
    leaps: u64,
}

impl AuthorClock {
    /// An envelope arrived that ends at `last_ms` by its author's clock.
    pub(crate) fn heard(&mut self, stream: StreamId, seq: u64, last_ms: u64, now_ms: u64) -> Heard {
        let lead_ms = signed(now_ms).saturating_sub(signed(last_ms));
        let front = self.fronts.get(&stream).copied();
        let live = if front.is_some_and(|front| seq <= front.seq) {
            // A gap is filled, or told again: it says nothing about the clock.
            self.offset_ms.is_some_and(|offset_ms| near(lead_ms, offset_ms))
        } else {
            let age_ms = self.judge(lead_ms, front, now_ms);
            self.fronts.insert(stream, Front { seq, arrived_ms: now_ms, age_ms });
            age_ms.is_some()
        };
        self.heard_ms = now_ms;
        if let Some(offset_ms) = self.offset_ms {
            self.known_ms = Some(offset_ms);
            let bound_ms = if self.wrong { RIGHT_MS } else { WRONG_MS };
            self.wrong = offset_ms.unsigned_abs() > bound_ms;
        }
        Heard { live, offset_ms: self.known_ms.unwrap_or(0) }
    }

    /// How far the clock is off, if it is wrong: positive when it is behind the node's.
    pub(crate) fn wrong_by_ms(&self) -> Option<i64> {
        self.known_ms.filter(|_| self.wrong)
    }

    /// The last offset that was trusted, milliseconds.
    pub(crate) fn known_offset_ms(&self) -> Option<i64> {
        self.known_ms
    }

    /// How often the clock leapt.
    pub(crate) fn leaps(&self) -> u64 {
        self.leaps
    }

    /// How old the newest envelope of a stream is; none if it may be old.
    fn judge(&mut self, lead_ms: i64, front: Option<Front>, now_ms: u64) -> Option<i64> {
        // Sealed after one that was live then: at most this old.
        let proven = front.and_then(|front| {
            let age_ms = front.age_ms?;
            let most_ms = age_ms + signed(now_ms.saturating_sub(front.arrived_ms));
            (most_ms <= signed(STALE_MS)).then_some((age_ms, most_ms))
        });
        let Some(offset_ms) = self.offset_ms else {
            if let Some((age_ms, _)) = proven {
                return Some(self.leapt_to(lead_ms, age_ms));
            }
            return self.try_out(lead_ms, now_ms);
        };
        let age_ms = lead_ms - offset_ms;
        if let Some((before_ms, most_ms)) = proven
            && (age_ms > most_ms + LEAP_MS || age_ms < -LEAP_MS)
        {
            return Some(self.leapt_to(lead_ms, before_ms));
        }
        if near(lead_ms, offset_ms) {
            let drift_ms = signed(now_ms.saturating_sub(self.heard_ms) * DRIFT_MS_PER_S / 1_000);
            // Faster than ever before: the way was shorter than thought. Slower: the way, or drift.
            self.offset_ms = Some(if age_ms < 0 { lead_ms } else { offset_ms + age_ms.min(drift_ms) });
            return Some(age_ms.max(0));
        }
        self.offset_ms = None;
        self.trial = Some(Trial::new(lead_ms, now_ms));
        None
    }

    fn leapt_to(&mut self, lead_ms: i64, age_ms: i64) -> i64 {
        self.leaps += 1;
        self.trial = None;
        self.offset_ms = Some(lead_ms - age_ms);
        age_ms
    }

    /// Nothing live came before: is the lead the clock's?
    fn try_out(&mut self, lead_ms: i64, now_ms: u64) -> Option<i64> {
        let first = self.trial.is_none() && self.known_ms.is_none();
        let mut trial = self.trial.unwrap_or_else(|| Trial::new(lead_ms, now_ms));
        trial.low_ms = trial.low_ms.min(lead_ms);
        trial.high_ms = trial.high_ms.max(lead_ms);
        trial.arrivals += 1;
        if trial.high_ms - trial.low_ms > STEADY_MS {
            trial = Trial::new(lead_ms, now_ms);
        }
        let paused = now_ms.saturating_sub(self.heard_ms) >= PAUSE_MS;
        let lasted_ms = now_ms.saturating_sub(trial.since_ms);
        let expected_ms = self.known_ms.unwrap_or(0);
        let fits = near(trial.low_ms, expected_ms);
        let settle_ms = if fits { SETTLE_KNOWN_MS } else { SETTLE_MS };
        let settled = trial.arrivals >= SETTLE_ARRIVALS && lasted_ms >= settle_ms;
        if !(settled || fits && (first || paused)) {
            self.trial = Some(trial);
            return None;
        }
        self.trial = None;
        // A clock that may be as it was (at first: right) is: what is left is the way.
        let offset_ms = if fits { trial.low_ms.min(expected_ms) } else { trial.low_ms };
        self.offset_ms = Some(offset_ms);
        Some(lead_ms - offset_ms)
    }
}

fn near(lead_ms: i64, offset_ms: i64) -> bool {
    lead_ms.abs_diff(offset_ms) <= STALE_MS
}

/// Times end in the year 2200, far inside.
fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON_MS: u64 = 1_795_348_800_000;
    const HOUR_MS: u64 = 3_600_000;
    const VITALS: StreamId = StreamId([1; 16]);

    /// An author that seals once a second, and what its clock says.
    struct Author {
        clock: AuthorClock,
        seq: u64,
        now_ms: u64,
    }

    impl Author {
        fn new() -> Self {
            Self { clock: AuthorClock::default(), seq: 0, now_ms: NOON_MS }
        }

        fn sends(&mut self, last_ms: u64) -> Heard {
            self.seq += 1;
            self.clock.heard(VITALS, self.seq, last_ms, self.now_ms)
        }

        /// Sends what was sealed just now, second after second; how many were live?
        fn live(&mut self, seconds: u64, error_ms: i64) -> u64 {
            (0..seconds)
                .map(|_| {
                    self.now_ms += 1_000;
                    let last_ms = (self.now_ms - 80).saturating_add_signed(-error_ms);
                    u64::from(self.sends(last_ms).live)
                })
                .sum()
        }
    }

    #[test]
    fn a_right_clock_is_live_from_the_first_envelope() {
        let mut author = Author::new();
        assert_eq!(author.live(100, 0), 100);
        assert_eq!((author.clock.wrong_by_ms(), author.clock.leaps()), (None, 0));
    }

    #[test]
    fn a_clock_an_hour_off_is_believed_once_it_keeps_being_an_hour_off() {
        for error_ms in [3_600_000, -3_600_000, 1_795_348_000_000] {
            let mut author = Author::new();
            let live = author.live(60, error_ms);
            assert!((46..50).contains(&live), "{error_ms}: {live}");
            assert!(author.clock.wrong_by_ms().unwrap().abs_diff(error_ms) < 200);
        }
    }

    #[test]
    fn a_leap_of_a_running_clock_costs_nothing() {
        let mut author = Author::new();
        author.live(10, 0);
        for error_ms in [3_600_000, -3_600_000, 0, 1_795_348_000_000, 40_000, 0] {
            assert_eq!(author.live(10, error_ms), 10, "{error_ms}");
            let told = author.clock.wrong_by_ms();
            assert_eq!(told.is_some(), error_ms != 0);
            assert!(told.is_none_or(|told| told.abs_diff(error_ms) < 200));
        }
        assert_eq!(author.clock.leaps(), 6);
    }

    #[test]
    fn what_sat_in_a_journal_is_never_live_and_says_nothing_about_the_clock() {
        for (known, outage_s, per_s) in
            [(true, 3_600, 500), (false, 3_600, 500), (true, 60, 40), (false, 7_200, 2)]
        {
            let mut author = Author::new();
            if known {
                author.live(20, 0);
            }
            let mut sealed_ms = author.now_ms;
            author.now_ms += outage_s * 1_000;
            // The journal empties `per_s` times as fast as time passes.
            while author.now_ms - sealed_ms > 2_000 {
                author.now_ms += 1_000 / per_s;
                sealed_ms += 1_000;
                let late = author.now_ms - sealed_ms > STALE_MS;
                let heard = author.sends(sealed_ms);
                assert!(!(heard.live && late), "{} s late", (author.now_ms - sealed_ms) / 1_000);
                assert_eq!(author.clock.wrong_by_ms(), None);
            }
            author.live(3, 0);
            assert_eq!(author.live(10, 0), 10);
            assert_eq!((author.clock.wrong_by_ms(), author.clock.leaps()), (None, 0));
        }
    }

    #[test]
    fn a_leap_during_an_outage_makes_no_old_data_live() {
        // Out for half an hour; after ten minutes the clock leapt twenty ahead: in the middle of the
        // journal its times agree with the node's by accident.
        let mut author = Author::new();
        author.live(20, 0);
        let out_ms = author.now_ms;
        author.now_ms += HOUR_MS / 2;
        for second in 1..1_800 {
            author.now_ms += 2;
            let sealed_ms = out_ms + second * 1_000;
            let last_ms = if second < 600 { sealed_ms } else { sealed_ms + HOUR_MS / 3 };
            let heard = author.sends(last_ms);
            assert!(!heard.live || author.now_ms - sealed_ms <= STALE_MS, "second {second}");
        }
        author.live(13, -1_200_000);
        assert_eq!(author.live(5, -1_200_000), 5);
        assert!(author.clock.wrong_by_ms().unwrap().abs_diff(-1_200_000) < 200);
    }

    #[test]
    fn a_line_slower_than_the_bed_is_late_and_not_a_slow_clock() {
        let mut author = Author::new();
        author.live(5, 0);
        let (mut sealed_ms, mut lived) = (author.now_ms, 0);
        for _ in 0..600 {
            author.now_ms += 1_100;
            sealed_ms += 1_000;
            let heard = author.sends(sealed_ms);
            lived += u64::from(heard.live);
            assert!(!heard.live || author.now_ms - sealed_ms <= STALE_MS + 2_000);
        }
        assert!(lived < 200);
    }

    #[test]
    fn a_late_gap_filler_moves_nothing() {
        let mut author = Author::new();
        author.live(10, 0);
        let heard = author.clock.heard(VITALS, 3, NOON_MS - HOUR_MS, author.now_ms);
        assert!(!heard.live);
        assert_eq!(author.live(1, 0), 1);
        assert_eq!(author.clock.leaps(), 0);
    }

    #[test]
    fn the_node_s_own_clock_leaping_back_blinds_nobody() {
        let mut author = Author::new();
        author.live(10, 0);
        author.now_ms -= HOUR_MS;
        assert_eq!(author.live(10, -3_600_000), 10);
    }
}
