//! Renders a refusal as what was asked for: a page of this site, a problem (RFC 9457), a FHIR
//! `OperationOutcome`, or the end of a live stream.

use crate::app::App;
use crate::caller::Caller;
use crate::error::{Details, Error};
use crate::layout::Layout;
use crate::live;
use crate::navigation::Link;
use crate::refusals;
use crate::visit::Visit;
use askama::Template;
use axum::Json;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Serialize;

/// Longest address that signing in leads back to, bytes as written.
const NEXT_BYTES_MAX: usize = crate::server::ADDRESS_BYTES_MAX / 2;

/// The format that a client accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Page,
    Problem,
    OperationOutcome,
    EventStream,
}

impl Format {
    /// The first media type of the `Accept` header that a refusal can be rendered as; a page by default.
    fn of(headers: &HeaderMap) -> Self {
        let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
        let known =
            accepted.split(',').find_map(|range| match range.split(';').next().unwrap_or("").trim() {
                "text/html" | "application/xhtml+xml" => Some(Self::Page),
                "application/problem+json" | "application/json" => Some(Self::Problem),
                "application/fhir+json" => Some(Self::OperationOutcome),
                "text/event-stream" => Some(Self::EventStream),
                _ => None,
            });
        known.unwrap_or(Self::Page)
    }
}

#[derive(Template)]
#[template(path = "pages/message.html")]
struct MessagePage<'a> {
    layout: Layout,
    title: &'a str,
    text: &'a str,
    icon: &'a str,
    links: Vec<Link>,
}

/// RFC 9457. Of the type `about:blank`: the status says what kind of problem it is.
#[derive(Serialize)]
struct Problem<'a> {
    title: &'a str,
    status: u16,
    detail: &'a str,
}

/// FHIR R4 `OperationOutcome` with one issue.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OperationOutcome<'a> {
    resource_type: &'static str,
    issue: [Issue<'a>; 1],
}

#[derive(Serialize)]
struct Issue<'a> {
    severity: &'static str,
    code: &'static str,
    diagnostics: &'a str,
}

/// The code of FHIR's value set `issue-type` for a status.
fn issue_code(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "login",
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::NOT_FOUND => "not-found",
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::UNSUPPORTED_MEDIA_TYPE => "not-supported",
        StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::URI_TOO_LONG
        | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "too-long",
        StatusCode::REQUEST_TIMEOUT => "timeout",
        StatusCode::TOO_MANY_REQUESTS => "throttled",
        status if status.is_server_error() => "transient",
        _ => "invalid",
    }
}

/// The answer to a request with this head: rendered if it is a refusal, else as it is.
pub(crate) async fn render(app: &App, parts: &Parts, response: Response) -> Response {
    let Some(error) = response.extensions().get::<Error>().cloned() else { return response };
    let caller = match Caller::of(parts, app).await {
        Some(caller) if error.details().with_ward => Some(caller.with_ward(app).await),
        caller => caller,
    };
    let mut rendered = rendered(app, parts, caller.as_ref(), error.details());
    // Headers that the router set, such as the methods that an address allows.
    for (name, value) in response.headers() {
        if !rendered.headers().contains_key(name) && *name != header::CONTENT_LENGTH {
            rendered.headers_mut().insert(name.clone(), value.clone());
        }
    }
    rendered
}

/// A refusal given before the caller was looked up.
pub(crate) fn anonymous(app: &App, parts: &Parts, error: &Error) -> Response {
    rendered(app, parts, None, error.details())
}

fn rendered(app: &App, parts: &Parts, caller: Option<&Caller>, details: &Details) -> Response {
    let format = Format::of(&parts.headers);
    let signed_out = details.status == StatusCode::UNAUTHORIZED;
    let visit = Visit::of(parts);
    if signed_out && format == Format::EventStream && parts.uri.path() == live::ADDRESS {
        return live::signed_out();
    }
    if signed_out && format == Format::Page && !visit.htmx.fragment {
        return refusals::mark(sign_in_first(parts, &visit), details.reason);
    }
    let mut response = match format {
        Format::Problem => {
            let problem =
                Problem { title: details.title, status: details.status.as_u16(), detail: &details.text };
            typed("application/problem+json", Json(problem))
        }
        Format::OperationOutcome => {
            let issue =
                Issue { severity: "error", code: issue_code(details.status), diagnostics: &details.text };
            let outcome = OperationOutcome { resource_type: "OperationOutcome", issue: [issue] };
            typed("application/fhir+json", Json(outcome))
        }
        Format::Page | Format::EventStream => app.render(&page(app, &visit, caller, details)),
    };
    *response.status_mut() = details.status;
    let headers = response.headers_mut();
    if let Some(seconds) = details.retry_s {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    if signed_out {
        if matches!(format, Format::Problem | Format::OperationOutcome) {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        } else {
            headers.insert("hx-redirect", HeaderValue::from_static("/sign-in"));
        }
    }
    refusals::mark(response, details.reason)
}

fn typed(media_type: &'static str, body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// Sends somebody without a session to sign in, and back afterwards.
fn sign_in_first(parts: &Parts, visit: &Visit) -> Response {
    let next: String = visit.path.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let leads_back = parts.method == Method::GET && next.len() <= NEXT_BYTES_MAX;
    let address = if leads_back { format!("/sign-in?next={next}") } else { "/sign-in".into() };
    Redirect::to(&address).into_response()
}

fn page<'a>(app: &App, visit: &Visit, caller: Option<&Caller>, details: &'a Details) -> MessagePage<'a> {
    let mut layout = Layout::new(app, visit, caller, "");
    layout.path = "/".into();
    let (href, label) = details.back.unwrap_or(("/", "To my first page"));
    let link = |href: String, label| Link { href: href.into(), label, current: false };
    let ways = details.ways.iter().map(|(href, label)| link(href.clone(), *label));
    MessagePage {
        layout,
        title: details.title,
        text: &details.text,
        icon: details.icon,
        links: ways.chain([link(href.into(), label)]).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_media_type_that_can_be_rendered_decides_and_browsers_get_a_page() {
        let format = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            Format::of(&headers)
        };
        assert_eq!(format("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), Format::Page);
        assert_eq!(format("application/json"), Format::Problem);
        assert_eq!(format("application/problem+json, application/json;q=0.5"), Format::Problem);
        assert_eq!(format("application/fhir+json;fhirVersion=4.0"), Format::OperationOutcome);
        assert_eq!(format("text/event-stream"), Format::EventStream);
        for anything in ["", "*/*", "image/png"] {
            assert_eq!(format(anything), Format::Page, "{anything}");
        }
        assert_eq!(Format::of(&HeaderMap::new()), Format::Page);
    }
}
