//! The fuzzer: `ACESO_FUZZ_TARGET` names one of [`targets::TARGETS`], the arguments are libFuzzer's.
//! With `ACESO_FUZZ_SEEDS=DIR` it writes the target's seeds there from the golden files and ends.

#![no_main]

#[cfg(feature = "ledger")]
mod ledger;
mod targets;

use libfuzzer_sys::fuzz_target;
use std::path::Path;
use std::sync::OnceLock;
use targets::{TARGETS, Target};

#[cfg(not(feature = "ledger"))]
mod ledger {
    pub const TARGETS: &[super::Target] = &[];
    pub fn made_seeds() -> Vec<(String, Vec<u8>)> {
        Vec::new()
    }
}

static TARGET: OnceLock<&'static Target> = OnceLock::new();

fn all() -> impl Iterator<Item = &'static Target> {
    TARGETS.iter().chain(ledger::TARGETS)
}

fn target() -> &'static Target {
    let wanted = std::env::var("ACESO_FUZZ_TARGET").unwrap_or_default();
    all().find(|target| target.name == wanted).unwrap_or_else(|| {
        let names: Vec<&str> = all().map(|target| target.name).collect();
        eprintln!("ACESO_FUZZ_TARGET must be one of: {}", names.join(" "));
        std::process::exit(2)
    })
}

fn write_seeds(into: &Path) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/golden");
    let mut seeds = targets::made_seeds();
    seeds.extend(ledger::made_seeds());
    for folder in [golden.clone(), golden.join("bad")] {
        for entry in std::fs::read_dir(folder).expect("the golden files are there").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(name) = name.strip_suffix(".hex") {
                let text: String = std::fs::read_to_string(entry.path()).expect("a golden file is text");
                let text: String = text.split_whitespace().collect();
                seeds.push((name.to_owned(), hex::decode(text).expect("a golden file is hex")));
            }
        }
    }
    for target in all() {
        let folder = into.join(target.name);
        std::fs::create_dir_all(&folder).expect("the seed folder can be made");
        for (name, bytes) in &seeds {
            if target.seeds.iter().any(|wanted| name.starts_with(wanted)) {
                std::fs::write(folder.join(name), bytes).expect("a seed can be written");
            }
        }
    }
}

fuzz_target!(
    init: {
        if let Ok(folder) = std::env::var("ACESO_FUZZ_SEEDS") {
            write_seeds(Path::new(&folder));
            std::process::exit(0);
        }
        let _ = TARGET.set(target());
    },
    |bytes: &[u8]| {
        (TARGET.get_or_init(target).attack)(bytes);
    }
);
