//! Validators that agree: the pace of blocks, the time to finality, a full load, a proof, a node that
//! was away.

use super::stage::{Run, Stage};
use super::work::{AT_NODES, Kind, SENDERS, Work};
use super::{Figures, note};
use crate::clock;
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::time::Duration;
use vitals::governance::Motion;
use vitals::ledger::{Act, Fact, Ledger};
use vitals::proof::LedgerProof;
use vitals::proof::chain::verify_header;
use vitals::proof::contracts::read_anchor;

/// Between two transactions of a trickle.
const TRICKLE: Duration = Duration::from_millis(4);
/// Checks of one proof.
const CHECKS: usize = 200;
/// A change of the committee acts within this many blocks of its proposal.
const SHORT_EPOCH: u64 = 16;

fn spread(out: &mut Figures, what: &str, mut times: Vec<f64>) {
    times.sort_by(f64::total_cmp);
    note(out, format!("{what} p50"), clock::quantile(&times, 0.5));
    note(out, format!("{what} p99"), clock::quantile(&times, 0.99));
}

/// Every node's own hospital and all senders have what they need.
fn furnish(stage: &Stage, work: &mut Work) -> Result<()> {
    for at in 0..stage.validators() {
        for act in work.first(at)? {
            stage.act(at, act)?;
        }
    }
    stage.run(&work.opening()?)?;
    Ok(())
}

/// Acts of the nodes in turn, one at a time.
fn one_by_one(
    out: &mut Figures,
    what: &str,
    stage: &Stage,
    work: &mut Work,
    kind: Kind,
    rounds: usize,
) -> Result<()> {
    let (mut here, mut everywhere) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let at = round % stage.validators();
        let (own, all) = stage.act(at, work.next(at, kind)?)?;
        here.push(own);
        everywhere.push(all);
    }
    spread(out, &format!("{what} here"), here);
    spread(out, &format!("{what} everywhere"), everywhere);
    Ok(())
}

/// Blocks a second while nothing is sent.
fn idle(stage: &Stage, seconds: u64) -> f64 {
    let (height, began) = (stage.height(), clock::instant());
    clock::pause(Duration::from_secs(seconds));
    (stage.height() - height) as f64 / began.elapsed().as_secs_f64()
}

/// One transaction after the other through the nodes in turn, whatever becomes of them; blocks a second.
fn trickle(stage: &Stage, work: &mut Work, seconds: u64) -> Result<f64> {
    let load = work.load(
        Kind::Register,
        usize::try_from(Duration::from_secs(seconds).as_millis() / TRICKLE.as_millis())?,
    )?;
    let nodes: Vec<_> = stage.living().collect();
    let before = nodes[0].stats().transactions;
    let (height, began) = (stage.height(), clock::instant());
    for (turn, raw) in load.iter().enumerate() {
        nodes[turn % SENDERS % nodes.len()].pool().submit(raw.as_slice())?;
        clock::pause((TRICKLE * u32::try_from(turn + 1)?).saturating_sub(began.elapsed()));
    }
    let pace = (stage.height() - height) as f64 / began.elapsed().as_secs_f64();
    stage.until("a trickle", |_| {
        nodes.iter().all(|chain| chain.tip().height >= nodes[0].tip().height)
            && nodes[0].stats().transactions - before >= load.len() as u64
    })?;
    Ok(pace)
}

/// So many validators: pace and finality.
pub(crate) fn pace(folder: &Path, validators: usize, quick: bool) -> Result<Figures> {
    let (stage, mut work) = Stage::open(folder, validators, ledger::EPOCH_BLOCKS)?;
    furnish(&stage, &mut work)?;
    let mut out = Figures::new();
    let (seconds, rounds) = if quick { (3, 60) } else { (6, 400) };
    note(&mut out, "idle blocks/s", idle(&stage, seconds));
    one_by_one(&mut out, "final", &stage, &mut work, Kind::Anchor, rounds)?;
    note(&mut out, "busy blocks/s", trickle(&stage, &mut work, seconds)?);
    Ok(out)
}

fn ran(out: &mut Figures, kind: Kind, run: &Run, count: usize, nodes: usize) {
    let mut put = |what: &str, figure| note(out, format!("{} {what}", kind.name()), figure);
    put("tx/s", count as f64 / run.seconds);
    put("blocks", run.blocks as f64);
    put("cpu us", run.cpu_s * 1e6 / (count * nodes) as f64);
    put("cores", run.cpu_s / run.seconds);
}

/// Four validators under full load, then with one that was away.
pub(crate) fn load(folder: &Path, counts: [usize; 3], quick: bool) -> Result<Figures> {
    const NODES: usize = 4;
    let mut out = Figures::new();
    let before = clock::resident_bytes(std::process::id());
    let (mut stage, mut work) = Stage::open(folder, NODES, ledger::EPOCH_BLOCKS)?;
    furnish(&stage, &mut work)?;
    let fresh = clock::resident_bytes(std::process::id());
    note(&mut out, "fresh MB", fresh.saturating_sub(before) as f64 / NODES as f64 / 1e6);
    for (kind, count) in Kind::ALL.into_iter().zip(counts) {
        let (state, journals) = stage.disk()?;
        let load = work.load(kind, count)?;
        let run = stage.run(&load)?;
        ran(&mut out, kind, &run, count, NODES);
        stage.succeeded(&load)?;
        let times = stage.chain(0).stats().finality_ms;
        let blocks = usize::try_from(run.blocks)?.min(times.len());
        let times = times[times.len() - blocks..].iter().map(|ms| *ms as f64).collect();
        spread(&mut out, &format!("{} block", kind.name()), times);
        let (state_after, journals_after) = stage.disk()?;
        let each = |bytes: u64| bytes as f64 / (count * NODES) as f64;
        note(&mut out, format!("{} state bytes", kind.name()), each(state_after.saturating_sub(state)));
        note(
            &mut out,
            format!("{} journal bytes", kind.name()),
            each(journals_after.saturating_sub(journals)),
        );
    }
    let loaded = clock::resident_bytes(std::process::id());
    note(&mut out, "loaded MB", loaded.saturating_sub(before) as f64 / NODES as f64 / 1e6);
    let rounds = if quick { 60 } else { 400 };
    one_by_one(&mut out, "consent", &stage, &mut work, Kind::Grant, rounds)?;

    stage.stop(NODES - 1);
    let missed = counts[0] / 2;
    let load = work.load(Kind::Register, missed)?;
    let left = (stage.height(), stage.chain(0).stats().transactions);
    let run = stage.run(&load)?;
    note(&mut out, "three tx/s", missed as f64 / run.seconds);
    note(&mut out, "three blocks/s", trickle(&stage, &mut work, if quick { 4 } else { 20 })?);
    let began = clock::instant();
    stage.start(NODES - 1)?;
    note(&mut out, "start s", began.elapsed().as_secs_f64());
    stage.until("catching up", |stage| stage.chain(NODES - 1).tip().height + 1 >= stage.height())?;
    let seconds = began.elapsed().as_secs_f64();
    let blocks = (stage.height() - left.0) as f64;
    let transactions = (stage.chain(0).stats().transactions - left.1) as f64;
    note(&mut out, "away blocks", blocks);
    note(&mut out, "away transactions", transactions);
    note(&mut out, "caught up s", seconds);
    Ok(out)
}

/// A log head's proof, its length and what checking it costs, before and after a committee changed.
pub(crate) fn proof(folder: &Path) -> Result<Figures> {
    let (stage, mut work) = Stage::open(folder, 4, SHORT_EPOCH)?;
    furnish(&stage, &mut work)?;
    let mut out = Figures::new();
    stage.act(0, work.next(0, Kind::Anchor)?)?;
    checked(&mut out, "proof", &stage, 0)?;
    let key = stage.document.committee[3];
    let leaving = (0..4).find(|at| ledger::validator_key(&super::work::validator(*at)) == Some(key));
    let leaving = leaving.context("a validator of ours")?;
    let voters: Vec<usize> = (0..4).filter(|at| *at != leaving).collect();
    stage.act(voters[0], Act::Propose(Motion::RemoveValidator { key }))?;
    let proposals = stage.chain(voters[0]).view().proposals(1)?;
    let proposal = proposals.first().context("the proposal")?.id;
    for voter in &voters[1..] {
        stage.act(*voter, Act::Vote { proposal })?;
    }
    for _ in 0..8 * SHORT_EPOCH {
        stage.act(voters[0], work.next(voters[0], Kind::Anchor)?)?;
        if prove(&stage, voters[0])?.changes.is_some_and(|changes| !changes.is_empty()) {
            return checked(&mut out, "proof after a change", &stage, voters[0]).map(|()| out);
        }
    }
    anyhow::bail!("the committee does not change")
}

fn prove(stage: &Stage, at: usize) -> Result<LedgerProof> {
    Ok(stage.chain(at).prove(&[Fact::Anchor(super::work::org(at))])?)
}

fn checked(out: &mut Figures, what: &str, stage: &Stage, at: usize) -> Result<()> {
    let bytes = prove(stage, at)?.encode();
    let (document, org) = (&stage.document, super::work::org(at));
    let before = clock::thread_cpu_s();
    for _ in 0..CHECKS {
        let proof = LedgerProof::decode(&bytes)?;
        let header = verify_header(document, &proof)?;
        let account = proof.accounts.first().context("an account")?;
        let anchor = read_anchor(&header.state_root, document, org, account)?;
        ensure!(anchor.is_some(), "the proof shows no anchor");
    }
    let each_us = (clock::thread_cpu_s() - before) * 1e6 / CHECKS as f64;
    note(out, format!("{what} bytes"), bytes.len() as f64);
    note(out, format!("{what} us"), each_us);
    Ok(())
}

const _: () = assert!(AT_NODES >= 7, "every node has a hospital of its own");
