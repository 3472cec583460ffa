//! The keeper: brings what was admitted to the live view, lets time pass for alarms, hands anchors to
//! the ledger and proofs to the gateways.

use crate::clock;
use clinic::Clinic;
use ledger::EmbeddedChain;
use link::{Lane, Sessions};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration;

/// Time passes for alarms and anchors at least this often.
const BEAT: Duration = Duration::from_millis(200);

/// Keeps until `over`.
pub(super) fn keep(clinic: &Arc<Clinic>, sessions: &Sessions, woken: &Receiver<()>, over: &AtomicBool) {
    let mut ticked_ms = 0;
    while !over.load(Ordering::Acquire) {
        // Woken by an admission, a new block or a gateway; or by time.
        let _ = woken.recv_timeout(BEAT);
        let now_ms = clock::now_ms();
        clinic.attend(now_ms);
        // A steady stream of admissions must not turn into a steady stream of ticks.
        if now_ms.abs_diff(ticked_ms) >= 100 {
            ticked_ms = now_ms;
            clinic.tick(now_ms);
        } else {
            clinic.tend_anchors(now_ms);
        }
        for outgoing in clinic.deliveries(&sessions.connected()) {
            if !sessions.send(outgoing.to, Lane::Proof, outgoing.bytes.clone()) {
                clinic.not_sent(outgoing);
            }
        }
    }
}

/// Wakes the keeper whenever the ledger's view moves.
pub(super) fn wake_on_tip(chain: &Arc<EmbeddedChain>, wake: SyncSender<()>) {
    let mut tip = chain.watch_tip();
    tokio::spawn(async move {
        while tip.changed().await.is_ok() {
            // A full channel means the keeper is awake already.
            let _ = wake.try_send(());
        }
    });
}
