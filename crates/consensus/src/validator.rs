//! The thread that runs one validator, and its interface to the rest of the node.
//!
//! Commonware builds its own runtime, which must not be nested in another, so it runs on a thread of its
//! own. A fault or a panic ends that thread and not the node; [`Status`] gives the reason.

use crate::{
    Fault, NodeClock, Peer, PeerStatusTable, PrivateKey, PublicKey, StateMachine,
    block::{Block, InvalidBlock},
    engine::{self, Platform, Settings},
    keys::key,
    monotonic::MonotonicContext,
    network::{self, NodePlatform, PEERS_MAX},
    node_clock::MachineClock,
    peers::{self, AddressBook},
    start_checks::{self, UnsafeStart},
};
use bytes::Bytes;
use commonware_codec::DecodeExt as _;
use commonware_cryptography::Signer as _;
use commonware_macros::select;
use commonware_p2p::Address;
use commonware_runtime::{Runner as _, Spawner as _, Supervisor as _, tokio as runtime};
use std::{
    io,
    net::SocketAddr,
    num::NonZeroU64,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};
use tokio::sync::{oneshot, watch};
use vitals::proof::{certificate::namespace, genesis::GenesisDocument};

/// Blocks in an epoch unless the genesis document has another number. A change of the committee takes effect
/// after one to two epochs.
pub const EPOCH_BLOCKS: u64 = 128;

/// How a validator runs.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder of the journals. Only this validator may use it. Never restore it from a backup: after a
    /// restore, create a new validator key.
    pub folder: PathBuf,
    /// Longest time without a block: an idle chain makes an empty one. Shorter than `leader_timeout`.
    pub heartbeat: Duration,
    /// How long validators wait for a leader's block.
    pub leader_timeout: Duration,
    /// Faulty validators the committee must survive (f of 3f+1); starting fails if it cannot.
    pub max_faulty: usize,
    /// Address other validators reach this one at. `None`, for a committee of one: nothing listens.
    pub listen: Option<SocketAddr>,
    /// Addresses of others; they win over those on the ledger.
    pub peers: Vec<Peer>,
    /// What gives blocks their times; `None`: the machine's clock, held through its steps.
    pub clock: Option<Arc<dyn NodeClock>>,
    /// Final blocks that are kept for validators that were away, the latest, at least two epochs; `None` keeps
    /// all.
    pub keep_blocks: Option<u64>,
}

/// Default of [`Config::keep_blocks`]: three days of an idle ledger of several validators, and two of one with a
/// few patients. Who was away for longer cannot follow any more.
pub const KEEP_BLOCKS: u64 = 1 << 19;

impl Config {
    /// The defaults of a committee of one: a block every two seconds when idle, and nothing listens.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            heartbeat: Duration::from_secs(2),
            leader_timeout: Duration::from_secs(3),
            max_faulty: 0,
            listen: None,
            peers: Vec::new(),
            clock: None,
            keep_blocks: Some(KEEP_BLOCKS),
        }
    }

    /// The defaults of one validator among several. The others wait less than a second for a leader, so an
    /// idle leader must make blocks more often.
    #[must_use]
    pub fn among_others(folder: PathBuf, listen: SocketAddr, peers: Vec<Peer>) -> Self {
        Self {
            heartbeat: Duration::from_millis(500),
            leader_timeout: Duration::from_millis(800),
            listen: Some(listen),
            peers,
            ..Self::new(folder)
        }
    }
}

/// Why the ledger did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Starting could split the ledger.
    #[error(transparent)]
    UnsafeStart(#[from] UnsafeStart),
    /// The configuration contradicts itself.
    #[error("the ledger configuration is wrong: {0}")]
    Config(String),
    /// The operating system refused the thread.
    #[error("the ledger's thread cannot be started: {0}")]
    Thread(#[from] io::Error),
    /// It started and failed.
    #[error("the ledger did not come up: {0}")]
    Failed(String),
}

/// The state of the validator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It opens its journals.
    Starting,
    /// It takes part in consensus, or follows.
    Running,
    /// It was stopped.
    Stopped,
    /// It failed, with the reason.
    Down(String),
}

/// Threads of the consensus runtime: while one executes a block, the other handles votes and disk.
const WORKERS: usize = 2;
/// How long a stop waits for tasks to close their journals. A longer close loses nothing.
const STOP: Duration = Duration::from_secs(2);

/// A running validator.
#[derive(Debug)]
pub struct Validator {
    status: watch::Receiver<Status>,
    peer_statuses: PeerStatusTable,
    stop: Option<oneshot::Sender<Stop>>,
    thread: Option<JoinHandle<()>>,
}

/// How to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// Let tasks close their journals.
    Gently,
    /// Drop everything at once, as a crash does.
    Abruptly,
    /// Panic on the ledger's thread.
    Panicking,
}

/// The configured peers, as the network takes them.
pub(crate) fn addresses(peers: &[Peer]) -> Result<Vec<(PublicKey, Address)>, StartError> {
    if peers.len() >= PEERS_MAX {
        return Err(StartError::Config(format!("a node keeps links to at most {PEERS_MAX} peers")));
    }
    let mut configured = Vec::with_capacity(peers.len());
    for peer in peers {
        let key = key(&peer.key)
            .ok_or_else(|| StartError::Config(String::from("a peer's key is not an Ed25519 public key")))?;
        let address = peers::parse(&peer.address).ok_or_else(|| {
            StartError::Config(format!("a peer's address is host:port, and {:?} is not", peer.address))
        })?;
        configured.push((key, address));
    }
    Ok(configured)
}

/// Checks that the address can be listened on. Otherwise the network would panic later, on its own thread.
pub(crate) fn is_free(listen: SocketAddr) -> Result<(), StartError> {
    match std::net::TcpListener::bind(listen) {
        Ok(_) => Ok(()),
        Err(why) => Err(StartError::Config(format!("cannot listen for peers at {listen}: {why}"))),
    }
}

/// The settings of one validator on any platform.
///
/// # Errors
/// If the configuration contradicts itself or the genesis document.
pub fn settings<P: Platform>(
    config: &Config,
    document: &GenesisDocument,
    machine: &dyn StateMachine,
    me: PrivateKey,
    (peers, blocker): (P::Peers, P::Blocker),
    partition: String,
) -> Result<Settings<P>, StartError> {
    start_checks::check_committee(&document.committee, document.epoch_blocks, config.max_faulty)?;
    let wrong = |why: &str| StartError::Config(why.to_owned());
    if config.heartbeat.is_zero() || config.heartbeat >= config.leader_timeout {
        return Err(wrong("the heartbeat must be longer than zero and shorter than the leader timeout"));
    }
    let committee: Option<Vec<PublicKey>> = document.committee.iter().map(key).collect();
    let committee = committee.ok_or_else(|| UnsafeStart::Genesis {
        why: String::from("a validator is not an Ed25519 public key"),
    })?;
    let configured = addresses(&config.peers)?;
    let epoch_blocks =
        NonZeroU64::new(document.epoch_blocks).ok_or_else(|| wrong("an epoch cannot be without blocks"))?;
    let genesis = Block::new(machine.genesis_header().clone(), Vec::new())
        .map_err(|why: InvalidBlock| StartError::Config(format!("the genesis block: {why}")))?;
    Ok(Settings {
        me,
        namespace: namespace(document.hash()),
        committee,
        epoch_blocks,
        genesis,
        heartbeat: config.heartbeat,
        leader_timeout: config.leader_timeout,
        keep_blocks: config.keep_blocks,
        partition,
        peers,
        blocker,
        addresses: AddressBook::new(configured),
        peer_statuses: PeerStatusTable::default(),
    })
}

impl Validator {
    /// Starts the validator with this Ed25519 seed and waits until it takes part, or follows if it is not in
    /// the committee. Blocks for about a second.
    ///
    /// # Errors
    /// If the configuration, the journals or the network prevent it; then nothing keeps running.
    pub fn start(
        config: &Config,
        document: &GenesisDocument,
        seed: &[u8; 32],
        machine: Arc<dyn StateMachine>,
    ) -> Result<Self, StartError> {
        let me = PrivateKey::decode(Bytes::copy_from_slice(seed))
            .map_err(|_| StartError::Config(String::from("the validator key is not an Ed25519 key")))?;
        let public_key: [u8; 32] = me.public_key().as_ref().try_into().unwrap_or_default();
        if let Some(listen) = config.listen {
            is_free(listen)?;
        }
        let (oracle, no_op_links) = network::no_op();
        let settings =
            settings(config, document, &*machine, me.clone(), (oracle.clone(), oracle), String::new())?;
        if config.listen.is_none() {
            start_checks::check_sole_founder(&document.committee, &public_key)?;
        }
        let base = machine.snapshot_base();
        let height = machine.committed().0;
        start_checks::check_journals(&config.folder, document.hash(), &public_key, height, base.as_ref())?;
        let peer_statuses = settings.peer_statuses.clone();
        let (listen, clock) = (config.listen, config.clock.clone());

        let (stop, stopping) = oneshot::channel();
        let (report, status) = watch::channel(Status::Starting);
        let (ready, up) = mpsc::sync_channel(1);
        let runner =
            runtime::Config::new().with_worker_threads(WORKERS).with_storage_directory(config.folder.clone());
        let thread = std::thread::Builder::new().name(String::from("ledger")).spawn(move || {
            let taking_part = || {
                report.send_replace(Status::Running);
                // The receiver is gone if the start was given up.
                let _ = ready.try_send(());
            };
            let end = catch_unwind(AssertUnwindSafe(|| {
                runtime::Runner::new(runner).start(|context| {
                    let context = MonotonicContext::new(context);
                    supervise(
                        (context, clock),
                        (settings, no_op_links),
                        listen,
                        machine,
                        taking_part,
                        stopping,
                    )
                })
            }));
            let end = match end {
                Ok(None) => Status::Stopped,
                Ok(Some(fault)) => Status::Down(fault.to_string()),
                Err(panic) => Status::Down(format!("its engine panicked: {}", panic_message(&*panic))),
            };
            if let Status::Down(why) = &end {
                tracing::error!(why, "The ledger is down: {why}");
            }
            report.send_replace(end);
            drop(ready);
        })?;
        let validator = Self { status, peer_statuses, stop: Some(stop), thread: Some(thread) };
        if up.recv().is_err() {
            return Err(match validator.status() {
                Status::Down(why) => StartError::Failed(why),
                other => StartError::Failed(format!("it ended at once ({other:?})")),
            });
        }
        Ok(validator)
    }

    /// What it observes of its peers.
    #[must_use]
    pub fn peer_statuses(&self) -> PeerStatusTable {
        self.peer_statuses.clone()
    }

    /// Its status now.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Changes of [`Self::status`].
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    fn end(&mut self, how: Stop) {
        if let Some(stop) = self.stop.take() {
            // An error means that it has ended already.
            let _ = stop.send(how);
        }
        if let Some(thread) = self.thread.take() {
            // Panics are caught on that thread.
            let _ = thread.join();
        }
    }

    /// Stops it and waits for that, at most about two seconds. It can also be killed at any moment: nothing
    /// is lost.
    pub fn stop(&mut self) {
        self.end(Stop::Gently);
    }

    /// Stops it as a crash would, keeping only what is on disk.
    #[doc(hidden)]
    pub fn crash(&mut self) {
        self.end(Stop::Abruptly);
    }

    /// Ends it with a panic.
    #[doc(hidden)]
    pub fn panic(&mut self) {
        self.end(Stop::Panicking);
    }
}

impl Drop for Validator {
    fn drop(&mut self) {
        self.end(Stop::Gently);
    }
}

async fn supervise(
    (context, clock): (MonotonicContext, Option<Arc<dyn NodeClock>>),
    (mut settings, mut channels): (Settings<NodePlatform>, network::Links),
    listen: Option<SocketAddr>,
    machine: Arc<dyn StateMachine>,
    ready: impl FnOnce() + Send,
    stopping: oneshot::Receiver<Stop>,
) -> Option<Fault> {
    if let Some(listen) = listen {
        let (oracle, links, _network) =
            network::listen(&context, settings.me.clone(), &settings.namespace, listen);
        (settings.peers, settings.blocker) = (oracle.clone(), oracle);
        channels = links;
    }
    let shutdown = context.child("shutdown");
    let clock = clock.unwrap_or_else(|| Arc::new(MachineClock::new(context.child("clock"))));
    let running = engine::run((context.child("engine"), clock), settings, channels, machine, ready);
    let mut running = Box::pin(running);
    let how = select! {
        fault = &mut running => return Some(fault),
        how = stopping => how.unwrap_or(Stop::Gently),
    };
    assert_ne!(how, Stop::Panicking, "panicking as asked");
    if how == Stop::Gently {
        select! {
            // Parts that stop first report faults; these belong to the stop.
            _ = running => {},
            _ = shutdown.stop(0, Some(STOP)) => {},
        }
    }
    None
}

/// The message of a panic.
fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
