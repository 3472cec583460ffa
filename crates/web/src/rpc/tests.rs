#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use axum::http::Request as HttpRequest;
use std::collections::HashMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tower::ServiceExt;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const WALLET: &str = "https://wallet.example";

fn settings() -> Settings {
    let timeouts = Timeouts { form: Duration::from_millis(20), ..Timeouts::default() };
    let (token, origins) = (Some(Token::new(TOKEN.into())), vec![WALLET.into()]);
    Settings { token, origins, behind_proxy: false, timeouts }
}

/// A port that answers with the request.
fn echo(settings: Settings) -> Rpc {
    Rpc::new(Arc::new(|_, heard: &[u8]| heard.to_vec()), settings)
}

fn post() -> axum::http::request::Builder {
    HttpRequest::post("/")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {TOKEN}"))
}

/// Status, headers as text, body.
async fn ask(rpc: &Rpc, request: HttpRequest<Body>) -> (StatusCode, HashMap<String, String>, Vec<u8>) {
    let response = router(rpc.clone()).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let text =
        |(name, value): (&HeaderName, &HeaderValue)| (name.to_string(), value.to_str().unwrap().to_owned());
    (parts.status, parts.headers.iter().map(text).collect(), body.to_vec())
}

#[tokio::test]
async fn only_requests_with_the_token_are_answered() {
    let rpc = echo(settings());
    let (status, headers, body) = ask(&rpc, post().body(Body::from("hello")).unwrap()).await;
    assert_eq!((status, body.as_slice()), (StatusCode::OK, &b"hello"[..]));
    assert_eq!(
        (headers["content-type"].as_str(), headers["cache-control"].as_str()),
        ("application/json", "no-store")
    );
    let mut wrong = vec![String::new(), "Bearer ".into(), format!("Basic {TOKEN}"), TOKEN.into()];
    wrong.extend([format!("Bearer {}", &TOKEN[1..]), format!("Bearer {TOKEN}0"), format!("Bearer {TOKEN} ")]);
    for said in wrong {
        let request = HttpRequest::post("/").header("content-type", "application/json");
        let request = request.header("authorization", &said).body(Body::from("hello")).unwrap();
        let (status, headers, body) = ask(&rpc, request).await;
        assert_eq!(
            (status, headers["www-authenticate"].as_str()),
            (StatusCode::UNAUTHORIZED, "Bearer"),
            "{said}"
        );
        assert!(String::from_utf8(body).unwrap().contains("a token is needed"));
    }
    let refused: u64 = rpc.refusals().filter(|(why, _)| *why == Reason::Token).map(|(_, count)| count).sum();
    assert_eq!(refused, 7);
    let open = echo(Settings { token: None, ..settings() });
    let request = HttpRequest::post("/").header("content-type", "application/json");
    assert_eq!(ask(&open, request.body(Body::from("1")).unwrap()).await.0, StatusCode::OK);
    let told = |reason| rpc.refusals().find(|(one, _)| *one == reason).unwrap().1;
    assert_eq!((rpc.answered(), told(Reason::Token), told(Reason::Form)), (1, 7, 0));
    let mut registry = prometheus_client::registry::Registry::with_prefix("aceso");
    registry.register_collector(Box::new(crate::metrics::RpcCollector(rpc)));
    let mut metrics = String::new();
    prometheus_client::encoding::text::encode(&mut metrics, &registry).unwrap();
    assert!(metrics.contains("\naceso_rpc_answered_total 1\n"), "{metrics}");
    assert!(metrics.contains("\naceso_rpc_refused_total{reason=\"token\"} 7\n"), "{metrics}");
}

#[tokio::test]
async fn a_page_of_another_origin_may_ask_only_if_it_is_named() {
    // Even where no token is required.
    let rpc = echo(Settings { token: None, ..settings() });
    for origin in ["https://evil.example", "null", "https://wallet.example.evil", "http://wallet.example"] {
        let (status, headers, _) =
            ask(&rpc, post().header("origin", origin).body(Body::empty()).unwrap()).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{origin}");
        assert!(!headers.contains_key("access-control-allow-origin"));
    }
    let (status, headers, _) =
        ask(&rpc, post().header("origin", WALLET).body(Body::from("1")).unwrap()).await;
    assert_eq!((status, headers["access-control-allow-origin"].as_str()), (StatusCode::OK, WALLET));
    let preflight = HttpRequest::options("/").header("origin", WALLET).body(Body::empty()).unwrap();
    let (status, headers, _) = ask(&rpc, preflight).await;
    assert_eq!((status, headers["access-control-allow-methods"].as_str()), (StatusCode::NO_CONTENT, "POST"));
    // What a page can send without a preflight is refused.
    let plain = HttpRequest::post("/").header("content-type", "text/plain").body(Body::from("1")).unwrap();
    assert_eq!(ask(&rpc, plain).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn other_methods_other_addresses_and_requests_over_a_bound_are_refused() {
    let rpc = echo(settings());
    let get = HttpRequest::get("/").body(Body::empty()).unwrap();
    assert_eq!(ask(&rpc, get).await.0, StatusCode::METHOD_NOT_ALLOWED);
    let options = HttpRequest::options("/").body(Body::empty()).unwrap();
    assert_eq!(ask(&rpc, options).await.0, StatusCode::METHOD_NOT_ALLOWED);
    let elsewhere = post().uri("/metrics").body(Body::empty()).unwrap();
    assert_eq!(ask(&rpc, elsewhere).await.0, StatusCode::NOT_FOUND);
    let long = post().body(Body::from(vec![b' '; BODY_BYTES_MAX + 1])).unwrap();
    assert_eq!(ask(&rpc, long).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let head = post().header("x", "y".repeat(HEAD_BYTES_MAX)).body(Body::empty()).unwrap();
    assert_eq!(ask(&rpc, head).await.0, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let never = Body::from_stream(futures::stream::pending::<Result<Bytes, io::Error>>());
    assert_eq!(ask(&rpc, post().body(never).unwrap()).await.0, StatusCode::REQUEST_TIMEOUT);
    let full = post().body(Body::from(vec![b' '; BODY_BYTES_MAX])).unwrap();
    let (status, _, body) = ask(&rpc, full).await;
    assert_eq!((status, body.len()), (StatusCode::OK, BODY_BYTES_MAX), "a long answer comes whole");
    let nothing = post().body(Body::empty()).unwrap();
    assert_eq!(ask(&rpc, nothing).await.0, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_network_that_floods_the_port_has_to_wait() {
    let rpc = echo(settings());
    let mut last = StatusCode::OK;
    for _ in 0..2 * REQUESTS_MAX {
        last = ask(&rpc, post().body(Body::from("1")).unwrap()).await.0;
        if last != StatusCode::OK {
            break;
        }
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn few_requests_run_at_a_time_and_a_panic_fails_only_its_own() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (seen, peak) = (now.clone(), most.clone());
    // Each waits until as many as allowed are answered at once.
    let together = Barrier::new(ANSWERS_MAX);
    let answer = move |_, heard: &[u8]| {
        assert_ne!(heard, b"boom");
        peak.fetch_max(seen.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        if heard == b"together" {
            together.wait();
        }
        seen.fetch_sub(1, Ordering::SeqCst);
        vec![b'1']
    };
    let rpc = Rpc::new(Arc::new(answer), settings());
    let asked = (0..32 * ANSWERS_MAX).map(|_| ask(&rpc, post().body(Body::from("together")).unwrap()));
    for (status, ..) in futures::future::join_all(asked).await {
        assert_eq!(status, StatusCode::OK);
    }
    assert_eq!(most.load(Ordering::SeqCst), ANSWERS_MAX);
    let (status, _, body) = ask(&rpc, post().body(Body::from("boom")).unwrap()).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(String::from_utf8(body).unwrap().contains("-32603"));
    assert_eq!(ask(&rpc, post().body(Body::from("1")).unwrap()).await.0, StatusCode::OK);
}
