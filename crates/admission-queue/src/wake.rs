//! Wakes threads that have something to do.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Wakes them. A full channel means that one is awake already.
#[derive(Debug, Clone)]
pub struct Wake {
    monitoring: SyncSender<()>,
    maintenance: SyncSender<()>,
}

impl Wake {
    /// With what monitoring and maintenance wait for, in this order.
    #[must_use]
    pub fn new() -> (Self, Receiver<()>, Receiver<()>) {
        let ((monitoring, to_watch), (maintenance, to_keep)) = (sync_channel(1), sync_channel(1));
        (Self { monitoring, maintenance }, to_watch, to_keep)
    }

    /// Something was admitted.
    pub fn admitted(&self) {
        let _ = self.monitoring.try_send(());
        let _ = self.maintenance.try_send(());
    }

    /// The ledger moved, or a gateway waits for proofs.
    pub fn moved(&self) {
        let _ = self.maintenance.try_send(());
    }
}
