//! What a user meets at the command line.

use crate::support::{BINARY, Folder, aceso, get, nobody_reads, said, stdout, ward_binary};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

#[test]
fn the_printed_configurations_are_documented_and_name_every_field() {
    for (role, fields) in
        [("node", ["data_dir", "passphrase_file", "mqtt"]), ("gateway", ["data_dir", "node", "boards"])]
    {
        let output = aceso(&["config", role]);
        assert!(output.status.success());
        for field in fields {
            assert!(stdout(&output).contains(&format!("{field} =")), "{role} has no {field}");
        }
    }
}

#[test]
fn a_missing_configuration_is_named_in_a_sentence() {
    let output = aceso(&["node", "--config", "/nonexistent/node.toml"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("reading /nonexistent/node.toml"), "{said}");
}

#[test]
fn a_data_folder_too_long_for_its_socket_is_refused_before_a_ledger_is_founded_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data".repeat(25));
    let config = folder.path().join("node.toml");
    let passphrase = folder.path().join("passphrase");
    std::fs::write(&passphrase, "correct horse\n").unwrap();
    std::fs::write(&config, format!("data_dir = {data:?}\npassphrase_file = {passphrase:?}\n")).unwrap();
    let output = aceso(&["node", "--config", config.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("a socket's path may have 107 bytes"), "{said}");
    assert!(!data.exists(), "nothing was founded");
}

/// A configuration file of a node in `folder`.
fn node_config(folder: &Folder) -> String {
    let (config, passphrase) = (folder.path("node.toml"), folder.path("passphrase"));
    std::fs::write(&passphrase, "correct horse\n").unwrap();
    let data = folder.path("node");
    std::fs::write(&config, format!("data_dir = {data:?}\npassphrase_file = {passphrase:?}\n")).unwrap();
    folder.text("node.toml")
}

#[test]
fn a_command_whose_output_nobody_reads_ends_as_it_would_otherwise() {
    let folder = Folder::new();
    let config = node_config(&folder);
    std::fs::write(folder.path("bundle"), b"not a bundle").unwrap();
    let (bundle, genesis) = (folder.text("bundle"), "00".repeat(32));
    for (arguments, status) in [
        (&["config", "node"][..], 0),
        (&["config", "gateway"], 0),
        (&["completion", "bash"], 0),
        (&["completion", "zsh"], 0),
        (&["--help"], 0),
        (&["account", "show", "--config", &config], 0),
        (&["node", "--config", "/nonexistent/node.toml"], 1),
        (&["verify", &bundle, "--genesis", &genesis], 1),
    ] {
        let output = Command::new(BINARY)
            .args(arguments)
            .stdout(nobody_reads())
            .stderr(nobody_reads())
            .status()
            .unwrap();
        assert_eq!(output.code(), Some(status), "{arguments:?}");
    }
}

#[test]
fn a_full_disk_behind_standard_output_is_named() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = Command::new(BINARY).args(["config", "node"]).stdout(full).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert!(complaint.starts_with("aceso: ") && complaint.contains("No space left"), "{complaint}");
}

/// Patients depend on a node; it does not depend on who reads what it prints and logs.
#[test]
fn a_node_whose_output_nobody_reads_any_longer_serves_and_stops_in_order() {
    let folder = Folder::new();
    let config = node_config(&folder);
    let mut node = Command::new(BINARY)
        .args(["node", "--config", &config])
        .env("ACESO_LOG", "info")
        .stdout(Stdio::piped())
        .stderr(nobody_reads())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(node.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    let ready: serde_json::Value = serde_json::from_str(ready.strip_prefix("READY ").unwrap()).unwrap();
    // The reader is gone from here on.
    let health = get(ready["web"].as_str().unwrap(), "/healthz");
    let stopped = Command::new("kill").args(["-TERM", &node.id().to_string()]).status().unwrap();
    let status = node.wait().unwrap();
    assert!(health.starts_with("HTTP/1.1 200"), "{health}");
    assert!(stopped.success() && status.success(), "{status}");
    assert!(folder.path("node/closed").exists(), "it noted that it was closed in order");
}

#[test]
fn a_ward_whose_output_nobody_reads_runs_to_its_end() {
    let folder = Folder::new();
    let (data, report) = (folder.text("data"), folder.text("report.json"));
    let output = Command::new(ward_binary())
        .args(["--data", &data, "--report", &report, "--patients", "1", "--duration", "3s"])
        .stdout(nobody_reads())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output, &folder));
    assert_eq!(folder.report()["complete"], true);
}

#[test]
fn a_file_that_is_no_bundle_is_refused_by_name() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), b"not a bundle").unwrap();
    let genesis = "00".repeat(32);
    let output = aceso(&["verify", file.path().to_str().unwrap(), "--genesis", &genesis]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
}

/// The ward is a program of its own: what a hospital installs holds neither it nor its virtual patients.
#[test]
fn the_hospital_s_program_holds_no_ward() {
    let help = stdout(&aceso(&["--help"]));
    let commands: Vec<&str> =
        help.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    assert!(commands.contains(&"node") && commands.contains(&"gateway"), "{help}");
    assert!(!commands.contains(&"ward") && !commands.contains(&"simulate"), "{help}");
    assert_eq!(aceso(&["ward"]).status.code(), Some(2));

    let tree = std::process::Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "-p",
            "aceso",
            "-e",
            "normal,build",
            "--prefix",
            "none",
            "-f",
            "{p}",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let tree = stdout(&tree);
    let crates: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(crates.contains(&"clinic") && crates.contains(&"ledger"), "{tree}");
    for absent in ["aceso-ward", "simulator", "testkit", "testward", "consensus-sim"] {
        assert!(!crates.contains(&absent), "aceso links {absent}");
    }
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let output = aceso(&["completion", shell]);
        assert!(output.status.success());
        for command in ["administrator", "checkpoint", "validator"] {
            assert!(stdout(&output).contains(command), "{shell} does not know {command}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    assert!(aceso(&["man", "--out", folder.path().to_str().unwrap()]).status.success());
    for page in ["aceso.1", "aceso-node.1", "aceso-validator-propose.1"] {
        let text = std::fs::read_to_string(folder.path().join(page)).unwrap();
        assert!(text.contains(".SH NAME"), "{page}");
    }
}

/// Reads its own environment as its configuration: the refusal shows it.
#[test]
fn node_and_gateway_run_with_an_allocator_that_gives_memory_back() {
    for role in ["node", "gateway"] {
        let environment = |set: &[(&str, &str)]| {
            let mut command = std::process::Command::new(BINARY);
            command.env_clear().envs(set.iter().copied()).args([role, "--config", "/proc/self/environ"]);
            String::from_utf8(command.output().unwrap().stderr).unwrap()
        };
        let plain = environment(&[]);
        for rule in ["MALLOC_MMAP_THRESHOLD_=262144", "MALLOC_TRIM_THRESHOLD_=262144", "MALLOC_ARENA_MAX=4"] {
            assert!(plain.contains(rule), "{role}: {plain}");
        }
        let chosen = environment(&[("MALLOC_ARENA_MAX", "1")]);
        assert!(chosen.contains("MALLOC_ARENA_MAX=1") && !chosen.contains("THRESHOLD"), "{role}: {chosen}");
    }
}
