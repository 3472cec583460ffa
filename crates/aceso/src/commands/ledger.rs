//! `aceso ledger`: the ledger of a running node laid open, as its page `/ledger` does for administrators
//! and auditors. Asked through the operator API, where one signs in as on the pages.

mod render;

use super::ask::SignIn;
use anyhow::Result;
use host::{clock, output};
use operator::{LedgerQuery, QueryLedger};
use std::process::ExitCode;

/// Look into the ledger of a running node.
#[derive(Debug, clap::Args)]
#[command(mut_arg("login", |login| login.help("An administrator's or auditor's login")))]
pub(crate) struct Options {
    #[command(flatten)]
    sign_in: SignIn,
    /// The answer as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    query: Query,
}

/// What to look at.
#[derive(Debug, clap::Subcommand)]
enum Query {
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

impl From<Query> for LedgerQuery {
    fn from(query: Query) -> Self {
        match query {
            Query::Blocks { before, most, organisation } => Self::Blocks { before, most, organisation },
            Query::Block { height, first } => Self::Block { height, first },
            Query::Tx { id } => Self::Tx { id },
            Query::Authorities => Self::Authorities,
            Query::Evidence => Self::Evidence,
            Query::Health => Self::Health,
        }
    }
}

/// Runs it.
pub(crate) fn run(options: Options) -> Result<ExitCode> {
    let Options { sign_in, json, query } = options;
    let found = sign_in.ask(|token| QueryLedger { token, query: query.into() })?;
    if json {
        // Through a value: its fields are sorted by name, as they always were.
        output::print_line(serde_json::to_string_pretty(&serde_json::to_value(found)?)?)?;
    } else {
        output::print(render::text(&found, clock::now_ms()))?;
    }
    Ok(ExitCode::SUCCESS)
}
