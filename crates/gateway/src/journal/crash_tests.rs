#![allow(clippy::unwrap_used, reason = "tests")]
//! The crash table of everything the gateway makes durable: journal, how far it goes, what is kept
//! aside. Every step of the disk, with anything left of what was not synced; then a restart.

use super::tests::{GATEWAY, SEGMENT_BYTES, all_of, seal, sealer};
use super::*;
use crate::files;
use device::Sealed;
use std::collections::BTreeSet;
use testkit::Dice;
use testkit::lossy::{Lossy, Step, Unsynced};

const STREAMS: u8 = 3;

/// What the world outside knows of a gateway that dies again and again.
#[derive(Default)]
struct Outside {
    /// By stream and sequence number, everything that was handed out for sending: the first bytes.
    sent: BTreeMap<(StreamId, u64), Vec<u8>>,
    /// Proven, or kept aside: the journal may forget it.
    forgotten: BTreeSet<(StreamId, u64)>,
    aside: BTreeMap<PathBuf, Vec<u8>>,
    /// Nonces: stream, run and sequence number of everything that was ever sealed.
    sealed: BTreeSet<(StreamId, [u8; 16], u64)>,
    lives: u8,
}

fn newest_file() -> PathBuf {
    PathBuf::from("/gateway/keys/streams.key")
}

fn key_of(bytes: &[u8]) -> (StreamId, u64) {
    let header = Envelope::decode(bytes).unwrap().header;
    (header.stream, header.seq)
}

fn start(disk: &Lossy) -> Result<(Journal, Vec<Kept>), JournalError> {
    let io = |source| JournalError::Io { path: newest_file(), source };
    disk.make_folder(Path::new("/gateway/keys")).map_err(io)?;
    let newest = files::read_on(disk, &newest_file()).map_err(io)?;
    let newest = newest.map_or(0, |body| u32::from_le_bytes(body.try_into().unwrap()));
    let folder = Path::new("/gateway/journal");
    let (journal, backlog) =
        Journal::open_on(Arc::new(disk.clone()), folder, GATEWAY, newest, SEGMENT_BYTES)?;
    let kept = all_of(&journal, backlog)?;
    Ok((journal, kept))
}

/// As the recorder does: after what was sealed is durable, before it is sent.
fn remember(disk: &Lossy, journal: &Journal) -> io::Result<()> {
    files::replace_on(disk, &newest_file(), &journal.newest().to_le_bytes())
}

impl Outside {
    /// Holds what a start found against what was promised.
    fn check(&self, disk: &Lossy, journal: &Journal, kept: &[Kept], scene: &str) {
        let mut found = BTreeMap::new();
        for kept in kept {
            let bytes = journal.read(kept.place).unwrap();
            assert!(found.insert(key_of(&bytes), bytes).is_none(), "{scene}: kept twice");
        }
        for (key, bytes) in &self.sent {
            match found.get(key) {
                Some(kept) => assert_eq!(kept, bytes, "{scene}: {key:?} is not what was sent"),
                None => assert!(self.forgotten.contains(key), "{scene}: {key:?} was sent and is gone"),
            }
        }
        for (path, bytes) in &self.aside {
            assert_eq!(durable::read(disk, path).unwrap().as_ref(), Some(bytes), "{scene}: aside");
        }
        for number in 0..STREAMS {
            let stream = StreamId([number; 16]);
            for seq in 0..journal.head(stream).next_seq {
                let key = (stream, seq);
                assert!(
                    found.contains_key(&key) || self.forgotten.contains(&key),
                    "{scene}: {key:?} skipped"
                );
            }
            let last = self.sent.range((stream, 0)..=(stream, u64::MAX)).next_back();
            if let Some(((_, seq), _)) = last {
                assert!(journal.head(stream).next_seq > *seq, "{scene}: a sequence number comes back");
            }
        }
    }

    /// One life: seals, sends, takes proofs and refusals, until it is done or the power goes.
    fn live(&mut self, disk: &Lossy, dice: &mut Dice, scene: &str) -> Result<(), JournalError> {
        self.lives += 1;
        let run = self.lives;
        let (journal, kept) = start(disk)?;
        self.check(disk, &journal, &kept, scene);
        remember(disk, &journal).map_err(|source| JournalError::Io { path: newest_file(), source })?;
        let mut sealers: Vec<_> = (0..STREAMS).map(|number| sealer(&journal, number, run)).collect();
        let mut newest = journal.newest();
        let mut journal = journal;
        let mut waiting: Vec<(Place, Hash)> = kept.iter().map(|kept| (kept.place, kept.hash)).collect();
        let mut under_way: Vec<(Place, Hash, Vec<u8>)> = Vec::new();
        for _ in 0..10 + dice.below(40) {
            match dice.below(6) {
                0 | 1 => {
                    let group: Vec<(bool, Sealed)> = (0..1 + dice.below(6))
                        .map(|_| {
                            let number = usize::try_from(dice.below(u64::from(STREAMS))).unwrap();
                            (dice.below(9) == 0, seal(&mut sealers[number], 70))
                        })
                        .collect();
                    for (_, sealed) in &group {
                        let nonce = (sealed.header.stream, sealed.header.run, sealed.header.seq);
                        assert!(self.sealed.insert(nonce), "{scene}: a nonce twice");
                    }
                    let records: Vec<_> = group
                        .iter()
                        .map(|(alarm, sealed)| Record::Envelope {
                            alarm: *alarm,
                            sealed_at_ms: 5,
                            bytes: &sealed.bytes,
                        })
                        .collect();
                    let places = journal.append(&records)?;
                    journal.sync()?;
                    waiting.extend(places.into_iter().zip(group.iter().map(|(_, sealed)| sealed.hash)));
                    if journal.newest() != newest {
                        newest = journal.newest();
                        remember(disk, &journal)
                            .map_err(|source| JournalError::Io { path: newest_file(), source })?;
                    }
                }
                2 | 3 => {
                    for (place, hash) in waiting.drain(..) {
                        let bytes = journal.read(place)?;
                        let first = self.sent.entry(key_of(&bytes)).or_insert_with(|| bytes.clone());
                        assert_eq!(*first, bytes, "{scene}: one sequence number, two envelopes");
                        under_way.push((place, hash, bytes));
                    }
                }
                4 => {
                    // Receipted, and proven in any order: noted without a sync.
                    if let Some((_, hash, _)) = under_way.first() {
                        journal.append(&[Record::Receipted(*hash)])?;
                    }
                    for _ in 0..dice.below(under_way.len() as u64 + 1) {
                        let at = usize::try_from(dice.below(under_way.len() as u64)).unwrap();
                        let (place, hash, bytes) = under_way.swap_remove(at);
                        self.forgotten.insert(key_of(&bytes));
                        journal.append(&[Record::Forgotten(hash)])?;
                        journal.forget(place)?;
                    }
                }
                _ => {
                    if let Some((place, hash, bytes)) = under_way.pop() {
                        let (stream, seq) = key_of(&bytes);
                        let path = PathBuf::from(format!("/gateway/aside/{stream}-{seq}.envelope"));
                        let kept = disk
                            .make_folder(Path::new("/gateway/aside"))
                            .and_then(|()| durable::write(disk, &path, &bytes));
                        kept.map_err(|source| JournalError::Io { path: path.clone(), source })?;
                        self.aside.insert(path, bytes);
                        self.forgotten.insert((stream, seq));
                        journal.append(&[Record::Forgotten(hash)])?;
                        journal.forget(place)?;
                    }
                }
            }
        }
        journal.sync()
    }
}

fn ended_by_the_crash(life: Result<(), JournalError>, scene: &str) {
    match life {
        Ok(()) | Err(JournalError::Io { .. } | JournalError::Broken) => {}
        Err(why) => panic!("{scene}: {why}"),
    }
}

/// How many random stories to tell: a few, or what the campaign asks for.
fn seeds(few: u64) -> u64 {
    std::env::var("ACESO_CRASH_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(few)
}

fn last_start(disk: &Lossy, outside: &Outside, scene: &str) {
    let (journal, kept) = start(disk).unwrap_or_else(|why| panic!("{scene}: {why}"));
    outside.check(disk, &journal, &kept, scene);
}

#[test]
fn a_crash_at_any_step_loses_nothing_sent_and_seals_no_number_twice() {
    let whole = Lossy::default();
    Outside::default().live(&whole, &mut Dice(3), "whole").unwrap();
    let mut replays = 0;
    for at in 1..=whole.steps() {
        for left in 0..6 + seeds(0) / 10 {
            let scene = format!("crash at {at}, left {left}");
            let (disk, mut outside) = (Lossy::default(), Outside::default());
            disk.crash_at(at, Step::ALL[usize::try_from(at + left).unwrap() % 3]);
            ended_by_the_crash(outside.live(&disk, &mut Dice(3), &scene), &scene);
            let left = if left < 2 { left } else { at * 100 + left };
            let disk = disk.after_crash(Unsynced::of(left));
            outside.live(&disk, &mut Dice(at), &scene).unwrap();
            last_start(&disk.after_crash(Unsynced::Lost), &outside, &scene);
            replays += 1;
        }
    }
    println!("{} steps of which {} syncs, {replays} replays", whole.steps(), whole.syncs());
}

/// After a failed sync the page cache shows what is not on the disk. The journal is opened again on the same machine,
/// as the recorder does, and goes on; then the power goes, at the end or while it is being opened again.
#[test]
fn a_power_cut_after_a_failed_sync_loses_nothing_sent_and_seals_no_number_twice() {
    let whole = Lossy::default();
    Outside::default().live(&whole, &mut Dice(3), "whole").unwrap();
    let mut replays = 0;
    for at in 1..=whole.syncs() {
        for left in 0..6 + seeds(0) / 10 {
            let scene = format!("sync {at} fails, left {left}");
            let (disk, mut outside) = (Lossy::default(), Outside::default());
            disk.fail_sync_at(at);
            let life = outside.live(&disk, &mut Dice(3), &scene);
            if life.is_ok() {
                // Syncs of folders do not fail: there are not so many of files.
                continue;
            }
            ended_by_the_crash(life, &scene);
            match left {
                0 => outside.live(&disk, &mut Dice(at), &scene).unwrap(),
                _ => {
                    disk.crash_at(left, Step::ALL[usize::try_from(at + left).unwrap() % 3]);
                    ended_by_the_crash(outside.live(&disk, &mut Dice(at), &scene), &scene);
                }
            }
            let disk = disk.after_crash(Unsynced::of(if left < 3 { 1 } else { at * 100 + left }));
            last_start(&disk, &outside, &scene);
            outside.live(&disk, &mut Dice(at), &scene).unwrap();
            last_start(&disk.after_crash(Unsynced::Lost), &outside, &scene);
            replays += 1;
        }
    }
    assert!(replays > 100, "{replays}");
    println!("{replays} replays");
}

#[test]
fn random_crashes_one_after_the_other_lose_nothing_sent() {
    let (seeds, mut crashes, mut steps, mut sent) = (seeds(120), 0, 0, 0);
    for seed in 0..seeds {
        let (mut dice, mut disk, mut outside) = (Dice(seed), Lossy::default(), Outside::default());
        for life in 0..8 {
            let scene = format!("seed {seed}, life {life}");
            if dice.below(3) == 0 {
                disk.fail_sync_at(1 + dice.below(30));
                ended_by_the_crash(outside.live(&disk, &mut dice, &scene), &scene);
            }
            disk.crash_at(1 + dice.below(120), Step::ALL[usize::try_from(dice.below(3)).unwrap()]);
            ended_by_the_crash(outside.live(&disk, &mut dice, &scene), &scene);
            steps += disk.steps();
            crashes += 1;
            let left = if dice.below(4) == 0 { dice.below(2) } else { dice.next() };
            disk = disk.after_crash(Unsynced::of(left));
        }
        last_start(&disk, &outside, &format!("seed {seed}, the end"));
        sent += outside.sent.len();
    }
    println!(
        "{seeds} seeds, {crashes} crashes and starts, {steps} steps of the disk, {sent} envelopes sent, none lost"
    );
}
