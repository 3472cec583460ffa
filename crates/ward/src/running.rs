//! A ward that is up: its processes, and letting time pass over them.

use crate::folders::WardFolder;
use crate::heights::Heights;
use crate::hospital::Hospital;
use crate::https::Https;
use crate::report::{Kill, StoryLine};
use crate::role::Role;
use anyhow::Result;
use host::clock;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// How often the ward looks after its processes.
const LOOK: Duration = Duration::from_millis(100);

/// Everything that runs.
pub(crate) struct Running {
    pub(crate) ward_folder: WardFolder,
    pub(crate) boards: Role,
    pub(crate) hospitals: Vec<Hospital>,
    pub(crate) heights: Heights,
    /// None when the pages are plain HTTP.
    pub(crate) https: Option<Https>,
    pub(crate) kills: Vec<Kill>,
    /// What happened in a story.
    pub(crate) story: Vec<StoryLine>,
    /// Ends when the ward is told to stop.
    pub(crate) stop: JoinHandle<()>,
}

impl Running {
    /// Lets time pass; false when told to stop.
    ///
    /// # Errors
    /// The boards ended on their own: nothing is left to show.
    pub(crate) async fn rest_until(&mut self, until: Instant) -> Result<bool> {
        loop {
            self.check().await?;
            if self.stop.is_finished() {
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
    pub(crate) async fn rest(&mut self) -> Result<()> {
        while self.rest_until(clock::instant() + LOOK).await? {}
        Ok(())
    }

    /// Looks after the processes: a node or gateway that ended on its own is started again.
    pub(crate) async fn check(&mut self) -> Result<()> {
        if let Some(status) = self.boards.ended()? {
            let log = self.ward_folder.log("boards");
            anyhow::bail!("the boards ended on their own with {status}; see {}", log.display());
        }
        if let Some(https) = &mut self.https {
            https.renew(clock::machine_ms());
        }
        for hospital in &mut self.hospitals {
            hospital.tend().await?;
        }
        Ok(())
    }
}
