//! From what a verifier trusts to a finalized header, across changes of the committee.
//!
//! One rule: **a committee stands until a header certified by it names another one.** Only the last
//! header of an epoch names one, and it acts from the next epoch on. A proof carries exactly the
//! headers that changed the committee, oldest first, and then the header it is about.
//!
//! A verifier starts from the genesis document, or from a block it knows for another reason: a
//! [checkpoint](super::checkpoint), or the head it saw last ([witness](super::witness)). Signatures
//! alone cannot tell it that a committee which once stood, and whose keys were stolen since, did not
//! go on without the changes: from the genesis alone such a ledger looks whole. A known block does.

use super::certificate::{BrokenCertificate, Certificate};
use super::genesis::GenesisDocument;
use super::header::{self, BlockHeader, NotAHeader};
use super::{Certified, LedgerProof};
use crate::ids::Hash;
use alloc::{boxed::Box, vec::Vec};
use core::fmt;

/// A finalized block that a verifier trusts before it reads a proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its height.
    pub height: u64,
    /// Digest of its header.
    pub digest: Hash,
    /// The validators that certify the block after it, ascending.
    pub committee: Vec<[u8; 32]>,
}

/// A header that a committee made final, and who.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finalized {
    /// The header.
    pub header: BlockHeader,
    /// Its digest.
    pub digest: Hash,
    /// The committee that certified it.
    pub committee: Vec<[u8; 32]>,
    /// Those of it that signed.
    pub signers: Vec<[u8; 32]>,
    /// Changes of the committee the proof was followed across.
    pub changes: usize,
}

impl Finalized {
    /// This block as the start of later proofs.
    #[must_use]
    pub fn known(&self) -> Known {
        let next = if self.header.committee.is_empty() { &self.committee } else { &self.header.committee };
        Known { height: self.header.height, digest: self.digest, committee: next.clone() }
    }
}

/// The first link between what a verifier trusts and a fact that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokenLink {
    /// The header bytes are not a header.
    Header(NotAHeader),
    /// The certificate does not make this header final.
    Certificate(BrokenCertificate),
    /// Header and certificate are of different epochs.
    EpochMismatch {
        /// In the header.
        header: u64,
        /// In the certificate.
        certificate: u64,
    },
    /// The founding committee cannot certify this epoch.
    LaterEpoch {
        /// The header's epoch.
        epoch: u64,
    },
    /// A genesis header is trusted by its hash, never by a certificate.
    GenesisHeight,
    /// The height does not lie in the epoch the header names.
    OtherEpoch {
        /// The header's height.
        height: u64,
        /// The epoch it names.
        epoch: u64,
    },
    /// A header names a committee though it is not its epoch's last.
    NotLast {
        /// The header's height.
        height: u64,
    },
    /// A change that changes nothing: proofs carry only changes.
    NoChange,
    /// Changes or the header after them do not ascend.
    Backwards {
        /// The header's epoch.
        epoch: u64,
        /// The first epoch it could have.
        least: u64,
    },
    /// A change of the committee does not hold.
    Change {
        /// Which of the proof, from 1.
        number: usize,
        /// Why.
        why: Box<BrokenLink>,
    },
    /// The proof is about a block below the known one.
    OlderThanKnown {
        /// The header's height.
        height: u64,
        /// The known block's height.
        known: u64,
    },
    /// Another block at the known height: the ledger has split, or the proof is forged.
    OtherBlock {
        /// The height.
        height: u64,
    },
    /// The changes lead to another committee than the known one.
    OtherCommittee {
        /// The known block's height.
        known: u64,
    },
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
            Self::OtherEpoch { height, epoch } => {
                write!(f, "block header: height {height} does not lie in epoch {epoch}")
            }
            Self::NotLast { height } => write!(
                f,
                "block header: height {height} is not the last of its epoch and cannot change the committee"
            ),
            Self::NoChange => {
                f.write_str("block header: it names no other committee than the one that stands")
            }
            Self::Backwards { epoch, least } => {
                write!(f, "block header: epoch {epoch} comes before epoch {least}, which the changes lead to")
            }
            Self::Change { number, why } => write!(f, "change {number} of the committee, {why}"),
            Self::OlderThanKnown { height, known } => write!(
                f,
                "block header: height {height} is below height {known}, which is already known to be final"
            ),
            Self::OtherBlock { height } => {
                write!(f, "block header: another block than this one is known to be final at height {height}")
            }
            Self::OtherCommittee { known } => write!(
                f,
                "committee: the changes do not lead to the committee that is known to stand at height {known}"
            ),
        }
    }
}

impl core::error::Error for BrokenLink {}

/// The header that `proof` stands on, after checking from the genesis on that it is final.
/// `genesis_document` must be the one whose hash the verifier pinned.
pub fn verify_header(
    genesis_document: &GenesisDocument,
    proof: &LedgerProof,
) -> Result<BlockHeader, BrokenLink> {
    verify(genesis_document, None, proof).map(|finalized| finalized.header)
}

/// The header that `proof` stands on and who made it final, after checking that from the genesis on,
/// or from a block the verifier knows. Changes up to a known block are only compared with it: their
/// signatures add nothing to it.
pub fn verify(
    genesis_document: &GenesisDocument,
    known: Option<&Known>,
    proof: &LedgerProof,
) -> Result<Finalized, BrokenLink> {
    let (header, digest) = decode(&proof.header)?;
    // What lies at or below the known height is checked from the genesis on, so that it shows a
    // ledger that forked or went back, and not only bytes that somebody made up.
    let start = known.filter(|known| header.height > known.height);
    let standing = follow(genesis_document, start, proof.changes.as_deref().unwrap_or_default())?;
    match proof.changes {
        None if header.epoch != 0 => return Err(BrokenLink::LaterEpoch { epoch: header.epoch }),
        None => {}
        Some(_) => standing.admits(genesis_document, &header)?,
    }
    let certificate = certified(genesis_document, &header, &digest, &proof.certificate, &standing.committee)?;
    if let Some(known) = known {
        if header.height < known.height {
            return Err(BrokenLink::OlderThanKnown { height: header.height, known: known.height });
        }
        if header.height == known.height && digest != known.digest {
            return Err(BrokenLink::OtherBlock { height: header.height });
        }
    }
    let places = certificate.signatures.iter().map(|(place, _)| usize::from(*place));
    let signers = places.filter_map(|place| standing.committee.get(place).copied()).collect();
    let changes = proof.changes.as_ref().map_or(0, Vec::len);
    Ok(Finalized { header, digest, committee: standing.committee, signers, changes })
}

/// The committee that stands after `changes` of the founding one, and the first epoch it can certify:
/// for nodes, which keep the changes and hand them to newcomers.
pub fn verify_changes(
    genesis_document: &GenesisDocument,
    changes: &[Certified],
) -> Result<(u64, Vec<[u8; 32]>), BrokenLink> {
    follow(genesis_document, None, changes).map(|standing| (standing.least, standing.committee))
}

/// The committee a chain of changes leads to.
struct Standing {
    committee: Vec<[u8; 32]>,
    /// The first epoch it certifies.
    least: u64,
}

impl Standing {
    /// May this committee certify `header`, by its place in the ledger?
    fn admits(&self, document: &GenesisDocument, header: &BlockHeader) -> Result<(), BrokenLink> {
        let (height, epoch) = (header.height, header.epoch);
        if height.checked_div(document.epoch_blocks) != Some(epoch) {
            return Err(BrokenLink::OtherEpoch { height, epoch });
        }
        if epoch < self.least {
            return Err(BrokenLink::Backwards { epoch, least: self.least });
        }
        let last = height.wrapping_add(1).checked_rem(document.epoch_blocks) == Some(0);
        if !last && !header.committee.is_empty() {
            return Err(BrokenLink::NotLast { height });
        }
        Ok(())
    }

    /// The changes came to the known block, and one may have led there: its committee takes over.
    fn reach(&mut self, known: &Known, led: bool) -> Result<(), BrokenLink> {
        if led && self.committee != known.committee {
            return Err(BrokenLink::OtherCommittee { known: known.height });
        }
        self.committee.clone_from(&known.committee);
        Ok(())
    }

    /// The committee that `header` names takes over with the next epoch.
    fn change(&mut self, header: BlockHeader) {
        self.least = header.epoch.saturating_add(1);
        self.committee = header.committee;
    }
}

fn follow(
    document: &GenesisDocument,
    known: Option<&Known>,
    changes: &[Certified],
) -> Result<Standing, BrokenLink> {
    let mut standing = Standing { committee: document.committee.clone(), least: 0 };
    // The known block while the changes have not come past it, and whether one led towards it.
    let (mut ahead, mut led) = (known, false);
    for (number, change) in (1..).zip(changes) {
        let named = |why| BrokenLink::Change { number, why: Box::new(why) };
        let (header, digest) = decode(&change.header).map_err(named)?;
        standing.admits(document, &header).map_err(named)?;
        if header.committee.is_empty() {
            return Err(named(BrokenLink::NoChange));
        }
        match ahead {
            Some(known) if header.height <= known.height => {
                if header.height == known.height && digest != known.digest {
                    return Err(named(BrokenLink::OtherBlock { height: header.height }));
                }
                led = true;
            }
            _ => {
                if let Some(known) = ahead.take() {
                    standing.reach(known, led)?;
                }
                certified(document, &header, &digest, &change.certificate, &standing.committee)
                    .map_err(named)?;
                if header.committee == standing.committee {
                    return Err(named(BrokenLink::NoChange));
                }
            }
        }
        standing.change(header);
    }
    if let Some(known) = ahead {
        standing.reach(known, led)?;
    }
    Ok(standing)
}

fn certified(
    document: &GenesisDocument,
    header: &BlockHeader,
    digest: &Hash,
    certificate: &[u8],
    committee: &[[u8; 32]],
) -> Result<Certificate, BrokenLink> {
    let certificate = Certificate::decode(certificate).map_err(BrokenLink::Certificate)?;
    if header.epoch != certificate.epoch {
        return Err(BrokenLink::EpochMismatch { header: header.epoch, certificate: certificate.epoch });
    }
    certificate.verify(digest, document.hash(), committee).map_err(BrokenLink::Certificate)?;
    Ok(certificate)
}

fn decode(bytes: &[u8]) -> Result<(BlockHeader, Hash), BrokenLink> {
    let header = BlockHeader::decode(bytes).map_err(BrokenLink::Header)?;
    if header.height == 0 {
        return Err(BrokenLink::GenesisHeight);
    }
    Ok((header, header::digest(bytes)))
}
