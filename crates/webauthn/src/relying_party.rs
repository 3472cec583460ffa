//! Who asks for passkeys: an origin, and the name in it that they belong to.

use vitals::ids::{Hash, sha256};

/// A site under the name by which a browser reached it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelyingParty {
    origin: String,
    id_at: (usize, usize),
}

impl RelyingParty {
    /// The site of this `Host`, reached over TLS or not. None where browsers have no passkeys: without TLS anywhere but
    /// at `localhost`, and where the host is a number and not a name.
    #[must_use]
    pub fn of(host: &str, over_tls: bool) -> Option<Self> {
        let (name, port) = host.split_once(':').unwrap_or((host, "443"));
        let is_port = !port.is_empty() && port.len() <= 5 && port.bytes().all(|c| c.is_ascii_digit());
        if !is_port || !is_domain(name) || !(over_tls || name == "localhost") {
            return None;
        }
        let scheme = if over_tls { "https://" } else { "http://" };
        let id_at = (scheme.len(), scheme.len() + name.len());
        Some(Self { origin: format!("{scheme}{host}"), id_at })
    }

    /// What browsers call its pages' origin.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The name that passkeys belong to: the host's, without its port.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.origin[self.id_at.0..self.id_at.1]
    }

    pub(crate) fn id_hash(&self) -> Hash {
        sha256(&[self.id().as_bytes()])
    }
}

/// A name as browsers send it, and no address of numbers (whose last part would be a number).
fn is_domain(name: &str) -> bool {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(plain);
    let last = name.rsplit('.').next().unwrap_or("");
    name.len() <= 253 && name.split('.').all(is_label) && !last.bytes().all(|c| c.is_ascii_digit())
}
