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
        ("/me/consents/new".into(), [303, 404, 404, 200, 200, 404, 404, 404]),
        (format!("/me/consents/{}/change", scene.consent), [303, 404, 404, 200, 404, 404, 404, 404]),
        ("/asks".into(), [303, 200, 200, 404, 404, 404, 404, 404]),
        ("/asks?patient=nonsense".into(), [303, 200, 200, 404, 404, 404, 404, 404]),
        (format!("/me/seen-by/{}", scene.ward.as_("lee").person), [303, 404, 404, 200, 200, 404, 404, 404]),
        (format!("/me/seen-by/{}", "1".repeat(64)), [303, 404, 404, 404, 404, 404, 404, 404]),
        ("/proof/0".into(), [303, 200, 200, 200, 404, 200, 404, 200]),
        ("/proof/1".into(), [303, 404, 404, 404, 200, 200, 404, 200]),
        ("/proof/999999999".into(), [303, 404, 404, 404, 404, 404, 404, 404]),
        ("/proof/-1".into(), [303, 404, 404, 404, 404, 404, 404, 404]),
        ("/admin".into(), [303, 404, 404, 404, 404, 200, 404, 404]),
        ("/admin/people".into(), [303, 404, 404, 404, 404, 200, 404, 404]),
        ("/admin/people?find=lee&page=1".into(), [303, 404, 404, 404, 404, 200, 404, 404]),
        ("/admin/people/invite".into(), [303, 404, 404, 404, 404, 200, 404, 404]),
        (format!("/admin/people/{}", scene.invited), [303, 404, 404, 404, 404, 200, 404, 404]),
        (format!("/admin/people/{}", scene.ward.as_("lee").person), [303, 404, 404, 404, 404, 200, 404, 404]),
        (format!("/admin/people/{}", "0".repeat(64)), [303, 404, 404, 404, 404, 404, 404, 404]),
        (format!("/invitations/{}", scene.link), [200, 200, 200, 200, 200, 200, 200, 200]),
        (format!("/passwords/{}", scene.password_link), [200, 200, 200, 200, 200, 200, 200, 200]),
        (format!("/passwords/{}", "0".repeat(64)), [404, 404, 404, 404, 404, 429, 429, 429]),
        // Whoever guesses has to wait, whoever it is.
        (format!("/invitations/{}", "0".repeat(64)), [404, 404, 404, 404, 404, 429, 429, 429]),
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
        ("/set-up".into(), [303, 303, 303, 303, 303, 303, 303, 303]),
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
        ("/admin/people", "admin"),
        ("/admin/people?find=%3Cscript%3Ealert(1)", "admin"),
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
    let plain = scene.page("/metrics", "").await;
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
    let asked = scene.request("GET", "/metrics", "").header("accept", accept);
    let metrics = text(scene.send(asked.body(Body::empty()).unwrap()).await).await;
    for line in ["# TYPE aceso_envelopes_admitted_total counter\n", "# TYPE aceso_refused_total counter\n"] {
        assert!(plain.contains(line), "{line}: {plain}");
    }
    assert!(!plain.contains("# EOF") && !plain.contains("# UNIT"), "{plain}");
    let samples = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
    assert!(samples(&metrics) > 100 && samples(&plain) == samples(&metrics), "{metrics}");
    for line in [
        "aceso_envelopes_admitted_total 3\n",
        "# TYPE aceso_refused counter\n",
        "aceso_withdrawals_overdue_total 0\n",
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
        "aceso_gateways 1\n",
        "aceso_gateways_silent 0\n",
        "# TYPE aceso_ledger_age_seconds gauge\n",
        "aceso_alarm_unanswered_oldest_seconds{priority=\"high\"} 0.0\n",
        "aceso_alarms_unanswered{priority=\"technical\"} 0\n",
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
        assert!(!metrics.contains(secret) && !plain.contains(secret), "{secret}");
    }
    assert_eq!(scene.page("/healthz", "").await, "well\n");
    scene.ward.pass(120_000);
    scene.settle_without_block();
    assert_eq!(scene.get("/healthz", "").await.status(), StatusCode::SERVICE_UNAVAILABLE);
}

/// The value of a line without a comment.
fn metric(metrics: &str, name: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[tokio::test]
async fn metrics_say_what_nobody_answers_who_is_silent_and_which_consent_ends_first() {
    let mut scene = Scene::new();
    scene.beats(1420, 13);
    let high = "aceso_alarm_unanswered_oldest_seconds{priority=\"high\"}";
    let before = metric(&scene.page("/metrics", "").await, high).unwrap();
    let count = "aceso_alarms_unanswered{priority=\"high\"}";
    scene.beats(1420, 30);
    let metrics = scene.page("/metrics", "").await;
    assert_eq!(metric(&metrics, high), Some(before + 30.0), "it gets older until somebody answers");
    assert_eq!(metric(&metrics, count), Some(1.0));
    let left_s = metric(&metrics, "aceso_consent_expiry_timestamp_seconds").unwrap()
        - scene.ward.now_ms as f64 / 1000.0;
    assert!(left_s > 3600.0, "{left_s}");
    scene.post(&format!("/patients/{}/alarms/257/acknowledge", scene.amira), "lee", &[]).await;
    let metrics = scene.page("/metrics", "").await;
    assert_eq!((metric(&metrics, high), metric(&metrics, count)), (Some(0.0), Some(0.0)));
    assert_eq!(metric(&metrics, "aceso_gateways_silent"), Some(0.0));
    scene.ward.pass(59_000);
    scene.settle();
    assert_eq!(metric(&scene.page("/metrics", "").await, "aceso_gateways_silent"), Some(0.0));
    scene.ward.pass(2_000);
    scene.settle();
    let metrics = scene.page("/metrics", "").await;
    assert_eq!(metric(&metrics, "aceso_gateways_silent"), Some(1.0), "nothing for a minute");
    assert!(metric(&metrics, "aceso_alarms_unanswered{priority=\"technical\"}") > Some(0.0), "{metrics}");
}
