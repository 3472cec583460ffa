//! The crash table: every step of the disk × (not done, half done, done) × (unsynced bytes kept,
//! lost, torn, out of order), then a restart, then the sender sends everything again.

use super::lossy::{Lossy, Step, Unsynced};
use super::*;

type Group = Vec<(Envelope, Vec<u8>)>;

fn groups() -> Vec<Group> {
    vec![
        vec![second(1, 0)],
        vec![second(1, 1), second(2, 0), second(2, 1)],
        vec![second(1, 3), second(1, 2), second(1, 1), second(1, 4)],
        vec![second(2, 2), second(2, 3)],
        (5..12).map(|seq| second(1, seq)).collect(),
        vec![second(2, 5)],
        vec![second(2, 4), second(2, 6)],
    ]
}

fn evidence() -> (Envelope, Vec<u8>) {
    envelope(1, 0, 0, 900, 77)
}

/// What the store promised before the power went.
#[derive(Default)]
struct Promised {
    created: bool,
    /// Envelope by leaf index.
    leaves: Vec<(u64, Vec<u8>)>,
    evidence: bool,
}

/// Works until done or dead.
fn work(world: &Lossy) -> Promised {
    let mut promised = Promised::default();
    let store = match Store::open_on(Box::new(world.disk()), GENESIS, TINY) {
        Err(StoreError::Missing) => Store::create_on(Box::new(world.disk()), GENESIS, TINY),
        opened => opened,
    };
    let Ok(store) = store else { return promised };
    promised.created = true;
    for (at, group) in groups().into_iter().enumerate() {
        let Ok(answers) = append(&store, &group) else { return promised };
        for ((_, bytes), answer) in group.into_iter().zip(answers) {
            match answer {
                Appended::Stored { index } | Appended::Duplicate { index } => {
                    promised.leaves.push((index, bytes))
                }
                Appended::Conflict { .. } => panic!("nothing conflicts here"),
            }
        }
        if at == 3 {
            let (envelope, bytes) = evidence();
            promised.evidence = store.keep_evidence(&envelope, &bytes).is_ok();
        }
    }
    promised
}

/// Holds a store against what was promised, and the store against itself.
fn check(store: &Store, promised: &Promised, scene: &str) {
    for (index, bytes) in &promised.leaves {
        assert_eq!(
            store.read_index(*index).unwrap().as_ref(),
            Some(bytes),
            "{scene}: leaf {index} was acknowledged"
        );
    }
    if promised.evidence {
        assert_eq!(store.evidence(stream(1)).unwrap(), [evidence().1], "{scene}");
    }
    let mut seen = std::collections::HashSet::new();
    let mut log = MerkleLog::new();
    for index in 0..store.size() {
        let bytes = store.read_index(index).unwrap().unwrap();
        let read = Envelope::decode(&bytes).unwrap();
        assert!(seen.insert((read.header.stream, read.header.seq)), "{scene}: stored twice");
        assert_eq!(store.read(read.header.stream, read.header.seq).unwrap(), Some(bytes), "{scene}");
        log.push(log::leaf(&read.header_bytes));
    }
    assert_eq!(store.log_head(), (log.size(), log.root()), "{scene}");
}

fn reopen(world: &Lossy, promised: &Promised, scene: &str) -> Option<Store> {
    match Store::open_on(Box::new(world.disk()), GENESIS, TINY) {
        Ok(store) => Some(store),
        Err(StoreError::Missing) if !promised.created => None,
        Err(why) => panic!("{scene}: {why}"),
    }
}

const STEPS: [Step; 3] = [Step::NotDone, Step::HalfDone, Step::Done];
const UNSYNCED: [Unsynced; 4] = [Unsynced::Kept, Unsynced::Lost, Unsynced::Torn, Unsynced::LastOnly];

#[test]
fn a_crash_at_any_step_loses_nothing_acknowledged_and_doubles_nothing() {
    let whole = Lossy::new();
    let all = work(&whole);
    let distinct: std::collections::BTreeMap<_, _> = all.leaves.iter().cloned().collect();
    assert!(whole.names().len() > 5, "the scene spans several segments");
    for at in 1..=whole.steps() {
        for step in STEPS {
            for unsynced in UNSYNCED {
                let scene = format!("crash at {at}, {step:?}, {unsynced:?}");
                let world = Lossy::new();
                world.crash_at(at, step);
                let promised = work(&world);
                let world = world.after_crash(unsynced);
                if let Some(store) = reopen(&world, &promised, &scene) {
                    check(&store, &promised, &scene);
                }
                let again = work(&world);
                assert_eq!(again.leaves.len(), all.leaves.len(), "{scene}: the second run ends");
                let store = reopen(&world, &again, &scene).unwrap();
                check(&store, &promised, &scene);
                check(&store, &again, &scene);
                assert_eq!(store.size(), distinct.len() as u64, "{scene}");
                assert_eq!(store.gaps(stream(1)), [], "{scene}");
            }
        }
    }
}

#[test]
fn a_second_crash_while_recovering_from_the_first_changes_nothing_of_that() {
    let whole = Lossy::new();
    work(&whole);
    for at in (1..=whole.steps()).step_by(3) {
        for unsynced in UNSYNCED {
            let world = Lossy::new();
            world.crash_at(at, Step::HalfDone);
            let promised = work(&world);
            let world = world.after_crash(unsynced);
            for second_at in 1..6 {
                let scene = format!("crash at {at}, {unsynced:?}, then at {second_at}");
                let world = world.after_crash(Unsynced::Kept);
                world.crash_at(second_at, Step::HalfDone);
                let more = work(&world);
                let world = world.after_crash(Unsynced::Torn);
                let created = Promised { created: promised.created || more.created, ..Promised::default() };
                if let Some(store) = reopen(&world, &created, &scene) {
                    check(&store, &promised, &scene);
                    check(&store, &more, &scene);
                }
            }
        }
    }
}
