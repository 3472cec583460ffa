//! Asks a running node one thing and waits for the answer.

use crate::config::{read_node, read_secret};
use anyhow::{Context, Result};
use operator::{Call, Client};
use std::path::{Path, PathBuf};

/// Who asks, at which node: the options of every command for which a person signs in.
#[derive(Debug, clap::Args)]
pub(crate) struct SignIn {
    #[command(flatten)]
    node: Node,
    /// An administrator's login.
    #[arg(long)]
    login: String,
    /// File whose first line is the password.
    #[arg(long)]
    password_file: PathBuf,
}

/// The node that is asked.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Node {
    /// The node's configuration.
    #[arg(long)]
    config: Option<PathBuf>,
    /// The node's data folder, in place of its configuration.
    #[arg(long)]
    data_dir: Option<PathBuf>,
}

impl SignIn {
    /// Signs in, and asks as that person.
    pub(super) fn ask<C: Call>(&self, call: impl FnOnce(String) -> C) -> Result<C::Answer> {
        wait(self.client()?.ask_as(self.login.clone(), self.password()?, call))
    }

    /// Asks as nobody for something that is done with the login and the password.
    pub(super) fn ask_with<C: Call>(&self, call: impl FnOnce(String, String) -> C) -> Result<C::Answer> {
        wait(self.client()?.ask(call(self.login.clone(), self.password()?)))
    }

    fn client(&self) -> Result<Client> {
        let Node { config, data_dir } = &self.node;
        Ok(match data_dir {
            Some(data_dir) => Client::of(data_dir),
            None => client(config.as_deref().context("--config is missing")?)?,
        })
    }

    fn password(&self) -> Result<String> {
        read_secret(&self.password_file)
    }
}

fn client(config: &Path) -> Result<Client> {
    Ok(Client::of(&read_node(config)?.data_dir))
}

fn wait<T>(answer: impl Future<Output = Result<T, operator::OperatorError>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(answer)?)
}

/// Asks the node of this configuration, as nobody.
pub(super) fn ask<C: Call>(config: &Path, call: C) -> Result<C::Answer> {
    wait(client(config)?.ask(call))
}
