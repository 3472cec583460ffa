//! Questions to contracts: calls that change nothing.

use super::{BLOCK_GAS_MAX, Machine, TX_GAS_MAX, View};
use crate::contracts::bindings::Consents;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_sol_types::SolCall;
use revm::context::result::ExecutionResult;
use revm::context::{BlockEnv as EvmBlock, TxEnv};
use revm::database::WrapDatabaseRef;
use revm::primitives::hardfork::SpecId;
use revm::{Context, ExecuteEvm, MainBuilder, MainContext};
use vitals::ids::{Class, GrantId};

impl Machine {
    /// What a contract answers as of the view's block; nothing if it refuses.
    pub(crate) fn ask(&self, view: &View, to: Address, data: Vec<u8>) -> Option<Bytes> {
        let tip = view.tip();
        let block = EvmBlock {
            number: U256::from(tip.height),
            timestamp: U256::from(tip.time_ms / 1000),
            gas_limit: BLOCK_GAS_MAX,
            basefee: 0,
            prevrandao: Some(B256::ZERO),
            ..Default::default()
        };
        let tx = TxEnv {
            tx_type: 2,
            nonce: view.nonce(Address::ZERO),
            kind: TxKind::Call(to),
            data: data.into(),
            gas_limit: TX_GAS_MAX,
            gas_price: 0,
            gas_priority_fee: Some(0),
            chain_id: Some(self.chain_id()),
            ..Default::default()
        };
        let mut evm = Context::mainnet()
            .with_db(WrapDatabaseRef(view.state()))
            .modify_cfg_chained(|cfg| {
                cfg.set_spec_and_mainnet_gas_params(SpecId::OSAKA);
                cfg.chain_id = self.chain_id();
                cfg.disable_fee_charge = true;
            })
            .with_block(block)
            .build_mainnet();
        match evm.transact(tx).ok()?.result {
            ExecutionResult::Success { output, .. } => Some(output.into_data()),
            _ => None,
        }
    }

    /// Does the consent's policy agree that a class is opened, as of the view's block? True without one.
    pub(crate) fn policy_agrees(&self, view: &View, grant: GrantId, class: Class) -> bool {
        let call = Consents::policyAgreesCall { id: B256::from(grant.0), class: class.code() };
        let answer = self.ask(view, self.contracts().consents, call.abi_encode());
        answer.is_some_and(|bytes| bytes.len() == 32 && bytes.last() == Some(&1))
    }
}
