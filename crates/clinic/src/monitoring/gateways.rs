//! Beds behind one gateway: when all of them are silent, it is the gateway that is.

use super::views::{AlarmPhase, AlarmView, SilentGateway, Tile};
use crate::accounts::Session;
use crate::clinic::Clinic;
use crate::errors::ClinicError;
use std::collections::{BTreeMap, BTreeSet};
use vitals::alarm::Condition;
use vitals::{DeviceId, PatientId};

/// Fewer silent beds than this are alarms of their own.
const BEDS_MIN: usize = 2;

fn silence(tile: &Tile) -> Option<&AlarmView> {
    tile.alarms.iter().find(|alarm| alarm.condition == Condition::Stale && alarm.is_active())
}

impl Clinic {
    /// The gateways that carry this patient's devices, as the ledger says.
    fn gateways_of(&self, patient: PatientId) -> BTreeSet<DeviceId> {
        let own = self.vault().author();
        let streams = self.vault().streams_of(patient);
        let authors: BTreeSet<DeviceId> =
            streams.iter().map(|record| record.author).filter(|author| *author != own).collect();
        let devices = authors.into_iter().filter_map(|author| self.ledger().device(author).ok().flatten());
        devices.filter(|device| device.revoked.is_none()).map(|device| device.via).collect()
    }

    /// Gateways behind which every bed of these is silent. A bed that others carry as well is silent
    /// only if nothing comes through any of them.
    pub(crate) fn silent_gateways(&self, tiles: &[Tile]) -> Vec<SilentGateway> {
        if tiles.iter().filter_map(silence).count() < BEDS_MIN {
            return Vec::new();
        }
        let mut beds: BTreeMap<DeviceId, Vec<&Tile>> = BTreeMap::new();
        for tile in tiles {
            for gateway in self.gateways_of(tile.patient) {
                beds.entry(gateway).or_default().push(tile);
            }
        }
        beds.into_iter()
            .filter(|(_, tiles)| tiles.len() >= BEDS_MIN && tiles.iter().all(|tile| silence(tile).is_some()))
            .map(|(gateway, tiles)| SilentGateway {
                gateway,
                alarms: tiles.iter().filter_map(|tile| silence(tile).cloned()).collect(),
            })
            .collect()
    }

    /// Answers for all silent beds behind a gateway at once. Each answer stands in the record of its
    /// patient.
    ///
    /// # Errors
    /// [`ClinicError::Denied`], or [`ClinicError::Wrong`] when the gateway is not silent or was answered.
    pub fn acknowledge_gateway(
        &self,
        session: &Session,
        gateway: DeviceId,
        now_ms: u64,
    ) -> Result<usize, ClinicError> {
        let wall = self.wall(session, now_ms)?;
        let silent = wall.gateways.iter().find(|silent| silent.gateway == gateway);
        let unanswered =
            silent.into_iter().flat_map(|silent| &silent.alarms).filter(|a| a.phase == AlarmPhase::Active);
        let mut answered = 0;
        for alarm in unanswered {
            match self.acknowledge(session, alarm.patient, Condition::Stale, now_ms) {
                Ok(_) => answered += 1,
                // Data came back meanwhile, or another person answered first.
                Err(ClinicError::Wrong(_)) => {}
                Err(why) => return Err(why),
            }
        }
        if answered == 0 {
            return Err(ClinicError::Wrong(
                "there is nothing to answer: the gateway is heard, or answered".into(),
            ));
        }
        Ok(answered)
    }
}
