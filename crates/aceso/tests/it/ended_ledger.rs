//! A node whose ledger ended because the disk took no more.

use crate::support::{BINARY, Folder, get};
use host::clock::instant;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// The next block comes within two seconds; the machine may do other things too.
const WITHIN: Duration = Duration::from_secs(60);

/// The node process itself waits for its disk once its ledger has ended. That it then ends is tried without a process:
/// it runs for a minute first.
#[test]
fn a_node_whose_ledger_ended_on_a_full_disk_says_so_and_stays_up() {
    let folder = Folder::new();
    // Without this a write beyond the limit would end the process by a signal.
    let mut node = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", BINARY, "node", "--config", &folder.node_config()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(node.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    let ready: serde_json::Value = serde_json::from_str(ready.strip_prefix("READY ").unwrap()).unwrap();
    let log = BufReader::new(node.stderr.take().unwrap());
    let (tell, told) = mpsc::channel();
    let reader =
        std::thread::spawn(move || log.lines().map_while(Result::ok).for_each(|line| drop(tell.send(line))));
    let pid = Pid::from_child(&node);
    let full = Rlimit { current: Some(0), ..getrlimit(Resource::Fsize) };
    let before = prlimit(Some(pid), Resource::Fsize, full).unwrap();
    let (mut said, mut lines) = (false, Vec::new());
    let begun = instant();
    while !said && let Ok(line) = told.recv_timeout(WITHIN.saturating_sub(begun.elapsed())) {
        said = line.contains("The ledger has ended and the disk takes no writes")
            && line.contains("Alarms go on");
        lines.push(line);
    }
    let health = said.then(|| get(ready["web"].as_str().unwrap(), "/healthz"));
    prlimit(Some(pid), Resource::Fsize, before).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    node.wait().unwrap();
    reader.join().unwrap();
    assert!(said, "{lines:#?}");
    let health = health.unwrap();
    assert!(health.starts_with("HTTP/1.1 503"), "its pages answer, and say that it is not well: {health}");
}
