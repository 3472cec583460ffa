//! A year and a bit of twenty beds on a moved clock, thinner than the forty days: consents that are renewed, end,
//! are withdrawn and given again, leases and key steps of every day, full disks, restarts. The same observer
//! judges it. A week of it by default; `ACESO_STORY_DAYS=400` (`make sim`) tells all of it.
//!
//! What a tick costs then is held against a ward that has just begun and is told hour by hour in turn with the old
//! one: the same moments of the same machine, processor and heap. The figures of its own first days are printed too;
//! minutes lie between, in which the machine may have become busier or slower.

use super::forty_days::{MINUTE_MS, Step, Story, Telling, Thin, Tick, Told, Work};
use clinic::LeasePlan;
use std::collections::BTreeSet;
use std::ops::Range;

const BEDS: usize = 10;
const HALVES: usize = 2;
/// Every ten minutes, and two minutes around whatever changes. A tick after a block costs thirty others, because the
/// consents of all beds are looked at again; with a block every twenty minutes it is one tick in forty. (With a
/// block an hour it was one in a hundred: the 99th percentile lay between the two kinds, and whether it told of the one
/// or the other hung on how many ticks a day had.)
const THIN: Thin = Thin { block_ms: 20 * MINUTE_MS, every_ms: 10 * MINUTE_MS, around_ms: MINUTE_MS };
/// What days at the end may ask of the ledger, in percent of the same number of days at the beginning.
const WORK_PERCENT_MAX: u64 = 120;

/// What a start may read of the record for each bed, whatever the number of days: two hours of values, which stand
/// close around a renewal, and of the alarms what came since the bed's resume point and what that names.
const READ_AT_A_START_MAX: u64 = 1_000;

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

/// Ticks of some days.
struct Ticks(Vec<Tick>);

impl Ticks {
    fn of(work: &[Work], days: Range<u64>) -> Self {
        let days = usize::try_from(days.start).unwrap()..usize::try_from(days.end).unwrap();
        Self(work[days].iter().flat_map(|day| &day.ticks).copied().collect())
    }

    fn asked(&self) -> u64 {
        self.0.iter().map(|tick| tick.asked).sum()
    }

    /// Microseconds.
    fn percentile(&self, percent: usize) -> f64 {
        let mut took_ns: Vec<u64> = self.0.iter().map(|tick| tick.took_ns).collect();
        took_ns.sort_unstable();
        took_ns.get(took_ns.len() * percent / 100).map_or(0.0, |ns| *ns as f64 / 1_000.0)
    }

    fn told(&self) -> String {
        let [half, most, p99] = [50, 90, 99].map(|percent| self.percentile(percent));
        format!("{half:.1}/{most:.1}/{p99:.1} µs")
    }
}

/// Memory of this process, megabytes.
fn memory_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kb =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
    kb.unwrap_or(0u64) / 1024
}

/// Tells a ward of so many days, the `late` ones hour by hour in turn with the `early` ones of a new ward.
fn side_by_side(days: u64, restarts: BTreeSet<u64>, late: &Range<u64>, early: &Range<u64>) -> (Told, Told) {
    let steps = || if days < 100 { week() } else { year(days) };
    let story = |days: u64, restarts: BTreeSet<u64>| {
        let steps = steps();
        Telling::begin(Story { beds: BEDS, days, plan: LeasePlan::default(), steps, thin: THIN, restarts })
    };
    let mut old = story(days, restarts).until(24 * late.start);
    let mut new = story(early.end, BTreeSet::new()).until(24 * early.start);
    for hour in 1..=24 * (late.end - late.start) {
        old = old.until(24 * late.start + hour);
        new = new.until(24 * early.start + hour);
    }
    (old.until(24 * days).restarted().end(), new.end())
}

#[test]
fn a_year_of_a_ward_costs_no_more_each_day_and_leaves_no_second_unwatched() {
    let days = std::env::var("ACESO_STORY_DAYS").ok().and_then(|days| days.parse().ok()).unwrap_or(7);
    let (first, each) = if days < 100 { (1, 2) } else { (17, 20) };
    let restarts: BTreeSet<u64> = (first..days).step_by(each).map(|day| 24 * day + 13).collect();
    // Days without a restart and without a step of the story, of the old ward and of the new one.
    let (late, early) = if days < 100 { (days - 1..days, 0..1) } else { (days - 8..days - 3, 2..7) };
    let before_mb = memory_mb();
    let halves: Vec<_> = (0..HALVES)
        .map(|_| {
            let (restarts, late, early) = (restarts.clone(), late.clone(), early.clone());
            std::thread::spawn(move || side_by_side(days, restarts, &late, &early))
        })
        .collect();
    for half in halves {
        let (old, new) = half.join().unwrap();
        let complaints: Vec<_> = old.complaints.iter().chain(&new.complaints).collect();
        assert!(complaints.is_empty(), "{complaints:#?}");
        let at_first = Ticks::of(&old.work, early.clone());
        let (then, beside) = (Ticks::of(&old.work, late.clone()), Ticks::of(&new.work, early.clone()));
        println!(
            "{BEDS} beds, {days} days, {} restarts, {} envelopes: tick p50/p90/p99 of days {early:?} {}, of days \
             {late:?} {}, of a new ward told in turn with them {}: p99 {:.2} times as long; questions about consents \
             {} and {}; memory of the process {} MB, {before_mb} MB before; the first start again took {} ms, the \
             last {} ms and read {} envelopes",
            restarts.len(),
            old.envelopes,
            at_first.told(),
            then.told(),
            beside.told(),
            then.percentile(99) / beside.percentile(99),
            beside.asked(),
            then.asked(),
            memory_mb(),
            old.starts[0].took_ms,
            old.starts[old.starts.len() - 1].took_ms,
            old.starts[old.starts.len() - 1].read,
        );
        let most = old.starts.iter().map(|start| start.read).max().unwrap_or_default();
        assert!(most <= BEDS as u64 * READ_AT_A_START_MAX, "a start read {most} envelopes for {BEDS} beds");
        let days = late.end - late.start;
        assert!(beside.asked() > 100 * days, "a day asks something: {} in {days} days", beside.asked());
        assert!(
            then.asked() * 100 <= beside.asked() * WORK_PERCENT_MAX,
            "{} questions in days {late:?}, {} in a new ward",
            then.asked(),
            beside.asked()
        );
    }
}
