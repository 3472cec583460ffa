//! The crash table: every step of the disk × (not done, half done, done) × (unsynced bytes kept,
//! lost, torn, out of order), then a restart, then the sender sends everything again.

use super::*;
use testkit::Dice;
use testkit::lossy::{Lossy, Step, Unsynced};
use vitals::log::MerkleLog;

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
    let store = match Store::open_on(records(world), GENESIS, TINY) {
        Err(StoreError::Missing) => Store::create_on(records(world), GENESIS, TINY),
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
    match Store::open_on(records(world), GENESIS, TINY) {
        Ok(store) => Some(store),
        Err(StoreError::Missing) if !promised.created => None,
        Err(why) => panic!("{scene}: {why}"),
    }
}

/// Ways in which everything that was not synced may be found, and so many of the endless rest.
fn unsynced(any: u64, seed: u64) -> Vec<Unsynced> {
    let fixed =
        [Unsynced::Kept, Unsynced::Lost, Unsynced::TornAt(1), Unsynced::TornAt(150), Unsynced::LastOnly];
    fixed.into_iter().chain((0..any).map(|n| Unsynced::Any(seed.wrapping_mul(1000) + n))).collect()
}

/// How many random runs to make: a few, or as many as the campaign asks for.
fn seeds(few: u64) -> u64 {
    std::env::var("ACESO_CRASH_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(few)
}

#[test]
fn a_crash_at_any_step_loses_nothing_acknowledged_and_doubles_nothing() {
    let whole = Lossy::default();
    let all = work(&whole);
    let distinct: std::collections::BTreeMap<_, _> = all.leaves.iter().cloned().collect();
    assert!(whole.root_names().len() > 5, "the scene spans several segments");
    let mut replays = 0;
    for at in 1..=whole.steps() {
        for step in Step::ALL {
            for unsynced in unsynced(8, at) {
                let scene = format!("crash at {at}, {step:?}, {unsynced:?}");
                let world = Lossy::default();
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
                assert_eq!(store.gaps(stream(1), GAPS_MAX), [], "{scene}");
                replays += 1;
            }
        }
    }
    println!("{} steps of which {} syncs, {replays} replays", whole.steps(), whole.syncs());
}

/// After a failed sync the page cache shows what is not on the disk. The store is opened again on the same machine; then
/// the power goes, at once or after more was stored.
#[test]
fn what_is_served_after_a_failed_sync_outlives_a_power_cut() {
    let whole = Lossy::default();
    let all = work(&whole);
    let mut replays = 0;
    for at in 1..=whole.syncs() {
        for unsynced in unsynced(4, at).into_iter().filter(|left| *left != Unsynced::Kept) {
            for goes_on in [false, true] {
                let scene = format!("sync {at} fails, goes on {goes_on}, {unsynced:?}");
                let world = Lossy::default();
                world.fail_sync_at(at);
                let promised = work(&world);
                if promised.leaves.len() == all.leaves.len() && promised.evidence {
                    // Syncs of folders do not fail: there are not so many of files.
                    continue;
                }
                let more = if goes_on { work(&world) } else { Promised::default() };
                let shown = reopen(&world, &promised, &scene).map(|store| {
                    let leaves = (0..store.size()).map(|at| (at, store.read_index(at).unwrap().unwrap()));
                    Promised { created: true, leaves: leaves.collect(), evidence: promised.evidence }
                });
                let world = world.after_crash(unsynced);
                let shown = shown.unwrap_or_default();
                if let Some(store) = reopen(&world, &shown, &scene) {
                    [&promised, &more, &shown].iter().for_each(|all| check(&store, all, &scene));
                }
                assert_eq!(work(&world).leaves.len(), all.leaves.len(), "{scene}: the next run ends");
                replays += 1;
            }
        }
    }
    assert!(replays > 100, "{replays}");
    println!("{replays} replays");
}

#[test]
fn a_crash_at_any_byte_of_the_last_write_is_survived() {
    let whole = Lossy::default();
    let all = work(&whole);
    let mut replays = 0;
    for at in 1..=whole.steps() {
        let world = Lossy::default();
        world.crash_at(at, Step::Done);
        let promised = work(&world);
        // Every byte in a campaign; every third one otherwise, others for each write.
        let stride = if seeds(0) > 0 { 1 } else { 3 };
        for len in (at as usize % stride..=world.torn_max()).step_by(stride) {
            let scene = format!("crash at {at}, torn at byte {len}");
            let world = world.after_crash(Unsynced::TornAt(len));
            if let Some(store) = reopen(&world, &promised, &scene) {
                check(&store, &promised, &scene);
            }
            replays += 1;
            if len % 64 < stride {
                let again = work(&world);
                assert_eq!(again.leaves.len(), all.leaves.len(), "{scene}: the second run ends");
            }
        }
    }
    println!("{} steps, {replays} replays", whole.steps());
}

#[test]
fn a_second_crash_while_recovering_from_the_first_changes_nothing_of_that() {
    let whole = Lossy::default();
    work(&whole);
    let mut replays = 0;
    for at in (1..=whole.steps()).step_by(3) {
        for unsynced in unsynced(3, at) {
            let world = Lossy::default();
            world.crash_at(at, Step::HalfDone);
            let promised = work(&world);
            let world = world.after_crash(unsynced);
            for second_at in 1..6 {
                let scene = format!("crash at {at}, {unsynced:?}, then at {second_at}");
                let world = world.after_crash(Unsynced::Kept);
                world.crash_at(second_at, Step::HalfDone);
                let more = work(&world);
                let world = world.after_crash(Unsynced::Any(at * 10 + second_at));
                let created = Promised { created: promised.created || more.created, ..Promised::default() };
                if let Some(store) = reopen(&world, &created, &scene) {
                    check(&store, &promised, &scene);
                    check(&store, &more, &scene);
                }
                replays += 1;
            }
        }
    }
    println!("{replays} replays");
}

/// A random ward: groups of any streams, in order or not, again or not, some of them conflicting; a
/// crash at any step, again and again, with anything left of what was not synced.
fn story(seed: u64) -> (u64, u64) {
    let mut dice = Dice(seed);
    let mut world = Lossy::default();
    let mut promised = Promised::default();
    let mut heads: Vec<(u64, Hash)> = Vec::new();
    let (mut crashes, mut steps) = (0, 0);
    for life in 0..5 {
        let scene = format!("seed {seed}, life {life}");
        world.crash_at(1 + dice.below(60), Step::ALL[dice.below(3) as usize]);
        let opened = match Store::open_on(records(&world), GENESIS, TINY) {
            Err(StoreError::Missing) if !promised.created => Store::create_on(records(&world), GENESIS, TINY),
            opened => opened,
        };
        match opened {
            Ok(store) => {
                promised.created = true;
                check(&store, &promised, &scene);
                for (size, root) in &heads {
                    assert_eq!(store.root_at(*size), Some(*root), "{scene}: a head that was signed");
                }
                for _ in 0..dice.below(30) {
                    let most = if dice.below(8) == 0 { 30 } else { 5 };
                    let len = 1 + dice.below(most);
                    let group: Vec<_> = (0..len)
                        .map(|_| {
                            let (number, seq) = (dice.below(3) as u8, dice.below(60));
                            let variant = u8::from(dice.below(20) == 0);
                            envelope(number, seq, seq * 1000, seq * 1000 + 900, variant)
                        })
                        .collect();
                    let Ok(answers) = append(&store, &group) else { break };
                    for ((_, bytes), answer) in group.into_iter().zip(answers) {
                        if let Appended::Stored { index } | Appended::Duplicate { index } = answer {
                            promised.leaves.push((index, bytes));
                        }
                    }
                    heads.push(store.log_head());
                    let index = dice.below(store.size());
                    let path = store.inclusion(index, store.size()).unwrap();
                    let (size, root) = store.log_head();
                    assert!(
                        log::verify_inclusion(store.leaf(index).unwrap(), index, size, &path, &root),
                        "{scene}"
                    );
                }
            }
            // The power went while it was opened.
            Err(StoreError::Busy(_)) => {}
            Err(StoreError::Missing) if !promised.created => {}
            Err(why) => panic!("{scene}: {why}"),
        }
        steps += world.steps();
        crashes += 1;
        let unsynced = match dice.below(4) {
            0 => Unsynced::Kept,
            1 => Unsynced::Lost,
            _ => Unsynced::Any(dice.next()),
        };
        world = world.after_crash(unsynced);
    }
    if let Some(store) = reopen(&world, &promised, &format!("seed {seed}, the end")) {
        check(&store, &promised, &format!("seed {seed}, the end"));
        assert_eq!(store.verify().unwrap(), store.size());
    }
    (crashes, steps)
}

#[test]
fn random_crashes_lose_nothing_acknowledged_and_no_signed_head_rolls_back() {
    let (mut crashes, mut steps) = (0, 0);
    let seeds = seeds(300);
    for seed in 0..seeds {
        let (more_crashes, more_steps) = story(seed);
        crashes += more_crashes;
        steps += more_steps;
    }
    println!("{seeds} seeds, {crashes} crashes and starts, {steps} steps of the disk");
}
