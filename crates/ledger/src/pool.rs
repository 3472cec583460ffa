//! Transactions waiting for a block: checked once, queued by sender and nonce, taken from all senders in
//! fair shares. Gas is free, so shares and caps keep one sender from crowding out the others.

mod outcomes;
mod queues;

#[cfg(test)]
mod tests;

use crate::machine::{BLOCK_TXS_MAX, InvalidTx, Machine, Snapshot, StoreError, View};
use alloy_primitives::{Address, keccak256};
use outcomes::Outcomes;
use parking_lot::{Mutex, MutexGuard};
use queues::{Handover, Queues};
use std::sync::Arc;
use tokio::sync::Notify;
use vitals::ids::Hash;
use vitals::ledger::Outcome;

/// Most transactions of one sender that wait; also how far ahead a nonce may be.
pub const SENDER_TXS_MAX: usize = 4096;
/// Longest sum of one sender's waiting transactions.
pub const SENDER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most transactions that wait.
pub const POOL_TXS_MAX: usize = 64 * 1024;
/// Longest sum of all waiting transactions.
pub const POOL_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long, in the ledger's time, a transaction from another validator waits. The node
/// that took it from its sender sends it again.
pub const WAIT_MAX_MS: u64 = 10 * 60 * 1000;
/// Most transactions of one batch from another validator.
pub const BATCH_TXS_MAX: usize = BLOCK_TXS_MAX;
/// Longest sum of one such batch.
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Transactions of such a batch that may be invalid before the rest is ignored: each costs the recovery
/// of a signature.
pub const BATCH_INVALID_MAX: usize = 4;

/// Why a transaction is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// The transaction is invalid, in every state.
    #[error("the transaction {0}")]
    Invalid(#[from] InvalidTx),
    /// A transaction with this nonce is committed already.
    #[error("nonce {nonce} is used; the next one is {next}")]
    NonceUsed {
        /// Its nonce.
        nonce: u64,
        /// The next one.
        next: u64,
    },
    /// Another transaction with this nonce waits. There are no fees, so none outbids it.
    #[error("another transaction with nonce {nonce} waits already")]
    NonceTaken {
        /// Its nonce.
        nonce: u64,
    },
    /// Send those before it first.
    #[error("nonce {nonce} is too far ahead: the next one is {next}, and at most {SENDER_TXS_MAX} may wait")]
    NonceTooFar {
        /// Its nonce.
        nonce: u64,
        /// The next one.
        next: u64,
    },
    /// This sender has its share of the pool: wait until some of its transactions are final.
    #[error(
        "this sender has {waiting} transactions of {bytes} bytes waiting, its share of the pool; wait until some are final"
    )]
    SenderFull {
        /// How many wait.
        waiting: usize,
        /// Their bytes.
        bytes: usize,
    },
    /// Try again later.
    #[error("too many transactions wait; try again")]
    Full,
}

/// The result of a batch from another validator.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Received {
    /// Accepted ones.
    pub taken: usize,
    /// Known ones, waiting or final.
    pub known: usize,
    /// Refused ones, by index in the batch, and why.
    pub refused: Vec<(usize, PoolError)>,
    /// Ignored ones: beyond the bounds of a batch, or after too many invalid ones.
    pub ignored: usize,
    /// The batch is beyond its bounds.
    pub oversize: bool,
}

impl Received {
    /// Did the peer violate the protocol: a batch beyond its bounds, or transactions that are invalid in every
    /// state?
    #[must_use]
    pub fn is_violation(&self) -> bool {
        self.violation().is_some()
    }

    /// The protocol violation, if there was one.
    #[must_use]
    pub fn violation(&self) -> Option<String> {
        if self.oversize {
            return Some(String::from("a batch of transactions is beyond its bounds"));
        }
        let (index, why) = self.refused.iter().find(|(_, why)| is_permanently_invalid(why))?;
        Some(format!("transaction {index} of a batch is invalid: {why}"))
    }
}

/// Invalid in every state. A sender that is not registered here may be registered in a newer state.
fn is_permanently_invalid(why: &PoolError) -> bool {
    matches!(why, PoolError::Invalid(why) if !matches!(why, InvalidTx::Sender { .. }))
}

/// The waiting transactions. Clones share everything.
#[derive(Debug, Clone)]
pub struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    machine: Machine,
    queues: Mutex<Queues>,
    outcomes: Outcomes,
    arrived: Notify,
    submitted: Notify,
}

impl Pool {
    /// An empty pool for `machine`.
    #[must_use]
    pub fn new(machine: Machine) -> Self {
        Self(Arc::new(Shared {
            machine,
            queues: Mutex::default(),
            outcomes: Outcomes::default(),
            arrived: Notify::new(),
            submitted: Notify::new(),
        }))
    }

    /// Accepts a raw EIP-2718 transaction and returns its hash. A waiting transaction is accepted again.
    ///
    /// # Errors
    /// If it can never be part of a block, or the pool is full.
    pub fn submit(&self, raw: impl Into<Vec<u8>>) -> Result<Hash, PoolError> {
        let hash = self.admit(raw.into(), Handover::Not)?;
        self.0.submitted.notify_one();
        Ok(hash)
    }

    /// Gives a transaction its place, but lets it into no block and sends it to nobody until it is released.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub(crate) fn hold(&self, raw: Vec<u8>) -> Result<Hash, PoolError> {
        self.admit(raw, Handover::Held)
    }

    /// Lets a held transaction go.
    pub(crate) fn release(&self, transaction: &Hash) {
        self.queues().release(transaction);
        self.0.arrived.notify_one();
        self.0.submitted.notify_one();
    }

    /// Takes a held transaction out again.
    pub(crate) fn drop_held(&self, raw: &[u8]) {
        let Ok(tx) = self.0.machine.check(raw) else { return };
        self.queues().drop_held(&tx);
    }

    /// The waiting transactions of a sender that are not held, by nonce.
    pub(crate) fn accepted_of(&self, sender: Address) -> Vec<Vec<u8>> {
        self.queues().accepted_of(&sender)
    }

    /// As [`Self::submit`], for a transaction from another validator: it is not sent on.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub fn submit_from_peer(&self, raw: impl Into<Vec<u8>>) -> Result<Hash, PoolError> {
        self.admit(raw.into(), Handover::FromOthers)
    }

    /// Accepts a batch from another validator, with bounded work.
    #[must_use]
    pub fn receive(&self, batch: &[impl AsRef<[u8]>]) -> Received {
        let (mut received, mut bytes, mut wrong) = (Received::default(), 0, 0);
        for (index, raw) in batch.iter().enumerate() {
            let raw = raw.as_ref();
            bytes += raw.len();
            received.oversize = index == BATCH_TXS_MAX || bytes > BATCH_BYTES_MAX;
            if received.oversize || wrong == BATCH_INVALID_MAX {
                received.ignored = batch.len() - index;
                break;
            }
            // A known transaction costs a hash and not the recovery of a signature.
            if self.knows(&keccak256(raw).0) {
                received.known += 1;
                continue;
            }
            match self.submit_from_peer(raw) {
                Ok(_) => received.taken += 1,
                Err(why) => {
                    wrong += usize::from(matches!(why, PoolError::Invalid(_)));
                    received.refused.push((index, why));
                }
            }
        }
        received
    }

    fn knows(&self, hash: &Hash) -> bool {
        self.queues().contains(hash) || self.0.machine.receipt(hash).is_ok_and(|receipt| receipt.is_some())
    }

    fn admit(&self, raw: Vec<u8>, handed: Handover) -> Result<Hash, PoolError> {
        // Signature recovery is expensive: outside the lock.
        let tx = self.0.machine.check(&raw)?;
        let view = self.0.machine.view();
        if view.sends_for(tx.sender).is_none() {
            return Err(InvalidTx::Sender { sender: tx.sender }.into());
        }
        self.queues().take(&tx, raw, view.nonce(tx.sender), handed, view.tip())?;
        self.0.arrived.notify_one();
        Ok(tx.hash)
    }

    /// Transactions submitted here and not sent to others yet, oldest first, up to `bytes_max`; waits until
    /// there are some.
    pub async fn next_outgoing(&self, bytes_max: usize) -> Vec<Vec<u8>> {
        loop {
            let batch = self.queues().take_outgoing(bytes_max, Handover::Not);
            if !batch.is_empty() {
                return batch;
            }
            self.0.submitted.notified().await;
        }
    }

    /// Transactions submitted here that are still not final although they were sent before the last call.
    #[must_use]
    pub fn unconfirmed(&self, bytes_max: usize) -> Vec<Vec<u8>> {
        let mut queues = self.queues();
        let batch = queues.take_outgoing(bytes_max, Handover::LongAgo);
        queues.age();
        batch
    }

    /// The height at which a waiting transaction arrived.
    #[must_use]
    pub fn waiting_since(&self, transaction: &Hash) -> Option<u64> {
        self.queues().find(transaction).map(|waiting| waiting.since.height)
    }

    /// The bytes of a waiting transaction.
    #[must_use]
    pub fn waiting_bytes(&self, transaction: &Hash) -> Option<Vec<u8>> {
        self.queues().find(transaction).map(|waiting| waiting.raw.clone())
    }

    /// The transactions of the next block on `parent`, in order. Each comes from the sender with the
    /// smallest share of the block so far, by bytes, gas or number, so that a flood of one sender delays no
    /// other. They stay in the pool until [`Self::committed`].
    #[must_use]
    pub fn next_batch(&self, parent: &Snapshot) -> Vec<Vec<u8>> {
        self.queues().batch(|sender| parent.nonce(*sender), |sender| self.0.machine.may_send(parent, *sender))
    }

    /// Removes what is settled in `view`, and what came from others and has waited too long. Call it after
    /// each commit.
    pub fn committed(&self, view: &View) {
        let next = |sender: &Address| view.sends_for(*sender).map(|_| view.nonce(*sender));
        let settled = self.queues().settle(next, view.tip().time_ms.saturating_sub(WAIT_MAX_MS));
        for hash in settled {
            // Nothing if it was dropped, or another transaction used its nonce.
            match self.0.machine.outcome(&hash) {
                Ok(outcome) => self.0.outcomes.remember(hash, outcome),
                Err(why) => tracing::error!(%why, "The outcome of a transaction cannot be read: {why}"),
            }
        }
    }

    /// Removes a transaction that cannot be part of a block. Its sender's later ones wait until another one
    /// uses its nonce.
    pub fn discard(&self, raw: &[u8], why: &InvalidTx) {
        tracing::warn!(%why, "Discarded a transaction that {why}");
        let Ok(tx) = self.0.machine.check(raw) else { return };
        self.queues().discard(&tx);
    }

    /// The lowest nonce `sender` can still use: neither committed nor waiting.
    #[must_use]
    pub fn next_nonce(&self, sender: Address) -> u64 {
        let queues = self.queues();
        queues.next_nonce(&sender, self.0.machine.view().nonce(sender))
    }

    /// How many transactions wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queues().len()
    }

    /// The outcome of a transaction. Of one that was submitted here it is known for some time longer than its block
    /// is kept: a node that catches up prunes hundreds of blocks between two questions.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn outcome(&self, transaction: &Hash) -> Result<Outcome, StoreError> {
        // The pool first: the second read then sees a commit in between.
        let waiting = self.queues().contains(transaction);
        let committed = self.0.machine.outcome(transaction)?.or_else(|| self.0.outcomes.of(transaction));
        Ok(committed.unwrap_or(if waiting { Outcome::Pending } else { Outcome::Unknown }))
    }

    /// Waits until a transaction has arrived since this was last awaited. For one proposer.
    pub async fn arrived(&self) {
        self.0.arrived.notified().await;
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.0.queues.lock()
    }
}
