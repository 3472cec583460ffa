//! Every byte of every file, changed; every file cut anywhere and deleted: found and named, or
//! without consequence; never served as the truth.

use super::*;
use testkit::lossy::Lossy;
use vitals::log;

struct Scene {
    world: Lossy,
    leaves: Vec<Vec<u8>>,
    evidence: Vec<u8>,
    root: Hash,
}

fn scene() -> Scene {
    let world = Lossy::default();
    let store = Store::create_on(records(&world), GENESIS, TINY).unwrap();
    let mut leaves = Vec::new();
    for group in 0..5 {
        let group: Vec<_> = (0..3).map(|seq| second(1, group * 3 + seq)).collect();
        append(&store, &group).unwrap();
        leaves.extend(group.into_iter().map(|(_, bytes)| bytes));
    }
    let (forged, evidence) = envelope(1, 0, 0, 900, 9);
    assert!(store.keep_evidence(&forged, &evidence).unwrap());
    let root = store.log_head().1;
    drop(store);
    assert!(world.root_names().len() >= 4, "several segments, the watermark and the evidence");
    Scene { world, leaves, evidence, root }
}

/// Names the damaged file, or gives everything back unchanged.
fn found_or_harmless(scene: &Scene, world: &Lossy, name: &str, what: &str) -> bool {
    match Store::open_on(records(world), GENESIS, TINY) {
        Err(StoreError::Halt(corruption)) => {
            assert_eq!(corruption.file, name, "{what}: {corruption}");
            true
        }
        Err(other) => panic!("{what}: {other}"),
        Ok(store) => {
            assert_eq!(store.size(), scene.leaves.len() as u64, "{what}");
            assert_eq!(store.evidence(stream(1)).unwrap(), std::slice::from_ref(&scene.evidence), "{what}");
            let root = store.log_head().1;
            assert_eq!(root, scene.root, "{what}");
            // What a start does not look at is found when it is read.
            let mut found = false;
            for (index, leaf) in (0..).zip(&scene.leaves) {
                match store.read_index(index) {
                    Ok(read) => assert_eq!(read.as_ref(), Some(leaf), "{what}"),
                    Err(StoreError::Halt(corruption)) => {
                        assert_eq!(corruption.file, name, "{what}: {corruption}");
                        found = true;
                    }
                    Err(other) => panic!("{what}: {other}"),
                }
                let hash = log::leaf(&Envelope::decode(leaf).unwrap().header_bytes);
                assert!(store.leaf(index).is_none_or(|leaf| leaf == hash), "{what}");
                if let Some(path) = store.inclusion(index, store.size()) {
                    assert!(log::verify_inclusion(hash, index, store.size(), &path, &root), "{what}");
                } else {
                    panic!("{what}: no path of {index}");
                }
            }
            match store.verify() {
                Ok(size) => assert!(!found && size == store.size(), "{what}"),
                Err(why) => {
                    assert!(
                        matches!(&why, StoreError::Halt(corruption) if corruption.file == name),
                        "{what}: {why}"
                    );
                    found = true;
                }
            }
            found
        }
    }
}

fn is_index(name: &str) -> bool {
    name.starts_with("index-")
}

#[test]
fn a_changed_byte_is_found_and_its_file_named() {
    let scene = scene();
    for name in scene.world.root_names() {
        let bytes = scene.world.bytes(&name);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            let world = scene.world.with(&name, Some(changed));
            let found = found_or_harmless(&scene, &world, &name, &format!("{name}, byte {at}"));
            // The watermark is kept twice: one slot may be damaged without consequence. An index is made
            // again from its segment.
            let harmless = name == watermark::FILE || is_index(&name);
            assert!(found != harmless || name == watermark::FILE, "{name}, byte {at}: found {found}");
        }
    }
}

#[test]
fn a_file_cut_short_anywhere_is_found_and_named() {
    let scene = scene();
    for name in scene.world.root_names().into_iter().filter(|name| name != watermark::FILE) {
        let bytes = scene.world.bytes(&name);
        for size in 0..bytes.len() {
            let world = scene.world.with(&name, Some(bytes[..size].to_vec()));
            let found = found_or_harmless(&scene, &world, &name, &format!("{name} cut to {size}"));
            assert_ne!(found, is_index(&name), "{name} cut to {size}");
        }
    }
}

#[test]
fn a_deleted_file_is_found_and_named() {
    let scene = scene();
    for name in scene.world.root_names() {
        let world = scene.world.with(&name, None);
        let found = found_or_harmless(&scene, &world, &name, &format!("{name} deleted"));
        assert_ne!(found, is_index(&name), "{name} deleted");
    }
}

#[test]
fn bytes_after_the_end_are_the_torn_tail_only_in_the_last_segment() {
    let scene = scene();
    let last =
        scene.world.root_names().into_iter().filter(|name| segment::number_of(name).is_some()).max().unwrap();
    for name in scene.world.root_names().into_iter().filter(|name| segment::number_of(name).is_some()) {
        for tail in [vec![0; 100], vec![0xff; 7], scene.world.bytes(&name)[100..300].to_vec()] {
            let longer = [scene.world.bytes(&name), tail].concat();
            let world = scene.world.with(&name, Some(longer));
            let found = found_or_harmless(&scene, &world, &name, &format!("{name} with more at its end"));
            assert_eq!(found, name != last);
        }
    }
}

#[test]
fn a_segment_in_anothers_place_is_found() {
    let scene = scene();
    let world = scene.world.with(&file_name(1), Some(scene.world.bytes(&file_name(0))));
    assert!(found_or_harmless(&scene, &world, &file_name(1), "segment 0 copied over segment 1"));
}

#[test]
fn damage_that_comes_after_the_start_is_found_when_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path(), GENESIS).unwrap();
    append(&store, &[second(1, 0), second(1, 1)]).unwrap();
    let path = folder.path().join(file_name(0));
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(store.read(stream(1), 0).unwrap(), Some(second(1, 0).1));
    match store.read(stream(1), 1) {
        Err(StoreError::Halt(corruption)) => assert_eq!(corruption.file, file_name(0)),
        other => panic!("served as the truth: {other:?}"),
    }
}
