//! Envelopes that wait in the journal and nowhere else: read back in their order, a bounded part at a time, so
//! that memory does not grow with what a gateway has to catch up.

use super::record::{self, Found, HEAD_BYTES, Unreadable};
use super::{Journal, JournalError, Kept, Place};
use std::collections::HashSet;
use vitals::envelope::{ENVELOPE_BYTES_MAX, Envelope};
use vitals::ids::Hash;

/// Read at a time, bytes: far more than the longest record.
const CHUNK_BYTES: usize = 256 * 1024;
const _: () = assert!(CHUNK_BYTES > 2 * (HEAD_BYTES + ENVELOPE_BYTES_MAX + 64));

/// What of the journal is still to be read.
#[derive(Debug, Default)]
pub struct Backlog {
    /// Where reading goes on: segment, and offset in it.
    pub(super) next: (u32, u64),
    /// Envelopes from there on that are to be read.
    pub(super) left: usize,
    /// Hashes of envelopes from there on that are not: forgotten before this start, or taken out of turn.
    pub(super) passed_over: HashSet<Hash>,
    /// Hashes of envelopes from there on whose receipt was checked.
    pub(super) receipted: HashSet<Hash>,
    /// Alarms found at the start, which go before everything else.
    pub(super) alarms: Vec<Kept>,
}

impl Backlog {
    /// Envelopes in it, alarms of the start included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.left + self.alarms.len()
    }

    /// Is there nothing to be read?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The alarms found at the start, oldest first; they are no longer part of it.
    pub fn take_alarms(&mut self) -> Vec<Kept> {
        std::mem::take(&mut self.alarms)
    }

    /// The envelope appended last waits in the journal only.
    pub(crate) fn push(&mut self, place: Place) {
        if self.left == 0 {
            self.next = (place.segment, place.offset);
        }
        self.left += 1;
    }

    /// The envelope appended last does not wait its turn.
    pub(crate) fn pass_over(&mut self, hash: Hash) {
        if self.left > 0 {
            self.passed_over.insert(hash);
        }
    }

    fn finish_if_read(&mut self) {
        if self.left == 0 {
            (self.passed_over, self.receipted) = (HashSet::new(), HashSet::new());
        }
    }
}

impl Journal {
    /// The next envelopes of the backlog, `most` of them, oldest first.
    ///
    /// # Errors
    /// If the disk fails, or what was written does not read back.
    pub fn read_on(&self, backlog: &mut Backlog, most: usize) -> Result<Vec<Kept>, JournalError> {
        let mut read = Vec::new();
        while backlog.left > 0 && read.len() < most {
            let (number, offset) = backlog.next;
            let Some((number, segment)) = self.segments.range(number..).next() else { break };
            // A segment that holds nothing any more may be gone.
            let offset = if *number == backlog.next.0 { offset } else { 0 };
            let rest = segment.file.bytes().saturating_sub(offset);
            if rest == 0 {
                backlog.next = (*number + 1, 0);
                continue;
            }
            let len = usize::try_from(rest).unwrap_or(usize::MAX).min(CHUNK_BYTES);
            let mut bytes = vec![0; len];
            let io = |source| JournalError::Io { path: segment.path.clone(), source };
            segment.file.file().read_at(&mut bytes, offset).map_err(io)?;
            let mut at = 0;
            while at < len && backlog.left > 0 && read.len() < most {
                let start = at;
                let place = offset + start as u64;
                let damaged = |what: &str| JournalError::Damaged {
                    path: segment.path.clone(),
                    offset: place,
                    what: what.into(),
                };
                match record::read(&bytes, &mut at) {
                    Ok(Found::Envelope { alarm, sealed_at_ms, bytes }) => {
                        let envelope = Envelope::decode(bytes).map_err(|why| damaged(&why.to_string()))?;
                        let hash = envelope.hash();
                        if backlog.passed_over.remove(&hash) {
                            continue;
                        }
                        let place =
                            Place { segment: *number, offset: place, len: super::length(bytes.len()) };
                        let receipted = backlog.receipted.remove(&hash);
                        backlog.left -= 1;
                        read.push(Kept { receipted, ..Kept::of(place, alarm, sealed_at_ms, &envelope) });
                    }
                    Ok(_) => {}
                    // The record goes on behind this chunk.
                    Err(Unreadable::Torn) if start > 0 && (len as u64) < rest => break,
                    Err(why) => return Err(damaged(why.what())),
                }
            }
            backlog.next = (*number, offset + at as u64);
        }
        if read.is_empty() && backlog.left > 0 && most > 0 {
            return Err(JournalError::Damaged {
                path: self.path(self.current),
                offset: 0,
                what: "the journal ends before all that waits in it was read".into(),
            });
        }
        backlog.finish_if_read();
        Ok(read)
    }
}
