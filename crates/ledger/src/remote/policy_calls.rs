//! Calls to policies on the network: does a policy agree that a class is opened? The state cache cannot answer
//! this: a policy is any contract, and its answer may depend on the time.

use super::Inner;
use super::rpc::{RpcError, bytes, hex_bytes, hex_quantity};
use crate::contracts::bindings::Consents;
use crate::machine::TX_GAS_MAX;
use alloy_primitives::{Address, B256};
use alloy_sol_types::SolCall;
use serde_json::json;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, mpsc::sync_channel};
use std::time::Duration;
use tokio::sync::mpsc;
use vitals::ids::{Class, GrantId};
use vitals::ledger::LedgerError;

/// Most calls that wait at a time.
const POLICY_CALLS_MAX: usize = 256;
/// How long the opening of a record waits for the network.
const POLICY_CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// One call, and where its answer goes.
pub(super) struct PolicyCall {
    grant: GrantId,
    class: Class,
    answer: SyncSender<Result<bool, RpcError>>,
}

/// The sending end.
#[derive(Clone)]
pub(super) struct PolicyCalls(mpsc::Sender<PolicyCall>);

/// A channel for calls.
pub(super) fn channel() -> (PolicyCalls, mpsc::Receiver<PolicyCall>) {
    let (put, asked) = mpsc::channel(POLICY_CALLS_MAX);
    (PolicyCalls(put), asked)
}

impl PolicyCalls {
    /// Makes a call and waits for the answer, at most [`POLICY_CALL_TIMEOUT`].
    pub(super) fn policy_agrees(&self, grant: GrantId, class: Class) -> Result<bool, LedgerError> {
        let (answer, answered) = sync_channel(1);
        self.0.try_send(PolicyCall { grant, class, answer }).map_err(|why| match why {
            mpsc::error::TrySendError::Full(_) => {
                LedgerError::Busy(format!("{POLICY_CALLS_MAX} policy calls wait for the network"))
            }
            mpsc::error::TrySendError::Closed(_) => LedgerError::Down(String::from("it was stopped")),
        })?;
        let silent = || LedgerError::Busy(String::from("the network did not say whether the policy agrees"));
        let said = answered.recv_timeout(POLICY_CALL_TIMEOUT).map_err(|_| silent())?;
        said.map_err(|why| LedgerError::Busy(why.to_string()))
    }
}

impl Inner {
    /// Makes calls concurrently. Every caller waits for its answer, which bounds their number.
    pub(super) async fn serve_policy_calls(self: Arc<Self>, mut asked: mpsc::Receiver<PolicyCall>) {
        while let Some(PolicyCall { grant, class, answer }) = asked.recv().await {
            let inner = self.clone();
            tokio::spawn(async move {
                // The caller has given up on later answers.
                if let Ok(said) =
                    tokio::time::timeout(POLICY_CALL_TIMEOUT, inner.policy_agrees(grant, class)).await
                {
                    let _ = answer.send(said);
                }
            });
        }
    }

    /// The policy's answer as of the block of the state cache. A policy that fails, or answers anything but
    /// yes, does not agree.
    async fn policy_agrees(&self, grant: GrantId, class: Class) -> Result<bool, RpcError> {
        const METHOD: &str = "eth_call";
        let call = Consents::policyAgreesCall { id: B256::from(grant.0), class: class.code() };
        let call = json!({
            "from": hex_bytes(Address::ZERO),
            "to": hex_bytes(self.contracts.consents),
            "data": hex_bytes(call.abi_encode()),
            "gas": hex_quantity(TX_GAS_MAX),
        });
        let height = self.cache().tip.height;
        match self.rpc.call(METHOD, json!([call, hex_quantity(height)])).await {
            Ok(answer) => {
                let word = bytes(METHOD, &answer)?;
                Ok(word.len() == 32 && word[..31].iter().all(|byte| *byte == 0) && word[31] == 1)
            }
            Err(RpcError::Refused { data: Some(_), .. }) => Ok(false),
            Err(why) => Err(why),
        }
    }
}
