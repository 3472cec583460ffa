//! What an observer inside the process sees beyond any session: for tests that judge the clinic from
//! outside. It changes no record and asks no policy, so no page may use it.

use crate::clinic::Clinic;
use crate::errors::Denied;
use crate::monitoring::LiveEvent;
use crate::monitoring::views::Tile;
use std::sync::Arc;
use tokio::sync::broadcast;
use vitals::PatientId;
use vitals::alarm::Condition;
use vitals::ids::Class;

/// See [`Clinic::observer`].
#[derive(Debug)]
pub struct Observer<'a>(&'a Clinic);

impl Clinic {
    /// An observer without a session. For tests only.
    #[must_use]
    pub fn observer(&self) -> Observer<'_> {
        Observer(self)
    }
}

impl Observer<'_> {
    /// Live events of all patients, from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Arc<LiveEvent>> {
        self.0.listen()
    }

    /// When the lease of each watched bed is renewed, milliseconds since 1970.
    #[must_use]
    pub fn renewals(&self) -> Vec<(PatientId, u64)> {
        self.0.monitoring.of_all(|patient, bed| Some((patient, bed.renews_ms()?)))
    }

    /// Since when the alarm of this condition is open at the patient's bed.
    #[must_use]
    pub fn open_since_ms(&self, patient: PatientId, condition: Condition) -> Option<u64> {
        self.0.monitoring.of(patient, |bed| bed.alarms.open_since_ms(condition)).flatten()
    }

    /// The patient's newest values, as these classes show them.
    ///
    /// # Errors
    /// If there is no such patient.
    pub fn tile(&self, patient: PatientId, classes: &[Class], now_ms: u64) -> Result<Tile, Denied> {
        Ok(self.0.tile_of(&self.0.patient(patient)?, classes, now_ms))
    }

    /// After how long without an envelope the patient's data is stale, milliseconds.
    #[must_use]
    pub fn stale_after_ms(&self, patient: PatientId) -> u64 {
        self.0.stale_after_ms(patient)
    }

    /// Beds with an order to send now, and beds whose bedsides may not hold what they should: all that a node
    /// looks at when it sends and renews orders.
    #[must_use]
    pub fn orders_looked_at(&self, now_ms: u64) -> (Vec<PatientId>, Vec<PatientId>) {
        (self.0.monitoring.to_send(now_ms), self.0.monitoring.to_tend(now_ms))
    }

    /// Envelopes that were read for beds before they were watched, since the clinic was opened.
    #[must_use]
    pub fn read_back(&self) -> u64 {
        self.0.monitoring.read_back()
    }

    /// Acts that the clinic keeps until the ledger has made them final.
    #[must_use]
    pub fn acts_under_way(&self) -> usize {
        self.0.acts.view().len()
    }

    /// Makes the clinic decide again what it decided before, as after a block.
    pub fn forget_decisions(&self) {
        self.0.count_generation();
    }
}
