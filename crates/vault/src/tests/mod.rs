//! A ward of one patient, one sensor and one doctor.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "tests")]

mod access;
mod canary;
mod crashes;
mod folder;
mod generation;
mod invitations;
mod pairing;
mod people;
mod restrictions;
mod standings;

use crate::*;
use ed25519_zebra::{SigningKey, VerificationKeyBytes};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use vitals::body::{AccessEntry, Body};
use vitals::envelope::{ClockQuality, Envelope, Header};
use vitals::ids::{Class, DeviceId, Genesis, GrantId, Hash, OrgId, PatientId, PersonId, sha256};
use vitals::keys::{ChainKey, EPOCH_MS, epoch_of};
use vitals::ledger::*;
use vitals::metric::{Metric, Reading, Sample};
use vitals::pairing::{DeviceKeys, PairingRequest};
use vitals::proof::LedgerProof;

pub(crate) const PASSPHRASE: &str = "correct horse battery staple";
pub(crate) const NOW_MS: u64 = 1_790_000_000_000;
/// By the operator, now.
pub(crate) const MADE: Made = Made { by: None, at_ms: NOW_MS };
pub(crate) const DOCUMENT: &[u8] = b"a genesis document";

/// The same bytes for the same seed.
pub(crate) fn entropy(seed: u64) -> Entropy {
    let drawn = AtomicU64::new(0);
    Arc::new(move |out: &mut [u8]| {
        for chunk in out.chunks_mut(32) {
            let at = drawn.fetch_add(1, Ordering::Relaxed);
            let block = sha256(&[b"test entropy", &seed.to_be_bytes(), &at.to_be_bytes()]);
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    })
}

/// Consents and people in memory; the tests need nothing else of a ledger.
#[derive(Default)]
pub(crate) struct Paper {
    pub(crate) grants: Mutex<HashMap<GrantId, Grant>>,
    pub(crate) people: Mutex<HashMap<PersonId, Person>>,
    pub(crate) down: bool,
    /// The answer of every policy; none while policies cannot be called.
    pub(crate) policy: Mutex<Option<bool>>,
}

impl Ledger for Paper {
    fn genesis(&self) -> Genesis {
        unreachable!("not asked by the vault")
    }
    fn tip(&self) -> Tip {
        unreachable!("not asked by the vault")
    }
    fn organisation(&self, _: OrgId) -> Result<Option<Organisation>, LedgerError> {
        unreachable!("not asked by the vault")
    }
    fn device(&self, _: DeviceId) -> Result<Option<Device>, LedgerError> {
        unreachable!("not asked by the vault")
    }
    fn person(&self, id: PersonId) -> Result<Option<Person>, LedgerError> {
        Ok(self.people.lock().get(&id).cloned())
    }
    fn grant(&self, id: GrantId) -> Result<Option<Grant>, LedgerError> {
        if self.down {
            return Err(LedgerError::Down("no ledger".into()));
        }
        Ok(self.grants.lock().get(&id).cloned())
    }
    fn policy_agrees(&self, _: GrantId, _: Class) -> Result<bool, LedgerError> {
        self.policy.lock().ok_or_else(|| LedgerError::Busy("the policy did not answer".into()))
    }
    fn anchor(&self, _: OrgId) -> Result<Option<Anchor>, LedgerError> {
        unreachable!("not asked by the vault")
    }
    fn grant_id(&self, _: &ConsentMessage) -> GrantId {
        unreachable!("not asked by the vault")
    }
    fn consent_digest(&self, _: &ConsentMessage) -> Hash {
        unreachable!("not asked by the vault")
    }
    fn revocation_digest(&self, _: GrantId) -> Hash {
        unreachable!("not asked by the vault")
    }
    fn p256_signer(&self, _: &[u8; 64]) -> Vec<u8> {
        unreachable!("not asked by the vault")
    }
    fn submit(&self, _: Act) -> Result<ActId, LedgerError> {
        unreachable!("not asked by the vault")
    }
    fn outcome(&self, _: ActId) -> Outcome {
        unreachable!("not asked by the vault")
    }
    fn prove(&self, _: &[Fact]) -> Result<LedgerProof, LedgerError> {
        unreachable!("not asked by the vault")
    }
}

pub(crate) fn new_vault(folder: &Path, seed: u64) -> Vault {
    let vault = Vault::create(folder, PASSPHRASE, Costs::TEST_ONLY, entropy(seed)).unwrap();
    vault.put_genesis_document(DOCUMENT).unwrap();
    vault
}

pub(crate) struct Scene {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) vault: Vault,
    pub(crate) store: Store,
    pub(crate) ledger: Paper,
    pub(crate) amira: Patient,
    pub(crate) doctor: PersonId,
    pub(crate) grant: GrantId,
}

impl Scene {
    /// Amira consents to the doctor reading vitals and her profile for treatment, today.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vault = new_vault(&folder.path().join("vault"), 1);
        let store = Store::create(&folder.path().join("records"), vault.genesis().unwrap()).unwrap();
        let amira =
            Patient { id: PatientId(vault.random()), person: PersonId(vault.random()), since_ms: NOW_MS };
        vault.put_patient(amira).unwrap();
        let mut scene = Self {
            doctor: PersonId(vault.random()),
            grant: GrantId([0; 32]),
            ledger: Paper::default(),
            folder,
            vault,
            store,
            amira,
        };
        let org = scene.vault.org();
        let doctor = Person {
            role: Role::Clinician,
            org,
            signer: vec![1],
            vault_kept: true,
            since_ms: 0,
            suspended_at_ms: 0,
        };
        scene.ledger.people.lock().insert(scene.doctor, doctor);
        scene.grant = scene.consent(scene.doctor, Purpose::Treatment, &[Class::Vitals, Class::Profile]);
        scene
    }

    pub(crate) fn consent(&self, grantee: PersonId, purpose: Purpose, classes: &[Class]) -> GrantId {
        let grant = GrantId(self.vault.random());
        let terms = Terms { classes: classes.to_vec(), purpose, salt: self.vault.random() };
        let on_ledger = Grant {
            patient: self.amira.person,
            grantee,
            terms: terms.commitment(self.vault.genesis().unwrap()),
            from_ms: NOW_MS - 1000,
            until_ms: NOW_MS + EPOCH_MS / 2,
            revoked_at_ms: 0,
            policy: None,
        };
        self.ledger.grants.lock().insert(grant, on_ledger);
        self.vault.put_terms(TermsRecord { grant, terms, grantee, patient: self.amira.id }).unwrap();
        grant
    }

    /// The doctor opens Amira's vitals of the last hour for treatment.
    pub(crate) fn reading(&self) -> AccessEntry {
        AccessEntry {
            at_ms: 0,
            reader: self.doctor,
            reader_name: "Dr Lee".into(),
            purpose: Purpose::Treatment,
            grant: self.grant,
            classes: vec![Class::Vitals],
            span_ms: (NOW_MS - 3_600_000, NOW_MS + 3_600_000),
            session: self.vault.random(),
            person: None,
        }
    }
}

/// A sensor with its keys, as `device` has them.
pub(crate) struct Sensor {
    pub(crate) key: SigningKey,
    pub(crate) wrap: [u8; 32],
    pub(crate) keys: DeviceKeys,
}

impl Sensor {
    pub(crate) fn new(seed: u8) -> Self {
        let key = SigningKey::from([seed; 32]);
        let wrap = [seed ^ 0x55; 32];
        let wrap_key = x25519_dalek::PublicKey::from(&x25519_dalek::StaticSecret::from(wrap)).to_bytes();
        let public = VerificationKeyBytes::from(&key).into();
        Self { key, wrap, keys: DeviceKeys { key: public, wrap_key } }
    }

    pub(crate) fn id(&self) -> DeviceId {
        self.keys.id()
    }

    /// The gateway's request for this sensor behind it.
    pub(crate) fn request(&self) -> PairingRequest {
        let gateway = Sensor::new(200);
        let message = PairingRequest::to_be_signed(&gateway.keys, &[self.keys], None);
        let signatures = vec![gateway.key.sign(&message).into(), self.key.sign(&message).into()];
        PairingRequest { gateway: gateway.keys, sensors: vec![self.keys], interval_ms: None, signatures }
    }

    /// Makes its stream, pairs, and gives the chain key it unwrapped.
    pub(crate) fn pair(&self, scene: &Scene, class: Class) -> (StreamRecord, ChainKey) {
        let stream = scene
            .vault
            .make_stream(NewStream {
                author: self.id(),
                patient: scene.amira.id,
                class,
                first_epoch: epoch_of(NOW_MS),
                salt: [4; 32],
            })
            .unwrap();
        let answer =
            scene.vault.pairing_answer(&self.request(), &[stream.stream], stream.first_epoch).unwrap();
        (stream, pairing::unwrap(self, &answer.streams[0], answer.genesis()).unwrap())
    }

    /// Seals as a device does: one run from start to start.
    pub(crate) fn seal(
        &self,
        stream: &StreamRecord,
        chain: &ChainKey,
        epoch: u32,
        seq: u64,
        body: &Body,
    ) -> Sealed {
        let (first_ms, last_ms) = body.span_ms().unwrap();
        let header = Header {
            genesis: vitals::proof::genesis::GenesisDocument::hash_of(DOCUMENT),
            stream: stream.stream,
            class: stream.class,
            author: self.id(),
            epoch,
            run: [9; 16],
            seq,
            prev: if seq == 0 { [0; 32] } else { [1; 32] },
            first_ms,
            last_ms,
            clock: ClockQuality::Synced,
            count: body.count(),
            key_commitment: [0; 16],
            ciphertext_hash: [0; 32],
        };
        let content = chain.forward(epoch - stream.first_epoch).unwrap().content();
        let sign = |message: &[u8]| self.key.sign(message).into();
        let (envelope, bytes) = seal::seal(header, &body.encode(first_ms), &content, sign);
        Sealed { envelope, bytes }
    }
}

pub(crate) struct Sealed {
    pub(crate) envelope: Envelope,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) fn heart_rate(at_ms: u64, value: i32) -> Body {
    Body::Readings(vec![Reading { metric: Metric::HeartRate, at_ms, sample: Sample::Measured(value) }])
}
