//! People who are added through the operator API: by the same rules as everywhere, refused in one sentence.

use crate::crash::roles::Role;
use crate::support::{BINARY, Folder, get};
use operator::{Client, CreateStaff, FirstAdministrator, OperatorError, SignIn, StaffRole};
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

#[test]
fn control_sock_takes_no_short_password_and_says_once_that_a_login_is_taken() {
    let folder = Folder::new();
    let node = Role::keep_up("node", &["node", "--config", &folder.node_config()], folder.path("node.log"));
    node.ready().unwrap();
    let client = Client::of(&folder.path("node"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let why = |refused: OperatorError| match refused {
        OperatorError::Refused(why) => why,
        other => panic!("{other}"),
    };
    runtime.block_on(async {
        let admin = |password: &str| {
            let (login, name) = ("admin".to_owned(), "Ada Demo".to_owned());
            FirstAdministrator { login, name, password: password.to_owned() }
        };
        let short = "the password is shorter than 8 characters";
        assert_eq!(why(client.ask(admin("1")).await.unwrap_err()), short);
        client.ask(admin("a long password")).await.unwrap();
        let sign_in = SignIn { login: "admin".to_owned(), password: "a long password".to_owned() };
        let token = client.ask(sign_in).await.unwrap().token;
        let lee = |password: &str| CreateStaff {
            token: token.clone(),
            login: "lee".to_owned(),
            name: "Lee Demo".to_owned(),
            password: password.to_owned(),
            role: StaffRole::Clinician,
        };
        assert_eq!(why(client.ask(lee("1234567")).await.unwrap_err()), short);
        client.ask(lee("a long password")).await.unwrap();
        assert_eq!(why(client.ask(lee("a long password")).await.unwrap_err()), "the login is taken");
    });
    node.stop(Duration::from_secs(20)).unwrap();
}

struct Node {
    child: Child,
    lines: Box<dyn Iterator<Item = String>>,
    web: String,
}

impl Node {
    fn start(folder: &Folder) -> Self {
        let log = OpenOptions::new().create(true).append(true).open(folder.path("node.log")).unwrap();
        let mut child = Command::new(BINARY)
            .args(["node", "--config", &folder.node_config()])
            .env("ACESO_LOG", "debug")
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let output = child.stdout.take().unwrap();
        let mut lines = Box::new(BufReader::new(output).lines().map_while(Result::ok));
        let ready = lines.next().unwrap();
        let ready: serde_json::Value = serde_json::from_str(ready.strip_prefix("READY ").unwrap()).unwrap();
        Self { child, lines, web: ready["web"].as_str().unwrap().to_owned() }
    }

    /// The code on the next line.
    fn code(&mut self) -> String {
        let line = self.lines.next().unwrap();
        assert!(line.contains(&format!("http://{}/set-up", self.web)), "{line}");
        line.rsplit(' ').next().unwrap().to_owned()
    }

    fn set_up(&self, code: &str) -> String {
        let body = format!("code={code}&name=Ada&login=ada&password=a+long+password&again=a+long+password");
        let mut stream = TcpStream::connect(&self.web).unwrap();
        write!(
            stream,
            "POST /set-up HTTP/1.1\r\nHost: {0}\r\nOrigin: http://{0}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {1}\r\n\r\n{body}",
            self.web,
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Stops it in order; gives what it printed since.
    fn stop(mut self) -> Vec<String> {
        let stopped = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(stopped.success() && self.child.wait().unwrap().success());
        self.lines.collect()
    }
}

#[test]
fn a_new_node_prints_a_code_that_makes_its_first_administrator_on_a_page() {
    let folder = Folder::new();
    let mut node = Node::start(&folder);
    let first = node.code();
    node.stop();
    let mut node = Node::start(&folder);
    let code = node.code();
    assert_ne!(first, code, "each start has its own");
    assert!(node.set_up(&first).starts_with("HTTP/1.1 422"), "of an earlier start");
    assert!(!get(&node.web, "/metrics").contains(&code));
    let made = node.set_up(&code);
    assert!(made.starts_with("HTTP/1.1 303") && made.contains("aceso="), "{made}");
    let again = node.set_up(&code);
    assert!(again.to_lowercase().contains("location: /sign-in"), "{again}");
    let said = node.stop();
    assert!(said.iter().all(|line| !line.contains(&code)), "once");
    let said = Node::start(&folder).stop();
    assert!(said.iter().all(|line| !line.contains("/set-up")), "it is set up: {said:?}");
    let log = std::fs::read_to_string(folder.path("node.log")).unwrap();
    assert!(log.len() > 100 && !log.contains(&code) && !log.contains(&first), "no log holds a code");
}
