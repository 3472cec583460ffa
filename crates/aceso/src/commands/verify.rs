//! `aceso verify`: checks an exported bundle offline, and says in plain words what it proves.

use super::gateway;
use host::{clock, output};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use vitals::Genesis;
use vitals::bundle::{Broken, Report, Verifier};
use vitals::proof::checkpoint::{CHECKPOINT_BYTES_MAX, Checkpoint, Pins};

/// Bytes read from the file at once; the verifier holds one item, never the whole bundle.
const CHUNK_BYTES: usize = 256 * 1024;

const DAY_MS: u64 = 86_400_000;

/// Options of `aceso verify`.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// The bundle.
    file: PathBuf,
    /// Genesis hash you trust, 64 hex digits, from a source other than the bundle.
    #[arg(long)]
    genesis: Option<String>,
    /// Start from this checkpoint: then keys stolen from validators that left before it prove nothing.
    #[arg(long, requires = "genesis")]
    checkpoint: Option<PathBuf>,
    /// Record key (64 hex digits) of an organisation whose checkpoints you believe; may be repeated.
    /// Without it: the founders of the genesis.
    #[arg(long, value_name = "KEY", requires = "checkpoint")]
    organisation: Vec<String>,
    /// How many of them must have signed; without it: more than half.
    #[arg(long, value_name = "N", requires = "checkpoint")]
    signers: Option<usize>,
    /// Oldest checkpoint you accept, days.
    #[arg(long, value_name = "DAYS", default_value_t = 30, requires = "checkpoint")]
    age_days: u64,
}

/// Exit status of a bundle whose links all hold, when no genesis was pinned.
const UNPINNED: u8 = 3;

/// Why there is nothing to report.
#[derive(Debug)]
enum Failure {
    /// The pinned genesis is not one.
    Genesis,
    /// The checkpoint, or a key to hold it against, cannot be used.
    Checkpoint(String),
    /// The file cannot be read.
    Io(io::Error),
    /// The first link that does not hold.
    Broken(Box<Broken>),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Genesis => f.write_str("--genesis takes 64 lower-case hex digits"),
            Self::Checkpoint(why) => write!(f, "the checkpoint cannot be used: {why}"),
            Self::Io(why) => write!(f, "the bundle cannot be read: {why}"),
            Self::Broken(why) => write!(f, "BROKEN at {why}"),
        }
    }
}

/// Checks the bundle against the genesis hash the caller trusts, and prints what it
/// proves: exit code 0. A link that does not hold is named: 1. Without `genesis` a bundle whose links
/// all hold is still only as good as its own genesis, which is named: 3. (2 is a command line that is not understood.)
pub(crate) fn run(options: &Options) -> ExitCode {
    match check(options) {
        Ok(report) => {
            let verdict = if report.pinned { "\nPROVEN under the genesis you pinned." } else { "" };
            // The exit code says all, whatever becomes of the words.
            let _ = output::print_line(format_args!("{report}{verdict}"));
            if report.pinned {
                return ExitCode::SUCCESS;
            }
            output::complain(format_args!(
                "NOT PINNED: all links hold, but only under the bundle's own genesis {}.\n\
                 Compare it with the one your organisation published, then run again with --genesis {}",
                report.genesis, report.genesis
            ));
            ExitCode::from(UNPINNED)
        }
        Err(failure) => {
            output::complain(format_args!("{}: {failure}", options.file.display()));
            ExitCode::FAILURE
        }
    }
}

/// Reads a checkpoint; its signatures are good, whether they are enough is for its user.
pub(crate) fn read_checkpoint(file: &Path) -> Result<Checkpoint, String> {
    let mut bytes = Vec::new();
    let limit = CHECKPOINT_BYTES_MAX as u64 + 1;
    File::open(file)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .map_err(|why| format!("{}: {why}", file.display()))?;
    Checkpoint::decode(&bytes).map_err(|why| format!("{}: {why}", file.display()))
}

fn pins(options: &Options) -> Result<Pins, String> {
    let key = |digits: &String| {
        gateway::record_key(digits).map_err(|_| String::from("--organisation needs 64 hex digits"))
    };
    let organisations = options.organisation.iter().map(key).collect::<Result<_, _>>()?;
    let age_max_ms = options.age_days.saturating_mul(DAY_MS);
    Ok(Pins { organisations, least: options.signers, age_max_ms })
}

fn check(options: &Options) -> Result<Report, Failure> {
    let pinned =
        options.genesis.as_deref().map(str::parse::<Genesis>).transpose().map_err(|_| Failure::Genesis)?;
    let mut verifier = Verifier::new(pinned);
    if let Some(checkpoint) = &options.checkpoint {
        let checkpoint = read_checkpoint(checkpoint).map_err(Failure::Checkpoint)?;
        let pins = pins(options).map_err(Failure::Checkpoint)?;
        verifier = verifier.starting_at(checkpoint, pins, clock::now_ms());
    }
    let mut file = File::open(&options.file).map_err(Failure::Io)?;
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

    fn hex_file(name: &str) -> Vec<u8> {
        let root: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../testdata/golden"].iter().collect();
        let text = std::fs::read_to_string(root.join(name)).unwrap();
        hex::decode(text.split_whitespace().collect::<String>()).unwrap()
    }

    fn golden(dir: &Path, version: &str) -> (PathBuf, String) {
        let document = hex_file(&format!("bundle_genesis_{version}.hex"));
        let genesis = vitals::proof::genesis::GenesisDocument::hash_of(&document);
        let file = dir.join("bundle");
        std::fs::write(&file, hex_file(&format!("bundle_{version}.hex"))).unwrap();
        (file, genesis.to_string())
    }

    fn with(file: &Path, genesis: Option<&str>) -> Options {
        Options { file: file.to_owned(), genesis: genesis.map(str::to_owned), ..Options::default() }
    }

    #[test]
    fn a_good_bundle_is_proven_under_its_genesis_only() {
        let dir = tempfile::tempdir().unwrap();
        for version in ["v1", "v2"] {
            let (file, genesis) = golden(dir.path(), version);
            assert!(check(&with(&file, Some(&genesis))).unwrap().pinned);
            assert_eq!(run(&with(&file, Some(&genesis))), ExitCode::SUCCESS);
            assert_eq!(run(&with(&file, None)), ExitCode::from(UNPINNED));
            assert_eq!(run(&with(&file, Some(&"0".repeat(64)))), ExitCode::FAILURE);
            assert_eq!(run(&with(&file, Some("genesis"))), ExitCode::FAILURE);
            assert_eq!(run(&with(&dir.path().join("nothing"), None)), ExitCode::FAILURE);
        }
    }

    #[test]
    fn a_checkpoint_must_be_young_and_signed_by_whom_the_caller_names() {
        let dir = tempfile::tempdir().unwrap();
        let (file, genesis) = golden(dir.path(), "v2");
        let checkpoint = dir.path().join("checkpoint");
        std::fs::write(&checkpoint, hex_file("checkpoint_v1.hex")).unwrap();
        let from = |age_days, signers| Options {
            checkpoint: Some(checkpoint.clone()),
            age_days,
            signers,
            ..with(&file, Some(&genesis))
        };
        // The golden checkpoint is of 2026-11-22.
        let report = check(&from(365 * 400, None)).unwrap();
        assert!(report.to_string().contains("checkpoint at block 300"), "{report}");
        let said = |options| check(&options).unwrap_err().to_string();
        assert!(said(from(365 * 400, Some(3))).contains("3 must have"));
        let stranger = Options { organisation: vec!["11".repeat(32)], ..from(365 * 400, None) };
        assert!(said(stranger).contains("0 of the pinned organisations signed"));
        let short = Options { organisation: vec!["11".repeat(31)], ..from(1, None) };
        assert!(said(short).contains("64 hex digits"));
        std::fs::write(&checkpoint, b"no checkpoint").unwrap();
        assert!(said(from(1, None)).contains("the checkpoint cannot be used"));
    }

    #[test]
    fn a_changed_byte_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (file, genesis) = golden(dir.path(), "v2");
        let mut bytes = std::fs::read(&file).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&file, &bytes).unwrap();
        let failure = check(&with(&file, Some(&genesis))).unwrap_err().to_string();
        assert!(failure.starts_with("BROKEN at item"), "{failure}");
        assert_eq!(run(&with(&file, Some(&genesis))), ExitCode::FAILURE);
        assert_eq!(run(&with(&file, None)), ExitCode::FAILURE);
    }
}
