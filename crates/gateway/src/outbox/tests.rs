#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use device::{Sealer, SealerState};
use ed25519_zebra::SigningKey;
use vitals::body::Body;
use vitals::envelope::ClockQuality;
use vitals::keys::ChainKey;
use vitals::metric::{Metric, Reading, Sample};
use vitals::{DeviceId, Genesis};

/// The outbox of a folder that knows so many envelopes one by one.
fn opened(folder: &tempfile::TempDir, window_len_max: usize) -> Outbox {
    let (journal, backlog) = Journal::open(folder.path(), DeviceId([3; 16]), 0, 1 << 14).unwrap();
    let mut outbox = Outbox::new(journal, backlog, window_len_max, Arc::default());
    outbox.fill().unwrap();
    outbox
}

/// A sensor whose stream goes on where the journal stands.
fn sensor(outbox: &Outbox, run: u8) -> Sealer {
    let stream = StreamId([1; 16]);
    let head = outbox.journal().head(stream);
    let chain = ChainKey::new([8; 32]);
    let state = SealerState { chain, epoch: 20_000, next_seq: head.next_seq, prev: head.prev };
    Sealer::new(Genesis([1; 32]), SigningKey::from([1; 32]), stream, Class::Vitals, [run; 16], state)
}

/// Its next `n` envelopes, of which every hundredth is urgent.
fn sealed(sensor: &mut Sealer, n: i32) -> Vec<(bool, Sealed)> {
    let sealed = (0..n).map(|value| {
        let (metric, at_ms) = (Metric::HeartRate, 1_728_000_000_000);
        let reading = Reading { metric, at_ms, sample: Sample::Measured(value) };
        let sealed = sensor.seal(&Body::Readings(vec![reading]), ClockQuality::Synced).unwrap();
        (sealed.header.seq % 100 == 99, sealed)
    });
    sealed.collect()
}

/// An outbox with `n` envelopes of one stream.
fn outbox(folder: &tempfile::TempDir, n: i32) -> Outbox {
    let mut outbox = opened(folder, WINDOW_LEN_MAX);
    let mut sensor = sensor(&outbox, 1);
    outbox.keep(&sealed(&mut sensor, n), 5).unwrap();
    outbox
}

/// Sequence number and hash of an envelope.
fn named(bytes: &[u8]) -> (u64, Hash) {
    let envelope = Envelope::decode(bytes).unwrap();
    (envelope.header.seq, envelope.hash())
}

fn prove(outbox: &mut Outbox, hash: &Hash) {
    outbox.journal.append(&[Record::Forgotten(*hash)]).unwrap();
    outbox.forget(hash).unwrap();
}

/// What goes out while each envelope but the lost ones is proven a while after it was sent: urgent ones and
/// the others, each in the order they came.
fn sent_and_proven(outbox: &mut Outbox, lost: impl Fn(u64) -> bool) -> (Vec<u64>, Vec<u64>) {
    let (mut urgent, mut others, mut known) = (Vec::new(), Vec::new(), 0);
    loop {
        let mut under_way = Vec::new();
        while let Some((_, alarm, bytes)) = outbox.next().unwrap() {
            let (seq, hash) = named(&bytes);
            if alarm { &mut urgent } else { &mut others }.push(seq);
            under_way.push((seq, hash));
            known = known.max(outbox.known());
        }
        // Proofs come in any order.
        under_way.reverse();
        let proven: Vec<Hash> =
            under_way.iter().filter(|(seq, _)| !lost(*seq)).map(|(_, hash)| *hash).collect();
        if proven.is_empty() {
            return (urgent, others);
        }
        proven.iter().for_each(|hash| prove(outbox, hash));
        assert!(known <= 3 * outbox.window_len_max, "{known} envelopes are known one by one");
    }
}

fn taken(outbox: &mut Outbox) -> Vec<u64> {
    std::iter::from_fn(|| outbox.next().unwrap().map(|(id, _, _)| id)).collect()
}

#[test]
fn a_busy_node_is_left_in_peace_for_half_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = outbox(&folder, 20);
    let sent = taken(&mut outbox);
    assert_eq!(sent.len(), 20);
    for round in 0..10 {
        let now_ms = 1_000 + round * BUSY_WAIT_MS;
        for id in &sent {
            assert_eq!(outbox.refused(*id, Rejection::Busy, now_ms).unwrap(), None);
        }
        for early_ms in [0, 1, BUSY_WAIT_MS - 1] {
            outbox.tick(now_ms + early_ms);
            assert!(taken(&mut outbox).is_empty(), "round {round}: nothing goes {early_ms} ms after a Busy");
        }
        outbox.tick(now_ms + BUSY_WAIT_MS);
        assert_eq!(taken(&mut outbox), sent, "round {round}: then everything goes once, in its order");
    }
    assert_eq!(outbox.pending(), 20, "and nothing was given up");
}

#[test]
fn memory_does_not_grow_with_what_has_to_be_caught_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = opened(&folder, 64);
    let mut bed = sensor(&outbox, 1);
    for _ in 0..200 {
        outbox.keep(&sealed(&mut bed, 10), 5).unwrap();
        assert!(outbox.known() <= 64 + 20, "{} of {}", outbox.known(), outbox.pending());
    }
    assert_eq!(outbox.pending(), 2_000);
    assert!(outbox.journal().segments() > 10);
    let (urgent, others) = sent_and_proven(&mut outbox, |_| false);
    assert_eq!(urgent, (0..20).map(|n| 100 * n + 99).collect::<Vec<u64>>());
    assert_eq!(others, (0..2_000).filter(|seq| seq % 100 != 99).collect::<Vec<u64>>(), "each once, in order");
    assert_eq!((outbox.pending(), outbox.known(), outbox.journal().segments()), (0, 0, 1));
    // And it goes on as before.
    outbox.keep(&sealed(&mut bed, 3), 5).unwrap();
    assert_eq!(sent_and_proven(&mut outbox, |_| false).1, [2_000, 2_001, 2_002]);
}

#[test]
fn a_backlog_survives_restarts_in_its_order_without_what_is_proven() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = opened(&folder, 32);
    let mut bed = sensor(&outbox, 1);
    outbox.keep(&sealed(&mut bed, 700), 5).unwrap();
    // A part is sent and proven, some of it not; alarms far behind went first and are proven too.
    let mut proven = BTreeSet::new();
    while let Some((_, _, bytes)) = outbox.next().unwrap() {
        let (seq, hash) = named(&bytes);
        if seq % 3 != 0 {
            prove(&mut outbox, &hash);
            proven.insert(seq);
        }
    }
    assert!(proven.contains(&199) && !proven.contains(&0) && proven.len() > 20, "{proven:?}");
    for start in 2..5 {
        outbox.close().unwrap();
        drop(outbox);
        outbox = opened(&folder, 32);
        assert_eq!(outbox.pending(), 700 + 10 * (usize::from(start) - 2) - proven.len(), "start {start}");
        assert!(outbox.known() <= 32 + 7, "{} are known", outbox.known());
        let mut bed = sensor(&outbox, start);
        outbox.keep(&sealed(&mut bed, 10), 5).unwrap();
    }
    let (urgent, others) = sent_and_proven(&mut outbox, |_| false);
    let left = (0..730).filter(|seq| !proven.contains(seq));
    let (late, early): (Vec<u64>, Vec<u64>) = left.partition(|seq| seq % 100 == 99);
    assert_eq!((urgent, others), (late, early));
    assert_eq!((outbox.pending(), outbox.journal().segments()), (0, 1));
}

#[test]
fn what_is_in_quarantine_already_is_not_read_back_from_the_journal_once_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = opened(&folder, 8);
    let mut bed = sensor(&outbox, 1);
    let sealed = sealed(&mut bed, 40);
    outbox.keep(&sealed, 5).unwrap();
    drop(outbox);
    // A crash came between the file in quarantine and the note in the journal.
    let (quarantine, _) = Quarantine::open(Arc::new(durable::Os), &folder.path().join("aside")).unwrap();
    let bytes = &sealed[30].1.bytes;
    quarantine.keep(Rejection::PayloadInvalid, bytes, &Envelope::decode(bytes).unwrap()).unwrap();
    let (quarantine, found) = Quarantine::open(Arc::new(durable::Os), &folder.path().join("aside")).unwrap();
    let (journal, backlog) = Journal::open(folder.path(), DeviceId([3; 16]), 0, 1 << 14).unwrap();
    let mut outbox = Outbox::new(journal, backlog, 8, Arc::default()).with_quarantine(quarantine, found);
    outbox.fill().unwrap();
    let (_, others) = sent_and_proven(&mut outbox, |_| false);
    assert_eq!(others, (0..40).filter(|seq| *seq != 30).collect::<Vec<u64>>());
    assert_eq!((outbox.pending(), outbox.journal().segments()), (0, 1), "nothing holds the journal back");
}
