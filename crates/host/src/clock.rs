//! The only place that asks the machine for time and chance.
#![allow(clippy::disallowed_methods, reason = "this is the rim: everything else gets these as arguments")]

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
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
