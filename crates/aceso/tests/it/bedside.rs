//! The bedside hears: what a doctor does on the pages of a real node, seen on LCD and buzzer of a virtual
//! board behind a real gateway; with the gateway off and back, and with the captured commands replayed.

use crate::crash::roles::Role;
use crate::support::{Folder, pause, said, ward};
use link::{Bounds, Busy, Endpoint, Ingress, Registry, Reply, Sessions, tls};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use vitals::DeviceId;
use vitals::body::Body;
use vitals::command::{Outcome, SignedCommand};

/// Longest wait for something to be seen: a pulse has to be found, and to race for ten seconds.
const WITHIN: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Waits until `look` gives something.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..WITHIN.as_millis() / LOOK_EVERY.as_millis() {
        if let Some(found) = look() {
            return found;
        }
        pause(LOOK_EVERY);
    }
    panic!("never: {what}");
}

/// One board of `aceso-ward simulate`.
struct Board(std::path::PathBuf);

impl Board {
    fn tell(&self, order: &str) -> String {
        let mut stream = UnixStream::connect(&self.0).unwrap();
        stream.write_all(format!("0 {order}\n").as_bytes()).unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn look(&self) -> Value {
        serde_json::from_str(&self.tell("look")).unwrap()
    }

    fn sounds(&self, priority: Option<&str>) -> Option<()> {
        (self.look()["buzzer"].as_str() == priority).then_some(())
    }

    /// Did one of the last texts hold this?
    fn said(&self, text: &str) -> bool {
        self.look()["texts"].to_string().contains(text)
    }

    fn says(&self, text: &str) -> Option<()> {
        self.look()["lcd"].to_string().contains(text).then_some(())
    }
}

/// A browser that signs in and sends forms, without a script.
struct Browser {
    address: String,
    cookie: String,
}

impl Browser {
    fn send(&self, request: &str, body: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let (address, cookie) = (&self.address, &self.cookie);
        let head = format!(
            "{request} HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\nCookie: {cookie}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    fn sign_in(address: &str, login: &str, password: &str) -> Self {
        let mut browser = Self { address: address.to_owned(), cookie: String::new() };
        let (head, body) = browser.send("POST /sign-in", &form(&[("login", login), ("password", password)]));
        let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: "));
        let cookie = cookie.unwrap_or_else(|| panic!("no session: {head}\n{body}"));
        browser.cookie = cookie.split(';').next().unwrap().to_owned();
        browser
    }

    fn page(&self, path: &str) -> String {
        let (head, body) = self.send(&format!("GET {path}"), "");
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
        body
    }

    /// Sends the form of the page that stands after `mark`, with these fields in place of its own.
    fn submit(&self, page: &str, mark: &str, fields: &[(&str, &str)]) {
        let body = self.page(page);
        let (before, after) = body.split_once(mark).unwrap_or_else(|| panic!("no {mark} on {page}"));
        // The form around the mark.
        let whole = format!("{}{mark}{after}", &before[before.rfind("<form").unwrap()..]);
        let whole = whole.split("</form>").next().unwrap();
        let action = attribute(whole, "action").unwrap();
        let mut sent: Vec<(String, String)> = Vec::new();
        for tag in whole.split("<input ").skip(1) {
            let tag = tag.split('>').next().unwrap();
            if let Some(name) = attribute(tag, "name") {
                sent.push((name, attribute(tag, "value").unwrap_or_default()));
            }
        }
        for select in whole.split("<select ").skip(1) {
            let options = select.split("</select>").next().unwrap();
            let chosen = options.split("<option ").skip(1).last().unwrap();
            sent.push((attribute(select, "name").unwrap(), attribute(chosen, "value").unwrap()));
        }
        for (name, value) in fields {
            if let Some(field) = sent.iter_mut().find(|(sent, _)| sent == name) {
                field.1 = (*value).to_owned();
            }
        }
        let sent: Vec<(&str, &str)> = sent.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let (head, answer) = self.send(&format!("POST {action}"), &form(&sent));
        assert!(head.starts_with("HTTP/1.1 303"), "{action}: {head}\n{answer}");
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) =
        tag.split_once(&format!(" {name}=\"")).or_else(|| tag.split_once(&format!("{name}=\"")))?;
    Some(rest.split('"').next()?.to_owned())
}

fn form(fields: &[(&str, &str)]) -> String {
    let encode = |text: &str| -> String {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        text.bytes()
            .map(|b| if plain(&b) { char::from(b).to_string() } else { format!("%{b:02X}") })
            .collect()
    };
    fields
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect::<Vec<_>>()
        .join("&")
}

/// Whoever stands in the node's place with its key, and what was captured.
struct Replayer(Vec<SignedCommand>, Arc<Sessions>);

impl Ingress for Replayer {
    fn offer(&self, _: DeviceId, _: bool, _: Vec<u8>, reply: Reply) -> Result<(), Busy> {
        drop(reply);
        Err(Busy)
    }

    fn listening(&self, device: DeviceId) {
        for captured in &self.0 {
            let _ = self.1.send_command(device, captured.encode());
        }
    }
}

struct Anybody;

impl Registry for Anybody {
    fn admits(&self, key: &[u8; 32]) -> Result<DeviceId, String> {
        Ok(DeviceId::of(key))
    }
}

/// The captured commands of a record, and the key they were signed with.
fn captured(folder: &Folder) -> (Vec<SignedCommand>, Vec<Outcome>, [u8; 32]) {
    let (mut commands, mut outcomes) = (Vec::new(), Vec::new());
    for opened in crate::record::open(folder) {
        match opened.body {
            Body::Command(signed) => commands.push(signed),
            Body::Confirmations(words) => outcomes.extend(words.into_iter().map(|word| word.outcome)),
            _ => {}
        }
    }
    let passphrase = std::fs::read_to_string(folder.path("data/passphrase")).unwrap();
    let entropy: vault::Entropy = Arc::new(|out: &mut [u8]| host::clock::entropy(out));
    let vault = vault::Vault::open(&folder.path("opened/vault"), passphrase.trim_end(), entropy).unwrap();
    (commands, outcomes, *vault.record_key_seed().expose())
}

fn log(folder: &Folder, name: &str) -> std::path::PathBuf {
    folder.path(&format!("data/logs/{name}-bedside.log"))
}

fn memory(data: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(data.join("ward.json")).unwrap()).unwrap()
}

#[test]
fn what_is_done_on_the_page_is_heard_at_the_bed_and_a_captured_command_is_not() {
    let folder = Folder::new();
    let founded = ward(&folder, &["--patients", "1", "--duration", "1s"]);
    let data = folder.path("data");
    assert_eq!(memory(&data)["paired"], true, "{}", said(&founded, &folder));
    let (dir, node_file, gateway_file) =
        (folder.text("data/boards"), folder.text("data/node.toml"), folder.text("data/gateway.toml"));
    let script = ["--script", "at 1 s: tachycardia for 3600 s"];
    let boards = ["simulate", "--dir", &dir, "--boards", "1", script[0], script[1]];
    let boards = Role::keep_up("boards", &boards, log(&folder, "boards"));
    boards.ready().unwrap();
    let board = Board(folder.path("data/boards/control.sock"));
    let node = Role::keep_up("node", &["node", "--config", &node_file], log(&folder, "node"));
    let ready = node.ready().unwrap();
    let start = || {
        let role = Role::keep_up("gateway", &["gateway", "--config", &gateway_file], log(&folder, "gateway"));
        role.ready().unwrap();
        role
    };
    let gateway = start();

    let logins = memory(&data);
    let doctor = logins["logins"].as_array().unwrap().iter().find(|it| it["login"] == "doctor").unwrap();
    let web = ready["web"].as_str().unwrap();
    let browser = Browser::sign_in(web, "doctor", doctor["password"].as_str().unwrap());
    let patient = until("the bed on the wall", || {
        let wall = browser.page("/wall");
        let (_, rest) = wall.split_once("data-patient=\"")?;
        Some(rest.split('"').next()?.to_owned())
    });
    let page = format!("/patients/{patient}");
    let shown = |text: &str| browser.page(&page).contains(text).then_some(());

    // A pause: heard, said, and broken by the button.
    until("the bell", || board.sounds(Some("high")));
    until("the alarm on the page", || shown("/silence\""));
    browser.submit(&page, "/silence\"", &[]);
    until("it pauses", || board.sounds(None));
    until("the LCD", || board.said("sound paused").then_some(()));
    until("the page", || shown("in force at the bedside until"));
    assert_eq!(board.tell("button"), "ok");
    until("the button breaks it", || board.sounds(Some("high")));

    // An answer.
    browser.submit(&page, "/acknowledge\"", &[]);
    until("it is answered", || board.sounds(None));
    until("the LCD", || board.said("answered by ward").then_some(()));
    until("the page", || shown("Acknowledgement of “heart rate high”: in force at the bedside since"));

    // Limits, while the gateway is off.
    gateway.stop(Duration::from_secs(20)).unwrap();
    let limits =
        [("above_low", ""), ("above_medium", ""), ("above_high", "179"), ("reason", "known athlete")];
    browser.submit(&page, "value=\"heart_rate\"", &limits);
    until("asked for", || shown("asked for, not confirmed: bedside offline since"));
    let gateway = start();
    until("it is back and has them", || shown("Heart rate limits: in force at the bedside since"));
    until("the LCD", || board.says("new limits"));
    until("a pulse", || board.says("1").filter(|()| board.says("-- bpm").is_none()));
    // Longer than it would take to ring by the limits from before.
    for _ in 0..Duration::from_secs(14).as_millis() / LOOK_EVERY.as_millis() {
        pause(LOOK_EVERY);
        assert!(board.sounds(None).is_some(), "it is within the new limits: {}", board.look());
    }

    // Whoever has the node's key and what went over the line gets nothing by saying it again.
    node.stop(Duration::from_secs(20)).unwrap();
    let (commands, outcomes, record_key) = captured(&folder);
    let taken = outcomes.iter().filter(|outcome| **outcome == Outcome::InForce).count();
    assert!(commands.len() >= 3 && taken >= 3, "{outcomes:?}");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let sessions = Arc::new(Sessions::new());
    let replayer = Arc::new(Replayer(commands.clone(), sessions.clone()));
    let address = ready["mqtt"].as_str().unwrap().to_owned();
    let serving = runtime.spawn(async move {
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let (certificate, key) = tls::self_signed(&record_key).unwrap();
        let config = Arc::new(tls::server_config(certificate, key, Arc::new(Anybody)).unwrap());
        let endpoint = Endpoint::new(replayer, Arc::new(Anybody), sessions, Bounds::default());
        link::mqtt::serve(listener, config, endpoint, stopping).await;
    });
    until("nobody listens", || board.said("WARD NOT").then_some(()));
    let figures = gateway.stop(Duration::from_secs(20)).unwrap();
    stop.send(true).unwrap();
    runtime.block_on(serving).unwrap();
    let refused = figures["commands_refused"].as_u64().unwrap();
    assert!(refused >= commands.len() as u64, "{figures}");
    assert_eq!(figures["commands_taken"], 1, "the limits, once: {figures}");
    boards.stop(Duration::from_secs(20)).unwrap();
}
