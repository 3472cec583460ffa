//! The own record as a sealed bundle, streamed while it is written.

use crate::app::App;
use crate::caller::Caller;
use crate::error::{Answer, Error};
use crate::refusals::Reason;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use clinic::{ClinicError, Denied, Scope};
use futures::StreamExt;
use std::io;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

/// Pieces that may wait for a slow reader.
const PIECES_WAITING_MAX: usize = 64;
/// Longest time for a client to read the next piece; a bundle uses a thread all the while.
pub(crate) const PIECE_WITHIN: Duration = Duration::from_secs(20);
/// And this long for all of it.
pub(crate) const BUNDLE_WITHIN: Duration = Duration::from_secs(15 * 60);

/// `/me/record`: nothing is opened for it, so it needs no access entry.
pub(crate) async fn download(State(app): State<App>, caller: Caller) -> Answer {
    let busy = || Error::too_many_bundles();
    let own = app.bundles_of().take(caller.session.person).ok_or_else(busy)?;
    let permit = app.bundles().clone().try_acquire_owned().map_err(|_| busy())?;
    let (pieces, mut waiting) = mpsc::channel::<Result<Bytes, ClinicError>>(PIECES_WAITING_MAX);
    let (clinic, now_ms, session) = (app.clinic().clone(), app.now_ms(), caller.session.clone());
    let (runtime, deadline, counter) = (Handle::current(), Instant::now() + BUNDLE_WITHIN, app.clone());
    tokio::task::spawn_blocking(move || {
        // Given back when the thread is free again, not when the browser has gone.
        let _held = (own, permit);
        let send = |piece| {
            let until = deadline.min(Instant::now() + PIECE_WITHIN);
            match runtime.block_on(tokio::time::timeout_at(until, pieces.send(piece))) {
                Ok(sent) => sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe)),
                Err(_) => {
                    counter.refused(Reason::SlowReader);
                    Err(io::ErrorKind::TimedOut.into())
                }
            }
        };
        let mut sink = |bytes: &[u8]| send(Ok(Bytes::copy_from_slice(bytes)));
        let export = |sink: &mut dyn FnMut(&[u8]) -> io::Result<()>| {
            let own = session.patient.ok_or(Denied::Role { role: session.role })?;
            clinic.export(&session, Scope::Patient(own), now_ms, sink)
        };
        if let Err(why) = export(&mut sink) {
            // The client may be gone; then nobody needs to know.
            let _heard = pieces.try_send(Err(why));
        }
    });
    match waiting.recv().await {
        None => Err(Error::failed()),
        Some(Err(why)) => Err(why.into()),
        Some(Ok(first)) => {
            let rest = ReceiverStream::new(waiting)
                .map(|piece| piece.map_err(|_| io::Error::other("the bundle could not be finished")));
            let body =
                Body::from_stream(futures::stream::once(async { Ok::<Bytes, io::Error>(first) }).chain(rest));
            let headers = [
                (header::CONTENT_TYPE, "application/octet-stream"),
                (header::CONTENT_DISPOSITION, "attachment; filename=\"my-record.bundle\""),
            ];
            Ok((headers, body).into_response())
        }
    }
}
