#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use device::{Sealed, Sealer, SealerState};
use ed25519_zebra::SigningKey;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use vitals::Genesis;
use vitals::body::Body;
use vitals::envelope::ClockQuality;
use vitals::ids::Class;
use vitals::keys::ChainKey;
use vitals::metric::{Metric, Reading, Sample};

pub(super) const GATEWAY: DeviceId = DeviceId([3; 16]);
/// Small, so that a handful of envelopes makes segments.
pub(super) const SEGMENT_BYTES: u64 = 700;

/// A bed that seals, going on where the journal stands.
pub(super) fn sealer(journal: &Journal, stream: u8, run: u8) -> Sealer {
    let head = journal.head(StreamId([stream; 16]));
    let state = SealerState {
        chain: ChainKey::new([8; 32]),
        epoch: 20_000,
        next_seq: head.next_seq,
        prev: head.prev,
    };
    Sealer::new(
        Genesis([1; 32]),
        SigningKey::from([stream; 32]),
        StreamId([stream; 16]),
        Class::Vitals,
        [run; 16],
        state,
    )
}

pub(super) fn seal(sealer: &mut Sealer, value: i32) -> Sealed {
    let reading =
        Reading { metric: Metric::HeartRate, at_ms: 1_728_000_000_000, sample: Sample::Measured(value) };
    sealer.seal(&Body::Readings(vec![reading]), ClockQuality::Synced).unwrap()
}

/// A folder in memory where there is one: what a test does thousands of times need not wait for a disk.
fn memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn record(sealed: &Sealed) -> Record<'_> {
    Record::Envelope { alarm: false, sealed_at_ms: 5, bytes: &sealed.bytes }
}

fn open(dir: &Path) -> Result<(Journal, Vec<Kept>), JournalError> {
    let (journal, backlog) = Journal::open(dir, GATEWAY, 0, SEGMENT_BYTES)?;
    let kept = all_of(&journal, backlog)?;
    Ok((journal, kept))
}

/// Everything that waits in a journal, in its order.
pub(super) fn all_of(journal: &Journal, mut backlog: Backlog) -> Result<Vec<Kept>, JournalError> {
    let (len, mut all) = (backlog.len(), backlog.take_alarms());
    // A few at a time, as a gateway reads.
    while !backlog.is_empty() {
        all.extend(journal.read_on(&mut backlog, 3)?);
    }
    assert_eq!(all.len(), len);
    all.sort_unstable_by_key(|kept| (kept.place.segment, kept.place.offset));
    Ok(all)
}

/// A journal with `n` synced envelopes of one stream.
fn journal_with(dir: &Path, n: i32) -> (Journal, Vec<Sealed>) {
    let (mut journal, _) = open(dir).unwrap();
    let mut bed = sealer(&journal, 1, 1);
    let sealed: Vec<Sealed> = (0..n)
        .map(|value| {
            let sealed = seal(&mut bed, value);
            journal.append(&[record(&sealed)]).unwrap();
            journal.sync().unwrap();
            sealed
        })
        .collect();
    (journal, sealed)
}

fn copy(from: &Path) -> tempfile::TempDir {
    let to = memory();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    to
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "journal"))
        .collect();
    files.sort();
    files
}

/// A copy in which nothing of the newest segment was ever said to be durable.
fn copy_unsynced(from: &Path) -> tempfile::TempDir {
    let to = copy(from);
    std::fs::remove_file(to.path().join("durable")).unwrap();
    to
}

fn hashes<'a>(sealed: impl IntoIterator<Item = &'a Sealed>) -> Vec<Hash> {
    sealed.into_iter().map(|sealed| sealed.hash).collect()
}

fn kept_hashes(kept: &[Kept]) -> Vec<Hash> {
    kept.iter().map(|kept| kept.hash).collect()
}

#[test]
fn what_was_synced_is_there_again_and_the_stream_goes_on() {
    let dir = memory();
    let (journal, sealed) = journal_with(dir.path(), 9);
    assert!(journal.segments() > 2, "{}", journal.segments());
    drop(journal);
    let (mut journal, kept) = open(dir.path()).unwrap();
    assert_eq!(kept_hashes(&kept), hashes(&sealed));
    for (kept, sealed) in kept.iter().zip(&sealed) {
        assert_eq!(journal.read(kept.place).unwrap(), sealed.bytes);
        assert_eq!((kept.alarm, kept.sealed_at_ms, kept.count, kept.receipted), (false, 5, 1, false));
    }
    assert_eq!(journal.head(StreamId([1; 16])).next_seq, 9);
    let next = seal(&mut sealer(&journal, 1, 2), 99);
    assert_eq!((next.header.seq, next.header.prev), (9, sealed[8].hash));
    journal.append(&[record(&next)]).unwrap();
}

#[test]
fn an_envelope_that_does_not_follow_is_not_taken() {
    let dir = memory();
    let (mut journal, sealed) = journal_with(dir.path(), 2);
    assert!(matches!(journal.append(&[record(&sealed[1])]), Err(JournalError::Damaged { .. })));
    // After a failure nothing is taken before a new start.
    let next = seal(&mut sealer(&journal, 1, 2), 1);
    assert!(matches!(journal.append(&[record(&next)]), Err(JournalError::Broken)));
    assert_eq!(open(dir.path()).unwrap().1.len(), 2);
}

/// The crash table: the last write cut at every byte. Whatever was synced before is there, whatever
/// was not is whole or gone, and the stream goes on without a gap from what is there.
#[test]
fn a_crash_at_any_byte_of_the_last_write_loses_nothing_that_was_synced() {
    let dir = memory();
    let (mut journal, sealed) = journal_with(dir.path(), 2);
    let path = files(dir.path()).pop().unwrap();
    let synced_bytes = std::fs::metadata(&path).unwrap().len();
    let mut bed = sealer(&journal, 1, 2);
    let late: Vec<Sealed> = (0..2).map(|value| seal(&mut bed, value)).collect();
    // One group: two envelopes and a note, in one write.
    let group = [record(&late[0]), Record::Receipted(sealed[0].hash), record(&late[1])];
    journal.append(&group).unwrap();
    drop(journal);
    let all_bytes = std::fs::metadata(&path).unwrap().len();
    for zeros in [0, 200] {
        for cut in synced_bytes..=all_bytes {
            let crashed = copy(dir.path());
            let file =
                OpenOptions::new().write(true).open(crashed.path().join(path.file_name().unwrap())).unwrap();
            file.set_len(cut).unwrap();
            // Some file systems lengthen the file before the data is there.
            file.set_len(cut + if cut < all_bytes { zeros } else { 0 }).unwrap();
            drop(file);
            let (mut journal, kept) = open(crashed.path()).unwrap_or_else(|why| panic!("cut {cut}: {why}"));
            assert_eq!(kept_hashes(&kept[..2]), hashes(&sealed), "cut {cut}");
            let whole = kept.len() - 2;
            assert_eq!(kept_hashes(&kept[2..]), hashes(&late[..whole]), "cut {cut}");
            assert_eq!(cut == all_bytes, whole == 2, "cut {cut}");
            // Goes on, and a second start finds the same.
            let next = seal(&mut sealer(&journal, 1, 3), 7);
            assert_eq!(next.header.seq, 2 + whole as u64);
            journal.append(&[record(&next)]).unwrap();
            journal.sync().unwrap();
            drop(journal);
            let again = open(crashed.path()).unwrap().1;
            assert_eq!(again.len(), 3 + whole, "cut {cut}");
        }
    }
}

/// A page cache writes sectors in any order: a crash may leave a hole in what was not synced.
#[test]
fn a_crash_that_leaves_a_hole_in_the_last_write_is_a_torn_tail_and_a_hole_before_it_is_damage() {
    let dir = memory();
    let (mut journal, sealed) = journal_with(dir.path(), 1);
    let path = files(dir.path()).pop().unwrap();
    let synced_bytes = usize::try_from(std::fs::metadata(&path).unwrap().len()).unwrap();
    let mut bed = sealer(&journal, 1, 2);
    let late: Vec<Sealed> = (0..3).map(|value| seal(&mut bed, value)).collect();
    journal.append(&late.iter().map(record).collect::<Vec<_>>()).unwrap();
    drop(journal);
    let name = path.file_name().unwrap();
    let with_hole = |dir: &Path, from: usize, to: usize| {
        let mut bytes = std::fs::read(dir.join(name)).unwrap();
        bytes[from..to].fill(0);
        std::fs::write(dir.join(name), bytes).unwrap();
    };
    let torn = copy(dir.path());
    with_hole(torn.path(), synced_bytes, synced_bytes + 100);
    assert_eq!(kept_hashes(&open(torn.path()).unwrap().1), hashes(&sealed));
    // Without a word on how far it was durable, nobody can tell it from damage.
    let unknown = copy_unsynced(dir.path());
    with_hole(unknown.path(), synced_bytes, synced_bytes + 100);
    assert!(matches!(open(unknown.path()), Err(JournalError::Damaged { .. })));
    let damaged = copy(dir.path());
    with_hole(damaged.path(), synced_bytes - 50, synced_bytes + 100);
    assert!(matches!(open(damaged.path()), Err(JournalError::Damaged { .. })));
    // Other hands cut the synced end off at a record's boundary.
    let cut = copy(dir.path());
    drop(open(cut.path()).unwrap());
    let bytes = std::fs::read(cut.path().join(name)).unwrap();
    std::fs::write(cut.path().join(name), &bytes[..synced_bytes]).unwrap();
    let why = open(cut.path()).unwrap_err().to_string();
    assert!(why.contains("ends before what it held"), "{why}");
}

/// The steps of a rotation, each not done, half done or done.
#[test]
fn a_crash_at_any_step_of_a_rotation_is_survived() {
    let dir = memory();
    let (journal, sealed) = journal_with(dir.path(), 4);
    drop(journal);
    let newest = files(dir.path()).pop().unwrap();
    let begin_len = {
        let bytes = std::fs::read(&newest).unwrap();
        let mut at = 0;
        record::read(&bytes, &mut at).ok().unwrap();
        at
    };
    let name = newest.file_name().unwrap();
    // The newest segment's first record written up to each byte; what was in it behind is not synced.
    let older = open(copy(dir.path()).path())
        .unwrap()
        .1
        .iter()
        .filter(|kept| format!("{:08}.journal", kept.place.segment) != name.to_str().unwrap())
        .count();
    for len in 0..=begin_len {
        let crashed = copy_unsynced(dir.path());
        let file = OpenOptions::new().write(true).open(crashed.path().join(name)).unwrap();
        file.set_len(len as u64).unwrap();
        drop(file);
        let (mut journal, kept) = open(crashed.path()).unwrap_or_else(|why| panic!("length {len}: {why}"));
        assert_eq!(kept_hashes(&kept), hashes(&sealed[..older]), "length {len}");
        let next = seal(&mut sealer(&journal, 1, 3), 7);
        journal.append(&[record(&next)]).unwrap();
        journal.sync().unwrap();
        drop(journal);
        assert_eq!(open(crashed.path()).unwrap().1.len(), older + 1);
    }
}

#[test]
fn a_first_start_that_was_cut_short_starts_again() {
    let dir = memory();
    drop(open(dir.path()).unwrap());
    let path = files(dir.path()).pop().unwrap();
    let len = std::fs::metadata(&path).unwrap().len();
    for cut in 0..len {
        let crashed = copy_unsynced(dir.path());
        OpenOptions::new()
            .write(true)
            .open(crashed.path().join(path.file_name().unwrap()))
            .unwrap()
            .set_len(cut)
            .unwrap();
        open(crashed.path()).unwrap();
    }
}

#[test]
fn proven_segments_go_and_the_streams_still_know_where_they_stand() {
    let dir = memory();
    let (journal, sealed) = journal_with(dir.path(), 12);
    drop(journal);
    let (mut journal, kept) = open(dir.path()).unwrap();
    let before = journal.segments();
    for kept in &kept[..11] {
        journal.append(&[Record::Forgotten(kept.hash)]).unwrap();
        journal.forget(kept.place).unwrap();
    }
    assert!(journal.segments() < before);
    journal.sync().unwrap();
    drop(journal);
    let (mut journal, kept) = open(dir.path()).unwrap();
    assert_eq!(kept_hashes(&kept), [sealed[11].hash]);
    assert_eq!(journal.head(StreamId([1; 16])).next_seq, 12);
    // Months of it: the folder does not grow.
    let mut bed = sealer(&journal, 1, 2);
    let mut last = kept[0].clone();
    for value in 0..200 {
        let sealed = seal(&mut bed, value);
        let place = journal.append(&[record(&sealed)]).unwrap()[0];
        journal.append(&[Record::Forgotten(last.hash)]).unwrap();
        journal.forget(last.place).unwrap();
        last = Kept { place, hash: sealed.hash, ..last };
    }
    assert!(journal.segments() <= 3, "{}", journal.segments());
    assert!(files(dir.path()).len() <= 3);
}

#[test]
fn a_receipt_is_remembered() {
    let dir = memory();
    let (mut journal, sealed) = journal_with(dir.path(), 2);
    journal.append(&[Record::Receipted(sealed[1].hash)]).unwrap();
    journal.sync().unwrap();
    drop(journal);
    let kept = open(dir.path()).unwrap().1;
    assert_eq!(kept.iter().map(|kept| kept.receipted).collect::<Vec<_>>(), [false, true]);
}

/// Every bit of every file: damage is found and named, or nothing is lost.
#[test]
fn no_flipped_bit_goes_unseen() {
    let dir = memory();
    let (journal, sealed) = journal_with(dir.path(), 5);
    drop(journal);
    for path in files(dir.path()) {
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            for bit in [0, 3, 7] {
                let crashed = copy(dir.path());
                let name = path.file_name().unwrap();
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                std::fs::write(crashed.path().join(name), &bad).unwrap();
                match open(crashed.path()) {
                    Err(JournalError::Damaged { path, offset, .. }) => {
                        assert_eq!(path.file_name().unwrap(), name, "byte {at}");
                        assert!(offset <= at as u64, "byte {at}");
                    }
                    Err(other) => panic!("byte {at}: {other}"),
                    Ok((_, kept)) => {
                        panic!("byte {at} of {name:?}: unseen, {} of {} kept", kept.len(), sealed.len())
                    }
                }
            }
        }
    }
}

#[test]
fn damage_while_running_is_found_when_read() {
    let dir = memory();
    let (journal, _) = journal_with(dir.path(), 1);
    drop(journal);
    let (journal, kept) = open(dir.path()).unwrap();
    let path = files(dir.path()).pop().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 40;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(journal.read(kept[0].place), Err(JournalError::Damaged { .. })));
}

#[test]
fn a_missing_segment_is_named() {
    let dir = memory();
    let (journal, _) = journal_with(dir.path(), 8);
    let newest = journal.newest();
    drop(journal);
    let segments = files(dir.path());
    let middle = copy(dir.path());
    std::fs::remove_file(middle.path().join(segments[1].file_name().unwrap())).unwrap();
    let why = open(middle.path()).unwrap_err().to_string();
    assert!(why.contains("00000002.journal") && why.contains("missing"), "{why}");
    // The end cut off with its file: known by the number kept elsewhere.
    let end = copy(dir.path());
    std::fs::remove_file(end.path().join(segments.last().unwrap().file_name().unwrap())).unwrap();
    let why = Journal::open(end.path(), GATEWAY, newest, SEGMENT_BYTES).unwrap_err().to_string();
    assert!(why.contains("missing"), "{why}");
}

#[test]
fn another_gateways_journal_is_refused() {
    let dir = memory();
    drop(journal_with(dir.path(), 1));
    let why = Journal::open(dir.path(), DeviceId([4; 16]), 0, SEGMENT_BYTES).unwrap_err().to_string();
    assert!(why.contains("another gateway"), "{why}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Several streams, proofs in any order, starts at any time: what is not forgotten is kept, in
    /// order, and no sequence number is given twice.
    #[test]
    fn a_journal_keeps_exactly_what_is_not_forgotten(steps in proptest::collection::vec(0u8..8, 1..60)) {
        let dir = memory();
        let (mut journal, _) = open(dir.path()).unwrap();
        let mut model: Vec<(Hash, Place)> = Vec::new();
        let mut seen = BTreeSet::new();
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                0..=3 => {
                    let run = u8::try_from(n).unwrap();
                    let sealed = seal(&mut sealer(&journal, step, run), 1);
                    prop_assert!(seen.insert((sealed.header.stream, sealed.header.seq)));
                    let place = journal.append(&[record(&sealed)]).unwrap()[0];
                    journal.sync().unwrap();
                    model.push((sealed.hash, place));
                }
                4..=6 if !model.is_empty() => {
                    let (hash, place) = model.remove(n % model.len());
                    journal.append(&[Record::Forgotten(hash)]).unwrap();
                    journal.forget(place).unwrap();
                }
                _ => {
                    drop(journal);
                    let (reopened, kept) = open(dir.path()).unwrap();
                    journal = reopened;
                    prop_assert_eq!(kept_hashes(&kept), model.iter().map(|(hash, _)| *hash).collect::<Vec<_>>());
                }
            }
        }
    }
}
