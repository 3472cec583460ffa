//! One organisation of a ward: its node and its gateway as processes.

use super::people::Memory;
use super::places::{House, save};
use crate::child::Role;
use crate::control::{self, Request};
use anyhow::{Context, Result};
use serde_json::Value;
use std::path::PathBuf;
use std::process::ExitStatus;

/// The node as it said it is.
#[derive(Clone)]
pub(super) struct NodeReady {
    pub(super) web: String,
    pub(super) mqtt: String,
    pub(super) genesis: String,
    pub(super) org: String,
    pub(super) record_key: String,
    pub(super) validator: String,
    /// Where its validator listens, if it does.
    pub(super) ledger: Option<String>,
    /// Where its ledger answers Ethereum's tools.
    pub(super) rpc: Option<String>,
}

impl NodeReady {
    fn read(ready: &Value) -> Result<Self> {
        let field = |name: &str| {
            Ok::<_, anyhow::Error>(
                ready[name].as_str().with_context(|| format!("the node did not say its {name}"))?.to_owned(),
            )
        };
        Ok(Self {
            web: field("web")?,
            mqtt: field("mqtt")?,
            genesis: field("genesis")?,
            org: field("org")?,
            record_key: field("record_key")?,
            validator: field("validator")?,
            ledger: ready["ledger"].as_str().map(str::to_owned),
            rpc: ready["rpc"].as_str().map(str::to_owned),
        })
    }
}

/// An organisation whose processes run.
pub(super) struct Hospital {
    pub(super) house: House,
    pub(super) memory: Memory,
    pub(super) ready: NodeReady,
    /// None while it is killed.
    pub(super) node: Option<Role>,
    pub(super) gateway: Option<Role>,
}

impl Hospital {
    /// Asks the node.
    pub(super) async fn ask(&self, request: &Request) -> Result<Value> {
        control::ask(&self.house.socket(), request)
            .await
            .with_context(|| format!("asking {}", self.house.role("node")))
    }

    /// The process that ended on its own, if one did.
    pub(super) fn ended(&mut self) -> Result<Option<(&'static str, ExitStatus)>> {
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
pub(super) async fn start_node(house: House) -> Result<(Role, NodeReady)> {
    let config = house.node_config().display().to_string();
    let (role, ready) =
        Role::start(&house.role("node"), &["node", "--config", &config], &house.log("node")).await?;
    Ok((role, NodeReady::read(&ready)?))
}

/// Starts all nodes at once: none alone is a quorum.
pub(super) async fn start_nodes(houses: &[House]) -> Result<Vec<(Role, NodeReady)>> {
    let tasks: Vec<_> = houses.iter().cloned().map(|house| tokio::spawn(start_node(house))).collect();
    let mut started = Vec::new();
    for task in tasks {
        started.push(task.await??);
    }
    Ok(started)
}

/// Writes a gateway's configuration and starts it.
pub(super) async fn start_gateway(house: &House, boards: &[PathBuf], mqtt: &str) -> Result<Role> {
    let config = format!(
        "data_dir = {:?}\nnode = {:?}\nboards = {:?}\n",
        house.gateway(),
        mqtt,
        boards.iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
    );
    save(&house.gateway_config(), config.as_bytes())?;
    let config = house.gateway_config().display().to_string();
    let arguments = ["gateway", "--config", &config, "--drain"];
    Ok(Role::start(&house.role("gateway"), &arguments, &house.log("gateway")).await?.0)
}
