//! The ledger: how fast blocks and transactions become final through 1, 4 and 7 validators, what that
//! costs, and what a node without agreement and anvil do with the same acts in the same run.
//!
//! Each part runs in a process of its own, so that memory and CPU are that part's alone; all validators
//! of a part share its process and the machine's processors, and have folders and links of their own.

mod alone;
mod anvil;
mod several;
mod stage;
mod work;

use crate::clock;
use crate::table::{Row, thousands};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use work::Kind;

pub(crate) type Figures = BTreeMap<String, f64>;

pub(crate) fn note(figures: &mut Figures, what: impl Into<String>, figure: f64) {
    figures.insert(what.into(), figure);
}

/// Transactions of each kind: registrations, anchors, consents.
fn counts(quick: bool) -> [usize; 3] {
    if quick { [4_000, 4_000, 1_000] } else { [24_000, 16_000, 4_000] }
}

/// One part, measured in this process; prints its figures for the parent.
#[allow(clippy::print_stdout, reason = "standard output is how a child answers")]
pub(crate) fn child(part: &str, quick: bool) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("aceso-bench-").tempdir()?;
    let counts = counts(quick);
    let figures = match part {
        "alone" => alone::measure(folder.path(), counts)?,
        "load" => several::load(folder.path(), counts, quick)?,
        "anvil" => match anvil::program() {
            // Its rate does not depend on how many: it keeps its state in memory.
            Some(program) => anvil::measure(&program, self::counts(true))?,
            None => Figures::new(),
        },
        "proof" => several::proof(folder.path())?,
        other => match other.strip_prefix("pace-").and_then(|validators| validators.parse().ok()) {
            Some(validators) => several::pace(folder.path(), validators, quick)?,
            None => bail!("no part is called {other}"),
        },
    };
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}

#[allow(clippy::print_stderr, reason = "minutes pass: one sees what is being done")]
fn part(name: &str, quick: bool) -> Result<Figures> {
    eprintln!("ledger: {name}");
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["ledger-child", name]).stderr(Stdio::inherit());
    if quick {
        command.arg("--quick");
    }
    let output = command.output()?;
    ensure!(output.status.success(), "the part {name} of the ledger's bench failed");
    serde_json::from_slice(&output.stdout).with_context(|| format!("the figures of {name}"))
}

fn of(figures: &Figures, what: &str) -> f64 {
    figures.get(what).copied().unwrap_or(f64::NAN)
}

fn spread(figures: &Figures, what: &str) -> String {
    let p = |share: &str| of(figures, &format!("{what} {share}"));
    format!("p50 {:.1} ms, p99 {:.1} ms", p("p50"), p("p99"))
}

fn pace_rows(rows: &mut Vec<Row>, quick: bool) -> Result<()> {
    for validators in [1, 4, 7] {
        let figures = part(&format!("pace-{validators}"), quick)?;
        let idle = of(&figures, "idle blocks/s");
        rows.push(Row::new(
            format!("blocks/s with n = {validators}, a transaction every 4 ms"),
            format!("{:.1}; idle {idle:.1}", of(&figures, "busy blocks/s")),
        ));
        let final_ = Row::new(
            format!("finality with n = {validators}, at the submitting node, one at a time"),
            spread(&figures, "final here"),
        )
        .note(format!("at the last of all: {}", spread(&figures, "final everywhere")));
        let p50 = of(&figures, "final here p50");
        rows.push(if validators == 4 { final_.goal("p50 ≤ 30 ms", p50 <= 30.0) } else { final_ });
    }
    Ok(())
}

/// CPU of one node alone for one transaction, and the transactions a second that `cores` could do if
/// `nodes` did nothing but recover, execute and commit.
fn floor(alone: &Figures, kind: Kind, nodes: f64, cores: f64) -> (f64, f64) {
    let us = |what: &str| of(alone, &format!("{} {what} us", kind.name()));
    let sum = us("recover") + us("execute") + us("commit");
    (sum, cores * 1e6 / (sum * nodes))
}

fn alone_row(alone: &Figures, kind: Kind) -> Row {
    let one = |what: &str| of(alone, &format!("{} {what}", kind.name()));
    let (sum, _) = floor(alone, kind, 1.0, 1.0);
    Row::new(
        format!("one node without agreement, {} ({:.0} gas)", kind.words(), one("gas")),
        format!("{sum:.1} µs of CPU each"),
    )
    .note(format!(
        "recovery of the sender {:.1}, execution {:.1}, commit {:.1}; 500 are durable after {:.1} ms, a bare fdatasync takes {:.1} ms",
        one("recover us"),
        one("execute us"),
        one("commit us"),
        one("commit ms a block"),
        of(alone, "sync ms"),
    ))
}

fn load_rows(rows: &mut Vec<Row>, quick: bool, cores: f64) -> Result<()> {
    let alone = part("alone", quick)?;
    let load = part("load", quick)?;
    // Somebody else's program: what it does not do ends nothing here.
    let (anvil, missing) = match part("anvil", quick) {
        Ok(anvil) if anvil.is_empty() => (anvil, "anvil: not installed (scripts/install-test-tools.sh)"),
        Ok(anvil) => (anvil, ""),
        Err(_) => (Figures::new(), "anvil: it did not finish, see above"),
    };
    for (kind, count) in Kind::ALL.into_iter().zip(counts(quick)) {
        let figure = |what: &str| of(&load, &format!("{} {what}", kind.name()));
        rows.push(alone_row(&alone, kind));
        let (_, most) = floor(&alone, kind, 4.0, cores);
        let rate = figure("tx/s");
        let row = Row::new(
            format!("**{} end to end through 4 validators**", kind.words()),
            format!("{}/s, {:.0} in a block", thousands(rate), count as f64 / figure("blocks")),
        )
        .beside(
            format!("4 × recovery + execution + commit on {cores} cores: {}/s", thousands(most)),
            rate / most,
        );
        rows.push(row.goal("≥ 3,000/s", rate >= 3_000.0));
        let row = Row::new(
            format!("the same, CPU of one node for one of the {}", kind.words()),
            format!(
                "{:.0} µs; {:.1} cores in use; block to durable {}",
                figure("cpu us"),
                figure("cores"),
                spread(&load, &format!("{} block", kind.name()))
            ),
        );
        rows.push(match anvil.get(kind.name()) {
            Some(theirs) => row.beside(
                format!("anvil, alone, no disk, JSON batches of {}: {}/s", anvil::BATCH, thousands(*theirs)),
                rate / theirs,
            ),
            None => row.note(missing),
        });
        rows.push(
            Row::new(
                format!("disk for one of the {}", kind.words()),
                format!("{:.0} bytes at each node", figure("state bytes") + figure("journal bytes")),
            )
            .note(format!(
                "state, trie, block, receipt {:.0}; blocks, votes and certificates of consensus {:.0}",
                figure("state bytes"),
                figure("journal bytes")
            )),
        );
    }
    rows.push(
        Row::new(
            "consent by its hospital's node, one at a time, 4 validators",
            spread(&load, "consent here"),
        )
        .note(format!("at the last of all: {}", spread(&load, "consent everywhere"))),
    );
    let one = |what: &str| of(&load, what);
    rows.push(
        Row::new("memory of a node after these loads", format!("{:.0} MB", one("loaded MB"))).note(format!(
            "when it has started: {:.0} MB; a quarter of four in one process",
            one("fresh MB")
        )),
    );
    let (blocks, transactions, seconds) = (one("away blocks"), one("away transactions"), one("caught up s"));
    rows.push(
        Row::new(
            format!(
                "one of four back after {} blocks, {} transactions",
                thousands(blocks),
                thousands(transactions)
            ),
            format!(
                "{seconds:.1} s: {} blocks/s, {}/s",
                thousands(blocks / seconds),
                thousands(transactions / seconds)
            ),
        )
        .note(format!(
            "its start {:.1} s of that; three without it did {}/s",
            one("start s"),
            thousands(one("three tx/s"))
        )),
    );
    Ok(())
}

fn proof_rows(rows: &mut Vec<Row>, quick: bool) -> Result<()> {
    let proof = part("proof", quick)?;
    for (what, words) in [
        ("proof", "proof of a log head, 4 validators"),
        ("proof after a change", "the same across one change of the committee"),
    ] {
        let figure = |unit: &str| of(&proof, &format!("{what} {unit}"));
        rows.push(Row::new(
            words,
            format!("{} bytes, checked in {:.0} µs", thousands(figure("bytes")), figure("us")),
        ));
    }
    Ok(())
}

/// All of it. `place` is where the folders are.
pub(crate) fn measure(quick: bool) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let (_, cores) = clock::load();
    pace_rows(&mut rows, quick)?;
    load_rows(&mut rows, quick, cores as f64)?;
    proof_rows(&mut rows, quick)?;
    let place = std::env::temp_dir();
    let kind = if in_memory(&place) { "in memory, which is no disk: set TMPDIR" } else { "a disk" };
    rows.push(Row::new("where the ledger's folders were", place.display().to_string()).note(kind));
    Ok(rows)
}

/// Is this folder in memory?
fn in_memory(folder: &Path) -> bool {
    const TMPFS: i64 = 0x0102_1994;
    rustix::fs::statfs(folder).is_ok_and(|about| about.f_type == TMPFS)
}
