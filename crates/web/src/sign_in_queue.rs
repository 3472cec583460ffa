//! Signing in, in turn. Stretching a password takes memory and a core, so only a few are stretched at a
//! time, and fewer of one place. Who comes meanwhile waits for a moment: at the change of shifts a whole
//! ward signs in at once, often from behind one address, and nobody should type a right password twice.

use crate::quota::{Permit, PermitPool};
use clinic::Origin;
use clinic::{PASSWORD_HASHES_MAX, PASSWORD_HASHES_PER_ORIGIN_MAX};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Sign-ins at a time, those that wait among them; a further one is told to try again.
pub const SIGN_INS_MAX: usize = 64;
/// Most of them for one place, so that a stranger who guesses cannot take all.
pub const SIGN_INS_PER_PLACE_MAX: usize = 32;
/// How long one waits for the turn.
pub const SIGN_IN_WAIT: Duration = Duration::from_secs(10);

/// Who is signing in, and who waits for it.
pub(crate) struct SignInQueue {
    here: Arc<Semaphore>,
    here_of: PermitPool<Origin>,
    stretching: Arc<Semaphore>,
    /// Of the places that are signing in now; not held across anything.
    stretching_of: Mutex<HashMap<Origin, Weak<Semaphore>>>,
    within: Duration,
}

/// One's turn; the next one's when dropped. Goes along with the stretching itself, which does not end
/// when the asker goes away.
pub(crate) struct SignInPermit {
    _stretching: OwnedSemaphorePermit,
    _stretching_of: OwnedSemaphorePermit,
    _here_of: Permit<Origin>,
    _here: OwnedSemaphorePermit,
}

impl SignInQueue {
    pub(crate) fn new(within: Duration) -> Self {
        Self {
            here: Arc::new(Semaphore::new(SIGN_INS_MAX)),
            here_of: PermitPool::new(SIGN_INS_PER_PLACE_MAX),
            stretching: Arc::new(Semaphore::new(PASSWORD_HASHES_MAX)),
            stretching_of: Mutex::default(),
            within,
        }
    }

    fn of(&self, place: Origin) -> Arc<Semaphore> {
        let mut places = self.stretching_of.lock();
        // As many stay as sign in at a time, at most.
        places.retain(|_, semaphore| semaphore.strong_count() > 0);
        places.get(&place).and_then(Weak::upgrade).unwrap_or_else(|| {
            let fresh = Arc::new(Semaphore::new(PASSWORD_HASHES_PER_ORIGIN_MAX));
            places.insert(place, Arc::downgrade(&fresh));
            fresh
        })
    }

    /// Waits for one's turn; nothing if too many wait already, or it took too long.
    pub(crate) async fn take(&self, place: Origin) -> Option<SignInPermit> {
        let here = self.here.clone().try_acquire_owned().ok()?;
        let here_of = self.here_of.take(place)?;
        let of = self.of(place);
        let permit = async {
            // The place's first: who waits behind the own place must not hold what others could use.
            let stretching_of = of.acquire_owned().await.ok()?;
            let stretching = self.stretching.clone().acquire_owned().await.ok()?;
            Some((stretching, stretching_of))
        };
        let (stretching, stretching_of) = tokio::time::timeout(self.within, permit).await.ok()??;
        Some(SignInPermit {
            _stretching: stretching,
            _stretching_of: stretching_of,
            _here_of: here_of,
            _here: here,
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

    fn place(last: u8) -> Origin {
        Origin::of(IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)))
    }

    /// Looks whether a turn has come, without waiting.
    fn look<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn who_comes_meanwhile_waits_and_another_place_does_not() {
        let turns = SignInQueue::new(SIGN_IN_WAIT);
        let mut held = Vec::new();
        for _ in 0..PASSWORD_HASHES_PER_ORIGIN_MAX {
            held.push(turns.take(place(1)).await.expect("free"));
        }
        let mut third = pin!(turns.take(place(1)));
        assert!(look(third.as_mut()).is_pending(), "two of one place at a time");
        let elsewhere = turns.take(place(2)).await;
        assert!(elsewhere.is_some(), "another place does not wait behind it");
        held.pop();
        assert!(matches!(look(third.as_mut()), Poll::Ready(Some(_))), "its turn has come");
    }

    #[tokio::test]
    async fn never_more_are_stretched_at_a_time_than_there_is_room_for() {
        let turns = SignInQueue::new(SIGN_IN_WAIT);
        let mut held = Vec::new();
        for last in 0..u8::try_from(PASSWORD_HASHES_MAX).expect("small") {
            held.push(turns.take(place(last)).await.expect("free"));
        }
        let mut next = pin!(turns.take(place(99)));
        assert!(look(next.as_mut()).is_pending());
        held.pop();
        assert!(matches!(look(next.as_mut()), Poll::Ready(Some(_))));
    }

    #[tokio::test]
    async fn the_line_is_bounded_for_a_place_and_for_all_and_nobody_who_left_stays_in_it() {
        let turns = SignInQueue::new(SIGN_IN_WAIT);
        let flood = || {
            let mut line: Vec<_> =
                (0..SIGN_INS_PER_PLACE_MAX).map(|_| Box::pin(turns.take(place(66)))).collect();
            let ready: Vec<_> = line.iter_mut().map(|one| look(one.as_mut())).collect();
            assert_eq!(ready.iter().filter(|one| one.is_ready()).count(), PASSWORD_HASHES_PER_ORIGIN_MAX);
            (line, ready)
        };
        {
            let _flood = flood();
            assert!(turns.take(place(66)).await.is_none(), "this place has no more room in the line");
            assert!(turns.take(place(1)).await.is_some(), "another has");
        }
        // All of them went away: the whole line is free again.
        let _flood = flood();
        assert!(turns.of(place(66)).available_permits() == 0);
    }

    #[tokio::test]
    async fn who_waits_too_long_is_told_so() {
        let turns = SignInQueue::new(Duration::from_millis(20));
        let mut held = Vec::new();
        for _ in 0..PASSWORD_HASHES_PER_ORIGIN_MAX {
            held.push(turns.take(place(1)).await.expect("free"));
        }
        assert!(turns.take(place(1)).await.is_none());
        held.clear();
        assert!(turns.take(place(1)).await.is_some());
        assert_eq!(turns.stretching.available_permits(), PASSWORD_HASHES_MAX, "nothing stays behind");
        assert_eq!(turns.here.available_permits(), SIGN_INS_MAX);
    }
}
