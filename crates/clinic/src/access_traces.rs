//! The entry that a session left when it began to follow a patient: written once, before the first value.
//! Owns its lock; nothing is written or asked while it is held.

use crate::consents::Allowed;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use vault::DurableAccess;
use vitals::PatientId;
use vitals::ids::Hash;
use vitals::ledger::Purpose;

/// An entry in the access log, and what it was written for.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    pub(crate) allowed: Allowed,
    pub(crate) hash: Hash,
    pub(crate) index: u64,
    /// Opens the own record again within the session.
    pub(crate) own: Option<Arc<DurableAccess>>,
}

/// Session, patient and purpose.
pub(crate) type TraceKey = ([u8; 16], PatientId, Purpose);

/// The traces of all sessions.
#[derive(Default)]
pub(crate) struct Traces {
    kept: Mutex<HashMap<TraceKey, Trace>>,
    /// The last entry for somebody who wanted to look could not be written.
    failing: AtomicBool,
}

impl Traces {
    pub(crate) fn get(&self, key: &TraceKey) -> Option<Trace> {
        self.kept.lock().get(key).cloned()
    }

    pub(crate) fn keep(&self, key: TraceKey, trace: Trace) {
        self.kept.lock().insert(key, trace);
    }

    /// Forgets what these sessions left.
    pub(crate) fn forget(&self, ended: &[[u8; 16]]) {
        if !ended.is_empty() {
            let ended: BTreeSet<&[u8; 16]> = ended.iter().collect();
            self.kept.lock().retain(|(session, ..), _| !ended.contains(session));
        }
    }

    /// Entries were written, or could not be.
    pub(crate) fn written(&self, written: bool) {
        self.failing.store(!written, Ordering::Relaxed);
    }

    /// Could the last entries not be written?
    pub(crate) fn are_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }
}
