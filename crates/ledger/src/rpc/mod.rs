//! Ethereum's JSON-RPC over the committed chain: bytes in, bytes out, no socket.
//!
//! Reads answer from what is final; `latest`, `safe`, `finalized` and `pending` are one and the same
//! height. Each request has a budget of work and of bytes: see [`budget`]. A block's `hash` is the digest validators certify
//! (SHA-256 of our header, given along as `acesoHeader`), not Keccak-256 of an Ethereum header.

mod accounts;
mod blocks;
mod budget;
mod errors;
mod filters;
mod logs;
mod params;
mod render;
mod send;

#[cfg(test)]
mod tests;

pub use accounts::{CALL_GAS_MAX, PROOF_SLOTS_MAX};
pub use blocks::FEE_BLOCKS_MAX;
pub use budget::{ANSWER_BYTES_MAX, WORK_MAX};
pub use filters::{FILTER_BLOCKS_MAX, FILTER_IDLE_MS_MAX, FILTERS_MAX, FILTERS_PER_CALLER_MAX};
pub use logs::{LOGS_MAX, WANTED_MAX};

use crate::machine::Machine;
use crate::pool::Pool;
use budget::WorkBudget;
use errors::RpcRefusal;
use filters::Filters;
use params::Params;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

/// Longest request, bytes: seven transactions of the longest kind, in hexadecimal.
pub const REQUEST_BYTES_MAX: usize = 1 << 20;
/// Most calls in a batch: as geth takes, and viem sends.
pub const BATCH_CALLS_MAX: usize = 1_000;

/// The owner of a filter: any 16 bytes that differ between callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Caller(pub [u8; 16]);

/// The chain that answers, and the filters of those who ask.
#[derive(Debug)]
pub struct Backend {
    machine: Machine,
    pool: Pool,
    filters: Mutex<Filters>,
}

impl Backend {
    /// Answers from this machine; transactions go to this pool.
    #[must_use]
    pub fn new(machine: Machine, pool: Pool) -> Self {
        Self { machine, pool, filters: Mutex::default() }
    }
}

/// Answers a request, a batch of them, or bytes that are neither. Empty if nothing asks for an answer.
/// Blocking on disk and execution: call it outside async threads.
#[must_use]
pub fn handle(backend: &Backend, caller: Caller, now_ms: u64, request: &[u8]) -> Vec<u8> {
    let alone = |refused: RpcRefusal| answer(&Value::Null, Err(refused)).to_string().into_bytes();
    if request.len() > REQUEST_BYTES_MAX {
        return alone(RpcRefusal::request(format!("the request is longer than {REQUEST_BYTES_MAX} bytes")));
    }
    let request = match serde_json::from_slice::<Value>(request) {
        Ok(request) => request,
        Err(why) => return alone(RpcRefusal::parse(&why)),
    };
    let mut turn = Session { backend, caller, now_ms, work: WorkBudget::default() };
    let Value::Array(calls) = request else {
        return turn.one(request).map_or_else(Vec::new, |answer| answer.to_string().into_bytes());
    };
    if calls.is_empty() {
        return alone(RpcRefusal::request("empty batch"));
    }
    if calls.len() > BATCH_CALLS_MAX {
        // As geth: one answer, to the first call that wants one.
        let why = format!("batch too large: it has {} calls; at most {BATCH_CALLS_MAX} may be", calls.len());
        let id = calls.iter().find_map(|call| call.get("id")).and_then(valid_id).unwrap_or(&Value::Null);
        return Value::Array(vec![answer(id, Err(RpcRefusal::request(why)))]).to_string().into_bytes();
    }
    let mut out = Vec::new();
    for call in calls {
        let Some(answer) = turn.one(call) else { continue };
        out.push(if out.is_empty() { b'[' } else { b',' });
        out.extend_from_slice(answer.to_string().as_bytes());
    }
    if !out.is_empty() {
        out.push(b']');
    }
    out
}

/// An id that JSON-RPC knows.
fn valid_id(id: &Value) -> Option<&Value> {
    matches!(id, Value::Null | Value::Number(_) | Value::String(_)).then_some(id)
}

fn answer(id: &Value, result: Result<Value, RpcRefusal>) -> Value {
    match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(refused) => json!({ "jsonrpc": "2.0", "id": id, "error": refused.shown() }),
    }
}

/// One request under way: what it may still take is shared by all calls of a batch.
struct Session<'a> {
    backend: &'a Backend,
    caller: Caller,
    now_ms: u64,
    work: WorkBudget,
}

impl Session<'_> {
    /// Answers one call, if it wants an answer.
    fn one(&mut self, call: Value) -> Option<Value> {
        let Value::Object(call) = call else {
            return Some(answer(&Value::Null, Err(RpcRefusal::request("a call is a JSON object"))));
        };
        let id = call.get("id");
        if id.is_some_and(|id| valid_id(id).is_none()) {
            let refused = RpcRefusal::request("an id is a number, a string or null");
            return Some(answer(&Value::Null, Err(refused)));
        }
        let result = self.call(&call);
        // A call without an id expects no answer; a malformed call gets an error all the same.
        match (id, &result) {
            (Some(id), _) => Some(answer(id, result)),
            (None, Err(refused)) if refused.is_no_call() => Some(answer(&Value::Null, result)),
            (None, _) => None,
        }
    }

    fn call(&mut self, call: &Map<String, Value>) -> Result<Value, RpcRefusal> {
        if call.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err(RpcRefusal::request("\"jsonrpc\" must be \"2.0\""));
        }
        let Some(Value::String(method)) = call.get("method") else {
            return Err(RpcRefusal::request("\"method\" must be a string"));
        };
        let none = Vec::new();
        let params = match call.get("params") {
            None | Some(Value::Null) => &none,
            Some(Value::Array(params)) => params,
            Some(_) => return Err(RpcRefusal::params("\"params\" must be an array")),
        };
        self.work.call()?;
        let result = self.method(method, Params::new(method, params));
        // After a part of the state could not be read, nothing read since can be trusted.
        match self.backend.machine.fault() {
            None => result,
            Some(fault) => Err(crate::machine::StoreError::from(fault).into()),
        }
    }

    fn method(&mut self, method: &str, params: Params<'_>) -> Result<Value, RpcRefusal> {
        let machine = &self.backend.machine;
        match method {
            "web3_clientVersion" => params.none(|| json!(concat!("aceso/", env!("CARGO_PKG_VERSION")))),
            "net_version" => params.none(|| json!(machine.chain_id().to_string())),
            "net_listening" => params.none(|| json!(true)),
            "eth_chainId" => params.none(|| render::quantity(machine.chain_id())),
            "eth_blockNumber" => params.none(|| render::quantity(machine.tip().height)),
            "eth_syncing" => params.none(|| json!(false)),
            "eth_accounts" => params.none(|| json!([])),
            // Nothing is paid for here.
            "eth_gasPrice" | "eth_maxPriorityFeePerGas" => params.none(|| json!("0x0")),
            "eth_feeHistory" => self.fee_history(params),
            "eth_getBalance" => self.balance(params),
            "eth_getTransactionCount" => self.transaction_count(params),
            "eth_getCode" => self.code(params),
            "eth_getStorageAt" => self.storage_at(params),
            "eth_getProof" => self.proof(params),
            "eth_call" => self.try_call(params),
            "eth_estimateGas" => self.estimate(params),
            "eth_sendRawTransaction" => self.send(params),
            "eth_getBlockByNumber" | "eth_getBlockByHash" => self.block(params),
            "eth_getBlockTransactionCountByNumber" | "eth_getBlockTransactionCountByHash" => {
                self.transactions_in_block(params)
            }
            "eth_getBlockReceipts" => self.block_receipts(params),
            "eth_getTransactionByHash" => self.transaction(params),
            "eth_getTransactionByBlockNumberAndIndex" | "eth_getTransactionByBlockHashAndIndex" => {
                self.transaction_in_block(params)
            }
            "eth_getTransactionReceipt" => self.receipt(params),
            "eth_getUncleCountByBlockNumber" | "eth_getUncleCountByBlockHash" => self.no_uncles(params),
            "eth_getUncleByBlockNumberAndIndex" | "eth_getUncleByBlockHashAndIndex" => self.no_uncle(params),
            "eth_getLogs" => self.logs(params),
            "eth_newFilter" => self.new_filter(params),
            "eth_newBlockFilter" => self.new_block_filter(params),
            "eth_getFilterChanges" => self.filter_changes(params),
            "eth_getFilterLogs" => self.filter_logs(params),
            "eth_uninstallFilter" => self.uninstall_filter(params),
            other => Err(RpcRefusal::method(other)),
        }
    }
}
