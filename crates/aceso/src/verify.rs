//! `aceso verify`: checks an exported bundle offline, and says in plain words what it proves.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use vitals::Genesis;
use vitals::bundle::{Broken, Report, Verifier};

/// Bytes read from the file at once; the verifier holds one item, never the whole bundle.
const CHUNK_BYTES: usize = 256 * 1024;

/// Why there is nothing to report.
#[derive(Debug)]
enum Failure {
    /// The pinned genesis is not one.
    Genesis,
    /// The file cannot be read.
    Io(io::Error),
    /// The first link that does not hold.
    Broken(Box<Broken>),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Genesis => f.write_str("--genesis takes 64 lower-case hex digits"),
            Self::Io(why) => write!(f, "the bundle cannot be read: {why}"),
            Self::Broken(why) => write!(f, "BROKEN at {why}"),
        }
    }
}

/// Checks the bundle in `file` against the genesis hash the caller trusts, and prints what it
/// proves: exit code 0. A link that does not hold is named: 1. Without `genesis` a bundle whose links
/// all hold is still only as good as its own genesis, which is named: 2.
#[allow(clippy::print_stderr, reason = "this command's output is for its caller")]
pub(crate) fn run(file: &Path, genesis: Option<&str>) -> ExitCode {
    match check(file, genesis) {
        Ok(report) => {
            let verdict = if report.pinned { "\nPROVEN under the genesis you pinned." } else { "" };
            // Who closes the pipe early has read enough; the exit code still says all.
            let _ = writeln!(io::stdout(), "{report}{verdict}");
            if report.pinned {
                return ExitCode::SUCCESS;
            }
            eprintln!(
                "NOT PINNED: all links hold, but only under the bundle's own genesis {}.\n\
                 Compare it with the one your organisation published, then run again with --genesis {}",
                report.genesis, report.genesis
            );
            ExitCode::from(2)
        }
        Err(failure) => {
            eprintln!("{}: {failure}", file.display());
            ExitCode::FAILURE
        }
    }
}

fn check(file: &Path, genesis: Option<&str>) -> Result<Report, Failure> {
    let pinned = genesis.map(str::parse::<Genesis>).transpose().map_err(|_| Failure::Genesis)?;
    let mut file = File::open(file).map_err(Failure::Io)?;
    let mut verifier = Verifier::new(pinned);
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return verifier.finish().map_err(|why| Failure::Broken(Box::new(why))),
            Ok(len) => verifier.push(&chunk[..len]).map_err(|why| Failure::Broken(Box::new(why)))?,
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            Err(why) => return Err(Failure::Io(why)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn golden(dir: &Path) -> (PathBuf, String) {
        let root: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../testdata/golden"].iter().collect();
        let read = |name: &str| -> Vec<u8> {
            let text = std::fs::read_to_string(root.join(name)).unwrap();
            hex::decode(text.split_whitespace().collect::<String>()).unwrap()
        };
        let genesis = vitals::proof::genesis::GenesisDocument::hash_of(&read("bundle_genesis_v1.hex"));
        let file = dir.join("bundle");
        std::fs::write(&file, read("bundle_v1.hex")).unwrap();
        (file, genesis.to_string())
    }

    #[test]
    fn a_good_bundle_is_proven_under_its_genesis_only() {
        let dir = tempfile::tempdir().unwrap();
        let (file, genesis) = golden(dir.path());
        assert!(check(&file, Some(&genesis)).unwrap().pinned);
        assert_eq!(run(&file, Some(&genesis)), ExitCode::SUCCESS);
        assert_eq!(run(&file, None), ExitCode::from(2));
        assert_eq!(run(&file, Some(&"0".repeat(64))), ExitCode::FAILURE);
        assert_eq!(run(&file, Some("genesis")), ExitCode::FAILURE);
        assert_eq!(run(&dir.path().join("nothing"), None), ExitCode::FAILURE);
    }

    #[test]
    fn a_changed_byte_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (file, genesis) = golden(dir.path());
        let mut bytes = std::fs::read(&file).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&file, &bytes).unwrap();
        let failure = check(&file, Some(&genesis)).unwrap_err().to_string();
        assert!(failure.starts_with("BROKEN at item"), "{failure}");
        assert_eq!(run(&file, Some(&genesis)), ExitCode::FAILURE);
        assert_eq!(run(&file, None), ExitCode::FAILURE);
    }
}
