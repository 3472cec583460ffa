//! Why a bundle is not accepted: the first link that does not hold, and where.

use crate::cbor::NotCanonical;
use crate::envelope::Malformed;
use crate::ids::Genesis;
use crate::proof::BrokenLink;
use crate::proof::checkpoint::NotTrusted;
use crate::proof::state::NotProven;
use core::fmt;

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
    /// The bytes do not follow the format.
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
    /// A segment whose last number is behind the author's last trusted one, and its first is not.
    AcrossRevocation,
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
            Self::AcrossRevocation => {
                "it goes on beyond the last number that its revoked author is trusted for"
            }
            Self::Missing => "the bundle ends before the items counted at its start do",
            Self::Trailing => "bytes follow the last item counted at its start",
        })
    }
}
