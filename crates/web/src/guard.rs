//! What stands around every answer: headers that forbid everything not needed, a time limit, and
//! the refusal of posts that come from another site.

use crate::App;
use crate::door::Peer;
use crate::refuse::Reason;
use crate::shell::Message;
use axum::extract::{Request, State};
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use clinic::Origin;
use futures::FutureExt;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

/// Nothing inline, nothing from elsewhere, nobody may frame us.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; \
     worker-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'";

/// Longest an answer may take to begin.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Longest address, bytes.
pub const ADDRESS_BYTES_MAX: usize = 2048;
/// Longest headers, bytes of names and values.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

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

/// Refuses what is too much, bounds the time of every answer, counts refusals and sets headers.
pub(crate) async fn around(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = match too_much(&app, &request) {
        Some(message) => app.message(None, &message),
        // A handler that panics is our fault; its asker is told so, and everybody else goes on.
        None => match tokio::time::timeout(ANSWER_WITHIN, AssertUnwindSafe(next.run(request)).catch_unwind())
            .await
        {
            Ok(Ok(response)) => response,
            Ok(Err(_)) => app.message(None, &Message::failed()),
            Err(_) => app.message(None, &Message::slow()),
        },
    };
    if let Some(reason) = response.extensions().get::<Reason>() {
        app.refused(*reason);
    }
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

fn too_much(app: &App, request: &Request) -> Option<Message> {
    let address = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    if address > ADDRESS_BYTES_MAX {
        return Some(Message::long_address());
    }
    let head = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>();
    if head > HEAD_BYTES_MAX {
        return Some(Message::long_head());
    }
    let place = Origin::of(asker(request.extensions(), request.headers(), app.settings().behind_proxy)?);
    app.may_ask(place).err().map(Message::too_often)
}

/// The address a request comes from: the connection's other end, or whom the proxy in front names. None
/// for a request that came over no connection.
pub(crate) fn asker(extensions: &Extensions, headers: &HeaderMap, behind_proxy: bool) -> Option<IpAddr> {
    let Peer(peer) = extensions.get::<Peer>()?;
    if !behind_proxy || !peer.is_loopback() {
        return Some(*peer);
    }
    // The last entry is the proxy's own; those before it are hearsay.
    let named = headers.get_all(FORWARDED).iter().next_back().and_then(|value| value.to_str().ok());
    let last = named.and_then(|list| list.rsplit(',').next()).and_then(|entry| entry.trim().parse().ok());
    Some(last.unwrap_or(*peer))
}

/// The place a request comes from, as signing in counts it.
pub(crate) fn place(extensions: &Extensions, headers: &HeaderMap, behind_proxy: bool) -> Origin {
    asker(extensions, headers, behind_proxy).map_or(Origin::HERE, Origin::of)
}

/// Did the request come from this machine itself, and not through a proxy on it?
pub(crate) fn from_this_machine(extensions: &Extensions, headers: &HeaderMap) -> bool {
    let near = extensions.get::<Peer>().is_none_or(|Peer(peer)| peer.is_loopback());
    near && ![FORWARDED, "forwarded", "via"].iter().any(|name| headers.contains_key(*name))
}

const FORWARDED: &str = "x-forwarded-for";

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
    fn who_asks_is_whom_the_proxy_names_last_and_nobody_s_own_word() {
        let from = |peer: &str, behind_proxy, forwarded: &[(&'static str, &str)]| {
            let mut extensions = Extensions::new();
            extensions.insert(Peer(peer.parse().expect("an address")));
            asker(&extensions, &headers(forwarded), behind_proxy).expect("over a connection").to_string()
        };
        let claim = [("x-forwarded-for", "10.1.1.1, 192.0.2.7")];
        assert_eq!(from("127.0.0.1", true, &claim), "192.0.2.7");
        assert_eq!(from("127.0.0.1", false, &claim), "127.0.0.1", "no proxy: anybody can write a header");
        assert_eq!(from("198.51.100.9", true, &claim), "198.51.100.9", "not from our proxy");
        assert_eq!(from("127.0.0.1", true, &[("x-forwarded-for", "nonsense")]), "127.0.0.1");
        assert_eq!(asker(&Extensions::new(), &headers(&claim), true), None);
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
