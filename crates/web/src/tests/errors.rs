//! Refusals as what was asked for, and callers that are programs.

use super::scene::{HOST, Scene, goes_to, text};
use axum::body::Body;
use axum::http::{Request, StatusCode, header};

/// A request of a program: no cookie, and an `Accept` header.
fn program(method: &str, path: &str, token: &str, accept: &str) -> axum::http::request::Builder {
    let request = Request::builder().method(method).uri(path).header(header::HOST, HOST);
    let request = if token.is_empty() {
        request
    } else {
        request.header(header::AUTHORIZATION, format!("Bearer {token}"))
    };
    if accept.is_empty() { request } else { request.header(header::ACCEPT, accept) }
}

#[tokio::test]
async fn a_refusal_is_a_page_a_problem_or_an_operation_outcome_by_what_was_asked_for() {
    let scene = Scene::new();
    let lee = scene.token("lee");
    let refused = async |path: &str, token: &str, accept: &str| {
        let before = scene.refusals();
        let request = program("GET", path, token, accept).body(Body::empty()).unwrap();
        let response = scene.send(request).await;
        assert_eq!(scene.refusals(), before + 1, "counted once: {path} as {accept}");
        let status = response.status();
        let header =
            |name| response.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_string();
        let (media, asks_for) = (header(header::CONTENT_TYPE), header(header::WWW_AUTHENTICATE));
        (status, media, asks_for, text(response).await)
    };
    let hidden = format!("/patients/{}", scene.bela);
    let (status, media, _, page) = refused(&hidden, lee, "text/html").await;
    assert_eq!((status, media.as_str()), (StatusCode::NOT_FOUND, "text/html; charset=utf-8"));
    assert!(page.contains("There is nothing here for you"), "{page}");

    let (status, media, _, problem) = refused(&hidden, lee, "application/problem+json").await;
    assert_eq!((status, media.as_str()), (StatusCode::NOT_FOUND, "application/problem+json"));
    let problem: serde_json::Value = serde_json::from_str(&problem).unwrap();
    assert_eq!(
        (&problem["status"], &problem["title"]),
        (&404.into(), &"There is nothing here for you".into())
    );
    assert!(problem["detail"].as_str().unwrap().ends_with('.'), "{problem}");

    let (status, media, _, outcome) = refused(&hidden, lee, "application/fhir+json").await;
    assert_eq!((status, media.as_str()), (StatusCode::NOT_FOUND, "application/fhir+json"));
    let outcome: serde_json::Value = serde_json::from_str(&outcome).unwrap();
    assert_eq!(outcome["resourceType"], "OperationOutcome");
    assert_eq!(
        (&outcome["issue"][0]["severity"], &outcome["issue"][0]["code"]),
        (&"error".into(), &"not-found".into())
    );

    // A program that is not signed in learns so and how; a browser is redirected to sign in.
    let (status, _, asks_for, _) = refused("/wall", "", "application/json").await;
    assert_eq!((status, asks_for.as_str()), (StatusCode::UNAUTHORIZED, "Bearer"));
    let (status, ..) = refused("/wall", "", "").await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    for accept in ["application/json", "application/fhir+json"] {
        let (.., body) = refused(&hidden, lee, accept).await;
        assert!(!body.contains("alert(1)") && !body.contains(&scene.bela.to_string()), "{body}");
    }
}

#[tokio::test]
async fn a_program_names_its_session_by_a_bearer_token_and_needs_no_form_token() {
    let mut scene = Scene::new();
    scene.beats(1400, 13);
    let lee = scene.token("lee").to_string();
    let wall = program("GET", "/wall", &lee, "").body(Body::empty()).unwrap();
    let response = scene.send(wall).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(text(response).await.contains("bed of amira"));
    let act = format!("/patients/{}/alarms/257/acknowledge", scene.amira);
    let post = |token: &str| {
        program("POST", &act, token, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from("back=/wall"))
            .unwrap()
    };
    let done = scene.send(post(&lee)).await;
    assert_eq!((done.status(), goes_to(&done)), (StatusCode::SEE_OTHER, "/wall"));
    assert!(scene.page("/wall", "lee").await.contains("owner lee"));
    // Somebody who may not, and nobody at all.
    assert_eq!(scene.send(post(scene.token("fay"))).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(scene.send(post(&"0".repeat(64))).await.status(), StatusCode::UNAUTHORIZED);
    // A good cookie beside a wrong token does not help.
    let both = scene
        .request("GET", "/wall", "lee")
        .header(header::AUTHORIZATION, format!("Bearer {}", "0".repeat(64)))
        .body(Body::empty())
        .unwrap();
    assert_eq!(scene.send(both).await.status(), StatusCode::SEE_OTHER);
    // A cookie without the form's token changes nothing, from whatever page the post comes.
    let silence = format!("/patients/{}/alarms/257/silence", scene.amira);
    let cookie = scene.form(&silence, "lee").body(Body::from("back=/wall")).unwrap();
    assert_eq!(scene.send(cookie).await.status(), StatusCode::FORBIDDEN);
}
