//! The node's listener: a tokio shell around [`crate::session::Session`]. Every connection is its
//! own task; a slow or hostile one holds up nobody else.

use crate::ingress::{Ingress, Registry, Reply, Verdict};
use crate::session::{Happening, Session};
use crate::topic::Lane;
use crate::{Stop, stopped, tls};
use rustls::ServerConfig;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use vitals::DeviceId;

/// Receipts waiting for one device's connection.
const RECEIPTS_MAX: usize = 256;
/// Proof deliveries waiting for one device's connection; each may be large.
const PROOFS_MAX: usize = 4;
const READ_BYTES: usize = 16 * 1024;
/// Output sent at once before the device is read again, bytes.
const OUTPUT_BYTES_MAX: usize = 256 * 1024;
/// Pause after the system could not accept a connection (out of descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What one node lets its clients take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Connections at a time.
    pub connections_max: usize,
    /// Connections at a time that have not shown a registered key yet.
    pub strangers_max: usize,
    /// From the TCP connection to the MQTT CONNECT.
    pub connect_timeout: Duration,
    /// For the client to take what is sent to it.
    pub write_timeout: Duration,
    /// How often a connected device's registration is looked up again.
    pub registry_every: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            strangers_max: 256,
            connect_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(20),
            registry_every: Duration::from_secs(2),
        }
    }
}

enum Order {
    TakenOver,
    Barred(String),
}

#[derive(Debug, Clone)]
struct Entry {
    generation: u64,
    receipts: mpsc::Sender<Vec<u8>>,
    proofs: mpsc::Sender<Vec<u8>>,
    orders: mpsc::Sender<Order>,
    listening: Arc<AtomicU8>,
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Order")
    }
}

fn bit(lane: Lane) -> u8 {
    match lane {
        Lane::Receipt => 1,
        Lane::Proof => 2,
        Lane::Envelope | Lane::Alarm => 0,
    }
}

/// The connected devices, and the way down to each.
#[derive(Debug, Default)]
pub struct Sessions {
    entries: RwLock<HashMap<DeviceId, Entry>>,
    generations: AtomicU64,
}

impl Sessions {
    /// Nobody connected.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends bytes down a lane of a device. False when the device is not connected, does not listen,
    /// or does not keep up: the sender sends it again later.
    pub fn send(&self, to: DeviceId, lane: Lane, bytes: Vec<u8>) -> bool {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = entries.get(&to) else { return false };
        if entry.listening.load(Ordering::Acquire) & bit(lane) == 0 {
            return false;
        }
        match lane {
            Lane::Receipt => entry.receipts.try_send(bytes).is_ok(),
            Lane::Proof => entry.proofs.try_send(bytes).is_ok(),
            Lane::Envelope | Lane::Alarm => false,
        }
    }

    /// Ends the connection of a device that may no longer connect.
    pub fn bar(&self, device: DeviceId, sentence: String) {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get(&device) {
            let _ = entry.orders.try_send(Order::Barred(sentence));
        }
    }

    /// The devices connected now, in id order.
    #[must_use]
    pub fn connected(&self) -> Vec<DeviceId> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let mut devices: Vec<DeviceId> = entries.keys().copied().collect();
        devices.sort_unstable();
        devices
    }

    fn enter(self: &Arc<Self>, device: DeviceId) -> (Seat, Down) {
        let (receipts, receipts_rx) = mpsc::channel(RECEIPTS_MAX);
        let (proofs, proofs_rx) = mpsc::channel(PROOFS_MAX);
        let (orders, orders_rx) = mpsc::channel(2);
        let listening = Arc::new(AtomicU8::new(0));
        let generation = self.generations.fetch_add(1, Ordering::Relaxed);
        let entry = Entry { generation, receipts, proofs, orders, listening: listening.clone() };
        let old = self.entries.write().unwrap_or_else(PoisonError::into_inner).insert(device, entry);
        if let Some(old) = old {
            let _ = old.orders.try_send(Order::TakenOver);
        }
        let seat = Seat { sessions: self.clone(), device, generation, listening };
        (seat, Down { receipts: receipts_rx, proofs: proofs_rx, orders: orders_rx })
    }
}

/// A device's entry while its connection lives.
struct Seat {
    sessions: Arc<Sessions>,
    device: DeviceId,
    generation: u64,
    listening: Arc<AtomicU8>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut entries = self.sessions.entries.write().unwrap_or_else(PoisonError::into_inner);
        if entries.get(&self.device).is_some_and(|entry| entry.generation == self.generation) {
            entries.remove(&self.device);
        }
    }
}

struct Down {
    receipts: mpsc::Receiver<Vec<u8>>,
    proofs: mpsc::Receiver<Vec<u8>>,
    orders: mpsc::Receiver<Order>,
}

/// What every connection of one listener shares.
struct House {
    ingress: Arc<dyn Ingress>,
    registry: Arc<dyn Registry>,
    sessions: Arc<Sessions>,
    bounds: Bounds,
    strangers: Arc<Semaphore>,
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
    let strangers = Arc::new(Semaphore::new(bounds.strangers_max));
    let house = Arc::new(House { ingress, registry, sessions, bounds, strangers });
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stopped(&mut stop) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((tcp, _)) if connections.len() < bounds.connections_max => {
                    // Refused strangers are closed at once: a flood of them costs a descriptor each
                    // for a moment, and registered devices that are in stay in.
                    if let Ok(permit) = house.strangers.clone().try_acquire_owned() {
                        let (acceptor, house, stop) = (acceptor.clone(), house.clone(), stop.clone());
                        connections.spawn(async move {
                            let connection = connection(tcp, acceptor, house, permit, stop);
                            if let Err(why) = connection.await {
                                tracing::debug!(%why, "A connection ended: {why}");
                            }
                        });
                    }
                }
                Ok(_) => tracing::warn!("Refused a connection: {} are open", bounds.connections_max),
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
    stranger: tokio::sync::OwnedSemaphorePermit,
    mut stop: Stop,
) -> Result<(), String> {
    tcp.set_nodelay(true).map_err(|error| error.to_string())?;
    let connect_by = Instant::now() + house.bounds.connect_timeout;
    let stream = tokio::select! {
        accepted = tokio::time::timeout_at(connect_by, acceptor.accept(tcp)) => accepted
            .map_err(|_| "no TLS handshake in time".to_owned())?
            .map_err(|error| format!("TLS: {error}"))?,
        () = stopped(&mut stop) => return Ok(()),
    };
    let key = stream.get_ref().1.peer_certificates().and_then(|chain| tls::key_of(chain.first()?));
    let key = key.ok_or("the client's certificate holds no Ed25519 key")?;
    let device = house.registry.admits(&key)?;
    let (verdicts, answers) = mpsc::unbounded_channel();
    let talk = Talk { stream, session: Session::new(device), house, device, key, verdicts, seat: None };
    talk.run(answers, connect_by, stranger, stop).await
}

/// One device's connection after its TLS handshake.
struct Talk {
    stream: TlsStream<TcpStream>,
    session: Session,
    house: Arc<House>,
    device: DeviceId,
    key: [u8; 32],
    /// Cloned into every reply; at most a window of them is on its way, so it needs no bound.
    verdicts: mpsc::UnboundedSender<(u64, Verdict)>,
    seat: Option<Seat>,
}

impl Talk {
    async fn run(
        mut self,
        mut answers: mpsc::UnboundedReceiver<(u64, Verdict)>,
        connect_by: Instant,
        stranger: tokio::sync::OwnedSemaphorePermit,
        mut stop: Stop,
    ) -> Result<(), String> {
        // Entering makes an older connection of the device leave: only after its CONNECT.
        let mut down: Option<Down> = None;
        let mut stranger = Some(stranger);
        let mut silence_max = Duration::MAX;
        let mut silent_at = connect_by;
        let mut registry = interval(self.house.bounds.registry_every);
        registry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let mut heard = false;
            let happenings = tokio::select! {
                read = self.stream.read(&mut buffer), if self.session.is_hungry() => {
                    let read = read.map_err(|error| error.to_string())?;
                    if read == 0 {
                        return Ok(());
                    }
                    heard = true;
                    self.session.receive(&buffer[..read])
                }
                Some((slot, verdict)) = answers.recv() => {
                    let mut happenings = self.session.answer(slot, verdict);
                    while let Ok((slot, verdict)) = answers.try_recv() {
                        happenings.extend(self.session.answer(slot, verdict));
                    }
                    happenings
                }
                below = below(&mut down) => match below {
                    Below::Order(Order::TakenOver) => vec![self.session.taken_over()],
                    Below::Order(Order::Barred(sentence)) => vec![self.session.barred(&sentence)],
                    Below::Deliver(lane, bytes) => {
                        self.deliver(lane, bytes, down.as_mut());
                        vec![]
                    }
                },
                _ = registry.tick() => match self.house.registry.admits(&self.key) {
                    Ok(_) => vec![],
                    Err(sentence) => vec![self.session.barred(&sentence)],
                },
                // Not while a client is held back by not reading it: the silence would be ours.
                () = sleep_until(silent_at), if self.session.is_hungry() => vec![self.session.silent()],
                () = stopped(&mut stop) => vec![self.session.shutting_down()],
            };
            let mut end = None;
            for happening in happenings {
                match happening {
                    Happening::Connected { silence_s_max } => {
                        stranger = None;
                        silence_max = Duration::from_secs(u64::from(silence_s_max));
                        let (seat, lanes) = self.house.sessions.enter(self.device);
                        (self.seat, down) = (Some(seat), Some(lanes));
                        tracing::info!(device.id = %self.device, "Gateway {} connected", self.device);
                    }
                    Happening::Close(why) => end = Some(why),
                    other => self.happened(other),
                }
            }
            if heard && stranger.is_none() {
                silent_at = Instant::now() + silence_max;
            }
            self.flush().await?;
            if let Some(why) = end {
                let _ = timeout(self.house.bounds.write_timeout, self.stream.shutdown()).await;
                return Err(why);
            }
        }
    }

    fn happened(&mut self, happening: Happening) {
        match happening {
            Happening::Offer { slot, alarm, bytes } => {
                let reply = Reply::session(slot, self.verdicts.clone());
                // A full queue drops the reply, and a dropped reply says Busy in its turn.
                let _ = self.house.ingress.offer(self.device, alarm, bytes, reply);
            }
            Happening::Listening(lanes) => {
                let bits = lanes.iter().fold(0, |bits, lane| bits | bit(*lane));
                if let Some(seat) = &self.seat {
                    seat.listening.fetch_or(bits, Ordering::AcqRel);
                    self.house.ingress.listening(self.device);
                }
            }
            Happening::Deaf(lanes) => {
                let bits = lanes.iter().fold(0, |bits, lane| bits | bit(*lane));
                if let Some(seat) = &self.seat {
                    seat.listening.fetch_and(!bits, Ordering::AcqRel);
                }
            }
            Happening::Connected { .. } | Happening::Close(_) => {}
        }
    }

    /// One delivery, and what else is waiting up to a bound.
    fn deliver(&mut self, lane: Lane, bytes: Vec<u8>, down: Option<&mut Down>) {
        let mut sent = bytes.len();
        if !self.session.deliver(lane, bytes) {
            tracing::debug!(device.id = %self.device, "A delivery does not fit what the device takes");
        }
        let Some(down) = down else { return };
        while sent < OUTPUT_BYTES_MAX
            && let Ok(bytes) = down.receipts.try_recv()
        {
            sent += bytes.len();
            self.session.deliver(Lane::Receipt, bytes);
        }
    }

    async fn flush(&mut self) -> Result<(), String> {
        let out = self.session.take_output();
        if out.is_empty() {
            return Ok(());
        }
        let write = async {
            self.stream.write_all(&out).await?;
            self.stream.flush().await
        };
        timeout(self.house.bounds.write_timeout, write)
            .await
            .map_err(|_| "the device does not take what is sent to it".to_owned())?
            .map_err(|error| error.to_string())
    }
}

enum Below {
    Order(Order),
    Deliver(Lane, Vec<u8>),
}

/// The next thing to do for the node's other parts; orders first, then receipts, then proofs.
async fn below(down: &mut Option<Down>) -> Below {
    let Some(Down { receipts, proofs, orders }) = down else { return std::future::pending().await };
    tokio::select! {
        biased;
        Some(order) = orders.recv() => Below::Order(order),
        Some(bytes) = receipts.recv() => Below::Deliver(Lane::Receipt, bytes),
        Some(bytes) = proofs.recv() => Below::Deliver(Lane::Proof, bytes),
        // The senders live in the table until another connection takes this one's place, and then
        // an order came first.
        else => std::future::pending().await,
    }
}
