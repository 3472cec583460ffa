//! Measures execution without consensus: `cargo run --release -p ledger --example execution`.
//!
//! One organisation registers a gateway and sensors, then anchors its log, 1,000 acts at a time.
//! Printed are microseconds a transaction: of this thread's CPU for signing and admission, for execution
//! where senders are known (the node that took the transactions) and where they are not; of wall clock
//! for the durable commit. Then reads, proofs and reopening.
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark reads the clock and prints")]

use ledger::account::{Account, address_of};
use ledger::genesis::{Founding, document};
use ledger::machine::{BlockEnv, Executed, Machine};
use ledger::pool::Pool;
use std::error::Error;
use std::time::{Duration, Instant};
use vitals::ids::{DeviceId, OrgId, sha256};
use vitals::ledger::{Act, DeviceKind, Fact};
use vitals::log::MerkleLog;
use vitals::proof::genesis::Founder;
use vitals::proof::header::BlockHeader;

const BATCH: u64 = 1_000;
const BATCHES: u64 = 20;
const SECRET: [u8; 32] = [1; 32];

fn main() -> Result<(), Box<dyn Error>> {
    let record_key = [2; 32];
    let founding = Founding {
        chain_id: 84_001,
        name: "benchmark".into(),
        time_ms: 1_800_000_000_000,
        epoch_blocks: 1_000,
        committee: vec![[3; 32]],
        operators: vec![OrgId::of(&record_key)],
        founders: vec![Founder { record_key, sender: address_of(&SECRET)? }],
        salt: [4; 32],
    };
    let genesis = document(founding);
    let org = OrgId::of(&record_key);
    let (dir, other_dir) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let machine = Machine::open(dir.path(), &genesis)?;
    let follower = Machine::open(other_dir.path(), &genesis)?;
    let pool = Pool::new(machine.clone());
    let account = Account::open(&SECRET, dir.path(), machine.clone(), pool.clone())?;

    let gateway = sha256(&[b"gateway"]);
    let via = DeviceId::of(&gateway);
    let kind = DeviceKind::Gateway;
    account.submit(&Act::Register { kind, key: gateway, wrap_key: [5; 32], via, binding: [0; 32] })?;
    blocks(&machine, &follower, &pool, &mut Times::default())?;

    let sensor_key = |n: u64| sha256(&[b"sensor", &n.to_be_bytes()]);
    let mut registers = Times::default();
    for b in 0..BATCHES {
        let start = cpu();
        for n in 0..BATCH {
            let (key, kind) = (sensor_key(b * BATCH + n), DeviceKind::Sensor);
            account.submit(&Act::Register { kind, key, wrap_key: [5; 32], via, binding: [6; 32] })?;
        }
        registers.submit += cpu() - start;
        blocks(&machine, &follower, &pool, &mut registers)?;
    }
    registers.print("register a sensor", BATCHES * BATCH);

    let mut log = MerkleLog::new();
    let mut anchors = Times::default();
    for _ in 0..BATCHES {
        let acts: Vec<Act> = (0..BATCH)
            .map(|_| {
                let old = log.size();
                for leaf in old..old + 1_000 {
                    log.push(sha256(&[&leaf.to_be_bytes()]));
                }
                let consistency = if old == 0 { None } else { log.consistency(old, log.size()) };
                let consistency = consistency.unwrap_or_default();
                Act::Anchor { size: log.size(), root: log.root(), consistency }
            })
            .collect();
        let start = cpu();
        for act in &acts {
            account.submit(act)?;
        }
        anchors.submit += cpu() - start;
        blocks(&machine, &follower, &pool, &mut anchors)?;
    }
    anchors.print("anchor 1,000 leaves", BATCHES * BATCH);

    let view = machine.view();
    let ids: Vec<_> = (0..1_000).map(|n| DeviceId::of(&sensor_key(n))).collect();
    let each = |what: &str, run: &dyn Fn(DeviceId) -> bool| {
        let start = Instant::now();
        let all = ids.iter().all(|id| run(*id));
        println!("{what}: {:.2} us", us(start.elapsed(), 1_000));
        assert!(all);
    };
    each("device, decoded from the trie", &|id| view.device(id).is_ok_and(|device| device.is_some()));
    each("device, remembered", &|id| view.device(id).is_ok_and(|device| device.is_some()));
    each("prove a device", &|id| view.prove(&[Fact::Device(id)]).len() == 1);
    each("prove an anchor", &|_| view.prove(&[Fact::Anchor(org)]).len() == 1);
    let bytes = |fact| {
        let proof = &view.prove(&[fact])[0];
        let slots: usize = proof.slots.iter().flat_map(|slot| &slot.nodes).map(Vec::len).sum();
        proof.nodes.iter().map(Vec::len).sum::<usize>() + slots
    };
    println!("proof bytes: device {}, anchor {}", bytes(Fact::Device(ids[0])), bytes(Fact::Anchor(org)));

    let tip = machine.tip();
    drop((view, account, pool, machine));
    let start = Instant::now();
    let machine = Machine::open(dir.path(), &genesis)?;
    println!("reopen with {} devices: {:.0} ms", BATCHES * BATCH, start.elapsed().as_secs_f64() * 1e3);
    assert_eq!(machine.tip(), tip);
    Ok(())
}

#[derive(Default)]
struct Times {
    submit: Duration,
    execute: Duration,
    execute_cold: Duration,
    commit: Duration,
    gas: u64,
}

impl Times {
    fn print(&self, what: &str, txs: u64) {
        println!(
            "{what}: sign and admit {:.1} us, execute {:.1} us (senders unknown {:.1} us), commit {:.1} us, {} gas a transaction",
            us(self.submit, txs),
            us(self.execute, txs),
            us(self.execute_cold, txs),
            us(self.commit, txs),
            self.gas / txs,
        );
    }
}

fn us(time: Duration, count: u64) -> f64 {
    time.as_secs_f64() * 1e6 / count as f64
}

fn blocks(
    machine: &Machine,
    follower: &Machine,
    pool: &Pool,
    times: &mut Times,
) -> Result<(), Box<dyn Error>> {
    while pool.waiting() > 0 {
        block(machine, follower, pool, times)?;
    }
    Ok(())
}

/// CPU time of this thread: neighbours on the machine do not count.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns = stat.split_whitespace().next().and_then(|ns| ns.parse().ok());
    Duration::from_nanos(ns.unwrap_or_default())
}

fn block(
    machine: &Machine,
    follower: &Machine,
    pool: &Pool,
    times: &mut Times,
) -> Result<(), Box<dyn Error>> {
    let tip = machine.tip();
    let parent = machine.view().snapshot();
    let txs = pool.next_batch(&parent);
    let env = BlockEnv { height: tip.height + 1, time_ms: tip.time_ms + 1_000 };
    let start = cpu();
    let executed = machine.execute(&parent, env, &txs)?;
    times.execute += cpu() - start;
    let start = cpu();
    let again = follower.execute(&follower.view().snapshot(), env, &txs)?;
    times.execute_cold += cpu() - start;
    assert_eq!(executed.state_root, again.state_root);
    assert!(executed.receipts.iter().all(|receipt| receipt.succeeded));
    times.gas += executed.receipts.iter().map(|receipt| receipt.gas).sum::<u64>();
    let header = header(&executed, env, tip.digest);
    let start = Instant::now();
    machine.commit(&header, &txs, &executed)?;
    times.commit += start.elapsed();
    follower.commit(&header, &txs, &again)?;
    pool.committed(&machine.view());
    Ok(())
}

fn header(executed: &Executed, env: BlockEnv, parent: [u8; 32]) -> BlockHeader {
    BlockHeader {
        epoch: 0,
        view: env.height,
        leader: [3; 32],
        parent_view: env.height - 1,
        parent,
        height: env.height,
        time_ms: env.time_ms,
        state_root: executed.state_root,
        transactions_root: executed.transactions_root,
        receipts_root: executed.receipts_root,
        extra: [0; 32],
        committee: Vec::new(),
    }
}
