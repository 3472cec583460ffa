//! The network of a committee of one: it has no peers and listens on nothing.

use crate::{PublicKey, peer_sets::PeerSets};
use commonware_actor::{Feedback, Unreliable};
use commonware_p2p::{
    Address, AddressableManager, AddressableTrackedPeers, BlockedSubscription, Blocker, CheckedSender,
    LimitedSender, Message, PeerSetSubscription, Provider, Receiver, Recipients, TrackedPeers,
};
use commonware_runtime::IoBufs;
use commonware_utils::{
    NZUsize,
    channel::ring,
    ordered::{Map, Set},
};
use parking_lot::Mutex;
use std::{convert::Infallible, fmt, future::pending, num::NonZeroUsize, sync::Arc, time::SystemTime};

/// Drops every message.
#[derive(Debug, Clone)]
pub struct NoOpSender;

impl LimitedSender for NoOpSender {
    type PublicKey = PublicKey;
    type Checked<'a> = NoOpSender;

    fn check(&mut self, _recipients: Recipients<PublicKey>) -> Result<NoOpSender, SystemTime> {
        Ok(NoOpSender)
    }
}

impl CheckedSender for NoOpSender {
    type PublicKey = PublicKey;

    fn recipients(&self) -> Vec<PublicKey> {
        Vec::new()
    }

    fn send(self, _message: impl Into<IoBufs> + Send, _priority: bool) -> Unreliable<Feedback> {
        Unreliable::new(Feedback::Ok)
    }
}

/// Never receives a message.
#[derive(Debug)]
pub struct NoOpReceiver;

impl Receiver for NoOpReceiver {
    type Error = Infallible;
    type PublicKey = PublicKey;

    async fn recv(&mut self) -> Result<Message<PublicKey>, Infallible> {
        pending().await
    }

    fn capacity(&self) -> NonZeroUsize {
        NZUsize!(1)
    }
}

/// Keeps the peer sets it is given and connects to none of them.
#[derive(Clone, Default)]
pub struct NoOpOracle {
    sets: PeerSets,
    /// Senders of subscriptions, kept open: an engine whose subscription closes stops.
    blocked: Arc<Mutex<Vec<ring::Sender<Set<PublicKey>>>>>,
}

impl fmt::Debug for NoOpOracle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoOpOracle").finish_non_exhaustive()
    }
}

impl Provider for NoOpOracle {
    type PublicKey = PublicKey;

    async fn peer_set(&mut self, id: u64) -> Option<TrackedPeers<PublicKey>> {
        self.sets.peer_set(id).await
    }

    async fn subscribe(&mut self) -> PeerSetSubscription<PublicKey> {
        self.sets.subscribe().await
    }
}

impl AddressableManager for NoOpOracle {
    fn track<R>(&mut self, id: u64, peers: R) -> Feedback
    where
        R: Into<AddressableTrackedPeers<PublicKey>> + Send,
    {
        self.sets.track(id, peers)
    }

    fn overwrite(&mut self, peers: Map<PublicKey, Address>) -> Feedback {
        self.sets.overwrite(peers)
    }
}

impl Blocker for NoOpOracle {
    type PublicKey = PublicKey;

    fn block(&mut self, _peer: PublicKey) -> Feedback {
        Feedback::Ok
    }

    fn blocked(&mut self) -> BlockedSubscription<PublicKey> {
        let (sender, receiver) = ring::channel(NZUsize!(1));
        self.blocked.lock().push(sender);
        receiver
    }
}
