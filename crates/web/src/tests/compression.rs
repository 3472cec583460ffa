//! What is compressed, what is not, and how long pages are.

use super::connections::{STRANGER, Served};
use super::https::Https;
use super::scene::{Scene, text};
use axum::body::Body;
use axum::http::{Response, header};
use flate2::read::GzDecoder;
use std::io::Read;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Longest wall and patient page, compressed, bytes.
const PAGE_BYTES_MAX: usize = 60_000;

async fn get(scene: &Scene, path: &str, who: &str, headers: &[(&str, &str)]) -> Response<Body> {
    let mut request = scene.request("GET", path, who);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    scene.send(request.body(Body::empty()).unwrap()).await
}

const GZIP: (&str, &str) = ("accept-encoding", "gzip, deflate, br");
const OURS: (&str, &str) = ("sec-fetch-site", "same-origin");

fn is_compressed(response: &Response<Body>) -> bool {
    response.headers().get(header::CONTENT_ENCODING).is_some_and(|coding| coding == "gzip")
}

async fn bytes(response: Response<Body>) -> Vec<u8> {
    axum::body::to_bytes(response.into_body(), 4 << 20).await.unwrap().to_vec()
}

fn unpacked(bytes: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text
}

/// The scene with this many more beds, all of which send.
fn with_beds(count: usize, settings: web::Settings) -> Scene {
    let mut scene = Scene::with(settings);
    let patients: Vec<_> = (0..count).map(|bed| scene.ward.patient(&format!("patient-{bed}"))).collect();
    let mut gateways: Vec<_> =
        (10..).zip(patients.chunks(6)).map(|(number, six)| scene.ward.gateway(number, six)).collect();
    for second in 0..30 {
        scene.beats(720, 1);
        let now_ms = scene.ward.now_ms;
        for gateway in &mut gateways {
            let sensors = gateway.sensors.iter_mut();
            let bytes: Vec<_> = sensors.map(|sensor| sensor.pulse(700 + second, now_ms)).collect();
            scene.ward.carry(gateway.id(), &bytes);
        }
    }
    scene.settle();
    scene
}

#[tokio::test]
async fn pages_are_compressed_and_short() {
    let beds = 18;
    let scene = with_beds(beds, web::Settings::default());
    assert!(scene.page("/wall", "lee").await.matches("bed of patient-").count() >= beds);
    let patient = format!("/patients/{}", scene.amira);
    for (path, who) in [("/wall", "lee"), (patient.as_str(), "lee"), ("/me", "amira"), ("/sign-in", "")] {
        let plain = scene.page(path, who).await;
        let response = get(&scene, path, who, &[GZIP, OURS]).await;
        assert!(is_compressed(&response), "{path}");
        let varies: Vec<_> = response.headers().get_all(header::VARY).iter().collect();
        assert!(varies.iter().any(|value| *value == "Accept-Encoding"), "{path}: {varies:?}");
        let short = bytes(response).await;
        println!("{}: {} bytes, compressed {}", path.split('/').nth(1).unwrap(), plain.len(), short.len());
        // Each look at a record has a number of its own.
        let but_numbers = |page: &str| page.replace(|letter: char| letter.is_ascii_digit(), "");
        let whole = unpacked(&short);
        assert!(whole.trim_end().ends_with("</html>"), "{path}");
        // A patient's own page may tell of a look that came between.
        assert!(path == "/me" || but_numbers(&whole) == but_numbers(&plain), "{path}");
        assert!(short.len() <= PAGE_BYTES_MAX, "{path}: {}", short.len());
    }
}

/// One page over plain HTTP, on a connection that stays.
async fn plainly(stream: &mut TcpStream, head: &str) -> Vec<u8> {
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    let whole = loop {
        let end = all.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        let length = end.and_then(|end| {
            let head = String::from_utf8_lossy(&all[..end]).to_lowercase();
            let (_, length) = head.split_once("content-length: ")?;
            length.lines().next()?.trim().parse::<usize>().ok()
        });
        match (end, length) {
            (Some(end), Some(length)) if all.len() >= end + length => break all.split_off(end),
            _ => assert_ne!(stream.read_buf(&mut all).await.unwrap(), 0, "closed early"),
        }
    };
    assert!(all.starts_with(b"HTTP/1.1 200"));
    whole
}

fn p50(durations: &mut [Duration]) -> Duration {
    durations.sort();
    durations[durations.len() / 2]
}

/// Prints what TLS, HTTP/2 and compression cost a page; both are asked in turn, so that whatever else this machine does
/// befalls both.
#[tokio::test]
async fn a_page_over_https_compressed_comes_about_as_soon_as_over_plain_http() {
    let beds = 18;
    let plain = Served::of(with_beds(beds, web::Settings::default())).await;
    let https = Https::of(|settings| with_beds(beds, settings)).await;
    let mut http1 = plain.connect(STRANGER).await;
    let mut http2 = https.http2().await;
    for path in ["/wall".to_owned(), format!("/patients/{}", plain.scene.amira)] {
        let (mut over_http, mut over_https) = (Vec::new(), Vec::new());
        let mut bytes = (0, 0);
        for _ in 0..60 {
            let began = Instant::now();
            let page = plainly(&mut http1, &plain.head("GET", &path, "lee", "")).await;
            over_http.push(began.elapsed());
            let of_tls = path.replace(&plain.scene.amira.to_string(), &https.served.scene.amira.to_string());
            let request =
                https.request("GET", &of_tls, "lee").header(GZIP.0, GZIP.1).header(OURS.0, OURS.1).body(());
            let began = Instant::now();
            let (head, short) = http2.ask(request.unwrap(), None).await;
            over_https.push(began.elapsed());
            assert_eq!(head.headers()[header::CONTENT_ENCODING], "gzip");
            assert!(
                unpacked(&short).trim_end().ends_with("</html>")
                    && page.trim_ascii_end().ends_with(b"</html>")
            );
            bytes = (page.len(), short.len());
        }
        let (of_http, of_https) = (p50(&mut over_http), p50(&mut over_https));
        println!(
            "{}: p50 {of_http:?} over HTTP ({} bytes), {of_https:?} over HTTPS ({} bytes)",
            path.split('/').nth(1).unwrap(),
            bytes.0,
            bytes.1
        );
        assert!(of_https < of_http * 3 + Duration::from_millis(20), "{of_https:?} {of_http:?}");
    }
}

#[tokio::test]
async fn what_another_site_may_have_caused_is_not_compressed() {
    let scene = Scene::new();
    for site in ["cross-site", "same-site", "nonsense"] {
        let response = get(&scene, "/wall", "lee", &[GZIP, ("sec-fetch-site", site)]).await;
        assert!(!is_compressed(&response), "{site}");
        assert!(text(response).await.contains("bed of amira"));
    }
    assert!(!is_compressed(&get(&scene, "/wall", "lee", &[GZIP]).await), "a browser that does not say");
    assert!(is_compressed(&get(&scene, "/wall", "lee", &[GZIP, ("sec-fetch-site", "none")]).await));
    assert!(!is_compressed(&get(&scene, "/wall", "lee", &[OURS]).await), "nobody asked for it");
    let program = [GZIP, ("authorization", &format!("Bearer {}", scene.token("lee")))];
    assert!(is_compressed(&get(&scene, "/wall", "", &program).await), "a program");
}

#[tokio::test]
async fn files_are_compressed_for_everybody_and_streams_and_short_answers_never() {
    let scene = Scene::new();
    let all: usize = web::assets::ASSETS.iter().map(|asset| asset.bytes.len()).sum();
    let mut compressed = 0;
    for asset in web::assets::ASSETS {
        let path = web::assets::href(asset.name);
        let response = get(&scene, path, "", &[GZIP, ("sec-fetch-site", "cross-site")]).await;
        assert_eq!(response.headers()[header::VARY], "Accept-Encoding", "{path}");
        assert_eq!(response.headers().get_all(header::VARY).iter().count(), 1, "{path}");
        let is_short = is_compressed(&response);
        let body = bytes(response).await;
        compressed += body.len();
        let whole = if is_short { unpacked(&body).into_bytes() } else { body };
        assert_eq!(whole, asset.bytes, "{path}");
        assert_eq!(bytes(get(&scene, path, "", &[]).await).await, asset.bytes, "{path}");
    }
    println!("assets: {all} bytes, compressed {compressed}");
    assert!(compressed < all / 2);
    assert!(!is_compressed(&get(&scene, "/live?with=wall", "lee", &[GZIP, OURS]).await));
    assert!(!is_compressed(&get(&scene, "/healthz", "", &[GZIP, OURS]).await));
}
