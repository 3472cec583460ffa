//! People: accounts in the vault, enrolled on the ledger.

use super::sessions::Session;
use crate::acts::Ticket;
use crate::clinic::Clinic;
use crate::errors::ClinicError;
use std::sync::atomic::Ordering;
use vault::{Account, Entry, Made, NewAccount, Patient};
use vitals::body::{Body, Profile};
use vitals::envelope::ClockQuality;
use vitals::ids::Class;
use vitals::ledger::{Act, Outcome, Role};
use vitals::{PatientId, PersonId};

/// A person to be registered.
#[derive(Clone, Copy)]
pub struct NewPerson<'a> {
    /// Sign-in name.
    pub login: &'a str,
    /// Name.
    pub name: &'a str,
    /// Password.
    pub password: &'a str,
    /// Role.
    pub role: Role,
}

impl core::fmt::Debug for NewPerson<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("NewPerson")
    }
}

impl Clinic {
    /// The first account of a new organisation: its administrator.
    ///
    /// # Errors
    /// [`ClinicError::Wrong`] if there are accounts already.
    pub fn first_administrator(
        &self,
        login: &str,
        name: &str,
        password: &str,
        now_ms: u64,
    ) -> Result<Ticket, ClinicError> {
        let new = NewPerson { login, name, password, role: Role::Administrator };
        // Of two who found an organisation at once, one is too late.
        let taken =
            || ClinicError::Wrong("there are accounts already: let an administrator make more".into());
        if self.founding.swap(true, Ordering::AcqRel) {
            return Err(taken());
        }
        let made = Made { by: None, at_ms: now_ms };
        let account = if self.needs_set_up() { self.account(&new, made) } else { Err(taken()) };
        self.founding.store(false, Ordering::Release);
        let account = account?;
        self.enrol(&account, now_ms)
    }

    /// Registers a person who is no patient.
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but administrators; otherwise what is wrong.
    pub fn create_person(
        &self,
        session: &Session,
        new: &NewPerson<'_>,
        now_ms: u64,
    ) -> Result<(PersonId, Ticket), ClinicError> {
        self.deciding(session, &[Role::Administrator], now_ms)?;
        if new.role == Role::Patient {
            return Err(ClinicError::Wrong("a patient is registered with a bed".into()));
        }
        let account = self.account(new, Made { by: Some(session.person), at_ms: now_ms })?;
        Ok((account.person, self.enrol(&account, now_ms)?))
    }

    /// Registers a patient and writes the profile.
    ///
    /// # Errors
    /// As [`Clinic::create_person`]; clinicians may do it too.
    pub fn create_patient(
        &self,
        session: &Session,
        new: &NewPerson<'_>,
        bed: &str,
        now_ms: u64,
    ) -> Result<(PatientId, Ticket), ClinicError> {
        self.deciding(session, &[Role::Administrator, Role::Clinician], now_ms)?;
        if new.role != Role::Patient {
            return Err(ClinicError::Wrong("only patients have a bed".into()));
        }
        let account = self.account(new, Made { by: Some(session.person), at_ms: now_ms })?;
        let (person, ticket) = (account.person, self.enrol(&account, now_ms)?);
        let patient = Patient { id: PatientId(self.random()), person, since_ms: now_ms };
        self.vault().put_patient(patient)?;
        self.vault().put_bed_place(patient.id, bed)?;
        self.write_profile(patient.id, new.name, bed, now_ms)?;
        Ok((patient.id, ticket))
    }

    fn write_profile(
        &self,
        patient: PatientId,
        name: &str,
        bed: &str,
        now_ms: u64,
    ) -> Result<(), ClinicError> {
        let profile = Profile { at_ms: now_ms, name: name.into(), bed: bed.into() };
        let entry = Entry { patient, class: Class::Profile, body: Body::Profile(profile) };
        self.vault().write(self.store(), &[entry], ClockQuality::Synced, now_ms)?;
        self.stats.authored(1);
        self.monitoring.with(patient, now_ms, |made| {
            (made.name, made.place) = (name.into(), bed.into());
        });
        Ok(())
    }

    /// Does what follows once an account stands in the vault, as far as it is not done: the enrolment on the ledger
    /// and a patient's profile. A crash may have come between, so that it is done again at each sign-in; what fails
    /// now is done then.
    pub(crate) fn complete(&self, account: &Account, now_ms: u64) {
        let done = self.complete_enrolment(account, now_ms).and(self.complete_profile(account, now_ms));
        if let Err(why) = done {
            tracing::warn!(reason = %why, "An account waits for its enrolment or its profile");
        }
    }

    fn complete_enrolment(&self, account: &Account, now_ms: u64) -> Result<(), ClinicError> {
        let is_it = |act: &Act| matches!(act, Act::Enrol { person, .. } if *person == account.person);
        let is_refused = |outcome: &Outcome| matches!(outcome, Outcome::Refused { .. });
        // A ledger that does not answer says nothing of it.
        let Ok(found) = self.ledger().person(account.person) else { return Ok(()) };
        if found.is_none() && !self.acts.any_under_way(|act, outcome| is_it(act) && !is_refused(outcome)) {
            self.enrol(account, now_ms)?;
        }
        Ok(())
    }

    fn complete_profile(&self, account: &Account, now_ms: u64) -> Result<(), ClinicError> {
        let Some(patient) = self.vault().patient_of(account.person) else { return Ok(()) };
        let author = self.vault().author();
        let streams = self.vault().streams_of(patient.id);
        let mut own = streams.iter().filter(|one| one.author == author && one.class == Class::Profile);
        if own.any(|one| self.store().head(one.stream).is_some()) {
            return Ok(());
        }
        let bed = self.vault().bed(patient.id).place;
        self.write_profile(patient.id, &account.name, &bed, now_ms)
    }

    fn account(&self, new: &NewPerson<'_>, made: Made) -> Result<Account, ClinicError> {
        let NewPerson { login, name, password, role } = *new;
        let person = PersonId(self.random());
        Ok(self.vault().put_account(NewAccount { login, name, role, person, password, made })?)
    }

    fn enrol(&self, account: &Account, now_ms: u64) -> Result<Ticket, ClinicError> {
        let signer = self.ledger().p256_signer(&account.public_key);
        let act = Act::Enrol { person: account.person, role: account.role, signer, vault_kept: true };
        self.submit(act, "enrolment", now_ms)
    }

    /// Whom a patient may consent to: clinicians and relatives with an account here that is not suspended.
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but patients.
    pub fn colleagues(
        &self,
        session: &Session,
        now_ms: u64,
    ) -> Result<Vec<(PersonId, String, Role)>, ClinicError> {
        self.require(session, &[Role::Patient], now_ms).map_err(|why| self.denied(why))?;
        let accounts = self.vault().accounts().into_iter();
        let reads = |account: &Account| matches!(account.role, Role::Clinician | Role::Family);
        let suspended =
            |person| matches!(self.enrolment(person), Ok(Some(held)) if held.suspended_at_ms != 0);
        let readers = accounts.filter(|account| reads(account) && !suspended(account.person));
        Ok(readers.map(|account| (account.person, account.name, account.role)).collect())
    }
}
