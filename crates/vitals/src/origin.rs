//! Where requests and connections come from, as far as quotas distinguish them.

use core::fmt;
use core::net::IpAddr;

/// A network that a request comes from. Only good for comparing: no log shows it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Origin([u8; 16]);

impl Origin {
    /// The operator's own socket, which strangers do not reach.
    pub const HERE: Self = Self([0; 16]);

    /// Bytes that differ where places do, for tables that must not hold the places.
    #[must_use]
    pub fn tag(self) -> [u8; 16] {
        self.0
    }

    /// A network address. Of IPv6 the network counts: one host has as many addresses in it as it likes.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.to_ipv6_mapped().octets()),
            IpAddr::V6(address) => {
                let mut octets = address.octets();
                octets[8..].fill(0);
                // Not even `::` is the operator's socket.
                octets[15] = 1;
                Self(octets)
            }
        }
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Origin")
    }
}
