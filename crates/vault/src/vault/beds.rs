//! What the node must know of a bed without opening the patient's record: where it stands, and that
//! somebody ended the alarm about nobody watching it. Kept here because that alarm is needed just when
//! no consent lets the record be opened.

use crate::error::VaultError;
use crate::sealed_tables::{Table, Tables};
use crate::vault::Vault;
use std::collections::HashMap;
use vitals::body::TEXT_BYTES_MAX;
use vitals::cbor::{NotCanonical, Reader, Writer};
use vitals::ids::{PatientId, PersonId};

const VERSION: u64 = 1;

/// A person confirmed that a bed is not watched, with a reason.
#[derive(Clone, PartialEq, Eq)]
pub struct MonitoringEnd {
    /// When, milliseconds.
    pub at_ms: u64,
    /// Who.
    pub by: PersonId,
    /// That person's name at that time.
    pub by_name: String,
    /// Why, in that person's words.
    pub reason: String,
}

impl std::fmt::Debug for MonitoringEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MonitoringEnd").field("at_ms", &self.at_ms).finish_non_exhaustive()
    }
}

/// A bed as it is known without its patient's record.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct BedRecord {
    /// Its place, e.g. `Ward 3, bed 7`; empty while unknown.
    pub place: String,
    /// Set while nobody watches and somebody answers for that.
    pub ended: Option<MonitoringEnd>,
}

impl std::fmt::Debug for BedRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BedRecord").finish_non_exhaustive()
    }
}

pub(crate) type BedBook = HashMap<PatientId, BedRecord>;

pub(crate) fn load(tables: &Tables) -> Result<BedBook, VaultError> {
    let read = |row: &[u8]| read(row).map_err(|_| VaultError::Damaged("a bed is not readable".into()));
    tables.all(Table::Beds)?.iter().map(|row| read(row)).collect()
}

pub(crate) fn encode(patient: PatientId, bed: &BedRecord) -> Vec<u8> {
    let mut w = Writer::new();
    w.array(4).uint(VERSION).bytes(&patient.0).text(&bed.place);
    match &bed.ended {
        None => w.array(0),
        Some(end) => w.array(4).uint(end.at_ms).bytes(&end.by.0).text(&end.by_name).text(&end.reason),
    };
    w.finish()
}

fn read(row: &[u8]) -> Result<(PatientId, BedRecord), NotCanonical> {
    let mut r = Reader::new(row);
    r.array(4)?;
    r.exactly(VERSION)?;
    let patient = PatientId(r.fixed()?);
    let place = r.text(TEXT_BYTES_MAX)?.into();
    let ended = match r.any_array()? {
        0 => None,
        4 => Some(MonitoringEnd {
            at_ms: r.uint()?,
            by: PersonId(r.fixed()?),
            by_name: r.text(TEXT_BYTES_MAX)?.into(),
            reason: r.text(TEXT_BYTES_MAX)?.into(),
        }),
        _ => return Err(NotCanonical::Unexpected),
    };
    r.end()?;
    Ok((patient, BedRecord { place, ended }))
}

impl Vault {
    /// What is known of a patient's bed.
    #[must_use]
    pub fn bed(&self, patient: PatientId) -> BedRecord {
        self.books().beds.get(&patient).cloned().unwrap_or_default()
    }

    /// Keeps where a patient's bed stands.
    ///
    /// # Errors
    /// [`VaultError::Unfit`] for a place longer than [`TEXT_BYTES_MAX`]; [`VaultError::Database`].
    pub fn put_bed_place(&self, patient: PatientId, place: &str) -> Result<(), VaultError> {
        self.change_bed(patient, |bed| place.clone_into(&mut bed.place))
    }

    /// Keeps that somebody answers for nobody watching, or (`None`) that this is over.
    ///
    /// # Errors
    /// As [`Vault::put_bed_place`].
    pub fn put_monitoring_end(
        &self,
        patient: PatientId,
        ended: Option<MonitoringEnd>,
    ) -> Result<(), VaultError> {
        self.change_bed(patient, |bed| bed.ended = ended)
    }

    fn change_bed(&self, patient: PatientId, change: impl FnOnce(&mut BedRecord)) -> Result<(), VaultError> {
        let _changing = self.changing();
        let before = self.bed(patient);
        let mut bed = before.clone();
        change(&mut bed);
        if bed == before {
            return Ok(());
        }
        let fits = |text: &str| text.len() <= TEXT_BYTES_MAX;
        let end_fits = |end: &MonitoringEnd| fits(&end.by_name) && fits(&end.reason);
        if !fits(&bed.place) || !bed.ended.as_ref().is_none_or(end_fits) {
            return Err(VaultError::Unfit("a text about a bed is at most 256 bytes long"));
        }
        self.tables.put(&[(Table::Beds, &patient.0, &encode(patient, &bed))])?;
        self.books_mut().beds.insert(patient, bed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_bed_is_read_back_as_it_was_written(
            place in "\\PC{0,40}", ended in proptest::option::of((0u64..1 << 50, "\\PC{0,20}", "\\PC{0,40}")),
        ) {
            let ended = ended.map(|(at_ms, by_name, reason)| MonitoringEnd { at_ms, by: PersonId([7; 32]), by_name, reason });
            let (patient, bed) = (PatientId([3; 16]), BedRecord { place, ended });
            prop_assert_eq!(read(&encode(patient, &bed)), Ok((patient, bed)));
        }
    }
}
