//! One organisation of a ward: its node and its gateway as processes.

use crate::folders::{HospitalFolder, save};
use crate::people::Remembered;
use crate::role::{Program, Role};
use anyhow::{Context, Result};
use operator::{Call, GatewayReady, NodeReady};
use std::path::PathBuf;
use std::process::ExitStatus;

/// An organisation whose processes run.
pub(crate) struct Hospital {
    pub(crate) folder: HospitalFolder,
    pub(crate) remembered: Remembered,
    pub(crate) ready: NodeReady,
    /// None while it is killed.
    pub(crate) node: Option<Role>,
    pub(crate) gateway: Option<Role>,
}

impl Hospital {
    /// Asks the node.
    pub(crate) async fn ask<C: Call>(&self, call: C) -> Result<C::Answer> {
        self.folder.client().ask(call).await.with_context(|| format!("asking {}", self.folder.role("node")))
    }

    /// The process that ended on its own, if one did.
    pub(crate) fn ended(&mut self) -> Result<Option<(&'static str, ExitStatus)>> {
        for (name, role) in [("node", &mut self.node), ("gateway", &mut self.gateway)] {
            if let Some(role) = role
                && let Some(status) = role.ended()?
            {
                return Ok(Some((name, status)));
            }
        }
        Ok(None)
    }
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
