//! What a hospital installs: node, gateway and the tools of their operators. Wiring, command line, configuration.

mod card;
mod clean_shutdown;
mod cli;
mod commands;
mod config;
mod node;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run(cli::Cli::parse())
}
