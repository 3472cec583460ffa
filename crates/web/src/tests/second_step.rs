//! The pages of an account, and the second step of a sign-in. Every form is used as a browser without scripts does.

use super::attempts::{Takes, routes};
use super::scene::{HOST, Scene, encode, goes_to, text};
use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use clinic::TotpKey;
use std::sync::atomic::Ordering;

const STEP_MS: u64 = 30_000;
const PASSWORD: [(&str, &str); 2] = [("login", "kim"), ("password", "a secret word")];

/// The value of the page's first field with this id.
fn value_of<'a>(page: &'a str, id: &str) -> &'a str {
    let field =
        page.split('<').find(|tag| tag.contains(&format!("id=\"{id}\""))).expect("the field is there");
    field.split("value=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("it has a value")
}

fn key_of(page: &str) -> TotpKey {
    let text: String = value_of(page, "key").chars().filter(|c| *c != ' ').collect();
    let bytes = data_encoding::BASE32_NOPAD.decode(text.as_bytes()).expect("a key as apps read it");
    TotpKey::new(bytes.try_into().expect("20 bytes"))
}

/// The cookie that an answer sets under this name.
fn cookie(response: &Response<Body>, name: &str) -> Option<String> {
    let all = response.headers().get_all(header::SET_COOKIE).iter().map(|value| value.to_str().unwrap());
    let own = all.filter_map(|cookie| cookie.strip_prefix(&format!("{name}="))).next()?;
    own.split(';').next().map(ToString::to_string)
}

fn codes_of(page: &str) -> Vec<String> {
    let list = &page[page.find("class=\"codes").unwrap()..];
    let list = &list[..list.find("</ol>").unwrap()];
    list.split("<li>").skip(1).map(|one| one.split('<').next().unwrap().to_string()).collect()
}

/// Dr Kim sets an app up on the pages. Its key, and the recovery codes.
async fn set_up(scene: &Scene) -> (TotpKey, Vec<String>) {
    let page = scene.page("/account/app", "kim").await;
    assert!(page.contains("class=\"qr\"") && page.contains("role=\"img\""), "{page}");
    assert!(page.contains("name: Test Hospital, kim"), "{page}");
    let key = key_of(&page);
    assert_eq!(key_of(&scene.page("/account/app", "kim").await), key, "loaded again, the same key");
    let code = key.code_at(scene.now.load(Ordering::SeqCst));
    let answer = scene.post("/account/app", "kim", &[("code", &code)]).await;
    assert_eq!((answer.status(), goes_to(&answer)), (StatusCode::SEE_OTHER, "/account/recovery-codes"));
    let shown = scene.page("/account/recovery-codes", "kim").await;
    let codes = codes_of(&shown);
    assert_eq!(codes.len(), clinic::RECOVERY_CODES);
    let again = scene.get("/account/recovery-codes", "kim").await;
    assert_eq!(goes_to(&again), "/account", "they are shown once");
    scene.now.fetch_add(STEP_MS, Ordering::SeqCst);
    (key, codes)
}

/// Types the password; gives the cookie of the second step.
async fn first_step(scene: &Scene, next: &str) -> String {
    let fields: Vec<_> = PASSWORD.into_iter().chain([("next", next)]).collect();
    let answer = scene.post("/sign-in", "", &fields).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert!(goes_to(&answer).starts_with("/sign-in/code"), "{}", goes_to(&answer));
    assert_eq!(cookie(&answer, "aceso"), None, "no session");
    cookie(&answer, "aceso_step").expect("the step's cookie")
}

async fn give(scene: &Scene, step: &str, fields: &[(&str, &str)]) -> Response<Body> {
    let request = scene
        .form("/sign-in/code", "")
        .header(header::COOKIE, format!("aceso_step={step}"))
        .body(Body::from(encode(fields.iter().copied())));
    scene.send(request.unwrap()).await
}

#[tokio::test]
async fn an_app_is_set_up_on_a_page_and_asked_for_at_the_next_sign_in() {
    let scene = Scene::new();
    let account = scene.page("/account", "kim").await;
    assert!(account.contains("Set an app up") && account.contains("Change the password"), "{account}");
    let wrong = scene.page("/account/app", "kim").await;
    let wrong_key = key_of(&wrong);
    let far = wrong_key.code_at(scene.now.load(Ordering::SeqCst) + 100 * STEP_MS);
    let answer = scene.post("/account/app", "kim", &[("code", &far)]).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let page = text(answer).await;
    assert!(page.contains("aria-describedby=\"fault-code\"") && key_of(&page) == wrong_key, "{page}");

    let (key, _) = set_up(&scene).await;
    let account = scene.page("/account", "kim").await;
    assert!(account.contains("in force") && account.contains("10 recovery codes are left"), "{account}");
    assert!(account.contains("set an authenticator app up, and got recovery codes"), "{account}");

    let step = first_step(&scene, "/asks").await;
    let form = scene.request("GET", "/sign-in/code?next=%2fasks", "");
    let form = form.header(header::COOKIE, format!("aceso_step={step}")).body(Body::empty()).unwrap();
    let form = text(scene.send(form).await).await;
    assert!(form.contains("Code of your authenticator app") && form.contains("value=\"/asks\""), "{form}");
    let answer = give(&scene, &step, &[("code", "000000"), ("next", "/asks")]).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let page = text(answer).await;
    assert!(page.contains("This code is not right") && page.contains("value=\"/asks\""), "{page}");
    let code = key.code_at(scene.now.load(Ordering::SeqCst));
    let answer = give(&scene, &step, &[("code", &code), ("next", "/asks")]).await;
    assert_eq!((answer.status(), goes_to(&answer)), (StatusCode::SEE_OTHER, "/asks"));
    assert_eq!(cookie(&answer, "aceso_step").as_deref(), Some(""), "the step's cookie goes");
    let token = cookie(&answer, "aceso").expect("a session");
    let own = scene.request("GET", "/asks", "").header(header::COOKIE, format!("aceso={token}"));
    assert_eq!(scene.send(own.body(Body::empty()).unwrap()).await.status(), StatusCode::OK);
    let again = give(&scene, &step, &[("code", &code)]).await;
    assert_eq!(again.status(), StatusCode::UNAUTHORIZED);
    assert!(text(again).await.contains("begin again"), "back to the first step");
}

#[tokio::test]
async fn between_the_two_steps_nothing_can_be_read_and_nothing_done() {
    let scene = Scene::new();
    set_up(&scene).await;
    let step = first_step(&scene, "").await;
    let mut tried = 0;
    for route in routes().iter().filter(|route| !route.open) {
        for (name, value) in [
            (header::COOKIE, format!("aceso_step={step}")),
            (header::COOKIE, format!("aceso={step}")),
            (header::AUTHORIZATION, format!("Bearer {step}")),
        ] {
            let request = scene
                .request(route.takes.word(), &route.address(&scene), "")
                .header(header::ORIGIN, format!("http://{HOST}"))
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header(header::ACCEPT, "application/json")
                .header(name, value);
            let body = if route.takes == Takes::Post { encode(route.fields()) } else { String::new() };
            let answer = scene.send(request.body(Body::from(body)).unwrap()).await;
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{}", route.path);
            tried += 1;
        }
    }
    assert!(tried > 150, "{tried}");
}

#[tokio::test]
async fn a_recovery_code_signs_in_once_and_leads_to_the_account() {
    let scene = Scene::new();
    let (_, codes) = set_up(&scene).await;
    let step = first_step(&scene, "/asks").await;
    let answer = give(&scene, &step, &[("recovery", &codes[0].to_lowercase()), ("next", "/asks")]).await;
    assert_eq!((answer.status(), goes_to(&answer)), (StatusCode::SEE_OTHER, "/account"));
    let token = cookie(&answer, "aceso").expect("a session");
    let own = scene.request("GET", "/account", "").header(header::COOKIE, format!("aceso={token}"));
    let own = text(scene.send(own.body(Body::empty()).unwrap()).await).await;
    assert!(
        own.contains("signed in with a recovery code") && own.contains("9 recovery codes are left"),
        "{own}"
    );
    let step = first_step(&scene, "").await;
    let answer = give(&scene, &step, &[("recovery", &codes[0])]).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let page = text(answer).await;
    assert!(
        page.contains("id=\"fault-recovery\"") && page.contains("<details class=\"more\" open>"),
        "{page}"
    );
    for fields in [&[("next", "")][..], &[("code", "1"), ("recovery", "2")], &[("code", "1"), ("role", "x")]]
    {
        assert_eq!(give(&scene, &step, fields).await.status(), StatusCode::BAD_REQUEST, "{fields:?}");
    }
}

#[tokio::test]
async fn an_old_sign_in_is_confirmed_before_anything_is_changed() {
    let scene = Scene::new();
    scene.now.fetch_add(clinic::FRESH_MS, Ordering::SeqCst);
    let account = scene.page("/account", "kim").await;
    assert!(account.contains("confirm first that it is you") && !account.contains("Change the password"));
    let begun = scene.get("/account/app", "kim").await;
    assert_eq!(goes_to(&begun), "/account/confirm?next=/account/app");
    let new = [("password", "another word"), ("again", "another word")];
    let refused = scene.post("/account/password", "kim", &new).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert!(text(refused).await.contains("href=\"/account/confirm\""));
    let page = scene.page("/account/confirm?next=/account/app", "kim").await;
    assert!(page.contains("value=\"/account/app\""), "{page}");
    let wrong = scene.post("/account/confirm", "kim", &[("password", "a guess"), ("next", "")]).await;
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    assert!(text(wrong).await.contains("This is not your password."));
    for (next, to) in [
        ("/account/app", "/account/app"),
        ("//evil", "/account?confirmed="),
        ("/wall", "/account?confirmed="),
    ] {
        let fields = [("password", "a secret word"), ("next", next)];
        let confirmed = scene.post("/account/confirm", "kim", &fields).await;
        assert!(goes_to(&confirmed).starts_with(to), "{next}: {}", goes_to(&confirmed));
    }
    let odd = scene
        .post("/account/password", "kim", &[("password", "another word"), ("again", "an other word")])
        .await;
    assert_eq!(odd.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let done = scene.post("/account/password", "kim", &new).await;
    let said = scene.page(goes_to(&done), "kim").await;
    assert!(said.contains("The password is changed.") && said.contains("changed the password"), "{said}");
    let old = scene.post("/sign-in", "", &PASSWORD).await;
    assert_eq!(old.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_sign_in_with_a_code_looks_the_same_until_the_password_is_right() {
    let scene = Scene::new();
    set_up(&scene).await;
    let mut said = Vec::new();
    for login in ["kim", "lee", "nobody"] {
        let answer = scene.post("/sign-in", "", &[("login", login), ("password", "a guess")]).await;
        let (status, page) = (answer.status(), text(answer).await);
        said.push((status, page.replace(login, "LOGIN")));
    }
    assert!(said.windows(2).all(|pair| pair[0] == pair[1]), "{}", said[0].1);
    assert_eq!(said[0].0, StatusCode::UNAUTHORIZED);
}
