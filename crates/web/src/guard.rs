//! What stands around every answer: headers that forbid everything not needed, a time limit, and
//! the refusal of posts that come from another site.

use crate::App;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use std::time::Duration;

/// Nothing inline, nothing from elsewhere, nobody may frame us.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'";

/// Longest an answer may take to begin.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Longest body of a form, bytes.
pub const FORM_BYTES_MAX: usize = 16 * 1024;

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

/// Sets the headers of every answer and bounds its time.
pub(crate) async fn around(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = match tokio::time::timeout(ANSWER_WITHIN, next.run(request)).await {
        Ok(response) => response,
        Err(_) => app.message(None, &crate::shell::Message::slow()),
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if app.settings().behind_tls {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    response
}

/// Does this post come from one of our own pages? Browsers say so with every post; whoever leaves
/// both headers out is no page of ours.
#[must_use]
pub fn from_our_pages(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text(HeaderName::from_static("sec-fetch-site"))
        && site != "same-origin"
    {
        return false;
    }
    let Some(host) = text(header::HOST) else { return false };
    match text(header::ORIGIN) {
        Some(origin) => origin.split_once("://").is_some_and(|(_, authority)| authority == host),
        None => text(HeaderName::from_static("sec-fetch-site")).is_some(),
    }
}

/// The answer to a post from elsewhere.
#[must_use]
pub fn foreign() -> StatusCode {
    StatusCode::FORBIDDEN
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        list.iter()
            .map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_str(value).expect("plain text"))
            })
            .collect()
    }

    #[test]
    fn only_our_own_pages_may_post() {
        let ours = [("host", "ward:8080"), ("origin", "http://ward:8080")];
        assert!(from_our_pages(&headers(&ours)));
        assert!(from_our_pages(&headers(&[("host", "ward"), ("sec-fetch-site", "same-origin")])));
        for wrong in [
            vec![("host", "ward:8080"), ("origin", "http://evil:8080")],
            vec![("host", "ward:8080"), ("origin", "null")],
            vec![("host", "ward:8080")],
            vec![("origin", "http://ward:8080")],
            vec![("host", "ward:8080"), ("origin", "http://ward:8080"), ("sec-fetch-site", "cross-site")],
            vec![("host", "ward:8080"), ("origin", "http://ward:8080"), ("sec-fetch-site", "same-site")],
        ] {
            assert!(!from_our_pages(&headers(&wrong)), "{wrong:?}");
        }
    }
}
