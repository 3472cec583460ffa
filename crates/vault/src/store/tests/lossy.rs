//! A disk that forgets: what is not synced may be lost, torn at any byte, or there out of order after
//! a crash, file by file; and so may the names of files until their folder is synced.

use super::*;
use std::collections::BTreeMap;
use std::io;

/// What becomes of the step at which the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    NotDone,
    HalfDone,
    Done,
}

/// What becomes of everything that was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unsynced {
    /// The process died, the machine lives.
    Kept,
    Lost,
    /// All of it is there but for the end of each file's last write, of which so many bytes are.
    TornAt(usize),
    /// Only the last write of each file is there: writes went to the disk out of order.
    LastOnly,
    /// Any part of any write, and any name, as a page cache may leave it. The number decides.
    Any(u64),
}

/// A few numbers that look random (splitmix64): the whole run follows from the seed.
#[derive(Debug, Clone)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

#[derive(Debug, Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Cut(u64),
}

#[derive(Debug, Clone, Default)]
struct Contents {
    durable: Vec<u8>,
    live: Vec<u8>,
    pending: Vec<Change>,
}

/// A page cache writes back whole sectors.
const SECTOR_BYTES: usize = 512;

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(offset, new) => {
                let end = *offset as usize + new.len();
                bytes.resize(bytes.len().max(end), 0);
                bytes[*offset as usize..end].copy_from_slice(new);
            }
            Self::Cut(size) => bytes.resize(*size as usize, 0),
        }
    }

    fn first(&self, len: usize) -> Self {
        match self {
            Self::Write(offset, new) => Self::Write(*offset, new[..len.min(new.len())].to_vec()),
            Self::Cut(size) => Self::Cut(*size),
        }
    }

    fn half(&self) -> Self {
        match self {
            Self::Write(_, new) => self.first(new.len() / 2),
            Self::Cut(_) => self.clone(),
        }
    }

    /// The sectors of a write, each there or not; the file is as long as if all were.
    fn apply_some(&self, bytes: &mut Vec<u8>, dice: &mut Dice) {
        match self {
            Self::Write(offset, new) => {
                let (from, end) = (*offset as usize, *offset as usize + new.len());
                let mut at = from;
                let mut written = from;
                while at < end {
                    let next = ((at / SECTOR_BYTES + 1) * SECTOR_BYTES).min(end);
                    if dice.below(2) == 0 {
                        bytes.resize(bytes.len().max(next), 0);
                        bytes[at..next].copy_from_slice(&new[at - from..next - from]);
                        written = next;
                    }
                    at = next;
                }
                if dice.below(3) == 0 {
                    bytes.resize(bytes.len().max(end), 0);
                } else {
                    bytes.resize(bytes.len().max(written), 0);
                }
            }
            Self::Cut(_) => {
                if dice.below(2) == 0 {
                    self.apply(bytes);
                }
            }
        }
    }
}

impl Contents {
    fn after_crash(&self, unsynced: Unsynced, dice: &mut Dice) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        match unsynced {
            Unsynced::Kept => bytes = self.live.clone(),
            Unsynced::Lost => {}
            Unsynced::TornAt(len) => {
                if let Some((last, before)) = self.pending.split_last() {
                    before.iter().for_each(|change| change.apply(&mut bytes));
                    last.first(len).apply(&mut bytes);
                }
            }
            Unsynced::LastOnly => {
                if let Some(last) = self.pending.last() {
                    last.apply(&mut bytes);
                }
            }
            Unsynced::Any(_) => match dice.below(5) {
                0 => bytes = self.live.clone(),
                1 => {}
                2 => {
                    // The first few, and a part of the next.
                    let whole = dice.below(self.pending.len() as u64 + 1) as usize;
                    self.pending[..whole].iter().for_each(|change| change.apply(&mut bytes));
                    if let Some(torn) = self.pending.get(whole) {
                        let len = dice.below(5000) as usize;
                        torn.first(len).apply(&mut bytes);
                    }
                }
                _ => {
                    for change in &self.pending {
                        match dice.below(3) {
                            0 => change.apply(&mut bytes),
                            1 => change.apply_some(&mut bytes, dice),
                            _ => {}
                        }
                    }
                }
            },
        }
        bytes
    }
}

type Id = u64;

#[derive(Default)]
struct World {
    files: BTreeMap<Id, Contents>,
    next_id: Id,
    /// Which file each name stands for, now and after a crash that keeps nothing.
    live: BTreeMap<String, Id>,
    durable: BTreeMap<String, Id>,
    /// Names given and taken since the folder was synced.
    renamed: Vec<(String, Option<Id>)>,
    steps: u64,
    syncs: u64,
    crash: Option<(u64, Step)>,
    dead: bool,
    fail_write: bool,
    fail_sync: bool,
}

fn died() -> io::Error {
    io::Error::other("the power is gone")
}

impl World {
    /// What to do of the next step, and whether the power goes with it.
    fn step(&mut self) -> io::Result<(Step, bool)> {
        if self.dead {
            return Err(died());
        }
        self.steps += 1;
        match self.crash {
            Some((at, step)) if at == self.steps => {
                self.dead = true;
                Ok((step, true))
            }
            _ => Ok((Step::Done, false)),
        }
    }

    fn name(&mut self, name: &str, id: Option<Id>) {
        match id {
            Some(id) => self.live.insert(name.into(), id),
            None => self.live.remove(name),
        };
        self.renamed.push((name.into(), id));
    }

    fn new_file(&mut self, contents: Contents) -> Id {
        self.next_id += 1;
        self.files.insert(self.next_id, contents);
        self.next_id
    }
}

fn ended(dies: bool) -> io::Result<()> {
    if dies { Err(died()) } else { Ok(()) }
}

/// The disk's owner: survives the store that used it.
#[derive(Clone)]
pub(super) struct Lossy(Arc<Mutex<World>>);

impl Lossy {
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    pub(super) fn disk(&self) -> Self {
        self.clone()
    }

    pub(super) fn steps(&self) -> u64 {
        self.0.lock().unwrap().steps
    }

    pub(super) fn syncs(&self) -> u64 {
        self.0.lock().unwrap().syncs
    }

    pub(super) fn crash_at(&self, at: u64, step: Step) {
        let mut world = self.0.lock().unwrap();
        world.crash = Some((world.steps + at, step));
    }

    pub(super) fn fail_next_write(&self) {
        self.0.lock().unwrap().fail_write = true;
    }

    pub(super) fn fail_next_sync(&self) {
        self.0.lock().unwrap().fail_sync = true;
    }

    /// Bytes of the longest write that is not synced: each is a place at which it may tear.
    pub(super) fn torn_max(&self) -> usize {
        let world = self.0.lock().unwrap();
        let last = world.files.values().filter_map(|contents| contents.pending.last());
        last.map(|change| if let Change::Write(_, new) = change { new.len() } else { 0 }).max().unwrap_or(0)
    }

    /// The disk as the next start finds it.
    pub(super) fn after_crash(&self, unsynced: Unsynced) -> Self {
        let world = self.0.lock().unwrap();
        let mut dice = Dice(if let Unsynced::Any(seed) = unsynced { seed } else { 0 });
        let names = match unsynced {
            Unsynced::Lost => world.durable.clone(),
            Unsynced::Any(_) => {
                let mut names = world.durable.clone();
                let mut stopped = std::collections::BTreeSet::new();
                for (name, id) in &world.renamed {
                    // Of one name the changes are in order; between names they are in none.
                    if dice.below(3) == 0 {
                        stopped.insert(name.clone());
                    }
                    if !stopped.contains(name) {
                        match id {
                            Some(id) => names.insert(name.clone(), *id),
                            None => names.remove(name),
                        };
                    }
                }
                names
            }
            _ => world.live.clone(),
        };
        let mut next = World::default();
        for (name, id) in names {
            let bytes = world.files[&id].after_crash(unsynced, &mut dice);
            let id = next.new_file(Contents { durable: bytes.clone(), live: bytes, pending: Vec::new() });
            next.live.insert(name.clone(), id);
            next.durable.insert(name, id);
        }
        Self(Arc::new(Mutex::new(next)))
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().live.keys().cloned().collect()
    }

    pub(super) fn bytes(&self, name: &str) -> Vec<u8> {
        let world = self.0.lock().unwrap();
        world.files[&world.live[name]].live.clone()
    }

    /// A copy of the disk in which one file is another, or gone.
    pub(super) fn with(&self, name: &str, bytes: Option<Vec<u8>>) -> Self {
        let copy = self.after_crash(Unsynced::Kept);
        {
            let mut world = copy.0.lock().unwrap();
            world.live.remove(name);
            world.durable.remove(name);
            if let Some(bytes) = bytes {
                let contents = Contents { durable: bytes.clone(), live: bytes, pending: Vec::new() };
                let id = world.new_file(contents);
                world.live.insert(name.into(), id);
                world.durable.insert(name.into(), id);
            }
        }
        copy
    }
}

struct LossyFile(Arc<Mutex<World>>, Id);

impl Disk for Lossy {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.names())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut world = self.0.lock().unwrap();
        if world.live.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let (step, dies) = world.step()?;
        let id = world.new_file(Contents::default());
        if step != Step::NotDone {
            world.name(name, Some(id));
        }
        ended(dies)?;
        Ok(Arc::new(LossyFile(Arc::clone(&self.0), id)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let world = self.0.lock().unwrap();
        let id = *world.live.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(LossyFile(Arc::clone(&self.0), id)))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut world = self.0.lock().unwrap();
        if !world.live.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let (step, dies) = world.step()?;
        if step != Step::NotDone {
            world.name(name, None);
        }
        ended(dies)
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut world = self.0.lock().unwrap();
        let (step, dies) = world.step()?;
        world.syncs += 1;
        if step == Step::Done {
            world.durable = world.live.clone();
            world.renamed.clear();
        }
        ended(dies)
    }
}

impl LossyFile {
    fn change(&self, change: &Change) -> io::Result<()> {
        let mut world = self.0.lock().unwrap();
        let (step, dies) = world.step()?;
        let done = match step {
            Step::NotDone => return ended(dies),
            Step::HalfDone => change.half(),
            Step::Done => change.clone(),
        };
        let contents = world.files.get_mut(&self.1).expect("an open file exists");
        done.apply(&mut contents.live);
        contents.pending.push(done);
        ended(dies)
    }
}

impl DiskFile for LossyFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().files[&self.1].live.len() as u64)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let world = self.0.lock().unwrap();
        let live = &world.files[&self.1].live;
        let found = live.get(offset as usize..offset as usize + bytes.len());
        bytes.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if std::mem::take(&mut self.0.lock().unwrap().fail_write) {
            self.change(&Change::Write(offset, bytes[..bytes.len() / 2].to_vec()))?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.change(&Change::Write(offset, bytes.to_vec()))
    }

    fn cut(&self, size: u64) -> io::Result<()> {
        self.change(&Change::Cut(size))
    }

    fn sync(&self) -> io::Result<()> {
        let mut world = self.0.lock().unwrap();
        if std::mem::take(&mut world.fail_sync) {
            return Err(io::Error::other("the disk failed"));
        }
        let (step, dies) = world.step()?;
        world.syncs += 1;
        let contents = world.files.get_mut(&self.1).expect("an open file exists");
        let flushed = match step {
            Step::NotDone => 0,
            Step::HalfDone => contents.pending.len() / 2,
            Step::Done => contents.pending.len(),
        };
        for change in contents.pending.drain(..flushed) {
            change.apply(&mut contents.durable);
        }
        ended(dies)
    }
}
