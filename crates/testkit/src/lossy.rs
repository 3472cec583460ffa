//! A lossy disk in memory: what is not synced may be lost, torn at any byte, full of holes or out
//! of order after a crash, file by file; and so may names until their folder is synced.

mod contents;

use crate::Dice;
use contents::{Change, Contents};
use durable::{Disk, DiskFile};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What becomes of the step at which the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing of it.
    NotDone,
    /// Half of a write's bytes, half of a sync's writes; a name is changed or not.
    HalfDone,
    /// All of it, but its caller got an error.
    Done,
}

impl Step {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::NotDone, Self::HalfDone, Self::Done];
}

/// What becomes of everything that was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsynced {
    /// It is there: the process died, the machine lives.
    Kept,
    /// It is gone.
    Lost,
    /// All of it is there but for the end of each file's last write, of which so many bytes are.
    TornAt(usize),
    /// Only the last write of each file is there: writes went to the disk out of order.
    LastOnly,
    /// Any part of any write, and any name, as a page cache may leave it. The number decides.
    Any(u64),
}

impl Unsynced {
    /// A number as one of them: 0 kept, 1 lost, any other any part.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        match seed {
            0 => Self::Kept,
            1 => Self::Lost,
            seed => Self::Any(seed),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Folder,
    File(u64),
}

type Names = BTreeMap<PathBuf, Node>;
type NameChange = (PathBuf, Option<Node>);

#[derive(Debug, Default)]
struct World {
    files: BTreeMap<u64, Contents>,
    next_id: u64,
    /// What each name stands for, now and after a crash that keeps nothing.
    live: Names,
    durable: Names,
    /// Names given and taken since their folder was synced; what is in one entry happens at once.
    renamed: Vec<Vec<NameChange>>,
    steps: u64,
    syncs: u64,
    crash: Option<(u64, Step)>,
    dead: bool,
    fail_write: bool,
    full: bool,
    /// How many more syncs of files succeed before one fails.
    fail_sync: Option<u64>,
}

fn died() -> io::Error {
    io::Error::other("the power is gone")
}

fn ended(dies: bool) -> io::Result<()> {
    if dies { Err(died()) } else { Ok(()) }
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

    /// A step that changes names, all of these or none.
    fn name(&mut self, changes: Vec<NameChange>) -> io::Result<()> {
        let (step, dies) = self.step()?;
        if step != Step::NotDone {
            change_names(&mut self.live, &changes);
            self.renamed.push(changes);
        }
        ended(dies)
    }

    fn file(&self, path: &Path) -> io::Result<u64> {
        match self.live.get(path) {
            Some(Node::File(id)) => Ok(*id),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn add(&mut self, contents: Contents) -> Node {
        self.next_id += 1;
        self.files.insert(self.next_id, contents);
        Node::File(self.next_id)
    }

    fn change(&mut self, id: u64, change: &Change) -> io::Result<()> {
        let (step, dies) = self.step()?;
        let done = match step {
            Step::NotDone => return ended(dies),
            Step::HalfDone => change.half(),
            Step::Done => change.clone(),
        };
        self.files.get_mut(&id).expect("an open file exists").change(done);
        ended(dies)
    }

    /// The names that are left.
    fn names_after_crash(&self, unsynced: Unsynced, dice: &mut Dice) -> Names {
        match unsynced {
            Unsynced::Lost => self.durable.clone(),
            Unsynced::Any(_) => {
                let mut names = self.durable.clone();
                let mut stopped: BTreeSet<&Path> = BTreeSet::new();
                for changes in &self.renamed {
                    // Of one name the changes are in order; between names they are in none.
                    let stops =
                        dice.below(3) == 0 || changes.iter().any(|(path, _)| stopped.contains(&**path));
                    if stops {
                        stopped.extend(changes.iter().map(|(path, _)| path.as_path()));
                    } else {
                        change_names(&mut names, changes);
                    }
                }
                names
            }
            _ => self.live.clone(),
        }
    }
}

fn change_names(names: &mut Names, changes: &[NameChange]) {
    for (path, node) in changes {
        match node {
            Some(node) => names.insert(path.clone(), *node),
            None => names.remove(path),
        };
    }
}

/// The disk's owner: survives the program that used it. The folder `/` is always there.
#[derive(Debug, Clone, Default)]
pub struct Lossy(Arc<Mutex<World>>);

impl Lossy {
    /// Writes, cuts, syncs and changes of names so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.0.lock().steps
    }

    /// Syncs among them.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.0.lock().syncs
    }

    /// The power goes with the step that comes `at` steps from here; 1 is the next one.
    pub fn crash_at(&self, at: u64, step: Step) {
        let mut world = self.0.lock();
        world.crash = Some((world.steps + at, step));
    }

    /// The next write stops half way, as on a full disk.
    pub fn fail_next_write(&self) {
        self.0.lock().fail_write = true;
    }

    /// While it is full, every write stops half way.
    pub fn set_full(&self, full: bool) {
        self.0.lock().full = full;
    }

    /// The next sync of a file fails, and what it was to write is lost. It still reads as if it were there, until
    /// the power goes, and no later sync writes it: so it is with a page cache.
    pub fn fail_next_sync(&self) {
        self.fail_sync_at(1);
    }

    /// As [`Self::fail_next_sync`], but it is the sync of a file that comes `at` from here; 1 is the next one.
    pub fn fail_sync_at(&self, at: u64) {
        self.0.lock().fail_sync = Some(at - 1);
    }

    /// Bytes of the longest last write that is not synced: each is a place at which it may tear.
    #[must_use]
    pub fn torn_max(&self) -> usize {
        self.0.lock().files.values().map(Contents::last_write_bytes).max().unwrap_or(0)
    }

    /// The disk as the next start finds it.
    #[must_use]
    pub fn after_crash(&self, unsynced: Unsynced) -> Self {
        let world = self.0.lock();
        let mut dice = Dice(if let Unsynced::Any(seed) = unsynced { seed } else { 0 });
        let names = world.names_after_crash(unsynced, &mut dice);
        let folders: BTreeSet<&Path> =
            names.iter().filter(|(_, node)| **node == Node::Folder).map(|(path, _)| path.as_path()).collect();
        let mut next = World::default();
        for (path, node) in &names {
            if path.ancestors().skip(1).any(|above| above != Path::new("/") && !folders.contains(above)) {
                continue;
            }
            let node = match node {
                Node::Folder => Node::Folder,
                Node::File(id) => {
                    next.add(Contents::durable(world.files[id].after_crash(unsynced, &mut dice)))
                }
            };
            next.live.insert(path.clone(), node);
            next.durable.insert(path.clone(), node);
        }
        Self(Arc::new(Mutex::new(next)))
    }

    /// Names of the files in `/`.
    #[must_use]
    pub fn root_names(&self) -> Vec<String> {
        self.names(Path::new("/")).unwrap()
    }

    /// What the file with this name in `/` holds.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        let world = self.0.lock();
        let id = world.file(&Path::new("/").join(name)).unwrap();
        world.files[&id].live().to_vec()
    }

    /// A copy of the disk in which one file in `/` is another, or gone.
    #[must_use]
    pub fn with(&self, name: &str, bytes: Option<Vec<u8>>) -> Self {
        let copy = self.after_crash(Unsynced::Kept);
        {
            let mut world = copy.0.lock();
            let node = bytes.map(|bytes| world.add(Contents::durable(bytes)));
            let change = [(Path::new("/").join(name), node)];
            let World { live, durable, .. } = &mut *world;
            change_names(live, &change);
            change_names(durable, &change);
        }
        copy
    }

    fn opened(&self, id: u64) -> Arc<dyn DiskFile> {
        Arc::new(LossyFile(Arc::clone(&self.0), id))
    }
}

impl Disk for Lossy {
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        let mut above: Vec<&Path> = folder.ancestors().filter(|folder| *folder != Path::new("/")).collect();
        above.reverse();
        for folder in above {
            {
                let mut world = self.0.lock();
                if world.live.contains_key(folder) {
                    continue;
                }
                world.name(vec![(folder.to_owned(), Some(Node::Folder))])?;
            }
            self.sync_folder(folder.parent().unwrap())?;
        }
        Ok(())
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let world = self.0.lock();
        let inside = world.live.keys().filter(|path| path.parent() == Some(folder));
        Ok(inside.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let existing = { self.0.lock().file(path) };
        let Ok(id) = existing else { return self.create_new(path) };
        self.0.lock().change(id, &Change::Cut(0))?;
        Ok(self.opened(id))
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut world = self.0.lock();
        if world.live.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let node = world.add(Contents::default());
        let id = world.next_id;
        world.name(vec![(path.to_owned(), Some(node))])?;
        Ok(self.opened(id))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let id = self.0.lock().file(path)?;
        Ok(self.opened(id))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.0.lock();
        let id = world.file(from)?;
        world.name(vec![(from.to_owned(), None), (to.to_owned(), Some(Node::File(id)))])
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.0.lock();
        world.file(path)?;
        world.name(vec![(path.to_owned(), None)])
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut world = self.0.lock();
        let (step, dies) = world.step()?;
        world.syncs += 1;
        if step == Step::Done {
            let World { durable, renamed, .. } = &mut *world;
            renamed.retain(|changes| {
                // No rename crosses a folder.
                let here = changes[0].0.parent() == Some(folder);
                if here {
                    change_names(durable, changes);
                }
                !here
            });
        }
        ended(dies)
    }
}

#[derive(Debug)]
struct LossyFile(Arc<Mutex<World>>, u64);

impl DiskFile for LossyFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.lock().files[&self.1].live().len() as u64)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let world = self.0.lock();
        let found = world.files[&self.1].live().get(offset as usize..offset as usize + bytes.len());
        bytes.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut world = self.0.lock();
        if std::mem::take(&mut world.fail_write) || world.full {
            world.change(self.1, &Change::Write(offset, bytes[..bytes.len() / 2].to_vec()))?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        world.change(self.1, &Change::Write(offset, bytes.to_vec()))
    }

    fn cut(&self, size: u64) -> io::Result<()> {
        self.0.lock().change(self.1, &Change::Cut(size))
    }

    fn sync(&self) -> io::Result<()> {
        let mut world = self.0.lock();
        if world.fail_sync == Some(0) {
            world.fail_sync = None;
            world.files.get_mut(&self.1).expect("an open file exists").lose_unsynced();
            return Err(io::Error::other("the disk failed"));
        }
        world.fail_sync = world.fail_sync.map(|left| left - 1);
        let (step, dies) = world.step()?;
        world.syncs += 1;
        let contents = world.files.get_mut(&self.1).expect("an open file exists");
        contents.sync(step);
        ended(dies)
    }
}
