//! What is on its way home: which envelopes wait, which are under way, which have their receipt; what
//! to send next, and when to send something again. Sits on the journal and does no other I/O.

use crate::counters::{Counters, add};
use crate::journal::{Journal, JournalError, Kept, Place, Record};
use crate::trust::{NotBelieved, Trust};
use device::Sealed;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use vitals::envelope::Envelope;
use vitals::ids::{Class, Hash};
use vitals::log;

/// Most envelopes kept: three boards for almost four days.
pub(crate) const PENDING_MAX: usize = 2_000_000;
/// An acknowledged envelope without its receipt is sent again after this long.
const RECEIPT_WAIT_MS: u64 = 5_000;
/// A receipted envelope without its proof is sent again after this long, so that the node thinks of it.
const PROOF_WAIT_MS: u64 = 60_000;
/// Pause after the node asked to try again later.
const BUSY_WAIT_MS: u64 = 500;
/// A node that does not know the author yet (its view of the ledger lags) is asked again this often,
/// with a doubling pause, before the envelope is set aside.
const UNKNOWN_TRIES_MAX: u8 = 6;
const CODE_NOT_AUTHORIZED: u8 = 0x87;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    UnderWay,
    /// The node says it has it; only a receipt counts.
    Acked,
    /// A receipt was checked.
    Receipted,
}

#[derive(Debug)]
struct Entry {
    place: Place,
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

/// An envelope the node refused for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Aside {
    pub(crate) code: u8,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) struct Outbox {
    journal: Journal,
    entries: BTreeMap<u64, Entry>,
    by_hash: HashMap<Hash, u64>,
    next_id: u64,
    alarms: BTreeSet<u64>,
    others: BTreeSet<u64>,
    timers: BTreeSet<(u64, u64)>,
    counters: Arc<Counters>,
}

impl Outbox {
    pub(crate) fn new(journal: Journal, kept: Vec<Kept>, counters: Arc<Counters>) -> Self {
        let mut outbox = Self {
            journal,
            entries: BTreeMap::new(),
            by_hash: HashMap::new(),
            next_id: 0,
            alarms: BTreeSet::new(),
            others: BTreeSet::new(),
            timers: BTreeSet::new(),
            counters,
        };
        for kept in kept {
            // A receipted one may have lost its proof with the crash: it goes again, in its turn.
            outbox.insert(Entry {
                place: kept.place,
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
        outbox
    }

    fn insert(&mut self, entry: Entry) {
        let id = self.next_id;
        self.next_id += 1;
        self.by_hash.insert(entry.hash, id);
        if entry.alarm { &mut self.alarms } else { &mut self.others }.insert(id);
        self.entries.insert(id, entry);
        self.count();
    }

    fn count(&self) {
        self.counters
            .envelopes_pending
            .store(self.entries.len() as u64, std::sync::atomic::Ordering::Relaxed);
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    pub(crate) fn pending(&self) -> usize {
        self.entries.len()
    }

    /// Is this envelope kept here?
    pub(crate) fn knows(&self, hash: &Hash) -> bool {
        self.by_hash.contains_key(hash)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.entries.len() >= PENDING_MAX
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
            self.insert(Entry {
                place,
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
        let Some(id) = self.alarms.first().or(self.others.first()).copied() else { return Ok(None) };
        let Some(entry) = self.entries.get_mut(&id) else { return Ok(None) };
        let bytes = self.journal.read(entry.place)?;
        if entry.alarm { &mut self.alarms } else { &mut self.others }.remove(&id);
        entry.state = State::UnderWay;
        if std::mem::replace(&mut entry.sent_before, true) {
            add(&self.counters.envelopes_resent, 1);
        }
        add(&self.counters.envelopes_sent, 1);
        Ok(Some((id, entry.alarm, bytes)))
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

    /// The node has it, it says. `steady_ms` is a clock that does not leap.
    pub(crate) fn acked(&mut self, id: u64, steady_ms: u64) {
        add(&self.counters.envelopes_acked, 1);
        let Some(entry) = self.entries.get_mut(&id).filter(|entry| entry.state == State::UnderWay) else {
            return;
        };
        entry.state = if entry.receipted { State::Receipted } else { State::Acked };
        let wait = if entry.receipted { PROOF_WAIT_MS } else { RECEIPT_WAIT_MS };
        self.wait_until(id, steady_ms + wait);
    }

    /// The node refused it. Gives it back when it is set aside; the caller stores it and raises the
    /// alarm.
    pub(crate) fn refused(
        &mut self,
        id: u64,
        code: u8,
        steady_ms: u64,
    ) -> Result<Option<Aside>, JournalError> {
        let Some(entry) = self.entries.get_mut(&id) else { return Ok(None) };
        if code == link::client::CODE_BUSY {
            entry.state = State::Acked;
            self.wait_until(id, steady_ms + BUSY_WAIT_MS);
            return Ok(None);
        }
        if code == CODE_NOT_AUTHORIZED && entry.tries < UNKNOWN_TRIES_MAX {
            entry.tries += 1;
            entry.state = State::Acked;
            let pause = BUSY_WAIT_MS << entry.tries;
            self.wait_until(id, steady_ms + pause);
            return Ok(None);
        }
        let bytes = self.journal.read(entry.place)?;
        add(&self.counters.envelopes_refused, 1);
        Ok(Some(Aside { code, bytes }))
    }

    /// Forgets an envelope that is stored aside.
    pub(crate) fn drop_aside(&mut self, id: u64) -> Result<(), JournalError> {
        let Some(hash) = self.entries.get(&id).map(|entry| entry.hash) else { return Ok(()) };
        self.journal.append(&[Record::Forgotten(hash)])?;
        self.forget(&hash)
    }

    fn forget(&mut self, hash: &Hash) -> Result<(), JournalError> {
        let Some(id) = self.by_hash.remove(hash) else { return Ok(()) };
        let Some(entry) = self.entries.remove(&id) else { return Ok(()) };
        self.timers.remove(&(entry.due_ms, id));
        self.alarms.remove(&id);
        self.others.remove(&id);
        self.count();
        self.journal.forget(entry.place)
    }

    /// Takes a receipt. Those of envelopes not known here (any more) are of no interest.
    pub(crate) fn receipt(
        &mut self,
        bytes: &[u8],
        trust: &Trust,
        now_ms: u64,
        steady_ms: u64,
    ) -> Result<Result<(), NotBelieved>, JournalError> {
        let header_of = |hash: &Hash| {
            let entry = self.entries.get(self.by_hash.get(hash)?)?;
            let envelope = self.journal.read(entry.place).ok()?;
            Some(Envelope::decode(&envelope).ok()?.header_bytes)
        };
        let hash = match trust.receipt(bytes, header_of) {
            Ok(hash) => hash,
            Err(why) => {
                add(&self.counters.receipts_failed, 1);
                return Ok(Err(why));
            }
        };
        let Some(id) = hash.and_then(|hash| self.by_hash.get(&hash)).copied() else { return Ok(Ok(())) };
        let Some(entry) = self.entries.get_mut(&id) else { return Ok(Ok(())) };
        // A receipt proves what an acknowledgement only says, so it may come first.
        let first = !std::mem::replace(&mut entry.receipted, true);
        let (hash, sealed_at_ms) = (entry.hash, entry.sealed_at_ms);
        if entry.state != State::UnderWay {
            entry.state = State::Receipted;
            self.alarms.remove(&id);
            self.others.remove(&id);
            self.wait_until(id, steady_ms + PROOF_WAIT_MS);
        }
        if first {
            add(&self.counters.receipts_checked, 1);
            self.counters.receipted(now_ms.saturating_sub(sealed_at_ms));
            self.journal.append(&[Record::Receipted(hash)])?;
        }
        Ok(Ok(()))
    }

    /// Takes a proof delivery and forgets what it proves. The inner error is the node's; the count is
    /// of claims that do not hold.
    pub(crate) fn delivery(
        &mut self,
        bytes: &[u8],
        trust: &Trust,
        now_ms: u64,
    ) -> Result<Result<usize, NotBelieved>, JournalError> {
        let claims = match trust.delivery(bytes) {
            Ok(claims) => claims,
            Err(why) => {
                add(&self.counters.proofs_failed, 1);
                return Ok(Err(why));
            }
        };
        let (mut proven, mut wrong) = (Vec::new(), 0);
        for claim in &claims {
            let Some(entry) = self.by_hash.get(&claim.envelope).and_then(|id| self.entries.get(id)) else {
                continue;
            };
            if !claim.holds(entry.leaf) {
                wrong += 1;
                add(&self.counters.proofs_failed, 1);
                continue;
            }
            add(&self.counters.proofs_checked, 1);
            self.counters.proven(now_ms.saturating_sub(entry.sealed_at_ms));
            if matches!(entry.class, Class::Vitals | Class::Environment) {
                add(&self.counters.readings_proven, u64::from(entry.count));
            }
            proven.push(entry.hash);
        }
        let records: Vec<Record<'_>> = proven.iter().map(|hash| Record::Forgotten(*hash)).collect();
        // Not synced on purpose: a proof forgotten by a crash is asked for again.
        self.journal.append(&records)?;
        for hash in &proven {
            self.forget(hash)?;
            add(&self.counters.envelopes_forgotten, 1);
        }
        Ok(Ok(wrong))
    }

    /// The connection is gone: what has no receipt goes again, and what waits for its proof too, so
    /// that the next node session knows of it.
    pub(crate) fn disconnected(&mut self) {
        let ids: Vec<u64> =
            self.entries.iter().filter(|(_, e)| e.state != State::Waiting).map(|(id, _)| *id).collect();
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
    }

    /// Makes what is noted durable, before the end.
    pub(crate) fn close(&mut self) -> Result<(), JournalError> {
        self.journal.sync()
    }
}
