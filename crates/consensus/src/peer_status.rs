//! What this validator observes of the others: their height, their last vote, and votes that contradict
//! each other.

use crate::{Conflict, Digest, Evidence, NodeClock, PublicKey, Scheme, StateMachine};
use commonware_actor::Feedback;
use commonware_codec::Encode as _;
use commonware_consensus::{
    Epochable as _, Reporter, Viewable as _,
    simplex::types::{Activity, Attributable as _},
};
use commonware_p2p::{BlockedSubscription, Blocker};
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
    /// How far its clock is ahead of this node's, milliseconds, by the times of its newest blocks; negative if it
    /// is behind. Of two blocks in a row the smaller difference counts: one may have been on its way for long.
    pub clock_ahead_ms: i64,
    /// When that was last seen; zero if never.
    pub clock_seen_at_ms: u64,
    /// The difference by its newest block alone.
    pub last_ahead_ms: i64,
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
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

    /// A block whose proposer's clock reached this time.
    pub(crate) fn timed(&self, proposer: &[u8; 32], time_ms: u64, now_ms: u64) {
        let Some(who) = crate::keys::key(proposer) else { return };
        let ahead_ms = signed(time_ms).saturating_sub(signed(now_ms));
        self.update(&who, |seen| {
            let before_ms = if seen.clock_seen_at_ms == 0 { ahead_ms } else { seen.last_ahead_ms };
            seen.clock_ahead_ms =
                if ahead_ms.unsigned_abs() <= before_ms.unsigned_abs() { ahead_ms } else { before_ms };
            seen.last_ahead_ms = ahead_ms;
            seen.clock_seen_at_ms = now_ms;
        });
    }

    /// How far the clocks of the others are ahead of this node's, milliseconds: the median of those seen since
    /// `from_ms`. `None` if there are none.
    #[must_use]
    pub fn clocks_ahead_ms(&self, from_ms: u64) -> Option<i64> {
        let table = self.table();
        let recent = table.values().filter(|seen| seen.clock_seen_at_ms >= from_ms.max(1));
        let mut ahead_ms: Vec<i64> = recent.map(|seen| seen.clock_ahead_ms).collect();
        ahead_ms.sort_unstable();
        ahead_ms.get(ahead_ms.len() / 2).copied()
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
#[derive(Clone)]
pub(crate) struct ObservingBlocker<B> {
    pub(crate) clock: Arc<dyn NodeClock>,
    pub(crate) peer_statuses: PeerStatusTable,
    pub(crate) inner: B,
}

impl<B: Blocker<PublicKey = PublicKey>> Blocker for ObservingBlocker<B> {
    type PublicKey = PublicKey;

    fn block(&mut self, peer: PublicKey) -> Feedback {
        self.peer_statuses.dropped(&peer, self.clock.now_ms());
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
#[derive(Clone)]
pub(crate) struct ObservingReporter<R> {
    pub(crate) clock: Arc<dyn NodeClock>,
    pub(crate) committee: Set<PublicKey>,
    pub(crate) peer_statuses: PeerStatusTable,
    pub(crate) machine: Arc<dyn StateMachine>,
    pub(crate) next: R,
}

impl<R> ObservingReporter<R> {
    fn report_conflict(&self, signer: usize, epoch: u64, view: u64, conflict: Conflict, votes: Vec<u8>) {
        let Some(Ok(validator)) = self.committee.get(signer).map(|key| key.as_ref().try_into()) else {
            return;
        };
        self.machine.record_evidence(Evidence { validator, epoch, view, conflict, votes });
    }
}

impl<R> Reporter for ObservingReporter<R>
where
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
            self.peer_statuses.voted(voter, self.clock.now_ms());
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
