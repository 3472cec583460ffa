//! Refusals in JSON-RPC's form: a code for programs, a sentence for people.

use crate::machine::StoreError;
use alloy_primitives::hex;
use alloy_sol_types::{Panic, Revert, SolError};
use serde_json::{Value, json};

/// Longest method name that is repeated in an error, bytes.
const NAME_BYTES_MAX: usize = 64;

/// Why a call has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RpcRefusal {
    code: i32,
    message: String,
    data: Option<Value>,
}

impl RpcRefusal {
    fn with(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// Not JSON.
    pub(super) fn parse(why: &serde_json::Error) -> Self {
        Self::with(-32700, format!("the request is no JSON: {why}"))
    }

    /// JSON, but not a call.
    pub(super) fn request(why: impl Into<String>) -> Self {
        Self::with(-32600, why)
    }

    pub(super) fn is_no_call(&self) -> bool {
        self.code == -32600
    }

    /// No such method. Clients try methods and fall back on this code.
    pub(super) fn method(name: &str) -> Self {
        let plain = name.len() <= NAME_BYTES_MAX && name.bytes().all(|b| b.is_ascii_graphic());
        let name = if plain { name } else { "of this name" };
        Self::with(-32601, format!("the method {name} does not exist here"))
    }

    /// Wrong parameters.
    pub(super) fn params(why: impl Into<String>) -> Self {
        Self::with(-32602, why)
    }

    /// Right in form, and not possible.
    pub(super) fn impossible(why: impl Into<String>) -> Self {
        Self::with(-32000, why)
    }

    /// It does not exist, or not any more.
    pub(super) fn not_found(why: impl Into<String>) -> Self {
        Self::with(-32001, why)
    }

    /// It was there, and this node has removed it.
    pub(super) fn pruned(what: &str, from: u64) -> Self {
        Self::with(
            -32001,
            format!("pruned history unavailable: {what}; this node keeps them from block {from} on"),
        )
    }

    /// A transaction nobody may send.
    pub(super) fn rejected(why: impl Into<String>) -> Self {
        Self::with(-32003, why)
    }

    /// Too much at once: ask again, or for less.
    pub(super) fn limit(why: impl Into<String>) -> Self {
        Self::with(-32005, why)
    }

    pub(super) fn is_limit(&self) -> bool {
        self.code == -32005
    }

    /// The contract refused; its reason goes along.
    pub(super) fn reverted(output: &[u8]) -> Self {
        let words = crate::contracts::refusal(output)
            .map(|refusal| refusal.to_string())
            .or_else(|| Revert::abi_decode(output).ok().map(|revert| revert.reason))
            .or_else(|| Panic::abi_decode(output).ok().map(|panic| panic.to_string()));
        let message =
            words.map_or_else(|| "execution reverted".into(), |words| format!("execution reverted: {words}"));
        Self { code: 3, message, data: Some(json!(hex::encode_prefixed(output))) }
    }

    pub(super) fn shown(self) -> Value {
        match self.data {
            None => json!({ "code": self.code, "message": self.message }),
            Some(data) => json!({ "code": self.code, "message": self.message, "data": data }),
        }
    }
}

impl From<StoreError> for RpcRefusal {
    /// An internal error: the details go to the operator's log and not to the caller.
    fn from(why: StoreError) -> Self {
        tracing::error!(%why, "A question about the ledger cannot be answered: {why}");
        Self::with(-32603, "the node cannot read its ledger")
    }
}
