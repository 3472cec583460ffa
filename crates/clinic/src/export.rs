//! The export bundle, which can be checked without trust in any node: sealed envelopes with everything needed to
//! check them offline. Nothing is opened for it, so it leaves no access entry; it goes to the patient whose
//! record it is, and to the administrator.

use crate::accounts::Session;
use crate::charts::OWN;
use crate::clinic::Clinic;
use crate::consents::AccessRequest;
use crate::errors::{ClinicError, Denied};
use std::collections::{BTreeMap, BTreeSet};
use vault::StreamRecord;
use vitals::bundle::{BundleWriter, Counts, DEVICES_PER_PROOF_MAX, Opening, SegmentWriter};
use vitals::ids::StreamId;
use vitals::ledger::{Anchor, Fact, LedgerError, Purpose, Role};
use vitals::proof::header::BlockHeader;
use vitals::{DeviceId, PatientId};

/// What a bundle holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Every anchored envelope of the organisation.
    Everything,
    /// One patient's.
    Patient(PatientId),
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    /// Envelopes in the bundle.
    pub envelopes: u64,
    /// Envelopes of the scope that no final anchor covers yet: not in the bundle.
    pub not_anchored: u64,
    /// Leaves of the anchored log head the bundle stands on.
    pub size: u64,
    /// Height of the block it was proven at.
    pub height: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A bundle may take minutes: who asked for it is decided upon again after this many envelopes.
const DECIDE_EVERY: u64 = 256;

/// Takes the next bytes of a bundle.
pub(crate) type Sink<'a> = &'a mut dyn FnMut(&[u8]) -> std::io::Result<()>;

impl Clinic {
    /// Writes a bundle of everything in the scope that is anchored and final.
    ///
    /// # Errors
    /// [`ClinicError::Denied`]; [`ClinicError::Ledger`] while nothing is final or no certificate is
    /// at hand (try again); [`ClinicError::Wrong`] if the sink does not take it.
    pub fn export(
        &self,
        session: &Session,
        scope: Scope,
        now_ms: u64,
        sink: Sink<'_>,
    ) -> Result<Exported, ClinicError> {
        self.may_export(session, scope, now_ms).map_err(|why| self.denied(why))?;
        let streams = self.streams_in(scope);
        let (height, anchor) = self.ground(&streams)?;
        let devices = self.devices_of(&streams)?;
        let mut counted = Exported { envelopes: 0, not_anchored: 0, size: anchor.size, height, bytes: 0 };
        for record in &streams {
            for located in self.store().find(record.stream, 0, u64::MAX) {
                if located.index < anchor.size { counted.envelopes += 1 } else { counted.not_anchored += 1 }
            }
        }
        let openings = self.openings(&streams);
        let counts = Counts {
            proofs: devices.len().div_ceil(DEVICES_PER_PROOF_MAX).max(1) as u64,
            openings: openings.len() as u64,
            envelopes: counted.envelopes,
        };
        let document = self.vault().genesis_document().unwrap_or_default();
        let mut writer = BundleWriter::segmented(&document, self.org(), counts);
        let mut pour = |writer: &mut BundleWriter| {
            let bytes = writer.take();
            counted.bytes += bytes.len() as u64;
            sink(&bytes).map_err(|why| ClinicError::Wrong(format!("the bundle could not be written: {why}")))
        };
        self.write_proofs(&mut writer, &devices, anchor)?;
        for opening in &openings {
            writer.opening(opening).map_err(mistaken)?;
        }
        pour(&mut writer)?;
        let mut undecided = DECIDE_EVERY;
        // Right before a segment leaves: the record is read meanwhile, and the reader may have been suspended.
        let mut decide = |envelopes: u64| {
            if undecided >= DECIDE_EVERY {
                self.may_export(session, scope, now_ms).map_err(|why| self.denied(why))?;
                undecided = 0;
            }
            undecided += envelopes;
            Ok::<_, ClinicError>(())
        };
        for record in &streams {
            // A stolen key vouches for nothing from before: what it is trusted for ends a segment.
            let trusted_until = self.trusted_until(record.author);
            let mut open: Option<(SegmentWriter, u64)> = None;
            for located in self.store().find(record.stream, 0, u64::MAX) {
                if located.index >= anchor.size {
                    continue;
                }
                let envelope = self.envelope(located.index)?.ok_or_else(|| missing(located.index))?;
                let apart = located.seq.checked_sub(1).is_some_and(|before| trusted_until == Some(before));
                let taken = !apart && open.as_mut().is_some_and(|(segment, _)| segment.push(&envelope));
                match &mut open {
                    Some((_, last)) if taken => *last = located.index,
                    _ => {
                        if let Some(done) = open.replace((SegmentWriter::of(&envelope), located.index)) {
                            decide(done.0.len())?;
                            self.write_segment(&mut writer, &done, anchor.size)?;
                            pour(&mut writer)?;
                        }
                    }
                }
            }
            if let Some(done) = open {
                decide(done.0.len())?;
                self.write_segment(&mut writer, &done, anchor.size)?;
                pour(&mut writer)?;
            }
        }
        let rest = writer.finish().map_err(mistaken)?;
        counted.bytes += rest.len() as u64;
        sink(&rest).map_err(|why| ClinicError::Wrong(format!("the bundle could not be written: {why}")))?;
        Ok(counted)
    }

    fn may_export(&self, session: &Session, scope: Scope, now_ms: u64) -> Result<(), Denied> {
        self.require(session, &[Role::Administrator, Role::Patient], now_ms)?;
        match (session.role, scope) {
            (Role::Administrator, Scope::Everything) => Ok(()),
            (Role::Administrator, Scope::Patient(patient)) => self.patient(patient).map(drop),
            (_, Scope::Patient(patient)) if session.patient == Some(patient) => {
                let (reader, patient) = (self.reader(session), &self.patient(patient)?);
                let ask = AccessRequest { reader, patient, purpose: Purpose::Own, classes: &OWN, from_ms: 0 };
                self.decide(&ask, now_ms).map(drop)
            }
            (_, Scope::Patient(_)) => Err(Denied::NoSuchPatient),
            (role, Scope::Everything) => Err(Denied::Role { role }),
        }
    }

    /// Streams with envelopes, ascending by id.
    fn streams_in(&self, scope: Scope) -> Vec<StreamRecord> {
        let held: BTreeSet<StreamId> = self.store().streams().into_iter().collect();
        let records = held.into_iter().filter_map(|id| self.stream(id));
        records
            .filter(|record| match scope {
                Scope::Everything => true,
                Scope::Patient(patient) => record.patient == patient,
            })
            .collect()
    }

    fn ground(&self, streams: &[StreamRecord]) -> Result<(u64, Anchor), ClinicError> {
        let busy = |why: &str| ClinicError::Ledger(LedgerError::Busy(why.into()));
        if streams.is_empty() {
            return Err(ClinicError::Wrong("there is nothing in the record yet".into()));
        }
        let anchor = self.ledger().anchor(self.org())?.ok_or_else(|| busy("no log head is anchored yet"))?;
        Ok((self.ledger().tip().height, anchor))
    }

    /// Sensors that wrote the streams, and their gateways, ascending.
    fn devices_of(&self, streams: &[StreamRecord]) -> Result<Vec<DeviceId>, ClinicError> {
        let own = self.vault().author();
        let mut devices = BTreeSet::new();
        let height = self.ledger().tip().height;
        for author in streams.iter().map(|record| record.author).filter(|author| *author != own) {
            let device = self.registry.device(self.ledger(), height, author);
            if let Ok(Some(device)) = device {
                devices.extend([author, device.via]);
            }
        }
        Ok(devices.into_iter().collect())
    }

    fn openings(&self, streams: &[StreamRecord]) -> Vec<Opening> {
        let own = self.vault().author();
        let sensors = streams.iter().filter(|record| record.author != own);
        let by_device: BTreeMap<DeviceId, Opening> = sensors
            .map(|record| {
                let opening = Opening { device: record.author, patient: record.patient, salt: record.salt };
                (record.author, opening)
            })
            .collect();
        by_device.into_values().collect()
    }

    fn write_proofs(
        &self,
        writer: &mut BundleWriter,
        devices: &[DeviceId],
        anchor: Anchor,
    ) -> Result<(), ClinicError> {
        let (first, rest) = devices.split_at(devices.len().min(DEVICES_PER_PROOF_MAX));
        let facts = |devices: &[DeviceId]| devices.iter().map(|id| Fact::Device(*id)).collect::<Vec<_>>();
        let head = [vec![Fact::Organisation(self.org()), Fact::Anchor(self.org())], facts(first)].concat();
        let proof = self.ledger().prove(&head)?;
        let height = BlockHeader::decode(&proof.header).map(|header| header.height).unwrap_or(0);
        if self.ledger().anchor(self.org())? != Some(anchor) || height < anchor.height {
            return Err(LedgerError::Busy("the log was anchored further just now".into()).into());
        }
        writer.proof(first, &proof.encode()).map_err(mistaken)?;
        for some in rest.chunks(DEVICES_PER_PROOF_MAX) {
            let proof = self.ledger().prove(&facts(some))?;
            writer.proof(some, &proof.encode()).map_err(mistaken)?;
        }
        Ok(())
    }

    /// Last sequence number that a revoked author is trusted for.
    fn trusted_until(&self, author: DeviceId) -> Option<u64> {
        let device = self.registry.device(self.ledger(), self.ledger().tip().height, author).ok().flatten();
        device.and_then(|device| device.revoked).map(|revocation| revocation.last_trusted_seq)
    }

    fn write_segment(
        &self,
        writer: &mut BundleWriter,
        (segment, last): &(SegmentWriter, u64),
        size: u64,
    ) -> Result<(), ClinicError> {
        let path = self.store().inclusion(*last, size).ok_or_else(|| missing(*last))?;
        writer.segment(segment, *last, &path).map_err(mistaken)
    }
}

fn missing(index: u64) -> ClinicError {
    ClinicError::Wrong(format!("leaf {index} is not in the record store"))
}

fn mistaken(why: vitals::bundle::Miscounted) -> ClinicError {
    ClinicError::Wrong(why.to_string())
}
