//! The devices that can be reached now, by whatever transport, and what waits for each.
//!
//! A transport enters a device when its session opens and holds the [`DeviceSession`] while it lasts. A
//! receipt belongs to the device and not to the session: one that no session wrote is kept, within
//! bounds, until the device can be reached again.

use crate::COMMAND_PAYLOAD_MAX;
use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use tokio::sync::mpsc;
use vitals::DeviceId;

/// Receipts waiting for one device's session.
const RECEIPTS_MAX: usize = 256;
/// Proof deliveries waiting for one device's session; each may be large.
const PROOFS_MAX: usize = 4;
/// Commands waiting for one device's session.
const COMMANDS_MAX: usize = 64;
/// Receipts owed to one device that cannot be reached; the oldest give way. It asks for any other by
/// sending its envelope again.
pub const OWED_PER_DEVICE_MAX: usize = 64;
/// Bytes of all receipts owed; beyond, nothing more is kept.
pub const OWED_BYTES_MAX: usize = 16 << 20;

/// What a node sends to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Downlink {
    /// One receipt.
    Receipt,
    /// One proof delivery.
    Proof,
    /// One command to a bedside of the gateway.
    Command,
}

impl Downlink {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Receipt, Self::Proof, Self::Command];

    fn bit(self) -> u8 {
        match self {
            Self::Receipt => 1,
            Self::Proof => 2,
            Self::Command => 4,
        }
    }
}

/// What a device's session has to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// The device has opened another session.
    TakenOver,
    /// The device may no longer connect, because of this.
    Expel(String),
}

#[derive(Debug)]
struct Entry {
    generation: u64,
    receipts: mpsc::Sender<Vec<u8>>,
    proofs: mpsc::Sender<Vec<u8>>,
    commands: mpsc::Sender<Vec<u8>>,
    control: mpsc::Sender<Control>,
    listening: Arc<AtomicU8>,
}

impl Entry {
    fn listens(&self, to: Downlink) -> bool {
        self.listening.load(Ordering::Acquire) & to.bit() != 0
    }
}

#[derive(Debug, Default)]
struct Owed {
    by_device: HashMap<DeviceId, VecDeque<Vec<u8>>>,
    bytes: usize,
}

impl Owed {
    fn keep(&mut self, device: DeviceId, receipt: Vec<u8>) {
        if self.bytes + receipt.len() > OWED_BYTES_MAX {
            return;
        }
        let receipts = self.by_device.entry(device).or_default();
        if receipts.len() >= OWED_PER_DEVICE_MAX
            && let Some(oldest) = receipts.pop_front()
        {
            self.bytes -= oldest.len();
        }
        self.bytes += receipt.len();
        receipts.push_back(receipt);
    }

    fn take(&mut self, device: &DeviceId) -> VecDeque<Vec<u8>> {
        let receipts = self.by_device.remove(device).unwrap_or_default();
        self.bytes -= receipts.iter().map(Vec::len).sum::<usize>();
        receipts
    }
}

/// The devices that can be reached now, and the receipts owed to those that cannot.
#[derive(Debug, Default)]
pub struct Sessions {
    entries: RwLock<HashMap<DeviceId, Entry>>,
    generations: AtomicU64,
    owed: Mutex<Owed>,
}

impl Sessions {
    /// No device connected, nothing owed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn entries(&self) -> RwLockReadGuard<'_, HashMap<DeviceId, Entry>> {
        self.entries.read()
    }

    fn owed(&self) -> MutexGuard<'_, Owed> {
        self.owed.lock()
    }

    /// Sends a receipt. If the device cannot be reached, the receipt is owed to it: see
    /// [`Self::take_owed`].
    pub fn send_receipt(&self, to: DeviceId, receipt: Vec<u8>) {
        let unsent = match self.entries().get(&to).filter(|entry| entry.listens(Downlink::Receipt)) {
            None => Some(receipt),
            Some(entry) => match entry.receipts.try_send(receipt) {
                Ok(()) => None,
                Err(
                    mpsc::error::TrySendError::Full(receipt) | mpsc::error::TrySendError::Closed(receipt),
                ) => Some(receipt),
            },
        };
        if let Some(receipt) = unsent {
            self.owed().keep(to, receipt);
        }
    }

    /// Sends a proof delivery. False when the device cannot be reached or does not keep up: the caller
    /// sends it again later.
    #[must_use]
    pub fn send_proof(&self, to: DeviceId, delivery: Vec<u8>) -> bool {
        let entries = self.entries();
        let entry = entries.get(&to).filter(|entry| entry.listens(Downlink::Proof));
        entry.is_some_and(|entry| entry.proofs.try_send(delivery).is_ok())
    }

    /// Sends a command. False when the device cannot be reached or does not keep up, and for a command
    /// longer than [`COMMAND_PAYLOAD_MAX`], which no device takes.
    #[must_use]
    pub fn send_command(&self, to: DeviceId, command: Vec<u8>) -> bool {
        let entries = self.entries();
        let entry = entries.get(&to).filter(|entry| entry.listens(Downlink::Command));
        command.len() <= COMMAND_PAYLOAD_MAX
            && entry.is_some_and(|entry| entry.commands.try_send(command).is_ok())
    }

    /// Takes the receipts owed to devices that can be reached again. A receipt tells the time at which
    /// it was signed, and a device sets its idea of the node's time by it: sign these again before they
    /// are sent.
    #[must_use]
    pub fn take_owed(&self) -> Vec<(DeviceId, Vec<Vec<u8>>)> {
        let waiting: Vec<DeviceId> = self.owed().by_device.keys().copied().collect();
        let reachable: Vec<DeviceId> = {
            let entries = self.entries();
            let listens = |id: &DeviceId| entries.get(id).is_some_and(|it| it.listens(Downlink::Receipt));
            waiting.into_iter().filter(listens).collect()
        };
        let mut owed = self.owed();
        reachable.into_iter().map(|device| (device, owed.take(&device).into())).collect()
    }

    /// Ends the session of a device that may no longer connect, and sends it `sentence`.
    pub fn expel(&self, device: DeviceId, sentence: String) {
        if let Some(entry) = self.entries().get(&device) {
            let _ = entry.control.try_send(Control::Expel(sentence));
        }
    }

    /// The devices connected now, in id order.
    #[must_use]
    pub fn connected(&self) -> Vec<DeviceId> {
        let mut devices: Vec<DeviceId> = self.entries().keys().copied().collect();
        devices.sort_unstable();
        devices
    }

    /// Enters a device whose session has opened. An older session of the same device ends.
    pub(crate) fn enter(self: &Arc<Self>, device: DeviceId) -> DeviceSession {
        let (receipts, receipts_rx) = mpsc::channel(RECEIPTS_MAX);
        let (proofs, proofs_rx) = mpsc::channel(PROOFS_MAX);
        let (commands, commands_rx) = mpsc::channel(COMMANDS_MAX);
        let (control, control_rx) = mpsc::channel(2);
        let listening = Arc::new(AtomicU8::new(0));
        let generation = self.generations.fetch_add(1, Ordering::Relaxed);
        let entry = Entry { generation, receipts, proofs, commands, control, listening: listening.clone() };
        let old = self.entries.write().insert(device, entry);
        if let Some(old) = old {
            let _ = old.control.try_send(Control::TakenOver);
        }
        DeviceSession {
            sessions: self.clone(),
            device,
            generation,
            listening,
            receipts: receipts_rx,
            proofs: proofs_rx,
            commands: commands_rx,
            control: control_rx,
        }
    }
}

/// What a transport does next for a device.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outgoing {
    Control(Control),
    Deliver(Downlink, Vec<u8>),
}

/// A device's place in [`Sessions`] while one transport can reach it. Receipts that were not taken when
/// it is dropped stay owed to the device.
#[derive(Debug)]
pub(crate) struct DeviceSession {
    sessions: Arc<Sessions>,
    device: DeviceId,
    generation: u64,
    listening: Arc<AtomicU8>,
    receipts: mpsc::Receiver<Vec<u8>>,
    proofs: mpsc::Receiver<Vec<u8>>,
    commands: mpsc::Receiver<Vec<u8>>,
    control: mpsc::Receiver<Control>,
}

impl DeviceSession {
    /// The device takes these from now on.
    pub(crate) fn listen(&self, to: &[Downlink]) {
        self.listening.fetch_or(bits(to), Ordering::AcqRel);
    }

    /// The device no longer takes these.
    pub(crate) fn ignore(&self, what: &[Downlink]) {
        self.listening.fetch_and(!bits(what), Ordering::AcqRel);
    }

    /// The next thing to do: control first, then commands, receipts and proofs.
    pub(crate) async fn next(&mut self) -> Outgoing {
        tokio::select! {
            biased;
            Some(control) = self.control.recv() => Outgoing::Control(control),
            // Few, short, and somebody waits for each.
            Some(bytes) = self.commands.recv() => Outgoing::Deliver(Downlink::Command, bytes),
            Some(bytes) = self.receipts.recv() => Outgoing::Deliver(Downlink::Receipt, bytes),
            Some(bytes) = self.proofs.recv() => Outgoing::Deliver(Downlink::Proof, bytes),
            // The senders live in the table until another session takes this one's place, and then a
            // control message came first.
            else => std::future::pending().await,
        }
    }

    /// A receipt that waits.
    pub(crate) fn try_receipt(&mut self) -> Option<Vec<u8>> {
        self.receipts.try_recv().ok()
    }
}

impl Drop for DeviceSession {
    fn drop(&mut self) {
        {
            let mut entries = self.sessions.entries.write();
            if entries.get(&self.device).is_some_and(|entry| entry.generation == self.generation) {
                entries.remove(&self.device);
            }
        }
        // Out of the table, so nothing is added any more.
        let mut unsent = Vec::new();
        while let Some(receipt) = self.try_receipt() {
            unsent.push(receipt);
        }
        if !unsent.is_empty() {
            let mut owed = self.sessions.owed();
            unsent.into_iter().for_each(|receipt| owed.keep(self.device, receipt));
        }
    }
}

fn bits(all: &[Downlink]) -> u8 {
    all.iter().fold(0, |bits, one| bits | one.bit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: DeviceId = DeviceId([7; 16]);

    fn owed(sessions: &Sessions) -> Vec<Vec<u8>> {
        sessions.take_owed().into_iter().flat_map(|(_, receipts)| receipts).collect()
    }

    #[test]
    fn a_receipt_for_a_device_out_of_reach_waits_for_its_next_session() {
        let sessions = Arc::new(Sessions::new());
        sessions.send_receipt(DEVICE, vec![1]);
        assert!(sessions.take_owed().is_empty(), "the device cannot be reached yet");
        let mut session = sessions.enter(DEVICE);
        assert!(sessions.take_owed().is_empty(), "it does not listen yet");
        session.listen(&[Downlink::Receipt]);
        assert_eq!(sessions.take_owed(), [(DEVICE, vec![vec![1]])]);
        assert!(sessions.take_owed().is_empty(), "each is handed out once");
        sessions.send_receipt(DEVICE, vec![2]);
        assert_eq!(session.try_receipt(), Some(vec![2]));
        assert_eq!(sessions.owed().bytes, 0);
    }

    #[test]
    fn receipts_that_a_session_did_not_take_outlive_it() {
        let sessions = Arc::new(Sessions::new());
        let mut first = sessions.enter(DEVICE);
        first.listen(&Downlink::ALL);
        (1..=3).for_each(|n| sessions.send_receipt(DEVICE, vec![n]));
        assert_eq!(first.try_receipt(), Some(vec![1]));
        // Taken over: what waited in the old session goes to the new one.
        let second = sessions.enter(DEVICE);
        second.listen(&Downlink::ALL);
        drop(first);
        assert_eq!(sessions.connected(), [DEVICE], "the new session stays entered");
        assert_eq!(owed(&sessions), [[2], [3]]);
    }

    #[test]
    fn a_full_session_owes_the_rest() {
        let sessions = Arc::new(Sessions::new());
        let mut session = sessions.enter(DEVICE);
        session.listen(&[Downlink::Receipt]);
        (0..=RECEIPTS_MAX).for_each(|n| sessions.send_receipt(DEVICE, vec![u8::from(n == RECEIPTS_MAX)]));
        assert_eq!(owed(&sessions), [[1]]);
        assert_eq!(session.try_receipt(), Some(vec![0]));
    }

    #[test]
    fn what_is_owed_is_bounded_per_device_and_in_all() {
        let sessions = Arc::new(Sessions::new());
        for n in 0..2 * OWED_PER_DEVICE_MAX {
            sessions.send_receipt(DEVICE, vec![u8::try_from(n).unwrap(); 2]);
        }
        assert_eq!(sessions.owed().bytes, 2 * OWED_PER_DEVICE_MAX);
        for n in 0..=255 {
            sessions.send_receipt(DeviceId([n; 16]), vec![0; OWED_BYTES_MAX / 200]);
        }
        assert!(sessions.owed().bytes <= OWED_BYTES_MAX);
        let session = sessions.enter(DEVICE);
        session.listen(&[Downlink::Receipt]);
        let kept = owed(&sessions);
        let newest = u8::try_from(2 * OWED_PER_DEVICE_MAX - 1).unwrap();
        assert_eq!(kept.first().map(Vec::as_slice), Some([newest - 62; 2].as_slice()), "the oldest give way");
        assert_eq!(kept.len(), OWED_PER_DEVICE_MAX);
    }

    #[test]
    fn proofs_and_commands_go_to_devices_that_listen_for_them() {
        let sessions = Arc::new(Sessions::new());
        assert!(!sessions.send_proof(DEVICE, vec![1]) && !sessions.send_command(DEVICE, vec![1]));
        let session = sessions.enter(DEVICE);
        session.listen(&[Downlink::Proof]);
        assert!(sessions.send_proof(DEVICE, vec![1]) && !sessions.send_command(DEVICE, vec![1]));
        session.listen(&[Downlink::Command]);
        assert!(sessions.send_command(DEVICE, vec![0; COMMAND_PAYLOAD_MAX]));
        assert!(!sessions.send_command(DEVICE, vec![0; COMMAND_PAYLOAD_MAX + 1]));
        session.ignore(&Downlink::ALL);
        assert!(!sessions.send_proof(DEVICE, vec![1]) && !sessions.send_command(DEVICE, vec![1]));
    }
}
