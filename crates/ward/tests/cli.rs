//! What a user meets at the ward's command line.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

fn ward(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_aceso-ward")).args(arguments).output().unwrap()
}

/// Reads the line with which boards say that they serve; nobody reads their output any longer then.
fn until_ready(boards: &mut Child) {
    let mut ready = String::new();
    BufReader::new(boards.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    assert!(ready.starts_with("READY "), "{ready}");
}

#[test]
fn a_ward_that_cannot_be_is_refused_before_anything_starts() {
    for (arguments, said) in [
        (&["--nodes", "8"][..], "outside 1 to 7"),
        (&["--nodes", "4", "--patients", "3"], "does not give each"),
        (&["--duration", "1s", "--recording", "/nonexistent.csv"], "does not exist"),
        (&["--duration", "1s", "--story", "authorities"], "needs --nodes 4"),
        (&["--duration", "1s", "--report", "/nonexistent/r.json"], "there is no folder /nonexistent"),
        (&["--duration", "1s", "--bundle", "/nonexistent/b"], "there is no folder /nonexistent"),
        (&["--duration", "1s", "--report", "/"], "is a folder: name a file"),
        (&["--duration", "1s", "--names", "/nonexistent"], "the file of names /nonexistent does not exist"),
    ] {
        let output = ward(arguments);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{complaint}");
        assert!(complaint.starts_with("aceso-ward: ") && complaint.contains(said), "{complaint}");
    }
}

#[test]
fn a_socket_whose_path_is_too_long_is_named_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("long".repeat(25));
    let output = ward(&["--duration", "1s", "--data", data.to_str().unwrap()]);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert!(complaint.contains("control.sock: a socket's path may have"), "{complaint}");
    assert!(!data.exists(), "nothing was founded");
    let boards = folder.path().join("board".repeat(20));
    let output = ward(&["simulate", "--dir", boards.to_str().unwrap()]);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(complaint.contains("control.sock: a socket's path may have"), "{complaint}");
    assert!(!boards.exists());
}

#[test]
fn a_scenario_of_the_heart_is_refused_for_a_board_that_replays_a_recording() {
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("pulse.csv");
    let samples: String = (0..400).map(|n| format!("{},{}\n", n * 10, 512 + 40 * (n % 10))).collect();
    std::fs::write(&recording, format!("time_ms,ppg\n{samples}")).unwrap();
    let recording = recording.to_str().unwrap();
    let dir = folder.path().join("boards");
    let refused = ward(&[
        "simulate",
        "--dir",
        dir.to_str().unwrap(),
        "--recording",
        recording,
        "--script",
        "at 1 s: fever; at 2 s: tachycardia",
    ]);
    let complaint = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{complaint}");
    let said = "board 0 replays a recording: tachycardia would change nothing there";
    assert!(complaint.contains(said), "{complaint}");
    let mut boards = Command::new(env!("CARGO_BIN_EXE_aceso-ward"))
        .args(["simulate", "--dir", dir.to_str().unwrap(), "--recording", recording, "--boards", "2"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    until_ready(&mut boards);
    let socket = dir.join("control.sock").display().to_string();
    let tell = |order: &str| ward(&["simulate", "--tell", &socket, order]);
    for order in ["0 tachycardia 30s", "0 irregular"] {
        let told = tell(order);
        let complaint = String::from_utf8_lossy(&told.stderr).into_owned();
        assert_eq!(told.status.code(), Some(1), "{complaint}");
        assert!(complaint.contains("would change nothing there"), "{complaint}");
    }
    for order in ["0 fever", "0 sensor_off", "0 healthy", "1 tachycardia 30s"] {
        assert!(tell(order).status.success(), "{order}");
    }
    boards.kill().unwrap();
    boards.wait().unwrap();
}

/// Virtual patients go on for the gateways that read them, whoever reads what is printed.
#[test]
fn boards_whose_output_nobody_reads_any_longer_go_on_and_stop_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("boards");
    let mut boards = Command::new(env!("CARGO_BIN_EXE_aceso-ward"))
        .args(["simulate", "--dir", dir.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(std::io::pipe().unwrap().1)
        .spawn()
        .unwrap();
    until_ready(&mut boards);
    let socket = dir.join("control.sock").display().to_string();
    assert!(ward(&["simulate", "--tell", &socket, "0 fever"]).status.success());
    let looked = Command::new(env!("CARGO_BIN_EXE_aceso-ward"))
        .args(["simulate", "--tell", &socket, "0 look"])
        .stdout(std::io::pipe().unwrap().1)
        .output()
        .unwrap();
    assert!(looked.status.success(), "{}", String::from_utf8_lossy(&looked.stderr));
    let stopped = Command::new("kill").args(["-TERM", &boards.id().to_string()]).status().unwrap();
    let status = boards.wait().unwrap();
    assert!(stopped.success() && status.success(), "{status}");
}

#[test]
fn a_ward_says_which_program_is_missing_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let alone = folder.path().join("aceso-ward");
    std::fs::copy(env!("CARGO_BIN_EXE_aceso-ward"), &alone).unwrap();
    let data = folder.path().join("data").display().to_string();
    let output = Command::new(alone)
        .args(["--duration", "1s", "--patients", "1", "--data", &data])
        .env_remove("ACESO_BINARY")
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert!(complaint.contains("aceso is not there: build it first (make build)"), "{complaint}");
}
