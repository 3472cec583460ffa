//! What a node answers, but for the ledger's explorer. Ids, keys and digests are lower-case hexadecimal; times are
//! milliseconds, points in time since 1970.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Done, and nothing to add.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {}

/// A session. Opens what its person may see, so it has no `Debug`.
#[derive(Serialize, Deserialize)]
pub struct Token {
    /// Named by every request of this person.
    pub token: String,
}

/// A new patient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatientCreated {
    /// The patient's id.
    pub patient: String,
}

/// A paired gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paired {
    /// The answer to its pairing request.
    pub answer: String,
    /// Its device id.
    pub gateway: String,
}

/// Where the ledger stands at this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tip {
    /// Height of the newest final block.
    pub height: u64,
    /// Its time.
    pub time_ms: u64,
    /// Its digest.
    pub digest: String,
}

/// One digest over many headers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The digest.
    pub digest: String,
}

/// Each founding organisation's anchor: the size and root of its log; none before the first.
pub type Anchors = BTreeMap<String, Option<(u64, String)>>;

/// A bundle that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundled {
    /// Envelopes in it.
    pub envelopes: u64,
    /// Envelopes left out, because no anchor holds them yet.
    pub not_anchored: u64,
    /// Height of the block that proves it.
    pub height: u64,
    /// Its length.
    pub bytes: u64,
}

/// A snapshot that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotWritten {
    /// The state is the one after this block.
    pub height: u64,
    /// Its length.
    pub bytes: u64,
}

/// A checkpoint with this organisation's signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointSigned {
    /// The checkpoint's bytes.
    pub checkpoint: String,
}

/// Median and 99th percentile, milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Half of the samples took no longer.
    pub p50: f64,
    /// 99 of 100 took no longer.
    pub p99: f64,
    /// How many samples there were.
    pub samples: u64,
}

/// Missing envelopes of one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingFigures {
    /// How many.
    pub count: u64,
    /// Inclusive ranges of sequence numbers; the first few.
    pub seqs: Vec<(u64, u64)>,
    /// When the node noticed.
    pub since_ms: u64,
}

/// What the node counted since it was started.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct NodeFigures {
    /// Envelopes stored.
    pub envelopes_admitted: u64,
    /// Envelopes that were stored already.
    pub envelopes_duplicate: u64,
    /// Envelopes refused for good.
    pub envelopes_refused: u64,
    /// Refused ones among them that fork a stream: another device wrote them into it.
    #[serde(default)]
    pub second_hand_refused: u64,
    /// Patients with a stream that two devices write now.
    #[serde(default)]
    pub two_hands: u64,
    /// Per stream, what is missing now.
    #[serde(default)]
    pub missing: BTreeMap<String, MissingFigures>,
    /// How far each wrong bedside clock is off; positive when it is behind.
    #[serde(default)]
    pub clocks_off_ms: Vec<i64>,
    /// Readings in the stored envelopes.
    pub readings_admitted: u64,
    /// Leaves of the organisation's log.
    pub log_size: u64,
    /// Anchors on the ledger.
    pub anchors: u64,
    /// Alarms raised.
    pub alarms: u64,
    /// Height of the newest final block.
    pub height: u64,
    /// From sealing at the bedside to the live view.
    pub sealed_to_live_ms: Latency,
    /// From sealing at the bedside to a final anchor.
    pub sealed_to_final_ms: Latency,
    /// Per stream of a device, how many envelopes are stored; gaps make it smaller than the next number.
    pub streams: BTreeMap<String, u64>,
}

/// What a node's ledger came to.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct LedgerFigures {
    /// Height of the newest final block.
    pub height: u64,
    /// Blocks since the node was started.
    pub blocks: u64,
    /// Transactions since the node was started.
    pub transactions: u64,
    /// The epoch of the next block.
    pub epoch: u64,
    /// Validator keys of the committee of that epoch.
    pub committee: Vec<String>,
    /// From a block's time to its state being durable at this node; the last blocks only.
    #[serde(default)]
    pub finality_samples_ms: Vec<u64>,
}

/// Validators and proposals, as an authority's operator needs them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Authorities {
    /// Height of the newest final block.
    pub height: u64,
    /// The epoch of the next block.
    pub epoch: u64,
    /// Blocks in an epoch.
    pub epoch_blocks: u64,
    /// Validators in the committee.
    pub authorities: usize,
    /// Votes that make a block final.
    pub quorum: usize,
    /// Their keys.
    pub committee: Vec<String>,
    /// Every validator that is known, also those that join or left.
    pub validators: Vec<ValidatorStatus>,
    /// Proposals that are open, or were accepted and do not act yet.
    pub proposals: Vec<ProposalStatus>,
}

/// One validator.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ValidatorStatus {
    /// Its key.
    pub key: String,
    /// Whose it is.
    pub organisation: String,
    /// Where the others dial it, `host:port`.
    pub address: String,
    /// Whether it sits in the committee, as a phrase for people.
    pub seat: String,
    /// It is this node's own.
    pub ourselves: bool,
    /// How long ago it was heard; none if never.
    pub heard_ms_ago: Option<u64>,
    /// The height it last said it stands at.
    pub height: Option<u64>,
}

/// One proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposalStatus {
    /// Its number.
    pub id: u64,
    /// The change, as a phrase for people.
    pub what: String,
    /// The organisation that proposed it.
    pub proposer: String,
    /// Votes that count now.
    pub votes: usize,
    /// Votes that accept it.
    pub votes_needed: usize,
    /// Accepted: it acts from this epoch on.
    pub acts_from_epoch: Option<u64>,
}
