//! The outbox: which envelopes wait, which are in flight, which have their receipt; what to send next, and
//! when to send it again. It uses the journal and the quarantine and does no other I/O.
//!
//! Only the oldest envelopes, and alarms, are known one by one. Whatever is beyond that waits in the journal
//! and is read back in its order as the others are proven: memory does not grow with what has to be caught up.

mod evidence;
mod read_back;
mod rejected;

use crate::counters::{Counters, add, note};
use crate::journal::{Backlog, Journal, JournalError, Place, Record};
use crate::quarantine::{Quarantine, Quarantined};
use device::Sealed;
use link::Rejection;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use vitals::StreamId;
use vitals::envelope::Envelope;
use vitals::ids::{Class, Hash};
use vitals::log;

/// Most envelopes kept: three boards for almost four days.
pub(crate) const PENDING_MAX: usize = 2_000_000;
/// Room for alarms beyond that.
const ALARM_ROOM: usize = 10_000;
/// Most envelopes of those that are known one by one; alarms may be as many again. What they need to be sent,
/// receipted and proven is about as long as their list.
pub(crate) const WINDOW_LEN_MAX: usize = 16_384;
/// An acknowledged envelope without its receipt is sent again after this long.
const RECEIPT_WAIT_MS: u64 = 5_000;
/// A receipted envelope without its proof is sent again after this long, so that the node thinks of it.
const PROOF_WAIT_MS: u64 = 60_000;
/// Pause after the node asked to try again later.
const BUSY_WAIT_MS: u64 = 500;
/// A node that does not know the author yet (its view of the ledger lags) is asked again this often,
/// with a doubling pause, before the envelope goes into quarantine.
const UNKNOWN_TRIES_MAX: u8 = 6;
/// An envelope whose author the node did not know is offered again no more often than this.
const OFFER_UNKNOWN_MS: u64 = 60_000;
/// An envelope that contradicts the record, no more often than this.
const OFFER_SECOND_MS: u64 = 600_000;
/// A receipt is signed when it is sent: this far off, so many times in a row, the own clock is wrong.
const CLOCK_WRONG_MS: u64 = 15_000;
const CLOCK_TIMES: u8 = 3;
/// Envelopes of a closed stream moved to quarantine at once: each waits for the disk, and alarms must not.
const SWEPT_AT_ONCE_MAX: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    InFlight,
    /// The node says it has it; only a receipt counts.
    Acked,
    /// A receipt was checked.
    Receipted,
    /// Refused for good; not on its way.
    Quarantined,
}

/// Where an envelope's bytes are.
#[derive(Debug)]
enum Source {
    Journal(Place),
    Quarantine(Quarantined),
}

#[derive(Debug)]
struct Entry {
    source: Source,
    alarm: bool,
    sealed_at_ms: u64,
    hash: Hash,
    leaf: Hash,
    class: Class,
    count: u32,
    state: State,
    receipted: bool,
    sent_before: bool,
    tries: u8,
    /// When to send it again; `u64::MAX` for not by time.
    due_ms: u64,
}

/// Why an envelope in quarantine may be offered again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Offered {
    /// The node may know the author by now.
    UnknownAuthor,
    /// The node may have gone back to before the other writer.
    SecondWriter,
}

/// A stream the node refused an envelope of, for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) stream: StreamId,
    /// Nothing more is sealed into it from now on.
    pub(crate) closed: bool,
}

pub(crate) struct Outbox {
    journal: Journal,
    /// What waits behind `entries`, in the journal only.
    backlog: Backlog,
    /// Most entries that are not in quarantine.
    window_len_max: usize,
    entries: BTreeMap<u64, Entry>,
    by_hash: HashMap<Hash, u64>,
    next_id: u64,
    alarms: BTreeSet<u64>,
    others: BTreeSet<u64>,
    timers: BTreeSet<(u64, u64)>,
    counters: Arc<Counters>,
    pending_max: usize,
    folder: Option<Quarantine>,
    /// Entries in quarantine, on offer or not.
    quarantined: BTreeSet<u64>,
    quarantined_of: BTreeMap<StreamId, usize>,
    /// Refused envelopes for which the quarantine had no room: they stay in the journal until the next start.
    refused_in_journal: usize,
    /// Entries that have their receipt and wait for their proof.
    receipted: usize,
    /// Streams with a second writer.
    forked: BTreeSet<StreamId>,
    /// When a stream with a second writer, and one of an unknown author, was offered again last.
    offered_ms: BTreeMap<Offered, u64>,
    /// Highest ledger height proven.
    height: u64,
    /// It has risen since the last tick.
    newer: bool,
    /// The node's time, by its last receipts, less this gateway's; how many in a row were far off.
    clock_off_ms: i64,
    clock_off_times: u8,
}

impl Outbox {
    /// An outbox over an opened journal that knows at most `window_len_max` envelopes one by one.
    pub(crate) fn new(
        journal: Journal,
        mut backlog: Backlog,
        window_len_max: usize,
        counters: Arc<Counters>,
    ) -> Self {
        let alarms = backlog.take_alarms();
        let mut outbox = Self {
            journal,
            backlog,
            window_len_max,
            entries: BTreeMap::new(),
            by_hash: HashMap::new(),
            next_id: 0,
            alarms: BTreeSet::new(),
            others: BTreeSet::new(),
            timers: BTreeSet::new(),
            counters,
            pending_max: PENDING_MAX,
            folder: None,
            quarantined: BTreeSet::new(),
            quarantined_of: BTreeMap::new(),
            refused_in_journal: 0,
            receipted: 0,
            forked: BTreeSet::new(),
            offered_ms: BTreeMap::new(),
            height: 0,
            newer: false,
            clock_off_ms: 0,
            clock_off_times: 0,
        };
        for alarm in alarms {
            outbox.insert_kept(alarm);
        }
        outbox
    }

    fn insert(&mut self, entry: Entry) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.by_hash.insert(entry.hash, id);
        self.receipted += usize::from(entry.receipted);
        if entry.alarm { &mut self.alarms } else { &mut self.others }.insert(id);
        self.entries.insert(id, entry);
        self.count();
        id
    }

    fn count(&self) {
        note(&self.counters.envelopes_pending, self.pending());
        note(&self.counters.envelopes_aside, self.quarantined.len());
        note(
            &self.counters.streams_closed,
            self.quarantined_of.keys().filter(|of| self.is_closed(of)).count(),
        );
    }

    fn bytes(&self, source: &Source) -> Result<Vec<u8>, JournalError> {
        match source {
            Source::Journal(place) => self.journal.read(*place),
            Source::Quarantine(held) => std::fs::read(&held.path)
                .map_err(|source| JournalError::Io { path: held.path.clone(), source }),
        }
    }

    /// How far this gateway's clock is behind the node's (negative: ahead), when it is far.
    pub(crate) fn clock_wrong_by_ms(&self) -> Option<i64> {
        (self.clock_off_times >= CLOCK_TIMES).then_some(self.clock_off_ms)
    }

    /// The node's time, by its last receipt, less this gateway's; 0 before the first.
    pub(crate) fn clock_off_ms(&self) -> i64 {
        self.clock_off_ms
    }

    /// Is there anything that the node has not given its receipt for?
    pub(crate) fn awaits_answers(&self) -> bool {
        self.pending() > self.receipted
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Envelopes on the way to the node; those in quarantine are not.
    pub(crate) fn pending(&self) -> usize {
        self.in_all().saturating_sub(self.quarantined.len())
    }

    /// Envelopes kept, wherever they wait.
    fn in_all(&self) -> usize {
        self.entries.len() + self.backlog.len() + self.refused_in_journal
    }

    /// Is this envelope kept here, and known by itself?
    pub(crate) fn knows(&self, hash: &Hash) -> bool {
        self.by_hash.contains_key(hash)
    }

    /// There is no more room for readings.
    pub(crate) fn is_full(&self) -> bool {
        self.in_all() >= self.pending_max
    }

    /// There is no more room for alarms either.
    pub(crate) fn is_full_for_alarms(&self) -> bool {
        self.in_all() >= self.pending_max + ALARM_ROOM
    }

    /// Envelopes known one by one.
    #[cfg(test)]
    pub(crate) fn known(&self) -> usize {
        self.entries.len()
    }

    #[cfg(test)]
    pub(crate) fn bound(&mut self, pending_max: usize) {
        self.pending_max = pending_max;
    }

    /// Makes sealed envelopes durable, then queues them. On an error none of them is ever sent.
    pub(crate) fn keep(&mut self, sealed: &[(bool, Sealed)], now_ms: u64) -> Result<(), JournalError> {
        let records: Vec<Record<'_>> = sealed
            .iter()
            .map(|(alarm, sealed)| Record::Envelope {
                alarm: *alarm,
                sealed_at_ms: now_ms,
                bytes: &sealed.bytes,
            })
            .collect();
        let places = self.journal.append(&records)?;
        self.journal.sync()?;
        add(&self.counters.journal_syncs, 1);
        for ((alarm, sealed), place) in sealed.iter().zip(places) {
            add(&self.counters.envelopes_sealed, 1);
            self.counters.sealed(sealed.header.stream, sealed.header.seq + 1, sealed.hash, now_ms);
            // Alarms do not wait behind the others; nobody else overtakes what waits already.
            let is_known = if *alarm {
                self.entries.len() < self.window_len_max.saturating_mul(2)
            } else {
                self.backlog.is_empty() && self.room() > 0
            };
            if !is_known {
                self.backlog.push(place);
                self.count();
                continue;
            }
            if *alarm {
                self.backlog.pass_over(sealed.hash);
            }
            self.insert(Entry {
                source: Source::Journal(place),
                alarm: *alarm,
                sealed_at_ms: now_ms,
                hash: sealed.hash,
                leaf: log::leaf(&sealed.header.encode()),
                class: sealed.header.class,
                count: sealed.header.count,
                state: State::Waiting,
                receipted: false,
                sent_before: false,
                tries: 0,
                due_ms: u64::MAX,
            });
        }
        Ok(())
    }

    /// The next envelope to send: alarms first, each lane in order.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, bool, Vec<u8>)>, JournalError> {
        self.read_back()?;
        for _ in 0..SWEPT_AT_ONCE_MAX {
            let Some((id, bytes)) = self.first_waiting()? else { return Ok(None) };
            let mine = matches!(self.entries.get(&id), Some(Entry { source: Source::Journal(_), .. }));
            // An envelope that continues a refused branch would be refused too.
            let swept = mine
                && !self.forked.is_empty()
                && Envelope::decode(&bytes).is_ok_and(|envelope| self.is_forked(&envelope.header.stream));
            if !swept {
                return Ok(self.in_flight(id, bytes));
            }
            self.quarantine(id, Rejection::Conflict, &bytes)?;
        }
        Ok(None)
    }

    fn first_waiting(&self) -> Result<Option<(u64, Vec<u8>)>, JournalError> {
        let Some(id) = self.alarms.first().or(self.others.first()).copied() else { return Ok(None) };
        let Some(entry) = self.entries.get(&id) else { return Ok(None) };
        Ok(Some((id, self.bytes(&entry.source)?)))
    }

    fn in_flight(&mut self, id: u64, bytes: Vec<u8>) -> Option<(u64, bool, Vec<u8>)> {
        let entry = self.entries.get_mut(&id)?;
        if entry.alarm { &mut self.alarms } else { &mut self.others }.remove(&id);
        entry.state = State::InFlight;
        if std::mem::replace(&mut entry.sent_before, true) {
            add(&self.counters.envelopes_resent, 1);
        }
        add(&self.counters.envelopes_sent, 1);
        Some((id, entry.alarm, bytes))
    }

    fn wait_until(&mut self, id: u64, due_ms: u64) {
        if let Some(entry) = self.entries.get_mut(&id) {
            self.timers.remove(&(entry.due_ms, id));
            entry.due_ms = due_ms;
            self.timers.insert((due_ms, id));
        }
    }

    fn queue(&mut self, id: u64) {
        if let Some(entry) = self.entries.get_mut(&id) {
            self.timers.remove(&(entry.due_ms, id));
            entry.due_ms = u64::MAX;
            entry.state = State::Waiting;
            if entry.alarm { &mut self.alarms } else { &mut self.others }.insert(id);
        }
    }

    /// The node says that it has it. `steady_ms` is a clock that does not leap.
    pub(crate) fn acked(&mut self, id: u64, steady_ms: u64) {
        add(&self.counters.envelopes_acked, 1);
        let Some(entry) = self.entries.get_mut(&id).filter(|entry| entry.state == State::InFlight) else {
            return;
        };
        entry.state = if entry.receipted { State::Receipted } else { State::Acked };
        let wait = if entry.receipted { PROOF_WAIT_MS } else { RECEIPT_WAIT_MS };
        self.wait_until(id, steady_ms + wait);
    }

    /// The node refused it. If that is for good it goes into quarantine, and its stream is returned.
    pub(crate) fn refused(
        &mut self,
        id: u64,
        why: Rejection,
        steady_ms: u64,
    ) -> Result<Option<Refused>, JournalError> {
        let Some(entry) = self.entries.get_mut(&id) else { return Ok(None) };
        if why == Rejection::Busy {
            entry.state = State::Acked;
            self.wait_until(id, steady_ms + BUSY_WAIT_MS);
            return Ok(None);
        }
        if why == Rejection::NotAuthorized && entry.tries < UNKNOWN_TRIES_MAX {
            entry.tries += 1;
            entry.state = State::Acked;
            let pause = BUSY_WAIT_MS << entry.tries;
            self.wait_until(id, steady_ms + pause);
            return Ok(None);
        }
        let Some(entry) = self.entries.get(&id) else { return Ok(None) };
        let again = matches!(entry.source, Source::Quarantine(_));
        let bytes = self.bytes(&entry.source)?;
        add(&self.counters.envelopes_refused, u64::from(!again));
        let Some(stream) = self.quarantine(id, why, &bytes)? else { return Ok(None) };
        Ok((!again).then(|| Refused { stream, closed: self.is_closed(&stream) }))
    }

    fn forget(&mut self, hash: &Hash) -> Result<(), JournalError> {
        let Some(id) = self.by_hash.remove(hash) else { return Ok(()) };
        let Some(entry) = self.entries.remove(&id) else { return Ok(()) };
        self.timers.remove(&(entry.due_ms, id));
        self.alarms.remove(&id);
        self.others.remove(&id);
        self.receipted -= usize::from(entry.receipted);
        let done = match entry.source {
            Source::Journal(place) => self.journal.forget(place),
            Source::Quarantine(held) => {
                self.quarantined.remove(&id);
                if let Some(n) = self.quarantined_of.get_mut(&held.stream) {
                    *n -= 1;
                    if *n == 0 {
                        self.quarantined_of.remove(&held.stream);
                    }
                }
                std::fs::remove_file(&held.path)
                    .map_err(|source| JournalError::Io { path: held.path, source })
            }
        };
        self.count();
        done
    }

    /// The connection is gone: what has no receipt goes again, and what waits for its proof too, so
    /// that the next node session knows of it.
    pub(crate) fn disconnected(&mut self) {
        let resting = |e: &Entry| matches!(e.state, State::Waiting | State::Quarantined);
        let ids: Vec<u64> = self.entries.iter().filter(|(_, e)| !resting(e)).map(|(id, _)| *id).collect();
        for id in ids {
            self.queue(id);
        }
    }

    /// Queues what is due.
    pub(crate) fn tick(&mut self, steady_ms: u64) {
        while let Some((due_ms, id)) = self.timers.first().copied()
            && due_ms <= steady_ms
        {
            self.timers.remove(&(due_ms, id));
            self.queue(id);
        }
        // The node's view of the ledger has moved: it may know an author now that it did not.
        if core::mem::take(&mut self.newer) && !self.quarantined.is_empty() {
            self.offer_again(steady_ms);
        }
    }

    /// Makes what is noted durable, before the end.
    pub(crate) fn close(&mut self) -> Result<(), JournalError> {
        self.journal.sync()
    }
}

#[cfg(test)]
mod tests;
