//! The admission thread: verifies and syncs group after group, alarms first.

use super::queue::{Queue, Waiting};
use super::wake::Wake;
use clinic::{Answer, Arrival, Clinic, MqttClass, StrongKeys};
use host::clock;
use link::{Busy, Ingress, LinkRefusal, RefusalReason, Registry, Reply, Sessions};
use parking_lot::Mutex;
use std::sync::Arc;
use vitals::DeviceId;
use vitals::ledger::{DeviceKind, Ledger};

/// Where MQTT sessions hand in what they received.
pub(super) struct QueueIngress {
    pub(super) queue: Arc<Queue>,
    pub(super) clinic: Arc<Clinic>,
    pub(super) wake: Wake,
}

impl Ingress for QueueIngress {
    fn offer(&self, from: DeviceId, alarm: bool, bytes: Vec<u8>, reply: Reply) -> Result<(), Busy> {
        let pushed = self.queue.push(alarm, Waiting { arrival: Arrival { from, bytes }, reply });
        if let Some(why) = pushed.unwrap_or(Some(LinkRefusal::Busy)) {
            self.turned_away(why);
        }
        pushed.map(drop)
    }

    fn listening(&self, device: DeviceId) {
        self.clinic.connected(device);
        self.wake.moved();
    }

    fn turned_away(&self, why: LinkRefusal) {
        self.clinic.turned_away(why.label());
    }
}

/// Looks gateways up in the ledger's registry.
pub(super) struct LedgerRegistry {
    ledger: Arc<dyn Ledger>,
    /// Remembered: every session looks every few seconds.
    strong: Mutex<StrongKeys>,
}

impl LedgerRegistry {
    pub(super) fn new(ledger: Arc<dyn Ledger>) -> Self {
        Self { ledger, strong: Mutex::default() }
    }

    fn is_strong(&self, key: &[u8; 32]) -> bool {
        self.strong.lock().is_strong(*key)
    }
}

impl Registry for LedgerRegistry {
    fn admits(&self, key: &[u8; 32]) -> Result<DeviceId, String> {
        let id = DeviceId::of(key);
        let device = self
            .ledger
            .device(id)
            .map_err(|why| format!("device {id} cannot be looked up: {why}"))?
            .ok_or_else(|| format!("device {id} is not registered on this ledger; pair it first"))?;
        if device.kind != DeviceKind::Gateway {
            return Err(format!("device {id} is a sensor; only its gateway connects"));
        }
        if device.revoked.is_some() {
            return Err(format!("device {id} was revoked"));
        }
        if device.key != *key || !self.is_strong(key) {
            return Err(format!("the key of device {id} is weak; pair it with a new one"));
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
                MqttClass::NotAuthorised => RefusalReason::NotAuthorized,
                MqttClass::PayloadFormatInvalid => RefusalReason::PayloadInvalid,
                MqttClass::ImplementationSpecific => RefusalReason::Conflict,
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
    wake: &Wake,
) -> Result<(), clinic::Halted> {
    while let Some(group) = queue.next_group() {
        let (arrivals, replies): (Vec<Arrival>, Vec<Reply>) =
            group.into_iter().map(|waiting| (waiting.arrival, waiting.reply)).unzip();
        // On a halt the replies drop unanswered, which tells the devices to keep what they have.
        let answers = clinic.admit(&arrivals, clock::now_ms())?;
        for ((arrival, reply), answer) in arrivals.iter().zip(replies).zip(answers) {
            reply.send(verdict(&answer));
            if let Some(receipt) = answer.receipt {
                sessions.send_receipt(arrival.from, receipt);
            }
        }
        wake.admitted();
    }
    Ok(())
}
