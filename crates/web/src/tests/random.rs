//! Random requests never make the node fail, and never show another patient.

use super::attempts::routes;
use super::scene::{CALLERS, HOST, Scene};
use axum::body::Body;
use axum::http::{Request, header};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Requests in a usual run; `ACESO_RANDOM_REQUESTS` asks for more.
const REQUESTS: u32 = 1500;

#[derive(Debug, Clone)]
struct Random {
    method: &'static str,
    path: String,
    query: String,
    who: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    token: bool,
}

fn piece(scene: &Scene) -> BoxedStrategy<String> {
    let known = vec![
        scene.amira.to_string(),
        scene.bela.to_string(),
        scene.consent.to_string(),
        "257".into(),
        "0".into(),
        "1".into(),
        "..".into(),
        "%2e%2e".into(),
        "%00".into(),
        "%ff".into(),
        "aceso.css".into(),
    ];
    prop_oneof![
        4 => prop::sample::select(known),
        1 => "[a-zA-Z0-9%._~;:@&=+$,-]{0,12}",
        1 => "(%[0-9a-f]{2}){1,6}",
    ]
    .boxed()
}

fn address(scene: &Scene) -> BoxedStrategy<String> {
    let paths: Vec<&'static str> = routes().iter().map(|route| route.path).collect();
    let piece = piece(scene);
    let filled =
        (prop::sample::select(paths), prop::collection::vec(piece.clone(), 2)).prop_map(|(path, pieces)| {
            let mut pieces = pieces.into_iter();
            path.split('/')
                .map(
                    |part| {
                        if part.starts_with('{') { pieces.next().unwrap_or_default() } else { part.into() }
                    },
                )
                .collect::<Vec<String>>()
                .join("/")
        });
    let wild = prop::collection::vec(piece, 0..5).prop_map(|pieces| format!("/{}", pieces.join("/")));
    prop_oneof![5 => filled, 1 => wild].boxed()
}

fn fields() -> BoxedStrategy<String> {
    let name = prop::sample::select(vec![
        "for",
        "range",
        "saved",
        "before",
        "change",
        "key",
        "confirm",
        "organisation",
        "endpoint",
        "sent",
        "find",
        "org",
        "first",
        "log",
        "revoked",
        "next",
        "login",
        "password",
        "theme",
        "back",
        "metric",
        "above_low",
        "below_high",
        "csrf",
        "x",
    ]);
    let value = prop_oneof![
            Just("treatment".to_string()),
            Just("monitoring".to_string()),
            Just("own".to_string()),
            Just("1h".to_string()),
            Just("heart_rate".to_string()),
            Just("%ff%00".to_string()),
            "[ -~]{0,20}".prop_map(
                |text| text.replace(['&', '#', ' ', '"', '<', '>', '`', '{', '}', '|', '\\', '^'], "+")
            ),
        ];
    prop::collection::vec((name, value), 0..6)
        .prop_map(|pairs| pairs.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join("&"))
        .boxed()
}

fn request(scene: &Scene) -> BoxedStrategy<Random> {
    let header = (
        prop::sample::select(vec![
            "hx-request",
            "hx-target",
            "accept",
            "range",
            "if-none-match",
            "x-forwarded-for",
            "origin",
            "sec-fetch-site",
            "content-type",
            "cookie",
            "hx-history-restore-request",
        ]),
        prop_oneof![
            Just("true".to_string()),
            Just("ward".to_string()),
            Just("now".to_string()),
            Just("trends".to_string()),
            Just("application/x-www-form-urlencoded".to_string()),
            Just(format!("http://{HOST}")),
            Just("same-origin".to_string()),
            "[ -~]{0,30}",
        ],
    );
    (
        prop::sample::select(vec!["GET", "GET", "GET", "POST", "POST", "HEAD", "OPTIONS", "PUT"]),
        address(scene),
        prop_oneof![Just(String::new()), fields()],
        prop::sample::select(CALLERS.to_vec()),
        prop::collection::vec(header, 0..4),
        prop_oneof![
            4 => fields().prop_map(String::into_bytes),
            1 => prop::collection::vec(any::<u8>(), 0..200),
        ],
        any::<bool>(),
    )
        .prop_map(|(method, path, query, who, headers, body, token)| Random {
            method,
            path,
            query,
            who,
            headers,
            body,
            token,
        })
        .boxed()
}

fn built(scene: &Scene, random: &Random) -> Option<Request<Body>> {
    let address = if random.query.is_empty() {
        random.path.clone()
    } else {
        format!("{}?{}", random.path, random.query)
    };
    address.parse::<axum::http::Uri>().ok()?;
    let mut request = scene
        .request(random.method, &address, random.who)
        .header(header::ORIGIN, format!("http://{HOST}"))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    for (name, value) in &random.headers {
        request = request.header(*name, value);
    }
    let mut body = random.body.clone();
    // Sessions and consents stay, so that what follows still meets them.
    let ends = random.path.contains("sign-out") || random.path.ends_with("revoke");
    if random.token && !random.who.is_empty() && !ends {
        body.extend(format!("&csrf={}", scene.csrf(random.who)).bytes());
    }
    request.body(Body::from(body)).ok()
}

#[allow(clippy::print_stdout, reason = "how much was tried belongs into the report")]
#[test]
fn random_requests_break_nothing_and_show_no_other_patient() {
    let mut scene = Scene::new();
    scene.beats(1400, 13);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let cases = std::env::var("ACESO_RANDOM_REQUESTS").ok().and_then(|n| n.parse().ok()).unwrap_or(REQUESTS);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let answers = RefCell::new(BTreeMap::new());
    let outcome = runner.run(&request(&scene), |random| {
        let Some(request) = built(&scene, &random) else { return Ok(()) };
        let (status, page) = runtime.block_on(async {
            let response = scene.send(request).await;
            let status = response.status().as_u16();
            let media = response.headers().get(header::CONTENT_TYPE).cloned();
            // A live stream has no end, and a bundle is sealed.
            let read =
                media.is_some_and(|media| media.to_str().is_ok_and(|media| media.starts_with("text/html")));
            let bytes = if read {
                axum::body::to_bytes(response.into_body(), 4 << 20).await.unwrap()
            } else {
                Default::default()
            };
            (status, String::from_utf8_lossy(&bytes).into_owned())
        });
        prop_assert!(status < 500, "{status}");
        *answers.borrow_mut().entry(status).or_insert(0_u32) += 1;
        let who = random.who;
        if who != "bela" && who != "admin" {
            prop_assert!(!page.contains("alert(1)"), "Bela's name");
            prop_assert!(
                !page.contains(&scene.bela.to_string()) || random.path.contains(&scene.bela.to_string())
            );
        }
        if !["amira", "lee", "kim", "admin", "fay"].contains(&who) {
            prop_assert!(!page.contains("bed of amira") && !page.contains("amira</"), "Amira's name");
        }
        Ok(())
    });
    outcome.unwrap();
    let answers = answers.into_inner();
    println!("random requests: {answers:?}");
    let (all, shown) = (answers.values().sum::<u32>(), answers.get(&200).copied().unwrap_or(0));
    assert!(all > cases / 2 && shown > cases / 50, "random requests must reach pages: {answers:?}");
}
