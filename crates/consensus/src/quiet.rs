//! The network of a committee of one: nobody to talk to, so nothing listens.

use crate::PublicKey;
use commonware_actor::{Feedback, Unreliable};
use commonware_p2p::{
    Address, AddressableManager, AddressableTrackedPeers, BlockedSubscription, Blocker, CheckedSender,
    LimitedSender, Message, PeerSetSubscription, PeerSetUpdate, Provider, Receiver, Recipients, TrackedPeers,
};
use commonware_runtime::IoBufs;
use commonware_utils::{
    NZUsize,
    channel::{mpsc, ring},
    ordered::{Map, Set},
};
use std::{
    convert::Infallible,
    future::pending,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

/// Sends to nobody.
#[derive(Debug, Clone)]
pub(crate) struct QuietSender;

impl LimitedSender for QuietSender {
    type PublicKey = PublicKey;
    type Checked<'a> = QuietSender;

    fn check(&mut self, _recipients: Recipients<PublicKey>) -> Result<QuietSender, SystemTime> {
        Ok(QuietSender)
    }
}

impl CheckedSender for QuietSender {
    type PublicKey = PublicKey;

    fn recipients(&self) -> Vec<PublicKey> {
        Vec::new()
    }

    fn send(self, _message: impl Into<IoBufs> + Send, _priority: bool) -> Unreliable<Feedback> {
        Unreliable::new(Feedback::Ok)
    }
}

/// Hears nothing.
#[derive(Debug)]
pub(crate) struct QuietReceiver;

impl Receiver for QuietReceiver {
    type Error = Infallible;
    type PublicKey = PublicKey;

    async fn recv(&mut self) -> Result<Message<PublicKey>, Infallible> {
        pending().await
    }

    fn capacity(&self) -> NonZeroUsize {
        NZUsize!(1)
    }
}

/// Keeps the peer sets it is told and connects to none of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct QuietOracle(Arc<Mutex<Subscribers>>);

/// The open ends of subscriptions: an engine whose subscription closes stops.
#[derive(Default)]
struct Subscribers {
    peer_sets: Vec<mpsc::UnboundedSender<PeerSetUpdate<PublicKey>>>,
    blocked: Vec<ring::Sender<Set<PublicKey>>>,
    latest: Option<PeerSetUpdate<PublicKey>>,
}

impl std::fmt::Debug for Subscribers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscribers").finish_non_exhaustive()
    }
}

impl QuietOracle {
    fn with<T>(&self, act: impl FnOnce(&mut Subscribers) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Provider for QuietOracle {
    type PublicKey = PublicKey;

    async fn peer_set(&mut self, id: u64) -> Option<TrackedPeers<PublicKey>> {
        self.with(|known| known.latest.as_ref().filter(|set| set.index == id).map(|set| set.latest.clone()))
    }

    async fn subscribe(&mut self) -> PeerSetSubscription<PublicKey> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.with(|known| {
            if let Some(update) = &known.latest {
                // The receiver is in hand, so this cannot fail.
                let _ = sender.send(update.clone());
            }
            known.peer_sets.push(sender);
        });
        receiver
    }
}

impl AddressableManager for QuietOracle {
    fn track<R>(&mut self, id: u64, peers: R) -> Feedback
    where
        R: Into<AddressableTrackedPeers<PublicKey>> + Send,
    {
        let peers = peers.into();
        let latest = TrackedPeers::new(peers.primary.into_keys(), peers.secondary.into_keys());
        let update = PeerSetUpdate { index: id, latest: latest.clone(), all: latest };
        self.with(|known| {
            known.peer_sets.retain(|sender| sender.send(update.clone()).is_ok());
            known.latest = Some(update);
        });
        Feedback::Ok
    }

    fn overwrite(&mut self, _peers: Map<PublicKey, Address>) -> Feedback {
        Feedback::Ok
    }
}

impl Blocker for QuietOracle {
    type PublicKey = PublicKey;

    fn block(&mut self, _peer: PublicKey) -> Feedback {
        Feedback::Ok
    }

    fn blocked(&mut self) -> BlockedSubscription<PublicKey> {
        let (sender, receiver) = ring::channel(NZUsize!(1));
        self.with(|known| known.blocked.push(sender));
        receiver
    }
}
