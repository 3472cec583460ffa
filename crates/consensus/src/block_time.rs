//! Which time a block may carry.
//!
//! The rules serve a ledger whose clocks are wrong. A time ahead of everybody's clock is accepted late or never.
//! If the newest block's time lies ahead of the clocks, blocks carry that same time, or go on from it as time
//! passes. If they have carried it for a while, no validator's clock has reached it: then the time goes back to what
//! the clocks say.

use std::cmp::Ordering;
use std::time::{Duration, SystemTime};
use vitals::held_clock::STEP_MS_MIN;

/// How far ahead of a validator's clock a block's time may be.
pub(crate) const AHEAD_MS_MAX: u64 = 5_000;
/// The time may go back after so many blocks of one time.
pub(crate) const STILL_BLOCKS: usize = 8;
/// The time goes back by at most this: a clock further behind is more likely to be the wrong one.
pub(crate) const BACK_MS_MAX: u64 = 48 * 3_600_000;

/// By this clock: is the parent's time in the future, and may it be taken back? `floor_ms`: see [`Floor`].
pub(crate) fn may_go_back(parent_ms: u64, now_ms: u64, floor_ms: u64) -> bool {
    let ahead_ms = parent_ms.saturating_sub(now_ms);
    ahead_ms > AHEAD_MS_MAX && ahead_ms <= BACK_MS_MAX && now_ms >= floor_ms
}

/// For this long after its start a validator whose clock was behind the ledger takes the ledger's time back to no
/// time before its start: it is more likely that its own clock has lost its time and is yet to get it.
const FLOOR_FOR: Duration = Duration::from_secs(3600);

/// Below which time a validator takes nothing back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Floor {
    ms: u64,
    /// By a clock that nobody sets.
    until: SystemTime,
}

impl Floor {
    /// The ledger's time at the start of a process, if its clock was behind it: that clock is likely to have lost its
    /// time. One that agreed with the ledger, or was ahead of it, and was set back since was set right.
    pub(crate) fn at_start(ledger_ms: u64, clock_ms: u64, now: SystemTime) -> Self {
        let ms = if ledger_ms > clock_ms.saturating_add(AHEAD_MS_MAX) { ledger_ms } else { 0 };
        Self { ms, until: now + FLOOR_FOR }
    }

    pub(crate) fn ms(&self, now: SystemTime) -> u64 {
        if now < self.until { self.ms } else { 0 }
    }
}

/// The time of a new block. `back`: it may be taken back ([`may_go_back`]), and the last [`STILL_BLOCKS`] blocks have
/// one time.
pub(crate) fn choose(parent_ms: u64, now_ms: u64, back: bool) -> u64 {
    if back { now_ms } else { now_ms.max(parent_ms) }
}

/// Which of its clocks a proposer goes by. While the machine's clock shows another time than the node's, one of them
/// is wrong: after a step it is the machine's, after a start with a wrong clock it is the node's. The right one is
/// nearer to the newest block, which others agreed to.
pub(crate) fn proposers_clock(parent_ms: u64, node_ms: u64, machine_ms: u64) -> u64 {
    let stepped = node_ms.abs_diff(machine_ms) > STEP_MS_MIN;
    let nearer = machine_ms.abs_diff(parent_ms) < node_ms.abs_diff(parent_ms);
    if stepped && nearer { machine_ms } else { node_ms }
}

/// The clock of a ledger whose newest block lies ahead of this validator's clocks. The leap was agreed to, and a
/// block that goes on from there as time passes makes it no greater: to let such blocks wait would only slow the
/// ledger down.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LeadingClock(Option<(u64, SystemTime)>);

impl LeadingClock {
    /// What it shows, given the time of a block's parent; `None` if the parent is not ahead of all clocks. `now` is
    /// the time of a clock that nobody sets.
    pub(crate) fn read(&mut self, parent_ms: u64, clocks_ms: &[u64], now: SystemTime) -> Option<u64> {
        let ahead = |clock_ms: u64| parent_ms > clock_ms.saturating_add(AHEAD_MS_MAX);
        if !clocks_ms.iter().all(|clock_ms| ahead(*clock_ms)) {
            self.0 = None;
            return None;
        }
        let shown = self.0.map(|(time_ms, since)| {
            let passed = now.duration_since(since).unwrap_or_default();
            time_ms.saturating_add(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX))
        });
        // Another leap was agreed to without this validator's vote: it begins anew.
        let shown = shown.filter(|shown_ms| !ahead(*shown_ms));
        if shown.is_none() {
            self.0 = Some((parent_ms, now));
        }
        Some(shown.unwrap_or(parent_ms))
    }
}

/// What a validator does with a block because of its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Vote.
    Fits,
    /// It does not fit this validator's clocks; those of others may differ.
    NotYet,
    /// The chain itself forbids it.
    Never,
}

/// Judges the time of a block by every clock this validator has: a step of the machine's clock may have set it
/// right. `leading_ms`: what a [`LeadingClock`] shows.
pub(crate) fn judge(
    time_ms: u64,
    parent_ms: u64,
    stood_still: bool,
    clocks_ms: &[u64],
    leading_ms: Option<u64>,
    floor_ms: u64,
) -> Verdict {
    let ahead = |clock_ms: u64| time_ms > clock_ms.saturating_add(AHEAD_MS_MAX);
    let behind = |clock_ms: u64| clock_ms > time_ms.saturating_add(AHEAD_MS_MAX);
    let fits = match time_ms.cmp(&parent_ms) {
        Ordering::Equal => true,
        Ordering::Greater => clocks_ms.iter().chain(leading_ms.iter()).any(|clock_ms| !ahead(*clock_ms)),
        Ordering::Less if !stood_still => return Verdict::Never,
        Ordering::Less => clocks_ms.iter().any(|clock_ms| {
            may_go_back(parent_ms, *clock_ms, floor_ms) && !ahead(*clock_ms) && !behind(*clock_ms)
        }),
    };
    if fits { Verdict::Fits } else { Verdict::NotYet }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;
    const HOUR: u64 = 3_600_000;

    #[test]
    fn a_block_carries_the_clock_unless_its_parent_is_ahead_of_it() {
        assert_eq!(choose(NOW - 500, NOW, false), NOW);
        assert_eq!(choose(NOW + 500, NOW, false), NOW + 500, "within the bound it waits");
        assert_eq!(choose(NOW + HOUR, NOW, false), NOW + HOUR, "others may know better");
        assert_eq!(choose(NOW + HOUR, NOW, true), NOW, "nobody's clock got there: back");
    }

    #[test]
    fn a_clock_that_has_lost_its_time_takes_nothing_back() {
        let now = 100 * HOUR;
        assert!(may_go_back(now + HOUR, now, 0) && may_go_back(now + HOUR, now, now));
        assert!(!may_go_back(now + AHEAD_MS_MAX, now, 0), "what validators accept is no fault");
        assert!(!may_go_back(now + HOUR, now, now + 1), "the ledger was there before this process was");
        assert!(!may_go_back(now + BACK_MS_MAX + 1, now, 0), "1970");
    }

    #[test]
    fn only_a_clock_that_started_behind_the_ledger_may_have_lost_its_time() {
        let floor =
            |clock_ms| Floor::at_start(NOW, clock_ms, SystemTime::UNIX_EPOCH).ms(SystemTime::UNIX_EPOCH);
        assert_eq!(floor(NOW - HOUR / 4), NOW);
        assert_eq!(floor(NOW - AHEAD_MS_MAX), 0);
        assert_eq!(floor(NOW + HOUR), 0, "it founded or followed the ledger an hour ahead");
    }

    #[test]
    fn an_hour_after_its_start_a_clock_that_is_still_behind_is_believed() {
        let floor = Floor::at_start(NOW + 2 * HOUR, NOW, SystemTime::UNIX_EPOCH);
        let after = |ms| floor.ms(SystemTime::UNIX_EPOCH + Duration::from_millis(ms));
        assert_eq!((after(HOUR - 1), after(HOUR)), (NOW + 2 * HOUR, 0));
        let goes_back = |ms| may_go_back(NOW + 2 * HOUR, NOW + ms, after(ms));
        assert!(!goes_back(HOUR - 1) && goes_back(HOUR));
    }

    #[test]
    fn a_time_ahead_of_both_clocks_waits_and_one_of_them_is_enough() {
        let judge = |time_ms, clocks: &[u64]| judge(time_ms, NOW - 500, false, clocks, None, 0);
        assert_eq!(judge(NOW + AHEAD_MS_MAX, &[NOW, NOW]), Verdict::Fits);
        assert_eq!(judge(NOW + AHEAD_MS_MAX + 1, &[NOW, NOW]), Verdict::NotYet);
        assert_eq!(judge(NOW + HOUR, &[NOW, NOW + HOUR]), Verdict::Fits, "the machine's clock was set right");
        assert_eq!(judge(NOW - 500, &[0, 0]), Verdict::Fits, "the parent's time always fits");
    }

    #[test]
    fn the_time_goes_back_only_after_it_stood_still_and_only_to_what_the_clocks_say() {
        let judge =
            |time_ms, still, clock_ms| judge(time_ms, NOW + HOUR, still, &[clock_ms, clock_ms], None, 0);
        assert_eq!(judge(NOW, false, NOW), Verdict::Never);
        assert_eq!(judge(NOW, true, NOW), Verdict::Fits);
        assert_eq!(judge(NOW, true, NOW + HOUR), Verdict::NotYet, "for this clock the time is right");
        assert_eq!(judge(NOW - AHEAD_MS_MAX - 1, true, NOW), Verdict::NotYet, "too far back");
        assert_eq!(judge(NOW + AHEAD_MS_MAX + 1, true, NOW), Verdict::NotYet, "not far enough");
    }

    #[test]
    fn a_proposer_whose_clocks_differ_goes_by_the_one_nearer_to_the_newest_block() {
        assert_eq!(proposers_clock(NOW - 500, NOW, NOW - HOUR / 40), NOW, "the machine's clock was set back");
        assert_eq!(proposers_clock(NOW - 500, NOW, NOW + HOUR), NOW, "or ahead");
        assert_eq!(proposers_clock(NOW - 500, NOW + HOUR, NOW), NOW, "it started with a wrong clock");
        assert_eq!(proposers_clock(NOW - 500, NOW, NOW - STEP_MS_MIN), NOW, "no step");
        assert_eq!(proposers_clock(NOW + HOUR - 500, NOW + HOUR, NOW), NOW + HOUR, "others agreed to it");
    }

    #[test]
    fn a_leap_that_was_agreed_to_goes_on_as_time_passes_and_no_faster() {
        let (begins, at) = (SystemTime::UNIX_EPOCH, |ms| SystemTime::UNIX_EPOCH + Duration::from_millis(ms));
        let leap = NOW + HOUR;
        let mut leading = LeadingClock::default();
        assert_eq!(leading.read(NOW + AHEAD_MS_MAX, &[NOW, 0], begins), None, "no leap");
        assert_eq!(leading.read(leap, &[NOW, 0], begins), Some(leap));
        let next = |leading: &mut LeadingClock, parent_ms, time_ms, ms: u64| {
            let clocks = [NOW + ms, NOW + ms];
            let leading_ms = leading.read(parent_ms, &clocks, at(ms));
            judge(time_ms, parent_ms, false, &clocks, leading_ms, 0)
        };
        assert_eq!(next(&mut leading, leap, leap + 500, 500), Verdict::Fits);
        // As far ahead as a block may be, again and again: it gains nothing.
        assert_eq!(next(&mut leading, leap + 500, leap + 1_000 + AHEAD_MS_MAX, 1_000), Verdict::Fits);
        let gained = leap + 1_000 + AHEAD_MS_MAX;
        assert_eq!(next(&mut leading, gained, gained + 1, 1_000), Verdict::NotYet);
        assert_eq!(next(&mut leading, gained, gained + 20, 1_020), Verdict::Fits);
        // It stood still meanwhile, and somebody whose clock is there goes on.
        assert_eq!(next(&mut leading, gained, leap + 60_000, 60_000), Verdict::Fits);
        // A second leap that was agreed to.
        let second = leap + 2 * HOUR;
        assert_eq!(next(&mut leading, leap + 60_000, second, 60_500), Verdict::NotYet);
        assert_eq!(next(&mut leading, second, second + 500, 61_000), Verdict::Fits);
        // The time came back: the next leap is a new one.
        assert_eq!(leading.read(NOW + 61_500, &[NOW + 61_500, 0], at(61_500)), None);
        assert_eq!(next(&mut leading, NOW + 61_500, leap + 62_000, 62_000), Verdict::NotYet);
    }
}
