//! The note `closed`: what a role's files were when it stopped in order. A start that finds the note
//! checks every file against it and takes it away before anything is written, so that bytes changed by
//! a disk or by other hands in between are found whatever they are, also a whole file from an older
//! copy. After a crash there is no note; then each file is held to its own checksums alone.
//!
//! One line a file: SHA-256, length, path inside the folder; the last line is the SHA-256 of the lines
//! before it. An operator who restores files on purpose removes the note.

use anyhow::{Context, Result, bail, ensure};
use durable::{Disk, Os};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use vitals::ids::sha256;

/// Name of the note inside the role's folder.
const NOTE: &str = "closed";
/// Files that hold nothing.
const EMPTY: [&str; 2] = ["lock", ".hold"];
/// Held to checksums and to the log's roots when they are read: their length is enough, so that a start does
/// not read the whole history.
const CHECKED_ELSEWHERE: [&str; 2] = ["segment-", "index-"];
/// In place of a hash: only the length was noted.
const LENGTH_ONLY: &str = "-";
/// A file is read so much at a time: a ledger's state may be larger than memory.
const CHUNK_BYTES: usize = 1 << 20;

/// Path inside the folder to its line's first two fields.
type Files = BTreeMap<String, String>;

/// Paths of the files, inside the folder.
fn files(folder: &Path, below: &[&str]) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut open: Vec<PathBuf> = below.iter().map(PathBuf::from).collect();
    while let Some(inside) = open.pop() {
        let path = folder.join(&inside);
        let entries = match fs::read_dir(&path) {
            Err(why) if why.kind() == ErrorKind::NotFound => continue,
            entries => entries.with_context(|| format!("reading {}", path.display()))?,
        };
        for entry in entries {
            let entry = entry?;
            let (kind, name) = (entry.file_type()?, entry.file_name().to_string_lossy().into_owned());
            let inside = inside.join(&name);
            if kind.is_dir() {
                open.push(inside);
            } else if kind.is_file() && !EMPTY.contains(&name.as_str()) && !name.ends_with(".new") {
                found.insert(inside.display().to_string());
            }
        }
    }
    Ok(found)
}

fn print_of(path: &Path, length_only: bool) -> Result<String> {
    let reading = || format!("reading {}", path.display());
    if length_only {
        return Ok(format!("{LENGTH_ONLY} {}", fs::metadata(path).with_context(reading)?.len()));
    }
    let mut file = File::open(path).with_context(reading)?;
    let (mut hash, mut chunk, mut len) = (Sha256::new(), vec![0; CHUNK_BYTES], 0);
    loop {
        match file.read(&mut chunk).with_context(reading)? {
            0 => return Ok(format!("{} {len}", hex::encode(hash.finalize()))),
            read => {
                hash.update(&chunk[..read]);
                len += read;
            }
        }
    }
}

/// Writes down what lies in these folders inside `folder`. Nothing may write there any more.
///
/// # Errors
/// A file cannot be read, or the note not be written.
pub(crate) fn note(folder: &Path, below: &[&str]) -> Result<()> {
    let mut text = format!("folders {}\n", below.join(" "));
    for path in files(folder, below)? {
        let name = path.rsplit('/').next().unwrap_or_default();
        let length_only = CHECKED_ELSEWHERE.iter().any(|kind| name.starts_with(kind));
        text.push_str(&format!("{} {path}\n", print_of(&folder.join(&path), length_only)?));
    }
    text.push_str(&format!("{}\n", hex::encode(sha256(&[text.as_bytes()]))));
    durable::replace(&Os, &folder.join(NOTE), text.as_bytes())?;
    Ok(())
}

/// Was this folder closed in order, and not opened since?
pub(crate) fn is_noted(folder: &Path) -> bool {
    folder.join(NOTE).exists()
}

/// Takes the note away: files were moved on purpose.
pub(crate) fn forget(folder: &Path) {
    let _ = fs::remove_file(folder.join(NOTE));
}

/// Checks the files of `folder` against its note, if it was closed in order, and takes the note away.
///
/// # Errors
/// Names the first file that is not what it was when the role stopped.
pub(crate) fn check(folder: &Path) -> Result<()> {
    let path = folder.join(NOTE);
    let text = match fs::read(&path) {
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(()),
        text => text.with_context(|| format!("reading {}", path.display()))?,
    };
    let (below, noted) = read(&text).with_context(|| {
        format!(
            "{} is damaged: look after the disk; once this file is removed, the others are checked by their own checksums only",
            path.display()
        )
    })?;
    let below: Vec<&str> = below.iter().map(String::as_str).collect();
    let found = files(folder, &below)?;
    for (name, print) in &noted {
        let path = folder.join(name);
        ensure!(found.contains(name), "{} is gone since this stopped: {MOVE}", path.display());
        // As much as was noted: an earlier version noted a hash of more files.
        let now = print_of(&path, print.starts_with(LENGTH_ONLY))?;
        ensure!(now == *print, "{} is not what it was when this stopped: {MOVE}", path.display());
    }
    if let Some(name) = found.iter().find(|name| !noted.contains_key(*name)) {
        bail!("{} was not there when this stopped: {MOVE}", folder.join(name).display());
    }
    fs::remove_file(&path)?;
    Ok(Os.sync_folder(folder)?)
}

const MOVE: &str = "the disk or other hands changed it; put the right file back (or, if this is meant, remove the file `closed`)";

fn read(text: &[u8]) -> Result<(Vec<String>, Files)> {
    let text = std::str::from_utf8(text)?;
    let (lines, sum) = text.trim_end().rsplit_once('\n').context("it has no last line")?;
    let lines = format!("{lines}\n");
    ensure!(
        hex::encode(sha256(&[lines.as_bytes()])) == sum && text.ends_with('\n'),
        "its checksum does not fit"
    );
    let (first, rest) = lines.split_once('\n').context("it has no first line")?;
    let below = first.strip_prefix("folders ").context("it names no folders")?;
    let files = rest.lines().map(|line| {
        let mut fields = line.splitn(3, ' ');
        let (Some(print), Some(len), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            bail!("a line has no three fields")
        };
        Ok((path.to_owned(), format!("{print} {len}")))
    });
    Ok((below.split(' ').map(str::to_owned).collect(), files.collect::<Result<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in [("a/x", "one"), ("a/b/y", "two"), ("a/segment-00", "three"), ("a/lock", "")] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        note(folder.path(), &["a", "none"]).unwrap();
        folder
    }

    #[test]
    fn an_untouched_folder_is_taken_once() {
        let folder = folder();
        check(folder.path()).unwrap();
        assert!(!folder.path().join(NOTE).exists());
        fs::write(folder.path().join("a/x"), "changed while running").unwrap();
        check(folder.path()).unwrap();
    }

    #[test]
    fn whatever_changed_since_is_named() {
        for (name, bytes, said) in [
            ("a/x", Some("onf"), "a/x is not what it was"),
            ("a/b/y", None, "a/b/y is gone"),
            ("a/segment-00", Some("thre"), "a/segment-00 is not what it was"),
            ("a/z", Some(""), "a/z was not there"),
            (NOTE, Some("folders a\n"), "closed is damaged"),
        ] {
            let folder = folder();
            match bytes {
                Some(bytes) => fs::write(folder.path().join(name), bytes).unwrap(),
                None => fs::remove_file(folder.path().join(name)).unwrap(),
            }
            let why = format!("{:#}", check(folder.path()).unwrap_err());
            assert!(why.contains(said), "{why}");
            assert!(folder.path().join(NOTE).exists(), "the next start finds it too");
        }
    }

    #[test]
    fn every_bit_of_the_note_counts() {
        let folder = folder();
        let bytes = fs::read(folder.path().join(NOTE)).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(folder.path().join(NOTE), bytes).unwrap();
            assert!(check(folder.path()).is_err(), "bit {bit}");
        }
    }
}
