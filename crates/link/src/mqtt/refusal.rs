//! What an MQTT session refuses, with the reason code each refusal travels under.

use crate::ingress::RefusalReason;
use crate::refusal::{LinkRefusal, TransportRefusal};
use mqtt_protocol_core::mqtt::result_code::{MqttError, PubackReasonCode};

/// The reason code that asks to try again later.
pub(super) const CODE_BUSY: u8 = 0x97;
/// The reason code of a session that another connection of the device took over.
pub(super) const CODE_TAKEN_OVER: u8 = 0x8e;

/// Why an MQTT session refuses a packet, a publish or itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MqttRefusal {
    /// For a reason that all transports share.
    Link(LinkRefusal),
    /// No CONNECT in time.
    ConnectSlow,
    /// The client id is another's than the certificate's key.
    ClientId,
    /// Bytes that are no MQTT packet.
    Malformed,
    /// A packet out of place.
    Protocol,
    /// Longer than any packet may be.
    PacketTooLong,
    /// A packet that does not end.
    PacketSlow,
    /// No packet within the keep-alive time.
    KeepAlive,
    /// Two publishes with one packet id.
    PacketIdInUse,
    /// A topic alias, though none is offered.
    TopicAlias,
    /// Another quality of service than 1.
    Qos,
    /// A retained publish.
    Retain,
    /// Another device's topic.
    TopicForeign,
    /// A topic that only the node publishes on.
    TopicDownward,
    /// No topic of ours.
    TopicUnknown,
    /// A subscription to more than the device's own topics.
    SubscriptionForeign,
    /// Too many publishes that are refused for their topic or length.
    RefusalRate,
}

impl MqttRefusal {
    /// All that only MQTT has, in the order of a connection's life.
    pub const ALL: [Self; 16] = [
        Self::ConnectSlow,
        Self::ClientId,
        Self::Malformed,
        Self::Protocol,
        Self::PacketTooLong,
        Self::PacketSlow,
        Self::KeepAlive,
        Self::PacketIdInUse,
        Self::TopicAlias,
        Self::Qos,
        Self::Retain,
        Self::TopicForeign,
        Self::TopicDownward,
        Self::TopicUnknown,
        Self::SubscriptionForeign,
        Self::RefusalRate,
    ];

    /// Label, reason code, sentence.
    const fn row(self) -> (&'static str, Option<u8>, &'static str) {
        match self {
            Self::Link(why) => (why.label(), shared_code(why), why.sentence()),
            Self::ConnectSlow => ("connect_slow", None, "no CONNECT in time"),
            Self::ClientId => (
                "client_id",
                Some(0x85),
                "the client id must be empty or the device id of the certificate's key",
            ),
            Self::Malformed => ("mqtt_malformed", Some(0x81), "the bytes are no MQTT packet"),
            Self::Protocol => {
                ("mqtt_protocol", Some(0x82), "the packet has no place here in an MQTT session")
            }
            Self::PacketTooLong => {
                ("packet_too_long", Some(0x95), "the packet is longer than the longest envelope needs")
            }
            Self::PacketSlow => ("packet_slow", Some(0x8d), "a packet was begun and not ended in time"),
            Self::KeepAlive => ("keep_alive", Some(0x8d), "no packet within the keep-alive time"),
            Self::PacketIdInUse => (
                "packet_id_in_use",
                Some(0x82),
                "the packet id is in use by a publish that has no acknowledgement yet",
            ),
            Self::TopicAlias => {
                ("topic_alias", Some(0x94), "no topic alias was offered: write the topic out")
            }
            Self::Qos => ("qos", Some(0x9b), "envelopes are published with QoS 1"),
            Self::Retain => {
                ("retain", Some(0x9a), "nothing is retained here; publish without the retain flag")
            }
            Self::TopicForeign => ("topic_foreign", Some(0x87), "the topic belongs to another device"),
            Self::TopicDownward => ("topic_downward", Some(0x87), "only the node publishes on this topic"),
            Self::TopicUnknown => ("topic_unknown", Some(0x90), "publish on d/<device>/e or d/<device>/a"),
            Self::SubscriptionForeign => (
                "subscription_foreign",
                Some(0x87),
                "a device listens on its own topics d/<device>/r, /p and /c only",
            ),
            Self::RefusalRate => {
                ("refusal_rate", Some(0x96), "too many publishes for the wrong topic or of the wrong length")
            }
        }
    }

    /// A stable word for counters.
    #[must_use]
    pub const fn label(self) -> &'static str {
        self.row().0
    }

    /// The MQTT 5 reason code it travels under; none where the connection is closed without a packet,
    /// or nothing is refused at all.
    #[must_use]
    pub const fn reason_code(self) -> Option<u8> {
        self.row().1
    }

    /// What is wrong, a sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        self.row().2
    }

    /// Refused for its topic or length alone, which no gateway of ours ever sends.
    #[must_use]
    pub(super) const fn is_misaddressed(self) -> bool {
        matches!(
            self,
            Self::TopicForeign
                | Self::TopicDownward
                | Self::TopicUnknown
                | Self::Link(LinkRefusal::PayloadTooLong)
                | Self::SubscriptionForeign
        )
    }
}

const fn shared_code(why: LinkRefusal) -> Option<u8> {
    match why {
        LinkRefusal::KeyNotAdmitted => Some(0x87),
        LinkRefusal::ReconnectRate => Some(0x9f),
        LinkRefusal::PayloadTooLong => Some(0x99),
        LinkRefusal::Busy => Some(CODE_BUSY),
        _ => None,
    }
}

impl From<LinkRefusal> for MqttRefusal {
    fn from(why: LinkRefusal) -> Self {
        Self::Link(why)
    }
}

impl From<MqttRefusal> for LinkRefusal {
    fn from(why: MqttRefusal) -> Self {
        match why {
            MqttRefusal::Link(why) => why,
            why => Self::Transport(TransportRefusal { label: why.label(), sentence: why.sentence() }),
        }
    }
}

/// What the protocol machine found wrong with the bytes.
pub(super) fn of_error(error: MqttError) -> MqttRefusal {
    match error {
        MqttError::PacketTooLarge => MqttRefusal::PacketTooLong,
        MqttError::TopicAliasInvalid => MqttRefusal::TopicAlias,
        MqttError::MalformedPacket | MqttError::InsufficientBytes => MqttRefusal::Malformed,
        _ => MqttRefusal::Protocol,
    }
}

/// The code of a PUBACK that refuses an envelope.
pub(super) fn puback_code(reason: RefusalReason) -> PubackReasonCode {
    match reason {
        RefusalReason::Conflict => PubackReasonCode::ImplementationSpecificError,
        RefusalReason::NotAuthorized => PubackReasonCode::NotAuthorized,
        RefusalReason::PayloadInvalid => PubackReasonCode::PayloadFormatInvalid,
    }
}

/// What a PUBACK's code means to the device.
pub(super) fn rejection_of(code: PubackReasonCode) -> crate::Rejection {
    match code {
        PubackReasonCode::QuotaExceeded => crate::Rejection::Busy,
        PubackReasonCode::ImplementationSpecificError => crate::Rejection::Conflict,
        PubackReasonCode::NotAuthorized => crate::Rejection::NotAuthorized,
        PubackReasonCode::PayloadFormatInvalid => crate::Rejection::PayloadInvalid,
        other => crate::Rejection::Other(other as u8),
    }
}
