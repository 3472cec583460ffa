//! How much one place, one session or one person may take, so that something is left for others.

use clinic::Origin;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// Connections at a time, of everybody.
pub const CONNECTIONS_MAX: usize = 512;
/// Connections at a time from one place. A proxy in front is no place.
pub const CONNECTIONS_PER_PLACE_MAX: usize = 64;
/// Requests and connections one place may begin in a row.
pub const REQUESTS_MAX: u64 = 400;
/// A place regains one of them in this time, milliseconds: 50 a second.
pub const REQUEST_MS: u64 = 20;
/// Most places remembered; a place is forgotten once it has regained everything.
pub const PLACES_MAX: usize = 4096;
/// Live streams of one session.
pub const STREAMS_PER_SESSION_MAX: usize = 8;
/// Live streams to one place.
pub const STREAMS_PER_PLACE_MAX: usize = 48;
/// Bundles written at a time: each holds a thread.
pub const BUNDLES_MAX: usize = 4;

/// What each place may still ask for: when it will have regained everything, by a clock that never
/// goes back.
pub(crate) struct Requests {
    places: Mutex<HashMap<Origin, u64>>,
    most: u64,
    each_ms: u64,
}

impl Default for Requests {
    fn default() -> Self {
        Self::new(REQUESTS_MAX, REQUEST_MS)
    }
}

impl Requests {
    /// So many in a row, one regained in so many milliseconds.
    pub(crate) fn new(most: u64, each_ms: u64) -> Self {
        Self { places: Mutex::default(), most, each_ms }
    }

    /// Takes one; or the milliseconds after which to ask again.
    pub(crate) fn take(&self, place: Origin, now_ms: u64) -> Result<(), u64> {
        let mut places = self.places.lock();
        if places.len() >= PLACES_MAX && !places.contains_key(&place) {
            places.retain(|_, at_ms| now_ms < *at_ms);
            if places.len() >= PLACES_MAX {
                let nearest = places.iter().min_by_key(|(_, at_ms)| **at_ms).map(|(place, _)| *place);
                nearest.map(|place| places.remove(&place));
            }
        }
        let at_ms = places.entry(place).or_insert(now_ms);
        let regained_ms = now_ms.max(*at_ms) + self.each_ms;
        let free_ms = regained_ms.saturating_sub(self.most * self.each_ms);
        if now_ms < free_ms {
            return Err(free_ms - now_ms);
        }
        *at_ms = regained_ms;
        Ok(())
    }
}

/// Things held at a time, so many for each holder.
pub(crate) struct PermitPool<K: Hash + Eq + Clone> {
    held: Arc<Mutex<HashMap<K, usize>>>,
    most: usize,
}

/// One thing held; given back when dropped.
pub(crate) struct Permit<K: Hash + Eq + Clone> {
    held: Arc<Mutex<HashMap<K, usize>>>,
    holder: K,
}

impl<K: Hash + Eq + Clone> PermitPool<K> {
    pub(crate) fn new(most: usize) -> Self {
        Self { held: Arc::default(), most }
    }

    /// One more for this holder, if it may have one.
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

    fn place(number: u32) -> Origin {
        Origin::of(IpAddr::V4(Ipv4Addr::from(number)))
    }

    #[test]
    fn a_place_may_ask_in_bursts_and_regains_what_it_took() {
        let requests = Requests::default();
        let answered =
            |now_ms| (0..10_000).filter(|_| requests.take(place(1), now_ms).is_ok()).count() as u64;
        assert_eq!(answered(0), REQUESTS_MAX);
        assert_eq!(requests.take(place(1), 0), Err(REQUEST_MS));
        assert!(requests.take(place(2), 0).is_ok(), "another place is not concerned");
        assert_eq!(answered(10 * REQUEST_MS), 10);
        assert_eq!(answered(1_000_000), REQUESTS_MAX);
    }

    #[test]
    fn memory_for_places_is_bounded() {
        let requests = Requests::default();
        for number in 0..3 * u32::try_from(PLACES_MAX).expect("small") {
            assert!(requests.take(place(number), 0).is_ok());
        }
        assert_eq!(requests.places.lock().len(), PLACES_MAX);
        assert!(requests.take(place(u32::MAX), 1_000_000).is_ok());
        assert_eq!(requests.places.lock().len(), 1, "who regained everything is forgotten");
    }

    #[test]
    fn what_is_given_back_can_be_held_again_and_nothing_stays_behind() {
        let holds = PermitPool::new(2);
        let (one, two) = (holds.take(1), holds.take(1));
        assert!(one.is_some() && two.is_some() && holds.take(1).is_none() && holds.take(2).is_some());
        drop(one);
        assert!(holds.take(1).is_some());
        drop(two);
        assert!(holds.held.lock().is_empty());
    }
}
