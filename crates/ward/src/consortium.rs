//! How the organisations of a ward found their ledger: by the same commands as anybody else.

use crate::folders::{HospitalFolder, WardFolder, save};
use crate::output::say;
use crate::role::Program;
use anyhow::{Context, Result};
use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;
use tokio::process::Command;
use vitals::proof::genesis::GenesisDocument;

/// What a ward decides about its ledger.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Blocks in an epoch, if not as many as usual.
    pub(crate) epoch_blocks: Option<u64>,
    /// Organisations that are authorities from the start.
    pub(crate) authorities: usize,
}

/// Cards, genesis document and configurations of several organisations.
pub(crate) async fn found(ward_folder: &WardFolder, folders: &[HospitalFolder], plan: Plan) -> Result<()> {
    let ports = free_ports(folders.len())?;
    for (folder, port) in folders.iter().zip(&ports) {
        write_config(folder, *port, "")?;
    }
    let cards = folders.iter().map(|folder| {
        let (config, card) =
            (folder.node_config().display().to_string(), folder.card().display().to_string());
        let work =
            async move { aceso(&["found", "card", "--config", &config, "--out", &card]).await.map(drop) };
        tokio::spawn(work)
    });
    // Collected first: they run side by side.
    for card in cards.collect::<Vec<_>>() {
        card.await??;
    }
    let _ = std::fs::remove_file(ward_folder.genesis());
    let authorities = plan.authorities.to_string();
    let genesis = ward_folder.genesis().display().to_string();
    let cards: Vec<String> = folders.iter().map(|folder| folder.card().display().to_string()).collect();
    let mut arguments = vec!["found", "genesis", "--name", "Demo Consortium"];
    arguments.extend(["--authorities", &authorities, "--out", &genesis]);
    let epoch = plan.epoch_blocks.map(|blocks| blocks.to_string());
    if let Some(blocks) = &epoch {
        arguments.extend(["--epoch-blocks", blocks]);
    }
    arguments.extend(cards.iter().map(String::as_str));
    // It prints the line with which the others name each founder in their configuration.
    let printed = aceso(&arguments).await?;
    let peers: Vec<&str> = folders
        .iter()
        .map(|folder| {
            let line = printed.lines().find(|line| line.trim_start().starts_with(&folder.name()));
            line.and_then(|line| Some(&line[line.find('{')?..]))
                .with_context(|| format!("`aceso found genesis` did not name {}", folder.name()))
        })
        .collect::<Result<_>>()?;
    let document = GenesisDocument::decode(&std::fs::read(ward_folder.genesis())?)
        .context("reading the genesis document")?;
    for (at, (folder, port)) in folders.iter().zip(&ports).enumerate() {
        let others: Vec<&str> = (0..).zip(&peers).filter(|(n, _)| *n != at).map(|(_, peer)| *peer).collect();
        let ledger = format!("genesis = {genesis:?}\npeers = [\n    {},\n]\n", others.join(",\n    "));
        write_config(folder, *port, &ledger)?;
    }
    say(&format!(
        "Founded:     {} organisations, {} of them authorities, epochs of {} blocks",
        folders.len(),
        plan.authorities,
        document.epoch_blocks
    ));
    Ok(())
}

fn write_config(folder: &HospitalFolder, port: u16, ledger: &str) -> Result<()> {
    let text = format!(
        "data_dir = {:?}\npassphrase_file = {:?}\nname = {:?}\n\n[rpc]\n\n[ledger]\nlisten = \"127.0.0.1:{port}\"\n{ledger}",
        folder.node(),
        folder.passphrase(),
        folder.name(),
    );
    save(&folder.node_config(), text.as_bytes())
}

/// Ports that nobody uses now; held together, so that they differ.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    let listeners: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("finding a free port"))
        .collect::<Result<_>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

/// Runs `aceso` to its end.
async fn aceso(arguments: &[&str]) -> Result<String> {
    let output = Command::new(Program::Aceso.file()?).args(arguments).stdin(Stdio::null()).output().await?;
    anyhow::ensure!(
        output.status.success(),
        "`aceso {}` failed: {}",
        arguments.get(..2).unwrap_or(arguments).join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
