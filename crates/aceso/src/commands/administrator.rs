//! `aceso administrator`: the first account of a new node. Who owns the data folder makes it, through the
//! operator API (decision 003).

use super::ask::SignIn;
use anyhow::Result;
use operator::FirstAdministrator;
use std::process::ExitCode;

/// Options of `aceso administrator`.
#[derive(Debug, clap::Args)]
#[command(mut_arg("login", |login| login.help("What the administrator signs in as")))]
pub(crate) struct Options {
    #[command(flatten)]
    sign_in: SignIn,
    /// The administrator's name, as people are shown it.
    #[arg(long)]
    name: String,
}

/// Makes the account and waits until it is on the ledger.
pub(crate) fn run(options: Options) -> Result<ExitCode> {
    let Options { sign_in, name } = options;
    sign_in.ask_with(|login, password| FirstAdministrator { login, name, password })?;
    Ok(ExitCode::SUCCESS)
}
