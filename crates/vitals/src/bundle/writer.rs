//! Writes bundles.

use super::{Counts, MAGIC_1, MAGIC_2, MAGIC_3, Opening, Sealed, SegmentWriter};
use crate::cbor::Writer;
use crate::ids::{DeviceId, Hash, OrgId};
use crate::proof::genesis;
use alloc::vec::Vec;
use core::fmt;

/// Writes a bundle item by item, in the order start, proofs, openings, envelopes.
///
/// It does not check what it is given beyond the counts; [`super::verify()`] does.
#[derive(Debug)]
pub struct BundleWriter {
    out: Vec<u8>,
    left: Counts,
}

/// Items were written out of order, or not as many as counted: a mistake of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Miscounted {
    /// Items still owed.
    pub left: Counts,
}

impl fmt::Display for Miscounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { proofs, openings, envelopes } = self.left;
        write!(
            f,
            "a bundle's items must be as counted and in order; {proofs} proofs, {openings} openings and \
             {envelopes} envelopes were still owed"
        )
    }
}

impl core::error::Error for Miscounted {}

impl BundleWriter {
    /// Begins a bundle of `org`'s log on the ledger of this genesis document, in the document's version.
    #[must_use]
    pub fn new(genesis_document: &[u8], org: OrgId, counts: Counts) -> Self {
        let magic = if genesis::is_version_1(genesis_document) { MAGIC_1 } else { MAGIC_2 };
        Self::begun(magic, genesis_document, org, counts)
    }

    /// The same of version 3: write the envelopes with [`Self::segment`].
    #[must_use]
    pub fn segmented(genesis_document: &[u8], org: OrgId, counts: Counts) -> Self {
        Self::begun(MAGIC_3, genesis_document, org, counts)
    }

    fn begun(magic: &str, genesis_document: &[u8], org: OrgId, counts: Counts) -> Self {
        let mut w = Writer::new();
        w.array(6).text(magic).bytes(genesis_document).bytes(&org.0);
        w.uint(counts.proofs).uint(counts.openings).uint(counts.envelopes);
        let mut writer = Self { out: Vec::new(), left: counts };
        writer.item(w);
        writer
    }

    fn item(&mut self, content: Writer) {
        let mut w = Writer::new();
        w.bytes(&content.finish());
        self.out.extend(w.finish());
    }

    /// An encoded [`crate::proof::LedgerProof`] of, in this order: for the first proof
    /// `Fact::Organisation(org)` and `Fact::Anchor(org)`; then for every proof `Fact::Device` of each
    /// of `devices` (ascending, at most [`super::DEVICES_PER_PROOF_MAX`]): all authors and their gateways.
    pub fn proof(&mut self, devices: &[DeviceId], proof: &[u8]) -> Result<(), Miscounted> {
        let left = self.left.proofs.checked_sub(1).ok_or(Miscounted { left: self.left })?;
        self.left.proofs = left;
        let mut w = Writer::new();
        w.array(2).array(devices.len());
        for device in devices {
            w.bytes(&device.0);
        }
        w.bytes(proof);
        self.item(w);
        Ok(())
    }

    /// Opens one device's binding. Openings ascend by device.
    pub fn opening(&mut self, opening: &Opening) -> Result<(), Miscounted> {
        let left = self.left.openings.checked_sub(1).filter(|_| self.left.proofs == 0);
        self.left.openings = left.ok_or(Miscounted { left: self.left })?;
        let mut w = Writer::new();
        w.array(3).bytes(&opening.device.0).bytes(&opening.patient.0).bytes(&opening.salt);
        self.item(w);
        Ok(())
    }

    /// One envelope with its path in the anchored head and, if kept, its receipt. Envelopes ascend by
    /// stream id, then by sequence number.
    pub fn sealed(&mut self, sealed: &Sealed<'_>) -> Result<(), Miscounted> {
        let ready = self.left.proofs == 0 && self.left.openings == 0;
        let left = self.left.envelopes.checked_sub(1).filter(|_| ready);
        self.left.envelopes = left.ok_or(Miscounted { left: self.left })?;
        let mut w = Writer::new();
        w.array(4).bytes(sealed.envelope).uint(sealed.index).array(sealed.path.len());
        for hash in &sealed.path {
            w.bytes(hash);
        }
        w.bytes(sealed.receipt);
        self.item(w);
        Ok(())
    }

    /// A segment, with leaf and path of its last envelope in the anchored head. Segments ascend as their
    /// envelopes do, and end at the last number that a revoked author is trusted for.
    pub fn segment(&mut self, segment: &SegmentWriter, index: u64, path: &[Hash]) -> Result<(), Miscounted> {
        let ready = self.left.proofs == 0 && self.left.openings == 0;
        let left = self.left.envelopes.checked_sub(segment.len()).filter(|_| ready);
        self.left.envelopes = left.ok_or(Miscounted { left: self.left })?;
        let mut w = Writer::new();
        w.bytes(&segment.encode(index, path));
        self.out.extend(w.finish());
        Ok(())
    }

    /// Takes the bytes written so far, to be put into the file before going on.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.out)
    }

    /// The last bytes, once every counted item is written.
    pub fn finish(mut self) -> Result<Vec<u8>, Miscounted> {
        if self.left == (Counts { proofs: 0, openings: 0, envelopes: 0 }) {
            Ok(self.take())
        } else {
            Err(Miscounted { left: self.left })
        }
    }
}
