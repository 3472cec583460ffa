//! A year and a bit of twenty beds on a moved clock, thinner than the forty days: consents that are renewed, end,
//! are withdrawn and given again, leases and key steps of every day, full disks, restarts. The same observer
//! judges it. A week of it by default; `ACESO_STORY_DAYS=400` (`make sim`) tells all of it.

use super::forty_days::{MINUTE_MS, Step, Story, Thin, Told, Work, told};
use clinic::LeasePlan;
use std::collections::BTreeSet;

const BEDS: usize = 10;
const HALVES: usize = 2;
/// Every ten minutes, and two minutes around whatever changes.
const THIN: Thin = Thin { every_ms: 10 * MINUTE_MS, around_ms: MINUTE_MS };
/// What a day at the end may ask of the ledger, in percent of the second day.
const WORK_PERCENT_MAX: u64 = 120;

/// One patient renews in time, one lets it end, one withdraws and comes back, one consents for a year.
fn year(days: u64) -> Vec<(u64, usize, Step)> {
    let mut steps = Vec::new();
    for bed in 0..BEDS {
        let mut every = |from_day: u64, each: u64, hour: u64, step: fn() -> Step| {
            let at = (from_day..days).step_by(usize::try_from(each).unwrap());
            steps.extend(at.map(|day| (24 * day + hour, bed, step())));
        };
        match bed % 4 {
            0 => every(27, 30, 5, || Step::LetWatch { days: 33 }),
            1 => every(31, 40, 7, || Step::LetWatch { days: 38 }),
            2 => {
                every(9, 45, 3, || Step::Withdraw);
                every(10, 45, 9, || Step::LetWatch { days: 60 });
            }
            _ => every(20, 355, 6, || Step::LetWatch { days: 360 }),
        }
    }
    for day in (20..days).step_by(100) {
        steps.extend([(24 * day, 0, Step::DiskFull(true)), (24 * day + 10, 0, Step::DiskFull(false))]);
    }
    steps.sort_by_key(|(hour, ..)| *hour);
    steps
}

/// A week of the same.
fn week() -> Vec<(u64, usize, Step)> {
    let mut steps = vec![(70, 0, Step::DiskFull(true)), (80, 0, Step::DiskFull(false))];
    for bed in (1..BEDS).step_by(3) {
        steps.extend([(30, bed, Step::Withdraw), (54, bed, Step::LetWatch { days: 20 })]);
    }
    steps.sort_by_key(|(hour, ..)| *hour);
    steps
}

fn percentile(work: &Work, percent: usize) -> f64 {
    let mut ticks = work.ticks_ns.clone();
    ticks.sort_unstable();
    ticks.get(ticks.len() * percent / 100).map_or(0.0, |ns| *ns as f64 / 1_000.0)
}

/// Memory of this process, megabytes.
fn memory_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kb =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
    kb.unwrap_or(0u64) / 1024
}

#[test]
fn a_year_of_a_ward_costs_no_more_each_day_and_leaves_no_second_unwatched() {
    let days = std::env::var("ACESO_STORY_DAYS").ok().and_then(|days| days.parse().ok()).unwrap_or(7);
    let (first, each) = if days < 100 { (1, 2) } else { (17, 20) };
    let restarts: BTreeSet<u64> = (first..days).step_by(each).map(|day| 24 * day + 13).collect();
    let before_mb = memory_mb();
    let halves: Vec<_> = (0..HALVES)
        .map(|_| {
            let steps = if days < 100 { week() } else { year(days) };
            let (plan, restarts) = (LeasePlan::default(), restarts.clone());
            let story = Story { beds: BEDS, days, plan, steps, thin: THIN, restarts };
            std::thread::spawn(move || told(story))
        })
        .collect();
    for half in halves {
        let Told { complaints, work, envelopes } = half.join().unwrap();
        assert!(complaints.is_empty(), "{complaints:#?}");
        // Day 1 if there are just a few days: on the second somebody withdraws. The last whole day.
        let second = &work[if days < 100 { 0 } else { 2 }];
        let last = &work[usize::try_from(days).unwrap() - 2];
        println!(
            "{BEDS} beds, {days} days, {} restarts, {envelopes} envelopes: tick p50/p99 day 2 {:.0}/{:.0} µs, \
             day {} {:.0}/{:.0} µs; questions about consents {} and {}; memory of the process {} MB, {before_mb} MB before",
            restarts.len(),
            percentile(second, 50),
            percentile(second, 99),
            days - 2,
            percentile(last, 50),
            percentile(last, 99),
            second.questions,
            last.questions,
            memory_mb(),
        );
        assert!(second.questions > 100, "a day asks something: {}", second.questions);
        assert!(
            last.questions * 100 <= second.questions * WORK_PERCENT_MAX,
            "{} questions on day {}, {} on the second",
            last.questions,
            days - 2,
            second.questions
        );
    }
}
