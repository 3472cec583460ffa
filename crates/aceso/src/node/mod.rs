//! An organisation's node: one process, wired together here.
//!
//! Threads: the tokio runtime (pages, MQTT, control); the admission thread (verifies and syncs); the
//! keeper (live view, alarms, anchors, proofs); the ledger's own. They meet in bounded queues.

mod account;
mod announce;
mod begin;
mod birth;
mod desk;
mod foreign;
mod found;
mod ingest;
mod keeper;
mod office;
mod peers;
mod ports;
mod queue;
mod rpc;
mod vouch;
mod wake;
mod workers;

pub(crate) use account::{export, show};
pub(crate) use begin::begin;

use crate::child;
use crate::config::{self, NodeConfig};
use crate::{clock, closed, control};
use anyhow::{Context, Result};
use clinic::{Clinic, ClinicError};
use found::Foundation;
pub(crate) use found::{card, join, renew};
use ingest::LedgerRegistry;
use link::{Bounds, Endpoint, Sessions};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use vitals::ledger::Ledger;
use workers::Workers;

/// How long open pages may take to close when the node stops.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// Runs a node until it is told to stop.
pub(crate) fn run(path: &Path) -> Result<ExitCode> {
    let config = config::read_node(path)?;
    closed::check(&config.data_dir)?;
    let foundation = found::open(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(serve(&config, &foundation));
    drop(runtime);
    foundation.chain.stop();
    outcome?;
    drop(foundation);
    if let Err(why) = closed::note(&config.data_dir, &found::FOLDERS) {
        tracing::warn!("The folder is closed without a note of its files: {why:#}");
    }
    child::say("DONE", &serde_json::json!({}));
    Ok(ExitCode::SUCCESS)
}

async fn serve(config: &NodeConfig, foundation: &Foundation) -> Result<()> {
    let Foundation { vault, store, chain, own, document } = foundation;
    let ledger: Arc<dyn Ledger> = chain.clone();
    let clinic =
        Clinic::open(vault.clone(), store.clone(), ledger.clone(), found::entropy(), clock::now_ms())
            .context("opening the clinic")?;
    let sessions = Arc::new(Sessions::new());
    let (stop, stopping) = watch::channel(false);
    let (halted, halt) = oneshot::channel();
    let (ends, mut ended) = mpsc::channel(1);
    let (workers, door) = Workers::start(&clinic, &sessions, halted, &ends)?;

    let mut kept = ports::Kept::read(&config.data_dir);
    let mqtt = kept.bind("mqtt", config.mqtt).await?;
    let web = kept.bind("web", config.web).await?;
    let rpc = match &config.rpc {
        None => None,
        Some(table) => {
            let own = own.as_ref().ok_or(ClinicError::Elsewhere)?;
            let port = rpc::port(table, &config.data_dir, &own.chain)?;
            Some((kept.bind("rpc", table.listen).await?, port))
        }
    };
    kept.save().context("keeping the chosen ports")?;
    let rpc_address = rpc.as_ref().map(|(listener, _)| listener.local_addr()).transpose()?;
    let (mqtt_address, web_address) = (mqtt.local_addr()?, web.local_addr()?);

    let registry = Arc::new(LedgerRegistry::new(ledger.clone()));
    let (certificate, key) =
        link::tls::self_signed(vault.record_key_seed().expose()).context("making the node's certificate")?;
    let tls =
        Arc::new(link::tls::server_config(certificate, key, registry.clone()).context("setting up TLS")?);
    let endpoint = Endpoint::new(door, registry, sessions, Bounds::default());
    let mqtt = tokio::spawn(link::mqtt::serve(mqtt, tls, endpoint, stopping.clone()));
    let asked = rpc.as_ref().map(|(_, port)| port.clone());
    let pages = tokio::spawn(serve_pages(web, pages(config, &clinic, asked), stopping.clone()));
    let rpc = rpc.map(|(listener, port)| tokio::spawn(rpc::serve(listener, port, stopping.clone())));
    keeper::wake_on_tip(chain.as_ref(), workers.wake.clone());
    if let Some(own) = own.as_ref().filter(|_| config.ledger.listen.is_some()) {
        peers::watch(&own.chain, own.validator, document.epoch_blocks, config.ledger.peers.clone());
        if let Some(address) = config.ledger.endpoint() {
            announce::keep(own, clinic.org(), address);
        }
    }
    let desk = Arc::new(desk::Desk {
        clinic: clinic.clone(),
        chain: chain.clone(),
        own: own.clone(),
        document: document.clone(),
        data_dir: config.data_dir.clone(),
    });
    control::serve(&config.data_dir.join("control.sock"), move |request| {
        let desk = desk.clone();
        async move { desk.answer(request).await }
    })
    .await?;

    tracing::info!(height = ledger.tip().height, mqtt = %mqtt_address, web = %web_address, "The node serves");
    let told = child::told_to_stop();
    child::say(
        "READY",
        &serde_json::json!({
            "web": web_address.to_string(),
            "mqtt": mqtt_address.to_string(),
            "rpc": rpc_address.map(|address| address.to_string()),
            "genesis": document.hash().to_string(),
            "org": clinic.org().to_string(),
            "record_key": hex::encode(vault.record_key()),
            "validator": own.as_ref().map(|own| hex::encode(own.validator)),
            "ledger": config.ledger.endpoint(),
        }),
    );
    let outcome = tokio::select! {
        () = told => Ok(()),
        // Nobody watches for alarms without its threads: a node that stops is better than one that seems well.
        name = ended.recv() => {
            Err(anyhow::anyhow!("the {} thread ended; start the node again", name.unwrap_or("alarm")))
        }
        halted = halt => Err(anyhow::anyhow!("{}", halted.unwrap_or_else(|_| "the admission thread ended".to_owned()))),
    };
    let _ = stop.send(true);
    let _ = tokio::time::timeout(CLOSE_WITHIN, mqtt).await;
    let _ = tokio::time::timeout(CLOSE_WITHIN, pages).await;
    if let Some(rpc) = rpc {
        let _ = tokio::time::timeout(CLOSE_WITHIN, rpc).await;
    }
    tokio::task::spawn_blocking(|| workers.end()).await?;
    outcome
}

fn pages(config: &NodeConfig, clinic: &Arc<Clinic>, rpc: Option<web::rpc::Rpc>) -> web::App {
    let settings = web::Settings {
        hospital: config.name.clone(),
        behind_tls: config.web_behind_proxy,
        behind_proxy: config.web_behind_proxy,
        rpc,
        ..web::Settings::default()
    };
    web::App::of_clinic(clinic.clone(), Arc::new(clock::now_ms), settings)
}

async fn serve_pages(listener: TcpListener, app: web::App, stop: watch::Receiver<bool>) {
    let mut stop = stop;
    let stopped = async move { link::stopped(&mut stop).await };
    if let Err(error) = web::serve(listener, app, stopped).await {
        tracing::error!(%error, "Pages are not served any more");
    }
}
