//! What a link refuses before, beside or after admission: a label for counters and a sentence for
//! people. Refusals of envelopes themselves are the clinic's.

use std::fmt;

/// A refusal in the words of one transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransportRefusal {
    /// A stable word for counters.
    pub label: &'static str,
    /// What is wrong, a sentence.
    pub sentence: &'static str,
}

/// Why a connection, a packet or a publish was refused. Nothing of it reached the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LinkRefusal {
    /// All connections are taken.
    ConnectionsFull,
    /// All slots for connections without a registered key are taken.
    UnauthenticatedFull,
    /// One address holds its share of them.
    AddressFull,
    /// One address connects too often.
    AddressRate,
    /// Another address needed the slot more.
    UnauthenticatedEvicted,
    /// The handshake did not end in time.
    HandshakeSlow,
    /// No TLS 1.3 with a certificate whose key the client holds.
    TlsBroken,
    /// The certificate holds no Ed25519 key.
    CertificateWrong,
    /// The key is unknown, revoked, or a sensor's.
    KeyNotAdmitted,
    /// One device connects too often.
    ReconnectRate,
    /// The device does not take what is sent to it.
    Stalled,
    /// Longer than any envelope may be.
    PayloadTooLong,
    /// More than the pace of one device: read later, nothing is lost.
    Paced,
    /// Published as an alarm, and no alarm: takes its place among the others.
    NotAnAlarm,
    /// The share of this gateway, or the whole queue, is full: try again.
    Busy,
    /// The transport's own rules were broken.
    Transport(TransportRefusal),
}

impl LinkRefusal {
    /// All but those of single transports, in the order of a connection's life.
    pub const SHARED: [Self; 15] = [
        Self::ConnectionsFull,
        Self::UnauthenticatedFull,
        Self::AddressFull,
        Self::AddressRate,
        Self::UnauthenticatedEvicted,
        Self::HandshakeSlow,
        Self::TlsBroken,
        Self::CertificateWrong,
        Self::KeyNotAdmitted,
        Self::ReconnectRate,
        Self::Stalled,
        Self::PayloadTooLong,
        Self::Paced,
        Self::NotAnAlarm,
        Self::Busy,
    ];

    const fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::ConnectionsFull => ("connections_full", "as many connections are open as this node takes"),
            Self::UnauthenticatedFull => {
                ("strangers_full", "as many connections wait for their handshake as this node lets wait")
            }
            Self::AddressFull => (
                "address_full",
                "as many connections of this address wait for their handshake as one address may have",
            ),
            Self::AddressRate => ("address_rate", "this address connects more often than one address may"),
            Self::UnauthenticatedEvicted => {
                ("stranger_evicted", "the place went to an address with fewer connections")
            }
            Self::HandshakeSlow => ("handshake_slow", "no TLS handshake in time"),
            Self::TlsBroken => {
                ("tls_broken", "no TLS 1.3 handshake with a certificate and the key that belongs to it")
            }
            Self::CertificateWrong => ("certificate_wrong", "the client's certificate holds no Ed25519 key"),
            Self::KeyNotAdmitted => {
                ("key_not_admitted", "the key is not that of a registered gateway, or it was revoked")
            }
            Self::ReconnectRate => {
                ("reconnect_rate", "the device connects too often; wait a minute and connect once")
            }
            Self::Stalled => ("stalled", "the device does not take what is sent to it"),
            Self::PayloadTooLong => ("payload_too_long", "the payload is longer than the longest envelope"),
            Self::Paced => ("paced", "more than one device's pace: read later"),
            Self::NotAnAlarm => (
                "not_an_alarm",
                "published as an alarm and of another class: takes its place among the others",
            ),
            Self::Busy => ("busy", "the admission queue is full; try again later"),
            Self::Transport(refusal) => (refusal.label, refusal.sentence),
        }
    }

    /// A stable word for counters.
    #[must_use]
    pub const fn label(self) -> &'static str {
        self.row().0
    }

    /// What is wrong, a sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        self.row().1
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
            ConnectionsFull => Some(UnauthenticatedFull),
            UnauthenticatedFull => Some(AddressFull),
            AddressFull => Some(AddressRate),
            AddressRate => Some(UnauthenticatedEvicted),
            UnauthenticatedEvicted => Some(HandshakeSlow),
            HandshakeSlow => Some(TlsBroken),
            TlsBroken => Some(CertificateWrong),
            CertificateWrong => Some(KeyNotAdmitted),
            KeyNotAdmitted => Some(ReconnectRate),
            ReconnectRate => Some(Stalled),
            Stalled => Some(PayloadTooLong),
            PayloadTooLong => Some(Paced),
            Paced => Some(NotAnAlarm),
            NotAnAlarm => Some(Busy),
            Busy | Transport(_) => None,
        }
    }

    #[test]
    fn the_list_names_every_shared_refusal_in_its_order() {
        let chain: Vec<LinkRefusal> =
            std::iter::successors(Some(ConnectionsFull), |refusal| next(*refusal)).collect();
        assert_eq!(chain, LinkRefusal::SHARED);
    }
}
