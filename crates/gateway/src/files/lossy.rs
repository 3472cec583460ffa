#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "tests")]
//! A disk that forgets: what is not synced may be lost, torn, full of holes or out of order after a
//! crash, file by file; and so may names until their folder is synced.

use super::{Disk, DiskFile};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A few numbers that look random (splitmix64): the whole run follows from the seed.
#[derive(Debug, Clone)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

#[derive(Debug, Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Cut(u64),
}

/// A page cache writes back whole sectors.
const SECTOR_BYTES: usize = 512;

fn write(bytes: &mut Vec<u8>, offset: usize, new: &[u8]) {
    bytes.resize(bytes.len().max(offset + new.len()), 0);
    bytes[offset..offset + new.len()].copy_from_slice(new);
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(offset, new) => write(bytes, *offset as usize, new),
            Self::Cut(size) => bytes.resize(*size as usize, 0),
        }
    }

    fn apply_first(&self, len: usize, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(offset, new) => write(bytes, *offset as usize, &new[..len.min(new.len())]),
            Self::Cut(_) => self.apply(bytes),
        }
    }

    /// Any of its sectors; perhaps the file is as long as if all were there.
    fn apply_some(&self, bytes: &mut Vec<u8>, dice: &mut Dice) {
        let Self::Write(offset, new) = self else { return };
        let (from, end) = (*offset as usize, *offset as usize + new.len());
        let mut at = from;
        while at < end {
            let next = ((at / SECTOR_BYTES + 1) * SECTOR_BYTES).min(end);
            if dice.below(2) == 0 {
                write(bytes, at, &new[at - from..next - from]);
            }
            at = next;
        }
        if dice.below(3) == 0 {
            bytes.resize(bytes.len().max(end), 0);
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Contents {
    durable: Vec<u8>,
    live: Vec<u8>,
    pending: Vec<Change>,
}

impl Contents {
    fn after_crash(&self, dice: &mut Dice) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        match dice.below(5) {
            0 => bytes = self.live.clone(),
            1 => {}
            2 => {
                let whole = dice.below(self.pending.len() as u64 + 1) as usize;
                self.pending[..whole].iter().for_each(|change| change.apply(&mut bytes));
                if let Some(torn) = self.pending.get(whole) {
                    torn.apply_first(dice.below(3000) as usize, &mut bytes);
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
        }
        bytes
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Dir,
    File(u64),
}

type Names = BTreeMap<PathBuf, Node>;

#[derive(Debug, Default)]
struct World {
    files: BTreeMap<u64, Contents>,
    next_id: u64,
    live: Names,
    durable: Names,
    /// Names given and taken since their folder was synced; what is in one entry happens at once.
    renamed: Vec<Vec<(PathBuf, Option<Node>)>>,
    steps: u64,
    syncs: u64,
    crash_at: Option<u64>,
    dead: bool,
}

impl World {
    /// Refused once the power is gone, which it is with the step told.
    fn step(&mut self) -> io::Result<()> {
        self.steps += 1;
        self.dead |= self.crash_at.is_some_and(|at| self.steps >= at);
        if self.dead { Err(io::Error::other("the power is gone")) } else { Ok(()) }
    }

    fn name(&mut self, changes: Vec<(PathBuf, Option<Node>)>) {
        change_names(&mut self.live, &changes);
        self.renamed.push(changes);
    }

    fn file(&self, path: &Path) -> io::Result<u64> {
        match self.live.get(path) {
            Some(Node::File(id)) => Ok(*id),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

fn change_names(names: &mut Names, changes: &[(PathBuf, Option<Node>)]) {
    for (path, node) in changes {
        match node {
            Some(node) => names.insert(path.clone(), *node),
            None => names.remove(path),
        };
    }
}

/// The disk's owner: survives the gateway that used it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lossy(Arc<Mutex<World>>);

impl Lossy {
    pub(crate) fn crash_after(&self, steps: u64) {
        let mut world = self.0.lock().unwrap();
        world.crash_at = Some(world.steps + steps);
    }

    pub(crate) fn steps(&self) -> u64 {
        self.0.lock().unwrap().steps
    }

    pub(crate) fn syncs(&self) -> u64 {
        self.0.lock().unwrap().syncs
    }

    /// The disk as the next start finds it; the seed decides what is left. 0: all of it, as after the
    /// death of a process. 1: only what was synced.
    pub(crate) fn after_crash(&self, seed: u64) -> Self {
        let world = self.0.lock().unwrap();
        let mut dice = Dice(seed);
        let mut names = if seed == 0 { world.live.clone() } else { world.durable.clone() };
        let mut stopped: BTreeSet<PathBuf> = BTreeSet::new();
        for changes in world.renamed.iter().filter(|_| seed > 1) {
            // Of one name the changes are in order; between names they are in none.
            let stops = dice.below(3) == 0 || changes.iter().any(|(path, _)| stopped.contains(path));
            if stops {
                stopped.extend(changes.iter().map(|(path, _)| path.clone()));
            } else {
                change_names(&mut names, changes);
            }
        }
        let mut next = World::default();
        let folders: BTreeSet<PathBuf> =
            names.iter().filter(|(_, node)| **node == Node::Dir).map(|(path, _)| path.clone()).collect();
        for (path, node) in names {
            let lost = path.ancestors().skip(1).any(|dir| dir != Path::new("/") && !folders.contains(dir));
            if lost {
                continue;
            }
            let node = match node {
                Node::Dir => Node::Dir,
                Node::File(id) => {
                    let contents = &world.files[&id];
                    let bytes = match seed {
                        0 => contents.live.clone(),
                        1 => contents.durable.clone(),
                        _ => contents.after_crash(&mut dice),
                    };
                    next.next_id += 1;
                    let contents = Contents { durable: bytes.clone(), live: bytes, pending: Vec::new() };
                    next.files.insert(next.next_id, contents);
                    Node::File(next.next_id)
                }
            };
            next.live.insert(path.clone(), node);
            next.durable.insert(path, node);
        }
        Self(Arc::new(Mutex::new(next)))
    }
}

#[derive(Debug)]
struct LossyFile(Arc<Mutex<World>>, u64);

impl Disk for Lossy {
    fn private_dir(&self, dir: &Path) -> io::Result<()> {
        let mut made: Vec<&Path> = dir.ancestors().filter(|dir| *dir != Path::new("/")).collect();
        made.reverse();
        for dir in made {
            let parent = dir.parent().unwrap().to_owned();
            {
                let mut world = self.0.lock().unwrap();
                if world.live.contains_key(dir) {
                    continue;
                }
                world.step()?;
                world.name(vec![(dir.to_owned(), Some(Node::Dir))]);
            }
            self.sync_dir(&parent)?;
        }
        Ok(())
    }

    fn names(&self, dir: &Path) -> io::Result<Vec<String>> {
        let world = self.0.lock().unwrap();
        let inside = world.live.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut world = self.0.lock().unwrap();
        world.step()?;
        if let Ok(id) = world.file(path) {
            let contents = world.files.get_mut(&id).unwrap();
            contents.live.clear();
            contents.pending.push(Change::Cut(0));
            return Ok(Box::new(LossyFile(Arc::clone(&self.0), id)));
        }
        world.next_id += 1;
        let id = world.next_id;
        world.files.insert(id, Contents::default());
        world.name(vec![(path.to_owned(), Some(Node::File(id)))]);
        Ok(Box::new(LossyFile(Arc::clone(&self.0), id)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let id = self.0.lock().unwrap().file(path)?;
        Ok(Box::new(LossyFile(Arc::clone(&self.0), id)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.0.lock().unwrap();
        let id = world.file(from)?;
        world.step()?;
        world.name(vec![(from.to_owned(), None), (to.to_owned(), Some(Node::File(id)))]);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.0.lock().unwrap();
        world.file(path)?;
        world.step()?;
        world.name(vec![(path.to_owned(), None)]);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut world = self.0.lock().unwrap();
        world.step()?;
        world.syncs += 1;
        let renamed = std::mem::take(&mut world.renamed);
        for changes in renamed {
            // No rename of ours crosses a folder.
            if changes[0].0.parent() == Some(dir) {
                change_names(&mut world.durable, &changes);
            } else {
                world.renamed.push(changes);
            }
        }
        Ok(())
    }
}

impl LossyFile {
    fn change(&self, change: Change) -> io::Result<()> {
        let mut world = self.0.lock().unwrap();
        let outcome = world.step();
        if outcome.is_ok() || world.crash_at == Some(world.steps) {
            // The write under way when the power goes may be there, in part or whole.
            let contents = world.files.get_mut(&self.1).unwrap();
            change.apply(&mut contents.live);
            contents.pending.push(change);
        }
        outcome
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
        self.change(Change::Write(offset, bytes.to_vec()))
    }

    fn cut(&self, size: u64) -> io::Result<()> {
        self.change(Change::Cut(size))
    }

    fn sync(&self) -> io::Result<()> {
        let mut world = self.0.lock().unwrap();
        world.step()?;
        world.syncs += 1;
        let contents = world.files.get_mut(&self.1).unwrap();
        contents.pending.clear();
        contents.durable = contents.live.clone();
        Ok(())
    }
}
