//! How the organisations of a ward found their ledger: by the same commands as anybody else.

use super::places::{House, Places, save};
use super::tell;
use anyhow::{Context, Result};
use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;
use tokio::process::Command;

/// What a ward decides about its ledger.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// Blocks in an epoch.
    pub(super) epoch_blocks: u64,
    /// Organisations that are authorities from the start.
    pub(super) authorities: usize,
}

/// Cards, genesis document and configurations of several organisations.
pub(super) async fn found(places: &Places, houses: &[House], plan: Plan) -> Result<()> {
    let ports = free_ports(houses.len())?;
    for (house, port) in houses.iter().zip(&ports) {
        write_config(house, *port, "")?;
    }
    let cards = houses.iter().map(|house| {
        let (config, card) = (house.node_config().display().to_string(), house.card().display().to_string());
        let work =
            async move { aceso(&["found", "card", "--config", &config, "--out", &card]).await.map(drop) };
        tokio::spawn(work)
    });
    // Collected first: they run side by side.
    for card in cards.collect::<Vec<_>>() {
        card.await??;
    }
    let _ = std::fs::remove_file(places.genesis());
    let (epoch, authorities) = (plan.epoch_blocks.to_string(), plan.authorities.to_string());
    let genesis = places.genesis().display().to_string();
    let cards: Vec<String> = houses.iter().map(|house| house.card().display().to_string()).collect();
    let mut arguments = vec!["found", "genesis", "--name", "Demo Consortium", "--epoch-blocks", &epoch];
    arguments.extend(["--authorities", &authorities, "--out", &genesis]);
    arguments.extend(cards.iter().map(String::as_str));
    aceso(&arguments).await?;
    let peers: Vec<String> = houses
        .iter()
        .map(|house| Ok(crate::founding::Card::read(&house.card())?.0.peer()))
        .collect::<Result<_>>()?;
    for (at, (house, port)) in houses.iter().zip(&ports).enumerate() {
        let others: Vec<&str> =
            (0..).zip(&peers).filter(|(n, _)| *n != at).map(|(_, p)| p.as_str()).collect();
        let ledger = format!("genesis = {genesis:?}\npeers = [\n    {},\n]\n", others.join(",\n    "));
        write_config(house, *port, &ledger)?;
    }
    tell(&format!(
        "Founded:     {} organisations, {} of them authorities, epochs of {} blocks",
        houses.len(),
        plan.authorities,
        plan.epoch_blocks
    ));
    Ok(())
}

fn write_config(house: &House, port: u16, ledger: &str) -> Result<()> {
    let text = format!(
        "data_dir = {:?}\npassphrase_file = {:?}\nname = {:?}\n\n[rpc]\n\n[ledger]\nlisten = \"127.0.0.1:{port}\"\n{ledger}",
        house.node(),
        house.passphrase(),
        house.name(),
    );
    save(&house.node_config(), text.as_bytes())
}

/// Ports that nobody uses now; held together, so that they differ.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    let listeners: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("finding a free port"))
        .collect::<Result<_>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

/// Runs this same program to its end.
async fn aceso(arguments: &[&str]) -> Result<String> {
    let program = std::env::current_exe().context("finding this program's own file")?;
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().await?;
    anyhow::ensure!(
        output.status.success(),
        "`aceso {}` failed: {}",
        arguments.get(..2).unwrap_or(arguments).join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
