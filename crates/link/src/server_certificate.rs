//! Fetches a node's certificates, for clients that cannot pin a bare key.

use crate::tls::{connect_error, key_of};
use crate::uplink::{CONNECT_TIMEOUT, ConnectError};
use rustls::{ClientConfig, pki_types::ServerName};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// The certificates (DER) of one key that the node at `address` (`host:port`) has. `tls` comes from
/// [`crate::tls::client_config`], so a node without the pinned key is an error, and the certificates
/// may be trusted as much as the pin. A client should trust all of them: which one it is shown first
/// depends on others behind its address.
///
/// # Errors
/// If the node cannot be reached, or does not hold the key.
pub async fn fetch(address: &str, tls: Arc<ClientConfig>) -> Result<Vec<Vec<u8>>, ConnectError> {
    let handshake = async {
        let tcp = TcpStream::connect(address).await.map_err(ConnectError::Unreachable)?;
        let name = ServerName::try_from("node.invalid").map_err(|e| ConnectError::Protocol(e.to_string()))?;
        let stream = TlsConnector::from(tls).connect(name, tcp).await.map_err(connect_error)?;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let first = chain.first().ok_or_else(|| ConnectError::Protocol("it showed no certificate".into()))?;
        let same_key = chain.iter().filter(|certificate| key_of(certificate) == key_of(first));
        Ok(same_key.map(|certificate| certificate.as_ref().to_vec()).collect())
    };
    timeout(CONNECT_TIMEOUT, handshake).await.map_err(|_| ConnectError::TimedOut)?
}
