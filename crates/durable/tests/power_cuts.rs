//! What is promised about files, tried on a disk that forgets what was not synced and on a real folder.
#![allow(clippy::unwrap_used, reason = "tests")]

use durable::{AppendError, AppendFile, Disk, FolderLock, Os, Position, Watermark};
use std::io::ErrorKind;
use std::path::Path;
use testkit::lossy::{Lossy, Step, Unsynced};

/// Everything that may be left of what was not synced, and so many of the endless rest.
fn unsynced(any: u64) -> impl Iterator<Item = Unsynced> {
    [Unsynced::Kept, Unsynced::Lost, Unsynced::TornAt(1), Unsynced::TornAt(700), Unsynced::LastOnly]
        .into_iter()
        .chain((2..2 + any).map(Unsynced::Any))
}

#[test]
fn every_disk_does_what_is_asked_of_a_disk() {
    let folder = tempfile::tempdir().unwrap();
    for testkit::EmptyDisk { name, disk, folder } in testkit::disks(folder.path()) {
        let path = |name: &str| folder.join(name);
        let names = || {
            let mut names = disk.names(&folder).unwrap();
            names.sort();
            names
        };
        let kind = |done: std::io::Result<()>| done.unwrap_err().kind();
        assert!(names().is_empty(), "{name}");
        disk.make_folder(&folder).unwrap();

        let file = disk.create_new(&path("a")).unwrap();
        assert_eq!(kind(disk.create_new(&path("a")).map(drop)), ErrorKind::AlreadyExists, "{name}");
        file.write_at(b"heart", 0).unwrap();
        file.write_at(b"rate", 8).unwrap();
        file.sync().unwrap();
        let mut whole = [1; 12];
        disk.open(&path("a")).unwrap().read_at(&mut whole, 0).unwrap();
        assert_eq!(&whole, b"heart\0\0\0rate", "{name}: a gap is zeros");
        assert_eq!(file.size().unwrap(), 12, "{name}");
        assert_eq!(kind(file.read_at(&mut [0; 2], 11)), ErrorKind::UnexpectedEof, "{name}");
        file.cut(5).unwrap();
        assert_eq!(disk.open(&path("a")).unwrap().size().unwrap(), 5, "{name}");

        disk.create(&path("b")).unwrap().write_at(b"second", 0).unwrap();
        assert_eq!(names(), ["a", "b"], "{name}");
        disk.rename(&path("b"), &path("a")).unwrap();
        assert_eq!(durable::read(&*disk, &path("a")).unwrap().unwrap(), b"second", "{name}: in its place");
        assert_eq!(names(), ["a"], "{name}");
        disk.create(&path("a")).unwrap();
        assert_eq!(durable::read(&*disk, &path("a")).unwrap().unwrap(), b"", "{name}: made empty");

        disk.remove(&path("a")).unwrap();
        disk.sync_folder(&folder).unwrap();
        assert_eq!(kind(disk.remove(&path("a"))), ErrorKind::NotFound, "{name}");
        assert_eq!(kind(disk.open(&path("a")).map(drop)), ErrorKind::NotFound, "{name}");
    }
}

#[test]
fn every_disk_carries_files_that_are_replaced_and_appended_to() {
    let folder = tempfile::tempdir().unwrap();
    for testkit::EmptyDisk { name, disk, folder } in testkit::disks(folder.path()) {
        let key = folder.join("key");
        durable::replace(&*disk, &key, b"old").unwrap();
        durable::replace(&*disk, &key, b"new").unwrap();
        assert_eq!(durable::read(&*disk, &key).unwrap().unwrap(), b"new", "{name}");
        let mut log = AppendFile::new(durable::write_new(&*disk, &folder.join("log"), b"head").unwrap(), 4);
        for entry in [b" one", b" two"] {
            log.append(entry).unwrap();
            log.sync().unwrap();
        }
        assert_eq!(durable::read(&*disk, &folder.join("log")).unwrap().unwrap(), b"head one two", "{name}");
    }
}

#[test]
fn a_replaced_file_is_the_old_one_or_the_new_one() {
    let path = Path::new("/a/b/file.key");
    let (old, new) = (vec![1; 1500], vec![2; 900]);
    let whole = Lossy::default();
    whole.make_folder(Path::new("/a/b")).unwrap();
    durable::replace(&whole, path, &old).unwrap();
    let made = whole.steps();
    durable::replace(&whole, path, &new).unwrap();
    let steps = whole.steps() - made;
    assert!(steps >= 5, "draft, write, sync, rename, sync of the folder");
    for at in 1..=steps {
        for (step, left) in Step::ALL.into_iter().flat_map(|step| unsynced(20).map(move |left| (step, left)))
        {
            let disk = Lossy::default();
            disk.make_folder(Path::new("/a/b")).unwrap();
            durable::replace(&disk, path, &old).unwrap();
            disk.crash_at(at, step);
            assert!(durable::replace(&disk, path, &new).is_err(), "the power went");
            let found = durable::read(&disk.after_crash(left), path).unwrap();
            assert!(found.as_ref() == Some(&old) || found.as_ref() == Some(&new), "{at} {step:?} {left:?}");
        }
    }
    let disk = whole.after_crash(Unsynced::Lost);
    assert_eq!(durable::read(&disk, path).unwrap(), Some(new), "durable when it returned");
}

#[test]
fn a_new_file_is_never_written_over_another() {
    let disk = Lossy::default();
    durable::write_new(&disk, Path::new("/token"), b"first").unwrap();
    let second = durable::write_new(&disk, Path::new("/token"), b"second").unwrap_err();
    assert_eq!(second.kind(), ErrorKind::AlreadyExists);
    assert_eq!(disk.after_crash(Unsynced::Lost).bytes("token"), b"first");
    assert_eq!(durable::read(&disk, Path::new("/other")).unwrap(), None);
}

#[test]
fn a_refused_append_is_undone_and_a_failed_sync_ends_it() {
    let disk = Lossy::default();
    let file = durable::write_new(&disk, Path::new("/log"), b"head").unwrap();
    let mut log = AppendFile::new(file, 4);
    log.append(b" one").unwrap();
    log.sync().unwrap();
    disk.fail_next_write();
    assert!(matches!(log.append(b" two and a half"), Err(AppendError::Refused(_))));
    assert_eq!((disk.bytes("log"), log.bytes()), (b"head one".to_vec(), 8), "half a write was cut off");
    log.append(b" two").unwrap();
    disk.fail_next_sync();
    assert!(matches!(log.sync(), Err(AppendError::Stopped(_))));
    assert!(matches!(log.append(b" three"), Err(AppendError::Stopped(_))), "nobody knows what is there");
    assert!(matches!(log.sync(), Err(AppendError::Stopped(_))), "a second sync would lie");
    assert_eq!(disk.after_crash(Unsynced::Lost).bytes("log"), b"head one");
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bytes(u64);

impl Position for Bytes {
    const MAGIC: [u8; 8] = *b"TESTMARK";
    const BYTES: usize = 8;
    const OWNER: &'static str = "test";

    fn encode(&self, out: &mut [u8]) {
        out.copy_from_slice(&self.0.to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Self {
        Self(u64::from_le_bytes(bytes.try_into().unwrap()))
    }
}

const MARK: &str = "/durable";

/// Notes 1, 2, 3, …, with a sync of the mark after every third. Says what was durable and what was noted.
fn note(disk: &Lossy) -> (u64, u64) {
    let (mut durable, mut noted) = (0, 0);
    let Ok(mut mark) = Watermark::create(disk, Path::new(MARK), Bytes(0)) else { return (0, 0) };
    for at in 1..=9 {
        noted = at;
        mark.put(Bytes(at));
        if at % 3 == 0 {
            if mark.sync().is_err() {
                break;
            }
            durable = at;
        }
    }
    (durable, noted)
}

#[test]
fn a_watermark_never_leads_and_never_falls_behind_what_was_synced() {
    let whole = Lossy::default();
    assert_eq!(note(&whole), (9, 9));
    // The first four steps make the file; before them there is none.
    for at in 5..=whole.steps() {
        for (step, left) in Step::ALL.into_iter().flat_map(|step| unsynced(20).map(move |left| (step, left)))
        {
            let disk = Lossy::default();
            disk.crash_at(at, step);
            let (durable, noted) = note(&disk);
            let found = Watermark::<Bytes>::open(&disk.after_crash(left), Path::new(MARK)).unwrap();
            let found = found.map(|mark| mark.newest().0);
            assert!(
                found.is_some_and(|found| (durable..=noted).contains(&found)),
                "{at} {step:?} {left:?}: {found:?} of {durable}..={noted}"
            );
        }
    }
}

#[test]
fn a_watermark_that_is_found_after_a_failed_sync_is_on_the_disk_from_then_on() {
    for left in unsynced(20) {
        let disk = Lossy::default();
        let mut mark = Watermark::create(&disk, Path::new(MARK), Bytes(0)).unwrap();
        mark.put(Bytes(5));
        disk.fail_next_sync();
        mark.sync().unwrap_err();
        let mut again = Watermark::<Bytes>::open(&disk, Path::new(MARK)).unwrap().unwrap();
        let found = again.newest().0;
        again.write_again().unwrap();
        again.put(Bytes(9));
        let after = Watermark::<Bytes>::open(&disk.after_crash(left), Path::new(MARK)).unwrap();
        let after = after.unwrap_or_else(|| panic!("{left:?}: no slot is left")).newest().0;
        assert!([found, 9].contains(&after), "{left:?}: {after} after {found}");
    }
}

#[test]
fn what_a_file_shows_after_a_failed_sync_is_on_the_disk_once_it_is_written_again() {
    let disk = Lossy::default();
    let file = durable::write_new(&disk, Path::new("/log"), b"head").unwrap();
    file.write_at(b" one two", 4).unwrap();
    disk.fail_next_sync();
    file.sync().unwrap_err();
    file.sync().unwrap();
    assert_eq!(disk.bytes("log"), b"head one two");
    assert_eq!(disk.after_crash(Unsynced::Lost).bytes("log"), b"head", "a second sync lied");
    let file = disk.open(Path::new("/log")).unwrap();
    durable::write_again(&*file, 4).unwrap();
    assert_eq!(disk.after_crash(Unsynced::Lost).bytes("log"), b"head one two");
    durable::write_again(&*file, 99).unwrap();
    assert_eq!(file.size().unwrap(), 12, "nothing is there to be written");
}

#[test]
fn every_bit_of_a_slot_counts() {
    let disk = Lossy::default();
    let mut mark = Watermark::create(&disk, Path::new(MARK), Bytes(5)).unwrap();
    mark.put(Bytes(8));
    mark.sync().unwrap();
    let bytes = disk.bytes("durable");
    assert_eq!(bytes.len(), 512 + 8 + 8 + 8 + 4, "two slots in two sectors");
    for bit in (512 * 8)..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let disk = disk.with("durable", Some(changed));
        let found = Watermark::<Bytes>::open(&disk, Path::new(MARK)).unwrap().unwrap();
        assert_eq!(found.newest(), Bytes(5), "bit {bit}: the other slot counts");
    }
    let empty = disk.with("durable", Some(vec![0; bytes.len()]));
    assert!(Watermark::<Bytes>::open(&empty, Path::new(MARK)).unwrap().is_none());
    let gone = disk.with("durable", None);
    assert!(Watermark::<Bytes>::open(&gone, Path::new(MARK)).unwrap().is_none());
}

#[test]
fn a_folder_has_one_holder_and_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let within = tempfile::tempdir().unwrap();
    let folder = within.path().join("a/b");
    let held = FolderLock::take(&folder).unwrap();
    assert_eq!(FolderLock::take(&folder).unwrap_err().kind(), ErrorKind::WouldBlock);
    FolderLock::take_as(&folder, "other.lock").unwrap();
    drop(held);
    FolderLock::take(&folder).unwrap();
    durable::replace(&Os, &folder.join("seeds.key"), b"secret").unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&within.path().join("a"))), (0o700, 0o700));
    assert_eq!((mode(&folder.join("seeds.key")), mode(&folder.join("lock"))), (0o600, 0o600));
    let mut names = Os.names(&folder).unwrap();
    names.sort();
    assert_eq!(names, ["lock", "other.lock", "seeds.key"], "no draft is left");
}
