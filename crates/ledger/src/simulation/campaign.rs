//! Many scenarios, each drawn from a seed: four organisations, bad links, crashes, partitions, power cuts,
//! a Byzantine validator, a changing committee. The invariants are checked throughout.
//!
//! `make sim` runs a thousand scenarios, `make sim SEED=n` one of them.

mod cluster;
mod plan;
mod scenario;

mod invariants;
mod tests;

use super::{seed as validator_seed, *};
use cluster::Cluster;
use consensus_sim::deterministic::Runner;
use invariants::InvariantChecker;
use plan::{Event, Misbehaviour, Plan, Step};
use scenario::Scenario;

/// Organisations, each with a founding validator.
const FOUNDERS: usize = 4;
/// Longest simulated time from the last fault until every honest node has new blocks and every
/// transaction is settled.
const HEAL_MS_MAX: u64 = 60_000;
/// Longest simulated time from there until the committee has changed as voted.
const CHANGE_MS_MAX: u64 = 120_000;

/// The invariant that was violated, and where.
type Violation = String;

/// The result of a scenario. The same seed gives the same result, to the last bit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct RunResult {
    /// The runtime's audit state at the end of each run between power cuts.
    fingerprint: Vec<String>,
    blocks: u64,
    transactions: u64,
    certificates: u64,
    /// Pieces of evidence against the Byzantine validator.
    evidence: u64,
    /// Simulated milliseconds from the last fault until every node agreed again.
    healed_ms: u64,
    simulated_ms: u64,
}

fn run_plan(plan: &Plan) -> Result<RunResult, Violation> {
    let memory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let mut scenario = Scenario::new(plan.clone(), memory.path());
    let config = deterministic::Config::new()
        .with_seed(plan.seed)
        .with_timeout(Some(Duration::from_secs(3600)))
        .with_storage_fault_config(plan.disks());
    let mut runner = Runner::new(config);
    let mut starts = plan.steps.split_inclusive(|step| matches!(step.event, Event::PowerCut));
    loop {
        let steps = starts.next().unwrap_or_default();
        let cut = steps.last().is_some_and(|step| matches!(step.event, Event::PowerCut));
        let (ended, checkpoint) = runner.start_and_recover(async |context| {
            let ended = Cluster::open(&context, &mut scenario).run(steps, !cut).await;
            scenario.result.fingerprint.push(context.auditor().state());
            ended
        });
        ended?;
        if !cut {
            return Ok(scenario.result);
        }
        runner = Runner::from(checkpoint);
    }
}
