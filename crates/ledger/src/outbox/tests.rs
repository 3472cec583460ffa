#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use testkit::lossy::{Lossy, Step, Unsynced};

const PATH: &str = "/outbox";

/// An act of this number; every third is so long that three of them make the file too long.
fn act(number: u8) -> Vec<u8> {
    vec![number; if number.is_multiple_of(3) { TX_BYTES_MAX } else { 100 }]
}

/// What happens to the disk at a step.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    Crash(Step),
    FullFor(u8),
    SyncFails,
}

/// A node that hands in acts: those it was told are accepted, and those of which it was told nothing certain.
struct Told {
    accepted: Vec<Vec<u8>>,
    uncertain: Vec<Vec<u8>>,
    refused: Vec<Vec<u8>>,
}

fn tell(disk: &Lossy, at: u64, trouble: Trouble, acts: u8) -> Told {
    let mut told = Told { accepted: Vec::new(), uncertain: Vec::new(), refused: Vec::new() };
    let on: Arc<dyn Disk> = Arc::new(disk.clone());
    if let Trouble::Crash(step) = trouble {
        disk.crash_at(at, step);
    }
    let Ok(mut outbox) = Outbox::write(on, PATH.into(), &[]) else { return told };
    for number in 1..=acts {
        match trouble {
            Trouble::FullFor(acts) => {
                let now = u64::from(number);
                disk.set_full(now >= at && now < at + u64::from(acts));
            }
            Trouble::SyncFails if u64::from(number) == at => disk.fail_next_sync(),
            _ => {}
        }
        // Now and then the file is too long.
        if number == 5 && outbox.file.is_some() {
            outbox.file = None;
        }
        let raw = act(number);
        match outbox.push(&raw, || told.accepted.clone()) {
            Ok(()) => {
                told.accepted.push(raw);
                // What was uncertain was taken back with the next file.
                told.refused.append(&mut told.uncertain);
            }
            Err(PushError::NotWritten(_)) => told.refused.push(raw),
            Err(PushError::Uncertain(_)) => told.uncertain.push(raw),
        }
    }
    disk.set_full(false);
    told
}

#[test]
fn whatever_the_disk_does_every_accepted_act_is_in_the_file_and_no_refused_one() {
    let steps = {
        let disk = Lossy::default();
        tell(&disk, 0, Trouble::FullFor(0), 8);
        disk.steps()
    };
    let crashes = (1..=steps).flat_map(|at| Step::ALL.map(|step| (at, Trouble::Crash(step))));
    let full = (1..=8).flat_map(|at| [1, 3].map(|acts| (at, Trouble::FullFor(acts))));
    let syncs = (1..=8).map(|at| (at, Trouble::SyncFails));
    let mut rows = 0;
    for (at, trouble) in crashes.chain(full).chain(syncs) {
        for unsynced in [Unsynced::Kept, Unsynced::Lost, Unsynced::TornAt(50), Unsynced::LastOnly]
            .into_iter()
            .chain((2..6).map(Unsynced::Any))
        {
            let disk = Lossy::default();
            let told = tell(&disk, at, trouble, 8);
            let next = disk.after_crash(unsynced);
            let found = read_outbox(&next, Path::new(PATH)).unwrap();
            let row = format!("{trouble:?} at {at}, {unsynced:?}");
            for accepted in &told.accepted {
                assert!(found.contains(accepted), "{row}: act {} is lost", accepted[0]);
            }
            for refused in &told.refused {
                assert!(!found.contains(refused), "{row}: act {} was refused", refused[0]);
            }
            if !matches!(trouble, Trouble::Crash(_)) {
                assert!(told.accepted.len() >= 4, "{row}: acts are accepted once the disk works again");
            }
            rows += 1;
        }
    }
    println!("{rows} rows of disk, step and what was not synced: none lost, none sent that was refused");
}

#[test]
fn a_disk_that_was_full_for_a_while_takes_acts_again_and_keeps_the_old_ones() {
    let disk = Lossy::default();
    let mut outbox = Outbox::write(Arc::new(disk.clone()), PATH.into(), &[]).unwrap();
    outbox.push(&act(1), Vec::new).unwrap();
    disk.set_full(true);
    for number in 2..6 {
        let refused = outbox.push(&act(number), || vec![act(1)]).unwrap_err().to_string();
        assert!(refused.contains("nothing was sent"), "{refused}");
    }
    disk.set_full(false);
    outbox.push(&act(7), || vec![act(1)]).unwrap();
    let found = read_outbox(&disk.after_crash(Unsynced::Lost), Path::new(PATH)).unwrap();
    assert_eq!(found, [act(1), act(7)]);
}
