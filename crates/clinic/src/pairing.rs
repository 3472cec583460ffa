//! Devices: pairing a gateway and its sensors with patients, and the end of their trust.

use crate::accounts::Session;
use crate::acts::Ticket;
use crate::clinic::Clinic;
use crate::consents::{GrantRequest, MONITORED};
use crate::errors::ClinicError;
use crate::monitoring::STALE_MS;
use vault::{NewStream, Patient};
use vitals::ids::{Class, Hash, binding};
use vitals::keys::epoch_of;
use vitals::ledger::{Act, DeviceKind, Purpose, RevokeReason, Role};
use vitals::pairing::{DeviceKeys, INTERVAL_MS_MIN, PairingRequest};
use vitals::{DeviceId, PatientId, PersonId};

/// How long a monitoring consent signed at pairing lasts: a hospital stay.
pub const MONITORING_GRANT_MS: u64 = 30 * 86_400_000;
/// Data is stale when so many announced intervals brought nothing.
const STALE_INTERVALS: u64 = 3;
/// Classes of a sensor's streams.
const SENSOR_CLASSES: [Class; 3] = [Class::Vitals, Class::Environment, Class::Alarms];

/// A paired gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paired {
    /// Encoded [`vitals::pairing::PairingAnswer`], to be carried to the gateway.
    pub answer: Vec<u8>,
    /// The gateway.
    pub gateway: DeviceId,
    /// Registrations and monitoring consents under way; the gateway is admitted once they are final.
    pub tickets: Vec<Ticket>,
}

impl Clinic {
    /// Pairs a gateway and its sensors, one patient per sensor in the request's order, and signs the
    /// monitoring consents of patients who have given none (vault-kept keys, labelled so).
    ///
    /// # Errors
    /// [`ClinicError::Denied`], or what is wrong with request or assignment; then nothing was
    /// registered.
    pub fn pair(
        &self,
        session: &Session,
        request: &[u8],
        assignment: &[PatientId],
        now_ms: u64,
    ) -> Result<Paired, ClinicError> {
        self.deciding(session, &[Role::Administrator], now_ms)?;
        let request = PairingRequest::decode(request)
            .map_err(|why| ClinicError::Wrong(format!("the pairing request cannot be used: {why}")))?;
        let keys = core::iter::once(&request.gateway).chain(&request.sensors);
        if !keys.into_iter().all(|keys| vitals::cose::is_strong(&keys.key)) {
            return Err(ClinicError::Wrong(
                "a key in the pairing request is weak: signatures by it prove nothing".into(),
            ));
        }
        if request.sensors.len() != assignment.len() {
            let (asked, given) = (request.sensors.len(), assignment.len());
            return Err(ClinicError::Wrong(format!(
                "the gateway has {asked} boards, {given} patients are assigned"
            )));
        }
        let patients = assignment
            .iter()
            .map(|id| self.patient(*id))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|why| self.denied(why))?;
        let epoch = epoch_of(now_ms);
        let mut streams = Vec::new();
        let mut sensors = Vec::new();
        for (keys, patient) in request.sensors.iter().zip(&patients) {
            let held = self.vault().streams_by(keys.id());
            if held.iter().any(|record| record.patient != patient.id) {
                return Err(ClinicError::Wrong(format!(
                    "sensor {} is paired with another patient",
                    keys.id()
                )));
            }
            let interval_ms = request.interval_ms.unwrap_or(INTERVAL_MS_MIN);
            self.vault().put_interval(keys.id(), interval_ms)?;
            let salt = held.first().map_or_else(|| self.random(), |record| record.salt);
            for class in SENSOR_CLASSES {
                let new =
                    NewStream { author: keys.id(), patient: patient.id, class, first_epoch: epoch, salt };
                streams.push(self.vault().make_stream(new)?.stream);
            }
            sensors.push((*keys, binding(self.genesis(), keys.id(), patient.id, &salt)));
        }
        let answer = self.vault().pairing_answer(&request, &streams, epoch)?.encode();
        let mut tickets = self.register(&request, &sensors, now_ms)?;
        for patient in &patients {
            tickets.extend(self.monitor(patient, now_ms)?);
            self.furnish(patient, now_ms);
        }
        Ok(Paired { answer, gateway: request.gateway.id(), tickets })
    }

    fn register(
        &self,
        request: &PairingRequest,
        sensors: &[(DeviceKeys, Hash)],
        now_ms: u64,
    ) -> Result<Vec<Ticket>, ClinicError> {
        let gateway = request.gateway.id();
        let carrier = [(request.gateway, DeviceKind::Gateway, [0; 32])];
        let carried = sensors.iter().map(|(keys, binding)| (*keys, DeviceKind::Sensor, *binding));
        let mut tickets = Vec::new();
        for (keys, kind, binding) in carrier.into_iter().chain(carried) {
            // Pairing again: what the ledger holds already stays as it is.
            if self.ledger().device(keys.id())?.is_some() {
                continue;
            }
            let act = Act::Register { kind, key: keys.key, wrap_key: keys.wrap_key, via: gateway, binding };
            tickets.push(self.submit(act, "device registration", now_ms)?);
        }
        Ok(tickets)
    }

    /// The monitoring consent, unless one stands or is under way.
    fn monitor(&self, patient: &Patient, now_ms: u64) -> Result<Option<Ticket>, ClinicError> {
        let given = self.vault().terms_of(patient.id).into_iter().any(|record| {
            record.terms.purpose == Purpose::Monitoring
                && (self.acts.consent_under_way(record.grant).is_some()
                    || self.ledger().grant(record.grant).is_ok_and(|grant| {
                        grant.is_some_and(|grant| grant.revoked_at_ms == 0 && grant.until_ms > now_ms)
                    }))
        });
        if given {
            return Ok(None);
        }
        let request = self.to_be_watched(MONITORING_GRANT_MS, now_ms);
        self.sign_grant(patient, &request, now_ms).map(|(_, ticket)| Some(ticket))
    }

    /// A consent to monitoring by this organisation from now on.
    fn to_be_watched(&self, for_ms: u64, now_ms: u64) -> GrantRequest {
        GrantRequest {
            grantee: PersonId::of_organisation(self.org()),
            purpose: Purpose::Monitoring,
            classes: MONITORED.to_vec(),
            from_ms: now_ms.min(self.ledger().tip().time_ms.max(1)),
            until_ms: now_ms.saturating_add(for_ms),
        }
    }

    /// Lets the ward watch the patient for so long: a new consent, signed with the key that the vault keeps
    /// for the patient. One that stands is not touched; watching goes on until the last of them ends.
    ///
    /// # Errors
    /// As [`Clinic::grant`].
    pub fn let_ward_watch(&self, session: &Session, for_ms: u64, now_ms: u64) -> Result<Ticket, ClinicError> {
        self.grant(session, &self.to_be_watched(for_ms, now_ms), now_ms)
    }

    /// After how long without anything fresh this patient's data is stale: three times the interval that
    /// the most frequent of the paired sensors announced, and never before [`STALE_MS`].
    pub(crate) fn stale_after_ms(&self, patient: PatientId) -> u64 {
        let most_often_ms = self.intervals_ms(patient, |_| true).min().unwrap_or(INTERVAL_MS_MIN);
        STALE_MS.max(most_often_ms.saturating_mul(STALE_INTERVALS))
    }

    /// After how long without a reading of vital signs they are missed: three times the interval that the slowest of
    /// the sensors with a stream for them announced. None while no such sensor is paired.
    pub(crate) fn vitals_missed_after_ms(&self, patient: PatientId) -> Option<u64> {
        let slowest_ms = self.intervals_ms(patient, |class| class == Class::Vitals).max()?;
        Some(slowest_ms.saturating_mul(STALE_INTERVALS))
    }

    /// What the sensors announced whose streams are of such a class, milliseconds.
    fn intervals_ms(
        &self,
        patient: PatientId,
        of_class: impl Fn(Class) -> bool,
    ) -> impl Iterator<Item = u64> {
        let own = self.vault().author();
        let streams = self.vault().streams_of(patient).into_iter();
        let streams = streams.filter(move |record| record.author != own && of_class(record.class));
        // What cannot be read counts as every second: the stricter rule.
        streams.map(|record| self.vault().interval(record.author).ok().flatten().unwrap_or(INTERVAL_MS_MIN))
    }

    /// Ends a device's trust. Without a last trusted sequence number, everything admitted so far
    /// stays trusted.
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but administrators; the ledger's refusal otherwise.
    pub fn revoke_device(
        &self,
        session: &Session,
        device: DeviceId,
        reason: RevokeReason,
        last_trusted_seq: Option<u64>,
        now_ms: u64,
    ) -> Result<Ticket, ClinicError> {
        self.require(session, &[Role::Administrator], now_ms).map_err(|why| self.denied(why))?;
        let streams = self.vault().streams_by(device);
        let heads = streams.iter().filter_map(|record| self.store().head(record.stream));
        let admitted = heads.map(|head| head.last_seq).max().unwrap_or(0);
        let last_trusted_seq = last_trusted_seq.unwrap_or(admitted);
        self.submit(Act::Revoke { device, reason, last_trusted_seq }, "device revocation", now_ms)
    }
}
