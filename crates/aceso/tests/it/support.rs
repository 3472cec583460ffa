//! Runs the binary and reads what it leaves behind.

use serde_json::Value;
use std::io::{PipeWriter, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

/// A ward's files, gone when the test ends.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Writes the configuration of a node of its own and gives its place.
    pub(crate) fn node_config(&self) -> String {
        std::fs::write(self.path("passphrase"), "correct horse\n").unwrap();
        let (data, passphrase) = (self.text("node"), self.text("passphrase"));
        let config = format!("data_dir = {data:?}\npassphrase_file = {passphrase:?}\nname = \"North\"\n");
        std::fs::write(self.path("node.toml"), config).unwrap();
        self.text("node.toml")
    }

    pub(crate) fn report(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.path("report.json")).unwrap()).unwrap()
    }
}

/// The program under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_aceso");

/// The demonstration ward, which stands beside it.
pub(crate) fn ward_binary() -> PathBuf {
    let beside = Path::new(BINARY).with_file_name("aceso-ward");
    assert!(beside.is_file(), "{} is not there: build it first (make build)", beside.display());
    beside
}

/// Whose arguments these are: a ward's own options and its `simulate`, or a command of `aceso`.
pub(crate) fn program(arguments: &[impl AsRef<str>]) -> PathBuf {
    let first = arguments.first().map_or("", |first| first.as_ref());
    if first == "simulate" || first.starts_with("--") { ward_binary() } else { BINARY.into() }
}

/// Runs `aceso` with these arguments to its end.
pub(crate) fn aceso(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).output().unwrap()
}

/// Runs a ward in `folder` with report and bundle, whose pages come as plain HTTP; further options as given.
pub(crate) fn ward(folder: &Folder, options: &[&str]) -> Output {
    let (data, report, bundle) = (folder.text("data"), folder.text("report.json"), folder.text("bundle"));
    let mut arguments = vec!["--http", "--data", &data, "--report", &report, "--bundle", &bundle];
    arguments.extend(options);
    Command::new(ward_binary()).args(arguments).output().unwrap()
}

/// A pipe that nobody reads, as behind `| head -1`.
pub(crate) fn nobody_reads() -> PipeWriter {
    std::io::pipe().unwrap().1
}

/// Lets a moment pass: other processes work meanwhile.
pub(crate) fn pause(time: Duration) {
    let (_keep, nothing) = std::sync::mpsc::channel::<()>();
    let _ = nothing.recv_timeout(time);
}

/// What a page answers, with its head.
pub(crate) fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    std::io::read_to_string(stream).unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Everything a run said, for the message of a failing assertion.
pub(crate) fn said(output: &Output, folder: &Folder) -> String {
    let mut text = format!("{}{}", stdout(output), String::from_utf8_lossy(&output.stderr));
    let logs = std::fs::read_dir(folder.path("data/logs")).into_iter().flatten().flatten();
    for log in logs {
        if let Ok(said) = std::fs::read_to_string(log.path()) {
            text.push_str(&format!("--- {} ---\n{said}", log.file_name().to_string_lossy()));
        }
    }
    text
}

/// Every file below `folder`.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
    }
    found
}

/// Milliseconds since 1970: wards under test run by the machine's clock.
#[allow(clippy::disallowed_methods, reason = "a test of real processes, at the rim")]
pub(crate) fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}
