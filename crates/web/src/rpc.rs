//! The ledger's JSON-RPC port: who may ask, how much and how fast. A closure gives the answers: this crate knows
//! no ledger.
//!
//! One address, one method (POST), one media type. A token is required unless the operator said
//! otherwise; a page of another origin is let in only if the operator named it.

use crate::client_address;
use crate::quota::{Permit, PermitPool, Requests};
use crate::refusals::{Reason, Refusals};
use crate::server::{self, ADDRESS_BYTES_MAX, ANSWER_WITHIN, ConnectionPolicy, HEAD_BYTES_MAX, Timeouts};
use ::quota::Rate;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use clinic::Origin;
use futures::StreamExt;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

/// Longest request, bytes.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Most connections at a time.
pub const CONNECTIONS_MAX: usize = 128;
/// Most connections at a time from one network. A proxy in front does not count as one.
pub const CONNECTIONS_PER_NETWORK_MAX: usize = 64;
/// Requests and connections that one network may begin in a burst.
pub const REQUESTS_MAX: u32 = 2_000;
/// A network regains one of them in this time, milliseconds: 500 a second.
pub const REQUEST_MS: u32 = 2;
/// Most requests answered at a time: each takes a core, and monitoring needs cores too.
pub const ANSWERS_MAX: usize = 2;
/// Kilobytes of long answers that are on their way at a time.
pub const ANSWER_KILOBYTES_MAX: usize = 64 * 1024;
/// A longer answer counts as long, bytes.
const LONG_ANSWER_BYTES: usize = 64 * 1024;
/// Pieces in which a long answer goes out, bytes.
const PIECE_BYTES: usize = 64 * 1024;
/// How long a browser may remember what it may ask, seconds.
const PREFLIGHT_S: &str = "600";

/// Answers the bytes of one request from this network. May block.
pub type Answer = Arc<dyn Fn(Origin, &[u8]) -> Vec<u8> + Send + Sync>;

/// A secret that opens the port.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// This secret.
    #[must_use]
    pub fn new(secret: String) -> Self {
        Self(secret)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// Who may ask.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The token asked for; without one, anybody who reaches the port may ask.
    pub token: Option<Token>,
    /// Origins whose pages may ask, as browsers name them (`https://wallet.example`).
    pub origins: Vec<String>,
    /// As for the pages: a proxy on this machine adds `X-Forwarded-For`.
    pub behind_proxy: bool,
    /// Timeouts of connections.
    pub timeouts: Timeouts,
}

struct Inner {
    answer: Answer,
    settings: Settings,
    started: Instant,
    requests: Requests,
    connections: PermitPool<Origin>,
    turns: Arc<Semaphore>,
    on_their_way: Arc<Semaphore>,
    refusals: Refusals,
    answered: AtomicU64,
    closing: watch::Sender<bool>,
}

/// The port.
#[derive(Clone)]
pub struct Rpc(Arc<Inner>);

impl Rpc {
    /// A port with this answer and these settings.
    #[must_use]
    pub fn new(answer: Answer, settings: Settings) -> Self {
        Self(Arc::new(Inner {
            answer,
            settings,
            started: Instant::now(),
            requests: Requests::new(Rate::one_in(REQUESTS_MAX, REQUEST_MS)),
            connections: PermitPool::new(CONNECTIONS_PER_NETWORK_MAX),
            turns: Arc::new(Semaphore::new(ANSWERS_MAX)),
            on_their_way: Arc::new(Semaphore::new(ANSWER_KILOBYTES_MAX)),
            refusals: Refusals::default(),
            answered: AtomicU64::new(0),
            closing: watch::Sender::new(false),
        }))
    }

    /// How often each reason for refusing was given.
    pub fn refusals(&self) -> impl Iterator<Item = (Reason, u64)> {
        self.0.refusals.counts()
    }

    /// Requests answered, also with an error of the ledger.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.0.answered.load(Ordering::Relaxed)
    }

    fn request_allowed(&self, network: Origin) -> Result<(), u64> {
        let now_ms = u64::try_from(self.0.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.requests.take(network, now_ms)
    }
}

impl fmt::Debug for Rpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rpc")
    }
}

impl ConnectionPolicy for Rpc {
    const CONNECTIONS_MAX: usize = CONNECTIONS_MAX;

    fn timeouts(&self) -> Timeouts {
        self.0.settings.timeouts
    }

    fn connection_permit(&self, peer: IpAddr) -> Option<Option<Permit<Origin>>> {
        if self.0.settings.behind_proxy && peer.is_loopback() {
            return Some(None);
        }
        let network = Origin::of(peer);
        self.request_allowed(network).ok()?;
        self.0.connections.take(network).map(Some)
    }

    fn refused(&self, reason: Reason) {
        self.0.refusals.count(reason);
    }

    fn closing(&self) -> watch::Receiver<bool> {
        self.0.closing.subscribe()
    }

    fn close(&self) {
        self.0.closing.send_replace(true);
    }
}

/// Serves the port on `listener` until `stop` resolves; requests under way may end first.
///
/// # Errors
/// None at present: a listener that fails is asked again.
pub async fn serve(
    listener: TcpListener,
    rpc: Rpc,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let router = router(rpc.clone());
    server::accept(listener, rpc, router, stop).await
}

fn router(rpc: Rpc) -> Router {
    Router::new().fallback(around).with_state(rpc)
}

/// Why a request is not answered.
struct Rejection {
    status: StatusCode,
    reason: Reason,
    code: i32,
    why: &'static str,
}

impl Rejection {
    const fn new(status: StatusCode, reason: Reason, code: i32, why: &'static str) -> Self {
        Self { status, reason, code, why }
    }
}

async fn around(State(rpc): State<Rpc>, request: Request) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let settings = &rpc.0.settings;
    let known = |origin: &HeaderValue| settings.origins.iter().any(|one| one.as_bytes() == origin.as_bytes());
    let known = origin.filter(known);
    let mut response = match answer(&rpc, request, known.is_some()).await {
        Ok(response) => response,
        Err(no) => {
            rpc.refused(no.reason);
            let body = format!(
                r#"{{"jsonrpc":"2.0","id":null,"error":{{"code":{},"message":"{}"}}}}"#,
                no.code, no.why
            );
            let mut response = json(no.status, Body::from(body));
            let headers = response.headers_mut();
            match no.status {
                StatusCode::UNAUTHORIZED => {
                    headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                }
                StatusCode::METHOD_NOT_ALLOWED => {
                    headers.insert(header::ALLOW, HeaderValue::from_static("POST, OPTIONS"));
                }
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
                }
                _ => {}
            }
            response
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = known {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    response
}

fn json(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

async fn answer(rpc: &Rpc, request: Request, known_origin: bool) -> Result<Response, Rejection> {
    let settings = &rpc.0.settings;
    let network = client_address::origin(request.extensions(), request.headers(), settings.behind_proxy);
    bounded(rpc, &request, network)?;
    let headers = request.headers();
    if headers.contains_key(header::ORIGIN) && !known_origin {
        let why = "pages of this origin may not ask here: the operator names those that may";
        return Err(Rejection::new(StatusCode::FORBIDDEN, Reason::Foreign, -32000, why));
    }
    if request.method() == Method::OPTIONS && known_origin {
        return Ok(preflight());
    }
    if request.method() != Method::POST {
        let why = "JSON-RPC is asked with POST";
        return Err(Rejection::new(StatusCode::METHOD_NOT_ALLOWED, Reason::Method, -32600, why));
    }
    if request.uri().path() != "/" {
        let why = "JSON-RPC is asked at the address /";
        return Err(Rejection::new(StatusCode::NOT_FOUND, Reason::NotFound, -32600, why));
    }
    if !admitted(settings.token.as_ref(), headers) {
        let why = "a token is needed: send the header Authorization: Bearer TOKEN; the operator has the token's file";
        return Err(Rejection::new(StatusCode::UNAUTHORIZED, Reason::Token, -32000, why));
    }
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    // A browser asks (preflight) before it sends this media type from another origin.
    if !media.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case("application/json") {
        let why = "the content type must be application/json: send the header Content-Type: application/json (web3.py \
                   sends only the headers it is given, so give it this one too)";
        return Err(Rejection::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Reason::Form, -32600, why));
    }
    let body = read(rpc, request).await?;
    let answer = tokio::time::timeout(ANSWER_WITHIN, answer_queued(rpc.clone(), network, body)).await;
    let busy = || {
        let why = "the node is busy: try again";
        Rejection::new(StatusCode::SERVICE_UNAVAILABLE, Reason::Unavailable, -32005, why)
    };
    answer.map_err(|_| busy())?
}

fn bounded(rpc: &Rpc, request: &Request, network: Origin) -> Result<(), Rejection> {
    let long =
        |why| Rejection::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, Reason::HeadTooLong, -32600, why);
    if request.uri().path_and_query().map_or(0, |path| path.as_str().len()) > ADDRESS_BYTES_MAX {
        return Err(long("the address is too long"));
    }
    let head = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>();
    if head > HEAD_BYTES_MAX {
        return Err(long("the headers are too long"));
    }
    rpc.request_allowed(network).map_err(|_| {
        let why = "too many requests from one network: ask more slowly, or in batches";
        Rejection::new(StatusCode::TOO_MANY_REQUESTS, Reason::Requests, -32005, why)
    })
}

fn admitted(token: Option<&Token>, headers: &HeaderMap) -> bool {
    let Some(Token(token)) = token else { return true };
    let said = headers.get(header::AUTHORIZATION).map_or(&b""[..], HeaderValue::as_bytes);
    let Some((scheme, said)) = said.split_at_checked(7) else { return false };
    scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(said.ct_eq(token.as_bytes()))
}

fn preflight() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let allow: [(HeaderName, &str); 3] = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "POST"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type"),
        (header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_S),
    ];
    for (name, value) in allow {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn read(rpc: &Rpc, request: Request) -> Result<Vec<u8>, Rejection> {
    let gather = async {
        let mut body = Vec::new();
        let mut pieces = request.into_body().into_data_stream();
        while let Some(piece) = pieces.next().await {
            let broken =
                |_| Rejection::new(StatusCode::BAD_REQUEST, Reason::Form, -32600, "the request broke off");
            let piece = piece.map_err(broken)?;
            if body.len() + piece.len() > BODY_BYTES_MAX {
                let why = "the request is too long";
                return Err(Rejection::new(StatusCode::PAYLOAD_TOO_LARGE, Reason::BodyTooLong, -32600, why));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    };
    let slow = |_| {
        let why = "the request did not arrive in time";
        Rejection::new(StatusCode::REQUEST_TIMEOUT, Reason::SlowBody, -32600, why)
    };
    tokio::time::timeout(rpc.0.settings.timeouts.form, gather).await.map_err(slow)?
}

/// Waits for a turn, then answers off the event loop.
async fn answer_queued(rpc: Rpc, network: Origin, body: Vec<u8>) -> Result<Response, Rejection> {
    let failed = || {
        let why = "the node failed at this request";
        Rejection::new(StatusCode::INTERNAL_SERVER_ERROR, Reason::Failed, -32603, why)
    };
    let turn = rpc.0.turns.clone().acquire_owned().await.map_err(|_| failed())?;
    let answer = rpc.0.answer.clone();
    let answered = tokio::task::spawn_blocking(move || {
        // Held to the end, also when the client has been refused meanwhile.
        let _turn = turn;
        answer(network, &body)
    });
    let answered = answered.await.map_err(|_| failed())?;
    rpc.0.answered.fetch_add(1, Ordering::Relaxed);
    if answered.is_empty() {
        let mut nothing = Response::new(Body::empty());
        *nothing.status_mut() = StatusCode::NO_CONTENT;
        return Ok(nothing);
    }
    if answered.len() <= LONG_ANSWER_BYTES {
        return Ok(json(StatusCode::OK, Body::from(answered)));
    }
    // A long answer has its share of memory until it is gone.
    let kilobytes =
        u32::try_from(answered.len().div_ceil(1024).min(ANSWER_KILOBYTES_MAX)).unwrap_or(u32::MAX);
    let share = rpc.0.on_their_way.clone().acquire_many_owned(kilobytes).await.map_err(|_| failed())?;
    let answered = Bytes::from(answered);
    let pieces = (0..answered.len()).step_by(PIECE_BYTES).map(move |at| {
        let _share = &share;
        Ok::<_, io::Error>(answered.slice(at..answered.len().min(at + PIECE_BYTES)))
    });
    Ok(json(StatusCode::OK, Body::from_stream(futures::stream::iter(pieces))))
}

#[cfg(test)]
mod tests;
