//! Connections: clients that are slow, too many or do not read are closed, and nobody else notices.

use super::scene::{Scene, encode};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use web::quota::{CONNECTIONS_PER_NETWORK_MAX, REQUESTS_MAX, STREAMS_PER_SESSION_MAX};
use web::refusals::Reason;
use web::server::Timeouts;

/// Longest a test waits for what should happen soon.
pub(crate) const WAIT: Duration = Duration::from_secs(10);
const WARD: &str = "127.0.0.1:0";
pub(crate) const STRANGER: &str = "127.0.0.2:0";
pub(crate) const BRIEF: Duration = Duration::from_millis(300);

pub(crate) struct Served {
    pub(crate) scene: Scene,
    address: SocketAddr,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) ended: JoinHandle<std::io::Result<()>>,
}

impl Served {
    async fn new() -> Self {
        Self::with(Timeouts { head: BRIEF, taken: BRIEF, form: BRIEF }).await
    }

    async fn with(timeouts: Timeouts) -> Self {
        Self::under(web::Settings { timeouts, ..Default::default() }).await
    }

    pub(crate) async fn under(settings: web::Settings) -> Self {
        let mut scene = Scene::with(settings);
        scene.beats(720, 3);
        Self::of(scene).await
    }

    pub(crate) async fn of(scene: Scene) -> Self {
        let listener = TcpListener::bind(WARD).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let stopped = async move { drop(stopped.await) };
        let ended = tokio::spawn(web::serve(listener, scene.app.clone(), stopped));
        Self { scene, address, stop, ended }
    }

    pub(crate) async fn connect(&self, from: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(from.parse().unwrap()).unwrap();
        tokio::time::timeout(WAIT, socket.connect(self.address)).await.unwrap().unwrap()
    }

    pub(crate) fn head(&self, method: &str, path: &str, who: &str, more: &str) -> String {
        let cookie = if who.is_empty() {
            String::new()
        } else {
            format!("Cookie: aceso={}\r\n", self.scene.token(who))
        };
        format!("{method} {path} HTTP/1.1\r\nHost: ward.example\r\n{cookie}{more}\r\n")
    }

    /// One request on a connection of its own.
    async fn ask(&self, from: &str, request: &str) -> String {
        let mut stream = self.connect(from).await;
        let _ = stream.write_all(request.as_bytes()).await;
        rest(&mut stream).await
    }

    async fn get(&self, from: &str, path: &str, who: &str) -> String {
        self.ask(from, &self.head("GET", path, who, "Connection: close\r\n")).await
    }

    pub(crate) fn counted(&self, reason: Reason) -> u64 {
        self.scene.app.refusals().find(|(one, _)| *one == reason).unwrap().1
    }
}

/// Everything until the other end closes.
pub(crate) async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut all = Vec::new();
    // A connection that was cut off has said all it will say.
    let _ = tokio::time::timeout(WAIT, stream.read_to_end(&mut all)).await.expect("closed in time");
    String::from_utf8_lossy(&all).into_owned()
}

async fn until(stream: &mut TcpStream, wanted: &str) -> String {
    let mut all = String::new();
    while !all.contains(wanted) {
        let mut piece = [0; 4096];
        let n = tokio::time::timeout(WAIT, stream.read(&mut piece)).await.expect("in time").unwrap();
        assert_ne!(n, 0, "closed before {wanted}: {all}");
        all.push_str(&String::from_utf8_lossy(&piece[..n]));
    }
    all
}

#[tokio::test]
async fn a_request_head_that_arrives_byte_by_byte_is_not_waited_for() {
    let served = Served::new().await;
    let mut silent = served.connect(STRANGER).await;
    let mut drip = served.connect(STRANGER).await;
    let (mut read, mut write) = drip.split();
    let dripping = async {
        let mut every = tokio::time::interval(BRIEF / 6);
        for byte in b"GET /help HTTP/1.1\r\nHost: ward.example\r\nX: ".iter().chain([b'a'; 10_000].iter()) {
            every.tick().await;
            if write.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
    };
    let mut all = Vec::new();
    let begun = tokio::time::Instant::now();
    tokio::select! {
        _ = read.read_to_end(&mut all) => {}
        () = dripping => {}
    }
    assert!(begun.elapsed() < 10 * BRIEF, "a byte does not extend the time");
    assert_eq!(rest(&mut silent).await, "");
    assert!(served.counted(Reason::SlowHead) >= 2);
}

#[tokio::test]
async fn a_form_that_arrives_too_slowly_is_refused() {
    let served = Served::new().await;
    let form = "Origin: http://ward.example\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    for length in ["Content-Length: 100\r\n", "Transfer-Encoding: chunked\r\n"] {
        let head = served.head("POST", "/sign-in", "", &format!("{form}{length}"));
        let answer = served.ask(STRANGER, &format!("{head}5\r\nlogin")).await;
        assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("did not arrive"), "{answer}");
        assert!(answer.contains("content-security-policy"));
    }
    assert_eq!(served.counted(Reason::SlowBody), 2);
}

#[tokio::test]
async fn what_is_not_http_or_too_long_ends_the_connection() {
    let served = Served::new().await;
    for (bytes, status) in [
        ("\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03".to_string(), "400"),
        ("GET /help HTTP/9.9\r\n\r\n".into(), "400"),
        ("GET / HTTP/1.1\r\nHost ward.example\r\n\r\n".into(), "400"),
        ("POST /sign-in HTTP/1.1\r\nHost: w\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n".into(), "400"),
        ("POST /sign-in HTTP/1.1\r\nHost: w\r\nContent-Length: -1\r\n\r\n".into(), "400"),
        (format!("GET /help HTTP/1.1\r\n{}\r\n", "X: a\r\n".repeat(200)), "431"),
        (format!("GET /help HTTP/1.1\r\nX: {}", "a".repeat(200_000)), "431"),
    ] {
        let answer = served.ask(STRANGER, &bytes).await;
        let first = answer.lines().next().unwrap_or("");
        // A connection that is cut while it still sends may lose the status.
        assert!(first.is_empty() || first.contains(status), "{first}");
        assert!(!answer.contains("\r\n\r\n<"), "no page");
    }
    assert!(served.counted(Reason::NotHttp) >= 4 && served.counted(Reason::HeadTooLong) >= 1);
    let long =
        served.head("GET", "/help", "", &format!("X: {}\r\nConnection: close\r\n", "a".repeat(20_000)));
    let answer = served.ask(STRANGER, &long).await;
    assert!(answer.starts_with("HTTP/1.1 431") && answer.contains("are too long"), "{answer}");
    assert!(served.get(WARD, "/help", "").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_flood_of_connections_leaves_room_for_others() {
    // On a busy machine the first connections would end by a brief timeout before the last ones come.
    let served = Served::with(Timeouts::default()).await;
    let mut flood = Vec::new();
    for _ in 0..CONNECTIONS_PER_NETWORK_MAX + 20 {
        let mut stream = served.connect(STRANGER).await;
        let live = served.head("GET", "/live", "kim", "");
        let _ = stream.write_all(live.as_bytes()).await;
        flood.push(stream);
    }
    assert!(served.get(WARD, "/wall", "lee").await.starts_with("HTTP/1.1 200"), "the ward goes on");
    let mut refused = 0;
    for stream in flood.iter_mut().skip(CONNECTIONS_PER_NETWORK_MAX) {
        refused += u32::from(rest(stream).await.is_empty());
    }
    assert_eq!((refused, served.counted(Reason::Connections)), (20, 20));
}

#[tokio::test]
async fn live_pages_and_alarms_go_on_under_a_flood_of_requests() {
    let mut served = Served::new().await;
    let mut live = served.connect(WARD).await;
    live.write_all(served.head("GET", "/live?with=wall", "lee", "").as_bytes()).await.unwrap();
    until(&mut live, "event: beat").await;
    let mut strangers = Vec::new();
    for _ in 0..4 {
        strangers.push(served.connect(STRANGER).await);
    }
    let mut flood = Vec::new();
    for stream in strangers {
        let request = served.head("GET", "/help", "", "").repeat(1000);
        flood.push(tokio::spawn(async move {
            let (mut read, mut write) = stream.into_split();
            let writing = tokio::spawn(async move {
                let _ = write.write_all(request.as_bytes()).await;
                write
            });
            let mut told = String::new();
            let mut piece = vec![0; 65_536];
            while let Ok(Ok(n)) = tokio::time::timeout(WAIT, read.read(&mut piece)).await {
                if n == 0 {
                    break;
                }
                told.push_str(&String::from_utf8_lossy(&piece[..n]));
            }
            drop(writing.await);
            (
                told.matches("HTTP/1.1 200").count() as u64,
                told.matches("HTTP/1.1 429").count(),
                told.contains("retry-after"),
            )
        }));
    }
    served.scene.beats(1400, 13);
    let alarm = until(&mut live, "event: alarm").await;
    assert!(alarm.contains("event: values"));
    assert!(served.get(WARD, "/wall", "lee").await.starts_with("HTTP/1.1 200"));
    let (mut answered, mut refused) = (0, 0);
    for one in flood {
        let (good, no, says_when) = one.await.unwrap();
        (answered, refused) = (answered + good, refused + no);
        assert!(says_when);
    }
    assert!(
        answered <= 2 * u64::from(REQUESTS_MAX) && refused > 1000,
        "{answered} answered, {refused} refused"
    );
}

#[tokio::test]
async fn a_session_has_a_bounded_number_of_live_pages() {
    let served = Served::new().await;
    let mut open = Vec::new();
    for _ in 0..STREAMS_PER_SESSION_MAX {
        let mut live = served.connect(WARD).await;
        live.write_all(served.head("GET", "/live", "lee", "").as_bytes()).await.unwrap();
        until(&mut live, "event: beat").await;
        open.push(live);
    }
    let no = served.get(WARD, "/live", "lee").await;
    assert!(no.starts_with("HTTP/1.1 429") && no.contains("Too many live pages"), "{no}");
    let mut other = served.connect(WARD).await;
    other.write_all(served.head("GET", "/live", "kim", "").as_bytes()).await.unwrap();
    until(&mut other, "event: beat").await;
    assert_eq!(served.counted(Reason::Streams), 1);
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_disconnected() {
    let served = Served::new().await;
    let mut client = served.connect(STRANGER).await;
    let all = served.head("GET", web::assets::href("htmx.js"), "", "").repeat(350);
    let _ = tokio::time::timeout(WAIT, client.write_all(all.as_bytes())).await;
    let counted = async {
        let mut every = tokio::time::interval(BRIEF / 10);
        while served.counted(Reason::SlowReader) == 0 {
            every.tick().await;
        }
    };
    tokio::time::timeout(WAIT, counted).await.expect("disconnected in time");
}

#[tokio::test]
async fn a_stranger_who_guesses_passwords_locks_nobody_out() {
    let served = Served::new().await;
    let sign_in = |password: &str| {
        let body = encode([("login", "lee"), ("password", password)]);
        let more = format!(
            "Origin: http://ward.example\r\nContent-Type: application/x-www-form-urlencoded\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        served.head("POST", "/sign-in", "", &more) + &body
    };
    let mut waits = 0;
    for _ in 0..12 {
        waits += u32::from(served.ask(STRANGER, &sign_in("guess")).await.starts_with("HTTP/1.1 429"));
    }
    assert_eq!(waits, 7);
    assert!(served.ask(WARD, &sign_in("a secret word")).await.starts_with("HTTP/1.1 303"), "lee signs in");
    assert!(served.ask(STRANGER, &sign_in("a secret word")).await.starts_with("HTTP/1.1 429"));
}

#[tokio::test]
async fn metrics_are_served_to_this_machine_only() {
    let served = Served::new().await;
    let counters = served.get(WARD, "/metrics", "").await;
    assert!(counters.contains("aceso_requests_refused_total{reason=\"not_found\"} 0"), "{counters}");
    for proxied in ["X-Forwarded-For: 192.0.2.7", "Forwarded: for=192.0.2.7", "Via: 1.1 proxy"] {
        let request = served.head("GET", "/metrics", "", &format!("{proxied}\r\nConnection: close\r\n"));
        assert!(served.ask(WARD, &request).await.starts_with("HTTP/1.1 404"), "{proxied}");
    }
    let counters = served.get(WARD, "/metrics", "").await;
    assert!(counters.contains("aceso_requests_refused_total{reason=\"not_found\"} 3"));
    assert!(!counters.contains("127.0.0"));
}

#[tokio::test]
async fn stopping_waits_for_no_live_page_and_no_idle_connection() {
    let served = Served::new().await;
    let mut live = served.connect(WARD).await;
    live.write_all(served.head("GET", "/live", "lee", "").as_bytes()).await.unwrap();
    until(&mut live, "event: beat").await;
    let _idle = served.connect(WARD).await;
    served.stop.send(()).unwrap();
    tokio::time::timeout(WAIT, served.ended).await.expect("in time").unwrap().unwrap();
}
