//! Validators on a simulated network, disk and clock: the production wiring of [`consensus`], run so
//! that a seed decides everything. For tests only. It is a crate of its own because compiling the engine
//! for another runtime takes longer than all tests of the ledger.

mod byzantine;
mod byzantine_peer;
mod clock;

use bytes::Bytes;
use byzantine::{FORWARD_TO_ALL, Forward};
use commonware_codec::DecodeExt as _;
use commonware_cryptography::Signer as _;
use commonware_p2p::{
    Manager as _, TrackedPeers,
    simulated::{self, Control, Link, Oracle, Receiver, Sender, SplitSender},
};
use commonware_runtime::{Quota, Spawner as _};
use commonware_utils::{NZU32, NZUsize, ordered::Set};
use consensus::{
    Config, Fault, NodeClock, PeerSets, PeerStatusTable, Platform, PrivateKey, PublicKey, StartError,
    StateMachine,
    engine::{Channels, Settings, run},
    network::message_bytes_max,
    settings,
};
use parking_lot::Mutex;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use vitals::proof::genesis::GenesisDocument;

pub use byzantine::{CHANNELS, CompromisedKey, Twin, TwinPeers};
pub use byzantine_peer::ByzantinePeer;
pub use clock::SimulatedClock;

pub use commonware_runtime::{
    Clock, Handle, Runner, Supervisor,
    deterministic::{self, Context},
};
pub use commonware_utils::{Probability, probability};

fn key(seed: &[u8; 32]) -> PrivateKey {
    PrivateKey::decode(Bytes::copy_from_slice(seed)).expect("a seed of 32 bytes is a key")
}

/// The public key of the validator with this seed.
#[must_use]
pub fn name(seed: &[u8; 32]) -> PublicKey {
    key(seed).public_key()
}

/// The quality of a link.
#[derive(Debug, Clone, Copy)]
pub struct LinkQuality {
    /// Mean delay.
    pub latency: Duration,
    /// Spread of the delay.
    pub jitter: Duration,
    /// Share of messages that arrive.
    pub delivery_rate: Probability,
}

impl Default for LinkQuality {
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(20),
            jitter: Duration::from_millis(5),
            delivery_rate: probability!(0.98),
        }
    }
}

/// The simulated runtime and links.
pub(crate) enum SimulatedPlatform {}

impl Platform for SimulatedPlatform {
    type Runtime = Context;
    type Peers = PeerSets;
    type Blocker = Control<PublicKey, Context>;
    type Sender = SplitSender<PublicKey, Context, Forward>;
    type Receiver = Receiver<PublicKey>;
}

/// A simulated network.
pub struct SimulatedNetwork {
    context: Context,
    oracle: Oracle<PublicKey, Context>,
    /// Every validator there ever was. Links decide which of them can talk.
    known: Mutex<BTreeSet<PublicKey>>,
}

type Ends = consensus::engine::Ends<SimulatedPlatform>;

impl SimulatedNetwork {
    /// A network without links.
    #[must_use]
    pub fn new(context: &Context) -> Self {
        let (network, oracle) = simulated::Network::new(
            context.child("network"),
            simulated::Config {
                max_size: message_bytes_max(),
                max_peers_per_set: NZUsize!(16),
                disconnect_on_block: true,
                tracked_peer_sets: NZUsize!(3),
            },
        );
        network.start();
        Self { context: context.child("validators"), oracle, known: Mutex::default() }
    }

    /// Registers a validator with the network.
    fn register_peer(&self, who: &PublicKey) {
        let mut known = self.known.lock();
        if known.insert(who.clone()) {
            let everybody = Set::from_iter_dedup(known.iter().cloned());
            // The network tells sets apart by their number.
            let _ =
                self.oracle.manager().track(known.len() as u64, TrackedPeers::new(everybody, Set::default()));
        }
    }

    async fn register(
        &self,
        who: &PublicKey,
        kind: u64,
    ) -> (Sender<PublicKey, Context>, Receiver<PublicKey>) {
        let quota = Quota::per_second(NZU32!(1024));
        let ends = self.oracle.control(who.clone()).register(kind, quota).await;
        ends.expect("the simulated network runs")
    }

    /// Starts a validator. `starts` counts its starts; `partition` names its disk. Gives what it observes of
    /// the others, too.
    ///
    /// # Errors
    /// As a node's validator.
    ///
    /// # Panics
    /// If the simulated network is gone.
    pub async fn start(
        &self,
        config: &Config,
        document: &GenesisDocument,
        machine: Arc<dyn StateMachine>,
        seed: &[u8; 32],
        (partition, starts): (&str, u32),
    ) -> Result<(Handle<Fault>, PeerStatusTable), StartError> {
        let me = name(seed);
        self.register_peer(&me);
        let mut ends = Vec::new();
        for kind in 0..CHANNELS.len() {
            let (sender, receiver) = self.register(&me, kind as u64).await;
            ends.push((sender.split_with(FORWARD_TO_ALL).0, receiver));
        }
        self.run(config, document, machine, seed, (partition, starts), ends)
    }

    fn run(
        &self,
        config: &Config,
        document: &GenesisDocument,
        machine: Arc<dyn StateMachine>,
        seed: &[u8; 32],
        (partition, starts): (&str, u32),
        ends: Vec<Ends>,
    ) -> Result<(Handle<Fault>, PeerStatusTable), StartError> {
        let Ok([votes, certificates, resolver, backfill, broadcast, gossip, requests]) =
            <[Ends; 7]>::try_from(ends)
        else {
            return Err(StartError::Config(String::from("there are seven kinds of messages")));
        };
        let channels = Channels { votes, certificates, resolver, backfill, broadcast, gossip, requests };
        let me = key(seed);
        let network = (PeerSets::default(), self.oracle.control(me.public_key()));
        let settings =
            settings::<SimulatedPlatform>(config, document, &*machine, me, network, partition.to_owned())?;
        let context = self.context.child("validator").with_attribute("start", format!("{partition}{starts}"));
        let clock = config.clock.clone().unwrap_or_else(|| Arc::new(SimulatedClock::new(&context, 0)));
        let peer_statuses = settings.peer_statuses();
        Ok((launch((context, clock), settings, channels, machine), peer_statuses))
    }

    /// Links `from` to `to`, one way.
    ///
    /// # Panics
    /// If the simulated network is gone.
    pub async fn link(&self, from: &PublicKey, to: &PublicKey, quality: LinkQuality) {
        let link =
            Link { latency: quality.latency, jitter: quality.jitter, success_rate: quality.delivery_rate };
        // An existing link is replaced.
        let _ = self.oracle.remove_link(from.clone(), to.clone()).await;
        self.oracle.add_link(from.clone(), to.clone(), link).await.expect("the simulated network runs");
    }

    /// Cuts the way from `from` to `to`.
    pub async fn cut(&self, from: &PublicKey, to: &PublicKey) {
        // An error means that there is no link.
        let _ = self.oracle.remove_link(from.clone(), to.clone()).await;
    }

    /// Pairs of validators of which the first has blocked the second for a protocol violation.
    ///
    /// # Panics
    /// If the simulated network is gone.
    pub async fn blocked(&self) -> Vec<(PublicKey, PublicKey)> {
        self.oracle.blocked().await.expect("the simulated network runs")
    }
}

/// Not async, so that the engine is compiled here and not in every crate that starts a validator.
fn launch(
    (context, clock): (Context, Arc<dyn NodeClock>),
    settings: Settings<SimulatedPlatform>,
    channels: Channels<SimulatedPlatform>,
    machine: Arc<dyn StateMachine>,
) -> Handle<Fault> {
    context.spawn(move |context| run((context, clock), settings, channels, machine, || ()))
}
