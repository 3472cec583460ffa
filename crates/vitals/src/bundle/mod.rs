//! A bundle: envelopes with everything needed to check them offline against a pinned genesis hash.
//!
//! A CBOR sequence of byte strings, so that writer and reader hold one item at a time. Each byte
//! string holds one array:
//!
//! ```text
//! start    ["aceso/bundle/v2", genesis document, organisation, proofs, openings, envelopes]
//! proof    [[* device], ledger proof]                          × proofs
//! opening  [device, patient, salt]                             × openings
//! sealed   [envelope, index, [* path hash], receipt or empty]  × envelopes
//! ```
//!
//! In version 3 the envelopes come in segments instead, each with one signature and one path ([`segment`]),
//! until there are as many as the start counts.
//!
//! The first proof shows the organisation, its anchored log head and the devices it names; later
//! ones show further devices at the same height or above. A bundle of version 2 holds a genesis
//! document and ledger proofs of version 2, one of version 1 those of version 1, one of version 3 those of
//! either. Devices ascend over all proofs, openings
//! ascend by device, envelopes by stream and sequence number: a bundle has one encoding.

mod batch;
mod broken;
mod findings;
mod report;
mod segment;
mod verify;
mod writer;

pub use broken::{Broken, Part, Why};
pub use report::{Author, DeviceReport, Report, StreamReport, Utc};
pub use segment::{SEGMENT_LEN_MAX, SegmentWriter};
pub use verify::{Verifier, verify};
pub use writer::{BundleWriter, Miscounted};

use crate::cbor::{NotCanonical, Reader};
use crate::envelope::ENVELOPE_BYTES_MAX;
use crate::ids::{DeviceId, Hash, OrgId, PatientId};
use crate::log::PATH_MAX;
use crate::proof::LEDGER_PROOF_BYTES_MAX;
use crate::proof::genesis::GENESIS_BYTES_MAX;
use crate::receipt::RECEIPT_BYTES_MAX;
use alloc::vec::Vec;

/// First value of a bundle whose genesis document and ledger proofs are of version 1.
pub const MAGIC_1: &str = "aceso/bundle/v1";
/// First value of a bundle whose genesis document and ledger proofs are of version 2.
pub const MAGIC_2: &str = "aceso/bundle/v2";
/// First value of a bundle whose envelopes come in segments.
pub const MAGIC_3: &str = "aceso/bundle/v3";
/// Longest item, bytes: a ledger proof with its devices.
pub const ITEM_BYTES_MAX: usize = LEDGER_PROOF_BYTES_MAX + 4096;
/// Most devices one proof item names. Twelve fit the longest ledger proof on a ledger of a million devices.
pub const DEVICES_PER_PROOF_MAX: usize = 12;
/// Most devices of one bundle.
pub const DEVICES_MAX: usize = 65_536;
/// Most streams of one bundle.
pub const STREAMS_MAX: usize = 262_144;

/// How many items of each kind follow the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Ledger proofs, at least one.
    pub proofs: u64,
    /// Openings of bindings.
    pub openings: u64,
    /// Envelopes; in version 3 those of all segments together.
    pub envelopes: u64,
}

/// What the ledger's binding of a device hides: its patient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The sensor.
    pub device: DeviceId,
    /// The patient it is bound to.
    pub patient: PatientId,
    /// The salt of [`crate::ids::binding`].
    pub salt: [u8; 32],
}

/// One envelope and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// The envelope's bytes as admitted.
    pub envelope: &'a [u8],
    /// Its leaf in the organisation's log.
    pub index: u64,
    /// Inclusion path in the anchored head.
    pub path: Vec<Hash>,
    /// The receipt the node gave ([`crate::receipt::Receipt`] bytes), or empty.
    pub receipt: &'a [u8],
}

/// The first item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Start<'a> {
    pub(crate) version: u64,
    pub(crate) genesis_document: &'a [u8],
    pub(crate) org: OrgId,
    pub(crate) counts: Counts,
}

impl<'a> Start<'a> {
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, NotCanonical> {
        let mut r = Reader::new(bytes);
        r.array(6)?;
        let version = match r.text(MAGIC_2.len())? {
            MAGIC_1 => 1,
            MAGIC_2 => 2,
            MAGIC_3 => 3,
            _ => return Err(NotCanonical::Unexpected),
        };
        let start = Self {
            version,
            genesis_document: r.bytes(GENESIS_BYTES_MAX)?,
            org: OrgId(r.fixed()?),
            counts: Counts { proofs: r.uint()?, openings: r.uint()?, envelopes: r.uint()? },
        };
        r.end()?;
        Ok(start)
    }
}

pub(crate) fn decode_proof(bytes: &[u8]) -> Result<(Vec<DeviceId>, &[u8]), NotCanonical> {
    let mut r = Reader::new(bytes);
    r.array(2)?;
    let devices = r.list(DEVICES_PER_PROOF_MAX, |r| Ok(DeviceId(r.fixed()?)))?;
    let proof = r.bytes(LEDGER_PROOF_BYTES_MAX)?;
    r.end()?;
    Ok((devices, proof))
}

pub(crate) fn decode_opening(bytes: &[u8]) -> Result<Opening, NotCanonical> {
    let mut r = Reader::new(bytes);
    r.array(3)?;
    let opening = Opening { device: DeviceId(r.fixed()?), patient: PatientId(r.fixed()?), salt: r.fixed()? };
    r.end()?;
    Ok(opening)
}

pub(crate) fn decode_sealed(bytes: &[u8]) -> Result<Sealed<'_>, NotCanonical> {
    let mut r = Reader::new(bytes);
    r.array(4)?;
    let sealed = Sealed {
        envelope: r.bytes(ENVELOPE_BYTES_MAX)?,
        index: r.uint()?,
        path: r.list(PATH_MAX, |r| r.fixed::<32>())?,
        receipt: r.bytes(RECEIPT_BYTES_MAX)?,
    };
    r.end()?;
    Ok(sealed)
}

/// Splits the first item off `bytes`: the item and the bytes it took with its length, or nothing if
/// there are not enough bytes yet.
///
/// # Errors
/// If they do not begin with an item, or it is longer than [`ITEM_BYTES_MAX`].
pub fn split_item(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, NotCanonical> {
    let mut r = Reader::new(bytes);
    match r.bytes(ITEM_BYTES_MAX) {
        Ok(item) => Ok(Some((item, bytes.len() - r.rest().len()))),
        Err(NotCanonical::Truncated) => Ok(None),
        Err(why) => Err(why),
    }
}
