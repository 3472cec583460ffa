//! The blocks that changed the committee, with their certificates, kept for ever: every proof carries
//! them, and without one of them no stranger can follow the ledger any further.
//!
//! A file of its own beside the state: it is written once per change of the committee, and a snapshot
//! or a pruning of the state never touches it.

#[cfg(test)]
mod tests;

use consensus::Floor;
use redb::{Database, Durability, ReadableTable, TableDefinition};
use std::{
    path::Path,
    sync::{PoisonError, RwLock},
};
use vitals::proof::{
    BrokenLink, CHANGES_BYTES_MAX, CHANGES_MAX, Certified, LedgerProof, certificate::Certificate,
    genesis::GenesisDocument, header::BlockHeader, verify, verify_changes,
};

/// Name of the file in the ledger's folder.
const FILE: &str = "boundaries.redb";
/// Height → [`Certified`].
const BOUNDARIES: TableDefinition<u64, &[u8]> = TableDefinition::new("boundaries");
/// Height → [`Certified`]: the block whose state came as a snapshot, if this ledger began with one.
const FLOOR: TableDefinition<u64, &[u8]> = TableDefinition::new("snapshot");

/// Why a boundary is not kept, or the file not opened.
#[derive(Debug, thiserror::Error)]
pub enum BoundaryError {
    /// The disk or the file fails: the operator's move.
    #[error("the file of committee changes failed: {0}")]
    Io(#[from] redb::Error),
    /// The file is not what was written: restore it, or take the changes from another validator.
    #[error("the file of committee changes is damaged: {0}")]
    Damaged(String),
    /// Nothing that a stranger would believe: it is not kept.
    #[error("this does not change the committee: {0}")]
    Broken(#[from] BrokenLink),
}

macro_rules! io {
    ($result:expr) => {
        $result.map_err(|error| BoundaryError::Io(error.into()))
    };
}

struct Kept {
    height: u64,
    digest: vitals::ids::Hash,
    certified: Certified,
}

struct Chain {
    kept: Vec<Kept>,
    /// The committee they lead to, and the first epoch it certifies.
    standing: (u64, Vec<[u8; 32]>),
}

/// The changes of one ledger's committee, oldest first.
pub struct Boundaries {
    file: Database,
    document: GenesisDocument,
    chain: RwLock<Chain>,
    floor: Option<Floor>,
}

impl std::fmt::Debug for Boundaries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Boundaries").field("changes", &self.len()).finish_non_exhaustive()
    }
}

impl Boundaries {
    /// Opens or makes the file in the ledger's folder, and checks every certificate in it.
    ///
    /// # Errors
    /// If the file cannot be used, or what is in it does not hold from the genesis on.
    pub fn open(folder: &Path, document: &GenesisDocument) -> Result<Self, BoundaryError> {
        let file = io!(Database::builder().set_check_integrity_on_open(true).create(folder.join(FILE)))?;
        let mut kept = Vec::new();
        let mut floor = None;
        {
            let tx = io!(file.begin_write())?;
            for row in io!(io!(tx.open_table(BOUNDARIES))?.iter())? {
                let (height, bytes) = io!(row)?;
                let damaged = |why: &dyn std::fmt::Display| {
                    BoundaryError::Damaged(format!("height {}: {why}", height.value()))
                };
                let certified = Certified::decode(bytes.value()).map_err(|why| damaged(&why))?;
                let header = BlockHeader::decode(&certified.header).map_err(|why| damaged(&why))?;
                kept.push(Kept { height: header.height, digest: header.digest(), certified });
            }
            for row in io!(io!(tx.open_table(FLOOR))?.iter())? {
                let certified = Certified::decode(io!(row)?.1.value());
                floor =
                    Some(certified.map_err(|why| BoundaryError::Damaged(format!("the snapshot's: {why}")))?);
            }
            io!(tx.commit())?;
        }
        let changes: Vec<Certified> = kept.iter().map(|kept| kept.certified.clone()).collect();
        let standing =
            verify_changes(document, &changes).map_err(|why| BoundaryError::Damaged(why.to_string()))?;
        let chain = RwLock::new(Chain { kept, standing });
        let mut boundaries = Self { file, document: document.clone(), chain, floor: None };
        if let Some(certified) = floor {
            let damaged = |why: BoundaryError| BoundaryError::Damaged(format!("the snapshot's: {why}"));
            boundaries.floor = Some(boundaries.checked(&certified).map_err(damaged)?);
        }
        Ok(boundaries)
    }

    /// A final block, with the committee that certified it, followed from genesis on over what is kept.
    fn checked(&self, certified: &Certified) -> Result<Floor, BoundaryError> {
        let header = BlockHeader::decode(&certified.header).map_err(BrokenLink::Header)?;
        let Certified { header: bytes, certificate } = certified.clone();
        let changes = Some(self.before(header.height));
        let proof = LedgerProof { changes, header: bytes, certificate, accounts: Vec::new() };
        let finalized = verify(&self.document, None, &proof)?;
        let certificate = Certificate::decode(&proof.certificate).map_err(BrokenLink::Certificate)?;
        Ok(Floor { header: finalized.header, certificate, committee: finalized.committee })
    }

    /// Keeps the block whose state comes as a snapshot, with its certificate. Durable on return.
    ///
    /// # Errors
    /// If the disk fails, or the block is not final after the changes that are kept.
    pub fn begin_at(&mut self, certified: &Certified) -> Result<(), BoundaryError> {
        let floor = self.checked(certified)?;
        let mut tx = io!(self.file.begin_write())?;
        io!(tx.set_durability(Durability::Immediate))?;
        io!(tx.delete_table(FLOOR))?;
        io!(io!(tx.open_table(FLOOR))?.insert(floor.header.height, certified.encode().as_slice()))?;
        io!(tx.commit())?;
        self.record(&floor.header, &floor.certificate)?;
        self.floor = Some(floor);
        Ok(())
    }

    /// The block whose state came as a snapshot, if this ledger began with one.
    #[must_use]
    pub fn floor(&self) -> Option<&Floor> {
        self.floor.as_ref()
    }

    /// Blocks in an epoch.
    #[must_use]
    pub fn epoch_blocks(&self) -> u64 {
        self.document.epoch_blocks
    }

    /// To be called with every final block that has its own certificate, **before** the block is
    /// committed: an epoch's last block that names another committee is durable on return (true).
    /// Any other block costs a comparison (false), and so does one that is kept already.
    ///
    /// A block may become final by a later one's certificate. If it is an epoch's last and
    /// [`Self::lacks`] it, its own certificate must be had from the other validators before the next
    /// epoch is entered: afterwards nobody could follow this node's proofs.
    ///
    /// # Errors
    /// If the disk fails, or the certificate is not one of the committee that stands: nothing is kept.
    pub fn record(&self, header: &BlockHeader, certificate: &Certificate) -> Result<bool, BoundaryError> {
        if !self.lacks(header) {
            return Ok(false);
        }
        let certified = Certified { header: header.encode(), certificate: certificate.encode() };
        self.extend(&[certified])?;
        Ok(true)
    }

    /// Does this header change the committee without being kept?
    #[must_use]
    pub fn lacks(&self, header: &BlockHeader) -> bool {
        if header.committee.is_empty() {
            return false;
        }
        let chain = self.read();
        let known = chain.kept.binary_search_by_key(&header.height, |kept| kept.height);
        match known {
            Ok(at) => chain.kept[at].digest != header.digest(),
            // Behind the newest change a header is old news.
            Err(at) => at == chain.kept.len() && header.committee != chain.standing.1,
        }
    }

    /// Takes over changes from another validator or a snapshot; those known already are passed over.
    /// Durable on return.
    ///
    /// # Errors
    /// If the disk fails, or one of them does not follow from what is kept: nothing is taken.
    pub fn extend(&self, changes: &[Certified]) -> Result<(), BoundaryError> {
        let mut chain = self.chain.write().unwrap_or_else(PoisonError::into_inner);
        let mut fresh = Vec::new();
        for certified in changes {
            let header = BlockHeader::decode(&certified.header).map_err(BrokenLink::Header)?;
            let (height, digest) = (header.height, header.digest());
            if chain.kept.iter().all(|kept| (kept.height, kept.digest) != (height, digest)) {
                fresh.push(Kept { height, digest, certified: certified.clone() });
            }
        }
        let all = chain.kept.iter().chain(&fresh).map(|kept| kept.certified.clone());
        let standing = verify_changes(&self.document, &all.collect::<Vec<_>>())?;
        if fresh.is_empty() {
            return Ok(());
        }
        let mut tx = io!(self.file.begin_write())?;
        io!(tx.set_durability(Durability::Immediate))?;
        {
            let mut table = io!(tx.open_table(BOUNDARIES))?;
            for kept in &fresh {
                io!(table.insert(kept.height, kept.certified.encode().as_slice()))?;
            }
        }
        io!(tx.commit())?;
        chain.kept.extend(fresh);
        chain.standing = standing;
        Ok(())
    }

    /// The changes a proof about a block of `height` carries: those below it, and of very many only
    /// the newest that fit.
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

    /// Those above a height, oldest first, as many as fit.
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

    /// Height of the newest one; zero if there is none.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.read().kept.last().map_or(0, |kept| kept.height)
    }

    /// All of them, for a newcomer.
    #[must_use]
    pub fn all(&self) -> Vec<Certified> {
        self.read().kept.iter().map(|kept| kept.certified.clone()).collect()
    }

    /// The first epoch that the newest committee certifies, and its members.
    #[must_use]
    pub fn committee(&self) -> (u64, Vec<[u8; 32]>) {
        self.read().standing.clone()
    }

    /// How often the committee changed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().kept.len()
    }

    /// Does the founding committee still stand?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Chain> {
        self.chain.read().unwrap_or_else(PoisonError::into_inner)
    }
}
