//! Where the bench asks the machine for time and chance, and for what a process has used.

pub(crate) use host::clock::{entropy, instant, now_ms, pause};

use anyhow::{Context, Result};
use std::collections::BTreeMap;

/// Clock ticks of `/proc` in a second, on every Linux this runs on.
const TICKS_PER_S: f64 = 100.0;
const PAGE_BYTES: u64 = 4096;

/// CPU this thread has used, seconds (user and system).
pub(crate) fn thread_cpu_s() -> f64 {
    // The kernel brings a running thread's account up to date when it gives way.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns: f64 = text.split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or(0.0);
    ns / 1e9
}

/// CPU a process has used in all, seconds, in steps of 10 ms.
pub(crate) fn process_cpu_s(pid: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("the process has ended")?;
    let fields = text.rsplit_once(')').context("a line of /proc")?.1;
    let tick = |at: usize| fields.split_whitespace().nth(at).and_then(|ticks| ticks.parse::<f64>().ok());
    Ok((tick(11).unwrap_or(0.0) + tick(12).unwrap_or(0.0)) / TICKS_PER_S)
}

/// CPU by thread name, seconds.
pub(crate) fn threads_cpu_s(pid: u32) -> BTreeMap<String, f64> {
    let mut found = BTreeMap::new();
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return found };
    for task in tasks.flatten() {
        let read = |name: &str| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let name = read("comm").trim().trim_end_matches(char::is_numeric).to_owned();
        let used: f64 =
            read("schedstat").split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or(0.0);
        *found.entry(name).or_insert(0.0) += used / 1e9;
    }
    found
}

/// Memory a process holds, bytes.
pub(crate) fn resident_bytes(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    text.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * PAGE_BYTES
}

/// Processes that wanted a processor over the last minute, and processors.
pub(crate) fn load() -> (String, usize) {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (load.split_whitespace().next().unwrap_or("?").to_owned(), cores)
}

/// The middle of some figures.
pub(crate) fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The figure that `share` of all are not above.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let at = ((sorted.len() as f64 - 1.0) * share).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}
