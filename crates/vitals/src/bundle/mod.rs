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
//! The first proof shows the organisation, its anchored log head and the devices it names; later
//! ones show further devices at the same height or above. A bundle of version 2 holds a genesis
//! document and ledger proofs of version 2, one of version 1 those of version 1. Devices ascend over all proofs, openings
//! ascend by device, envelopes by stream and sequence number: a bundle has one encoding.

mod batch;
mod report;
mod verify;

pub use report::{Author, DeviceReport, Report, StreamReport, Utc};
pub use verify::{Verifier, verify};

use crate::cbor::{NotCanonical, Reader, Writer};
use crate::envelope::{ENVELOPE_BYTES_MAX, Malformed};
use crate::ids::{DeviceId, Genesis, Hash, OrgId, PatientId};
use crate::log::PATH_MAX;
use crate::proof::checkpoint::NotTrusted;
use crate::proof::genesis::{self, GENESIS_BYTES_MAX};
use crate::proof::state::NotProven;
use crate::proof::{BrokenLink, LEDGER_PROOF_BYTES_MAX};
use crate::receipt::RECEIPT_BYTES_MAX;
use alloc::vec::Vec;
use core::fmt;

/// First value of a bundle whose genesis document and ledger proofs are of version 1.
pub const MAGIC_1: &str = "aceso/bundle/v1";
/// First value of a bundle whose genesis document and ledger proofs are of version 2.
pub const MAGIC_2: &str = "aceso/bundle/v2";
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
    /// Envelopes.
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

/// Writes a bundle item by item, in the order start, proofs, openings, envelopes.
///
/// It does not check what it is given beyond the counts; [`verify`] does.
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
        let mut w = Writer::new();
        let magic = if genesis::is_version_1(genesis_document) { MAGIC_1 } else { MAGIC_2 };
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
    /// of `devices` (ascending, at most [`DEVICES_PER_PROOF_MAX`]): all authors and their gateways.
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

/// Which item of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The first item.
    Start,
    /// A ledger proof.
    Proof,
    /// An opening of a binding.
    Opening,
    /// An envelope.
    Envelope,
    /// What stands behind the last item.
    End,
}

/// The first link of a bundle that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Number of the item, from 0.
    pub item: u64,
    /// Offset of the item in the bundle, bytes.
    pub at_byte: u64,
    /// What kind of item.
    pub part: Part,
    /// Which field of it.
    pub field: &'static str,
    /// Why.
    pub why: Why,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = match self.part {
            Part::Start => "start",
            Part::Proof => "ledger proof",
            Part::Opening => "opening of a binding",
            Part::Envelope => "envelope",
            Part::End => "end of the bundle",
        };
        write!(f, "item {} ({part}, at byte {}), {}: {}", self.item, self.at_byte, self.field, self.why)
    }
}

impl core::error::Error for Broken {}

/// Why a link does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The bytes are not what the format says.
    Encoding(NotCanonical),
    /// The envelope is malformed.
    Envelope(Malformed),
    /// Header or certificate.
    Ledger(BrokenLink),
    /// The checkpoint to start from.
    Checkpoint(NotTrusted),
    /// A state proof.
    State(NotProven),
    /// The genesis document has another hash than the pinned one.
    OtherGenesis {
        /// Hash of the bundle's genesis document.
        found: Genesis,
        /// The pinned hash.
        pinned: Genesis,
    },
    /// A genesis document or ledger proof of another version than the bundle.
    Version,
    /// Another genesis hash than the bundle's.
    ForeignLedger,
    /// The ledger knows no such organisation.
    NoOrganisation,
    /// The organisation has anchored nothing.
    NoAnchor,
    /// The ledger knows no such device.
    NoDevice,
    /// The number of accounts proven is not the number of facts named.
    Accounts,
    /// A later proof stands on a lower block than the first one.
    OlderBlock,
    /// A key of small order, with a small-order part or not in its one encoding: signatures by it prove nothing.
    WeakKey,
    /// The key in the registry does not hash to the id it is registered under.
    KeyNotItsId,
    /// The device belongs to another organisation.
    OtherOrganisation,
    /// Items are not in their order, or repeat.
    Order,
    /// More devices or streams than a verifier keeps.
    TooMany,
    /// Patient and salt do not give the binding on the ledger.
    Binding,
    /// The author is neither a proven sensor nor the organisation itself.
    UnknownAuthor,
    /// A sensor whose gateway is not proven.
    GatewayMissing,
    /// The author's key did not sign this header.
    Signature,
    /// The stream id is not that of this author, patient and class.
    Stream,
    /// `prev` is not the hash of the envelope before.
    Prev,
    /// The receipt is for another envelope or index, or of another organisation.
    OtherReceipt,
    /// The receipt's path does not lead to its tree head.
    ReceiptPath,
    /// The organisation's record key did not sign the tree head.
    ReceiptSignature,
    /// A tree head of the anchored size with another root: the organisation signed two logs.
    Forked,
    /// The path does not lead from this envelope to the anchored root.
    Inclusion,
    /// The bundle ends before the counted items do.
    Missing,
    /// Bytes follow the last counted item.
    Trailing,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Encoding(why) => return write!(f, "{why}"),
            Self::Envelope(why) => return write!(f, "{why}"),
            Self::Ledger(why) => return write!(f, "{why}"),
            Self::Checkpoint(why) => return write!(f, "{why}"),
            Self::State(why) => return write!(f, "{why}"),
            Self::OtherGenesis { found, pinned } => {
                return write!(f, "the bundle's genesis is {found}, the pinned one is {pinned}");
            }
            Self::Version => "it is not of the bundle's version",
            Self::ForeignLedger => "it belongs to another ledger",
            Self::NoOrganisation => "the ledger knows no such organisation",
            Self::NoAnchor => "the organisation has anchored no log",
            Self::NoDevice => "the ledger knows no such device",
            Self::Accounts => "it does not prove exactly the facts it names",
            Self::OlderBlock => "it stands on an older block than the proof of the log head",
            Self::WeakKey => "the key is weak: signatures by it prove nothing",
            Self::KeyNotItsId => "the registered key does not hash to its id",
            Self::OtherOrganisation => "the device belongs to another organisation",
            Self::Order => "items are out of order or repeat",
            Self::TooMany => "the bundle names more than a verifier keeps",
            Self::Binding => "patient and salt do not give the binding on the ledger",
            Self::UnknownAuthor => "the author is neither a proven sensor nor the organisation itself",
            Self::GatewayMissing => "the gateway its author is reached through is not proven",
            Self::Signature => "the author's key did not sign this header",
            Self::Stream => "the stream is not that of this author, patient and class",
            Self::Prev => "it is not the hash of the envelope before",
            Self::OtherReceipt => "it is for another envelope, another index or another organisation's log",
            Self::ReceiptPath => "its path does not lead to its tree head",
            Self::ReceiptSignature => "the organisation's record key did not sign its tree head",
            Self::Forked => "the organisation signed another log of the anchored length",
            Self::Inclusion => "it does not lead from this envelope to the anchored root",
            Self::Missing => "the bundle ends before the items counted at its start do",
            Self::Trailing => "bytes follow the last item counted at its start",
        })
    }
}
