//! How much one network, one session or one person may use, so that something is left for others.

use ::quota::{Buckets, Rate};
use clinic::Origin;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// Most connections at a time.
pub const CONNECTIONS_MAX: usize = 512;
/// Most connections at a time from one network. A proxy in front does not count as one.
pub const CONNECTIONS_PER_NETWORK_MAX: usize = 64;
/// Requests and connections that one network may begin in a burst.
pub const REQUESTS_MAX: u32 = 400;
/// A network regains one of them in this time, milliseconds: 50 a second.
pub const REQUEST_MS: u32 = 20;
/// Most networks kept apart; one is dropped once it has regained everything. While so many have not, further
/// networks share what one may take.
pub const NETWORKS_MAX: usize = 4096;
/// Most live streams of one session.
pub const STREAMS_PER_SESSION_MAX: usize = 8;
/// Most live streams to one network.
pub const STREAMS_PER_NETWORK_MAX: usize = 48;
/// Most bundles written at a time: each uses a thread.
pub const BUNDLES_MAX: usize = 4;

/// What each network may still ask for. Time is that of a clock that never goes back, milliseconds.
pub(crate) struct Requests(Mutex<Buckets<Origin>>);

impl Default for Requests {
    fn default() -> Self {
        Self::new(Rate::one_in(REQUESTS_MAX, REQUEST_MS))
    }
}

impl Requests {
    /// Full buckets of this rate, of which at most [`NETWORKS_MAX`] are kept apart.
    pub(crate) fn new(rate: Rate) -> Self {
        Self(Mutex::new(Buckets::new(rate, NETWORKS_MAX)))
    }

    /// Takes one; else the milliseconds after which to try again.
    pub(crate) fn take(&self, network: Origin, now_ms: u64) -> Result<(), u64> {
        self.0.lock().take(network, now_ms)
    }
}

/// At most `most` permits at a time for each holder.
pub(crate) struct PermitPool<K: Hash + Eq + Clone> {
    held: Arc<Mutex<HashMap<K, usize>>>,
    most: usize,
}

/// One permit; given back when dropped.
pub(crate) struct Permit<K: Hash + Eq + Clone> {
    held: Arc<Mutex<HashMap<K, usize>>>,
    holder: K,
}

impl<K: Hash + Eq + Clone> PermitPool<K> {
    pub(crate) fn new(most: usize) -> Self {
        Self { held: Arc::default(), most }
    }

    /// One more permit for this holder, if it may have one.
    pub(crate) fn take(&self, holder: K) -> Option<Permit<K>> {
        let mut held = self.held.lock();
        let count = held.get(&holder).copied().unwrap_or(0);
        if count >= self.most {
            return None;
        }
        held.insert(holder.clone(), count + 1);
        Some(Permit { held: self.held.clone(), holder })
    }
}

impl<K: Hash + Eq + Clone> Drop for Permit<K> {
    fn drop(&mut self) {
        let mut held = self.held.lock();
        if let Some(count) = held.get_mut(&self.holder) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.holder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{IpAddr, Ipv4Addr};

    fn network(number: u32) -> Origin {
        Origin::of(IpAddr::V4(Ipv4Addr::from(number)))
    }

    #[test]
    fn a_network_may_send_a_burst_and_regains_what_it_used() {
        let requests = Requests::default();
        let answered = |now_ms| (0..10_000).filter(|_| requests.take(network(1), now_ms).is_ok()).count();
        assert_eq!(answered(0), REQUESTS_MAX as usize);
        assert_eq!(requests.take(network(1), 0), Err(REQUEST_MS.into()));
        assert!(requests.take(network(2), 0).is_ok(), "another network is not affected");
        assert_eq!(answered(10 * u64::from(REQUEST_MS)), 10);
        assert_eq!(answered(1_000_000), REQUESTS_MAX as usize);
    }

    #[test]
    fn memory_for_networks_is_bounded() {
        let requests = Requests::default();
        let networks = u32::try_from(NETWORKS_MAX).expect("small");
        for number in 0..networks {
            assert!(requests.take(network(number), 0).is_ok());
        }
        let beyond = (networks..3 * networks).filter(|number| requests.take(network(*number), 0).is_ok());
        assert_eq!(beyond.count(), REQUESTS_MAX as usize, "further networks share what one may take");
        assert_eq!(requests.0.lock().len(), NETWORKS_MAX);
        assert!(requests.take(network(u32::MAX), 1_000_000).is_ok());
        assert_eq!(requests.0.lock().len(), 1, "a network that regained everything is forgotten");
    }

    #[test]
    fn a_permit_that_is_given_back_can_be_taken_again_and_leaves_no_entry() {
        let holds = PermitPool::new(2);
        let (one, two) = (holds.take(1), holds.take(1));
        assert!(one.is_some() && two.is_some() && holds.take(1).is_none() && holds.take(2).is_some());
        drop(one);
        assert!(holds.take(1).is_some());
        drop(two);
        assert!(holds.held.lock().is_empty());
    }
}
