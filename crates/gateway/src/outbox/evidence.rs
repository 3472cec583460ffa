//! Evidence from the node: receipts and proofs, and what they say about this computer's clock.

use super::{CLOCK_TIMES, CLOCK_WRONG_MS, Outbox, PROOF_WAIT_MS, Source, State};
use crate::counters::add;
use crate::journal::{JournalError, Record};
use crate::verifier::{NotVerified, Verifier};
use vitals::envelope::Envelope;
use vitals::ids::{Class, Hash};

impl Outbox {
    /// Takes a receipt. One of an envelope not known here (any more) is ignored.
    pub(crate) fn receipt(
        &mut self,
        bytes: &[u8],
        verifier: &Verifier,
        now_ms: u64,
        steady_ms: u64,
    ) -> Result<Result<(), NotVerified>, JournalError> {
        let header_of = |hash: &Hash| {
            let entry = self.entries.get(self.by_hash.get(hash)?)?;
            let envelope = self.bytes(&entry.source).ok()?;
            Some(Envelope::decode(&envelope).ok()?.header_bytes)
        };
        let hash = match verifier.receipt(bytes, header_of) {
            Ok(Some((hash, at_ms))) => {
                self.note_clock(at_ms, now_ms);
                Some(hash)
            }
            Ok(None) => None,
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
        let quarantined = match &entry.source {
            Source::Quarantine(held) => Some(held.stream),
            Source::Journal(_) => None,
        };
        if entry.state != State::InFlight {
            entry.state = State::Receipted;
            self.alarms.remove(&id);
            self.others.remove(&id);
            self.wait_until(id, steady_ms + PROOF_WAIT_MS);
        }
        if first {
            self.receipted += 1;
            add(&self.counters.receipts_checked, 1);
            self.counters.receipted(now_ms.saturating_sub(sealed_at_ms));
            match quarantined {
                Some(stream) => self.stream_accepted(stream),
                None => drop(self.journal.append(&[Record::Receipted(hash)])?),
            }
        }
        Ok(Ok(()))
    }

    /// Takes a proof delivery and forgets what it proves. The inner error is the node's; the count is
    /// of claims that do not hold.
    pub(crate) fn delivery(
        &mut self,
        bytes: &[u8],
        verifier: &mut Verifier,
        now_ms: u64,
    ) -> Result<Result<usize, NotVerified>, JournalError> {
        let verdict = verifier.delivery(bytes, now_ms);
        let alarm = u64::from(verifier.alarm().is_some());
        self.counters.ledger_alarm.store(alarm, std::sync::atomic::Ordering::Relaxed);
        let claims = match verdict {
            Ok((height, claims)) => {
                self.newer = height > self.height;
                self.height = self.height.max(height);
                claims
            }
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
        // The journal no longer knows what is in quarantine.
        let in_journal = |hash: &&Hash| {
            let entry = self.by_hash.get(*hash).and_then(|id| self.entries.get(id));
            entry.is_some_and(|entry| matches!(entry.source, Source::Journal(_)))
        };
        let records: Vec<Record<'_>> =
            proven.iter().filter(in_journal).map(|hash| Record::Forgotten(*hash)).collect();
        // Not synced on purpose: a proof forgotten by a crash is asked for again.
        self.journal.append(&records)?;
        for hash in &proven {
            self.forget(hash)?;
            add(&self.counters.envelopes_forgotten, 1);
        }
        Ok(Ok(wrong))
    }

    fn note_clock(&mut self, node_ms: u64, now_ms: u64) {
        self.clock_off_ms = node_ms.cast_signed().wrapping_sub(now_ms.cast_signed());
        let far = self.clock_off_ms.unsigned_abs() > CLOCK_WRONG_MS;
        self.clock_off_times = if far { self.clock_off_times.saturating_add(1) } else { 0 };
        let wrong = u64::from(self.clock_off_times >= CLOCK_TIMES);
        self.counters.clock_wrong.store(wrong, std::sync::atomic::Ordering::Relaxed);
    }
}
