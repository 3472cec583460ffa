//! Remembers the ledger heads this gateway has seen, in its folder. A ledger that goes back, or a second
//! one under the same genesis, is refused even if it is certified.

use crate::files;
use durable::Disk;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vitals::Genesis;
use vitals::ledger::Anchor;
use vitals::proof::genesis::GenesisDocument;
use vitals::proof::witness::{Alarm, Witness};
use vitals::proof::{BrokenLink, Finalized, LedgerProof};

/// Name of the file in the gateway's folder.
const FILE: &str = "witness";
/// Heads are written no more often than this; alarms at once.
const WRITE_EVERY_MS: u64 = 10_000;

/// A witness and its file.
#[derive(Debug)]
pub(crate) struct LedgerWitness {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    witness: Witness,
    /// The alarm that is in the file.
    written: Option<Alarm>,
    written_at_ms: Option<u64>,
}

impl LedgerWitness {
    /// Reads what was seen before. A damaged file is logged and started again: monitoring does not stop for
    /// a file.
    pub(crate) fn open(disk: Arc<dyn Disk>, dir: &Path, genesis: Genesis) -> io::Result<Self> {
        let path = dir.join(FILE);
        let decode = |bytes: Option<Vec<u8>>| match bytes {
            None => Ok(Witness::new(genesis)),
            Some(bytes) => Witness::decode(&bytes, genesis).map_err(|why| why.to_string()),
        };
        let read = match files::read_on(&*disk, &path) {
            Err(why) if why.kind() == io::ErrorKind::InvalidData => Err(why.to_string()),
            read => decode(read?),
        };
        let witness = read.unwrap_or_else(|why| {
            tracing::error!(%why, "What was seen of the ledger is unreadable and begins anew: {why}");
            Witness::new(genesis)
        });
        let written = witness.alarm();
        if let Some(alarm) = written {
            tracing::error!(%alarm, "Seen before the start: {alarm}");
        }
        Ok(Self { disk, path, witness, written, written_at_ms: None })
    }

    pub(crate) fn alarm(&self) -> Option<Alarm> {
        self.witness.alarm()
    }

    /// Verifies a proof from the newest block seen on.
    pub(crate) fn verify(
        &mut self,
        document: &GenesisDocument,
        proof: &LedgerProof,
        now_ms: u64,
    ) -> Result<Finalized, BrokenLink> {
        let verdict = self.witness.verify(document, proof, now_ms);
        self.keep(now_ms);
        verdict
    }

    /// Compares the log head of a proof just verified with the one before.
    pub(crate) fn saw_log(&mut self, anchor: &Anchor, now_ms: u64) {
        self.witness.saw_log(anchor);
        self.keep(now_ms);
    }

    fn keep(&mut self, now_ms: u64) {
        let alarm = self.witness.alarm();
        let lately = self.written_at_ms.is_some_and(|at_ms| now_ms.saturating_sub(at_ms) < WRITE_EVERY_MS);
        if alarm == self.written && lately {
            return;
        }
        if let Some(alarm) = alarm.filter(|alarm| self.written != Some(*alarm)) {
            tracing::error!(%alarm, "Call your organisation and others on this ledger: {alarm}");
        }
        self.written_at_ms = Some(now_ms);
        match files::replace_on(&*self.disk, &self.path, &self.witness.encode()) {
            Ok(()) => self.written = alarm,
            Err(why) => tracing::error!(%why, "What was seen of the ledger is not kept: {why}"),
        }
    }
}
