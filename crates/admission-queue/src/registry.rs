//! Which gateways may connect: those on the ledger that were not revoked.

use clinic::StrongKeys;
use link::Registry;
use parking_lot::Mutex;
use std::sync::Arc;
use vitals::DeviceId;
use vitals::ledger::{DeviceKind, Ledger};

/// Looks gateways up in the ledger's registry.
pub struct LedgerRegistry {
    ledger: Arc<dyn Ledger>,
    /// Remembered: every session looks every few seconds.
    strong: Mutex<StrongKeys>,
}

impl std::fmt::Debug for LedgerRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LedgerRegistry")
    }
}

impl LedgerRegistry {
    /// Over this view of the ledger.
    #[must_use]
    pub fn new(ledger: Arc<dyn Ledger>) -> Self {
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
