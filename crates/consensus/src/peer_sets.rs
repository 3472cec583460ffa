//! The peer sets of one validator, where the network does not keep them: in a committee of one, and in the
//! simulation, whose network has one list for all validators.

use crate::PublicKey;
use commonware_actor::Feedback;
use commonware_p2p::{
    Address, AddressableManager, AddressableTrackedPeers, PeerSetSubscription, PeerSetUpdate, Provider,
    TrackedPeers,
};
use commonware_utils::{channel::mpsc, ordered::Map};
use parking_lot::Mutex;
use std::{fmt, sync::Arc};

/// The peer sets of one validator.
#[derive(Clone, Default)]
pub struct PeerSets(Arc<Mutex<Sets>>);

#[derive(Default)]
struct Sets {
    subscribers: Vec<mpsc::UnboundedSender<PeerSetUpdate<PublicKey>>>,
    latest: Option<PeerSetUpdate<PublicKey>>,
}

impl fmt::Debug for PeerSets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerSets").finish_non_exhaustive()
    }
}

impl PeerSets {
    fn with<T>(&self, act: impl FnOnce(&mut Sets) -> T) -> T {
        act(&mut self.0.lock())
    }
}

impl Provider for PeerSets {
    type PublicKey = PublicKey;

    async fn peer_set(&mut self, id: u64) -> Option<TrackedPeers<PublicKey>> {
        self.with(|sets| sets.latest.as_ref().filter(|set| set.index == id).map(|set| set.latest.clone()))
    }

    async fn subscribe(&mut self) -> PeerSetSubscription<PublicKey> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.with(|sets| {
            if let Some(update) = &sets.latest {
                // Cannot fail: the receiver still exists.
                let _ = sender.send(update.clone());
            }
            sets.subscribers.push(sender);
        });
        receiver
    }
}

impl AddressableManager for PeerSets {
    fn track<R>(&mut self, id: u64, peers: R) -> Feedback
    where
        R: Into<AddressableTrackedPeers<PublicKey>> + Send,
    {
        let peers = peers.into();
        let latest = TrackedPeers::new(peers.primary.into_keys(), peers.secondary.into_keys());
        let update = PeerSetUpdate { index: id, latest: latest.clone(), all: latest };
        self.with(|sets| {
            sets.subscribers.retain(|sender| sender.send(update.clone()).is_ok());
            sets.latest = Some(update);
        });
        Feedback::Ok
    }

    fn overwrite(&mut self, _peers: Map<PublicKey, Address>) -> Feedback {
        Feedback::Ok
    }
}
