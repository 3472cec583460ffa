//! The command line.

use crate::{
    chain, checkpoint, config, first, founding, gateway_role, look, node, seal, simulate, snapshot,
    telemetry, validator, verify, ward,
};
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Aceso: readings sealed at the bedside, provable at the hospital.
#[derive(Debug, Parser)]
#[command(name = "aceso", version, about, long_about = None)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Write logs as JSON lines.
    #[arg(long, global = true)]
    log_json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a whole ward on this machine: one node, one gateway, virtual patients.
    Ward(ward::Options),
    /// Run an organisation's node.
    Node {
        /// Configuration file; see `aceso config node`.
        #[arg(long)]
        config: PathBuf,
    },
    /// Make the first administrator of a running node; whoever comes after is made on the pages.
    Administrator(first::Options),
    /// Found a ledger with other organisations: cards first, then the genesis document.
    Found {
        /// Which step.
        #[command(subcommand)]
        step: founding::Found,
    },
    /// Prepare a data folder to follow a ledger that others founded.
    Join(founding::Join),
    /// An authority's own commands: where it stands, votes, a new key.
    Validator {
        /// Which step.
        #[command(subcommand)]
        step: validator::Validator,
    },
    /// Run a bedside gateway.
    Gateway(gateway_role::Options),
    /// Run virtual boards on pseudo-terminals.
    Simulate(simulate::Options),
    /// Seal readings for a device of another maker.
    Seal(seal::Options),
    /// The organisation's account on the ledger.
    Account {
        #[command(subcommand)]
        step: Account,
    },
    /// Look into the ledger of a running node: blocks, transactions, validators.
    Ledger(look::Options),
    /// Check an exported bundle offline.
    Verify(verify::Options),
    /// Make, sign and show checkpoints of the ledger.
    Checkpoint(checkpoint::Options),
    /// Hand the ledger's state to a node that joins late, or begin with one.
    Snapshot(snapshot::Options),
    /// Put the ledger's contracts on another Ethereum network, or look whether they stand there.
    Chain(chain::Options),
    /// Print a documented configuration file.
    Config {
        /// Whose.
        #[arg(value_enum)]
        role: config::ConfigRole,
    },
}

#[derive(Debug, clap::Subcommand)]
enum Account {
    /// Print who the organisation is to the others: its record key and its account on the ledger. The node must
    /// be stopped; its keys are made at the first call.
    Show {
        /// The node's configuration file.
        #[arg(long)]
        config: PathBuf,
    },
    /// Write its secret key to a new file, for a tool that signs for itself. The node must be stopped. Whoever
    /// has the key acts in the organisation's name.
    Export {
        /// The node's configuration file.
        #[arg(long)]
        config: PathBuf,
        /// The key goes here: 0x and 64 hexadecimal digits, readable by its owner only.
        #[arg(long)]
        out: PathBuf,
    },
}

/// Runs the command; errors become sentences on standard error and exit code 1.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let log_json = cli.log_json;
    let outcome = match cli.command {
        Command::Verify(options) => return verify::run(&options),
        Command::Config { role } => {
            config::print(role);
            Ok(ExitCode::SUCCESS)
        }
        Command::Checkpoint(options) => checkpoint::run(&options),
        Command::Account { step: Account::Show { config } } => node::show(&config),
        Command::Account { step: Account::Export { config, out } } => node::export(&config, &out),
        Command::Seal(options) => seal::run(options),
        Command::Chain(options) => chain::run(&options),
        Command::Snapshot(options) => snapshot::run(options),
        Command::Ward(options) => ward::run(options),
        Command::Administrator(options) => first::run(options),
        Command::Found { step } => founding::run(&step),
        Command::Join(options) => founding::join(&options),
        Command::Validator { step } => validator::run(step),
        Command::Ledger(options) => look::run(options),
        Command::Node { config } => {
            telemetry::start(log_json);
            node::run(&config)
        }
        Command::Gateway(options) => {
            telemetry::start(log_json);
            gateway_role::run(&options)
        }
        Command::Simulate(options) => {
            telemetry::start(log_json);
            simulate::run(&options)
        }
    };
    outcome.unwrap_or_else(|error| {
        complain(&error);
        ExitCode::FAILURE
    })
}

#[allow(clippy::print_stderr, reason = "errors of a command go to the person who typed it")]
fn complain(error: &anyhow::Error) {
    eprintln!("aceso: {error:#}");
}

/// Reads `500ms`, `30s`, `10m` or `2h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let count: u64 =
        digits.parse().map_err(|_| format!("`{text}` is not a duration; write for example 30s or 10m"))?;
    match &text[digits.len()..] {
        "ms" => Ok(Duration::from_millis(count)),
        "s" => Ok(Duration::from_secs(count)),
        "m" => Ok(Duration::from_secs(count * 60)),
        "h" => Ok(Duration::from_secs(count * 3600)),
        "" => Err(format!("`{text}` has no unit of time; write for example {text}s or {text}m")),
        unit => Err(format!("`{unit}` is not a unit of time; use ms, s, m or h")),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn durations_are_read_with_their_unit() {
        assert_eq!(super::duration("30s").unwrap().as_secs(), 30);
        assert_eq!(super::duration("250ms").unwrap().as_millis(), 250);
        assert_eq!(super::duration("2h").unwrap().as_secs(), 7200);
        assert!(super::duration("30").unwrap_err().contains("has no unit of time; write for example 30s"));
        assert!(super::duration("30d").unwrap_err().contains("`d` is not a unit"));
        assert!(super::duration("soon").unwrap_err().contains("not a duration"));
    }
}
