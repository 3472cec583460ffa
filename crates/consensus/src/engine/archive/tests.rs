use super::*;
use commonware_cryptography::Digestible as _;
use commonware_runtime::{Runner as _, Supervisor as _, tokio};
use commonware_utils::NZU16;
use std::path::Path;
use vitals::proof::header::BlockHeader;

const ALL: Kept = Kept { latest: None, committed: 0 };
const SECTION: u64 = 16;
/// Sections of sixteen heights.
const LATEST: Kept = Kept { latest: Some(SECTION * SECTIONS), committed: 99 };

type Archive = FinalArchive<tokio::Context, Arc<Block>>;

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
fn life<T: Send + 'static, F>(folder: &Path, kept: Kept, act: impl FnOnce(Archive) -> F + Send + 'static) -> T
where
    F: Future<Output = T> + Send,
{
    let config = tokio::Config::new().with_worker_threads(1).with_storage_directory(folder.to_owned());
    tokio::Runner::new(config).start(move |context| async move {
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

/// The folders that hold a file.
fn partitions(folder: &Path) -> Vec<String> {
    let with_files = |entry: &std::fs::DirEntry| {
        std::fs::read_dir(entry.path()).is_ok_and(|mut files| files.next().is_some())
    };
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap).filter(with_files);
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

#[test]
fn an_archive_of_the_latest_blocks_is_shortened_and_stays_so() {
    let folder = tempfile::tempdir().unwrap();
    life(folder.path(), LATEST, |archive| async move {
        let archive = put_all(archive, 0..2 * SECTION + 10).await;
        assert!(has(&archive, 0).await);
        let archive = Blocks::prune(archive, Height::new(SECTION + 7)).await.unwrap();
        // Whole sections go; nothing that is wanted does.
        assert!(!has(&archive, SECTION - 1).await && has(&archive, SECTION).await);
        Blocks::sync(archive).await.unwrap();
    });
    life(folder.path(), LATEST, |archive| async move {
        assert!(!has(&archive, 5).await && has(&archive, SECTION + 7).await);
        assert_eq!(Blocks::last_index(&archive), Some(Height::new(2 * SECTION + 9)));
    });
}

#[test]
fn every_node_has_the_longest_sections_whatever_it_keeps() {
    for latest in [None, Some(crate::KEEP_BLOCKS), Some(crate::KEEP_BLOCKS + 1), Some(u64::MAX)] {
        assert_eq!(section_heights(latest).get(), SECTION_HEIGHTS_MAX, "{latest:?}");
    }
    assert_eq!(section_heights(Some(0)).get(), SECTION_HEIGHTS_MIN);
}

#[test]
fn a_start_takes_over_a_bounded_number_of_blocks() {
    let latest = |latest, committed| Kept { latest, committed }.lowest_taken_over();
    assert_eq!(latest(Some(crate::KEEP_BLOCKS), 10_000_000), 10_000_000 - TAKEN_OVER_MAX);
    assert_eq!(latest(Some(400), 1_000), 600);
    assert_eq!(latest(Some(400), 100), 0);
    assert_eq!(latest(None, 10_000_000), 0, "who keeps everything gives up nothing");
}

#[test]
fn what_was_kept_in_the_other_form_is_taken_over_once() {
    let folder = tempfile::tempdir().unwrap();
    life(folder.path(), ALL, |archive| async move {
        assert!(matches!(archive, FinalArchive::Whole(_)));
        drop(put_all(archive, 0..1_000).await);
    });
    let late = Kept { latest: Some(crate::KEEP_BLOCKS), committed: TAKEN_OVER_MAX + 600 };
    // Twice: the second start finds the other form only.
    for _ in 0..2 {
        life(folder.path(), late, |archive| async move {
            assert!(matches!(archive, FinalArchive::Latest(_)));
            assert!(!has(&archive, 599).await && has(&archive, 600).await && has(&archive, 999).await);
            assert_eq!(Blocks::next_gap(&archive, Height::new(600)).0, Some(Height::new(999)));
        });
        assert!(partitions(folder.path()).iter().all(|one| one.starts_with("blocks-latest-")));
    }
    life(folder.path(), ALL, |archive| async move {
        assert!(matches!(archive, FinalArchive::Whole(_)));
        assert!(!has(&archive, 599).await && has(&archive, 600).await && has(&archive, 999).await);
    });
    assert!(!partitions(folder.path()).iter().any(|one| one.contains("latest")));
}

#[test]
fn a_crash_at_any_point_of_the_taking_over_loses_and_leaves_nothing() {
    // What is there before, half way, and when everything is taken over and the first form is still there.
    let (before, after) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    life(before.path(), ALL, |archive| async move { drop(put_all(archive, 0..100).await) });
    life(after.path(), LATEST, |archive| async move { drop(put_all(archive, 0..100).await) });
    let half = tempfile::tempdir().unwrap();
    life(half.path(), LATEST, |archive| async move { drop(put_all(archive, 0..40).await) });
    // The first form is removed folder by folder, its metadata first: every subset of the others may be left.
    let every = (1_u32 << WHOLE_PARTITIONS.len()) - 1;
    for left in 0..=every {
        let whole = left == every;
        if left & 1 == 1 && !whole {
            continue;
        }
        // A part is missing only once everything was taken over.
        for taken_over in if whole { vec![half.path(), after.path()] } else { vec![after.path()] } {
            let folder = tempfile::tempdir().unwrap();
            for name in partitions(taken_over) {
                copy(&taken_over.join(&name), &folder.path().join(&name));
            }
            for (at, partition) in WHOLE_PARTITIONS.iter().enumerate() {
                let name = format!("blocks-{partition}");
                if (left >> at) & 1 == 1 && before.path().join(&name).is_dir() {
                    copy(&before.path().join(&name), &folder.path().join(&name));
                }
            }
            let scene = format!("{left:05b} left, {}", partitions(folder.path()).join(" "));
            let all = life(folder.path(), LATEST, |archive| async move {
                let mut found = Vec::new();
                for height in 0..100 {
                    found.push(has(&archive, height).await);
                }
                found
            });
            assert!(all.iter().all(|found| *found), "{scene}: {all:?}");
            let names = partitions(folder.path());
            assert!(names.iter().all(|one| one.starts_with("blocks-latest-")), "{scene}: {names:?} stay");
        }
    }
}

#[test]
fn a_folder_that_cannot_be_read_is_not_taken_for_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    life(folder.path(), ALL, |archive| async move { drop(put_all(archive, 0..10).await) });
    let metadata = folder.path().join("blocks-metadata");
    std::fs::rename(&metadata, folder.path().join("aside")).unwrap();
    std::fs::write(&metadata, b"no folder").unwrap();
    let config = tokio::Config::new().with_storage_directory(folder.path().to_owned());
    let opened = tokio::Runner::new(config).start(|context| async move {
        let page_cache = CacheRef::new(NZU16!(4096), NZUsize!(64));
        let name = String::from("blocks");
        Archive::open(context, name, &page_cache, (), LATEST, |block| block.digest()).await.map(drop)
    });
    assert!(opened.is_err(), "{opened:?}");
}
