//! Deploys this build's contracts on a network, once, and writes the genesis document that names them.

use super::network::{Network, RemoteError, head, nonce};
use super::rpc::{Rpc, RpcError, field, fixed, hex_bytes, quantity};
use super::runtime;
use crate::account::{AccountError, address_of, signed};
use crate::genesis::{Founding, creations, document_at};
use crate::machine::TX_GAS_MAX;
use alloy_consensus::TxEip1559;
use alloy_primitives::{Address, TxKind, U256, keccak256};
use secp256k1::SecretKey;
use serde_json::{Value, json};
use vitals::proof::genesis::{Founder, GenesisDocument};

/// How often the network is asked whether a contract is there before the deployment is given up.
const ASKED_MAX: u32 = 600;

/// A finished deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed {
    /// The ledger's genesis document: it names the contracts.
    pub document: GenesisDocument,
    /// The block of the first contract, for [`Network::first_block`].
    pub first_block: u64,
}

/// The validator key of a founding organisation on a remote network, where it votes but certifies nothing:
/// nobody has its secret, so nothing can be signed for this committee.
#[must_use]
pub fn seat_key(record_key: &[u8; 32]) -> [u8; 32] {
    vitals::ids::sha256(&[b"aceso/seat/v1", record_key])
}

/// Creates the contracts from the account of `secret`, in their order, with these founders inside, and
/// waits until they are final. Each founder gets one seat ([`seat_key`]), whatever committee `founding`
/// names: the network has validators of its own. Blocking: call it outside async threads.
///
/// # Errors
/// If the network or a contract refuses. Contracts created by then stay and do no harm; a second try creates
/// all of them again.
pub fn deploy(network: &Network, secret: &[u8; 32], founding: Founding) -> Result<Deployed, RemoteError> {
    let rpc = network.connect()?;
    runtime()?.block_on(create(&rpc, network, secret, founding))
}

async fn create(
    rpc: &Rpc,
    network: &Network,
    secret: &[u8; 32],
    mut founding: Founding,
) -> Result<Deployed, RemoteError> {
    const SEND: &str = "eth_sendRawTransaction";
    network.check_chain(rpc).await?;
    if founding.chain_id != network.chain_id {
        return Err(RemoteError::OtherChain { configured: network.chain_id, found: founding.chain_id });
    }
    founding.committee = founding.founders.iter().map(|founder| seat_key(&founder.record_key)).collect();
    founding.operators = founding.founders.iter().map(Founder::org).collect();
    let key = SecretKey::from_byte_array(secret).map_err(|_| AccountError::NotAKey)?;
    let deployer = Address::from(address_of(secret)?);
    let first = nonce(rpc, deployer, head(rpc).await?).await?;
    let document = document_at(founding, deployer, first);
    let (codes, _) = creations(&document)?;
    let (mut first_block, mut last) = (u64::MAX, 0);
    for ((contract, code), nonce) in document.contracts.iter().zip(codes).zip(first..) {
        let tx = TxEip1559 {
            chain_id: network.chain_id,
            nonce,
            gas_limit: TX_GAS_MAX,
            max_fee_per_gas: network.fee_wei_max.into(),
            max_priority_fee_per_gas: network.tip_wei.into(),
            to: TxKind::Create,
            value: U256::ZERO,
            access_list: Default::default(),
            input: code.into(),
        };
        let raw = signed(&key, tx);
        rpc.call(SEND, json!([hex_bytes(&raw)])).await?;
        let not = |why: &str| RemoteError::NotCreated { name: contract.name.clone(), why: why.to_owned() };
        let receipt = receipt(rpc, network, &keccak256(&raw).0).await?;
        let (height, succeeded, at) = receipt.ok_or_else(|| not("no block takes it"))?;
        if !succeeded {
            return Err(not("its constructor refused, or the network's gas limit is too low"));
        }
        if at != contract.address {
            return Err(not("it has another address; the account sent another transaction meanwhile"));
        }
        first_block = first_block.min(height);
        last = last.max(height);
    }
    for _ in 0..ASKED_MAX {
        if head(rpc).await?.saturating_sub(network.confirmations) >= last {
            break;
        }
        tokio::time::sleep(network.poll).await;
    }
    network.check_codes(rpc, &document).await?;
    Ok(Deployed { document, first_block })
}

/// Waits for a transaction's block: its height, whether it succeeded, and what it created.
async fn receipt(
    rpc: &Rpc,
    network: &Network,
    id: &[u8; 32],
) -> Result<Option<(u64, bool, [u8; 20])>, RpcError> {
    const METHOD: &str = "eth_getTransactionReceipt";
    for _ in 0..ASKED_MAX {
        let answer: Value = rpc.call(METHOD, json!([hex_bytes(id)])).await?;
        if !answer.is_null() {
            let field = |name| field(METHOD, &answer, name);
            let height = quantity(METHOD, field("blockNumber")?)?;
            let succeeded = quantity(METHOD, field("status")?)? == 1;
            let at = answer.get("contractAddress").and_then(|at| fixed(METHOD, at).ok());
            return Ok(Some((height, succeeded, at.unwrap_or_default())));
        }
        tokio::time::sleep(network.poll).await;
    }
    Ok(None)
}
