//! The block as it is sent and stored: the header that validators certify, then the raw transactions that
//! its `transactions_root` commits to.
//!
//! Wire form: header bytes and transactions, each with its length before it (unsigned LEB128).

use crate::{Context, Digest, PublicKey};
use bytes::{BufMut, Bytes};
use commonware_codec::{Buf, DecodeExt as _, EncodeSize, Error as CodecError, RangeCfg, Read, Write};
use commonware_consensus::{
    Block as ConsensusBlock, BoundedBlock, CertifiableBlock, Heightable,
    types::{Epoch, Height, Round, View},
};
use commonware_cryptography::Digestible;
use vitals::ids::Hash;
use vitals::log;
use vitals::proof::header::{BlockHeader, HEADER_BYTES_MAX};

/// Longest transaction, encoded.
pub const TX_BYTES_MAX: usize = 64 * 1024;
/// Most transactions in a block.
pub const BLOCK_TXS_MAX: usize = 4096;
/// Longest sum of a block's encoded transactions.
pub const BLOCK_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest sum of transactions handed to other validators in one message.
pub const GOSSIP_BYTES_MAX: usize = 256 * 1024;

/// Bytes of the longest length prefix used here.
const LENGTH_BYTES_MAX: usize = 5;

/// A block: what is certified, and the ordered transactions it commits to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    header: BlockHeader,
    /// `header.leader`, checked to be a key.
    leader: PublicKey,
    transactions: Vec<Bytes>,
}

/// Why a header and transactions do not make a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBlock {
    /// The leader is not an Ed25519 key.
    #[error("the block's leader is not an Ed25519 public key")]
    Leader,
    /// The transactions are not the ones the header commits to.
    #[error("the block's transactions are not the ones its header commits to")]
    Transactions,
    /// More transactions, or more bytes of them, than a block may carry.
    #[error("the block carries more transactions than its bound")]
    TooLong,
}

impl Block {
    /// The block with this header and these transactions.
    ///
    /// # Errors
    /// If the leader is not a key, the transactions do not match the header, or there are too many.
    pub fn new(header: BlockHeader, transactions: Vec<Bytes>) -> Result<Self, InvalidBlock> {
        let leader =
            PublicKey::decode(Bytes::copy_from_slice(&header.leader)).map_err(|_| InvalidBlock::Leader)?;
        let bytes: usize = transactions.iter().map(Bytes::len).sum();
        let longest = transactions.iter().map(Bytes::len).max().unwrap_or(0);
        if transactions.len() > BLOCK_TXS_MAX || bytes > BLOCK_BYTES_MAX || longest > TX_BYTES_MAX {
            return Err(InvalidBlock::TooLong);
        }
        if list_root(transactions.iter().map(AsRef::as_ref)) != header.transactions_root {
            return Err(InvalidBlock::Transactions);
        }
        Ok(Self { header, leader, transactions })
    }

    /// What is certified.
    #[must_use]
    pub fn header(&self) -> &BlockHeader {
        &self.header
    }

    /// Raw transactions, in order.
    #[must_use]
    pub fn transactions(&self) -> &[Bytes] {
        &self.transactions
    }
}

impl Write for Block {
    fn write(&self, buf: &mut impl BufMut) {
        Bytes::from(self.header.encode()).write(buf);
        self.transactions.write(buf);
    }
}

impl EncodeSize for Block {
    fn encode_size(&self) -> usize {
        Bytes::from(self.header.encode()).encode_size() + self.transactions.encode_size()
    }
}

impl Read for Block {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        let header = Bytes::read_cfg(buf, &RangeCfg::from(0..=HEADER_BYTES_MAX))?;
        let header =
            BlockHeader::decode(&header).map_err(|why| CodecError::Wrapped("block header", why.into()))?;
        let limits = (RangeCfg::from(0..=BLOCK_TXS_MAX), RangeCfg::from(0..=TX_BYTES_MAX));
        let transactions = Vec::<Bytes>::read_cfg(buf, &limits)?;
        Self::new(header, transactions).map_err(|why| CodecError::Wrapped("block", why.into()))
    }
}

impl Digestible for Block {
    type Digest = Digest;

    fn digest(&self) -> Digest {
        Digest::from(self.header.digest())
    }
}

impl Heightable for Block {
    fn height(&self) -> Height {
        Height::new(self.header.height)
    }
}

impl ConsensusBlock for Block {
    fn parent(&self) -> Digest {
        Digest::from(self.header.parent)
    }
}

impl CertifiableBlock for Block {
    type Context = Context;

    fn context(&self) -> Context {
        Context {
            round: Round::new(Epoch::new(self.header.epoch), View::new(self.header.view)),
            leader: self.leader.clone(),
            parent: (View::new(self.header.parent_view), Digest::from(self.header.parent)),
        }
    }
}

impl BoundedBlock for Block {
    fn max_encode_size((): &()) -> usize {
        LENGTH_BYTES_MAX + HEADER_BYTES_MAX + LENGTH_BYTES_MAX * (BLOCK_TXS_MAX + 1) + BLOCK_BYTES_MAX
    }
}

/// RFC 6962 root over a block's transactions, or over its encoded receipts, in their order.
#[must_use]
pub fn list_root<'a>(items: impl IntoIterator<Item = &'a [u8]>) -> Hash {
    let mut tree = log::MerkleLog::new();
    for item in items {
        tree.push(log::leaf(item));
    }
    tree.root()
}
