//! Submission of transactions.

use super::errors::RpcRefusal;
use super::params::{Params, bytes};
use super::{Session, render};
use crate::machine::{InvalidTx, TX_BYTES_MAX};
use crate::pool::{PoolError, SENDER_TXS_MAX};
use serde_json::Value;

impl Session<'_> {
    pub(super) fn send(&mut self, params: Params<'_>) -> Result<Value, RpcRefusal> {
        let raw = params.most(1)?.get(0, "signed transaction", |value| bytes(value, TX_BYTES_MAX))?;
        self.work.spend(super::budget::SENDER)?;
        match self.backend.pool.submit(raw.to_vec()) {
            Ok(hash) => Ok(render::bytes(&hash)),
            Err(why) => Err(self.refusal(&why)),
        }
    }

    /// In the words clients look for, where they look for any.
    fn refusal(&self, why: &PoolError) -> RpcRefusal {
        let machine = &self.backend.machine;
        match why {
            PoolError::Invalid(InvalidTx::Chain) => RpcRefusal::impossible(format!(
                "invalid chain id: the transaction is signed for another chain, or for none; this ledger's is {}",
                machine.chain_id()
            )),
            PoolError::Invalid(InvalidTx::Sender { sender }) => RpcRefusal::rejected(format!(
                "{sender} is no active organisation's sender: only those may send here, and an administrator registers them"
            )),
            PoolError::Invalid(InvalidTx::Malformed) => {
                RpcRefusal::params("the transaction is not a well-formed Ethereum transaction")
            }
            PoolError::NonceUsed { nonce, next } => RpcRefusal::impossible(format!(
                "nonce too low: the next nonce is {next}, the transaction's is {nonce}"
            )),
            PoolError::NonceTaken { nonce } => RpcRefusal::impossible(format!(
                "replacement transaction underpriced: another transaction with nonce {nonce} waits already, and none outbids it here"
            )),
            PoolError::NonceTooFar { nonce, next } => RpcRefusal::impossible(format!(
                "nonce too high: the next nonce is {next}, the transaction's is {nonce}; at most {SENDER_TXS_MAX} may wait"
            )),
            PoolError::Full | PoolError::SenderFull { .. } => RpcRefusal::limit(why.to_string()),
            other => RpcRefusal::impossible(other.to_string()),
        }
    }
}
