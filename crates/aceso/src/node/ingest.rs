//! The admission thread: verifies and syncs group after group, alarms first.

use crate::clock;
use clinic::{Answer, Arrival, Clinic, MqttClass};
use link::{Busy, Ingress, Lane, RefusalCode, Registry, Reply, Sessions};
use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use vitals::DeviceId;
use vitals::ledger::{DeviceKind, Ledger};

/// Envelopes that may wait; beyond that devices are asked to try again.
const WAITING_MAX: usize = 16 * 1024;
/// Room kept free for alarms.
const ALARM_ROOM: usize = 1024;
/// Most envelopes verified and synced as one group.
const GROUP_MAX: usize = 1024;

struct Waiting {
    arrival: Arrival,
    reply: Reply,
}

#[derive(Default)]
struct Lines {
    alarms: VecDeque<Waiting>,
    others: VecDeque<Waiting>,
    closed: bool,
}

/// What waits for admission.
#[derive(Default)]
pub(super) struct Queue {
    lines: Mutex<Lines>,
    filled: Condvar,
}

impl Queue {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the admission thread end once the queue is empty.
    pub(super) fn close(&self) {
        self.lines().closed = true;
        self.filled.notify_all();
    }

    fn next_group(&self) -> Option<Vec<Waiting>> {
        let mut lines = self.lines();
        loop {
            let Lines { alarms, others, closed } = &mut *lines;
            if !alarms.is_empty() || !others.is_empty() {
                let from_alarms = alarms.len().min(GROUP_MAX);
                let mut group: Vec<Waiting> = alarms.drain(..from_alarms).collect();
                let from_others = others.len().min(GROUP_MAX - group.len());
                group.extend(others.drain(..from_others));
                return Some(group);
            }
            if *closed {
                return None;
            }
            lines = self.filled.wait(lines).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The door that MQTT sessions knock at.
pub(super) struct Door {
    pub(super) queue: Arc<Queue>,
    pub(super) clinic: Arc<Clinic>,
    pub(super) wake: SyncSender<()>,
}

impl Ingress for Door {
    fn offer(&self, from: DeviceId, alarm: bool, bytes: Vec<u8>, reply: Reply) -> Result<(), Busy> {
        let waiting = Waiting { arrival: Arrival { from, bytes }, reply };
        let mut lines = self.queue.lines();
        let held = lines.alarms.len() + lines.others.len();
        let room = if alarm { WAITING_MAX } else { WAITING_MAX - ALARM_ROOM };
        if lines.closed || held >= room {
            return Err(Busy);
        }
        if alarm {
            lines.alarms.push_back(waiting);
        } else {
            lines.others.push_back(waiting);
        }
        drop(lines);
        self.queue.filled.notify_one();
        Ok(())
    }

    fn listening(&self, device: DeviceId) {
        self.clinic.connected(device);
        // A full channel means the keeper is awake already.
        let _ = self.wake.try_send(());
    }
}

/// Looks gateways up in the ledger's registry.
pub(super) struct LedgerRegistry(pub(super) Arc<dyn Ledger>);

impl Registry for LedgerRegistry {
    fn admits(&self, key: &[u8; 32]) -> Result<DeviceId, String> {
        let id = DeviceId::of(key);
        let device = self
            .0
            .device(id)
            .map_err(|why| format!("device {id} cannot be looked up: {why}"))?
            .ok_or_else(|| format!("device {id} is not registered on this ledger; pair it first"))?;
        if device.kind != DeviceKind::Gateway {
            return Err(format!("device {id} is a sensor; only its gateway connects"));
        }
        if device.revoked.is_some() {
            return Err(format!("device {id} was revoked"));
        }
        Ok(id)
    }
}

fn verdict(answer: &Answer) -> link::Verdict {
    match &answer.verdict {
        clinic::Verdict::Admitted { .. } => link::Verdict::Admitted,
        clinic::Verdict::Duplicate { .. } => link::Verdict::Duplicate,
        clinic::Verdict::Busy(_) => link::Verdict::Busy,
        clinic::Verdict::Refused(why) => link::Verdict::Refused {
            reason: match why.mqtt() {
                MqttClass::NotAuthorised => RefusalCode::NotAuthorized,
                MqttClass::PayloadFormatInvalid => RefusalCode::PayloadInvalid,
                MqttClass::ImplementationSpecific => RefusalCode::Conflict,
            },
            sentence: why.to_string(),
        },
    }
}

/// Admits until the queue is closed and empty, or the record cannot be trusted any more.
///
/// # Errors
/// The sentence of the halt: the node must stop.
pub(super) fn admit_until_closed(
    queue: &Queue,
    clinic: &Clinic,
    sessions: &Sessions,
    wake: &SyncSender<()>,
) -> Result<(), clinic::Halted> {
    while let Some(group) = queue.next_group() {
        let (arrivals, replies): (Vec<Arrival>, Vec<Reply>) =
            group.into_iter().map(|waiting| (waiting.arrival, waiting.reply)).unzip();
        // On a halt the replies drop unanswered, which tells the devices to keep what they have.
        let answers = clinic.admit(&arrivals, clock::now_ms())?;
        for ((arrival, reply), answer) in arrivals.iter().zip(replies).zip(answers) {
            reply.send(verdict(&answer));
            if let Some(receipt) = answer.receipt {
                // Not connected any more: it asks again with its next try.
                sessions.send(arrival.from, Lane::Receipt, receipt);
            }
        }
        let _ = wake.try_send(());
    }
    Ok(())
}
