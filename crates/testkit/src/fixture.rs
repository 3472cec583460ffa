//! A ward made of fixed keys: one organisation, its ledger, log, gateway and sensors, all
//! deterministic, for tests and golden files.

pub mod committees;
mod proofs;

use ed25519_zebra::{SigningKey, VerificationKey};
use std::collections::BTreeMap;
use vitals::bundle::{BundleWriter, Counts, Opening, Sealed, SegmentWriter};
use vitals::cose::{self, Domain};
use vitals::envelope::{ClockQuality, Envelope, Header};
use vitals::ids::{Class, DeviceId, Genesis, Hash, OrgId, PatientId, StreamId, binding, sha256};
use vitals::keys::ChainKey;
use vitals::ledger::{Device, DeviceKind, Revocation};
use vitals::log::{self, MerkleLog};
use vitals::proof::Certified;
use vitals::proof::contracts;
use vitals::proof::genesis::{Founder, GenesisDocument, Predeploy};
use vitals::receipt::{Receipt, SignedHead, TreeHead};

/// 2026-11-22 12:00:00 UTC.
pub const NOON_MS: u64 = 1_795_348_800_000;

pub fn seed(label: &str, number: u64) -> [u8; 32] {
    sha256(&[b"fixture/", label.as_bytes(), &number.to_be_bytes()])
}

pub fn key(label: &str, number: u64) -> SigningKey {
    SigningKey::from(seed(label, number))
}

pub fn public(key: &SigningKey) -> [u8; 32] {
    VerificationKey::from(key).into()
}

pub fn sign(key: &SigningKey, domain: Domain, genesis: Genesis, payload: &[u8]) -> [u8; 64] {
    key.sign(&cose::to_be_signed(domain, genesis, payload)).to_bytes()
}

fn short(hash: Hash) -> [u8; 16] {
    hash[..16].try_into().unwrap()
}

/// One stream being written.
pub struct Stream {
    pub author: SigningKey,
    pub class: Class,
    pub id: StreamId,
    pub next_seq: u64,
    pub prev: Hash,
}

/// The ward of the golden bundle.
pub fn small() -> Ward {
    filled(Ward::new(4, 1))
}

/// A ward with the eight envelopes of the golden bundles.
pub fn filled(mut ward: Ward) -> Ward {
    let mut vitals = ward.stream(0, Class::Vitals);
    let mut room = ward.stream(0, Class::Environment);
    let mut access = ward.node_stream(0, Class::Access);
    for _ in 0..3 {
        ward.admit(&mut vitals, 24);
        ward.admit(&mut room, 19);
    }
    ward.admit(&mut access, 17);
    ward.admit(&mut access, 17);
    ward
}

/// The ward.
pub struct Ward {
    pub document: GenesisDocument,
    pub validators: Vec<SigningKey>,
    pub record: SigningKey,
    pub gateway: SigningKey,
    pub sensors: Vec<SigningKey>,
    pub devices: BTreeMap<DeviceId, Device>,
    pub log: MerkleLog,
    /// Envelope bytes by (stream, seq), with their leaf's index.
    pub stored: BTreeMap<(StreamId, u64), (Vec<u8>, u64)>,
    pub org_active: bool,
    /// The validators that certify now, in the committee's order.
    pub standing: Vec<SigningKey>,
    /// The headers that changed the committee.
    pub changes: Vec<Certified>,
}

impl Ward {
    /// A ward of this many validators and sensors, with nothing admitted.
    pub fn new(validators: u64, sensors: u64) -> Self {
        Self::founded(validators, sensors, |_| {})
    }

    /// A ward whose genesis document is changed before anything is signed under it.
    pub fn founded(validators: u64, sensors: u64, change: impl Fn(&mut GenesisDocument)) -> Self {
        let mut validators: Vec<SigningKey> = (0..validators).map(|n| key("validator", n)).collect();
        validators.sort_by_key(public);
        let record = key("record", 0);
        let predeploy = |name: &str, low: u8| {
            let mut address = [0; 20];
            address[18..].copy_from_slice(&[0xac, low]);
            Predeploy { name: String::from(name), address, code: seed(name, 0) }
        };
        let mut document = GenesisDocument {
            chain_id: 2026,
            name: String::from("Ward 7"),
            time_ms: NOON_MS - 3_600_000,
            epoch_blocks: 1 << 40,
            committee: validators.iter().map(public).collect(),
            operators: vec![],
            founders: vec![Founder { record_key: public(&record), sender: [0x5e; 20] }],
            contracts: vec![
                predeploy(contracts::DIRECTORY, 1),
                predeploy(contracts::DEVICES, 2),
                predeploy(contracts::CONSENTS, 3),
                predeploy(contracts::ANCHORS, 4),
                predeploy(contracts::P256_VERIFIER, 5),
            ],
            salt: seed("salt", 0),
        };
        change(&mut document);
        let gateway = key("gateway", 0);
        let mut ward = Self {
            document,
            standing: validators.clone(),
            changes: Vec::new(),
            validators,
            record,
            gateway,
            sensors: (0..sensors).map(|n| key("sensor", n)).collect(),
            devices: BTreeMap::new(),
            log: MerkleLog::new(),
            stored: BTreeMap::new(),
            org_active: true,
        };
        ward.register(public(&ward.gateway), DeviceKind::Gateway, [0; 32]);
        for n in 0..ward.sensors.len() {
            let id = DeviceId::of(&public(&ward.sensors[n]));
            let opening = ward.opening(n);
            let bound = binding(ward.genesis(), id, opening.patient, &opening.salt);
            ward.register(public(&ward.sensors[n]), DeviceKind::Sensor, bound);
        }
        ward
    }

    fn register(&mut self, key: [u8; 32], kind: DeviceKind, bound: Hash) {
        let via = DeviceId::of(&public(&self.gateway));
        let device = Device {
            kind,
            key,
            wrap_key: sha256(&[b"wrap", &key]),
            via,
            org: self.org(),
            binding: bound,
            since_ms: NOON_MS - 1_800_000,
            revoked: None,
        };
        self.devices.insert(DeviceId::of(&key), device);
    }

    pub fn genesis(&self) -> Genesis {
        self.document.hash()
    }

    /// The genesis document in version 2: the organisation runs every validator.
    pub fn operated(&self) -> GenesisDocument {
        let operators = vec![self.org(); self.validators.len()];
        GenesisDocument { epoch_blocks: 128, operators, ..self.document.clone() }
    }

    pub fn org(&self) -> OrgId {
        OrgId::of(&public(&self.record))
    }

    pub fn sensor_id(&self, n: usize) -> DeviceId {
        DeviceId::of(&public(&self.sensors[n]))
    }

    pub fn patient(&self, n: usize) -> PatientId {
        PatientId(short(seed("patient", n as u64)))
    }

    pub fn opening(&self, n: usize) -> Opening {
        Opening { device: self.sensor_id(n), patient: self.patient(n), salt: seed("binding", n as u64) }
    }

    /// The stream of sensor `n` in a class.
    pub fn stream(&self, n: usize, class: Class) -> Stream {
        self.stream_of(self.sensors[n], n, class)
    }

    /// The stream of the node about patient `n` in a class.
    pub fn node_stream(&self, n: usize, class: Class) -> Stream {
        self.stream_of(self.record, n, class)
    }

    fn stream_of(&self, author: SigningKey, n: usize, class: Class) -> Stream {
        let id = StreamId::of(self.genesis(), DeviceId::of(&public(&author)), self.patient(n), class);
        Stream { author, class, id, next_seq: 0, prev: [0; 32] }
    }

    /// Seals the stream's next envelope. The ciphertext is made up: opening it is another crate's part.
    pub fn seal(&self, stream: &mut Stream, ciphertext_bytes: usize) -> Vec<u8> {
        let author = DeviceId::of(&public(&stream.author));
        let seq = stream.next_seq;
        let mut ciphertext = Vec::new();
        for block in 0..ciphertext_bytes.div_ceil(32) as u64 {
            let parts: [&[u8]; 3] = [&stream.id.0, &seq.to_be_bytes(), &block.to_be_bytes()];
            ciphertext.extend(sha256(&parts));
        }
        ciphertext.truncate(ciphertext_bytes);
        let chain = ChainKey::new(sha256(&[b"chain", &stream.id.0]));
        let run = short(sha256(&[b"run", &stream.id.0]));
        let epoch = vitals::keys::epoch_of(NOON_MS);
        let (_, key_commitment) = chain.content().message(self.genesis(), stream.id, epoch, &run);
        let header = Header {
            genesis: self.genesis(),
            stream: stream.id,
            class: stream.class,
            author,
            epoch,
            run,
            seq,
            prev: stream.prev,
            first_ms: NOON_MS + 1000 * seq,
            last_ms: NOON_MS + 1000 * seq + 960,
            clock: ClockQuality::Synced,
            count: 4,
            key_commitment,
            ciphertext_hash: sha256(&[&ciphertext]),
        };
        let bytes = header.encode();
        let signature = sign(&stream.author, Domain::Envelope, self.genesis(), &bytes);
        stream.next_seq += 1;
        stream.prev = vitals::envelope::header_hash(&bytes);
        Envelope::encode_parts(&bytes, &signature, &ciphertext)
    }

    /// Seals and admits.
    pub fn admit(&mut self, stream: &mut Stream, ciphertext_bytes: usize) -> u64 {
        let bytes = self.seal(stream, ciphertext_bytes);
        self.store(&bytes)
    }

    pub fn store(&mut self, bytes: &[u8]) -> u64 {
        let envelope = Envelope::decode(bytes).unwrap();
        let index = self.log.push(log::leaf(&envelope.header_bytes));
        let at = (envelope.header.stream, envelope.header.seq);
        self.stored.insert(at, (bytes.to_vec(), index));
        index
    }

    pub fn head(&self, size: u64) -> SignedHead {
        let root = self.log.root_at(size).unwrap();
        let head = TreeHead { genesis: self.genesis(), org: self.org(), size, root, at_ms: NOON_MS + size };
        let signature = sign(&self.record, Domain::Head, self.genesis(), &head.encode());
        SignedHead { head, signature }
    }

    /// The receipt the node gave when the log had `size` leaves.
    pub fn receipt(&self, envelope: &[u8], index: u64, size: u64) -> Receipt {
        let envelope = Envelope::decode(envelope).unwrap().hash();
        let path = self.log.inclusion(index, size).unwrap();
        Receipt { envelope, index, path, head: self.head(size) }
    }

    pub fn revoke(&mut self, n: usize, revocation: Revocation) {
        let id = self.sensor_id(n);
        self.devices.get_mut(&id).unwrap().revoked = Some(revocation);
    }

    /// A bundle of everything admitted, every third envelope without its receipt.
    pub fn bundle(&self) -> Vec<u8> {
        let mut writer = self.begun(BundleWriter::new);
        for (bytes, index) in self.stored.values() {
            let path = self.log.inclusion(*index, self.log.size()).unwrap();
            // Groups of four share one signed head.
            let size = (index / 4 * 4 + 4).min(self.log.size());
            let receipt = match index % 3 {
                2 => Vec::new(),
                _ => self.receipt(bytes, *index, size).encode(),
            };
            writer.sealed(&Sealed { envelope: bytes, index: *index, path, receipt: &receipt }).unwrap();
        }
        writer.finish().unwrap()
    }

    /// The same in segments. Numbers behind `trusted_until` are in segments of their own.
    pub fn segments(&self, trusted_until: Option<u64>) -> Vec<u8> {
        let mut writer = self.begun(BundleWriter::segmented);
        let mut write = |(segment, index): (SegmentWriter, u64)| {
            let path = self.log.inclusion(index, self.log.size()).unwrap();
            writer.segment(&segment, index, &path).unwrap();
        };
        let mut open: Option<(SegmentWriter, u64)> = None;
        for (bytes, index) in self.stored.values() {
            let envelope = Envelope::decode(bytes).unwrap();
            let apart =
                envelope.header.seq.checked_sub(1).is_some_and(|before| trusted_until == Some(before));
            let taken = !apart && open.as_mut().is_some_and(|(segment, _)| segment.push(&envelope));
            match &mut open {
                Some((_, last)) if taken => *last = *index,
                _ => {
                    if let Some(done) = open.replace((SegmentWriter::of(&envelope), *index)) {
                        write(done);
                    }
                }
            }
        }
        if let Some(last) = open {
            write(last);
        }
        writer.finish().unwrap()
    }

    /// A bundle with its proofs and openings.
    fn begun(&self, writer: fn(&[u8], OrgId, Counts) -> BundleWriter) -> BundleWriter {
        let mut openings: Vec<Opening> = (0..self.sensors.len()).map(|n| self.opening(n)).collect();
        openings.sort_by_key(|opening| opening.device);
        let counts =
            Counts { proofs: 1, openings: openings.len() as u64, envelopes: self.stored.len() as u64 };
        let mut writer = writer(&self.document.encode(), self.org(), counts);
        let devices: Vec<DeviceId> = self.devices.keys().copied().collect();
        let height = if self.changes.is_empty() { 41 } else { committees::HEIGHT };
        writer.proof(&devices, &self.prove(&self.facts(), height).encode()).unwrap();
        for opening in &openings {
            writer.opening(opening).unwrap();
        }
        writer
    }
}
