//! The ledger's file on a disk that loses, tears and reorders what was not synced: a height is there whole,
//! with its trie, its flat state and its block, or not at all; so is what was pruned, and an import.

use super::super::store::Store;
use super::keeping::audit;
use super::*;
use parking_lot::MutexGuard;
use redb::{Database, StorageBackend};
use std::io;

/// A few numbers that look random (splitmix64).
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Debug, Default)]
struct World {
    durable: Vec<u8>,
    live: Vec<u8>,
    pending: Vec<Change>,
    steps: u64,
    crash_at: Option<u64>,
}

impl World {
    fn step(&mut self) -> Result<(), io::Error> {
        self.steps += 1;
        let dead = self.crash_at.is_some_and(|at| self.steps >= at);
        if dead { Err(io::Error::other("the power is gone")) } else { Ok(()) }
    }

    fn change(&mut self, change: Change) -> Result<(), io::Error> {
        let outcome = self.step();
        if outcome.is_ok() || self.crash_at == Some(self.steps) {
            apply(&change, usize::MAX, &mut self.live);
            self.pending.push(change);
        }
        outcome
    }
}

fn apply(change: &Change, len: usize, bytes: &mut Vec<u8>) {
    match change {
        Change::Write(at, new) => {
            let new = &new[..len.min(new.len())];
            bytes.resize(bytes.len().max(at + new.len()), 0);
            bytes[*at..at + new.len()].copy_from_slice(new);
        }
        Change::Length(len) => bytes.resize(*len, 0),
    }
}

/// The disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lossy(Arc<Mutex<World>>);

impl Lossy {
    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock()
    }

    /// The power goes at this step.
    pub(crate) fn crash_at(self, step: u64) -> Self {
        self.world().crash_at = Some(step);
        self
    }

    pub(crate) fn steps(&self) -> u64 {
        self.world().steps
    }

    /// The file as the next start finds it. 0: all of it; 1: what was synced; else any part.
    pub(crate) fn after_crash(&self, seed: u64) -> Self {
        let world = self.world();
        let mut dice = Dice(seed);
        let mut bytes = if seed == 0 { world.live.clone() } else { world.durable.clone() };
        for change in world.pending.iter().filter(|_| seed > 1) {
            match dice.below(4) {
                // A longer file is there or not; its bytes are there or not.
                0 | 1 => apply(change, usize::MAX, &mut bytes),
                2 => apply(change, usize::try_from(dice.below(4096)).unwrap(), &mut bytes),
                _ => {}
            }
        }
        let world = World { durable: bytes.clone(), live: bytes, ..World::default() };
        Self(Arc::new(Mutex::new(world)))
    }

    pub(crate) fn database(&self) -> Result<Database, redb::DatabaseError> {
        // Small pages' worth of memory, so that nodes are read from the disk again.
        Database::builder().set_cache_size(1 << 20).create_with_backend(self.clone())
    }
}

impl StorageBackend for Lossy {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.world().live.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let world = self.world();
        let offset = usize::try_from(offset).unwrap();
        let found = world.live.get(offset..offset + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.world().change(Change::Length(usize::try_from(len).unwrap()))
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        let mut world = self.world();
        world.step()?;
        world.pending.clear();
        world.durable = world.live.clone();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.world().change(Change::Write(usize::try_from(offset).unwrap(), data.to_vec()))
    }
}

const CONFIG: Config = Config {
    keep_states: 2,
    keep_bodies: Some(3),
    keep_headers: Some(4),
    node_cache_bytes: 16 << 10,
    write_buffer_changes_max: 12,
};
const BLOCKS: u8 = 7;

fn open(disk: &Lossy, document: &GenesisDocument) -> Option<Machine> {
    let store = Store::on(disk.database().ok()?, &CONFIG);
    Machine::on(store, document, &CONFIG).ok()
}

/// Commits blocks, the same ones for every disk, two of them together now and then; how high the chain is
/// for certain.
fn work(disk: &Lossy, scribe: &Ward, blocks: u8) -> Option<u64> {
    let machine = open(disk, &scribe.document)?;
    let mut durable = machine.tip().height;
    while durable < u64::from(blocks) {
        let mut parent = machine.view().snapshot();
        let mut tip = machine.tip();
        let mut group = Vec::new();
        for height in durable + 1..=durable + 1 + durable % 2 {
            let key = u8::try_from(height).unwrap();
            let tx = scribe.signed(0, height - 1, &gateway(key));
            let env = BlockEnv { height, time_ms: FOUNDED_MS + height };
            let executed = machine.execute(&parent, env, std::slice::from_ref(&tx)).ok()?;
            let header = BlockHeader {
                parent: tip.digest,
                view: height,
                parent_view: tip.height,
                ..scribe.header(&executed)
            };
            (tip, parent) = (tip_of(&header), executed.snapshot().clone());
            group.push((header, [tx], executed));
        }
        let blocks: Vec<_> = (group.iter())
            .map(|(header, transactions, executed)| FinalBlock { header, transactions, executed })
            .collect();
        if machine.commit_all(&blocks).is_err() {
            return Some(durable);
        }
        durable = tip.height;
    }
    Some(durable)
}

/// How many stories: a few, or a twentieth of what the campaign asks for, for they take long.
pub(crate) fn seeds(few: u64) -> u64 {
    let asked = std::env::var("ACESO_CRASH_SEEDS").ok().and_then(|seeds| seeds.parse::<u64>().ok());
    asked.map_or(few, |seeds| seeds.div_ceil(20))
}

#[test]
fn a_crash_at_any_step_of_the_ledger_file_keeps_every_height_whole() {
    let scribe = Ward::with(1);
    let whole = Lossy::default();
    work(&whole, &scribe, BLOCKS).unwrap();
    let reference = open(&whole, &scribe.document).unwrap();
    let (steps, stride, mut replays) = (whole.steps(), 7, 0);
    for seed in 0..seeds(1) {
        for at in (1 + seed % stride..=steps).step_by(usize::try_from(stride).unwrap()) {
            let disk = Lossy::default().crash_at(at);
            let durable = work(&disk, &scribe, BLOCKS);
            for left in [0, 1, at * 10 + seed * 1000 + 2, at * 10 + seed * 1000 + 3] {
                let scene = format!("seed {seed}, crash at {at}, left {left}");
                let disk = disk.after_crash(left);
                let Some(machine) = open(&disk, &scribe.document) else {
                    assert_eq!(durable, None, "{scene}: it does not open");
                    continue;
                };
                let tip = machine.tip();
                let durable = durable.unwrap_or(0);
                assert!((durable..=durable + 2).contains(&tip.height), "{scene}: {tip:?} after {durable}");
                let header = machine.header(tip.height).unwrap();
                assert!(header.is_some(), "{scene}: its own header");
                // The whole run has pruned its oldest headers.
                if let Some(there) = reference.header(tip.height).unwrap() {
                    assert_eq!(header, Some(there), "{scene}");
                }
                audit(&machine);
                drop(machine);
                assert_eq!(work(&disk, &scribe, BLOCKS), Some(reference.tip().height), "{scene}");
                let machine = open(&disk, &scribe.document).unwrap();
                assert_eq!(machine.tip(), reference.tip(), "{scene}: it goes on to the same end");
                audit(&machine);
                replays += 1;
            }
        }
    }
    println!("{steps} steps, {replays} replays");
}
