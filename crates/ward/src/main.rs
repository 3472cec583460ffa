//! A whole set-up in miniature: boards, gateways, nodes and people, each in its own process, for demonstrations
//! and tests. Nodes and gateways are `aceso` itself, the binary that a hospital installs; the virtual boards are
//! this one (`aceso-ward simulate`). Decision 156.

mod agreement;
mod boards;
mod consortium;
mod duration;
mod finish;
mod folders;
mod heights;
mod hospital;
mod https;
mod kill;
mod options;
mod output;
mod people;
mod report;
mod role;
mod running;
mod story;
mod ward;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// A whole ward on this machine: nodes, gateways and virtual patients, with real processes and real files.
#[derive(Debug, Parser)]
#[command(name = "aceso-ward", version, about, long_about = None, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    ward: options::Options,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run virtual boards on pseudo-terminals, or tell running ones what happens.
    Simulate(boards::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        None => ward::run(&cli.ward),
        Some(Command::Simulate(options)) => {
            host::logs::start(false);
            boards::run(&options)
        }
    };
    outcome.unwrap_or_else(|error| {
        host::output::complain(format_args!("aceso-ward: {}", host::sentence(error.as_ref())));
        ExitCode::FAILURE
    })
}
