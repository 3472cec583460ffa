//! People: accounts in the vault, enrolled on the ledger.

use super::sessions::Session;
use crate::acts::Ticket;
use crate::clinic::Clinic;
use crate::errors::ClinicError;
use std::sync::atomic::Ordering;
use vault::{Account, Entry, NewAccount, Patient};
use vitals::body::{Body, Profile};
use vitals::envelope::ClockQuality;
use vitals::ids::Class;
use vitals::ledger::{Act, Role};
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
        let account = if self.vault().accounts().is_empty() { self.account(&new) } else { Err(taken()) };
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
        let account = self.account(new)?;
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
        let account = self.account(new)?;
        let (person, ticket) = (account.person, self.enrol(&account, now_ms)?);
        let patient = Patient { id: PatientId(self.random()), person, since_ms: now_ms };
        self.vault().put_patient(patient)?;
        let profile = Profile { at_ms: now_ms, name: new.name.into(), bed: bed.into() };
        let entry = Entry { patient: patient.id, class: Class::Profile, body: Body::Profile(profile) };
        self.vault().write(self.store(), &[entry], ClockQuality::Synced, now_ms)?;
        self.stats.authored(1);
        self.vault().put_bed_place(patient.id, bed)?;
        self.monitoring.with(patient.id, now_ms, |made| {
            (made.name, made.place) = (new.name.into(), bed.into());
        });
        Ok((patient.id, ticket))
    }

    fn account(&self, new: &NewPerson<'_>) -> Result<Account, ClinicError> {
        let NewPerson { login, name, password, role } = *new;
        let person = PersonId(self.random());
        Ok(self.vault().put_account(NewAccount { login, name, role, person, password })?)
    }

    fn enrol(&self, account: &Account, now_ms: u64) -> Result<Ticket, ClinicError> {
        let signer = self.ledger().p256_signer(&account.public_key);
        let act = Act::Enrol { person: account.person, role: account.role, signer, vault_kept: true };
        self.submit(act, "enrolment", now_ms)
    }

    /// Whom a patient may consent to: clinicians and relatives with an account here.
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
            |person| matches!(self.ledger().person(person), Ok(Some(held)) if held.suspended_at_ms != 0);
        let readers = accounts.filter(|account| reads(account) && !suspended(account.person));
        Ok(readers.map(|account| (account.person, account.name, account.role)).collect())
    }
}
