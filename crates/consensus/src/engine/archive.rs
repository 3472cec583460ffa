//! Final blocks or their certificates, by height: all of them, or those of the latest heights.
//!
//! An archive of all of them needs little memory and is never shortened. One of the latest is shortened a section
//! at a time, and needs about forty bytes of memory for each height that it holds. What was kept in the other way is
//! taken over once, at the start.

use crate::{Digest, Finalization, Scheme, block::Block};
use commonware_codec::CodecShared;
use commonware_consensus::{
    marshal::store::{Blocks, Certificates},
    types::Height,
};
use commonware_runtime::{
    self as runtime, Clock, Handle, Metrics, Spawner, Storage, buffer::paged::CacheRef,
};
use commonware_storage::{
    archive::{self, Identifier, immutable, prunable},
    metadata,
    translator::EightCap,
};
use commonware_utils::{NZU64, NZUsize};
use std::{num::NonZeroU64, sync::Arc};

/// Most heights of a section: they are removed together.
const SECTION_HEIGHTS_MAX: u64 = 16_384;
/// Fewest heights of a section.
const SECTION_HEIGHTS_MIN: u64 = 16;
/// Sections of what is kept, about. What is removed late is at most one of them.
const SECTIONS: u64 = 32;
/// Most heights that are taken over by an archive of the latest: some seconds of a start, and nine hours of an idle
/// ledger of several validators.
const TAKEN_OVER_MAX: u64 = 1 << 16;
/// Items that are taken over between two syncs.
const TAKEN_OVER_AT_ONCE: u64 = 4_096;

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    /// This many of the latest heights; none: all.
    pub(super) latest: Option<u64>,
    /// The height of the state.
    pub(super) committed: u64,
}

impl Kept {
    /// The lowest height that is taken over from the other form: nobody watches while a node starts.
    fn lowest_taken_over(self) -> u64 {
        let latest = self.latest.map(|latest| latest.min(TAKEN_OVER_MAX));
        latest.map_or(0, |latest| self.committed.saturating_sub(latest))
    }
}

/// The partitions of an archive of all items.
const WHOLE_PARTITIONS: [&str; 5] = ["metadata", "freezer-table", "freezer-key", "freezer-value", "ordinal"];
/// The partitions of one of the latest.
const LATEST_PARTITIONS: [&str; 3] = ["latest-metadata", "latest-key", "latest-value"];

type Whole<R, V> = immutable::Archive<R, Digest, V>;
type Latest<R, V> = prunable::Archive<EightCap, R, Digest, V>;

/// An archive of one kind of item, by height and block digest.
pub(super) enum FinalArchive<R: Clock + Spawner + Storage + Metrics, V: CodecShared> {
    /// All items.
    Whole(Whole<R, V>),
    /// Those of the latest heights.
    Latest(Latest<R, V>),
}

impl<R: Clock + Spawner + Storage + Metrics, V: CodecShared<Cfg: Clone>> FinalArchive<R, V> {
    /// Opens the archive of this name. `digest` is what an item is found by.
    pub(super) async fn open(
        context: R,
        name: String,
        page_cache: &CacheRef,
        codec: V::Cfg,
        kept: Kept,
        digest: impl Fn(&V) -> Digest,
    ) -> Result<Self, archive::Error> {
        let whole = |context| Whole::init(context, whole(&name, page_cache.clone(), codec.clone()));
        let (section, lowest) = (section_heights(kept.latest), kept.lowest_taken_over());
        let latest =
            |context| Latest::init(context, latest(&name, page_cache.clone(), codec.clone(), section));
        Ok(if kept.latest.is_none() {
            if any_exists(&context, &name, &LATEST_PARTITIONS).await? {
                let before = latest(context.child("before")).await?;
                let now = whole(context).await?;
                Self::Whole(take_over(before, now, &name, lowest, digest).await?)
            } else {
                Self::Whole(whole(context).await?)
            }
        } else if any_exists(&context, &name, &WHOLE_PARTITIONS).await? {
            let before = whole(context.child("before")).await?;
            let now = latest(context).await?;
            Self::Latest(take_over(before, now, &name, lowest, digest).await?)
        } else {
            Self::Latest(latest(context).await?)
        })
    }
}

/// Heights of a section. A section keeps its length on disk: everything from 2^19 heights on has the longest, less is
/// for tests.
fn section_heights(latest: Option<u64>) -> NonZeroU64 {
    let heights = latest.map_or(SECTION_HEIGHTS_MAX, |latest| latest / SECTIONS);
    NonZeroU64::new(heights.clamp(SECTION_HEIGHTS_MIN, SECTION_HEIGHTS_MAX)).unwrap_or(NonZeroU64::MIN)
}

/// Is there a file of an archive in one of these forms? All its partitions are looked at: a crash while one was removed
/// leaves some of them.
///
/// # Errors
/// If a folder cannot be read: an archive that is taken for missing would be begun anew.
async fn any_exists(context: &impl Storage, name: &str, form: &[&str]) -> Result<bool, archive::Error> {
    for partition in form {
        match context.scan(&format!("{name}-{partition}")).await {
            Ok(files) if files.is_empty() => {}
            Ok(_) => return Ok(true),
            Err(runtime::Error::PartitionMissing(_)) => {}
            Err(why) => return Err(metadata::Error::Runtime(why).into()),
        }
    }
    Ok(false)
}

/// Copies what is wanted from one archive to the other and removes the first. A crash in between leaves both, and
/// the next start goes on.
async fn take_over<V: CodecShared, A, B>(
    from: A,
    mut to: B,
    name: &str,
    lowest: u64,
    digest: impl Fn(&V) -> Digest,
) -> Result<B, archive::Error>
where
    A: archive::Archive<Key = Digest, Value = V>,
    B: archive::Archive<Key = Digest, Value = V>,
{
    let ranges: Vec<(u64, u64)> = from.ranges_from(lowest).collect();
    tracing::info!(name, ?ranges, "Taking over what was kept of past blocks in another form");
    let mut copied: u64 = 0;
    for (first, last) in ranges {
        for height in first.max(lowest)..=last {
            let Some(item) = from.get(Identifier::Index(height)).await? else { continue };
            to = to.put(height, digest(&item), &item).await?;
            copied += 1;
            if copied.is_multiple_of(TAKEN_OVER_AT_ONCE) {
                to = to.sync().await?;
            }
        }
    }
    let to = to.sync().await?;
    from.destroy().await?;
    Ok(to)
}

fn whole<C>(name: &str, page_cache: CacheRef, codec_config: C) -> immutable::Config<C> {
    let [metadata, table, key, value, ordinal] =
        WHOLE_PARTITIONS.map(|partition| format!("{name}-{partition}"));
    immutable::Config {
        metadata_partition: metadata,
        freezer_table_partition: table,
        freezer_table_initial_size: 1 << 12,
        freezer_table_resize_frequency: 4,
        freezer_table_resize_chunk_size: 1 << 10,
        freezer_key_partition: key,
        freezer_key_page_cache: page_cache,
        freezer_key_write_buffer: NZUsize!(1 << 20),
        freezer_value_partition: value,
        freezer_value_write_buffer: NZUsize!(1 << 20),
        freezer_value_target_size: 1 << 30,
        freezer_value_compression: None,
        ordinal_partition: ordinal,
        ordinal_write_buffer: NZUsize!(1 << 20),
        items_per_section: NZU64!(262_144),
        replay_buffer: NZUsize!(1 << 20),
        codec_config,
    }
}

fn latest<C>(
    name: &str,
    page_cache: CacheRef,
    codec_config: C,
    section: NonZeroU64,
) -> prunable::Config<EightCap, C> {
    let [metadata, key, value] = LATEST_PARTITIONS.map(|partition| format!("{name}-{partition}"));
    prunable::Config {
        translator: EightCap,
        metadata_partition: metadata,
        key_partition: key,
        key_page_cache: page_cache,
        value_partition: value,
        compression: None,
        codec_config,
        items_per_section: section,
        key_write_buffer: NZUsize!(1 << 18),
        value_write_buffer: NZUsize!(1 << 18),
        replay_buffer: NZUsize!(1 << 20),
    }
}

/// The same call on either form.
macro_rules! either {
    ($archive:expr, $one:ident => $call:expr) => {
        match $archive {
            FinalArchive::Whole($one) => $call,
            FinalArchive::Latest($one) => $call,
        }
    };
}

/// The same call on either form, which gives the archive back.
macro_rules! either_again {
    ($archive:expr, $one:ident => $call:expr) => {
        Ok(match $archive {
            FinalArchive::Whole($one) => FinalArchive::Whole($call?),
            FinalArchive::Latest($one) => FinalArchive::Latest($call?),
        })
    };
}

impl<R: Clock + Spawner + Storage + Metrics> Certificates for FinalArchive<R, Finalization> {
    type BlockDigest = Digest;
    type Commitment = Digest;
    type Scheme = Scheme;
    type Error = archive::Error;

    async fn put(
        self,
        height: Height,
        digest: Digest,
        finalization: &Finalization,
    ) -> Result<Self, archive::Error> {
        either_again!(self, one => Certificates::put(one, height, digest, finalization).await)
    }

    async fn sync(self) -> Result<Self, archive::Error> {
        either_again!(self, one => Certificates::sync(one).await)
    }

    async fn start_sync(self) -> Result<(Self, Handle<()>), archive::Error> {
        Ok(match self {
            Self::Whole(one) => {
                let (one, synced) = Certificates::start_sync(one).await?;
                (Self::Whole(one), synced)
            }
            Self::Latest(one) => {
                let (one, synced) = Certificates::start_sync(one).await?;
                (Self::Latest(one), synced)
            }
        })
    }

    async fn get(&self, id: Identifier<'_, Digest>) -> Result<Option<Finalization>, archive::Error> {
        either!(self, one => Certificates::get(one, id).await)
    }

    async fn has(&self, height: Height) -> Result<bool, archive::Error> {
        either!(self, one => Certificates::has(one, height).await)
    }

    async fn prune(self, min: Height) -> Result<Self, archive::Error> {
        either_again!(self, one => Certificates::prune(one, min).await)
    }

    fn last_index(&self) -> Option<Height> {
        either!(self, one => Certificates::last_index(one))
    }

    fn ranges_from(&self, from: Height) -> impl Iterator<Item = (Height, Height)> {
        let ranges: Vec<_> = either!(self, one => Certificates::ranges_from(one, from).collect());
        ranges.into_iter()
    }
}

impl<R: Clock + Spawner + Storage + Metrics> Blocks for FinalArchive<R, Arc<Block>> {
    type Block = Arc<Block>;
    type Error = archive::Error;

    async fn put(self, digest: Digest, block: &Arc<Block>) -> Result<Self, archive::Error> {
        either_again!(self, one => Blocks::put(one, digest, block).await)
    }

    async fn sync(self) -> Result<Self, archive::Error> {
        either_again!(self, one => Blocks::sync(one).await)
    }

    async fn start_sync(self) -> Result<(Self, Handle<()>), archive::Error> {
        Ok(match self {
            Self::Whole(one) => {
                let (one, synced) = Blocks::start_sync(one).await?;
                (Self::Whole(one), synced)
            }
            Self::Latest(one) => {
                let (one, synced) = Blocks::start_sync(one).await?;
                (Self::Latest(one), synced)
            }
        })
    }

    async fn get(&self, id: Identifier<'_, Digest>) -> Result<Option<Arc<Block>>, archive::Error> {
        either!(self, one => Blocks::get(one, id).await)
    }

    async fn prune(self, min: Height) -> Result<Self, archive::Error> {
        either_again!(self, one => Blocks::prune(one, min).await)
    }

    fn missing_items(&self, start: Height, max: usize) -> Vec<Height> {
        either!(self, one => Blocks::missing_items(one, start, max))
    }

    fn next_gap(&self, value: Height) -> (Option<Height>, Option<Height>) {
        either!(self, one => Blocks::next_gap(one, value))
    }

    fn last_index(&self) -> Option<Height> {
        either!(self, one => Blocks::last_index(one))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;
