//! The queue of sign-ins. Hashing a password takes memory and a core, so only a few are hashed at a time, and
//! fewer from one network. The others wait: at the change of shifts a whole ward signs in at once, often from
//! one address, and nobody should have to type a correct password twice.

use crate::quota::{Permit, PermitPool};
use clinic::Origin;
use clinic::{PASSWORD_HASHES_MAX, PASSWORD_HASHES_PER_ORIGIN_MAX};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most sign-ins at a time, waiting ones included; a further one is refused and may try again.
pub const SIGN_INS_MAX: usize = 64;
/// Most of them from one network, so that somebody who guesses passwords cannot take all.
pub const SIGN_INS_PER_NETWORK_MAX: usize = 32;
/// Longest wait for a turn.
pub const SIGN_IN_WAIT: Duration = Duration::from_secs(10);

/// Sign-ins under way and waiting.
pub(crate) struct SignInQueue {
    queued: Arc<Semaphore>,
    queued_of: PermitPool<Origin>,
    hashing: Arc<Semaphore>,
    /// One semaphore for each network that signs in now. The lock is not held across anything.
    hashing_of: Mutex<HashMap<Origin, Weak<Semaphore>>>,
    within: Duration,
}

/// A turn. Dropping it gives it to the next in the queue. It moves into the task that hashes, which does not end
/// when the client disconnects.
pub(crate) struct SignInPermit {
    _hashing: OwnedSemaphorePermit,
    _hashing_of: OwnedSemaphorePermit,
    _queued_of: Permit<Origin>,
    _queued: OwnedSemaphorePermit,
}

impl SignInQueue {
    pub(crate) fn new(within: Duration) -> Self {
        Self {
            queued: Arc::new(Semaphore::new(SIGN_INS_MAX)),
            queued_of: PermitPool::new(SIGN_INS_PER_NETWORK_MAX),
            hashing: Arc::new(Semaphore::new(PASSWORD_HASHES_MAX)),
            hashing_of: Mutex::default(),
            within,
        }
    }

    fn of(&self, network: Origin) -> Arc<Semaphore> {
        let mut networks = self.hashing_of.lock();
        // Keeps only networks that sign in now.
        networks.retain(|_, semaphore| semaphore.strong_count() > 0);
        networks.get(&network).and_then(Weak::upgrade).unwrap_or_else(|| {
            let fresh = Arc::new(Semaphore::new(PASSWORD_HASHES_PER_ORIGIN_MAX));
            networks.insert(network, Arc::downgrade(&fresh));
            fresh
        })
    }

    /// Waits for a turn; none if the queue is full or the wait is too long.
    pub(crate) async fn take(&self, network: Origin) -> Option<SignInPermit> {
        let queued = self.queued.clone().try_acquire_owned().ok()?;
        let queued_of = self.queued_of.take(network)?;
        let of = self.of(network);
        let permit = async {
            // The network's own permit first: a sign-in that waits for its network must not hold what others could use.
            let hashing_of = of.acquire_owned().await.ok()?;
            let hashing = self.hashing.clone().acquire_owned().await.ok()?;
            Some((hashing, hashing_of))
        };
        let (hashing, hashing_of) = tokio::time::timeout(self.within, permit).await.ok()??;
        Some(SignInPermit {
            _hashing: hashing,
            _hashing_of: hashing_of,
            _queued_of: queued_of,
            _queued: queued,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{IpAddr, Ipv4Addr};
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn network(last: u8) -> Origin {
        Origin::of(IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)))
    }

    /// Looks whether a turn has come, without waiting.
    fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn a_sign_in_over_the_limit_waits_and_one_from_another_network_does_not() {
        let turns = SignInQueue::new(SIGN_IN_WAIT);
        let mut held = Vec::new();
        for _ in 0..PASSWORD_HASHES_PER_ORIGIN_MAX {
            held.push(turns.take(network(1)).await.expect("free"));
        }
        let mut third = pin!(turns.take(network(1)));
        assert!(poll_once(third.as_mut()).is_pending(), "two from one network at a time");
        let other = turns.take(network(2)).await;
        assert!(other.is_some(), "another network does not wait behind it");
        held.pop();
        assert!(matches!(poll_once(third.as_mut()), Poll::Ready(Some(_))), "its turn has come");
    }

    #[tokio::test]
    async fn no_more_passwords_are_hashed_at_a_time_than_allowed() {
        let turns = SignInQueue::new(SIGN_IN_WAIT);
        let mut held = Vec::new();
        for last in 0..u8::try_from(PASSWORD_HASHES_MAX).expect("small") {
            held.push(turns.take(network(last)).await.expect("free"));
        }
        let mut next = pin!(turns.take(network(99)));
        assert!(poll_once(next.as_mut()).is_pending());
        held.pop();
        assert!(matches!(poll_once(next.as_mut()), Poll::Ready(Some(_))));
    }

    #[tokio::test]
    async fn the_queue_is_bounded_for_each_network_and_for_all_and_forgets_who_left() {
        let turns = SignInQueue::new(SIGN_IN_WAIT);
        let flood = || {
            let mut line: Vec<_> =
                (0..SIGN_INS_PER_NETWORK_MAX).map(|_| Box::pin(turns.take(network(66)))).collect();
            let ready: Vec<_> = line.iter_mut().map(|one| poll_once(one.as_mut())).collect();
            assert_eq!(ready.iter().filter(|one| one.is_ready()).count(), PASSWORD_HASHES_PER_ORIGIN_MAX);
            (line, ready)
        };
        {
            let _flood = flood();
            assert!(turns.take(network(66)).await.is_none(), "this network has no more room in the queue");
            assert!(turns.take(network(1)).await.is_some(), "another has");
        }
        // All of them left: the whole queue is free again.
        let _flood = flood();
        assert!(turns.of(network(66)).available_permits() == 0);
    }

    #[tokio::test]
    async fn a_sign_in_that_waits_too_long_is_refused() {
        let turns = SignInQueue::new(Duration::from_millis(20));
        let mut held = Vec::new();
        for _ in 0..PASSWORD_HASHES_PER_ORIGIN_MAX {
            held.push(turns.take(network(1)).await.expect("free"));
        }
        assert!(turns.take(network(1)).await.is_none());
        held.clear();
        assert!(turns.take(network(1)).await.is_some());
        assert_eq!(turns.hashing.available_permits(), PASSWORD_HASHES_MAX, "nothing stays behind");
        assert_eq!(turns.queued.available_permits(), SIGN_INS_MAX);
    }
}
