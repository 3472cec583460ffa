//! A snapshot on its way: out of a running ledger into a file, and out of a file into an empty folder.
//!
//! A snapshot is taken of the state after an epoch's last block: that header names the committee of the next
//! epoch, so whoever has it can go on from there. The file is, in order: [`MAGIC`], the genesis hash, a ledger
//! proof of version 2 without accounts (the changes of the committee, the header, its certificate), the
//! chunks of [`crate::machine::snapshot`], and an empty one. Proof and chunks have their length before them,
//! four bytes, big-endian.
//!
//! Nothing in it is believed: the proof must lead from the genesis document to the header, and every item
//! must be the one that the header's state root asks for.

use crate::committee_changes::{CommitteeChangeError, CommitteeChanges};
use crate::machine::View;
use crate::machine::snapshot::{self as state, CHUNK_BYTES_MAX, Import, Place};
use durable::{Disk as _, Os};
use std::io::{self, Read, Write};
use std::path::Path;
use vitals::cbor::NotCanonical;
use vitals::ids::Genesis;
use vitals::proof::genesis::GenesisDocument;
use vitals::proof::{
    BrokenLink, Certified, Finalized, Known, LEDGER_PROOF_BYTES_MAX, LedgerProof, header::BlockHeader, verify,
};

pub(crate) mod fetch;
mod wire;

#[cfg(test)]
mod tests;

pub use fetch::fetch;
pub use wire::{SnapshotRequest, read_changes, write_changes};

/// What a snapshot's file begins with.
pub const MAGIC: &[u8; 16] = b"aceso/snapshot/1";

/// Why a snapshot is not written or not taken. Says whose move it is.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The file or the disk.
    #[error("the snapshot cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("this is no snapshot, or one of another version")]
    NotOne,
    /// Another ledger's.
    #[error("the snapshot is of ledger {found}, not of {wanted}")]
    OtherLedger {
        /// Whose it is.
        found: Genesis,
        /// Whose it should be.
        wanted: Genesis,
    },
    /// Its proof does not read.
    #[error("the snapshot's proof is malformed: {0}")]
    Malformed(NotCanonical),
    /// Its header is not final on this ledger: get one from another node.
    #[error("the snapshot's block is not final on this ledger: {0}")]
    NotFinal(#[from] BrokenLink),
    /// A snapshot of another block than an epoch's last.
    #[error("the snapshot is not of the last block of an epoch")]
    NotAnEpochEnd,
    /// The state is not the certified one, or the store fails.
    #[error(transparent)]
    State(#[from] state::SnapshotError),
    /// The changes of the committee are not kept.
    #[error(transparent)]
    CommitteeChanges(#[from] CommitteeChangeError),
    /// The network to the others does not start.
    #[error(transparent)]
    Network(#[from] consensus::StartError),
    /// The network to the others is gone.
    #[error("the links to the other validators ended before the snapshot was complete")]
    Ended,
    /// Bytes follow the end.
    #[error("the snapshot goes on after its end")]
    Longer,
}

/// A state that can be handed to others. Clones share it; while one lives, the state stays readable.
#[derive(Debug, Clone)]
pub struct Offer {
    genesis: Genesis,
    proof: LedgerProof,
    view: View,
}

impl Offer {
    pub(crate) fn new(genesis: Genesis, proof: LedgerProof, view: View) -> Self {
        Self { genesis, proof, view }
    }

    /// The height whose state it is.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.view.tip().height
    }

    /// What leads from the genesis document to its header.
    #[must_use]
    pub fn proof(&self) -> &LedgerProof {
        &self.proof
    }

    /// The chunk from a place on.
    ///
    /// # Errors
    /// If nothing stands at that place, or the store fails.
    pub fn chunk(&self, place: &Place) -> Result<Vec<u8>, SnapshotError> {
        Ok(state::export(&self.view, place, CHUNK_BYTES_MAX)?)
    }

    /// Writes it all; gives the number of bytes. The caller makes the file durable.
    ///
    /// # Errors
    /// If the writer or the store fails.
    pub fn write(&self, out: &mut impl Write) -> Result<u64, SnapshotError> {
        let mut written = 0;
        let mut put = |bytes: &[u8]| -> io::Result<()> {
            written += bytes.len() as u64;
            out.write_all(bytes)
        };
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
        let proof = self.proof.encode();
        put(MAGIC)?;
        put(&self.genesis.0)?;
        put(&length(&proof))?;
        put(&proof)?;
        let mut place = Some(Place::default());
        while let Some(from) = place {
            let (chunk, next) = state::export_on(&self.view, &from, CHUNK_BYTES_MAX)?;
            put(&length(&chunk))?;
            put(&chunk)?;
            place = next;
        }
        put(&length(&[]))?;
        Ok(written)
    }
}

/// The header and certificate a snapshot stands on, followed from genesis, or from a block that is known.
#[derive(Debug, Clone)]
pub struct Head {
    /// What it proved.
    pub finalized: Finalized,
    changes: Vec<Certified>,
    certified: Certified,
}

impl Head {
    /// Believes a proof only if it leads from `document` (and from `known`, if something is) to the last
    /// block of an epoch.
    ///
    /// # Errors
    /// If it does not.
    pub fn of(
        document: &GenesisDocument,
        known: Option<&Known>,
        proof: LedgerProof,
    ) -> Result<Self, SnapshotError> {
        // From the genesis on in any case: this node has to prove it to others.
        let mut finalized = verify(document, None, &proof)?;
        if known.is_some() {
            finalized = verify(document, known, &proof)?;
        }
        if finalized.header.committee.is_empty() || !proof.accounts.is_empty() {
            return Err(SnapshotError::NotAnEpochEnd);
        }
        let LedgerProof { changes, header, certificate, .. } = proof;
        let certified = Certified { header, certificate };
        Ok(Self { finalized, changes: changes.unwrap_or_default(), certified })
    }

    /// The header whose state is wanted.
    #[must_use]
    pub fn header(&self) -> &BlockHeader {
        &self.finalized.header
    }

    /// Begins, or goes on, to take its state into `folder`.
    ///
    /// # Errors
    /// If the folder holds a ledger, or cannot be used.
    pub fn open_import(&self, folder: &Path, document: &GenesisDocument) -> Result<Import, SnapshotError> {
        Ok(Import::open(folder, document, self.header().clone())?)
    }

    /// Makes the complete state a ledger that goes on from here.
    ///
    /// # Errors
    /// If the state is not complete, or the disk fails; then the folder holds no ledger.
    pub fn finish(
        &self,
        folder: &Path,
        document: &GenesisDocument,
        import: Import,
    ) -> Result<(), SnapshotError> {
        // First: a ledger without them could prove nothing, and could not go on.
        let mut committee_changes = CommitteeChanges::open(folder, document)?;
        committee_changes.extend(&self.changes)?;
        committee_changes.start_from_snapshot(&self.certified)?;
        drop(committee_changes);
        Ok(import.finish()?)
    }
}

/// Reads what a snapshot stands on: everything before its chunks.
///
/// # Errors
/// If it is no snapshot of this ledger, or does not prove that its block is final.
pub fn read_head(
    document: &GenesisDocument,
    known: Option<&Known>,
    file: &mut impl Read,
) -> Result<Head, SnapshotError> {
    let mut begin = [0; 48];
    file.read_exact(&mut begin).map_err(short)?;
    let (magic, genesis) = begin.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(SnapshotError::NotOne);
    }
    let (found, wanted) = (Genesis::from_slice(genesis).ok_or(SnapshotError::NotOne)?, document.hash());
    if found != wanted {
        return Err(SnapshotError::OtherLedger { found, wanted });
    }
    let proof = part(file, LEDGER_PROOF_BYTES_MAX)?;
    Head::of(document, known, LedgerProof::decode(&proof).map_err(SnapshotError::Malformed)?)
}

/// Makes a ledger in `folder`, which the caller has locked and which holds none, out of a snapshot. It goes on
/// from the snapshot's height; blocks before it are not there. `known`: a block the operator knows to be final
/// by a checkpoint, if any.
///
/// # Errors
/// If anything in the snapshot is not what genesis document and state root ask for; the folder then holds no
/// ledger.
pub fn import(
    folder: &Path,
    document: &GenesisDocument,
    known: Option<&Known>,
    file: &mut impl Read,
) -> Result<Finalized, SnapshotError> {
    let head = read_head(document, known, file)?;
    Os.make_folder(folder)?;
    // A file is read from its beginning.
    state::forget(folder)?;
    let mut import = head.open_import(folder, document)?;
    loop {
        let chunk = part(file, CHUNK_BYTES_MAX)?;
        if chunk.is_empty() {
            break;
        }
        import.push(&chunk)?;
    }
    if file.read(&mut [0])? != 0 {
        return Err(SnapshotError::Longer);
    }
    head.finish(folder, document, import)?;
    Ok(head.finalized)
}

/// What stands behind its length.
fn part(file: &mut impl Read, bytes_max: usize) -> Result<Vec<u8>, SnapshotError> {
    let mut length = [0; 4];
    file.read_exact(&mut length).map_err(short)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > bytes_max {
        return Err(SnapshotError::NotOne);
    }
    let mut bytes = vec![0; length];
    file.read_exact(&mut bytes).map_err(short)?;
    Ok(bytes)
}

fn short(why: io::Error) -> SnapshotError {
    match why.kind() {
        io::ErrorKind::UnexpectedEof => SnapshotError::State(state::SnapshotError::Incomplete),
        _ => SnapshotError::Io(why),
    }
}
