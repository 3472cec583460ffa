//! The maintenance thread: keeps the leases under which the node watches, hands anchors to the ledger and proofs to
//! the gateways. All of it may wait for ledger and disk; no alarm waits for it.

use admission_queue::Wake;
use clinic::Clinic;
use host::clock;
use ledger::Chain;
use link::Sessions;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};
use vitals::DeviceId;

/// Leases and anchors are looked at this often at least.
const BEAT: Duration = Duration::from_millis(200);

/// Whether a policy has to be asked again is looked at this often.
const ASK_POLICIES: Duration = Duration::from_millis(500);

/// Proofs of one anchor go out in about this many turns: all gateways at once would take both the
/// processor and the wire from acknowledgements.
const TURNS: usize = 32;
/// The time between two of them.
const TURN: Duration = Duration::from_millis(5);

/// Works until `over`.
pub(super) fn maintain(clinic: &Arc<Clinic>, sessions: &Sessions, woken: &Receiver<()>, over: &AtomicBool) {
    let mut kept_ms = 0;
    let mut proofs = Proofs::default();
    while !over.load(Ordering::Acquire) {
        // Woken by an admission, a new block or a gateway; or by time.
        let _ = woken.recv_timeout(if proofs.more || clinic.has_joined() { TURN } else { BEAT });
        let now_ms = clock::now_ms();
        // One a turn: after a restart all gateways connect at once, and each is read for.
        clinic.attend_joined();
        // A steady stream of admissions must not turn into a steady stream of questions.
        if now_ms.abs_diff(kept_ms) >= 100 {
            kept_ms = now_ms;
            clinic.tend_clocks(clock::step(), now_ms);
            clinic.keep_watch(now_ms);
            clinic.tend_ledger(now_ms);
            send_orders(clinic, sessions, now_ms);
            send_owed_receipts(clinic, sessions, now_ms);
        } else {
            clinic.tend_anchors(now_ms);
        }
        proofs.take_turn(clinic, sessions);
    }
}

/// Asks the policies of consents again until `over`, so that no stream goes on under an old answer. A
/// thread of its own: on another network an answer takes seconds.
pub(super) fn ask_policies(clinic: &Clinic, over: &AtomicBool) {
    while !over.load(Ordering::Acquire) {
        clinic.refresh_policies(clock::now_ms());
        std::thread::park_timeout(ASK_POLICIES);
    }
}

/// Orders to bedsides go down before proofs: somebody waits for each.
fn send_orders(clinic: &Clinic, sessions: &Sessions, now_ms: u64) {
    let mut full = BTreeSet::new();
    for order in clinic.orders_due(&sessions.connected(), now_ms) {
        // Behind one that was not taken, none of the same bedside may go: it would overtake it.
        let bedside = order.command.bedside;
        if !full.contains(&bedside) {
            let taken = sessions.send_command(order.command.gateway, order.encode());
            clinic.order_sent(&order, taken, now_ms);
            full.extend((!taken).then_some(bedside));
        }
    }
}

/// Receipts that no session could take, for devices that can be reached again. A gateway sets its idea of
/// the node's time by a receipt, so each is signed again at this time.
fn send_owed_receipts(clinic: &Clinic, sessions: &Sessions, now_ms: u64) {
    for (device, receipts) in sessions.take_owed() {
        match clinic.sign_again(&receipts, now_ms) {
            Ok(receipts) => receipts.into_iter().for_each(|receipt| sessions.send_receipt(device, receipt)),
            // The device asks for them by sending its envelopes again.
            Err(why) => tracing::error!(%why, "Receipts owed to {device} cannot be signed: {why}"),
        }
    }
}

/// Whose turn it is to get proofs.
#[derive(Default)]
struct Proofs {
    last: Option<DeviceId>,
    /// There may be more to send now.
    more: bool,
    rested: Option<Instant>,
}

impl Proofs {
    fn take_turn(&mut self, clinic: &Clinic, sessions: &Sessions) {
        let now = clock::instant();
        if self.rested.is_some_and(|rested| now < rested) {
            return;
        }
        let mut connected = sessions.connected();
        let turn = connected.len().div_ceil(TURNS).max(1);
        // On from the one served last, so that nobody is always the last.
        let next = self.last.map_or(0, |last| connected.partition_point(|id| *id <= last));
        connected.rotate_left(next);
        let deliveries = clinic.deliveries_for(&connected, turn);
        self.more = !deliveries.is_empty();
        self.last = deliveries.last().map(|outgoing| outgoing.to).or(self.last);
        self.rested = self.more.then(|| now + TURN);
        for outgoing in deliveries {
            if !sessions.send_proof(outgoing.to, outgoing.bytes.clone()) {
                clinic.not_sent(outgoing);
            }
        }
    }
}

/// Wakes the maintenance thread whenever the ledger's view moves.
pub(super) fn wake_on_tip(chain: &dyn Chain, wake: Wake) {
    let mut tip = chain.watch_tip();
    tokio::spawn(async move {
        while tip.changed().await.is_ok() {
            wake.moved();
        }
    });
}
