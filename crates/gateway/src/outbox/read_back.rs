//! What waits in the journal only, read back as there is room for it.

use super::{Entry, Outbox, Source, State};
use crate::journal::{JournalError, Kept, Record};

/// Read back from the journal at a time: half a megabyte.
const READ_BACK_LEN: usize = 1_024;

impl Outbox {
    /// What an earlier start left. A receipted one may have lost its proof with the crash: it goes again, in
    /// its turn.
    pub(super) fn insert_kept(&mut self, kept: Kept) {
        self.insert(Entry {
            source: Source::Journal(kept.place),
            alarm: kept.alarm,
            sealed_at_ms: kept.sealed_at_ms,
            hash: kept.hash,
            leaf: kept.leaf,
            class: kept.class,
            count: kept.count,
            state: State::Waiting,
            receipted: kept.receipted,
            sent_before: true,
            tries: 0,
            due_ms: u64::MAX,
        });
    }

    /// Room for envelopes that are to be known one by one.
    pub(super) fn room(&self) -> usize {
        let moving = self.entries.len().saturating_sub(self.quarantined.len());
        self.window_len_max.saturating_sub(moving)
    }

    /// Reads back as much as there is room for, before anything is sent.
    pub(crate) fn fill(&mut self) -> Result<(), JournalError> {
        loop {
            let before = self.backlog.len();
            self.read_back()?;
            if self.backlog.len() == before {
                return Ok(());
            }
        }
    }

    /// Reads back what waits in the journal, once there is room for a good part of it.
    pub(super) fn read_back(&mut self) -> Result<(), JournalError> {
        let room = self.room();
        if self.backlog.is_empty() || room < READ_BACK_LEN.min(self.window_len_max.div_ceil(2)) {
            return Ok(());
        }
        for kept in self.journal.read_on(&mut self.backlog, room.min(READ_BACK_LEN))? {
            if self.by_hash.contains_key(&kept.hash) {
                // A crash came between its file in quarantine and the note in the journal.
                self.journal.append(&[Record::Forgotten(kept.hash)])?;
                self.journal.forget(kept.place)?;
                continue;
            }
            self.insert_kept(kept);
        }
        Ok(())
    }
}
