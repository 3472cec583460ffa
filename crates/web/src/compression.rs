//! Which answers are compressed, and which must not be (decision 182).
//!
//! The length of a compressed page tells whether a guess that stands in it agrees with a secret that stands in it
//! (BREACH). Whoever wants to use that has to make somebody's browser ask for the page again and again with a guess in
//! the address. So what another site may have caused goes out as it is.

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{self, Write};

/// A shorter body is not compressed: it fits into a packet or two as it is.
const BYTES_MIN: usize = 1024;
/// A longer body is not compressed: no page has so many bytes.
const BYTES_MAX: usize = 4 << 20;
/// Of a page, which is compressed once for each request: most of the gain at a third of the best level's time.
const LEVEL: u32 = 5;
/// Of a file that is compressed once.
const LEVEL_BEST: u32 = 9;

/// Does the client take gzip?
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let said = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    said.flat_map(|list| list.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.trim().parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case("gzip") && weight.is_some_and(|weight| weight > 0.0)
    })
}

/// A file that everybody may read, compressed.
pub(crate) fn file(bytes: &[u8]) -> Option<Bytes> {
    gzip(bytes, LEVEL_BEST).ok().filter(|short| short.len() < bytes.len())
}

fn gzip(bytes: &[u8], level: u32) -> io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 3), Compression::new(level));
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.into())
}

/// The response to a request with these headers, compressed where that is of use and reveals nothing.
pub(crate) async fn compress(request: &HeaderMap, response: Response) -> Response {
    let length = response.body().size_hint().exact().and_then(|length| usize::try_from(length).ok());
    let worth = length.is_some_and(|length| (BYTES_MIN..=BYTES_MAX).contains(&length));
    if !worth || !is_text(response.headers()) || response.headers().contains_key(header::CONTENT_ENCODING) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    if head.headers.get(header::VARY).is_none_or(|varies| varies != "Accept-Encoding") {
        head.headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    if !accepts_gzip(request) || may_be_caused_by_another_site(request) {
        return Response::from_parts(head, body);
    }
    // The body is whole and in memory: this neither waits nor fails.
    let Ok(bytes) = axum::body::to_bytes(body, BYTES_MAX).await else {
        return Response::from_parts(head, Body::empty());
    };
    let whole = bytes.clone();
    match tokio::task::spawn_blocking(move || gzip(&bytes, LEVEL)).await {
        Ok(Ok(short)) => {
            head.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            head.headers.remove(header::CONTENT_LENGTH);
            Response::from_parts(head, Body::from(short))
        }
        _ => Response::from_parts(head, Body::from(whole)),
    }
}

/// Text compresses well; an event stream has to arrive event by event.
fn is_text(headers: &HeaderMap) -> bool {
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let media = media.split(';').next().unwrap_or("").trim();
    (media.starts_with("text/") && media != "text/event-stream")
        || media.ends_with("json")
        || ["image/svg+xml", "application/openmetrics-text"].contains(&media)
}

/// Browsers say who caused a request (Fetch Metadata). One that does not say it and sends a cookie may be an old one.
fn may_be_caused_by_another_site(request: &HeaderMap) -> bool {
    match request.get("sec-fetch-site") {
        Some(site) => site != "same-origin" && site != "none",
        None => request.contains_key(header::COOKIE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::headers;

    #[test]
    fn gzip_is_taken_by_its_name_and_with_a_weight() {
        let takes = |said: &str| accepts_gzip(&headers(&[("accept-encoding", said)]));
        assert!(takes("gzip") && takes("br, GZIP;q=0.5, zstd") && takes("deflate,gzip ; q=1.0"));
        for no in ["", "br", "gzip;q=0", "gzip;q=0.000", "x-gzip", "gzip;q=much", "identity, *;q=0"] {
            assert!(!takes(no), "{no}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn a_request_that_another_site_may_have_caused_is_told_by_its_headers() {
        let may = |list: &[(&'static str, &str)]| may_be_caused_by_another_site(&headers(list));
        assert!(may(&[("sec-fetch-site", "cross-site"), ("cookie", "a=b")]));
        assert!(may(&[("sec-fetch-site", "same-site")]));
        assert!(may(&[("cookie", "a=b")]), "an old browser");
        assert!(!may(&[("sec-fetch-site", "same-origin"), ("cookie", "a=b")]));
        assert!(!may(&[("sec-fetch-site", "none"), ("cookie", "a=b")]), "an address that somebody typed");
        assert!(!may(&[]), "a program without a session, or with a bearer token");
    }
}
