//! Transactions waiting for a block: checked once, queued by sender and nonce, taken from all senders in
//! turn. Gas is free here, so turns and caps are what keeps one sender from crowding out the others.

use crate::machine::{
    BLOCK_BYTES_MAX, BLOCK_GAS_MAX, BLOCK_TXS_MAX, CheckedTx, InvalidTx, Machine, Snapshot, StoreError, View,
};
use alloy_primitives::Address;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use vitals::ids::Hash;
use vitals::ledger::Outcome;

#[cfg(test)]
mod tests;

/// Most transactions of one sender that wait; also how far ahead a nonce may be.
pub const SENDER_TXS_MAX: usize = 4096;
/// Longest sum of all waiting transactions.
pub const POOL_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why a transaction is not taken. Says whose move it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// The transaction is wrong and stays wrong.
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
    /// Try again later.
    #[error("too many transactions wait; try again")]
    Full,
}

/// The waiting transactions. Clones share everything.
#[derive(Debug, Clone)]
pub struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    machine: Machine,
    queues: Mutex<Queues>,
    arrived: Notify,
    submitted: Notify,
}

#[derive(Debug, Default)]
struct Queues {
    senders: HashMap<Address, BTreeMap<u64, Waiting>>,
    hashes: HashSet<Hash>,
    bytes: usize,
    arrivals: u64,
}

#[derive(Debug)]
struct Waiting {
    raw: Vec<u8>,
    hash: Hash,
    gas: u64,
    /// Its place in the order of arrival.
    arrival: u64,
    handed: Handed,
}

/// How far a transaction is on its way to the other validators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Handed {
    /// Came from one of them.
    FromOthers,
    /// Submitted here, not handed out yet.
    Not,
    /// Handed out not long ago.
    Lately,
    /// Handed out a while ago, and still not final.
    LongAgo,
}

impl Pool {
    /// An empty pool in front of `machine`.
    #[must_use]
    pub fn new(machine: Machine) -> Self {
        Self(Arc::new(Shared {
            machine,
            queues: Mutex::default(),
            arrived: Notify::new(),
            submitted: Notify::new(),
        }))
    }

    /// Takes a raw EIP-2718 transaction and names it by its hash. The same one again is taken again.
    ///
    /// # Errors
    /// If it can never stand in a block, or the pool is full.
    pub fn submit(&self, raw: impl Into<Vec<u8>>) -> Result<Hash, PoolError> {
        let hash = self.admit(raw.into(), Handed::Not)?;
        self.0.submitted.notify_one();
        Ok(hash)
    }

    /// As [`Self::submit`], for one that another validator handed over: it is not handed on.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub fn hand_in(&self, raw: impl Into<Vec<u8>>) -> Result<Hash, PoolError> {
        self.admit(raw.into(), Handed::FromOthers)
    }

    /// Transactions submitted here and not handed out yet, oldest first, up to `bytes_max`; waits until
    /// there are some.
    pub async fn fresh(&self, bytes_max: usize) -> Vec<Vec<u8>> {
        loop {
            let batch = self.hand_out(bytes_max, Handed::Not);
            if !batch.is_empty() {
                return batch;
            }
            self.0.submitted.notified().await;
        }
    }

    /// Transactions submitted here that are not final although they were handed out before this was
    /// asked last.
    #[must_use]
    pub fn again(&self, bytes_max: usize) -> Vec<Vec<u8>> {
        let batch = self.hand_out(bytes_max, Handed::LongAgo);
        for waiting in self.queues().senders.values_mut().flat_map(BTreeMap::values_mut) {
            if waiting.handed == Handed::Lately {
                waiting.handed = Handed::LongAgo;
            }
        }
        batch
    }

    fn hand_out(&self, bytes_max: usize, which: Handed) -> Vec<Vec<u8>> {
        let mut queues = self.queues();
        let mut due: Vec<&mut Waiting> = queues
            .senders
            .values_mut()
            .flat_map(BTreeMap::values_mut)
            .filter(|waiting| waiting.handed == which)
            .collect();
        due.sort_unstable_by_key(|waiting| waiting.arrival);
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for waiting in due {
            bytes += waiting.raw.len();
            if batch.len() == BLOCK_TXS_MAX || (bytes > bytes_max && !batch.is_empty()) {
                break;
            }
            waiting.handed = Handed::Lately;
            batch.push(waiting.raw.clone());
        }
        batch
    }

    fn admit(&self, raw: Vec<u8>, handed: Handed) -> Result<Hash, PoolError> {
        // Signature recovery is the dear part: outside the lock.
        let tx = self.0.machine.check(&raw)?;
        let view = self.0.machine.view();
        if view.sends_for(tx.sender).is_none() {
            return Err(InvalidTx::Sender { sender: tx.sender }.into());
        }
        self.queues().take(&tx, raw, view.nonce(tx.sender), handed)?;
        self.0.arrived.notify_one();
        Ok(tx.hash)
    }

    /// The transactions of the next block on `parent`, in order: one of each sender by arrival, then the
    /// next one of each, so that a flood of one sender delays nobody else. They stay in the pool until
    /// [`Self::committed`].
    #[must_use]
    pub fn next_batch(&self, parent: &Snapshot) -> Vec<Vec<u8>> {
        let queues = self.queues();
        let mut next = BinaryHeap::new();
        for (sender, queue) in &queues.senders {
            let nonce = parent.nonce(*sender);
            if let Some(waiting) = queue.get(&nonce)
                && self.0.machine.may_send(parent, *sender)
            {
                next.push(Reverse((0, waiting.arrival, *sender, nonce)));
            }
        }
        let (mut batch, mut bytes, mut gas) = (Vec::new(), 0, 0);
        while let Some(Reverse((round, _, sender, nonce))) = next.pop() {
            let queue = &queues.senders[&sender];
            let waiting = &queue[&nonce];
            if bytes + waiting.raw.len() > BLOCK_BYTES_MAX
                || gas + waiting.gas > BLOCK_GAS_MAX
                || batch.len() == BLOCK_TXS_MAX
            {
                break;
            }
            bytes += waiting.raw.len();
            gas += waiting.gas;
            batch.push(waiting.raw.clone());
            if let Some(following) = queue.get(&(nonce + 1)) {
                next.push(Reverse((round + 1, following.arrival, sender, nonce + 1)));
            }
        }
        batch
    }

    /// Forgets what is settled in `view`. To be called after each commit.
    pub fn committed(&self, view: &View) {
        let mut queues = self.queues();
        let Queues { senders, hashes, bytes, .. } = &mut *queues;
        senders.retain(|sender, queue| {
            let still = if view.sends_for(*sender).is_some() {
                queue.split_off(&view.nonce(*sender))
            } else {
                BTreeMap::new()
            };
            for gone in std::mem::replace(queue, still).into_values() {
                hashes.remove(&gone.hash);
                *bytes -= gone.raw.len();
            }
            !queue.is_empty()
        });
    }

    /// Forgets a transaction that cannot stand in a block. Its sender's later ones wait until its nonce
    /// is used by another.
    pub fn discard(&self, raw: &[u8], why: &InvalidTx) {
        tracing::warn!(%why, "Discarded a transaction that {why}");
        let Ok(tx) = self.0.machine.check(raw) else { return };
        let mut queues = self.queues();
        let Queues { senders, hashes, bytes, .. } = &mut *queues;
        let Some(queue) = senders.get_mut(&tx.sender) else { return };
        if queue.get(&tx.nonce()).is_some_and(|waiting| waiting.hash == tx.hash) {
            queue.remove(&tx.nonce());
            hashes.remove(&tx.hash);
            *bytes -= raw.len();
        }
    }

    /// The lowest nonce `sender` can still use: neither committed nor waiting.
    #[must_use]
    pub fn next_nonce(&self, sender: Address) -> u64 {
        let queues = self.queues();
        let mut nonce = self.0.machine.view().nonce(sender);
        if let Some(queue) = queues.senders.get(&sender) {
            while queue.contains_key(&nonce) {
                nonce += 1;
            }
        }
        nonce
    }

    /// How many transactions wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queues().hashes.len()
    }

    /// What became of a transaction.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn outcome(&self, transaction: &Hash) -> Result<Outcome, StoreError> {
        // The pool first: a commit between the two questions is then seen by the second.
        let waiting = self.queues().hashes.contains(transaction);
        let committed = self.0.machine.outcome(transaction)?;
        Ok(committed.unwrap_or(if waiting { Outcome::Pending } else { Outcome::Unknown }))
    }

    /// Waits until a transaction has arrived since this was last awaited. For one proposer.
    pub async fn arrived(&self) {
        self.0.arrived.notified().await;
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.0.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queues {
    fn take(&mut self, tx: &CheckedTx, raw: Vec<u8>, next: u64, handed: Handed) -> Result<(), PoolError> {
        let nonce = tx.nonce();
        if self.hashes.contains(&tx.hash) {
            return Ok(());
        }
        if nonce < next {
            return Err(PoolError::NonceUsed { nonce, next });
        }
        let far = usize::try_from(nonce - next).is_ok_and(|ahead| ahead < SENDER_TXS_MAX);
        if !far || self.bytes + raw.len() > POOL_BYTES_MAX {
            return Err(PoolError::Full);
        }
        let queue = self.senders.entry(tx.sender).or_default();
        if queue.contains_key(&nonce) {
            return Err(PoolError::NonceTaken { nonce });
        }
        self.arrivals += 1;
        self.bytes += raw.len();
        self.hashes.insert(tx.hash);
        let (hash, gas, arrival) = (tx.hash, tx.gas_limit(), self.arrivals);
        queue.insert(nonce, Waiting { raw, hash, gas, arrival, handed });
        Ok(())
    }
}
