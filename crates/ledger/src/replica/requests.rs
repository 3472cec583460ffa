//! Requests to other nodes and responses to theirs: certificates of old committee changes, and snapshots for
//! nodes that join.

use super::Replica;
use crate::committee_changes::{CommitteeChangeError, CommitteeChanges};
use crate::snapshot::{Offer, SnapshotRequest, read_changes, write_changes};
use bytes::Bytes;
use consensus::{ProtocolViolation, RequestResponse};
use parking_lot::Mutex;
use vitals::ids::Hash;
use vitals::proof::{LedgerProof, certificate::Certificate, header::BlockHeader};

/// Blocks for which a snapshot is served. Its nodes are not pruned meanwhile.
const SERVED_BLOCKS_MAX: u64 = 8192;
/// Most snapshots served at a time: the newest epoch's, and those that are being read.
const SERVED_SNAPSHOTS_MAX: usize = 4;

/// States after epochs' last blocks, oldest first, and whether each was read since the last epoch.
#[derive(Default)]
pub(super) struct ServedSnapshots(Mutex<Vec<(Offer, bool)>>);

impl ServedSnapshots {
    /// Drops snapshots that are too old.
    pub(super) fn committed(&self, height: u64) {
        self.0.lock().retain(|(offer, _)| height.saturating_sub(offer.height()) <= SERVED_BLOCKS_MAX);
    }

    fn newest(&self) -> Option<Offer> {
        self.0.lock().last().map(|(offer, _)| offer.clone())
    }

    fn at(&self, height: u64) -> Option<Offer> {
        let mut served = self.0.lock();
        let (offer, read) = served.iter_mut().find(|(offer, _)| offer.height() == height)?;
        *read = true;
        Some(offer.clone())
    }

    fn add(&self, offer: Offer) {
        let mut served = self.0.lock();
        served.retain(|(_, read)| *read);
        for (_, read) in served.iter_mut() {
            *read = false;
        }
        if served.len() == SERVED_SNAPSHOTS_MAX {
            served.remove(0);
        }
        served.push((offer, false));
    }
}

impl Replica {
    /// The state after the newest epoch's last block, with its certificate, for a node that joins late;
    /// `None` until there is one whose state is kept.
    #[must_use]
    pub fn offer(&self) -> Option<Offer> {
        self.served.newest()
    }

    /// Serves the state after an epoch's last block.
    pub(super) fn serve_snapshot(&self, header: &BlockHeader, digest: Hash, certificate: &Certificate) {
        let Some(committee_changes) = &self.committee_changes else { return };
        if self.served.newest().is_some_and(|offer| offer.height() >= header.height) {
            return;
        }
        // If the state is pruned already, the next epoch's is served.
        let Ok(view) = self.machine.view_at(header.height) else { return };
        if view.tip().digest == digest {
            let changes = Some(committee_changes.before(header.height));
            let (header, certificate) = (header.encode(), certificate.encode());
            let proof = LedgerProof { changes, header, certificate, accounts: Vec::new() };
            self.served.add(Offer::new(self.machine.genesis(), proof, view));
        }
    }

    /// The first block that changed the committee and whose certificate is missing: proofs do not reach beyond
    /// it. The other validators are asked for it until one has it.
    #[must_use]
    pub fn gap(&self) -> Option<u64> {
        *self.gap.lock()
    }

    pub(super) fn record_gap(&self, height: u64) {
        let mut gap = self.gap.lock();
        *gap = Some(gap.map_or(height, |gap| gap.min(height)));
    }

    /// Searches the last blocks of committed epochs for a change that is not stored.
    pub(super) fn update_gap(&self) {
        let Some(committee_changes) = &self.committee_changes else { return };
        let found = self.first_gap(committee_changes);
        let before = std::mem::replace(&mut *self.gap.lock(), found);
        match (before, found) {
            (None, Some(height)) => {
                tracing::error!(height, "The certificate of the block that changed the committee is missing");
            }
            (Some(height), None) => {
                tracing::info!(height, "The missing certificates of committee changes were received");
            }
            _ => {}
        }
    }

    fn first_gap(&self, committee_changes: &CommitteeChanges) -> Option<u64> {
        let epoch = committee_changes.epoch_blocks().max(1);
        let start = committee_changes.newest().max(self.machine.base().unwrap_or(0)) + 1;
        let mut end = (start / epoch + 1) * epoch - 1;
        while end <= self.machine.tip().height {
            let header = self.machine.header(end).ok().flatten();
            if header
                .and_then(|bytes| BlockHeader::decode(&bytes).ok())
                .is_some_and(|one| committee_changes.lacks(&one))
            {
                return Some(end);
            }
            end += epoch;
        }
        None
    }
}

impl RequestResponse for Replica {
    fn next_request(&self) -> Option<Bytes> {
        self.gap()?;
        let above = self.committee_changes.as_ref()?.newest();
        Some(SnapshotRequest::Changes { above }.encode().into())
    }

    fn respond(&self, question: &[u8]) -> Result<Option<Bytes>, ProtocolViolation> {
        let question = SnapshotRequest::decode(question)
            .ok_or_else(|| ProtocolViolation(String::from("no such request")))?;
        Ok(match question {
            SnapshotRequest::Head => self.offer().map(|offer| offer.proof().encode().into()),
            SnapshotRequest::Chunk { height, place } => self
                .served
                .at(height)
                // No response if the place does not exist or the disk fails.
                .and_then(|offer| offer.chunk(&place).ok())
                .map(Into::into),
            SnapshotRequest::Changes { above } => {
                let kept = self.committee_changes.as_ref();
                let changes = kept.map(|kept| kept.above(above, consensus::RESPONSE_BYTES_MAX));
                changes.filter(|changes| !changes.is_empty()).map(|changes| write_changes(&changes).into())
            }
        })
    }

    fn receive_response(&self, _question: &[u8], answer: &[u8]) -> Result<(), ProtocolViolation> {
        let Some(committee_changes) = &self.committee_changes else { return Ok(()) };
        let changes =
            read_changes(answer).ok_or_else(|| ProtocolViolation(String::from("no list of changes")))?;
        match committee_changes.extend(&changes) {
            // The changes that an honest node stores verify from genesis on.
            Err(why @ CommitteeChangeError::InvalidLink(_)) => {
                return Err(ProtocolViolation(why.to_string()));
            }
            Err(why) => tracing::error!(%why, "A change of the committee is not kept: {why}"),
            Ok(()) => {}
        }
        self.update_gap();
        Ok(())
    }
}
