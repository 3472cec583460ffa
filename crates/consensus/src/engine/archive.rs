//! Final blocks or their certificates, by height: all of them, or those of the latest heights.
//!
//! An archive of all of them needs little memory and is never shortened. One of the latest is shortened a few
//! thousand heights at a time, and needs about forty bytes of memory for each that it holds. What was kept in the
//! other way is taken over once, at the start.

use crate::{Digest, Finalization, Scheme, block::Block};
use commonware_codec::CodecShared;
use commonware_consensus::{
    marshal::store::{Blocks, Certificates},
    types::Height,
};
use commonware_runtime::{Clock, Handle, Metrics, Spawner, Storage, buffer::paged::CacheRef};
use commonware_storage::{
    archive::{self, Identifier, immutable, prunable},
    translator::EightCap,
};
use commonware_utils::{NZU64, NZUsize};
use std::sync::Arc;

/// Heights that are removed together.
const HEIGHTS_PER_SECTION: u64 = 16_384;
/// Items that are taken over between two syncs.
const TAKEN_OVER_AT_ONCE: u64 = 4_096;

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    /// The latest blocks only.
    pub(super) latest: bool,
    /// The lowest height that is still wanted.
    pub(super) from: u64,
}

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
        let other = if kept.latest { format!("{name}-metadata") } else { format!("{name}-latest-key") };
        let taken_over = context.scan(&other).await.is_ok_and(|blobs| !blobs.is_empty());
        let whole = |context| Whole::init(context, whole(&name, page_cache.clone(), codec.clone()));
        let latest = |context| Latest::init(context, latest(&name, page_cache.clone(), codec.clone()));
        Ok(match (kept.latest, taken_over) {
            (false, false) => Self::Whole(whole(context).await?),
            (true, false) => Self::Latest(latest(context).await?),
            (false, true) => {
                let before = latest(context.child("before")).await?;
                let now = whole(context).await?;
                Self::Whole(take_over(before, now, &name, kept.from, digest).await?)
            }
            (true, true) => {
                let before = whole(context.child("before")).await?;
                let now = latest(context).await?;
                Self::Latest(take_over(before, now, &name, kept.from, digest).await?)
            }
        })
    }
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
    let mut copied = 0;
    for (first, last) in ranges {
        for height in first.max(lowest)..=last {
            let Some(item) = from.get(Identifier::Index(height)).await? else { continue };
            to = to.put(height, digest(&item), &item).await?;
            copied += 1;
            if copied % TAKEN_OVER_AT_ONCE == 0 {
                to = to.sync().await?;
            }
        }
    }
    let to = to.sync().await?;
    from.destroy().await?;
    Ok(to)
}

fn whole<C>(name: &str, page_cache: CacheRef, codec_config: C) -> immutable::Config<C> {
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

fn latest<C>(name: &str, page_cache: CacheRef, codec_config: C) -> prunable::Config<EightCap, C> {
    prunable::Config {
        translator: EightCap,
        metadata_partition: format!("{name}-latest-metadata"),
        key_partition: format!("{name}-latest-key"),
        key_page_cache: page_cache,
        value_partition: format!("{name}-latest-value"),
        compression: None,
        codec_config,
        items_per_section: NZU64!(HEIGHTS_PER_SECTION),
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
mod tests {
    use super::*;
    use commonware_cryptography::Digestible as _;
    use commonware_runtime::{Runner as _, Supervisor as _, tokio as runtime};
    use commonware_utils::NZU16;
    use std::path::Path;
    use vitals::proof::header::BlockHeader;

    const ALL: Kept = Kept { latest: false, from: 0 };

    type Archive = FinalArchive<runtime::Context, Arc<Block>>;

    fn block(height: u64) -> Arc<Block> {
        let header = BlockHeader {
            epoch: 0,
            view: height,
            leader: [1; 32],
            parent_view: height.saturating_sub(1),
            parent: [2; 32],
            height,
            time_ms: height,
            state_root: [3; 32],
            transactions_root: crate::block::list_root([]),
            receipts_root: [5; 32],
            extra: [0; 32],
            committee: Vec::new(),
        };
        Arc::new(Block::new(header, Vec::new()).unwrap())
    }

    /// Opens the archive in a folder and does something with it, as one life of a node.
    fn life<T: Send + 'static, F>(
        folder: &Path,
        kept: Kept,
        act: impl FnOnce(Archive) -> F + Send + 'static,
    ) -> T
    where
        F: Future<Output = T> + Send,
    {
        let config = runtime::Config::new().with_worker_threads(1).with_storage_directory(folder.to_owned());
        runtime::Runner::new(config).start(move |context| async move {
            let page_cache = CacheRef::new(NZU16!(4096), NZUsize!(64));
            let name = String::from("blocks");
            let archive =
                Archive::open(context.child("archive"), name, &page_cache, (), kept, |block| block.digest());
            act(archive.await.unwrap()).await
        })
    }

    async fn put_all(mut archive: Archive, heights: std::ops::Range<u64>) -> Archive {
        for height in heights {
            let block = block(height);
            archive = Blocks::put(archive, block.digest(), &block).await.unwrap();
        }
        Blocks::sync(archive).await.unwrap()
    }

    async fn has(archive: &Archive, height: u64) -> bool {
        let found = Blocks::get(archive, Identifier::Index(height)).await.unwrap();
        found.is_some_and(|found| found.digest() == block(height).digest())
    }

    #[test]
    fn an_archive_of_the_latest_blocks_is_shortened_and_stays_so() {
        let folder = tempfile::tempdir().unwrap();
        let latest = Kept { latest: true, from: 0 };
        life(folder.path(), latest, |archive| async move {
            let archive = put_all(archive, 0..2 * HEIGHTS_PER_SECTION + 100).await;
            assert!(has(&archive, 0).await);
            let archive = Blocks::prune(archive, Height::new(HEIGHTS_PER_SECTION + 7)).await.unwrap();
            // Whole sections go; nothing that is wanted does.
            assert!(
                !has(&archive, HEIGHTS_PER_SECTION - 1).await && has(&archive, HEIGHTS_PER_SECTION).await
            );
            Blocks::sync(archive).await.unwrap();
        });
        life(folder.path(), latest, |archive| async move {
            assert!(!has(&archive, 5).await && has(&archive, HEIGHTS_PER_SECTION + 7).await);
            assert_eq!(Blocks::last_index(&archive), Some(Height::new(2 * HEIGHTS_PER_SECTION + 99)));
        });
    }

    #[test]
    fn what_was_kept_in_the_other_form_is_taken_over_once() {
        let folder = tempfile::tempdir().unwrap();
        life(folder.path(), ALL, |archive| async move {
            assert!(matches!(archive, FinalArchive::Whole(_)));
            drop(put_all(archive, 0..1_000).await);
        });
        // Twice: the second start finds the other form only.
        for _ in 0..2 {
            life(folder.path(), Kept { latest: true, from: 600 }, |archive| async move {
                assert!(matches!(archive, FinalArchive::Latest(_)));
                assert!(!has(&archive, 599).await && has(&archive, 600).await && has(&archive, 999).await);
                assert_eq!(Blocks::next_gap(&archive, Height::new(600)).0, Some(Height::new(999)));
            });
        }
        let left = std::fs::read_dir(folder.path().join("blocks-metadata"));
        assert!(left.is_err() || left.unwrap().next().is_none(), "the first form is gone");
        life(folder.path(), ALL, |archive| async move {
            assert!(matches!(archive, FinalArchive::Whole(_)));
            assert!(!has(&archive, 599).await && has(&archive, 600).await && has(&archive, 999).await);
        });
    }
}
