//! What a bed has to know before it is watched, from the record: profile, limits, the last two hours,
//! and after a restart the alarms that were open. Read and opened without a lock.

use super::alarms::{Recorded, Source};
use super::clocks::Heard;
use super::monitored_patient::MonitoredPatient;
use super::recent::{RECENT_MS, Recent};
use crate::clinic::Clinic;
use vault::{MonitoringLease, Patient};
use vitals::DeviceId;
use vitals::body::{Body, LimitsChange, Profile};
use vitals::command::{Confirmation, SignedCommand};
use vitals::envelope::{Envelope, TIME_MAX_MS};
use vitals::ids::{Class, Hash, StreamId};
use vitals::metric::Reading;

/// Newest envelopes of a bedside's alarms that are read back after a restart.
const ALARMS_READ_BACK_MAX: u64 = 4_096;

/// What was read back for one bed.
#[derive(Default)]
pub(super) struct ReadBack {
    readings: Vec<(DeviceId, Vec<Reading>, Hash, u64)>,
    /// Changes of limits, each with the name of the person who made it.
    limits: Vec<(LimitsChange, String)>,
    profile: Option<Profile>,
    /// With their place in the log, which is the order in which they count.
    alarms: Vec<(u64, Recorded)>,
    /// Orders to the bedsides, and their confirmations.
    orders: Vec<SignedCommand>,
    confirmations: Vec<(DeviceId, Vec<Confirmation>)>,
}

impl Clinic {
    /// Reads what the lease lets us read. Alarms only if they were not `restored` before.
    pub(super) fn read_back(
        &self,
        patient: &Patient,
        lease: &MonitoringLease,
        restored: bool,
        now_ms: u64,
    ) -> ReadBack {
        let mut read = ReadBack::default();
        for record in self.vault().streams_of(patient.id) {
            if !lease.entry().classes.contains(&record.class) {
                continue;
            }
            let own = record.author == self.vault().author();
            let from_ms = match record.class {
                Class::Vitals | Class::Environment => now_ms.saturating_sub(RECENT_MS),
                Class::Profile | Class::Alarms if own => 0,
                Class::Alarms if !restored => {
                    let said = self.read_back_bedside(record.stream, lease, &mut read.alarms, now_ms);
                    read.confirmations.push((record.author, said));
                    continue;
                }
                _ => continue,
            };
            for found in self.store().scan(record.stream, from_ms, TIME_MAX_MS) {
                let Ok((located, bytes)) = found else { continue };
                let Ok(envelope) = Envelope::decode(&bytes) else { continue };
                match self.vault().open_monitored(lease, &envelope, now_ms) {
                    Ok(Body::Readings(readings)) => {
                        read.readings.push((record.author, readings, envelope.hash(), located.index));
                    }
                    Ok(Body::Alarms(events)) if !restored => {
                        let name = |by| self.vault().account_of(by).map(|account| account.name);
                        read.alarms.extend(events.into_iter().map(|event| {
                            (located.index, Recorded { event, bedside: None, name: name(event.by) })
                        }));
                    }
                    Ok(Body::Command(signed)) if !restored => read.orders.push(signed),
                    Ok(Body::Profile(profile)) => read.profile = Some(profile),
                    Ok(Body::Limits(change)) => {
                        let account = self.vault().account_of(change.by);
                        let name = account.map_or_else(String::new, |account| account.name);
                        read.limits.push((change, name));
                    }
                    _ => {}
                }
            }
        }
        read.alarms.sort_by_key(|(index, _)| *index);
        if let Some(profile) = &read.profile
            && let Err(why) = self.vault().put_bed_place(patient.id, &profile.bed)
        {
            tracing::warn!(reason = %why, "The place of a bed could not be kept");
        }
        read
    }

    /// The newest alarm events of a bedside. By number, not by time: its clock may be wrong.
    fn read_back_bedside(
        &self,
        stream: StreamId,
        lease: &MonitoringLease,
        alarms: &mut Vec<(u64, Recorded)>,
        now_ms: u64,
    ) -> Vec<Confirmation> {
        let mut said = Vec::new();
        let Some(head) = self.store().head(stream) else { return said };
        for seq in head.last_seq.saturating_sub(ALARMS_READ_BACK_MAX)..=head.last_seq {
            let Some(located) = self.store().locate(stream, seq) else { continue };
            let Ok(Some(bytes)) = self.store().read(stream, seq) else { continue };
            let Ok(envelope) = Envelope::decode(&bytes) else { continue };
            match self.vault().open_monitored(lease, &envelope, now_ms) {
                Ok(Body::Alarms(events)) => {
                    let bedside = Some(Source::of(&envelope.header));
                    let recorded = |event| Recorded { event, bedside, name: None };
                    alarms.extend(events.into_iter().map(|event| (located.index, recorded(event))));
                }
                Ok(Body::Confirmations(confirmations)) => said.extend(confirmations),
                _ => {}
            }
        }
        said
    }
}

impl MonitoredPatient {
    /// Watching begins with what was read back. Pure.
    pub(super) fn begun(&mut self, read: ReadBack, now_ms: u64) {
        let ReadBack { readings, limits, profile, alarms, orders, confirmations } = read;
        self.recent = Recent::default();
        for (author, mut readings, hash, index) in readings {
            // As far as the author's clock is known, its times are the node's.
            let heard = Heard { live: false, offset_ms: self.known_offset_ms(author) };
            // A clock that ran ahead must not hide what comes now.
            readings.retain(|reading| reading.at_ms.saturating_add_signed(heard.offset_ms) <= now_ms);
            self.recent.add(&readings, hash, index, heard, now_ms);
        }
        if let Some(profile) = profile {
            (self.name, self.place) = (profile.name, profile.bed);
        }
        limits.iter().for_each(|(change, name)| self.alarms.change_limits(change, name));
        if !self.restored {
            self.orders_read_back(orders, confirmations, now_ms);
        }
        if !core::mem::replace(&mut self.restored, true) {
            let alarms: Vec<Recorded> = alarms.into_iter().map(|(_, recorded)| recorded).collect();
            self.alarms.replay(&alarms, |metric| self.recent.sample(metric), now_ms);
        }
        self.ended = None;
        self.alarms.watched(true, now_ms);
    }

    /// Monitoring has stopped: recent values are dropped, and open alarms are held.
    pub(super) fn stopped(&mut self) {
        self.recent = Recent::default();
        self.alarms.watched(false, 0);
    }
}
