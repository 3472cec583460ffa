#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::tests::simulated_node::{NOON_MS, entropy, paired, record_key as homes_key};
use vitals::envelope::Envelope;
use vitals::metric::{Metric, Sample};

fn reading(metric: Metric, raw: i32) -> Reading {
    Reading { metric, at_ms: NOON_MS, sample: Sample::Measured(raw) }
}

fn heart(raw: i32) -> Reading {
    reading(Metric::HeartRate, raw)
}

#[test]
fn a_stream_goes_on_under_a_new_run_after_each_start() {
    let dir = paired(1);
    let mut last: Option<Sealed> = None;
    for n in 0..3 {
        let mut author = ThirdPartySealer::open(dir.path(), &entropy()).unwrap();
        assert_eq!(author.pending(), n);
        let sealed = author.seal(0, &[heart(720)], ClockQuality::Synced, NOON_MS).unwrap();
        let header = &sealed[0].header;
        assert_eq!(header.seq, n as u64);
        assert_eq!(header.prev, last.as_ref().map_or([0; 32], |last| last.hash));
        assert!(last.is_none_or(|last| last.header.run != header.run));
        // Nothing is closed: what was given away is durable already.
        last = Some(sealed[0].clone());
    }
    let mut author = ThirdPartySealer::open(dir.path(), &entropy()).unwrap();
    let waiting = author.unproven().unwrap();
    let seqs: Vec<u64> = waiting.iter().map(|bytes| Envelope::decode(bytes).unwrap().header.seq).collect();
    assert_eq!(seqs, [0, 1, 2]);
    assert_eq!(author.unproven().unwrap(), waiting);
}

#[test]
fn readings_of_two_classes_become_two_envelopes() {
    let dir = paired(2);
    let mut author = ThirdPartySealer::open(dir.path(), &entropy()).unwrap();
    let readings = [reading(Metric::Co2, 600), heart(720), heart(730)];
    let sealed = author.seal(1, &readings, ClockQuality::Holding, NOON_MS).unwrap();
    let seen: Vec<_> = sealed.iter().map(|one| (one.header.class, one.header.count)).collect();
    assert_eq!(seen, [(Class::Vitals, 2), (Class::Environment, 1)]);
}

#[test]
fn what_cannot_be_sealed_says_why_and_uses_no_number() {
    let dir = paired(1);
    let mut author = ThirdPartySealer::open(dir.path(), &entropy()).unwrap();
    let mut seal = |sensor, readings: &[Reading]| {
        author.seal(sensor, readings, ClockQuality::Synced, NOON_MS).map_err(|why| why.to_string())
    };
    assert!(seal(1, &[heart(1)]).unwrap_err().contains("no sensor 1 here: 1 are paired"));
    assert!(seal(0, &[]).unwrap_err().contains("the body is empty"));
    let never = Reading { at_ms: u64::MAX, ..heart(1) };
    assert!(seal(0, &[never]).unwrap_err().contains("2200"));
    assert_eq!(seal(0, &[heart(1)]).unwrap()[0].header.seq, 0);
}

#[test]
fn a_folder_without_keys_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("kyes");
    let why = ThirdPartySealer::open(&missing, &entropy()).unwrap_err().to_string();
    assert!(why.contains("no keys yet"), "{why}");
    assert!(!missing.exists());
    crate::first_boot(dir.path(), 1, &mut |out| out.fill(3)).unwrap();
    let why = ThirdPartySealer::open(dir.path(), &entropy()).unwrap_err().to_string();
    assert!(why.contains("not paired yet"), "{why}");
    assert!(!certificate(dir.path()).unwrap().0.is_empty());
}

#[test]
fn one_author_at_a_time_and_foreign_receipts_are_refused() {
    let dir = paired(1);
    let mut author = ThirdPartySealer::open(dir.path(), &entropy()).unwrap();
    assert!(
        ThirdPartySealer::open(dir.path(), &entropy()).unwrap_err().to_string().contains("stop it first")
    );
    assert!(author.receipt(b"no receipt", NOON_MS).is_err());
    assert!(author.delivery(b"no delivery", NOON_MS).is_err());
    author.close().unwrap();
    assert_eq!(record_key(dir.path()).unwrap(), homes_key());
    assert!(tls(dir.path()).is_ok());
}

#[test]
fn nothing_is_sealed_by_hand_into_a_stream_another_hand_writes() {
    let dir = paired(1);
    let mut author = ThirdPartySealer::open(dir.path(), &entropy()).unwrap();
    let sealed = author.seal(0, &[heart(720)], ClockQuality::Synced, NOON_MS).unwrap();
    author.close().unwrap();
    // The gateway was told by the node: another envelope has this number.
    let (quarantine, _) =
        crate::quarantine::Quarantine::open(Arc::new(Os), &dir.path().join("aside")).unwrap();
    let envelope = Envelope::decode(&sealed[0].bytes).unwrap();
    quarantine.keep(link::Rejection::Conflict, &sealed[0].bytes, &envelope).unwrap();
    let mut author = ThirdPartySealer::open(dir.path(), &entropy()).unwrap();
    let why = author.seal(0, &[heart(730)], ClockQuality::Synced, NOON_MS).unwrap_err();
    assert!(matches!(why, SealerError::Closed(stream) if stream == envelope.header.stream), "{why}");
    let room = [reading(Metric::Co2, 600)];
    assert_eq!(author.seal(0, &room, ClockQuality::Synced, NOON_MS).unwrap().len(), 1, "others go on");
}
