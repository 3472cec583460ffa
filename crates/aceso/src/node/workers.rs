//! The threads of a node. Each waits for one thing only, so that none is late for another's sake:
//!
//! | thread | does | may wait for |
//! |---|---|---|
//! | `admission` | verifies and stores groups | the disk, for its own group |
//! | `monitoring` | opens, alarms, lets time pass for alarms | nothing |
//! | `recorder` | writes alarm events into the record | the disk |
//! | `maintenance` | leases, anchors, acts, proofs to gateways | ledger and disk |
//! | `policies` | asks the policies of consents again | the ledger |

use super::maintenance;
use admission_queue::{Queue, QueueIngress, Wake, admit_until_closed};
use anyhow::Result;
use clinic::Clinic;
use host::clock;
use link::Sessions;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Time passes for alarms at least this often, and answers of people wait no longer for the disk.
const TICK: Duration = Duration::from_millis(200);

/// Says that a thread ended, however it ended.
struct Ended(mpsc::Sender<&'static str>, &'static str);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.try_send(self.1);
    }
}

/// Says which thread failed first.
pub(super) struct Failures {
    halt: oneshot::Receiver<String>,
    ends: mpsc::Receiver<&'static str>,
}

impl Failures {
    /// Waits for it.
    pub(super) async fn first(mut self) -> anyhow::Error {
        tokio::select! {
            name = self.ends.recv() => {
                anyhow::anyhow!("the {} thread ended; start the node again", name.unwrap_or("alarm"))
            }
            halted = &mut self.halt => {
                anyhow::anyhow!("{}", halted.unwrap_or_else(|_| "the admission thread ended".to_owned()))
            }
        }
    }
}

/// The threads and how to end them.
pub(super) struct Workers {
    pub(super) queue: Arc<Queue>,
    admission: JoinHandle<()>,
    monitoring: JoinHandle<()>,
    maintenance: JoinHandle<()>,
    recorder: JoinHandle<()>,
    policies: JoinHandle<()>,
    pub(super) wake: Wake,
    record: SyncSender<()>,
    over: Arc<AtomicBool>,
}

impl Workers {
    /// Starts the threads; with where MQTT hands in what it received, and with what says that one failed.
    pub(super) fn start(
        clinic: &Arc<Clinic>,
        sessions: &Arc<Sessions>,
    ) -> Result<(Self, Arc<QueueIngress>, Failures)> {
        let (halted, halt) = oneshot::channel();
        let (ended, ends) = mpsc::channel(1);
        let queue = Arc::new(Queue::default());
        let over = Arc::new(AtomicBool::new(false));
        let (wake, to_watch, to_keep) = Wake::new();
        let (record, to_record) = sync_channel(1);
        let admission = {
            let (queue, clinic, sessions, wake) =
                (queue.clone(), clinic.clone(), sessions.clone(), wake.clone());
            std::thread::Builder::new().name("admission".to_owned()).spawn(move || {
                if let Err(why) = admit_until_closed(&queue, &clinic, &sessions, &wake, clock::now_ms) {
                    tracing::error!(%why, "Admission halted: {why}");
                    let _ = halted.send(why.to_string());
                }
            })?
        };
        let thread = |name: &'static str, work: Box<dyn FnOnce() + Send>| {
            let ended = Ended(ended.clone(), name);
            std::thread::Builder::new().name(name.to_owned()).spawn(move || {
                let _ended = ended;
                work();
            })
        };
        let (clinic_, over_, record_) = (clinic.clone(), over.clone(), record.clone());
        let monitoring =
            thread("monitoring", Box::new(move || watch(&clinic_, &to_watch, &record_, &over_)))?;
        let (clinic_, over_) = (clinic.clone(), over.clone());
        let recorder = thread("recorder", Box::new(move || write_down(&clinic_, &to_record, &over_)))?;
        let (clinic_, sessions_, over_) = (clinic.clone(), sessions.clone(), over.clone());
        let maintenance = thread(
            "maintenance",
            Box::new(move || maintenance::maintain(&clinic_, &sessions_, &to_keep, &over_)),
        )?;
        let (clinic_, over_) = (clinic.clone(), over.clone());
        let policies = thread("policies", Box::new(move || maintenance::ask_policies(&clinic_, &over_)))?;
        let ingress = Arc::new(QueueIngress::new(queue.clone(), clinic.clone(), wake.clone()));
        let failures = Failures { halt, ends };
        let threads =
            Self { queue, admission, monitoring, maintenance, recorder, policies, wake, record, over };
        Ok((threads, ingress, failures))
    }

    /// Ends them in the order in which they hand on: what was admitted is looked at, what was noticed
    /// is written down.
    pub(super) fn end(self) {
        self.queue.close();
        let _ = self.admission.join();
        self.over.store(true, Ordering::Release);
        self.wake.admitted();
        let _ = self.monitoring.join();
        let _ = self.maintenance.join();
        self.policies.thread().unpark();
        let _ = self.policies.join();
        let _ = self.record.try_send(());
        let _ = self.recorder.join();
    }
}

/// Watches until `over`.
fn watch(clinic: &Clinic, woken: &Receiver<()>, record: &SyncSender<()>, over: &AtomicBool) {
    let mut ticked_ms = 0;
    while !over.load(Ordering::Acquire) {
        let _ = woken.recv_timeout(TICK);
        let now_ms = clock::now_ms();
        // A steady stream of admissions must not turn into a steady stream of ticks.
        if now_ms.abs_diff(ticked_ms) >= 100 {
            ticked_ms = now_ms;
            clinic.watch_beds(now_ms);
        } else {
            clinic.attend(now_ms);
        }
        let _ = record.try_send(());
    }
}

/// Writes alarm events until `over`, and what is left then.
fn write_down(clinic: &Clinic, woken: &Receiver<()>, over: &AtomicBool) {
    loop {
        let _ = woken.recv_timeout(TICK);
        let ending = over.load(Ordering::Acquire);
        clinic.write_alarm_events(clock::now_ms());
        if ending {
            return;
        }
    }
}
