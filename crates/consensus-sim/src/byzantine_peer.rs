//! A validator key in the hands of somebody who sends what he likes, over real links.

use crate::key;
use bytes::Bytes;
use commonware_codec::DecodeExt as _;
use commonware_p2p::{Address, AddressableManager as _, AddressableTrackedPeers, Recipients, Sender as _};
use commonware_runtime::{Runner as _, tokio as runtime};
use commonware_utils::ordered::Map;
use consensus::{Peer, PublicKey, network};
use std::{net::SocketAddr, path::PathBuf, thread::JoinHandle};
use tokio::sync::mpsc;
use vitals::{ids::Genesis, proof::certificate::namespace};

/// To whom, on which channel (place in [`crate::CHANNELS`]), what.
type Said = (PublicKey, usize, Bytes);

/// One who passes the handshake, and then says anything. Dropping it cuts its links.
pub struct ByzantinePeer {
    says: Option<mpsc::UnboundedSender<Said>>,
    thread: Option<JoinHandle<()>>,
}

impl ByzantinePeer {
    /// Links this key with `peers` of the ledger `genesis`.
    ///
    /// # Panics
    /// If a peer is none, or the operating system refuses.
    #[must_use]
    pub fn new(
        seed: [u8; 32],
        genesis: Genesis,
        listen: SocketAddr,
        peers: &[Peer],
        folder: PathBuf,
    ) -> Self {
        let (says, mut said) = mpsc::unbounded_channel::<Said>();
        let addressed = peers.iter().map(|peer| {
            let address = peer.address.parse().expect("an address of the test");
            (public(&peer.key), Address::Symmetric(address))
        });
        let peers = Map::from_iter_dedup(addressed.collect::<Vec<_>>());
        let config = runtime::Config::new().with_worker_threads(1).with_storage_directory(folder);
        let run = move || {
            runtime::Runner::new(config).start(|context| async move {
                let space = namespace(genesis);
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
                while let Some((to, kind, message)) = said.recv().await {
                    ends[kind].0.send(Recipients::One(to), message, true);
                }
            });
        };
        let thread = std::thread::Builder::new().name(String::from("byzantine-peer")).spawn(run);
        Self { says: Some(says), thread: Some(thread.expect("the operating system has threads")) }
    }

    /// Says it, if there is a link.
    ///
    /// # Panics
    /// If the peer is none.
    pub fn say(&self, to: &[u8; 32], kind: usize, message: &[u8]) {
        if let Some(says) = &self.says {
            // It runs until it is dropped.
            let _ = says.send((public(to), kind, Bytes::copy_from_slice(message)));
        }
    }
}

impl Drop for ByzantinePeer {
    fn drop(&mut self) {
        self.says = None;
        if let Some(thread) = self.thread.take() {
            // What it said is said.
            let _ = thread.join();
        }
    }
}

fn public(key: &[u8; 32]) -> PublicKey {
    PublicKey::decode(Bytes::copy_from_slice(key)).expect("a key of the test")
}
