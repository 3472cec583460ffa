//! Passkeys on the pages, as a browser's script fills their forms.

use super::scene::{HOST, Scene, encode, goes_to, text};
use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use std::sync::atomic::Ordering;
use testkit::authenticator::{Authenticator, Page, Said, base64url};
use web::Settings;

fn over_tls() -> Scene {
    Scene::with(Settings { behind_tls: true, ..Settings::default() })
}

/// The value of an attribute of the page's form of a passkey.
fn of_form<'a>(page: &'a str, name: &str) -> &'a str {
    let at = page.find("data-passkey=\"").expect("a form for a passkey");
    let begin = page[..at].rfind("<form").unwrap();
    let form = &page[begin..begin + page[begin..].find("</form>").unwrap()];
    form.split(&format!("{name}=\""))
        .nth(1)
        .unwrap_or_else(|| panic!("{name}: {form}"))
        .split('"')
        .next()
        .unwrap()
}

fn issued(page: &str) -> &str {
    let at = page.find("name=\"issued\" value=\"").unwrap() + "name=\"issued\" value=\"".len();
    page[at..].split('"').next().unwrap()
}

fn bytes(text: &str) -> Vec<u8> {
    data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).unwrap()
}

impl Scene {
    async fn get_tls(&self, path: &str, cookies: &str) -> Response<Body> {
        let request = self.request("GET", path, "").header(header::COOKIE, cookies);
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn post_tls(&self, path: &str, cookies: &str, fields: &[(&str, &str)]) -> Response<Body> {
        let request = self
            .request("POST", path, "")
            .header(header::ORIGIN, format!("https://{HOST}"))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::COOKIE, cookies);
        let body = encode(fields.iter().copied());
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    fn cookie_of(&self, who: &str) -> String {
        format!("__Host-aceso={}", self.token(who))
    }

    /// Adds a passkey as the page's script does.
    async fn add_passkey(&self, who: &str, seed: u8, page: &Page) -> (Authenticator, Response<Body>) {
        self.now.fetch_add(1, Ordering::SeqCst);
        let cookie = self.cookie_of(who);
        let form = text(self.get_tls("/account/passkeys/new", &cookie).await).await;
        let authenticator = Authenticator::new(seed, &bytes(of_form(&form, "data-user")));
        let said = authenticator.create(page, &bytes(of_form(&form, "data-challenge")));
        let (client_data, data) = (base64url(&said.client_data), base64url(&said.authenticator_data));
        let csrf = self.csrf(who);
        let fields = [
            ("csrf", csrf.as_str()),
            ("name", "the <phone>"),
            ("issued", issued(&form)),
            ("client_data", &client_data),
            ("authenticator_data", &data),
        ];
        let answer = self.post_tls("/account/passkeys", &cookie, &fields).await;
        (authenticator, answer)
    }

    /// Signs in as the page's script does; `browser` is the cookie of the page.
    async fn by_passkey(&self, authenticator: &mut Authenticator, page: &Page, next: &str) -> Response<Body> {
        self.now.fetch_add(1, Ordering::SeqCst);
        let (form, browser) = self.sign_in_page().await;
        let said = authenticator.get(page, &bytes(of_form(&form, "data-challenge")));
        self.answer(authenticator, &said, issued(&form), &browser, next).await
    }

    async fn sign_in_page(&self) -> (String, String) {
        let response = self.get_tls("/sign-in", "").await;
        let browser = response.headers()[header::SET_COOKIE].to_str().unwrap();
        let browser = browser.split(';').next().unwrap().to_string();
        assert!(browser.starts_with("__Host-aceso_page="), "{browser}");
        (text(response).await, browser)
    }

    async fn answer(
        &self,
        authenticator: &Authenticator,
        said: &Said,
        issued: &str,
        browser: &str,
        next: &str,
    ) -> Response<Body> {
        let texts = [
            &authenticator.id,
            &authenticator.handle,
            &said.client_data,
            &said.authenticator_data,
            &said.signature,
        ]
        .map(|bytes| base64url(bytes));
        let [id, handle, client_data, data, signature] = &texts;
        let fields = [
            ("issued", issued),
            ("id", id),
            ("handle", handle),
            ("client_data", client_data),
            ("authenticator_data", data),
            ("signature", signature),
            ("next", next),
        ];
        self.post_tls("/sign-in/passkey", browser, &fields).await
    }
}

#[tokio::test]
async fn a_passkey_is_added_renamed_used_and_removed_on_the_pages() {
    let scene = over_tls();
    let page = Page::at(HOST);
    let (mut phone, answer) = scene.add_passkey("kim", 1, &page).await;
    assert!(goes_to(&answer).starts_with("/account?added="), "{}", text(answer).await);
    let cookie = scene.cookie_of("kim");
    let account = text(scene.get_tls(goes_to(&answer), &cookie).await).await;
    assert!(account.contains("The passkey is added") && account.contains("the &#60;phone&#62;"), "{account}");
    assert!(account.contains("not used yet") && account.contains("added a passkey"), "{account}");

    let answer = scene.by_passkey(&mut phone, &page, "/asks").await;
    assert_eq!((answer.status(), goes_to(&answer)), (StatusCode::SEE_OTHER, "/asks"));
    let session = answer.headers()[header::SET_COOKIE].to_str().unwrap();
    assert!(session.starts_with("__Host-aceso=") && session.ends_with("; Secure"), "{session}");
    let session = session.split(';').next().unwrap().to_string();
    assert_eq!(scene.get_tls("/asks", &session).await.status(), StatusCode::OK);

    let account = text(scene.get_tls("/account", &cookie).await).await;
    assert!(account.contains("used last"), "{account}");
    let own = account.split("/account/passkeys/").map(|rest| rest.split('/').next().unwrap());
    let id = own.clone().find(|id| id.len() == 32).expect("the passkey's address").to_string();
    let csrf = scene.csrf("kim");
    let rename = [("csrf", csrf.as_str()), ("name", "the blue key")];
    let renamed = scene.post_tls(&format!("/account/passkeys/{id}/rename"), &cookie, &rename).await;
    let said = text(scene.get_tls(goes_to(&renamed), &cookie).await).await;
    assert!(said.contains("new name") && said.contains("the blue key"), "{said}");
    let removed = scene.post_tls(&format!("/account/passkeys/{id}/remove"), &cookie, &rename[..1]).await;
    let said = text(scene.get_tls(goes_to(&removed), &cookie).await).await;
    assert!(said.contains("removed here") && said.contains("removed a passkey"), "{said}");
    assert_eq!(scene.get_tls("/asks", &session).await.status(), StatusCode::SEE_OTHER, "signed out there");
    let gone = scene.by_passkey(&mut phone, &page, "").await;
    assert_eq!(gone.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn whatever_is_wrong_with_a_passkey_the_page_says_the_same() {
    let scene = over_tls();
    let page = Page::at(HOST);
    let (mut phone, _) = scene.add_passkey("kim", 1, &page).await;
    let mut said = Vec::new();
    let mut unknown = Authenticator::new(9, &phone.handle);
    said.push(scene.by_passkey(&mut unknown, &page, "").await);
    said.push(scene.by_passkey(&mut phone, &Page::at("evil.example"), "").await);
    scene.now.fetch_add(1, Ordering::SeqCst);
    let (form, browser) = scene.sign_in_page().await;
    let (_, other_browser) = scene.sign_in_page().await;
    let good = phone.get(&page, &bytes(of_form(&form, "data-challenge")));
    let forged = Authenticator::new(9, &phone.handle).sign(&page, &bytes(of_form(&form, "data-challenge")));
    said.push(scene.answer(&phone, &forged, issued(&form), &browser, "").await);
    said.push(scene.answer(&phone, &good, issued(&form), &other_browser, "").await);
    said.push(scene.answer(&phone, &good, issued(&form), "", "").await);
    scene.now.fetch_add(1000, Ordering::SeqCst);
    assert_eq!(
        scene.answer(&phone, &good, issued(&form), &browser, "").await.status(),
        StatusCode::SEE_OTHER
    );
    said.push(scene.answer(&phone, &good, issued(&form), &browser, "").await);
    let mut pages = Vec::new();
    for answer in said {
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        let page = text(answer).await;
        let begin = page.find("id=\"problem\"").expect("it says why");
        pages.push(page[begin..begin + 300].to_string());
    }
    assert!(pages.windows(2).all(|pair| pair[0] == pair[1]), "{pages:#?}");
    assert!(pages[0].contains("not known here, or it took too long"), "{}", pages[0]);
}

#[tokio::test]
async fn what_a_script_of_ours_does_not_send_is_refused() {
    let scene = over_tls();
    let cookie = scene.cookie_of("kim");
    let csrf = scene.csrf("kim");
    for (issued, client_data) in [("x", "AA"), ("1", "A"), ("1", "A+"), ("1", "AA==")] {
        let fields = [
            ("csrf", csrf.as_str()),
            ("name", "x"),
            ("issued", issued),
            ("client_data", client_data),
            ("authenticator_data", "AA"),
        ];
        let answer = scene.post_tls("/account/passkeys", &cookie, &fields).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{issued} {client_data}");
    }
    let (_, elsewhere) = scene.add_passkey("kim", 1, &Page::at("evil.example")).await;
    assert_eq!(elsewhere.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(text(elsewhere).await.contains("cannot be added here"));
    for id in ["0".repeat(32), "F".repeat(32), "0".repeat(31), "x".into()] {
        let address = format!("/account/passkeys/{id}/remove");
        let answer = scene.post_tls(&address, &cookie, &[("csrf", &csrf)]).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{id}");
    }
}

#[tokio::test]
async fn without_tls_the_pages_offer_no_passkey_and_work_with_a_password() {
    let scene = Scene::new();
    let page = scene.page("/sign-in", "").await;
    assert!(!page.contains("data-passkey=") && page.contains("name=\"password\""), "{page}");
    let account = scene.page("/account", "kim").await;
    assert!(account.contains("browsers have no passkeys") && !account.contains("/account/passkeys/new"));
    assert_eq!(goes_to(&scene.get("/account/passkeys/new", "kim").await), "/account");
    let here = over_tls();
    let (page, _) = here.sign_in_page().await;
    let (passkey, password) = (page.find("data-passkey=\"get\""), page.find("name=\"password\""));
    assert!(passkey < password, "the passkey comes first");
    assert!(page.contains("action=\"/sign-in/passkey\" hidden"), "and only where a script shows it");
}
