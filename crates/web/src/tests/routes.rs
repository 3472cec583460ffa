//! Who gets what: every address, every role.

use super::scene::{CALLERS, HOSTILE, Scene, goes_to, text};
use axum::body::Body;
use axum::http::{StatusCode, header};

#[tokio::test]
async fn every_address_answers_each_role_as_it_should() {
    let mut scene = Scene::new();
    scene.beats(720, 3);
    let (amira, bela) = (scene.amira, scene.bela);
    // One column per caller:            nobody lee  kim  amira bela admin fay  ada
    let table: Vec<(String, [u16; 8])> = vec![
        ("/".into(), [303, 303, 303, 303, 303, 303, 303, 303]),
        ("/wall".into(), [303, 200, 200, 404, 404, 404, 404, 404]),
        ("/live".into(), [303, 200, 200, 404, 404, 404, 404, 404]),
        (format!("/patients/{amira}"), [303, 200, 403, 200, 404, 404, 404, 404]),
        (format!("/patients/{amira}?for=monitoring"), [303, 200, 200, 400, 400, 404, 400, 400]),
        (format!("/live?with={amira}-treatment"), [303, 200, 200, 400, 400, 404, 400, 400]),
        (format!("/live?with={amira}-own"), [303, 400, 400, 200, 404, 404, 400, 400]),
        ("/live?with=me".into(), [303, 404, 404, 200, 200, 404, 404, 404]),
        ("/live?with=nonsense".into(), [303, 400, 400, 400, 400, 400, 400, 400]),
        (format!("/patients/{amira}?for=monitoring&range=2h"), [303, 200, 200, 400, 400, 404, 400, 400]),
        (format!("/patients/{amira}?for=monitoring&range=24h"), [303, 400, 400, 400, 400, 404, 400, 400]),
        (format!("/patients/{amira}?range=24h"), [303, 200, 403, 200, 404, 404, 404, 404]),
        (format!("/patients/{bela}?for=monitoring&range=24h"), [303, 404, 404, 400, 400, 404, 400, 400]),
        (format!("/patients/{bela}"), [303, 404, 404, 404, 200, 404, 404, 404]),
        ("/patients/00112233445566778899aabbccddeeff".into(), [303, 404, 404, 404, 404, 404, 404, 404]),
        ("/patients/nonsense".into(), [303, 404, 404, 404, 404, 404, 404, 404]),
        ("/me".into(), [303, 404, 404, 200, 200, 404, 404, 404]),
        ("/proof/0".into(), [303, 200, 200, 200, 404, 200, 404, 200]),
        ("/proof/1".into(), [303, 404, 404, 404, 200, 200, 404, 200]),
        ("/proof/999999999".into(), [303, 404, 404, 404, 404, 404, 404, 404]),
        ("/proof/-1".into(), [303, 404, 404, 404, 404, 404, 404, 404]),
        ("/admin".into(), [303, 404, 404, 404, 404, 200, 404, 404]),
        ("/ledger".into(), [303, 404, 404, 404, 404, 200, 404, 200]),
        ("/ledger?before=2".into(), [303, 404, 404, 404, 404, 200, 404, 200]),
        ("/ledger?find=1".into(), [303, 404, 404, 404, 404, 303, 404, 303]),
        ("/ledger?find=nonsense".into(), [303, 404, 404, 404, 404, 422, 404, 422]),
        ("/ledger/authorities".into(), [303, 404, 404, 404, 404, 200, 404, 200]),
        ("/ledger/blocks/1".into(), [303, 404, 404, 404, 404, 200, 404, 200]),
        ("/ledger/blocks/999999".into(), [303, 404, 404, 404, 404, 404, 404, 404]),
        ("/ledger/heads/1".into(), [303, 200, 200, 200, 200, 200, 200, 200]),
        ("/ledger/heads/999999".into(), [303, 200, 200, 200, 200, 200, 200, 200]),
        ("/ledger/heads/-1".into(), [303, 404, 404, 404, 404, 404, 404, 404]),
        (format!("/ledger/transactions/{}", scene.transaction()), [303, 404, 404, 404, 404, 200, 404, 200]),
        (format!("/ledger/transactions/{}", "0".repeat(64)), [303, 404, 404, 404, 404, 404, 404, 404]),
        ("/help".into(), [200, 200, 200, 200, 200, 200, 200, 200]),
        ("/sign-in".into(), [200, 303, 303, 303, 303, 303, 303, 303]),
        ("/healthz".into(), [200, 200, 200, 200, 200, 200, 200, 200]),
        ("/metrics".into(), [200, 200, 200, 200, 200, 200, 200, 200]),
        ("/nothing".into(), [404, 404, 404, 404, 404, 404, 404, 404]),
        ("/assets/0000000000000000/aceso.css".into(), [404, 404, 404, 404, 404, 404, 404, 404]),
        ("/sign-out".into(), [405, 405, 405, 405, 405, 405, 405, 405]),
    ];
    let mut wrong = Vec::new();
    for (path, wanted) in &table {
        for (who, status) in CALLERS.into_iter().zip(wanted) {
            let got = scene.get(path, who).await.status().as_u16();
            if got != *status {
                wrong.push(format!("{path} as {who:?}: {got}, not {status}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn nobody_learns_whether_a_patient_exists() {
    let scene = Scene::new();
    let hidden = scene.get(&format!("/patients/{}", scene.bela), "kim").await;
    let absent = scene.get("/patients/00112233445566778899aabbccddeeff", "kim").await;
    assert_eq!(hidden.status(), absent.status());
    assert_eq!(text(hidden).await, text(absent).await);
}

#[tokio::test]
async fn without_a_session_a_page_leads_to_sign_in_and_back() {
    let scene = Scene::new();
    let response = scene.get("/wall", "").await;
    assert_eq!(goes_to(&response), "/sign-in?next=%2f%77%61%6c%6c");
    for cookie in ["aceso=", "aceso=zz", &format!("aceso={}", "0".repeat(64)), "aceso=../../x"] {
        let request =
            scene.request("GET", "/wall", "").header(header::COOKIE, cookie).body(Body::empty()).unwrap();
        assert_eq!(scene.send(request).await.status(), StatusCode::SEE_OTHER, "{cookie}");
    }
    let fragment =
        scene.request("GET", "/wall", "").header("hx-request", "true").body(Body::empty()).unwrap();
    let response = scene.send(fragment).await;
    assert_eq!(
        (response.status(), &response.headers()["hx-redirect"]),
        (StatusCode::UNAUTHORIZED, &"/sign-in".parse().unwrap())
    );
}

#[tokio::test]
async fn one_address_gives_the_page_or_its_fragment() {
    let mut scene = Scene::new();
    scene.beats(720, 3);
    let patient = format!("/patients/{}?range=1h", scene.amira);
    for (path, who, target) in [(patient.as_str(), "lee", "trends"), ("/me", "amira", "now")] {
        let page = scene.page(path, who).await;
        assert!(page.starts_with("<!doctype html>"), "{path}");
        let ask = |target| {
            scene
                .request("GET", path, who)
                .header("hx-request", "true")
                .header("hx-target", target)
                .body(Body::empty())
                .unwrap()
        };
        let fragment = text(scene.send(ask(target)).await).await;
        assert!(!fragment.contains("<html") && fragment.contains(&format!("id=\"{target}\"")), "{path}");
        assert!(page.contains(&format!("id=\"{target}\"")), "{path}");
        let whole = text(scene.send(ask("elsewhere")).await).await;
        assert!(whole.starts_with("<!doctype html>"), "{path}");
    }
}

#[tokio::test]
async fn pages_show_the_values_and_say_how_far_they_are() {
    let mut scene = Scene::new();
    scene.beats(724, 5);
    let wall = scene.page("/wall", "lee").await;
    assert!(wall.contains(">72</b>") && wall.contains("bed of amira"), "the value and the bed");
    assert!(wall.contains("data-proof-word"), "how far it is");
    assert!(!wall.contains("alert(1)"), "Bela allows nobody to watch");
    let patient = scene.page(&format!("/patients/{}", scene.amira), "lee").await;
    assert!(patient.contains("<polyline") && patient.contains("Heart rate as a table"));
    let own = scene.page("/me", "amira").await;
    assert!(own.contains("<b>lee</b> looked at your vital signs"), "{own}");
    assert!(own.contains("beats a minute"));
    let proof = scene.page("/proof/0", "lee").await;
    assert!(proof.contains("Sealed") && proof.contains("aceso verify"));
}

#[tokio::test]
async fn a_hostile_name_stays_a_name() {
    let scene = Scene::new();
    for (path, who) in [
        ("/me", "bela"),
        ("/admin", "admin"),
        ("/wall?next=%3Cscript%3E", "lee"),
        ("/sign-in?next=/%22%3E%3Cscript%3E", ""),
    ] {
        let page = scene.page(path, who).await;
        assert!(!page.contains("<script>alert") && !page.contains("\"><script>"), "{path}");
        assert!(!page.contains(HOSTILE) && !page.contains("<b>bed</b>"), "{path}");
    }
    let own = scene.page("/me", "bela").await;
    assert!(own.contains("&#60;script&#62;alert(1)&#60;/script&#62;"), "shown as it is, escaped");
}

#[tokio::test]
async fn metrics_and_health_hold_no_name_no_value_and_no_id() {
    let mut scene = Scene::new();
    scene.beats(1234, 3);
    let metrics = scene.page("/metrics", "").await;
    for line in [
        "aceso_envelopes_admitted_total 3\n",
        "# TYPE aceso_refused counter\n",
        "aceso_withdrawals_late_total 0\n",
        "aceso_withdrawals_late 0\n",
        "aceso_requests_refused_total{reason=\"not_found\"} 0\n",
        "# TYPE aceso_seal_to_live_seconds histogram\n",
        "aceso_seal_to_live_seconds_bucket{le=\"0.01\"} ",
        "aceso_seal_to_live_seconds_bucket{le=\"3600.0\"} ",
        "aceso_seal_to_live_seconds_bucket{le=\"+Inf\"} 3\n",
        "aceso_seal_to_live_seconds_count 3\n",
        "# TYPE aceso_seal_to_final_seconds histogram\n",
        "aceso_seal_to_final_seconds_count ",
        "aceso_request_duration_seconds_bucket{le=\"0.25\"} ",
        "# EOF\n",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    // A family is described once: a scraper refuses a second description.
    let mut described: Vec<&str> =
        metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    described.sort_unstable();
    assert!(described.windows(2).all(|pair| pair[0] != pair[1]), "{described:?}");
    for secret in ["amira", "lee", "1234", "123.4", &scene.amira.to_string()] {
        assert!(!metrics.contains(secret), "{secret}");
    }
    assert_eq!(scene.page("/healthz", "").await, "well\n");
    scene.ward.pass(120_000);
    scene.settle_without_block();
    assert_eq!(scene.get("/healthz", "").await.status(), StatusCode::SERVICE_UNAVAILABLE);
}
