//! What a validator proposes, and what it accepts from others.

use crate::{
    Context, NodeClock, Scheme,
    ancestry::{self, AncestryStatus},
    block::Block,
    block_time::{self, Floor, LeadingClock, STILL_BLOCKS, Verdict},
    machine::StateMachine,
    peer_status::PeerStatusTable,
    schemes::Schemes,
};
use commonware_consensus::{
    Application,
    marshal::{ancestry::Ancestry, core::Mailbox, standard::Standard},
    types::{Epoch, FixedEpocher, Height},
};
use commonware_cryptography::{Digested, Digestible as _};
use commonware_macros::select;
use commonware_parallel::Sequential;
use commonware_runtime::{Clock, Metrics, Spawner};
use futures::StreamExt as _;
use parking_lot::Mutex;
use std::{future::pending, sync::Arc, time::Duration};
use vitals::{ids::Hash, proof::certificate::quorum, proof::header::BlockHeader};

/// Least time between two blocks. Bounds the work of a committee of one, where agreement costs
/// next to nothing.
pub(crate) const BLOCK_INTERVAL_MIN: Duration = Duration::from_millis(20);
/// How often a block whose time does not fit is judged again: a clock may have been set right.
const JUDGE_AGAIN: Duration = Duration::from_millis(100);

/// Builds the blocks this validator proposes and verifies those of others.
#[derive(Clone)]
pub(crate) struct Builder {
    pub(crate) machine: Arc<dyn StateMachine>,
    pub(crate) marshal: Mailbox<Scheme, Standard<Block>>,
    pub(crate) epocher: FixedEpocher,
    /// Longest time without a block: an idle chain makes an empty one after it.
    pub(crate) heartbeat: Duration,
    /// How long the others wait for a leader's block.
    pub(crate) leader_timeout: Duration,
    pub(crate) schemes: Schemes,
    pub(crate) floor: Floor,
    pub(crate) clock: Arc<dyn NodeClock>,
    pub(crate) leading: Arc<Mutex<LeadingClock>>,
    pub(crate) peer_statuses: PeerStatusTable,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Builder {
    /// Executes the blocks between the committed state and the head of `ancestry`, inclusive.
    async fn execute_ancestry(&self, ancestry: &mut impl Ancestry<Block>) -> AncestryStatus {
        ancestry::execute_ancestry(&*self.machine, &self.epocher, ancestry).await
    }

    /// Was this the block finalized at its height?
    async fn is_finalized(&self, block: &Digested<Block>) -> bool {
        let height = Height::new(block.inner().header().height);
        self.marshal.get_info(height).await.is_some_and(|(_, digest)| digest == block.digest())
    }

    /// How long a block may carry a time that does not fit this validator's clocks. If others can finalize without
    /// this vote, they give up on the view meanwhile: they wait two leader timeouts for its certificate. If no vote
    /// can be missed, the proposer holds to its block: waiting any longer than it waits for the next leader would
    /// only lose that view, too.
    fn patience(&self, epoch: u64) -> Duration {
        let validators = self.schemes.validators(Epoch::new(epoch));
        match validators.is_none_or(|n| quorum(n) < n) {
            true => self.leader_timeout * 5 / 2,
            false => self.leader_timeout / 2,
        }
    }

    /// Waits until the time of a block fits the clocks of this node. False if it never may.
    async fn time_fits(
        &self,
        runtime: &impl Clock,
        header: &BlockHeader,
        parent_ms: u64,
        parents: impl Ancestry<Block>,
    ) -> bool {
        let stood_still = header.time_ms < parent_ms && stood_still(parents).await;
        let deadline = runtime.current() + self.patience(header.epoch);
        let mut waits = false;
        loop {
            let clocks = [self.clock.now_ms(), self.clock.machine_ms()];
            let floor_ms = self.floor.ms(runtime.current());
            let leading_ms = self.leading.lock().read(parent_ms, &clocks, runtime.current());
            match block_time::judge(header.time_ms, parent_ms, stood_still, &clocks, leading_ms, floor_ms) {
                Verdict::Fits => return true,
                Verdict::Never => {
                    tracing::warn!(
                        height = header.height,
                        "Rejected a block: its time lies before its parent's"
                    );
                    return false;
                }
                Verdict::NotYet if runtime.current() >= deadline => {
                    tracing::warn!(
                        height = header.height,
                        time_ms = header.time_ms,
                        "Accepted a block whose time does not fit this node's clock, so that the ledger goes on: \
                         compare the clocks of the validators"
                    );
                    return true;
                }
                Verdict::NotYet => {
                    if !waits {
                        let (height, time_ms) = (header.height, header.time_ms);
                        tracing::debug!(
                            height,
                            time_ms,
                            parent_ms,
                            ?clocks,
                            "A block's time does not fit yet"
                        );
                    }
                    waits = true;
                    runtime.sleep(JUDGE_AGAIN).await;
                }
            }
        }
    }
}

/// Do the newest [`STILL_BLOCKS`] blocks have one time?
async fn stood_still(mut newest_first: impl Ancestry<Block>) -> bool {
    let mut time_ms = None;
    for _ in 0..STILL_BLOCKS {
        let Some(block) = newest_first.next().await else { return false };
        let one_ms = block.inner().header().time_ms;
        if *time_ms.get_or_insert(one_ms) != one_ms {
            return false;
        }
    }
    true
}

impl<E: Clock + Spawner + Metrics> Application<E> for Builder {
    type SigningScheme = Scheme;
    type Context = Context;
    type Block = Block;
    type Input = ();

    async fn propose(
        &mut self,
        (runtime, context): (E, Context),
        mut ancestry: impl Ancestry<Block>,
        (): (),
    ) -> Option<Digested<Block>> {
        let ancestors = ancestry.clone();
        let parent = ancestry.clone().next().await?;
        if !matches!(self.execute_ancestry(&mut ancestry).await, AncestryStatus::Valid) {
            return None;
        }
        let (parent, parent_digest) = (parent.inner().header().clone(), parent.digest().0);

        let age = self.clock.now_ms().saturating_sub(parent.time_ms);
        let wait = millis(BLOCK_INTERVAL_MIN).saturating_sub(age);
        if wait > 0 {
            runtime.sleep(Duration::from_millis(wait)).await;
        }
        let deadline = runtime.current() + self.heartbeat;
        let transactions = loop {
            let batch = self.machine.next_batch(&parent_digest);
            if !batch.is_empty() {
                break batch;
            }
            select! {
                _ = self.machine.transactions_available() => {},
                _ = runtime.sleep_until(deadline) => break Vec::new(),
            }
        };

        let height = parent.height + 1;
        let floor_ms = self.floor.ms(runtime.current());
        let now_ms =
            block_time::proposers_clock(parent.time_ms, self.clock.now_ms(), self.clock.machine_ms());
        let back = block_time::may_go_back(parent.time_ms, now_ms, floor_ms) && stood_still(ancestors).await;
        let time_ms = block_time::choose(parent.time_ms, now_ms, back);
        if time_ms < parent.time_ms {
            let by_ms = parent.time_ms - time_ms;
            tracing::warn!(
                height,
                by_ms,
                "The ledger's time is ahead of every validator's clock: this block takes it back"
            );
        }
        tracing::debug!(height, time_ms, parent_ms = parent.time_ms, "Proposes a block");
        let header = BlockHeader {
            epoch: context.round.epoch().get(),
            view: context.round.view().get(),
            leader: context.leader.as_ref().try_into().ok()?,
            parent_view: context.parent.0.get(),
            parent: parent_digest,
            height,
            time_ms,
            state_root: Hash::default(),
            transactions_root: Hash::default(),
            receipts_root: Hash::default(),
            extra: Hash::default(),
            committee: ancestry::next_committee(&*self.machine, &self.epocher, height, &parent_digest)?,
        };
        let block = self.machine.build(header, transactions)?;
        Some(Digested::compute(block, &Sequential).await)
    }

    async fn verify(&mut self, (runtime, _context): (E, Context), ancestry: impl Ancestry<Block>) -> bool {
        let mut parents = ancestry.clone();
        let Some(block) = parents.next().await else { return pending().await };
        let header = block.inner().header();
        if self.machine.has_executed(&block.digest().0) {
            return true;
        }
        if header.height <= self.machine.committed().0 {
            return self.is_finalized(&block).await;
        }
        // `Deferred` has checked that the next block is the parent; only its time is needed here.
        let from_parent = parents.clone();
        let Some(parent_ms) = parents.next().await.map(|parent| parent.inner().header().time_ms) else {
            return pending().await;
        };
        if header.time_ms > parent_ms {
            // The proposer's clock reached this time.
            self.peer_statuses.timed(&header.leader, header.time_ms, self.clock.now_ms());
        }
        if !self.time_fits(&runtime, header, parent_ms, from_parent).await {
            return false;
        }
        loop {
            let status = self.execute_ancestry(&mut ancestry.clone()).await;
            if header.height <= self.machine.committed().0 {
                // The height was decided meanwhile, perhaps for this block.
                return self.is_finalized(&block).await;
            }
            match status {
                AncestryStatus::Valid => return true,
                AncestryStatus::Invalid => return false,
                AncestryStatus::Unavailable => return pending().await,
                AncestryStatus::Stale => {}
            }
        }
    }
}
