//! Reading with a trace. A body opens only through [`DurableAccess`] or [`MonitoringLease`], and
//! either exists only once its access envelope is durable: nothing else in this crate makes one, and
//! no content key leaves it.

use crate::envelope_writer::{Entry, Written};
use crate::error::{AccessError, OpenError};
use crate::seal;
use crate::store::Store;
use crate::vault::Vault;
use crate::vault::content_keys::KeyCache;
use crate::vault::patients::Patient;
use crate::vault::streams::StreamRecord;
use vitals::body::{AccessEntry, Body};
use vitals::envelope::{ClockQuality, Envelope};
use vitals::ids::{Class, GrantId, PatientId, PersonId};
use vitals::ledger::{Ledger, Purpose};

/// How far back people see who monitor, milliseconds: two hours.
pub const MONITORING_BACK_MS: u64 = 2 * 3_600_000;
/// How long the alarm engine's lease lasts under a policy that agreed but cannot be asked now,
/// milliseconds: each hour it leaves another entry.
pub const KEPT_MS: u64 = 3_600_000;
/// The session of the alarm engine, which nobody signed in.
pub const ENGINE_SESSION: [u8; 16] = [0; 16];
/// Longest time one monitoring entry lasts; then the access is written again.
pub const MONITORING_MS_MAX: u64 = 86_400_000;

/// Proof that an opening is on record. Cannot be made, copied or changed outside this module.
#[derive(Debug)]
pub struct DurableAccess {
    patient: PatientId,
    entry: AccessEntry,
    written: Written,
}

impl DurableAccess {
    /// Whose record.
    #[must_use]
    pub fn patient(&self) -> PatientId {
        self.patient
    }

    /// What was written down.
    #[must_use]
    pub fn entry(&self) -> &AccessEntry {
        &self.entry
    }

    /// The access envelope.
    #[must_use]
    pub fn written(&self) -> &Written {
        &self.written
    }

    fn covers(&self, record: &StreamRecord, envelope: &Envelope) -> Result<(), OpenError> {
        let header = &envelope.header;
        if record.patient != self.patient {
            return Err(OpenError::NotCovered("patient"));
        }
        if header.class != record.class || !self.entry.classes.contains(&header.class) {
            return Err(OpenError::NotCovered("class"));
        }
        if header.first_ms > self.entry.span_ms.1 || header.last_ms < self.entry.span_ms.0 {
            return Err(OpenError::NotCovered("times"));
        }
        Ok(())
    }
}

/// Proof that the organisation's monitoring of a patient is on record, for a limited time.
#[derive(Debug)]
pub struct MonitoringLease {
    access: DurableAccess,
    until_ms: u64,
}

impl MonitoringLease {
    /// Whose record.
    #[must_use]
    pub fn patient(&self) -> PatientId {
        self.access.patient
    }

    /// What was written down.
    #[must_use]
    pub fn entry(&self) -> &AccessEntry {
        &self.access.entry
    }

    /// The access envelope.
    #[must_use]
    pub fn written(&self) -> &Written {
        &self.access.written
    }

    /// End of the lease (exclusive), milliseconds.
    #[must_use]
    pub fn until_ms(&self) -> u64 {
        self.until_ms
    }
}

/// Opens what one access covers.
pub struct Released<'a> {
    vault: &'a Vault,
    access: &'a DurableAccess,
    /// Of its own, so that reading last month does not drive today's keys out of the vault's.
    keys: KeyCache,
}

impl std::fmt::Debug for Released<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Released").field("patient", &self.access.patient).finish_non_exhaustive()
    }
}

impl Released<'_> {
    /// Opens an envelope of the patient, the classes and the span the access entry names.
    ///
    /// # Errors
    /// [`OpenError::NotCovered`] for anything else; the others name what is wrong with the envelope.
    pub fn open(&self, envelope: &Envelope) -> Result<Body, OpenError> {
        self.vault.open_covered(self.access, &self.keys, envelope)
    }
}

impl Vault {
    /// Puts an opening on record: checks that consent on the ledger covers it, writes the access
    /// envelope into the patient's `access` stream, and only then gives the token that opens. The
    /// entry's time is set to `now_ms`.
    ///
    /// # Errors
    /// [`AccessError::Denied`] with the reason, or why it could not be checked or written; then
    /// nothing was released.
    pub fn log_access(
        &self,
        store: &Store,
        ledger: &dyn Ledger,
        patient: PatientId,
        mut entry: AccessEntry,
        now_ms: u64,
    ) -> Result<DurableAccess, AccessError> {
        let known = self.known_patient(patient)?;
        entry.at_ms = now_ms;
        in_form(&entry)?;
        if entry.purpose == Purpose::Own {
            if entry.reader != known.person || entry.grant != GrantId([0; 32]) {
                return Err(AccessError::Denied("only the patient reads as the patient"));
            }
            if self.is_suspended(known.person) {
                return Err(AccessError::Denied("the account is suspended"));
            }
        } else {
            self.granted(ledger, &known, &entry, now_ms)?;
        }
        self.put_access(store, patient, entry, now_ms)
    }

    /// The same for the organisation's monitoring (wall and alarm engine): purpose
    /// [`Purpose::Monitoring`], reader [`PersonId::of_organisation`], until `until_ms`, the end of the
    /// grant or [`MONITORING_MS_MAX`] from now, whichever comes first.
    ///
    /// # Errors
    /// As [`Vault::log_access`].
    pub fn log_monitoring(
        &self,
        store: &Store,
        ledger: &dyn Ledger,
        patient: PatientId,
        entry: AccessEntry,
        until_ms: u64,
        now_ms: u64,
    ) -> Result<MonitoringLease, AccessError> {
        let mut leases = self.log_monitoring_of(store, ledger, vec![(patient, entry, until_ms)], now_ms)?;
        leases.pop().expect("one entry asks for one lease")
    }

    /// The same for many patients, with one write: each with its own answer, in order.
    ///
    /// # Errors
    /// [`AccessError`] if the entries could not be written: then nothing was released to anybody.
    pub fn log_monitoring_of(
        &self,
        store: &Store,
        ledger: &dyn Ledger,
        wanted: Vec<(PatientId, AccessEntry, u64)>,
        now_ms: u64,
    ) -> Result<Vec<Result<MonitoringLease, AccessError>>, AccessError> {
        let checked: Vec<Result<(PatientId, AccessEntry, u64), AccessError>> = wanted
            .into_iter()
            .map(|(patient, entry, until_ms)| self.monitored(ledger, patient, entry, until_ms, now_ms))
            .collect();
        let entries: Vec<Entry> =
            checked.iter().flatten().map(|(patient, entry, _)| access_of(*patient, entry)).collect();
        let written = if entries.is_empty() {
            Vec::new()
        } else {
            self.write(store, &entries, ClockQuality::Synced, now_ms)?
        };
        let mut written = written.into_iter();
        let mut lease = |(patient, entry, until_ms)| {
            let written = written.next().expect("each entry makes one envelope");
            MonitoringLease { access: DurableAccess { patient, entry, written }, until_ms }
        };
        Ok(checked.into_iter().map(|checked| checked.map(&mut lease)).collect())
    }

    /// May the organisation monitor, and until when?
    fn monitored(
        &self,
        ledger: &dyn Ledger,
        patient: PatientId,
        mut entry: AccessEntry,
        until_ms: u64,
        now_ms: u64,
    ) -> Result<(PatientId, AccessEntry, u64), AccessError> {
        let known = self.known_patient(patient)?;
        entry.at_ms = now_ms;
        in_form(&entry)?;
        if entry.purpose != Purpose::Monitoring || entry.reader != PersonId::of_organisation(self.org()) {
            return Err(AccessError::Denied("only the organisation itself monitors"));
        }
        let grant_ends_ms = self.granted(ledger, &known, &entry, now_ms)?;
        let until_ms = until_ms.min(grant_ends_ms).min(now_ms.saturating_add(MONITORING_MS_MAX));
        if until_ms <= now_ms {
            return Err(AccessError::Denied("the monitoring would end before it begins"));
        }
        Ok((patient, entry, until_ms))
    }

    /// Ready to open what an access covers.
    #[must_use]
    pub fn release<'a>(&'a self, access: &'a DurableAccess) -> Released<'a> {
        Released { vault: self, access, keys: KeyCache::default() }
    }

    /// Opens an envelope for monitoring, while the lease lasts.
    ///
    /// # Errors
    /// [`OpenError::LeaseEnded`], else as [`Released::open`].
    pub fn open_monitored(
        &self,
        lease: &MonitoringLease,
        envelope: &Envelope,
        now_ms: u64,
    ) -> Result<Body, OpenError> {
        if now_ms >= lease.until_ms {
            return Err(OpenError::LeaseEnded);
        }
        self.open_covered(&lease.access, &self.chains, envelope)
    }

    fn open_covered(
        &self,
        access: &DurableAccess,
        keys: &KeyCache,
        envelope: &Envelope,
    ) -> Result<Body, OpenError> {
        let record = self.stream(envelope.header.stream).ok_or(OpenError::NoStream)?;
        access.covers(&record, envelope)?;
        let (key, commitment) = keys.message(self, &record, &envelope.header)?;
        // Times and class are associated data of the seal: a header changed to be covered does not open.
        seal::open_with(envelope, &key, &commitment)
    }

    fn put_access(
        &self,
        store: &Store,
        patient: PatientId,
        entry: AccessEntry,
        now_ms: u64,
    ) -> Result<DurableAccess, AccessError> {
        let written = self.write(store, &[access_of(patient, &entry)], ClockQuality::Synced, now_ms)?;
        let written = written.into_iter().next().expect("one entry makes one envelope");
        Ok(DurableAccess { patient, entry, written })
    }

    /// Does the consent the entry names cover it now? Gives the end of the consent.
    fn granted(
        &self,
        ledger: &dyn Ledger,
        patient: &Patient,
        entry: &AccessEntry,
        now_ms: u64,
    ) -> Result<u64, AccessError> {
        let denied = |why| Err(AccessError::Denied(why));
        let Some(grant) = ledger.grant(entry.grant)? else {
            return denied("the ledger holds no such consent");
        };
        if grant.patient != patient.person {
            return denied("the consent is another patient's");
        }
        if grant.grantee != entry.reader {
            return denied("the consent is for somebody else");
        }
        if grant.revoked_at_ms != 0 || self.books().terms.is_withdrawn(entry.grant) {
            return denied("the consent was revoked");
        }
        if now_ms < grant.from_ms || now_ms >= grant.until_ms {
            return denied("the consent is not valid now");
        }
        let Some(record) = self.terms(entry.grant) else {
            return denied("the terms of the consent are not here");
        };
        if record.terms.commitment(self.genesis()?) != grant.terms {
            return denied("the terms here are not the ones the patient signed");
        }
        if record.terms.purpose != entry.purpose {
            return denied("the consent is for another purpose");
        }
        let back_ms = now_ms.saturating_sub(entry.span_ms.0);
        if entry.purpose == Purpose::Monitoring && entry.person.is_some() && back_ms > MONITORING_BACK_MS {
            return denied("people who monitor see the last two hours");
        }
        if !entry.classes.iter().all(|class| record.terms.classes.contains(class)) {
            return denied("the consent does not cover the class");
        }
        let mut until_ms = grant.until_ms;
        let restriction = self.restriction(entry.grant);
        if restriction.paused_since_ms.is_some() {
            return denied("the consent is paused here");
        }
        // Until the consent that takes its place is on the ledger, what both say is opened.
        if let Some(replaced) = restriction.replaced {
            let other = self.terms(replaced.by);
            let covers = |class| other.as_ref().is_some_and(|other| other.terms.classes.contains(class));
            if now_ms < replaced.from_ms || now_ms >= replaced.until_ms || !entry.classes.iter().all(covers) {
                return denied("the consent that takes its place does not cover it");
            }
            if self.restriction(replaced.by).paused_since_ms.is_some() {
                return denied("the consent that takes its place is paused here");
            }
            until_ms = until_ms.min(replaced.until_ms);
        }
        if grant.policy.is_some() && !self.policy_agrees(ledger, entry)? {
            until_ms = until_ms.min(now_ms.saturating_add(KEPT_MS));
        }
        let looking = entry.looked();
        if !looking.is_organisation() {
            if self.is_suspended(looking) {
                return denied("the reader is suspended");
            }
            match ledger.person(looking)? {
                Some(person) if person.suspended_at_ms == 0 => {}
                Some(_) => return denied("the reader is suspended"),
                None => return denied("the ledger does not know the reader"),
            }
        }
        Ok(until_ms)
    }

    /// Does the policy of the consent agree to every class? It is asked each time; one that cannot be asked
    /// does not agree. Except for the alarm engine, if it agreed when it was asked last: a network that
    /// fails must not blind it. False if the engine goes on like that.
    fn policy_agrees(&self, ledger: &dyn Ledger, entry: &AccessEntry) -> Result<bool, AccessError> {
        let engine = entry.reader.is_organisation() && entry.person.is_none();
        let agreed = || self.agreed.lock();
        let mut asked = true;
        for class in &entry.classes {
            let question = (entry.grant, *class);
            match ledger.policy_agrees(entry.grant, *class) {
                Ok(true) if engine => {
                    agreed().insert(question);
                }
                Ok(true) => {}
                Ok(false) => {
                    agreed().remove(&question);
                    return Err(AccessError::PolicyRefuses(*class));
                }
                Err(_) if engine && agreed().contains(&question) => asked = false,
                Err(why) => return Err(AccessError::PolicySilent(why)),
            }
        }
        Ok(asked)
    }
}

fn access_of(patient: PatientId, entry: &AccessEntry) -> Entry {
    Entry { patient, class: Class::Access, body: Body::Access(entry.clone()) }
}

fn in_form(entry: &AccessEntry) -> Result<(), AccessError> {
    if entry.classes.is_empty() || !entry.classes.is_sorted_by(|a, b| a < b) {
        return Err(AccessError::Denied("an access names classes in ascending order, each once"));
    }
    // Nobody looks in the organisation's name without their own; its alarm engine has no session.
    if entry.reader.is_organisation() && entry.person.is_none() && entry.session != ENGINE_SESSION {
        return Err(AccessError::Denied("an access in the organisation's name says who looked"));
    }
    if entry.person.is_some() && !entry.reader.is_organisation() {
        return Err(AccessError::Denied("an access names its reader once"));
    }
    if entry.span_ms.0 > entry.span_ms.1 {
        return Err(AccessError::Denied("an access names a span that ends after it begins"));
    }
    Ok(())
}
