//! The engine's own permission to look: a lease for each bed, made under the patient's consent, with an
//! entry in the access log; asked for again whenever the ledger or a consent moved, and renewed long
//! before it ends.
//!
//! Everything here that waits (for the ledger, for the disk) waits without a lock. A renewal keeps what
//! the bed knows: nothing is read back for it.

use super::read_back::ReadBack;
use super::{Bed, attend::Effects};
use crate::access::{self, Allowed, MONITORED};
use crate::clinic::{Clinic, lock};
use crate::errors::Denied;
use crate::policy::{Permit, Reader};
use crate::views::Missing;
use std::sync::Arc;
use vault::{AccessError, ENGINE_SESSION, MONITORING_MS_MAX, MonitoringLease, Patient};
use vitals::alarm::Unwatched;
use vitals::body::AccessEntry;
use vitals::envelope::TIME_MAX_MS;
use vitals::ledger::Purpose;
use vitals::{GrantId, PatientId, PersonId};

/// A denied monitoring is asked for again after this long (or when the ledger moves).
const RETRY_MS: u64 = 1_000;
/// A renewal that failed is tried again after this long.
const RENEW_AGAIN_MS: u64 = 60_000;
/// A renewal that has failed for this long is announced like an end.
const RENEW_FAILS_MS: u64 = 5 * 60_000;
/// The earliest renewal of a lease of full length; every bed has its own time in the hours after it.
const RENEW_AFTER_MS: u64 = MONITORING_MS_MAX / 4 * 3;
/// No lease is renewed sooner, however short it is.
const RENEW_AFTER_MIN_MS: u64 = 10 * 60_000;
const RENEW_SPREAD_MS: u64 = MONITORING_MS_MAX / 6;
/// The end of watching is announced when so much is left, step by step.
pub const ANNOUNCE_MS: [u64; 3] = [72 * HOUR_MS, 24 * HOUR_MS, HOUR_MS];
const HOUR_MS: u64 = 3_600_000;
/// Ranges of missing envelopes that are named; the others are counted.
const MISSING_NAMED_MAX: usize = 4;
/// Beds asked about together, whose entries are written at once: what is read back for them is in
/// memory at the same time.
const LEASES_AT_ONCE: usize = 128;

/// What is done about leases in time. Tests switch parts of it off to see that it is missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeasePlan {
    /// Leases are renewed before they end.
    pub renews: bool,
    /// The end of a consent is announced.
    pub announces: bool,
    /// Renewals are spread over hours.
    pub spreads: bool,
}

impl Default for LeasePlan {
    fn default() -> Self {
        Self { renews: true, announces: true, spreads: true }
    }
}

impl LeasePlan {
    fn renew_at_ms(self, patient: PatientId, from_ms: u64, until_ms: u64) -> u64 {
        if !self.renews {
            return u64::MAX;
        }
        let lasts_ms = until_ms.saturating_sub(from_ms);
        let spread_ms = if self.spreads {
            let [a, b, c, d, ..] = patient.0;
            u64::from(u32::from_be_bytes([a, b, c, d])) * RENEW_SPREAD_MS / u64::from(u32::MAX)
        } else {
            0
        };
        // A lease that a consent's end cuts short is renewed in the same proportion.
        let share = |ms: u64| ms / 1_000 * lasts_ms / (MONITORING_MS_MAX / 1_000);
        from_ms.saturating_add(share(RENEW_AFTER_MS + spread_ms).max(RENEW_AFTER_MIN_MS))
    }
}

/// How far the ledger had moved, and how many consents were withdrawn here, when something was asked.
type Asked = (u64, u64);

/// Whether somebody watches a bed.
pub(crate) enum Watching {
    /// Nobody does.
    No {
        /// Why.
        why: Unwatched,
        /// Since when.
        since_ms: u64,
        /// When and how far it was asked last.
        asked: Option<(u64, Asked)>,
    },
    /// The engine does.
    Yes(Box<Watch>),
}

/// Watching under a lease.
pub(crate) struct Watch {
    lease: Arc<MonitoringLease>,
    /// The consent was checked at this height and count of withdrawals.
    checked: Asked,
    renew_at_ms: u64,
    failing_since_ms: Option<u64>,
    /// The last end of all consents that allow it.
    consent_ends_ms: u64,
    /// Steps of [`ANNOUNCE_MS`] that were announced.
    announced: usize,
    announces: bool,
}

/// How near the end of watching is.
pub(super) struct Ending {
    /// Steps of [`ANNOUNCE_MS`] that are reached, from 1.
    pub(super) step: usize,
    pub(super) hours: i32,
}

impl Watch {
    /// The consents were looked at: another end is announced anew.
    fn set_end(&mut self, consent_ends_ms: Option<u64>) {
        let ends_ms = consent_ends_ms.unwrap_or(self.consent_ends_ms);
        if ends_ms != self.consent_ends_ms {
            self.consent_ends_ms = ends_ms;
            self.announced = 0;
        }
    }

    /// When watching ends if nothing is done.
    fn ends_ms(&self, now_ms: u64) -> u64 {
        let failing = |since_ms: u64| now_ms.saturating_sub(since_ms) >= RENEW_FAILS_MS;
        if self.failing_since_ms.is_some_and(failing) {
            self.consent_ends_ms.min(self.lease.until_ms())
        } else {
            self.consent_ends_ms
        }
    }
}

impl Watching {
    pub(super) fn starting(now_ms: u64) -> Self {
        Self::No { why: Unwatched::Starting, since_ms: now_ms, asked: None }
    }

    pub(super) fn is_on(&self) -> bool {
        matches!(self, Self::Yes(_))
    }

    pub(super) fn lease(&self, now_ms: u64) -> Option<Arc<MonitoringLease>> {
        match self {
            Self::Yes(watch) if now_ms < watch.lease.until_ms() => Some(Arc::clone(&watch.lease)),
            _ => None,
        }
    }

    /// Nobody watches any more; whoever did not before keeps the time since when.
    fn stop(&mut self, why: Unwatched, asked: Option<(u64, Asked)>, now_ms: u64) {
        let since_ms = match self {
            Self::No { since_ms, .. } => *since_ms,
            Self::Yes(_) => now_ms,
        };
        *self = Self::No { why, since_ms, asked };
    }

    /// A lease that has run out is no lease. True if that is so from now on.
    pub(super) fn end_if_over(&mut self, now_ms: u64) -> bool {
        let Self::Yes(watch) = self else { return false };
        let until_ms = watch.lease.until_ms();
        let over = now_ms >= until_ms;
        if over {
            let why = if until_ms >= watch.consent_ends_ms {
                Unwatched::ConsentEnded
            } else {
                Unwatched::NotRecorded
            };
            *self = Self::No { why, since_ms: until_ms, asked: None };
        }
        over
    }

    fn is_under(&self, grant: GrantId) -> bool {
        matches!(self, Self::Yes(watch) if watch.lease.entry().grant == grant)
    }

    /// When watching ends, once that is to be said.
    pub(super) fn ends_ms(&self) -> Option<u64> {
        match self {
            Self::Yes(watch) => Some(watch.consent_ends_ms),
            Self::No { .. } => None,
        }
    }

    pub(super) fn ending(&self, now_ms: u64) -> Option<Ending> {
        let Self::Yes(watch) = self else { return None };
        let left_ms = watch.ends_ms(now_ms).saturating_sub(now_ms);
        let step = ANNOUNCE_MS.iter().filter(|before_ms| left_ms <= **before_ms).count();
        let hours = i32::try_from(left_ms / HOUR_MS).unwrap_or(i32::MAX);
        (step > 0 && watch.announces).then_some(Ending { step, hours })
    }

    /// Is this step new?
    pub(super) fn announce(&mut self, step: usize) -> bool {
        let Self::Yes(watch) = self else { return false };
        let new = step > watch.announced;
        watch.announced = watch.announced.max(step);
        new
    }

    pub(super) fn next_due_ms(&self) -> Option<u64> {
        let Self::Yes(watch) = self else { return None };
        let until_ms = watch.lease.until_ms();
        let announce = ANNOUNCE_MS.get(watch.announced).filter(|_| watch.announces);
        let announce = announce.map(|before_ms| watch.consent_ends_ms.saturating_sub(*before_ms));
        let renews = self.renews_ms();
        let failing = watch.failing_since_ms.filter(|_| watch.announced == 0);
        let failing = failing.map(|since_ms| since_ms.saturating_add(RENEW_FAILS_MS));
        [Some(until_ms), renews, announce, failing].into_iter().flatten().min()
    }

    /// When the lease is to be renewed, milliseconds; none for one that lasts as long as the consents.
    pub(super) fn renews_ms(&self) -> Option<u64> {
        let Self::Yes(watch) = self else { return None };
        (watch.lease.until_ms() < watch.consent_ends_ms).then_some(watch.renew_at_ms)
    }

    /// What has to be asked about this bed now, if anything.
    fn asks(&self, restored: bool, now: Asked, now_ms: u64) -> Option<Ask> {
        match self {
            Self::No { asked, .. } => {
                let again = asked.is_none_or(|(at_ms, at)| at != now || now_ms.abs_diff(at_ms) >= RETRY_MS);
                again.then_some(Ask::Begin { restored })
            }
            Self::Yes(watch) if self.renews_ms().is_some_and(|at_ms| now_ms >= at_ms) => {
                Some(Ask::Renew(Arc::clone(&watch.lease)))
            }
            Self::Yes(watch) if watch.checked != now => Some(Ask::Check(Arc::clone(&watch.lease))),
            Self::Yes(_) => None,
        }
    }
}

/// A question about one bed.
enum Ask {
    /// Nobody watches: may we? `restored` once the alarms of the time before were read back.
    Begin { restored: bool },
    /// The lease is old.
    Renew(Arc<MonitoringLease>),
    /// Does the consent still stand?
    Check(Arc<MonitoringLease>),
}

/// What was found out about one bed, to be applied under the lock.
enum Found {
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
enum Answer {
    /// All there is to know.
    Found(Found),
    /// A lease is allowed, once it is written down.
    Allowed(Wanted),
}

/// A lease that was allowed and is to be written down.
struct Wanted {
    patient: Patient,
    allowed: Allowed,
    consent_ends_ms: Option<u64>,
    /// Set for a bed that nobody watches, with whether its alarms were read back before.
    begins: Option<bool>,
}

impl Clinic {
    /// Makes a bed for every patient and looks at each, as at the start of a node. Waits for ledger
    /// and disk.
    pub(crate) fn make_beds(&self, now_ms: u64) {
        for patient in self.vault().patients() {
            self.furnish(&patient, now_ms);
        }
        self.keep_watch(now_ms);
        self.tick_beds(now_ms);
    }

    /// Notes what the vault knows of a bed: whether anything is paired with it, its name and place.
    pub(crate) fn furnish(&self, patient: &Patient, now_ms: u64) {
        let own = self.vault().author();
        let streams = self.vault().streams_of(patient.id);
        let expected = streams.iter().any(|record| record.author != own);
        let stale_after_ms = self.stale_after_ms(patient.id);
        let name = self.vault().account_of(patient.person).map(|account| account.name);
        let record = self.vault().bed(patient.id);
        let missing: Vec<_> =
            streams.iter().map(|record| (record.stream, self.missing_of(record.stream, now_ms))).collect();
        let mut effects = Effects::default();
        self.monitoring.with(patient.id, now_ms, |bed| {
            if expected && !bed.expected && !bed.watching.is_on() {
                // Nobody is late who was only now given something to wait for.
                bed.watching = Watching::starting(now_ms);
            }
            bed.expected = expected;
            bed.bedside.expect_within(stale_after_ms);
            bed.ended = record.ended;
            if bed.name.is_empty() {
                bed.name = name.unwrap_or_default();
            }
            if bed.place.is_empty() {
                bed.place = record.place;
            }
            for (stream, missing) in missing {
                let noticed = bed.note_missing(stream, missing, now_ms);
                effects.noticed(patient.id, bed, noticed);
            }
        });
        self.conclude(effects, now_ms);
    }

    /// The consent was withdrawn at this node: nothing is opened under it from now on.
    pub(crate) fn stop_watching_under(&self, grant: GrantId, now_ms: u64) {
        let Some(record) = self.vault().terms(grant) else { return };
        let under = self.monitoring.of(record.patient, now_ms, |bed| bed.watching.is_under(grant));
        if under == Some(true) {
            self.stop_watching(record.patient, Unwatched::Withdrawn, now_ms);
        }
    }

    /// Nothing more of this patient is opened, at once; the next look finds out what holds instead.
    pub(crate) fn stop_watching(&self, patient: PatientId, why: Unwatched, now_ms: u64) {
        let mut effects = Effects::default();
        self.monitoring.of(patient, now_ms, |bed| {
            if bed.watching.is_on() {
                bed.watching.stop(why, None, now_ms);
                bed.stopped();
                effects.watching(patient, bed);
                let noticed = bed.tick(now_ms);
                effects.noticed(patient, bed, noticed);
            }
        });
        self.conclude(effects, now_ms);
    }

    /// Keeps the engine's permissions current: looks again whenever the ledger moved or somebody
    /// withdrew a consent, renews leases long before they end, and stops looking when the patient no
    /// longer allows it. Waits for ledger and disk: call it often, from one thread of its own.
    pub fn keep_watch(&self, now_ms: u64) {
        let now: Asked = (self.ledger().tip().height, self.generation());
        let mut asks = self
            .monitoring
            .of_all(|patient, bed| bed.watching.asks(bed.restored, now, now_ms).map(|ask| (patient, ask)));
        while !asks.is_empty() {
            let rest = asks.split_off(asks.len().min(LEASES_AT_ONCE));
            self.keep_some(core::mem::replace(&mut asks, rest), now, now_ms);
        }
    }

    fn keep_some(&self, asks: Vec<(PatientId, Ask)>, now: Asked, now_ms: u64) {
        let mut found: Vec<(PatientId, Found)> = Vec::with_capacity(asks.len());
        let mut wanted: Vec<Wanted> = Vec::new();
        for (id, ask) in asks {
            match self.answer(id, &ask, now_ms) {
                Answer::Found(answer) => found.push((id, answer)),
                Answer::Allowed(want) => wanted.push(want),
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
                let noticed = bed.tick(now_ms);
                if bed.unwatched() != before {
                    effects.watching(id, bed);
                }
                effects.noticed(id, bed, noticed);
            });
        }
        self.conclude(effects, now_ms);
        for id in &begun {
            // Whoever answered for nobody watching need not answer any longer.
            if let Err(why) = self.vault().put_watch_end(*id, None) {
                tracing::warn!(reason = %why, "An answer for an unwatched bed could not be taken back");
            }
        }
        if !begun.is_empty() {
            self.attend_waiting(now_ms);
        }
    }

    /// Answers what needs no lease; gives what is allowed and has to be written down otherwise.
    fn answer(&self, id: PatientId, ask: &Ask, now_ms: u64) -> Answer {
        let Ok(patient) = self.patient(id) else { return Answer::Found(Found::No(Unwatched::NoConsent)) };
        let consent_ends_ms = self.monitoring_ends_ms(&patient, now_ms);
        let checks = matches!(ask, Ask::Check(_));
        let mut kept = None;
        if let Ask::Check(lease) | Ask::Renew(lease) = ask {
            let (grant, classes) = (lease.entry().grant, &lease.entry().classes);
            match self.decide_held(&patient, grant, classes, now_ms) {
                Ok(_) if checks => return Answer::Found(Found::Stands { consent_ends_ms }),
                // The policy could not be asked: renewed as it was, by the hour, each on record.
                Ok(true) => kept = Some(Allowed { permit: Permit { grant }, classes: classes.clone() }),
                // A ledger that does not answer does not blind the engine: the last decision stands.
                Err(Denied::LedgerDown) if checks => return Answer::Found(Found::Unknown),
                // Perhaps another consent, or fewer classes.
                Ok(false) | Err(_) => {}
            }
        }
        let (reader, purpose) = (Reader::Engine(self.org()), Purpose::Monitoring);
        let wanted = access::Ask { reader, patient: &patient, purpose, classes: &MONITORED, from_ms: now_ms };
        match kept.map_or_else(|| self.decide_most(&wanted, now_ms), Ok) {
            Ok(allowed) => Answer::Allowed(Wanted {
                patient,
                allowed,
                consent_ends_ms,
                begins: match ask {
                    Ask::Begin { restored } => Some(*restored),
                    Ask::Renew(_) | Ask::Check(_) => None,
                },
            }),
            Err(Denied::LedgerDown) if !matches!(ask, Ask::Begin { .. }) => Answer::Found(Found::NotRenewed),
            Err(why) => Answer::Found(Found::No(reason(&why))),
        }
    }

    /// The end of all consents to monitoring that are valid now and follow each other.
    fn monitoring_ends_ms(&self, patient: &Patient, now_ms: u64) -> Option<u64> {
        let consents = self.consents(patient, Purpose::Monitoring).ok()?;
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
    fn leases_for(&self, wanted: Vec<Wanted>, now_ms: u64) -> Vec<(PatientId, Found)> {
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
                let failed = |want: &Wanted| {
                    let found = if want.begins.is_some() {
                        Found::No(Unwatched::NotRecorded)
                    } else {
                        Found::NotRenewed
                    };
                    (want.patient.id, found)
                };
                return wanted.iter().map(failed).collect();
            }
        };
        let found = wanted.into_iter().zip(made).map(|(want, made)| {
            let found = match made {
                Ok(lease) => {
                    lock(&self.stats).counters.authored += 1;
                    let read = want
                        .begins
                        .map(|restored| Box::new(self.read_back(&want.patient, &lease, restored, now_ms)));
                    let consent_ends_ms = want.consent_ends_ms.unwrap_or(lease.until_ms());
                    Found::Lease { lease: Box::new(lease), consent_ends_ms, read }
                }
                Err(AccessError::Ledger(_) | AccessError::PolicySilent(_)) if want.begins.is_none() => {
                    Found::NotRenewed
                }
                Err(AccessError::Ledger(_)) => Found::No(Unwatched::LedgerDown),
                Err(why) => {
                    tracing::warn!(reason = %why, "Monitoring of a patient did not begin");
                    Found::No(Unwatched::Policy)
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
            // Whatever time a bedside clock claims: the engine looks at what arrives.
            span_ms: (0, TIME_MAX_MS),
            session: ENGINE_SESSION,
            person: None,
        }
    }

    /// Applies what was found out. True if watching began by it.
    fn apply(&self, id: PatientId, bed: &mut Bed, found: Found, now: Asked, now_ms: u64) -> bool {
        match found {
            Found::Unknown => {}
            Found::Stands { consent_ends_ms } => {
                if let Watching::Yes(watch) = &mut bed.watching {
                    watch.checked = now;
                    watch.set_end(consent_ends_ms);
                }
            }
            Found::NotRenewed => {
                if let Watching::Yes(watch) = &mut bed.watching {
                    watch.renew_at_ms = now_ms.saturating_add(RENEW_AGAIN_MS);
                    watch.failing_since_ms.get_or_insert(now_ms);
                    watch.checked = now;
                }
            }
            Found::No(why) => {
                bed.stopped();
                bed.watching.stop(why, Some((now_ms, now)), now_ms);
            }
            Found::Lease { lease, consent_ends_ms, read } => {
                // A consent was withdrawn while the entry was written: asked again at once.
                if self.generation() != now.1 {
                    return false;
                }
                let renew_at_ms = self.monitoring.plan.renew_at_ms(id, now_ms, lease.until_ms());
                let watch = Watch {
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
                bed.watching = Watching::Yes(Box::new(Watch { announced, ..watch }));
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
        let mut seqs = self.store().gaps(stream);
        let (head, record) = (self.store().head(stream)?, self.stream(stream)?);
        if seqs.is_empty() {
            return None;
        }
        seqs.truncate(MISSING_NAMED_MAX);
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
