//! Checks, without trusting any node, that a fact stood in a finalized ledger state: from a pinned
//! genesis hash to the genesis document, to a certified header, to the contract state.

pub mod certificate;
pub mod contracts;
pub mod genesis;
pub mod header;
pub mod state;

use crate::cbor::{self, NotCanonical, Reader, Writer};
use alloc::vec::Vec;
use core::fmt;

/// Longest encoded [`LedgerProof`].
pub const LEDGER_PROOF_BYTES_MAX: usize = 256 * 1024;
/// Most accounts in one proof.
pub const ACCOUNTS_MAX: usize = 64;
/// Most storage slots proven of one account.
pub const SLOTS_MAX: usize = state::SLOTS_MAX;
/// Most trie nodes on one path: 64 nibbles of a hashed key, and the root.
pub const NODES_MAX: usize = state::NODES_MAX;
/// Longest trie node.
pub const NODE_BYTES_MAX: usize = state::NODE_BYTES_MAX;
const VERSION: u64 = 1;

/// Contract state at one certified height. Encoded by [`LedgerProof::encode`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerProof {
    /// [`header::BlockHeader`] bytes.
    pub header: Vec<u8>,
    /// [`certificate::Certificate`] bytes over that header's digest.
    pub certificate: Vec<u8>,
    /// One account per fact asked, in the order asked.
    pub accounts: Vec<AccountProof>,
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

/// The first link between a pinned genesis and a fact that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokenLink {
    /// The header bytes are not a header.
    Header(header::NotAHeader),
    /// The certificate does not make this header final.
    Certificate(certificate::BrokenCertificate),
    /// Header and certificate speak of different epochs.
    EpochMismatch {
        /// In the header.
        header: u64,
        /// In the certificate.
        certificate: u64,
    },
    /// The founding committee cannot vouch for this epoch.
    LaterEpoch {
        /// The header's epoch.
        epoch: u64,
    },
    /// A genesis header is trusted by its hash, never by a certificate.
    GenesisHeight,
}

impl fmt::Display for BrokenLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(why) => write!(f, "block header: {why}"),
            Self::Certificate(why) => write!(f, "finality certificate: {why}"),
            Self::EpochMismatch { header, certificate } => write!(
                f,
                "finality certificate: it is for epoch {certificate}, the block header for epoch {header}"
            ),
            Self::LaterEpoch { epoch } => write!(
                f,
                "committee: epoch {epoch} has its own committee, the genesis document names only the first"
            ),
            Self::GenesisHeight => {
                f.write_str("block header: height 0 is the genesis, which nobody certifies")
            }
        }
    }
}

impl core::error::Error for BrokenLink {}

/// The header that `proof` stands on, after checking that the founding committee made it final.
/// `genesis_document` must be the one whose hash the verifier pinned.
pub fn verify_header(
    genesis_document: &genesis::GenesisDocument,
    proof: &LedgerProof,
) -> Result<header::BlockHeader, BrokenLink> {
    let header = header::BlockHeader::decode(&proof.header).map_err(BrokenLink::Header)?;
    let certificate =
        certificate::Certificate::decode(&proof.certificate).map_err(BrokenLink::Certificate)?;
    if header.height == 0 {
        return Err(BrokenLink::GenesisHeight);
    }
    if header.epoch != certificate.epoch {
        return Err(BrokenLink::EpochMismatch { header: header.epoch, certificate: certificate.epoch });
    }
    if header.epoch != 0 {
        return Err(BrokenLink::LaterEpoch { epoch: header.epoch });
    }
    certificate
        .verify(&header::digest(&proof.header), genesis_document.hash(), &genesis_document.committee)
        .map_err(BrokenLink::Certificate)?;
    Ok(header)
}

impl LedgerProof {
    /// Deterministic CBOR: `[1, header, certificate, [* [address, [* node], [* [key, [* node]]]]]]`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.array(4).uint(VERSION).bytes(&self.header).bytes(&self.certificate);
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
        r.array(4)?;
        r.exactly(VERSION)?;
        let header = r.bytes(header::HEADER_BYTES_MAX)?.to_vec();
        let certificate = r.bytes(certificate::CERTIFICATE_BYTES_MAX)?.to_vec();
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
        Ok(Self { header, certificate, accounts })
    }
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use alloc::{string::String, vec};
    use ed25519_zebra::{SigningKey, VerificationKey};

    fn document(key: &SigningKey) -> genesis::GenesisDocument {
        genesis::GenesisDocument {
            chain_id: 1,
            name: String::from("ward"),
            time_ms: 5,
            epoch_blocks: u64::MAX / 2,
            committee: vec![VerificationKey::from(key).into()],
            operators: vec![],
            founders: vec![],
            contracts: vec![],
            salt: [3; 32],
        }
    }

    fn proof(key: &SigningKey, document: &genesis::GenesisDocument, epoch: u64) -> LedgerProof {
        let header = header::BlockHeader {
            epoch,
            view: 4,
            leader: document.committee[0],
            parent_view: 3,
            parent: [1; 32],
            height: 2,
            time_ms: 9,
            state_root: [2; 32],
            transactions_root: [3; 32],
            receipts_root: [4; 32],
            extra: [0; 32],
            committee: vec![],
        };
        let message = certificate::message(document.hash(), epoch, 4, 3, &header.digest());
        let certificate = certificate::Certificate {
            epoch,
            view: 4,
            parent_view: 3,
            signatures: vec![(0, key.sign(&message).to_bytes())],
        };
        LedgerProof {
            header: header.encode(),
            certificate: certificate.encode(),
            accounts: vec![AccountProof {
                address: [6; 20],
                nodes: vec![vec![1, 2], vec![3]],
                slots: vec![SlotProof { key: [7; 32], nodes: vec![vec![8; 532]] }],
            }],
        }
    }

    #[test]
    fn a_certified_header_is_believed_and_no_changed_byte_of_it() {
        let key = SigningKey::from([1; 32]);
        let document = document(&key);
        let good = proof(&key, &document, 0);
        assert_eq!(verify_header(&document, &good).unwrap().height, 2);
        for at in 0..good.header.len() {
            let mut bad = good.clone();
            bad.header[at] ^= 1;
            assert!(verify_header(&document, &bad).is_err(), "header byte {at}");
        }
        for at in 0..good.certificate.len() {
            let mut bad = good.clone();
            bad.certificate[at] ^= 1;
            assert!(verify_header(&document, &bad).is_err(), "certificate byte {at}");
        }
    }

    #[test]
    fn the_founders_do_not_vouch_for_later_epochs() {
        let key = SigningKey::from([1; 32]);
        let document = document(&key);
        let later = proof(&key, &document, 1);
        assert_eq!(verify_header(&document, &later), Err(BrokenLink::LaterEpoch { epoch: 1 }));
    }

    #[test]
    fn a_proof_reads_back_and_refuses_other_bytes() {
        let key = SigningKey::from([1; 32]);
        let bytes = proof(&key, &document(&key), 0).encode();
        let read = LedgerProof::decode(&bytes).unwrap();
        assert_eq!(read.encode(), bytes);
        for len in 0..bytes.len() {
            assert!(LedgerProof::decode(&bytes[..len]).is_err(), "cut at {len}");
        }
        let mut longer = bytes;
        longer.push(0);
        assert_eq!(LedgerProof::decode(&longer), Err(NotCanonical::Trailing));
    }
}
