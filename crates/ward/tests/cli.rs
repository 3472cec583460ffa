//! What a user meets at the ward's command line.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::process::{Command, Output};

fn ward(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_aceso-ward")).args(arguments).output().unwrap()
}

#[test]
fn a_ward_that_cannot_be_is_refused_before_anything_starts() {
    for (arguments, said) in [
        (&["--nodes", "8"][..], "outside 1 to 7"),
        (&["--nodes", "4", "--patients", "3"], "does not give each"),
        (&["--duration", "1s", "--recording", "/nonexistent.csv"], "does not exist"),
        (&["--duration", "1s", "--story", "authorities"], "needs --nodes 4"),
    ] {
        let output = ward(arguments);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{complaint}");
        assert!(complaint.starts_with("aceso-ward: ") && complaint.contains(said), "{complaint}");
    }
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
