//! House rules that a compiler does not check.

use crate::support::files;
use std::path::{Path, PathBuf};

/// A file a reader can hold in the head.
const LINES_MAX: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn sources(extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["crates", "contracts/src", "docs", "scripts"] {
        found.extend(files(&root().join(folder)));
    }
    let wanted = |path: &PathBuf| {
        let vendored =
            path.components().any(|part| part.as_os_str() == "vendor" || part.as_os_str() == "node_modules");
        !vendored
            && path.extension().is_some_and(|extension| extensions.iter().any(|wanted| extension == *wanted))
    };
    found.retain(wanted);
    found
}

#[test]
fn no_file_is_too_long_to_hold_in_the_head() {
    let long: Vec<String> = sources(&["rs", "sol", "js", "css"])
        .into_iter()
        .filter_map(|path| {
            let lines = std::fs::read_to_string(&path).unwrap().lines().count();
            (lines > LINES_MAX).then(|| format!("{} has {lines} lines", path.display()))
        })
        .collect();
    assert!(long.is_empty(), "split by what changes together: {long:#?}");
}

#[test]
fn nothing_is_left_unfinished_or_switched_off() {
    // Written in two parts, so that this file does not find itself.
    let words = [["TO", "DO"], ["FIX", "ME"], ["todo", "!("], ["unimplemented", "!("], ["#[ig", "nore"]]
        .map(|word| word.concat());
    let mut found = Vec::new();
    for path in sources(&["rs", "sol", "js", "md", "sh", "html"]) {
        let text = std::fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word.as_str())) {
                found.push(format!("{}:{}: {line}", path.display(), number + 1));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_fences_between_crates_hold() {
    // (crate, must not depend on)
    let fences = [
        ("gateway", "vault"),
        ("gateway", "clinic"),
        ("gateway", "ledger"),
        ("clinic", "ledger"),
        ("vault", "ledger"),
        ("web", "ledger"),
        ("vitals", "device"),
        ("device", "link"),
        ("link", "clinic"),
        ("aceso", "simulator"),
        // Of `vitals` it has the rules of the held clock (docs/decisions/170).
        ("host", "link"),
        ("host", "clinic"),
        ("host", "ledger"),
        ("operator", "clinic"),
    ];
    for (name, forbidden) in fences {
        let manifest = std::fs::read_to_string(root().join(format!("crates/{name}/Cargo.toml"))).unwrap();
        let used = manifest.split("[dev-dependencies]").next().unwrap();
        assert!(
            !used.lines().any(|line| line.starts_with(&format!("{forbidden}."))),
            "{name} must not depend on {forbidden}"
        );
    }
}

#[test]
fn what_is_for_tests_is_linked_by_tests_only() {
    let only_tests = ["testkit", "testward"];
    for entry in std::fs::read_dir(root().join("crates")).unwrap() {
        let folder = entry.unwrap().path();
        if only_tests.iter().any(|name| folder.ends_with(name)) {
            continue;
        }
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let used = manifest.split("[dev-dependencies]").next().unwrap();
        let linked =
            used.lines().any(|line| only_tests.iter().any(|name| line.starts_with(&format!("{name}."))));
        assert!(!linked, "{} links what is for tests only", folder.display());
    }
    // The clinic's observer sees without a session.
    for path in
        files(&root().join("crates/web/src")).into_iter().chain(files(&root().join("crates/aceso/src")))
    {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(!text.contains(".observer()"), "{} sees without a session", path.display());
    }
}

#[test]
fn a_crate_has_one_integration_test_binary_and_only_if_its_types_come_back_to_it() {
    // `clinic`, `durable` and `vitals` use `testkit` or `testward`, which link them as their users do: see
    // docs/decisions/150. `ward` tries its program.
    let allowed = ["aceso", "clinic", "durable", "vitals", "ward"];
    for entry in std::fs::read_dir(root().join("crates")).unwrap() {
        let folder = entry.unwrap().path();
        let tests = folder.join("tests");
        if !tests.is_dir() {
            continue;
        }
        let known = allowed.iter().any(|name| folder.ends_with(name));
        assert!(known, "tests belong beside what they test: {}", tests.display());
        let binaries = std::fs::read_dir(&tests).unwrap().count();
        assert_eq!(binaries, 1, "{}: each binary is linked anew", tests.display());
    }
}

#[test]
fn the_project_names_no_registry_host() {
    // In parts, so that this file does not find itself.
    let hosts = [["registry.npm", "js.org"], ["files.python", "hosted.org"], ["static.crates", ".io"]]
        .map(|host| host.concat());
    let mut locks = sources(&["rs", "md", "sh", "cjs", "mjs"]);
    locks.extend(
        ["contracts/package-lock.json", "tests-browser/package-lock.json"].map(|lock| root().join(lock)),
    );
    let naming: Vec<_> = locks
        .into_iter()
        .filter(|path| {
            std::fs::read_to_string(path)
                .is_ok_and(|text| hosts.iter().any(|host| text.contains(host.as_str())))
        })
        .collect();
    assert!(naming.is_empty(), "{naming:?}");
}

/// Version 1 of the wire format is frozen: a changed object is a new version in a new file.
#[test]
fn the_golden_files_are_the_frozen_ones() {
    let golden = root().join("testdata/golden");
    let frozen = std::fs::read_to_string(golden.join("frozen.sha256")).unwrap();
    let mut found: Vec<String> = files(&golden)
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "hex"))
        .map(|path| {
            let hash = vitals::ids::sha256(&[&std::fs::read(path).unwrap()]);
            format!("{}  {}", hex::encode(hash), path.strip_prefix(&golden).unwrap().display())
        })
        .collect();
    found.sort_by(|a, b| a[66..].cmp(&b[66..]));
    let listed: Vec<&str> = frozen.lines().collect();
    assert_eq!(found, listed, "new files are added to frozen.sha256; old ones never change");
}

/// A control is known to hold only while its test is there.
#[test]
fn every_row_of_the_hazards_names_tests_that_exist() {
    let mut rust = String::new();
    for path in sources(&["rs"]) {
        rust.push_str(&std::fs::read_to_string(path).unwrap());
    }
    let scripts = files(&root().join("tests-browser"));
    let scripts = scripts.iter().filter(|path| path.extension().is_some_and(|e| e == "mjs"));
    let vendored = |path: &&PathBuf| !path.components().any(|part| part.as_os_str() == "node_modules");
    let scripts: String =
        scripts.filter(vendored).map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let text = std::fs::read_to_string(root().join("docs/hazards.md")).unwrap();
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| id "))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert!(rows.len() > 40, "the table is there: {}", rows.len());
    let mut wrong = Vec::new();
    for row in &rows {
        let [id, hazard, cause, control, tests, residual] = row[..] else {
            wrong.push(format!("not six cells: {row:?}"));
            continue;
        };
        if [id, hazard, cause, control, residual].iter().any(|cell| cell.is_empty()) {
            wrong.push(format!("{id}: an empty cell"));
        }
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        if names.is_empty() {
            wrong.push(format!("{id}: no test"));
        }
        for name in names {
            let there = match name.strip_prefix("browser: ") {
                Some(check) => scripts.contains(check),
                None => rust.contains(&format!("fn {name}(")),
            };
            if !there {
                wrong.push(format!("{id}: there is no test {name}"));
            }
        }
    }
    let mut ids: Vec<&str> = rows.iter().filter_map(|row| row.first().copied()).collect();
    ids.sort_unstable();
    let twice: Vec<&str> = ids.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    assert!(twice.is_empty(), "rows with the same id: {twice:?}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
