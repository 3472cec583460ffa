//! One bed's sealers: as they stand when the gateway starts, and what they make of what was sampled.

use crate::Entropy;
use crate::journal::Journal;
use crate::keys::Loaded;
use crate::recorder_queue::Sampled;
use device::pairing::Identity;
use device::{Sealed, Sealer, SealerState};
use vitals::StreamId;
use vitals::body::Body;
use vitals::envelope::ClockQuality;
use vitals::ids::Class;
use vitals::metric::Reading;

/// One sealer per stream of `sensor`, each continuing where the journal stands, under a run of its own.
pub(crate) fn sealers_of(
    paired: &Loaded,
    sensor: &Identity,
    journal: &Journal,
    entropy: &Entropy,
) -> Vec<Sealer> {
    let genesis = paired.document.hash();
    let own = paired.streams.iter().filter(|(_, state)| state.author == sensor.id());
    own.map(|(stream, state)| {
        let head = journal.head(*stream);
        let mut run = [0; 16];
        entropy(&mut run);
        let (chain, epoch) = (state.chain.clone(), state.epoch);
        let from = SealerState { chain, epoch, next_seq: head.next_seq, prev: head.prev };
        Sealer::new(genesis, sensor.signing_key(), *stream, state.class, run, from)
    })
    .collect()
}

/// What could not be recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) readings: u64,
    pub(crate) alarm_events: u64,
}

impl Lost {
    /// All that is in a body.
    fn add(&mut self, body: &Body) {
        match body {
            Body::Readings(readings) => self.readings += readings.len() as u64,
            Body::Alarms(events) => self.alarm_events += events.len() as u64,
            _ => {}
        }
    }
}

/// Seals what was sampled: one envelope per class, alarms apart, nothing into a stream that is `closed`.
/// Notes what could not be.
pub(crate) fn seal(
    sealers: &mut [Sealer],
    sampled: Sampled,
    clock: ClockQuality,
    closed: impl Fn(&StreamId) -> bool,
    out: &mut Vec<(bool, Sealed)>,
    lost: &mut Lost,
) {
    let mut bodies = Vec::new();
    if !sampled.alarms.is_empty() {
        bodies.push((Class::Alarms, Body::Alarms(sampled.alarms)));
    }
    if !sampled.confirmations.is_empty() {
        bodies.push((Class::Alarms, Body::Confirmations(sampled.confirmations)));
    }
    for class in [Class::Vitals, Class::Environment] {
        let readings: Vec<Reading> =
            sampled.readings.iter().filter(|reading| reading.metric.info().class == class).copied().collect();
        if !readings.is_empty() {
            bodies.push((class, Body::Readings(readings)));
        }
    }
    for (class, body) in bodies {
        let Some(sealer) = sealers.iter_mut().find(|sealer| sealer.class() == class) else {
            tracing::warn!(class = class.word(), "No stream was paired for class {}", class.word());
            lost.add(&body);
            continue;
        };
        if closed(&sealer.stream()) {
            lost.add(&body);
            continue;
        }
        match sealer.seal(&body, clock) {
            Ok(sealed) => out.push((class == Class::Alarms, sealed)),
            Err(why) => {
                lost.add(&body);
                tracing::error!(%why, class = class.word(), "Could not seal: {why}");
            }
        }
    }
}
