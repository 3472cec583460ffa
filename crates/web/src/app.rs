//! The server's state: the clinic, the clock, the settings, and what is shared by all requests.

use crate::certificate::Certificate;
use crate::error::Error;
use crate::navigation::Navigation;
use crate::notices::{Notices, UnshownLinks};
use crate::quota::{BUNDLES_MAX, CONNECTIONS_MAX, CONNECTIONS_PER_NETWORK_MAX, Permit, PermitPool, Requests};
use crate::quota::{STREAMS_PER_NETWORK_MAX, STREAMS_PER_SESSION_MAX};
use crate::refusals::{Reason, Refusals};
use crate::server::{ConnectionPolicy, Timeouts};
use crate::sign_in_queue::{SIGN_IN_WAIT, SignInQueue};
use crate::tls::Tls;
use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use clinic::{Clinic, ClinicError, Origin};
use prometheus_client::metrics::histogram::Histogram;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use vitals::PersonId;

/// Gives the time, milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Most live streams at once; a further one is refused and may try again.
pub const STREAMS_MAX: usize = 256;

/// Upper bounds of the buckets in which the durations of requests are counted, seconds.
const REQUEST_BUCKETS_S: [f64; 9] = [0.001, 0.0025, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0];

/// Settings of the server.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The organisation's name, shown on every page.
    pub hospital: String,
    /// TLS of the server's own; without it the pages are served as plain HTTP.
    pub tls: Option<Tls>,
    /// True when browsers reach this server over TLS only: cookies become `Secure`. With [`Settings::tls`] it is.
    pub behind_tls: bool,
    /// True when a proxy on this machine stands in front and adds `X-Forwarded-For`: its last entry then
    /// names the client. Without a proxy anybody could write that header, and it is not read.
    pub behind_proxy: bool,
    /// Timeouts of connections.
    pub timeouts: Timeouts,
    /// The JSON-RPC port beside the pages, if there is one: its counters are part of the metrics.
    pub rpc: Option<crate::rpc::Rpc>,
    /// Figures of the machine and the process, for the metrics.
    pub gauges: Vec<crate::process_gauges::Gauge>,
}

struct Inner {
    clinic: Arc<Clinic>,
    clock: Clock,
    settings: Settings,
    navigation: Navigation,
    notices: Notices,
    unshown_links: UnshownLinks,
    streams: Arc<Semaphore>,
    served: AtomicU64,
    request_durations: Histogram,
    refusals: Refusals,
    /// Start of a clock that never goes back.
    started: Instant,
    requests: Requests,
    connections: PermitPool<Origin>,
    streams_of: PermitPool<[u8; 16]>,
    streams_to: PermitPool<Origin>,
    bundles: Arc<Semaphore>,
    bundles_of: PermitPool<PersonId>,
    sign_ins: SignInQueue,
    /// True once the server stops: live streams end, so that stopping does not wait for them.
    closing: watch::Sender<bool>,
}

/// The server's state, as every handler has it.
#[derive(Clone)]
pub struct App(Arc<Inner>);

impl App {
    pub(crate) fn new(clinic: Arc<Clinic>, clock: Clock, settings: Settings, navigation: Navigation) -> Self {
        let streams = Arc::new(Semaphore::new(STREAMS_MAX));
        let settings = Settings { behind_tls: settings.behind_tls || settings.tls.is_some(), ..settings };
        Self(Arc::new(Inner {
            clinic,
            clock,
            settings,
            navigation,
            notices: Notices::default(),
            unshown_links: UnshownLinks::default(),
            streams,
            served: AtomicU64::new(0),
            request_durations: Histogram::new(REQUEST_BUCKETS_S),
            refusals: Refusals::default(),
            started: Instant::now(),
            requests: Requests::default(),
            connections: PermitPool::new(CONNECTIONS_PER_NETWORK_MAX),
            streams_of: PermitPool::new(STREAMS_PER_SESSION_MAX),
            streams_to: PermitPool::new(STREAMS_PER_NETWORK_MAX),
            bundles: Arc::new(Semaphore::new(BUNDLES_MAX)),
            bundles_of: PermitPool::new(1),
            sign_ins: SignInQueue::new(SIGN_IN_WAIT),
            closing: watch::Sender::new(false),
        }))
    }

    /// The clinic. Its calls may wait for a disk: handlers make them by [`App::ask`].
    pub(crate) fn clinic(&self) -> &Arc<Clinic> {
        &self.0.clinic
    }

    /// The time, milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        (self.0.clock)()
    }

    /// The settings given at start.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The certificate of the pages, if this server has one.
    pub(crate) fn certificate(&self) -> Option<Certificate> {
        self.0.settings.tls.as_ref().map(Tls::certificate)
    }

    pub(crate) fn navigation(&self) -> &Navigation {
        &self.0.navigation
    }

    /// What pages say once.
    pub(crate) fn notices(&self) -> &Notices {
        &self.0.notices
    }

    /// One-time links that no page has shown yet.
    pub(crate) fn unshown_links(&self) -> &UnshownLinks {
        &self.0.unshown_links
    }

    /// Calls the clinic off the event loop: an answer may wait for a disk.
    ///
    /// # Errors
    /// When the call panicked, or the server stops.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Arc<Clinic>, u64) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (clinic, now_ms) = (self.0.clinic.clone(), self.now_ms());
        tokio::task::spawn_blocking(move || call(&clinic, now_ms)).await.map_err(|_| Error::failed())
    }

    /// The same for calls that the clinic may refuse.
    ///
    /// # Errors
    /// The clinic's refusal, as the caller may see it.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Arc<Clinic>, u64) -> Result<T, ClinicError> + Send + 'static,
    ) -> Result<T, Error> {
        self.run(call).await?.map_err(Error::from)
    }

    /// Renders a page or a part of one; a template that fails is the server's fault and says so.
    pub(crate) fn render(&self, page: &impl Template) -> Response {
        self.0.served.fetch_add(1, Ordering::Relaxed);
        match page.render() {
            Ok(text) => {
                let headers = [
                    (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
                    (header::VARY, HeaderValue::from_static("HX-Request, HX-Target, Cookie, Accept")),
                ];
                (headers, text).into_response()
            }
            Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "This page could not be shown.").into_response(),
        }
    }

    /// Seconds from a request's head to the beginning of its answer.
    pub(crate) fn request_durations(&self) -> &Histogram {
        &self.0.request_durations
    }

    pub(crate) fn pages_served(&self) -> u64 {
        self.0.served.load(Ordering::Relaxed)
    }

    /// Turns true once live streams are to end.
    pub(crate) fn closing(&self) -> watch::Receiver<bool> {
        self.0.closing.subscribe()
    }

    /// Counts a refusal.
    pub(crate) fn refused(&self, reason: Reason) {
        self.0.refusals.count(reason);
    }

    /// How often each reason for refusing was given.
    pub fn refusals(&self) -> impl Iterator<Item = (Reason, u64)> {
        self.0.refusals.counts()
    }

    /// Counts a request or connection of this network; refused with the milliseconds after which to try again.
    pub(crate) fn request_allowed(&self, from: Origin) -> Result<(), u64> {
        let now_ms = u64::try_from(self.0.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.requests.take(from, now_ms)
    }

    pub(crate) fn streams(&self) -> &Arc<Semaphore> {
        &self.0.streams
    }

    pub(crate) fn streams_of(&self) -> &PermitPool<[u8; 16]> {
        &self.0.streams_of
    }

    pub(crate) fn streams_to(&self) -> &PermitPool<Origin> {
        &self.0.streams_to
    }

    /// Open live streams.
    #[must_use]
    pub fn streams_open(&self) -> usize {
        STREAMS_MAX - self.0.streams.available_permits()
    }

    pub(crate) fn bundles(&self) -> &Arc<Semaphore> {
        &self.0.bundles
    }

    pub(crate) fn bundles_of(&self) -> &PermitPool<PersonId> {
        &self.0.bundles_of
    }

    pub(crate) fn sign_ins(&self) -> &SignInQueue {
        &self.0.sign_ins
    }
}

impl ConnectionPolicy for App {
    const CONNECTIONS_MAX: usize = CONNECTIONS_MAX;

    fn timeouts(&self) -> Timeouts {
        self.settings().timeouts
    }

    fn tls(&self) -> Option<&Tls> {
        self.settings().tls.as_ref()
    }

    /// A permit for a connection from this address, if it may have one. A proxy in front needs none.
    fn connection_permit(&self, peer: IpAddr) -> Option<Option<Permit<Origin>>> {
        if self.0.settings.behind_proxy && peer.is_loopback() {
            return Some(None);
        }
        let from = Origin::of(peer);
        self.request_allowed(from).ok()?;
        self.0.connections.take(from).map(Some)
    }

    fn refused(&self, reason: Reason) {
        Self::refused(self, reason);
    }

    fn closing(&self) -> watch::Receiver<bool> {
        Self::closing(self)
    }

    fn close(&self) {
        self.0.closing.send_replace(true);
    }
}
