//! The genesis document: everything a verifier trusts, bound by one hash.

use crate::cbor::{self, NotCanonical, Reader, Writer};
use crate::ids::{Genesis, Hash, OrgId, sha256};
use alloc::{collections::BTreeSet, string::String, vec::Vec};

/// Longest genesis document.
pub const GENESIS_BYTES_MAX: usize = 16 * 1024;
/// Longest name of a ledger or contract, bytes of UTF-8.
pub const NAME_BYTES_MAX: usize = 64;
/// Most contracts of a genesis state.
pub const CONTRACTS_MAX: usize = 64;
/// Most founding organisations.
pub const FOUNDERS_MAX: usize = 128;
/// A document whose validators have no organisations beside them; read for old proofs.
const VERSION_1: u64 = 1;
/// A document that names for each validator the organisation that runs it.
const VERSION_2: u64 = 2;

/// A contract placed in the genesis state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Predeploy {
    /// Contract name, e.g. `Anchors`.
    pub name: String,
    /// Its address.
    pub address: [u8; 20],
    /// SHA-256 of its creation bytecode as committed in `contracts/artifacts`.
    pub code: Hash,
}

/// A founding organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Founder {
    /// Record key (Ed25519); its [`OrgId`] is derived from it.
    pub record_key: [u8; 32],
    /// Ethereum address that sends its transactions.
    pub sender: [u8; 20],
}

impl Founder {
    /// The organisation's id.
    #[must_use]
    pub fn org(&self) -> OrgId {
        OrgId::of(&self.record_key)
    }
}

/// The founding document of a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenesisDocument {
    /// EVM chain id.
    pub chain_id: u64,
    /// A name for people.
    pub name: String,
    /// Milliseconds since 1970.
    pub time_ms: u64,
    /// Blocks in an epoch; the committee changes only between epochs.
    pub epoch_blocks: u64,
    /// Founding validators (Ed25519), ascending.
    pub committee: Vec<[u8; 32]>,
    /// The organisation that runs each validator, in the committee's order; empty in version 1,
    /// which this build reads but founds no more.
    pub operators: Vec<OrgId>,
    /// Founding organisations, ascending by record key.
    pub founders: Vec<Founder>,
    /// Contracts of the genesis state, in order of deployment.
    pub contracts: Vec<Predeploy>,
    /// 32 random bytes, so that no two ledgers share a name.
    pub salt: [u8; 32],
}

/// Do these bytes begin like a document of version 1?
pub(crate) fn is_version_1(document: &[u8]) -> bool {
    let mut r = Reader::new(document);
    r.any_array().is_ok() && r.uint() == Ok(VERSION_1)
}

impl GenesisDocument {
    /// Deterministic CBOR (see `docs/wire.md`).
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.array(9)
            .uint(self.version())
            .uint(self.chain_id)
            .text(&self.name)
            .uint(self.time_ms)
            .uint(self.epoch_blocks);
        w.array(self.committee.len());
        for (place, key) in self.committee.iter().enumerate() {
            if self.operators.is_empty() {
                w.bytes(key);
            } else {
                // A validator without its organisation is written as one that nobody runs.
                let operator = self.operators.get(place).map_or([0; 16], |org| org.0);
                w.array(2).bytes(key).bytes(&operator);
            }
        }
        w.array(self.founders.len());
        for founder in &self.founders {
            w.array(2).bytes(&founder.record_key).bytes(&founder.sender);
        }
        w.array(self.contracts.len());
        for contract in &self.contracts {
            w.array(3).text(&contract.name).bytes(&contract.address).bytes(&contract.code);
        }
        w.bytes(&self.salt);
        w.finish()
    }

    /// Reads the wire form; only the exact bytes of [`Self::encode`] are accepted.
    pub fn decode(bytes: &[u8]) -> Result<Self, NotCanonical> {
        cbor::bounded(bytes, GENESIS_BYTES_MAX)?;
        let mut r = Reader::new(bytes);
        r.array(9)?;
        let version = r.uint()?;
        if !(VERSION_1..=VERSION_2).contains(&version) {
            return Err(NotCanonical::Unexpected);
        }
        let (chain_id, name) = (r.uint()?, String::from(r.text(NAME_BYTES_MAX)?));
        let (time_ms, epoch_blocks) = (r.uint()?, r.uint()?);
        let validators = r.list(super::header::COMMITTEE_MAX, |r| {
            if version == VERSION_1 {
                return Ok((r.fixed::<32>()?, None));
            }
            r.array(2)?;
            Ok((r.fixed::<32>()?, Some(OrgId(r.fixed()?))))
        })?;
        // Nobody could certify a block, and no epoch would ever end.
        if version == VERSION_2 && (validators.is_empty() || epoch_blocks == 0) {
            return Err(NotCanonical::Unexpected);
        }
        let committee = validators.iter().map(|(key, _)| *key).collect();
        let operators = validators.iter().filter_map(|(_, operator)| *operator).collect();
        let founders = r.list(FOUNDERS_MAX, |r| {
            r.array(2)?;
            Ok(Founder { record_key: r.fixed()?, sender: r.fixed()? })
        })?;
        let contracts = r.list(CONTRACTS_MAX, |r| {
            r.array(3)?;
            Ok(Predeploy {
                name: String::from(r.text(NAME_BYTES_MAX)?),
                address: r.fixed()?,
                code: r.fixed()?,
            })
        })?;
        let salt = r.fixed()?;
        r.end()?;
        let document =
            Self { chain_id, name, time_ms, epoch_blocks, committee, operators, founders, contracts, salt };
        // `address` finds one contract by its name.
        let names: BTreeSet<&str> =
            document.contracts.iter().map(|contract| contract.name.as_str()).collect();
        let sorted = names.len() == document.contracts.len()
            && document.committee.is_sorted_by(|a, b| a < b)
            && document.founders.is_sorted_by(|a, b| a.record_key < b.record_key);
        if !sorted { Err(NotCanonical::Order) } else { Ok(document) }
    }

    /// Version of the wire form: 2 once validators name the organisations that run them.
    #[must_use]
    pub fn version(&self) -> u64 {
        if self.operators.is_empty() { VERSION_1 } else { VERSION_2 }
    }

    /// The ledger's name: SHA-256("aceso/genesis/v1" ‖ document).
    #[must_use]
    pub fn hash(&self) -> Genesis {
        Self::hash_of(&self.encode())
    }

    /// The hash of document bytes.
    #[must_use]
    pub fn hash_of(document: &[u8]) -> Genesis {
        Genesis(sha256(&[b"aceso/genesis/v1", document]))
    }

    /// The address of a predeployed contract.
    #[must_use]
    pub fn address(&self, name: &str) -> Option<[u8; 20]> {
        self.contracts.iter().find(|contract| contract.name == name).map(|contract| contract.address)
    }
}
