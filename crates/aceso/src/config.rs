//! One TOML file each for node and gateway. The documented text below is the manual; a test reads it
//! back, so that it cannot drift from the code.

mod documented;
mod network;
mod secret;
mod web_tls;

pub(crate) use network::ChainConfig;
pub(crate) use operator::{check_address, parse_key as key};
pub(crate) use secret::read_secret;
pub(crate) use web_tls::WebTlsConfig;

use anyhow::{Context, Result};
use documented::{CHAIN_TOML, GATEWAY_TOML, NODE_TOML};
use host::output;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

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
    /// TLS of the pages; without it they are served as plain HTTP, on this machine only.
    #[serde(default)]
    pub(crate) web_tls: Option<WebTlsConfig>,
    #[serde(default)]
    pub(crate) web_behind_proxy: bool,
    #[serde(default = "any_port")]
    pub(crate) mqtt: SocketAddr,
    pub(crate) heartbeat_ms: Option<u64>,
    #[serde(default)]
    pub(crate) ledger: LedgerConfig,
    #[serde(default)]
    pub(crate) rpc: Option<RpcConfig>,
    /// The Ethereum network the ledger stands on, instead of this node.
    #[serde(default)]
    pub(crate) chain: Option<ChainConfig>,
}

/// How a node takes part in a ledger of several organisations.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LedgerConfig {
    /// The ledger's genesis document; absent, the node founds a ledger of its own.
    pub(crate) genesis: Option<PathBuf>,
    /// Where this node's validator listens for the others.
    pub(crate) listen: Option<SocketAddr>,
    /// What the others dial; `listen` if absent.
    pub(crate) address: Option<String>,
    /// The others.
    #[serde(default)]
    pub(crate) peers: Vec<PeerConfig>,
    /// Faulty validators the committee must survive: f of 3f+1. Starting fails if it is too small.
    #[serde(default)]
    pub(crate) max_faulty: usize,
    /// The former name of `max_faulty`, still read; [`LedgerConfig::apply_former_names`] moves it over.
    #[serde(default)]
    traitors_survived: Option<usize>,
    /// Blocks in an epoch, when the node founds a ledger of its own.
    pub(crate) epoch_blocks: Option<u64>,
    /// Epochs whose transactions are kept.
    pub(crate) keep_epochs: Option<u64>,
    /// Keep all blocks, for ever.
    #[serde(default)]
    pub(crate) keep_all_blocks: bool,
}

/// Epochs whose transactions a node keeps that serves JSON-RPC: clients come back for receipts.
const EPOCHS_KEPT_FOR_CLIENTS: u64 = 512;

/// Another organisation's validator.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PeerConfig {
    /// Its validator key.
    #[serde(deserialize_with = "key_of")]
    pub(crate) key: [u8; 32],
    /// `host:port`.
    pub(crate) address: String,
}

fn key_of<'de, D: serde::Deserializer<'de>>(text: D) -> Result<[u8; 32], D::Error> {
    let text = String::deserialize(text)?;
    key(&text).ok_or_else(|| serde::de::Error::custom("a validator key has 64 hexadecimal digits"))
}

impl LedgerConfig {
    /// What the others dial. An address that means "all of this machine's" is nothing to dial.
    pub(crate) fn endpoint(&self) -> Option<String> {
        let listen = self.listen.filter(|listen| !listen.ip().is_unspecified());
        self.address.clone().or_else(|| listen.map(|listen| listen.to_string()))
    }

    /// Moves values given under a former name to the present one.
    ///
    /// Returns the warning to log, if a former name was used.
    ///
    /// # Errors
    /// If both names are given.
    fn apply_former_names(&mut self) -> Result<Option<&'static str>> {
        let Some(value) = self.traitors_survived.take() else { return Ok(None) };
        anyhow::ensure!(
            self.max_faulty == 0,
            "ledger.traitors_survived is the former name of ledger.max_faulty: remove it, both are given"
        );
        self.max_faulty = value;
        Ok(Some("The configuration uses ledger.traitors_survived: rename it to ledger.max_faulty"))
    }

    fn is_said(&self) -> bool {
        self.genesis.is_some()
            || self.listen.is_some()
            || self.address.is_some()
            || !self.peers.is_empty()
            || self.max_faulty != 0
            || self.epoch_blocks.is_some()
            || self.keep_epochs.is_some()
            || self.keep_all_blocks
    }

    /// What is kept of past blocks. `serves` others that ask for receipts and events.
    pub(crate) fn history(&self, serves: bool) -> ledger::History {
        match self.keep_epochs {
            _ if self.keep_all_blocks => ledger::History::All,
            Some(epochs) => ledger::History::Epochs(epochs),
            None if serves => ledger::History::Epochs(EPOCHS_KEPT_FOR_CLIENTS),
            None => ledger::History::default(),
        }
    }
}

/// The ledger's JSON-RPC port; without this table there is none.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RpcConfig {
    #[serde(default = "any_port")]
    pub(crate) listen: SocketAddr,
    #[serde(default)]
    pub(crate) token_file: Option<PathBuf>,
    #[serde(default)]
    pub(crate) allow_anonymous: bool,
    #[serde(default)]
    pub(crate) origins: Vec<String>,
    #[serde(default)]
    pub(crate) behind_proxy: bool,
}

fn default_name() -> String {
    "Aceso".to_owned()
}

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Prints a documented configuration.
pub(crate) fn print(role: ConfigRole) -> Result<ExitCode> {
    match role {
        ConfigRole::Node => output::print(format_args!("{NODE_TOML}{CHAIN_TOML}"))?,
        ConfigRole::Gateway => output::print(GATEWAY_TOML)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads and checks a node's configuration.
pub(crate) fn read_node(path: &Path) -> Result<NodeConfig> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let (config, warning) = parse_node(&text).with_context(|| format!("in {}", path.display()))?;
    if let Some(warning) = warning {
        tracing::warn!(path = %path.display(), "{warning}");
    }
    Ok(config)
}

/// Parses and checks a node's configuration, and says what to warn of.
fn parse_node(text: &str) -> Result<(NodeConfig, Option<&'static str>)> {
    let mut config: NodeConfig = toml::from_str(text)?;
    let warning = config.ledger.apply_former_names()?;
    check_node(&config)?;
    Ok((config, warning))
}

fn check_node(config: &NodeConfig) -> Result<()> {
    anyhow::ensure!(
        config.web.ip().is_loopback() || config.web_tls.is_some(),
        "web = \"{}\" is not a loopback address, and pages are served without TLS: name certificate and key with web_tls, or put a TLS terminator in front and bind to 127.0.0.1",
        config.web
    );
    anyhow::ensure!(
        !(config.web_tls.is_some() && config.web_behind_proxy),
        "web_tls and web_behind_proxy are both given: either this node ends TLS or the proxy does; choose one"
    );
    // Before anything is made in the folder: a node that cannot open its socket has founded its ledger in vain.
    operator::check_socket(&config.data_dir.join(operator::SOCKET)).context("data_dir")?;
    if let Some(rpc) = &config.rpc {
        check_rpc(rpc)?;
    }
    if config.chain.is_some() {
        let others = [
            (config.ledger.is_said(), "[ledger]"),
            (config.rpc.is_some(), "[rpc]"),
            (config.heartbeat_ms.is_some(), "heartbeat_ms"),
        ];
        if let Some((_, other)) = others.into_iter().find(|(said, _)| *said) {
            anyhow::bail!(
                "[chain] says that the ledger stands on another network, and {other} is about one in this node: \
                 leave one of them out"
            );
        }
    }
    anyhow::ensure!(
        config.heartbeat_ms.is_none_or(|ms| (100..=10_000).contains(&ms)),
        "heartbeat_ms = {} is outside 100 to 10000",
        config.heartbeat_ms.unwrap_or_default()
    );
    anyhow::ensure!(
        !config.name.trim().is_empty() && config.name.len() <= 64,
        "name must have 1 to 64 bytes"
    );
    check_ledger(&config.ledger)
}

fn check_ledger(ledger: &LedgerConfig) -> Result<()> {
    anyhow::ensure!(
        ledger.peers.is_empty() || ledger.listen.is_some(),
        "[ledger] peers are given but not listen: the others must be able to call back"
    );
    anyhow::ensure!(
        ledger.listen.is_none_or(|listen| listen.port() != 0),
        "[ledger] listen needs a port of its own: the others have to know it"
    );
    for (at, peer) in ledger.peers.iter().enumerate() {
        check_address(&peer.address).with_context(|| format!("[ledger] peers, number {}", at + 1))?;
        anyhow::ensure!(
            ledger.peers[..at].iter().all(|other| other.key != peer.key),
            "[ledger] peers, number {}: this key was named before",
            at + 1
        );
    }
    if let Some(address) = &ledger.address {
        check_address(address).context("[ledger] address")?;
    }
    anyhow::ensure!(
        ledger.genesis.is_none() || ledger.epoch_blocks.is_none(),
        "[ledger] epoch_blocks stands in the genesis document; give it only to found a ledger alone"
    );
    anyhow::ensure!(
        ledger.keep_epochs.is_none_or(|epochs| epochs >= ledger::EPOCHS_MIN),
        "[ledger] keep_epochs must be at least {}",
        ledger::EPOCHS_MIN
    );
    anyhow::ensure!(
        !(ledger.keep_all_blocks && ledger.keep_epochs.is_some()),
        "[ledger] has keep_epochs and keep_all_blocks: choose one"
    );
    Ok(())
}

fn check_rpc(rpc: &RpcConfig) -> Result<()> {
    anyhow::ensure!(
        rpc.listen.ip().is_loopback(),
        "[rpc] listen = \"{}\" is not a loopback address; the token would travel in the clear, so put a TLS terminator in front and bind to 127.0.0.1",
        rpc.listen
    );
    anyhow::ensure!(
        !(rpc.allow_anonymous && rpc.token_file.is_some()),
        "[rpc] has a token_file and allow_anonymous: choose one"
    );
    for origin in &rpc.origins {
        let authority = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        let plain = |text: &str| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
            !text.is_empty() && text.chars().all(allowed)
        };
        anyhow::ensure!(
            authority.is_some_and(plain),
            "[rpc] origins has {origin:?}, which is no origin: write it as \"https://wallet.example\""
        );
    }
    Ok(())
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
    fn the_documented_table_of_another_network_is_a_valid_one_and_stands_alone() {
        let line = |line: &str| match line.strip_prefix("# ") {
            Some(rest) if rest.starts_with('[') || rest.contains(" = ") => format!("{rest}\n"),
            _ => String::new(),
        };
        let table: String = CHAIN_TOML.lines().map(line).collect();
        let node = "data_dir = '/d'\npassphrase_file = '/p'\n";
        let config: NodeConfig = toml::from_str(&format!("{node}{table}")).unwrap();
        check_node(&config).unwrap();
        assert!(config.chain.is_some());
        for other in ["[ledger]\nmax_faulty = 1\n", "[rpc]\n"] {
            let config = toml::from_str(&format!("{node}{table}{other}")).unwrap();
            assert!(check_node(&config).unwrap_err().to_string().contains("leave one of them out"));
        }
    }

    #[test]
    fn nobody_is_told_to_dial_an_address_that_means_every_address() {
        let of = |text: &str| toml::from_str::<LedgerConfig>(text).unwrap().endpoint();
        assert_eq!(of("listen = '0.0.0.0:9700'"), None);
        assert_eq!(of("listen = '10.0.0.7:9700'").unwrap(), "10.0.0.7:9700");
        assert_eq!(of("listen = '0.0.0.0:9700'\naddress = 'h.example:1'").unwrap(), "h.example:1");
    }

    #[test]
    fn what_is_kept_of_past_blocks_is_read_and_fewer_than_two_epochs_are_refused() {
        let of = |lines: &str, serves| {
            let node = "data_dir = '/d'\npassphrase_file = '/p'\n[ledger]\n";
            parse_node(&format!("{node}{lines}")).map(|(config, _)| config.ledger.history(serves))
        };
        assert_eq!(of("", false).unwrap(), ledger::History::Epochs(2));
        assert_eq!(of("", true).unwrap(), ledger::History::Epochs(EPOCHS_KEPT_FOR_CLIENTS));
        assert_eq!(of("keep_epochs = 7\n", true).unwrap(), ledger::History::Epochs(7));
        assert_eq!(of("keep_all_blocks = true\n", false).unwrap(), ledger::History::All);
        let few = of("keep_epochs = 1\n", false).unwrap_err().to_string();
        assert!(few.contains("keep_epochs must be at least 2"), "{few}");
        let both = of("keep_epochs = 9\nkeep_all_blocks = true\n", false).unwrap_err().to_string();
        assert!(both.contains("choose one"), "{both}");
    }

    #[test]
    fn the_former_name_of_max_faulty_is_read_with_a_warning() {
        let node = "data_dir = '/d'\npassphrase_file = '/p'\n[ledger]\n";
        let (config, warning) = parse_node(&format!("{node}traitors_survived = 1\n")).unwrap();
        assert_eq!(config.ledger.max_faulty, 1);
        assert!(warning.unwrap().contains("rename it to ledger.max_faulty"));
        let (config, warning) = parse_node(&format!("{node}max_faulty = 2\n")).unwrap();
        assert_eq!((config.ledger.max_faulty, warning), (2, None));
        let both = parse_node(&format!("{node}max_faulty = 1\ntraitors_survived = 1\n"));
        assert!(both.unwrap_err().to_string().contains("both are given"));
    }

    #[test]
    fn a_misspelt_field_is_named() {
        let error =
            toml::from_str::<NodeConfig>("data_dir = '/d'\npassphrase_file = '/p'\nwep = '127.0.0.1:1'")
                .unwrap_err();
        assert!(error.to_string().contains("wep"), "{error}");
    }

    #[test]
    fn a_wrong_peer_is_named() {
        let key = "8a".repeat(32);
        let peers = |peers: &str| -> Result<()> {
            let text = format!(
                "data_dir = '/d'\npassphrase_file = '/p'\n[ledger]\nlisten = '127.0.0.1:1'\npeers = {peers}"
            );
            check_node(&toml::from_str(&text)?)
        };
        peers(&format!("[{{ key = '{key}', address = 'other.example:1' }}]")).unwrap();
        for (wrong, said) in [
            (format!("[{{ key = '{}', address = 'a:1' }}]", &key[..62]), "64 hexadecimal digits"),
            (format!("[{{ key = '{key}', address = 'a' }}]"), "number 1"),
            (format!("[{{ key = '{key}', address = 'a:0' }}]"), "number 1"),
            (format!("[{{ key = '{key}', address = ':7' }}]"), "number 1"),
            (
                format!("[{{ key = '{key}', address = 'a:1' }}, {{ key = '{key}', address = 'b:1' }}]"),
                "named before",
            ),
        ] {
            let why = format!("{:#}", peers(&wrong).unwrap_err());
            assert!(why.contains(said), "{why}");
        }
        let silent =
            "data_dir = '/d'\npassphrase_file = '/p'\n[ledger]\npeers = [{ key = 'K', address = 'a:1' }]";
        let config = toml::from_str(&silent.replace('K', &key)).unwrap();
        assert!(check_node(&config).unwrap_err().to_string().contains("call back"));
    }

    #[test]
    fn a_token_does_not_travel_in_the_clear_and_origins_are_named_one_by_one() {
        for (table, word) in [
            ("listen = '0.0.0.0:8545'", "loopback"),
            ("origins = ['*']", "no origin"),
            ("origins = ['https://wallet.example/']", "no origin"),
            ("allow_anonymous = true\ntoken_file = '/t'", "choose one"),
        ] {
            let text = format!("data_dir = '/d'\npassphrase_file = '/p'\n[rpc]\n{table}");
            let error = check_node(&toml::from_str(&text).unwrap()).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn pages_are_not_served_in_the_clear_to_the_network() {
        let config: NodeConfig =
            toml::from_str("data_dir = '/d'\npassphrase_file = '/p'\nweb = '0.0.0.0:80'").unwrap();
        assert!(check_node(&config).unwrap_err().to_string().contains("loopback"));
        let text = "data_dir = '/d'\npassphrase_file = '/p'\nweb = '0.0.0.0:443'\n\
                    web_tls = { certificate = '/c.pem', key = '/k.pem' }\n";
        check_node(&toml::from_str(text).unwrap()).unwrap();
        let both = toml::from_str(&format!("{text}web_behind_proxy = true\n")).unwrap();
        assert!(check_node(&both).unwrap_err().to_string().contains("choose one"));
    }
}
