//! The one binary: wiring, command line, configuration, telemetry.

mod chain;
mod checkpoint;
mod child;
mod cli;
mod clock;
mod closed;
mod config;
mod control;
mod first;
mod founding;
mod gateway_role;
mod look;
mod motion;
mod node;
mod report;
mod seal;
mod simulate;
mod snapshot;
mod telemetry;
mod validator;
mod verify;
mod ward;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run(cli::Cli::parse())
}
