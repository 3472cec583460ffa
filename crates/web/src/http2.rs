//! HTTP/2: its bounds, and what the answers of a connection are waiting for.
//!
//! hyper sets a time for the head of an HTTP/1.1 request, and none for anything of HTTP/2. [`Activity`] tells a
//! connection on which nothing happens, and an answer that its client does not take: with HTTP/2 a client can read
//! the connection and still let one answer wait for ever, by giving it no window.

use crate::refusals::Reason;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// Most requests under way on a connection: a browser's pages share one.
pub const STREAMS_MAX: u32 = 64;
/// Bytes of a request's body that a client may send ahead; no form is longer.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
/// The same for all requests of a connection.
const CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;
/// Bytes of an answer that wait in the library for their turn.
const SEND_BYTES_MAX: usize = 64 * 1024;
/// An answer is handed over in pieces of this size: each is a step that a slow client makes.
const PIECE_BYTES: usize = 16 * 1024;
/// Requests that a client has taken back before they were looked at; with one more the connection ends
/// (CVE-2023-44487).
const RESETS_WAITING_MAX: usize = 20;
/// Requests that the server had to reset because of what the client did; with one more the connection ends
/// (CVE-2025-8671).
const RESETS_OWN_MAX: usize = 64;

/// A builder with these bounds. A client that does not answer a ping within `ping` is gone.
pub(crate) fn builder(head_bytes_max: u32, ping: Duration) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(head_bytes_max)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BYTES_MAX)
        .max_pending_accept_reset_streams(RESETS_WAITING_MAX)
        .max_local_error_reset_streams(RESETS_OWN_MAX)
        .keep_alive_interval(ping)
        .keep_alive_timeout(ping);
    builder
}

/// Puts the host where HTTP/1.1 has it: HTTP/2 names it in the address (RFC 9113, section 8.3.1).
pub(crate) fn name_host(request: &mut Request) {
    let authority = request.uri().authority().map(|authority| HeaderValue::from_str(authority.as_str()));
    if let Some(Ok(host)) = authority {
        request.headers_mut().insert(header::HOST, host);
    }
}

/// Why a connection ended, if that counts as a refusal.
pub(crate) fn refusal(why: &hyper::Error) -> Option<Reason> {
    let Some(error) = std::error::Error::source(why).and_then(|source| source.downcast_ref::<h2::Error>())
    else {
        // A ping without an answer.
        return why.is_timeout().then_some(Reason::SlowReader);
    };
    if let Some(broken) = error.get_io() {
        return (broken.kind() == io::ErrorKind::TimedOut).then_some(Reason::SlowReader);
    }
    match error.reason() {
        _ if error.is_remote() => None,
        Some(h2::Reason::ENHANCE_YOUR_CALM) => Some(Reason::Requests),
        _ => Some(Reason::NotHttp),
    }
}

/// How a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Answers are under way.
    Busy,
    /// No answer is under way, for so long.
    Idle(Duration),
    /// Nothing was ever asked, for so long.
    Silent(Duration),
    /// A client has taken nothing of one of its answers for so long.
    Stuck(Duration),
}

struct Answers {
    next: u64,
    /// Each answer under way: since when a piece of it waits to be taken, if one does.
    open: HashMap<u64, Option<Instant>>,
    /// When the last one ended, or the connection began.
    idle_since: Instant,
}

/// The answers of one connection.
#[derive(Clone)]
pub(crate) struct Activity(Arc<Mutex<Answers>>);

impl Activity {
    pub(crate) fn new(now: Instant) -> Self {
        Self(Arc::new(Mutex::new(Answers { next: 0, open: HashMap::new(), idle_since: now })))
    }

    /// A request has come.
    pub(crate) fn begin(&self) -> UnderWay {
        let mut answers = self.0.lock();
        let number = answers.next;
        answers.next += 1;
        answers.open.insert(number, None);
        UnderWay { activity: self.clone(), number }
    }

    pub(crate) fn standing(&self, now: Instant) -> Standing {
        let answers = self.0.lock();
        let idle = now.saturating_duration_since(answers.idle_since);
        match answers.open.values().flatten().min() {
            Some(since) => Standing::Stuck(now.saturating_duration_since(*since)),
            None if !answers.open.is_empty() => Standing::Busy,
            None if answers.next == 0 => Standing::Silent(idle),
            None => Standing::Idle(idle),
        }
    }
}

/// One answer under way, from its request to its last byte.
pub(crate) struct UnderWay {
    activity: Activity,
    number: u64,
}

impl UnderWay {
    /// The body of this answer.
    pub(crate) fn watch(self, body: Body) -> WatchedBody {
        WatchedBody { body, rest: Bytes::new(), answer: self }
    }

    fn waits_since(&self, since: Option<Instant>) {
        self.activity.0.lock().open.insert(self.number, since);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut answers = self.activity.0.lock();
        answers.open.remove(&self.number);
        if answers.open.is_empty() {
            answers.idle_since = Instant::now();
        }
    }
}

/// A body in pieces. Between two pieces the first is on its way to the client.
pub(crate) struct WatchedBody {
    body: Body,
    /// What is left of a longer piece.
    rest: Bytes,
    answer: UnderWay,
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            let polled = Pin::new(&mut self.body).poll_frame(cx);
            let Poll::Ready(Some(Ok(frame))) = polled else {
                // The next piece is not there yet: the client waits for us.
                self.answer.waits_since(None);
                return polled;
            };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let length = self.rest.len().min(PIECE_BYTES);
        let piece = self.rest.split_to(length);
        self.answer.waits_since(Some(Instant::now()));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = u64::try_from(self.rest.len()).unwrap_or(u64::MAX);
        let of_body = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(of_body.lower() + rest);
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
