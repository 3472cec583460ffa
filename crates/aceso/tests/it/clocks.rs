//! Two gateways with one key, as processes: the first branch goes on, the report names the second.

use crate::support::{Folder, program, said};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A child that ends with the test, however the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a program of ours with these arguments and reads what it says until a line has `word` in it.
fn start(arguments: &[&str], word: &str) -> (Running, String) {
    let mut command = Command::new(program(arguments));
    let child = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut running = Running(child.spawn().unwrap());
    let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.by_ref().find(|line| line.contains(word)).unwrap_or_else(|| panic!("never: {word}"));
    // Read on, or the child would wait for its reader.
    std::thread::spawn(move || lines.for_each(drop));
    (running, line)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn a_copied_gateway_is_the_second_hand_and_the_report_says_so() {
    let folder = Folder::new();
    let (data, report) = (folder.text("data"), folder.text("report.json"));
    // The first ward makes keys and streams; the copy is taken while nobody writes.
    let first = crate::support::ward(&folder, &["--patients", "1", "--duration", "3s"]);
    assert!(first.status.success(), "{}", said(&first, &folder));
    copy(&folder.path("data/gateway"), &folder.path("copy"));
    let arguments = ["--data", &data, "--report", &report, "--patients", "1", "--duration", "7s"];
    let (mut ward, _) = start(&arguments, "Running for");

    let boards = folder.text("boards");
    let (_boards, ready) = start(&["simulate", "--dir", &boards, "--boards", "1", "--seed", "9"], "READY");
    let ready: serde_json::Value = serde_json::from_str(ready.strip_prefix("READY ").unwrap()).unwrap();
    let config = std::fs::read_to_string(folder.path("data/gateway.toml")).unwrap();
    let node = config.lines().find(|line| line.starts_with("node")).unwrap();
    let config = format!("data_dir = {:?}\n{node}\nboards = {}\n", folder.path("copy"), ready["boards"]);
    std::fs::write(folder.path("copy.toml"), config).unwrap();
    let _copy = start(&["gateway", "--config", &folder.text("copy.toml")], "READY");

    let status = ward.0.wait().unwrap();
    assert_eq!(status.code(), Some(1), "a run with two hands is not complete");
    let report = folder.report();
    let refused = report["node"]["second_hand_refused"].as_u64().unwrap();
    assert!(refused > 0, "{report}");
    assert_eq!(report["node"]["two_hands"], 1, "{report}");
    assert!(report["gateway"]["taken_over"].as_u64().unwrap() > 0, "{report}");
    let problems = report["problems"].to_string();
    assert!(problems.contains("two hands wrote one stream"), "{problems}");
    assert_eq!(report["node"]["missing"], serde_json::json!({}), "the first branch has no hole");
}
