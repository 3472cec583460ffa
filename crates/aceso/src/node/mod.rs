//! An organisation's node: one process. [`serve`] is its story: what is durable is opened ([`storage`]), the clinic's
//! rules stand on it, threads admit, monitor and anchor ([`workers`]), and four sockets are answered: pages, MQTT,
//! JSON-RPC and the operator API. Read `storage.rs` next, then `founding.rs` (a ledger in this process) and
//! `remote_chain.rs` (a ledger on a network of others).

mod checkpoint;
pub(crate) mod data_folder;
mod ended_ledger;
mod endpoint;
pub(crate) mod founding;
mod gauges;
mod key_share;
mod listeners;
mod maintenance;
pub(crate) mod membership;
mod operator;
#[cfg(test)]
mod put_back_tests;
mod remote_chain;
mod rpc;
pub(crate) mod snapshot_import;
mod stalled_ledger;
mod storage;
mod web_certificate;
mod workers;

use crate::clean_shutdown;
use crate::config::{self, NodeConfig};
use ::operator::SOCKET;
use anyhow::{Context, Result};
use clinic::Clinic;
use host::{clock, output, process};
use link::Sessions;
use listeners::Listeners;
use operator::Operator;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use storage::Storage;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use vitals::ledger::Ledger;
use web_certificate::WebCertificate;
use workers::{Failures, Workers};

/// How long open connections may take to close when the node stops.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// Runs a node until it is told to stop.
pub(crate) fn run(path: &Path) -> Result<ExitCode> {
    let config = config::read_node(path)?;
    // Before anything is opened: whoever mistyped a name of a file reads it at once.
    let certificate =
        config.web_tls.clone().map(|files| WebCertificate::open(files, clock::now_ms())).transpose()?;
    clean_shutdown::check(&config.data_dir)?;
    let storage = storage::open(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(serve(&config, &storage, certificate));
    drop(runtime);
    storage.chain.stop();
    outcome?;
    drop(storage);
    if let Err(why) = clean_shutdown::note(&config.data_dir, &data_folder::FOLDERS) {
        tracing::warn!("The folder is closed without a note of its files: {why:#}");
    }
    process::announce("DONE", &serde_json::json!({}))?;
    Ok(ExitCode::SUCCESS)
}

/// Serves until the node is told to stop or a thread of it fails.
async fn serve(
    config: &NodeConfig,
    storage: &Storage,
    web_certificate: Option<WebCertificate>,
) -> Result<()> {
    let began = clock::instant();
    let ledger: Arc<dyn Ledger> = storage.chain.clone();
    let entropy = data_folder::entropy();
    let clinic =
        Clinic::open(storage.vault.clone(), storage.store.clone(), ledger.clone(), entropy, clock::now_ms())
            .context("opening the clinic")?;
    let sessions = Arc::new(Sessions::new());
    let (workers, ingress, failures) = Workers::start(&clinic, &sessions)?;
    let listeners = Listeners::bind(config, storage.embedded.as_ref()).await?;
    let ready = listeners.ready(config, storage)?;

    let (stop, stopping) = watch::channel(false);
    let Listeners { transports, web, rpc } = listeners;
    let (rpc, shown_on_pages) = rpc.map_or((None, None), |(listener, port)| {
        (Some(tokio::spawn(rpc::serve(listener, port.clone(), stopping.clone()))), Some(port))
    });
    let gateways = transports.serve(storage, ingress, sessions, &stopping)?;
    let certificate = link::tls::self_signed(storage.vault.record_key_seed().expose());
    let mut gauges = gauges::gauges(gauges::Sources {
        data_dir: config.data_dir.clone(),
        queue: workers.queue.clone(),
        started_ms: clock::now_ms(),
        certificate_ends_s: certificate.ok().and_then(|(made, _)| link::certificate_validity::ends_s(&made)),
    });
    gauges.extend(web_certificate.iter().flat_map(WebCertificate::gauges));
    let tls = web_certificate.as_ref().map(WebCertificate::tls);
    let pages =
        pages(config, &clinic, web::Settings { rpc: shown_on_pages, gauges, tls, ..Default::default() });
    let pages = tokio::spawn(serve_pages(web, pages, stopping.clone()));
    if let Some(certificate) = web_certificate {
        tokio::spawn(certificate.follow(stopping));
    }
    follow_ledger(config, storage, &clinic, &workers);
    serve_operator(config, storage, &clinic)?;

    tracing::info!(height = ledger.tip().height, mqtt = %ready.mqtt, web = %ready.web, "The node serves");
    let asked_to_stop = process::stop_requested();
    process::announce("READY", &ready)?;
    say_how_to_set_up(&clinic, if config.web_tls.is_some() { "https" } else { "http" }, &ready.web);
    let ledger_ended = async {
        match &storage.embedded {
            Some(own) => ended_ledger::wait(own.chain.watch_status(), &config.data_dir, began).await,
            None => std::future::pending().await,
        }
    };
    let outcome = until_stopped(asked_to_stop, failures, ledger_ended).await;
    let _ = stop.send(true);
    close(gateways.into_iter().chain([pages]).chain(rpc)).await;
    tokio::task::spawn_blocking(|| workers.end()).await?;
    outcome
}

/// A node without accounts prints the code with which its first administrator is made. It is on standard output alone,
/// in no log and no metric; a restart makes another.
fn say_how_to_set_up(clinic: &Clinic, scheme: &str, web: &str) {
    let Some(code) = clinic.offer_set_up() else { return };
    let line = format!(
        "Nobody has an account here yet. Open {scheme}://{web}/set-up and enter the code {}",
        code.expose()
    );
    if let Err(why) = output::print_line(line) {
        tracing::warn!(%why, "Standard output did not take the code for setting up: {why}");
    }
}

/// Whatever this node does because the ledger moved, or did not.
fn follow_ledger(config: &NodeConfig, storage: &Storage, clinic: &Clinic, workers: &Workers) {
    maintenance::wake_on_tip(storage.chain.as_ref(), workers.wake.clone());
    let Some(own) = storage.embedded.as_ref().filter(|_| config.ledger.listen.is_some()) else { return };
    let peers = config.ledger.peers.clone();
    stalled_ledger::watch(&own.chain, own.validator, storage.document.epoch_blocks, peers);
    if let Some(address) = config.ledger.endpoint() {
        endpoint::keep_announced(own, clinic.org(), address);
    }
}

fn serve_operator(config: &NodeConfig, storage: &Storage, clinic: &Arc<Clinic>) -> Result<()> {
    let node = Arc::new(Operator {
        clinic: clinic.clone(),
        chain: storage.chain.clone(),
        embedded: storage.embedded.clone(),
        document: storage.document.clone(),
        data_dir: config.data_dir.clone(),
    });
    let socket = config.data_dir.join(SOCKET);
    ::operator::serve(&socket, move |request| {
        let node = node.clone();
        async move { node.answer(request).await.map_err(|why| host::sentence(why.as_ref())) }
    })
    .with_context(|| format!("opening {}", socket.display()))
}

/// Waits for the order to stop. An error means that a thread failed: a node that stops is better than one that
/// seems well while nobody watches for alarms.
async fn until_stopped(
    asked_to_stop: impl Future<Output = ()>,
    failures: Failures,
    ledger_ended: impl Future<Output = anyhow::Error>,
) -> Result<()> {
    tokio::select! {
        () = asked_to_stop => Ok(()),
        ended = ledger_ended => Err(ended),
        failed = failures.first() => Err(failed),
    }
}

async fn close(services: impl IntoIterator<Item = JoinHandle<()>>) {
    for service in services {
        let _ = tokio::time::timeout(CLOSE_WITHIN, service).await;
    }
}

fn pages(config: &NodeConfig, clinic: &Arc<Clinic>, settings: web::Settings) -> web::App {
    let settings = web::Settings {
        hospital: config.name.clone(),
        behind_tls: config.web_behind_proxy,
        behind_proxy: config.web_behind_proxy,
        ..settings
    };
    web::App::of_clinic(clinic.clone(), Arc::new(clock::now_ms), settings)
}

async fn serve_pages(listener: TcpListener, app: web::App, mut stop: watch::Receiver<bool>) {
    let stopped = async move { link::stopped(&mut stop).await };
    if let Err(error) = web::serve(listener, app, stopped).await {
        tracing::error!(%error, "Pages are not served any more");
    }
}
