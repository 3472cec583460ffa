//! A ledger without consensus: every block is final at once.
#![allow(clippy::unwrap_used, reason = "tests")]

mod blocks;
mod costs;
mod emergency;
mod governance;
mod growth;
pub(crate) mod keeping;
pub(crate) mod oracle;
pub(crate) mod power;
mod records;
mod roles;

use super::*;
use crate::account;
use crate::genesis::{Founding, document};
use alloy_consensus::TxEip1559;
use alloy_primitives::{TxKind, U256};
use p256::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use secp256k1::SecretKey;
use tempfile::TempDir;
use vitals::ids::{DeviceId, OrgId, PersonId};
use vitals::ledger::{Act, ConsentMessage, DeviceKind, Role, SignedGrant};
use vitals::proof::genesis::Founder;

/// Deploys a contract as an administrator's tool does: a plain creation.
fn deploy(ward: &mut Ward, number: u8, code: Vec<u8>) -> [u8; 20] {
    let sender = Address::from(account::address_of(&secret(number)).unwrap());
    let nonce = ward.machine.view().nonce(sender);
    let tx = TxEip1559 {
        chain_id: ward.machine.chain_id(),
        nonce,
        gas_limit: TX_GAS_MAX,
        max_fee_per_gas: 0,
        max_priority_fee_per_gas: 0,
        to: TxKind::Create,
        value: U256::ZERO,
        access_list: Default::default(),
        input: code.into(),
    };
    let raw = account::signed(&SecretKey::from_byte_array(&secret(number)).unwrap(), tx);
    assert!(ward.block(&[raw]).receipts[0].succeeded);
    sender.create(nonce).0.0
}

/// When the ledger is founded.
pub(crate) const FOUNDED_MS: u64 = 1_800_000_000_123;

/// A few organisations and one ledger.
pub(crate) struct Ward {
    pub(crate) dir: TempDir,
    pub(crate) document: GenesisDocument,
    pub(crate) machine: Machine,
    pub(crate) config: Config,
    pub(crate) now_ms: u64,
}

pub(crate) fn secret(org: u8) -> [u8; 32] {
    [org + 1; 32]
}

fn record_key(org: u8) -> [u8; 32] {
    [0xa0 + org; 32]
}

/// The organisation's id.
pub(crate) fn org(number: u8) -> OrgId {
    OrgId::of(&record_key(number))
}

/// The document of a ledger founded by this many organisations.
pub(crate) fn founded_by(organisations: u8) -> GenesisDocument {
    let founders: Vec<Founder> = (0..organisations)
        .map(|number| Founder {
            record_key: record_key(number),
            sender: account::address_of(&secret(number)).unwrap(),
        })
        .collect();
    document(Founding {
        chain_id: 84_001,
        name: "test ward".into(),
        time_ms: FOUNDED_MS,
        epoch_blocks: 100,
        committee: vec![[3; 32]],
        operators: founders.iter().take(1).map(Founder::org).collect(),
        founders,
        salt: [9; 32],
    })
}

impl Ward {
    /// A ledger founded by this many organisations.
    pub(crate) fn with(organisations: u8) -> Self {
        Self::keeping(organisations, Config::default())
    }

    /// The same with epochs of this many blocks.
    pub(crate) fn with_epochs(organisations: u8, epoch_blocks: u64) -> Self {
        let mut document = founded_by(organisations);
        document.epoch_blocks = epoch_blocks;
        Self::of(document, Config::default())
    }

    /// The same, with what to keep.
    pub(crate) fn keeping(organisations: u8, config: Config) -> Self {
        Self::of(founded_by(organisations), config)
    }

    fn of(document: GenesisDocument, config: Config) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let machine = Machine::open_with(dir.path(), &document, &config).unwrap();
        Self { dir, document, machine, config, now_ms: FOUNDED_MS }
    }

    /// Closes the ledger and opens it again, as after a restart.
    pub(crate) fn reopened(self) -> Self {
        let Self { dir, document, machine, config, now_ms } = self;
        drop(machine);
        let machine = Machine::open_with(dir.path(), &document, &config).unwrap();
        Self { dir, document, machine, config, now_ms }
    }

    /// The act as the organisation's transaction of this nonce.
    pub(crate) fn signed(&self, number: u8, nonce: u64, act: &Act) -> Vec<u8> {
        let key = SecretKey::from_byte_array(&secret(number)).unwrap();
        let call = self.machine.view().contracts().call(org(number), act);
        account::sign(&key, self.machine.chain_id(), nonce, call)
    }

    /// The act as the organisation's next transaction.
    pub(crate) fn next(&self, number: u8, act: &Act) -> Vec<u8> {
        let sender = account::address_of(&secret(number)).unwrap();
        self.signed(number, self.machine.view().nonce(sender.into()), act)
    }

    /// Where the next block stands.
    pub(crate) fn next_env(&self) -> BlockEnv {
        BlockEnv { height: self.machine.tip().height + 1, time_ms: self.now_ms }
    }

    /// A header for an executed block on the tip.
    pub(crate) fn header(&self, executed: &Executed) -> BlockHeader {
        let tip = self.machine.tip();
        BlockHeader {
            epoch: 0,
            view: tip.height + 1,
            leader: [3; 32],
            parent_view: tip.height,
            parent: tip.digest,
            height: executed.after.height,
            time_ms: executed.after.time_ms,
            state_root: executed.state_root,
            transactions_root: executed.transactions_root,
            receipts_root: executed.receipts_root,
            extra: [0; 32],
            committee: Vec::new(),
        }
    }

    /// Executes and commits a block a second and a bit after the last.
    pub(crate) fn block(&mut self, txs: &[Vec<u8>]) -> Executed {
        self.now_ms += 1_001;
        let executed = self.machine.execute(&self.machine.view().snapshot(), self.next_env(), txs).unwrap();
        self.machine.commit(&self.header(&executed), txs, &executed).unwrap();
        executed
    }

    /// Commits so many blocks without transactions, as an idle ledger makes them, in one write.
    pub(crate) fn idle(&mut self, count: u64) {
        let (mut parent, mut tip) = (self.machine.view().snapshot(), self.machine.tip());
        let (mut blocks, none) = (Vec::new(), <[Vec<u8>; 0]>::default());
        for _ in 0..count {
            self.now_ms += 1_001;
            let env = BlockEnv { height: tip.height + 1, time_ms: self.now_ms };
            let executed = self.machine.execute(&parent, env, &none).unwrap();
            let header = BlockHeader {
                parent: tip.digest,
                view: env.height,
                parent_view: tip.height,
                ..self.header(&executed)
            };
            (tip, parent) = (tip_of(&header), executed.snapshot().clone());
            blocks.push((header, executed));
        }
        let last = |(header, executed)| FinalBlock { header, transactions: &none[..], executed };
        let blocks: Vec<_> = blocks.iter().map(|(header, executed)| last((header, executed))).collect();
        self.machine.commit_all(&blocks).unwrap();
    }

    /// Sends one act in a block of its own.
    pub(crate) fn act(&mut self, number: u8, act: &Act) -> Outcome {
        let tx = self.next(number, act);
        let executed = self.block(&[tx]);
        self.machine.outcome(&executed.transaction_hashes()[0]).unwrap().unwrap()
    }

    /// Sends one act and expects it to be done.
    pub(crate) fn done(&mut self, number: u8, act: &Act) {
        let outcome = self.act(number, act);
        assert_eq!(outcome, Outcome::Done { height: self.machine.tip().height });
    }
}

/// A person's vault-kept key.
pub(crate) struct Hand(SigningKey);

impl Hand {
    pub(crate) fn of(number: u8) -> Self {
        Self(SigningKey::from_slice(&[number + 1; 32]).unwrap())
    }

    pub(crate) fn signer(&self, domain: &ConsentDomain) -> Vec<u8> {
        let point = self.0.verifying_key().to_sec1_point(false);
        domain.p256_signer(point.as_bytes()[1..].try_into().unwrap())
    }

    pub(crate) fn sign(&self, digest: &Hash) -> Vec<u8> {
        let signature: Signature = self.0.sign_prehash(digest).unwrap();
        signature.normalize_s().to_bytes().to_vec()
    }
}

/// What the P-256 verifier contract decides, for the model.
pub(crate) fn p256_check(signer: &[u8], digest: &Hash, signature: &[u8]) -> bool {
    let Some(key) = signer.get(20..) else { return false };
    let Ok(key) = VerifyingKey::from_sec1_bytes(&[&[4], key].concat()) else { return false };
    let Ok(signature) = Signature::from_slice(signature) else { return false };
    signature.normalize_s() == signature && key.verify_prehash(digest, &signature).is_ok()
}

pub(crate) fn gateway(key: u8) -> Act {
    let key = [key; 32];
    let via = DeviceId::of(&key);
    Act::Register { kind: DeviceKind::Gateway, key, wrap_key: [7; 32], via, binding: [0; 32] }
}

pub(crate) fn sensor(key: u8, gateway: u8) -> Act {
    let via = DeviceId::of(&[gateway; 32]);
    let (key, binding) = ([key; 32], [key; 32]);
    Act::Register { kind: DeviceKind::Sensor, key, wrap_key: [8; 32], via, binding }
}

pub(crate) fn person(number: u8) -> PersonId {
    PersonId([number; 32])
}

pub(crate) fn enrol(domain: &ConsentDomain, number: u8, role: Role) -> Act {
    let signer = Hand::of(number).signer(domain);
    Act::Enrol { person: person(number), role, signer, vault_kept: true }
}

pub(crate) fn consent(patient: u8, grantee: PersonId, nonce: u8, now_ms: u64) -> ConsentMessage {
    ConsentMessage {
        patient: person(patient),
        grantee,
        terms: [0x77; 32],
        from_ms: now_ms,
        until_ms: now_ms + 86_400_000,
        nonce: [nonce; 32],
        deadline_ms: now_ms + 600_000,
    }
}

pub(crate) fn grant(domain: &ConsentDomain, by: u8, message: ConsentMessage) -> Act {
    let signature = Hand::of(by).sign(&domain.consent_digest(&message));
    Act::Grant(SignedGrant { message, signature })
}
