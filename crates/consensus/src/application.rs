//! What a validator proposes, and what it accepts from others.

use crate::{
    Context, Scheme,
    ancestry::{self, AncestryStatus},
    block::Block,
    machine::StateMachine,
};
use commonware_consensus::{
    Application,
    marshal::{ancestry::Ancestry, core::Mailbox, standard::Standard},
    types::{FixedEpocher, Height},
};
use commonware_cryptography::{Digested, Digestible as _};
use commonware_macros::select;
use commonware_parallel::Sequential;
use commonware_runtime::{Clock, Metrics, Spawner};
use futures::StreamExt as _;
use std::{
    future::pending,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};
use vitals::{ids::Hash, proof::header::BlockHeader};

/// Least time between two blocks. Bounds the work of a committee of one, where agreement costs
/// next to nothing.
pub(crate) const BLOCK_INTERVAL_MIN: Duration = Duration::from_millis(20);
/// How far ahead of this validator's clock a block's time may be.
const AHEAD_MAX: Duration = Duration::from_secs(5);

/// Builds the blocks this validator proposes and verifies those of others.
#[derive(Clone)]
pub(crate) struct Builder {
    pub(crate) machine: Arc<dyn StateMachine>,
    pub(crate) marshal: Mailbox<Scheme, Standard<Block>>,
    pub(crate) epocher: FixedEpocher,
    /// Longest time without a block: an idle chain makes an empty one after it.
    pub(crate) heartbeat: Duration,
}

/// Milliseconds since 1970 on the runtime's clock.
pub(crate) fn now_ms(clock: &impl Clock) -> u64 {
    let since = clock.current().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
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
        let parent = ancestry.clone().next().await?;
        if !matches!(self.execute_ancestry(&mut ancestry).await, AncestryStatus::Valid) {
            return None;
        }
        let (parent, parent_digest) = (parent.inner().header().clone(), parent.digest().0);

        let age = now_ms(&runtime).saturating_sub(parent.time_ms);
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
        let header = BlockHeader {
            epoch: context.round.epoch().get(),
            view: context.round.view().get(),
            leader: context.leader.as_ref().try_into().ok()?,
            parent_view: context.parent.0.get(),
            parent: parent_digest,
            height,
            time_ms: now_ms(&runtime).max(parent.time_ms),
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
        let Some(parent_ms) = parents.next().await.map(|parent| parent.inner().header().time_ms) else {
            return pending().await;
        };
        if header.time_ms < parent_ms {
            return false;
        }
        if header.time_ms > parent_ms {
            // The block is early, not invalid: vote when this clock is near enough. If the proposer's
            // clock is far off, consensus gives up on the view first.
            let latest = header.time_ms.saturating_sub(millis(AHEAD_MAX));
            let early = latest.saturating_sub(now_ms(&runtime));
            if early > 0 {
                runtime.sleep(Duration::from_millis(early)).await;
            }
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
