//! `aceso ledger`: the ledger of a running node laid open, as its page `/ledger` does for administrators
//! and auditors. Asked through the operator's door, where one signs in as on the pages.

mod answer;
mod told;

pub(crate) use answer::answer;

use crate::control::{self, Request};
use crate::{clock, config};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::process::ExitCode;

/// Look into the ledger of a running node.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The node's configuration.
    #[arg(long)]
    config: PathBuf,
    /// An administrator's or auditor's login.
    #[arg(long)]
    login: String,
    /// File whose first line is that person's password.
    #[arg(long)]
    password_file: PathBuf,
    /// The answer as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    look: Look,
}

/// What to look at.
#[derive(Debug, Clone, Serialize, Deserialize, clap::Subcommand)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Look {
    /// Blocks, newest first.
    Blocks {
        /// Only blocks below this height.
        #[arg(long)]
        before: Option<u64>,
        /// At most so many (100).
        #[arg(long, default_value_t = 20)]
        most: usize,
        /// Only blocks with a transaction of this organisation (32 hexadecimal digits).
        #[arg(long)]
        organisation: Option<String>,
    },
    /// One block with its transactions.
    Block {
        /// Its height.
        height: u64,
        /// Place of the first transaction shown.
        #[arg(long, default_value_t = 0)]
        first: usize,
    },
    /// One transaction.
    Tx {
        /// Its name, 64 hexadecimal digits.
        id: String,
    },
    /// Who agrees on blocks, and what may change that.
    Authorities,
    /// Validators that contradicted themselves.
    Evidence,
    /// How each validator is.
    Health,
}

/// Runs it.
#[allow(clippy::print_stdout, reason = "what a command found out goes to the person who typed it")]
pub(crate) fn run(options: Options) -> Result<ExitCode> {
    let Options { config, login, password_file, json, look } = options;
    let socket = config::read_node(&config)?.data_dir.join("control.sock");
    let said = control::ask_as(&socket, &login, &password_file, |token| Request::Look {
        token,
        look: look.clone(),
    })?;
    if json {
        println!("{}", serde_json::to_string_pretty(&said)?);
    } else {
        print!("{}", told::told(&look, &said, clock::now_ms()));
    }
    Ok(ExitCode::SUCCESS)
}
