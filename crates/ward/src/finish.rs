//! The end of a run: everything home, proven and compared; then the report.

use crate::agreement;
use crate::boards::BoardsDone;
use crate::hospital::Hospital;
use crate::options::Options;
use crate::output::say;
use crate::report::{GatewayFigures, HospitalFigures, Report};
use crate::role::Role;
use crate::running::Running;
use anyhow::{Context, Result};
use host::clock;
use operator::{ExportBundle, GetReport};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long a gateway may take to bring home what it has sealed.
const DRAIN_WITHIN: Duration = Duration::from_secs(45);
/// How long a node or the boards may take to stop.
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// What a node says when it has stopped: nothing.
#[derive(Deserialize)]
struct NodeDone {}

/// Stops in order and reports.
pub(crate) async fn finish(
    options: &Options,
    running: Running,
    genesis: String,
    patients: usize,
    started: Instant,
) -> Result<ExitCode> {
    let Running { boards, mut hospitals, heights, kills, story, .. } = running;
    let several = hospitals.len() > 1;
    say(if several {
        "Stopping: boards first, then the gateways once everything they sealed is proven, then the nodes"
    } else {
        "Stopping: boards first, then the gateway once everything it sealed is proven, then the node"
    });
    for hospital in &mut hospitals {
        hospital.settle().await?;
    }
    let _: BoardsDone = boards.stop(STOP_WITHIN).await?;
    let gateways: Vec<GatewayFigures> =
        stop_all(hospitals.iter_mut().map(|hospital| hospital.gateway.take()), DRAIN_WITHIN).await?;
    let agreed = if several { Some(agreement::check(&hospitals).await?) } else { None };
    let mut figures = Vec::new();
    for (hospital, gateway) in hospitals.iter().zip(gateways) {
        figures.push(HospitalFigures {
            name: hospital.folder.name(),
            org: hospital.ready.org.clone(),
            validator: hospital.ready.validator.clone().unwrap_or_default(),
            killed: kills.iter().any(|kill| kill.nodes.contains(&hospital.folder.role("node")))
                || !hospital.ended.is_empty(),
            ended: hospital.ended.clone(),
            gateway,
            node: hospital.ask(GetReport {}).await?,
            ledger: agreement::figures(hospital).await?,
        });
    }
    if let Some(file) = &options.bundle {
        bundles(file, &hospitals).await?;
    }
    let (blocks, watched) = heights.made();
    let _: Vec<NodeDone> =
        stop_all(hospitals.iter_mut().map(|hospital| hospital.node.take()), STOP_WITHIN).await?;
    let seconds = clock::instant().duration_since(started).as_secs_f64();
    let ledger = agreed.map(|agreed| agreement::together(&figures, agreed, blocks, watched.as_secs_f64()));
    let mut report = Report::of(genesis, seconds, patients, figures);
    (report.ledger, report.kills, report.story) = (ledger, kills, story);
    report.judge();
    if several {
        table(&report, &hospitals);
    }
    close(options, &report)
}

/// Stops several processes side by side and takes their last words.
async fn stop_all<T: DeserializeOwned + Send + 'static>(
    roles: impl Iterator<Item = Option<Role>>,
    within: Duration,
) -> Result<Vec<T>> {
    let stopping: Vec<_> = roles
        .map(|role| {
            let role = role.context("a process of the ward runs until it is stopped");
            tokio::spawn(async move { role?.stop(within).await })
        })
        .collect();
    let mut words = Vec::new();
    for one in stopping {
        words.push(one.await??);
    }
    Ok(words)
}

fn table(report: &Report, hospitals: &[Hospital]) {
    say("");
    say(&format!(
        "{:<12} {:>8} {:>8} {:>8} {:>8} {:>8} {:>10} {:>12}",
        "", "sealed", "stored", "proven", "anchors", "height", "live p99", "final p99"
    ));
    for (figures, _) in report.hospitals.iter().zip(hospitals) {
        let (gateway, node) = (&figures.gateway, &figures.node);
        let sealed: u64 = gateway.streams.values().sum();
        let stored: u64 = gateway.streams.keys().filter_map(|stream| node.streams.get(stream)).sum();
        say(&format!(
            "{:<12} {:>8} {:>8} {:>8} {:>8} {:>8} {:>7} ms {:>9} ms",
            figures.name,
            sealed,
            stored,
            sealed.saturating_sub(gateway.envelopes_pending),
            node.anchors,
            figures.ledger.height,
            node.sealed_to_live_ms.p99,
            node.sealed_to_final_ms.p99
        ));
    }
    if let Some(ledger) = &report.ledger {
        let (agreed, all) = (&ledger.agreement, report.hospitals.len());
        say("");
        say(&format!(
            "Ledger:      {} authorities in epoch {}, {:.1} blocks/s, final after {} ms (p50), {} ms (p99)",
            ledger.authorities,
            ledger.epoch,
            ledger.blocks_per_s,
            ledger.finality_ms.p50,
            ledger.finality_ms.p99
        ));
        say(&format!(
            "Agreement:   {} of {all} nodes reached height {}; {} hold the same headers, {} the same anchors",
            agreed.reached, agreed.height, agreed.same_headers, agreed.same_anchors
        ));
    }
    say("");
}

fn close(options: &Options, report: &Report) -> Result<ExitCode> {
    let json = serde_json::to_string_pretty(report)?;
    if let Some(file) = &options.report {
        std::fs::write(file, format!("{json}\n")).with_context(|| format!("writing {}", file.display()))?;
    }
    if options.duration.is_some() {
        // Several organisations have their table; their figures go to the file.
        if report.ledger.is_none() {
            say(&json);
        }
        say(&format!("Check a bundle with: aceso verify BUNDLE --genesis {}", report.genesis));
    }
    for problem in &report.problems {
        say(&format!("Not complete: {problem}"));
    }
    if report.complete && report.ledger.is_some() {
        say("Complete: everything sealed is stored once, anchored and proven; all nodes hold one history.");
    }
    // A ward stopped by hand may have nothing to prove yet; only a timed run is judged.
    Ok(if report.complete || options.duration.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A bundle of each organisation.
async fn bundles(file: &Path, hospitals: &[Hospital]) -> Result<()> {
    let file = std::path::absolute(file)?;
    for hospital in hospitals {
        let mut name = file.clone().into_os_string();
        if hospital.folder.number > 1 {
            name.push(format!(".{}", hospital.folder.number));
        }
        let file = PathBuf::from(name);
        let token = hospital.remembered.sign_in(&hospital.folder.client(), "admin").await?;
        hospital.ask(ExportBundle { token, file: file.clone() }).await?;
        say(&format!("Bundle:      {}", file.display()));
    }
    Ok(())
}
