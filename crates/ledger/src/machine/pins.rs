//! Heights that are being read at: their nodes are kept until the last reader is done.

use parking_lot::{Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The heights that are read at, and by how many. Clones share everything.
#[derive(Debug, Clone, Default)]
pub(super) struct Pins(Arc<Mutex<BTreeMap<u64, usize>>>);

/// While it lives, the state after this height can be read.
#[derive(Debug)]
pub(super) struct Pin {
    height: u64,
    pins: Pins,
}

impl Pins {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, usize>> {
        self.0.lock()
    }

    pub(super) fn pin(&self, height: u64) -> Arc<Pin> {
        *self.lock().entry(height).or_default() += 1;
        Arc::new(Pin { height, pins: self.clone() })
    }

    pub(super) fn lowest(&self) -> Option<u64> {
        self.lock().keys().next().copied()
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut pins = self.pins.lock();
        if let Some(count) = pins.get_mut(&self.height) {
            *count -= 1;
            if *count == 0 {
                pins.remove(&self.height);
            }
        }
    }
}
