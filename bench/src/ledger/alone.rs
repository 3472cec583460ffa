//! What a transaction costs one node without agreement: recovery of the sender, execution, commit, each
//! in one thread's CPU time. Their sum, once for every node, is the floor of a load through them all.

use super::work::{self, Kind, Work};
use super::{Figures, note};
use crate::clock;
use anyhow::{Result, ensure};
use ledger::machine::{BlockEnv, Executed, Machine};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use vitals::ledger::Tip;
use vitals::proof::header::BlockHeader;

/// Transactions of a block: about what a loaded leader takes.
const BLOCK: usize = 500;
const SYNCS: usize = 50;

#[derive(Default)]
struct Cost {
    transactions: f64,
    recover_s: f64,
    execute_s: f64,
    commit_s: f64,
    /// Wall clock of commits.
    durable_s: f64,
    blocks: f64,
    gas: f64,
}

pub(crate) fn measure(folder: &Path, counts: [usize; 3]) -> Result<Figures> {
    let mut out = Figures::new();
    let document = ledger::genesis::document(work::founding(1, ledger::EPOCH_BLOCKS)?);
    let machine = Machine::open(folder, &document)?;
    let mut work = Work::on(&document)?;
    block(&machine, &work.opening()?, &mut Cost::default())?;
    for (kind, count) in Kind::ALL.into_iter().zip(counts) {
        let load = work.load(kind, count)?;
        // The state grows over the first half: the second is what counts.
        let mut cost = Cost::default();
        for (at, some) in load.chunks(BLOCK).enumerate() {
            if at == load.len() / BLOCK / 2 {
                cost = Cost::default();
            }
            block(&machine, some, &mut cost)?;
        }
        let each_us = |seconds: f64| seconds * 1e6 / cost.transactions;
        let mut put = |what: &str, figure| note(&mut out, format!("{} {what}", kind.name()), figure);
        put("recover us", each_us(cost.recover_s));
        put("execute us", each_us(cost.execute_s));
        put("commit us", each_us(cost.commit_s));
        put("commit ms a block", cost.durable_s * 1e3 / cost.blocks);
        put("gas", cost.gas / cost.transactions);
    }
    let (cached, reads) = machine.node_memory();
    note(&mut out, "nodes read", reads as f64);
    note(&mut out, "nodes cached MB", cached as f64 / 1e6);
    note(&mut out, "sync ms", bare_sync_ms(folder)?);
    Ok(out)
}

fn block(machine: &Machine, txs: &[Vec<u8>], cost: &mut Cost) -> Result<()> {
    let tip = machine.tip();
    let parent = machine.view().snapshot();
    let env = BlockEnv { height: tip.height + 1, time_ms: clock::now_ms().max(tip.time_ms) };
    let cpu = clock::thread_cpu_s();
    for raw in txs {
        machine.check(raw)?;
    }
    let recovered = clock::thread_cpu_s();
    let executed = machine.execute(&parent, env, txs)?;
    let done = clock::thread_cpu_s();
    for receipt in &executed.receipts {
        ensure!(receipt.succeeded, "refused: {}", ledger::contracts::reason(&receipt.revert));
    }
    let header = header(&executed, env, tip);
    let (began, cpu_before) = (clock::instant(), clock::thread_cpu_s());
    machine.commit(&header, txs, &executed)?;
    cost.transactions += txs.len() as f64;
    cost.recover_s += recovered - cpu;
    cost.execute_s += done - recovered;
    cost.commit_s += clock::thread_cpu_s() - cpu_before;
    cost.durable_s += began.elapsed().as_secs_f64();
    cost.blocks += 1.0;
    cost.gas += executed.receipts.iter().map(|receipt| receipt.gas as f64).sum::<f64>();
    Ok(())
}

fn header(executed: &Executed, env: BlockEnv, parent: Tip) -> BlockHeader {
    BlockHeader {
        epoch: 0,
        view: env.height,
        leader: [3; 32],
        parent_view: parent.height,
        parent: parent.digest,
        height: env.height,
        time_ms: env.time_ms,
        state_root: executed.state_root,
        transactions_root: executed.transactions_root,
        receipts_root: executed.receipts_root,
        extra: [0; 32],
        committee: Vec::new(),
    }
}

/// Median of an append of a kilobyte and its `fdatasync`.
fn bare_sync_ms(folder: &Path) -> Result<f64> {
    let mut file = File::create(folder.join("bare"))?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let began = clock::instant();
        file.write_all(&[0x5a; 1024])?;
        file.sync_data()?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(clock::median(&mut times))
}
