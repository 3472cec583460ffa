//! Ready sealed envelopes of many patients, for benchmarks and crash tests. All keys follow from a
//! seed: never use them for a real patient.

use device::{Identity, Sealed, Sealer, SealerState};
use vitals::body::Body;
use vitals::envelope::ClockQuality;
use vitals::ids::{Class, Hash, binding, sha256};
use vitals::keys::{ChainKey, epoch_of};
use vitals::metric::{Metric, Reading, Sample};
use vitals::{DeviceId, Genesis, PatientId, StreamId};

/// One made-up patient's sensor and its stream of vital signs.
#[derive(Debug)]
pub struct LoadPatient {
    /// The patient.
    pub patient: PatientId,
    /// The sensor's keys.
    pub sensor: Identity,
    /// Its stream.
    pub stream: StreamId,
    /// Salt of the binding.
    pub salt: [u8; 32],
    /// First chain key of the stream.
    pub chain: ChainKey,
    /// Day number of that key.
    pub first_epoch: u32,
}

impl LoadPatient {
    /// The commitment that binds the sensor to the patient on the ledger.
    #[must_use]
    pub fn binding(&self, genesis: Genesis) -> Hash {
        binding(genesis, self.sensor.id(), self.patient, &self.salt)
    }
}

/// An envelope of the load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Index of the patient.
    pub patient: usize,
    /// Its author.
    pub author: DeviceId,
    /// The envelope.
    pub sealed: Sealed,
}

/// Seals one envelope per patient and second, round and round.
#[derive(Debug)]
pub struct Load {
    /// The gateway that carries all sensors.
    pub gateway: Identity,
    /// The patients.
    pub patients: Vec<LoadPatient>,
    sealers: Vec<Sealer>,
    start_ms: u64,
    made: u64,
}

fn derived(seed: u64, what: &str, index: usize) -> [u8; 32] {
    sha256(&[b"aceso/load/v1", &seed.to_be_bytes(), what.as_bytes(), &(index as u64).to_be_bytes()])
}

fn identity(seed: u64, what: &str, index: usize) -> Identity {
    Identity::from_seeds(&derived(seed, what, index), &derived(seed ^ u64::MAX, what, index))
}

fn first16(hash: [u8; 32]) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&hash[..16]);
    out
}

impl Load {
    /// `patients` patients with one stream of vital signs each, from `start_ms` on.
    #[must_use]
    pub fn new(genesis: Genesis, patients: usize, seed: u64, start_ms: u64) -> Self {
        let patients: Vec<LoadPatient> = (0..patients)
            .map(|index| {
                let sensor = identity(seed, "sensor", index);
                let patient = PatientId(first16(derived(seed, "patient", index)));
                LoadPatient {
                    stream: StreamId::of(genesis, sensor.id(), patient, Class::Vitals),
                    patient,
                    salt: derived(seed, "salt", index),
                    chain: ChainKey::new(derived(seed, "chain", index)),
                    first_epoch: epoch_of(start_ms),
                    sensor,
                }
            })
            .collect();
        let sealers = patients
            .iter()
            .enumerate()
            .map(|(index, patient)| {
                let state = SealerState {
                    chain: patient.chain.clone(),
                    epoch: patient.first_epoch,
                    next_seq: 0,
                    prev: [0; 32],
                };
                let run = first16(derived(seed, "run", index));
                Sealer::new(genesis, patient.sensor.signing_key(), patient.stream, Class::Vitals, run, state)
            })
            .collect();
        Self { gateway: identity(seed, "gateway", 0), patients, sealers, start_ms, made: 0 }
    }

    /// The next `count` envelopes; each patient's are one second apart.
    pub fn envelopes(&mut self, count: usize) -> Vec<Loaded> {
        self.by_ref().take(count).collect()
    }
}

impl Iterator for Load {
    type Item = Loaded;

    fn next(&mut self) -> Option<Loaded> {
        let beds = self.sealers.len() as u64;
        let index = usize::try_from(self.made.checked_rem(beds)?).ok()?;
        let round = self.made / beds;
        let at_ms = self.start_ms + round * 1_000;
        let wobble = i32::try_from((round * 7 + index as u64 * 13) % 60).ok()?;
        let reading = |metric, raw| Reading { metric, at_ms, sample: Sample::Measured(raw) };
        let body = Body::Readings(vec![
            reading(Metric::HeartRate, 690 + wobble),
            reading(Metric::BodyTemperature, 3670 + wobble / 6),
        ]);
        let sealed = self.sealers.get_mut(index)?.seal(&body, ClockQuality::Synced).ok()?;
        self.made += 1;
        Some(Loaded { patient: index, author: sealed.header.author, sealed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vitals::envelope::Envelope;

    #[test]
    fn the_load_verifies_and_is_linked_and_the_same_twice() {
        let make = || Load::new(Genesis([4; 32]), 3, 9, 1_790_000_000_000).envelopes(10);
        let load = make();
        assert_eq!(load, make());
        let patients = Load::new(Genesis([4; 32]), 3, 9, 1_790_000_000_000).patients;
        let mut prev = [[0; 32]; 3];
        for (count, loaded) in load.iter().enumerate() {
            let envelope = Envelope::decode(&loaded.sealed.bytes).unwrap();
            let patient = &patients[loaded.patient];
            assert_eq!(loaded.patient, count % 3);
            assert!(envelope.verify(&patient.sensor.keys().key));
            assert_eq!((envelope.header.stream, envelope.header.author), (patient.stream, loaded.author));
            assert_eq!((envelope.header.seq, envelope.header.prev), (count as u64 / 3, prev[loaded.patient]));
            prev[loaded.patient] = loaded.sealed.hash;
        }
    }

    #[test]
    fn no_patients_no_load() {
        assert!(Load::new(Genesis([4; 32]), 0, 9, 0).envelopes(5).is_empty());
    }
}
