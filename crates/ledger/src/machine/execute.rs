//! Execution of one block on the state of its parent: pure, speculative, the same on every node.

use super::nodes::NodeFault;
use super::receipt::Receipt;
use super::state::{Flat, State};
use crate::contracts::Contracts;
use alloy_consensus::transaction::SignerRecoverable;
use alloy_consensus::{Transaction as _, TxEnvelope, TxType};
use alloy_eips::Typed2718;
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{Address, B256, U256, keccak256, map::HashMap};
use consensus::block::{BLOCK_BYTES_MAX, BLOCK_TXS_MAX, TX_BYTES_MAX, list_root};
use parking_lot::RwLock;
use revm::context::result::EVMError;
use revm::context::{BlockEnv as EvmBlock, CfgEnv, TxEnv};
use revm::database::states::bundle_state::BundleRetention;
use revm::database::states::changes::StateChangeset;
use revm::database::{OriginalValuesKnown, State as Scratch};
use revm::primitives::hardfork::SpecId;
use revm::{Context, ExecuteCommitEvm, MainBuilder, MainContext};
use std::collections::HashSet;
use std::sync::Arc;
use vitals::ids::Hash;

/// Most gas one transaction may ask for (EIP-7825).
pub const TX_GAS_MAX: u64 = 1 << 24;
/// Most gas all transactions of a block may ask for: some seconds of the dearest computation there is.
pub const BLOCK_GAS_MAX: u64 = 1 << 28;

/// Where in the chain a block stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockEnv {
    /// Height, one more than the parent's.
    pub height: u64,
    /// Proposer's time, milliseconds since 1970; not before the parent's.
    pub time_ms: u64,
}

/// Why a block must not be voted for. All but the last are the proposer's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Not the height after the parent's.
    #[error("the block's height {height} does not follow its parent's {parent}")]
    Height {
        /// The block's.
        height: u64,
        /// The parent's.
        parent: u64,
    },
    /// Too many or too large transactions.
    #[error("the block has more transactions, bytes or gas than a block may have")]
    TooLarge,
    /// One transaction may not stand in a block.
    #[error("transaction {index} {why}")]
    Transaction {
        /// Its place in the block.
        index: usize,
        /// Why.
        why: InvalidTx,
    },
    /// This node cannot decide: its own state is damaged.
    #[error("this node cannot execute blocks: {0}")]
    Fault(NodeFault),
}

/// Why a transaction may not stand in a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTx {
    /// Longer than [`TX_BYTES_MAX`].
    #[error("is longer than {TX_BYTES_MAX} bytes")]
    TooLong,
    /// Not exactly one EIP-2718 transaction.
    #[error("is not a well-formed Ethereum transaction")]
    Malformed,
    /// Blob, set-code and future types carry nothing this ledger needs.
    #[error("is of a type other than legacy, EIP-2930 and EIP-1559")]
    Type,
    /// Signed for another chain, or for none.
    #[error("is signed for another chain")]
    Chain,
    /// Asks for more than [`TX_GAS_MAX`].
    #[error("asks for more than {TX_GAS_MAX} gas")]
    Gas,
    /// The signature names no sender.
    #[error("has no valid signature")]
    Signature,
    /// No active organisation sends from this account.
    #[error("is sent by {sender}, which is no active organisation's sender")]
    Sender {
        /// The account.
        sender: Address,
    },
    /// The EVM refuses to start it.
    #[error("cannot be executed: {0}")]
    Evm(String),
}

/// A transaction whose form and signature have been checked.
#[derive(Debug, Clone)]
pub struct CheckedTx {
    /// Keccak-256 of its bytes: its name.
    pub hash: Hash,
    /// The account that signed it.
    pub sender: Address,
    pub(crate) envelope: TxEnvelope,
}

impl CheckedTx {
    /// Its place in the order of its sender's transactions.
    #[must_use]
    pub fn nonce(&self) -> u64 {
        self.envelope.nonce()
    }

    /// Gas it may use.
    #[must_use]
    pub fn gas_limit(&self) -> u64 {
        self.envelope.gas_limit()
    }
}

/// Senders recovered so far: recovery costs more than execution, so a node does it once, at admission.
#[derive(Debug, Clone, Default)]
pub(crate) struct Senders(Arc<RwLock<HashMap<B256, Address>>>);

/// Cached senders; beyond it the cache is emptied.
const SENDERS_MAX: usize = 1 << 16;

impl Senders {
    fn recover(&self, envelope: &TxEnvelope, hash: B256) -> Result<Address, InvalidTx> {
        let known = self.0.read().get(&hash).copied();
        if let Some(sender) = known {
            return Ok(sender);
        }
        let sender = envelope.recover_signer().map_err(|_| InvalidTx::Signature)?;
        let mut senders = self.0.write();
        if senders.len() >= SENDERS_MAX {
            senders.clear();
        }
        senders.insert(hash, sender);
        Ok(sender)
    }

    pub(crate) fn forget(&self, hashes: impl IntoIterator<Item = Hash>) {
        let mut senders = self.0.write();
        for hash in hashes {
            senders.remove(&B256::from(hash));
        }
    }
}

/// The rules of execution, the same for every block.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) chain_id: u64,
    pub(crate) contracts: Contracts,
    pub(crate) senders: Senders,
}

impl Rules {
    /// Checks form and signature.
    pub(crate) fn check(&self, raw: &[u8]) -> Result<CheckedTx, InvalidTx> {
        if raw.len() > TX_BYTES_MAX {
            return Err(InvalidTx::TooLong);
        }
        let mut rest = raw;
        let envelope = TxEnvelope::decode_2718(&mut rest).map_err(|_| InvalidTx::Malformed)?;
        if !rest.is_empty() {
            return Err(InvalidTx::Malformed);
        }
        if !matches!(envelope.tx_type(), TxType::Legacy | TxType::Eip2930 | TxType::Eip1559) {
            return Err(InvalidTx::Type);
        }
        if envelope.chain_id() != Some(self.chain_id) {
            return Err(InvalidTx::Chain);
        }
        if envelope.gas_limit() > TX_GAS_MAX {
            return Err(InvalidTx::Gas);
        }
        let hash = keccak256(raw);
        let sender = self.senders.recover(&envelope, hash)?;
        Ok(CheckedTx { hash: hash.0, sender, envelope })
    }

    /// Does an active organisation send from this account?
    pub(crate) fn may_send(&self, state: &State, sender: Address) -> bool {
        self.contracts.sends_for(state, sender).is_some()
    }

    pub(crate) fn execute(
        &self,
        parent: &Snapshot,
        env: BlockEnv,
        txs: &[impl AsRef<[u8]>],
    ) -> Result<Executed, Invalid> {
        if env.height != parent.height + 1 {
            return Err(Invalid::Height { height: env.height, parent: parent.height });
        }
        let bytes: usize = txs.iter().map(|raw| raw.as_ref().len()).sum();
        if txs.len() > BLOCK_TXS_MAX || bytes > BLOCK_BYTES_MAX {
            return Err(Invalid::TooLarge);
        }
        let mut checked = Vec::with_capacity(txs.len());
        let (mut gas, mut senders) = (0u64, HashSet::new());
        for (index, raw) in txs.iter().enumerate() {
            let invalid = |why| Invalid::Transaction { index, why };
            let tx = self.check(raw.as_ref()).map_err(invalid)?;
            // The parent's word counts: an organisation added here acts from the next block on.
            if senders.insert(tx.sender) && !self.may_send(&parent.state, tx.sender) {
                return Err(invalid(InvalidTx::Sender { sender: tx.sender }));
            }
            gas = gas.saturating_add(tx.gas_limit());
            checked.push(tx);
        }
        if gas > BLOCK_GAS_MAX {
            return Err(Invalid::TooLarge);
        }
        let (receipts, changes) = run(self.chain_id, &parent.state, env, checked.iter().map(evm_tx))
            .map_err(|(index, why)| Invalid::Transaction { index, why: InvalidTx::Evm(why) })?;
        let mut state = parent.state.clone();
        let flat = state.apply(&changes);
        if let Some(fault) = state.fault() {
            return Err(Invalid::Fault(fault.clone()));
        }
        let encoded: Vec<Vec<u8>> = receipts.iter().map(Receipt::encode).collect();
        Ok(Executed {
            state_root: state.root().0,
            transactions_root: list_root(txs.iter().map(AsRef::as_ref)),
            receipts_root: list_root(encoded.iter().map(Vec::as_slice)),
            receipts,
            encoded,
            hashes: checked.iter().map(|tx| tx.hash).collect(),
            flat,
            parent_root: parent.state_root(),
            after: Snapshot { height: env.height, time_ms: env.time_ms, state },
        })
    }
}

/// A state to build on: the committed one, or the one after a block that is not final yet.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Height of the block it is the state after.
    pub height: u64,
    /// That block's time, milliseconds.
    pub time_ms: u64,
    pub(crate) state: State,
}

impl Snapshot {
    /// Root of this state.
    #[must_use]
    pub fn state_root(&self) -> Hash {
        self.state.root().0
    }

    /// The next nonce of an account.
    #[must_use]
    pub fn nonce(&self, sender: Address) -> u64 {
        self.state.nonce(&sender)
    }
}

/// A block's effects, not final yet.
#[derive(Debug, Clone)]
pub struct Executed {
    /// Ethereum state root after the block.
    pub state_root: Hash,
    /// [`list_root`] of its transactions.
    pub transactions_root: Hash,
    /// [`list_root`] of its encoded receipts.
    pub receipts_root: Hash,
    /// What each transaction did.
    pub receipts: Vec<Receipt>,
    pub(crate) encoded: Vec<Vec<u8>>,
    pub(crate) hashes: Vec<Hash>,
    pub(crate) flat: Flat,
    pub(crate) parent_root: Hash,
    pub(crate) after: Snapshot,
}

impl Executed {
    /// The state after the block, on which its children are executed. Cheap to clone.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.after
    }

    /// Keccak-256 of each transaction: the names under which they were submitted.
    #[must_use]
    pub fn transaction_hashes(&self) -> &[Hash] {
        &self.hashes
    }
}

fn evm_tx(tx: &CheckedTx) -> TxEnv {
    let t = &tx.envelope;
    TxEnv {
        tx_type: t.ty(),
        caller: tx.sender,
        nonce: t.nonce(),
        kind: t.kind(),
        data: t.input().clone(),
        value: t.value(),
        gas_limit: t.gas_limit(),
        gas_price: t.max_fee_per_gas(),
        gas_priority_fee: t.max_priority_fee_per_gas(),
        chain_id: t.chain_id(),
        access_list: t.access_list().cloned().unwrap_or_default(),
        ..Default::default()
    }
}

/// A block as the EVM sees it, in blocks and in calls alike.
pub(super) fn evm_block(env: BlockEnv) -> EvmBlock {
    EvmBlock {
        number: U256::from(env.height),
        // Ethereum's clock has whole seconds.
        timestamp: U256::from(env.time_ms / 1000),
        gas_limit: BLOCK_GAS_MAX,
        basefee: 0,
        prevrandao: Some(B256::ZERO),
        ..Default::default()
    }
}

/// The rules of this chain's EVM: the fork, its prices, and that nobody pays them.
pub(super) fn evm_rules(cfg: &mut CfgEnv, chain_id: u64) {
    cfg.set_spec_and_mainnet_gas_params(SpecId::OSAKA);
    cfg.chain_id = chain_id;
    cfg.disable_fee_charge = true;
}

/// Runs transactions in order on `state`. An error names the one the EVM refuses to start.
pub(crate) fn run(
    chain_id: u64,
    state: &State,
    env: BlockEnv,
    txs: impl IntoIterator<Item = TxEnv>,
) -> Result<(Vec<Receipt>, StateChangeset), (usize, String)> {
    let scratch = Scratch::builder().with_database_ref(state).with_bundle_update().build();
    let mut evm = Context::mainnet()
        .with_db(scratch)
        .modify_cfg_chained(|cfg| evm_rules(cfg, chain_id))
        .with_block(evm_block(env))
        .build_mainnet();
    let mut receipts = Vec::new();
    for (index, tx) in txs.into_iter().enumerate() {
        let result = evm.transact_commit(tx).map_err(|error| {
            let why = match error {
                EVMError::Transaction(why) => why.to_string(),
                other => other.to_string(),
            };
            (index, why)
        })?;
        receipts.push(Receipt::of(result));
    }
    let scratch = &mut evm.ctx.journaled_state.database;
    scratch.merge_transitions(BundleRetention::PlainState);
    let mut changes = scratch.take_bundle().to_plain_state(OriginalValuesKnown::Yes);
    // The bundle comes out of hash maps: order it, so that what is written never depends on chance.
    changes.accounts.sort_unstable_by_key(|(address, _)| *address);
    changes.storage.sort_unstable_by_key(|change| change.address);
    Ok((receipts, changes))
}
