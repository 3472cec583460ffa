use super::*;
use testkit::lossy::Lossy;
use vitals::log::{leaf, verify_consistency, verify_inclusion};

fn store() -> Store {
    Store::create_on(records(&Lossy::default()), GENESIS, TINY).unwrap()
}

#[test]
fn what_is_read_is_what_was_stored() {
    let store = store();
    let group: Vec<_> = (0..20).map(|seq| second(1, seq)).collect();
    append(&store, &group).unwrap();
    for (seq, (_, bytes)) in group.iter().enumerate() {
        assert_eq!(store.read(stream(1), seq as u64).unwrap().as_ref(), Some(bytes));
        assert_eq!(store.read_index(seq as u64).unwrap().as_ref(), Some(bytes));
    }
    assert_eq!(store.read(stream(1), 20).unwrap(), None);
    assert_eq!(store.read(stream(2), 0).unwrap(), None);
    assert_eq!(store.read_index(20).unwrap(), None);
}

#[test]
fn the_same_envelope_again_is_a_duplicate_and_another_one_a_conflict() {
    let store = store();
    let first = second(1, 0);
    let other = envelope(1, 0, 0, 900, 9);
    let answers = append(&store, &[first.clone(), first.clone(), other.clone()]).unwrap();
    let wanted =
        [Appended::Stored { index: 0 }, Appended::Duplicate { index: 0 }, Appended::Conflict { index: 0 }];
    assert_eq!(answers, wanted);
    assert_eq!(append(&store, &[first.clone(), other]).unwrap(), wanted[1..]);
    assert_eq!((store.size(), store.read(stream(1), 0).unwrap()), (1, Some(first.1)));
}

#[test]
fn a_late_envelope_closes_its_gap() {
    let store = store();
    append(&store, &[second(1, 3), second(1, 7)]).unwrap();
    assert_eq!(store.gaps(stream(1), GAPS_MAX), [(0, 2), (4, 6)]);
    append(&store, &[second(1, 5), second(1, 0), second(1, 1), second(1, 2)]).unwrap();
    assert_eq!(store.gaps(stream(1), GAPS_MAX), [(4, 4), (6, 6)]);
    append(&store, &[second(1, 6), second(1, 4)]).unwrap();
    assert_eq!(store.gaps(stream(1), GAPS_MAX), []);
    let head = store.head(stream(1)).unwrap();
    assert_eq!((head.last_seq, head.count, head.last_hash), (7, 8, second(1, 7).0.hash()));
    for seq in 0..8 {
        assert_eq!(store.hash_at(stream(1), seq).unwrap(), Some(second(1, seq).0.hash()));
    }
}

#[test]
fn a_sequence_number_at_the_end_of_numbers_is_stored_like_any_other() {
    let store = store();
    append(&store, &[envelope(1, u64::MAX, 5, 6, 0), second(1, 0)]).unwrap();
    assert_eq!(store.head(stream(1)).unwrap().last_seq, u64::MAX);
    assert_eq!(store.gaps(stream(1), GAPS_MAX), [(1, u64::MAX - 1)]);
}

#[test]
fn a_range_of_times_is_found_though_the_clock_leapt() {
    let store = store();
    let mut group: Vec<_> = (0..600).map(|seq| second(1, seq)).collect();
    group[300] = envelope(1, 300, 7, 9_000_000_000, 0);
    group[301] = envelope(1, 301, 0, 5, 0);
    append(&store, &group).unwrap();
    let seqs = |from, to| store.find(stream(1), from, to).iter().map(|found| found.seq).collect::<Vec<_>>();
    assert_eq!(seqs(100_000, 102_000), [100, 101, 102, 300]);
    assert_eq!(seqs(0, 6), [0, 301]);
    assert_eq!(seqs(8_999_999_999, u64::MAX), [300]);
    let read: Vec<_> = store.scan(stream(1), 100_000, 102_000).map(|item| item.unwrap().1).collect();
    assert_eq!(read, [100, 101, 102, 300].map(|seq: usize| group[seq].1.clone()));
}

#[test]
fn paths_and_consistency_hold_for_every_earlier_head() {
    let store = store();
    let group: Vec<_> = (0..13).map(|seq| second(1, seq)).collect();
    append(&store, &group).unwrap();
    let (size, root) = store.log_head();
    for old in 1..=size {
        let old_root = store.root_at(old).unwrap();
        assert!(verify_consistency(old, &old_root, size, &root, &store.consistency(old, size).unwrap()));
        let index = old - 1;
        let header = &group[index as usize].0.header_bytes;
        let path = store.inclusion(index, size).unwrap();
        assert!(verify_inclusion(leaf(header), index, size, &path, &root));
    }
}

#[test]
fn a_segment_that_is_not_full_keeps_few_leaves_in_memory_and_gives_all_paths() {
    let disk = Lossy::default();
    let store = Store::create_on(records(&disk), GENESIS, Bounds::STANDARD).unwrap();
    let group: Vec<_> = (0..103).map(|seq| second(1, seq)).collect();
    for part in group.chunks(5) {
        append(&store, part).unwrap();
        let held = store.state().log.fresh_leaves().1.len() as u64;
        assert!(held < FRESH_LEAVES_MIN + STALE_LEAVES_MAX + BLOCK_LEN, "{held} leaves in memory");
    }
    let check = |store: &Store| {
        let (size, root) = store.log_head();
        for (index, (envelope, _)) in (0..).zip(&group) {
            let path = store.inclusion(index, size).unwrap();
            assert!(verify_inclusion(leaf(&envelope.header_bytes), index, size, &path, &root));
        }
    };
    check(&store);
    drop(store);
    let store = Store::open_on(records(&disk), GENESIS, Bounds::STANDARD).unwrap();
    let held = store.state().log.fresh_leaves().1.len() as u64;
    assert!(held < FRESH_LEAVES_MIN + STALE_LEAVES_MAX + BLOCK_LEN, "{held} leaves in memory after a start");
    check(&store);
}

#[test]
fn the_index_of_a_full_segment_is_the_one_that_its_envelopes_give() {
    let disk = Lossy::default();
    let bounds = Bounds { segment_bytes_max: 20_000 };
    let store = Store::create_on(records(&disk), GENESIS, bounds).unwrap();
    for seq in 0..200 {
        append(&store, &[second((seq % 3) as u8, seq / 3)]).unwrap();
    }
    drop(store);
    let read = |number| {
        let file = records(&disk).open(&segment_index::index_name(number)).unwrap();
        durable::read_all(&*file).unwrap()
    };
    let written: Vec<_> = (0..2).map(read).collect();
    for number in 0..2 {
        records(&disk).remove(&segment_index::index_name(number)).unwrap();
    }
    drop(Store::open_on(records(&disk), GENESIS, bounds).unwrap());
    assert!(written == (0..2).map(read).collect::<Vec<_>>());
}

#[test]
fn groups_over_their_bound_and_envelopes_of_another_ledger_change_nothing() {
    let store = store();
    let mut foreign = second(1, 0);
    foreign.0.header.genesis = Genesis([8; 32]);
    foreign.0.header_bytes = foreign.0.header.encode();
    foreign.1 = foreign.0.encode();
    assert!(matches!(append(&store, &[second(1, 1), foreign]), Err(StoreError::Foreign)));
    let many: Vec<_> = (0..=GROUP_LEN_MAX as u64).map(|seq| second(1, seq)).collect();
    assert!(matches!(append(&store, &many), Err(StoreError::TooLarge)));
    assert_eq!(store.size(), 0);
}

#[test]
fn evidence_is_kept_apart_once_and_up_to_its_bound() {
    let world = Lossy::default();
    let store = Store::create_on(records(&world), GENESIS, TINY).unwrap();
    append(&store, &[second(1, 0)]).unwrap();
    let forged: Vec<_> = (1..40).map(|variant| envelope(1, 0, 0, 900, variant)).collect();
    let kept = |store: &Store| store.evidence(stream(1)).unwrap();
    world.fail_next_write();
    let full = store.keep_evidence(&forged[0].0, &forged[0].1);
    assert!(matches!(full, Err(StoreError::Busy(_))), "a full disk does not stop the store");
    assert!(store.keep_evidence(&forged[0].0, &forged[0].1).unwrap());
    assert!(!store.keep_evidence(&forged[0].0, &forged[0].1).unwrap());
    assert_eq!(kept(&store), [forged[0].1.clone()]);
    for (envelope, bytes) in &forged {
        store.keep_evidence(envelope, bytes).unwrap();
    }
    let wanted: Vec<_> = forged[..EVIDENCE_PER_STREAM_MAX].iter().map(|(_, bytes)| bytes.clone()).collect();
    assert_eq!(kept(&store), wanted);
    assert_eq!(store.size(), 1);
    drop(store);
    let store = Store::open_on(records(&world), GENESIS, TINY).unwrap();
    assert_eq!(kept(&store), wanted);
    assert!(store.evidence(stream(2)).unwrap().is_empty());
}

#[test]
fn a_folder_is_one_processs_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records");
    assert!(matches!(Store::open(&path, GENESIS), Err(StoreError::Missing)));
    let store = Store::create(&path, GENESIS).unwrap();
    assert!(matches!(Store::open(&path, GENESIS), Err(StoreError::Locked)));
    append(&store, &[second(1, 0), second(2, 0)]).unwrap();
    drop(store);
    assert!(matches!(Store::create(&path, GENESIS), Err(StoreError::Exists)));
    let store = Store::open(&path, GENESIS).unwrap();
    assert_eq!((store.size(), store.streams().len()), (2, 2));
    assert_eq!(store.read(stream(2), 0).unwrap(), Some(second(2, 0).1));
}

#[test]
fn a_store_of_another_ledger_is_named_as_such() {
    let world = Lossy::default();
    drop(Store::create_on(records(&world), GENESIS, TINY).unwrap());
    let other = Store::open_on(records(&world), Genesis([8; 32]), TINY);
    assert!(other.unwrap_err().to_string().contains("another ledger"));
}

#[test]
fn a_failed_write_leaves_room_for_another_try_and_a_failed_sync_stops_the_store() {
    let world = Lossy::default();
    let store = Store::create_on(records(&world), GENESIS, TINY).unwrap();
    append(&store, &[second(1, 0)]).unwrap();
    world.fail_next_write();
    assert!(matches!(append(&store, &[second(1, 1)]), Err(StoreError::Busy(_))));
    assert_eq!(append(&store, &[second(1, 1)]).unwrap(), [Appended::Stored { index: 1 }]);
    world.fail_next_sync();
    assert!(matches!(append(&store, &[second(1, 2)]), Err(StoreError::Stopped(_))));
    assert!(matches!(append(&store, &[second(1, 2)]), Err(StoreError::Stopped(_))));
    assert_eq!(store.read(stream(1), 1).unwrap(), Some(second(1, 1).1));
    drop(store);
    let store = Store::open_on(records(&world), GENESIS, TINY).unwrap();
    assert!(store.size() >= 2);
}

#[test]
fn many_readers_and_one_writer_see_only_whole_groups() {
    let store = store();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while store.size() < 400 {
                    let size = store.size();
                    assert_eq!(size % 4, 0);
                    if size > 0 {
                        assert_eq!(store.read_index(size - 1).unwrap(), Some(second(1, size - 1).1));
                    }
                }
            });
        }
        for group in 0..100 {
            append(&store, &(group * 4..group * 4 + 4).map(|seq| second(1, seq)).collect::<Vec<_>>())
                .unwrap();
        }
    });
}
