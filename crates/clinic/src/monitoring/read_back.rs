//! What a bed has to know before it is watched, from the record: profile, limits, the last two hours,
//! and after a restart the alarms that were open. Read and opened without a lock. What is read is bounded, however
//! long the record is: see [`super::resume_points`].

use super::alarm_record::{AlarmRecord, RecordItem, Said, Sorted};
use super::alarms::{Recorded, Source};
use super::clocks::Heard;
use super::leases::Remembered;
use super::monitored_patient::MonitoredPatient;
use super::recent::{RECENT_MS, Recent};
use crate::clinic::Clinic;
use std::collections::{BTreeMap, BTreeSet};
use vault::{MonitoringLease, OpenError, Patient, ResumePoint, StoreError};
use vitals::DeviceId;
use vitals::body::{Body, Profile};
use vitals::envelope::{Envelope, TIME_MAX_MS};
use vitals::ids::{Class, Hash, StreamId};
use vitals::metric::Reading;

/// Newest envelopes of a bedside's alarms that are read back after a restart, besides those of the resume point.
const ALARMS_READ_BACK_MAX: u64 = 4_096;

/// What was read back for one bed.
#[derive(Default)]
pub(super) struct ReadBack {
    readings: Vec<(DeviceId, Vec<Reading>, Hash, u64)>,
    profile: Option<Profile>,
    alarms: AlarmRecord,
    /// Nothing is missing in `alarms`.
    alarms_known: bool,
}

/// What was read of a bed's alarms.
pub(super) struct AlarmsRead {
    pub(super) record: AlarmRecord,
    /// All there is was read. What can never be opened does not count.
    pub(super) complete: bool,
    /// How many envelopes that was.
    pub(super) envelopes: u64,
}

impl Clinic {
    /// Reads what the lease lets us read and the bed does not remember.
    pub(super) fn read_back(
        &self,
        patient: &Patient,
        lease: &MonitoringLease,
        remembered: Remembered,
        now_ms: u64,
    ) -> ReadBack {
        let (mut read, mut envelopes) = (ReadBack::default(), 0);
        for record in self.vault().streams_of(patient.id) {
            if !lease.entry().classes.contains(&record.class) {
                continue;
            }
            match record.class {
                Class::Vitals | Class::Environment => {
                    let from_ms = now_ms.saturating_sub(RECENT_MS);
                    for (located, bytes) in self.store().scan(record.stream, from_ms, TIME_MAX_MS).flatten() {
                        envelopes += 1;
                        let Ok(envelope) = Envelope::decode(&bytes) else { continue };
                        if let Ok(Body::Readings(readings)) =
                            self.vault().open_monitored(lease, &envelope, now_ms)
                        {
                            read.readings.push((record.author, readings, envelope.hash(), located.index));
                        }
                    }
                }
                Class::Profile if record.author == self.vault().author() => {
                    read.profile = self.newest_profile(record.stream, lease, now_ms);
                }
                _ => {}
            }
        }
        if lease.entry().classes.contains(&Class::Alarms) && !(remembered.alarms && remembered.limits) {
            let point = self.resume_point(patient);
            let AlarmsRead { record, complete, envelopes: of_alarms } =
                self.read_alarms(patient, lease, point.as_ref(), now_ms);
            (read.alarms, read.alarms_known) = (record, complete);
            envelopes += of_alarms;
        }
        self.monitoring.count_read_back(envelopes);
        tracing::debug!(envelopes, "Read back {envelopes} envelopes for a bed");
        if let Some(profile) = &read.profile
            && let Err(why) = self.vault().put_bed_place(patient.id, &profile.bed)
        {
            tracing::warn!(reason = %why, "The place of a bed could not be kept");
        }
        read
    }

    /// The newest profile that opens.
    fn newest_profile(&self, stream: StreamId, lease: &MonitoringLease, now_ms: u64) -> Option<Profile> {
        let last_seq = self.store().head(stream)?.last_seq;
        (0..=last_seq).rev().find_map(|seq| {
            let bytes = self.store().read(stream, seq).ok()??;
            match self.vault().open_monitored(lease, &Envelope::decode(&bytes).ok()?, now_ms) {
                Ok(Body::Profile(profile)) => Some(profile),
                _ => None,
            }
        })
    }

    /// From where on the alarms of a bed are to be read, if that is known and of this record.
    pub(super) fn resume_point(&self, patient: &Patient) -> Option<ResumePoint> {
        let point = match self.vault().resume_point(patient.id) {
            Ok(point) => point?,
            Err(why) => {
                tracing::warn!(reason = %why, "From where on a bed's alarms count is not readable: all are read");
                return None;
            }
        };
        let is_of_this_record =
            point.size <= self.store().size() && self.store().root_at(point.size) == Some(point.root);
        if !is_of_this_record {
            tracing::warn!("From where on a bed's alarms count was noted for another record: all are read");
        }
        is_of_this_record.then_some(point)
    }

    /// What the record says of a bed's alarms from the point on, and what of earlier times the point names; without
    /// one all of it, but of each bedside the newest only.
    pub(super) fn read_alarms(
        &self,
        patient: &Patient,
        lease: &MonitoringLease,
        point: Option<&ResumePoint>,
        now_ms: u64,
    ) -> AlarmsRead {
        let (mut items, mut complete, mut envelopes) = (Vec::new(), true, 0);
        let mut take =
            |index: u64, bytes: Result<Option<Vec<u8>>, StoreError>, places: Option<&BTreeSet<u64>>| {
                envelopes += 1;
                let Ok(Some(bytes)) = bytes else {
                    complete = false;
                    return;
                };
                let Ok(envelope) = Envelope::decode(&bytes) else { return };
                match self.vault().open_monitored(lease, &envelope, now_ms) {
                    Ok(body) => {
                        let said = self.said(&envelope, body);
                        let wanted =
                            said.into_iter().filter(|(place, _)| places.is_none_or(|it| it.contains(place)));
                        let (author, seq) = (envelope.header.author, envelope.header.seq);
                        items.extend(wanted.map(|(place, said)| RecordItem {
                            at: (index, place),
                            author,
                            seq,
                            said,
                        }));
                    }
                    Err(
                        OpenError::NotCovered(_)
                        | OpenError::LeaseEnded
                        | OpenError::NoStream
                        | OpenError::Vault(_),
                    ) => complete = false,
                    // That does not change any more.
                    Err(_) => {}
                }
            };
        let mut kept: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        for (index, place) in point.iter().flat_map(|point| &point.kept) {
            kept.entry(*index).or_default().insert(*place);
        }
        for (index, places) in &kept {
            take(*index, self.store().read_index(*index), Some(places));
        }
        let first = point.map_or(0, |point| point.size);
        for record in self.vault().streams_of(patient.id) {
            if record.class != Class::Alarms {
                continue;
            }
            // By number, not by time: the clock of a bedside may be wrong.
            let last_seq = self.store().head(record.stream).map_or(0, |head| head.last_seq);
            let own = record.author == self.vault().author();
            let from_seq = if own { 0 } else { last_seq.saturating_sub(ALARMS_READ_BACK_MAX) };
            for located in self.store().find_since(record.stream, first) {
                if located.seq >= from_seq {
                    take(located.index, self.store().read_index(located.index), None);
                }
            }
        }
        AlarmsRead { record: AlarmRecord::of(items), complete, envelopes }
    }

    /// What is said in an envelope of a stream of alarms, each with its place in the body.
    fn said(&self, envelope: &Envelope, body: Body) -> Vec<(u64, Said)> {
        let own = envelope.header.author == self.vault().author();
        let bedside = (!own).then(|| Source::of(&envelope.header));
        let name = |by| self.vault().account_of(by).map(|account| account.name);
        let said: Vec<Said> = match body {
            Body::Alarms(events) => events
                .into_iter()
                .map(|event| {
                    let name = if own { name(event.by) } else { None };
                    Said::Event(Recorded { event, bedside, name })
                })
                .collect(),
            Body::Confirmations(words) if !own => words.into_iter().map(Said::Confirmation).collect(),
            Body::Command(signed) if own => vec![Said::Order(signed)],
            Body::Limits(change) if own => {
                let name = name(change.by).unwrap_or_default();
                vec![Said::Limits(change, name)]
            }
            _ => Vec::new(),
        };
        (0..).zip(said).collect()
    }
}

impl MonitoredPatient {
    /// Watching begins with what was read back. Pure.
    pub(super) fn begun(&mut self, read: ReadBack, now_ms: u64) {
        let ReadBack { readings, profile, alarms, alarms_known } = read;
        let Sorted { events, limits, orders, confirmations } = alarms.sorted();
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
        self.remembered.limits |= alarms_known;
        if !self.remembered.alarms {
            self.orders_read_back(orders, confirmations, now_ms);
        }
        if !core::mem::replace(&mut self.remembered.alarms, true) {
            self.alarms.replay(&events, |metric| self.recent.sample(metric), now_ms);
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
