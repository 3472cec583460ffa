//! A bundle that stands on the real ledger: blocks, certificate and state of the engine itself, checked
//! by a verifier that has only the genesis hash.
#![allow(clippy::unwrap_used, reason = "tests")]

use crate::{Config, EPOCH_BLOCKS, EmbeddedChain, Keys, account::address_of, genesis, validator_key};
use ed25519_zebra::{SigningKey, VerificationKey};
use std::time::{Duration, Instant};
use vitals::bundle::{self, BundleWriter, Counts, DEVICES_PER_PROOF_MAX, Opening, Sealed};
use vitals::cose::{self, Domain};
use vitals::envelope::{ClockQuality, Envelope, Header, header_hash};
use vitals::ids::{Class, StreamId, binding, sha256};
use vitals::ledger::{Act, DeviceKind, Fact, Ledger, Outcome};
use vitals::log::{self, MerkleLog};
use vitals::proof::genesis::Founder;
use vitals::receipt::{Receipt, SignedHead, TreeHead};
use vitals::{DeviceId, Genesis, OrgId, PatientId};

const KEYS: Keys = Keys { validator: [5; 32], sender: [6; 32] };
const SENSORS: u8 = 15;
const EACH: u64 = 4;
const NOW_MS: u64 = 1_790_000_000_000;
const PATIENCE: Duration = Duration::from_secs(30);

fn public(key: &SigningKey) -> [u8; 32] {
    VerificationKey::from(key).into()
}

fn sign(key: &SigningKey, domain: Domain, genesis: Genesis, payload: &[u8]) -> [u8; 64] {
    key.sign(&cose::to_be_signed(domain, genesis, payload)).to_bytes()
}

fn done(chain: &EmbeddedChain, act: Act) {
    let id = chain.submit(act).unwrap();
    let mut tip = chain.watch_tip();
    let start = Instant::now();
    loop {
        match chain.outcome(id) {
            Outcome::Done { .. } => return,
            Outcome::Pending => {}
            other => panic!("{other:?}"),
        }
        assert!(start.elapsed() < PATIENCE, "{:?}", chain.status());
        futures::executor::block_on(tip.changed()).unwrap();
    }
}

#[test]
fn a_bundle_on_the_real_ledger_is_proven_and_no_sampled_byte_of_it_can_change() {
    let record = SigningKey::from([7; 32]);
    let gateway = SigningKey::from([8; 32]);
    let sensors: Vec<SigningKey> = (0..SENSORS).map(|n| SigningKey::from([100 + n; 32])).collect();
    let document = genesis::document(genesis::Founding {
        chain_id: 84_001,
        name: String::from("ward"),
        time_ms: NOW_MS,
        epoch_blocks: EPOCH_BLOCKS,
        committee: vec![validator_key(&KEYS.validator).unwrap()],
        operators: vec![OrgId::of(&public(&record))],
        founders: vec![Founder { record_key: public(&record), sender: address_of(&KEYS.sender).unwrap() }],
        salt: [9; 32],
    });
    let (genesis, org) = (document.hash(), OrgId::of(&public(&record)));
    let folder = tempfile::tempdir().unwrap();
    let chain = EmbeddedChain::start(&Config::new(folder.path().to_owned()), &document, &KEYS).unwrap();

    let via = DeviceId::of(&public(&gateway));
    let register = |kind, key: &SigningKey, bound| Act::Register {
        kind,
        key: public(key),
        wrap_key: sha256(&[b"wrap", &public(key)]),
        via,
        binding: bound,
    };
    done(&chain, register(DeviceKind::Gateway, &gateway, [0; 32]));
    let mut openings = Vec::new();
    for (n, sensor) in (0..).zip(&sensors) {
        let device = DeviceId::of(&public(sensor));
        let opening = Opening { device, patient: PatientId([n; 16]), salt: [n; 32] };
        let bound = binding(genesis, device, opening.patient, &opening.salt);
        done(&chain, register(DeviceKind::Sensor, sensor, bound));
        openings.push(opening);
    }

    let (mut log, mut sealed) = (MerkleLog::new(), Vec::new());
    for (sensor, opening) in sensors.iter().zip(&openings) {
        let stream = StreamId::of(genesis, opening.device, opening.patient, Class::Vitals);
        let mut prev = [0; 32];
        for seq in 0..EACH {
            let ciphertext = [sha256(&[&stream.0, &seq.to_be_bytes()]); 3].concat();
            let header = Header {
                genesis,
                stream,
                class: Class::Vitals,
                author: opening.device,
                epoch: 20_717,
                run: [1; 16],
                seq,
                prev,
                first_ms: NOW_MS + seq,
                last_ms: NOW_MS + seq,
                clock: ClockQuality::Synced,
                count: 1,
                key_commitment: [2; 16],
                ciphertext_hash: sha256(&[&ciphertext]),
            };
            let bytes = header.encode();
            prev = header_hash(&bytes);
            let signature = sign(sensor, Domain::Envelope, genesis, &bytes);
            let index = log.push(log::leaf(&bytes));
            sealed.push((stream, seq, index, Envelope::encode_parts(&bytes, &signature, &ciphertext)));
        }
    }
    sealed.sort();
    done(&chain, Act::Anchor { size: log.size(), root: log.root(), consistency: Vec::new() });

    let mut devices: Vec<DeviceId> = openings.iter().map(|opening| opening.device).collect();
    devices.push(via);
    devices.sort();
    openings.sort_by_key(|opening| opening.device);
    let counts = Counts {
        proofs: devices.len().div_ceil(DEVICES_PER_PROOF_MAX) as u64,
        openings: openings.len() as u64,
        envelopes: sealed.len() as u64,
    };
    let mut writer = BundleWriter::new(&document.encode(), org, counts);
    for (n, some) in devices.chunks(DEVICES_PER_PROOF_MAX).enumerate() {
        let own = if n == 0 { vec![Fact::Organisation(org), Fact::Anchor(org)] } else { Vec::new() };
        let facts: Vec<Fact> = own.into_iter().chain(some.iter().map(|id| Fact::Device(*id))).collect();
        writer.proof(some, &chain.prove(&facts).unwrap().encode()).unwrap();
    }
    for opening in &openings {
        writer.opening(opening).unwrap();
    }
    let head = TreeHead { genesis, org, size: log.size(), root: log.root(), at_ms: NOW_MS };
    let head = SignedHead { head, signature: sign(&record, Domain::Head, genesis, &head.encode()) };
    for (_, _, index, bytes) in &sealed {
        let path = log.inclusion(*index, log.size()).unwrap();
        let envelope = Envelope::decode(bytes).unwrap().hash();
        let receipt = Receipt { envelope, index: *index, path: path.clone(), head }.encode();
        writer.sealed(&Sealed { envelope: bytes, index: *index, path, receipt: &receipt }).unwrap();
    }
    let good = writer.finish().unwrap();
    chain.stop();

    let report = bundle::verify(&good, Some(genesis)).unwrap();
    println!("bundle of {} bytes\n{report}", good.len());
    assert_eq!(report.envelopes, u64::from(SENSORS) * EACH);
    assert_eq!((report.receipts, report.devices.len()), (report.envelopes, devices.len()));
    assert!(report.streams.iter().all(|stream| stream.patient.is_some() && stream.missing == 0));
    assert_eq!(report.signers, document.committee);

    let mut bad = good.clone();
    for sample in 0..400u64 {
        let hash = sha256(&[&sample.to_be_bytes()]);
        let at = usize::from_be_bytes(hash[..8].try_into().unwrap()) % good.len();
        bad[at] ^= hash[8].max(1);
        let broken = bundle::verify(&bad, Some(genesis)).expect_err(&format!("byte {at}"));
        assert!(!broken.to_string().is_empty());
        bad[at] = good[at];
    }
}
