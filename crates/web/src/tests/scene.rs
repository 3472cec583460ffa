//! The scene of these tests: a ward with two patients, one of them watched and treated. Every answer is checked
//! for the headers that all answers must have.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use clinic::{InviteOutcome, InviteRequest, NewPerson};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use testward::{Gateway, Ward};
use tower::ServiceExt;
use vitals::ids::Class;
use vitals::ledger::{Purpose, Role};
use vitals::{GrantId, PatientId, PersonId};
use web::{App, Settings};

pub(crate) const HOST: &str = "ward.example";
pub(crate) const CARE: [Class; 4] = [Class::Vitals, Class::Environment, Class::Alarms, Class::Profile];
/// A name as bad as a name can be.
pub(crate) const HOSTILE: &str = "<script>alert(1)</script>\"'&</title>";

pub(crate) struct Scene {
    pub(crate) ward: Ward,
    pub(crate) amira: PatientId,
    pub(crate) bela: PatientId,
    pub(crate) consent: GrantId,
    /// What Dr Kim asked Amira for, if so.
    pub(crate) ask: String,
    pub(crate) gateway: Gateway,
    /// Somebody invited, and the secret of the link.
    pub(crate) invited: PersonId,
    pub(crate) link: String,
    /// The secret of a link to a new password for Fay.
    pub(crate) password_link: String,
    pub(crate) app: App,
    router: Router,
    pub(crate) now: Arc<AtomicU64>,
    tokens: BTreeMap<&'static str, String>,
}

/// Everybody with a login, and nobody (the empty name).
pub(crate) const CALLERS: [&str; 8] = ["", "lee", "kim", "amira", "bela", "admin", "fay", "ada"];

impl Scene {
    /// Amira lets Dr Lee treat her, and the ward watch her. Dr Kim has no consent; Bela has given
    /// none. Fay is family, Ada an auditor.
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    /// The same with other settings.
    pub(crate) fn with(settings: Settings) -> Self {
        let (mut ward, [amira]) = Ward::with(["amira"]);
        let new = NewPerson { login: "bela", name: HOSTILE, password: "a secret word", role: Role::Patient };
        let (bela, _) = ward.clinic.create_patient(&ward.admin, &new, "<b>bed</b>", ward.now_ms).unwrap();
        ward.person("kim", Role::Clinician);
        ward.person("fay", Role::Family);
        ward.person("ada", Role::Auditor);
        ward.block();
        let consent = ward.granting("amira", "lee", Purpose::Treatment, &CARE);
        let gateway = ward.gateway(1, &[amira]);
        let new = InviteRequest { role: Role::Clinician, name: "Noor A.", bed: "", form: [1; 16] };
        let Ok(InviteOutcome::Now(invited, link)) = ward.clinic.invite(&ward.admin, &new, ward.now_ms) else {
            panic!("invited once");
        };
        let link = link.expose().to_string();
        let fay = ward.as_("fay").person;
        let password_link = ward.clinic.offer_password(&ward.admin, fay, 1, ward.now_ms).unwrap();
        let password_link = password_link.expose().to_string();
        let now = Arc::new(AtomicU64::new(ward.now_ms));
        let clock = now.clone();
        let settings = Settings { hospital: "Test Hospital".into(), ..settings };
        let app =
            App::of_clinic(ward.clinic.clone(), Arc::new(move || clock.load(Ordering::SeqCst)), settings);
        let sign_in = |login| {
            (login, ward.clinic.sign_in(login, "a secret word", ward.now_ms).unwrap().0.expose().to_string())
        };
        let tokens = CALLERS.into_iter().filter(|login| !login.is_empty()).map(sign_in).collect();
        let router = web::router(app.clone());
        let ask = String::new();
        Self {
            ward,
            amira,
            bela,
            consent,
            ask,
            gateway,
            invited,
            link,
            password_link,
            app,
            router,
            now,
            tokens,
        }
    }

    /// Everybody's session is over after a leap of the clock.
    pub(crate) fn sign_in_again(&mut self) {
        let now_ms = self.ward.now_ms;
        for (login, token) in &mut self.tokens {
            let (new, _) = self.ward.clinic.sign_in(login, "a secret word", now_ms).unwrap();
            *token = new.expose().to_string();
        }
    }

    /// The page's clock follows the ward's.
    pub(crate) fn settle(&mut self) {
        self.ward.block();
        self.now.store(self.ward.now_ms, Ordering::SeqCst);
    }

    /// The page's clock follows the ward's, while the ledger stands still.
    pub(crate) fn settle_without_block(&self) {
        self.now.store(self.ward.now_ms, Ordering::SeqCst);
    }

    pub(crate) fn beats(&mut self, tenths: i32, seconds: u64) {
        self.ward.beats(&mut self.gateway, tenths, seconds);
        self.settle();
    }

    /// The name of the ledger's first transaction.
    pub(crate) fn transaction(&self) -> String {
        let height = (1..).find_map(|height| {
            let block = self.ward.clinic.ledger_block(&self.ward.admin, height, 0, self.ward.now_ms).unwrap();
            block.unwrap().transactions.first().map(|one| hex::encode(one.id))
        });
        height.unwrap()
    }

    pub(crate) fn token(&self, who: &str) -> &str {
        &self.tokens[who]
    }

    pub(crate) fn csrf(&self, who: &str) -> String {
        hex::encode(vitals::ids::sha256(&[b"aceso/page/v1/csrf", self.token(who).as_bytes()]))
    }

    pub(crate) fn request(&self, method: &str, path: &str, who: &str) -> axum::http::request::Builder {
        let request = Request::builder().method(method).uri(path).header(header::HOST, HOST);
        if who.is_empty() {
            request
        } else {
            request.header(header::COOKIE, format!("aceso={}", self.token(who)))
        }
    }

    /// Sends a request, and checks what every answer must have.
    pub(crate) async fn send(&self, request: Request<Body>) -> Response<Body> {
        // As a node's recorder does all the time.
        self.ward.clinic.write_alarm_events(self.now.load(Ordering::SeqCst));
        let path = request.uri().path().to_string();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        for part in ["default-src 'self'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"]
        {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
        assert_eq!(response.headers()[header::X_FRAME_OPTIONS], "DENY", "{path}");
        let sent_on = if path.starts_with("/invitations/") || path.starts_with("/passwords/") {
            "no-referrer"
        } else {
            "same-origin"
        };
        assert_eq!(response.headers()[header::REFERRER_POLICY], sent_on, "{path}");
        assert_eq!(response.headers()["cross-origin-resource-policy"], "same-origin", "{path}");
        let asset = path.starts_with("/assets/") && response.status() == StatusCode::OK;
        let kept = if asset { "public, max-age=31536000, immutable" } else { "no-store" };
        assert_eq!(response.headers()[header::CACHE_CONTROL], kept, "{path}");
        response
    }

    pub(crate) async fn get(&self, path: &str, who: &str) -> Response<Body> {
        self.send(self.request("GET", path, who).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn page(&self, path: &str, who: &str) -> String {
        let response = self.get(path, who).await;
        assert_eq!(response.status(), StatusCode::OK, "{path} as {who}");
        text(response).await
    }

    /// A form as one of our own pages sends it.
    pub(crate) async fn post(&self, path: &str, who: &str, fields: &[(&str, &str)]) -> Response<Body> {
        let csrf = if who.is_empty() { String::new() } else { self.csrf(who) };
        let all = fields.iter().copied().chain((!who.is_empty()).then_some(("csrf", csrf.as_str())));
        self.send(self.form(path, who).body(Body::from(encode(all))).unwrap()).await
    }

    pub(crate) fn form(&self, path: &str, who: &str) -> axum::http::request::Builder {
        self.request("POST", path, who)
            .header(header::ORIGIN, format!("http://{HOST}"))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
    }
}

pub(crate) fn encode<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let escape = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let pairs: Vec<String> =
        fields.into_iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    pairs.join("&")
}

pub(crate) async fn text(response: Response<Body>) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 4 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) fn goes_to(response: &Response<Body>) -> &str {
    response.headers().get(header::LOCATION).map_or("", |value| value.to_str().unwrap())
}
