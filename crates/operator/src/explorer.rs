//! The ledger's explorer: the same records that the page `/ledger` shows to administrators and auditors. Ids, keys
//! and digests are lower-case hexadecimal; times are milliseconds since 1970.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What to look up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerQuery {
    /// Blocks, newest first.
    Blocks {
        /// Only blocks below this height.
        before: Option<u64>,
        /// At most so many (100).
        most: usize,
        /// Only blocks with a transaction of this organisation.
        organisation: Option<String>,
    },
    /// One block with its transactions.
    Block {
        /// Its height.
        height: u64,
        /// Place of the first transaction shown.
        first: usize,
    },
    /// One transaction.
    Tx {
        /// Its hash, 64 hexadecimal digits.
        id: String,
    },
    /// Validators and proposals.
    Authorities,
    /// Validators that contradicted themselves.
    Evidence,
    /// How each validator is.
    Health,
}

/// What was found; the variant belongs to the query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LedgerAnswer {
    /// See [`LedgerQuery::Blocks`].
    Blocks(Blocks),
    /// See [`LedgerQuery::Block`].
    Block(Box<Block>),
    /// See [`LedgerQuery::Tx`].
    Transaction(Box<Transaction>),
    /// See [`LedgerQuery::Authorities`].
    Governance(Governance),
    /// See [`LedgerQuery::Evidence`].
    Evidence(EvidenceList),
    /// See [`LedgerQuery::Health`].
    Health(Health),
}

/// Some blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocks {
    /// Newest first.
    pub blocks: Vec<BlockSummary>,
    /// Older ones lie below this height, if there are any.
    pub next: Option<u64>,
    /// The answer ends here because older blocks, or whose their transactions were, are not kept at this node.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pruned: bool,
}

/// One block in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockSummary {
    /// Its height.
    pub height: u64,
    /// The leader's time.
    pub time_ms: u64,
    /// Its epoch.
    pub epoch: u64,
    /// The engine's view that made it.
    pub view: u64,
    /// Views before it that made no block.
    pub skipped: u64,
    /// The leader's validator key.
    pub leader: String,
    /// The leader's organisation.
    pub leader_organisation: Option<String>,
    /// How many transactions it has; none if they are pruned.
    pub transactions: usize,
    /// It had transactions, which are not kept at this node any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pruned: bool,
    /// The first few of them.
    #[serde(rename = "told")]
    pub summaries: Vec<Summary>,
}

/// One transaction in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Who acted, if the account is an organisation's.
    pub organisation: Option<String>,
    /// The sending account.
    pub sender: String,
    /// What it did, as a phrase for people.
    pub words: String,
}

/// One block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// What a list shows of it.
    #[serde(flatten)]
    pub summary: BlockSummary,
    /// Its digest.
    pub digest: String,
    /// The digest of the block before it.
    pub parent: String,
    /// Root of the state after it.
    pub state_root: String,
    /// Root over its transactions.
    pub transactions_root: String,
    /// Root over their receipts.
    pub receipts_root: String,
    /// The next committee, in the last block of an epoch that changes it.
    pub committee: Vec<String>,
    /// Place of the first transaction in `shown`.
    pub first: usize,
    /// Transactions.
    pub shown: Vec<Transaction>,
}

/// One transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// Its hash.
    pub id: String,
    /// Height of its block; none while it waits.
    pub height: Option<u64>,
    /// Its place in the block.
    pub index: Option<usize>,
    /// The block's time.
    pub time_ms: Option<u64>,
    /// Who acted, if the account is an organisation's.
    pub organisation: Option<String>,
    /// The sending account.
    pub sender: String,
    /// The called account; none if it creates a contract.
    pub to: Option<String>,
    /// The called contract, if it is one of ours.
    pub contract: Option<String>,
    /// The called function, if it is known.
    pub function: Option<String>,
    /// What it did, as a phrase for people.
    pub words: String,
    /// Its arguments, by label.
    pub particulars: BTreeMap<String, String>,
    /// `done`, `refused`, `waiting` or `unknown`.
    pub outcome: String,
    /// Why the contract refused it.
    pub reason: Option<String>,
    /// The sender's count.
    pub nonce: u64,
    /// Most gas it may use.
    pub gas_limit: u64,
    /// Gas it used.
    pub gas_used: Option<u64>,
    /// Its length.
    pub bytes: usize,
}

/// Validators and proposals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Governance {
    /// The epoch of the next block.
    pub epoch: u64,
    /// Blocks in an epoch.
    pub epoch_blocks: u64,
    /// Votes that make a block final.
    pub quorum: usize,
    /// Keys of this epoch's committee.
    pub committee: Vec<String>,
    /// Keys of the next one's.
    pub next: Vec<String>,
    /// Every validator that is known.
    pub validators: Vec<Seat>,
    /// Open and accepted proposals.
    pub proposals: Vec<GovernanceProposal>,
}

/// A validator's seat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// Its key.
    pub key: String,
    /// Whose it is.
    pub organisation: Option<String>,
    /// Where the others dial it; empty if it has not said so.
    pub endpoint: String,
    /// The first epoch it sits in.
    pub since_epoch: u64,
    /// The first epoch it does not sit in any more.
    pub until_epoch: Option<u64>,
    /// It sits in this epoch's committee.
    pub seated: bool,
}

/// One proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GovernanceProposal {
    /// Its number.
    pub id: u64,
    /// The change, as a phrase for people.
    pub words: String,
    /// The organisation that proposed it.
    pub proposer: String,
    /// When.
    pub proposed_at_ms: u64,
    /// Open until then.
    pub until_ms: u64,
    /// Organisations that voted for it.
    pub votes: Vec<String>,
    /// Organisations that may still vote.
    pub may_vote: Vec<String>,
    /// Votes that accept it.
    pub needed: usize,
    /// Accepted: it acts from this epoch on.
    pub acts_from_epoch: Option<u64>,
}

/// Validators that contradicted themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceList {
    /// One entry for each contradiction.
    pub evidence: Vec<Evidence>,
}

/// One contradiction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The validator's key.
    pub validator: String,
    /// Whose it is.
    pub organisation: Option<String>,
    /// The epoch of both votes.
    pub epoch: u64,
    /// Their view.
    pub view: u64,
    /// What it did, as a phrase for people.
    pub words: String,
    /// Digest over both votes.
    pub votes: String,
}

/// The ledger and its validators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Height of the newest final block.
    pub height: u64,
    /// Its age.
    pub age_ms: u64,
    /// The newest block is so old that the ledger stands still.
    pub halted: bool,
    /// Withdrawn consents that are not on the ledger yet.
    pub withdrawals_waiting: usize,
    /// Those among them that should be there by now.
    pub withdrawals_late: usize,
    /// Each validator.
    pub validators: Vec<ValidatorHealth>,
    /// What an operator should look after.
    pub warnings: Vec<String>,
}

/// How one validator is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidatorHealth {
    /// Its key.
    pub key: String,
    /// Whose it is.
    pub organisation: Option<String>,
    /// It is this node's own.
    pub own: bool,
    /// Height of the last block it led.
    pub last_led: Option<u64>,
    /// Blocks it led lately.
    pub led: u64,
    /// Its turns without a block lately.
    pub skipped: u64,
    /// The height it last said it stands at.
    pub height: Option<u64>,
    /// Blocks between that and this node's.
    pub behind: Option<u64>,
    /// It was heard lately; none if it was never heard.
    pub connected: Option<bool>,
    /// When it was last heard.
    pub heard_at_ms: Option<u64>,
    /// When it last voted.
    pub voted_at_ms: Option<u64>,
    /// Times it was cut off for what no honest validator sends.
    pub drops: u64,
    /// When it last was.
    pub dropped_at_ms: Option<u64>,
}
