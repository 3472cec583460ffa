//! How old a value is when it is seen, and when it is proven: from the report of a whole ward.

use crate::table::Row;
use anyhow::{Context, Result};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

pub(crate) fn measure(ward: &Path, folder: &Path, quick: bool) -> Result<Vec<Row>> {
    let report = folder.join("report.json");
    let status = Command::new(ward)
        .args(["--patients", "3", "--duration", if quick { "8s" } else { "20s" }, "--report"])
        .arg(&report)
        .env("RUST_LOG", "warn")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    anyhow::ensure!(status.success(), "the ward's run was not complete");
    let report: Value = serde_json::from_slice(&std::fs::read(&report)?)?;
    let mut rows = Vec::new();
    for (what, field) in [
        ("seal → live, in a ward of three", "sealed_to_live_ms"),
        ("seal → final on the ledger", "sealed_to_final_ms"),
    ] {
        let of = &report["node"][field];
        let figure = |name: &str| of[name].as_f64().with_context(|| format!("{field}.{name} in the report"));
        rows.push(Row::new(what, format!("p50 {:.0} ms, p99 {:.0} ms", figure("p50")?, figure("p99")?)));
    }
    Ok(rows)
}
