//! Fetches a node's certificate, for clients that cannot pin a bare key.

use crate::tls::connect_error;
use crate::uplink::{CONNECT_TIMEOUT, ConnectError};
use rustls::{ClientConfig, pki_types::ServerName};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// The certificate (DER) that the node at `address` (`host:port`) shows. `tls` comes from
/// [`crate::tls::client_config`], so a node without the pinned key is an error, and the certificate
/// may be trusted as much as the pin.
pub async fn fetch(address: &str, tls: Arc<ClientConfig>) -> Result<Vec<u8>, ConnectError> {
    let handshake = async {
        let tcp = TcpStream::connect(address).await.map_err(ConnectError::Unreachable)?;
        let name = ServerName::try_from("node.invalid").map_err(|e| ConnectError::Protocol(e.to_string()))?;
        let stream = TlsConnector::from(tls).connect(name, tcp).await.map_err(connect_error)?;
        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let shown = shown.ok_or_else(|| ConnectError::Protocol("it showed no certificate".into()))?;
        Ok(shown.as_ref().to_vec())
    };
    timeout(CONNECT_TIMEOUT, handshake).await.map_err(|_| ConnectError::TimedOut)?
}
