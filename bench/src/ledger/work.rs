//! Who sends what: hospitals with accounts of their own, and acts that the contracts accept, one after
//! the other, signed beforehand or by a node.

use crate::clock;
use anyhow::{Context, Result};
use ledger::account::{address_of, transaction};
use ledger::contracts::Contracts;
use ledger::genesis::Founding;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{Signature, SigningKey};
use vitals::eip712::ConsentDomain;
use vitals::ids::{DeviceId, OrgId, PersonId, sha256};
use vitals::ledger::{Act, ConsentMessage, DeviceKind, Role, SignedGrant};
use vitals::log::{self, MerkleLog};
use vitals::proof::genesis::{Founder, GenesisDocument};

pub(crate) const CHAIN_ID: u64 = 84_001;
/// Hospitals whose accounts a validator's node uses itself: as many as there are validators at most.
pub(crate) const AT_NODES: usize = 7;
/// Hospitals whose transactions are signed beforehand.
pub(crate) const SENDERS: usize = 16;
/// Leaves an anchor adds.
const LEAVES: u64 = 16;
/// How long a signed consent may be on its way.
const DEADLINE_MS: u64 = 600_000;
const DAY_MS: u64 = 86_400_000;

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Registration of a sensor: five words of storage.
    Register,
    /// A log head with its consistency proof: two words.
    Anchor,
    /// A consent signed with P-256, as passkeys and the vault do.
    Grant,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Register, Self::Anchor, Self::Grant];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Anchor => "anchor",
            Self::Grant => "grant",
        }
    }

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Register => "registrations of sensors",
            Self::Anchor => "anchors",
            Self::Grant => "consents signed with P-256",
        }
    }
}

fn secret(hospital: usize, of: &str) -> [u8; 32] {
    sha256(&[b"bench", of.as_bytes(), &hospital.to_be_bytes()])
}

/// The seed of a validator's key.
pub(crate) fn validator(at: usize) -> [u8; 32] {
    secret(at, "validator")
}

/// The secret of a hospital's account.
pub(crate) fn sender(hospital: usize) -> [u8; 32] {
    secret(hospital, "sender")
}

fn record_key(hospital: usize) -> [u8; 32] {
    secret(hospital, "record key")
}

pub(crate) fn org(hospital: usize) -> OrgId {
    OrgId::of(&record_key(hospital))
}

/// A ledger of all hospitals, of which the first so many run validators.
pub(crate) fn founding(validators: usize, epoch_blocks: u64) -> Result<Founding> {
    let committee = (0..validators).map(|at| ledger::validator_key(&validator(at)));
    let founder = |hospital| {
        let sender = address_of(&sender(hospital))?;
        Ok(Founder { record_key: record_key(hospital), sender })
    };
    Ok(Founding {
        chain_id: CHAIN_ID,
        name: String::from("benchmark"),
        // Before every clock that is compared with it.
        time_ms: clock::now_ms() - 60_000,
        epoch_blocks,
        committee: committee.collect::<Option<_>>().context("the validators' keys")?,
        operators: (0..validators).map(org).collect(),
        founders: (0..AT_NODES + SENDERS).map(founder).collect::<Result<_>>()?,
        salt: secret(0, "salt"),
    })
}

/// One hospital's devices, patient and log.
struct Hospital {
    secret: [u8; 32],
    org: OrgId,
    nonce: u64,
    gateway: [u8; 32],
    patient: PersonId,
    hand: SigningKey,
    log: MerkleLog,
    devices: u64,
    consents: u64,
}

/// All hospitals of one ledger.
pub(crate) struct Work {
    contracts: Contracts,
    domain: ConsentDomain,
    hospitals: Vec<Hospital>,
}

impl Work {
    pub(crate) fn on(document: &GenesisDocument) -> Result<Self> {
        let hospital = |at| {
            let patient = secret(at, "patient");
            Ok(Hospital {
                secret: sender(at),
                org: org(at),
                nonce: 0,
                gateway: secret(at, "gateway"),
                patient: PersonId(sha256(&[b"person", &patient])),
                hand: SigningKey::from_slice(&patient)?,
                log: MerkleLog::new(),
                devices: 0,
                consents: 0,
            })
        };
        Ok(Self {
            contracts: Contracts::of(document).context("the ledger's contracts")?,
            domain: ConsentDomain::of(document).context("the ledger's contracts")?,
            hospitals: (0..AT_NODES + SENDERS).map(hospital).collect::<Result<_>>()?,
        })
    }

    /// What a hospital needs before anything else: a gateway, a patient, a first anchor.
    pub(crate) fn first(&mut self, at: usize) -> Result<[Act; 3]> {
        let hospital = &self.hospitals[at];
        let key = hospital.gateway;
        let via = DeviceId::of(&key);
        let gateway =
            Act::Register { kind: DeviceKind::Gateway, key, wrap_key: [5; 32], via, binding: [0; 32] };
        let point = hospital.hand.verifying_key().to_sec1_point(false);
        let signer = self.domain.p256_signer(point.as_bytes()[1..].try_into()?);
        let patient = Act::Enrol { person: hospital.patient, role: Role::Patient, signer, vault_kept: true };
        Ok([gateway, patient, self.next(at, Kind::Anchor)?])
    }

    /// The hospital's next act of this kind.
    pub(crate) fn next(&mut self, at: usize, kind: Kind) -> Result<Act> {
        let hospital = &mut self.hospitals[at];
        Ok(match kind {
            Kind::Register => {
                hospital.devices += 1;
                Act::Register {
                    kind: DeviceKind::Sensor,
                    key: sha256(&[b"sensor", &hospital.org.0, &hospital.devices.to_be_bytes()]),
                    wrap_key: [6; 32],
                    via: DeviceId::of(&hospital.gateway),
                    binding: [7; 32],
                }
            }
            Kind::Anchor => {
                let old = hospital.log.size();
                for leaf in old..old + LEAVES {
                    hospital.log.push(log::leaf(&leaf.to_be_bytes()));
                }
                let size = hospital.log.size();
                let consistency = if old == 0 { None } else { hospital.log.consistency(old, size) };
                Act::Anchor { size, root: hospital.log.root(), consistency: consistency.unwrap_or_default() }
            }
            Kind::Grant => {
                hospital.consents += 1;
                let now_ms = clock::now_ms();
                let message = ConsentMessage {
                    patient: hospital.patient,
                    grantee: PersonId::of_organisation(hospital.org),
                    terms: [8; 32],
                    from_ms: now_ms,
                    until_ms: now_ms + DAY_MS,
                    nonce: sha256(&[b"nonce", &hospital.consents.to_be_bytes()]),
                    deadline_ms: now_ms + DEADLINE_MS,
                };
                let digest = self.domain.consent_digest(&message);
                let signature: Signature = hospital.hand.sign_prehash(&digest)?;
                let signature = signature.normalize_s().to_bytes().to_vec();
                Act::Grant(SignedGrant { message, signature })
            }
        })
    }

    /// An act as the hospital's next transaction. Only for those whose account no node uses.
    pub(crate) fn signed(&mut self, at: usize, act: &Act) -> Result<Vec<u8>> {
        let hospital = &mut self.hospitals[at];
        hospital.nonce += 1;
        let (org, nonce) = (hospital.org, hospital.nonce - 1);
        Ok(transaction(&hospital.secret, (&self.contracts, CHAIN_ID), org, nonce, act)?)
    }

    /// The first transactions of all senders.
    pub(crate) fn opening(&mut self) -> Result<Vec<Vec<u8>>> {
        let mut out = Vec::new();
        for at in AT_NODES..AT_NODES + SENDERS {
            for act in self.first(at)? {
                out.push(self.signed(at, &act)?);
            }
        }
        Ok(out)
    }

    /// So many transactions of a kind, of all senders in turn.
    pub(crate) fn load(&mut self, kind: Kind, count: usize) -> Result<Vec<Vec<u8>>> {
        let one = |turn: usize| {
            let at = AT_NODES + turn % SENDERS;
            let act = self.next(at, kind)?;
            self.signed(at, &act)
        };
        (0..count).map(one).collect()
    }
}
