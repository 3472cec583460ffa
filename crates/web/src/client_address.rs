//! Which network address a request comes from.

use axum::http::{Extensions, HeaderMap};
use clinic::Origin;
use std::net::IpAddr;

/// Address of the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

const FORWARDED: &str = "x-forwarded-for";

/// The address a request comes from: the connection's other end, or the client that the proxy in front names.
/// None for a request that came over no connection.
pub(crate) fn client_address(
    extensions: &Extensions,
    headers: &HeaderMap,
    behind_proxy: bool,
) -> Option<IpAddr> {
    let Peer(peer) = extensions.get::<Peer>()?;
    if !behind_proxy || !peer.is_loopback() {
        return Some(*peer);
    }
    // The last entry is the proxy's own; those before it can be made up.
    let named = headers.get_all(FORWARDED).iter().next_back().and_then(|value| value.to_str().ok());
    let last = named.and_then(|list| list.rsplit(',').next()).and_then(|entry| entry.trim().parse().ok());
    Some(last.unwrap_or(*peer))
}

/// The network a request comes from, as sign-ins and quotas count it.
pub(crate) fn origin(extensions: &Extensions, headers: &HeaderMap, behind_proxy: bool) -> Origin {
    client_address(extensions, headers, behind_proxy).map_or(Origin::HERE, Origin::of)
}

/// Did the request come from this machine itself, and not through a proxy on it?
pub(crate) fn is_from_this_machine(extensions: &Extensions, headers: &HeaderMap) -> bool {
    let near = extensions.get::<Peer>().is_none_or(|Peer(peer)| peer.is_loopback());
    near && ![FORWARDED, "forwarded", "via"].iter().any(|name| headers.contains_key(*name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::headers;

    #[test]
    fn the_client_is_the_one_the_proxy_names_last_and_never_what_a_client_says_of_itself() {
        let from = |peer: &str, behind_proxy, forwarded: &[(&'static str, &str)]| {
            let mut extensions = Extensions::new();
            extensions.insert(Peer(peer.parse().expect("an address")));
            client_address(&extensions, &headers(forwarded), behind_proxy)
                .expect("over a connection")
                .to_string()
        };
        let claim = [("x-forwarded-for", "10.1.1.1, 192.0.2.7")];
        assert_eq!(from("127.0.0.1", true, &claim), "192.0.2.7");
        assert_eq!(from("127.0.0.1", false, &claim), "127.0.0.1", "no proxy: anybody can write a header");
        assert_eq!(from("198.51.100.9", true, &claim), "198.51.100.9", "not from our proxy");
        assert_eq!(from("127.0.0.1", true, &[("x-forwarded-for", "nonsense")]), "127.0.0.1");
        assert_eq!(client_address(&Extensions::new(), &headers(&claim), true), None);
    }
}
