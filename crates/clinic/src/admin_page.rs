//! The administrator's page: nothing clinical.

use crate::accounts::Session;
use crate::acts::PendingAct;
use crate::clinic::Clinic;
use crate::errors::ClinicError;
use crate::health::LedgerHealth;
use crate::stats::Counters;
use std::collections::BTreeMap;
use vitals::ledger::{DeviceKind, Revocation, Role};
use vitals::{DeviceId, PatientId};

/// A device on the administrator's page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRow {
    /// Its id.
    pub device: DeviceId,
    /// Sensor or gateway.
    pub kind: DeviceKind,
    /// The gateway that carries it (itself for a gateway).
    pub via: DeviceId,
    /// The patient it is bound to; none for a gateway.
    pub patient: Option<PatientId>,
    /// Block time of registration, milliseconds.
    pub since_ms: u64,
    /// Set once trust has ended.
    pub revoked: Option<Revocation>,
    /// Last time anything of it, or carried by it, was admitted since this node started, milliseconds.
    pub last_seen_ms: Option<u64>,
}

/// The administrator's page: nothing clinical.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminPage {
    /// Devices.
    pub devices: Vec<DeviceRow>,
    /// The ledger.
    pub ledger: LedgerHealth,
    /// Acts under way.
    pub pending: Vec<PendingAct>,
    /// Counters and latencies.
    pub counters: Counters,
}

/// A gateway that has brought nothing for so long is silent: bedsides send every few seconds.
pub const GATEWAY_SILENT_MS: u64 = 60_000;

/// See [`Clinic::gateway_counts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GatewayCounts {
    /// Registered here and not revoked.
    pub trusted: u64,
    /// Those of them that are silent.
    pub silent: u64,
}

impl Clinic {
    /// The administrator's page.
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but administrators.
    pub fn admin_page(&self, session: &Session, now_ms: u64) -> Result<AdminPage, ClinicError> {
        self.require(session, &[Role::Administrator], now_ms).map_err(|why| self.denied(why))?;
        Ok(AdminPage {
            devices: self.devices(),
            ledger: self.health(now_ms),
            pending: self.acts.view(),
            counters: self.counters(),
        })
    }

    /// How many gateways are trusted, and how many of them have brought nothing for [`GATEWAY_SILENT_MS`], or nothing
    /// since this node started.
    #[must_use]
    pub fn gateway_counts(&self, now_ms: u64) -> GatewayCounts {
        let mut counts = GatewayCounts::default();
        let rows = self.devices().into_iter();
        for gateway in rows.filter(|row| row.kind == DeviceKind::Gateway && row.revoked.is_none()) {
            let is_heard =
                gateway.last_seen_ms.is_some_and(|at_ms| now_ms.saturating_sub(at_ms) < GATEWAY_SILENT_MS);
            counts.trusted += 1;
            counts.silent += u64::from(!is_heard);
        }
        counts
    }

    /// Devices that streams were made for, and the gateways that carry them.
    fn devices(&self) -> Vec<DeviceRow> {
        let own = self.vault().author();
        let mut known: BTreeMap<DeviceId, Option<PatientId>> = BTreeMap::new();
        for patient in self.vault().patients() {
            for record in self.vault().streams_of(patient.id) {
                if record.author != own {
                    known.insert(record.author, Some(patient.id));
                }
            }
        }
        let height = self.ledger().tip().height;
        let device = |id| self.registry.device(self.ledger(), height, id).ok().flatten();
        let gateways: Vec<DeviceId> = known.keys().filter_map(|id| device(*id).map(|one| one.via)).collect();
        known.extend(gateways.into_iter().map(|id| (id, None)));
        let mut rows: Vec<DeviceRow> = Vec::new();
        for (id, patient) in known {
            if let Some(one) = device(id) {
                rows.push(DeviceRow {
                    device: id,
                    kind: one.kind,
                    via: one.via,
                    patient,
                    since_ms: one.since_ms,
                    revoked: one.revoked,
                    last_seen_ms: patient.and_then(|patient| self.monitoring.last_heard_ms(patient, id)),
                });
            }
        }
        // A gateway is heard by what it carries.
        let heard = |gateway: DeviceId| {
            rows.iter().filter(|row| row.via == gateway).filter_map(|row| row.last_seen_ms).max()
        };
        let gateways: Vec<Option<u64>> = rows.iter().map(|row| heard(row.device)).collect();
        for (row, heard) in rows.iter_mut().zip(gateways) {
            if row.kind == DeviceKind::Gateway {
                row.last_seen_ms = heard;
            }
        }
        rows
    }
}
