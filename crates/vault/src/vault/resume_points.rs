//! From where on a bed's alarms are read back after a restart: places in the record, and nothing of what stands there.
//! A point is worth what it saves: without one, or with an older one, more is read and the same is found.

use crate::error::VaultError;
use crate::sealed_tables::Table;
use crate::vault::Vault;
use vitals::PatientId;
use vitals::cbor::{NotCanonical, Reader, Writer};
use vitals::ids::Hash;

const VERSION: u64 = 1;
/// Most places that a point names.
pub const KEPT_LEN_MAX: usize = 4_096;

/// Everything that a bed's alarms, limits and orders follow from stands at the places `kept`, or in the log from leaf
/// `size` on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumePoint {
    /// Leaves of the log before the point.
    pub size: u64,
    /// The log's root then: a log with another one is not the log of this point.
    pub root: Hash,
    /// Leaves before it that still matter, each with a place in the body of its envelope: ascending, each once, at
    /// most [`KEPT_LEN_MAX`].
    pub kept: Vec<(u64, u64)>,
}

fn encode(point: &ResumePoint) -> Vec<u8> {
    let mut w = Writer::new();
    w.array(4).uint(VERSION).uint(point.size).bytes(&point.root).array(2 * point.kept.len());
    let mut before = 0;
    for (index, place) in &point.kept {
        w.uint(index - before).uint(*place);
        before = *index;
    }
    w.finish()
}

fn read(row: &[u8]) -> Result<ResumePoint, NotCanonical> {
    let mut r = Reader::new(row);
    r.array(4)?;
    r.exactly(VERSION)?;
    let (size, root) = (r.uint()?, r.fixed()?);
    let numbers = usize::try_from(r.any_array()?).map_err(|_| NotCanonical::Unexpected)?;
    if numbers % 2 != 0 || numbers / 2 > KEPT_LEN_MAX {
        return Err(NotCanonical::Unexpected);
    }
    let mut kept: Vec<(u64, u64)> = Vec::with_capacity(numbers / 2);
    for _ in 0..numbers / 2 {
        let before = kept.last().map_or(0, |(index, _)| *index);
        let index = before.checked_add(r.uint()?).ok_or(NotCanonical::Unexpected)?;
        kept.push((index, r.uint()?));
    }
    r.end()?;
    let point = ResumePoint { size, root, kept };
    if point.is_in_order() { Ok(point) } else { Err(NotCanonical::Unexpected) }
}

impl ResumePoint {
    fn is_in_order(&self) -> bool {
        let ascending = self.kept.is_sorted_by(|one, next| one < next);
        ascending && self.kept.last().is_none_or(|(index, _)| *index < self.size)
    }
}

impl Vault {
    /// Keeps a patient's resume point, in place of any before.
    ///
    /// # Errors
    /// [`VaultError::Unfit`] for places that are too many, not in order or not before the point;
    /// [`VaultError::NoPatient`], [`VaultError::Database`].
    pub fn put_resume_point(&self, patient: PatientId, point: &ResumePoint) -> Result<(), VaultError> {
        self.known_patient(patient)?;
        if point.kept.len() > KEPT_LEN_MAX || !point.is_in_order() {
            return Err(VaultError::Unfit("a resume point names few places, in order and before it"));
        }
        let _changing = self.changing();
        self.tables.put(&[(Table::ResumePoints, &patient.0, &encode(point))])
    }

    /// A patient's resume point, if one was kept.
    ///
    /// # Errors
    /// [`VaultError::Damaged`], [`VaultError::Database`].
    pub fn resume_point(&self, patient: PatientId) -> Result<Option<ResumePoint>, VaultError> {
        let row = self.tables.get(Table::ResumePoints, &patient.0)?;
        let damaged = |_| VaultError::Damaged("a resume point is not readable".into());
        row.map(|row| read(&row).map_err(damaged)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_resume_point_is_read_back_as_it_was_written(
            size in 5_000u64..1 << 40, kept in proptest::collection::btree_set((0u64..5_000, 0u64..70), 0..80),
        ) {
            let point = ResumePoint { size, root: [9; 32], kept: kept.into_iter().collect() };
            prop_assert_eq!(read(&encode(&point)), Ok(point));
        }
    }

    #[test]
    fn places_out_of_order_or_behind_the_point_are_not_read() {
        let of = |kept: Vec<(u64, u64)>| ResumePoint { size: 10, root: [9; 32], kept };
        assert!(read(&encode(&of(vec![(3, 0), (3, 1), (9, 0)]))).is_ok());
        for kept in [vec![(3, 1), (3, 1)], vec![(3, 1), (3, 0)], vec![(10, 0)]] {
            assert_eq!(read(&encode(&of(kept))), Err(NotCanonical::Unexpected));
        }
        let many = (0..=KEPT_LEN_MAX as u64).map(|index| (index, 0)).collect();
        assert_eq!(
            read(&encode(&ResumePoint { size: u64::MAX, root: [9; 32], kept: many })),
            Err(NotCanonical::Unexpected)
        );
    }
}
