//! The operator API of a node that may be dead at any moment.

use crate::support::pause;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest wait for an answer: an act waits for the ledger.
const ANSWER_WITHIN: Duration = Duration::from_secs(40);
/// Between two tries: nobody tells when a killed node listens again.
const PAUSE: Duration = Duration::from_millis(30);
/// Tries before giving up: more than a node that is up half of the time needs.
const TRIES_MAX: u32 = 2_000;

/// The way to the node's control socket, and the administrator's login.
#[derive(Clone)]
pub(crate) struct OperatorClient {
    socket: PathBuf,
    password: String,
}

impl OperatorClient {
    /// The client of the ward in `data`.
    pub(crate) fn of(data: &Path) -> Self {
        let memory: Value = serde_json::from_slice(&std::fs::read(data.join("ward.json")).unwrap()).unwrap();
        let logins = memory["logins"].as_array().unwrap();
        let admin = logins.iter().find(|login| login["login"] == "admin").unwrap();
        Self {
            socket: data.join("node/control.sock"),
            password: admin["password"].as_str().unwrap().to_owned(),
        }
    }

    /// Asks once.
    pub(crate) fn ask(&self, request: &Value) -> Result<Value, String> {
        let io = |why: std::io::Error| format!("the socket: {why}");
        let mut stream = UnixStream::connect(&self.socket).map_err(io)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN)).map_err(io)?;
        stream.write_all(format!("{request}\n").as_bytes()).map_err(io)?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).map_err(io)?;
        let mut said: Value = serde_json::from_str(&line).map_err(|_| "the socket: no answer".to_owned())?;
        match said.get("error").and_then(Value::as_str) {
            Some(error) => Err(error.to_owned()),
            None => Ok(said["ok"].take()),
        }
    }

    /// Asks once as the administrator.
    pub(crate) fn act(&self, mut request: Value) -> Result<Value, String> {
        let said = self.ask(&json!({ "do": "sign_in", "login": "admin", "password": self.password }))?;
        request["token"] = said["token"].clone();
        self.ask(&request)
    }

    /// Acts again and again until it is done: the node dies under it. `request` is made anew each time.
    pub(crate) fn insist(&self, mut request: impl FnMut() -> Value) -> Result<Value, String> {
        let mut last = String::new();
        for _ in 0..TRIES_MAX {
            match self.act(request()) {
                Ok(said) => return Ok(said),
                Err(why) => last = why,
            }
            pause(PAUSE);
        }
        Err(format!("given up after {TRIES_MAX} tries: {last}"))
    }
}
