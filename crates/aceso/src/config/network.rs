//! How to reach another Ethereum network.

use super::secret::read_secret;
use anyhow::{Context, Result};
use ledger::remote::Network;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use vitals::proof::genesis::GenesisDocument;

/// How to reach a network: a file for `aceso chain`, the table `[chain]` of a node.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChainConfig {
    url: String,
    pub(crate) chain_id: u64,
    confirmations: u64,
    #[serde(default)]
    first_block: u64,
    genesis: Option<PathBuf>,
    bearer_file: Option<PathBuf>,
    #[serde(default)]
    private_way: bool,
    #[serde(default)]
    fee_wei_max: u64,
    #[serde(default)]
    tip_wei: u64,
    #[serde(default)]
    public_allowed: bool,
}

impl ChainConfig {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("in {}", path.display()))
    }

    pub(crate) fn network(&self) -> Result<Network> {
        let mut network = Network::new(&self.url, self.chain_id, self.confirmations);
        network.bearer = self.bearer_file.as_deref().map(read_secret).transpose()?;
        network.first_block = self.first_block;
        network.private_way = self.private_way;
        network.fee_wei_max = self.fee_wei_max;
        network.tip_wei = self.tip_wei;
        network.public_allowed = self.public_allowed;
        Ok(network)
    }

    pub(crate) fn document(&self) -> Result<GenesisDocument> {
        let path = self.genesis.as_deref().context("genesis = \"FILE\" is missing")?;
        let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        GenesisDocument::decode(&bytes).with_context(|| format!("{} is no genesis document", path.display()))
    }
}
