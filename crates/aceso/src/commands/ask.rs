//! Asks a running node one thing and waits for the answer.

use crate::config::{read_node, read_secret};
use anyhow::Result;
use operator::{Call, Client};
use std::path::Path;

fn wait<T>(answer: impl Future<Output = Result<T, operator::OperatorError>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(answer)?)
}

/// Asks the node of this configuration, as nobody.
pub(super) fn ask<C: Call>(config: &Path, call: C) -> Result<C::Answer> {
    wait(Client::of(&read_node(config)?.data_dir).ask(call))
}

/// Signs in at the node that keeps this data folder, and asks as that person.
pub(super) fn ask_as<C: Call>(
    data_dir: &Path,
    login: &str,
    password_file: &Path,
    call: impl FnOnce(String) -> C,
) -> Result<C::Answer> {
    wait(Client::of(data_dir).ask_as(login.to_owned(), read_secret(password_file)?, call))
}
