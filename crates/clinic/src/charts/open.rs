//! Opening a record: decided, traced, then read.

use super::thinning::thin;
use super::views::{AccessView, AlarmMark, AlarmSource, Chart, Gap, LimitsMark, Point, Series};
use crate::accounts::Session;
use crate::anchoring::EnvelopeRef;
use crate::clinic::Clinic;
use crate::consents::{AccessRequest, Allowed, each_once};
use crate::errors::{ClinicError, Denied};
use crate::monitoring::LiveEvent;
use crate::monitoring::views::{Tile, ValueNow};
use std::collections::BTreeMap;
use vault::store::GAPS_MAX;
use vault::{DurableAccess, Patient};
use vitals::PatientId;
use vitals::body::{AccessEntry, Body};
use vitals::envelope::Envelope;
use vitals::ids::{Class, Hash};
use vitals::ledger::Purpose;
use vitals::metric::Metric;

/// Longest span of one opening, milliseconds: 31 days.
pub const SPAN_MAX_MS: u64 = 31 * 86_400_000;

/// What a reader asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChartRequest {
    /// Whose record.
    pub patient: PatientId,
    /// Why.
    pub purpose: Purpose,
    /// Which classes, ascending.
    pub classes: Vec<Class>,
    /// From and until, milliseconds, inclusive.
    pub span_ms: (u64, u64),
    /// Make do with fewer classes if no consent covers all of them.
    pub make_do: bool,
}

/// What one reading of the record brought to light.
#[derive(Default)]
struct Opened {
    points: BTreeMap<Metric, Vec<Point>>,
    alarms: Vec<AlarmMark>,
    limits: Vec<LimitsMark>,
    envelopes: Vec<EnvelopeRef>,
    access: Vec<AccessView>,
    unreadable: u32,
}

impl Clinic {
    /// Opens a record: the decision, then the durable trace, then the data.
    ///
    /// # Errors
    /// [`ClinicError::Denied`] with the reason; then nothing was read. A failed write of the trace
    /// opens nothing either.
    pub fn open_chart(
        &self,
        session: &Session,
        request: &ChartRequest,
        now_ms: u64,
    ) -> Result<Chart, ClinicError> {
        self.require_reader(session, now_ms).map_err(|why| self.denied(why))?;
        let classes = each_once(&request.classes);
        let (from_ms, until_ms) = request.span_ms;
        if from_ms > until_ms || until_ms - from_ms > SPAN_MAX_MS {
            return Err(self.denied(Denied::Span { max_days: SPAN_MAX_MS / 86_400_000 }));
        }
        let patient = self.patient(request.patient).map_err(|why| self.denied(why))?;
        let reader = self.reader(session);
        let ask =
            AccessRequest { reader, patient: &patient, purpose: request.purpose, classes: &classes, from_ms };
        let allowed = if request.make_do {
            self.decide_most(&ask, now_ms)
        } else {
            self.decide(&ask, now_ms).map(|permit| Allowed { permit, classes: classes.clone() })
        };
        let allowed = allowed.map_err(|why| self.denied(why))?;
        let access =
            self.log_access(session, &patient, request.purpose, &allowed, request.span_ms, now_ms)?;
        let read = self.read(&patient, &access, request.span_ms)?;
        let written = access.written();
        self.stats.count(|counters| counters.charts_opened += 1);
        let mut now = self.tile_of(&patient, &allowed.classes, now_ms);
        fill_in(&mut now, &read);
        let gaps = self.gaps(&patient, &allowed.classes, request.span_ms);
        let series = read.points.into_iter().map(|(metric, points)| Series { metric, points: thin(points) });
        Ok(Chart {
            now,
            purpose: request.purpose,
            grant: allowed.permit.grant,
            classes: allowed.classes,
            span_ms: request.span_ms,
            series: series.collect(),
            alarms: read.alarms,
            limits: read.limits,
            gaps,
            envelopes: read.envelopes,
            unreadable: read.unreadable,
            trace: self.envelope_ref(written.hash, written.index),
        })
    }

    pub(crate) fn envelope(&self, index: u64) -> Result<Option<Envelope>, ClinicError> {
        let bytes = self.store().read_index(index)?;
        Ok(bytes.and_then(|bytes| Envelope::decode(&bytes).ok()))
    }

    pub(crate) fn access_view(&self, entry: AccessEntry, hash: Hash, index: u64) -> AccessView {
        AccessView {
            at_ms: entry.at_ms,
            person: entry.looked(),
            reader: entry.reader_name,
            session: entry.session,
            purpose: entry.purpose,
            grant: entry.grant,
            classes: entry.classes,
            span_ms: entry.span_ms,
            envelope: self.envelope_ref(hash, index),
        }
    }

    /// Leaves the trace and tells the patient's page of it.
    pub(super) fn log_access(
        &self,
        session: &Session,
        patient: &Patient,
        purpose: Purpose,
        allowed: &Allowed,
        span_ms: (u64, u64),
        now_ms: u64,
    ) -> Result<DurableAccess, ClinicError> {
        let entry = self.entry(session, purpose, allowed, span_ms, now_ms);
        let access = self.vault().log_access(self.store(), self.ledger(), patient.id, entry, now_ms)?;
        self.stats.authored(1);
        self.publish(LiveEvent::Access { patient: patient.id });
        Ok(access)
    }

    fn read(
        &self,
        patient: &Patient,
        access: &DurableAccess,
        span_ms: (u64, u64),
    ) -> Result<Opened, ClinicError> {
        let released = self.vault().release(access);
        let mut read = Opened::default();
        for record in self.vault().streams_of(patient.id) {
            if !access.entry().classes.contains(&record.class) {
                continue;
            }
            let source =
                if record.author == self.vault().author() { AlarmSource::Node } else { AlarmSource::Bedside };
            for found in self.store().scan(record.stream, span_ms.0, span_ms.1) {
                let (located, bytes) = found?;
                let opened = Envelope::decode(&bytes).ok().and_then(|envelope| {
                    let body = released.open(&envelope).ok()?;
                    Some((envelope.hash(), body))
                });
                match opened {
                    Some((hash, body)) => {
                        self.sort_in(
                            &mut read,
                            body,
                            self.envelope_ref(hash, located.index),
                            source,
                            span_ms,
                        );
                    }
                    None => read.unreadable += 1,
                }
            }
        }
        read.points.values_mut().for_each(|points| points.sort_by_key(|point| point.at_ms));
        read.alarms.sort_by_key(|mark| mark.event.at_ms);
        read.limits.sort_by_key(|mark| mark.change.at_ms);
        Ok(read)
    }

    fn sort_in(
        &self,
        read: &mut Opened,
        body: Body,
        envelope: EnvelopeRef,
        source: AlarmSource,
        span_ms: (u64, u64),
    ) {
        let within = |at_ms: u64| at_ms >= span_ms.0 && at_ms <= span_ms.1;
        match body {
            Body::Readings(readings) => {
                let at = u32::try_from(read.envelopes.len()).unwrap_or(u32::MAX);
                read.envelopes.push(envelope);
                for reading in readings.into_iter().filter(|reading| within(reading.at_ms)) {
                    let point = Point { at_ms: reading.at_ms, sample: reading.sample, envelope: at };
                    read.points.entry(reading.metric).or_default().push(point);
                }
            }
            Body::Alarms(events) => {
                for event in events.into_iter().filter(|event| within(event.at_ms)) {
                    let by = self.vault().account_of(event.by).map(|account| account.name);
                    read.alarms.push(AlarmMark { event, source, by, envelope });
                }
            }
            Body::Access(entry) => {
                let view = self.access_view(entry, envelope.hash, envelope.index);
                read.access.push(view);
            }
            Body::Limits(change) => {
                let by = self.vault().account_of(change.by).map(|account| account.name);
                read.limits.push(LimitsMark { change, by, envelope });
            }
            Body::Profile(_) | Body::Dismissal(_) | Body::Command(_) | Body::Confirmations(_) => {}
        }
    }

    fn gaps(&self, patient: &Patient, classes: &[Class], span_ms: (u64, u64)) -> Vec<Gap> {
        let mut gaps = Vec::new();
        for record in self.vault().streams_of(patient.id) {
            if !classes.contains(&record.class) {
                continue;
            }
            for (first, last) in self.store().gaps(record.stream, GAPS_MAX) {
                let before = first.checked_sub(1).and_then(|seq| self.store().locate(record.stream, seq));
                let after = self.store().locate(record.stream, last + 1);
                let gap = Gap {
                    class: record.class,
                    from_seq: first,
                    until_seq: last + 1,
                    from_ms: before.map_or(0, |located| located.last_ms),
                    until_ms: after.map_or(u64::MAX, |located| located.first_ms),
                };
                if gap.from_ms <= span_ms.1 && gap.until_ms >= span_ms.0 {
                    gaps.push(gap);
                }
            }
        }
        gaps
    }
}

/// Without monitoring nothing is in memory: the newest values of the chart itself are shown.
fn fill_in(tile: &mut Tile, read: &Opened) {
    for (metric, points) in &read.points {
        if let (None, Some(last)) = (tile.value(*metric), points.last())
            && let Some(envelope) = read.envelopes.get(last.envelope as usize)
        {
            let value = ValueNow {
                metric: *metric,
                sample: last.sample,
                at_ms: last.at_ms,
                here_ms: last.at_ms,
                envelope: *envelope,
            };
            tile.values.push(value);
            tile.technical.last_ms = tile.technical.last_ms.max(Some(last.at_ms));
        }
    }
    tile.values.sort_by_key(|value| value.metric);
}
