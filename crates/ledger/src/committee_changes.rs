//! The blocks that changed the committee, with their certificates. They are kept for ever: every proof
//! carries them, and without one of them nobody can verify the ledger beyond it.
//!
//! They have a file of their own beside the state: it is written once per change, and neither a snapshot nor
//! pruning touches it.

#[cfg(test)]
mod tests;

use consensus::SnapshotBase;
use parking_lot::{RwLock, RwLockReadGuard};
use redb::{Database, Durability, ReadableTable, TableDefinition};
use std::path::Path;
use vitals::proof::{
    BrokenLink, CHANGES_BYTES_MAX, CHANGES_MAX, Certified, LedgerProof, certificate::Certificate,
    genesis::GenesisDocument, header::BlockHeader, verify, verify_changes,
};

/// Name of the file in the ledger's folder.
const FILE: &str = "boundaries.redb";
/// Height → [`Certified`].
const COMMITTEE_CHANGES: TableDefinition<u64, &[u8]> = TableDefinition::new("boundaries");
/// Height → [`Certified`]: the block whose state came as a snapshot, if this ledger began with one.
const SNAPSHOT_BASE: TableDefinition<u64, &[u8]> = TableDefinition::new("snapshot");

/// Why a change is not stored, or the file not opened.
#[derive(Debug, thiserror::Error)]
pub enum CommitteeChangeError {
    /// The disk or the file fails.
    #[error("the file of committee changes failed: {0}")]
    Io(#[from] redb::Error),
    /// The file is not what was written: restore it, or take the changes from another validator.
    #[error("the file of committee changes is damaged: {0}")]
    Damaged(String),
    /// The change does not verify; it is not stored.
    #[error("this does not change the committee: {0}")]
    InvalidLink(#[from] BrokenLink),
}

macro_rules! io {
    ($result:expr) => {
        $result.map_err(|error| CommitteeChangeError::Io(error.into()))
    };
}

struct StoredChange {
    height: u64,
    digest: vitals::ids::Hash,
    certified: Certified,
}

struct Chain {
    kept: Vec<StoredChange>,
    /// The first epoch that the newest committee certifies, and its members.
    current: (u64, Vec<[u8; 32]>),
}

/// The changes of one ledger's committee, oldest first.
pub struct CommitteeChanges {
    file: Database,
    document: GenesisDocument,
    chain: RwLock<Chain>,
    snapshot_base: Option<SnapshotBase>,
}

impl std::fmt::Debug for CommitteeChanges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CommitteeChanges").field("changes", &self.len()).finish_non_exhaustive()
    }
}

impl CommitteeChanges {
    /// Opens or creates the file in the ledger's folder, and checks every certificate in it.
    ///
    /// # Errors
    /// If the file cannot be used, or its changes do not verify from genesis on.
    pub fn open(folder: &Path, document: &GenesisDocument) -> Result<Self, CommitteeChangeError> {
        let file = io!(Database::builder().set_check_integrity_on_open(true).create(folder.join(FILE)))?;
        let mut kept = Vec::new();
        let mut snapshot_base = None;
        {
            let tx = io!(file.begin_write())?;
            for row in io!(io!(tx.open_table(COMMITTEE_CHANGES))?.iter())? {
                let (height, bytes) = io!(row)?;
                let damaged = |why: &dyn std::fmt::Display| {
                    CommitteeChangeError::Damaged(format!("height {}: {why}", height.value()))
                };
                let certified = Certified::decode(bytes.value()).map_err(|why| damaged(&why))?;
                let header = BlockHeader::decode(&certified.header).map_err(|why| damaged(&why))?;
                kept.push(StoredChange { height: header.height, digest: header.digest(), certified });
            }
            for row in io!(io!(tx.open_table(SNAPSHOT_BASE))?.iter())? {
                let certified = Certified::decode(io!(row)?.1.value());
                snapshot_base = Some(
                    certified
                        .map_err(|why| CommitteeChangeError::Damaged(format!("the snapshot's: {why}")))?,
                );
            }
            io!(tx.commit())?;
        }
        let changes: Vec<Certified> = kept.iter().map(|kept| kept.certified.clone()).collect();
        let current = verify_changes(document, &changes)
            .map_err(|why| CommitteeChangeError::Damaged(why.to_string()))?;
        let chain = RwLock::new(Chain { kept, current });
        let mut committee_changes = Self { file, document: document.clone(), chain, snapshot_base: None };
        if let Some(certified) = snapshot_base {
            let damaged =
                |why: CommitteeChangeError| CommitteeChangeError::Damaged(format!("the snapshot's: {why}"));
            committee_changes.snapshot_base =
                Some(committee_changes.verify_final(&certified).map_err(damaged)?);
        }
        Ok(committee_changes)
    }

    /// Verifies from genesis on that a block is final, and returns it with the committee that certified it.
    fn verify_final(&self, certified: &Certified) -> Result<SnapshotBase, CommitteeChangeError> {
        let header = BlockHeader::decode(&certified.header).map_err(BrokenLink::Header)?;
        let Certified { header: bytes, certificate } = certified.clone();
        let changes = Some(self.before(header.height));
        let proof = LedgerProof { changes, header: bytes, certificate, accounts: Vec::new() };
        let finalized = verify(&self.document, None, &proof)?;
        let certificate = Certificate::decode(&proof.certificate).map_err(BrokenLink::Certificate)?;
        Ok(SnapshotBase { header: finalized.header, certificate, committee: finalized.committee })
    }

    /// Stores the block whose state comes as a snapshot, with its certificate. Durable on return.
    ///
    /// # Errors
    /// If the disk fails, or the block is not final according to the stored changes.
    pub fn start_from_snapshot(&mut self, certified: &Certified) -> Result<(), CommitteeChangeError> {
        let snapshot_base = self.verify_final(certified)?;
        let mut tx = io!(self.file.begin_write())?;
        io!(tx.set_durability(Durability::Immediate))?;
        io!(tx.delete_table(SNAPSHOT_BASE))?;
        io!(io!(tx.open_table(SNAPSHOT_BASE))?
            .insert(snapshot_base.header.height, certified.encode().as_slice()))?;
        io!(tx.commit())?;
        self.record(&snapshot_base.header, &snapshot_base.certificate)?;
        self.snapshot_base = Some(snapshot_base);
        Ok(())
    }

    /// The block whose state came as a snapshot, if this ledger began with one.
    #[must_use]
    pub fn snapshot_base(&self) -> Option<&SnapshotBase> {
        self.snapshot_base.as_ref()
    }

    /// Blocks in an epoch.
    #[must_use]
    pub fn epoch_blocks(&self) -> u64 {
        self.document.epoch_blocks
    }

    /// Stores an epoch's last block that names another committee; durable on return (true). Does nothing for
    /// any other block or a stored one (false). Call it with every final block that has its own certificate,
    /// **before** the block is committed.
    ///
    /// A block may become final by a later one's certificate. If it is an epoch's last and
    /// [`Self::lacks`] it, its own certificate must be fetched from the other validators before the next
    /// epoch is entered: otherwise nobody could verify this node's proofs.
    ///
    /// # Errors
    /// If the disk fails, or the certificate is not one of the current committee: nothing is stored.
    pub fn record(
        &self,
        header: &BlockHeader,
        certificate: &Certificate,
    ) -> Result<bool, CommitteeChangeError> {
        if !self.lacks(header) {
            return Ok(false);
        }
        let certified = Certified { header: header.encode(), certificate: certificate.encode() };
        self.extend(&[certified])?;
        Ok(true)
    }

    /// Does this header change the committee without being stored?
    #[must_use]
    pub fn lacks(&self, header: &BlockHeader) -> bool {
        if header.committee.is_empty() {
            return false;
        }
        let chain = self.read();
        let known = chain.kept.binary_search_by_key(&header.height, |kept| kept.height);
        match known {
            Ok(at) => chain.kept[at].digest != header.digest(),
            // Changes below the newest one are settled.
            Err(at) => at == chain.kept.len() && header.committee != chain.current.1,
        }
    }

    /// Stores changes from another validator or a snapshot; known ones are skipped. Durable on return.
    ///
    /// # Errors
    /// If the disk fails, or one of them does not verify after the stored ones: nothing is stored.
    pub fn extend(&self, changes: &[Certified]) -> Result<(), CommitteeChangeError> {
        let mut chain = self.chain.write();
        let mut fresh = Vec::new();
        for certified in changes {
            let header = BlockHeader::decode(&certified.header).map_err(BrokenLink::Header)?;
            let (height, digest) = (header.height, header.digest());
            if chain.kept.iter().all(|kept| (kept.height, kept.digest) != (height, digest)) {
                fresh.push(StoredChange { height, digest, certified: certified.clone() });
            }
        }
        let all = chain.kept.iter().chain(&fresh).map(|kept| kept.certified.clone());
        let current = verify_changes(&self.document, &all.collect::<Vec<_>>())?;
        if fresh.is_empty() {
            return Ok(());
        }
        let mut tx = io!(self.file.begin_write())?;
        io!(tx.set_durability(Durability::Immediate))?;
        {
            let mut table = io!(tx.open_table(COMMITTEE_CHANGES))?;
            for kept in &fresh {
                io!(table.insert(kept.height, kept.certified.encode().as_slice()))?;
            }
        }
        io!(tx.commit())?;
        chain.kept.extend(fresh);
        chain.current = current;
        Ok(())
    }

    /// The changes below `height`, for a proof about a block of that height; only the newest if not all fit.
    #[must_use]
    pub fn before(&self, height: u64) -> Vec<Certified> {
        let chain = self.read();
        let below = chain.kept.partition_point(|kept| kept.height < height);
        let mut bytes = 0;
        let fitting = chain.kept[..below].iter().rev().take(CHANGES_MAX).take_while(|kept| {
            bytes += kept.certified.header.len() + kept.certified.certificate.len() + 8;
            bytes <= CHANGES_BYTES_MAX
        });
        let mut changes: Vec<Certified> = fitting.map(|kept| kept.certified.clone()).collect();
        changes.reverse();
        changes
    }

    /// The changes above a height, oldest first, as many as fit into `bytes_max`.
    #[must_use]
    pub fn above(&self, height: u64, bytes_max: usize) -> Vec<Certified> {
        let chain = self.read();
        let mut bytes = 0;
        let above = chain.kept.iter().filter(|kept| kept.height > height).take_while(|kept| {
            bytes += kept.certified.header.len() + kept.certified.certificate.len() + 16;
            bytes <= bytes_max
        });
        above.map(|kept| kept.certified.clone()).collect()
    }

    /// Height of the newest change; zero if there is none.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.read().kept.last().map_or(0, |kept| kept.height)
    }

    /// All changes.
    #[must_use]
    pub fn all(&self) -> Vec<Certified> {
        self.read().kept.iter().map(|kept| kept.certified.clone()).collect()
    }

    /// The first epoch that the newest committee certifies, and its members.
    #[must_use]
    pub fn committee(&self) -> (u64, Vec<[u8; 32]>) {
        self.read().current.clone()
    }

    /// The number of changes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().kept.len()
    }

    /// Has the committee never changed?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn read(&self) -> RwLockReadGuard<'_, Chain> {
        self.chain.read()
    }
}
