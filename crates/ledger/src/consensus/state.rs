//! The seam between agreement and execution: what a block does to the state, before and after it
//! is final.
//!
//! Blocks are executed before they are final, each on what its parent left: the results are held
//! by block digest until the chain passes their height.

use super::block::Block;
use crate::machine::{BlockEnv, Executed, Invalid, Machine, MachineError, Snapshot, View};
use crate::pool::Pool;
use bytes::Bytes;
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;
use vitals::{
    ids::Hash,
    ledger::{Fact, LedgerError, Tip},
    proof::{ACCOUNTS_MAX, LedgerProof, certificate::Certificate, header::BlockHeader},
};

/// Finality times remembered for [`Stats`].
const TIMES_MAX: usize = 256;

/// Why a block was not executed.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotExecuted {
    /// Its parent is neither the committed tip nor held: the chain went on, or never came there.
    #[error("the state of the block's parent is not at hand")]
    Orphan,
    /// It must never be voted for.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// Its header names other roots than its transactions give.
    #[error("the block's header names other roots than its transactions give")]
    Roots,
}

/// What this chain did since it was started, for metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Height of the committed tip.
    pub height: u64,
    /// Blocks committed since the start.
    pub blocks: u64,
    /// Transactions in them.
    pub transactions: u64,
    /// From a block's time to its state being durable here, milliseconds, oldest first: at most
    /// the last 256 blocks.
    pub finality_ms: Vec<u64>,
}

/// The newest height that has its own certificate, with the state at exactly that height.
struct Certified {
    view: View,
    header: Vec<u8>,
    certificate: Vec<u8>,
}

#[derive(Default)]
struct Counters {
    blocks: u64,
    transactions: u64,
    finality_ms: VecDeque<u64>,
}

/// A block's effects, waiting to become final or not.
struct Held {
    height: u64,
    executed: Arc<Executed>,
}

/// State machine, pool and speculation of one node.
pub(crate) struct State {
    machine: Machine,
    pool: Pool,
    held: Mutex<HashMap<Hash, Held>>,
    certified: Mutex<Option<Certified>>,
    tip: watch::Sender<Tip>,
    counters: Mutex<Counters>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    pub(crate) fn new(machine: Machine, pool: Pool) -> Self {
        let tip = watch::Sender::new(machine.tip());
        Self {
            machine,
            pool,
            held: Mutex::default(),
            certified: Mutex::default(),
            tip,
            counters: Mutex::default(),
        }
    }

    /// The header every chain of this ledger starts from.
    pub(super) fn genesis_header(&self) -> &BlockHeader {
        self.machine.genesis_header()
    }

    pub(crate) fn watch_tip(&self) -> watch::Receiver<Tip> {
        self.tip.subscribe()
    }

    pub(crate) fn stats(&self) -> Stats {
        let counters = lock(&self.counters);
        Stats {
            height: self.machine.tip().height,
            blocks: counters.blocks,
            transactions: counters.transactions,
            finality_ms: counters.finality_ms.iter().copied().collect(),
        }
    }

    /// Proves facts at the newest height that has its own certificate.
    pub(crate) fn prove(&self, facts: &[Fact]) -> Result<LedgerProof, LedgerError> {
        if facts.len() > ACCOUNTS_MAX {
            let why = format!("a proof holds at most {ACCOUNTS_MAX} facts, not {}", facts.len());
            return Err(LedgerError::Refused(why));
        }
        let (view, header, certificate) = match &*lock(&self.certified) {
            Some(c) => (c.view.clone(), c.header.clone(), c.certificate.clone()),
            None => return Err(LedgerError::Busy(String::from("no height has a certificate yet"))),
        };
        Ok(LedgerProof { header, certificate, accounts: view.prove(facts) })
    }

    /// Height and digest of the committed tip.
    pub(super) fn committed(&self) -> (u64, Hash) {
        let tip = self.machine.tip();
        (tip.height, tip.digest)
    }

    /// Has this block been executed, and found right, without being final yet?
    pub(super) fn holds(&self, digest: &Hash) -> bool {
        lock(&self.held).contains_key(digest)
    }

    fn hold(&self, digest: Hash, height: u64, executed: Executed) {
        lock(&self.held).insert(digest, Held { height, executed: Arc::new(executed) });
    }

    /// The state after the block `parent`.
    fn after(&self, parent: &Hash) -> Result<Snapshot, NotExecuted> {
        // Held first: a commit moves the view before it lets go of what it made final.
        if let Some(held) = lock(&self.held).get(parent) {
            return Ok(held.executed.snapshot().clone());
        }
        let view = self.machine.view();
        if view.tip().digest == *parent { Ok(view.snapshot()) } else { Err(NotExecuted::Orphan) }
    }

    /// Executes a block of somebody else's and holds it if its header tells the truth.
    pub(super) fn check(&self, block: &Block, digest: Hash) -> Result<(), NotExecuted> {
        let header = block.header();
        let parent = self.after(&header.parent)?;
        let env = BlockEnv { height: header.height, time_ms: header.time_ms };
        let executed = self.machine.execute(&parent, env, block.transactions())?;
        let roots = (executed.state_root, executed.transactions_root, executed.receipts_root);
        if roots != (header.state_root, header.transactions_root, header.receipts_root) {
            return Err(NotExecuted::Roots);
        }
        self.hold(digest, header.height, executed);
        Ok(())
    }

    /// What the next block on `parent` would carry.
    pub(super) fn next_batch(&self, parent: &Hash) -> Vec<Bytes> {
        let batch = self.after(parent).map_or_else(|_| Vec::new(), |parent| self.pool.next_batch(&parent));
        batch.into_iter().map(Bytes::from).collect()
    }

    /// Returns once the pool may have something.
    pub(super) async fn work(&self) {
        self.pool.arrived().await;
    }

    /// Executes `transactions`, fills the roots of `header` and holds the block. A transaction that
    /// cannot stand in a block is left out and thrown away.
    pub(super) fn build(&self, mut header: BlockHeader, mut transactions: Vec<Bytes>) -> Option<Block> {
        let parent = self.after(&header.parent).ok()?;
        let env = BlockEnv { height: header.height, time_ms: header.time_ms };
        let executed = loop {
            match self.machine.execute(&parent, env, &transactions) {
                Ok(executed) => break executed,
                Err(Invalid::Transaction { index, why }) if index < transactions.len() => {
                    self.pool.discard(&transactions[index], &why);
                    self.leave_out(&mut transactions, index);
                }
                Err(why) => {
                    tracing::error!(%why, "Cannot build a block: {why}");
                    return None;
                }
            }
        };
        header.state_root = executed.state_root;
        header.transactions_root = executed.transactions_root;
        header.receipts_root = executed.receipts_root;
        let (digest, height) = (header.digest(), header.height);
        let block = Block::new(header, transactions).ok()?;
        self.hold(digest, height, executed);
        Some(block)
    }

    /// Takes out the transaction at `index` and what its sender sent after it.
    fn leave_out(&self, transactions: &mut Vec<Bytes>, index: usize) {
        let rest = transactions.split_off(index);
        let sender = |raw: &Bytes| self.machine.check(raw).map(|tx| tx.sender).ok();
        let bad = rest.first().and_then(sender);
        transactions.extend(rest.into_iter().skip(1).filter(|raw| sender(raw) != bad));
    }

    /// Makes a final block part of the state: durable on return. Delivering it again is harmless.
    pub(super) fn commit(
        &self,
        block: &Block,
        digest: Hash,
        certificate: Option<&Certificate>,
        now_ms: u64,
    ) -> Result<(), MachineError> {
        let header = block.header();
        if self.machine.is_committed(header.height, &digest)? {
            self.certify(header, digest, certificate);
            return Ok(());
        }
        if !self.holds(&digest) {
            self.check(block, digest).map_err(|why| {
                tracing::error!(%why, height = header.height, "A final block cannot be executed: {why}");
                MachineError::Misfit { height: header.height, why: "it is final and cannot be executed" }
            })?;
        }
        let executed = lock(&self.held).get(&digest).map(|held| held.executed.clone());
        let executed =
            executed.ok_or(MachineError::Misfit { height: header.height, why: "its execution was lost" })?;
        self.machine.commit(header, block.transactions(), &executed)?;
        self.certify(header, digest, certificate);
        self.pool.committed(&self.machine.view());
        lock(&self.held).retain(|_, held| held.height > header.height);
        {
            let mut counters = lock(&self.counters);
            counters.blocks += 1;
            counters.transactions += block.transactions().len() as u64;
            if counters.finality_ms.len() == TIMES_MAX {
                counters.finality_ms.pop_front();
            }
            counters.finality_ms.push_back(now_ms.saturating_sub(header.time_ms));
        }
        // Last: whoever is woken finds everything in place.
        self.tip.send_replace(self.machine.tip());
        Ok(())
    }

    /// Remembers that the committed tip has its own certificate.
    pub(super) fn certify(&self, header: &BlockHeader, digest: Hash, certificate: Option<&Certificate>) {
        let view = self.machine.view();
        if let Some(certificate) = certificate
            && view.tip().digest == digest
        {
            let (header, certificate) = (header.encode(), certificate.encode());
            *lock(&self.certified) = Some(Certified { view, header, certificate });
        }
    }
}
