//! The admission thread: verifies and syncs group after group, alarms first.

use crate::queue::{Queue, Waiting};
use crate::wake::Wake;
use clinic::{Answer, Arrival, Clinic, MqttClass};
use link::{Busy, Ingress, LinkRefusal, RefusalReason, Reply, Sessions};
use std::sync::Arc;
use vitals::DeviceId;

/// Where the sessions of gateways hand in what they received.
pub struct QueueIngress {
    queue: Arc<Queue>,
    clinic: Arc<Clinic>,
    wake: Wake,
}

impl QueueIngress {
    /// Hands in to `queue`; `clinic` counts what was refused and who connected, and `wake` says that a gateway
    /// can be reached.
    #[must_use]
    pub fn new(queue: Arc<Queue>, clinic: Arc<Clinic>, wake: Wake) -> Self {
        Self { queue, clinic, wake }
    }
}

impl std::fmt::Debug for QueueIngress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("QueueIngress")
    }
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

/// Admits until the queue is closed and empty, or the record cannot be trusted any more. `now_ms` is asked for
/// the time of each group, milliseconds since 1970.
///
/// # Errors
/// The sentence of the halt: the node must stop.
pub fn admit_until_closed(
    queue: &Queue,
    clinic: &Clinic,
    sessions: &Sessions,
    wake: &Wake,
    now_ms: impl Fn() -> u64,
) -> Result<(), clinic::Halted> {
    while let Some(group) = queue.next_group() {
        let (arrivals, replies): (Vec<Arrival>, Vec<Reply>) =
            group.into_iter().map(|waiting| (waiting.arrival, waiting.reply)).unzip();
        // On a halt the replies drop unanswered, which tells the devices to keep what they have.
        let answers = clinic.admit(&arrivals, now_ms())?;
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
