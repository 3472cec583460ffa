//! Addresses of the other validators: those the operator configured, and those announced on the ledger.

use crate::{PublicKey, StateMachine, keys::key};
use commonware_p2p::{Address, Ingress};
use commonware_utils::{Hostname, ordered::Map};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

/// A validator or follower, and its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its Ed25519 validator key.
    pub key: [u8; 32],
    /// host:port, the host a name or an IP address (IPv6 in brackets).
    pub address: String,
}

/// The address in the network's form; `None` if it is not one.
pub(crate) fn parse(address: &str) -> Option<Address> {
    if let Ok(socket) = address.parse::<SocketAddr>() {
        return (socket.port() != 0).then_some(Address::Symmetric(socket));
    }
    let (host, port) = address.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let ingress = Ingress::Dns { host: Hostname::new(host).ok()?, port };
    // The source address is not checked: every connection is authenticated by key.
    let egress = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
    Some(Address::Asymmetric { ingress, egress })
}

/// The addresses of all peers. A configured address wins over the one on the ledger.
#[derive(Debug, Clone, Default)]
pub(crate) struct AddressBook {
    configured: BTreeMap<PublicKey, Address>,
}

impl AddressBook {
    pub(crate) fn new(configured: impl IntoIterator<Item = (PublicKey, Address)>) -> Self {
        Self { configured: configured.into_iter().collect() }
    }

    /// The addresses known now: first those of the committee's members, then the others.
    pub(crate) fn now(
        &self,
        machine: &dyn StateMachine,
        is_member: impl Fn(&PublicKey) -> bool,
    ) -> (Map<PublicKey, Address>, Map<PublicKey, Address>) {
        let mut all: BTreeMap<PublicKey, Address> = machine
            .endpoints()
            .iter()
            .filter_map(|(bytes, address)| Some((key(bytes)?, parse(address)?)))
            .collect();
        all.extend(self.configured.iter().map(|(key, address)| (key.clone(), address.clone())));
        let (primary, secondary): (BTreeMap<_, _>, BTreeMap<_, _>) =
            all.into_iter().partition(|(key, _)| is_member(key));
        (Map::from_iter_dedup(primary), Map::from_iter_dedup(secondary))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_sockets_or_names_with_a_port() {
        for good in ["127.0.0.1:9000", "[::1]:9000", "node.valley-hospital.example:9000"] {
            assert!(parse(good).is_some(), "{good}");
        }
        for bad in ["", "127.0.0.1", "127.0.0.1:0", "node:", ":9000", "no de:9000", "node:70000", "::1:9000"]
        {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }
}
