//! Pauses: for a while a patient is not watched, though the consent stands.

use crate::error::VaultError;
use crate::sealed_tables::{Table, Tables};
use crate::vault::Vault;
use std::collections::BTreeMap;
use vitals::PatientId;
use vitals::cbor::{NotCanonical, Reader, Writer};

const VERSION: u64 = 1;

fn read(row: &[u8]) -> Result<(PatientId, u64), NotCanonical> {
    let mut r = Reader::new(row);
    r.array(3)?;
    r.exactly(VERSION)?;
    let pause = (PatientId(r.fixed()?), r.uint()?);
    r.end()?;
    Ok(pause)
}

fn all(tables: &Tables) -> Result<BTreeMap<PatientId, u64>, VaultError> {
    let damaged = |_| VaultError::Damaged("a pause is not readable".into());
    tables.all(Table::Pauses)?.iter().map(|row| read(row).map_err(damaged)).collect()
}

impl Vault {
    /// Keeps until when a patient's pause lasts, milliseconds; a time that is past ends it.
    ///
    /// # Errors
    /// [`VaultError::NoPatient`], [`VaultError::Database`].
    pub fn put_pause(&self, patient: PatientId, until_ms: u64) -> Result<(), VaultError> {
        self.known_patient(patient)?;
        let _changing = self.changing();
        let mut w = Writer::new();
        w.array(3).uint(VERSION).bytes(&patient.0).uint(until_ms);
        self.tables.put(&[(Table::Pauses, &patient.0, &w.finish())])
    }

    /// Until when the pauses of patients last or lasted, milliseconds.
    ///
    /// # Errors
    /// [`VaultError::Damaged`], [`VaultError::Database`].
    pub fn pauses(&self) -> Result<BTreeMap<PatientId, u64>, VaultError> {
        all(&self.tables)
    }
}
