//! The administrator's pages of people, and the page of an invitation.

use super::scene::{HOST, Scene, encode, goes_to, text};
use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use std::sync::atomic::Ordering;

const FORM: &str = "00112233445566778899aabbccddeeff";
const ACCOUNT: [(&str, &str); 4] =
    [("name", "Noor A."), ("login", "noor"), ("password", "a secret word"), ("again", "a secret word")];

fn invitation<'a>(role: &'a str, bed: &'a str, form: &'a str) -> [(&'a str, &'a str); 4] {
    [("role", role), ("name", "Mina"), ("bed", bed), ("form", form)]
}

/// What a page shows beside its frame.
fn main_of(page: &str) -> &str {
    let begin = page.find("<main").unwrap();
    &page[begin..page.find("</main>").unwrap()]
}

/// The secret of the link a page shows.
fn secret_in(page: &str) -> Option<&str> {
    let at = page.find("/invitations/")? + "/invitations/".len();
    page.get(at..at + 64)
}

async fn post_to(scene: &Scene, address: &str, fields: &[(&str, &str)]) -> Response<Body> {
    scene.post(address, "", fields).await
}

#[tokio::test]
async fn an_administrator_invites_and_the_person_makes_the_account_and_is_signed_in() {
    let mut scene = Scene::new();
    let form = scene.page("/admin/people/invite", "admin").await;
    assert!(form.contains("name=\"form\" value=\"") && form.contains("value=\"clinician\""), "{form}");
    let answer = scene.post("/admin/people/invite", "admin", &invitation("patient", "bed 9", FORM)).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let person = goes_to(&answer).to_string();
    let shown = scene.page(&person, "admin").await;
    let secret = secret_in(&shown).expect("the link is shown").to_string();
    assert!(shown.contains(&format!("http://{HOST}/invitations/{secret}")), "to be handed over as it is");
    assert_eq!(secret_in(&scene.page(&person, "admin").await), None, "once");

    let address = format!("/invitations/{secret}");
    let page = scene.page(&address, "").await;
    for part in ["Welcome to Test Hospital", "a patient", "bed 9", "value=\"Mina\"", "until <time"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let answer = post_to(&scene, &address, &ACCOUNT).await;
    assert_eq!((answer.status(), goes_to(&answer)), (StatusCode::SEE_OTHER, "/"));
    let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap();
    let token = cookie.split(['=', ';']).nth(1).unwrap().to_string();
    scene.settle();
    let own = scene.request("GET", "/me", "").header(header::COOKIE, format!("aceso={token}"));
    let own = scene.send(own.body(Body::empty()).unwrap()).await;
    assert_eq!(own.status(), StatusCode::OK);
    assert!(text(own).await.contains("Hello, Noor A."));
    let listed = scene.page("/admin/people?find=noor", "admin").await;
    assert!(listed.contains("signs in as") && listed.contains(">active</span>"), "{listed}");
    assert!(listed.contains("1 open session;"), "{listed}");
}

#[tokio::test]
async fn a_link_that_does_not_work_says_the_same_whatever_became_of_it() {
    let scene = Scene::new();
    let invite = |form: &'static str| {
        let scene = &scene;
        async move {
            let answer = scene.post("/admin/people/invite", "admin", &invitation("family", "", form)).await;
            let person = goes_to(&answer).to_string();
            let shown = scene.page(&person, "admin").await;
            (person, secret_in(&shown).unwrap().to_string())
        }
    };
    let (_, used) = invite("01112233445566778899aabbccddeeff").await;
    assert_eq!(
        post_to(&scene, &format!("/invitations/{used}"), &ACCOUNT).await.status(),
        StatusCode::SEE_OTHER
    );
    let (person, withdrawn) = invite("02112233445566778899aabbccddeeff").await;
    let answer = scene.post(&format!("{person}/invitation/withdraw"), "admin", &[("seen", "1")]).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert!(scene.page(goes_to(&answer), "admin").await.contains("The invitation is withdrawn."));
    let (person, replaced) = invite("03112233445566778899aabbccddeeff").await;
    let answer = scene.post(&format!("{person}/invitation/renew"), "admin", &[("seen", "1")]).await;
    let renewed = scene.page(goes_to(&answer), "admin").await;
    let renewed = secret_in(&renewed).expect("a new link").to_string();
    assert_ne!(renewed, replaced);
    let (guess, junk) = ("0".repeat(64), "x".to_string());
    let mut said = Vec::new();
    for secret in [&used, &withdrawn, &replaced, &guess, &junk] {
        let address = format!("/invitations/{secret}");
        for answer in [scene.get(&address, "").await, post_to(&scene, &address, &ACCOUNT).await] {
            assert_eq!(answer.status(), StatusCode::NOT_FOUND);
            said.push(text(answer).await);
        }
    }
    assert!(said.windows(2).all(|pair| pair[0] == pair[1]), "whole pages are the same");
    assert!(said[0].contains("ask the administrator for a new one"), "{}", said[0]);
    // In three days the others have ended.
    scene.now.fetch_add(clinic::INVITATION_MS, Ordering::SeqCst);
    let ended = text(scene.get(&format!("/invitations/{renewed}"), "").await).await;
    assert_eq!(main_of(&ended), main_of(&said[0]));
}

#[tokio::test]
async fn forms_of_people_keep_what_was_typed_but_no_password_and_name_the_field() {
    let scene = Scene::new();
    let answer = scene.post("/admin/people/invite", "admin", &invitation("patient", "", FORM)).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let page = text(answer).await;
    assert!(page.contains("value=\"Mina\"") && page.contains("value=\"patient\" checked"), "{page}");
    assert!(page.contains("aria-describedby=\"fault-bed\"") && page.contains("id=\"fault-bed\""), "{page}");
    assert!(page.contains(FORM), "the same form, so that it invites once");
    let address = format!("/invitations/{}", scene.link);
    for (wrong, value, field) in
        [("login", "lee", "login"), ("again", "another word", "again"), ("name", "   ", "name")]
    {
        let fields = ACCOUNT.map(|(name, good)| (name, if name == wrong { value } else { good }));
        let answer = post_to(&scene, &address, &fields).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
        let page = text(answer).await;
        assert!(page.contains(&format!("aria-describedby=\"fault-{field}\"")), "{wrong}: {page}");
        assert!(!page.contains("a secret word") && !page.contains("another word"), "{wrong}");
        let login = fields[1].1;
        assert!(page.contains(&format!("name=\"login\" type=\"text\" value=\"{login}\"")), "{wrong}: {page}");
    }
    assert_eq!(
        post_to(&scene, &address, &ACCOUNT).await.status(),
        StatusCode::SEE_OTHER,
        "the link still works"
    );
}

#[tokio::test]
async fn the_address_of_a_link_is_repeated_and_sent_on_by_no_page() {
    let scene = Scene::new();
    let address = format!("/invitations/{}", scene.link);
    let wrong = ACCOUNT.map(|(name, good)| (name, if name == "again" { "another" } else { good }));
    let spoilt = format!("{address}0");
    for answer in [
        scene.get(&address, "").await,
        scene.get(&address, "lee").await,
        post_to(&scene, &address, &wrong).await,
        scene.get(&spoilt, "lee").await,
        scene
            .send(
                scene
                    .request("GET", &format!("{address}?{}", "a".repeat(4000)), "")
                    .body(Body::empty())
                    .unwrap(),
            )
            .await,
        scene.send(scene.request("PUT", &address, "").body(Body::empty()).unwrap()).await,
    ] {
        let status = answer.status();
        assert_eq!(answer.headers()[header::REFERRER_POLICY], "no-referrer", "{status}");
        let page = text(answer).await;
        assert!(page.contains("<meta name=\"referrer\" content=\"no-referrer\">"), "{status}: {page}");
        assert!(!page.contains(&scene.link), "{status}: {page}");
    }
    let metrics = scene.page("/metrics", "").await;
    assert!(!metrics.contains(&scene.link) && !metrics.contains("invitations/"), "{metrics}");
    assert!(!format!("{:?}", scene.ward.clinic.vault().invitations()).contains("Noor"));
}

/// A page that keeps its address to itself posts with `Origin: null`.
#[tokio::test]
async fn the_form_of_a_link_is_taken_without_an_origin_from_the_browser_that_has_its_page_alone() {
    let scene = Scene::new();
    let address = format!("/invitations/{}", scene.link);
    let page = scene.get(&address, "").await;
    let cookie = page.headers()[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_string();
    assert!(page.headers()[header::SET_COOKIE].to_str().unwrap().contains("SameSite=Strict"));
    let page = text(page).await;
    let mark = page.split("name=\"page\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_string();
    let send = |cookie: &str, mark: &str, site: Option<&str>| {
        let fields: Vec<(&str, &str)> = ACCOUNT.into_iter().chain([("page", mark)]).collect();
        let mut request = scene
            .request("POST", &address, "")
            .header(header::ORIGIN, "null")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if !cookie.is_empty() {
            request = request.header(header::COOKIE, cookie);
        }
        if let Some(site) = site {
            request = request.header("sec-fetch-site", site);
        }
        scene.send(request.body(Body::from(encode(fields))).unwrap())
    };
    let other = format!("aceso_page={}", "0".repeat(32));
    for (case, answer) in [
        ("no cookie", send("", &mark, None).await),
        ("another cookie", send(&other, &mark, None).await),
        ("no mark", send(&cookie, "", None).await),
        ("another site", send(&cookie, &mark, Some("cross-site")).await),
        ("another host of it", send(&cookie, &mark, Some("same-site")).await),
    ] {
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{case}");
    }
    assert_eq!(send(&cookie, &mark, None).await.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_form_that_is_sent_twice_invites_once_and_an_old_page_changes_nothing() {
    let scene = Scene::new();
    let first = scene.post("/admin/people/invite", "admin", &invitation("auditor", "", FORM)).await;
    let second = scene.post("/admin/people/invite", "admin", &invitation("auditor", "", FORM)).await;
    assert_eq!(goes_to(&first), goes_to(&second));
    let person = goes_to(&first).to_string();
    assert!(secret_in(&scene.page(&person, "admin").await).is_some(), "the one link is not lost");
    let renew = format!("{person}/invitation/renew");
    assert_eq!(scene.post(&renew, "admin", &[("seen", "1")]).await.status(), StatusCode::SEE_OTHER);
    let again = scene.post(&renew, "admin", &[("seen", "1")]).await;
    assert_eq!(again.status(), StatusCode::CONFLICT);
    let page = text(again).await;
    assert!(page.contains("Nothing was changed") && page.contains(&format!("href=\"{person}\"")), "{page}");
    let shown = scene.page(&person, "admin").await;
    let secret = secret_in(&shown).expect("the link that works is still to be seen");
    assert_eq!(scene.get(&format!("/invitations/{secret}"), "").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn people_are_listed_and_found_by_what_the_list_prints() {
    let mut scene = Scene::new();
    scene.beats(720, 1);
    let all = scene.page("/admin/people", "admin").await;
    for part in ["amira", "lee", "fay", "Noor A.", "invited</span>", "until <time", "clinician", "family"] {
        assert!(all.contains(part), "{part}: {all}");
    }
    let found = |find: &'static str| {
        let scene = &scene;
        async move {
            let page = scene.page(&format!("/admin/people?find={find}"), "admin").await;
            page.matches("<li class=\"person\">").count()
        }
    };
    assert_eq!((found("FAY").await, found("auditor").await, found("invited").await), (1, 1, 1));
    assert_eq!(found("nobody%20of%20this%20name").await, 0);
    let menu = |page: &str| page.contains("<a href=\"/admin/people\"");
    assert!(menu(&scene.page("/admin", "admin").await) && !menu(&scene.page("/wall", "lee").await));
}

#[tokio::test]
async fn suspending_somebody_ends_their_live_page_and_signing_in_says_why() {
    use futures::StreamExt;
    let mut scene = Scene::new();
    scene.beats(720, 2);
    let lee = scene.ward.as_("lee").person;
    let page = format!("/admin/people/{lee}");
    let stream = scene.get("/live", "lee").await;
    assert_eq!(stream.status(), StatusCode::OK);
    let fields = [("seen", "1"), ("reason", "left the hospital")];
    let done = scene.post(&format!("{page}/suspend"), "admin", &fields).await;
    assert_eq!(done.status(), StatusCode::SEE_OTHER);
    let shown = scene.page(goes_to(&done), "admin").await;
    for part in ["The account is suspended.", "“left the hospital”", "open nothing until", "None."] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let mut pieces = stream.into_body().into_data_stream();
    let mut told = String::new();
    while let Some(Ok(piece)) = pieces.next().await {
        told.push_str(core::str::from_utf8(&piece).unwrap());
    }
    assert!(told.contains("event: ended"), "the stream says so and ends: {told}");
    assert_eq!(scene.get("/wall", "lee").await.status(), StatusCode::SEE_OTHER, "signed out");
    let sign_in = |password: &'static str| {
        let scene = &scene;
        async move { scene.post("/sign-in", "", &[("login", "lee"), ("password", password)]).await }
    };
    let refused = sign_in("a secret word").await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert!(text(refused).await.contains("Your account is suspended: ask an administrator"));
    let guessed = sign_in("a guess").await;
    assert_eq!(guessed.status(), StatusCode::UNAUTHORIZED);
    assert!(!text(guessed).await.contains("suspended"), "who guesses learns nothing");
    let again = scene.post(&format!("{page}/suspend"), "admin", &fields).await;
    assert_eq!(again.status(), StatusCode::CONFLICT, "a form sent twice");
    let fields = [("seen", "2"), ("reason", "came back")];
    let done = scene.post(&format!("{page}/reinstate"), "admin", &fields).await;
    assert_eq!(done.status(), StatusCode::SEE_OTHER);
    assert_eq!(sign_in("a secret word").await.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_suspension_without_a_reason_keeps_what_was_typed_and_oneself_is_not_offered() {
    let scene = Scene::new();
    let lee = format!("/admin/people/{}", scene.ward.as_("lee").person);
    let long = "x".repeat(300);
    for reason in ["   ", &long] {
        let answer =
            scene.post(&format!("{lee}/suspend"), "admin", &[("seen", "1"), ("reason", reason)]).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let page = text(answer).await;
        assert!(page.contains("aria-describedby=\"fault-reason\""), "{page}");
        assert!(page.contains(&format!("value=\"{reason}\"")), "{page}");
    }
    let own = scene.page(&format!("/admin/people/{}", scene.ward.admin.person), "admin").await;
    assert!(!own.contains("/suspend\"") && own.contains("only another administrator"), "{own}");
}

#[tokio::test]
async fn a_link_to_a_new_password_is_shown_once_used_once_and_signs_everybody_out_before() {
    let scene = Scene::new();
    let lee = format!("/admin/people/{}", scene.ward.as_("lee").person);
    let done = scene.post(&format!("{lee}/password-link"), "admin", &[("seen", "1")]).await;
    let shown = scene.page(goes_to(&done), "admin").await;
    let at = shown.find("/passwords/").expect("the link is shown") + "/passwords/".len();
    let address = format!("/passwords/{}", &shown[at..at + 64]);
    assert!(!scene.page(&lee, "admin").await.contains("/passwords/"), "once");
    let page = scene.page(&address, "").await;
    assert!(page.contains(">lee</b>") && page.contains("no-referrer"), "{page}");
    let wrong = scene.post(&address, "", &[("password", "a new password"), ("again", "another")]).await;
    assert_eq!(wrong.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(!text(wrong).await.contains("a new password"));
    assert_eq!(scene.get("/wall", "lee").await.status(), StatusCode::OK);
    let fields = [("password", "a new password"), ("again", "a new password")];
    let set = scene.post(&address, "", &fields).await;
    assert_eq!((set.status(), goes_to(&set)), (StatusCode::SEE_OTHER, "/"));
    assert_eq!(
        scene.get("/wall", "lee").await.status(),
        StatusCode::SEE_OTHER,
        "the session before has ended"
    );
    let used = scene.post(&address, "", &fields).await;
    let guessed = scene.get(&format!("/passwords/{}", "0".repeat(64)), "").await;
    assert_eq!((used.status(), guessed.status()), (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND));
    assert_eq!(text(used).await, text(guessed).await);
    let old = scene.post("/sign-in", "", &[("login", "lee"), ("password", "a secret word")]).await;
    assert_eq!(old.status(), StatusCode::UNAUTHORIZED);
    let new = scene.post("/sign-in", "", &[("login", "lee"), ("password", "a new password")]).await;
    assert_eq!(new.status(), StatusCode::SEE_OTHER);
}

/// A node on which nobody has an account yet.
#[tokio::test]
async fn the_first_administrator_is_set_up_on_a_page_with_the_code_the_node_printed() {
    use tower::ServiceExt;
    let empty = testward::Empty::new();
    let settings = web::Settings { hospital: "Test Hospital".into(), ..web::Settings::default() };
    let app = web::App::of_clinic(empty.clinic.clone(), std::sync::Arc::new(|| testward::NOON_MS), settings);
    let router = web::router(app.clone());
    let ask = async |method: &str, path: &str, cookie: &str, body: String| {
        let request = axum::http::Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, HOST)
            .header(header::COOKIE, cookie)
            .header(header::ORIGIN, format!("http://{HOST}"))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap()
    };
    let sign_in = text(ask("GET", "/sign-in", "", String::new()).await).await;
    assert!(sign_in.contains("href=\"/set-up\""), "{sign_in}");
    assert!(text(ask("GET", "/set-up", "", String::new()).await).await.contains("Make the administrator"));
    let code = empty.clinic.offer_set_up().unwrap();
    let form = |code: &str, again: &str| {
        encode([
            ("code", code),
            ("name", "Ada Demo"),
            ("login", "ada"),
            ("password", "a secret word"),
            ("again", again),
        ])
    };
    for (code, again, field) in [("00000", "a secret word", "code"), (code.expose(), "another", "again")] {
        let refused = ask("POST", "/set-up", "", form(code, again)).await;
        assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let page = text(refused).await;
        assert!(page.contains(&format!("aria-describedby=\"fault-{field}\"")), "{page}");
        assert!(page.contains("value=\"Ada Demo\"") && !page.contains("a secret word"), "{page}");
    }
    let made = ask("POST", "/set-up", "", form(code.expose(), "a secret word")).await;
    assert_eq!((made.status(), goes_to(&made)), (StatusCode::SEE_OTHER, "/"));
    let cookie = made.headers()[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_string();
    empty.ledger.block(testward::NOON_MS);
    assert_eq!(ask("GET", "/admin/people", &cookie, String::new()).await.status(), StatusCode::OK);
    for method in ["GET", "POST"] {
        let again = ask(method, "/set-up", "", form(code.expose(), "a secret word")).await;
        assert_eq!((again.status(), goes_to(&again)), (StatusCode::SEE_OTHER, "/sign-in"), "{method}");
    }
    let metrics = text(ask("GET", "/metrics", "", String::new()).await).await;
    assert!(!metrics.contains(code.expose()));
    assert_eq!(empty.clinic.vault().accounts().len(), 1);
}

#[tokio::test]
async fn sessions_are_listed_and_ended_on_the_page() {
    let scene = Scene::new();
    let lee = scene.ward.as_("lee").person;
    let page = format!("/admin/people/{lee}");
    let shown = scene.page(&page, "admin").await;
    let forms: Vec<&str> =
        shown.split("action=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let one = forms.iter().find(|action| action.contains("/sessions/") && !action.ends_with("sessions/end"));
    let before = scene.ward.clinic.person_page(&scene.ward.admin, lee, scene.ward.now_ms).unwrap();
    let done = scene.post(one.expect("a form for each"), "admin", &[]).await;
    assert!(scene.page(goes_to(&done), "admin").await.contains("The sessions have ended."));
    let after = scene.ward.clinic.person_page(&scene.ward.admin, lee, scene.ward.now_ms).unwrap();
    assert_eq!(after.sessions.len() + 1, before.sessions.len());
    scene.post(&format!("{page}/sessions/end"), "admin", &[]).await;
    assert_eq!(scene.get("/wall", "lee").await.status(), StatusCode::SEE_OTHER);
    let again = scene.post(&format!("{page}/sessions/end"), "admin", &[]).await;
    assert_eq!(again.status(), StatusCode::SEE_OTHER, "nothing to end is no fault");
}

#[tokio::test]
async fn nobody_but_an_administrator_learns_whether_an_account_exists() {
    let scene = Scene::new();
    let (fay, nobody) = (scene.ward.as_("fay").person.to_string(), "0".repeat(64));
    let fields = [("seen", "2"), ("reason", "left the hospital")];
    for caller in ["lee", "amira", "fay", "ada"] {
        let mut said = Vec::new();
        for person in [&fay, &scene.invited.to_string(), &nobody] {
            let page = format!("/admin/people/{person}");
            for answer in [
                scene.get(&page, caller).await,
                scene.post(&format!("{page}/suspend"), caller, &fields).await,
                scene.post(&format!("{page}/password-link"), caller, &fields[..1]).await,
            ] {
                assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{caller}");
                said.push(text(answer).await.replace(person.as_str(), ""));
            }
        }
        assert!(said[0].contains("<main"), "{}", said[0]);
        for (one, other) in said.iter().zip(&said[3..]) {
            assert_eq!(main_of(one), main_of(other), "{caller}");
        }
    }
    let unknown = scene.get(&format!("/admin/people/{nobody}"), "admin").await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
}
