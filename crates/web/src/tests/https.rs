//! HTTPS: what is spoken, under which certificate, and what a browser is told to keep to it.

use super::connections::{STRANGER, Served, WAIT, rest};
use super::scene::{Scene, encode, text};
use axum::body::Bytes;
use axum::http::{Request, Response, StatusCode, Version, header};
use h2::client::{self, SendRequest};
use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion, version};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use web::refusals::Reason;
use web::server::Timeouts;
use web::tls::{Identity, Tls};

/// A timeout that ends soon, and not before a busy machine has shaken hands.
pub(crate) const SOON: Duration = Duration::from_secs(1);
const NAME: &str = "ward.example";
const HTTP_1: &[u8] = b"http/1.1";
pub(crate) const HTTP_2: &[u8] = b"h2";

/// Somebody who vouches for servers.
pub(crate) struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// A certificate for the server of these tests, and its key.
    fn identity(&self) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Identity::new(vec![certificate], PrivatePkcs8KeyDer::from(key.serialize_der()).into()).unwrap()
    }

    /// What a client trusts and speaks.
    fn client(&self, versions: &[&'static SupportedProtocolVersion], alpn: &[&[u8]]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    }
}

/// When the certificate of these tests ends: 2030.
const ENDS_S: i64 = 1_893_456_000;

/// The pages over TLS.
pub(crate) struct Https {
    pub(crate) served: Served,
    authority: Authority,
    tls: Tls,
}

impl Https {
    pub(crate) async fn with(timeouts: Timeouts) -> Self {
        let (authority, settings, tls) = Self::settings();
        Self { served: Served::under(web::Settings { timeouts, ..settings }).await, authority, tls }
    }

    /// The pages of a scene that is made with these settings.
    pub(crate) async fn of(scene: impl FnOnce(web::Settings) -> Scene) -> Self {
        let (authority, settings, tls) = Self::settings();
        Self { served: Served::of(scene(settings)).await, authority, tls }
    }

    fn settings() -> (Authority, web::Settings, Tls) {
        let authority = Authority::new();
        let tls = Tls::new(&authority.identity(), ENDS_S);
        (authority, web::Settings { tls: Some(tls.clone()), ..Default::default() }, tls)
    }

    /// For tests that wait for no timeout: on a busy machine a brief one would end what they look at.
    pub(crate) async fn new() -> Self {
        Self::with(Timeouts::default()).await
    }

    /// The same with timeouts that end soon.
    pub(crate) async fn brief() -> Self {
        Self::with(Timeouts { head: SOON, taken: SOON, form: SOON }).await
    }

    /// Waits until a refusal for this reason was counted so often, and no oftener.
    pub(crate) async fn counted(&self, reason: Reason, times: u64) {
        let mut every = tokio::time::interval(SOON / 50);
        let waited = async {
            while self.served.counted(reason) < times {
                every.tick().await;
            }
        };
        tokio::time::timeout(WAIT, waited).await.unwrap_or_else(|_| panic!("{reason:?} is not counted"));
        assert_eq!(self.served.counted(reason), times, "{reason:?}");
    }

    async fn shake(&self, config: Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
        let stream = self.served.connect(STRANGER).await;
        let name = ServerName::try_from(NAME).unwrap();
        tokio::time::timeout(WAIT, TlsConnector::from(config).connect(name, stream)).await.expect("in time")
    }

    pub(crate) async fn connect(&self, alpn: &[u8]) -> TlsStream<TcpStream> {
        let stream = self.shake(self.authority.client(&[&version::TLS13], &[alpn])).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(alpn));
        stream
    }

    pub(crate) async fn http2(&self) -> Http2 {
        self.http2_with(&client::Builder::new()).await
    }

    pub(crate) async fn http2_with(&self, builder: &client::Builder) -> Http2 {
        let (client, connection) = builder.handshake(self.connect(HTTP_2).await).await.unwrap();
        Http2 { client, ended: tokio::spawn(connection) }
    }

    /// A request to a page as a browser sends it.
    pub(crate) fn request(&self, method: &str, path: &str, who: &str) -> axum::http::request::Builder {
        let request = Request::builder().method(method).uri(format!("https://{NAME}{path}"));
        if who.is_empty() {
            request
        } else {
            request.header(header::COOKIE, format!("__Host-aceso={}", self.served.scene.token(who)))
        }
    }

    pub(crate) fn get(&self, path: &str, who: &str) -> Request<()> {
        self.request("GET", path, who).body(()).unwrap()
    }

    pub(crate) fn form(&self, path: &str, who: &str, origin: &str) -> Request<()> {
        let request = self.request("POST", path, who).header(header::ORIGIN, origin);
        request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(()).unwrap()
    }
}

/// A client of HTTP/2.
pub(crate) struct Http2 {
    pub(crate) client: SendRequest<Bytes>,
    pub(crate) ended: JoinHandle<Result<(), h2::Error>>,
}

impl Http2 {
    /// The head of the answer, and its body as it comes.
    pub(crate) async fn begin(
        &mut self,
        request: Request<()>,
        body: Option<String>,
    ) -> Result<Response<h2::RecvStream>, h2::Error> {
        let mut client = self.client.clone().ready().await?;
        let (answer, mut sending) = client.send_request(request, body.is_none())?;
        if let Some(body) = body {
            sending.send_data(body.into(), true)?;
        }
        tokio::time::timeout(WAIT, answer).await.expect("answered in time")
    }

    pub(crate) async fn ask(
        &mut self,
        request: Request<()>,
        body: Option<String>,
    ) -> (Response<()>, Vec<u8>) {
        let (head, mut body) = self.begin(request, body).await.unwrap().into_parts();
        let mut whole = Vec::new();
        while let Some(piece) = tokio::time::timeout(WAIT, body.data()).await.expect("in time") {
            let piece = piece.unwrap();
            body.flow_control().release_capacity(piece.len()).unwrap();
            whole.extend_from_slice(&piece);
        }
        (Response::from_parts(head, ()), whole)
    }
}

#[tokio::test]
async fn pages_come_over_http_2_and_http_1_1_of_tls_1_3_and_of_nothing_older() {
    let https = Https::new().await;
    let (head, page) = https.http2().await.ask(https.get("/wall", "lee"), None).await;
    assert_eq!((head.status(), head.version()), (StatusCode::OK, Version::HTTP_2));
    assert_eq!(head.headers()[header::STRICT_TRANSPORT_SECURITY], "max-age=31536000");
    assert!(String::from_utf8(page).unwrap().contains("bed of amira"));
    let everything = [&version::TLS13, &version::TLS12];
    for alpn in [&[HTTP_1][..], &[]] {
        let mut stream = https.shake(https.authority.client(&everything, alpn)).await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        let request = format!("GET /help HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = rest(&mut stream).await;
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.contains("strict-transport-security"),
            "{answer}"
        );
    }
    let both = https.shake(https.authority.client(&everything, &[HTTP_1, HTTP_2])).await.unwrap();
    assert_eq!(both.get_ref().1.alpn_protocol(), Some(HTTP_2), "the server prefers it");
    https.shake(https.authority.client(&[&version::TLS12], &[HTTP_1])).await.unwrap_err();
    https.shake(https.authority.client(&everything, &[b"spdy/3"])).await.unwrap_err();
    https.counted(Reason::Tls, 2).await;
    https.shake(Authority::new().client(&everything, &[HTTP_2])).await.unwrap_err();
}

#[tokio::test]
async fn somebody_signs_in_over_http_2_and_cookies_stay_on_tls() {
    let https = Https::new().await;
    let mut http2 = https.http2().await;
    let form = encode([("login", "lee"), ("password", "a secret word")]);
    for foreign in ["http://ward.example", "https://evil.example", "https://ward.example:8443", "null"] {
        let (head, _) = http2.ask(https.form("/sign-in", "", foreign), Some(form.clone())).await;
        assert_eq!(head.status(), StatusCode::FORBIDDEN, "{foreign}");
    }
    let (head, _) = http2.ask(https.form("/sign-in", "", "https://ward.example"), Some(form)).await;
    assert_eq!(head.status(), StatusCode::SEE_OTHER);
    let cookie = head.headers()[header::SET_COOKIE].to_str().unwrap();
    let (named, attributes) = cookie.split_once(';').unwrap();
    assert_eq!(attributes, " Path=/; HttpOnly; SameSite=Strict; Secure");
    let token = named.strip_prefix("__Host-aceso=").unwrap();
    for (name, status) in [("__Host-aceso", StatusCode::OK), ("aceso", StatusCode::SEE_OTHER)] {
        let request = https.request("GET", "/wall", "").header(header::COOKIE, format!("{name}={token}"));
        let (head, _) = http2.ask(request.body(()).unwrap(), None).await;
        assert_eq!(head.status(), status, "{name}");
    }
    // Browsers send each cookie in a field of its own (RFC 9113, section 8.2.3).
    let crumbs = https.request("GET", "/wall", "lee").header(header::COOKIE, "aceso_theme=dark");
    let (head, page) = http2.ask(crumbs.body(()).unwrap(), None).await;
    assert_eq!(head.status(), StatusCode::OK);
    assert!(String::from_utf8(page).unwrap().contains("data-theme=\"dark\""));
    let colours = encode([("theme", "dark")]);
    let (head, _) = http2.ask(https.form("/theme", "", "https://ward.example"), Some(colours)).await;
    assert!(head.headers()[header::SET_COOKIE].to_str().unwrap().ends_with("; Secure"));
}

#[tokio::test]
async fn a_browser_is_not_told_to_refuse_plain_http_of_other_programs_on_its_own_machine() {
    let https = Https::new().await;
    let mut http2 = https.http2().await;
    for (host, told) in [
        ("hospital.example:8443", true),
        ("localhost:8443", false),
        ("LocalHost", false),
        ("ward.localhost", false),
        ("notlocalhost", true),
    ] {
        let request = Request::builder().uri(format!("https://{host}/help")).body(()).unwrap();
        let (head, _) = http2.ask(request, None).await;
        assert_eq!(head.headers().contains_key(header::STRICT_TRANSPORT_SECURITY), told, "{host}");
    }
}

#[tokio::test]
async fn plain_http_is_told_to_use_https_and_noise_is_not_answered() {
    let https = Https::new().await;
    for request in ["GET /wall HTTP/1.1\r\nHost: ward.example\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut stream = https.served.connect(STRANGER).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let answer = rest(&mut stream).await;
        assert!(
            answer.starts_with("HTTP/1.1 400") && answer.ends_with("begin it with https://\n"),
            "{answer}"
        );
    }
    let mut stream = https.served.connect(STRANGER).await;
    stream.write_all(b"\x00\x01\x02").await.unwrap();
    assert_eq!(rest(&mut stream).await, "");
    https.counted(Reason::PlainHttp, 2).await;
    https.counted(Reason::Tls, 1).await;
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_the_next_client_and_open_connections_stay() {
    let https = Https::new().await;
    let mut open = https.http2().await;
    assert_eq!(open.ask(https.get("/help", ""), None).await.0.status(), StatusCode::OK);
    let next = Authority::new();
    https.tls.replace(&next.identity(), ENDS_S);
    assert_eq!(open.ask(https.get("/help", ""), None).await.0.status(), StatusCode::OK);
    let of = |authority: &Authority| authority.client(&[&version::TLS13], &[HTTP_2]);
    https.shake(of(&https.authority)).await.unwrap_err();
    https.shake(of(&next)).await.unwrap();
}

#[tokio::test]
async fn the_administrator_and_health_are_told_of_the_certificate_before_it_ends() {
    let https = Https::new().await;
    let mut http2 = https.http2().await;
    let now_s = i64::try_from(https.served.scene.ward.now_ms / 1000).unwrap();
    let refused = "of no use (the node's log says why), and the one in force ends in";
    for (days, renewal_refused, health, note) in [
        (80, false, "well\n", None),
        (80, true, "well, but the files of the pages' certificate hold one of no use", Some(refused)),
        (
            10,
            false,
            "well, but the certificate of the pages ends in 10 days; put a new one",
            Some("put a new one"),
        ),
        (
            -3,
            false,
            "well, but the certificate of the pages ended 2 days ago",
            Some("browsers refuse the pages"),
        ),
    ] {
        https.tls.replace(&https.authority.identity(), now_s + days * 86_400 + 600);
        https.tls.set_renewal_refused(renewal_refused);
        let (head, said) = http2.ask(https.get("/healthz", ""), None).await;
        assert_eq!(head.status(), StatusCode::OK, "monitoring and pages go on");
        let said = String::from_utf8(said).unwrap();
        assert!(said.starts_with(health), "{said}");
        let (_, page) = http2.ask(https.get("/admin", "admin"), None).await;
        let page = String::from_utf8(page).unwrap();
        let value = if days < 0 { ">ended<".to_owned() } else { format!(">{days} days<") };
        assert!(page.contains("Certificate of the pages") && page.contains(&value), "{days}");
        assert!(note.is_none_or(|note| page.contains(&note.replace('\'', "&#39;"))), "{page}");
        assert_eq!(page.contains("of no use"), renewal_refused);
    }
    let plain = text(Scene::new().get("/admin", "admin").await).await;
    assert!(!plain.contains("Certificate of the pages"), "without one there is nothing to tell");
}

#[tokio::test]
async fn a_client_that_is_silent_during_the_handshake_or_after_it_is_not_waited_for() {
    let https = Https::brief().await;
    let mut silent = https.served.connect(STRANGER).await;
    let mut half = https.served.connect(STRANGER).await;
    // The head of a record of the handshake, and never the rest.
    half.write_all(&[22, 3, 1, 2, 0]).await.unwrap();
    let mut over_http_1 = https.connect(HTTP_1).await;
    let mut without_preface = https.connect(HTTP_2).await;
    for stream in [&mut silent, &mut half] {
        assert_eq!(rest(stream).await, "");
    }
    rest(&mut over_http_1).await;
    rest(&mut without_preface).await;
    let silent = https.http2().await;
    let _ = tokio::time::timeout(WAIT, silent.ended).await.expect("ended in time");
    https.counted(Reason::SlowHead, 5).await;
}
