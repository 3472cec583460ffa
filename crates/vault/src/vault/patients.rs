//! Patients of the organisation: a random id here, joined with a person of the ledger.

use crate::error::VaultError;
use crate::sealed_tables::{Table, Tables};
use crate::vault::Vault;
use std::collections::HashMap;
use vitals::cbor::{NotCanonical, Reader, Writer};
use vitals::ids::{PatientId, PersonId};

const VERSION: u64 = 1;

/// A patient. Name and bed are in the patient's profile, sealed like every other record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patient {
    /// Random id inside this organisation.
    pub id: PatientId,
    /// Who it is on the ledger.
    pub person: PersonId,
    /// When the patient was admitted to the ward, milliseconds.
    pub since_ms: u64,
}

#[derive(Default)]
pub(crate) struct PatientBook {
    by_id: HashMap<PatientId, Patient>,
    by_person: HashMap<PersonId, PatientId>,
}

impl PatientBook {
    pub(crate) fn load(tables: &Tables) -> Result<Self, VaultError> {
        let mut book = Self::default();
        for row in tables.all(Table::Patients)? {
            book.add(
                Patient::read(&row).map_err(|_| VaultError::Damaged("a patient is not readable".into()))?,
            );
        }
        Ok(book)
    }

    pub(crate) fn add(&mut self, patient: Patient) {
        self.by_person.insert(patient.person, patient.id);
        self.by_id.insert(patient.id, patient);
    }
}

impl Patient {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.array(4).uint(VERSION).bytes(&self.id.0).bytes(&self.person.0).uint(self.since_ms);
        w.finish()
    }

    fn read(row: &[u8]) -> Result<Self, NotCanonical> {
        let mut r = Reader::new(row);
        r.array(4)?;
        r.exactly(VERSION)?;
        let patient = Self { id: PatientId(r.fixed()?), person: PersonId(r.fixed()?), since_ms: r.uint()? };
        r.end()?;
        Ok(patient)
    }
}

impl Vault {
    /// Keeps a patient. The same pair of ids again changes nothing.
    ///
    /// # Errors
    /// [`VaultError::PatientTaken`] if either id stands for another already.
    pub fn put_patient(&self, patient: Patient) -> Result<(), VaultError> {
        let _changing = self.changing();
        match (self.patient(patient.id), self.patient_of(patient.person)) {
            (None, None) => {}
            (Some(held), _) if held.person == patient.person => return Ok(()),
            _ => return Err(VaultError::PatientTaken),
        }
        self.tables.put(&[(Table::Patients, &patient.id.0, &patient.encode())])?;
        self.books_mut().patients.add(patient);
        Ok(())
    }

    /// The patient with this id.
    #[must_use]
    pub fn patient(&self, id: PatientId) -> Option<Patient> {
        self.books().patients.by_id.get(&id).copied()
    }

    /// The patient who is this person.
    #[must_use]
    pub fn patient_of(&self, person: PersonId) -> Option<Patient> {
        let books = self.books();
        books.patients.by_id.get(books.patients.by_person.get(&person)?).copied()
    }

    /// All patients, oldest first.
    #[must_use]
    pub fn patients(&self) -> Vec<Patient> {
        let mut patients: Vec<_> = self.books().patients.by_id.values().copied().collect();
        patients.sort_by_key(|patient| (patient.since_ms, patient.id));
        patients
    }
}
