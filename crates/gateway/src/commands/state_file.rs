//! The file that keeps a bedside's commands, sealed to its sensor.

use super::{METRICS_MAX, Ordered};
use crate::{Entropy, files};
use device::pairing::Identity;
use durable::Disk;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use vitals::Metric;
use vitals::alarm::Limits;
use vitals::cbor::{NotCanonical, Reader, Writer};

const VERSION: u64 = 1;
/// What the file is sealed for.
const INFO: &[u8] = b"aceso/commands-file/v1";

/// What a bedside knows of its commands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) highest_seq: u64,
    /// Commands from before this time are refused: which of them were seen is not known any more.
    pub(super) not_before_ms: u64,
    pub(super) limits: BTreeMap<Metric, Ordered>,
}

impl State {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.array(4).uint(VERSION).uint(self.highest_seq).uint(self.not_before_ms).array(self.limits.len());
        for ordered in self.limits.values() {
            w.array(4).uint(ordered.seq).bytes(&ordered.command).uint(ordered.until_ms);
            ordered.limits.write(&mut w);
        }
        w.finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, NotCanonical> {
        let mut r = Reader::new(bytes);
        r.array(4)?;
        r.exactly(VERSION)?;
        let (highest_seq, not_before_ms) = (r.uint()?, r.uint()?);
        let limits = r.list(METRICS_MAX, |r| {
            r.array(4)?;
            let (seq, command, until_ms) = (r.uint()?, r.fixed()?, r.uint()?);
            let limits = Limits::read(r)?;
            Ok((limits.metric, Ordered { limits, seq, command, until_ms }))
        })?;
        r.end()?;
        Ok(Self { highest_seq, not_before_ms, limits: limits.into_iter().collect() })
    }
}

/// The state in the file; the inner error says why it is not readable. A bedside without a file has had
/// no commands.
pub(super) fn read(disk: &dyn Disk, path: &Path, sensor: &Identity) -> io::Result<Result<State, String>> {
    let sealed = match files::read_on(disk, path) {
        Ok(None) => return Ok(Ok(State::default())),
        Ok(Some(sealed)) => sealed,
        Err(why) if why.kind() == io::ErrorKind::InvalidData => return Ok(Err(why.to_string())),
        Err(why) => return Err(why),
    };
    let Some(bytes) = sensor.open_for_self(INFO, &sealed) else {
        return Ok(Err("it is not sealed to this sensor".into()));
    };
    Ok(State::decode(&bytes).map_err(|why| why.to_string()))
}

/// Replaces the file.
pub(super) fn write(
    disk: &dyn Disk,
    path: &Path,
    sensor: &Identity,
    state: &State,
    entropy: &Entropy,
) -> io::Result<()> {
    let sealed = sensor.seal_for_self(INFO, &state.encode(), &mut |out| entropy(out));
    let sealed = sealed.ok_or_else(|| io::Error::other("the sensor's key seals nothing"))?;
    files::replace_on(disk, path, &sealed)
}
