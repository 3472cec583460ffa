//! What this validator observes of the others: their height, their last vote, and votes that contradict
//! each other.

use crate::{Conflict, Digest, Evidence, PublicKey, Scheme, StateMachine, application::now_ms};
use commonware_actor::Feedback;
use commonware_codec::Encode as _;
use commonware_consensus::{
    Epochable as _, Reporter, Viewable as _,
    simplex::types::{Activity, Attributable as _},
};
use commonware_p2p::{BlockedSubscription, Blocker};
use commonware_runtime::Clock;
use commonware_utils::ordered::Set;
use parking_lot::{Mutex, MutexGuard};
use std::{collections::BTreeMap, sync::Arc};

/// Most peers whose status is kept.
const PEERS_REMEMBERED_MAX: usize = 1024;

/// What was observed of one validator or follower since this node was started. Times are milliseconds
/// since 1970 on this node's clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PeerStatus {
    /// When its height was last received; zero if never.
    pub heard_at_ms: u64,
    /// The height it reported as committed.
    pub height: u64,
    /// When its newest vote arrived; zero if none did.
    pub voted_at_ms: u64,
    /// When it was last blocked for a protocol violation; zero if never.
    pub dropped_at_ms: u64,
    /// How often it was blocked.
    pub drops: u64,
}

/// The status of every peer. Clones share the table.
#[derive(Debug, Clone, Default)]
pub struct PeerStatusTable(Arc<Mutex<BTreeMap<[u8; 32], PeerStatus>>>);

impl PeerStatusTable {
    fn table(&self) -> MutexGuard<'_, BTreeMap<[u8; 32], PeerStatus>> {
        self.0.lock()
    }

    fn update(&self, who: &PublicKey, change: impl FnOnce(&mut PeerStatus)) {
        let Ok(key) = <[u8; 32]>::try_from(who.as_ref()) else { return };
        let mut table = self.table();
        if table.len() < PEERS_REMEMBERED_MAX || table.contains_key(&key) {
            change(table.entry(key).or_default());
        }
    }

    pub(crate) fn heard(&self, who: &PublicKey, height: u64, at_ms: u64) {
        self.update(who, |seen| {
            seen.heard_at_ms = at_ms;
            seen.height = height;
        });
    }

    fn voted(&self, who: &PublicKey, at_ms: u64) {
        self.update(who, |seen| seen.voted_at_ms = at_ms);
    }

    fn dropped(&self, who: &PublicKey, at_ms: u64) {
        self.update(who, |seen| {
            seen.dropped_at_ms = at_ms;
            seen.drops += 1;
        });
    }

    /// Peers from which messages arrived and that were never blocked.
    pub(crate) fn trusted(&self) -> Vec<PublicKey> {
        let table = self.table();
        let trusted = table.iter().filter(|(_, seen)| seen.heard_at_ms > 0 && seen.drops == 0);
        trusted.filter_map(|(key, _)| crate::keys::key(key)).collect()
    }

    /// All peers, by validator key.
    #[must_use]
    pub fn all(&self) -> BTreeMap<[u8; 32], PeerStatus> {
        self.table().clone()
    }
}

/// Blocks peers for every part of the engine and records whom. The part that detected the violation has
/// logged the reason. The network lets the peer connect again after an hour.
pub(crate) struct ObservingBlocker<E, B> {
    pub(crate) clock: Arc<E>,
    pub(crate) peer_statuses: PeerStatusTable,
    pub(crate) inner: B,
}

impl<E, B: Clone> Clone for ObservingBlocker<E, B> {
    fn clone(&self) -> Self {
        Self {
            clock: self.clock.clone(),
            peer_statuses: self.peer_statuses.clone(),
            inner: self.inner.clone(),
        }
    }
}

impl<E: Clock, B: Blocker<PublicKey = PublicKey>> Blocker for ObservingBlocker<E, B> {
    type PublicKey = PublicKey;

    fn block(&mut self, peer: PublicKey) -> Feedback {
        self.peer_statuses.dropped(&peer, now_ms(&*self.clock));
        tracing::warn!(
            validator = %peer,
            "Blocked a validator that violated the protocol"
        );
        self.inner.block(peer)
    }

    fn blocked(&mut self) -> BlockedSubscription<PublicKey> {
        self.inner.blocked()
    }
}

/// Forwards what an epoch's consensus instance reports, and records votes and conflicts.
pub(crate) struct ObservingReporter<E, R> {
    pub(crate) clock: Arc<E>,
    pub(crate) committee: Set<PublicKey>,
    pub(crate) peer_statuses: PeerStatusTable,
    pub(crate) machine: Arc<dyn StateMachine>,
    pub(crate) next: R,
}

impl<E, R: Clone> Clone for ObservingReporter<E, R> {
    fn clone(&self) -> Self {
        Self {
            clock: self.clock.clone(),
            committee: self.committee.clone(),
            peer_statuses: self.peer_statuses.clone(),
            machine: self.machine.clone(),
            next: self.next.clone(),
        }
    }
}

impl<E, R> ObservingReporter<E, R> {
    fn report_conflict(&self, signer: usize, epoch: u64, view: u64, conflict: Conflict, votes: Vec<u8>) {
        let Some(Ok(validator)) = self.committee.get(signer).map(|key| key.as_ref().try_into()) else {
            return;
        };
        self.machine.record_evidence(Evidence { validator, epoch, view, conflict, votes });
    }
}

impl<E, R> Reporter for ObservingReporter<E, R>
where
    E: Clock,
    R: Reporter<Activity = Activity<Scheme, Digest>>,
{
    type Activity = Activity<Scheme, Digest>;

    fn report(&mut self, activity: Self::Activity) -> Feedback {
        let voter = match &activity {
            Activity::Notarize(vote) => Some(vote.signer()),
            Activity::Nullify(vote) => Some(vote.signer()),
            Activity::Finalize(vote) => Some(vote.signer()),
            _ => None,
        };
        if let Some(voter) = voter.and_then(|voter| self.committee.get(usize::from(voter))) {
            self.peer_statuses.voted(voter, now_ms(&*self.clock));
        }
        match &activity {
            Activity::ConflictingNotarize(both) => {
                let (epoch, view) = (both.epoch().get(), both.view().get());
                let votes = both.encode().to_vec();
                self.report_conflict(usize::from(both.signer()), epoch, view, Conflict::Notarize, votes);
            }
            Activity::ConflictingFinalize(both) => {
                let (epoch, view) = (both.epoch().get(), both.view().get());
                let votes = both.encode().to_vec();
                self.report_conflict(usize::from(both.signer()), epoch, view, Conflict::Finalize, votes);
            }
            Activity::NullifyFinalize(both) => {
                let (epoch, view) = (both.epoch().get(), both.view().get());
                let votes = both.encode().to_vec();
                self.report_conflict(
                    usize::from(both.signer()),
                    epoch,
                    view,
                    Conflict::NullifyFinalize,
                    votes,
                );
            }
            _ => {}
        }
        self.next.report(activity)
    }
}
