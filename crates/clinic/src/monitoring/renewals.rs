//! Leases asked for, made and renewed: again whenever the ledger or a consent moved, and renewed long before
//! they end.
//!
//! Everything here that waits (for the ledger, for the disk) waits without a lock. A renewal keeps what
//! the bed knows: nothing is read back for it.

use super::attend::Effects;
use super::leases::{DecidedAt, LeaseQuestion, Remembered, UnderLease, Watching};
use super::monitored_patient::MonitoredPatient;
use super::read_back::ReadBack;
use super::views::Missing;
use crate::clinic::Clinic;
use crate::consents::policy::{Permit, Reader};
use crate::consents::{self, Allowed, MONITORED};
use crate::errors::Denied;
use std::sync::Arc;
use vault::{AccessError, ENGINE_SESSION, MONITORING_MS_MAX, MonitoringLease, Patient};
use vitals::alarm::Unwatched;
use vitals::body::AccessEntry;
use vitals::envelope::TIME_MAX_MS;
use vitals::ledger::Purpose;
use vitals::{GrantId, PatientId, PersonId};

/// A renewal that failed is tried again after this long.
const RENEW_AGAIN_MS: u64 = 60_000;
/// Ranges of missing envelopes that are named; the others are counted.
const MISSING_NAMED_MAX: usize = 4;
/// Beds asked about together, whose entries are written at once: what is read back for them is in
/// memory at the same time.
const LEASES_AT_ONCE: usize = 128;

/// What was found out about one bed, to be applied under the lock.
enum LeaseDecision {
    /// The consent stands as it did; it ends then.
    Stands { consent_ends_ms: Option<u64> },
    /// Nothing could be found out: what was goes on.
    Unknown,
    /// Watching begins, or goes on under a new lease.
    Lease { lease: Box<MonitoringLease>, consent_ends_ms: u64, read: Option<Box<ReadBack>> },
    /// A renewal failed; the old lease lasts a while.
    NotRenewed,
    /// Nobody may watch, and why.
    No(Unwatched),
}

/// What the ledger says of one bed.
enum LeaseAnswer {
    /// All there is to know.
    LeaseDecision(LeaseDecision),
    /// A lease is allowed, once it is written down.
    Allowed(LeaseRequest),
}

/// A lease that was allowed and is to be written down.
struct LeaseRequest {
    patient: Patient,
    allowed: Allowed,
    consent_ends_ms: Option<u64>,
    /// Set for a bed that nobody watches, with what need not be read back for it.
    begins: Option<Remembered>,
}

impl Clinic {
    /// Makes a bed for every patient and looks at each, as at the start of a node. Waits for ledger
    /// and disk.
    pub(crate) fn make_beds(&self, now_ms: u64) {
        for patient in self.vault().patients() {
            self.furnish(&patient, now_ms);
        }
        self.keep_leases(now_ms);
        self.tick_beds(now_ms);
    }

    /// Notes what the vault knows of a bed: whether anything is paired with it, its name and place.
    pub(crate) fn furnish(&self, patient: &Patient, now_ms: u64) {
        let own = self.vault().author();
        let streams = self.vault().streams_of(patient.id);
        let expected = streams.iter().any(|record| record.author != own);
        let stale_after_ms = self.stale_after_ms(patient.id);
        let vitals_missed_after_ms = self.vitals_missed_after_ms(patient.id);
        let name = self.vault().account_of(patient.person).map(|account| account.name);
        let record = self.vault().bed(patient.id);
        let missing: Vec<_> =
            streams.iter().map(|record| (record.stream, self.missing_of(record.stream, now_ms))).collect();
        let mut effects = Effects::default();
        self.monitoring.with(patient.id, now_ms, |bed| {
            if expected && !bed.expected && !bed.watching.is_on() {
                // Before this pairing no data was expected: nothing is overdue yet.
                bed.watching = Watching::starting(now_ms);
            }
            bed.expected = expected;
            bed.alarms.expect_within(stale_after_ms);
            bed.alarms.expect_vitals_within(vitals_missed_after_ms);
            bed.ended = record.ended;
            if bed.name.is_empty() {
                bed.name = name.unwrap_or_default();
            }
            if bed.place.is_empty() {
                bed.place = record.place;
            }
            for (stream, missing) in missing {
                let changes = bed.note_missing(stream, missing, now_ms);
                effects.changes(patient.id, bed, changes);
            }
        });
        self.conclude(effects, now_ms);
    }

    /// The consent was withdrawn at this node: nothing is opened under it from now on.
    pub(crate) fn stop_watching_under(&self, grant: GrantId, now_ms: u64) {
        let Some(record) = self.vault().terms(grant) else { return };
        let under = self.monitoring.of(record.patient, |bed| bed.watching.is_under(grant));
        if under == Some(true) {
            self.stop_watching(record.patient, Unwatched::Withdrawn, now_ms);
        }
    }

    /// Nothing more of this patient is opened, at once; the next look finds out what holds instead.
    pub(crate) fn stop_watching(&self, patient: PatientId, why: Unwatched, now_ms: u64) {
        let mut effects = Effects::default();
        self.monitoring.of(patient, |bed| {
            if bed.watching.is_on() {
                bed.watching.stop(why, None, now_ms);
                bed.stopped();
                effects.watching(patient, bed);
                let changes = bed.tick(now_ms);
                effects.changes(patient, bed, changes);
            }
        });
        self.conclude(effects, now_ms);
    }

    /// Keeps the engine's permissions current: looks again whenever the ledger moved or somebody
    /// withdrew a consent, renews leases long before they end, and stops looking when the patient no
    /// longer allows it. Notes from where on a start has to read a bed's alarms. Waits for ledger and disk:
    /// call it often, from one thread of its own.
    pub fn keep_watch(&self, now_ms: u64) {
        self.keep_leases(now_ms);
        self.move_a_resume_point(now_ms);
    }

    fn keep_leases(&self, now_ms: u64) {
        let now: DecidedAt = (self.ledger().tip().height, self.generation());
        let mut asks = self
            .monitoring
            .of_all(|patient, bed| bed.watching.asks(bed.remembered, now, now_ms).map(|ask| (patient, ask)));
        while !asks.is_empty() {
            let rest = asks.split_off(asks.len().min(LEASES_AT_ONCE));
            self.keep_some(core::mem::replace(&mut asks, rest), now, now_ms);
        }
    }

    fn keep_some(&self, asks: Vec<(PatientId, LeaseQuestion)>, now: DecidedAt, now_ms: u64) {
        let mut found: Vec<(PatientId, LeaseDecision)> = Vec::with_capacity(asks.len());
        let mut wanted: Vec<LeaseRequest> = Vec::new();
        for (id, ask) in asks {
            match self.answer(id, &ask, now_ms) {
                LeaseAnswer::LeaseDecision(answer) => found.push((id, answer)),
                LeaseAnswer::Allowed(want) => wanted.push(want),
            }
        }
        found.extend(self.leases_for(wanted, now_ms));
        let mut effects = Effects::default();
        let mut begun = Vec::new();
        for (id, found) in found {
            self.monitoring.with(id, now_ms, |bed| {
                let before = bed.unwatched();
                if self.apply(id, bed, found, now, now_ms) {
                    begun.push(id);
                }
                let changes = bed.tick(now_ms);
                if bed.unwatched() != before {
                    effects.watching(id, bed);
                }
                effects.changes(id, bed, changes);
            });
        }
        self.conclude(effects, now_ms);
        for id in &begun {
            // The bed is monitored again: the clinician's answer for the time without is over.
            if let Err(why) = self.vault().put_monitoring_end(*id, None) {
                tracing::warn!(reason = %why, "An answer for an unwatched bed could not be taken back");
            }
        }
        if !begun.is_empty() {
            self.attend_waiting(now_ms);
        }
    }

    /// Answers what needs no lease; gives what is allowed and has to be written down otherwise.
    fn answer(&self, id: PatientId, ask: &LeaseQuestion, now_ms: u64) -> LeaseAnswer {
        let Ok(patient) = self.patient(id) else {
            return LeaseAnswer::LeaseDecision(LeaseDecision::No(Unwatched::NoConsent));
        };
        let consent_ends_ms = self.monitoring_ends_ms(&patient, now_ms);
        let checks = matches!(ask, LeaseQuestion::Check(_));
        let mut kept = None;
        if let LeaseQuestion::Check(lease) | LeaseQuestion::Renew(lease) = ask {
            let (grant, classes) = (lease.entry().grant, &lease.entry().classes);
            match self.decide_held(&patient, grant, classes, now_ms) {
                Ok(_) if checks => {
                    return LeaseAnswer::LeaseDecision(LeaseDecision::Stands { consent_ends_ms });
                }
                // The policy could not be asked: renewed as it was, by the hour, each on record.
                Ok(true) => kept = Some(Allowed { permit: Permit { grant }, classes: classes.clone() }),
                // While the ledger does not answer, the last decision stands and monitoring goes on.
                Err(Denied::LedgerDown) if checks => {
                    return LeaseAnswer::LeaseDecision(LeaseDecision::Unknown);
                }
                // Perhaps another consent, or fewer classes.
                Ok(false) | Err(_) => {}
            }
        }
        let (reader, purpose) = (Reader::Engine(self.org()), Purpose::Monitoring);
        let wanted = consents::AccessRequest {
            reader,
            patient: &patient,
            purpose,
            classes: &MONITORED,
            from_ms: now_ms,
        };
        match kept.map_or_else(|| self.decide_most(&wanted, now_ms), Ok) {
            Ok(allowed) => LeaseAnswer::Allowed(LeaseRequest {
                patient,
                allowed,
                consent_ends_ms,
                begins: match ask {
                    LeaseQuestion::Begin(remembered) => Some(*remembered),
                    LeaseQuestion::Renew(_) | LeaseQuestion::Check(_) => None,
                },
            }),
            Err(Denied::LedgerDown) if !matches!(ask, LeaseQuestion::Begin(_)) => {
                LeaseAnswer::LeaseDecision(LeaseDecision::NotRenewed)
            }
            Err(why) => LeaseAnswer::LeaseDecision(LeaseDecision::No(reason(&why))),
        }
    }

    /// The end of all consents to monitoring that are valid now and follow each other.
    fn monitoring_ends_ms(&self, patient: &Patient, now_ms: u64) -> Option<u64> {
        let consents = self.consents(patient, Purpose::Monitoring, now_ms).ok()?;
        let org = PersonId::of_organisation(self.org());
        let mut spans: Vec<(u64, u64)> = consents
            .iter()
            .filter(|consent| {
                consent.grant.grantee == org && consent.grant.revoked_at_ms == 0 && !consent.withdrawn_here
            })
            .map(|consent| (consent.grant.from_ms, consent.grant.until_ms))
            .collect();
        spans.sort_unstable();
        let mut end_ms = now_ms;
        for (from_ms, until_ms) in spans {
            if from_ms <= end_ms {
                end_ms = end_ms.max(until_ms);
            }
        }
        (end_ms > now_ms).then_some(end_ms)
    }

    /// Writes the access entries of all in one group, and reads back what beginners have to know.
    fn leases_for(&self, wanted: Vec<LeaseRequest>, now_ms: u64) -> Vec<(PatientId, LeaseDecision)> {
        if wanted.is_empty() {
            return Vec::new();
        }
        let until_ms = now_ms.saturating_add(MONITORING_MS_MAX);
        let entries =
            wanted.iter().map(|want| (want.patient.id, self.engine_entry(&want.allowed, now_ms), until_ms));
        let made = self.vault().log_monitoring_of(self.store(), self.ledger(), entries.collect(), now_ms);
        let made = match made {
            Ok(made) => made,
            Err(why) => {
                tracing::warn!(reason = %why, "Entries of monitoring could not be written into the access log");
                let failed = |want: &LeaseRequest| {
                    let found = if want.begins.is_some() {
                        LeaseDecision::No(Unwatched::NotRecorded)
                    } else {
                        LeaseDecision::NotRenewed
                    };
                    (want.patient.id, found)
                };
                return wanted.iter().map(failed).collect();
            }
        };
        let found = wanted.into_iter().zip(made).map(|(want, made)| {
            let found = match made {
                Ok(lease) => {
                    self.stats.authored(1);
                    let read = want.begins.map(|remembered| {
                        Box::new(self.read_back(&want.patient, &lease, remembered, now_ms))
                    });
                    let consent_ends_ms = want.consent_ends_ms.unwrap_or(lease.until_ms());
                    LeaseDecision::Lease { lease: Box::new(lease), consent_ends_ms, read }
                }
                Err(AccessError::Ledger(_) | AccessError::PolicySilent(_)) if want.begins.is_none() => {
                    LeaseDecision::NotRenewed
                }
                Err(AccessError::Ledger(_)) => LeaseDecision::No(Unwatched::LedgerDown),
                Err(why) => {
                    tracing::warn!(reason = %why, "Monitoring of a patient did not begin");
                    LeaseDecision::No(Unwatched::Policy)
                }
            };
            (want.patient.id, found)
        });
        found.collect()
    }

    fn engine_entry(&self, allowed: &Allowed, now_ms: u64) -> AccessEntry {
        AccessEntry {
            at_ms: now_ms,
            reader: PersonId::of_organisation(self.org()),
            reader_name: "alarm engine".into(),
            purpose: Purpose::Monitoring,
            grant: allowed.permit.grant,
            classes: allowed.classes.clone(),
            // The span is open: bedside clocks may be wrong, and the engine opens whatever arrives.
            span_ms: (0, TIME_MAX_MS),
            session: ENGINE_SESSION,
            person: None,
        }
    }

    /// Applies what was found out. True if watching began by it.
    fn apply(
        &self,
        id: PatientId,
        bed: &mut MonitoredPatient,
        found: LeaseDecision,
        now: DecidedAt,
        now_ms: u64,
    ) -> bool {
        match found {
            LeaseDecision::Unknown => {}
            LeaseDecision::Stands { consent_ends_ms } => {
                if let Watching::Yes(watch) = &mut bed.watching {
                    watch.checked = now;
                    watch.set_end(consent_ends_ms);
                }
            }
            LeaseDecision::NotRenewed => {
                if let Watching::Yes(watch) = &mut bed.watching {
                    watch.renew_at_ms = now_ms.saturating_add(RENEW_AGAIN_MS);
                    watch.failing_since_ms.get_or_insert(now_ms);
                    watch.checked = now;
                }
            }
            LeaseDecision::No(why) => {
                bed.stopped();
                bed.watching.stop(why, Some((now_ms, now)), now_ms);
            }
            LeaseDecision::Lease { lease, consent_ends_ms, read } => {
                // A consent was withdrawn while the entry was written: asked again at once.
                if self.generation() != now.1 {
                    return false;
                }
                let renew_at_ms = self.monitoring.plan.renew_at_ms(id, now_ms, lease.until_ms());
                let watch = UnderLease {
                    lease: Arc::from(lease),
                    checked: now,
                    renew_at_ms,
                    failing_since_ms: None,
                    consent_ends_ms,
                    announced: 0,
                    announces: self.monitoring.plan.announces,
                };
                let announced = match &bed.watching {
                    Watching::Yes(before) if before.consent_ends_ms == consent_ends_ms => before.announced,
                    _ => 0,
                };
                bed.watching = Watching::Yes(Box::new(UnderLease { announced, ..watch }));
                if let Some(read) = read {
                    bed.begun(*read, now_ms);
                    return true;
                }
            }
        }
        false
    }

    /// What is missing in a stream now, if anything.
    pub(super) fn missing_of(&self, stream: vitals::ids::StreamId, now_ms: u64) -> Option<Missing> {
        let seqs = self.store().gaps(stream, MISSING_NAMED_MAX);
        let (head, record) = (self.store().head(stream)?, self.stream(stream)?);
        if seqs.is_empty() {
            return None;
        }
        let count = (head.last_seq + 1).saturating_sub(head.count);
        Some(Missing { stream, class: record.class, count, seqs, since_ms: now_ms })
    }
}

/// What a denial means for somebody who stands at the bed.
fn reason(why: &Denied) -> Unwatched {
    match why {
        Denied::Withdrawn => Unwatched::Withdrawn,
        Denied::Paused => Unwatched::Paused,
        Denied::Ended { .. } => Unwatched::ConsentEnded,
        Denied::NotYet { .. } => Unwatched::Starting,
        Denied::LedgerDown | Denied::LedgerStale { .. } => Unwatched::LedgerDown,
        Denied::PolicySilent | Denied::PolicyRefuses { .. } => Unwatched::Policy,
        _ => Unwatched::NoConsent,
    }
}
