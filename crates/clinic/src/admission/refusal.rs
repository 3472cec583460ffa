//! Why an envelope was not admitted. Every refusal has a sentence for people, a word for counters
//! and a class for the wire.

use vitals::DeviceId;
use vitals::envelope::Malformed;

/// How a refusal travels in an MQTT 5 acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum MqttClass {
    /// The rules of the record forbid it.
    ImplementationSpecific = 0x83,
    /// Unknown, revoked or foreign key.
    NotAuthorised = 0x87,
    /// The bytes are not what the wire format says.
    PayloadFormatInvalid = 0x99,
}

/// The sender is wrong, and resending will not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not an envelope.
    #[error("{0}: seal it again by docs/wire.md")]
    Malformed(Malformed),
    /// Sealed for another ledger.
    #[error("the envelope is sealed for another ledger: pair the device with this one")]
    OtherLedger,
    /// The carrying gateway is not registered.
    #[error("gateway {gateway} is not in the registry: pair it first")]
    GatewayUnknown {
        /// Who carried it.
        gateway: DeviceId,
    },
    /// The carrying gateway lost its trust.
    #[error("gateway {gateway} was revoked: its organisation has to pair another")]
    GatewayRevoked {
        /// Who carried it.
        gateway: DeviceId,
    },
    /// Nobody was given keys for this stream here.
    #[error("this node has given out no keys for the stream: pair the sensor first")]
    StreamUnknown,
    /// The header's class is not the stream's.
    #[error("the header names another class than its stream was paired for")]
    ClassWrong,
    /// The header's author is not the stream's.
    #[error("the stream belongs to another author")]
    AuthorWrong,
    /// The author is not in the registry (yet).
    #[error("sensor {author} is not in the registry: register it first")]
    AuthorUnknown {
        /// Who signed, by the header.
        author: DeviceId,
    },
    /// The author is not bound to the stream's patient.
    #[error("sensor {author} is not bound to the stream's patient in the registry")]
    NotBound {
        /// Who signed, by the header.
        author: DeviceId,
    },
    /// The sensor was registered through another gateway.
    #[error("sensor {author} was registered through another gateway: this one may not carry it")]
    ForeignGateway {
        /// Who signed, by the header.
        author: DeviceId,
    },
    /// The author was taken out of service before this sequence number.
    #[error("sensor {author} is retired; its last trusted sequence number is {last_trusted_seq}")]
    Retired {
        /// Who signed.
        author: DeviceId,
        /// From the revocation.
        last_trusted_seq: u64,
    },
    /// The author was lost or stolen: kept apart, not in the record.
    #[error("sensor {author} was reported stolen: the envelope is quarantined")]
    Quarantined {
        /// Who signed.
        author: DeviceId,
    },
    /// The author's key on the ledger is weak.
    #[error(
        "the registered key of sensor {author} is weak, its signatures prove nothing: pair the sensor with a new one"
    )]
    KeyWeak {
        /// Whose key.
        author: DeviceId,
    },
    /// The signature is not the author's.
    #[error("the signature is not by sensor {author} over this header")]
    SignatureWrong {
        /// Who should have signed.
        author: DeviceId,
    },
    /// A second, different envelope for one sequence number.
    #[error("another envelope is admitted for sequence number {seq}: two devices send under one identity")]
    Equivocation {
        /// The sequence number.
        seq: u64,
    },
    /// The envelope does not continue the admitted one before, or the admitted one after does not
    /// continue it.
    #[error("the envelope does not link to its admitted neighbour: it is of a second branch of the stream")]
    PrevBroken {
        /// The sequence number.
        seq: u64,
    },
    /// The epoch lies before the stream's first key.
    #[error("the envelope's epoch {epoch} lies before the stream's first, {first}")]
    EpochBeforePairing {
        /// In the header.
        epoch: u32,
        /// The stream's first.
        first: u32,
    },
    /// The epoch lies further ahead than keys are ever stepped.
    #[error("the envelope's epoch {epoch} is further ahead than keys are stepped: set the sensor's clock")]
    EpochOutOfReach {
        /// In the header.
        epoch: u32,
    },
}

impl Refusal {
    /// A stable word for counters and reports.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::OtherLedger => "other_ledger",
            Self::GatewayUnknown { .. } => "gateway_unknown",
            Self::GatewayRevoked { .. } => "gateway_revoked",
            Self::StreamUnknown => "stream_unknown",
            Self::ClassWrong => "class_wrong",
            Self::AuthorWrong => "author_wrong",
            Self::AuthorUnknown { .. } => "author_unknown",
            Self::NotBound { .. } => "not_bound",
            Self::ForeignGateway { .. } => "foreign_gateway",
            Self::Retired { .. } => "retired",
            Self::Quarantined { .. } => "quarantined",
            Self::KeyWeak { .. } => "key_weak",
            Self::SignatureWrong { .. } => "signature_wrong",
            Self::Equivocation { .. } => "equivocation",
            Self::PrevBroken { .. } => "prev_broken",
            Self::EpochBeforePairing { .. } => "epoch_before_pairing",
            Self::EpochOutOfReach { .. } => "epoch_out_of_reach",
        }
    }

    /// Its class on the wire.
    #[must_use]
    pub fn mqtt(&self) -> MqttClass {
        match self {
            Self::Malformed(_) | Self::OtherLedger | Self::StreamUnknown | Self::ClassWrong => {
                MqttClass::PayloadFormatInvalid
            }
            Self::SignatureWrong { .. } => MqttClass::PayloadFormatInvalid,
            Self::GatewayUnknown { .. }
            | Self::GatewayRevoked { .. }
            | Self::AuthorWrong
            | Self::AuthorUnknown { .. }
            | Self::NotBound { .. }
            | Self::ForeignGateway { .. }
            | Self::Retired { .. }
            | Self::KeyWeak { .. } => MqttClass::NotAuthorised,
            Self::Quarantined { .. }
            | Self::Equivocation { .. }
            | Self::PrevBroken { .. }
            | Self::EpochBeforePairing { .. }
            | Self::EpochOutOfReach { .. } => MqttClass::ImplementationSpecific,
        }
    }

    /// Is it signed evidence that two devices write one stream?
    #[must_use]
    pub fn is_second_branch(&self) -> bool {
        matches!(self, Self::Equivocation { .. } | Self::PrevBroken { .. })
    }
}
