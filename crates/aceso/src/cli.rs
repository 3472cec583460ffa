//! The command line.

use crate::commands::{
    account, administrator, chain, checkpoint, found, gateway, generate, ledger, seal, snapshot, validator,
    verify,
};
use crate::{config, node};
use clap::{CommandFactory, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

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
    /// Run an organisation's node.
    Node {
        /// Configuration file; see `aceso config node`.
        #[arg(long)]
        config: PathBuf,
    },
    /// Create the first administrator of a running node; all others are created on the pages.
    Administrator(administrator::Options),
    /// Found a ledger with other organisations: cards first, then the genesis document.
    Found {
        /// Which step.
        #[command(subcommand)]
        step: found::Found,
    },
    /// Prepare a data folder to follow a ledger that others founded.
    Join(found::Join),
    /// An authority's own commands: where it stands, votes, a new key.
    Validator {
        /// Which step.
        #[command(subcommand)]
        step: validator::Validator,
    },
    /// Run a bedside gateway.
    Gateway(gateway::Options),
    /// Seal readings for a device of another maker.
    Seal(seal::Options),
    /// The organisation's account on the ledger.
    Account {
        #[command(subcommand)]
        step: Account,
    },
    /// Look into the ledger of a running node: blocks, transactions, validators.
    Ledger(ledger::Options),
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
    /// Print a completion script for a shell.
    Completion {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Write manual pages, one for each command.
    Man {
        /// The folder they go to.
        #[arg(long)]
        out: PathBuf,
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
        Command::Config { role } => config::print(role),
        Command::Completion { shell } => generate::completion(Cli::command(), shell),
        Command::Man { out } => generate::man(Cli::command(), &out),
        Command::Checkpoint(options) => checkpoint::run(&options),
        Command::Account { step: Account::Show { config } } => account::show(&config),
        Command::Account { step: Account::Export { config, out } } => account::export(&config, &out),
        Command::Seal(options) => seal::run(options),
        Command::Chain(options) => chain::run(&options),
        Command::Snapshot(options) => snapshot::run(options),
        Command::Administrator(options) => administrator::run(options),
        Command::Found { step } => found::run(&step),
        Command::Join(options) => found::join(&options),
        Command::Validator { step } => validator::run(step),
        Command::Ledger(options) => ledger::run(options),
        Command::Node { config } => {
            host::memory::give_back();
            host::logs::start(log_json);
            node::run(&config)
        }
        Command::Gateway(options) => {
            host::memory::give_back();
            host::logs::start(log_json);
            gateway::run(&options)
        }
    };
    outcome.unwrap_or_else(|error| {
        host::output::complain(format_args!("aceso: {}", host::sentence(error.as_ref())));
        ExitCode::FAILURE
    })
}
