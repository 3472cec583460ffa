//! What one can do: signing in and out, alarms, limits, consents; and what is refused.

use super::scene::{HOST, Scene, encode, goes_to, text};
use axum::body::Body;
use axum::http::{StatusCode, header};

#[tokio::test]
async fn signing_in_gives_a_session_that_signing_out_ends() {
    let scene = Scene::new();
    let response = scene
        .post("/sign-in", "", &[("login", "lee"), ("password", "a secret word"), ("next", "/wall")])
        .await;
    assert_eq!((response.status(), goes_to(&response)), (StatusCode::SEE_OTHER, "/wall"));
    let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap().to_string();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let response = scene.post("/sign-out", "lee", &[]).await;
    assert!(response.headers()[header::SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(scene.get("/wall", "lee").await.status(), StatusCode::SEE_OTHER, "the token is dead");
}

#[tokio::test]
async fn a_wrong_password_says_nothing_about_the_login_and_soon_has_to_wait() {
    let scene = Scene::new();
    let scene = &scene;
    let wrong = |login: &'static str| async move {
        scene.post("/sign-in", "", &[("login", login), ("password", "guess")]).await
    };
    let (known, unknown) = (wrong("lee").await, wrong("nobody").await);
    assert_eq!((known.status(), unknown.status()), (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED));
    assert_eq!(text(known).await.replace("lee", "x"), text(unknown).await.replace("nobody", "x"));
    let mut last = StatusCode::UNAUTHORIZED;
    for _ in 0..8 {
        last = wrong("lee").await.status();
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_whole_ward_signs_in_at_once_and_nobody_is_refused() {
    let scene = Scene::new();
    let everybody =
        (0..24).map(|_| scene.post("/sign-in", "", &[("login", "lee"), ("password", "a secret word")]));
    let answers = futures::future::join_all(everybody).await;
    let statuses: Vec<_> = answers.iter().map(axum::http::Response::status).collect();
    assert_eq!(statuses, [StatusCode::SEE_OTHER; 24]);
}

#[tokio::test]
async fn after_signing_in_one_stays_on_this_site() {
    let scene = Scene::new();
    for next in ["https://evil.example", "//evil.example", "/\\evil.example", "", "/sign-out"] {
        let response = scene
            .post("/sign-in", "", &[("login", "lee"), ("password", "a secret word"), ("next", next)])
            .await;
        assert_eq!(goes_to(&response), "/wall", "{next}");
    }
}

#[tokio::test]
async fn a_post_that_is_not_ours_changes_nothing() {
    let scene = Scene::new();
    let revoke = format!("/me/consents/{}/revoke", scene.consent);
    let good = encode([("csrf", scene.csrf("amira").as_str()), ("confirm", "yes")]);
    let stranger = encode([("csrf", scene.csrf("bela").as_str()), ("confirm", "yes")]);
    let plain = |origin: Option<&str>, body: String| {
        let request = scene
            .request("POST", &revoke, "amira")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let request = match origin {
            Some(origin) => request.header(header::ORIGIN, origin),
            None => request,
        };
        request.body(Body::from(body)).unwrap()
    };
    let ours = format!("http://{HOST}");
    for (case, request) in [
        ("another site", plain(Some("https://evil.example"), good.clone())),
        ("no origin", plain(None, good.clone())),
        ("no token", plain(Some(&ours), String::new())),
        ("another session's token", plain(Some(&ours), stranger)),
    ] {
        assert_eq!(scene.send(request).await.status(), StatusCode::FORBIDDEN, "{case}");
    }
    assert!(scene.page("/me", "amira").await.contains(&revoke), "the consent is still in force");
    assert_eq!(scene.send(plain(Some(&ours), good)).await.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_form_that_is_too_long_or_no_form_is_refused() {
    let scene = Scene::new();
    let send = |media: &'static str, body: Vec<u8>| {
        let request = scene
            .request("POST", "/sign-in", "")
            .header(header::ORIGIN, format!("http://{HOST}"))
            .header(header::CONTENT_TYPE, media);
        scene.send(request.body(Body::from(body)).unwrap())
    };
    let form = "application/x-www-form-urlencoded";
    assert_eq!(send(form, vec![b'a'; 64 * 1024]).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let json = send("application/json", b"{}".to_vec()).await;
    assert_eq!(json.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(send(form, vec![0xff, 0xfe, b'=', 0x80]).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_alarm_is_shown_acknowledged_and_silenced() {
    let mut scene = Scene::new();
    scene.beats(1400, 13);
    let wall = scene.page("/wall", "lee").await;
    assert!(wall.contains("Heart rate 140 ≥ 131") && wall.contains("data-raised-ms"), "{wall}");
    let alarm = format!("/patients/{}/alarms/{}", scene.amira, 0x101);
    for who in ["amira", "admin", "ada", "fay"] {
        let response = scene.post(&format!("{alarm}/acknowledge"), who, &[]).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{who}");
    }
    let response = scene.post(&format!("{alarm}/silence"), "lee", &[("back", "/wall")]).await;
    assert_eq!((response.status(), goes_to(&response)), (StatusCode::SEE_OTHER, "/wall"));
    assert!(scene.page("/wall", "lee").await.contains("silenced until"));
    let body = encode([("csrf", scene.csrf("lee").as_str())]);
    let quiet = scene
        .form(&format!("{alarm}/acknowledge"), "lee")
        .header("hx-request", "true")
        .body(Body::from(body))
        .unwrap();
    let response = scene.send(quiet).await;
    assert_eq!(
        (response.status(), &response.headers()["hx-trigger"]),
        (StatusCode::NO_CONTENT, &"ward:changed".parse().unwrap())
    );
    assert!(scene.page("/wall", "lee").await.contains("owner lee"));
    let again = scene.post(&format!("{alarm}/acknowledge"), "lee", &[]).await;
    assert_eq!(again.status(), StatusCode::BAD_REQUEST, "there is nothing to answer any more");
    let unknown = scene.post(&format!("/patients/{}/alarms/9999/acknowledge", scene.amira), "lee", &[]).await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_revoked_consent_hides_the_record_at_once() {
    let mut scene = Scene::new();
    scene.beats(720, 2);
    let record = format!("/patients/{}", scene.amira);
    assert_eq!(scene.get(&record, "lee").await.status(), StatusCode::OK);
    let revoke = format!("/me/consents/{}/revoke", scene.consent);
    assert_eq!(
        scene.post(&revoke, "bela", &[("confirm", "yes")]).await.status(),
        StatusCode::NOT_FOUND,
        "not Bela's to withdraw"
    );
    assert_eq!(scene.post(&revoke, "amira", &[("confirm", "yes")]).await.status(), StatusCode::SEE_OTHER);
    let closed = scene.get(&record, "lee").await;
    assert_eq!(closed.status(), StatusCode::FORBIDDEN, "the bed is still on the wall, its record is not");
    let page = text(closed).await;
    assert!(!page.contains("class=\"plot\"") && !page.contains("id=\"now\""), "{page}");
    scene.settle();
    assert!(scene.page("/me", "amira").await.contains("Withdrawn by you"));
}

#[tokio::test]
async fn colours_can_be_chosen_by_anybody() {
    let scene = Scene::new();
    let response = scene.post("/theme", "", &[("theme", "dark"), ("back", "/help")]).await;
    assert_eq!(goes_to(&response), "/help");
    assert!(response.headers()[header::SET_COOKIE].to_str().unwrap().starts_with("aceso_theme=dark"));
    let request = scene
        .request("GET", "/help", "")
        .header(header::COOKIE, "aceso_theme=dark")
        .body(Body::empty())
        .unwrap();
    assert!(text(scene.send(request).await).await.contains("data-theme=\"dark\""));
    let request = scene
        .request("GET", "/help", "")
        .header(header::COOKIE, "aceso_theme=\"><script>")
        .body(Body::empty())
        .unwrap();
    assert!(!text(scene.send(request).await).await.contains("data-theme"));
}
