//! Executes the blocks between the committed state and a block that is to be built on or voted for.

use crate::{
    block::Block,
    machine::{NotExecuted, StateMachine},
};
use commonware_consensus::{
    marshal::ancestry::Ancestry,
    types::{Epocher as _, FixedEpocher, Height},
};
use commonware_cryptography::{Digested, Digestible as _};
use futures::StreamExt as _;
use vitals::ids::Hash;

/// The result of executing a block and its ancestors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AncestryStatus {
    /// The block and its ancestors were executed; its state is available.
    Valid,
    /// The block or an ancestor contradicts the committed chain: never vote for it.
    Invalid,
    /// The chain moved on meanwhile: try again, or ask whether the block is final.
    Stale,
    /// An ancestor cannot be fetched.
    Unavailable,
}

/// The committee a header at `height` on the block `parent` must carry: the next epoch's in an
/// epoch's last block. `None` if the parent's state is not available.
pub(crate) fn next_committee(
    machine: &dyn StateMachine,
    epocher: &FixedEpocher,
    height: u64,
    parent: &Hash,
) -> Option<Vec<[u8; 32]>> {
    let height = Height::new(height);
    let epoch = epocher.containing(height).map(|info| info.epoch())?;
    if epocher.last(epoch) != Some(height) {
        return Some(Vec::new());
    }
    machine.committee(parent, epoch.next().get())
}

/// Executes what is missing between the committed state and the head of `ancestry`, inclusive.
///
/// Final blocks are committed while this waits for ancestors. A node that catches up depends on the
/// answer: "rotten" means never to vote for the block, even if a quorum did, so only what contradicts
/// the committed chain is.
pub(crate) async fn execute_ancestry(
    machine: &dyn StateMachine,
    epocher: &FixedEpocher,
    ancestry: &mut impl Ancestry<Block>,
) -> AncestryStatus {
    let mut missing: Vec<Digested<Block>> = Vec::new();
    loop {
        let Some(block) = ancestry.next().await else { return AncestryStatus::Unavailable };
        let (height, tip) = machine.committed();
        // It was committed while its ancestors were fetched.
        if let Some(at) = missing.iter().position(|block| block.inner().header().height == height) {
            if missing[at].digest().0 != tip {
                return AncestryStatus::Invalid;
            }
            missing.truncate(at);
            break;
        }
        if missing.first().is_some_and(|head| head.inner().header().height < height) {
            return AncestryStatus::Stale;
        }
        let digest = block.digest().0;
        if digest == tip || machine.has_executed(&digest) {
            break;
        }
        if block.inner().header().height <= height {
            // A block with descendants here has the tip's height but is not the tip.
            return if missing.is_empty() { AncestryStatus::Stale } else { AncestryStatus::Invalid };
        }
        missing.push(block);
    }
    while let Some(block) = missing.pop() {
        let header = block.inner().header();
        match next_committee(machine, epocher, header.height, &header.parent) {
            None => return AncestryStatus::Stale,
            Some(committee) if header.committee != committee || header.extra != Hash::default() => {
                tracing::warn!(
                    height = header.height,
                    "Rejected a block: its header names another committee"
                );
                return AncestryStatus::Invalid;
            }
            Some(_) => {}
        }
        match machine.check(block.inner(), block.digest().0) {
            Ok(()) => {}
            Err(NotExecuted::Orphan) => return AncestryStatus::Stale,
            Err(why @ NotExecuted::Invalid(_)) => {
                tracing::warn!(height = header.height, "Rejected a block: {why}");
                return AncestryStatus::Invalid;
            }
        }
    }
    AncestryStatus::Valid
}

#[cfg(test)]
mod tests;
