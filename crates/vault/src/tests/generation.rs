//! The notes of the vault's generation: at every crash point, and with every part of a data folder put back
//! from an older copy.

use super::crashes::{disk, open};
use super::*;
use crate::generation::{GenerationNotes, note_in};
use crate::sealed_tables::Table;
use durable::Disk;
use std::path::PathBuf;
use testkit::lossy::{Lossy, Step, Unsynced};

fn folders() -> Vec<PathBuf> {
    ["/records", "/ledger"].map(PathBuf::from).to_vec()
}

fn with_folders() -> Lossy {
    let disk = disk();
    folders().iter().for_each(|folder| disk.make_folder(folder).unwrap());
    disk
}

/// Opens and changes the vault a few times; the count of the last change that was answered.
fn story(disk: &Lossy) -> u64 {
    let Some(tables) = open(disk) else { return 0 };
    if tables.note_generation_in(disk, &folders()).is_err() {
        return 0;
    }
    let mut answered = 0;
    for value in 0..3 {
        if tables.put(&[(Table::Accounts, b"amira", &[value])]).is_err() {
            return answered;
        }
        // Without power nobody hears the answer.
        if disk.create(Path::new("/alive")).is_err() {
            return answered;
        }
        answered = tables.count().unwrap();
    }
    answered
}

#[test]
fn at_every_crash_point_the_newest_vault_opens_and_no_older_one_does() {
    let whole = with_folders();
    let made = whole.steps();
    assert_eq!(story(&whole), 3);
    let mut replays = 0;
    for at in 1..=whole.steps() - made {
        for step in Step::ALL {
            let disk = with_folders();
            disk.crash_at(disk.steps() + at, step);
            let answered = story(&disk);
            for left in [0, 1, at * 10 + 2, at * 10 + 3] {
                let scene = format!("crash at {at}, {step:?}, left {left}");
                let disk = disk.after_crash(Unsynced::of(left));
                let Some(tables) = open(&disk) else {
                    assert_eq!(answered, 0, "{scene}: a vault that answered is gone");
                    continue;
                };
                let held = tables.count().unwrap();
                assert!(held >= answered, "{scene}: {held} changes of {answered} are there");
                for older in 0..answered {
                    let refused = GenerationNotes::default().open(&disk, &folders(), older);
                    assert!(matches!(refused, Err(VaultError::Older { .. })), "{scene}: {older} was taken");
                }
                tables.note_generation_in(&disk, &folders()).unwrap_or_else(|why| panic!("{scene}: {why}"));
                for older in 0..held {
                    let refused = GenerationNotes::default().open(&disk, &folders(), older);
                    assert!(refused.is_err(), "{scene}: the start noted what it found, {older} was taken");
                }
                replays += 1;
            }
        }
    }
    println!("{replays} replays");
}

/// The parts of a data folder that know of the vault's generation.
const PARTS: [&str; 3] = ["vault", "records", "ledger"];

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

#[test]
fn an_older_vault_is_refused_with_whatever_part_it_is_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let place = |when: &str, part: &str| folder.path().join(when).join(part);
    let keep = |when: &str| PARTS.iter().for_each(|part| copy(&place("now", part), &place(when, part)));
    let notes = || PARTS[1..].iter().map(|part| place("now", part)).collect::<Vec<_>>();
    let open = || {
        let vault = Vault::open(&place("now", "vault"), PASSPHRASE, entropy(2))?;
        vault.note_generation_in(&notes()).map(|_| vault)
    };
    notes().iter().for_each(|folder| std::fs::create_dir_all(folder).unwrap());
    let vault = new_vault(&place("now", "vault"), 1);
    vault.note_generation_in(&notes()).unwrap();
    let person = PersonId([7; 32]);
    let new = NewAccount {
        login: "amira",
        name: "Amira",
        role: Role::Patient,
        person,
        password: "the word before",
        made: MADE,
    };
    vault.put_account(new).unwrap();
    drop(vault);
    keep("older");
    let vault = open().unwrap();
    vault.set_password(person, "the word after").unwrap();
    drop(vault);
    keep("newer");
    for subset in 0..1 << PARTS.len() {
        let is_older = |part: usize| subset >> part & 1 == 1;
        for (number, part) in PARTS.iter().enumerate() {
            std::fs::remove_dir_all(place("now", part)).unwrap();
            copy(&place(if is_older(number) { "older" } else { "newer" }, part), &place("now", part));
        }
        let older: Vec<_> = (0..PARTS.len()).filter(|part| is_older(*part)).map(|part| PARTS[part]).collect();
        let known = !is_older(1) || !is_older(2);
        match open() {
            Err(VaultError::Older { held, noted, note }) => {
                assert!(is_older(0) && known && held < noted, "{older:?}: {held} of {noted}");
                assert!(note.ends_with("vault-generation"), "{older:?}");
            }
            Err(why) => panic!("{older:?}: {why}"),
            // With nothing newer left, nothing here can know; the ledger's others and the gateways do.
            Ok(vault) => {
                assert!(!is_older(0) || !known, "{older:?} was taken");
                let right = if is_older(0) { "the word before" } else { "the word after" };
                assert!(vault.verify_password("amira", right).unwrap().is_some(), "{older:?}");
            }
        }
    }
}

#[test]
fn a_folder_of_the_build_before_opens_once_and_is_held_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let (at, records) = (folder.path().join("vault"), folder.path().join("records"));
    let notes = [records.clone()];
    std::fs::create_dir_all(&records).unwrap();
    drop(new_vault(&at, 1));
    copy(&at, &folder.path().join("older"));
    let open = || {
        let vault = Vault::open(&at, PASSPHRASE, entropy(2))?;
        vault.note_generation_in(&notes).map(|_| vault)
    };
    assert!(!note_in(&records).exists());
    let vault = open().unwrap();
    assert!(note_in(&records).exists());
    vault.put_patient(Patient { id: PatientId([1; 16]), person: PersonId([1; 32]), since_ms: 1 }).unwrap();
    drop(vault);
    drop(open().unwrap());
    copy(&folder.path().join("older"), &at);
    let why = open().map(drop).unwrap_err().to_string();
    assert!(why.contains("older copy") && why.contains("put back the newest"), "{why}");
}
