//! What a validator keeps on disk: final blocks, their certificates, and its own votes.

use super::Fault;
use crate::{Digest, Finalization, Scheme, block::Block, start_checks::VOTES_PARTITION_PREFIX};
use commonware_consensus::types::Epoch;
use commonware_cryptography::certificate::Verifier as _;
use commonware_runtime::{Clock, Metrics, Spawner, Storage, buffer::paged::CacheRef};
use commonware_storage::archive::immutable;
use commonware_utils::{NZU64, NZUsize};
use std::sync::Arc;

/// Epochs whose votes are removed at a time: usually one, more after a crash in between.
const REMOVED_AT_ONCE: u64 = 4;

/// The certificates of final blocks, by height and block digest.
type Certificates<R> = immutable::Archive<R, Digest, Finalization>;
/// Final blocks, by height and digest.
type Blocks<R> = immutable::Archive<R, Digest, Arc<Block>>;

/// Opens the archives of certificates and of blocks.
pub(super) async fn open_archives<R: Clock + Spawner + Storage + Metrics>(
    context: &R,
    partition: &str,
    page_cache: &CacheRef,
) -> Result<(Certificates<R>, Blocks<R>), Fault> {
    let certificate_codec = Scheme::certificate_codec_config_unbounded();
    let finalizations = immutable::Archive::init(
        context.child("finalizations"),
        archive(&format!("{partition}finalizations"), page_cache.clone(), certificate_codec),
    )
    .await;
    let blocks = immutable::Archive::init(
        context.child("blocks"),
        archive(&format!("{partition}blocks"), page_cache.clone(), ()),
    )
    .await;
    match (finalizations, blocks) {
        (Ok(finalizations), Ok(blocks)) => Ok((finalizations, blocks)),
        (Err(why), _) | (_, Err(why)) => Err(Fault::Archive(why.to_string())),
    }
}

fn archive<C>(name: &str, page_cache: CacheRef, codec_config: C) -> immutable::Config<C> {
    immutable::Config {
        metadata_partition: format!("{name}-metadata"),
        freezer_table_partition: format!("{name}-freezer-table"),
        freezer_table_initial_size: 1 << 12,
        freezer_table_resize_frequency: 4,
        freezer_table_resize_chunk_size: 1 << 10,
        freezer_key_partition: format!("{name}-freezer-key"),
        freezer_key_page_cache: page_cache,
        freezer_key_write_buffer: NZUsize!(1 << 20),
        freezer_value_partition: format!("{name}-freezer-value"),
        freezer_value_write_buffer: NZUsize!(1 << 20),
        freezer_value_target_size: 1 << 30,
        freezer_value_compression: None,
        ordinal_partition: format!("{name}-ordinal"),
        ordinal_write_buffer: NZUsize!(1 << 20),
        items_per_section: NZU64!(262_144),
        replay_buffer: NZUsize!(1 << 20),
        codec_config,
    }
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
