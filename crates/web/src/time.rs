//! How moments and durations are written on a page.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use vitals::clock_fault::LEDGER_APART_MS_MAX;

/// How long ago, in the largest unit that says it: `2 s`, `4 min`, `3 h`, `2 days`.
#[must_use]
pub fn age(ms: u64) -> String {
    match ms / 1000 {
        s @ 0..=89 => format!("{s} s"),
        s @ 90..=5399 => format!("{} min", (s + 30) / 60),
        s @ 5400..=172_799 => format!("{} h", (s + 1800) / 3600),
        s => format!("{} days", s / 86_400),
    }
}

/// When something happened, seen from now. What lies clearly in the future was marked by a wrong clock, and is not
/// passed off as new.
#[must_use]
pub fn ago(at_ms: u64, now_ms: u64) -> String {
    match at_ms.checked_sub(now_ms) {
        Some(ahead_ms) if ahead_ms > LEDGER_APART_MS_MAX => {
            format!("{} in the future: a clock is wrong", age(ahead_ms))
        }
        _ => format!("{} ago", age(now_ms.saturating_sub(at_ms))),
    }
}

/// How much time is left, rounded down: `3 days`, `5 hours`, `12 minutes`.
#[must_use]
pub fn left(ms: u64) -> String {
    let said = |number: u64, one: &str| format!("{number} {one}{}", if number == 1 { "" } else { "s" });
    match ms / 60_000 {
        minutes @ 2880.. => said(minutes / 1440, "day"),
        minutes @ 120.. => said(minutes / 60, "hour"),
        minutes => said(minutes, "minute"),
    }
}

/// How far a clock is off, from how many milliseconds it is behind (negative: ahead).
#[must_use]
pub fn off(behind_ms: i64) -> String {
    let far = match behind_ms.unsigned_abs() / 86_400_000 {
        days @ 731.. => format!("{} years", days * 4 / 1461),
        _ => age(behind_ms.unsigned_abs()),
    };
    format!("{far} {}", if behind_ms < 0 { "ahead" } else { "behind" })
}

/// A moment, written for machines and for people. People get UTC from the server; the page's own
/// script rewrites it in the viewer's zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

impl Moment {
    /// Date and time of day, UTC. What lies beyond the year 9999 is its end.
    fn civil(self) -> DateTime {
        let moment = i64::try_from(self.0).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        Offset::UTC.to_datetime(moment.unwrap_or(Timestamp::MAX))
    }

    /// `2026-11-22T13:05:12.345Z`.
    #[must_use]
    pub fn iso(self) -> String {
        self.civil().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
    }

    /// `13:05:12 UTC`.
    #[must_use]
    pub fn clock(self) -> String {
        self.civil().strftime("%H:%M:%S UTC").to_string()
    }

    /// `13:05`.
    #[must_use]
    pub fn minute(self) -> String {
        self.civil().strftime("%H:%M").to_string()
    }

    /// `22 November 2026`.
    #[must_use]
    pub fn date(self) -> String {
        self.civil().strftime("%-d %B %Y").to_string()
    }

    /// `22 November 2026, 13:05:12 UTC`.
    #[must_use]
    pub fn full(self) -> String {
        format!("{}, {}", self.date(), self.clock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_name_the_right_day() {
        assert_eq!(Moment(0).iso(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Moment(951_782_400_000).date(), "29 February 2000");
        assert_eq!(Moment(1_795_353_912_345).iso(), "2026-11-22T13:25:12.345Z");
        assert_eq!(Moment(4_102_444_800_000).date(), "1 January 2100");
        assert_eq!(Moment(1_795_353_912_345).full(), "22 November 2026, 13:25:12 UTC");
        assert_eq!(
            Moment(u64::MAX).date(),
            Moment(253_402_207_200_000).date(),
            "the end of what can be written"
        );
    }

    #[test]
    fn ages_use_the_unit_that_says_it() {
        assert_eq!(age(2_400), "2 s");
        assert_eq!(age(240_000), "4 min");
        assert_eq!(age(7_200_000), "2 h");
        assert_eq!(age(200_000_000), "2 days");
    }

    #[test]
    fn what_lies_in_the_future_is_no_second_old() {
        assert_eq!(ago(60_000, 62_400), "2 s ago");
        assert_eq!(ago(62_400, 60_000), "0 s ago");
        assert_eq!(ago(3_660_000, 60_000), "60 min in the future: a clock is wrong");
    }

    #[test]
    fn the_time_left_is_rounded_down() {
        assert_eq!(left(3 * 86_400_000 - 1), "2 days");
        assert_eq!(left(47 * 3_600_000), "47 hours");
        assert_eq!(left(119 * 60_000), "119 minutes");
        assert_eq!(left(60_000), "1 minute");
    }

    #[test]
    fn a_wrong_clock_says_how_far_and_which_way() {
        assert_eq!(off(3_600_000), "60 min behind");
        assert_eq!(off(-7_200_000), "2 h ahead");
        assert_eq!(off(1_795_348_000_000), "56 years behind");
    }
}
