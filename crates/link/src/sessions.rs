//! The connected devices, and what waits for the way down to each.

use crate::COMMAND_PAYLOAD_MAX;
use crate::mqtt::topic::Lane;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::mpsc;
use vitals::DeviceId;

/// Receipts waiting for one device's connection.
const RECEIPTS_MAX: usize = 256;
/// Proof deliveries waiting for one device's connection; each may be large.
const PROOFS_MAX: usize = 4;
/// Commands waiting for one device's connection.
const COMMANDS_MAX: usize = 64;

/// What a device's connection is told to do.
pub(crate) enum Order {
    TakenOver,
    Barred(String),
}

#[derive(Debug, Clone)]
struct Entry {
    generation: u64,
    receipts: mpsc::Sender<Vec<u8>>,
    proofs: mpsc::Sender<Vec<u8>>,
    commands: mpsc::Sender<Vec<u8>>,
    orders: mpsc::Sender<Order>,
    listening: Arc<AtomicU8>,
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Order")
    }
}

pub(crate) fn bit(lane: Lane) -> u8 {
    match lane {
        Lane::Receipt => 1,
        Lane::Proof => 2,
        Lane::Command => 4,
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
    /// or does not keep up: the sender sends it again later. False as well for a command longer than
    /// [`COMMAND_PAYLOAD_MAX`], which no device takes.
    pub fn send(&self, to: DeviceId, lane: Lane, bytes: Vec<u8>) -> bool {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = entries.get(&to) else { return false };
        if entry.listening.load(Ordering::Acquire) & bit(lane) == 0 {
            return false;
        }
        match lane {
            Lane::Receipt => entry.receipts.try_send(bytes).is_ok(),
            Lane::Proof => entry.proofs.try_send(bytes).is_ok(),
            Lane::Command => bytes.len() <= COMMAND_PAYLOAD_MAX && entry.commands.try_send(bytes).is_ok(),
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

    pub(crate) fn enter(self: &Arc<Self>, device: DeviceId) -> (Seat, Down) {
        let (receipts, receipts_rx) = mpsc::channel(RECEIPTS_MAX);
        let (proofs, proofs_rx) = mpsc::channel(PROOFS_MAX);
        let (commands, commands_rx) = mpsc::channel(COMMANDS_MAX);
        let (orders, orders_rx) = mpsc::channel(2);
        let listening = Arc::new(AtomicU8::new(0));
        let generation = self.generations.fetch_add(1, Ordering::Relaxed);
        let entry = Entry { generation, receipts, proofs, commands, orders, listening: listening.clone() };
        let old = self.entries.write().unwrap_or_else(PoisonError::into_inner).insert(device, entry);
        if let Some(old) = old {
            let _ = old.orders.try_send(Order::TakenOver);
        }
        let seat = Seat { sessions: self.clone(), device, generation, listening };
        let down =
            Down { receipts: receipts_rx, proofs: proofs_rx, commands: commands_rx, orders: orders_rx };
        (seat, down)
    }
}

/// A device's entry while its connection lives.
pub(crate) struct Seat {
    sessions: Arc<Sessions>,
    device: DeviceId,
    generation: u64,
    pub(crate) listening: Arc<AtomicU8>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut entries = self.sessions.entries.write().unwrap_or_else(PoisonError::into_inner);
        if entries.get(&self.device).is_some_and(|entry| entry.generation == self.generation) {
            entries.remove(&self.device);
        }
    }
}

/// What waits for the way down.
pub(crate) struct Down {
    pub(crate) receipts: mpsc::Receiver<Vec<u8>>,
    proofs: mpsc::Receiver<Vec<u8>>,
    commands: mpsc::Receiver<Vec<u8>>,
    orders: mpsc::Receiver<Order>,
}

/// One thing for the way down.
pub(crate) enum Below {
    Order(Order),
    Deliver(Lane, Vec<u8>),
}

/// The next thing to do for the node's other parts; orders first, then commands, receipts
/// and proofs.
pub(crate) async fn below(down: &mut Option<Down>) -> Below {
    let Some(Down { receipts, proofs, commands, orders }) = down else { return std::future::pending().await };
    tokio::select! {
        biased;
        Some(order) = orders.recv() => Below::Order(order),
        // Few, short, and somebody waits for each.
        Some(bytes) = commands.recv() => Below::Deliver(Lane::Command, bytes),
        Some(bytes) = receipts.recv() => Below::Deliver(Lane::Receipt, bytes),
        Some(bytes) = proofs.recv() => Below::Deliver(Lane::Proof, bytes),
        // The senders live in the table until another connection takes this one's place, and then
        // an order came first.
        else => std::future::pending().await,
    }
}
