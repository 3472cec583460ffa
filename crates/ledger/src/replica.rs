//! The state machine that consensus drives: executes blocks before they are final, and commits them.
//!
//! Each block is executed on the state after its parent. The results are kept by block digest until a block
//! of their height is final.

use crate::committee_changes::{CommitteeChangeError, CommitteeChanges};
use crate::evidence::EvidenceFile;
use crate::machine::{BlockEnv, Executed, Invalid, Machine, MachineError, Snapshot, View};
use crate::pool::Pool;
use bytes::Bytes;
use consensus::block::{Block, GOSSIP_BYTES_MAX};
use consensus::machine::BoxFuture;
use consensus::{Evidence, NotCommitted, NotExecuted, ProtocolViolation, SnapshotBase, StateMachine};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    io,
    path::Path,
    sync::Arc,
};
use tokio::sync::watch;
use vitals::{
    clock_fault::LEDGER_APART_MS_MAX,
    governance::Motion,
    ids::{DeviceId, Hash},
    ledger::{Fact, LedgerError, Tip},
    proof::{ACCOUNTS_MAX, LedgerProof, certificate::Certificate, header::BlockHeader},
};

mod requests;

#[cfg(test)]
mod tests;

use requests::ServedSnapshots;

/// Most finality times kept for [`Stats`].
const TIMES_MAX: usize = 256;

/// Newest proposals whose candidates may follow the chain.
const PROPOSALS_FOLLOWED_MAX: u64 = 32;

/// What this chain did since it was started, for metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Height of the committed tip.
    pub height: u64,
    /// Blocks committed since the start.
    pub blocks: u64,
    /// Transactions in them.
    pub transactions: u64,
    /// Milliseconds from a block's time to its state being durable here, oldest first, for at most the last
    /// 256 blocks.
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

/// The result of a block that is not final yet.
struct Speculative {
    height: u64,
    executed: Arc<Executed>,
}

/// State machine, pool and speculative results of one node.
pub struct Replica {
    machine: Machine,
    pool: Pool,
    speculative: Mutex<HashMap<Hash, Speculative>>,
    certified: Mutex<Option<Certified>>,
    tip: watch::Sender<Tip>,
    counters: Mutex<Counters>,
    evidence: Mutex<EvidenceFile>,
    committee_changes: Option<CommitteeChanges>,
    /// Height of the first block that changed the committee and whose certificate is missing.
    gap: Mutex<Option<u64>>,
    served: ServedSnapshots,
}

impl Replica {
    /// The replica of `machine`, which proposes transactions from `pool`.
    #[must_use]
    pub fn new(machine: Machine, pool: Pool) -> Self {
        let tip = watch::Sender::new(machine.tip());
        Self {
            machine,
            pool,
            speculative: Mutex::default(),
            certified: Mutex::default(),
            tip,
            counters: Mutex::default(),
            evidence: Mutex::new(EvidenceFile::in_memory()),
            committee_changes: None,
            gap: Mutex::default(),
            served: ServedSnapshots::default(),
        }
    }

    /// Stores the blocks that change the committee, and adds them to its proofs. Without it proofs end with
    /// the founding committee.
    #[must_use]
    pub fn with_committee_changes(self, committee_changes: CommitteeChanges) -> Self {
        let replica = Self { committee_changes: Some(committee_changes), ..self };
        replica.update_gap();
        replica
    }

    /// Stores a block that changes the committee, before it is committed.
    fn keep_change(
        &self,
        header: &BlockHeader,
        certificate: Option<&Certificate>,
    ) -> Result<(), NotCommitted> {
        let Some(committee_changes) = &self.committee_changes else { return Ok(()) };
        let height = header.height;
        match certificate {
            Some(certificate) => match committee_changes.record(header, certificate) {
                Ok(true) => {
                    self.update_gap();
                    Ok(())
                }
                Ok(false) => Ok(()),
                Err(why @ (CommitteeChangeError::Io(_) | CommitteeChangeError::Damaged(_))) => {
                    Err(NotCommitted(why.to_string()))
                }
                Err(why @ CommitteeChangeError::InvalidLink(_)) => {
                    tracing::error!(%why, height, "A change of the committee could not be stored: {why}");
                    self.record_gap(height);
                    Ok(())
                }
            },
            None => {
                if committee_changes.lacks(header) {
                    tracing::error!(
                        height,
                        "The block that changed the committee came without its certificate: until another \
                         validator sends it, proofs do not reach beyond this block"
                    );
                    self.record_gap(height);
                }
                Ok(())
            }
        }
    }

    /// Stores evidence in the ledger's folder, and loads what is there.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn keep_evidence_in(&self, folder: &Path) -> io::Result<()> {
        *self.evidence.lock() = EvidenceFile::open(folder)?;
        Ok(())
    }

    pub(crate) fn watch_tip(&self) -> watch::Receiver<Tip> {
        self.tip.subscribe()
    }

    pub(crate) fn stats(&self) -> Stats {
        let counters = self.counters.lock();
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
        let (view, header, certificate) = match &*self.certified.lock() {
            Some(c) => (c.view.clone(), c.header.clone(), c.certificate.clone()),
            None => return Err(LedgerError::Busy(String::from("no height has a certificate yet"))),
        };
        let height = view.tip().height;
        let changes = self.committee_changes.as_ref().map_or_else(Vec::new, |kept| kept.before(height));
        Ok(LedgerProof { changes: Some(changes), header, certificate, accounts: view.prove(facts) })
    }

    fn keep_speculative(&self, digest: Hash, height: u64, executed: Executed) {
        self.speculative.lock().insert(digest, Speculative { height, executed: Arc::new(executed) });
    }

    /// The state after the block `parent`.
    fn after(&self, parent: &Hash) -> Result<Snapshot, NotExecuted> {
        // Speculative results first: a commit moves the view before it drops the result it made final.
        if let Some(speculative) = self.speculative.lock().get(parent) {
            return Ok(speculative.executed.snapshot().clone());
        }
        let view = self.machine.view();
        if view.tip().digest == *parent { Ok(view.snapshot()) } else { Err(NotExecuted::Orphan) }
    }

    /// Removes the transaction at `index` and the later ones of its sender.
    fn remove_sender_from(&self, transactions: &mut Vec<Bytes>, index: usize) {
        let rest = transactions.split_off(index);
        let sender = |raw: &Bytes| self.machine.check(raw).map(|tx| tx.sender).ok();
        let bad = rest.first().and_then(sender);
        transactions.extend(rest.into_iter().skip(1).filter(|raw| sender(raw) != bad));
    }

    /// Contradictory votes of validators seen so far, oldest first.
    #[must_use]
    pub fn evidence(&self) -> Vec<Evidence> {
        self.evidence.lock().pieces().to_vec()
    }
}

impl StateMachine for Replica {
    fn genesis_header(&self) -> &BlockHeader {
        self.machine.genesis_header()
    }

    fn snapshot_base(&self) -> Option<SnapshotBase> {
        self.committee_changes.as_ref()?.snapshot_base().cloned()
    }

    fn committed(&self) -> (u64, Hash) {
        let tip = self.machine.tip();
        (tip.height, tip.digest)
    }

    fn committed_ms(&self) -> u64 {
        self.machine.tip().time_ms
    }

    fn has_executed(&self, digest: &Hash) -> bool {
        self.speculative.lock().contains_key(digest)
    }

    fn check(&self, block: &Block, digest: Hash) -> Result<(), NotExecuted> {
        let header = block.header();
        let parent = self.after(&header.parent)?;
        let env = BlockEnv { height: header.height, time_ms: header.time_ms };
        let executed = self
            .machine
            .execute(&parent, env, block.transactions())
            .map_err(|why| NotExecuted::Invalid(why.to_string()))?;
        let roots = (executed.state_root, executed.transactions_root, executed.receipts_root);
        if roots != (header.state_root, header.transactions_root, header.receipts_root) {
            return Err(NotExecuted::Invalid(String::from(
                "the roots in the block's header are not those of its transactions",
            )));
        }
        self.keep_speculative(digest, header.height, executed);
        Ok(())
    }

    fn next_batch(&self, parent: &Hash) -> Vec<Bytes> {
        let batch = self.after(parent).map_or_else(|_| Vec::new(), |parent| self.pool.next_batch(&parent));
        batch.into_iter().map(Bytes::from).collect()
    }

    fn transactions_available(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.pool.arrived())
    }

    fn build(&self, mut header: BlockHeader, mut transactions: Vec<Bytes>) -> Option<Block> {
        let parent = self.after(&header.parent).ok()?;
        let env = BlockEnv { height: header.height, time_ms: header.time_ms };
        let executed = loop {
            match self.machine.execute(&parent, env, &transactions) {
                Ok(executed) => break executed,
                Err(Invalid::Transaction { index, why }) if index < transactions.len() => {
                    self.pool.discard(&transactions[index], &why);
                    self.remove_sender_from(&mut transactions, index);
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
        self.keep_speculative(digest, height, executed);
        Some(block)
    }

    fn commit(
        &self,
        block: &Block,
        digest: Hash,
        certificate: Option<&Certificate>,
        now_ms: u64,
    ) -> Result<(), NotCommitted> {
        let header = block.header();
        self.keep_change(header, certificate)?;
        if self.machine.is_committed(header.height, &digest).map_err(halt)? {
            self.store_certificate(header, digest, certificate);
            return Ok(());
        }
        if !self.has_executed(&digest) {
            self.check(block, digest).map_err(|why| {
                tracing::error!(%why, height = header.height, "A final block cannot be executed: {why}");
                halt(MachineError::Misfit {
                    height: header.height,
                    why: "it is final and cannot be executed",
                })
            })?;
        }
        let executed = self.speculative.lock().get(&digest).map(|speculative| speculative.executed.clone());
        let lost = MachineError::Misfit { height: header.height, why: "its execution was lost" };
        let executed = executed.ok_or_else(|| halt(lost))?;
        self.machine.commit(header, block.transactions(), &executed).map_err(halt)?;
        self.store_certificate(header, digest, certificate);
        self.pool.committed(&self.machine.view());
        self.speculative.lock().retain(|_, speculative| speculative.height > header.height);
        self.served.committed(header.height);
        {
            let mut counters = self.counters.lock();
            counters.blocks += 1;
            counters.transactions += block.transactions().len() as u64;
            // A block in the future tells of a wrong clock, and not of no time at all.
            if header.time_ms <= now_ms.saturating_add(LEDGER_APART_MS_MAX) {
                if counters.finality_ms.len() == TIMES_MAX {
                    counters.finality_ms.pop_front();
                }
                counters.finality_ms.push_back(now_ms.saturating_sub(header.time_ms));
            }
        }
        // Last, so that watchers can read everything already.
        self.tip.send_replace(self.machine.tip());
        Ok(())
    }

    fn store_certificate(&self, header: &BlockHeader, digest: Hash, certificate: Option<&Certificate>) {
        if certificate.is_some()
            && let Err(why) = self.keep_change(header, certificate)
        {
            tracing::error!(%why, height = header.height, "A change of the committee could not be stored: {why}");
        }
        if let Some(certificate) = certificate
            && !header.committee.is_empty()
        {
            self.serve_snapshot(header, digest, certificate);
        }
        let view = self.machine.view();
        if let Some(certificate) = certificate
            && view.tip().digest == digest
        {
            let (header, certificate) = (header.encode(), certificate.encode());
            *self.certified.lock() = Some(Certified { view, header, certificate });
        }
    }

    fn committee(&self, parent: &Hash, epoch: u64) -> Option<Vec<[u8; 32]>> {
        let parent = self.after(parent).ok()?;
        // The contract accepts any 32 bytes as a key; those that are not a key have no vote.
        let acting = |epoch| -> Option<Vec<[u8; 32]>> {
            let named = self.machine.contracts().committee(&parent.state, epoch).map_err(|why| {
                tracing::error!(%why, epoch, "The committee cannot be read: {why}");
            });
            Some(named.ok()?.into_iter().filter(consensus::is_key).collect())
        };
        let next = acting(epoch)?;
        // An empty committee could not vote: the previous one stays.
        if next.is_empty() { acting(epoch.checked_sub(1)?).filter(|now| !now.is_empty()) } else { Some(next) }
    }

    fn endpoints(&self) -> Vec<([u8; 32], String)> {
        let view = self.machine.view();
        let mut known = Vec::new();
        // A candidate follows the chain while the others vote.
        for proposal in view.proposals(PROPOSALS_FOLLOWED_MAX).unwrap_or_default() {
            if proposal.is_open(view.tip().time_ms)
                && let Motion::AddValidator { key, endpoint, .. }
                | Motion::ReplaceKey { new: key, endpoint, .. } = proposal.motion
            {
                known.push((key, endpoint));
            }
        }
        let validators = view.validators().unwrap_or_default();
        known.extend(validators.into_iter().map(|validator| (validator.key, validator.endpoint)));
        known
    }

    fn record_evidence(&self, evidence: Evidence) {
        tracing::error!(
            validator = %DeviceId::of(&evidence.validator),
            epoch = evidence.epoch,
            view = evidence.view,
            "A validator cast contradictory votes"
        );
        if let Err(why) = self.evidence.lock().keep(evidence) {
            tracing::error!(%why, "The evidence cannot be stored: {why}");
        }
    }

    fn outgoing(&self) -> BoxFuture<'_, Vec<Bytes>> {
        Box::pin(async {
            self.pool.next_outgoing(GOSSIP_BYTES_MAX).await.into_iter().map(Bytes::from).collect()
        })
    }

    fn unconfirmed(&self) -> Vec<Bytes> {
        self.pool.unconfirmed(GOSSIP_BYTES_MAX).into_iter().map(Bytes::from).collect()
    }

    fn incoming(&self, transactions: Vec<Bytes>) -> Result<(), ProtocolViolation> {
        let received = self.pool.receive(&transactions);
        for (index, why) in &received.refused {
            tracing::debug!(index, %why, "Dropped a transaction of another validator: {why}");
        }
        match received.violation() {
            None => Ok(()),
            Some(why) => Err(ProtocolViolation(why)),
        }
    }
}

/// An error after which the validator stops.
fn halt(why: MachineError) -> NotCommitted {
    NotCommitted(why.to_string())
}
