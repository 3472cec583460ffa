//! The code that the network must have: each contract's creation code is run here, at the same address and with
//! the same arguments. The result contains the immutables, so that the whole code can be compared.

use crate::genesis::{GenesisError, creations};
use alloy_primitives::{Bytes, TxKind, U256};
use revm::bytecode::Bytecode;
use revm::context::result::{ExecutionResult, Output};
use revm::context::{BlockEnv, TxEnv};
use revm::database::InMemoryDB;
use revm::primitives::hardfork::SpecId;
use revm::state::AccountInfo;
use revm::{Context, ExecuteCommitEvm, MainBuilder, MainContext};
use vitals::proof::genesis::GenesisDocument;

/// Gas for one constructor: founders are stored in it.
const GAS: u64 = 1 << 24;

/// The code of each contract of a document, in its order.
pub(super) fn deployed(document: &GenesisDocument) -> Result<Vec<Vec<u8>>, GenesisError> {
    let (codes, _) = creations(document)?;
    let mut database = InMemoryDB::default();
    let mut deployed = Vec::with_capacity(codes.len());
    for (contract, creation) in document.contracts.iter().zip(codes) {
        let address = contract.address.into();
        let with = |code: Vec<u8>| {
            AccountInfo { nonce: 1, ..AccountInfo::default() }.with_code(Bytecode::new_raw(code.into()))
        };
        // Creation code reads its arguments from behind itself, so it can be run as a call.
        database.insert_account_info(address, with(creation));
        let block = BlockEnv { timestamp: U256::from(document.time_ms / 1000), ..BlockEnv::default() };
        let mut evm = Context::mainnet()
            .with_db(&mut database)
            .modify_cfg_chained(|cfg| {
                cfg.set_spec_and_mainnet_gas_params(SpecId::OSAKA);
                cfg.chain_id = document.chain_id;
                cfg.disable_fee_charge = true;
                cfg.disable_nonce_check = true;
            })
            .with_block(block)
            .build_mainnet();
        let call = TxEnv {
            kind: TxKind::Call(address),
            gas_limit: GAS,
            chain_id: Some(document.chain_id),
            ..TxEnv::default()
        };
        let refused = |why: String| GenesisError::Refused(format!("{}: {why}", contract.name));
        let code: Bytes = match evm.transact_commit(call).map_err(|why| refused(why.to_string()))? {
            ExecutionResult::Success { output: Output::Call(code), .. } => code,
            ExecutionResult::Revert { output, .. } => return Err(refused(crate::contracts::reason(&output))),
            ExecutionResult::Halt { reason, .. } => return Err(refused(reason.to_string())),
            ExecutionResult::Success { .. } => return Err(refused("it gave no code".to_owned())),
        };
        deployed.push(code.to_vec());
        // The next constructor may call this contract: keep its storage, and set its code.
        let mut info =
            database.cache.accounts.get(&address).map(|kept| kept.info.clone()).unwrap_or_default();
        info = AccountInfo { nonce: 1, balance: info.balance, ..AccountInfo::default() }
            .with_code(Bytecode::new_raw(code));
        database.insert_account_info(address, info);
    }
    Ok(deployed)
}
