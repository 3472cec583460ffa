//! What a validator keeps on disk: final blocks, their certificates, and its own votes.

use super::Fault;
use super::archive::{FinalArchive, Kept};
use crate::{Finalization, Scheme, block::Block, start_checks::VOTES_PARTITION_PREFIX};
use commonware_consensus::types::Epoch;
use commonware_cryptography::{Digestible as _, certificate::Verifier as _};
use commonware_runtime::{Clock, Metrics, Spawner, Storage, buffer::paged::CacheRef};
use std::sync::Arc;

/// Epochs whose votes are removed at a time: usually one, more after a crash in between.
const REMOVED_AT_ONCE: u64 = 4;

/// The certificates of final blocks, by height and block digest.
type Certificates<R> = FinalArchive<R, Finalization>;
/// Final blocks, by height and digest.
type Blocks<R> = FinalArchive<R, Arc<Block>>;

/// Opens the archives of certificates and of blocks.
pub(super) async fn open_archives<R: Clock + Spawner + Storage + Metrics>(
    context: &R,
    partition: &str,
    page_cache: &CacheRef,
    kept: Kept,
) -> Result<(Certificates<R>, Blocks<R>), Fault> {
    let broken = |why: commonware_storage::archive::Error| Fault::Archive(why.to_string());
    let finalizations = Certificates::open(
        context.child("finalizations"),
        format!("{partition}finalizations"),
        page_cache,
        Scheme::certificate_codec_config_unbounded(),
        kept,
        |finalization| finalization.proposal.payload,
    );
    let finalizations = finalizations.await.map_err(broken)?;
    let blocks =
        Blocks::open(context.child("blocks"), format!("{partition}blocks"), page_cache, (), kept, |block| {
            block.digest()
        });
    Ok((finalizations, blocks.await.map_err(broken)?))
}

/// The partition of an epoch's votes.
pub(super) fn votes_partition(prefix: &str, epoch: Epoch) -> String {
    format!("{prefix}{VOTES_PARTITION_PREFIX}{epoch}")
}

/// Removes the votes of epochs that ended. Those of the last one stay: they show that the journals of
/// this key are complete.
pub(super) async fn remove_old_votes(storage: &impl Storage, prefix: &str, epoch: Epoch) {
    for old in epoch.get().saturating_sub(1 + REMOVED_AT_ONCE)..epoch.get().saturating_sub(1) {
        // An error means that the partition is gone already, or never existed.
        let _ = storage.remove(&votes_partition(prefix, Epoch::new(old)), None).await;
    }
}
