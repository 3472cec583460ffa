//! The own record as a sealed bundle, streamed while it is written.

use crate::App;
use crate::session::Caller;
use crate::shell::{Answer, Message};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use clinic::ClinicError;
use futures::StreamExt;
use std::io;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Pieces that may wait for a slow reader.
const PIECES_WAITING_MAX: usize = 64;

/// `/me/record`: nothing is opened for it, so it needs no access entry.
pub(crate) async fn download(State(app): State<App>, caller: Caller) -> Answer {
    let (pieces, mut waiting) = mpsc::channel::<Result<Bytes, ClinicError>>(PIECES_WAITING_MAX);
    let (station, now_ms, session) = (app.station().clone(), app.now_ms(), caller.session.clone());
    tokio::task::spawn_blocking(move || {
        let mut sink = |bytes: &[u8]| {
            let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
            pieces.blocking_send(Ok(Bytes::copy_from_slice(bytes))).map_err(gone)
        };
        if let Err(why) = station.export_own(&session, now_ms, &mut sink) {
            // Nobody may be listening any more; then nobody needs to know.
            let _heard = pieces.blocking_send(Err(why));
        }
    });
    match waiting.recv().await {
        None => Err(app.refusal(Some(&caller), &Message::failed())),
        Some(Err(why)) => Err(app.no(&caller, &why)),
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
