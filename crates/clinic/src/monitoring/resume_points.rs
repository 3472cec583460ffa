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
use vitals::ids::{Class, StreamId};

/// A point is moved on when so many envelopes of the bed's alarms stand behind it.
const MOVED_AFTER: u64 = 256;
/// How often that is looked at, for each bed.
const LOOK_MS: u64 = 60_000;
/// After a point could not be made.
const LOOK_AGAIN_MS: u64 = 3_600_000;

impl Clinic {
    /// Moves on the resume point of one bed that is due. Waits for the disk.
    pub(super) fn move_a_resume_point(&self, now_ms: u64) {
        let log_size = self.store().size();
        let due = self.monitoring.of_all(|patient, bed| {
            let is_due = bed.is_watched() && bed.resume_look.is_due(now_ms, log_size);
            is_due.then_some((bed.resume_look, patient))
        });
        let Some((look, patient)) = due.into_iter().min() else { return };
        let alarms = self.alarms_len_of(patient);
        let looked_at = |move_at: u64| {
            // Whatever comes, the log has so many more when the alarms do.
            let log_size = log_size + move_at.saturating_sub(alarms);
            ResumeLook { at_ms: now_ms, wait_ms: LOOK_MS, log_size, move_at: Some(move_at) }
        };
        let next = match look.move_at.map_or_else(|| self.move_at(patient), Some) {
            Some(move_at) if alarms < move_at => looked_at(move_at),
            Some(_) => match self.move_resume_point_of(patient, now_ms) {
                Ok(true) => looked_at(alarms + MOVED_AFTER),
                Ok(false) => ResumeLook { at_ms: now_ms, wait_ms: LOOK_AGAIN_MS, ..look },
                Err(why) => {
                    tracing::warn!(reason = %why, "From where on a bed's alarms count could not be kept: a start takes longer");
                    ResumeLook { at_ms: now_ms, wait_ms: LOOK_AGAIN_MS, ..look }
                }
            },
            None => ResumeLook { at_ms: now_ms, wait_ms: LOOK_AGAIN_MS, ..look },
        };
        self.monitoring.of(patient, |bed| bed.resume_look = next);
    }

    fn alarm_streams_of(&self, id: PatientId) -> impl Iterator<Item = StreamId> {
        let streams = self.vault().streams_of(id).into_iter();
        streams.filter(|record| record.class == Class::Alarms).map(|record| record.stream)
    }

    /// Envelopes of a bed's alarms.
    fn alarms_len_of(&self, id: PatientId) -> u64 {
        self.alarm_streams_of(id).map(|stream| self.store().len_of(stream)).sum()
    }

    /// With how many envelopes of its alarms the point of a bed is to be moved on, by the point that is kept.
    fn move_at(&self, id: PatientId) -> Option<u64> {
        let point = self.resume_point(&self.vault().patient(id)?).map_or(0, |point| point.size);
        let before = |stream: StreamId| {
            self.store().len_of(stream).saturating_sub(self.store().find_since(stream, point).len() as u64)
        };
        Some(self.alarm_streams_of(id).map(before).sum::<u64>() + MOVED_AFTER)
    }

    /// False if no point can be made of what can be read, or nothing of the alarms may be.
    fn move_resume_point_of(&self, id: PatientId, now_ms: u64) -> Result<bool, VaultError> {
        let lease = self.monitoring.of(id, |bed| bed.lease(now_ms)).flatten();
        let lease = lease.filter(|lease| lease.entry().classes.contains(&Class::Alarms));
        let (Some(lease), Some(patient)) = (lease, self.vault().patient(id)) else { return Ok(false) };
        let point = self.resume_point(&patient);
        // Before anything is read: what comes meanwhile stands behind it.
        let (size, root) = self.store().log_head();
        let AlarmsRead { record, complete, .. } = self.read_alarms(&patient, &lease, point.as_ref(), now_ms);
        let kept = record.before(size).fewest(now_ms);
        if !complete || kept.len() > KEPT_LEN_MAX {
            return Ok(false);
        }
        tracing::debug!(log.size = size, kept = kept.len(), "A start reads a bed's alarms from here on");
        self.vault().put_resume_point(id, &ResumePoint { size, root, kept })?;
        Ok(true)
    }
}
