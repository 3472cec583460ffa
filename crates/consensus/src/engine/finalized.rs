//! Final blocks on their way from marshal into the state machine.

use super::{FETCH_RETRY, Fault, Final, Marshal};
use crate::{
    Digest, Finalization, PublicKey,
    block::Block,
    certificate::to_certificate,
    machine::{NotCommitted, SnapshotBase, StateMachine},
};
use commonware_actor::Feedback;
use commonware_consensus::{Reporter, marshal::Update, types::Height};
use commonware_cryptography::{Digested, Digestible as _};
use commonware_runtime::Clock;
use commonware_utils::{channel::mpsc, ordered::Set, vec::NonEmptyVec};

/// How often the others are asked for the certificate of an epoch's last block.
const CERTIFICATE_TRIES: u32 = 20;

/// Queues final blocks in their order. Marshal bounds its length by `PENDING_ACKS_MAX`.
#[derive(Clone)]
pub(super) struct FinalizedQueue(mpsc::UnboundedSender<Final>);

impl FinalizedQueue {
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Final>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }
}

impl Reporter for FinalizedQueue {
    type Activity = Update<Block>;

    fn report(&mut self, activity: Update<Block>) -> Feedback {
        if let Update::Block(block, acknowledgement) = activity
            && self.0.send((block, acknowledgement)).is_err()
        {
            return Feedback::Closed;
        }
        Feedback::Ok
    }
}

/// Commits a final block, with its own certificate if it has one.
pub(super) fn deliver(
    machine: &dyn StateMachine,
    block: &Digested<Block>,
    finalization: Option<&Finalization>,
    now_ms: u64,
) -> Result<(), NotCommitted> {
    let certificate = finalization.and_then(to_certificate);
    machine.commit(block.inner(), block.digest().0, certificate.as_ref(), now_ms)
}

/// The certificate of an epoch's last block. A block may become final through a later one: then the
/// members of the committee are asked for its own certificate, for a bounded time.
pub(super) async fn certificate_of_last(
    clock: &impl Clock,
    marshal: &Marshal,
    height: Height,
    committee: &Set<PublicKey>,
) -> Option<Finalization> {
    let mut finalization = marshal.get_finalization(height).await;
    let mut tries = 0;
    while finalization.is_none() && tries < CERTIFICATE_TRIES {
        tries += 1;
        let members: Vec<PublicKey> = committee.iter().cloned().collect();
        if let Ok(members) = NonEmptyVec::try_from(members) {
            marshal.hint_finalized(height, members);
        }
        clock.sleep(FETCH_RETRY).await;
        finalization = marshal.get_finalization(height).await;
    }
    finalization
}

/// Commits what marshal has processed and the state machine has not, stores the tip's certificate, and
/// refuses journals that are older than the state.
pub(super) async fn catch_up(
    marshal: &Marshal,
    machine: &dyn StateMachine,
    base: Option<&SnapshotBase>,
    now_ms: u64,
) -> Result<(), Fault> {
    let (height, tip) = machine.committed();
    if let Some(base) = base.filter(|base| base.header.height == height) {
        // Marshal may never have had the block itself.
        machine.store_certificate(&base.header, tip, Some(&base.certificate));
    } else if height > 0 {
        let block = marshal.get_block(Height::new(height)).await;
        let block = block.filter(|block| block.digest() == Digest::from(tip));
        let block = block.ok_or(Fault::RolledBack { height })?;
        let finalization = marshal.get_finalization(Height::new(height)).await;
        let certificate = finalization.as_ref().and_then(to_certificate);
        machine.store_certificate(block.inner().header(), tip, certificate.as_ref());
    }
    let processed = marshal.get_processed().await.map_or(0, |processed| processed.height().get());
    for height in height + 1..=processed {
        let height = Height::new(height);
        let block = marshal.get_block(height).await;
        let block = block.ok_or(Fault::BlockPruned { height: height.get() })?;
        let finalization = marshal.get_finalization(height).await;
        deliver(machine, &block, finalization.as_ref(), now_ms)?;
    }
    Ok(())
}
