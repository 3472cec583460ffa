//! One consensus instance per epoch: its committee, its subchannels, its votes on disk.

use super::storage::{remove_old_votes, votes_partition};
use super::{
    Application, Ends, EngineBlocker, FETCH_RETRY, FETCH_TIMEOUT, Fault, MAILBOX, Platform, VIEW_RETENTION,
};
use crate::schemes::Schemes;
use crate::{
    Digest, NodeClock, PublicKey,
    machine::StateMachine,
    peer_status::{ObservingReporter, PeerStatusTable},
};
use commonware_consensus::{
    simplex::{
        self,
        config::{Floor, ForwardPolicy, SkipBudget, SkipPolicy},
        elector::RoundRobin,
    },
    types::{Epoch, Epocher as _, FixedEpocher, Height, ViewDelta},
};
use commonware_cryptography::Sha256;
use commonware_p2p::{
    Message,
    utils::mux::{Builder as _, MuxHandle, Muxer},
};
use commonware_parallel::Sequential;
use commonware_runtime::{Handle, Supervisor as _, buffer::paged::CacheRef};
use commonware_utils::{NZDuration, NZUsize, channel::mpsc, ordered::Set};
use std::{sync::Arc, time::Duration};
use vitals::proof::header::BlockHeader;

/// A leader that missed its turn is skipped for this long, beyond the time others wait for it.
const SKIP: Duration = Duration::from_secs(2);

/// The block that opens an epoch: the last block of the epoch before.
pub(super) struct EpochRoot {
    digest: Digest,
    committee: Set<PublicKey>,
}

impl EpochRoot {
    pub(super) fn of(header: &BlockHeader) -> Self {
        let committee = super::committee_set(&header.committee);
        Self { digest: Digest::from(header.digest()), committee }
    }
}

/// What every epoch's consensus instance is made of.
pub(super) struct Setup<P: Platform> {
    pub(super) clock: Arc<dyn NodeClock>,
    pub(super) schemes: Schemes,
    pub(super) machine: Arc<dyn StateMachine>,
    pub(super) peer_statuses: PeerStatusTable,
    pub(super) application: Application<P::Runtime>,
    pub(super) blocker: EngineBlocker<P>,
    pub(super) page_cache: CacheRef,
    /// Prefix of storage partitions.
    pub(super) partition: String,
    /// How long the others wait for a leader.
    pub(super) leader_timeout: Duration,
}

/// Votes and certificates travel on one subchannel per epoch.
pub(super) struct Subchannels<P: Platform> {
    votes: MuxHandle<P::Sender>,
    certificates: MuxHandle<P::Sender>,
    resolver: MuxHandle<P::Sender>,
    /// Votes of epochs that do not run here, by epoch.
    pub(super) unrouted_votes: mpsc::Receiver<(u64, Message<PublicKey>)>,
    /// Certificates of epochs that do not run here, by epoch.
    pub(super) unrouted_certificates: mpsc::Receiver<(u64, Message<PublicKey>)>,
}

impl<P: Platform> Subchannels<P> {
    pub(super) fn start(
        context: &P::Runtime,
        votes: Ends<P>,
        certificates: Ends<P>,
        resolver: Ends<P>,
    ) -> Self {
        let builder = Muxer::builder(context.child("vote_mux"), votes.0, votes.1);
        let (mux, votes, unrouted_votes) = builder.with_backup().build();
        mux.start();
        let builder = Muxer::builder(context.child("certificate_mux"), certificates.0, certificates.1);
        let (mux, certificates, unrouted_certificates) = builder.with_backup().build();
        mux.start();
        let (mux, resolver) = Muxer::new(context.child("resolver_mux"), resolver.0, resolver.1);
        mux.start();
        Self { votes, certificates, resolver, unrouted_votes, unrouted_certificates }
    }
}

/// The current epoch and its running consensus instance.
pub(super) struct Epochs<P: Platform> {
    context: P::Runtime,
    setup: Setup<P>,
    pub(super) subchannels: Subchannels<P>,
    epocher: FixedEpocher,
    pub(super) current: Epoch,
    root: EpochRoot,
    running: Option<(Epoch, Handle<()>)>,
}

impl<P: Platform> Epochs<P> {
    pub(super) fn new(
        context: P::Runtime,
        setup: Setup<P>,
        subchannels: Subchannels<P>,
        epocher: FixedEpocher,
        current: Epoch,
        root: EpochRoot,
    ) -> Self {
        Self { context, setup, subchannels, epocher, current, root, running: None }
    }

    /// The committee of the current epoch.
    pub(super) fn committee(&self) -> &Set<PublicKey> {
        &self.root.committee
    }

    /// The last height of the current epoch.
    pub(super) fn last_height(&self) -> Result<Height, Fault> {
        self.epocher.last(self.current).ok_or(Fault::Engine("the height is beyond the last epoch"))
    }

    /// Makes the next epoch current, which `root` opens.
    pub(super) fn advance(&mut self, root: EpochRoot) {
        (self.current, self.root) = (self.current.next(), root);
    }

    /// Starts the consensus instance of the current epoch if it does not run, and ends the one before.
    pub(super) async fn run_current(&mut self) -> Result<(), Fault> {
        self.last_height()?;
        if self.running.as_ref().is_some_and(|(running, _)| *running == self.current) {
            return Ok(());
        }
        let (epoch, setup) = (self.current, &self.setup);
        let committee = self.root.committee.clone();
        let scheme = setup.schemes.enter(epoch, committee.clone());
        remove_old_votes(&self.context, &setup.partition, epoch).await;
        let reporter = ObservingReporter {
            clock: setup.clock.clone(),
            committee,
            peer_statuses: setup.peer_statuses.clone(),
            machine: setup.machine.clone(),
            next: setup.application.clone(),
        };
        let engine = simplex::Engine::new(
            self.context.child("simplex").with_attribute("epoch", epoch),
            simplex::Config {
                scheme,
                elector: RoundRobin::<Sha256>::default(),
                blocker: setup.blocker.clone(),
                automaton: setup.application.clone(),
                relay: setup.application.clone(),
                reporter,
                track_historical_votes: false,
                strategy: Sequential,
                partition: votes_partition(&setup.partition, epoch),
                mailbox_size: NZUsize!(MAILBOX),
                epoch,
                floor: Floor::Genesis(self.root.digest),
                replay_buffer: NZUsize!(1 << 20),
                write_buffer: NZUsize!(1 << 20),
                page_cache: setup.page_cache.clone(),
                leader_timeout: setup.leader_timeout,
                certification_timeout: setup.leader_timeout * 2,
                timeout_retry: Duration::from_secs(2),
                view_retention: ViewDelta::new(VIEW_RETENTION),
                skip: SkipPolicy::Enabled {
                    timeout: setup.leader_timeout * 2 + SKIP,
                    budget: SkipBudget::Participants,
                },
                fetch_timeout: NZDuration!(FETCH_TIMEOUT),
                fetch_retry_delay: FETCH_RETRY,
                forward: ForwardPolicy::SilentVoters,
            },
        );
        let votes = self.subchannels.votes.register(epoch.get()).await;
        let certificates = self.subchannels.certificates.register(epoch.get()).await;
        let resolver = self.subchannels.resolver.register(epoch.get()).await;
        let (Ok(votes), Ok(certificates), Ok(resolver)) = (votes, certificates, resolver) else {
            return Err(Fault::Engine("the network's channels"));
        };
        let started = engine.start(votes, certificates, resolver);
        if let Some((_, before)) = self.running.replace((epoch, started)) {
            before.abort();
        }
        Ok(())
    }
}
