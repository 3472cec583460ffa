//! How blocks, transactions, receipts and events are shown.

use super::budget::{self, WorkBudget};
use super::errors::RpcRefusal;
use crate::machine::{BLOCK_GAS_MAX, Receipt, Summary};
use alloy_consensus::constants::EMPTY_OMMER_ROOT_HASH;
use alloy_consensus::transaction::SignerRecoverable;
use alloy_consensus::{Transaction as _, TxEnvelope};
use alloy_eips::Typed2718;
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{Address, B256, Log, U256, hex, keccak256, logs_bloom};
use serde_json::{Value, json};
use vitals::ids::Hash;
use vitals::proof::header::{self, BlockHeader};

/// Bytes of JSON around the data of a block, a transaction, a receipt and an event: upper bounds.
const BLOCK_JSON_BYTES: usize = 2_500;
const TRANSACTION_JSON_BYTES: usize = 1_300;
const RECEIPT_JSON_BYTES: usize = 1_500;
const LOG_JSON_BYTES: usize = 900;

pub(super) fn quantity(number: u64) -> Value {
    json!(format!("{number:#x}"))
}

pub(super) fn large(number: U256) -> Value {
    json!(format!("{number:#x}"))
}

pub(super) fn bytes(bytes: &[u8]) -> Value {
    json!(hex::encode_prefixed(bytes))
}

/// A committed block's header, with its digest.
pub(super) struct Block {
    pub(super) header: BlockHeader,
    pub(super) digest: Hash,
    encoded: Vec<u8>,
}

impl Block {
    pub(super) fn read(encoded: Vec<u8>) -> Result<Self, RpcRefusal> {
        let header = BlockHeader::decode(&encoded)
            .map_err(|_| RpcRefusal::from(crate::machine::StoreError::Damaged("a header is unreadable")))?;
        Ok(Self { digest: header::digest(&encoded), header, encoded })
    }

    fn seconds(&self) -> u64 {
        self.header.time_ms / 1000
    }

    /// The block, with `transactions` as they are shown in it.
    pub(super) fn show(
        &self,
        summary: &Summary,
        transactions: Vec<Value>,
        bytes_of_transactions: usize,
        work: &mut WorkBudget,
    ) -> Result<Value, RpcRefusal> {
        work.bytes(BLOCK_JSON_BYTES + 2 * self.encoded.len())?;
        let header = &self.header;
        Ok(json!({
            "hash": bytes(&self.digest),
            "parentHash": bytes(&header.parent),
            "number": quantity(header.height),
            "timestamp": quantity(self.seconds()),
            "stateRoot": bytes(&header.state_root),
            "transactionsRoot": bytes(&header.transactions_root),
            "receiptsRoot": bytes(&header.receipts_root),
            "logsBloom": bytes(summary.bloom.as_slice()),
            "gasUsed": quantity(summary.gas),
            "gasLimit": quantity(BLOCK_GAS_MAX),
            "baseFeePerGas": "0x0",
            "extraData": bytes(&header.leader),
            "size": quantity((self.encoded.len() + bytes_of_transactions) as u64),
            "transactions": transactions,
            // What Ethereum's blocks have and ours do not.
            "sha3Uncles": bytes(EMPTY_OMMER_ROOT_HASH.as_slice()),
            "uncles": [],
            "miner": bytes(Address::ZERO.as_slice()),
            "mixHash": bytes(B256::ZERO.as_slice()),
            "nonce": "0x0000000000000000",
            "difficulty": "0x0",
            "totalDifficulty": "0x0",
            // What its hash is the digest of.
            "acesoHeader": bytes(&self.encoded),
        }))
    }
}

/// A transaction's place in a block.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) block: &'a Block,
    pub(super) index: usize,
}

/// A transaction, read.
pub(super) struct Transaction {
    hash: B256,
    from: Address,
    envelope: TxEnvelope,
    bytes: usize,
}

impl Transaction {
    pub(super) fn read(raw: &[u8], work: &mut WorkBudget) -> Result<Self, RpcRefusal> {
        work.spend(budget::SENDER)?;
        let unreadable =
            || RpcRefusal::from(crate::machine::StoreError::Damaged("a transaction is unreadable"));
        let envelope = TxEnvelope::decode_2718(&mut &*raw).map_err(|_| unreadable())?;
        let from = envelope.recover_signer().map_err(|_| unreadable())?;
        Ok(Self { hash: keccak256(raw), from, envelope, bytes: raw.len() })
    }

    pub(super) fn show(&self, place: Option<Place<'_>>, work: &mut WorkBudget) -> Result<Value, RpcRefusal> {
        let input = self.envelope.input().len();
        // An access list grows most: 23 bytes become 80.
        work.bytes(TRANSACTION_JSON_BYTES + 2 * input + 4 * self.bytes.saturating_sub(input))?;
        let (tx, signature) = (&self.envelope, self.envelope.signature());
        let odd = u64::from(signature.v());
        let mut shown = json!({
            "hash": bytes(self.hash.as_slice()),
            "type": quantity(u64::from(tx.ty())),
            "chainId": tx.chain_id().map(quantity),
            "nonce": quantity(tx.nonce()),
            "from": bytes(self.from.as_slice()),
            "to": tx.to().map(|to| bytes(to.as_slice())),
            "value": large(tx.value()),
            "gas": quantity(tx.gas_limit()),
            "gasPrice": large(self.price(place.is_some())),
            "input": bytes(tx.input()),
            "r": large(signature.r()),
            "s": large(signature.s()),
            "v": quantity(odd),
            "blockHash": place.map(|place| bytes(&place.block.digest)),
            "blockNumber": place.map(|place| quantity(place.block.header.height)),
            "transactionIndex": place.map(|place| quantity(place.index as u64)),
        });
        if let TxEnvelope::Legacy(_) = tx {
            let v = tx.chain_id().map_or(27 + odd, |id| 35 + 2 * id + odd);
            shown["v"] = quantity(v);
            return Ok(shown);
        }
        shown["yParity"] = quantity(odd);
        let item = |item: &alloy_eips::eip2930::AccessListItem| {
            let keys: Vec<Value> = item.storage_keys.iter().map(|key| bytes(key.as_slice())).collect();
            json!({ "address": bytes(item.address.as_slice()), "storageKeys": keys })
        };
        shown["accessList"] = tx.access_list().map_or(json!([]), |list| list.iter().map(item).collect());
        if let Some(tip) = tx.max_priority_fee_per_gas() {
            shown["maxFeePerGas"] = large(U256::from(tx.max_fee_per_gas()));
            shown["maxPriorityFeePerGas"] = large(U256::from(tip));
        }
        Ok(shown)
    }

    /// The price of gas that it offers under the base fee of a block, nothing: what the EVM told the contracts, and what
    /// Ethereum would charge. Nothing is charged here. Of one that waits: the most it offers.
    fn price(&self, in_block: bool) -> U256 {
        U256::from(self.envelope.effective_gas_price(in_block.then_some(0)))
    }

    /// What it did. `before`: gas and events of the block's transactions before it.
    pub(super) fn show_receipt(
        &self,
        place: Place<'_>,
        receipt: &Receipt,
        before: (u64, usize),
        work: &mut WorkBudget,
    ) -> Result<Value, RpcRefusal> {
        work.bytes(RECEIPT_JSON_BYTES)?;
        let (gas_before, logs_before) = before;
        let mut logs = Vec::with_capacity(receipt.logs.len());
        for (index, log) in receipt.logs.iter().enumerate() {
            logs.push(show_log(log, place, self.hash, logs_before + index, work)?);
        }
        let tx = &self.envelope;
        let created = tx.to().is_none().then(|| self.from.create(tx.nonce()));
        let mut shown = json!({
            "transactionHash": bytes(self.hash.as_slice()),
            "transactionIndex": quantity(place.index as u64),
            "blockHash": bytes(&place.block.digest),
            "blockNumber": quantity(place.block.header.height),
            "from": bytes(self.from.as_slice()),
            "to": tx.to().map(|to| bytes(to.as_slice())),
            "contractAddress": created.filter(|_| receipt.succeeded).map(|at| bytes(at.as_slice())),
            "status": if receipt.succeeded { "0x1" } else { "0x0" },
            "type": quantity(u64::from(tx.ty())),
            "gasUsed": quantity(receipt.gas),
            "cumulativeGasUsed": quantity(gas_before.saturating_add(receipt.gas)),
            "effectiveGasPrice": large(self.price(true)),
            "logs": logs,
            "logsBloom": bytes(logs_bloom(&receipt.logs).as_slice()),
        });
        if !receipt.succeeded {
            shown["revertReason"] = bytes(&receipt.revert);
        }
        Ok(shown)
    }
}

pub(super) fn show_log(
    log: &Log,
    place: Place<'_>,
    transaction: B256,
    index: usize,
    work: &mut WorkBudget,
) -> Result<Value, RpcRefusal> {
    work.bytes(LOG_JSON_BYTES + 2 * log.data.data.len())?;
    let topics: Vec<Value> = log.topics().iter().map(|topic| bytes(topic.as_slice())).collect();
    Ok(json!({
        "address": bytes(log.address.as_slice()),
        "topics": topics,
        "data": bytes(&log.data.data),
        "blockHash": bytes(&place.block.digest),
        "blockNumber": quantity(place.block.header.height),
        "blockTimestamp": quantity(place.block.seconds()),
        "transactionHash": bytes(transaction.as_slice()),
        "transactionIndex": quantity(place.index as u64),
        "logIndex": quantity(index as u64),
        // What is final stays.
        "removed": false,
    }))
}
