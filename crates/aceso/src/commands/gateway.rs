//! `aceso gateway`: a bedside gateway as a process.

use crate::clean_shutdown;
use anyhow::{Context, Result};
use host::clock;
use host::process;
use operator::GatewayReady;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long a draining gateway waits for its last proofs.
const DRAIN_WITHIN: Duration = Duration::from_secs(40);

/// What a gateway writes inside its data folder.
const FOLDERS: [&str; 3] = ["keys", "journal", "aside"];

/// Options of `aceso gateway`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Configuration file; see `aceso config gateway`.
    #[arg(long)]
    config: PathBuf,
    /// When told to stop, first bring home and prove what is sealed (at most 40 s).
    #[arg(long)]
    drain: bool,
    /// Make this gateway's keys if it has none and write a pairing request here, then end.
    #[arg(long, conflicts_with_all = ["pair_answer", "drain"])]
    pair_request: Option<PathBuf>,
    /// Take the home organisation's answer to the pairing request from this file, then end.
    #[arg(long, conflicts_with = "drain")]
    pair_answer: Option<PathBuf>,
    /// With --pair-answer: the organisation's record key (64 hex digits), read from its own page or desk.
    #[arg(long, requires = "pair_answer")]
    record_key: Option<String>,
}

/// Runs the gateway until it is told to stop, or does one step of pairing.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let text = std::fs::read_to_string(&options.config)
        .with_context(|| format!("reading {}", options.config.display()))?;
    let config: gateway::Config =
        toml::from_str(&text).with_context(|| format!("in {}", options.config.display()))?;
    clean_shutdown::check(&config.data_dir)?;
    if let Some(file) = &options.pair_request {
        let request = gateway::first_boot(&config.data_dir, config.boards.len(), &mut clock::entropy)?;
        std::fs::write(file, request.encode()).with_context(|| format!("writing {}", file.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(file) = &options.pair_answer {
        let answer = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
        gateway::accept(
            &config.data_dir,
            &answer,
            options.record_key.as_deref().map(record_key).transpose()?,
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(serve(config, options.drain.then_some(DRAIN_WITHIN)))
}

/// Reads an organisation's record key.
pub(crate) fn record_key(digits: &str) -> Result<[u8; 32]> {
    let bytes = hex::decode(digits).context("--record-key is not hexadecimal")?;
    bytes.try_into().map_err(|_| anyhow::anyhow!("--record-key needs 64 hex digits"))
}

async fn serve(config: gateway::Config, drain: Option<Duration>) -> Result<ExitCode> {
    let folder = config.data_dir.clone();
    let gateway = gateway::Gateway::open(config, Arc::new(clock::now_ms), Arc::new(clock::entropy))?;
    let (stop, stopping) = watch::channel(false);
    let stop_requested = process::stop_requested();
    tokio::spawn(async move {
        stop_requested.await;
        let _ = stop.send(true);
    });
    let found = gateway.counters().summary();
    let (envelopes_aside, streams_closed) = (found.envelopes_aside, found.streams_closed);
    process::announce("READY", &GatewayReady { envelopes_aside, streams_closed })?;
    let summary = gateway.run(stopping, drain).await?;
    if let Err(why) = clean_shutdown::note(&folder, &FOLDERS) {
        tracing::warn!("The folder is closed without a note of its files: {why:#}");
    }
    process::announce("DONE", &summary)?;
    Ok(ExitCode::SUCCESS)
}
