//! Random groups, duplicates, conflicts, gaps and restarts against a plain list.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use testkit::lossy::Lossy;
use vitals::log::MerkleLog;

#[derive(Debug, Clone)]
enum Move {
    /// Per envelope: stream, sequence number, first time, length in time, variant.
    Append(Vec<(u8, u64, u64, u64, u8)>),
    Restart,
    Find(u8, u64, u64),
}

#[derive(Default)]
struct Model {
    leaves: Vec<(Envelope, Vec<u8>)>,
    by_seq: BTreeMap<(u8, u64), usize>,
}

impl Model {
    fn append(&mut self, number: u8, envelope: Envelope, bytes: Vec<u8>) -> Appended {
        let seq = envelope.header.seq;
        match self.by_seq.get(&(number, seq)) {
            Some(at) if self.leaves[*at].1 == bytes => Appended::Duplicate { index: *at as u64 },
            Some(at) => Appended::Conflict { index: *at as u64 },
            None => {
                let index = self.leaves.len();
                self.by_seq.insert((number, seq), index);
                self.leaves.push((envelope, bytes));
                Appended::Stored { index: index as u64 }
            }
        }
    }

    fn seqs(&self, number: u8) -> Vec<u64> {
        self.by_seq.range((number, 0)..=(number, u64::MAX)).map(|((_, seq), _)| *seq).collect()
    }

    fn check(&self, store: &Store) {
        let mut log = MerkleLog::new();
        for (index, (envelope, bytes)) in self.leaves.iter().enumerate() {
            assert_eq!(store.read_index(index as u64).unwrap().as_ref(), Some(bytes));
            log.push(log::leaf(&envelope.header_bytes));
        }
        assert_eq!(store.log_head(), (log.size(), log.root()));
        for number in 0..3 {
            let seqs = self.seqs(number);
            let last = seqs.last().map(|seq| self.leaves[self.by_seq[&(number, *seq)]].0.hash());
            assert_eq!(store.head(stream(number)).map(|head| head.last_hash), last);
            let missing: Vec<u64> =
                (0..seqs.last().copied().unwrap_or(0)).filter(|seq| !seqs.contains(seq)).collect();
            let told: Vec<u64> =
                store.gaps(stream(number), GAPS_MAX).into_iter().flat_map(|(from, to)| from..=to).collect();
            assert_eq!(told, missing);
        }
    }

    fn find(&self, number: u8, from_ms: u64, to_ms: u64) -> Vec<u64> {
        let touches = |seq: &u64| {
            let header = &self.leaves[self.by_seq[&(number, *seq)]].0.header;
            header.first_ms <= to_ms && header.last_ms >= from_ms
        };
        self.seqs(number).into_iter().filter(touches).collect()
    }
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let item = (0u8..3, 0u64..40, 0u64..100, 0u64..10, prop_oneof![9 => Just(0u8), 1 => 1u8..3]);
    let one = prop_oneof![
        8 => prop::collection::vec(item, 0..8).prop_map(Move::Append),
        1 => Just(Move::Restart),
        2 => (0u8..3, 0u64..110, 0u64..30).prop_map(|(number, from, len)| Move::Find(number, from, from + len)),
    ];
    prop::collection::vec(one, 1..40)
}

/// Makes a store in a folder and tries these moves on it, opening it again in between.
fn try_on(folder: impl Fn() -> Folder, moves: Vec<Move>) {
    let mut store = Store::create_on(folder(), GENESIS, TINY).unwrap();
    let mut model = Model::default();
    for one in moves {
        match one {
            Move::Append(items) => {
                let group: Vec<_> = items
                    .iter()
                    .map(|(number, seq, first, len, variant)| {
                        envelope(*number, *seq, *first, first + len, *variant)
                    })
                    .collect();
                let answers = append(&store, &group).unwrap();
                let wanted: Vec<_> = items
                    .iter()
                    .zip(group)
                    .map(|((number, ..), (envelope, bytes))| model.append(*number, envelope, bytes))
                    .collect();
                assert_eq!(answers, wanted);
            }
            Move::Restart => {
                drop(store);
                store = Store::open_on(folder(), GENESIS, TINY).unwrap();
                model.check(&store);
            }
            Move::Find(number, from_ms, to_ms) => {
                let found: Vec<_> =
                    store.find(stream(number), from_ms, to_ms).iter().map(|found| found.seq).collect();
                assert_eq!(found, model.find(number, from_ms, to_ms));
            }
        }
    }
    model.check(&store);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_is_a_list_of_envelopes_each_stored_once(moves in moves()) {
        let world = Lossy::default();
        try_on(|| records(&world), moves);
    }
}

proptest! {
    // Few: the operating system's disk syncs.
    #![proptest_config(ProptestConfig { cases: 10, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_disk_carries_the_store(moves in moves()) {
        let folder = tempfile::tempdir().unwrap();
        for testkit::EmptyDisk { disk, folder, .. } in testkit::disks(folder.path()) {
            try_on(|| Folder::on(disk.clone(), &folder), moves.clone());
        }
    }
}
