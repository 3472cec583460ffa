//! The wiring of one validator, the same for every runtime and network.
//!
//! Compiling an instance of [`run`] takes most of this crate's build time: the node has one, the
//! simulation of the tests another. Keep what changes often out of this file.

use crate::{
    Digest, PrivateKey, PublicKey, Scheme,
    application::{Builder, now_ms},
    block::Block,
    certificate::{to_certificate, to_finalization},
    gossip,
    machine::{NotCommitted, SnapshotBase, StateMachine},
    peer_status::{ObservingBlocker, ObservingReporter, PeerStatusTable},
    peers::AddressBook,
    request_response,
    start_checks::VOTES_PARTITION_PREFIX,
    validating_receiver::ValidatingReceiver,
};
use commonware_actor::Feedback;
use commonware_broadcast::buffered;
use commonware_consensus::{
    Heightable as _, Reporter,
    marshal::{
        self, Start, Update,
        core::{Actor as MarshalActor, Mailbox as MarshalMailbox},
        resolver::p2p as marshal_resolver,
        standard::{Deferred, Standard},
    },
    simplex::{
        self,
        config::{Floor, ForwardPolicy, SkipBudget, SkipPolicy},
        elector::RoundRobin,
    },
    types::{Epoch, Epocher as _, FixedEpocher, Height, ViewDelta},
};
use commonware_cryptography::{
    Digested, Digestible as _, Sha256, Signer as _,
    certificate::{Provider, Scoped, Verifier as _},
};
use commonware_macros::select;
use commonware_p2p::{
    AddressableManager, AddressableTrackedPeers, Blocker, Receiver, Sender,
    utils::mux::{Builder as _, Muxer},
};
use commonware_parallel::Sequential;
use commonware_runtime::{Clock, Handle, Metrics, Network, Spawner, Storage, buffer::paged::CacheRef};
use commonware_storage::archive::immutable;
use commonware_utils::{
    Acknowledgement as _, NZDuration, NZU16, NZU64, NZUsize, acknowledgement::Exact, channel::mpsc,
    ordered::Set, vec::NonEmptyVec,
};
use rand_core::CryptoRng;
use std::{
    collections::BTreeMap,
    num::NonZeroU64,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use vitals::proof::header::BlockHeader;

/// Why a running validator gave up. The node goes on without its ledger.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A final block does not go into the state.
    #[error(transparent)]
    Machine(#[from] NotCommitted),
    /// The disk.
    #[error("the block archive cannot be opened: {0}")]
    Archive(String),
    /// The journals are older than the state.
    #[error(
        "the journals of this validator do not know its state at height {height}: starting could \
         vote twice. Bring back the whole folder from the same moment, or join again with a new \
         validator key"
    )]
    RolledBack {
        /// Where the state stands.
        height: u64,
    },
    /// A part of the engine ended.
    #[error("a part of the consensus engine stopped: {0}")]
    Engine(&'static str),
}

/// What a validator is and where it runs.
pub struct Settings<M, B> {
    pub(crate) me: PrivateKey,
    /// Prefix of every signature on this ledger.
    pub(crate) namespace: Vec<u8>,
    /// The founding committee, ascending.
    pub(crate) committee: Vec<PublicKey>,
    pub(crate) epoch_blocks: NonZeroU64,
    pub(crate) genesis: Block,
    pub(crate) heartbeat: Duration,
    pub(crate) leader_timeout: Duration,
    /// Prefix of every storage partition; empty on disk, one per validator in a simulation.
    pub(crate) partition: String,
    pub(crate) manager: M,
    pub(crate) blocker: B,
    pub(crate) book: AddressBook,
    pub(crate) peer_statuses: PeerStatusTable,
}

/// One pair of ends for each kind of message.
#[allow(missing_docs, reason = "the names say it")]
pub struct Channels<S, R> {
    pub votes: (S, R),
    pub certificates: (S, R),
    pub resolver: (S, R),
    pub backfill: (S, R),
    pub broadcast: (S, R),
    pub gossip: (S, R),
    pub requests: (S, R),
}

type Marshal = MarshalMailbox<Scheme, Standard<Block>>;
type Final = (Digested<Block>, Exact);

/// Which scheme signs and checks an epoch.
#[derive(Clone)]
struct Schemes {
    me: PrivateKey,
    namespace: Vec<u8>,
    known: Arc<Mutex<BTreeMap<Epoch, Arc<Scheme>>>>,
}

impl Schemes {
    fn enter(&self, epoch: Epoch, committee: Set<PublicKey>) -> Scheme {
        let scheme = Scheme::signer(&self.namespace, committee.clone(), self.me.clone())
            .unwrap_or_else(|| Scheme::verifier(&self.namespace, committee));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(epoch, Arc::new(scheme.clone()));
        // Blocks of the epoch before may still be on their way.
        known.retain(|known, _| known.next().next() >= epoch);
        scheme
    }
}

impl Provider for Schemes {
    type Scope = Epoch;
    type Scheme = Scheme;

    fn scoped(&self, epoch: Epoch) -> Option<Scoped<Scheme>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&epoch).cloned().map(Scoped::scheme)
    }
}

/// Hands finalized blocks, in order, to [`run`]. Marshal bounds them by `PENDING_ACKS_MAX`.
#[derive(Clone)]
struct Sink(mpsc::UnboundedSender<Final>);

impl Reporter for Sink {
    type Activity = Update<Block>;

    fn report(&mut self, activity: Update<Block>) -> Feedback {
        if let Update::Block(block, ack) = activity
            && self.0.send((block, ack)).is_err()
        {
            return Feedback::Closed;
        }
        Feedback::Ok
    }
}

const MAILBOX: usize = 1024;
const PENDING_ACKS_MAX: usize = 16;
/// Views kept behind the last final one.
const VIEW_RETENTION: u64 = 256;
/// A dead leader is skipped for this long after it missed its turn.
const SKIP: Duration = Duration::from_secs(2);
const FETCH_TIMEOUT: Duration = Duration::from_secs(2);
const FETCH_RETRY: Duration = Duration::from_millis(100);
/// So often the others are asked for the certificate of an epoch's last block.
const CERTIFICATE_TRIES: u32 = 20;

fn archive<C>(name: &str, page_cache: CacheRef, codec_config: C) -> immutable::Config<C> {
    immutable::Config {
        metadata_partition: format!("{name}-metadata"),
        freezer_table_partition: format!("{name}-freezer-table"),
        freezer_table_initial_size: 1 << 12,
        freezer_table_resize_frequency: 4,
        freezer_table_resize_chunk_size: 1 << 10,
        freezer_key_partition: format!("{name}-freezer-key"),
        freezer_key_page_cache: page_cache,
        freezer_key_write_buffer: NZUsize!(1 << 20),
        freezer_value_partition: format!("{name}-freezer-value"),
        freezer_value_write_buffer: NZUsize!(1 << 20),
        freezer_value_target_size: 1 << 30,
        freezer_value_compression: None,
        ordinal_partition: format!("{name}-ordinal"),
        ordinal_write_buffer: NZUsize!(1 << 20),
        items_per_section: NZU64!(262_144),
        replay_buffer: NZUsize!(1 << 20),
        codec_config,
    }
}

/// Runs one validator until it breaks. `ready` is called once it takes part.
///
/// Safe to drop at any moment: what was acknowledged is durable, the rest is agreed on again.
pub async fn run<E, M, B, S, R>(
    context: E,
    settings: Settings<M, B>,
    channels: Channels<S, R>,
    machine: Arc<dyn StateMachine>,
    ready: impl FnOnce() + Send,
) -> Fault
where
    E: Clock + CryptoRng + Spawner + Storage + Metrics + Network,
    M: AddressableManager<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
{
    let Settings { me, namespace, committee, epoch_blocks, genesis, .. } = settings;
    let (prefix, mut manager) = (settings.partition, settings.manager);
    let clock = Arc::new(context.child("watch"));
    let (peer_statuses, inner) = (settings.peer_statuses, settings.blocker);
    let blocker = ObservingBlocker { clock: clock.clone(), peer_statuses: peer_statuses.clone(), inner };
    let public_key = me.public_key();
    let page_cache = CacheRef::new(NZU16!(4096), NZUsize!(1024));
    let epocher = FixedEpocher::new(epoch_blocks);
    let schemes = Schemes { me, namespace, known: Arc::default() };
    let founders = Set::from_iter_dedup(committee.iter().cloned());

    let (buffer_engine, buffer) = buffered::Engine::new(
        context.child("broadcast"),
        buffered::Config {
            public_key: public_key.clone(),
            mailbox_size: NZUsize!(MAILBOX),
            deque_size: 16,
            priority: true,
            codec_config: (),
            peer_provider: manager.clone(),
            strategy: Sequential,
        },
    );
    let (sender, receiver) = channels.broadcast;
    let _buffer = buffer_engine.start((sender, ValidatingReceiver { receiver, blocker: blocker.clone() }));
    let resolver = marshal_resolver::init(
        context.child("marshal_resolver"),
        marshal_resolver::Config {
            public_key,
            peer_provider: manager.clone(),
            blocker: blocker.clone(),
            mailbox_size: NZUsize!(MAILBOX),
            fetch_timeout: NZDuration!(FETCH_TIMEOUT),
            fetch_retry_delay: FETCH_RETRY,
            priority_requests: false,
            priority_responses: false,
        },
        channels.backfill,
    );

    let certificate_codec = Scheme::certificate_codec_config_unbounded();
    let finalizations = immutable::Archive::init(
        context.child("finalizations"),
        archive(&format!("{prefix}finalizations"), page_cache.clone(), certificate_codec),
    )
    .await;
    let blocks = immutable::Archive::init(
        context.child("blocks"),
        archive(&format!("{prefix}blocks"), page_cache.clone(), ()),
    )
    .await;
    let (finalizations, blocks) = match (finalizations, blocks) {
        (Ok(finalizations), Ok(blocks)) => (finalizations, blocks),
        (Err(why), _) | (_, Err(why)) => {
            return Fault::Archive(why.to_string());
        }
    };

    // Certificates of an epoch can only be checked once its committee is known.
    schemes.enter(Epoch::zero(), founders.clone());
    let base = machine.snapshot_base();
    let start = match &base {
        None => Start::Genesis(Digested::compute(genesis, &Sequential).await),
        Some(base) => {
            schemes.enter(Epoch::new(base.header.epoch), seats(&base.committee));
            match to_finalization(&base.certificate, &base.header, base.committee.len()) {
                Some(finalization) => Start::Floor(finalization),
                None => return Fault::Engine("the certificate of the snapshot"),
            }
        }
    };
    let (marshal_actor, marshal, _floor) = MarshalActor::<_, Standard<Block>, _, _, _, _, _>::init(
        context.child("marshal"),
        finalizations,
        blocks,
        marshal::Config {
            provider: schemes.clone(),
            epocher: epocher.clone(),
            start,
            partition_prefix: format!("{prefix}marshal"),
            mailbox_size: NZUsize!(MAILBOX),
            view_retention: ViewDelta::new(VIEW_RETENTION),
            prunable_items_per_section: NZU64!(4096),
            page_cache: page_cache.clone(),
            replay_buffer: NZUsize!(1 << 20),
            key_write_buffer: NZUsize!(1 << 20),
            value_write_buffer: NZUsize!(1 << 20),
            block_codec_config: (),
            max_repair: NZUsize!(20),
            max_pending_acks: NZUsize!(PENDING_ACKS_MAX),
            strategy: Sequential,
        },
    )
    .await;
    let deferred = Deferred::new(
        context.child("deferred"),
        Builder {
            machine: machine.clone(),
            marshal: marshal.clone(),
            epocher: epocher.clone(),
            heartbeat: settings.heartbeat,
        },
        marshal.clone(),
        epocher.clone(),
    );
    let (sink, mut finalized) = mpsc::unbounded_channel();
    let _marshal = marshal_actor.start(Sink(sink), buffer, resolver);

    if let Err(fault) = catch_up(&marshal, &*machine, base.as_ref(), now_ms(&context)).await {
        return fault;
    }

    // One simplex engine per epoch, each on its own subchannels.
    let (mux, mut votes, mut votes_backup) =
        Muxer::builder(context.child("vote_mux"), channels.votes.0, channels.votes.1).with_backup().build();
    mux.start();
    let (mux, mut certificates, mut certificates_backup) =
        Muxer::builder(context.child("certificate_mux"), channels.certificates.0, channels.certificates.1)
            .with_backup()
            .build();
    mux.start();
    let (mux, mut resolvers) =
        Muxer::new(context.child("resolver_mux"), channels.resolver.0, channels.resolver.1);
    mux.start();

    // Resume in the epoch of the next height to process; a snapshot's own block may still be on its way.
    let next = marshal.get_processed().await.map_or(Height::zero(), |p| p.height().next());
    let next = next.max(base.as_ref().map_or(Height::zero(), |base| Height::new(base.header.height + 1)));
    let Some(mut epoch) = epocher.containing(next).map(|info| info.epoch()) else {
        return Fault::Engine("the height is beyond the last epoch");
    };
    let boundary = epoch.previous().and_then(|e| epocher.last(e)).unwrap_or(Height::zero());
    let mut root = match &base {
        Some(base) if base.header.height == boundary.get() => Root::of(&base.header),
        _ => match marshal.get_block(boundary).await {
            Some(block) => {
                let finalization = marshal.get_finalization(boundary).await;
                let certificate = finalization.as_ref().and_then(to_certificate);
                machine.store_certificate(block.inner().header(), block.digest().0, certificate.as_ref());
                Root::of(block.inner().header())
            }
            None => return Fault::Engine("the block that opens this epoch is missing"),
        },
    };
    let mut gossip_task = context.child("gossip").spawn({
        let (machine, peer_statuses, blocker) = (machine.clone(), peer_statuses.clone(), blocker.clone());
        move |context| gossip::run(context, machine, peer_statuses, channels.gossip, blocker)
    });
    let mut requests_task = context.child("requests").spawn({
        let (machine, peer_statuses, blocker) = (machine.clone(), peer_statuses.clone(), blocker.clone());
        move |context| {
            request_response::run(
                context,
                machine,
                move || peer_statuses.trusted(),
                channels.requests,
                blocker,
            )
        }
    });
    let mut tracked = None;
    let mut peer_sets = 0..;
    let mut active: Option<(Epoch, Handle<()>)> = None;
    let mut ready = Some(ready);
    loop {
        let Some(last) = epocher.last(epoch) else {
            return Fault::Engine("the height is beyond the last epoch");
        };
        let committee = root.committee.clone();
        // Followers are peers too; endpoints on the ledger change within an epoch.
        let peers = settings.book.now(&*machine, |key| committee.position(key).is_some());
        if tracked.as_ref() != Some(&peers) {
            let set = AddressableTrackedPeers::new(peers.0.clone(), peers.1.clone());
            let _ = manager.track(peer_sets.next().unwrap_or(u64::MAX), set);
            tracked = Some(peers);
        }
        if active.as_ref().is_none_or(|(running, _)| *running != epoch) {
            let scheme = schemes.enter(epoch, committee.clone());
            forget_votes(&context, &prefix, epoch).await;
            let reporter = ObservingReporter {
                clock: clock.clone(),
                committee,
                peer_statuses: peer_statuses.clone(),
                machine: machine.clone(),
                next: deferred.clone(),
            };
            let engine = simplex::Engine::new(
                context.child("simplex").with_attribute("epoch", epoch),
                simplex::Config {
                    scheme,
                    elector: RoundRobin::<Sha256>::default(),
                    blocker: blocker.clone(),
                    automaton: deferred.clone(),
                    relay: deferred.clone(),
                    reporter,
                    track_historical_votes: false,
                    strategy: Sequential,
                    partition: format!("{prefix}{VOTES_PARTITION_PREFIX}{epoch}"),
                    mailbox_size: NZUsize!(MAILBOX),
                    epoch,
                    floor: Floor::Genesis(root.digest),
                    replay_buffer: NZUsize!(1 << 20),
                    write_buffer: NZUsize!(1 << 20),
                    page_cache: page_cache.clone(),
                    leader_timeout: settings.leader_timeout,
                    certification_timeout: settings.leader_timeout * 2,
                    timeout_retry: Duration::from_secs(2),
                    view_retention: ViewDelta::new(VIEW_RETENTION),
                    skip: SkipPolicy::Enabled {
                        timeout: settings.leader_timeout * 2 + SKIP,
                        budget: SkipBudget::Participants,
                    },
                    fetch_timeout: NZDuration!(FETCH_TIMEOUT),
                    fetch_retry_delay: FETCH_RETRY,
                    forward: ForwardPolicy::SilentVoters,
                },
            );
            let v = votes.register(epoch.get()).await;
            let c = certificates.register(epoch.get()).await;
            let r = resolvers.register(epoch.get()).await;
            let (Ok(v), Ok(c), Ok(r)) = (v, c, r) else {
                return Fault::Engine("the network's channels");
            };
            if let Some((_, old)) = active.replace((epoch, engine.start(v, c, r))) {
                old.abort();
            }
            if let Some(ready) = ready.take() {
                ready();
            }
        }
        select! {
            _ = &mut gossip_task => return Fault::Engine("gossip"),
            _ = &mut requests_task => return Fault::Engine("requests"),
            update = finalized.recv() => {
                let Some((block, ack)) = update else { return Fault::Engine("marshal") };
                let height = block.height();
                if height.get() > 0 {
                    let mut finalization = marshal.get_finalization(height).await;
                    // An epoch's last block names the next committee: strangers need its own certificate.
                    let mut asked = 0;
                    while height == last && finalization.is_none() && asked < CERTIFICATE_TRIES {
                        asked += 1;
                        let seated: Vec<PublicKey> = root.committee.iter().cloned().collect();
                        if let Ok(peers) = NonEmptyVec::try_from(seated) {
                            marshal.hint_finalized(height, peers);
                        }
                        context.sleep(FETCH_RETRY).await;
                        finalization = marshal.get_finalization(height).await;
                    }
                    let certificate = finalization.as_ref().and_then(to_certificate);
                    let now_ms = now_ms(&context);
                    let (inner, digest) = (block.inner(), block.digest().0);
                    if let Err(why) = machine.commit(inner, digest, certificate.as_ref(), now_ms) {
                        return why.into();
                    }
                }
                if height == last {
                    epoch = epoch.next();
                    root = Root::of(block.inner().header());
                }
                // Only now: marshal may forget that this block must be delivered.
                ack.acknowledge();
            },
            // A vote for a later epoch: its senders know how this one ended.
            hint = votes_backup.recv() => {
                let Some((theirs, (from, _))) = hint else { return Fault::Engine("votes") };
                if theirs > epoch.get() {
                    marshal.hint_finalized(last, NonEmptyVec::new(from));
                }
            },
            hint = certificates_backup.recv() => {
                let Some((theirs, (from, _))) = hint else { return Fault::Engine("certificates") };
                if theirs > epoch.get() {
                    marshal.hint_finalized(last, NonEmptyVec::new(from));
                }
            },
        }
    }
}

/// The block that opens an epoch: the last one of the epoch before.
struct Root {
    digest: Digest,
    committee: Set<PublicKey>,
}

impl Root {
    fn of(header: &BlockHeader) -> Self {
        Self { digest: Digest::from(header.digest()), committee: seats(&header.committee) }
    }
}

fn seats(committee: &[[u8; 32]]) -> Set<PublicKey> {
    Set::from_iter_dedup(committee.iter().filter_map(crate::validator::key))
}

/// Epochs whose votes are forgotten at a time: one, unless a crash came in between.
const FORGET_AT_ONCE: u64 = 4;

/// Removes the votes of epochs that ended. Those of the last one stay: they show that this key's
/// journals are whole.
async fn forget_votes(storage: &impl Storage, prefix: &str, epoch: Epoch) {
    for old in epoch.get().saturating_sub(1 + FORGET_AT_ONCE)..epoch.get().saturating_sub(1) {
        // Gone already, or never there.
        let _ = storage.remove(&format!("{prefix}{VOTES_PARTITION_PREFIX}{old}"), None).await;
    }
}

/// Brings the state to where marshal believes it to be, finds the tip's certificate, and refuses
/// journals that are older than the state.
async fn catch_up(
    marshal: &Marshal,
    machine: &dyn StateMachine,
    base: Option<&SnapshotBase>,
    now_ms: u64,
) -> Result<(), Fault> {
    let (height, tip) = machine.committed();
    if let Some(base) = base.filter(|base| base.header.height == height) {
        // The block itself may never have been here.
        machine.store_certificate(&base.header, tip, Some(&base.certificate));
    } else if height > 0 {
        let block = marshal.get_block(Height::new(height)).await;
        let block = block.filter(|block| block.digest() == Digest::from(tip));
        let block = block.ok_or(Fault::RolledBack { height })?;
        let finalization = marshal.get_finalization(Height::new(height)).await;
        let certificate = finalization.as_ref().and_then(to_certificate);
        machine.store_certificate(block.inner().header(), tip, certificate.as_ref());
    }
    let processed = marshal.get_processed().await.map_or(0, |p| p.height().get());
    for height in height + 1..=processed {
        let height = Height::new(height);
        let block = marshal.get_block(height).await;
        let block = block.ok_or(Fault::Engine("a block the state still needs is missing"))?;
        let finalization = marshal.get_finalization(height).await;
        let certificate = finalization.as_ref().and_then(to_certificate);
        machine.commit(block.inner(), block.digest().0, certificate.as_ref(), now_ms)?;
    }
    Ok(())
}
