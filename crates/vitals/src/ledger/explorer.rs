//! The ledger as administrators and auditors see it: blocks, what their transactions did, who agrees on
//! them, and how those validators are. Data only: what is shown of it is written by `web::ledger_text`.
//!
//! Nothing here holds a name: people, organisations and devices are ids, as on the ledger itself. Every
//! answer is bounded, whatever is asked.

mod validator_health;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;

use crate::governance::{self, Motion};
use crate::ids::{Hash, OrgId};
use crate::ledger::{Act, LedgerError, Outcome};
use alloc::{collections::BTreeSet, string::String, vec::Vec};

pub use validator_health::{HEARD_WITHIN_MS, Turn, ValidatorHealth, turns};

/// Most blocks in one answer.
pub const BLOCKS_MAX: usize = 100;
/// Most blocks looked at for one answer, when only those of one organisation are wanted.
pub const SCAN_BLOCKS_MAX: usize = 2_000;
/// Most transactions looked at for one answer, when only those of one organisation are wanted.
pub const SCAN_TRANSACTIONS_MAX: usize = 8_192;
/// Most transactions of a block in one answer.
pub const TRANSACTIONS_MAX: usize = 100;
/// Transactions shown of each block in a list of blocks.
pub const SUMMARIES_MAX: usize = 3;
/// Newest blocks from which turns of validators are counted.
pub const TURNS_BLOCKS_MAX: usize = 512;
/// Most pieces of evidence in one answer, newest first.
pub const EVIDENCE_MAX: usize = 100;
/// Most proposals in one answer, newest first.
pub const PROPOSALS_MAX: usize = 100;

/// Which blocks are wanted, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BlockQuery {
    /// Only blocks below this height.
    pub before: Option<u64>,
    /// At most so many; never more than [`BLOCKS_MAX`].
    pub most: usize,
    /// Only blocks with a transaction of this organisation.
    pub org: Option<OrgId>,
}

/// A page of blocks, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Blocks {
    /// The blocks.
    pub blocks: Vec<BlockLine>,
    /// Ask on with [`BlockQuery::before`] at this height; nothing once genesis is reached.
    pub next: Option<u64>,
    /// The answer ends because the next block is pruned, or, asked for one organisation's, its transactions are: whose
    /// they were is not known here any more.
    pub pruned: bool,
}

/// One block in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockLine {
    /// Height.
    pub height: u64,
    /// Its time, milliseconds.
    pub time_ms: u64,
    /// Consensus epoch.
    pub epoch: u64,
    /// View of consensus in which it was made.
    pub view: u64,
    /// Views since its parent in which nothing was agreed: turns that were skipped.
    pub skipped: u64,
    /// Validator key of its proposer; zero for genesis.
    pub leader: [u8; 32],
    /// The proposer's organisation, if the ledger names one.
    pub leader_org: Option<OrgId>,
    /// How many transactions it carries; none if they are pruned.
    pub transactions: usize,
    /// It carried transactions, and this node has removed them.
    pub pruned: bool,
    /// The first of them (of the organisation that was asked for), at most [`SUMMARIES_MAX`].
    pub summaries: Vec<TransactionSummary>,
}

/// Who did what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionSummary {
    /// The organisation that sent it; nothing if the account is nobody's.
    pub org: Option<OrgId>,
    /// The account that signed it.
    pub sender: [u8; 20],
    /// What it asked for.
    pub action: TxAction,
}

/// One block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// As in the list.
    pub line: BlockLine,
    /// Digest of its header: what validators certify.
    pub digest: Hash,
    /// Its parent's.
    pub parent: Hash,
    /// State root after it.
    pub state_root: Hash,
    /// Commitment to its transactions.
    pub transactions_root: Hash,
    /// Commitment to what they did.
    pub receipts_root: Hash,
    /// The next epoch's validators, in an epoch's last block.
    pub committee: Vec<[u8; 32]>,
    /// Place of the first transaction below.
    pub first: usize,
    /// At most [`TRANSACTIONS_MAX`] of its transactions.
    pub transactions: Vec<Transaction>,
}

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Height of its block.
    pub height: u64,
    /// Its place there.
    pub index: usize,
    /// That block's time, milliseconds.
    pub time_ms: u64,
}

/// One transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Its name: Keccak-256 of its bytes.
    pub id: Hash,
    /// Where it stands; nothing while it waits for a block.
    pub place: Option<Place>,
    /// The account that signed it.
    pub sender: [u8; 20],
    /// The organisation that account sends for.
    pub org: Option<OrgId>,
    /// The account it calls; nothing if it makes a contract.
    pub to: Option<[u8; 20]>,
    /// The contract's name, if it is one of the ledger's own.
    pub contract: Option<String>,
    /// The function's name, if it is known.
    pub function: Option<String>,
    /// Its place among its sender's transactions.
    pub nonce: u64,
    /// Gas it may use.
    pub gas_limit: u64,
    /// Gas it used.
    pub gas_used: Option<u64>,
    /// Its length in bytes.
    pub bytes: usize,
    /// What it asked for.
    pub action: TxAction,
    /// What became of it.
    pub outcome: Outcome,
}

/// What a transaction asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TxAction {
    /// One of the acts an organisation's node sends.
    Act(Act),
    /// A call of a contract that is none of them.
    Call {
        /// The contract, by name or by address.
        contract: String,
        /// The function, if it is known.
        function: Option<String>,
    },
    /// A new contract.
    Deploy {
        /// Length of its creation code.
        bytes: usize,
    },
}

/// Who agrees on blocks, now and next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Authorities {
    /// Epoch of the next block.
    pub epoch: u64,
    /// Heights in an epoch.
    pub epoch_blocks: u64,
    /// Validators of this epoch, ascending.
    pub committee: Vec<[u8; 32]>,
    /// Validators of the epoch after, as far as they are decided.
    pub next: Vec<[u8; 32]>,
    /// Everybody the ledger holds as a validator, seated, coming or going.
    pub validators: Vec<Authority>,
}

impl Authorities {
    /// Votes that make a block final: more than two thirds.
    #[must_use]
    pub fn quorum(&self) -> usize {
        self.committee.len() - self.max_faulty()
    }

    /// Validators that may lie or be away without harm.
    #[must_use]
    pub fn max_faulty(&self) -> usize {
        self.committee.len().saturating_sub(1) / 3
    }

    /// Last height of this epoch; nothing if it never ends.
    #[must_use]
    pub fn epoch_ends(&self) -> Option<u64> {
        self.epoch.checked_add(1)?.checked_mul(self.epoch_blocks)?.checked_sub(1)
    }

    /// The organisation a validator acts for.
    #[must_use]
    pub fn org_of(&self, key: &[u8; 32]) -> Option<OrgId> {
        self.validators.iter().find(|one| one.key == *key).and_then(|one| one.org)
    }
}

/// One validator as the ledger holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// Its Ed25519 key.
    pub key: [u8; 32],
    /// Its organisation, if the ledger names one.
    pub org: Option<OrgId>,
    /// Where it is to be found, host:port; empty if the ledger does not say.
    pub endpoint: String,
    /// First epoch in which it votes.
    pub since_epoch: u64,
    /// First epoch in which it no longer does.
    pub until_epoch: Option<u64>,
}

impl From<governance::Validator> for Authority {
    fn from(one: governance::Validator) -> Self {
        Self {
            key: one.key,
            org: Some(one.org),
            endpoint: one.endpoint,
            since_epoch: one.from_epoch,
            until_epoch: one.until_epoch,
        }
    }
}

/// A proposal with its votes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Counts from 1.
    pub id: u64,
    /// What it would do.
    pub motion: Motion,
    /// Who proposed it.
    pub proposer: OrgId,
    /// Block time of the proposal, milliseconds.
    pub proposed_at_ms: u64,
    /// Votes after this block time count no more, milliseconds.
    pub until_ms: u64,
    /// Seated organisations that voted for it.
    pub votes: Vec<OrgId>,
    /// Seated organisations that have not voted.
    pub may_vote: Vec<OrgId>,
    /// Votes that carry it out.
    pub needed: usize,
    /// First epoch whose committee shows it, once carried out.
    pub acts_from_epoch: Option<u64>,
}

impl Proposal {
    /// As it stands while these are the validators: only seated organisations' votes count.
    #[must_use]
    pub fn of(one: &governance::Proposal, validators: &[governance::Validator]) -> Self {
        let staying = validators.iter().filter(|one| one.until_epoch.is_none());
        let seated: BTreeSet<OrgId> = staying.map(|one| one.org).collect();
        let votes: Vec<OrgId> = one.votes.iter().copied().filter(|org| seated.contains(org)).collect();
        Self {
            id: one.id,
            motion: one.motion.clone(),
            proposer: one.proposer,
            proposed_at_ms: one.proposed_at_ms,
            until_ms: one.proposed_at_ms.saturating_add(governance::PROPOSAL_AGE_MS_MAX),
            may_vote: seated.iter().copied().filter(|org| !votes.contains(org)).collect(),
            votes,
            needed: seated.len() / 2 + 1,
            acts_from_epoch: one.accepted.map(|accepted| accepted.acts_from_epoch),
        }
    }

    /// Can it still be voted for at this block time?
    #[must_use]
    pub fn is_open(&self, now_ms: u64) -> bool {
        self.acts_from_epoch.is_none() && now_ms <= self.until_ms
    }
}

/// How two votes contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// For two blocks in one view.
    Notarize,
    /// To make two blocks of one view final.
    Finalize,
    /// To skip a view, and to make a block of it final.
    NullifyFinalize,
}

/// Two signed votes of one validator that no honest one casts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Who.
    pub validator: [u8; 32],
    /// Its organisation, if the ledger names one.
    pub org: Option<OrgId>,
    /// Epoch of the votes.
    pub epoch: u64,
    /// View of the votes.
    pub view: u64,
    /// What they say.
    pub conflict: Conflict,
    /// SHA-256 of both votes as they are kept.
    pub votes: Hash,
}

/// Everything about the validators.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Governance {
    /// Who agrees on blocks.
    pub authorities: Authorities,
    /// What may change that.
    pub proposals: Vec<Proposal>,
    /// Votes by which validators contradicted themselves.
    pub evidence: Vec<Evidence>,
    /// How the committee is.
    pub health: Vec<ValidatorHealth>,
    /// What this node's own ledger lacks, a sentence each.
    pub warnings: Vec<String>,
}

/// A ledger whose blocks can be looked at. Answers come from what is final here; none waits for
/// consensus, and none is longer than its bound.
pub trait Explorer: Send + Sync {
    /// Blocks, newest first.
    ///
    /// # Errors
    /// [`LedgerError::Down`] if the ledger cannot be read.
    fn blocks(&self, asked: &BlockQuery) -> Result<Blocks, LedgerError>;

    /// The block at `height` with its transactions from the `first` on; nothing if it is not final here.
    ///
    /// # Errors
    /// As [`Self::blocks`], and [`LedgerError::Pruned`].
    fn block(&self, height: u64, first: usize) -> Result<Option<Block>, LedgerError>;

    /// A transaction that is final here, or waits for a block.
    ///
    /// # Errors
    /// As [`Self::blocks`].
    fn transaction(&self, id: &Hash) -> Result<Option<Transaction>, LedgerError>;

    /// Who agrees on blocks, what may change that, who contradicted itself, and how they are.
    ///
    /// # Errors
    /// As [`Self::blocks`].
    fn governance(&self) -> Result<Governance, LedgerError>;
}
