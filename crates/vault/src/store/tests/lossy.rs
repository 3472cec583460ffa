//! A disk that forgets: what is not synced may be lost, torn or out of order after a crash.

use super::*;
use std::collections::{BTreeMap, BTreeSet};
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
    /// The last write of each file is half there.
    Torn,
    /// Only the last write of each file is there: writes went to the disk out of order.
    LastOnly,
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

    fn half(&self) -> Self {
        match self {
            Self::Write(offset, new) => Self::Write(*offset, new[..new.len() / 2].to_vec()),
            Self::Cut(size) => Self::Cut(*size),
        }
    }
}

#[derive(Default)]
struct World {
    files: BTreeMap<String, Contents>,
    /// Names that exist, now and after a crash.
    live: BTreeSet<String>,
    durable: BTreeSet<String>,
    steps: u64,
    crash: Option<(u64, Step)>,
    dead: bool,
    fail_write: bool,
    fail_sync: bool,
}

fn died() -> io::Error {
    io::Error::other("the power is gone")
}

impl World {
    /// Counts a step; tells how much of it to do, and whether the disk dies of it.
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

    pub(super) fn crash_at(&self, at: u64, step: Step) {
        self.0.lock().unwrap().crash = Some((at, step));
    }

    pub(super) fn fail_next_write(&self) {
        self.0.lock().unwrap().fail_write = true;
    }

    pub(super) fn fail_next_sync(&self) {
        self.0.lock().unwrap().fail_sync = true;
    }

    /// The disk as the next start finds it.
    pub(super) fn after_crash(&self, unsynced: Unsynced) -> Self {
        let world = self.0.lock().unwrap();
        let names = if unsynced == Unsynced::Lost { &world.durable } else { &world.live };
        let files = names.iter().map(|name| {
            let contents = &world.files[name];
            let mut bytes = contents.durable.clone();
            let pending = &contents.pending;
            match unsynced {
                Unsynced::Kept => bytes = contents.live.clone(),
                Unsynced::Lost => {}
                Unsynced::Torn => {
                    if let Some((last, before)) = pending.split_last() {
                        before.iter().for_each(|change| change.apply(&mut bytes));
                        last.half().apply(&mut bytes);
                    }
                }
                Unsynced::LastOnly => {
                    if let Some(last) = pending.last() {
                        last.apply(&mut bytes);
                    }
                }
            }
            (name.clone(), Contents { durable: bytes.clone(), live: bytes, pending: Vec::new() })
        });
        let files: BTreeMap<_, _> = files.collect();
        let live: BTreeSet<_> = files.keys().cloned().collect();
        Self(Arc::new(Mutex::new(World { files, durable: live.clone(), live, ..World::default() })))
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().live.iter().cloned().collect()
    }

    pub(super) fn bytes(&self, name: &str) -> Vec<u8> {
        self.0.lock().unwrap().files[name].live.clone()
    }

    /// A copy of the disk in which one file is another, or gone.
    pub(super) fn with(&self, name: &str, bytes: Option<Vec<u8>>) -> Self {
        let copy = self.after_crash(Unsynced::Kept);
        {
            let mut world = copy.0.lock().unwrap();
            match bytes {
                Some(bytes) => {
                    let contents = Contents { durable: bytes.clone(), live: bytes, pending: Vec::new() };
                    world.files.insert(name.into(), contents);
                }
                None => {
                    world.files.remove(name);
                    world.live.remove(name);
                    world.durable.remove(name);
                }
            }
        }
        copy
    }
}

struct LossyFile(Arc<Mutex<World>>, String);

impl Disk for Lossy {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.names())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut world = self.0.lock().unwrap();
        if world.live.contains(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let (step, dies) = world.step()?;
        if step != Step::NotDone {
            world.live.insert(name.into());
            world.files.insert(name.into(), Contents::default());
        }
        ended(dies)?;
        Ok(Arc::new(LossyFile(Arc::clone(&self.0), name.into())))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let world = self.0.lock().unwrap();
        if !world.live.contains(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Arc::new(LossyFile(Arc::clone(&self.0), name.into())))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut world = self.0.lock().unwrap();
        let (step, dies) = world.step()?;
        if step != Step::NotDone {
            world.live.remove(name);
        }
        ended(dies)
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut world = self.0.lock().unwrap();
        let (step, dies) = world.step()?;
        if step == Step::Done {
            world.durable = world.live.clone();
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
