//! The device's connection to a node: a tokio shell around [`ClientSession`].

use super::UP_PACKET_BYTES_MAX;
use super::client_session::{ClientEvent, ClientSession};
use crate::tls::connect_error;
use crate::uplink::{
    CONNECT_TIMEOUT, ConnectError, Event, Events, PublishError, PublishId, Rejection, Uplink,
};
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

/// Too long for the node's largest packet: our own code, in MQTT's words.
const TOO_LONG: Rejection = Rejection::Other(0x95);

struct Publish {
    id: PublishId,
    alarm: bool,
    bytes: Vec<u8>,
}

/// An [`Uplink`] over MQTT.
#[derive(Debug)]
pub struct Client {
    publishes: mpsc::Sender<Publish>,
    window: usize,
    unacked: Arc<AtomicUsize>,
    next: AtomicU64,
}

impl Client {
    /// Connects to `address` (`host:port`) as `device` and subscribes to everything the node sends to it.
    ///
    /// # Errors
    /// Why there is no session, and whose move it is.
    pub async fn connect(
        address: &str,
        tls: Arc<ClientConfig>,
        device: DeviceId,
    ) -> Result<(Self, Events), ConnectError> {
        let (connection, window) = timeout(CONNECT_TIMEOUT, Connection::open(address, tls, device))
            .await
            .map_err(|_| ConnectError::TimedOut)??;
        let window = usize::from(window);
        let (publishes, to_publish) = mpsc::channel(window);
        let (sender, events) = Events::channel(EVENTS_MAX);
        let unacked = Arc::new(AtomicUsize::new(0));
        tokio::spawn(connection.run(to_publish, sender, unacked.clone()));
        Ok((Self { publishes, window, unacked, next: AtomicU64::new(0) }, events))
    }
}

impl Uplink for Client {
    fn publish(&self, alarm: bool, bytes: Vec<u8>) -> Result<PublishId, PublishError> {
        // Topic and fixed header fit the margin between the two bounds.
        if bytes.len() > UP_PACKET_BYTES_MAX as usize - 1024 {
            return Err(PublishError::TooLong);
        }
        let taken = self.unacked.fetch_update(Ordering::AcqRel, Ordering::Acquire, |unacked| {
            (unacked < self.window).then_some(unacked + 1)
        });
        if taken.is_err() {
            return Err(if self.publishes.is_closed() { PublishError::Closed } else { PublishError::Full });
        }
        let id = PublishId(self.next.fetch_add(1, Ordering::Relaxed));
        // Room is certain: the channel is as long as the window.
        self.publishes.try_send(Publish { id, alarm, bytes }).map_err(|_| PublishError::Closed)?;
        Ok(id)
    }

    fn room(&self) -> usize {
        self.window.saturating_sub(self.unacked.load(Ordering::Acquire))
    }
}

struct Connection {
    stream: TlsStream<TcpStream>,
    session: ClientSession,
    /// Waiting for their reader.
    events: VecDeque<Event>,
}

/// Why a connection ended.
struct End {
    taken_over: bool,
    why: String,
}

impl From<String> for End {
    fn from(why: String) -> Self {
        Self { taken_over: false, why }
    }
}

impl Connection {
    async fn open(
        address: &str,
        tls: Arc<ClientConfig>,
        device: DeviceId,
    ) -> Result<(Self, u16), ConnectError> {
        let tcp = TcpStream::connect(address).await.map_err(ConnectError::Unreachable)?;
        tcp.set_nodelay(true).map_err(ConnectError::Unreachable)?;
        // The name is not checked: the key is pinned.
        let name = ServerName::try_from("node.invalid").map_err(|e| ConnectError::Protocol(e.to_string()))?;
        let stream = TlsConnector::from(tls).connect(name, tcp).await.map_err(connect_error)?;
        let session = ClientSession::new(device, KEEP_ALIVE_S);
        let mut connection = Self { stream, session, events: VecDeque::new() };
        let mut buffer = vec![0; READ_BYTES];
        loop {
            connection.flush().await.map_err(connect_error)?;
            let read = connection.stream.read(&mut buffer).await.map_err(connect_error)?;
            if read == 0 {
                return Err(ConnectError::Protocol("it closed the connection without a word".into()));
            }
            let mut ready = None;
            for event in connection.session.receive(&buffer[..read]) {
                match event {
                    ClientEvent::Ready { window } => ready = Some(window),
                    ClientEvent::Refused { code, reason } => {
                        return Err(ConnectError::Refused { code, reason });
                    }
                    ClientEvent::Close { why, .. } => return Err(ConnectError::Protocol(why)),
                    // A receipt may come before the session is ready.
                    ClientEvent::Uplink(event) => connection.events.push_back(event),
                }
            }
            if let Some(window) = ready {
                return Ok((connection, window));
            }
        }
    }

    async fn flush(&mut self) -> std::io::Result<()> {
        let out = self.session.take_output();
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
        mut publishes: mpsc::Receiver<Publish>,
        sender: mpsc::Sender<Event>,
        unacked: Arc<AtomicUsize>,
    ) {
        let End { taken_over, why } = self.serve(&mut publishes, &sender, &unacked).await;
        let _ = timeout(WRITE_TIMEOUT, async {
            let _ = self.flush().await;
            let _ = self.stream.shutdown().await;
        })
        .await;
        for event in self.events.drain(..) {
            if sender.send(event).await.is_err() {
                return;
            }
        }
        let _ = sender.send(Event::Closed { taken_over, why }).await;
    }

    async fn serve(
        &mut self,
        publishes: &mut mpsc::Receiver<Publish>,
        sender: &mpsc::Sender<Event>,
        unacked: &AtomicUsize,
    ) -> End {
        let mut buffer = vec![0; READ_BYTES];
        let mut ping_at = Instant::now() + PING_EVERY;
        let mut silent_at = Instant::now() + SILENCE_MAX;
        loop {
            tokio::select! {
                permit = sender.reserve(), if !self.events.is_empty() => match (permit, self.events.pop_front()) {
                    (Ok(permit), Some(event)) => permit.send(event),
                    _ => {
                        self.session.goodbye();
                        return "nobody listens any more".to_owned().into();
                    }
                },
                publish = publishes.recv() => {
                    let Some(publish) = publish else {
                        self.session.goodbye();
                        return "the gateway said goodbye".to_owned().into();
                    };
                    self.publish(publish, unacked);
                    while let Ok(publish) = publishes.try_recv() {
                        self.publish(publish, unacked);
                    }
                }
                read = self.stream.read(&mut buffer), if self.events.len() < EVENTS_MAX => {
                    let read = match read {
                        Ok(0) => return "the node closed the connection".to_owned().into(),
                        Ok(read) => read,
                        Err(error) => return connect_error(error).to_string().into(),
                    };
                    silent_at = Instant::now() + SILENCE_MAX;
                    if let Some(end) = self.receive(&buffer[..read], unacked) {
                        return end;
                    }
                }
                () = sleep_until(ping_at) => {
                    self.session.ping();
                    ping_at = Instant::now() + PING_EVERY;
                }
                // Not while reading is paused: the silence would be ours.
                () = sleep_until(silent_at), if self.events.len() < EVENTS_MAX => {
                    return format!("the node kept silent for {} s", SILENCE_MAX.as_secs()).into();
                }
            }
            if let Err(error) = self.flush().await {
                return connect_error(error).to_string().into();
            }
        }
    }

    fn publish(&mut self, publish: Publish, unacked: &AtomicUsize) {
        if !self.session.publish(publish.id, publish.alarm, publish.bytes) {
            unacked.fetch_sub(1, Ordering::AcqRel);
            let sentence = "the node takes no packet of this length".to_owned();
            self.events.push_back(Event::Refused { id: publish.id, why: TOO_LONG, sentence });
        }
    }

    fn receive(&mut self, bytes: &[u8], unacked: &AtomicUsize) -> Option<End> {
        for event in self.session.receive(bytes) {
            match event {
                ClientEvent::Uplink(event) => {
                    if matches!(event, Event::Acked { .. } | Event::Refused { .. }) {
                        unacked.fetch_sub(1, Ordering::AcqRel);
                    }
                    self.events.push_back(event);
                }
                ClientEvent::Close { taken_over, why } => return Some(End { taken_over, why }),
                ClientEvent::Ready { .. } | ClientEvent::Refused { .. } => {}
            }
        }
        None
    }
}
