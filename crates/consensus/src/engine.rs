//! The wiring of one validator, the same for every runtime and network.
//!
//! Read [`run`] from top to bottom: open what is on disk, start the parts that carry blocks, bring the
//! state machine up to date, then run one consensus instance per epoch until something breaks.
//!
//! Compiling an instance of [`run`] takes most of this crate's build time: the node has one, the
//! simulation of the tests another. Keep code that changes often out of these files.

mod archive;
mod config;
mod epoch;
mod finalized;
mod storage;

use crate::{
    Digest, NodeClock, PrivateKey, PublicKey, Scheme,
    application::Builder,
    block::Block,
    block_time::Floor,
    certificate::{to_certificate, to_finalization},
    gossip,
    machine::{NotCommitted, SnapshotBase, StateMachine},
    peer_status::{ObservingBlocker, PeerStatusTable},
    peers::AddressBook,
    request_response,
    schemes::Schemes,
    validating_receiver::ValidatingReceiver,
};
use commonware_broadcast::buffered;
use commonware_consensus::{
    Heightable as _,
    marshal::{
        Start,
        core::{Actor as MarshalActor, Mailbox as MarshalMailbox},
        resolver::p2p as marshal_resolver,
        standard::{Deferred, Standard},
    },
    types::{Epoch, Epocher as _, FixedEpocher, Height},
};
use commonware_cryptography::{Digested, Digestible as _, Signer as _};
use commonware_macros::select;
use commonware_p2p::{
    Address, AddressableManager, AddressableTrackedPeers, Blocker, Message, Receiver, Sender,
};
use commonware_parallel::Sequential;
use commonware_runtime::{
    Clock, Handle, Metrics, Network, Spawner, Storage, Supervisor as _, buffer::paged::CacheRef,
};
use commonware_utils::{
    Acknowledgement as _, NZU16, NZUsize, acknowledgement::Exact, channel::mpsc, ordered::Map, ordered::Set,
    vec::NonEmptyVec,
};
use epoch::{EpochRoot, Epochs};
use finalized::{FinalizedQueue, catch_up, certificate_of_last, deliver};
use rand_core::CryptoRng;
use std::{num::NonZeroU64, sync::Arc, time::Duration};

/// Fewest final blocks that are kept, whatever is configured: the next proposer reads the times of the last ones.
const KEEP_BLOCKS_MIN: u64 = 64;

/// Why a running validator gave up. The node goes on without its ledger.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The state machine cannot commit a final block.
    #[error(transparent)]
    Machine(#[from] NotCommitted),
    /// The disk fails.
    #[error("the block archive cannot be opened: {0}")]
    Archive(String),
    /// The journals are older than the state.
    #[error(
        "the journals of this validator do not know its state at height {height}: starting could \
         vote twice. Bring back the whole folder from the same moment, or join again with a new \
         validator key"
    )]
    RolledBack {
        /// Height of the state.
        height: u64,
    },
    /// The state is older than what is kept of past blocks.
    #[error(
        "the state in this folder lacks the blocks from {height} on, and they are not kept here any more: bring back \
         the whole folder from the same moment, or join again with a new validator key and a snapshot"
    )]
    BlockPruned {
        /// The first block it lacks.
        height: u64,
    },
    /// A part of the engine ended.
    #[error("a part of the consensus engine stopped: {0}")]
    Engine(&'static str),
}

/// What a validator runs on: one implementation for the node, another for the simulation.
pub trait Platform: Send + Sync + 'static {
    /// Clock, tasks, disk and random numbers.
    type Runtime: Clock + CryptoRng + Spawner + Storage + Metrics + Network;
    /// Registers the peers with the network.
    type Peers: AddressableManager<PublicKey = PublicKey>;
    /// Blocks peers.
    type Blocker: Blocker<PublicKey = PublicKey>;
    /// Sends on one channel.
    type Sender: Sender<PublicKey = PublicKey>;
    /// Receives on one channel.
    type Receiver: Receiver<PublicKey = PublicKey>;
}

/// The identity and configuration of a validator, and its access to the network.
pub struct Settings<P: Platform> {
    pub(crate) me: PrivateKey,
    /// Prefix of every signature on this ledger.
    pub(crate) namespace: Vec<u8>,
    /// The founding committee, ascending.
    pub(crate) committee: Vec<PublicKey>,
    pub(crate) epoch_blocks: NonZeroU64,
    pub(crate) genesis: Block,
    pub(crate) heartbeat: Duration,
    pub(crate) leader_timeout: Duration,
    /// Blocks and certificates that are kept for others, the latest; none: all.
    pub(crate) keep_blocks: Option<u64>,
    /// Prefix of every storage partition; empty on disk, one per validator in a simulation.
    pub(crate) partition: String,
    pub(crate) peers: P::Peers,
    pub(crate) blocker: P::Blocker,
    pub(crate) addresses: AddressBook,
    pub(crate) peer_statuses: PeerStatusTable,
}

impl<P: Platform> Settings<P> {
    /// What the validator will observe of the others.
    #[must_use]
    pub fn peer_statuses(&self) -> PeerStatusTable {
        self.peer_statuses.clone()
    }
}

/// Both ends of one channel.
pub type Ends<P> = (<P as Platform>::Sender, <P as Platform>::Receiver);

/// The ends of every channel, one channel for each kind of message.
#[allow(missing_docs, reason = "the names say it")]
pub struct Channels<P: Platform> {
    pub votes: Ends<P>,
    pub certificates: Ends<P>,
    pub resolver: Ends<P>,
    pub backfill: Ends<P>,
    pub broadcast: Ends<P>,
    pub gossip: Ends<P>,
    pub requests: Ends<P>,
}

type Marshal = MarshalMailbox<Scheme, Standard<Block>>;
/// Proposes and verifies blocks for consensus.
type Application<R> = Deferred<R, Scheme, Builder, Block, FixedEpocher>;
type EngineBlocker<P> = ObservingBlocker<<P as Platform>::Blocker>;
/// Addresses of the committee's members, and of other peers.
type PeerAddresses = (Map<PublicKey, Address>, Map<PublicKey, Address>);
/// A final block, and the acknowledgement that it is part of the state.
type Final = (Digested<Block>, Exact);

const MAILBOX: usize = 1024;
const PENDING_ACKS_MAX: usize = 16;
/// Views that agreement keeps behind the last final one.
const VIEW_RETENTION: u64 = 256;
/// Views of which marshal keeps what is not final yet. Where an epoch has fewer, it keeps one more epoch for each that
/// is missing, with files, buffers and metrics of its own: 256 were hours of epochs.
const CACHED_VIEWS: u64 = 16;
const FETCH_TIMEOUT: Duration = Duration::from_secs(2);
const FETCH_RETRY: Duration = Duration::from_millis(100);

/// Runs one validator until it breaks. `ready` is called once it takes part.
///
/// Every deadline is on the runtime's clock, which must be monotonic; `clock` gives blocks their times.
///
/// Safe to drop at any moment: what was acknowledged is durable, the rest is agreed on again.
pub async fn run<P: Platform>(
    (context, clock): (P::Runtime, Arc<dyn NodeClock>),
    settings: Settings<P>,
    channels: Channels<P>,
    machine: Arc<dyn StateMachine>,
    ready: impl FnOnce() + Send,
) -> Fault {
    let started = start((context, clock), settings, channels, machine).await;
    let mut engine = match started {
        Ok(engine) => engine,
        Err(fault) => return fault,
    };
    let mut ready = Some(ready);
    loop {
        engine.track_peers();
        if let Err(fault) = engine.epochs.run_current().await {
            return fault;
        }
        if let Some(ready) = ready.take() {
            ready();
        }
        let event = engine.next_event().await;
        if let Err(fault) = engine.handle(event).await {
            return fault;
        }
    }
}

/// A validator whose parts are running.
struct Engine<P: Platform> {
    context: P::Runtime,
    clock: Arc<dyn NodeClock>,
    machine: Arc<dyn StateMachine>,
    marshal: Marshal,
    finalized: mpsc::UnboundedReceiver<Final>,
    epochs: Epochs<P>,
    peers: P::Peers,
    addresses: AddressBook,
    /// Number of the next peer set, and the peers of the last one.
    next_peer_set: u64,
    tracked: Option<PeerAddresses>,
    /// Blocks that are kept for others, the latest; none: all.
    keep_blocks: Option<u64>,
    gossip: Handle<()>,
    requests: Handle<()>,
}

/// What happened last.
enum Event {
    /// A part of the engine ended.
    Stopped(&'static str),
    Finalized(Final),
    /// A message of a later epoch: its sender knows how this one ended.
    LaterEpoch {
        epoch: u64,
        from: PublicKey,
    },
}

/// Starts the parts of a validator and brings its state machine up to date.
async fn start<P: Platform>(
    (context, clock): (P::Runtime, Arc<dyn NodeClock>),
    settings: Settings<P>,
    channels: Channels<P>,
    machine: Arc<dyn StateMachine>,
) -> Result<Engine<P>, Fault> {
    let Settings { me, namespace, committee, epoch_blocks, genesis, heartbeat, leader_timeout, .. } =
        settings;
    let Settings { partition, peers, addresses, peer_statuses, .. } = settings;
    let blocker = ObservingBlocker {
        clock: clock.clone(),
        peer_statuses: peer_statuses.clone(),
        inner: settings.blocker,
    };
    let public_key = me.public_key();
    let page_cache = CacheRef::new(NZU16!(4096), NZUsize!(1024));
    let epocher = FixedEpocher::new(epoch_blocks);
    let schemes = Schemes::new(me, namespace);

    // Blocks from the leader, and blocks fetched from others.
    let broadcast = config::broadcast(public_key.clone(), peers.clone());
    let (buffer_engine, buffer) = buffered::Engine::new(context.child("broadcast"), broadcast);
    let (sender, receiver) = channels.broadcast;
    let _buffer = buffer_engine.start((sender, ValidatingReceiver { receiver, blocker: blocker.clone() }));
    let backfill = config::backfill(public_key, peers.clone(), blocker.clone());
    let resolver = marshal_resolver::init(context.child("marshal_resolver"), backfill, channels.backfill);

    // Marshal keeps blocks and certificates, and hands out final blocks in order.
    let keep_blocks = settings.keep_blocks.map(|keep| keep.max(2 * epoch_blocks.get()).max(KEEP_BLOCKS_MIN));
    let kept = archive::Kept { latest: keep_blocks, committed: machine.committed().0 };
    let (finalizations, blocks) = storage::open_archives(&context, &partition, &page_cache, kept).await?;
    // Certificates of an epoch can only be checked once its committee is known.
    schemes.enter(Epoch::zero(), Set::from_iter_dedup(committee));
    let base = machine.snapshot_base();
    let begin = starting_point(&schemes, base.as_ref(), genesis).await?;
    let (marshal_actor, marshal, _floor) = MarshalActor::<_, Standard<Block>, _, _, _, _, _>::init(
        context.child("marshal"),
        finalizations,
        blocks,
        config::marshal(schemes.clone(), epocher.clone(), begin, &partition, page_cache.clone()),
    )
    .await;
    let builder = Builder {
        machine: machine.clone(),
        marshal: marshal.clone(),
        epocher: epocher.clone(),
        heartbeat,
        leader_timeout,
        schemes: schemes.clone(),
        floor: Floor::at_start(machine.committed_ms(), clock.now_ms(), context.current()),
        clock: clock.clone(),
        leading: Arc::default(),
        peer_statuses: peer_statuses.clone(),
    };
    let application = Deferred::new(context.child("deferred"), builder, marshal.clone(), epocher.clone());
    let (queue, finalized) = FinalizedQueue::new();
    let _marshal = marshal_actor.start(queue, buffer, resolver);
    catch_up(&marshal, &*machine, base.as_ref(), clock.now_ms()).await?;

    // One consensus instance per epoch, each on its own subchannels.
    let consensus = epoch::Setup {
        clock: clock.clone(),
        schemes,
        machine: machine.clone(),
        peer_statuses: peer_statuses.clone(),
        application,
        blocker: blocker.clone(),
        page_cache,
        partition,
        leader_timeout,
    };
    let (votes, certificates, votes_resolver) = (channels.votes, channels.certificates, channels.resolver);
    let subchannels = epoch::Subchannels::start(&context, votes, certificates, votes_resolver);
    let (epoch, root) = resume(&marshal, &*machine, &epocher, base.as_ref()).await?;
    let epochs = Epochs::new(context.child("epochs"), consensus, subchannels, epocher, epoch, root);

    let gossip = context.child("gossip").spawn({
        let (machine, statuses, blocker) = (machine.clone(), peer_statuses.clone(), blocker.clone());
        let clock = clock.clone();
        move |context| gossip::run((context, clock), machine, statuses, channels.gossip, blocker)
    });
    let requests = context.child("requests").spawn({
        let machine = machine.clone();
        let peers = move || peer_statuses.trusted();
        move |context| request_response::run(context, machine, peers, channels.requests, blocker)
    });
    Ok(Engine {
        context,
        clock,
        machine,
        marshal,
        finalized,
        epochs,
        peers,
        addresses,
        next_peer_set: 0,
        tracked: None,
        keep_blocks,
        gossip,
        requests,
    })
}

/// Where marshal begins: at genesis, or at the block whose state came as a snapshot.
async fn starting_point(
    schemes: &Schemes,
    base: Option<&SnapshotBase>,
    genesis: Block,
) -> Result<Start<Scheme, Digest, Digested<Block>>, Fault> {
    let Some(base) = base else {
        return Ok(Start::Genesis(Digested::compute(genesis, &Sequential).await));
    };
    schemes.enter(Epoch::new(base.header.epoch), committee_set(&base.committee));
    let finalization = to_finalization(&base.certificate, &base.header, base.committee.len());
    finalization.map(Start::Floor).ok_or(Fault::Engine("the certificate of the snapshot"))
}

/// The epoch of the next block to process, and the block that opens it.
async fn resume(
    marshal: &Marshal,
    machine: &dyn StateMachine,
    epocher: &FixedEpocher,
    base: Option<&SnapshotBase>,
) -> Result<(Epoch, EpochRoot), Fault> {
    let next = marshal.get_processed().await.map_or(Height::zero(), |processed| processed.height().next());
    // The block of a snapshot may not have been processed yet.
    let next = next.max(base.map_or(Height::zero(), |base| Height::new(base.header.height + 1)));
    let info = epocher.containing(next).ok_or(Fault::Engine("the height is beyond the last epoch"))?;
    let epoch = info.epoch();
    let opening = epoch.previous().and_then(|before| epocher.last(before)).unwrap_or(Height::zero());
    if let Some(base) = base.filter(|base| base.header.height == opening.get()) {
        return Ok((epoch, EpochRoot::of(&base.header)));
    }
    let block = marshal.get_block(opening).await;
    let block = block.ok_or(Fault::Engine("the block that opens this epoch is missing"))?;
    let certificate = marshal.get_finalization(opening).await.as_ref().and_then(to_certificate);
    machine.store_certificate(block.inner().header(), block.digest().0, certificate.as_ref());
    Ok((epoch, EpochRoot::of(block.inner().header())))
}

impl<P: Platform> Engine<P> {
    /// Registers the peers with the network, if they changed. Followers are peers too, and endpoints on
    /// the ledger change within an epoch.
    fn track_peers(&mut self) {
        let committee = self.epochs.committee();
        let peers = self.addresses.now(&*self.machine, |key| committee.position(key).is_some());
        if self.tracked.as_ref() != Some(&peers) {
            let set = AddressableTrackedPeers::new(peers.0.clone(), peers.1.clone());
            let _ = self.peers.track(self.next_peer_set, set);
            self.next_peer_set += 1;
            self.tracked = Some(peers);
        }
    }

    async fn next_event(&mut self) -> Event {
        let later = |message: Option<(u64, Message<PublicKey>)>, channel| match message {
            Some((epoch, (from, _))) => Event::LaterEpoch { epoch, from },
            None => Event::Stopped(channel),
        };
        let unrouted = &mut self.epochs.subchannels;
        select! {
            _ = &mut self.gossip => Event::Stopped("gossip"),
            _ = &mut self.requests => Event::Stopped("requests"),
            block = self.finalized.recv() => block.map_or(Event::Stopped("marshal"), Event::Finalized),
            message = unrouted.unrouted_votes.recv() => later(message, "votes"),
            message = unrouted.unrouted_certificates.recv() => later(message, "certificates"),
        }
    }

    async fn handle(&mut self, event: Event) -> Result<(), Fault> {
        match event {
            Event::Stopped(part) => Err(Fault::Engine(part)),
            Event::Finalized((block, acknowledgement)) => self.commit(block, acknowledgement).await,
            Event::LaterEpoch { epoch, from } => {
                if epoch > self.epochs.current.get() {
                    self.marshal.hint_finalized(self.epochs.last_height()?, NonEmptyVec::new(from));
                }
                Ok(())
            }
        }
    }

    /// Commits a final block, enters the next epoch after an epoch's last block, and acknowledges.
    async fn commit(&mut self, block: Digested<Block>, acknowledgement: Exact) -> Result<(), Fault> {
        let (height, last) = (block.height(), self.epochs.last_height()?);
        if height.get() > 0 {
            // An epoch's last block names the next committee: verifiers need its own certificate.
            let finalization = if height == last {
                certificate_of_last(&self.context, &self.marshal, height, self.epochs.committee()).await
            } else {
                self.marshal.get_finalization(height).await
            };
            deliver(&*self.machine, &block, finalization.as_ref(), self.clock.now_ms())?;
        }
        if height == last {
            self.epochs.advance(EpochRoot::of(block.inner().header()));
            if let Some(below) = self.keep_blocks.and_then(|keep| height.get().checked_sub(keep)) {
                self.marshal.prune(Height::new(below));
            }
        }
        // Acknowledge last: from then on marshal may forget that this block must be delivered.
        acknowledgement.acknowledge();
        Ok(())
    }
}

/// The members of a committee, ascending. Bytes that are not a key have no vote.
fn committee_set(committee: &[[u8; 32]]) -> Set<PublicKey> {
    Set::from_iter_dedup(committee.iter().filter_map(crate::keys::key))
}
