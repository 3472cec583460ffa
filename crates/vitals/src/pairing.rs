//! Pairing: a gateway shows the keys it made; its home organisation answers with the streams its
//! sensors may write and their chain keys, wrapped (HPKE) to the sensors' own keys.

use crate::cbor::{self, NotCanonical, Reader, Writer};
use crate::cose::{self, Domain};
use crate::envelope::EPOCH_MAX;
use crate::ids::{Class, DeviceId, Genesis, StreamId};
use alloc::{collections::BTreeSet, vec::Vec};

const VERSION: u64 = 1;
/// Of a request that announces how often its sensors send.
const VERSION_INTERVAL: u64 = 2;
/// The shortest interval that can be announced, milliseconds.
pub const INTERVAL_MS_MIN: u64 = 1_000;
/// The longest.
pub const INTERVAL_MS_MAX: u64 = 3_600_000;
/// Most boards on one gateway.
pub const BOARDS_MAX: usize = 64;
/// Longest request or answer, bytes.
pub const PAIRING_BYTES_MAX: usize = 256 * 1024;
/// HPKE `info` of a wrapped chain key: label ‖ genesis ‖ stream ‖ recipient ‖ epoch (u32 be).
pub const WRAP_LABEL: &[u8] = b"aceso/wrap/v1";

/// The public half of a device's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceKeys {
    /// Ed25519.
    pub key: [u8; 32],
    /// X25519.
    pub wrap_key: [u8; 32],
}

impl DeviceKeys {
    /// The device's id.
    #[must_use]
    pub fn id(&self) -> DeviceId {
        DeviceId::of(&self.key)
    }
}

/// "These keys are mine": signed by the gateway and by each sensor over the same payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairingRequest {
    /// The gateway's keys.
    pub gateway: DeviceKeys,
    /// One sensor per board, in board order.
    pub sensors: Vec<DeviceKeys>,
    /// How often each sensor sends at least, milliseconds, from [`INTERVAL_MS_MIN`] to
    /// [`INTERVAL_MS_MAX`]; every second unless announced otherwise.
    pub interval_ms: Option<u64>,
    /// The gateway's signature, then each sensor's, over [`Self::payload`].
    pub signatures: Vec<[u8; 64]>,
}

impl PairingRequest {
    /// The payload every key signs. Pairing comes before the device knows its ledger, so the genesis
    /// hash in the signature's external data is zero.
    #[must_use]
    pub fn payload(gateway: &DeviceKeys, sensors: &[DeviceKeys], interval_ms: Option<u64>) -> Vec<u8> {
        let mut w = Writer::new();
        match interval_ms {
            None => w.array(3).uint(VERSION),
            Some(_) => w.array(4).uint(VERSION_INTERVAL),
        };
        w.array(2).bytes(&gateway.key).bytes(&gateway.wrap_key);
        w.array(sensors.len());
        for sensor in sensors {
            w.array(2).bytes(&sensor.key).bytes(&sensor.wrap_key);
        }
        if let Some(interval_ms) = interval_ms {
            w.uint(interval_ms);
        }
        w.finish()
    }

    /// The bytes each key signs.
    #[must_use]
    pub fn to_be_signed(gateway: &DeviceKeys, sensors: &[DeviceKeys], interval_ms: Option<u64>) -> Vec<u8> {
        let payload = Self::payload(gateway, sensors, interval_ms);
        cose::to_be_signed(Domain::PairingRequest, Genesis([0; 32]), &payload)
    }

    /// The wire form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.array(2)
            .bytes(&Self::payload(&self.gateway, &self.sensors, self.interval_ms))
            .array(self.signatures.len());
        for signature in &self.signatures {
            w.bytes(signature);
        }
        w.finish()
    }

    /// Reads the wire form and checks that every key is strong, stands there once and signed it.
    pub fn decode(bytes: &[u8]) -> Result<Self, NotCanonical> {
        cbor::bounded(bytes, PAIRING_BYTES_MAX)?;
        let mut r = Reader::new(bytes);
        r.array(2)?;
        let payload = r.bytes(PAIRING_BYTES_MAX)?;
        let signatures = r.list(BOARDS_MAX + 1, |r| r.fixed::<64>())?;
        r.end()?;
        let mut p = Reader::new(payload);
        let announces = match (p.any_array()?, p.uint()?) {
            (3, VERSION) => false,
            (4, VERSION_INTERVAL) => true,
            _ => return Err(NotCanonical::Unexpected),
        };
        let gateway = read_keys(&mut p)?;
        let sensors = p.list(BOARDS_MAX, read_keys)?;
        let interval_ms = if announces { Some(p.uint_max(INTERVAL_MS_MAX)?) } else { None };
        p.end()?;
        if interval_ms.is_some_and(|interval_ms| interval_ms < INTERVAL_MS_MIN) {
            return Err(NotCanonical::Unexpected);
        }
        let signed = Self::to_be_signed(&gateway, &sensors, interval_ms);
        let keys = core::iter::once(&gateway).chain(&sensors);
        let different: BTreeSet<&[u8; 32]> = keys.clone().map(|keys| &keys.key).collect();
        if different.len() != sensors.len() + 1 {
            return Err(NotCanonical::Order);
        }
        let all_signed = signatures.len() == sensors.len() + 1
            && keys
                .zip(&signatures)
                .all(|(keys, sig)| cose::is_strong(&keys.key) && cose::verify_raw(&keys.key, &signed, sig));
        if all_signed {
            Ok(Self { gateway, sensors, interval_ms, signatures })
        } else {
            Err(NotCanonical::Signature)
        }
    }
}

fn read_keys(r: &mut Reader<'_>) -> Result<DeviceKeys, NotCanonical> {
    r.array(2)?;
    Ok(DeviceKeys { key: r.fixed()?, wrap_key: r.fixed()? })
}

/// One stream a sensor may write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamKey {
    /// The sensor.
    pub author: DeviceId,
    /// The stream.
    pub stream: StreamId,
    /// Its class.
    pub class: Class,
    /// Epoch at whose start the wrapped chain key stands.
    pub epoch: u32,
    /// [`crate::keys::ChainKey::commitment`].
    pub commitment: [u8; 32],
    /// HPKE encapsulated key.
    pub encapsulated: [u8; 32],
    /// HPKE ciphertext of the chain key (32 bytes and a 16-byte tag).
    pub wrapped: [u8; 48],
}

/// The home organisation's answer; signed by its record key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairingAnswer {
    /// Genesis document bytes; the device pins their hash.
    pub genesis_document: Vec<u8>,
    /// The organisation's record key.
    pub record_key: [u8; 32],
    /// The gateway answered.
    pub gateway: DeviceId,
    /// Streams of all its sensors.
    pub streams: Vec<StreamKey>,
    /// Signature by the record key over [`Self::payload`].
    pub signature: [u8; 64],
}

impl PairingAnswer {
    /// The ledger it belongs to.
    #[must_use]
    pub fn genesis(&self) -> Genesis {
        crate::proof::genesis::GenesisDocument::hash_of(&self.genesis_document)
    }

    /// The signed bytes' payload.
    #[must_use]
    pub fn payload(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.array(5).uint(VERSION).bytes(&self.genesis_document).bytes(&self.record_key);
        w.bytes(&self.gateway.0).array(self.streams.len());
        for s in &self.streams {
            w.array(7).bytes(&s.author.0).bytes(&s.stream.0).uint(u64::from(s.class.code()));
            w.uint(u64::from(s.epoch)).bytes(&s.commitment).bytes(&s.encapsulated).bytes(&s.wrapped);
        }
        w.finish()
    }

    /// The bytes the record key signs.
    #[must_use]
    pub fn to_be_signed(&self) -> Vec<u8> {
        cose::to_be_signed(Domain::PairingAnswer, self.genesis(), &self.payload())
    }

    /// The wire form: a COSE_Sign1 over the payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        cose::write(&mut w, &self.payload(), &self.signature);
        w.finish()
    }

    /// Reads the wire form and checks its signature by the record key it names; the caller decides
    /// whether that key is the organisation it meant to pair with.
    pub fn decode(bytes: &[u8]) -> Result<Self, NotCanonical> {
        cbor::bounded(bytes, PAIRING_BYTES_MAX)?;
        let mut r = Reader::new(bytes);
        let (payload, signature) = cose::read(&mut r, PAIRING_BYTES_MAX)?;
        r.end()?;
        let mut p = Reader::new(payload);
        p.array(5)?;
        p.exactly(VERSION)?;
        let answer = Self {
            genesis_document: p.bytes(crate::proof::genesis::GENESIS_BYTES_MAX)?.to_vec(),
            record_key: p.fixed()?,
            gateway: DeviceId(p.fixed()?),
            streams: p.list(BOARDS_MAX * Class::ALL.len(), |p| {
                p.array(7)?;
                Ok(StreamKey {
                    author: DeviceId(p.fixed()?),
                    stream: StreamId(p.fixed()?),
                    class: Class::from_code(p.u8()?).ok_or(NotCanonical::Unexpected)?,
                    epoch: u32::try_from(p.uint_max(u64::from(EPOCH_MAX))?)
                        .map_err(|_| NotCanonical::TooLong)?,
                    commitment: p.fixed()?,
                    encapsulated: p.fixed()?,
                    wrapped: p.fixed()?,
                })
            })?,
            signature,
        };
        p.end()?;
        let different: BTreeSet<StreamId> = answer.streams.iter().map(|stream| stream.stream).collect();
        if different.len() != answer.streams.len() {
            return Err(NotCanonical::Order);
        }
        let signed = cose::is_strong(&answer.record_key)
            && cose::verify_raw(&answer.record_key, &answer.to_be_signed(), &signature);
        if signed { Ok(answer) } else { Err(NotCanonical::Signature) }
    }
}

/// The HPKE `info` under which a chain key is wrapped.
#[must_use]
pub fn wrap_info(genesis: Genesis, stream: StreamId, recipient: DeviceId, epoch: u32) -> Vec<u8> {
    [WRAP_LABEL, &genesis.0, &stream.0, &recipient.0, &epoch.to_be_bytes()].concat()
}
