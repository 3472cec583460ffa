//! The ports of a node.

mod kept_ports;
mod transports;

use super::founding::EmbeddedLedger;
use super::rpc;
use super::storage::Storage;
use crate::config::NodeConfig;
use anyhow::{Context, Result};
use clinic::ClinicError;
use kept_ports::KeptPorts;
use operator::NodeReady;
use tokio::net::TcpListener;
use transports::Transports;

/// Bound, and not answered yet.
pub(super) struct Listeners {
    pub(super) transports: Transports,
    pub(super) web: TcpListener,
    /// Only a node with a ledger in its own process has one, if it is configured.
    pub(super) rpc: Option<(TcpListener, web::rpc::Rpc)>,
}

impl Listeners {
    /// Binds the configured addresses.
    pub(super) async fn bind(config: &NodeConfig, embedded: Option<&EmbeddedLedger>) -> Result<Self> {
        let mut kept = KeptPorts::read(&config.data_dir);
        let transports = Transports::bind(config, &mut kept).await?;
        let web = kept.bind("web", config.web).await?;
        let rpc = match &config.rpc {
            None => None,
            Some(table) => {
                let embedded = embedded.ok_or(ClinicError::Elsewhere)?;
                let port = rpc::port(table, &config.data_dir, &embedded.chain)?;
                Some((kept.bind("rpc", table.listen).await?, port))
            }
        };
        kept.save().context("keeping the chosen ports")?;
        Ok(Self { transports, web, rpc })
    }

    /// What the node announces once all are answered.
    pub(super) fn ready(&self, config: &NodeConfig, storage: &Storage) -> Result<NodeReady> {
        let rpc = self.rpc.as_ref().map(|(listener, _)| listener.local_addr()).transpose()?;
        Ok(NodeReady {
            web: self.web.local_addr()?.to_string(),
            mqtt: self.transports.mqtt()?.to_string(),
            rpc: rpc.map(|address| address.to_string()),
            genesis: storage.document.hash().to_string(),
            org: storage.vault.org().to_string(),
            record_key: hex::encode(storage.vault.record_key()),
            validator: storage.embedded.as_ref().map(|own| hex::encode(own.validator)),
            ledger: config.ledger.endpoint(),
        })
    }
}
