//! One command, one table: how fast a node admits, beside what it cannot do without and beside what
//! people use instead. `--help` names the options.

mod admission;
mod bedside;
mod clock;
mod fill;
mod generator;
mod growth;
mod hospital;
mod ledger;
mod node;
mod peers;
mod plain;
mod primitives;
mod table;
mod unopened;
mod wardrun;

use anyhow::{Context, Result};
use std::path::PathBuf;
use table::Row;

/// The parts of the table, as `--only` names them.
const PARTS: [&str; 5] = ["admission", "ward", "growth", "fill", "ledger"];

const USAGE: &str = "usage: bench [--quick] [--only=PART[,PART]]

Prints one Markdown table. Without options it takes some minutes on two cores.

  --quick       measures less of everything; takes about a minute and a half
  --only=PARTS  only these parts: admission, ward, growth, fill, ledger

ACESO_BINARY=FILE measures another aceso than the one beside this program.";

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    pub(crate) quick: bool,
    /// Gateways, each with a connection.
    pub(crate) gateways: usize,
    /// Sensors of each gateway. Signatures of one author are cheaper together, so there are as many
    /// authors as in a large hospital.
    pub(crate) sensors: usize,
    pub(crate) patients: usize,
    /// Envelopes of one run.
    pub(crate) envelopes: usize,
    pub(crate) runs: usize,
}

impl Scale {
    const FULL: Self =
        Self { quick: false, gateways: 128, sensors: 8, patients: 64, envelopes: 65_536, runs: 3 };
    const QUICK: Self =
        Self { quick: true, gateways: 64, sensors: 8, patients: 16, envelopes: 24_576, runs: 1 };
}

/// What was wanted on the command line.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    quick: bool,
    parts: Vec<&'static str>,
}

/// Reads the options; none if help was wanted.
fn read_options(options: &[String]) -> Result<Option<Wanted>> {
    let mut wanted = Wanted { quick: false, parts: PARTS.to_vec() };
    for option in options {
        match option.as_str() {
            "--help" | "-h" => return Ok(None),
            "--quick" => wanted.quick = true,
            other => {
                let named = other.strip_prefix("--only=");
                let named = named.with_context(|| format!("unknown option {other}\n\n{USAGE}"))?;
                let part = |name: &str| PARTS.into_iter().find(|part| *part == name);
                let parts: Option<Vec<_>> = named.split(',').map(part).collect();
                wanted.parts = parts.with_context(|| format!("unknown part in {other}\n\n{USAGE}"))?;
            }
        }
    }
    Ok(Some(wanted))
}

/// The `aceso` of the same build, unless another is named.
fn binary() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("ACESO_BINARY") {
        return Ok(named.into());
    }
    let beside = std::env::current_exe()?.with_file_name("aceso");
    anyhow::ensure!(beside.is_file(), "{} is not there: build it first (make build)", beside.display());
    Ok(beside)
}

#[allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints")]
fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [part, patients, envelopes] = words.as_slice()
        && part == "growth-child"
    {
        return growth::child(patients.parse()?, envelopes.parse()?);
    }
    if let [part, name, rest @ ..] = words.as_slice()
        && part == "ledger-child"
    {
        return ledger::child(name, rest.iter().any(|word| word == "--quick"));
    }
    let Some(Wanted { quick, parts }) = read_options(&words)? else {
        println!("{USAGE}");
        return Ok(());
    };
    let scale = if quick { Scale::QUICK } else { Scale::FULL };
    let wanted = |part: &str| parts.contains(&part);
    let folder = tempfile::Builder::new().prefix("aceso-bench-").tempdir().context("a folder to work in")?;
    let (load, cores) = clock::load();
    let began = clock::instant();
    let mut rows: Vec<Row> = Vec::new();
    if wanted("admission") {
        rows.extend(admission::measure(&binary()?, folder.path(), scale)?);
    }
    if wanted("ward") {
        rows.extend(wardrun::measure(&binary()?.with_file_name("aceso-ward"), folder.path(), scale.quick)?);
    }
    if wanted("growth") {
        rows.extend(growth::measure(scale.quick)?);
    }
    if wanted("fill") {
        rows.extend(fill::measure()?);
    }
    if wanted("ledger") {
        rows.extend(ledger::measure(scale.quick)?);
    }
    println!("{}", table::markdown(&rows));
    println!(
        "{cores} processors, the load generator on the same ones; load average {load} before, {} after; {:.0} s.",
        clock::load().0,
        began.elapsed().as_secs_f64()
    );
    Ok(())
}
