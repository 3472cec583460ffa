//! What all transports of one node share: registry, admission, the devices' sessions and the quotas.
//!
//! Quotas count by what is known of the sender: a network address while it has shown no registered key,
//! the device afterwards, whatever number of sockets or transports it comes through.

use crate::ingress::{Ingress, Registry};
use crate::refusal::LinkRefusal;
use crate::sessions::{DeviceSession, Sessions};
use crate::unauthenticated::{UnauthenticatedConnections, UnauthenticatedSlot};
use parking_lot::{Mutex, MutexGuard};
use quota::{Buckets, Rate};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use vitals::DeviceId;
use vitals::origin::Origin;

/// What one node lets its clients take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Connections at a time, of all transports.
    pub connections_max: usize,
    /// Connections at a time that have not shown a registered key yet.
    pub unauthenticated_max: usize,
    /// Of these, those of one address (IPv6: of one /64).
    pub unauthenticated_per_address_max: usize,
    /// Connections of one address. The burst lets a hospital behind one address come back at once.
    pub address_rate: Rate,
    /// Sessions of one device.
    pub device_rate: Rate,
    /// Bytes of one device, each packet counted as [`PACKET_COST_BYTES`] more. Beyond, it is read later:
    /// nothing is refused.
    pub pace: Rate,
    /// Publishes of one device that are refused for their address or length.
    pub refusal_rate: Rate,
    /// From the connection to the opened session.
    pub connect_timeout: Duration,
    /// From the first byte of a packet to its last.
    pub packet_timeout: Duration,
    /// For the client to take what is sent to it.
    pub write_timeout: Duration,
    /// How often a connected device's registration is looked up again.
    pub registry_every: Duration,
}

/// Addresses, and devices, whose quotas are told apart; further ones share a bucket.
const KEYS_MAX: usize = 8 * 1024;
/// What a packet costs of a device's pace beside its bytes.
pub const PACKET_COST_BYTES: usize = 512;

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            unauthenticated_max: 256,
            unauthenticated_per_address_max: 64,
            address_rate: Rate::per_second(4096, 64),
            device_rate: Rate::per_second(30, 1),
            pace: Rate::per_second(128 << 20, 32 << 20),
            refusal_rate: Rate::per_second(64, 1),
            connect_timeout: Duration::from_secs(10),
            packet_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(20),
            registry_every: Duration::from_secs(2),
        }
    }
}

/// The token buckets of addresses and devices.
struct Quotas {
    connections: Buckets<Origin>,
    sessions: Buckets<DeviceId>,
    pace: Buckets<DeviceId>,
    refusals: Buckets<DeviceId>,
}

/// What all transports of one node share.
pub struct Endpoint {
    ingress: Arc<dyn Ingress>,
    registry: Arc<dyn Registry>,
    sessions: Arc<Sessions>,
    bounds: Bounds,
    opened: Instant,
    connections: AtomicUsize,
    unauthenticated: Arc<UnauthenticatedConnections>,
    quotas: Mutex<Quotas>,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Endpoint")
    }
}

/// One connection of [`Bounds::connections_max`], given back when dropped.
pub(crate) struct ConnectionPermit(Arc<Endpoint>);

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Endpoint {
    /// An endpoint without connections, for [`crate::mqtt::serve`] and every other transport of the
    /// same node.
    #[must_use]
    pub fn new(
        ingress: Arc<dyn Ingress>,
        registry: Arc<dyn Registry>,
        sessions: Arc<Sessions>,
        bounds: Bounds,
    ) -> Arc<Self> {
        let quotas = Quotas {
            connections: Buckets::new(bounds.address_rate, KEYS_MAX),
            sessions: Buckets::new(bounds.device_rate, KEYS_MAX),
            pace: Buckets::new(bounds.pace, KEYS_MAX),
            refusals: Buckets::new(bounds.refusal_rate, KEYS_MAX),
        };
        Arc::new(Self {
            ingress,
            registry,
            sessions,
            bounds,
            opened: Instant::now(),
            connections: AtomicUsize::new(0),
            unauthenticated: UnauthenticatedConnections::new(
                bounds.unauthenticated_max,
                bounds.unauthenticated_per_address_max,
            ),
            quotas: Mutex::new(quotas),
        })
    }

    pub(crate) fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    pub(crate) fn ingress(&self) -> &dyn Ingress {
        &*self.ingress
    }

    fn quotas(&self) -> MutexGuard<'_, Quotas> {
        self.quotas.lock()
    }

    /// Milliseconds since this endpoint was made: the quotas' clock.
    fn now_ms(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Lets a connection from `address` begin.
    pub(crate) fn accept(
        self: &Arc<Self>,
        address: IpAddr,
    ) -> Result<(ConnectionPermit, UnauthenticatedSlot), LinkRefusal> {
        let origin = Origin::of(address);
        let open = self.connections.fetch_add(1, Ordering::AcqRel);
        let permit = ConnectionPermit(self.clone());
        if open >= self.bounds.connections_max {
            return Err(LinkRefusal::ConnectionsFull);
        }
        if self.quotas().connections.take(origin, self.now_ms()).is_err() {
            return Err(LinkRefusal::AddressRate);
        }
        Ok((permit, self.unauthenticated.enter(origin)?))
    }

    /// The device that holds `key`, if the registry admits it now.
    pub(crate) fn authenticate(&self, key: &[u8; 32]) -> Result<DeviceId, String> {
        self.registry.admits(key)
    }

    /// May this device open another session already?
    pub(crate) fn may_open(&self, device: DeviceId) -> bool {
        self.quotas().sessions.take(device, self.now_ms()).is_ok()
    }

    /// Enters a device whose session has opened.
    pub(crate) fn enter(&self, device: DeviceId) -> DeviceSession {
        self.sessions.enter(device)
    }

    /// Charges `bytes` in `packets` to a device's pace; how long not to read from it.
    pub(crate) fn charge(&self, device: DeviceId, bytes: usize, packets: usize) -> Duration {
        let cost = bytes.saturating_add(packets.saturating_mul(PACKET_COST_BYTES));
        Duration::from_millis(self.quotas().pace.spend(device, cost, self.now_ms()))
    }

    /// Counts a publish refused for its address or length; false when there were too many.
    pub(crate) fn may_be_refused(&self, device: DeviceId) -> bool {
        self.quotas().refusals.take(device, self.now_ms()).is_ok()
    }
}
