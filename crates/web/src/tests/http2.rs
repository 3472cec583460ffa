//! HTTP/2: its bounds, and clients that are slow, rude or many.

use super::connections::WAIT;
use super::https::{HTTP_2, Https, SOON};
use super::scene::encode;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use h2::client;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;
use web::http2::STREAMS_MAX;
use web::quota::STREAMS_PER_SESSION_MAX;
use web::refusals::Reason;
use web::server::{HEADERS_MAX, Timeouts};

#[tokio::test]
async fn a_connection_has_a_bounded_number_of_requests_and_headers() {
    let https = Https::new().await;
    let mut http2 = https.http2().await;
    assert_eq!(http2.ask(https.get("/help", ""), None).await.0.status(), StatusCode::OK);
    assert_eq!(http2.client.current_max_send_streams(), STREAMS_MAX as usize);
    let with = |length: usize| {
        let mut request = https.get("/help", "");
        request.headers_mut().insert("x", HeaderValue::from_str(&"a".repeat(length)).unwrap());
        request
    };
    let (head, page) = http2.ask(with(20_000), None).await;
    assert_eq!(head.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert!(String::from_utf8(page).unwrap().contains("are too long"));
    let mut many = https.get("/help", "");
    for number in 0..HEADERS_MAX {
        let name = HeaderName::from_bytes(format!("x-{number}").as_bytes()).unwrap();
        many.headers_mut().insert(name, HeaderValue::from_static("a"));
    }
    let (head, _) = http2.ask(many, None).await;
    assert_eq!(head.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(https.served.counted(Reason::HeadTooLong), 2);
    // So long that it is not read to its end; a client may be cut off while it still sends.
    let answer = http2.begin(with(200_000), None).await;
    let refused = answer.map(|answer| answer.status());
    assert!(
        refused.is_err() || refused.is_ok_and(|status| status == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
    );
    let (head, _) = https.http2().await.ask(https.get("/help", ""), None).await;
    assert_eq!(head.status(), StatusCode::OK);
}

#[tokio::test]
async fn live_events_come_at_once_and_as_they_are() {
    let mut https = Https::new().await;
    let mut http2 = https.http2().await;
    let request = https
        .request("GET", "/live?with=wall", "lee")
        .header(header::ACCEPT_ENCODING, "gzip")
        .header("sec-fetch-site", "same-origin");
    let (head, mut events) = http2.begin(request.body(()).unwrap(), None).await.unwrap().into_parts();
    assert_eq!(head.headers[header::CONTENT_TYPE], "text/event-stream");
    assert!(!head.headers.contains_key(header::CONTENT_ENCODING));
    let mut said = String::new();
    for wanted in ["event: beat", "event: alarm"] {
        while !said.contains(wanted) {
            let piece = tokio::time::timeout(WAIT, events.data()).await.expect("in time").unwrap().unwrap();
            events.flow_control().release_capacity(piece.len()).unwrap();
            said.push_str(std::str::from_utf8(&piece).unwrap());
        }
        https.served.scene.beats(1400, 13);
    }
    // Other pages of the same browser are answered on the same connection meanwhile.
    assert_eq!(http2.ask(https.get("/wall", "lee"), None).await.0.status(), StatusCode::OK);
}

/// Reads a live page until its server ends it; none if it was broken off.
async fn to_the_end(events: &mut h2::RecvStream) -> Option<String> {
    let mut said = String::new();
    while let Some(piece) = tokio::time::timeout(WAIT, events.data()).await.expect("in time") {
        let piece = piece.ok()?;
        events.flow_control().release_capacity(piece.len()).unwrap();
        said.push_str(std::str::from_utf8(&piece).unwrap());
    }
    Some(said)
}

#[tokio::test]
async fn a_live_page_that_is_left_gives_its_place_back_and_the_end_of_a_session_ends_the_others() {
    let https = Https::new().await;
    let mut http2 = https.http2().await;
    let mut open = Vec::new();
    for _ in 0..STREAMS_PER_SESSION_MAX {
        let live = http2.begin(https.get("/live", "lee"), None).await.unwrap();
        assert_eq!(live.status(), StatusCode::OK);
        open.push(live.into_body());
    }
    let (head, _) = http2.ask(https.get("/live", "lee"), None).await;
    assert_eq!(head.status(), StatusCode::TOO_MANY_REQUESTS);
    // A browser that leaves a page takes its request back; the connection stays.
    drop(open.pop());
    let mut every = tokio::time::interval(SOON / 20);
    let again = async {
        loop {
            every.tick().await;
            let live = http2.begin(https.get("/live", "lee"), None).await.unwrap();
            if live.status() == StatusCode::OK {
                return live.into_body();
            }
        }
    };
    open.push(tokio::time::timeout(WAIT, again).await.expect("its place is free again"));
    let csrf = encode([("csrf", https.served.scene.csrf("lee").as_str())]);
    let (head, _) = http2.ask(https.form("/sign-out", "lee", "https://ward.example"), Some(csrf)).await;
    assert_eq!(head.status(), StatusCode::SEE_OTHER);
    for events in &mut open {
        let said = to_the_end(events).await.expect("ended in order");
        assert!(said.contains("event: ended"), "{said}");
    }
    let (head, _) = http2.ask(https.get("/help", ""), None).await;
    assert_eq!(head.status(), StatusCode::OK, "the connection goes on");
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_one_with_a_live_page_stays() {
    let https = Https::with(Timeouts { head: SOON, ..Timeouts::default() }).await;
    let mut idle = https.http2().await;
    let mut live = https.http2().await;
    assert_eq!(idle.ask(https.get("/help", ""), None).await.0.status(), StatusCode::OK);
    let mut events = live.begin(https.get("/live?with=wall", "lee"), None).await.unwrap().into_body();
    tokio::time::timeout(WAIT, idle.ended).await.expect("closed in time").unwrap().unwrap();
    assert_eq!(https.served.counted(Reason::SlowReader), 0, "closed in order");
    // Twice as long as an idle one would have had.
    let until = Instant::now() + 2 * SOON;
    while Instant::now() < until {
        let piece = tokio::time::timeout(WAIT, events.data()).await.expect("in time").unwrap().unwrap();
        events.flow_control().release_capacity(piece.len()).unwrap();
    }
    assert!(!live.ended.is_finished());
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_is_disconnected() {
    let https = Https::brief().await;
    let mut builder = client::Builder::new();
    // It reads its connection, answers pings, and gives its answers no window.
    let mut http2 = https.http2_with(builder.initial_window_size(0)).await;
    let asset = https.get(web::assets::href("htmx.js"), "");
    let answer = http2.begin(asset, None).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    https.counted(Reason::SlowReader, 1).await;
    let _ = tokio::time::timeout(WAIT, http2.ended).await.expect("disconnected in time");
}

#[tokio::test]
async fn a_client_that_takes_its_answer_slowly_gets_all_of_it() {
    let taken = Duration::from_secs(3);
    let https = Https::with(Timeouts { taken, ..Timeouts::default() }).await;
    let window = 4096;
    let mut builder = client::Builder::new();
    let mut http2 = https.http2_with(builder.initial_window_size(window)).await;
    let asset = https.get(web::assets::href("htmx.js"), "");
    let began = Instant::now();
    let mut body = http2.begin(asset, None).await.unwrap().into_body();
    let mut every = tokio::time::interval(taken / 12);
    let mut length = 0;
    while let Some(piece) = tokio::time::timeout(WAIT, body.data()).await.expect("in time") {
        let piece = piece.expect("not disconnected");
        length += piece.len();
        every.tick().await;
        body.flow_control().release_capacity(piece.len()).unwrap();
    }
    let whole = web::assets::ASSETS.iter().find(|asset| asset.name == "htmx.js").unwrap().bytes.len();
    assert_eq!(length, whole);
    assert!(began.elapsed() > taken, "took longer than one piece may take");
}

/// A frame of HTTP/2 (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The start of a connection, with settings of the client's own choice.
fn preface(settings: &[u8]) -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &frame(4, 0, 0, settings)].concat()
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const CANCEL: [u8; 4] = [0, 0, 0, 8];
/// `GET https://ward.example/` (RFC 7541: three entries of the static table, and a name without Huffman's code).
const GET: &[u8] = b"\x82\x87\x84\x41\x0cward.example";

/// Sends these bytes and reads until the server closes.
async fn send(https: &Https, bytes: &[u8]) {
    let mut stream = https.connect(HTTP_2).await;
    // It may be cut off while it sends.
    let _ = stream.write_all(bytes).await;
    let _ = stream.flush().await;
    let mut all = Vec::new();
    let _ = tokio::time::timeout(WAIT, stream.read_to_end(&mut all)).await.expect("closed in time");
}

#[tokio::test]
async fn a_flood_of_requests_taken_back_at_once_ends_the_connection() {
    let https = Https::new().await;
    let floods = (0..500_u32).flat_map(|number| {
        let stream = 2 * number + 1;
        [frame(HEADERS, END_STREAM | END_HEADERS, stream, GET), frame(RST_STREAM, 0, stream, &CANCEL)]
            .concat()
    });
    let bytes: Vec<u8> = preface(&[]).into_iter().chain(floods).collect();
    send(&https, &bytes).await;
    https.counted(Reason::Requests, 1).await;
}

#[tokio::test]
async fn a_head_without_end_and_frames_that_make_no_sense_end_the_connection() {
    let https = Https::new().await;
    // A header of 382 bytes, again and again.
    let header = [b"\x40\x01a\x7f\xff\x01".as_slice(), &[b'a'; 382]].concat();
    let endless = frame(CONTINUATION, 0, 1, &header).repeat(4000);
    send(&https, &[preface(&[]), frame(HEADERS, END_STREAM, 1, GET), endless].concat()).await;
    https.counted(Reason::Requests, 1).await;
    // A request of a number that only servers use.
    send(&https, &[preface(&[]), frame(HEADERS, END_HEADERS, 2, GET)].concat()).await;
    https.counted(Reason::NotHttp, 1).await;
    let (head, _) = https.http2().await.ask(https.get("/help", ""), None).await;
    assert_eq!(head.status(), StatusCode::OK, "others go on");
}

#[tokio::test]
async fn stopping_waits_for_no_live_page_and_no_idle_connection() {
    let https = Https::new().await;
    let mut live = https.http2().await;
    let _events = live.begin(https.get("/live?with=wall", "lee"), None).await.unwrap();
    let _idle = https.http2().await;
    let _unspoken = https.connect(HTTP_2).await;
    let _shaking = https.served.connect(super::connections::STRANGER).await;
    https.served.stop.send(()).unwrap();
    tokio::time::timeout(WAIT, https.served.ended).await.expect("in time").unwrap().unwrap();
}
