//! `aceso snapshot`: the state of an epoch's end, carried to a node that joins late.

use super::ask::SignIn;
use super::verify;
use crate::config;
use crate::node::snapshot_import;
use anyhow::{Context, Result, anyhow};
use host::output;
use operator::WriteSnapshot;
use std::path::PathBuf;
use std::process::ExitCode;
use vitals::proof::checkpoint::Pins;

const DAY_MS: u64 = 86_400_000;

/// Options of `aceso snapshot`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    step: Step,
}

#[derive(Debug, clap::Subcommand)]
enum Step {
    /// Write the state after the newest epoch's last block to a file, through a running node.
    Export {
        /// The file; one that is there is replaced.
        file: PathBuf,
        #[command(flatten)]
        sign_in: SignIn,
    },
    /// Begin the ledger of a node that joined and was never started (or whose key was renewed) with such a
    /// file, whoever it comes from: everything in it is checked.
    Import {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        begin: Begin,
    },
    /// The same, asking the node's configured peers over the links between validators. They know the node from
    /// the moment its validator is proposed. Interrupted and begun again, it goes on where it was.
    Fetch {
        #[command(flatten)]
        begin: Begin,
    },
}

/// At which node, and what its operator knows already.
#[derive(Debug, clap::Args)]
struct Begin {
    /// The node's configuration. The node must be stopped.
    #[arg(long)]
    config: PathBuf,
    /// Take nothing older than this checkpoint, and only what goes on from it. More than half of the founders
    /// must have signed it.
    #[arg(long)]
    checkpoint: Option<PathBuf>,
    /// Oldest checkpoint you accept, days.
    #[arg(long, value_name = "DAYS", default_value_t = 30, requires = "checkpoint")]
    age_days: u64,
}

/// Runs one step.
pub(crate) fn run(options: Options) -> Result<ExitCode> {
    let (begin, file) = match options.step {
        Step::Export { file, sign_in } => {
            let file = std::path::absolute(file).context("the file's place")?;
            let written = sign_in.ask(|token| WriteSnapshot { token, file })?;
            output::print_line(format_args!(
                "The state after block {}: {} bytes",
                written.height, written.bytes
            ))?;
            return Ok(ExitCode::SUCCESS);
        }
        Step::Import { file, begin } => (begin, Some(file)),
        Step::Fetch { begin } => {
            host::logs::start(false);
            (begin, None)
        }
    };
    let config = config::read_node(&begin.config)?;
    let checkpoint = begin.checkpoint.as_deref().map(verify::read_checkpoint).transpose();
    let checkpoint = checkpoint.map_err(|why| anyhow!(why))?;
    let pins = Pins::founders(begin.age_days.saturating_mul(DAY_MS));
    let taken =
        snapshot_import::import(&config, checkpoint.map(|checkpoint| (checkpoint, pins)), file.as_deref())?;
    output::print_line(format_args!(
        "The ledger begins at block {}, certified by {} validators",
        taken.height, taken.signers
    ))?;
    output::print_line("Start the node: it follows the others from there.")?;
    Ok(ExitCode::SUCCESS)
}
