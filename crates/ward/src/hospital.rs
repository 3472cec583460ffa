//! One organisation of a ward: its node and its gateway as processes.

use crate::folders::{HospitalFolder, save};
use crate::output::say;
use crate::people::Remembered;
use crate::role::{Program, Role};
use anyhow::{Context, Result};
use operator::{Call, GatewayReady, NodeReady};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Before a process that ended on its own is started again: long enough to see on the pages what that means.
const PAUSE: Duration = Duration::from_secs(3);
/// The same after a start that failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(15);

/// A process that ended on its own and is being started again.
pub(crate) type Restart<T> = JoinHandle<Result<T>>;

/// An organisation whose processes run.
pub(crate) struct Hospital {
    pub(crate) folder: HospitalFolder,
    pub(crate) remembered: Remembered,
    pub(crate) ready: NodeReady,
    /// None while it is killed or being started again.
    pub(crate) node: Option<Role>,
    /// None until the first start, and while it is being started again.
    pub(crate) gateway: Option<Role>,
    /// The gateway's boards.
    pub(crate) boards: Vec<PathBuf>,
    pub(crate) node_restart: Option<Restart<(Role, NodeReady)>>,
    pub(crate) gateway_restart: Option<Restart<Role>>,
    /// What ended on its own, and how: a sentence for the report each.
    pub(crate) ended: Vec<String>,
}

impl Hospital {
    /// Asks the node.
    pub(crate) async fn ask<C: Call>(&self, call: C) -> Result<C::Answer> {
        self.folder.client().ask(call).await.with_context(|| format!("asking {}", self.folder.role("node")))
    }

    /// Starts again what ended on its own; everything else of the ward goes on meanwhile.
    ///
    /// # Errors
    /// The system does not say how a process stands.
    pub(crate) async fn tend(&mut self) -> Result<()> {
        if let Some(status) = ended(&mut self.node)? {
            self.say_ended("node", status);
            self.node_restart = Some(self.start_node_after(PAUSE));
        }
        if let Some(status) = ended(&mut self.gateway)? {
            self.say_ended("gateway", status);
            self.gateway_restart = Some(self.start_gateway_after(PAUSE));
        }
        if self.node_restart.as_ref().is_some_and(JoinHandle::is_finished) {
            self.node_is_back().await?;
        }
        if self.gateway_restart.as_ref().is_some_and(JoinHandle::is_finished) {
            self.gateway_is_back().await?;
        }
        Ok(())
    }

    /// Waits for what is being started again.
    ///
    /// # Errors
    /// It did not start.
    pub(crate) async fn settle(&mut self) -> Result<()> {
        if let Some(restart) = self.node_restart.take() {
            let (role, ready) = restart.await??;
            (self.node, self.ready) = (Some(role), ready);
        }
        if let Some(restart) = self.gateway_restart.take() {
            self.gateway = Some(restart.await??);
        }
        Ok(())
    }

    async fn node_is_back(&mut self) -> Result<()> {
        let Some(restart) = self.node_restart.take() else { return Ok(()) };
        match restart.await? {
            Ok((role, ready)) => {
                (self.node, self.ready) = (Some(role), ready);
                self.say_back("node", self.node.as_ref());
            }
            Err(why) => {
                say_failed(&why);
                self.node_restart = Some(self.start_node_after(PAUSE_AFTER_FAILURE));
            }
        }
        Ok(())
    }

    async fn gateway_is_back(&mut self) -> Result<()> {
        let Some(restart) = self.gateway_restart.take() else { return Ok(()) };
        match restart.await? {
            Ok(role) => {
                self.gateway = Some(role);
                self.say_back("gateway", self.gateway.as_ref());
            }
            Err(why) => {
                say_failed(&why);
                self.gateway_restart = Some(self.start_gateway_after(PAUSE_AFTER_FAILURE));
            }
        }
        Ok(())
    }

    fn start_node_after(&self, pause: Duration) -> Restart<(Role, NodeReady)> {
        let folder = self.folder.clone();
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            start_node(folder).await
        })
    }

    fn start_gateway_after(&self, pause: Duration) -> Restart<Role> {
        let (folder, boards, mqtt) = (self.folder.clone(), self.boards.clone(), self.ready.mqtt.clone());
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            start_gateway(&folder, &boards, &mqtt).await
        })
    }

    fn say_ended(&mut self, role: &str, status: ExitStatus) {
        let name = self.folder.role(role);
        self.ended.push(format!("the {name} ended on its own with {status} and was started again"));
        say(&format!(
            "The {name} ended on its own with {status}; see {}. Starting it again in {} s",
            self.folder.log(role).display(),
            PAUSE.as_secs()
        ));
    }

    fn say_back(&self, role: &str, process: Option<&Role>) {
        let id = process.and_then(Role::id).map_or_else(String::new, |id| format!(" (process {id})"));
        say(&format!("The {} runs again{id}", self.folder.role(role)));
    }
}

fn say_failed(why: &anyhow::Error) {
    say(&format!("{}; trying again in {} s", host::sentence(why.as_ref()), PAUSE_AFTER_FAILURE.as_secs()));
}

/// How this process ended, if it did on its own; it is then gone.
fn ended(role: &mut Option<Role>) -> Result<Option<ExitStatus>> {
    let Some(process) = role else { return Ok(None) };
    let status = process.ended()?;
    if status.is_some() {
        *role = None;
    }
    Ok(status)
}

/// Starts a node and waits until it serves.
pub(crate) async fn start_node(folder: HospitalFolder) -> Result<(Role, NodeReady)> {
    let config = folder.node_config().display().to_string();
    let arguments = ["node", "--config", &config];
    Role::start(&folder.role("node"), Program::Aceso, &arguments, &folder.log("node")).await
}

/// Starts all nodes at once: none alone is a quorum.
pub(crate) async fn start_nodes(folders: &[HospitalFolder]) -> Result<Vec<(Role, NodeReady)>> {
    let tasks: Vec<_> = folders.iter().cloned().map(|folder| tokio::spawn(start_node(folder))).collect();
    let mut started = Vec::new();
    for task in tasks {
        started.push(task.await??);
    }
    Ok(started)
}

/// Writes a gateway's configuration and starts it.
pub(crate) async fn start_gateway(folder: &HospitalFolder, boards: &[PathBuf], mqtt: &str) -> Result<Role> {
    let config = format!(
        "data_dir = {:?}\nnode = {:?}\nboards = {:?}\n",
        folder.gateway(),
        mqtt,
        boards.iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
    );
    save(&folder.gateway_config(), config.as_bytes())?;
    let config = folder.gateway_config().display().to_string();
    let arguments = ["gateway", "--config", &config, "--drain"];
    let (role, _): (_, GatewayReady) =
        Role::start(&folder.role("gateway"), Program::Aceso, &arguments, &folder.log("gateway")).await?;
    Ok(role)
}
