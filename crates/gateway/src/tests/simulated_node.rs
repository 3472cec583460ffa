//! A home organisation in miniature: a node that admits what is signed and in sequence, gives
//! receipts, and proves against a ledger of one validator, all with fixed keys.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, unreachable_pub, reason = "tests share this")]

use crate::{Clock, Config, Entropy, Gateway, Summary};
use ed25519_zebra::{SigningKey, VerificationKey};
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable, Kem, OpModeS, Serializable};
use link::{Bounds, Busy, Endpoint, Ingress, RefusalReason, Registry, Reply, Sessions, Verdict, tls};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use vitals::envelope::Envelope;
use vitals::ids::{Class, DeviceId, Hash, OrgId, PatientId, StreamId};
use vitals::keys::{ChainKey, epoch_of};
use vitals::log::{self, MerkleLog};
use vitals::pairing::{PairingAnswer, PairingRequest, StreamKey, wrap_info};
use vitals::proof::certificate::{self, Certificate};
use vitals::proof::contracts::anchor_slots;
use vitals::proof::genesis::{Founder, GenesisDocument, Predeploy};
use vitals::proof::header::BlockHeader;
use vitals::proof::state::keccak256;
use vitals::proof::{AccountProof, LedgerProof, SlotProof};
use vitals::receipt::{Delivery, Proven, Receipt, SignedHead, TreeHead};

pub const RECORD: [u8; 32] = [1; 32];
pub const VALIDATOR: [u8; 32] = [2; 32];
const ANCHORS_AT: [u8; 20] = [9; 20];
/// 2026-11-22 12:00:00 UTC.
pub const NOON_MS: u64 = 1_795_348_800_000;

fn public(seed: [u8; 32]) -> [u8; 32] {
    VerificationKey::from(&SigningKey::from(seed)).into()
}

pub fn document() -> GenesisDocument {
    GenesisDocument {
        chain_id: 1,
        name: "ward".into(),
        time_ms: NOON_MS,
        epoch_blocks: u64::MAX / 2,
        committee: vec![public(VALIDATOR)],
        operators: vec![OrgId::of(&public(RECORD))],
        founders: vec![Founder { record_key: public(RECORD), sender: [7; 20] }],
        contracts: vec![Predeploy { name: "Anchors".into(), address: ANCHORS_AT, code: [0; 32] }],
        salt: [5; 32],
    }
}

pub fn record_key() -> [u8; 32] {
    public(RECORD)
}

struct Counting(u8);

impl TryRng for Counting {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from(self.0))
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from(self.0))
    }
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for byte in out {
            self.0 = self.0.wrapping_add(1);
            *byte = self.0;
        }
        Ok(())
    }
}

impl TryCryptoRng for Counting {}

fn stream_key(
    author: DeviceId,
    wrap_key: &[u8; 32],
    class: Class,
    chain: &ChainKey,
    epoch: u32,
) -> StreamKey {
    type Suite = hpke::kem::X25519HkdfSha256;
    let genesis = document().hash();
    let stream = StreamId::of(genesis, author, PatientId([4; 16]), class);
    let public = <Suite as Kem>::PublicKey::from_bytes(wrap_key).unwrap();
    let (encapsulated, wrapped) =
        hpke::single_shot_seal_with_rng::<hpke::aead::AesGcm256, hpke::kdf::HkdfSha256, Suite>(
            &OpModeS::Base,
            &public,
            &wrap_info(genesis, stream, author, epoch),
            chain.expose(),
            &[],
            &mut Counting(7),
        )
        .unwrap();
    StreamKey {
        author,
        stream,
        class,
        epoch,
        commitment: chain.commitment(),
        encapsulated: encapsulated.to_bytes().as_slice().try_into().unwrap(),
        wrapped: wrapped.as_slice().try_into().unwrap(),
    }
}

/// The organisation's answer to a pairing request.
pub fn answer(request: &PairingRequest, signer: [u8; 32], chain: [u8; 32], epoch: u32) -> Vec<u8> {
    let chain = ChainKey::new(chain);
    let streams = request
        .sensors
        .iter()
        .flat_map(|keys| [Class::Vitals, Class::Environment, Class::Alarms].map(|class| (*keys, class)))
        .map(|(keys, class)| stream_key(keys.id(), &keys.wrap_key, class, &chain, epoch))
        .collect();
    let mut answer = PairingAnswer {
        genesis_document: document().encode(),
        record_key: public(signer),
        gateway: request.gateway.id(),
        streams,
        signature: [0; 64],
    };
    answer.signature = SigningKey::from(signer).sign(&answer.to_be_signed()).to_bytes();
    answer.encode()
}

/// Counts up from a start that differs per process run, so that keys and runs differ.
pub fn entropy() -> Entropy {
    let state = Arc::new(Mutex::new(Instant::now()));
    let counter = Arc::new(std::sync::atomic::AtomicU64::new(std::process::id().into()));
    Arc::new(move |out: &mut [u8]| {
        let since = state.lock().elapsed().as_nanos();
        let n = counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut block = [0; 32];
        for (at, byte) in out.iter_mut().enumerate() {
            if at % 32 == 0 {
                let position = (at as u64).to_le_bytes();
                block = vitals::ids::sha256(&[&since.to_le_bytes(), &n.to_le_bytes(), &position]);
            }
            *byte = block[at % 32];
        }
    })
}

/// A clock that starts at noon and runs `speed` times as fast as the machine's.
pub fn clock(speed: u64) -> Clock {
    let start = Instant::now();
    Arc::new(move || NOON_MS + u64::try_from(start.elapsed().as_micros()).unwrap() * speed / 1000)
}

/// A gateway's folder, paired.
pub fn paired(boards: usize) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let entropy = entropy();
    let request = crate::first_boot(dir.path(), boards, &mut |out| entropy(out)).unwrap();
    let answer = answer(&request, RECORD, [6; 32], epoch_of(NOON_MS));
    crate::accept(dir.path(), &answer, Some(record_key())).unwrap();
    dir
}

/// A gateway that runs.
pub struct Running {
    pub counters: Arc<crate::Counters>,
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<Summary, crate::GatewayError>>,
}

impl Running {
    pub fn start(
        dir: &Path,
        boards: Vec<PathBuf>,
        node: SocketAddr,
        clock: Clock,
        drain: Option<Duration>,
    ) -> Self {
        Self::run(config(dir, boards, node), clock, drain)
    }

    pub fn run(config: Config, clock: Clock, drain: Option<Duration>) -> Self {
        Self::go(Gateway::open(config, clock, entropy()).unwrap(), drain)
    }

    /// One that is open.
    pub fn go(gateway: Gateway, drain: Option<Duration>) -> Self {
        let counters = gateway.counters();
        let (stop, stopped) = watch::channel(false);
        Self { counters, stop, task: tokio::spawn(gateway.run(stopped, drain)) }
    }

    /// One that keeps at most so many envelopes.
    pub fn start_bounded(
        dir: &Path,
        boards: Vec<PathBuf>,
        node: SocketAddr,
        clock: Clock,
        pending_max: usize,
    ) -> Self {
        let mut gateway = Gateway::open(config(dir, boards, node), clock, entropy()).unwrap();
        gateway.recorder.bound(pending_max);
        Self::go(gateway, None)
    }

    /// Told to stop, and still at it.
    pub fn stopping(self) -> JoinHandle<Result<Summary, crate::GatewayError>> {
        self.stop.send(true).unwrap();
        self.task
    }

    pub async fn stop(self) -> Summary {
        self.end().await.unwrap()
    }

    pub async fn end(self) -> Result<Summary, crate::GatewayError> {
        self.stop.send(true).unwrap();
        self.task.await.unwrap()
    }
}

pub fn config(dir: &Path, boards: Vec<PathBuf>, node: SocketAddr) -> Config {
    Config {
        data_dir: dir.to_owned(),
        node: node.to_string(),
        boards,
        baud: 115_200,
        clock: crate::ClockTrust::Synced,
        segment_bytes: 65_536,
        floor: crate::config::default_floor(),
    }
}

/// Waits until `true`, giving other tasks their turn.
pub async fn until(what: &str, mut ready: impl FnMut() -> bool) {
    let wait = async {
        while !ready() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[derive(Default)]
pub struct Record {
    pub log: MerkleLog,
    pub headers: Vec<Vec<u8>>,
    pub streams: BTreeMap<StreamId, BTreeMap<u64, Hash>>,
    /// Latest time any envelope named: what this home takes for the time.
    pub latest_ms: u64,
    pub duplicates: usize,
    pub equivocations: usize,
    /// Refused envelopes of second branches: what continues one is refused with it, as a node does.
    second_branches: BTreeSet<Hash>,
    pub alarms: usize,
    pub arrivals: Vec<Class>,
    index: BTreeMap<Hash, u64>,
    pending: Vec<(DeviceId, Hash)>,
    /// Anchored so far.
    anchored: u64,
}

impl Record {
    pub fn stored(&self) -> usize {
        self.headers.len()
    }

    pub fn next_seqs(&self) -> BTreeMap<String, u64> {
        self.streams
            .iter()
            .map(|(stream, seqs)| {
                assert!(seqs.keys().copied().eq(0..seqs.len() as u64), "a gap in {stream}");
                (stream.to_string(), seqs.len() as u64)
            })
            .collect()
    }
}

/// How the node behaves.
#[derive(Default)]
pub struct Behaviour {
    pub refuse: BTreeSet<u8>,
    pub refusal: Option<RefusalReason>,
    pub no_receipts: bool,
    pub no_proofs: bool,
    pub forge_receipts: bool,
    pub forge_proofs: bool,
    pub busy: usize,
}

#[derive(Default)]
pub struct NodeState {
    pub record: Mutex<Record>,
    pub behaviour: Mutex<Behaviour>,
    sessions: Arc<Sessions>,
}

struct Anybody;

impl Registry for Anybody {
    fn admits(&self, key: &[u8; 32]) -> Result<DeviceId, String> {
        Ok(DeviceId::of(key))
    }
}

impl Ingress for NodeState {
    fn offer(&self, from: DeviceId, alarm: bool, bytes: Vec<u8>, reply: Reply) -> Result<(), Busy> {
        let mut behaviour = self.behaviour.lock();
        if behaviour.busy > 0 {
            behaviour.busy -= 1;
            return Err(Busy);
        }
        let envelope = Envelope::decode(&bytes).unwrap();
        if let Some(reason) =
            behaviour.refusal.filter(|_| behaviour.refuse.contains(&envelope.header.class.code()))
        {
            reply.send(Verdict::Refused { reason, sentence: "refused for the test".into() });
            return Ok(());
        }
        let mut record = self.record.lock();
        let record = &mut *record;
        let (hash, seq) = (envelope.hash(), envelope.header.seq);
        record.alarms += usize::from(alarm);
        record.arrivals.push(envelope.header.class);
        record.latest_ms = record.latest_ms.max(envelope.header.last_ms);
        let seqs = record.streams.entry(envelope.header.stream).or_default();
        let before = seq.checked_sub(1).and_then(|before| seqs.get(&before));
        let prev = envelope.header.prev;
        let unlinked = before.is_some_and(|before| *before != prev);
        let follows_refused = before.is_none() && record.second_branches.contains(&prev);
        if unlinked || follows_refused {
            record.equivocations += 1;
            record.second_branches.insert(hash);
            let reason = RefusalReason::Conflict;
            reply.send(Verdict::Refused { reason, sentence: "it does not link".into() });
            return Ok(());
        }
        match seqs.insert(seq, hash) {
            Some(old) if old == hash => {
                record.duplicates += 1;
                reply.send(Verdict::Duplicate);
            }
            Some(old) => {
                seqs.insert(seq, old);
                record.equivocations += 1;
                record.second_branches.insert(hash);
                reply.send(Verdict::Refused {
                    reason: RefusalReason::Conflict,
                    sentence: "a second envelope".into(),
                });
                return Ok(());
            }
            None => {
                let index = record.log.push(log::leaf(&envelope.header_bytes));
                record.headers.push(envelope.header_bytes);
                record.index.insert(hash, index);
                reply.send(Verdict::Admitted);
            }
        }
        record.pending.push((from, hash));
        if !behaviour.no_receipts {
            let receipt = receipt(record, hash, if behaviour.forge_receipts { [66; 32] } else { RECORD });
            self.sessions.send_receipt(from, receipt.encode());
        }
        Ok(())
    }

    fn listening(&self, device: DeviceId) {
        let mut record = self.record.lock();
        let known: Vec<Hash> = record.index.keys().copied().collect();
        record.pending.extend(known.into_iter().map(|hash| (device, hash)));
    }
}

fn receipt(record: &Record, envelope: Hash, signer: [u8; 32]) -> Receipt {
    let index = record.index[&envelope];
    let size = record.log.size();
    let head = TreeHead {
        genesis: document().hash(),
        org: OrgId::of(&record_key()),
        size,
        root: record.log.root(),
        at_ms: record.latest_ms,
    };
    let signature = SigningKey::from(signer).sign(&head.to_be_signed()).to_bytes();
    let path = record.log.inclusion(index, size).unwrap();
    Receipt { envelope, index, path, head: SignedHead { head, signature } }
}

impl NodeState {
    /// Sends bytes down the topic of commands.
    pub fn command(&self, gateway: DeviceId, bytes: Vec<u8>) -> bool {
        self.sessions.send_command(gateway, bytes)
    }

    /// Signs a receipt for each envelope that has no proof yet; says for how many.
    pub fn sign_receipts(&self) -> usize {
        let record = self.record.lock();
        let pending: BTreeSet<(DeviceId, Hash)> = record.pending.iter().copied().collect();
        for (from, hash) in &pending {
            self.sessions.send_receipt(*from, receipt(&record, *hash, RECORD).encode());
        }
        pending.len()
    }

    /// Sends the receipts owed to gateways that are back, signed anew.
    pub fn send_owed_receipts(&self) {
        for (device, owed) in self.sessions.take_owed() {
            let record = self.record.lock();
            for bytes in owed {
                let hash = Receipt::decode(&bytes).unwrap().envelope;
                self.sessions.send_receipt(device, receipt(&record, hash, RECORD).encode());
            }
        }
    }

    /// Anchors the log's head and sends every gateway its proofs.
    pub fn anchor(&self) {
        let behaviour = self.behaviour.lock();
        let mut record = self.record.lock();
        if behaviour.no_proofs || record.pending.is_empty() {
            return;
        }
        let size = record.log.size();
        record.anchored = size;
        let pending = std::mem::take(&mut record.pending);
        let mut by_gateway: BTreeMap<DeviceId, BTreeSet<Hash>> = BTreeMap::new();
        for (gateway, hash) in pending {
            by_gateway.entry(gateway).or_default().insert(hash);
        }
        let validator = if behaviour.forge_proofs { [66; 32] } else { VALIDATOR };
        let ledger = ledger_proof(size, record.log.root(), validator).encode();
        for (gateway, hashes) in by_gateway {
            for group in hashes.into_iter().collect::<Vec<_>>().chunks(64) {
                let proven = group
                    .iter()
                    .map(|hash| {
                        let index = record.index[hash];
                        Proven { envelope: *hash, index, path: record.log.inclusion(index, size).unwrap() }
                    })
                    .collect();
                let delivery = Delivery { org: OrgId::of(&record_key()), ledger: ledger.clone(), proven };
                if !self.sessions.send_proof(gateway, delivery.encode()) {
                    record.pending.extend(group.iter().map(|hash| (gateway, *hash)));
                }
            }
        }
    }
}

fn string(bytes: &[u8]) -> Vec<u8> {
    match bytes {
        [low] if *low < 0x80 => vec![*low],
        _ => [head(0x80, bytes.len()), bytes.to_vec()].concat(),
    }
}

fn list(items: &[Vec<u8>]) -> Vec<u8> {
    let payload = items.concat();
    [head(0xc0, payload.len()), payload].concat()
}

fn head(base: u8, len: usize) -> Vec<u8> {
    let be = u16::try_from(len).unwrap().to_be_bytes();
    match len {
        0..=55 => vec![base + be[1]],
        56..=255 => vec![base + 56, be[1]],
        _ => vec![base + 57, be[0], be[1]],
    }
}

/// A leaf whose path is the last nibbles of a hash, from `skip` on (0 or 1).
fn leaf(hash: &Hash, skip: usize, value: &[u8]) -> Vec<u8> {
    let path = match skip {
        0 => [&[0x20], hash.as_slice()].concat(),
        _ => [&[0x30 | (hash[0] & 15)], &hash[1..]].concat(),
    };
    list(&[string(&path), string(value)])
}

/// A delivery without envelopes, of a log of this size and root.
pub fn delivery_of(size: u64, root: Hash) -> Vec<u8> {
    let ledger = ledger_proof(size, root, VALIDATOR).encode();
    Delivery { org: OrgId::of(&record_key()), ledger, proven: vec![] }.encode()
}

/// A state whose only account is the anchors contract with one anchor.
fn ledger_proof(size: u64, root: Hash, validator: [u8; 32]) -> LedgerProof {
    // A block of its own for every head: two of one height would be a split.
    let height = 12 + size;
    let keys = anchor_slots(OrgId::of(&record_key()));
    let mut packed = [0; 16];
    packed[..8].copy_from_slice(&height.to_be_bytes());
    packed[8..].copy_from_slice(&size.to_be_bytes());
    let trim = |word: &[u8]| string(&word[word.iter().take_while(|byte| **byte == 0).count()..]);
    let hashes = keys.map(|key| keccak256(&[&key]));
    // The fixed organisation's two slots differ in their first nibble, which keeps this trie small.
    assert_ne!(hashes[0][0] >> 4, hashes[1][0] >> 4);
    let leaves = [leaf(&hashes[0], 1, &trim(&root)), leaf(&hashes[1], 1, &trim(&packed))];
    let mut branch: Vec<Vec<u8>> = vec![string(&[]); 17];
    for (hash, leaf) in hashes.iter().zip(&leaves) {
        branch[usize::from(hash[0] >> 4)] = string(&keccak256(&[leaf]));
    }
    let branch = list(&branch);
    let account = list(&[string(&[1]), string(&[]), string(&keccak256(&[&branch])), string(&[3; 32])]);
    let account_leaf = leaf(&keccak256(&[&ANCHORS_AT]), 0, &account);
    let header = BlockHeader {
        epoch: 0,
        view: height,
        leader: public(VALIDATOR),
        parent_view: height - 1,
        parent: [1; 32],
        height,
        time_ms: NOON_MS,
        state_root: keccak256(&[&account_leaf]),
        transactions_root: [0; 32],
        receipts_root: [0; 32],
        extra: [0; 32],
        committee: vec![],
    };
    let message = certificate::message(document().hash(), 0, height, height - 1, &header.digest());
    let signature = SigningKey::from(validator).sign(&message).to_bytes();
    let certificate =
        Certificate { epoch: 0, view: height, parent_view: height - 1, signatures: vec![(0, signature)] };
    let slots = keys
        .iter()
        .zip(leaves)
        .map(|(key, leaf)| SlotProof { key: *key, nodes: vec![branch.clone(), leaf] })
        .collect();
    LedgerProof {
        changes: Some(vec![]),
        header: header.encode(),
        certificate: certificate.encode(),
        accounts: vec![AccountProof { address: ANCHORS_AT, nodes: vec![account_leaf], slots }],
    }
}

/// The node around the state.
pub struct SimulatedNode {
    pub address: SocketAddr,
    pub state: Arc<NodeState>,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
    anchoring: JoinHandle<()>,
}

impl SimulatedNode {
    pub async fn open() -> Self {
        Self::open_at("127.0.0.1:0".parse().unwrap(), Arc::new(NodeState::default())).await
    }

    /// The same state again, on the same address.
    pub async fn open_at(address: SocketAddr, state: Arc<NodeState>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (certificate, key) = tls::self_signed(&RECORD).unwrap();
        let config = tls::server_config(certificate, key, Arc::new(Anybody)).unwrap();
        let (stop, stopped) = watch::channel(false);
        let sessions = state.sessions.clone();
        let endpoint = Endpoint::new(state.clone(), Arc::new(Anybody), sessions, Bounds::default());
        let serving = tokio::spawn(link::mqtt::serve(listener, Arc::new(config), endpoint, stopped));
        let anchoring = tokio::spawn({
            let state = state.clone();
            async move {
                loop {
                    tokio::time::sleep(Duration::from_millis(30)).await;
                    state.send_owed_receipts();
                    state.anchor();
                }
            }
        });
        Self { address, state, stop, serving, anchoring }
    }

    pub async fn close(self) -> (SocketAddr, Arc<NodeState>) {
        self.anchoring.abort();
        self.stop.send(true).unwrap();
        self.serving.await.unwrap();
        (self.address, self.state)
    }
}
