//! One command, one table: how fast a node admits, beside what it cannot do without and beside what
//! people use instead. `--quick` takes under a minute and measures less of everything.

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
    let has = |word: &str| words.iter().any(|one| one == word);
    let scale = if has("--quick") { Scale::QUICK } else { Scale::FULL };
    let only = words.iter().find_map(|word| word.strip_prefix("--only="));
    let wanted = |part: &str| only.is_none_or(|only| only.split(',').any(|one| one == part));
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
