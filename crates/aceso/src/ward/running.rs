//! A ward that is up: its processes, and letting time pass over them.

use super::heights::Heights;
use super::hospital::Hospital;
use super::places::Places;
use crate::child::Role;
use crate::clock;
use crate::report::Kill;
use anyhow::{Result, bail};
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// How often the ward looks after its processes.
const LOOK: Duration = Duration::from_millis(100);

/// Everything that runs.
pub(super) struct Running {
    pub(super) places: Places,
    pub(super) boards: Role,
    pub(super) hospitals: Vec<Hospital>,
    pub(super) heights: Heights,
    pub(super) kills: Vec<Kill>,
    /// What a story told.
    pub(super) story: Vec<Value>,
    /// Ends when the ward is told to stop.
    pub(super) told: JoinHandle<()>,
}

impl Running {
    /// Lets time pass; false when told to stop.
    ///
    /// # Errors
    /// A process ended on its own.
    pub(super) async fn rest_until(&mut self, until: Instant) -> Result<bool> {
        loop {
            self.check()?;
            if self.told.is_finished() {
                return Ok(false);
            }
            let left = until.saturating_duration_since(clock::instant());
            if left.is_zero() {
                return Ok(true);
            }
            tokio::time::sleep(left.min(LOOK)).await;
        }
    }

    /// Lets time pass until told to stop.
    pub(super) async fn rest(&mut self) -> Result<()> {
        while self.rest_until(clock::instant() + LOOK).await? {}
        Ok(())
    }

    /// Names a process that ended on its own.
    pub(super) fn check(&mut self) -> Result<()> {
        let ended = |name: &str, status: std::process::ExitStatus, log: std::path::PathBuf| {
            anyhow::anyhow!("the {name} ended on its own with {status}; see {}", log.display())
        };
        if let Some(status) = self.boards.ended()? {
            return Err(ended("boards", status, self.places.log("boards")));
        }
        for hospital in &mut self.hospitals {
            if let Some((role, status)) = hospital.ended()? {
                bail!(ended(&hospital.house.role(role), status, hospital.house.log(role)));
            }
        }
        Ok(())
    }
}
