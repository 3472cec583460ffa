//! The only place that asks the machine for time and chance.
#![allow(clippy::disallowed_methods, reason = "this is the rim: everything else gets these as arguments")]

use parking_lot::Mutex;
use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use vitals::held_clock::{ClockStep, HeldClock};

/// This process's time, held through steps of the machine's clock.
static HELD: LazyLock<Mutex<HeldClock>> =
    LazyLock::new(|| Mutex::new(HeldClock::new(machine_ms(), elapsed_ms())));
static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

fn elapsed_ms() -> u64 {
    u64::try_from(STARTED.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// What the machine's clock shows, milliseconds since 1970.
pub fn machine_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since 1970: the machine's clock, held through its steps ([`HeldClock`]).
pub fn now_ms() -> u64 {
    let mut held = HELD.lock();
    // Read under the lock: an older reading must not follow a newer one.
    held.read(machine_ms(), elapsed_ms())
}

/// Lets this process's time begin this far off the machine's clock, as if that had been set since. For tests of who
/// goes by which of the two.
pub fn begin_off_by(ms: i64) {
    *HELD.lock() = HeldClock::new(machine_ms().saturating_add_signed(ms), elapsed_ms());
}

/// The step of the machine's clock that is named now.
pub fn step() -> Option<ClockStep> {
    let mut held = HELD.lock();
    held.read(machine_ms(), elapsed_ms());
    held.step()
}

/// A point in time that never goes back.
pub fn instant() -> Instant {
    Instant::now()
}

/// Fills a buffer from the operating system's generator.
pub fn entropy(out: &mut [u8]) {
    // Without randomness no key may be made: there is nothing sensible to continue with.
    getrandom::fill(out).expect("the operating system gives random bytes");
}

/// `N` random bytes.
pub fn random<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    entropy(&mut out);
    out
}

/// Waits. Only for what has no event to wait for.
pub fn pause(time: std::time::Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_s_time_is_held_through_a_step_of_the_machine_s_clock() {
        begin_off_by(-10_000);
        let (now_ms, machine_ms) = (now_ms(), machine_ms());
        assert!((9_000..=11_000).contains(&machine_ms.abs_diff(now_ms)), "{now_ms}, {machine_ms}");
        let by_ms = step().expect("it is named").by_ms;
        assert!((9_000..=11_000).contains(&by_ms), "{by_ms}");
    }
}
