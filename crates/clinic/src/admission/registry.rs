//! The device registry as this node knows it: read from the finalized view, kept while the view
//! stands, and still answered from memory when the ledger does not.

use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use vitals::DeviceId;
use vitals::ledger::{Device, Ledger};

/// Most devices, and most strong keys, kept in memory.
const KEPT_MAX: usize = 65_536;

/// Keys found strong: a look costs as much as a signature.
#[derive(Debug, Default)]
pub struct StrongKeys(HashSet<[u8; 32]>);

impl StrongKeys {
    /// Is this Ed25519 key free of small-order parts and written in the one way?
    pub fn is_strong(&mut self, key: [u8; 32]) -> bool {
        if self.0.contains(&key) {
            return true;
        }
        if !vitals::cose::is_strong(&key) {
            return false;
        }
        if self.0.len() >= KEPT_MAX {
            self.0.clear();
        }
        self.0.insert(key)
    }
}

/// Devices by id, each with the height it was read at. Owns its locks; the ledger is asked without them.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    kept: Mutex<HashMap<DeviceId, (u64, Device)>>,
    strong: Mutex<StrongKeys>,
}

/// The ledger does not answer and the device was never seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unanswered;

impl Registry {
    /// A device as the finalized view holds it; as it was seen last when the ledger is down.
    pub(crate) fn device(
        &self,
        ledger: &dyn Ledger,
        height: u64,
        id: DeviceId,
    ) -> Result<Option<Device>, Unanswered> {
        let known = self.kept.lock().get(&id).cloned();
        if let Some((at, device)) = &known
            && *at == height
        {
            return Ok(Some(device.clone()));
        }
        match ledger.device(id) {
            Ok(Some(device)) => {
                let mut kept = self.kept.lock();
                if kept.len() >= KEPT_MAX {
                    kept.clear();
                }
                kept.insert(id, (height, device.clone()));
                Ok(Some(device))
            }
            Ok(None) => Ok(None),
            Err(_) => known.map(|(_, device)| Some(device)).ok_or(Unanswered),
        }
    }

    /// As [`StrongKeys::is_strong`].
    pub(crate) fn is_strong(&self, key: [u8; 32]) -> bool {
        self.strong.lock().is_strong(key)
    }
}
