//! What agreement asks of the state machine it orders blocks for.

use crate::{
    block::Block,
    request_response::{ProtocolViolation, RequestResponse},
};
use bytes::Bytes;
use std::{future::Future, pin::Pin};
use vitals::{
    ids::Hash,
    proof::{certificate::Certificate, header::BlockHeader},
};

/// A future of a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why a block was not executed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotExecuted {
    /// Its parent is neither the committed tip nor held: the chain went on, or never came there.
    #[error("the state of the block's parent is not at hand")]
    Orphan,
    /// It must never be voted for.
    #[error("{0}")]
    Invalid(String),
}

/// A final block could not be made part of the state. The validator stops: it can no longer follow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotCommitted(pub String);

/// Where this node's ledger begins if its blocks from genesis on were never here: the last block of an
/// epoch, whose state came as a snapshot. Whoever makes one has checked the certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotBase {
    /// Its header, which names the committee of the epoch after it.
    pub header: BlockHeader,
    /// What made it final.
    pub certificate: Certificate,
    /// The committee that certified it, ascending.
    pub committee: Vec<[u8; 32]>,
}

/// How two votes contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// Voted for two blocks in one view.
    Notarize,
    /// Voted to finalize two blocks in one view.
    Finalize,
    /// Voted to skip a view and to finalize a block in it.
    NullifyFinalize,
}

/// Two signed votes of one validator that no honest one casts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Who.
    pub validator: [u8; 32],
    /// Epoch of the votes.
    pub epoch: u64,
    /// View of the votes.
    pub view: u64,
    /// What they say.
    pub conflict: Conflict,
    /// Both votes, as the engine encodes them.
    pub votes: Vec<u8>,
}

/// The state machine beneath consensus. Blocks are executed before they are final, each on what its
/// parent left; results are held by digest until the chain passes their height.
pub trait StateMachine: RequestResponse {
    /// The header every chain of this ledger starts from.
    fn genesis_header(&self) -> &BlockHeader;

    /// The block this ledger begins with here, if that is not genesis.
    fn snapshot_base(&self) -> Option<SnapshotBase> {
        None
    }

    /// Height and digest of the committed tip.
    fn committed(&self) -> (u64, Hash);

    /// Has this block been executed, and found right, without being final yet?
    fn has_executed(&self, digest: &Hash) -> bool;

    /// Executes a block of somebody else's and holds it if its header tells the truth.
    ///
    /// # Errors
    /// If its parent is not at hand, or it must not be voted for.
    fn check(&self, block: &Block, digest: Hash) -> Result<(), NotExecuted>;

    /// What the next block on `parent` would carry.
    fn next_batch(&self, parent: &Hash) -> Vec<Bytes>;

    /// Returns once [`Self::next_batch`] may have something. For one proposer.
    fn transactions_available(&self) -> BoxFuture<'_, ()>;

    /// Executes `transactions`, fills the roots of `header` and holds the block. What cannot stand in a
    /// block is left out.
    fn build(&self, header: BlockHeader, transactions: Vec<Bytes>) -> Option<Block>;

    /// Makes a final block part of the state: durable on return. Delivering it again is harmless.
    /// `now_ms` is the validator's clock.
    ///
    /// # Errors
    /// If it does not fit, or the disk fails.
    fn commit(
        &self,
        block: &Block,
        digest: Hash,
        certificate: Option<&Certificate>,
        now_ms: u64,
    ) -> Result<(), NotCommitted>;

    /// Remembers the certificate of a block that is committed.
    fn store_certificate(&self, header: &BlockHeader, digest: Hash, certificate: Option<&Certificate>);

    /// The validators of `epoch` as the state after the block `parent` has them, ascending; nothing
    /// if that state is not at hand.
    fn committee(&self, parent: &Hash, epoch: u64) -> Option<Vec<[u8; 32]>>;

    /// Where validators and those who want to become one say they are to be found (host:port), in the
    /// committed state.
    fn endpoints(&self) -> Vec<([u8; 32], String)>;

    /// Keeps evidence against a validator.
    fn record_evidence(&self, evidence: Evidence);

    /// Transactions submitted here, to hand to the other validators; waits until there are some. At
    /// most [`crate::block::GOSSIP_BYTES_MAX`] bytes. Awaited again only when it has answered.
    fn outgoing(&self) -> BoxFuture<'_, Vec<Bytes>>;

    /// Transactions to hand out once more, for they are not final since this was asked last. As bounded.
    fn unconfirmed(&self) -> Vec<Bytes>;

    /// Transactions another validator handed over. Those that do not fit the state are passed over.
    ///
    /// # Errors
    /// If no honest validator hands over such a batch.
    fn incoming(&self, transactions: Vec<Bytes>) -> Result<(), ProtocolViolation>;
}
