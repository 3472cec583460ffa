//! A Byzantine peer over real links: it has a validator's key and sends arbitrary bytes.

use crate::key;
use bytes::Bytes;
use commonware_codec::DecodeExt as _;
use commonware_p2p::{Address, AddressableManager as _, AddressableTrackedPeers, Recipients, Sender as _};
use commonware_runtime::{Runner as _, tokio as runtime};
use commonware_utils::ordered::Map;
use consensus::{MonotonicContext, Peer, PublicKey, network};
use std::{net::SocketAddr, path::PathBuf, thread::JoinHandle};
use tokio::sync::mpsc;
use vitals::{ids::Genesis, proof::certificate::namespace};

/// Recipient, channel (index in [`crate::CHANNELS`]) and bytes.
type Outgoing = (PublicKey, usize, Bytes);

/// A peer that passes the handshake and then sends anything. Dropping it closes its links.
pub struct ByzantinePeer {
    outgoing: Option<mpsc::UnboundedSender<Outgoing>>,
    thread: Option<JoinHandle<()>>,
}

impl ByzantinePeer {
    /// Links this key with `peers` of the ledger `genesis`.
    ///
    /// # Panics
    /// If a peer's key or address is invalid, or the operating system refuses.
    #[must_use]
    pub fn new(
        seed: [u8; 32],
        genesis: Genesis,
        listen: SocketAddr,
        peers: &[Peer],
        folder: PathBuf,
    ) -> Self {
        let (sender, mut outgoing) = mpsc::unbounded_channel::<Outgoing>();
        let addressed = peers.iter().map(|peer| {
            let address = peer.address.parse().expect("an address of the test");
            (public(&peer.key), Address::Symmetric(address))
        });
        let peers = Map::from_iter_dedup(addressed.collect::<Vec<_>>());
        let config = runtime::Config::new().with_worker_threads(1).with_storage_directory(folder);
        let run = move || {
            runtime::Runner::new(config).start(|context| async move {
                let space = namespace(genesis);
                let context = MonotonicContext::new(context);
                let (mut oracle, links, _network) = network::listen(&context, key(&seed), &space, listen);
                let _ = oracle.track(0, AddressableTrackedPeers::new(peers, Map::default()));
                let mut ends = [
                    links.votes,
                    links.certificates,
                    links.resolver,
                    links.backfill,
                    links.broadcast,
                    links.gossip,
                    links.requests,
                ];
                while let Some((to, kind, message)) = outgoing.recv().await {
                    ends[kind].0.send(Recipients::One(to), message, true);
                }
            });
        };
        let thread = std::thread::Builder::new().name(String::from("byzantine-peer")).spawn(run);
        Self { outgoing: Some(sender), thread: Some(thread.expect("the operating system has threads")) }
    }

    /// Sends a message, if there is a link.
    ///
    /// # Panics
    /// If the peer's key is invalid.
    pub fn send(&self, to: &[u8; 32], kind: usize, message: &[u8]) {
        if let Some(outgoing) = &self.outgoing {
            // Cannot fail: the thread runs until this is dropped.
            let _ = outgoing.send((public(to), kind, Bytes::copy_from_slice(message)));
        }
    }
}

impl Drop for ByzantinePeer {
    fn drop(&mut self) {
        self.outgoing = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread does not matter any more.
            let _ = thread.join();
        }
    }
}

fn public(key: &[u8; 32]) -> PublicKey {
    PublicKey::decode(Bytes::copy_from_slice(key)).expect("a key of the test")
}
