//! TLS 1.3 of the pages: HTTP/2 and HTTP/1.1 by ALPN, under a certificate that can be replaced while the server runs.

use crate::certificate::Certificate;
use crate::refusals::Reason;
use crate::write_timeout::WriteTimeout;
use parking_lot::RwLock;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{InconsistentKeys, ServerConfig};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Most certificates of a chain.
pub const CERTIFICATES_MAX: usize = 10;
/// HTTP/2, as ALPN names it.
pub(crate) const HTTP_2: &[u8] = b"h2";
/// First byte of a TLS connection: a record of the handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;
/// The answer to plain HTTP.
const HTTPS_ONLY: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 55\r\n\
                          Connection: close\r\n\r\nThis address speaks HTTPS only: begin it with https://\n";

/// Why certificate and key are of no use.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// No certificate in the file.
    #[error("the certificate's file holds no certificate: it has to begin with -----BEGIN CERTIFICATE-----")]
    NoCertificate,
    /// One of them cannot be read.
    #[error("a certificate in the file cannot be read: it is damaged, or no PEM")]
    Certificate,
    /// More than a chain has.
    #[error(
        "the certificate's file holds more than {CERTIFICATES_MAX} certificates: give the server's and its chain"
    )]
    TooManyCertificates,
    /// No key in the file.
    #[error(
        "the key's file holds no private key: it has to hold -----BEGIN PRIVATE KEY-----, without a passphrase"
    )]
    NoKey,
    /// It cannot be read.
    #[error("the private key cannot be read: it is damaged, or no PEM")]
    Key,
    /// Certificate and key do not belong together.
    #[error("the key does not belong to the first certificate of the file")]
    Mismatch,
    /// The TLS library refuses them.
    #[error("certificate and key cannot be used: {0}")]
    Library(#[from] rustls::Error),
}

/// A certificate with its chain and its key.
pub struct Identity {
    config: Arc<ServerConfig>,
    certificate: CertificateDer<'static>,
}

impl Identity {
    /// Reads both from PEM (RFC 7468), the server's certificate first.
    ///
    /// # Errors
    /// Says which of them is of no use. Dates are not looked at.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificates)
            .take(CERTIFICATES_MAX + 1)
            .collect::<Result<_, _>>()
            .map_err(|_| IdentityError::Certificate)?;
        if chain.is_empty() {
            return Err(IdentityError::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|why| match why {
            rustls::pki_types::pem::Error::NoItemsFound => IdentityError::NoKey,
            _ => IdentityError::Key,
        })?;
        Self::new(chain, key)
    }

    /// Of a chain, the server's certificate first, and its key.
    ///
    /// # Errors
    /// Says which of them is of no use. Dates are not looked at.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, IdentityError> {
        let certificate = chain.first().ok_or(IdentityError::NoCertificate)?.clone();
        if chain.len() > CERTIFICATES_MAX {
            return Err(IdentityError::TooManyCertificates);
        }
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|why| match why {
                rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => IdentityError::Mismatch,
                rustls::Error::InvalidCertificate(_) => IdentityError::Certificate,
                why => IdentityError::Library(why),
            })?;
        config.alpn_protocols = vec![HTTP_2.to_vec(), b"http/1.1".to_vec()];
        // A request that arrives before the handshake has ended could be sent again by anybody.
        config.max_early_data_size = 0;
        Ok(Self { config: Arc::new(config), certificate })
    }

    /// The server's certificate.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

/// What is shown to clients, and what is told of it.
struct Shown {
    config: Arc<ServerConfig>,
    certificate: Certificate,
}

/// TLS under the identity in force.
#[derive(Clone)]
pub struct Tls(Arc<RwLock<Shown>>);

impl Tls {
    /// Under this identity, whose certificate ends so many seconds after 1970.
    #[must_use]
    pub fn new(identity: &Identity, ends_s: i64) -> Self {
        Self(Arc::new(RwLock::new(shown(identity, ends_s))))
    }

    /// Shows another identity from the next connection on. Connections that are open stay; none of an earlier
    /// identity is resumed.
    pub fn replace(&self, identity: &Identity, ends_s: i64) {
        *self.0.write() = shown(identity, ends_s);
    }

    /// Says whether the certificate's files hold another, which is of no use.
    pub fn set_renewal_refused(&self, refused: bool) {
        self.0.write().certificate.renewal_refused = refused;
    }

    /// The certificate in force.
    #[must_use]
    pub fn certificate(&self) -> Certificate {
        self.0.read().certificate
    }

    fn acceptor(&self) -> TlsAcceptor {
        self.0.read().config.clone().into()
    }

    /// Shakes hands within a time; afterwards a write that is stuck for `taken` fails. A client that speaks plain
    /// HTTP is told so.
    ///
    /// # Errors
    /// The reason, unless the client left without a word.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
        within: Duration,
        taken: Duration,
    ) -> Result<TlsStream<WriteTimeout>, Option<Reason>> {
        let handshake = async {
            match first_byte(&stream).await {
                None => Err(None),
                Some(HANDSHAKE) => {
                    let shaken = self.acceptor().accept(WriteTimeout::new(stream, taken)).await;
                    shaken.map_err(|_| Some(Reason::Tls))
                }
                Some(byte) if byte.is_ascii_uppercase() => {
                    // Whoever has gone meanwhile needs no answer.
                    let _ = say_https_only(stream).await;
                    Err(Some(Reason::PlainHttp))
                }
                Some(_) => Err(Some(Reason::Tls)),
            }
        };
        tokio::time::timeout(within, handshake).await.unwrap_or(Err(Some(Reason::SlowHead)))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

fn shown(identity: &Identity, ends_s: i64) -> Shown {
    Shown { config: identity.config.clone(), certificate: Certificate { ends_s, renewal_refused: false } }
}

/// The first byte that the client sends, left where it is; none if it closes or breaks off.
async fn first_byte(stream: &TcpStream) -> Option<u8> {
    let mut first = [0];
    let read = stream.peek(&mut first).await.ok()?;
    (read == 1).then_some(first[0])
}

async fn say_https_only(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(HTTPS_ONLY.as_bytes()).await?;
    stream.shutdown().await?;
    // A connection that is closed with unread bytes is reset, and the answer may be lost: read until the client closes.
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_plain_http_has_the_length_it_says() {
        let (head, body) = HTTPS_ONLY.split_once("\r\n\r\n").expect("a head");
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{}", body.len());
    }
}
