//! Rejected envelopes: which go into quarantine, which streams are closed, and what is offered again.

use super::{Entry, OFFER_SECOND_MS, OFFER_UNKNOWN_MS, Offered, Outbox, Source, State, UNKNOWN_TRIES_MAX};
use crate::journal::{JournalError, Record};
use crate::quarantine::{QUARANTINED_MAX, QUARANTINED_PER_STREAM_MAX, Quarantine, Quarantined};
use link::Rejection;
use std::collections::BTreeMap;
use vitals::StreamId;
use vitals::envelope::Envelope;
use vitals::ids::Class;
use vitals::log;

impl Outbox {
    /// Takes over what earlier starts put into quarantine, and puts more there. Call it before anything is sent.
    pub(crate) fn with_quarantine(mut self, folder: Quarantine, found: Vec<(Quarantined, Envelope)>) -> Self {
        for (held, envelope) in found {
            let hash = envelope.hash();
            // A crash between storing it in quarantine and forgetting it leaves both.
            if let Some(id) = self.by_hash.get(&hash).copied() {
                self.note_quarantined(id, held);
                continue;
            }
            let id = self.insert(Entry {
                alarm: envelope.header.class == Class::Alarms,
                sealed_at_ms: envelope.header.last_ms,
                hash,
                leaf: log::leaf(&envelope.header_bytes),
                class: envelope.header.class,
                count: envelope.header.count,
                source: Source::Quarantine(held.clone()),
                state: State::Waiting,
                receipted: false,
                sent_before: true,
                tries: UNKNOWN_TRIES_MAX,
                due_ms: u64::MAX,
            });
            self.note_quarantined(id, held);
        }
        self.folder = Some(folder);
        self.offer_again(0);
        self
    }

    /// Marks an entry as quarantined; its bytes are where `held` says.
    pub(super) fn note_quarantined(&mut self, id: u64, held: Quarantined) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        self.timers.remove(&(entry.due_ms, id));
        entry.due_ms = u64::MAX;
        entry.state = State::Quarantined;
        self.alarms.remove(&id);
        self.others.remove(&id);
        if held.why == Rejection::Conflict {
            self.forked.insert(held.stream);
        }
        if self.quarantined.insert(id) {
            *self.quarantined_of.entry(held.stream).or_default() += 1;
        }
        entry.source = Source::Quarantine(held);
        self.count();
    }

    /// Moves an entry into quarantine: first into a file of its own, then out of the journal.
    pub(super) fn quarantine(
        &mut self,
        id: u64,
        why: Rejection,
        bytes: &[u8],
    ) -> Result<Option<StreamId>, JournalError> {
        let Some(entry) = self.entries.get(&id) else { return Ok(None) };
        let (hash, place) = match &entry.source {
            Source::Quarantine(held) => {
                let held = Quarantined { why, ..held.clone() };
                let stream = held.stream;
                self.note_quarantined(id, held);
                return Ok(Some(stream));
            }
            Source::Journal(place) => (entry.hash, *place),
        };
        let (Ok(envelope), Some(folder)) = (Envelope::decode(bytes), &self.folder) else { return Ok(None) };
        let stream = envelope.header.stream;
        if self.quarantined.len() >= QUARANTINED_MAX {
            // It stays in the journal, and is offered again with the next start.
            if why == Rejection::Conflict {
                self.forked.insert(stream);
            }
            self.leave_in_journal(id);
            return Ok(Some(stream));
        }
        let io = |source| JournalError::Io { path: crate::quarantine::FOLDER.into(), source };
        let held = folder.keep(why, bytes, &envelope).map_err(io)?;
        self.journal.append(&[Record::Forgotten(hash)])?;
        self.note_quarantined(id, held);
        self.journal.forget(place)?;
        Ok(Some(stream))
    }

    /// Forgets an entry here and not in the journal.
    fn leave_in_journal(&mut self, id: u64) {
        let Some(entry) = self.entries.remove(&id) else { return };
        self.by_hash.remove(&entry.hash);
        self.timers.remove(&(entry.due_ms, id));
        self.alarms.remove(&id);
        self.others.remove(&id);
        self.receipted -= usize::from(entry.receipted);
        self.refused_in_journal += 1;
        self.count();
    }

    /// Is nothing more to be sealed into this stream?
    pub(crate) fn is_closed(&self, stream: &StreamId) -> bool {
        self.is_forked(stream)
            || self.quarantined_of.get(stream).is_some_and(|held| *held >= QUARANTINED_PER_STREAM_MAX)
    }

    /// Is there a second writer of this stream?
    pub(crate) fn is_forked(&self, stream: &StreamId) -> bool {
        self.forked.contains(stream)
    }

    /// Has the node refused something of this stream, and not taken it since?
    pub(crate) fn has_quarantined(&self, stream: &StreamId) -> bool {
        self.quarantined_of.contains_key(stream)
    }

    /// Offers the first envelope of each stream that the node may accept by now. If it does, the others
    /// follow.
    pub(crate) fn offer_again(&mut self, steady_ms: u64) {
        let mut first: BTreeMap<(StreamId, Offered), (u64, u64)> = BTreeMap::new();
        for id in &self.quarantined {
            let Some(Entry { source: Source::Quarantine(held), state: State::Quarantined, .. }) =
                self.entries.get(id)
            else {
                continue;
            };
            let (kind, wait_ms) = match held.why {
                Rejection::Conflict => (Offered::SecondWriter, OFFER_SECOND_MS),
                Rejection::NotAuthorized => (Offered::UnknownAuthor, OFFER_UNKNOWN_MS),
                _ => continue,
            };
            let offered = self.offered_ms.get(&kind);
            if offered.is_none_or(|at_ms| steady_ms.saturating_sub(*at_ms) >= wait_ms) {
                let lowest = first.entry((held.stream, kind)).or_insert((held.seq, *id));
                *lowest = (*lowest).min((held.seq, *id));
            }
        }
        for ((_, kind), (_, id)) in first {
            self.offered_ms.insert(kind, steady_ms);
            self.queue(id);
        }
    }

    /// The node has accepted an envelope of a stream in quarantine: the stream goes on.
    pub(super) fn stream_accepted(&mut self, stream: StreamId) {
        let again: Vec<u64> = self
            .quarantined
            .iter()
            .filter(|id| match self.entries.get(id) {
                Some(Entry { source: Source::Quarantine(held), state: State::Quarantined, .. }) => {
                    held.stream == stream && held.may_be_offered()
                }
                _ => false,
            })
            .copied()
            .collect();
        tracing::info!(%stream, again = again.len(), "The node takes stream {stream} again");
        self.forked.remove(&stream);
        again.into_iter().for_each(|id| self.queue(id));
        self.count();
    }
}
