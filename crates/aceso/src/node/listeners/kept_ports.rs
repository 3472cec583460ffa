//! Ports are picked free once and then kept, so that bookmarks and gateways find the node again.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tokio::net::TcpListener;

/// The ports of earlier starts.
pub(super) struct KeptPorts {
    file: PathBuf,
    ports: BTreeMap<String, u16>,
}

impl KeptPorts {
    /// Reads them; a missing or damaged file means none, and the latter is said.
    pub(super) fn read(folder: &Path) -> Self {
        let file = folder.join("ports.json");
        let held = std::fs::read(&file).ok();
        let ports = held.as_ref().and_then(|bytes| {
            let Written { ports, check } = serde_json::from_slice(bytes).ok()?;
            (check == check_of(&ports)).then_some(ports)
        });
        if held.is_some() && ports.is_none() {
            tracing::warn!(file = %file.display(), "{} is damaged: free ports are picked anew, and gateways must be told of them", file.display());
        }
        Self { file, ports: ports.unwrap_or_default() }
    }

    /// Binds the configured address; with port 0, the port of the last start or a free one.
    pub(super) async fn bind(&mut self, name: &str, wanted: SocketAddr) -> Result<TcpListener> {
        if wanted.port() == 0
            && let Some(port) = self.ports.get(name)
            && let Ok(listener) = TcpListener::bind((wanted.ip(), *port)).await
        {
            return Ok(listener);
        }
        let listener = TcpListener::bind(wanted)
            .await
            .with_context(|| format!("{name} = \"{wanted}\": the address cannot be used"))?;
        self.ports.insert(name.to_owned(), listener.local_addr()?.port());
        Ok(listener)
    }

    /// Writes them down.
    pub(super) fn save(&self) -> Result<()> {
        let written = Written { check: check_of(&self.ports), ports: self.ports.clone() };
        Ok(std::fs::write(&self.file, serde_json::to_vec(&written)?)?)
    }
}

/// The file: a port that lost a digit would be as good as any other.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    ports: BTreeMap<String, u16>,
    check: String,
}

fn check_of(ports: &BTreeMap<String, u16>) -> String {
    let names: Vec<String> = ports.iter().map(|(name, port)| format!("{name} {port}\n")).collect();
    hex::encode(&vitals::ids::sha256(&[names.concat().as_bytes()])[..4])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_free_port_is_kept_for_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut first = KeptPorts::read(folder.path());
        let port = first.bind("web", any).await.unwrap().local_addr().unwrap().port();
        first.save().unwrap();
        let again = KeptPorts::read(folder.path()).bind("web", any).await.unwrap();
        assert_eq!(again.local_addr().unwrap().port(), port);
        let written = std::fs::read_to_string(folder.path().join("ports.json")).unwrap();
        let digit = written.replace(&port.to_string(), &(port ^ 1).to_string());
        std::fs::write(folder.path().join("ports.json"), digit).unwrap();
        assert!(KeptPorts::read(folder.path()).ports.is_empty(), "a changed digit is no port of ours");
    }
}
