//! Resume points: what of a bed's record matters still, so that a start does not read the alarms of all years.
//!
//! A point is made from the record alone, never from what the engine holds: of what a start would read now, the fewest
//! places that leave it in the same state, and the length of the log up to which that is so. What comes later stands
//! behind that length and is read. So any point of this log is enough, however old, and losing it costs time only.

use super::deadlines::ResumeLook;
use super::read_back::AlarmsRead;
use crate::clinic::Clinic;
use vault::{KEPT_LEN_MAX, ResumePoint, VaultError};
use vitals::PatientId;
use vitals::ids::Class;

/// A point is moved on when so many envelopes of the bed's alarms stand behind it.
const MOVED_AFTER: usize = 256;
/// How often that is looked at, for each bed.
const LOOK_MS: u64 = 60_000;
/// After a point could not be made.
const LOOK_AGAIN_MS: u64 = 3_600_000;

impl Clinic {
    /// Moves on the resume point of one bed that is due. Waits for the disk.
    pub(super) fn move_a_resume_point(&self, now_ms: u64) {
        let due = self.monitoring.of_all(|patient, bed| {
            let is_due = bed.is_watched() && bed.resume_look.is_due(now_ms);
            is_due.then_some((bed.resume_look, patient))
        });
        let Some((look, patient)) = due.into_iter().min() else { return };
        let (from, wait_ms) = match self.move_resume_point_of(patient, look.from, now_ms) {
            Ok(Some(from)) => (Some(from), LOOK_MS),
            Ok(None) => (look.from, LOOK_AGAIN_MS),
            Err(why) => {
                tracing::warn!(reason = %why, "From where on a bed's alarms count could not be kept: a start takes longer");
                (look.from, LOOK_AGAIN_MS)
            }
        };
        self.monitoring.of(patient, |bed| bed.resume_look = ResumeLook { at_ms: now_ms, wait_ms, from });
    }

    /// Gives the leaf from which on a start reads now; none if no point can be made of what can be read, or nothing of
    /// the alarms may be.
    fn move_resume_point_of(
        &self,
        id: PatientId,
        from: Option<u64>,
        now_ms: u64,
    ) -> Result<Option<u64>, VaultError> {
        let lease = self.monitoring.of(id, |bed| bed.lease(now_ms)).flatten();
        let lease = lease.filter(|lease| lease.entry().classes.contains(&Class::Alarms));
        let (Some(lease), Some(patient)) = (lease, self.vault().patient(id)) else { return Ok(None) };
        let held = || self.resume_point(&patient).map_or(0, |point| point.size);
        let from = from.unwrap_or_else(held);
        let streams = self.vault().streams_of(id).into_iter().filter(|record| record.class == Class::Alarms);
        let behind: usize = streams.map(|record| self.store().find_since(record.stream, from).len()).sum();
        if behind < MOVED_AFTER {
            return Ok(Some(from));
        }
        let point = self.resume_point(&patient);
        // Before anything is read: what comes meanwhile stands behind it.
        let (size, root) = self.store().log_head();
        let AlarmsRead { record, complete, .. } = self.read_alarms(&patient, &lease, point.as_ref(), now_ms);
        let kept = record.before(size).fewest(now_ms);
        if !complete || kept.len() > KEPT_LEN_MAX {
            return Ok(None);
        }
        tracing::debug!(log.size = size, kept = kept.len(), "A start reads a bed's alarms from here on");
        self.vault().put_resume_point(id, &ResumePoint { size, root, kept })?;
        Ok(Some(size))
    }
}
