//! `aceso administrator`: the first account of a new node. Who owns the data folder makes it, through the
//! operator's door (decision 003).

use crate::config;
use crate::control::{self, Request};
use anyhow::Result;
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
    let password = config::read_secret(&password_file)?;
    let socket = config::read_node(&config)?.data_dir.join("control.sock");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let request = Request::FirstAdministrator { login, name, password };
    runtime.block_on(control::ask(&socket, &request))?;
    Ok(ExitCode::SUCCESS)
}
