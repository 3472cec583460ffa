//! The genesis document and its state: the contracts of this build, created by one fixed account in a fixed
//! order, with the founding organisations.

#[cfg(test)]
mod tests;

use crate::contracts::Contracts;
use crate::contracts::bindings::{
    Anchors, Authorities, Consents, Devices, Directory, P256Verifier, Policies, WebAuthnVerifier,
};
use crate::machine::execute::{BlockEnv, TX_GAS_MAX, run};
use crate::machine::{Flat, State, list_root};
use alloy_primitives::{Address, B256, Bytes, FixedBytes, TxKind, address};
use alloy_sol_types::SolConstructor;
use revm::context::TxEnv;
use vitals::ids::{Hash, OrgId, sha256};
use vitals::proof::contracts::{
    ANCHORS, AUTHORITIES, CONSENTS, DEVICES, DIRECTORY, P256_VERIFIER, POLICIES, WEBAUTHN_VERIFIER,
};
use vitals::proof::genesis::{Founder, GenesisDocument, Predeploy};
use vitals::proof::header::BlockHeader;

/// The account that creates the contracts; it has no known key. The last 20 bytes of
/// keccak256("aceso/deployer/v1").
pub const DEPLOYER: Address = address!("0xf719c6ac38820b24142197acaa5785d29e391b5c");

/// What an operator decides about a new ledger; the contracts are this build's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Founding {
    /// EVM chain id.
    pub chain_id: u64,
    /// A name for people, at most 64 bytes.
    pub name: String,
    /// Milliseconds since 1970.
    pub time_ms: u64,
    /// Blocks in an epoch.
    pub epoch_blocks: u64,
    /// Founding validators (Ed25519), in any order.
    pub committee: Vec<[u8; 32]>,
    /// The organisation that runs each validator, in the order of `committee`.
    pub operators: Vec<OrgId>,
    /// Founding organisations.
    pub founders: Vec<Founder>,
    /// 32 random bytes.
    pub salt: [u8; 32],
}

/// Why a document is not one this build can run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// Another build founded this ledger.
    #[error(
        "the genesis document names contract {name} with other code or at another place than this build has: \
         run the build that founded this ledger, or found the ledger anew in an empty data folder"
    )]
    OtherContracts {
        /// The contract.
        name: String,
    },
    /// The document lacks a contract or has one this build does not know.
    #[error(
        "the genesis document does not name the contracts of this build: run the build that founded this \
         ledger, or found the ledger anew in an empty data folder"
    )]
    ContractsMissing,
    /// Founded before validators named the organisations that run them.
    #[error(
        "the genesis document is of version {version}, which this build checks proofs of but no longer runs: \
         found the ledger anew in an empty data folder"
    )]
    OldDocument {
        /// The document's version.
        version: u64,
    },
    /// A validator has no organisation, or more than one.
    #[error("the genesis document names {operators} organisations for {validators} validators: one each")]
    Operators {
        /// Validators.
        validators: usize,
        /// Organisations that run them.
        operators: usize,
    },
    /// A contract's constructor refused.
    #[error("the contracts refuse these founders: {0}")]
    Refused(String),
}

/// The genesis document of a new ledger.
#[must_use]
pub fn document(founding: Founding) -> GenesisDocument {
    document_at(founding, DEPLOYER, 0)
}

/// The genesis document of a ledger whose contracts `deployer` creates from its transaction `nonce` on.
#[must_use]
pub fn document_at(founding: Founding, deployer: Address, nonce: u64) -> GenesisDocument {
    let Founding { chain_id, name, time_ms, epoch_blocks, committee, operators, mut founders, salt } =
        founding;
    // Validators without an organisation are kept; `state` refuses such a document.
    let operators = operators.into_iter().map(Some).chain(std::iter::repeat(None));
    let mut validators: Vec<([u8; 32], Option<OrgId>)> = committee.into_iter().zip(operators).collect();
    validators.sort_unstable();
    validators.dedup_by_key(|(key, _)| *key);
    founders.sort_by_key(|founder| founder.record_key);
    GenesisDocument {
        chain_id,
        name,
        time_ms,
        epoch_blocks,
        committee: validators.iter().map(|(key, _)| *key).collect(),
        operators: validators.into_iter().filter_map(|(_, operator)| operator).collect(),
        founders,
        contracts: contracts(deployer, nonce),
        salt,
    }
}

/// The contracts' names and creation bytecodes, in order of creation.
fn codes() -> [(&'static str, &'static Bytes); 8] {
    [
        (DIRECTORY, &Directory::BYTECODE),
        (P256_VERIFIER, &P256Verifier::BYTECODE),
        (DEVICES, &Devices::BYTECODE),
        (CONSENTS, &Consents::BYTECODE),
        (ANCHORS, &Anchors::BYTECODE),
        (AUTHORITIES, &Authorities::BYTECODE),
        (WEBAUTHN_VERIFIER, &WebAuthnVerifier::BYTECODE),
        (POLICIES, &Policies::BYTECODE),
    ]
}

/// The contracts of this build, in order of creation.
fn contracts(deployer: Address, nonce: u64) -> Vec<Predeploy> {
    let predeploy = |(nonce, (name, code)): (u64, (&str, &Bytes))| Predeploy {
        name: name.to_string(),
        address: deployer.create(nonce).0.0,
        code: sha256(&[code]),
    };
    (nonce..).zip(codes()).map(predeploy).collect()
}

/// Creation bytecode with constructor arguments of every contract of `document`, in order of creation,
/// and their addresses.
///
/// # Errors
/// If the document names other contracts than this build has, at whatever addresses, or validators without
/// an organisation.
pub(crate) fn creations(document: &GenesisDocument) -> Result<(Vec<Vec<u8>>, Contracts), GenesisError> {
    let (validators, operators) = (document.committee.len(), document.operators.len());
    if operators == 0 {
        return Err(GenesisError::OldDocument { version: document.version() });
    }
    if operators != validators {
        return Err(GenesisError::Operators { validators, operators });
    }
    for (ours, theirs) in contracts(DEPLOYER, 0).iter().zip(&document.contracts) {
        if (&ours.name, ours.code) != (&theirs.name, theirs.code) {
            return Err(GenesisError::OtherContracts { name: theirs.name.clone() });
        }
    }
    let addresses = Contracts::of(document).ok_or(GenesisError::ContractsMissing)?;
    let directory_ = addresses.directory;
    let arguments = |name: &str| match name {
        DIRECTORY => Directory::constructorCall {
            recordKeys: document.founders.iter().map(|founder| B256::from(founder.record_key)).collect(),
            senders: document.founders.iter().map(|founder| Address::from(founder.sender)).collect(),
            authorities_: addresses.authorities,
        }
        .abi_encode(),
        DEVICES => Devices::constructorCall { directory_ }.abi_encode(),
        CONSENTS => {
            let genesis_ = B256::from(document.hash().0);
            Consents::constructorCall { directory_, genesis_, policies_: addresses.policies }.abi_encode()
        }
        POLICIES => Policies::constructorCall { directory_ }.abi_encode(),
        ANCHORS => Anchors::constructorCall { directory_ }.abi_encode(),
        AUTHORITIES => Authorities::constructorCall {
            directory_,
            epochBlocks_: document.epoch_blocks,
            keys: document.committee.iter().map(B256::from).collect(),
            operators: document.operators.iter().map(|org| FixedBytes(org.0)).collect(),
        }
        .abi_encode(),
        _ => Vec::new(),
    };
    let create = |(name, code): (&str, &Bytes)| [code.as_ref(), &arguments(name)].concat();
    let codes = codes().into_iter().map(create).collect();
    Ok((codes, addresses))
}

/// The state of a genesis document, and the contracts' addresses.
pub(crate) fn state(document: &GenesisDocument) -> Result<(State, Flat, Contracts), GenesisError> {
    for (ours, theirs) in contracts(DEPLOYER, 0).iter().zip(&document.contracts) {
        if ours != theirs {
            return Err(GenesisError::OtherContracts { name: theirs.name.clone() });
        }
    }
    let (codes, addresses) = creations(document)?;
    let txs = (0..).zip(codes).map(|(nonce, data)| TxEnv {
        tx_type: 2,
        caller: DEPLOYER,
        nonce,
        kind: TxKind::Create,
        data: data.into(),
        gas_limit: TX_GAS_MAX,
        gas_price: 0,
        gas_priority_fee: Some(0),
        chain_id: Some(document.chain_id),
        ..Default::default()
    });
    let mut state = State::default();
    let env = BlockEnv { height: 0, time_ms: document.time_ms };
    let (receipts, changes) =
        run(document.chain_id, &state, env, txs).map_err(|(_, why)| GenesisError::Refused(why))?;
    if let Some(failed) = receipts.iter().find(|receipt| !receipt.succeeded) {
        return Err(GenesisError::Refused(crate::contracts::reason(&failed.revert)));
    }
    let flat = state.apply(&changes);
    Ok((state, flat, addresses))
}

/// The header of height 0.
#[must_use]
pub fn header(document: &GenesisDocument, state_root: Hash) -> BlockHeader {
    BlockHeader {
        epoch: 0,
        view: 0,
        leader: document.committee.first().copied().unwrap_or_default(),
        parent_view: 0,
        parent: document.hash().0,
        height: 0,
        time_ms: document.time_ms,
        state_root,
        transactions_root: list_root(std::iter::empty()),
        receipts_root: list_root(std::iter::empty()),
        extra: [0; 32],
        committee: document.committee.clone(),
    }
}
