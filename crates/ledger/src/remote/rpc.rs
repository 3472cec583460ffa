//! A small JSON-RPC client: one URL, bounded answers, a few tries.

use alloy_primitives::hex;
use serde_json::{Value, json};
use std::time::Duration;

/// Longest answer read.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Most calls in one batch.
const BATCH_CALLS_MAX: usize = 100;
/// Tries of one request that meets no answer.
const TRIES: u32 = 3;
/// Pause before the second try; doubled before each one after.
const PAUSE: Duration = Duration::from_millis(100);

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RpcError {
    /// The node does not answer: try again later.
    #[error("the node does not answer: {0}")]
    Unreachable(String),
    /// The answer is malformed.
    #[error("the answer to {method} is malformed: {why}")]
    Answer {
        /// The method asked for.
        method: String,
        /// What is wrong with the answer.
        why: String,
    },
    /// The node refused the call.
    #[error("{method} was refused ({code}): {message}")]
    Refused {
        /// The method asked for.
        method: String,
        /// JSON-RPC's error code.
        code: i64,
        /// The node's message.
        message: String,
        /// Revert data, if a contract was asked.
        data: Option<Vec<u8>>,
    },
}

impl RpcError {
    pub(crate) fn answer(method: &str, why: impl Into<String>) -> Self {
        Self::Answer { method: method.to_owned(), why: why.into() }
    }
}

/// One node of the network. It connects with the first call.
#[derive(Debug)]
pub(crate) struct Rpc {
    client: reqwest::Client,
    url: reqwest::Url,
    bearer: Option<String>,
}

impl Rpc {
    pub(crate) fn new(url: reqwest::Url, bearer: Option<&str>, timeout: Duration) -> Result<Self, RpcError> {
        let client = reqwest::Client::builder()
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|why| RpcError::Unreachable(why.to_string()))?;
        Ok(Self { client, url, bearer: bearer.map(|token| format!("Bearer {token}")) })
    }

    /// Makes one call.
    pub(crate) async fn call(&self, method: &str, params: Value) -> Result<Value, RpcError> {
        let request = json!({ "jsonrpc": "2.0", "id": 0, "method": method, "params": params });
        let answer = self.post(method, &request).await?;
        result(method, answer)
    }

    /// Makes many calls of one method, in as few requests as the bound allows; answers in their order.
    pub(crate) async fn calls(
        &self,
        method: &str,
        params: &[Value],
    ) -> Result<Vec<Result<Value, RpcError>>, RpcError> {
        let mut results = Vec::with_capacity(params.len());
        for chunk in params.chunks(BATCH_CALLS_MAX) {
            let call = |(id, params): (usize, &Value)| json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
            let request: Vec<Value> = chunk.iter().enumerate().map(call).collect();
            let Value::Array(answers) = self.post(method, &Value::Array(request)).await? else {
                return Err(RpcError::answer(method, "a batch was not answered by one"));
            };
            let mut sorted: Vec<Option<Value>> = vec![None; chunk.len()];
            for answer in answers {
                let id = answer.get("id").and_then(Value::as_u64).and_then(|id| usize::try_from(id).ok());
                if let Some(place) = id.and_then(|id| sorted.get_mut(id)) {
                    *place = Some(answer);
                }
            }
            for answer in sorted {
                let answer =
                    answer.ok_or_else(|| RpcError::answer(method, "a batch was answered in part"))?;
                results.push(result(method, answer));
            }
        }
        Ok(results)
    }

    async fn post(&self, method: &str, request: &Value) -> Result<Value, RpcError> {
        // Every method used here can be repeated: a transaction sent twice has one hash.
        let body = request.to_string();
        let mut pause = PAUSE;
        for _ in 1..TRIES {
            match self.once(method, body.clone()).await {
                Err(RpcError::Unreachable(_)) => {}
                settled => return settled,
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        self.once(method, body).await
    }

    async fn once(&self, method: &str, body: String) -> Result<Value, RpcError> {
        let unreachable = |why: reqwest::Error| RpcError::Unreachable(causes(&why.without_url()));
        let mut request = self.client.post(self.url.clone()).header("content-type", "application/json");
        if let Some(bearer) = &self.bearer {
            request = request.header("authorization", bearer);
        }
        let mut response = request.body(body).send().await.map_err(unreachable)?;
        let status = response.status();
        // Server errors are temporary; others are not.
        if status.is_server_error() {
            return Err(RpcError::Unreachable(format!("HTTP status {status}")));
        }
        if !status.is_success() {
            return Err(RpcError::answer(method, format!("HTTP status {status}")));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(RpcError::answer(method, format!("longer than {ANSWER_BYTES_MAX} bytes")));
            }
            bytes.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&bytes).map_err(|_| RpcError::answer(method, "it is not JSON"))
    }
}

/// An error with its causes: the outermost alone has little information.
fn causes(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut below = error.source();
    while let Some(cause) = below {
        words = format!("{words}: {cause}");
        below = cause.source();
    }
    words
}

fn result(method: &str, mut answer: Value) -> Result<Value, RpcError> {
    if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
        return Err(RpcError::Refused {
            method: method.to_owned(),
            code: error.get("code").and_then(Value::as_i64).unwrap_or_default(),
            message: error.get("message").and_then(Value::as_str).unwrap_or_default().to_owned(),
            data: error.get("data").and_then(revert_data),
        });
    }
    answer
        .get_mut("result")
        .map(Value::take)
        .ok_or_else(|| RpcError::answer(method, "it has neither result nor error"))
}

/// Nodes hand revert data over as hex, alone or in an object.
fn revert_data(data: &Value) -> Option<Vec<u8>> {
    let text = data.as_str().or_else(|| data.get("data")?.as_str())?;
    hex::decode(text.strip_prefix("Reverted ").unwrap_or(text)).ok()
}

/// Reads one field of an object.
pub(crate) fn field<'a>(method: &str, value: &'a Value, name: &str) -> Result<&'a Value, RpcError> {
    value
        .get(name)
        .filter(|value| !value.is_null())
        .ok_or_else(|| RpcError::answer(method, format!("no {name}")))
}

/// Reads a quantity ("0x1f").
pub(crate) fn quantity(method: &str, value: &Value) -> Result<u64, RpcError> {
    let digits = value.as_str().and_then(|text| text.strip_prefix("0x"));
    digits
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .ok_or_else(|| RpcError::answer(method, "a quantity is none, or beyond 64 bits"))
}

/// Reads bytes ("0x…").
pub(crate) fn bytes(method: &str, value: &Value) -> Result<Vec<u8>, RpcError> {
    let text = value.as_str().filter(|text| text.starts_with("0x"));
    text.and_then(|text| hex::decode(text).ok())
        .ok_or_else(|| RpcError::answer(method, "bytes are not in hex"))
}

/// Reads bytes of one length.
pub(crate) fn fixed<const N: usize>(method: &str, value: &Value) -> Result<[u8; N], RpcError> {
    bytes(method, value)?.try_into().map_err(|_| RpcError::answer(method, format!("not {N} bytes")))
}

/// Writes a quantity.
pub(crate) fn hex_quantity(number: u64) -> Value {
    Value::String(format!("{number:#x}"))
}

/// Writes bytes.
pub(crate) fn hex_bytes(bytes: impl AsRef<[u8]>) -> Value {
    Value::String(hex::encode_prefixed(bytes))
}

#[cfg(test)]
mod tests;
