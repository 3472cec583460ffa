//! The device's connection to a node: a tokio shell around [`crate::mqtt::client_session::Uplink`].

use crate::mqtt::client_session::{Happening, Uplink};
use crate::{REASON_BYTES_MAX, UP_PACKET_BYTES_MAX};
use rustls::{ClientConfig, pki_types::ServerName};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};
use vitals::DeviceId;

/// Longest wait for connection, TLS and the node's welcome together.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for the node to take bytes.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);
/// Pings go out this often, whatever else is sent.
const PING_EVERY: Duration = Duration::from_secs(5);
/// Silence after which the node is taken for lost.
const SILENCE_MAX: Duration = Duration::from_secs(15);
const KEEP_ALIVE_S: u16 = 20;
/// Events waiting for their reader before bytes are no longer read.
const EVENTS_MAX: usize = 256;
const READ_BYTES: usize = 16 * 1024;

/// Names one publish on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublishId(pub u64);

/// What the node said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Durable at the node. Only a receipt lets the device forget it.
    Acked {
        /// Which publish.
        id: PublishId,
    },
    /// Refused; `code` is the MQTT reason code (0x97: try again later).
    Refused {
        /// Which publish.
        id: PublishId,
        /// MQTT reason code.
        code: u8,
        /// The node's sentence.
        reason: String,
    },
    /// A receipt.
    Receipt(Vec<u8>),
    /// A proof delivery.
    Proof(Vec<u8>),
    /// A command to one of the gateway's bedsides, of at most [`crate::COMMAND_PAYLOAD_MAX`] bytes.
    Command(Vec<u8>),
    /// Something longer than any command, on the topic of commands: thrown away.
    CommandTooLong(usize),
    /// The connection is gone; nothing follows.
    Closed(String),
}

/// The reason code that asks to try again later.
pub const CODE_BUSY: u8 = 0x97;

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No way to the node: try again later.
    #[error("the node cannot be reached: {0}")]
    Unreachable(#[source] std::io::Error),
    /// The node did not answer in time: try again later.
    #[error("the node did not answer within {} s", CONNECT_TIMEOUT.as_secs())]
    TimedOut,
    /// Whoever answered does not hold the pinned key.
    #[error("whoever answers at this address does not hold the key this gateway was paired with")]
    NotThePinnedNode,
    /// The node's registry does not admit this device.
    #[error("the node does not admit this gateway's certificate: its key is not registered, or revoked")]
    NotAdmitted,
    /// The node refused at MQTT level.
    #[error("the node refused the connection (0x{code:02x}): {reason}")]
    Refused {
        /// CONNACK reason code.
        code: u8,
        /// The node's sentence.
        reason: String,
    },
    /// Bytes that are no TLS or MQTT.
    #[error("the node broke the protocol: {0}")]
    Protocol(String),
}

/// Why a publish was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// As many are unacknowledged as the node allows; wait for an acknowledgement.
    #[error("the node's window is full")]
    Full,
    /// The connection is gone.
    #[error("the connection is closed")]
    Closed,
    /// No node takes so long an envelope.
    #[error("the envelope is longer than a node takes")]
    TooLong,
}

struct Command {
    id: PublishId,
    alarm: bool,
    bytes: Vec<u8>,
}

/// Publishes envelopes; dropping it says goodbye to the node.
#[derive(Debug)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    window: usize,
    unacked: Arc<AtomicUsize>,
    next: AtomicU64,
}

/// What the node says, in order.
#[derive(Debug)]
pub struct Events(mpsc::Receiver<Event>);

impl Events {
    /// The next event; none after [`Event::Closed`].
    pub async fn next(&mut self) -> Option<Event> {
        self.0.recv().await
    }

    /// The next event if one is there.
    pub fn try_next(&mut self) -> Option<Event> {
        self.0.try_recv().ok()
    }
}

impl Client {
    /// Connects to `address` (`host:port`) as `device` and listens for receipts and proofs.
    pub async fn connect(
        address: &str,
        tls: Arc<ClientConfig>,
        device: DeviceId,
    ) -> Result<(Self, Events), ConnectError> {
        let (wire, window) = timeout(CONNECT_TIMEOUT, Wire::open(address, tls, device))
            .await
            .map_err(|_| ConnectError::TimedOut)??;
        let window = usize::from(window);
        let (commands, orders) = mpsc::channel(window);
        let (tell, events) = mpsc::channel(EVENTS_MAX);
        let unacked = Arc::new(AtomicUsize::new(0));
        tokio::spawn(wire.run(orders, tell, unacked.clone()));
        Ok((Self { commands, window, unacked, next: AtomicU64::new(0) }, Events(events)))
    }

    /// Publishes one envelope without waiting; its acknowledgement comes as an event.
    pub fn publish(&self, alarm: bool, bytes: Vec<u8>) -> Result<PublishId, PublishError> {
        // Topic and fixed header fit the margin between the two bounds.
        if bytes.len() > UP_PACKET_BYTES_MAX as usize - 1024 {
            return Err(PublishError::TooLong);
        }
        let taken = self.unacked.fetch_update(Ordering::AcqRel, Ordering::Acquire, |unacked| {
            (unacked < self.window).then_some(unacked + 1)
        });
        if taken.is_err() {
            return Err(if self.commands.is_closed() { PublishError::Closed } else { PublishError::Full });
        }
        let id = PublishId(self.next.fetch_add(1, Ordering::Relaxed));
        // Room is certain: the channel is as long as the window.
        self.commands.try_send(Command { id, alarm, bytes }).map_err(|_| PublishError::Closed)?;
        Ok(id)
    }

    /// Publishes that may still be made before an acknowledgement must come.
    #[must_use]
    pub fn room(&self) -> usize {
        self.window.saturating_sub(self.unacked.load(Ordering::Acquire))
    }
}

struct Wire {
    stream: TlsStream<TcpStream>,
    uplink: Uplink,
    told: VecDeque<Event>,
}

impl Wire {
    async fn open(
        address: &str,
        tls: Arc<ClientConfig>,
        device: DeviceId,
    ) -> Result<(Self, u16), ConnectError> {
        let tcp = TcpStream::connect(address).await.map_err(ConnectError::Unreachable)?;
        tcp.set_nodelay(true).map_err(ConnectError::Unreachable)?;
        // The name is never looked at: the key is pinned.
        let name = ServerName::try_from("node.invalid").map_err(|e| ConnectError::Protocol(e.to_string()))?;
        let stream = TlsConnector::from(tls).connect(name, tcp).await.map_err(explain)?;
        let mut wire = Self { stream, uplink: Uplink::new(device, KEEP_ALIVE_S), told: VecDeque::new() };
        let mut buffer = vec![0; READ_BYTES];
        loop {
            wire.flush().await.map_err(explain)?;
            let read = wire.stream.read(&mut buffer).await.map_err(explain)?;
            if read == 0 {
                return Err(ConnectError::Protocol("it closed the connection without a word".into()));
            }
            let mut ready = None;
            for happening in wire.uplink.receive(&buffer[..read]) {
                match happening {
                    Happening::Ready { window } => ready = Some(window),
                    Happening::Refused { code, reason } => {
                        return Err(ConnectError::Refused { code, reason });
                    }
                    Happening::Close(why) => return Err(ConnectError::Protocol(why)),
                    // A receipt may overtake the end of the welcome.
                    Happening::Told(event) => wire.told.push_back(event),
                }
            }
            if let Some(window) = ready {
                return Ok((wire, window));
            }
        }
    }

    async fn flush(&mut self) -> std::io::Result<()> {
        let out = self.uplink.take_output();
        if out.is_empty() {
            return Ok(());
        }
        let write = async {
            self.stream.write_all(&out).await?;
            self.stream.flush().await
        };
        timeout(WRITE_TIMEOUT, write).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
    }

    async fn run(
        mut self,
        mut orders: mpsc::Receiver<Command>,
        tell: mpsc::Sender<Event>,
        unacked: Arc<AtomicUsize>,
    ) {
        let why = self.serve(&mut orders, &tell, &unacked).await;
        let _ = timeout(WRITE_TIMEOUT, async {
            let _ = self.flush().await;
            let _ = self.stream.shutdown().await;
        })
        .await;
        for event in self.told.drain(..) {
            if tell.send(event).await.is_err() {
                return;
            }
        }
        let _ = tell.send(Event::Closed(why)).await;
    }

    async fn serve(
        &mut self,
        orders: &mut mpsc::Receiver<Command>,
        tell: &mpsc::Sender<Event>,
        unacked: &AtomicUsize,
    ) -> String {
        let mut buffer = vec![0; READ_BYTES];
        let mut ping_at = Instant::now() + PING_EVERY;
        let mut silent_at = Instant::now() + SILENCE_MAX;
        loop {
            tokio::select! {
                permit = tell.reserve(), if !self.told.is_empty() => match (permit, self.told.pop_front()) {
                    (Ok(permit), Some(event)) => permit.send(event),
                    _ => { self.uplink.goodbye(); return "nobody listens any more".into() }
                },
                order = orders.recv() => {
                    let Some(order) = order else { self.uplink.goodbye(); return "the gateway said goodbye".into() };
                    self.publish(order, unacked);
                    while let Ok(order) = orders.try_recv() {
                        self.publish(order, unacked);
                    }
                }
                read = self.stream.read(&mut buffer), if self.told.len() < EVENTS_MAX => {
                    let read = match read {
                        Ok(0) => return "the node closed the connection".into(),
                        Ok(read) => read,
                        Err(error) => return explain(error).to_string(),
                    };
                    silent_at = Instant::now() + SILENCE_MAX;
                    if let Some(why) = self.take(&buffer[..read], unacked) {
                        return why;
                    }
                }
                () = sleep_until(ping_at) => {
                    self.uplink.ping();
                    ping_at = Instant::now() + PING_EVERY;
                }
                // Not while reading is paused: the silence would be ours.
                () = sleep_until(silent_at), if self.told.len() < EVENTS_MAX => {
                    return format!("the node kept silent for {} s", SILENCE_MAX.as_secs());
                }
            }
            if let Err(error) = self.flush().await {
                return explain(error).to_string();
            }
        }
    }

    fn publish(&mut self, order: Command, unacked: &AtomicUsize) {
        if !self.uplink.publish(order.id, order.alarm, order.bytes) {
            unacked.fetch_sub(1, Ordering::AcqRel);
            let reason = "the node takes no packet of this length".to_owned();
            debug_assert!(reason.len() <= REASON_BYTES_MAX);
            self.told.push_back(Event::Refused { id: order.id, code: 0x95, reason });
        }
    }

    fn take(&mut self, bytes: &[u8], unacked: &AtomicUsize) -> Option<String> {
        for happening in self.uplink.receive(bytes) {
            match happening {
                Happening::Told(event) => {
                    if matches!(event, Event::Acked { .. } | Event::Refused { .. }) {
                        unacked.fetch_sub(1, Ordering::AcqRel);
                    }
                    self.told.push_back(event);
                }
                Happening::Close(why) => return Some(why),
                Happening::Ready { .. } | Happening::Refused { .. } => {}
            }
        }
        None
    }
}

/// Says whose move a broken connection is, as far as TLS tells.
pub(crate) fn explain(error: std::io::Error) -> ConnectError {
    use rustls::{AlertDescription as Alert, Error};
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(_)) => ConnectError::NotThePinnedNode,
        Some(Error::AlertReceived(
            Alert::AccessDenied
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRequired
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown,
        )) => ConnectError::NotAdmitted,
        Some(other) => ConnectError::Protocol(other.to_string()),
        None => ConnectError::Unreachable(error),
    }
}
