//! The gateway's own keys and what pairing gave it, in files that only their owner can read.

use crate::files;
use device::Sealer;
use device::pairing::{self, Identity, UnwrapError};
use durable::{Disk, Os};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use vitals::cbor::{NotCanonical, Reader, Writer};
use vitals::ids::Class;
use vitals::keys::ChainKey;
use vitals::pairing::{BOARDS_MAX, PairingAnswer, PairingRequest, StreamKey};
use vitals::proof::genesis::GenesisDocument;
use vitals::{DeviceId, Genesis, StreamId};
use zeroize::Zeroizing;

const GATEWAY_KEY: &str = "gateway.key";
const ANSWER: &str = "pairing.answer";
const STREAMS: &str = "streams.key";
const SEED_BYTES: usize = 64;
const STREAMS_VERSION: u64 = 1;

/// Why keys or pairing cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The disk failed, or a file is damaged.
    #[error("{path}: {source}")]
    File {
        /// File.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// More boards than a gateway carries.
    #[error("a gateway carries at most {BOARDS_MAX} boards, not {0}")]
    TooManyBoards(usize),
    /// `first_boot` has not been run.
    #[error("this gateway has no keys yet: start its first boot")]
    NoKeys,
    /// A file that pairing left is gone.
    #[error("{0} is gone: put it back, or take this gateway out of service and pair a new one")]
    Gone(PathBuf),
    /// `accept` has not been run.
    #[error("this gateway is not paired yet: give it its organisation's answer")]
    NotPaired,
    /// The configuration names more boards than were paired.
    #[error("{configured} boards are configured but {paired} were paired: pair again")]
    Boards {
        /// In the configuration.
        configured: usize,
        /// At pairing.
        paired: usize,
    },
    /// The answer is no pairing answer, or its signature does not hold.
    #[error("the pairing answer is malformed or its signature does not hold: {0}")]
    Answer(#[from] NotCanonical),
    /// The answer comes from another organisation.
    #[error("the pairing answer is signed by another organisation than the one expected")]
    ForeignOrganisation,
    /// The answer is for another gateway.
    #[error("the pairing answer is for gateway {0}")]
    ForeignGateway(DeviceId),
    /// The answer names a sensor this gateway does not have.
    #[error("the pairing answer names sensor {0}, which this gateway does not have")]
    ForeignSensor(DeviceId),
    /// A chain key does not open.
    #[error("stream {stream}: {why}")]
    Unwrap {
        /// Stream.
        stream: StreamId,
        /// Why.
        why: UnwrapError,
    },
    /// The answer would take a stream's key back in time, or the gateway to another ledger.
    #[error("the pairing answer is older than what this gateway holds, or for another ledger: {0}")]
    Regression(String),
}

/// What a paired gateway is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paired {
    /// The ledger it trusts.
    pub genesis: Genesis,
    /// The home organisation's record key, pinned.
    pub record_key: [u8; 32],
    /// Its own id.
    pub gateway: DeviceId,
    /// Its sensors in board order.
    pub sensors: Vec<DeviceId>,
    /// The streams they write.
    pub streams: Vec<(DeviceId, StreamId, Class)>,
}

/// One stream's key as it stands.
#[derive(Debug, Clone)]
pub(crate) struct StreamState {
    pub(crate) author: DeviceId,
    pub(crate) class: Class,
    pub(crate) epoch: u32,
    pub(crate) chain: ChainKey,
}

/// Everything a start needs.
pub(crate) struct Loaded {
    pub(crate) gateway: DeviceId,
    pub(crate) gateway_seed: Zeroizing<[u8; 32]>,
    pub(crate) record_key: [u8; 32],
    pub(crate) document: GenesisDocument,
    pub(crate) sensors: Vec<Identity>,
    pub(crate) streams: BTreeMap<StreamId, StreamState>,
    /// A journal segment known to exist.
    pub(crate) journal_newest: u32,
}

fn keys_dir(dir: &Path) -> PathBuf {
    dir.join("keys")
}

fn file(path: &Path) -> impl FnOnce(io::Error) -> KeyError + '_ {
    move |source| KeyError::File { path: path.to_owned(), source }
}

fn sensor_file(dir: &Path, n: usize) -> PathBuf {
    keys_dir(dir).join(format!("sensor-{n:02}.key"))
}

fn read_seeds(path: &Path) -> Result<Option<Zeroizing<[u8; SEED_BYTES]>>, KeyError> {
    let Some(body) = files::read(path).map_err(file(path))?.map(Zeroizing::new) else { return Ok(None) };
    let seeds = body.as_slice().try_into().map_err(|_| {
        file(path)(io::Error::new(io::ErrorKind::InvalidData, "the file does not hold two keys"))
    })?;
    Ok(Some(Zeroizing::new(seeds)))
}

fn identity(seeds: &[u8; SEED_BYTES]) -> Identity {
    let (mut signing, mut wrap) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
    signing.copy_from_slice(&seeds[..32]);
    wrap.copy_from_slice(&seeds[32..]);
    Identity::from_seeds(&signing, &wrap)
}

fn made_or_read(path: &Path, entropy: &mut dyn FnMut(&mut [u8])) -> Result<Identity, KeyError> {
    if let Some(seeds) = read_seeds(path)? {
        return Ok(identity(&seeds));
    }
    let mut seeds = Zeroizing::new([0; SEED_BYTES]);
    entropy(&mut *seeds);
    files::replace(path, &*seeds).map_err(file(path))?;
    Ok(identity(&seeds))
}

/// Makes the gateway's keys and one sensor's per board, or reads those that are there, and gives the
/// request that the home organisation answers. The same folder gives the same request.
pub fn first_boot(
    dir: &Path,
    boards: usize,
    entropy: &mut dyn FnMut(&mut [u8]),
) -> Result<PairingRequest, KeyError> {
    first_boot_every(dir, boards, None, entropy)
}

/// The same for sensors that send less often than every second: at least once in `interval_ms`.
pub fn first_boot_every(
    dir: &Path,
    boards: usize,
    interval_ms: Option<u64>,
    entropy: &mut dyn FnMut(&mut [u8]),
) -> Result<PairingRequest, KeyError> {
    if boards > BOARDS_MAX {
        return Err(KeyError::TooManyBoards(boards));
    }
    let keys = keys_dir(dir);
    Os.make_folder(&keys).map_err(file(&keys))?;
    let gateway = made_or_read(&keys.join(GATEWAY_KEY), entropy)?;
    let sensors: Vec<Identity> =
        (0..boards).map(|n| made_or_read(&sensor_file(dir, n), entropy)).collect::<Result<_, _>>()?;
    pairing::request_every(&gateway, &sensors, interval_ms).ok_or(KeyError::TooManyBoards(boards))
}

fn read_sensors(dir: &Path) -> Result<Vec<Identity>, KeyError> {
    let mut sensors = Vec::new();
    while sensors.len() < BOARDS_MAX
        && let Some(seeds) = read_seeds(&sensor_file(dir, sensors.len()))?
    {
        sensors.push(identity(&seeds));
    }
    Ok(sensors)
}

/// Checks the home organisation's answer and keeps it: the signature, the organisation if one is
/// expected, that it is for this gateway and its sensors, and that each chain key opens to what the
/// organisation committed to. The same answer again changes nothing; an older one is refused.
pub fn accept(dir: &Path, answer: &[u8], expected_record_key: Option<[u8; 32]>) -> Result<Paired, KeyError> {
    let keys = keys_dir(dir);
    let gateway = read_seeds(&keys.join(GATEWAY_KEY))?.ok_or(KeyError::NoKeys)?;
    let gateway = identity(&gateway);
    let sensors = read_sensors(dir)?;
    let decoded = PairingAnswer::decode(answer)?;
    if expected_record_key.is_some_and(|expected| expected != decoded.record_key) {
        return Err(KeyError::ForeignOrganisation);
    }
    if decoded.gateway != gateway.id() {
        return Err(KeyError::ForeignGateway(decoded.gateway));
    }
    GenesisDocument::decode(&decoded.genesis_document)?;
    let genesis = decoded.genesis();
    let (mut streams, newest) = match read_answer(dir)? {
        Some(old) if old.genesis() != genesis => {
            return Err(KeyError::Regression("it names another genesis".into()));
        }
        // Another organisation's proofs must not make the journal forget what this one was sent,
        // unless the operator who pairs again names its key.
        Some(old) if old.record_key != decoded.record_key && expected_record_key.is_none() => {
            return Err(KeyError::ForeignOrganisation);
        }
        Some(_) => read_streams(dir)?,
        None => (BTreeMap::new(), 0),
    };
    for key in &decoded.streams {
        let sensor = sensors.iter().find(|sensor| sensor.id() == key.author);
        let sensor = sensor.ok_or(KeyError::ForeignSensor(key.author))?;
        let chain =
            sensor.unwrap_chain(key, genesis).map_err(|why| KeyError::Unwrap { stream: key.stream, why })?;
        take(&mut streams, key, chain)?;
    }
    write_streams(&Os, dir, &streams, newest)?;
    let path = keys.join(ANSWER);
    files::replace(&path, answer).map_err(file(&path))?;
    Ok(Paired {
        genesis,
        record_key: decoded.record_key,
        gateway: gateway.id(),
        sensors: sensors.iter().map(Identity::id).collect(),
        streams: streams.iter().map(|(stream, state)| (state.author, *stream, state.class)).collect(),
    })
}

/// A chain key never goes back: what the device has stepped over it has forgotten for good.
fn take(
    streams: &mut BTreeMap<StreamId, StreamState>,
    key: &StreamKey,
    chain: ChainKey,
) -> Result<(), KeyError> {
    let new = StreamState { author: key.author, class: key.class, epoch: key.epoch, chain };
    let Some(held) = streams.get(&key.stream) else {
        streams.insert(key.stream, new);
        return Ok(());
    };
    if held.author != key.author || held.class != key.class {
        return Err(KeyError::Regression(format!("stream {} changed its author or class", key.stream)));
    }
    // The same key seen from an earlier day is the same answer again; the stepped one is kept.
    let same = held
        .epoch
        .checked_sub(new.epoch)
        .and_then(|steps| new.chain.forward(steps))
        .is_some_and(|chain| chain.commitment() == held.chain.commitment());
    if same {
        return Ok(());
    }
    if new.epoch <= held.epoch {
        return Err(KeyError::Regression(format!(
            "stream {} would go back to day {}",
            key.stream, new.epoch
        )));
    }
    streams.insert(key.stream, new);
    Ok(())
}

fn read_answer(dir: &Path) -> Result<Option<PairingAnswer>, KeyError> {
    let path = keys_dir(dir).join(ANSWER);
    let Some(bytes) = files::read(&path).map_err(file(&path))? else { return Ok(None) };
    Ok(Some(PairingAnswer::decode(&bytes)?))
}

/// Replaces the streams' keys; what they were before is gone from the file.
pub(crate) fn write_streams(
    disk: &dyn Disk,
    dir: &Path,
    streams: &BTreeMap<StreamId, StreamState>,
    journal_newest: u32,
) -> Result<(), KeyError> {
    let mut w = Writer::new();
    w.array(3).uint(STREAMS_VERSION).uint(u64::from(journal_newest)).array(streams.len());
    for (stream, state) in streams {
        w.array(5).bytes(&stream.0).bytes(&state.author.0).uint(u64::from(state.class.code()));
        w.uint(u64::from(state.epoch)).bytes(state.chain.expose());
    }
    let path = keys_dir(dir).join(STREAMS);
    let body = Zeroizing::new(w.finish());
    files::replace_on(disk, &path, &body).map_err(file(&path))
}

/// Notes the chain keys that have stepped since; true if one has, and [`write_streams`] is due.
pub(crate) fn note_steps<'a>(
    streams: &mut BTreeMap<StreamId, StreamState>,
    sealers: impl Iterator<Item = &'a Sealer>,
) -> bool {
    let mut stepped = false;
    for sealer in sealers {
        let (state, now) = (streams.get_mut(&sealer.stream()), sealer.state());
        if let Some(state) = state.filter(|state| state.epoch != now.epoch) {
            state.epoch = now.epoch;
            state.chain = now.chain.clone();
            stepped = true;
        }
    }
    stepped
}

/// The gateway's seed for Ed25519: what its TLS certificate is made from.
pub(crate) fn gateway_seed(dir: &Path) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let seeds = read_seeds(&keys_dir(dir).join(GATEWAY_KEY))?.ok_or(KeyError::NoKeys)?;
    let mut seed = Zeroizing::new([0; 32]);
    seed.copy_from_slice(&seeds[..32]);
    Ok(seed)
}

fn read_streams(dir: &Path) -> Result<(BTreeMap<StreamId, StreamState>, u32), KeyError> {
    let path = keys_dir(dir).join(STREAMS);
    let body = files::read(&path).map_err(file(&path))?.map(Zeroizing::new).ok_or(KeyError::NotPaired)?;
    let mut r = Reader::new(&body);
    r.array(3)?;
    r.exactly(STREAMS_VERSION)?;
    let newest = r.u32()?;
    let streams = r.list(BOARDS_MAX * Class::ALL.len(), |r| {
        r.array(5)?;
        let stream = StreamId(r.fixed()?);
        let author = DeviceId(r.fixed()?);
        let class = Class::from_code(r.u8()?).ok_or(NotCanonical::Unexpected)?;
        let (epoch, chain) = (r.u32()?, ChainKey::new(r.fixed()?));
        Ok((stream, StreamState { author, class, epoch, chain }))
    })?;
    r.end()?;
    Ok((streams.into_iter().collect(), newest))
}

/// What first boot and pairing left stands together: where one file alone is missing, it was lost.
fn nothing_gone(dir: &Path) -> Result<(), KeyError> {
    let files = [GATEWAY_KEY, ANSWER, STREAMS].map(|name| keys_dir(dir).join(name));
    let missing: Vec<PathBuf> = files.into_iter().filter(|file| !file.exists()).collect();
    match <[PathBuf; 1]>::try_from(missing) {
        Ok([file]) => Err(KeyError::Gone(file)),
        Err(_) => Ok(()),
    }
}

pub(crate) fn load(dir: &Path, boards: usize) -> Result<Loaded, KeyError> {
    nothing_gone(dir)?;
    let gateway_seed = gateway_seed(dir)?;
    let answer = read_answer(dir)?.ok_or(KeyError::NotPaired)?;
    let sensors = read_sensors(dir)?;
    let known = |author: DeviceId| sensors.iter().any(|sensor| sensor.id() == author);
    if !answer.streams.iter().all(|key| known(key.author)) {
        return Err(KeyError::Gone(sensor_file(dir, sensors.len())));
    }
    if boards > sensors.len() {
        return Err(KeyError::Boards { configured: boards, paired: sensors.len() });
    }
    let (streams, journal_newest) = read_streams(dir)?;
    Ok(Loaded {
        gateway: answer.gateway,
        gateway_seed,
        record_key: answer.record_key,
        document: GenesisDocument::decode(&answer.genesis_document)?,
        sensors,
        streams,
        journal_newest,
    })
}
