//! Which of its two certificates a node shows to whom.
//!
//! A node's certificate begins with Unix time ([`tls::self_signed`]). Earlier builds showed one of the same key that
//! begins in 1975, and OpenSSL believes only the very certificate it was given. So the node shows the
//! earlier one to an address from which its certificate was refused, and turns back when that one is
//! refused as well. Both prove the same key: nobody gains by either. Both are sent, so that `aceso seal tls` keeps both, and
//! a device that trusts both is never refused.

use crate::ingress::Registry;
use crate::tls::{self, TlsError};
use parking_lot::Mutex;
use quota::{Bucket, Rate};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use vitals::origin::Origin;

/// Addresses remembered that want the earlier certificate; the oldest gives way, and is refused once more.
const ADDRESSES_MAX: usize = 1024;
/// Log lines about it: a flood of refusals must not fill a disk.
const SENTENCES: Rate = Rate::per_second(8, 1);

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Certificate {
    /// Begins in 1970.
    Current,
    /// Begins in 1975.
    Earlier,
}

/// TLS of a node, with the certificate it has and the one of earlier builds.
pub struct NodeCertificates {
    current: TlsAcceptor,
    earlier: Option<TlsAcceptor>,
    addresses: Mutex<Addresses>,
    opened: Instant,
}

struct Addresses {
    /// Those that want the earlier one, oldest first.
    earlier: VecDeque<Origin>,
    log_lines: Bucket,
}

impl std::fmt::Debug for NodeCertificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NodeCertificates")
    }
}

impl From<Arc<ServerConfig>> for NodeCertificates {
    /// One certificate for everybody.
    fn from(only: Arc<ServerConfig>) -> Self {
        Self::of(only, None)
    }
}

impl NodeCertificates {
    fn of(current: Arc<ServerConfig>, earlier: Option<Arc<ServerConfig>>) -> Self {
        let addresses = Addresses { earlier: VecDeque::new(), log_lines: Bucket::full(SENTENCES, 0) };
        Self {
            current: current.into(),
            earlier: earlier.map(Into::into),
            addresses: Mutex::new(addresses),
            opened: Instant::now(),
        }
    }

    /// Both certificates of the key with this seed; `registry` admits the clients.
    ///
    /// # Errors
    /// If a certificate cannot be made.
    pub fn new(seed: &[u8; 32], registry: &Arc<dyn Registry>) -> Result<Self, TlsError> {
        let (current, key) = tls::self_signed(seed)?;
        let (earlier, same_key) = tls::earlier_self_signed(seed)?;
        // Clients look at the first; whoever fetches certificates keeps both.
        let config = |first: &CertificateDer<'static>, second: &CertificateDer<'static>, key| {
            tls::server_config_of(vec![first.clone(), second.clone()], key, registry.clone())
        };
        let (present, past) = (config(&current, &earlier, key)?, config(&earlier, &current, same_key)?);
        Ok(Self::of(Arc::new(present), Some(Arc::new(past))))
    }

    /// For a connection from here.
    pub(crate) fn acceptor(&self, from: IpAddr) -> (Certificate, TlsAcceptor) {
        match &self.earlier {
            Some(earlier) if self.addresses.lock().earlier.contains(&Origin::of(from)) => {
                (Certificate::Earlier, earlier.clone())
            }
            _ => (Certificate::Current, self.current.clone()),
        }
    }

    /// The client refused this one: the next connection from there sees the other one.
    pub(crate) fn refused(&self, from: IpAddr, certificate: Certificate) {
        if self.earlier.is_none() {
            return;
        }
        if self.note_refusal(Origin::of(from), certificate) {
            tracing::info!(
                "A device refused the node's certificate and is shown the one of earlier builds next: it should fetch \
                 the present one with `aceso seal tls`"
            );
        }
    }

    /// Turns the order for an address. True if this is for the log.
    fn note_refusal(&self, origin: Origin, certificate: Certificate) -> bool {
        let now_ms = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut addresses = self.addresses.lock();
        addresses.earlier.retain(|known| *known != origin);
        if certificate == Certificate::Earlier {
            return false;
        }
        if addresses.earlier.len() >= ADDRESSES_MAX {
            addresses.earlier.pop_front();
        }
        addresses.earlier.push_back(origin);
        addresses.log_lines.take(now_ms).is_ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    struct Nobody;

    impl Registry for Nobody {
        fn admits(&self, _: &[u8; 32]) -> Result<vitals::DeviceId, String> {
            Err("nobody is registered".into())
        }
    }

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(number))
    }

    #[test]
    fn an_address_is_shown_the_other_certificate_after_each_refusal() {
        let node = NodeCertificates::new(&[1; 32], &(Arc::new(Nobody) as Arc<dyn Registry>)).unwrap();
        let (here, there) = (address(1), address(2));
        for expected in
            [Certificate::Current, Certificate::Earlier, Certificate::Current, Certificate::Earlier]
        {
            assert_eq!(node.acceptor(here).0, expected);
            assert_eq!(node.acceptor(there).0, Certificate::Current, "others see what they saw");
            node.refused(here, expected);
        }
    }

    #[test]
    fn a_flood_of_refusals_costs_bounded_memory() {
        let node = NodeCertificates::new(&[1; 32], &(Arc::new(Nobody) as Arc<dyn Registry>)).unwrap();
        let most = u32::try_from(ADDRESSES_MAX).unwrap();
        for number in 0..=most {
            node.refused(address(number), Certificate::Current);
        }
        assert_eq!(node.addresses.lock().earlier.len(), ADDRESSES_MAX);
        assert_eq!(node.acceptor(address(0)).0, Certificate::Current, "the oldest gave way");
        assert_eq!(node.acceptor(address(most)).0, Certificate::Earlier);
    }
}
