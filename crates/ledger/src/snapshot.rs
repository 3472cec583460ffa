//! Snapshots: export from a running ledger into a file, and import from a file into an empty folder.
//!
//! A snapshot is taken of the state after an epoch's last block: that header names the committee of the next
//! epoch, so a node can continue from there. The file is, in order: [`MAGIC`], the genesis hash, a ledger
//! proof of version 2 without accounts (the changes of the committee, the header, its certificate), the
//! chunks of [`crate::machine::snapshot`], and an empty one. Proof and chunks have their length before them,
//! four bytes, big-endian.
//!
//! Everything in it is verified: the proof must lead from the genesis document to the header, and every item
//! must match the header's state root.

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

/// The first bytes of a snapshot file.
pub const MAGIC: &[u8; 16] = b"aceso/snapshot/1";

/// Why a snapshot is not exported or imported.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The file or the disk.
    #[error("the snapshot cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// It is not a snapshot.
    #[error("this is not a snapshot, or one of another version")]
    NotOne,
    /// Another ledger's.
    #[error("the snapshot is of ledger {found}, not of {wanted}")]
    OtherLedger {
        /// Whose it is.
        found: Genesis,
        /// Whose it should be.
        wanted: Genesis,
    },
    /// Its proof is malformed.
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
    /// The committee changes cannot be stored.
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

/// A state that can be sent to others. Clones share it; the state stays readable while one exists.
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

    /// The proof from the genesis document to its header.
    #[must_use]
    pub fn proof(&self) -> &LedgerProof {
        &self.proof
    }

    /// The chunk from a place on.
    ///
    /// # Errors
    /// If the state has nothing at that place, or the store fails.
    pub fn chunk(&self, place: &Place) -> Result<Vec<u8>, SnapshotError> {
        Ok(state::export(&self.view, place, CHUNK_BYTES_MAX)?)
    }

    /// Writes the whole snapshot and returns its length in bytes. The caller makes the file durable.
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

/// The verified header and certificate of a snapshot.
#[derive(Debug, Clone)]
pub struct Head {
    /// What it proved.
    pub finalized: Finalized,
    changes: Vec<Certified>,
    certified: Certified,
}

impl Head {
    /// Verifies a proof, which must lead from `document` (and from `known`, if given) to the last block of an
    /// epoch.
    ///
    /// # Errors
    /// If it does not.
    pub fn of(
        document: &GenesisDocument,
        known: Option<&Known>,
        proof: LedgerProof,
    ) -> Result<Self, SnapshotError> {
        // From genesis on in any case: this node has to prove it to others.
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

    /// Starts or continues the import of its state into `folder`.
    ///
    /// # Errors
    /// If the folder holds a ledger, or cannot be used.
    pub fn open_import(&self, folder: &Path, document: &GenesisDocument) -> Result<Import, SnapshotError> {
        Ok(Import::open(folder, document, self.header().clone())?)
    }

    /// Makes the complete state a ledger that continues from here.
    ///
    /// # Errors
    /// If the state is not complete, or the disk fails; then the folder holds no ledger.
    pub fn finish(
        &self,
        folder: &Path,
        document: &GenesisDocument,
        import: Import,
    ) -> Result<(), SnapshotError> {
        // First: a ledger without them could neither prove anything nor continue.
        let mut committee_changes = CommitteeChanges::open(folder, document)?;
        committee_changes.extend(&self.changes)?;
        committee_changes.start_from_snapshot(&self.certified)?;
        drop(committee_changes);
        Ok(import.finish()?)
    }
}

/// Reads the head of a snapshot: everything before its chunks.
///
/// # Errors
/// If it is not a snapshot of this ledger, or does not prove that its block is final.
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

/// Creates a ledger in `folder`, which the caller has locked and which holds none, from a snapshot. It
/// continues from the snapshot's height, without earlier blocks. `known` is a block that the operator knows to
/// be final from a checkpoint, if any.
///
/// # Errors
/// If the snapshot does not match the genesis document and the state root; the folder then holds no ledger.
pub fn import(
    folder: &Path,
    document: &GenesisDocument,
    known: Option<&Known>,
    file: &mut impl Read,
) -> Result<Finalized, SnapshotError> {
    let head = read_head(document, known, file)?;
    Os.make_folder(folder)?;
    // A partial import is discarded: a file is read from its beginning.
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
