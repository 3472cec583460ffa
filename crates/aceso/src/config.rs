//! One TOML file each for node and gateway. The documented text below is the manual; a test reads it
//! back, so that it cannot drift from the code.

use anyhow::{Context, Result};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Whose configuration to print.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum ConfigRole {
    /// An organisation's node.
    Node,
    /// A bedside gateway.
    Gateway,
}

/// A node's configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeConfig {
    pub(crate) data_dir: PathBuf,
    pub(crate) passphrase_file: PathBuf,
    #[serde(default = "default_name")]
    pub(crate) name: String,
    #[serde(default = "any_port")]
    pub(crate) web: SocketAddr,
    #[serde(default)]
    pub(crate) web_behind_proxy: bool,
    #[serde(default = "any_port")]
    pub(crate) mqtt: SocketAddr,
    #[serde(default = "default_heartbeat_ms")]
    pub(crate) heartbeat_ms: u64,
}

fn default_name() -> String {
    "Aceso".to_owned()
}

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn default_heartbeat_ms() -> u64 {
    2_000
}

/// The documented node configuration.
pub(crate) const NODE_TOML: &str = r#"# An organisation's node.

# Folder for keys, records, log and ledger. One node at a time may use it.
data_dir = "/var/lib/aceso/node"

# File whose first line is the passphrase of the vault. Readable by the node's user only.
passphrase_file = "/etc/aceso/passphrase"

# The ledger's name for people; used once, when the node founds its ledger.
name = "Demo Hospital"

# Address of the pages. Only a loopback address is accepted without a TLS terminator in front.
# Port 0 picks a free one and keeps it.
web = "127.0.0.1:8080"

# True when a TLS terminator on this machine stands in front of the pages. It must keep the Host header
# and add X-Forwarded-For: its last entry says who asks, for the quotas. Cookies then go over TLS only.
web_behind_proxy = false

# Address of the MQTT ingress (TLS 1.3, client certificates).
mqtt = "0.0.0.0:8883"

# An idle ledger makes a block this often, milliseconds (100 to 10000).
heartbeat_ms = 2000
"#;

/// The documented gateway configuration.
pub(crate) const GATEWAY_TOML: &str = gateway::CONFIG_TOML;

/// Prints a documented configuration.
#[allow(clippy::print_stdout, reason = "printing is what the command is for")]
pub(crate) fn print(role: ConfigRole) {
    match role {
        ConfigRole::Node => print!("{NODE_TOML}"),
        ConfigRole::Gateway => print!("{GATEWAY_TOML}"),
    }
}

/// Reads and checks a node's configuration.
pub(crate) fn read_node(path: &Path) -> Result<NodeConfig> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let config: NodeConfig = toml::from_str(&text).with_context(|| format!("in {}", path.display()))?;
    check_node(&config).with_context(|| format!("in {}", path.display()))?;
    Ok(config)
}

fn check_node(config: &NodeConfig) -> Result<()> {
    anyhow::ensure!(
        config.web.ip().is_loopback(),
        "web = \"{}\" is not a loopback address; pages are served without TLS, so put a TLS terminator in front and bind to 127.0.0.1",
        config.web
    );
    anyhow::ensure!(
        (100..=10_000).contains(&config.heartbeat_ms),
        "heartbeat_ms = {} is outside 100 to 10000",
        config.heartbeat_ms
    );
    anyhow::ensure!(
        !config.name.trim().is_empty() && config.name.len() <= 64,
        "name must have 1 to 64 bytes"
    );
    Ok(())
}

/// Reads the first line of a secret file.
pub(crate) fn read_secret(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("reading the passphrase file {}", path.display()))?;
    let line = text.lines().next().unwrap_or_default().to_owned();
    anyhow::ensure!(!line.is_empty(), "the passphrase file {} is empty", path.display());
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_node_configuration_is_a_valid_one() {
        let config: NodeConfig = toml::from_str(NODE_TOML).unwrap();
        check_node(&config).unwrap();
    }

    #[test]
    fn a_misspelt_field_is_named() {
        let error =
            toml::from_str::<NodeConfig>("data_dir = '/d'\npassphrase_file = '/p'\nwep = '127.0.0.1:1'")
                .unwrap_err();
        assert!(error.to_string().contains("wep"), "{error}");
    }

    #[test]
    fn pages_are_not_served_in_the_clear_to_the_network() {
        let config: NodeConfig =
            toml::from_str("data_dir = '/d'\npassphrase_file = '/p'\nweb = '0.0.0.0:80'").unwrap();
        assert!(check_node(&config).unwrap_err().to_string().contains("loopback"));
    }
}
