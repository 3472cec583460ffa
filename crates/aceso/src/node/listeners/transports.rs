//! The transports of gateways: each has an address in the configuration, a listener bound here, and
//! `link::NAME::serve` over the one endpoint that all share. What a further one needs in the node stands in this
//! file and in the configuration.

use super::kept_ports::KeptPorts;
use crate::config::NodeConfig;
use crate::node::storage::Storage;
use admission_queue::{LedgerRegistry, QueueIngress};
use anyhow::{Context, Result};
use link::node_certificates::NodeCertificates;
use link::{Bounds, Endpoint, Registry, Sessions, Stop};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Bound, and not answered yet.
pub(in crate::node) struct Transports {
    mqtt: TcpListener,
}

impl Transports {
    /// Binds the configured addresses.
    pub(super) async fn bind(config: &NodeConfig, kept: &mut KeptPorts) -> Result<Self> {
        Ok(Self { mqtt: kept.bind("mqtt", config.mqtt).await? })
    }

    /// Where MQTT is answered.
    pub(super) fn mqtt(&self) -> Result<SocketAddr> {
        Ok(self.mqtt.local_addr()?)
    }

    /// Answers them all until `stop`.
    pub(in crate::node) fn serve(
        self,
        storage: &Storage,
        ingress: Arc<QueueIngress>,
        sessions: Arc<Sessions>,
        stop: &Stop,
    ) -> Result<Vec<JoinHandle<()>>> {
        let registry: Arc<dyn Registry> = Arc::new(LedgerRegistry::new(storage.chain.clone()));
        let tls = NodeCertificates::new(storage.vault.record_key_seed().expose(), &registry)
            .context("making the node's certificates")?;
        let endpoint = Endpoint::new(ingress, registry, sessions, Bounds::default());
        Ok(vec![tokio::spawn(link::mqtt::serve(self.mqtt, tls, endpoint, stop.clone()))])
    }
}
