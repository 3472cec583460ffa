//! What surrounds every answer: bounds on what is asked, a time limit, the rendering of refusals, and headers
//! that forbid everything not needed.

use crate::app::App;
use crate::client_address::client_address;
use crate::compression;
use crate::error::Error;
use crate::error_response;
use crate::refusals::Reason;
use crate::secret_address::holds_secret;
use crate::server::{ADDRESS_BYTES_MAX, ANSWER_WITHIN, HEAD_BYTES_MAX, HEADERS_MAX};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use clinic::Origin;
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use tokio::time::Instant;

/// Nothing inline, nothing from another origin, no frames.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; \
     worker-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    ),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Refuses what is too much, bounds the time of every answer, renders and counts refusals, and sets headers.
pub(crate) async fn around(State(app): State<App>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_string();
    let refused = |error: Error| error_response::anonymous(&app, &parts, &error);
    let mut response = match over_bounds(&app, &parts) {
        Some(error) => refused(error),
        None => {
            let answer = async {
                let response = next.run(Request::from_parts(parts.clone(), body)).await;
                error_response::render(&app, &parts, response).await
            };
            // If a handler panics, its caller gets an error and everybody else goes on.
            match tokio::time::timeout(ANSWER_WITHIN, AssertUnwindSafe(answer).catch_unwind()).await {
                Ok(Ok(response)) => response,
                Ok(Err(_)) => refused(Error::failed()),
                Err(_) => refused(Error::timeout()),
            }
        }
    };
    app.request_durations().observe(began.elapsed().as_secs_f64());
    if let Some(reason) = response.extensions().get::<Reason>() {
        app.refused(*reason);
    }
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if holds_secret(&path) {
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if app.settings().behind_tls && !is_local_name(&parts.headers) {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    compression::compress(&parts.headers, response).await
}

/// Was this server asked for as `localhost`? A browser that never again speaks plain HTTP to that name would refuse
/// every other program on its own machine. (An address of numbers it does not remember: RFC 6797, section 8.1.1.)
fn is_local_name(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or("");
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

fn over_bounds(app: &App, parts: &Parts) -> Option<Error> {
    let address = parts.uri.path_and_query().map_or(0, |path| path.as_str().len());
    if address > ADDRESS_BYTES_MAX {
        return Some(Error::address_too_long());
    }
    let head = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>();
    if head > HEAD_BYTES_MAX || parts.headers.len() > HEADERS_MAX {
        return Some(Error::headers_too_long());
    }
    let behind_proxy = app.settings().behind_proxy;
    let from = Origin::of(client_address(&parts.extensions, &parts.headers, behind_proxy)?);
    app.request_allowed(from).err().map(Error::too_many_requests)
}
