//! Every address, attacked: each attempt is answered with a page that says what is wrong, is counted,
//! and changes nothing.

use super::attempts::{Attempts, GOOD_ACCOUNT, GOOD_INVITATION, GOOD_LIMITS, GOOD_PROPOSAL, Takes, routes};
use super::scene::{CALLERS, HOST, Scene, encode};
use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use std::collections::BTreeSet;

const FORM: &str = "application/x-www-form-urlencoded";
const METHODS: [&str; 8] = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"];

/// Texts that are not a number, not a known word, or not text at all.
const ODD: [&str; 14] = [
    "-1",
    "+1",
    "1e3",
    "NaN",
    "0x10",
    "99999999999999999999",
    "null",
    "true",
    "[]",
    "{}",
    "../../etc/passwd",
    "<script>",
    "' OR 1=1 --",
    "١٢",
];

#[test]
fn every_route_is_attacked_here() {
    let table: BTreeSet<_> = web::routes::ROUTES.iter().map(|route| (route.method, route.path)).collect();
    let attacked: BTreeSet<_> = routes().iter().map(|route| (route.takes.word(), route.path)).collect();
    assert_eq!(table, attacked, "a route that is not attacked here is not done");
    assert_eq!(table.len(), web::routes::ROUTES.len(), "each stands in the table once");
}

#[tokio::test]
async fn a_method_an_address_does_not_take_is_named() {
    let (scene, mut tried) = Attempts::on(scene()).await;
    let all = routes();
    for route in &all {
        let takes: Vec<&str> = all.iter().filter(|r| r.path == route.path).map(|r| r.takes.word()).collect();
        for method in METHODS.into_iter().filter(|method| !takes.contains(method)) {
            let request = scene.request(method, &route.address(&scene), route.who);
            tried.expect(405, method, route, request.body(Body::empty()).unwrap()).await;
        }
        if takes.contains(&"POST") && !takes.contains(&"GET") {
            let head = scene.request("HEAD", &route.address(&scene), route.who).body(Body::empty()).unwrap();
            assert_eq!(scene.send(head).await.status(), StatusCode::METHOD_NOT_ALLOWED);
        } else {
            let head = scene.request("HEAD", &route.address(&scene), route.who).body(Body::empty()).unwrap();
            let answer = scene.send(head).await;
            assert!(answer.status().as_u16() < 400, "{}", route.path);
        }
    }
    tried.done("methods");
}

#[tokio::test]
async fn without_a_session_nothing_is_shown_and_nothing_done() {
    let (scene, mut tried) = Attempts::on(scene()).await;
    let dead = scene.ward.clinic.sign_in("kim", "a secret word", scene.ward.now_ms).unwrap().0;
    scene.ward.clinic.sign_out(dead.expose());
    let cookies = [
        String::new(),
        "aceso=".into(),
        "aceso=../../x".into(),
        format!("aceso={}", dead.expose()),
        format!("aceso={}", "0".repeat(64)),
        format!("aceso={}", scene.token("lee").to_uppercase()),
        format!("aceso={}", &scene.token("lee")[..63]),
        format!("aceso={}0", scene.token("lee")),
        format!("aceso={}", "é".repeat(32)),
        format!("Aceso={}; xaceso={}", scene.token("lee"), scene.token("lee")),
        format!("__Host-aceso={}", scene.token("lee")),
    ];
    for route in routes().iter().filter(|route| !route.open) {
        for cookie in &cookies {
            for (name, value, wanted) in [
                ("accept", "text/html", 303),
                // A live stream answers with an event: scripts cannot read the status.
                ("accept", "text/event-stream", if route.path == "/live" { 200 } else { 401 }),
                ("hx-request", "true", 401),
            ] {
                let request = scene
                    .form_by(route.takes.word(), &route.address(&scene), "")
                    .header(header::COOKIE, cookie.as_bytes())
                    .header(name, value);
                let body = if route.takes == Takes::Post { encode(route.fields()) } else { String::new() };
                tried.expect(wanted, cookie, route, request.body(Body::from(body)).unwrap()).await;
            }
        }
    }
    // Everybody's session ends by itself.
    scene.now.fetch_add(clinic::ABSOLUTE_MS, std::sync::atomic::Ordering::SeqCst);
    for route in routes().iter().filter(|route| !route.open) {
        tried.expect(303, "the shift is over", route, route.good(&scene, route.who)).await;
    }
    tried.done("sessions");
}

#[tokio::test]
async fn what_belongs_to_somebody_else_is_not_found() {
    let (scene, mut tried) = Attempts::on(scene()).await;
    for route in routes().iter().filter(|route| !route.open && !route.everybody) {
        for who in CALLERS.into_iter().filter(|who| !who.is_empty() && !route.may.contains(who)) {
            // Amira's bed is on Dr Kim's wall: see `a_bed_that_a_doctor_may_not_open_says_what_and_how`.
            if route.path == "/patients/{patient}" && who == "kim" {
                continue;
            }
            tried.expect(404, who, route, route.good(&scene, who)).await;
        }
    }
    tried.done("roles");
}

#[tokio::test]
async fn an_id_that_is_not_quite_one_is_not_found() {
    let (scene, mut tried) = Attempts::on(scene()).await;
    let (amira, bela) = (scene.amira.to_string(), scene.bela.to_string());
    let mut odd: Vec<String> =
        ODD.iter().map(|text| text.bytes().map(|byte| format!("%{byte:02x}")).collect()).collect();
    odd.extend(
        ["%00", "%ff", "%zz", "%", "a%", "..", "%2e%2e%2f", "%F0%9F%92%8A", "%0d%0aX:1"].map(String::from),
    );
    odd.push("a".repeat(300));
    let patients = [
        bela.clone(),
        "0".repeat(32),
        "f".repeat(32),
        amira.to_uppercase(),
        amira[..31].into(),
        format!("{amira}0"),
        format!("{amira}%00"),
        format!("0x{amira}"),
        scene.gateway.id().to_string(),
        scene.ward.as_("lee").person.to_string(),
        scene.consent.to_string(),
    ];
    let grant = scene.consent.to_string();
    let grants =
        ["0".repeat(64), grant.to_uppercase(), grant[..63].into(), format!("{grant}00"), amira.clone()];
    let person = scene.ward.as_("lee").person.to_string();
    let people = ["0".repeat(64), "f".repeat(64), person[..63].into(), format!("{person}00"), amira.clone()];
    let ask = scene.ask.clone();
    let asks = ["0".repeat(32), ask.to_uppercase(), ask[..31].into(), format!("{ask}00"), grant.clone()];
    let codes = ["+257", "0257", "9999", "65793", "-257", "257.0", "257%20"].map(String::from);
    let heights =
        ["+1", "01", "0x1", "-1", "18446744073709551615", "18446744073709551616", "1%20"].map(String::from);
    let name = scene.transaction();
    let names =
        ["0".repeat(64), name.to_uppercase(), name[..63].into(), format!("0x{name}"), format!("{name}00")];
    let (invited, fay) = (scene.invited.to_string(), scene.ward.as_("fay").person.to_string());
    let persons = ["0".repeat(64), fay.to_uppercase(), fay[..63].into(), format!("{fay}00"), amira.clone()];
    let session = "0".repeat(32);
    let sessions = ["F".repeat(32), "0".repeat(31), "0".repeat(33), format!("0x{}", "0".repeat(30))];
    let link = &scene.link;
    let tokens = ["0".repeat(64), link.to_uppercase(), link[..63].into(), format!("{link}0"), fay.clone()];
    let leaves = ["+0", "00", "0x0", "1", "18446744073709551615", "18446744073709551616", "0%20"];
    for route in &routes() {
        for (place, good, wrong) in [
            ("{patient}", amira.as_str(), &patients[..]),
            ("{grant}", grant.as_str(), &grants[..]),
            ("{ask}", scene.ask.as_str(), &asks[..]),
            ("{person}", person.as_str(), &people[..]),
            ("{condition}", "257", &codes[..]),
            ("{height}", "/1", &heights[..]),
            ("{proposal}", "/1", &heights[..]),
            ("{transaction}", name.as_str(), &names[..]),
            ("{index}", "0", &leaves.map(String::from)[..]),
            ("{person}", invited.as_str(), &persons[..]),
            ("{person}", fay.as_str(), &persons[..]),
            ("{session}", session.as_str(), &sessions[..]),
            ("{token}", scene.link.as_str(), &tokens[..]),
            ("{token}", scene.password_link.as_str(), &tokens[..]),
        ] {
            let address = route.address(&scene);
            if !route.path.contains(place) || !address.contains(good) {
                continue;
            }
            for id in wrong.iter().chain(&odd) {
                let slash = if good.starts_with('/') { "/" } else { "" };
                let address = address.replacen(good, &format!("{slash}{id}"), 1);
                if address.parse::<axum::http::Uri>().is_err() {
                    continue;
                }
                let who = if id == "1" { "lee" } else { route.who };
                tried.expect(404, id, route, route.at(&scene, &address, who)).await;
            }
        }
    }
    tried.done("ids");
}

#[tokio::test]
async fn a_form_that_is_not_ours_changes_nothing() {
    let (scene, mut tried) = Attempts::on(scene()).await;
    for route in routes().iter().filter(|route| route.takes == Takes::Post) {
        let path = route.address(&scene);
        let good = route.body(&scene, route.who);
        let post = |media: Option<&str>, body: Body| {
            let request =
                scene.request("POST", &path, route.who).header(header::ORIGIN, format!("http://{HOST}"));
            let request = match media {
                Some(media) => request.header(header::CONTENT_TYPE, media),
                None => request,
            };
            request.body(body).unwrap()
        };
        for media in
            [None, Some("application/json"), Some("multipart/form-data; boundary=x"), Some("text/plain")]
        {
            tried.expect(415, "media type", route, post(media, Body::from(good.clone()))).await;
        }
        let text = |body: String| post(Some(FORM), Body::from(body));
        for (name, value) in route.fields() {
            tried.expect(400, "sent twice", route, text(format!("{good}&{name}={value}"))).await;
            for bad in ["%", "%f", "%zz", "%ff%fe", "%c0%af", "%00", "a%0d%0ab", "%7f", "%c2%85"] {
                let fields = route.fields().into_iter().filter(|(other, _)| *other != name);
                let rest = encode(fields.chain(route.csrf(&scene_csrf(&scene, route.who))));
                tried.expect(400, bad, route, text(format!("{rest}&{name}={bad}"))).await;
            }
            if !route.optional.contains(&name) {
                let fields = route.fields().into_iter().filter(|(other, _)| *other != name);
                let rest = encode(fields.chain(route.csrf(&scene_csrf(&scene, route.who))));
                tried.expect(400, "missing", route, text(rest)).await;
            }
        }
        tried.expect(400, "unknown", route, text(format!("{good}&role=administrator"))).await;
        tried.expect(400, "unknown", route, text(format!("{good}&%3Cb%3E=1"))).await;
        let many: String = (0..40).map(|n| format!("&f{n}=")).collect();
        tried.expect(400, "many", route, text(format!("{good}{many}"))).await;
        let long = format!("{good}&x={}", "a".repeat(64 * 1024));
        tried.expect(413, "too long", route, text(long.clone())).await;
        let pieces = long
            .into_bytes()
            .chunks(1000)
            .map(Bytes::copy_from_slice)
            .map(Ok::<_, std::io::Error>)
            .collect::<Vec<_>>();
        let endless = Body::from_stream(futures::stream::iter(pieces));
        tried.expect(413, "too long, in pieces", route, post(Some(FORM), endless)).await;
        let broken = [Ok(Bytes::from(good.clone())), Err(std::io::Error::other("gone"))];
        let broken = Body::from_stream(futures::stream::iter(broken));
        tried.expect(400, "broken off", route, post(Some(FORM), broken)).await;
    }
    tried.done("forms");
}

fn scene_csrf(scene: &Scene, who: &str) -> String {
    if who.is_empty() { String::new() } else { scene.csrf(who) }
}

#[tokio::test]
async fn a_field_of_the_wrong_kind_is_refused() {
    let (scene, mut tried) = Attempts::on(scene()).await;
    let post = |path: &str, who: &'static str, fields: Vec<(&str, &str)>| {
        let csrf = scene_csrf(&scene, who);
        let all = fields.into_iter().chain((!who.is_empty()).then_some(("csrf", csrf.as_str())));
        scene.form(path, who).body(Body::from(encode(all))).unwrap()
    };
    let with = |name: &'static str, value: &'static str| {
        let fields =
            GOOD_LIMITS.iter().map(|(field, good)| (*field, if *field == name { value } else { *good }));
        fields.collect::<Vec<_>>()
    };
    let all = routes();
    let route = |path: &str| all.iter().find(|r| r.path == path && r.takes == Takes::Post).unwrap();
    let limits = route("/patients/{patient}/limits");
    let path = limits.address(&scene);
    for (name, _) in GOOD_LIMITS.iter().filter(|(name, _)| name.contains('_') || *name == "minutes") {
        for odd in ODD.into_iter().chain(["120.55", "1 2 0", "12O", "−", ".", "9999", "1000000"]) {
            tried.expect(422, odd, limits, post(&path, "lee", with(name, odd))).await;
        }
    }
    for odd in ODD {
        tried.expect(400, odd, limits, post(&path, "lee", with("metric", odd))).await;
        let mut fields = with("metric", "heart_rate");
        fields.push(("for", odd));
        tried.expect(400, odd, limits, post(&path, "lee", fields)).await;
        tried.expect(400, odd, route("/theme"), post("/theme", "", vec![("theme", odd)])).await;
        let fields = vec![("login", odd), ("password", odd)];
        tried.one_of(&[401, 429], odd, route("/sign-in"), post("/sign-in", "", fields)).await;
    }
    let proposals = route("/ledger/proposals");
    for odd in ODD.into_iter().chain(["", "4444", "node:9000:x", "no de:1", ":9000"]) {
        for name in ["change", "key", "organisation", "endpoint", "confirm"] {
            let free = odd.is_empty() && matches!(name, "endpoint" | "confirm");
            if free {
                continue;
            }
            let fields =
                GOOD_PROPOSAL.iter().map(|(field, good)| (*field, if *field == name { odd } else { *good }));
            let request = post("/ledger/proposals", "admin", fields.collect());
            tried.expect(400, odd, proposals, request).await;
        }
    }
    let invite = route("/admin/people/invite");
    for odd in ODD.into_iter().chain(["", "other role", "Patient"]) {
        for (name, wanted) in [("role", 422), ("form", 400)] {
            let fields = GOOD_INVITATION
                .iter()
                .map(|(field, good)| (*field, if *field == name { odd } else { *good }));
            let request = post("/admin/people/invite", "admin", fields.collect());
            tried.expect(wanted, odd, invite, request).await;
        }
    }
    let renew = route("/admin/people/{person}/invitation/renew");
    for odd in ODD.into_iter().chain(["", "01", "1 "]) {
        let request = post(&renew.address(&scene), "admin", vec![("seen", odd)]);
        tried.expect(400, odd, renew, request).await;
    }
    tried.expect(409, "old", renew, post(&renew.address(&scene), "admin", vec![("seen", "2")])).await;
    let suspend = route("/admin/people/{person}/suspend");
    for (seen, reason, wanted) in
        [("2", "", 422), ("2", "   ", 422), ("1", "left", 409), ("99", "left", 409), ("x", "left", 400)]
    {
        let request = post(&suspend.address(&scene), "admin", vec![("seen", seen), ("reason", reason)]);
        tried.expect(wanted, reason, suspend, request).await;
    }
    let reinstate = route("/admin/people/{person}/reinstate");
    tried.expect(409, "not suspended", reinstate, reinstate.good(&scene, "admin")).await;
    let own = format!("/admin/people/{}/suspend", scene.ward.admin.person);
    let request = post(&own, "admin", vec![("seen", "1"), ("reason", "by accident")]);
    tried.expect(400, "oneself", suspend, request).await;
    let set = route("/passwords/{token}");
    for (password, again) in [("short", "short"), ("11111111", "11111111"), ("a new password", "another")] {
        let fields = vec![("password", password), ("again", again)];
        tried.expect(422, again, set, post(&set.address(&scene), "", fields)).await;
    }
    let accept = route("/invitations/{token}");
    for (name, wrong) in
        [("name", " "), ("login", " "), ("login", "lee"), ("again", "another"), ("password", "short")]
    {
        let fields =
            GOOD_ACCOUNT.iter().map(|(field, good)| (*field, if *field == name { wrong } else { *good }));
        tried.expect(422, wrong, accept, post(&accept.address(&scene), "", fields.collect())).await;
    }
    tried.expect(422, "no order", limits, post(&path, "lee", with("above_low", "200"))).await;
    tried.done("kinds");
}

#[tokio::test]
async fn a_post_from_another_site_changes_nothing() {
    let (scene, mut tried) = Attempts::on(scene()).await;
    let ours = format!("http://{HOST}");
    for route in routes().iter().filter(|route| route.takes == Takes::Post) {
        let path = route.address(&scene);
        let body = route.body(&scene, route.who);
        for origin in [
            vec![],
            vec![("origin", "null")],
            vec![("origin", "https://evil.example")],
            vec![("origin", "http://ward.example.evil.example")],
            vec![("origin", "http://ward.example:8080")],
            vec![("origin", "ward.example")],
            vec![("origin", ours.as_str()), ("sec-fetch-site", "cross-site")],
            vec![("origin", ours.as_str()), ("sec-fetch-site", "same-site")],
            vec![("sec-fetch-site", "none")],
            vec![("referer", ours.as_str())],
        ] {
            let mut request = scene.request("POST", &path, route.who).header(header::CONTENT_TYPE, FORM);
            for (name, value) in &origin {
                request = request.header(*name, *value);
            }
            let request = request.body(Body::from(body.clone())).unwrap();
            tried.expect(403, &format!("{origin:?}"), route, request).await;
        }
        if route.who.is_empty() {
            continue;
        }
        let (own, other) = (scene.csrf(route.who), scene.csrf("kim"));
        for token in ["", "0", &own[..63], &own.to_uppercase(), &format!("{own}0"), &other] {
            let fields = encode(route.fields().into_iter().chain([("csrf", token)]));
            let request = scene.form(&path, route.who).body(Body::from(fields)).unwrap();
            tried.expect(403, "token", route, request).await;
        }
    }
    tried.done("posts from elsewhere");
}

#[tokio::test]
async fn a_query_that_makes_no_sense_is_refused() {
    let (scene, mut tried) = Attempts::on(scene()).await;
    for route in routes().iter().filter(|route| route.asked) {
        let path = route.address(&scene);
        for query in
            ["for=%ff", "for=%", "for=%00", "for=a&for=b", "for=%zz", "a=%0d%0a", "%ff", &"a=1&".repeat(40)]
        {
            let request = scene.request("GET", &format!("{path}?{query}"), route.who);
            tried.expect(400, query, route, request.body(Body::empty()).unwrap()).await;
        }
    }
    let all = routes();
    for odd in ODD.into_iter().chain(["wall,wall", "-treatment", "wall-own", "me2"]) {
        let route = all.iter().find(|route| route.path == "/live").unwrap();
        let request = scene.request("GET", &format!("/live?{}", encode([("with", odd)])), "lee");
        tried.expect(400, odd, route, request.body(Body::empty()).unwrap()).await;
    }
    for path in ["/patients/{patient}"] {
        let route = all.iter().find(|route| route.path == path).unwrap();
        let address = route.address(&scene);
        for odd in ODD.into_iter().chain(["audit", "own", "family", "Treatment", "treatment "]) {
            let query = encode([("for", odd)]);
            let request = scene.request("GET", &format!("{address}?{query}"), "lee");
            tried.expect(400, odd, route, request.body(Body::empty()).unwrap()).await;
        }
        for odd in ODD.into_iter().chain(["1h ", "1H", "9999d"]) {
            let query = encode([("range", odd)]);
            let request = scene.request("GET", &format!("{address}?{query}"), "lee");
            tried.expect(400, odd, route, request.body(Body::empty()).unwrap()).await;
        }
    }
    let route = all.iter().find(|route| route.path == "/ledger").unwrap();
    let people = all.iter().find(|route| route.path == "/admin/people").unwrap();
    for odd in ODD.into_iter().chain(["0", "999999"]) {
        let request = scene.request("GET", &format!("/admin/people?{}", encode([("page", odd)])), "admin");
        tried.expect(400, odd, people, request.body(Body::empty()).unwrap()).await;
    }
    for odd in ODD {
        for name in ["before", "org"] {
            let request = scene.request("GET", &format!("/ledger?{}", encode([(name, odd)])), "ada");
            tried.expect(400, odd, route, request.body(Body::empty()).unwrap()).await;
        }
        let request = scene.request("GET", &format!("/ledger?{}", encode([("find", odd)])), "ada");
        tried.expect(422, odd, route, request.body(Body::empty()).unwrap()).await;
    }
    for absent in
        ["999999", &"f".repeat(64), "0x0000000000000000000000000000000000000000000000000000000000000000"]
    {
        let request = scene.request("GET", &format!("/ledger?find={absent}"), "ada");
        tried.expect(404, absent, route, request.body(Body::empty()).unwrap()).await;
    }
    tried.done("questions");
}

#[tokio::test]
async fn what_is_over_its_bound_is_refused_at_every_address() {
    let (scene, mut tried) = Attempts::on(scene()).await;
    for route in &routes() {
        let address = route.address(&scene);
        let long = format!("{address}?x={}", "a".repeat(4000));
        tried.expect(414, "address", route, route.at(&scene, &long, route.who)).await;
        let request = |name: &str, value: &str| {
            let request = scene.request(route.takes.word(), &address, route.who).header(name, value);
            request.body(Body::empty()).unwrap()
        };
        tried.expect(431, "header", route, request("x-long", &"a".repeat(20_000))).await;
        tried.expect(431, "cookie", route, request("cookie", &format!("a={}", "b".repeat(20_000)))).await;
        let mut many = scene.request(route.takes.word(), &address, route.who);
        for n in 0..90 {
            many = many.header(format!("x-{n}"), "a".repeat(250));
        }
        tried.expect(431, "headers", route, many.body(Body::empty()).unwrap()).await;
    }
    tried.done("bounds");
}

#[tokio::test]
async fn no_path_leads_out_of_the_assets() {
    let (scene, mut tried) = Attempts::on(scene()).await;
    let all = routes();
    let route = all.iter().find(|route| route.path.starts_with("/assets")).unwrap();
    let good = web::assets::href("aceso.css");
    let hash = good.split('/').nth(2).unwrap();
    for path in [
        "/assets/../Cargo.toml".to_string(),
        "/assets/../../etc/passwd".into(),
        "/assets/%2e%2e/%2e%2e".into(),
        "/assets/..%2f..%2f..%2fetc%2fpasswd/aceso.css".into(),
        format!("/assets/{hash}/..%2faceso.css"),
        format!("/assets/{hash}/../aceso.css"),
        format!("/assets/{hash}/aceso.css%00.js"),
        format!("/assets/{hash}/aceso.css%2f"),
        format!("/assets/{hash}/ACESO.CSS"),
        format!("/assets/{}/aceso.css", hash.to_uppercase()),
        format!("/assets/{hash}/htmx.js"),
        format!("/assets/{hash}/%ff"),
        format!("/assets/{hash}/"),
        format!("/assets/{hash}"),
        format!("//assets/{hash}/aceso.css"),
        format!("/assets/{hash}/aceso.css/"),
        "/assets/".into(),
        "/.env".into(),
        "/%2e%2e/%2e%2e/etc/passwd".into(),
    ] {
        if path != good && path.parse::<axum::http::Uri>().is_ok() {
            let request = scene.request("GET", &path, "").body(Body::empty()).unwrap();
            tried.expect(404, &path, route, request).await;
        }
    }
    tried.done("assets");
}

#[tokio::test]
async fn conditions_ranges_and_overrides_change_no_answer() {
    let scene = scene();
    for route in routes().iter().filter(|route| route.takes == Takes::Get && !route.path.ends_with("live")) {
        let address = route.address(&scene);
        let plain = scene.get(&address, route.who).await.status();
        for (name, value) in [
            ("if-none-match", "*"),
            ("if-match", "\"none\""),
            ("if-modified-since", "Fri, 31 Dec 2199 23:59:59 GMT"),
            ("range", "bytes=0-3"),
            ("x-http-method-override", "POST"),
            ("expect", "100-continue"),
            ("content-length", "5"),
            ("accept", "application/json"),
        ] {
            let request = scene.request("GET", &address, route.who).header(name, value);
            let answer = scene.send(request.body(Body::empty()).unwrap()).await;
            // One bundle of a person at a time: the one before may still be written.
            let again = route.path == "/me/record" && answer.status() == StatusCode::TOO_MANY_REQUESTS;
            assert!(answer.status() == plain || again, "{} with {name}", route.path);
        }
    }
}

#[tokio::test]
async fn an_address_cannot_make_a_page_claim_that_something_was_done() {
    let scene = scene();
    for (path, who) in [
        ("/me?revoked=1".to_string(), "amira"),
        ("/me?given=1".to_string(), "amira"),
        ("/me?again=1".to_string(), "amira"),
        (format!("/me?revoked={}", &scene.csrf("amira")[..16]), "amira"),
        (format!("/patients/{}?saved=limits", scene.amira), "lee"),
        (format!("/patients/{}?saved=", scene.amira), "lee"),
    ] {
        let page = scene.page(&path, who).await;
        assert!(
            !page.contains("is withdrawn.")
                && !page.contains("consent is given")
                && !page.contains("new limits are in force"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_suspended_person_finds_nothing_and_streams_end() {
    use futures::StreamExt;
    let scene = scene();
    let stream = scene.get("/live", "lee").await;
    scene.ward.ledger.suspend(scene.ward.as_("lee").person, scene.ward.now_ms);
    scene.ward.ledger.suspend(scene.ward.admin.person, scene.ward.now_ms);
    scene.ward.ledger.block(scene.ward.now_ms);
    let record = format!("/patients/{}", scene.amira);
    for (path, who) in [
        ("/wall", "lee"),
        ("/live", "lee"),
        (&record, "lee"),
        ("/proof/0", "lee"),
        ("/admin", "admin"),
        ("/proof/0", "admin"),
        ("/ledger", "admin"),
        ("/ledger/authorities", "admin"),
        ("/ledger/blocks/1", "admin"),
        ("/admin/people", "admin"),
        ("/admin/people/invite", "admin"),
        (&format!("/admin/people/{}", scene.invited), "admin"),
    ] {
        assert_eq!(scene.get(path, who).await.status(), StatusCode::NOT_FOUND, "{path} as {who}");
    }
    let mut pieces = stream.into_body().into_data_stream();
    let mut told = String::new();
    while let Some(Ok(piece)) = pieces.next().await {
        told.push_str(core::str::from_utf8(&piece).unwrap());
    }
    assert!(told.contains("event: ended"), "the stream says so and ends: {told}");
}

/// A ward with values and an alarm, so that there is something to leak and something to answer.
fn scene() -> Scene {
    let mut scene = Scene::new();
    scene.beats(1400, 13);
    let (kim, patient, now_ms) = (scene.ward.as_("kim"), scene.amira, scene.ward.now_ms);
    let (classes, reason) = (vec![vitals::ids::Class::Vitals], "the night was restless".into());
    let wanted = clinic::AskForConsent { patient, classes, reason, for_ms: 86_400_000 };
    scene.ward.clinic.ask_for_consent(&kim, &wanted, now_ms).unwrap();
    scene.ask = hex::encode(scene.ward.clinic.asks_by(&kim, now_ms).unwrap()[0].id);
    scene
}
