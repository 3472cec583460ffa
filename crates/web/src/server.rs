//! Connections: who gets one, how long the server waits for it, and how it ends.
//!
//! `axum::serve` bounds none of this: it sets no timer, so a head may take for ever, and it takes every
//! connection there is.

use crate::client_address::Peer;
use crate::http2::{self, Activity, Standing};
use crate::quota::Permit;
use crate::refusals::Reason;
use crate::tls::{HTTP_2, Tls};
use crate::write_timeout::WriteTimeout;
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
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tower::ServiceExt;

/// Longest time for a TLS handshake, and for the head of a request to arrive, also on an idle connection.
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
pub const HEAD_BYTES_READ_MAX: u32 = 64 * 1024;
/// How often a connection of HTTP/2 is looked at within the shorter of its timeouts.
const LOOKS: u32 = 4;
/// Pause after the system could not accept a connection (no file handle left, say).
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// Timeouts of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For a TLS handshake, and for a whole head.
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

    /// TLS, if this port has any.
    fn tls(&self) -> Option<&Tls> {
        None
    }

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
    let Some(tls) = app.tls() else {
        let stream = WriteTimeout::new(stream, timeouts.taken);
        return serve_http1(stream, peer, app, router, timeouts).await;
    };
    let accepted = tokio::select! {
        accepted = tls.accept(stream, timeouts.head, timeouts.taken) => accepted,
        () = told_to_close(app.closing()) => return,
    };
    match accepted {
        Ok(stream) if stream.get_ref().1.alpn_protocol() == Some(HTTP_2) => {
            serve_http2(stream, peer, app, router, timeouts).await;
        }
        Ok(stream) => serve_http1(stream, peer, app, router, timeouts).await,
        Err(reason) => reason.into_iter().for_each(|reason| app.refused(reason)),
    }
}

async fn serve_http1(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: IpAddr,
    app: &impl ConnectionPolicy,
    router: Router,
    timeouts: Timeouts,
) {
    let answer = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        router.clone().oneshot(request)
    });
    let talk = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(timeouts.head)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_READ_MAX as usize)
        .serve_connection(TokioIo::new(stream), answer);
    let mut talk = std::pin::pin!(talk);
    let ended = tokio::select! {
        ended = talk.as_mut() => ended,
        () = told_to_close(app.closing()) => {
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

async fn serve_http2(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: IpAddr,
    app: &impl ConnectionPolicy,
    router: Router,
    timeouts: Timeouts,
) {
    let activity = Activity::new(Instant::now());
    let answering = activity.clone();
    let answer = service_fn(move |request: hyper::Request<Incoming>| {
        let under_way = answering.begin();
        let mut request: Request = request.map(Body::new);
        http2::name_host(&mut request);
        request.extensions_mut().insert(Peer(peer));
        let answer = router.clone().oneshot(request);
        async move { answer.await.map(|response| response.map(|body| under_way.watch(body))) }
    });
    let builder = http2::builder(HEAD_BYTES_READ_MAX, timeouts.taken);
    let mut talk = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), answer));
    let mut look = tokio::time::interval(timeouts.head.min(timeouts.taken) / LOOKS);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut closes = std::pin::pin!(told_to_close(app.closing()));
    // True once no further request is taken.
    let mut leaving = false;
    loop {
        tokio::select! {
            ended = talk.as_mut() => {
                ended.err().and_then(|why| http2::refusal(&why)).into_iter().for_each(|reason| app.refused(reason));
                return;
            }
            () = closes.as_mut(), if !leaving => {
                if matches!(activity.standing(Instant::now()), Standing::Silent(_)) {
                    // Nobody waits for anything; a client without a preface would never hear that this ends.
                    return;
                }
                leaving = true;
                talk.as_mut().graceful_shutdown();
            }
            now = look.tick() => match activity.standing(now) {
                Standing::Silent(idle) if idle >= timeouts.head => return app.refused(Reason::SlowHead),
                Standing::Stuck(since) if since >= timeouts.taken => return app.refused(Reason::SlowReader),
                // What is left of the last answers was not taken, or a head has not ended.
                Standing::Idle(idle) if idle >= timeouts.head + timeouts.taken => {
                    return app.refused(Reason::SlowReader);
                }
                Standing::Idle(idle) if idle >= timeouts.head && !leaving => {
                    leaving = true;
                    talk.as_mut().graceful_shutdown();
                }
                _ => {}
            },
        }
    }
}

async fn told_to_close(mut closing: watch::Receiver<bool>) {
    // An error means that the server is gone: the same.
    let _ = closing.wait_for(|closing| *closing).await;
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
