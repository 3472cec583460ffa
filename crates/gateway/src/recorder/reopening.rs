//! After the disk failed: what it holds is known only when it is read again, as at a start. So once it takes writes
//! again, journal, outbox, quarantine and sealers begin anew from it. The bedside and its alarms go on meanwhile, which
//! they would not if the process were started again.

use super::Recorder;
use crate::journal::JournalError;
use crate::{GatewayError, keys};
use std::io;
use std::sync::atomic::Ordering;

/// How often the disk is tried.
const TRY_EVERY_MS: u64 = 1_000;
/// How long after a disk that took the probe and failed again: everything kept was read.
const PAUSE_MS: u64 = 10_000;
/// Free space that beginning anew needs at least, bytes.
const PROBE_BYTES: usize = 1 << 20;
/// The file with which the disk is tried.
const PROBE: &str = ".disk-probe";

/// Why nothing is stored, and when to try again, by the steady clock.
pub(super) struct Failure {
    pub(super) why: GatewayError,
    again_ms: u64,
}

impl Failure {
    pub(super) fn new(why: GatewayError, steady_ms: u64) -> Self {
        Self { why, again_ms: steady_ms + TRY_EVERY_MS }
    }

    /// Can it be over? Damage needs a technician: reading it again changes nothing.
    fn is_of_the_disk(&self) -> bool {
        matches!(
            self.why,
            GatewayError::Io { .. } | GatewayError::Journal(JournalError::Io { .. } | JournalError::Broken)
        )
    }
}

impl Recorder {
    /// Begins anew if the disk failed and takes writes again.
    pub(super) fn try_again(&mut self) {
        let steady_ms = self.steady_ms;
        let due = |failure: &&mut Failure| failure.is_of_the_disk() && steady_ms >= failure.again_ms;
        let Some(failure) = self.failure.as_mut().filter(due) else { return };
        failure.again_ms = steady_ms + TRY_EVERY_MS;
        if self.probe().is_err() {
            return;
        }
        match self.begin_anew() {
            Ok(()) => tracing::warn!("The disk takes writes again: readings are stored"),
            Err(why) => {
                tracing::error!(%why, "The disk takes writes again, but what is kept cannot be opened: {why}");
                self.failure = Some(Failure { why, again_ms: steady_ms + PAUSE_MS });
            }
        }
    }

    fn probe(&self) -> io::Result<()> {
        let path = self.config.data_dir.join(PROBE);
        let written = durable::write(&*self.disk, &path, &vec![0x5a; PROBE_BYTES]).map(drop);
        // Nothing to remove if it could not even be made.
        let _ = self.disk.remove(&path);
        written
    }

    /// Reads what the disk holds. Commands stay as they are in memory: the bedside carries them out. So does what was
    /// seen of the ledger, which is never behind its file.
    fn begin_anew(&mut self) -> Result<(), GatewayError> {
        let paired = keys::load(&self.config.data_dir, self.config.boards.len())?;
        let fresh = Self::open(
            &self.config,
            paired,
            self.disk.clone(),
            self.clock.clone(),
            &self.entropy,
            self.counters.clone(),
            self.queue.clone(),
        )?;
        // The node sends again what was not heard meanwhile.
        self.disconnected();
        (self.sealers, self.outbox) = (fresh.sealers, fresh.outbox);
        (self.streams, self.journal_newest) = (fresh.streams, fresh.journal_newest);
        let is_split = self.verifier.alarm().is_some();
        self.counters.ledger_alarm.store(u64::from(is_split), Ordering::Relaxed);
        self.failure = None;
        Ok(())
    }
}
