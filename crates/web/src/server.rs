//! Connections: who gets one, how long the server waits for it, and how it ends.
//!
//! `axum::serve` bounds none of this: it sets no timer, so a head may take for ever, and it takes every
//! connection there is.

use crate::client_address::Peer;
use crate::quota::Permit;
use crate::refusals::Reason;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use clinic::Origin;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep};
use tower::ServiceExt;

/// Longest time for the head of a request to arrive, also on an idle connection.
pub const HEAD_WITHIN: Duration = Duration::from_secs(15);
/// Longest time in which a client reads nothing of what is sent to it.
pub const TAKEN_WITHIN: Duration = Duration::from_secs(30);
/// Longest time for a form to arrive.
pub const FORM_WITHIN: Duration = Duration::from_secs(5);
/// Longest an answer may take to begin.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Longest address, bytes.
pub const ADDRESS_BYTES_MAX: usize = 2048;
/// Longest headers, bytes of names and values.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Headers of a request.
pub const HEADERS_MAX: usize = 100;
/// Bytes of a head that are read at all; beyond [`HEAD_BYTES_MAX`] the answer is a refusal.
pub const HEAD_BYTES_READ_MAX: usize = 64 * 1024;
/// Pause after the system could not accept a connection (no file handle left, say).
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// Timeouts of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For a whole head.
    pub head: Duration,
    /// For reading anything of an answer.
    pub taken: Duration,
    /// For a whole form.
    pub form: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { head: HEAD_WITHIN, taken: TAKEN_WITHIN, form: FORM_WITHIN }
    }
}

/// Decides about connections and counts those refused.
pub(crate) trait ConnectionPolicy: Clone + Send + Sync + 'static {
    /// Most connections at a time.
    const CONNECTIONS_MAX: usize;

    fn timeouts(&self) -> Timeouts;

    /// A permit for a connection from this address, or none.
    fn connection_permit(&self, peer: IpAddr) -> Option<Option<Permit<Origin>>>;

    fn refused(&self, reason: Reason);

    /// Turns true once connections are to end.
    fn closing(&self) -> watch::Receiver<bool>;

    fn close(&self);
}

/// Serves `router` under the policy of `app`.
pub(crate) async fn accept<H: ConnectionPolicy>(
    listener: TcpListener,
    app: H,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let timeouts = app.timeouts();
    let mut open = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = open.join_next() => continue,
            () = &mut stop => break,
        };
        let Ok((stream, address)) = accepted else {
            tokio::time::sleep(ACCEPT_AGAIN).await;
            continue;
        };
        let connection_permit =
            if open.len() < H::CONNECTIONS_MAX { app.connection_permit(address.ip()) } else { None };
        let Some(connection_permit) = connection_permit else {
            // Closed without an answer: an answer costs more than the connection.
            app.refused(Reason::Connections);
            continue;
        };
        let (app, router) = (app.clone(), router.clone());
        open.spawn(async move {
            let _permit = connection_permit;
            serve_connection(stream, address.ip(), &app, router, timeouts).await;
        });
    }
    drop(listener);
    app.close();
    while open.join_next().await.is_some() {}
    Ok(())
}

async fn serve_connection(
    stream: TcpStream,
    peer: IpAddr,
    app: &impl ConnectionPolicy,
    router: Router,
    timeouts: Timeouts,
) {
    // Small answers go out at once; a system that cannot do so is only slower.
    let _ = stream.set_nodelay(true);
    let mut closing = app.closing();
    let answer = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        router.clone().oneshot(request)
    });
    let stream = TokioIo::new(WriteTimeout { stream, within: timeouts.taken, stuck: None });
    let talk = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(timeouts.head)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_READ_MAX)
        .serve_connection(stream, answer);
    let mut talk = std::pin::pin!(talk);
    let closes = async { closing.wait_for(|closing| *closing).await.is_ok() };
    let ended = tokio::select! {
        ended = talk.as_mut() => ended,
        _ = closes => {
            talk.as_mut().graceful_shutdown();
            talk.await
        }
    };
    if let Err(why) = ended {
        if why.is_parse_too_large() {
            app.refused(Reason::HeadTooLong);
        } else if why.is_parse() {
            app.refused(Reason::NotHttp);
        } else if why.is_timeout() {
            app.refused(Reason::SlowHead);
        } else if timed_out(&why) {
            app.refused(Reason::SlowReader);
        }
    }
}

fn timed_out(why: &hyper::Error) -> bool {
    let mut cause = std::error::Error::source(why);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|one| one.kind() == io::ErrorKind::TimedOut) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A connection that is closed when its other end reads nothing for a while.
struct WriteTimeout {
    stream: TcpStream,
    within: Duration,
    /// Runs while a write is stuck.
    stuck: Option<Pin<Box<Sleep>>>,
}

impl WriteTimeout {
    fn mind<T>(&mut self, done: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.stuck = None;
            return done;
        }
        let deadline = Instant::now() + self.within;
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        stuck.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for WriteTimeout {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for WriteTimeout {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.mind(done, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_flush(cx);
        self.mind(done, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.mind(done, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
