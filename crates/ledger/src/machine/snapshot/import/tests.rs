#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::machine::snapshot::item::CODE;
use crate::machine::snapshot::{CHUNK_BYTES_MAX, export};
use crate::machine::tests::keeping::audit;
use crate::machine::tests::power::{Lossy, seeds};
use crate::machine::tests::{Ward, gateway, org, sensor};
use crate::machine::{Config, Machine};
use vitals::ids::DeviceId;
use vitals::ledger::Act;

/// A ledger with devices and anchors of two organisations.
fn ward() -> Ward {
    let mut ward = Ward::with(2);
    ward.done(0, &gateway(1));
    for key in 2..40 {
        ward.done(u8::from(key % 5 == 0), &if key % 5 == 0 { gateway(key) } else { sensor(key, 1) });
    }
    ward.done(1, &Act::Anchor { size: 3, root: [7; 32], consistency: Vec::new() });
    ward
}

fn header(ward: &Ward) -> BlockHeader {
    BlockHeader::decode(&ward.machine.header(ward.machine.tip().height).unwrap().unwrap()).unwrap()
}

/// All chunks of the tip's state, of at most so many bytes.
fn chunks(ward: &Ward, bytes_max: usize) -> Vec<Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    let mut import = Import::open(dir.path(), &ward.document, header(ward)).unwrap();
    let (view, mut chunks) = (ward.machine.view(), Vec::new());
    while let Some(place) = import.place() {
        assert_eq!(Place::from_bytes(place.as_bytes()).unwrap(), place);
        let chunk = export(&view, &place, bytes_max).unwrap();
        import.push(&chunk).unwrap();
        chunks.push(chunk);
    }
    chunks
}

fn same(ours: &Machine, theirs: &Machine) {
    assert_eq!(ours.tip(), theirs.tip());
    for key in 1..40 {
        let id = DeviceId::of(&[key; 32]);
        assert_eq!(ours.view().device(id).unwrap(), theirs.view().device(id).unwrap());
        assert!(ours.view().device(id).unwrap().is_some());
    }
    for number in 0..2 {
        let id = org(number);
        assert_eq!(ours.view().organisation(id).unwrap(), theirs.view().organisation(id).unwrap());
        assert_eq!(ours.view().anchor(id), theirs.view().anchor(id));
    }
    audit(ours);
}

#[test]
fn a_joining_node_has_the_others_state_and_goes_on_with_them() {
    let mut ward = ward();
    let dir = tempfile::tempdir().unwrap();
    let mut import = Import::open(dir.path(), &ward.document, header(&ward)).unwrap();
    for chunk in chunks(&ward, 2_000) {
        import.push(&chunk).unwrap();
    }
    assert_eq!(import.place(), None);
    import.finish().unwrap();
    let newcomer = Machine::open(dir.path(), &ward.document).unwrap();
    same(&newcomer, &ward.machine);
    assert!(newcomer.is_committed(3, &[0; 32]).unwrap(), "what is below the snapshot is settled");
    // The next block, executed by both.
    let tx = ward.next(0, &gateway(99));
    let env =
        crate::machine::BlockEnv { height: ward.machine.tip().height + 1, time_ms: ward.now_ms + 1_001 };
    let ours = newcomer.execute(&newcomer.view().snapshot(), env, std::slice::from_ref(&tx)).unwrap();
    ward.block(std::slice::from_ref(&tx));
    newcomer.commit(&header(&ward), &[tx], &ours).unwrap();
    same(&newcomer, &ward.machine);
    drop(newcomer);
    same(&Machine::open(dir.path(), &ward.document).unwrap(), &ward.machine);
    let again = Import::open(dir.path(), &ward.document, header(&ward)).unwrap_err();
    assert!(matches!(again, SnapshotError::Occupied), "{again}");
}

#[test]
fn chunks_are_bounded_and_the_same_on_every_node() {
    let ward = ward();
    let small = chunks(&ward, 3_000);
    assert!(small.len() > 5);
    assert_eq!(small.concat(), chunks(&ward, CHUNK_BYTES_MAX).concat());
    assert_eq!(small.concat(), chunks(&ward, 0).concat(), "one item a chunk");
    // Longer only where one item is: a contract's code.
    assert!(small.iter().all(|chunk| chunk.len() <= 26_000));
    assert_eq!(small, chunks(&ward.reopened(), 3_000));
}

#[test]
fn every_changed_byte_is_refused_and_changes_nothing() {
    let ward = ward();
    let dir = tempfile::tempdir().unwrap();
    let mut import = Import::open(dir.path(), &ward.document, header(&ward)).unwrap();
    let chunks = chunks(&ward, 600);
    for (at, chunk) in chunks.iter().enumerate() {
        let place = import.place();
        // Every byte of small chunks; of a contract's code, some.
        for byte in (0..chunk.len()).step_by(1 + chunk.len() / 150) {
            let mut bad = chunk.clone();
            bad[byte] ^= 1;
            if let Err(refused) = import.push(&bad) {
                assert!(matches!(refused, SnapshotError::Refused { .. }), "{refused}");
            } else {
                panic!("chunk {at}, byte {byte} of {}", chunk.len());
            }
            assert_eq!(import.place(), place);
        }
        for bad in [&chunk[..chunk.len() - 1], &[], &[chunk.as_slice(), &[0]].concat()] {
            assert!(import.push(bad).is_err());
        }
        for other in chunks.iter().filter(|other| *other != chunk) {
            assert!(import.push(other).is_err(), "another chunk in its place");
        }
        assert_eq!(import.place(), place);
        import.push(chunk).unwrap();
    }
    assert!(matches!(import.push(&chunks[0]), Err(SnapshotError::Refused { item: 0, .. })));
    import.finish().unwrap();
    same(&Machine::open(dir.path(), &ward.document).unwrap(), &ward.machine);
}

#[test]
fn state_of_another_height_is_refused_under_this_header() {
    let mut ward = ward();
    let honest = header(&ward);
    let old = ward.machine.view();
    ward.done(0, &gateway(77));
    let dir = tempfile::tempdir().unwrap();
    let mut import = Import::open(dir.path(), &ward.document, honest.clone()).unwrap();
    let lie = export(&ward.machine.view(), &import.place().unwrap(), 5_000).unwrap();
    let refused = import.push(&lie).unwrap_err();
    assert!(refused.to_string().contains("does not have the hash that is certified"), "{refused}");
    let unfinished = Machine::open(dir.path(), &ward.document).unwrap();
    assert_eq!(unfinished.tip().height, 0, "a started import is no ledger");
    drop(unfinished);
    std::fs::remove_file(dir.path().join(FILE)).unwrap();
    // An import that is given up for a newer header begins from the start.
    import.push(&export(&old, &Place::default(), 5_000).unwrap()).unwrap();
    assert!(import.place() != Some(Place::default()));
    drop(import);
    let resumed = Import::open(dir.path(), &ward.document, honest.clone()).unwrap();
    assert!(resumed.place() != Some(Place::default()));
    assert!(matches!(resumed.finish(), Err(SnapshotError::Incomplete)));
    let newer = Import::open(dir.path(), &ward.document, header(&ward)).unwrap();
    assert_eq!(newer.place(), Some(Place::default()));
}

#[test]
fn an_invalid_place_is_refused() {
    let ward = ward();
    let view = ward.machine.view();
    for bytes in [vec![1; 63], vec![0; 129], [vec![0; 64], vec![CODE]].concat()] {
        let Some(place) = Place::from_bytes(&bytes) else { continue };
        assert!(matches!(export(&view, &place, 5_000), Err(SnapshotError::NoSuchPlace)), "{place:?}");
    }
    assert_eq!(Place::from_bytes(&[16]), None);
    assert_eq!(Place::from_bytes(&[0; 130]), None);
}

#[test]
fn a_crash_at_any_step_of_an_import_loses_no_durable_chunk() {
    let ward = ward();
    let chunks = chunks(&ward, 3_000);
    let genesis = ward.document.hash();
    let begin = |disk: &Lossy| {
        let (dir, header) = (PathBuf::new(), header(&ward));
        let genesis_header = ward.machine.genesis_header().clone();
        Import::on(dir, disk.database().ok()?, genesis, genesis_header, header).ok()
    };
    // By the place it begins at.
    let mut places = Vec::new();
    let whole = Lossy::default();
    let mut import = begin(&whole).unwrap();
    for chunk in &chunks {
        places.push(import.place());
        import.push(chunk).unwrap();
    }
    places.push(None);
    let go_on = |import: &mut Import| {
        let mut at = places.iter().position(|place| *place == import.place()).unwrap();
        while let Some(chunk) = chunks.get(at) {
            if import.push(chunk).is_err() {
                break;
            }
            at += 1;
        }
        at
    };
    let (mut replays, stride) = (0, 5);
    for seed in 0..seeds(1) {
        for at in (1 + seed % stride..=whole.steps()).step_by(usize::try_from(stride).unwrap()) {
            let disk = Lossy::default().crash_at(at);
            let done = begin(&disk).map(|mut import| go_on(&mut import));
            for left in [0, 1, at * 10 + seed * 1000 + 2] {
                let scene = format!("seed {seed}, crash at {at}, left {left}");
                let disk = disk.after_crash(left);
                let Some(mut import) = begin(&disk) else {
                    assert_eq!(done, None, "{scene}");
                    continue;
                };
                let found = places.iter().position(|place| *place == import.place()).unwrap();
                let done = done.unwrap_or(0);
                assert!(found == done || found == done + 1, "{scene}: at {found}, not {done}");
                assert_eq!(go_on(&mut import), chunks.len(), "{scene}");
                import.seal().unwrap();
                drop(import);
                let config = Config::default();
                let store = crate::machine::store::Store::on(disk.database().unwrap(), &config);
                same(&Machine::on(store, &ward.document, &config).unwrap(), &ward.machine);
                replays += 1;
            }
        }
    }
    println!("{replays} replays");
}
