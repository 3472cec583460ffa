//! One round: send waiting acts, read what became final, settle our acts.

use super::Inner;
use super::network::{RemoteError, block, head};
use super::rpc::{RpcError, bytes, field, hex_bytes, hex_quantity, quantity};
use super::state_cache::StateUpdate;
use alloy_consensus::{Transaction as _, TxEnvelope};
use alloy_eips::eip2718::Decodable2718;
use serde_json::{Value, json};
use std::sync::Arc;
use vitals::ids::Hash;
use vitals::ledger::Outcome;

/// An act that the network accepted but did not include in a block is sent again after this many rounds: a
/// node may have dropped it.
const ROUNDS_BEFORE_AGAIN: u64 = 30;

/// Error messages of nodes for a transaction that they have, had, or replaced. JSON-RPC has no code for it;
/// the chain shows the outcome.
const KNOWN: [&str; 7] = [
    "already known",
    "already imported",
    "known transaction",
    "already exists",
    "nonce too low",
    "nonce below",
    "replacement",
];

impl Inner {
    /// Sends every act that the network has not accepted yet, in the order of nonces.
    pub(super) async fn send(&self, round: u64) -> Result<(), RpcError> {
        const METHOD: &str = "eth_sendRawTransaction";
        let waiting = self.acts.lock().waiting();
        for (nonce, act) in waiting {
            if act.taken.is_some_and(|taken| round.saturating_sub(taken) < ROUNDS_BEFORE_AGAIN) {
                continue;
            }
            match self.rpc.call(METHOD, json!([hex_bytes(&act.raw)])).await {
                Ok(_) => {}
                Err(RpcError::Refused { message, .. }) if is_known(&message) => {}
                // Later nonces would have to wait for this one.
                Err(why) => return Err(why),
            }
            self.acts.lock().taken(nonce, round);
        }
        Ok(())
    }

    /// Reads what became final. True if there was anything new.
    pub(super) async fn follow(&self) -> Result<bool, RemoteError> {
        let network = &self.network;
        let tip = self.cache().tip;
        let Some(height) = head(&self.rpc).await?.checked_sub(network.confirmations) else {
            return Ok(false);
        };
        let begun = tip.digest != [0; 32];
        let moved = height > tip.height || (!begun && height >= network.first_block);
        let queried = self.acts.lock().queried();
        if !moved {
            if !queried.is_empty() {
                let receipts = self.receipts(&queried, tip.height).await?;
                let mut acts = self.acts.lock();
                for (id, outcome) in queried.into_iter().zip(receipts) {
                    outcome.settled().into_iter().for_each(|outcome| acts.settle(id, outcome));
                }
                drop(acts);
                // Wakes those that wait for an outcome.
                self.tip.send_replace(tip);
            }
            return Ok(false);
        }
        let missing =
            |height| RpcError::answer("eth_getBlockByNumber", format!("block {height} is not there"));
        let newest = block(&self.rpc, height).await?.ok_or_else(|| missing(height))?;
        if begun {
            let known = block(&self.rpc, tip.height).await?.ok_or_else(|| missing(tip.height))?;
            if known.hash != tip.digest {
                let confirmations = network.confirmations;
                return Err(RemoteError::Replaced { height: tip.height, confirmations });
            }
        }
        let after = if begun { tip.height } else { network.first_block.saturating_sub(1) };
        let (contracts, sender) = (&self.contracts, self.address);
        let update =
            StateUpdate::read(&self.rpc, contracts, sender, network.log_blocks, after, &newest).await?;
        let waiting = self.acts.lock().waiting();
        let ids: Vec<Hash> = waiting.iter().map(|(_, act)| act.id).chain(queried.iter().copied()).collect();
        let mut statuses = self.receipts(&ids, height).await?;
        for (status, (nonce, act)) in statuses.iter_mut().zip(&waiting) {
            match status {
                // Another transaction used its nonce: it can never be included.
                ActStatus::None if *nonce < update.nonce() => {
                    let why = format!("another transaction of this account took its place (nonce {nonce})");
                    *status = ActStatus::Settled(Outcome::Refused { reason: why });
                }
                ActStatus::None => *status = ActStatus::Waits,
                ActStatus::Reverted { height } => {
                    let reason = self.reason(&act.id, *height, &act.raw).await;
                    *status = ActStatus::Settled(Outcome::Refused { reason });
                }
                ActStatus::Waits | ActStatus::Settled(_) => {}
            }
        }
        // The separate reads are one state only if the block was not replaced meanwhile.
        let still = block(&self.rpc, height).await?.ok_or_else(|| missing(height))?;
        if still.hash != newest.hash {
            return Err(RpcError::answer("eth_getBlockByNumber", "the head moved while it was read").into());
        }
        {
            // Both locks at once, or a nonce could be used twice in between.
            let mut acts = self.acts.lock();
            let mut cache = self.cache.write();
            for (id, status) in ids.into_iter().zip(statuses) {
                status.settled().into_iter().for_each(|outcome| acts.settle(id, outcome));
            }
            Arc::make_mut(&mut cache).apply(update);
        }
        self.tip.send_replace(self.cache().tip);
        Ok(true)
    }

    /// The status of these transactions as of `height`.
    async fn receipts(&self, ids: &[Hash], height: u64) -> Result<Vec<ActStatus>, RpcError> {
        const METHOD: &str = "eth_getTransactionReceipt";
        let questions: Vec<Value> = ids.iter().map(|id| json!([hex_bytes(id)])).collect();
        let mut statuses = Vec::with_capacity(ids.len());
        for answer in self.rpc.calls(METHOD, &questions).await? {
            let receipt = answer?;
            if receipt.is_null() {
                statuses.push(ActStatus::None);
                continue;
            }
            let included = quantity(METHOD, field(METHOD, &receipt, "blockNumber")?)?;
            let succeeded = quantity(METHOD, field(METHOD, &receipt, "status")?)? == 1;
            statuses.push(match (included > height, succeeded) {
                (true, _) => ActStatus::Waits,
                (false, true) => ActStatus::Settled(Outcome::Done { height: included }),
                (false, false) => ActStatus::Reverted { height: included },
            });
        }
        Ok(statuses)
    }

    /// The reason of a contract's refusal. A receipt does not contain it: a node with tracing reports it, any
    /// other can run the act again on the previous block.
    async fn reason(&self, id: &Hash, height: u64, raw: &[u8]) -> String {
        const TRACE: &str = "debug_traceTransaction";
        const CALL: &str = "eth_call";
        let silent = || "the contract refused, and the network's node does not say why".to_owned();
        let traced = self.rpc.call(TRACE, json!([hex_bytes(id), { "tracer": "callTracer" }])).await;
        if let Ok(trace) = &traced
            && trace.get("error").is_some()
        {
            let revert = trace.get("output").and_then(|output| bytes(TRACE, output).ok());
            return crate::contracts::reason(&revert.unwrap_or_default());
        }
        let Ok(tx) = TxEnvelope::decode_2718(&mut &raw[..]) else { return silent() };
        let Some(to) = tx.to() else { return silent() };
        let call = json!({
            "from": hex_bytes(self.address),
            "to": hex_bytes(to),
            "data": hex_bytes(tx.input()),
            "gas": hex_quantity(tx.gas_limit()),
        });
        match self.rpc.call(CALL, json!([call, hex_quantity(height.saturating_sub(1))])).await {
            Err(RpcError::Refused { data: Some(revert), .. }) => crate::contracts::reason(&revert),
            _ => silent(),
        }
    }
}

/// The status of a transaction.
#[derive(Debug, Clone)]
enum ActStatus {
    /// No block has it.
    None,
    /// A block has it that is not final yet, or it may still get into one.
    Waits,
    /// Final, but refused.
    Reverted {
        height: u64,
    },
    Settled(Outcome),
}

impl ActStatus {
    /// The outcome to keep, if there is one.
    fn settled(self) -> Option<Outcome> {
        match self {
            // A requested act that is no longer in the file, or was never ours.
            Self::None => Some(Outcome::Unknown),
            Self::Reverted { .. } => Some(Outcome::Refused { reason: "the contract refused it".to_owned() }),
            Self::Settled(outcome) => Some(outcome),
            Self::Waits => None,
        }
    }
}

fn is_known(message: &str) -> bool {
    let message = message.to_lowercase();
    KNOWN.iter().any(|known| message.contains(known))
}
