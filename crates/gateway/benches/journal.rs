//! What a journal sync costs: groups of six envelopes (three boards, two classes), each made durable.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a benchmark"
)]

use device::{Sealer, SealerState};
use ed25519_zebra::SigningKey;
use gateway::journal::{Journal, Record};
use std::time::{Duration, Instant};
use vitals::body::Body;
use vitals::envelope::ClockQuality;
use vitals::ids::Class;
use vitals::keys::ChainKey;
use vitals::metric::{Metric, Reading, Sample};
use vitals::{DeviceId, Genesis, StreamId};

const GROUPS: usize = 500;
const STREAMS: u8 = 6;

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

fn main() {
    let dir = tempfile::tempdir_in(".").unwrap();
    let (mut journal, _) = Journal::open(dir.path(), DeviceId([1; 16]), 0, 8 << 20).unwrap();
    let mut sealers: Vec<Sealer> = (0..STREAMS)
        .map(|n| {
            let state =
                SealerState { chain: ChainKey::new([n; 32]), epoch: 20_000, next_seq: 0, prev: [0; 32] };
            Sealer::new(
                Genesis([1; 32]),
                SigningKey::from([n; 32]),
                StreamId([n; 16]),
                Class::Vitals,
                [n; 16],
                state,
            )
        })
        .collect();
    let (mut seals, mut appends, mut syncs) = (Vec::new(), Vec::new(), Vec::new());
    for group in 0..GROUPS {
        let at_ms = 1_728_000_000_000 + group as u64 * 1000;
        let reading = Reading { metric: Metric::HeartRate, at_ms, sample: Sample::Measured(720) };
        let start = Instant::now();
        let sealed: Vec<_> = sealers
            .iter_mut()
            .map(|sealer| sealer.seal(&Body::Readings(vec![reading]), ClockQuality::Synced).unwrap())
            .collect();
        seals.push(start.elapsed());
        let records: Vec<Record<'_>> = sealed
            .iter()
            .map(|sealed| Record::Envelope { alarm: false, sealed_at_ms: at_ms, bytes: &sealed.bytes })
            .collect();
        let start = Instant::now();
        journal.append(&records).unwrap();
        appends.push(start.elapsed());
        let start = Instant::now();
        journal.sync().unwrap();
        syncs.push(start.elapsed());
    }
    println!("{GROUPS} groups of {STREAMS} envelopes");
    for (what, times) in [("seal", &mut seals), ("append", &mut appends), ("sync", &mut syncs)] {
        println!("{what:7} p50 {:>10.1?}  p99 {:>10.1?}", percentile(times, 50), percentile(times, 99));
    }
    drop(journal);
    let start = Instant::now();
    let (_, backlog) = Journal::open(dir.path(), DeviceId([1; 16]), 0, 8 << 20).unwrap();
    println!("open    {} envelopes in {:.1?}", backlog.len(), start.elapsed());
}
