//! The node's listener: a tokio shell around [`super::server_session::ServerSession`]. Every connection
//! is its own task; a slow or hostile one holds up nobody else.

use super::connection::Connection;
use crate::endpoint::{ConnectionPermit, Endpoint};
use crate::node_certificates::NodeCertificates;
use crate::refusal::LinkRefusal;
use crate::unauthenticated::{UnauthenticatedSlot, evicted};
use crate::{Stop, stopped, tls};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

/// Pause after the system could not accept a connection (out of descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves devices on `listener` until `stop`, then ends every session and returns. `tls` are the node's
/// certificates, or one configuration from [`tls::server_config`], with the registry of `endpoint`.
pub async fn serve(
    listener: TcpListener,
    tls: impl Into<NodeCertificates>,
    endpoint: Arc<Endpoint>,
    mut stop: Stop,
) {
    let certificates = Arc::new(tls.into());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stopped(&mut stop) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                // The refused are closed at once: a flood of them costs a descriptor each for a
                // moment, and registered devices that are in stay in.
                Ok((tcp, from)) => match endpoint.accept(from.ip()) {
                    Ok((permit, slot)) => {
                        let client = Client { tcp, address: from.ip(), permit, slot };
                        let (certificates, endpoint, stop) = (certificates.clone(), endpoint.clone(), stop.clone());
                        connections.spawn(async move {
                            let connection = connection(client, certificates, endpoint, stop);
                            if let Err(why) = connection.await {
                                tracing::debug!(%why, "A connection ended: {why}");
                            }
                        });
                    }
                    Err(why) => {
                        endpoint.ingress().turned_away(why);
                        tracing::debug!(%why, "Refused a connection: {why}");
                    }
                },
                Err(error) => {
                    tracing::warn!(%error, "Could not accept a connection: {error}");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// One that has connected, and what it holds of the node.
struct Client {
    tcp: TcpStream,
    address: IpAddr,
    permit: ConnectionPermit,
    slot: UnauthenticatedSlot,
}

async fn connection(
    client: Client,
    certificates: Arc<NodeCertificates>,
    endpoint: Arc<Endpoint>,
    mut stop: Stop,
) -> Result<(), String> {
    let Client { tcp, address, permit, slot } = client;
    let (certificate, acceptor) = certificates.acceptor(address);
    tcp.set_nodelay(true).map_err(|error| error.to_string())?;
    let connect_by = Instant::now() + endpoint.bounds().connect_timeout;
    let mut slot = Some(slot);
    let refused = |why: LinkRefusal| {
        endpoint.ingress().turned_away(why);
        why.to_string()
    };
    let stream = tokio::select! {
        accepted = timeout_at(connect_by, acceptor.accept(tcp)) => accepted
            .map_err(|_| refused(LinkRefusal::HandshakeSlow))?
            .map_err(|error| {
                if tls::is_certificate_refused(&error) {
                    certificates.refused(address, certificate);
                }
                format!("{}: {error}", refused(tls::refusal_of(&error)))
            })?,
        () = evicted(&mut slot) => return Err(refused(LinkRefusal::UnauthenticatedEvicted)),
        () = stopped(&mut stop) => return Ok(()),
    };
    let key = stream.get_ref().1.peer_certificates().and_then(|chain| tls::key_of(chain.first()?));
    let key = key.ok_or_else(|| refused(LinkRefusal::CertificateWrong))?;
    let ended = Connection::open(stream, key, endpoint, slot)?.run(connect_by, stop).await;
    drop(permit);
    ended
}

/// One session over a stream whose other end is known to hold `key`: all that [`serve`] does after a
/// handshake. It measures what a node costs without TLS; it listens on nothing.
///
/// # Errors
/// Why the session ended, a sentence.
pub async fn serve_stream(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    key: [u8; 32],
    endpoint: Arc<Endpoint>,
    stop: Stop,
) -> Result<(), String> {
    let (_permit, slot) = endpoint.accept(IpAddr::V6(Ipv6Addr::LOCALHOST)).map_err(|why| why.to_string())?;
    let connect_by = Instant::now() + endpoint.bounds().connect_timeout;
    Connection::open(stream, key, endpoint, Some(slot))?.run(connect_by, stop).await
}
