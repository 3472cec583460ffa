//! `aceso administrator`: the first account of a new node. Who owns the data folder makes it, through the
//! operator API (decision 003).

use super::ask::ask;
use crate::config::read_secret;
use anyhow::Result;
use operator::FirstAdministrator;
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `aceso administrator`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The node's configuration.
    #[arg(long)]
    config: PathBuf,
    /// What the administrator signs in as.
    #[arg(long)]
    login: String,
    /// The administrator's name, as people are shown it.
    #[arg(long)]
    name: String,
    /// File whose first line is the administrator's password.
    #[arg(long)]
    password_file: PathBuf,
}

/// Makes the account and waits until it is on the ledger.
pub(crate) fn run(options: Options) -> Result<ExitCode> {
    let Options { config, login, name, password_file } = options;
    let password = read_secret(&password_file)?;
    ask(&config, FirstAdministrator { login, name, password })?;
    Ok(ExitCode::SUCCESS)
}
