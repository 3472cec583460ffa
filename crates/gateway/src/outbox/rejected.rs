//! The part of the outbox that deals with refusals: what is set aside, which streams are closed, and
//! what is offered again.

use super::{Entry, OFFER_SECOND_MS, OFFER_UNKNOWN_MS, Outbox, Source, State, UNKNOWN_TRIES_MAX};
use crate::journal::{JournalError, Record};
use crate::quarantine::{self, ASIDE_MAX, ASIDE_PER_STREAM_MAX, CODE_CONFLICT, Quarantined};
use std::collections::BTreeMap;
use vitals::StreamId;
use vitals::envelope::Envelope;
use vitals::ids::Class;
use vitals::log;

impl Outbox {
    /// Knows what earlier starts set aside, and where to put more.
    pub(crate) fn with_aside(
        mut self,
        folder: quarantine::Folder,
        found: Vec<(Quarantined, Envelope)>,
    ) -> Self {
        for (held, envelope) in found {
            let hash = envelope.hash();
            // A crash between setting aside and forgetting leaves both.
            if let Some(id) = self.by_hash.get(&hash).copied() {
                self.note_aside(id, held);
                continue;
            }
            let id = self.insert(Entry {
                alarm: envelope.header.class == Class::Alarms,
                sealed_at_ms: envelope.header.last_ms,
                hash,
                leaf: log::leaf(&envelope.header_bytes),
                class: envelope.header.class,
                count: envelope.header.count,
                source: Source::Aside(held.clone()),
                state: State::Waiting,
                receipted: false,
                sent_before: true,
                tries: UNKNOWN_TRIES_MAX,
                due_ms: u64::MAX,
            });
            self.note_aside(id, held);
        }
        self.folder = Some(folder);
        self.offer(0);
        self
    }

    /// Takes an entry out of the way; its bytes are where `held` says, or too many are and it stays.
    pub(super) fn note_aside(&mut self, id: u64, held: Quarantined) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        self.timers.remove(&(entry.due_ms, id));
        entry.due_ms = u64::MAX;
        entry.state = State::Aside;
        self.alarms.remove(&id);
        self.others.remove(&id);
        if held.code == CODE_CONFLICT {
            self.forked.insert(held.stream);
        }
        if self.aside.insert(id) {
            *self.aside_of.entry(held.stream).or_default() += 1;
        }
        entry.source = Source::Aside(held);
        self.count();
    }

    /// Sets an entry aside: into a file of its own first, out of the journal then.
    pub(super) fn set_aside(
        &mut self,
        id: u64,
        code: u8,
        bytes: &[u8],
    ) -> Result<Option<StreamId>, JournalError> {
        let Some(entry) = self.entries.get(&id) else { return Ok(None) };
        let (hash, place) = match &entry.source {
            Source::Aside(held) => {
                let held = Quarantined { code, ..held.clone() };
                let stream = held.stream;
                self.note_aside(id, held);
                return Ok(Some(stream));
            }
            Source::Journal(place) => (entry.hash, *place),
        };
        let (Ok(envelope), Some(folder)) = (Envelope::decode(bytes), &self.folder) else { return Ok(None) };
        let stream = envelope.header.stream;
        if self.aside.len() >= ASIDE_MAX {
            // Stays in the journal, and is offered again with the next start.
            if code == CODE_CONFLICT {
                self.forked.insert(stream);
            }
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.state = State::Aside;
                self.alarms.remove(&id);
                self.others.remove(&id);
            }
            return Ok(Some(stream));
        }
        let io = |source| JournalError::Io { path: "aside".into(), source };
        let held = folder.keep(code, bytes, &envelope).map_err(io)?;
        self.journal.append(&[Record::Forgotten(hash)])?;
        self.note_aside(id, held);
        self.journal.forget(place)?;
        Ok(Some(stream))
    }

    /// Is nothing more to be sealed into this stream?
    pub(crate) fn is_closed(&self, stream: &StreamId) -> bool {
        self.is_forked(stream) || self.aside_of.get(stream).is_some_and(|held| *held >= ASIDE_PER_STREAM_MAX)
    }

    /// Does another hand write this stream?
    pub(crate) fn is_forked(&self, stream: &StreamId) -> bool {
        self.forked.contains(stream)
    }

    /// Has the node refused something of this stream, and not taken it since?
    pub(crate) fn holds_aside(&self, stream: &StreamId) -> bool {
        self.aside_of.contains_key(stream)
    }

    /// Offers the first envelope of each stream that may be welcome by now. If the node takes it, the
    /// others follow.
    pub(crate) fn offer(&mut self, steady_ms: u64) {
        let mut first: BTreeMap<(StreamId, u8), (u64, u64)> = BTreeMap::new();
        for id in &self.aside {
            let Some(Entry { source: Source::Aside(held), state: State::Aside, .. }) = self.entries.get(id)
            else {
                continue;
            };
            let wait_ms = if held.code == CODE_CONFLICT { OFFER_SECOND_MS } else { OFFER_UNKNOWN_MS };
            let offered = self.offered_ms.get(&held.code);
            if held.may_be_offered()
                && offered.is_none_or(|at_ms| steady_ms.saturating_sub(*at_ms) >= wait_ms)
            {
                let lowest = first.entry((held.stream, held.code)).or_insert((held.seq, *id));
                *lowest = (*lowest).min((held.seq, *id));
            }
        }
        for ((_, code), (_, id)) in first {
            self.offered_ms.insert(code, steady_ms);
            self.queue(id);
        }
    }

    /// The node has taken an envelope of a stream that was set aside: the stream goes on.
    pub(super) fn welcomed(&mut self, stream: StreamId) {
        let again: Vec<u64> = self
            .aside
            .iter()
            .filter(|id| match self.entries.get(id) {
                Some(Entry { source: Source::Aside(held), state: State::Aside, .. }) => {
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
