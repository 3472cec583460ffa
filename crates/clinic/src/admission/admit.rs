//! Admission: from bytes a gateway carried to "durable, and in my log".
//!
//! One group at a time: everything that needs no signature first, then all signatures at once, then
//! the order of each stream, then one append, one tree head, one receipt each. Bodies stay sealed
//! here; [`Clinic::attend`](crate::Clinic::attend) opens what the patient lets the ward watch.

use super::refusal::Refusal;
use super::verdict::{Answer, Arrival, Halted, Verdict};
use crate::clinic::Clinic;
use crate::monitoring::Fresh;
use std::collections::HashMap;
use vault::{Admitted, Appended, StoreError, StreamRecord};
use vitals::DeviceId;
use vitals::envelope::{Envelope, Header};
use vitals::ids::{Class, Hash, StreamId, binding};
use vitals::keys::STEPS_MAX;
use vitals::ledger::{Device, DeviceKind, RevokeReason};
use vitals::log;
use vitals::receipt::{Receipt, SignedHead};

/// An arrival that only its signature and its place in the stream can stop.
struct Candidate<'a> {
    envelope: Envelope,
    bytes: &'a [u8],
    record: StreamRecord,
    key: [u8; 32],
    /// The author was stolen before this sequence number.
    stolen: bool,
}

enum Stage<'a> {
    Done(Verdict),
    /// Stored before: header hash and leaf.
    Known(Hash, u64),
    Candidate(Box<Candidate<'a>>),
    /// Goes to the store: header hash.
    Group(Hash, Box<Candidate<'a>>),
}

impl Clinic {
    /// Admits a group. Answers stand in the order of the arrivals. Call it from the one thread that
    /// verifies and syncs.
    ///
    /// # Errors
    /// [`Halted`]: the store failed in a way that only reopening can judge. Nothing of the group may
    /// be acknowledged.
    pub fn admit(&self, arrivals: &[Arrival], now_ms: u64) -> Result<Vec<Answer>, Halted> {
        let mut stages: Vec<Stage<'_>> = self.without_signatures(arrivals);
        self.check_signatures(&mut stages);
        self.check_order(&mut stages)?;
        let verdicts = self.store_group(arrivals, stages, now_ms)?;
        self.count(&verdicts);
        Ok(verdicts)
    }

    fn without_signatures<'a>(&self, arrivals: &'a [Arrival]) -> Vec<Stage<'a>> {
        let height = self.ledger().tip().height;
        let mut carriers: HashMap<DeviceId, Result<(), Verdict>> = HashMap::new();
        arrivals
            .iter()
            .map(|arrival| {
                let carrier =
                    carriers.entry(arrival.from).or_insert_with(|| self.carrier(height, arrival.from));
                match carrier {
                    Ok(()) => self.preliminary(height, arrival).unwrap_or_else(Stage::Done),
                    Err(verdict) => Stage::Done(verdict.clone()),
                }
            })
            .collect()
    }

    fn carrier(&self, height: u64, gateway: DeviceId) -> Result<(), Verdict> {
        let device = self.registry.device(self.ledger(), height, gateway).map_err(|_| no_ledger())?;
        match device {
            Some(device) if device.kind == DeviceKind::Gateway && device.org == self.org() => {
                if device.revoked.is_some() {
                    return Err(Verdict::Refused(Refusal::GatewayRevoked { gateway }));
                }
                Ok(())
            }
            _ => Err(Verdict::Refused(Refusal::GatewayUnknown { gateway })),
        }
    }

    fn preliminary<'a>(&self, height: u64, arrival: &'a Arrival) -> Result<Stage<'a>, Verdict> {
        let refused = Verdict::Refused;
        let envelope = Envelope::decode(&arrival.bytes).map_err(|why| refused(Refusal::Malformed(why)))?;
        let header = &envelope.header;
        if header.genesis != self.genesis() {
            return Err(refused(Refusal::OtherLedger));
        }
        let record = self.stream(header.stream).ok_or(refused(Refusal::StreamUnknown))?;
        paired(header, &record).map_err(refused)?;
        let author = header.author;
        let device = self
            .registry
            .device(self.ledger(), height, author)
            .map_err(|_| no_ledger())?
            .filter(|device| device.kind == DeviceKind::Sensor && device.org == self.org())
            .ok_or(refused(Refusal::AuthorUnknown { author }))?;
        if device.binding != binding(self.genesis(), author, record.patient, &record.salt) {
            return Err(refused(Refusal::NotBound { author }));
        }
        if device.via != arrival.from {
            return Err(refused(Refusal::ForeignGateway { author }));
        }
        if let Some(known) = self.store().locate(header.stream, header.seq)
            && self.store().leaf(known.index) == Some(log::leaf(&envelope.header_bytes))
        {
            return Ok(Stage::Known(envelope.hash(), known.index));
        }
        let stolen = trusted(&device, header.seq, author).map_err(refused)?;
        let key = device.key;
        // The ledger cannot tell: under a weak key one signature fits several headers.
        if !self.registry.is_strong(key) {
            return Err(refused(Refusal::KeyWeak { author }));
        }
        Ok(Stage::Candidate(Box::new(Candidate { envelope, bytes: &arrival.bytes, record, key, stolen })))
    }

    fn check_signatures(&self, stages: &mut [Stage<'_>]) {
        let candidates: Vec<(&Envelope, [u8; 32])> = stages
            .iter()
            .filter_map(|stage| match stage {
                Stage::Candidate(candidate) => Some((&candidate.envelope, candidate.key)),
                _ => None,
            })
            .collect();
        let mut good = self.signatures.check(&candidates, &self.entropy).into_iter();
        for stage in stages {
            if let Stage::Candidate(candidate) = stage
                && good.next() != Some(true)
            {
                let author = candidate.envelope.header.author;
                *stage = Stage::Done(Verdict::Refused(Refusal::SignatureWrong { author }));
            }
        }
    }

    /// The rules of a stream: each sequence number once, each envelope linked to its neighbours.
    fn check_order(&self, stages: &mut Vec<Stage<'_>>) -> Result<(), Halted> {
        // Hash and predecessor of what this very group brings.
        let mut group: HashMap<(StreamId, u64), (Hash, Hash)> = HashMap::new();
        let mut ordered = Vec::with_capacity(stages.len());
        for stage in stages.drain(..) {
            let Stage::Candidate(candidate) = stage else {
                ordered.push(stage);
                continue;
            };
            let hash = candidate.envelope.hash();
            let refusal = if candidate.stolen {
                Some(Refusal::Quarantined { author: candidate.envelope.header.author })
            } else {
                self.out_of_order(&candidate.envelope, hash, &group)?
            };
            ordered.push(match refusal {
                None => {
                    let header = &candidate.envelope.header;
                    group.entry((header.stream, header.seq)).or_insert((hash, header.prev));
                    Stage::Group(hash, candidate)
                }
                Some(refusal) => {
                    // Signed by its author, and not in the record: evidence.
                    if refusal.is_second_branch() {
                        self.second_branches.refused(&candidate.envelope.header, hash);
                        self.monitoring.forked(candidate.record.patient);
                    }
                    match self.store().keep_evidence(&candidate.envelope, candidate.bytes) {
                        Ok(_) => Stage::Done(Verdict::Refused(refusal)),
                        // Not refused before it is kept: the gateway holds it meanwhile.
                        Err(StoreError::Busy(why)) => Stage::Done(Verdict::Busy(why.to_string())),
                        Err(why) => return Err(Halted(why.to_string())),
                    }
                }
            });
        }
        *stages = ordered;
        Ok(())
    }

    fn out_of_order(
        &self,
        envelope: &Envelope,
        hash: Hash,
        group: &HashMap<(StreamId, u64), (Hash, Hash)>,
    ) -> Result<Option<Refusal>, Halted> {
        let (stream, seq) = (envelope.header.stream, envelope.header.seq);
        let halted = |why: StoreError| Halted(why.to_string());
        // Repeats of stored headers were sorted out before: here only an envelope of the same group can repeat it.
        let taken = match group.get(&(stream, seq)) {
            Some((first, _)) => *first != hash,
            None => self.store().locate(stream, seq).is_some(),
        };
        if taken {
            return Ok(Some(Refusal::Equivocation { seq }));
        }
        if let Some(before) = seq.checked_sub(1) {
            let known = match group.get(&(stream, before)) {
                Some((hash, _)) => Some(*hash),
                None => self.store().hash_at(stream, before).map_err(halted)?,
            };
            let is_second = match known {
                Some(known) => known != envelope.header.prev,
                None => self.second_branches.is_continued_by(&envelope.header),
            };
            if is_second {
                return Ok(Some(Refusal::PrevBroken { seq }));
            }
        }
        if let Some(after) = seq.checked_add(1) {
            let link = match group.get(&(stream, after)) {
                Some((_, prev)) => Some(*prev),
                None => self.prev_of(stream, after).map_err(halted)?,
            };
            if link.is_some_and(|link| link != hash) {
                return Ok(Some(Refusal::PrevBroken { seq }));
            }
        }
        Ok(None)
    }

    /// What a stored envelope links back to.
    fn prev_of(&self, stream: StreamId, seq: u64) -> Result<Option<Hash>, StoreError> {
        if self.store().locate(stream, seq).is_none() {
            return Ok(None);
        }
        let bytes = self.store().read(stream, seq)?;
        Ok(bytes.and_then(|bytes| Envelope::decode(&bytes).ok()).map(|envelope| envelope.header.prev))
    }

    fn store_group(
        &self,
        arrivals: &[Arrival],
        stages: Vec<Stage<'_>>,
        now_ms: u64,
    ) -> Result<Vec<Answer>, Halted> {
        let group: Vec<Admitted<'_>> = stages
            .iter()
            .filter_map(|stage| match stage {
                Stage::Group(_, candidate) => Some(Admitted::new(&candidate.envelope, candidate.bytes)),
                _ => None,
            })
            .collect();
        let expected = self.expected(&stages);
        let (appended, busy) = match self.store().append(&group) {
            Ok(appended) => (appended, None),
            Err(StoreError::Busy(why)) => (Vec::new(), Some(why.to_string())),
            Err(why) => return Err(Halted(why.to_string())),
        };
        let mut appended = appended.into_iter();
        let mut settled: Vec<(Verdict, Option<(Hash, u64)>)> = Vec::with_capacity(stages.len());
        let mut fresh: Vec<Fresh> = Vec::with_capacity(group.len());
        let mut readings = 0;
        for stage in stages {
            settled.push(match stage {
                Stage::Done(verdict) => (verdict, None),
                Stage::Known(hash, index) => (Verdict::Duplicate { index }, Some((hash, index))),
                Stage::Candidate(_) => unreachable!("check_order leaves no candidate"),
                Stage::Group(hash, candidate) => match (&busy, appended.next()) {
                    (Some(why), _) => (Verdict::Busy(why.clone()), None),
                    (None, Some(Appended::Stored { index })) => {
                        let header = &candidate.envelope.header;
                        let next = expected.get(&(header.stream, header.seq));
                        let jumped = next.is_none_or(|expected| !expected);
                        let patient = candidate.record.patient;
                        if matches!(header.class, Class::Vitals | Class::Environment) {
                            readings += u64::from(header.count);
                        }
                        fresh.push(Fresh { envelope: candidate.envelope, index, patient, jumped });
                        (Verdict::Admitted { index }, Some((hash, index)))
                    }
                    (None, Some(Appended::Duplicate { index })) => {
                        (Verdict::Duplicate { index }, Some((hash, index)))
                    }
                    (None, Some(Appended::Conflict { .. }) | None) => {
                        let seq = candidate.envelope.header.seq;
                        (Verdict::Refused(Refusal::Equivocation { seq }), None)
                    }
                },
            });
        }
        let answers = self.receipts(&settled, now_ms)?;
        self.await_proofs(arrivals, &settled);
        self.hand_to_monitoring(fresh);
        self.stats.count(|counters| counters.admitted_readings += readings);
        Ok(settled
            .into_iter()
            .zip(answers)
            .map(|((verdict, _), receipt)| Answer { verdict, receipt })
            .collect())
    }

    /// For each envelope of the group: does it simply follow what was there before it?
    fn expected(&self, stages: &[Stage<'_>]) -> HashMap<(StreamId, u64), bool> {
        let mut next: HashMap<StreamId, u64> = HashMap::new();
        let mut expected = HashMap::new();
        for stage in stages {
            if let Stage::Group(_, candidate) = stage {
                let (stream, seq) = (candidate.envelope.header.stream, candidate.envelope.header.seq);
                let next = next
                    .entry(stream)
                    .or_insert_with(|| self.store().head(stream).map_or(0, |head| head.last_seq + 1));
                expected.entry((stream, seq)).or_insert(*next == seq);
                *next = (*next).max(seq.saturating_add(1));
            }
        }
        expected
    }

    /// One signed head for the whole group, one path for each envelope.
    fn receipts(
        &self,
        settled: &[(Verdict, Option<(Hash, u64)>)],
        now_ms: u64,
    ) -> Result<Vec<Option<Vec<u8>>>, Halted> {
        if settled.iter().all(|(_, place)| place.is_none()) {
            return Ok(vec![None; settled.len()]);
        }
        let head: SignedHead = self.signed_head(now_ms);
        let edge = self.store().edge(head.head.size);
        let receipt = |(envelope, index): (Hash, u64)| {
            let path = edge
                .as_ref()
                .and_then(|edge| self.store().inclusion_at(index, edge))
                .ok_or_else(|| Halted(format!("leaf {index} is not in the log it was just stored in")))?;
            Ok(Receipt { envelope, index, path, head }.encode())
        };
        settled.iter().map(|(_, place)| place.map(receipt).transpose()).collect()
    }

    /// The same receipts, signed at this time and over the log as it stands now: for a device that could
    /// not be reached when they were made.
    ///
    /// # Errors
    /// One is no receipt of an envelope in this log: the node must stop.
    pub fn sign_again(&self, receipts: &[Vec<u8>], now_ms: u64) -> Result<Vec<Vec<u8>>, Halted> {
        let head = self.signed_head(now_ms);
        let edge = self.store().edge(head.head.size);
        let again = |bytes: &Vec<u8>| {
            let old =
                Receipt::decode(bytes).map_err(|why| Halted(format!("a receipt of this node: {why}")))?;
            let path = edge.as_ref().and_then(|edge| self.store().inclusion_at(old.index, edge));
            let path = path.ok_or_else(|| Halted(format!("leaf {} is not in the log", old.index)))?;
            Ok(Receipt { path, head, ..old }.encode())
        };
        receipts.iter().map(again).collect()
    }

    /// Counts what the link refused or held back, by its code: nothing of it came here.
    pub fn turned_away(&self, code: &'static str) {
        self.stats.count(|counters| *counters.turned_away.entry(code).or_insert(0) += 1);
    }

    fn count(&self, answers: &[Answer]) {
        self.stats.count(|counters| {
            for answer in answers {
                match &answer.verdict {
                    Verdict::Admitted { .. } => counters.admitted += 1,
                    Verdict::Duplicate { .. } => counters.duplicate += 1,
                    Verdict::Refused(refusal) => {
                        if matches!(refusal, Refusal::Quarantined { .. }) {
                            counters.quarantined += 1;
                        }
                        *counters.refused.entry(refusal.code()).or_insert(0) += 1;
                    }
                    Verdict::Busy(_) => {}
                }
            }
        });
    }
}

fn no_ledger() -> Verdict {
    Verdict::Busy("the ledger does not answer and this device was not seen before".into())
}

/// Is the header what its stream was paired for?
fn paired(header: &Header, record: &StreamRecord) -> Result<(), Refusal> {
    if header.author != record.author {
        return Err(Refusal::AuthorWrong);
    }
    if header.class != record.class {
        return Err(Refusal::ClassWrong);
    }
    let (epoch, first) = (header.epoch, record.first_epoch);
    if epoch < first {
        return Err(Refusal::EpochBeforePairing { epoch, first });
    }
    if epoch - first > STEPS_MAX {
        return Err(Refusal::EpochOutOfReach { epoch });
    }
    Ok(())
}

/// Is this sequence number from before the end of the author's trust? True when it goes into
/// quarantine.
fn trusted(device: &Device, seq: u64, author: DeviceId) -> Result<bool, Refusal> {
    match device.revoked {
        None => Ok(false),
        Some(revocation) if seq <= revocation.last_trusted_seq => Ok(false),
        Some(revocation) if revocation.reason == RevokeReason::Stolen => Ok(true),
        Some(revocation) => Err(Refusal::Retired { author, last_trusted_seq: revocation.last_trusted_seq }),
    }
}
