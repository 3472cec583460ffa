//! What a gateway counts, live and at its end.

use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use vitals::StreamId;
use vitals::ids::Hash;

/// Latest samples kept per latency, and latest seals.
const RING_MAX: usize = 65_536;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// The live figures of a gateway.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: AtomicU64,)*
            rings: Mutex<Rings>,
        }

        /// The figures at one moment.
        #[derive(Debug, Clone, Default, PartialEq, Serialize)]
        pub struct Summary {
            $($(#[$doc])* pub $name: u64,)*
            /// From sealing to the checked receipt.
            pub sealed_to_receipt_ms: Latency,
            /// From sealing to the checked proof.
            pub sealed_to_proven_ms: Latency,
            /// Per stream, the next sequence number.
            pub streams: BTreeMap<String, u64>,
        }

        impl Counters {
            /// The figures now.
            #[must_use]
            pub fn summary(&self) -> Summary {
                let rings = self.rings();
                Summary {
                    $($name: self.$name.load(Ordering::Relaxed),)*
                    sealed_to_receipt_ms: Latency::of(&rings.receipted_ms),
                    sealed_to_proven_ms: Latency::of(&rings.proven_ms),
                    streams: rings.streams.iter().map(|(stream, next)| (stream.to_string(), *next)).collect(),
                }
            }
        }
    };
}

counters! {
    /// Readings the boards gave.
    readings_sampled,
    /// Readings among them that hold a value.
    readings_measured,
    /// Readings whose proof was checked.
    readings_proven,
    /// Readings given up because they could not be stored.
    readings_lost,
    /// Readings that wait to be sealed and stored.
    readings_waiting,
    /// 1 while what is sampled is not recorded: given up, or waiting for more than ten seconds.
    not_recorded,
    /// Envelopes sealed and durable in the journal.
    envelopes_sealed,
    /// Publishes handed to the connection, repeats included.
    envelopes_sent,
    /// Publishes the node acknowledged.
    envelopes_acked,
    /// Acknowledgements of what was sent before.
    envelopes_resent,
    /// Envelopes that the node refused for good; kept in quarantine.
    envelopes_refused,
    /// Envelopes in quarantine now.
    envelopes_aside,
    /// Streams into which nothing is sealed any more, because they have a second writer or too much of
    /// them was refused.
    streams_closed,
    /// Times another device took over the connection with this gateway's key.
    taken_over,
    /// 1 while the node's receipts say that this computer's clock is far off.
    clock_wrong,
    /// 1 while the ledger the node shows went back, is split from the one seen before, or holds
    /// another log.
    ledger_alarm,
    /// Receipts checked and found right.
    receipts_checked,
    /// Receipts that did not check.
    receipts_failed,
    /// Envelopes whose proof was checked and found right.
    proofs_checked,
    /// Proofs that did not check.
    proofs_failed,
    /// Envelopes forgotten after their proof.
    envelopes_forgotten,
    /// Envelopes that wait for receipt or proof.
    envelopes_pending,
    /// Alarm episodes raised.
    alarms_raised,
    /// Alarm events of any kind.
    alarm_events,
    /// Alarm events that wait to be sealed and stored.
    alarm_events_waiting,
    /// Alarm events that were not stored one by one, because a later one of their alarm waited in their place.
    alarm_events_merged,
    /// Alarm events given up because they could not be stored.
    alarm_events_lost,
    /// Times a board came or came back.
    boards_connected,
    /// Times the node was reached.
    node_connections,
    /// Invalid frames from boards.
    frames_bad,
    /// Journal syncs.
    journal_syncs,
    /// Commands of the home organisation that were carried out.
    commands_taken,
    /// Commands that were refused, malformed ones included.
    commands_refused,
    /// 1 while the node has not answered for so long that the bedside says so.
    ward_not_listening,
}

#[derive(Debug, Default)]
struct Rings {
    receipted_ms: VecDeque<u64>,
    proven_ms: VecDeque<u64>,
    seals: VecDeque<(Hash, u64)>,
    streams: BTreeMap<StreamId, u64>,
}

/// Median and 99th percentile, milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Half took no longer.
    pub p50: f64,
    /// 99 of 100 took no longer.
    pub p99: f64,
    /// How many were measured.
    pub samples: u64,
}

impl Latency {
    fn of(samples: &VecDeque<u64>) -> Self {
        let mut sorted: Vec<u64> = samples.iter().copied().collect();
        sorted.sort_unstable();
        let at = |percent: usize| {
            let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
            // Milliseconds of a latency are far below what a double holds exactly.
            sorted.get(place).map_or(0.0, |ms| *ms as f64)
        };
        Self { p50: at(50), p99: at(99), samples: sorted.len() as u64 }
    }
}

fn push<T>(ring: &mut VecDeque<T>, value: T) {
    if ring.len() == RING_MAX {
        ring.pop_front();
    }
    ring.push_back(value);
}

pub(crate) fn note(counter: &AtomicU64, n: usize) {
    counter.store(n as u64, Ordering::Relaxed);
}

pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

impl Counters {
    fn rings(&self) -> MutexGuard<'_, Rings> {
        self.rings.lock()
    }

    /// The latest envelopes and when they were sealed, for latencies measured elsewhere.
    #[must_use]
    pub fn seals(&self) -> Vec<(Hash, u64)> {
        self.rings().seals.iter().copied().collect()
    }

    pub(crate) fn sealed(&self, stream: StreamId, next_seq: u64, hash: Hash, at_ms: u64) {
        let mut rings = self.rings();
        push(&mut rings.seals, (hash, at_ms));
        rings.streams.insert(stream, next_seq);
    }

    pub(crate) fn knows(&self, stream: StreamId, next_seq: u64) {
        self.rings().streams.insert(stream, next_seq);
    }

    pub(crate) fn receipted(&self, after_ms: u64) {
        push(&mut self.rings().receipted_ms, after_ms);
    }

    pub(crate) fn proven(&self, after_ms: u64) {
        push(&mut self.rings().proven_ms, after_ms);
    }
}
