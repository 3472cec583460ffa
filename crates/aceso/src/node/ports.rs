//! Ports are picked free once and then kept, so that bookmarks and gateways find the node again.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tokio::net::TcpListener;

/// The ports of earlier starts.
pub(super) struct Kept {
    file: PathBuf,
    ports: BTreeMap<String, u16>,
}

impl Kept {
    /// Reads them; a missing or unreadable file means none.
    pub(super) fn read(folder: &Path) -> Self {
        let file = folder.join("ports.json");
        let ports = std::fs::read(&file)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        Self { file, ports }
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
        Ok(std::fs::write(&self.file, serde_json::to_vec(&self.ports)?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_free_port_is_kept_for_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut first = Kept::read(folder.path());
        let port = first.bind("web", any).await.unwrap().local_addr().unwrap().port();
        first.save().unwrap();
        let again = Kept::read(folder.path()).bind("web", any).await.unwrap();
        assert_eq!(again.local_addr().unwrap().port(), port);
    }
}
