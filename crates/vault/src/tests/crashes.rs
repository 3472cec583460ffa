//! The vault's file on a disk that loses, tears and reorders what was not synced: what `put` returned
//! from is there, and a put is there whole or not at all.

use super::entropy;
use crate::sealed_tables::{Table, Tables};
use crate::secret::Secret32;
use durable::{Disk, DiskFile};
use redb::{Database, StorageBackend};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use testkit::Dice;
use testkit::lossy::{Lossy, Step, Unsynced};

const FILE: &str = "/vault.redb";

/// The database's file on that disk.
#[derive(Debug)]
struct Backend(Arc<dyn DiskFile>);

impl StorageBackend for Backend {
    fn len(&self) -> Result<u64, io::Error> {
        self.0.size()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.0.read_at(out, offset)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.0.cut(len)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.0.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.0.write_at(data, offset)
    }
}

/// A disk that holds the file, still empty.
pub(super) fn disk() -> Lossy {
    let disk = Lossy::default();
    durable::write_new(&disk, Path::new(FILE), &[]).unwrap();
    disk
}

pub(super) fn open(disk: &Lossy) -> Option<Tables> {
    let file = disk.open(Path::new(FILE)).unwrap();
    let database = Database::builder().create_with_backend(Backend(file)).ok()?;
    Some(Tables::new(database, &Secret32::new([9; 32]), entropy(1)))
}

type Rows = BTreeMap<(u8, u8), Vec<u8>>;

/// The rows before and after the put that was under way, which may be there or not.
fn work(disk: &Lossy, seed: u64, mut rows: Rows) -> (Rows, Rows) {
    let mut dice = Dice(seed);
    let Some(tables) = open(disk) else { return (rows.clone(), rows) };
    for _ in 0..12 {
        let mut next = rows.clone();
        let group: Vec<_> = (0..1 + dice.below(3))
            .map(|_| {
                let (table, id) = (dice.below(Table::ALL.len() as u64) as u8, dice.below(20) as u8);
                let value = vec![dice.next() as u8; dice.below(3000) as usize];
                next.insert((table, id), value.clone());
                (Table::ALL[usize::from(table)], [id], value)
            })
            .collect();
        let puts: Vec<_> =
            group.iter().map(|(table, id, value)| (*table, id.as_slice(), value.as_slice())).collect();
        if tables.put(&puts).is_err() {
            return (rows, next);
        }
        rows = next;
    }
    (rows.clone(), rows)
}

fn held(disk: &Lossy, scene: &str) -> Rows {
    let tables = open(disk).unwrap_or_else(|| panic!("{scene}: it does not open"));
    let mut rows = Rows::new();
    for (number, table) in (0u8..).zip(Table::ALL) {
        let all = tables.all(table).unwrap().len();
        for id in 0..20 {
            if let Some(value) = tables.get(table, &[id]).unwrap() {
                rows.insert((number, id), value.to_vec());
            }
        }
        assert_eq!(rows.range((number, 0)..=(number, u8::MAX)).count(), all, "{scene}: a row nobody put");
    }
    rows
}

#[test]
fn a_crash_at_any_step_of_the_vault_file_keeps_every_put_whole() {
    // A run takes long here: a campaign makes a twentieth of the runs that it makes elsewhere.
    let asked = std::env::var("ACESO_CRASH_SEEDS").ok().and_then(|seeds| seeds.parse::<u64>().ok());
    let seeds = asked.map_or(3, |seeds| seeds.div_ceil(20));
    let (mut replays, mut steps, mut syncs) = (0, 0, 0);
    for seed in 0..seeds {
        let whole = disk();
        let made = whole.steps();
        work(&whole, seed, Rows::new());
        let all = whole.steps() - made;
        steps += all;
        syncs += whole.syncs();
        for at in (1 + seed % 3..=all).step_by(3) {
            let disk = self::disk();
            disk.crash_at(at, Step::ALL[at as usize / 3 % 3]);
            let (before, after) = work(&disk, seed, Rows::new());
            for left in [0, 1, at * 10 + 2, at * 10 + 3, at * 10 + 4] {
                let scene = format!("seed {seed}, crash at {at}, left {left}");
                let disk = disk.after_crash(Unsynced::of(left));
                if before.is_empty() && open(&disk).is_none() {
                    // While the file was made: a vault is made under another name until it is whole.
                    continue;
                }
                let found = held(&disk, &scene);
                assert!(found == before || found == after, "{scene}: neither before nor after");
                // And it goes on.
                let (later, _) = work(&disk, seed + 100, found);
                assert_eq!(held(&disk.after_crash(Unsynced::Lost), &scene), later, "{scene}");
                replays += 1;
            }
        }
    }
    println!("{seeds} seeds, {steps} steps of which {syncs} syncs, {replays} replays");
}
