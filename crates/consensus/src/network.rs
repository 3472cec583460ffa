//! Links between validators, authenticated with their keys and encrypted (commonware's handshake,
//! ChaCha20-Poly1305), or the no-op network of a committee of one.
//!
//! Both have one type, so that the engine is compiled once.

use crate::{
    Digest, PrivateKey, PublicKey, Scheme, block,
    engine::{Channels, Platform},
    gossip,
    monotonic::MonotonicContext,
    no_op_network::{NoOpOracle, NoOpReceiver, NoOpSender},
    request_response,
};
use commonware_actor::{Feedback, Unreliable};
use commonware_consensus::{
    marshal::{self, standard::Standard},
    simplex,
};
use commonware_cryptography::ChaCha20Poly1305;
use commonware_p2p::{
    Address, AddressableManager, AddressableTrackedPeers, BlockedSubscription, Blocker, CheckedSender,
    LimitedSender, Message, PeerSetSubscription, Provider, Receiver, Recipients, TrackedPeers,
    authenticated::lookup, max_message_size, utils::mux::prefixed,
};
use commonware_runtime::{Handle, IoBufs, Quota, Supervisor as _};
use commonware_stream::{
    cups::{self, Cups},
    sake::{self, Sake},
};
use commonware_utils::{NZU32, NZUsize, ordered::Map};
use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    time::{Duration, SystemTime},
};

/// Most validators and followers a node keeps links to. Mailboxes are allocated for this many.
pub const PEERS_MAX: usize = 24;
/// Messages a peer may send on a channel in a second. At the fastest pace of blocks every validator
/// casts two votes fifty times a second.
const VOTES_QUOTA: u32 = 256;
const BULK_QUOTA: u32 = 128;
/// Peer sets a node stays connected to: the newest ones.
const PEER_SETS: usize = 3;
/// The largest difference between the clocks of two peers: any. A bound would keep a validator whose clock is wrong
/// away from the others, who could not even tell it. A handshake that is sent again gains nothing by its age:
/// both sides sign keys that they made for it. See docs/decisions/170.
const CLOCKS_APART_MAX: Duration = Duration::from_millis(u64::MAX);

/// The longest message of any channel in a committee of `PEERS_MAX`.
#[must_use]
pub fn message_bytes_max() -> u32 {
    let most = u32::try_from(PEERS_MAX).unwrap_or(u32::MAX);
    max_message_size(&[
        prefixed(simplex::max_payload_size::<Scheme, Digest>(most)),
        marshal::max_payload_size::<Standard<block::Block>, Scheme>(most, &()),
        gossip::MESSAGE_BYTES_MAX,
        request_response::MESSAGE_BYTES_MAX,
    ])
}

type PeerSender = lookup::Sender<PublicKey, MonotonicContext>;
type PeerReceiver = lookup::Receiver<PublicKey>;
type PeerOracle = lookup::Oracle<PublicKey>;

/// Sends to the peers, or drops every message.
#[derive(Clone)]
#[allow(missing_docs, reason = "the names say it")]
pub enum LinkSender {
    NoOp(NoOpSender),
    Peers(PeerSender),
}

/// A message that [`LinkSender`] has admitted.
#[allow(clippy::large_enum_variant, reason = "it lives for one call")]
#[allow(missing_docs, reason = "the names say it")]
pub enum LinkChecked<'a> {
    NoOp(NoOpSender),
    Peers(<PeerSender as LimitedSender>::Checked<'a>),
}

impl LimitedSender for LinkSender {
    type PublicKey = PublicKey;
    type Checked<'a> = LinkChecked<'a>;

    fn check(&mut self, recipients: Recipients<PublicKey>) -> Result<LinkChecked<'_>, SystemTime> {
        Ok(match self {
            Self::NoOp(sender) => LinkChecked::NoOp(sender.check(recipients)?),
            Self::Peers(sender) => LinkChecked::Peers(sender.check(recipients)?),
        })
    }
}

impl CheckedSender for LinkChecked<'_> {
    type PublicKey = PublicKey;

    fn recipients(&self) -> Vec<PublicKey> {
        match self {
            Self::NoOp(sender) => sender.recipients(),
            Self::Peers(sender) => sender.recipients(),
        }
    }

    fn send(self, message: impl Into<IoBufs> + Send, priority: bool) -> Unreliable<Feedback> {
        match self {
            Self::NoOp(sender) => sender.send(message, priority),
            Self::Peers(sender) => sender.send(message, priority),
        }
    }
}

/// Receives from the peers, or never receives.
#[derive(Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub enum LinkReceiver {
    NoOp(NoOpReceiver),
    Peers(PeerReceiver),
}

impl Receiver for LinkReceiver {
    type Error = lookup::Error;
    type PublicKey = PublicKey;

    async fn recv(&mut self) -> Result<Message<PublicKey>, lookup::Error> {
        match self {
            Self::NoOp(receiver) => {
                let Ok(message) = receiver.recv().await;
                Ok(message)
            }
            Self::Peers(receiver) => receiver.recv().await,
        }
    }

    fn capacity(&self) -> NonZeroUsize {
        match self {
            Self::NoOp(receiver) => receiver.capacity(),
            Self::Peers(receiver) => receiver.capacity(),
        }
    }
}

/// Registers the peers with the network.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names say it")]
pub enum LinkOracle {
    NoOp(NoOpOracle),
    Peers(PeerOracle),
}

impl Provider for LinkOracle {
    type PublicKey = PublicKey;

    async fn peer_set(&mut self, id: u64) -> Option<TrackedPeers<PublicKey>> {
        match self {
            Self::NoOp(oracle) => oracle.peer_set(id).await,
            Self::Peers(oracle) => oracle.peer_set(id).await,
        }
    }

    async fn subscribe(&mut self) -> PeerSetSubscription<PublicKey> {
        match self {
            Self::NoOp(oracle) => oracle.subscribe().await,
            Self::Peers(oracle) => oracle.subscribe().await,
        }
    }
}

impl AddressableManager for LinkOracle {
    fn track<R>(&mut self, id: u64, peers: R) -> Feedback
    where
        R: Into<AddressableTrackedPeers<PublicKey>> + Send,
    {
        match self {
            Self::NoOp(oracle) => oracle.track(id, peers),
            Self::Peers(oracle) => oracle.track(id, peers),
        }
    }

    fn overwrite(&mut self, peers: Map<PublicKey, Address>) -> Feedback {
        match self {
            Self::NoOp(oracle) => oracle.overwrite(peers),
            Self::Peers(oracle) => oracle.overwrite(peers),
        }
    }
}

impl Blocker for LinkOracle {
    type PublicKey = PublicKey;

    fn block(&mut self, peer: PublicKey) -> Feedback {
        match self {
            Self::NoOp(oracle) => oracle.block(peer),
            Self::Peers(oracle) => oracle.block(peer),
        }
    }

    fn blocked(&mut self) -> BlockedSubscription<PublicKey> {
        match self {
            Self::NoOp(oracle) => oracle.blocked(),
            Self::Peers(oracle) => oracle.blocked(),
        }
    }
}

/// A node's runtime and links.
#[derive(Debug)]
pub enum NodePlatform {}

impl Platform for NodePlatform {
    type Runtime = MonotonicContext;
    type Peers = LinkOracle;
    type Blocker = LinkOracle;
    type Sender = LinkSender;
    type Receiver = LinkReceiver;
}

/// The ends of every channel.
pub type Links = Channels<NodePlatform>;

/// No links.
pub(crate) fn no_op() -> (LinkOracle, Links) {
    let no_op = || (LinkSender::NoOp(NoOpSender), LinkReceiver::NoOp(NoOpReceiver));
    let channels = Channels {
        votes: no_op(),
        certificates: no_op(),
        resolver: no_op(),
        backfill: no_op(),
        broadcast: no_op(),
        gossip: no_op(),
        requests: no_op(),
    };
    (LinkOracle::NoOp(NoOpOracle::default()), channels)
}

/// Listens at `listen` for peers of the ledger `namespace` and connects to them as `me`.
#[must_use]
pub fn listen(
    context: &MonotonicContext,
    me: PrivateKey,
    namespace: &[u8],
    listen: SocketAddr,
) -> (LinkOracle, Links, Handle<()>) {
    let handshake = Sake {
        signer: me,
        synchrony_bound: CLOCKS_APART_MAX,
        max_handshake_age: CLOCKS_APART_MAX,
        version: sake::Version::V1,
    };
    let mut config = lookup::Config::local(
        Cups::<_, ChaCha20Poly1305>::new(handshake, cups::Version::V1),
        namespace,
        listen,
        NonZeroUsize::new(PEERS_MAX).unwrap_or(NonZeroUsize::MIN),
        message_bytes_max(),
        NZUsize!(1024),
    );
    // Peers are identified by key. Peers behind one IP address share its quota of handshakes.
    config.bypass_ip_check = true;
    config.tracked_peer_sets = NonZeroUsize::new(PEER_SETS).unwrap_or(NonZeroUsize::MIN);
    config.allowed_handshake_rate_per_ip = Quota::per_second(NZU32!(64));
    let (mut network, oracle) = lookup::Network::new(context.child("network"), config);
    let mut channel = |id, per_second: u32| {
        let quota = Quota::per_second(std::num::NonZeroU32::new(per_second).unwrap_or(NZU32!(1)));
        let (sender, receiver) = network.register(id, quota);
        (LinkSender::Peers(sender), LinkReceiver::Peers(receiver))
    };
    let channels = Channels {
        votes: channel(0, VOTES_QUOTA),
        certificates: channel(1, VOTES_QUOTA),
        resolver: channel(2, BULK_QUOTA),
        backfill: channel(3, VOTES_QUOTA),
        broadcast: channel(4, BULK_QUOTA),
        gossip: channel(5, BULK_QUOTA),
        requests: channel(6, request_response::MESSAGES_PER_SECOND),
    };
    (LinkOracle::Peers(oracle), channels, network.start())
}

#[cfg(test)]
mod tests;
