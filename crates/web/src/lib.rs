//! Everything that listens on HTTP: pages, live streams, assets, metrics.
//!
//! A page is a document first: it is rendered on the server, works without scripts, and one address
//! gives the full page or, to htmx, its fragment. The pages decide nothing: they ask the
//! [`station::Station`], which answers for one session at a time.
//!
//! Where things go: connections in [`door`]; addresses in [`router`]; what surrounds every answer in
//! [`guard`]; who is asking in [`session`]; what people send in [`forms`]; how much one place may take in
//! [`quota`]; whose turn it is to sign in in [`turns`]; what a page says in `pages`, from the clinic's views; how it says it in
//! `templates/`; what moves in [`live`] and `assets/aceso.js`. Where they must not go: no markup in
//! Rust, no inline script or style, nothing from another origin, no rule about who may see what.

pub mod assets;
pub mod door;
pub mod draw;
pub mod forms;
pub mod guard;
pub mod live;
mod metrics;
mod pages;
pub mod quota;
pub mod refuse;
pub mod rpc;
pub mod session;
pub mod shell;
pub mod station;
pub mod turns;
pub mod wired;
pub mod words;

// The tests name this crate as its users do.
#[cfg(test)]
extern crate self as web;
#[cfg(test)]
mod tests;

use axum::Router;
use axum::routing::{get, post};
use clinic::Origin;
use pages::alarms::AlarmAction;
use quota::{BUNDLES_MAX, CONNECTIONS_PER_PLACE_MAX, Hold, Holds, Requests};
use quota::{STREAMS_PER_PLACE_MAX, STREAMS_PER_SESSION_MAX};
use refuse::{Reason, Refusals};
use station::Station;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use turns::{TURN_WITHIN, Turns};
use vitals::PersonId;

pub use door::serve;

/// Milliseconds since 1970, handed in.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Most live streams at once; a further one is asked to try again.
pub const STREAMS_MAX: usize = 256;

/// What the pages are told at start.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The organisation's name, shown on every page.
    pub hospital: String,
    /// True when browsers reach this server over TLS only: cookies become `Secure`.
    pub behind_tls: bool,
    /// True when a proxy on this machine stands in front and adds `X-Forwarded-For`: its last entry then
    /// says who asks. Without a proxy anybody could write that header, and it is not read.
    pub behind_proxy: bool,
    /// Times within which connections have to do their part.
    pub patience: door::Patience,
    /// The JSON-RPC port beside the pages, if there is one: what it refused is told with their metrics.
    pub rpc: Option<rpc::Rpc>,
}

struct Inner {
    station: Arc<dyn Station>,
    clock: Clock,
    settings: Settings,
    streams: Arc<Semaphore>,
    served: AtomicU64,
    refusals: Refusals,
    /// Counts milliseconds that never go back.
    started: Instant,
    requests: Requests,
    connections: Holds<Origin>,
    streams_of: Holds<[u8; 16]>,
    streams_to: Holds<Origin>,
    bundles: Arc<Semaphore>,
    bundles_of: Holds<PersonId>,
    sign_ins: Turns,
    /// True once the server stops: live streams end, so that stopping does not wait for them.
    closing: watch::Sender<bool>,
}

/// Everything a handler needs.
#[derive(Clone)]
pub struct App(Arc<Inner>);

impl App {
    /// Pages over this station.
    #[must_use]
    pub fn new(station: Arc<dyn Station>, clock: Clock, settings: Settings) -> Self {
        let streams = Arc::new(Semaphore::new(STREAMS_MAX));
        Self(Arc::new(Inner {
            station,
            clock,
            settings,
            streams,
            served: AtomicU64::new(0),
            refusals: Refusals::default(),
            started: Instant::now(),
            requests: Requests::default(),
            connections: Holds::new(CONNECTIONS_PER_PLACE_MAX),
            streams_of: Holds::new(STREAMS_PER_SESSION_MAX),
            streams_to: Holds::new(STREAMS_PER_PLACE_MAX),
            bundles: Arc::new(Semaphore::new(BUNDLES_MAX)),
            bundles_of: Holds::new(1),
            sign_ins: Turns::new(TURN_WITHIN),
            closing: watch::Sender::new(false),
        }))
    }

    /// The time.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        (self.0.clock)()
    }

    /// What the pages were told at start.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(crate) fn station(&self) -> &Arc<dyn Station> {
        &self.0.station
    }

    pub(crate) fn streams(&self) -> &Arc<Semaphore> {
        &self.0.streams
    }

    pub(crate) fn closing(&self) -> watch::Receiver<bool> {
        self.0.closing.subscribe()
    }

    pub(crate) fn close(&self) {
        self.0.closing.send_replace(true);
    }

    /// Counts a refusal.
    pub(crate) fn refused(&self, reason: Reason) {
        self.0.refusals.count(reason);
    }

    /// How often each reason for refusing was given.
    pub fn refusals(&self) -> impl Iterator<Item = (Reason, u64)> {
        self.0.refusals.counts()
    }

    /// One request or connection more from this place; or the milliseconds after which to ask again.
    pub(crate) fn may_ask(&self, place: Origin) -> Result<(), u64> {
        let now_ms = u64::try_from(self.0.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.requests.take(place, now_ms)
    }

    /// A place at the door for a connection from this address, or none. The proxy in front has as many as
    /// it needs.
    pub(crate) fn seat(&self, peer: IpAddr) -> Option<Option<Hold<Origin>>> {
        if self.0.settings.behind_proxy && peer.is_loopback() {
            return Some(None);
        }
        let place = Origin::of(peer);
        self.may_ask(place).ok()?;
        self.0.connections.take(place).map(Some)
    }

    pub(crate) fn streams_of(&self) -> &Holds<[u8; 16]> {
        &self.0.streams_of
    }

    pub(crate) fn streams_to(&self) -> &Holds<Origin> {
        &self.0.streams_to
    }

    pub(crate) fn bundles(&self) -> &Arc<Semaphore> {
        &self.0.bundles
    }

    pub(crate) fn bundles_of(&self) -> &Holds<PersonId> {
        &self.0.bundles_of
    }

    pub(crate) fn sign_ins(&self) -> &Turns {
        &self.0.sign_ins
    }

    /// Open live streams.
    #[must_use]
    pub fn streams_open(&self) -> usize {
        STREAMS_MAX - self.0.streams.available_permits()
    }

    pub(crate) fn count_page(&self) {
        self.0.served.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn pages_served(&self) -> u64 {
        self.0.served.load(Ordering::Relaxed)
    }

    /// Asks the station off the event loop: an answer may wait for a disk.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Station, u64) -> T + Send + 'static,
    ) -> Option<T> {
        let (station, now_ms) = (self.0.station.clone(), self.now_ms());
        tokio::task::spawn_blocking(move || question(&*station, now_ms)).await.ok()
    }
}

/// All addresses. Whatever is not listed here is not found.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/", get(pages::home))
        .route("/sign-in", get(pages::sign_in::form).post(pages::sign_in::submit))
        .route("/sign-out", post(pages::sign_in::leave))
        .route("/theme", post(pages::sign_in::theme))
        .route("/wall", get(pages::wall::page))
        .route("/patients", get(pages::to_wall))
        .route("/patients/{patient}", get(pages::patient::page))
        .route("/patients/{patient}/limits", post(pages::limits::submit))
        .route("/patients/{patient}/limits/back", post(pages::limits::back))
        .route(
            "/patients/{patient}/alarms/{condition}/acknowledge",
            post(|state, at, posted| pages::alarms::submit(state, at, posted, AlarmAction::Acknowledge)),
        )
        .route(
            "/patients/{patient}/alarms/{condition}/silence",
            post(|state, at, posted| pages::alarms::submit(state, at, posted, AlarmAction::Silence)),
        )
        .route(
            "/patients/{patient}/alarms/{condition}/sound",
            post(|state, at, posted| pages::alarms::submit(state, at, posted, AlarmAction::EndSilence)),
        )
        .route("/gateways/{gateway}/acknowledge", post(pages::gateways::acknowledge))
        .route("/patients/{patient}/unwatched", get(pages::unwatched::page).post(pages::unwatched::end))
        .route("/me", get(pages::me::page))
        .route("/me/record", get(pages::record::download))
        .route("/me/consents/{grant}/revoke", get(pages::watch::ask).post(pages::watch::revoke))
        .route("/me/watch", post(pages::watch::begin))
        .route("/me/pause", post(pages::watch::pause))
        .route("/me/resume", post(pages::watch::resume))
        .route("/proof/{index}", get(pages::proof::page))
        .route("/admin", get(pages::admin::page))
        .route("/ledger", get(pages::ledger::page))
        .route("/ledger/authorities", get(pages::ledger::authorities::page))
        .route("/ledger/proposals", post(pages::ledger::govern::propose))
        .route("/ledger/proposals/{proposal}/vote", post(pages::ledger::govern::vote))
        .route("/ledger/blocks/{height}", get(pages::ledger::block::page))
        .route("/ledger/heads/{height}", get(pages::ledger::block::head))
        .route("/ledger/transactions/{transaction}", get(pages::ledger::block::transaction))
        .route("/patients/{patient}/stay", post(pages::patient::stay))
        .route("/live", get(live::page))
        .route("/help", get(pages::help))
        .route("/healthz", get(metrics::health))
        .route("/metrics", get(metrics::metrics))
        .route("/assets/{hash}/{name}", get(assets::serve))
        .fallback(pages::not_found)
        .method_not_allowed_fallback(pages::other_method)
        .layer(axum::middleware::from_fn_with_state(app.clone(), guard::around))
        .with_state(app)
}
