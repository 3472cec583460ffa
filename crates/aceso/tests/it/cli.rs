//! What a user meets at the command line.

use crate::support::{aceso, stdout};

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
            let mut command = std::process::Command::new(crate::support::BINARY);
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
