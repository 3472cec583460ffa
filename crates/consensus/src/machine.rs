//! What consensus requires of the state machine that executes blocks.

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

/// A boxed future, for methods of a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why a block was not executed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotExecuted {
    /// The state of its parent is not available: the parent is neither the committed tip nor an executed
    /// block above it.
    #[error("the state of the block's parent is not available")]
    Orphan,
    /// The block is invalid: never vote for it.
    #[error("{0}")]
    Invalid(String),
}

/// A final block could not be committed. The validator stops, because it can no longer follow the chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotCommitted(pub String);

/// The block at which this node's ledger begins if its state came as a snapshot: the last block of an
/// epoch. The certificate has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotBase {
    /// Its header, which names the committee of the next epoch.
    pub header: BlockHeader,
    /// The certificate that made it final.
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

/// Two signed votes of one validator that contradict each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Key of the validator.
    pub validator: [u8; 32],
    /// Epoch of the votes.
    pub epoch: u64,
    /// View of the votes.
    pub view: u64,
    /// How they contradict each other.
    pub conflict: Conflict,
    /// Both votes, as the engine encodes them.
    pub votes: Vec<u8>,
}

/// The state machine beneath consensus. Blocks are executed before they are final, each on the state after
/// its parent. Results are kept by digest until a block of their height is final.
pub trait StateMachine: RequestResponse {
    /// The header of height 0.
    fn genesis_header(&self) -> &BlockHeader;

    /// The block this node's ledger begins with; `None` if that is genesis.
    fn snapshot_base(&self) -> Option<SnapshotBase> {
        None
    }

    /// Height and digest of the committed tip.
    fn committed(&self) -> (u64, Hash);

    /// The time of the committed tip, milliseconds since 1970.
    fn committed_ms(&self) -> u64;

    /// Has this block been executed and found valid, without being final yet?
    fn has_executed(&self, digest: &Hash) -> bool;

    /// Executes another validator's block and keeps the result if it matches the header.
    ///
    /// # Errors
    /// If the parent's state is not available, or the block is invalid.
    fn check(&self, block: &Block, digest: Hash) -> Result<(), NotExecuted>;

    /// The transactions for the next block on `parent`.
    fn next_batch(&self, parent: &Hash) -> Vec<Bytes>;

    /// Returns once [`Self::next_batch`] may have something. For one proposer.
    fn transactions_available(&self) -> BoxFuture<'_, ()>;

    /// Executes `transactions`, fills the roots of `header` and keeps the result. Transactions that cannot
    /// be part of a block are left out.
    fn build(&self, header: BlockHeader, transactions: Vec<Bytes>) -> Option<Block>;

    /// Commits a final block, durably on return. Committing it again changes nothing. `now_ms` is the
    /// validator's clock, milliseconds since 1970.
    ///
    /// # Errors
    /// If the block does not follow the tip, or the disk fails.
    fn commit(
        &self,
        block: &Block,
        digest: Hash,
        certificate: Option<&Certificate>,
        now_ms: u64,
    ) -> Result<(), NotCommitted>;

    /// Stores the certificate of a committed block.
    fn store_certificate(&self, header: &BlockHeader, digest: Hash, certificate: Option<&Certificate>);

    /// The validators of `epoch` according to the state after the block `parent`, ascending; `None` if that
    /// state is not available.
    fn committee(&self, parent: &Hash, epoch: u64) -> Option<Vec<[u8; 32]>>;

    /// The addresses (host:port) that validators and candidates have announced, in the committed state.
    fn endpoints(&self) -> Vec<([u8; 32], String)>;

    /// Stores evidence against a validator.
    fn record_evidence(&self, evidence: Evidence);

    /// Transactions submitted here, to be sent to the other validators; waits until there are some. At
    /// most [`crate::block::GOSSIP_BYTES_MAX`] bytes. Only one call waits at a time.
    fn outgoing(&self) -> BoxFuture<'_, Vec<Bytes>>;

    /// Transactions to send once more, because they are still not final since the last call. At most
    /// [`crate::block::GOSSIP_BYTES_MAX`] bytes.
    fn unconfirmed(&self) -> Vec<Bytes>;

    /// Takes transactions sent by another validator. Those that do not fit the state are ignored.
    ///
    /// # Errors
    /// If no honest validator sends such a batch.
    fn incoming(&self, transactions: Vec<Bytes>) -> Result<(), ProtocolViolation>;
}
