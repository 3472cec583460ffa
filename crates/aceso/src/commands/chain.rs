//! The ledger's contracts on another Ethereum network: put them there, and look whether they stand.

use crate::config::{self, ChainConfig};
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use host::{clock, output};
use ledger::genesis::Founding;
use ledger::remote;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use vitals::proof::genesis::Founder;

/// What to do on another network.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Is this the network, and do the contracts of this build stand there?
    Check {
        /// How to reach the network.
        #[arg(long)]
        config: PathBuf,
        /// An account (40 hex digits): does it send for an organisation?
        #[arg(long, value_parser = hex_of::<20>)]
        sender: Option<Hex<20>>,
    },
    /// Create the contracts on a network, with these founders inside.
    Deploy {
        /// How to reach the network; its `genesis` and `first_block` are not read.
        #[arg(long)]
        config: PathBuf,
        /// File whose first line is the deploying account's secret, 64 hex digits.
        #[arg(long)]
        key: PathBuf,
        /// The ledger's name for people.
        #[arg(long)]
        name: String,
        /// A founding organisation: record key (64 hex digits), a colon, its sender's address (40).
        #[arg(long = "founder", value_parser = founder, required = true)]
        founders: Vec<Founder>,
        /// Where to write the genesis document; must not exist.
        #[arg(long)]
        genesis: PathBuf,
    },
}

/// Bytes written in hexadecimal, with or without `0x`.
#[derive(Debug, Clone, Copy)]
struct Hex<const N: usize>([u8; N]);

fn hex_of<const N: usize>(text: &str) -> Result<Hex<N>, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let bytes = hex::decode(digits).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.map(Hex).ok_or_else(|| format!("{} hexadecimal digits are needed", 2 * N))
}

fn founder(text: &str) -> Result<Founder, String> {
    let (record_key, sender) = text.split_once(':').ok_or("RECORD_KEY:SENDER is needed")?;
    Ok(Founder { record_key: hex_of(record_key)?.0, sender: hex_of(sender)?.0 })
}

/// Runs the command.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    match &options.command {
        Command::Check { config, sender } => {
            check(&ChainConfig::read(config)?, sender.map(|sender| sender.0))
        }
        Command::Deploy { config, key, name, founders, genesis } => {
            deploy(&ChainConfig::read(config)?, key, name, founders, genesis)
        }
    }
}

fn check(config: &ChainConfig, sender: Option<[u8; 20]>) -> Result<ExitCode> {
    let (network, document) = (config.network()?, config.document()?);
    let found = remote::check(&network, &document, sender).context("checking the network")?;
    output::print_line(format_args!("chain {}, block {}", document.chain_id, found.height))?;
    output::print_line(format_args!(
        "ledger {} ({}), {} contracts stand as built",
        document.hash(),
        document.name,
        document.contracts.len()
    ))?;
    for founder in &document.founders {
        output::print_line(format_args!("founded by organisation {}", founder.org()))?;
    }
    match (sender, found.sends_for) {
        (Some(_), Some(org)) => output::print_line(format_args!(
            "the sender acts for organisation {org}; its next nonce is {}",
            found.nonce
        ))?,
        (Some(_), None) => {
            anyhow::bail!("the sender acts for no active organisation: the contracts would refuse it")
        }
        (None, _) => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn deploy(
    config: &ChainConfig,
    key: &Path,
    name: &str,
    founders: &[Founder],
    genesis: &Path,
) -> Result<ExitCode> {
    anyhow::ensure!(!name.trim().is_empty() && name.len() <= 64, "--name must have 1 to 64 bytes");
    anyhow::ensure!(
        !genesis.exists(),
        "{} exists: it may be a ledger's; choose another file",
        genesis.display()
    );
    let secret = hex_of::<32>(config::read_secret(key)?.trim())
        .map_err(|why| anyhow::anyhow!("{}: {why}", key.display()))?;
    let deployed = remote::deploy(
        &config.network()?,
        &secret.0,
        Founding {
            chain_id: config.chain_id,
            name: name.to_owned(),
            time_ms: clock::now_ms(),
            epoch_blocks: ledger::EPOCH_BLOCKS,
            committee: Vec::new(),
            operators: Vec::new(),
            founders: founders.to_vec(),
            salt: clock::random(),
        },
    )
    .context("creating the contracts")?;
    std::fs::write(genesis, deployed.document.encode())
        .with_context(|| format!("writing {}", genesis.display()))?;
    // As a configuration wants it, wherever the one who reads it stands.
    output::print_line(format_args!("genesis = {:?}", std::path::absolute(genesis)?))?;
    output::print_line(format_args!("first_block = {}", deployed.first_block))?;
    output::print_line(format_args!("# ledger {}", deployed.document.hash()))?;
    Ok(ExitCode::SUCCESS)
}
