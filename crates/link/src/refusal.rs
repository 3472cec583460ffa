//! What a link refuses before, beside or after admission: one word for counters, one code for the
//! wire, one sentence for people. Refusals of envelopes themselves are the clinic's.

use std::fmt;

/// Why a connection, a packet or a publish was refused at the link. Nothing of it reached the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LinkRefusal {
    /// All connections are taken.
    ConnectionsFull,
    /// All places for connections without a known key are taken.
    StrangersFull,
    /// One address holds its share of them.
    AddressFull,
    /// One address connects too often.
    AddressRate,
    /// Another address needed the place more.
    StrangerEvicted,
    /// The handshake did not end in time.
    HandshakeSlow,
    /// No TLS 1.3 with a certificate whose key the client holds.
    TlsBroken,
    /// The certificate holds no Ed25519 key.
    CertificateWrong,
    /// The key is unknown, revoked, or a sensor's.
    KeyNotAdmitted,
    /// No CONNECT in time.
    ConnectSlow,
    /// One device connects too often.
    ReconnectRate,
    /// The client id is another's than the certificate's key.
    ClientId,
    /// Bytes that are no MQTT packet.
    MqttMalformed,
    /// A packet out of place.
    MqttProtocol,
    /// Longer than any packet may be.
    PacketTooLong,
    /// A packet that does not end.
    PacketSlow,
    /// No packet within the keep-alive time.
    KeepAlive,
    /// What is sent to the device is not taken.
    Stalled,
    /// More publishes without acknowledgement than allowed.
    ReceiveMaximum,
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
    /// Longer than any envelope may be.
    PayloadTooLong,
    /// A subscription to more than the device's own receipts and proofs.
    SubscriptionForeign,
    /// Too many publishes that are refused for their address or length.
    RefusalRate,
    /// More than the pace of one device: read later, nothing is lost.
    Paced,
    /// On the alarm topic, and no alarm: takes its place among the others.
    NotAnAlarm,
    /// The share of this gateway, or the whole queue, is full: try again.
    Busy,
}

impl LinkRefusal {
    /// All of them, in the order of a connection's life.
    pub const ALL: [Self; 32] = [
        Self::ConnectionsFull,
        Self::StrangersFull,
        Self::AddressFull,
        Self::AddressRate,
        Self::StrangerEvicted,
        Self::HandshakeSlow,
        Self::TlsBroken,
        Self::CertificateWrong,
        Self::KeyNotAdmitted,
        Self::ConnectSlow,
        Self::ReconnectRate,
        Self::ClientId,
        Self::MqttMalformed,
        Self::MqttProtocol,
        Self::PacketTooLong,
        Self::PacketSlow,
        Self::KeepAlive,
        Self::Stalled,
        Self::ReceiveMaximum,
        Self::PacketIdInUse,
        Self::TopicAlias,
        Self::Qos,
        Self::Retain,
        Self::TopicForeign,
        Self::TopicDownward,
        Self::TopicUnknown,
        Self::PayloadTooLong,
        Self::SubscriptionForeign,
        Self::RefusalRate,
        Self::Paced,
        Self::NotAnAlarm,
        Self::Busy,
    ];

    const fn row(self) -> (&'static str, Option<u8>, &'static str) {
        match self {
            Self::ConnectionsFull => {
                ("connections_full", None, "as many connections are open as this node takes")
            }
            Self::StrangersFull => (
                "strangers_full",
                None,
                "as many connections wait for their handshake as this node lets wait",
            ),
            Self::AddressFull => (
                "address_full",
                None,
                "as many connections of this address wait for their handshake as one address may have",
            ),
            Self::AddressRate => {
                ("address_rate", None, "this address connects more often than one address may")
            }
            Self::StrangerEvicted => {
                ("stranger_evicted", None, "the place went to an address with fewer connections")
            }
            Self::HandshakeSlow => ("handshake_slow", None, "no TLS handshake in time"),
            Self::TlsBroken => {
                ("tls_broken", None, "no TLS 1.3 handshake with a certificate and the key that belongs to it")
            }
            Self::CertificateWrong => {
                ("certificate_wrong", None, "the client's certificate holds no Ed25519 key")
            }
            Self::KeyNotAdmitted => (
                "key_not_admitted",
                Some(0x87),
                "the key is not that of a registered gateway, or it was revoked",
            ),
            Self::ConnectSlow => ("connect_slow", None, "no CONNECT in time"),
            Self::ReconnectRate => (
                "reconnect_rate",
                Some(0x9f),
                "the device connects too often; wait a minute and connect once",
            ),
            Self::ClientId => (
                "client_id",
                Some(0x85),
                "the client id must be empty or the device id of the certificate's key",
            ),
            Self::MqttMalformed => ("mqtt_malformed", Some(0x81), "the bytes are no MQTT packet"),
            Self::MqttProtocol => {
                ("mqtt_protocol", Some(0x82), "the packet has no place here in an MQTT session")
            }
            Self::PacketTooLong => {
                ("packet_too_long", Some(0x95), "the packet is longer than the longest envelope needs")
            }
            Self::PacketSlow => ("packet_slow", Some(0x8d), "a packet was begun and not ended in time"),
            Self::KeepAlive => ("keep_alive", Some(0x8d), "no packet within the keep-alive time"),
            Self::Stalled => ("stalled", None, "the device does not take what is sent to it"),
            Self::ReceiveMaximum => (
                "receive_maximum",
                Some(0x93),
                "more publishes without acknowledgement than the Receive Maximum",
            ),
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
            Self::PayloadTooLong => {
                ("payload_too_long", Some(0x99), "the payload is longer than the longest envelope")
            }
            Self::SubscriptionForeign => (
                "subscription_foreign",
                Some(0x87),
                "a device listens on its own topics d/<device>/r, /p and /c only",
            ),
            Self::RefusalRate => {
                ("refusal_rate", Some(0x96), "too many publishes for the wrong topic or of the wrong length")
            }
            Self::Paced => ("paced", None, "more than one device's pace: read later"),
            Self::NotAnAlarm => (
                "not_an_alarm",
                None,
                "published as an alarm and of another class: takes its place among the others",
            ),
            Self::Busy => ("busy", Some(0x97), "the admission queue is full; try again later"),
        }
    }

    /// A stable word for counters.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.row().0
    }

    /// The MQTT 5 reason code it travels under; none where the connection is closed without a word,
    /// or nothing is refused at all.
    #[must_use]
    pub const fn mqtt(self) -> Option<u8> {
        self.row().1
    }

    /// What is wrong, a sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        self.row().2
    }

    /// Refused for its address or length alone, which no gateway of ours ever sends.
    #[must_use]
    pub const fn is_misaddressed(self) -> bool {
        matches!(
            self,
            Self::TopicForeign
                | Self::TopicDownward
                | Self::TopicUnknown
                | Self::PayloadTooLong
                | Self::SubscriptionForeign
        )
    }
}

impl fmt::Display for LinkRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

#[cfg(test)]
#[allow(clippy::enum_glob_use, reason = "a list of every variant")]
mod tests {
    use super::LinkRefusal::{self, *};

    /// The one that follows. A new variant does not compile before it has its place here.
    fn next(refusal: LinkRefusal) -> Option<LinkRefusal> {
        match refusal {
            ConnectionsFull => Some(StrangersFull),
            StrangersFull => Some(AddressFull),
            AddressFull => Some(AddressRate),
            AddressRate => Some(StrangerEvicted),
            StrangerEvicted => Some(HandshakeSlow),
            HandshakeSlow => Some(TlsBroken),
            TlsBroken => Some(CertificateWrong),
            CertificateWrong => Some(KeyNotAdmitted),
            KeyNotAdmitted => Some(ConnectSlow),
            ConnectSlow => Some(ReconnectRate),
            ReconnectRate => Some(ClientId),
            ClientId => Some(MqttMalformed),
            MqttMalformed => Some(MqttProtocol),
            MqttProtocol => Some(PacketTooLong),
            PacketTooLong => Some(PacketSlow),
            PacketSlow => Some(KeepAlive),
            KeepAlive => Some(Stalled),
            Stalled => Some(ReceiveMaximum),
            ReceiveMaximum => Some(PacketIdInUse),
            PacketIdInUse => Some(TopicAlias),
            TopicAlias => Some(Qos),
            Qos => Some(Retain),
            Retain => Some(TopicForeign),
            TopicForeign => Some(TopicDownward),
            TopicDownward => Some(TopicUnknown),
            TopicUnknown => Some(PayloadTooLong),
            PayloadTooLong => Some(SubscriptionForeign),
            SubscriptionForeign => Some(RefusalRate),
            RefusalRate => Some(Paced),
            Paced => Some(NotAnAlarm),
            NotAnAlarm => Some(Busy),
            Busy => None,
        }
    }

    #[test]
    fn all_names_every_refusal_in_its_order() {
        let chain: Vec<LinkRefusal> =
            std::iter::successors(Some(ConnectionsFull), |refusal| next(*refusal)).collect();
        assert_eq!(chain, LinkRefusal::ALL);
    }
}
