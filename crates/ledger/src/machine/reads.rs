//! Reads beyond the organisation's own: blocks by digest, events, calls that change nothing.

use super::execute::{evm_block, evm_rules};
use super::{BlockEnv, FoundHeights, Machine, Receipt, StoreError, Summary, View};
use alloy_eips::eip2930::AccessList;
use alloy_primitives::{Address, Bloom, Bytes, TxKind, U256};
use alloy_trie::TrieAccount;
use revm::context::TxEnv;
use revm::context::result::{EVMError, ExecutionResult, HaltReason, InvalidTransaction, OutOfGasError};
use revm::database_interface::WrapDatabaseRef;
use revm::{Context, ExecuteEvm, MainBuilder, MainContext};
use std::ops::RangeInclusive;
use vitals::ids::Hash;

/// A read-only call or creation.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// Who calls; any account without code.
    pub from: Address,
    /// The called contract, or creation of one.
    pub to: TxKind,
    /// Value sent along.
    pub value: U256,
    /// Call data, or creation code.
    pub data: Bytes,
    /// Gas it may use.
    pub gas: u64,
    /// Slots in its access list.
    pub access_list: AccessList,
}

/// The result of a read-only call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Called {
    /// It returns.
    Returned {
        /// What.
        output: Bytes,
        /// Gas a receipt would show.
        gas: u64,
        /// Gas it needs to begin with: more than it uses, where some is given back in the end.
        spent: u64,
    },
    /// It reverts.
    Reverted {
        /// The contract's reason.
        output: Bytes,
        /// Gas used.
        gas: u64,
    },
    /// It ends otherwise, with all its gas gone.
    Halted {
        /// Why, in the words of Ethereum's first client, which tools look for.
        why: &'static str,
        /// True if more gas could help.
        out_of_gas: bool,
        /// Gas used.
        gas: u64,
    },
}

impl Machine {
    /// The height of the committed block with this digest.
    ///
    /// # Errors
    /// If the store fails.
    pub fn height_of(&self, digest: &Hash) -> Result<Option<u64>, StoreError> {
        self.0.store.height_of(digest)
    }

    /// Height and index of a committed transaction.
    ///
    /// # Errors
    /// If the store fails.
    pub fn place(&self, transaction: &Hash) -> Result<Option<(u64, u32)>, StoreError> {
        self.0.store.place(transaction)
    }

    /// What a committed block's transactions did, in short.
    ///
    /// # Errors
    /// If the store fails.
    pub fn summary(&self, height: u64) -> Result<Summary, StoreError> {
        self.0.store.summary(height)
    }

    /// Heights in a range whose events may be wanted, ascending; at most `blocks_max` blocks that have
    /// transactions are looked at. Blocks without any cost nothing.
    ///
    /// # Errors
    /// If the store fails.
    pub fn heights_with(
        &self,
        heights: RangeInclusive<u64>,
        blocks_max: usize,
        wanted: impl Fn(&Bloom) -> bool,
    ) -> Result<FoundHeights, StoreError> {
        self.0.store.heights_with(heights, blocks_max, wanted)
    }

    /// Receipts of a committed height, in order.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn receipts(&self, height: u64) -> Result<Vec<Receipt>, StoreError> {
        self.0.store.receipts(height)
    }

    /// Header bytes of committed heights, ascending.
    ///
    /// # Errors
    /// If the store fails.
    pub fn headers(&self, heights: RangeInclusive<u64>) -> Result<Vec<Vec<u8>>, StoreError> {
        self.0.store.headers(heights)
    }

    /// Tries a call on a state, as of that state's block. Changes nothing.
    ///
    /// # Errors
    /// Why the EVM refuses to start it.
    pub fn call(&self, view: &View, call: &Call) -> Result<Called, String> {
        let tip = view.tip();
        let env = BlockEnv { height: tip.height, time_ms: tip.time_ms };
        let tx = TxEnv {
            tx_type: 2,
            caller: call.from,
            nonce: view.state().nonce(&call.from),
            kind: call.to,
            data: call.data.clone(),
            value: call.value,
            gas_limit: call.gas,
            gas_price: 0,
            gas_priority_fee: Some(0),
            chain_id: Some(self.chain_id()),
            access_list: call.access_list.clone(),
            ..Default::default()
        };
        let mut evm = Context::mainnet()
            .with_db(WrapDatabaseRef(view.state()))
            .modify_cfg_chained(|cfg| evm_rules(cfg, self.chain_id()))
            .with_block(evm_block(env))
            .build_mainnet();
        let result = match evm.transact(tx) {
            Ok(done) => done.result,
            Err(EVMError::Transaction(
                InvalidTransaction::CallGasCostMoreThanGasLimit { .. }
                | InvalidTransaction::GasFloorMoreThanGasLimit { .. },
            )) => {
                let why = "intrinsic gas too low: the gas does not even cover the call itself";
                return Ok(Called::Halted { why, out_of_gas: true, gas: call.gas });
            }
            Err(EVMError::Transaction(InvalidTransaction::LackOfFundForMaxFee { .. })) => {
                let why = "insufficient funds for gas * price + value: nobody has a balance on this ledger";
                return Err(why.to_owned());
            }
            Err(EVMError::Transaction(why)) => return Err(why.to_string()),
            Err(other) => return Err(other.to_string()),
        };
        let (gas, spent) = (result.tx_gas_used(), result.gas().total_gas_spent());
        Ok(match result {
            ExecutionResult::Success { output, .. } => {
                Called::Returned { output: output.into_data(), gas, spent: spent.max(gas) }
            }
            ExecutionResult::Revert { output, .. } => Called::Reverted { output, gas },
            ExecutionResult::Halt { reason, .. } => Called::Halted {
                out_of_gas: matches!(reason, HaltReason::OutOfGas(_)),
                why: halted(&reason),
                gas,
            },
        })
    }
}

/// Why an execution ended, as geth says it.
fn halted(reason: &HaltReason) -> &'static str {
    match reason {
        HaltReason::OutOfGas(OutOfGasError::InvalidOperand) => "gas uint64 overflow",
        HaltReason::OutOfGas(_) => "out of gas",
        HaltReason::OpcodeNotFound | HaltReason::InvalidFEOpcode | HaltReason::NotActivated => {
            "invalid opcode"
        }
        HaltReason::InvalidJump => "invalid jump destination",
        HaltReason::StackUnderflow => "stack underflow",
        HaltReason::StackOverflow => "stack limit reached",
        HaltReason::OutOfOffset => "return data out of bounds",
        HaltReason::CreateCollision => "contract address collision",
        HaltReason::PrecompileError | HaltReason::PrecompileErrorWithContext(_) => {
            "precompiled contract failed"
        }
        HaltReason::NonceOverflow => "nonce uint64 overflow",
        HaltReason::CreateContractSizeLimit => "max code size exceeded",
        HaltReason::CreateContractStartingWithEF => "invalid code: must not begin with 0xef",
        HaltReason::CreateInitCodeSizeLimit => "max initcode size exceeded",
        HaltReason::StateChangeDuringStaticCall | HaltReason::CallNotAllowedInsideStatic => {
            "write protection"
        }
        HaltReason::OutOfFunds | HaltReason::OverflowPayment => "insufficient balance for transfer",
        HaltReason::CallTooDeep => "max call depth exceeded",
    }
}

impl View {
    /// An account's record; nothing where there is none.
    #[must_use]
    pub fn account(&self, address: Address) -> Option<TrieAccount> {
        self.state().account(&address)
    }
}
