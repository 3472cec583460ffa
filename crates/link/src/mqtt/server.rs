//! The node's listener: a tokio shell around [`crate::mqtt::server_session::Session`]. Every connection is its
//! own task; a slow or hostile one holds up nobody else.

use crate::ingress::{Ingress, Registry};
use crate::mqtt::connection::Talk;
use crate::quota::{Buckets, Rate};
use crate::refusal::LinkRefusal;
use crate::sessions::Sessions;
use crate::unauthenticated::{Origin, Place, Strangers, evicted};
use crate::{Stop, stopped, tls};
use rustls::ServerConfig;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_rustls::TlsAcceptor;
use vitals::DeviceId;

/// Pause after the system could not accept a connection (out of descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What one node lets its clients take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Connections at a time.
    pub connections_max: usize,
    /// Connections at a time that have not shown a registered key yet.
    pub strangers_max: usize,
    /// Of these, those of one address (IPv6: of one /64).
    pub strangers_per_address_max: usize,
    /// Connections of one address. The burst lets a full house behind one address come back at once.
    pub address_rate: Rate,
    /// Connections of one device.
    pub device_rate: Rate,
    /// Bytes of one connection, each packet counted as [`PACKET_COST_BYTES`] more. Beyond, it is read
    /// later: nothing is refused.
    pub pace: Rate,
    /// Publishes of one connection that are refused for their topic or length.
    pub refusal_rate: Rate,
    /// From the TCP connection to the MQTT CONNECT.
    pub connect_timeout: Duration,
    /// From the first byte of a packet to its last.
    pub packet_timeout: Duration,
    /// For the client to take what is sent to it.
    pub write_timeout: Duration,
    /// How often a connected device's registration is looked up again.
    pub registry_every: Duration,
}

/// What a packet costs of a connection's pace beside its bytes.
pub const PACKET_COST_BYTES: usize = 512;

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            strangers_max: 256,
            strangers_per_address_max: 64,
            address_rate: Rate { burst: 4096, per_s: 64 },
            device_rate: Rate { burst: 30, per_s: 1 },
            pace: Rate { burst: 128 << 20, per_s: 32 << 20 },
            refusal_rate: Rate { burst: 64, per_s: 1 },
            connect_timeout: Duration::from_secs(10),
            packet_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(20),
            registry_every: Duration::from_secs(2),
        }
    }
}

/// What every connection of one listener shares.
pub(crate) struct House {
    pub(crate) ingress: Arc<dyn Ingress>,
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) bounds: Bounds,
    since: Instant,
    strangers: Arc<Strangers>,
    addresses: Mutex<Buckets<Origin>>,
    devices: Mutex<Buckets<DeviceId>>,
}

impl House {
    fn new(
        ingress: Arc<dyn Ingress>,
        registry: Arc<dyn Registry>,
        sessions: Arc<Sessions>,
        bounds: Bounds,
    ) -> Arc<Self> {
        Arc::new(Self {
            ingress,
            registry,
            sessions,
            bounds,
            since: Instant::now(),
            strangers: Strangers::new(bounds.strangers_max, bounds.strangers_per_address_max),
            addresses: Mutex::new(Buckets::new(bounds.address_rate)),
            devices: Mutex::new(Buckets::new(bounds.device_rate)),
        })
    }

    /// For token buckets: milliseconds since this house was opened.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A place for a connection that has shown nothing yet.
    fn enter(&self, address: IpAddr, open: usize) -> Result<Place, LinkRefusal> {
        let origin = Origin::of(address);
        if open >= self.bounds.connections_max {
            return Err(LinkRefusal::ConnectionsFull);
        }
        if !self.addresses.lock().unwrap_or_else(PoisonError::into_inner).take(origin, self.now_ms()) {
            return Err(LinkRefusal::AddressRate);
        }
        self.strangers.enter(origin)
    }

    /// May this device connect again already?
    pub(crate) fn welcomes(&self, device: DeviceId) -> bool {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner).take(device, self.now_ms())
    }
}

/// Serves devices on `listener` until `stop`, then tells each goodbye and returns. `tls` comes from
/// [`tls::server_config`] with the same `registry`.
pub async fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    ingress: Arc<dyn Ingress>,
    registry: Arc<dyn Registry>,
    sessions: Arc<Sessions>,
    bounds: Bounds,
    mut stop: Stop,
) {
    let acceptor = TlsAcceptor::from(tls);
    let house = House::new(ingress, registry, sessions, bounds);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stopped(&mut stop) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                // The refused are closed at once: a flood of them costs a descriptor each for a
                // moment, and registered devices that are in stay in.
                Ok((tcp, from)) => match house.enter(from.ip(), connections.len()) {
                    Ok(place) => {
                        let (acceptor, house, stop) = (acceptor.clone(), house.clone(), stop.clone());
                        connections.spawn(async move {
                            let connection = connection(tcp, acceptor, house, place, stop);
                            if let Err(why) = connection.await {
                                tracing::debug!(%why, "A connection ended: {why}");
                            }
                        });
                    }
                    Err(why) => {
                        house.ingress.turned_away(why);
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

async fn connection(
    tcp: TcpStream,
    acceptor: TlsAcceptor,
    house: Arc<House>,
    place: Place,
    mut stop: Stop,
) -> Result<(), String> {
    tcp.set_nodelay(true).map_err(|error| error.to_string())?;
    let connect_by = Instant::now() + house.bounds.connect_timeout;
    let mut place = Some(place);
    let refused = |why: LinkRefusal| {
        house.ingress.turned_away(why);
        why.to_string()
    };
    let stream = tokio::select! {
        accepted = timeout_at(connect_by, acceptor.accept(tcp)) => accepted
            .map_err(|_| refused(LinkRefusal::HandshakeSlow))?
            .map_err(|error| format!("{}: {error}", refused(tls::refusal_of(&error))))?,
        () = evicted(&mut place) => return Err(refused(LinkRefusal::StrangerEvicted)),
        () = stopped(&mut stop) => return Ok(()),
    };
    let key = stream.get_ref().1.peer_certificates().and_then(|chain| tls::key_of(chain.first()?));
    let key = key.ok_or_else(|| refused(LinkRefusal::CertificateWrong))?;
    Talk::open(stream, key, house, place)?.run(connect_by, stop).await
}

/// One session over a stream whose other end is known to hold `key`: all that [`serve`] does after a
/// handshake. It shows what a node costs without TLS; it listens on nothing.
///
/// # Errors
/// Why the session ended, a sentence.
pub async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    key: [u8; 32],
    ingress: Arc<dyn Ingress>,
    registry: Arc<dyn Registry>,
    sessions: Arc<Sessions>,
    bounds: Bounds,
    stop: Stop,
) -> Result<(), String> {
    let house = House::new(ingress, registry, sessions, bounds);
    let place = house.enter(IpAddr::V6(Ipv6Addr::LOCALHOST), 0).map_err(|why| why.to_string())?;
    let connect_by = Instant::now() + bounds.connect_timeout;
    Talk::open(stream, key, house, Some(place))?.run(connect_by, stop).await
}
