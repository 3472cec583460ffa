//! Gateways with sealed envelopes ready to send: realistic in size and content, made before anything
//! is measured.

use anyhow::{Context, Result};
use device::{Identity, Sealer, SealerState};
use vitals::body::Body;
use vitals::envelope::ClockQuality;
use vitals::ids::{Class, Hash, StreamId, sha256};
use vitals::metric::{Metric, Reading, Sample};
use vitals::pairing::PairingAnswer;
use vitals::{DeviceId, Genesis};

/// Readings of one envelope: two values a second for this long.
pub(crate) const SECONDS_PER_ENVELOPE: u64 = 10;

/// The load tells of hours ago, as a gateway does that was away: nothing in it is from the future.
const BEHIND_MS: u64 = 8 * 3_600_000;

/// A sensor and its stream of vital signs.
pub(crate) struct Sensor {
    number: usize,
    pub(crate) identity: Identity,
    sealer: Option<Sealer>,
    next_ms: u64,
}

/// A gateway and the sensors it carries.
pub(crate) struct Gateway {
    pub(crate) number: usize,
    pub(crate) identity: Identity,
    pub(crate) sensors: Vec<Sensor>,
    turn: usize,
}

/// Seed of a made-up key.
pub(crate) fn seed(what: &str, number: usize) -> [u8; 32] {
    sha256(&[b"aceso/bench/v1", what.as_bytes(), &(number as u64).to_be_bytes()])
}

fn identity(what: &str, number: usize) -> Identity {
    Identity::from_seeds(&seed(what, number), &sha256(&[b"wrap", &seed(what, number)]))
}

impl Gateway {
    pub(crate) fn new(number: usize, sensors: usize, now_ms: u64) -> Self {
        let start_ms = now_ms - BEHIND_MS;
        let sensor = |at: usize| {
            let number = number * sensors + at;
            Sensor { number, identity: identity("sensor", number), sealer: None, next_ms: start_ms }
        };
        let sensors = (0..sensors).map(sensor).collect();
        Self { number, identity: identity("gateway", number), sensors, turn: 0 }
    }

    /// Seed of the key its TLS certificate holds.
    pub(crate) fn seed(&self) -> [u8; 32] {
        seed("gateway", self.number)
    }

    pub(crate) fn request(&self) -> Result<Vec<u8>> {
        let sensors: Vec<Identity> =
            self.sensors.iter().map(|sensor| identity("sensor", sensor.number)).collect();
        Ok(device::pairing::request(&self.identity, &sensors).context("few enough boards")?.encode())
    }

    /// Takes the answer. Each sensor goes on where `stored` says that its stream ends: how many
    /// envelopes, and the hash of the last.
    pub(crate) fn accept(
        &mut self,
        answer: &[u8],
        mut stored: impl FnMut(Genesis, DeviceId, StreamId) -> Result<(u64, Hash)>,
    ) -> Result<()> {
        let answer = PairingAnswer::decode(answer).map_err(|why| anyhow::anyhow!("the answer: {why}"))?;
        let genesis = answer.genesis();
        for sensor in &mut self.sensors {
            let id = sensor.identity.id();
            let mut keys = answer.streams.iter();
            let key = keys.find(|key| key.author == id && key.class == Class::Vitals);
            let key = key.context("the answer names the sensor's stream")?;
            let chain = sensor.identity.unwrap_chain(key, genesis).map_err(|why| anyhow::anyhow!("{why}"))?;
            let (next_seq, prev) = stored(genesis, id, key.stream)?;
            let state = SealerState { chain, epoch: key.epoch, next_seq, prev };
            let mut run = [0; 16];
            run.copy_from_slice(&seed("run", sensor.number)[..16]);
            let signing = sensor.identity.signing_key();
            sensor.sealer = Some(Sealer::new(genesis, signing, key.stream, key.class, run, state));
        }
        Ok(())
    }

    /// Key of the sensor that sealed last.
    pub(crate) fn last_author(&self) -> [u8; 32] {
        self.sensors[self.turn].identity.keys().key
    }

    /// Seals the next `count` envelopes, of one sensor after the other.
    pub(crate) fn seal(&mut self, count: usize) -> Result<Vec<Vec<u8>>> {
        (0..count)
            .map(|_| {
                self.turn = (self.turn + 1) % self.sensors.len();
                self.sensors[self.turn].seal()
            })
            .collect()
    }
}

impl Sensor {
    fn seal(&mut self) -> Result<Vec<u8>> {
        let sealer = self.sealer.as_mut().context("paired before")?;
        let mut readings = Vec::new();
        for second in 0..SECONDS_PER_ENVELOPE {
            let at_ms = self.next_ms + second * 1_000;
            let wobble = i32::try_from((at_ms / 1_000 * 7 + self.number as u64 * 13) % 60)?;
            let mut reading =
                |metric, raw| readings.push(Reading { metric, at_ms, sample: Sample::Measured(raw) });
            reading(Metric::HeartRate, 690 + wobble);
            reading(Metric::BodyTemperature, 3_670 + wobble / 6);
        }
        self.next_ms += SECONDS_PER_ENVELOPE * 1_000;
        let sealed = sealer.seal(&Body::Readings(readings), ClockQuality::Synced);
        Ok(sealed.map_err(|why| anyhow::anyhow!("{why}"))?.bytes)
    }
}

/// Seals `each` envelopes for every gateway, on all processors.
pub(crate) fn seal_all(gateways: &mut [Gateway], each: usize) -> Result<Vec<Vec<Vec<u8>>>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = gateways.len().div_ceil(cores).max(1);
    std::thread::scope(|scope| {
        let workers: Vec<_> = gateways
            .chunks_mut(share)
            .map(|some| {
                scope.spawn(move || some.iter_mut().map(|one| one.seal(each)).collect::<Result<Vec<_>>>())
            })
            .collect();
        let mut all = Vec::new();
        for worker in workers {
            all.extend(worker.join().map_err(|_| anyhow::anyhow!("a sealing thread panicked"))??);
        }
        Ok(all)
    })
}
