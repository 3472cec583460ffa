#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use device::{Sealer, SealerState};
use ed25519_zebra::SigningKey;
use vitals::body::Body;
use vitals::envelope::ClockQuality;
use vitals::keys::ChainKey;
use vitals::metric::{Metric, Reading, Sample};
use vitals::{DeviceId, Genesis};

/// An outbox with `n` envelopes of one stream.
fn outbox(folder: &tempfile::TempDir, n: i32) -> Outbox {
    let (journal, kept) = Journal::open(folder.path(), DeviceId([3; 16]), 0, 1 << 20).unwrap();
    let mut outbox = Outbox::new(journal, kept, Arc::default());
    let state = SealerState { chain: ChainKey::new([8; 32]), epoch: 20_000, next_seq: 0, prev: [0; 32] };
    let (key, stream) = (SigningKey::from([1; 32]), StreamId([1; 16]));
    let mut bed = Sealer::new(Genesis([1; 32]), key, stream, Class::Vitals, [1; 16], state);
    let sealed: Vec<(bool, Sealed)> = (0..n)
        .map(|value| {
            let (metric, at_ms) = (Metric::HeartRate, 1_728_000_000_000);
            let reading = Reading { metric, at_ms, sample: Sample::Measured(value) };
            (false, bed.seal(&Body::Readings(vec![reading]), ClockQuality::Synced).unwrap())
        })
        .collect();
    outbox.keep(&sealed, 5).unwrap();
    outbox
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
