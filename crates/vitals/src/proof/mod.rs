//! Checks, without trusting any node, that a fact stood in a finalized ledger state: from a pinned
//! genesis hash to the genesis document, across the changes of the committee to a certified header,
//! to the contract state. See [`chain`] for the rule.

pub mod certificate;
pub mod chain;
pub mod checkpoint;
pub mod contracts;
pub mod genesis;
pub mod header;
pub mod state;
pub mod witness;

pub use chain::{BrokenLink, Finalized, Known, verify, verify_changes, verify_header};

use crate::cbor::{self, NotCanonical, Reader, Writer};
use alloc::vec::Vec;

/// Longest encoded [`LedgerProof`].
pub const LEDGER_PROOF_BYTES_MAX: usize = 512 * 1024;
/// Most changes of the committee one proof carries. A ledger that had more shows the newest; a
/// verifier then starts from a checkpoint, or from the head it saw last.
pub const CHANGES_MAX: usize = 256;
/// Most bytes of them a node puts into a proof, so that the accounts have room.
pub const CHANGES_BYTES_MAX: usize = 256 * 1024;
/// Most accounts in one proof.
pub const ACCOUNTS_MAX: usize = 64;
/// Most storage slots proven of one account.
pub const SLOTS_MAX: usize = state::SLOTS_MAX;
/// Most trie nodes on one path: 64 nibbles of a hashed key, and the root.
pub const NODES_MAX: usize = state::NODES_MAX;
/// Longest trie node.
pub const NODE_BYTES_MAX: usize = state::NODE_BYTES_MAX;
/// A proof certified by the founding committee.
const VERSION_1: u64 = 1;
/// A proof across changes of the committee.
const VERSION_2: u64 = 2;

/// Contract state at one certified height. Encoded by [`LedgerProof::encode`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerProof {
    /// The headers that named another committee than the one that certified them, oldest first. None
    /// in version 1, which speaks of epoch 0 only.
    pub changes: Option<Vec<Certified>>,
    /// [`header::BlockHeader`] bytes.
    pub header: Vec<u8>,
    /// [`certificate::Certificate`] bytes over that header's digest.
    pub certificate: Vec<u8>,
    /// One account per fact asked, in the order asked.
    pub accounts: Vec<AccountProof>,
}

/// A header with the certificate that made it final: what a node keeps for ever of every epoch's last
/// block that changed the committee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certified {
    /// [`header::BlockHeader`] bytes.
    pub header: Vec<u8>,
    /// [`certificate::Certificate`] bytes over that header's digest.
    pub certificate: Vec<u8>,
}

impl Certified {
    /// Longest encoding.
    pub const BYTES_MAX: usize = header::HEADER_BYTES_MAX + certificate::CERTIFICATE_BYTES_MAX + 8;

    fn write(&self, w: &mut Writer) {
        w.array(2).bytes(&self.header).bytes(&self.certificate);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, NotCanonical> {
        r.array(2)?;
        let (header, certificate) = read_certified(r)?;
        Ok(Self { header, certificate })
    }

    /// Deterministic CBOR: `[header, certificate]`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        self.write(&mut w);
        w.finish()
    }

    /// Reads the wire form; does not check the certificate.
    pub fn decode(bytes: &[u8]) -> Result<Self, NotCanonical> {
        cbor::bounded(bytes, Self::BYTES_MAX)?;
        let mut r = Reader::new(bytes);
        let certified = Self::read(&mut r)?;
        r.end()?;
        Ok(certified)
    }
}

/// `eth_getProof` in bytes: an account in the state trie and slots in its storage trie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountProof {
    /// Contract address.
    pub address: [u8; 20],
    /// RLP nodes from the state root to the account leaf.
    pub nodes: Vec<Vec<u8>>,
    /// Slots of that account.
    pub slots: Vec<SlotProof>,
}

/// One storage slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotProof {
    /// The slot's 32-byte key before hashing.
    pub key: [u8; 32],
    /// RLP nodes from the account's storage root to the slot (or to the place where it is absent).
    pub nodes: Vec<Vec<u8>>,
}

impl LedgerProof {
    /// Deterministic CBOR. Version 1: `[1, header, certificate, [* account]]`, version 2:
    /// `[2, [* [header, certificate]], header, certificate, [* account]]`, where an account is
    /// `[address, [* node], [* [key, [* node]]]]`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match &self.changes {
            None => {
                w.array(4).uint(VERSION_1);
            }
            Some(changes) => {
                w.array(5).uint(VERSION_2).array(changes.len());
                for change in changes {
                    change.write(&mut w);
                }
            }
        }
        w.bytes(&self.header).bytes(&self.certificate);
        w.array(self.accounts.len());
        for account in &self.accounts {
            w.array(3).bytes(&account.address);
            write_nodes(&mut w, &account.nodes);
            w.array(account.slots.len());
            for slot in &account.slots {
                w.array(2).bytes(&slot.key);
                write_nodes(&mut w, &slot.nodes);
            }
        }
        w.finish()
    }

    /// Reads the wire form; only the exact bytes of [`Self::encode`] are accepted. Says nothing
    /// about whether the proof holds.
    pub fn decode(bytes: &[u8]) -> Result<Self, NotCanonical> {
        cbor::bounded(bytes, LEDGER_PROOF_BYTES_MAX)?;
        let mut r = Reader::new(bytes);
        let changes = match (r.any_array()?, r.uint()?) {
            (4, VERSION_1) => None,
            (5, VERSION_2) => Some(r.list(CHANGES_MAX, Certified::read)?),
            _ => return Err(NotCanonical::Unexpected),
        };
        let (header, certificate) = read_certified(&mut r)?;
        let accounts = r.list(ACCOUNTS_MAX, |r| {
            r.array(3)?;
            Ok(AccountProof {
                address: r.fixed()?,
                nodes: read_nodes(r)?,
                slots: r.list(SLOTS_MAX, |r| {
                    r.array(2)?;
                    Ok(SlotProof { key: r.fixed()?, nodes: read_nodes(r)? })
                })?,
            })
        })?;
        r.end()?;
        Ok(Self { changes, header, certificate, accounts })
    }
}

fn read_certified(r: &mut Reader<'_>) -> Result<(Vec<u8>, Vec<u8>), NotCanonical> {
    let header = r.bytes(header::HEADER_BYTES_MAX)?.to_vec();
    Ok((header, r.bytes(certificate::CERTIFICATE_BYTES_MAX)?.to_vec()))
}

fn write_nodes(w: &mut Writer, nodes: &[Vec<u8>]) {
    w.array(nodes.len());
    for node in nodes {
        w.bytes(node);
    }
}

fn read_nodes(r: &mut Reader<'_>) -> Result<Vec<Vec<u8>>, NotCanonical> {
    r.list(NODES_MAX, |r| Ok(r.bytes(NODE_BYTES_MAX)?.to_vec()))
}
