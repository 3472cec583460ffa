//! Many stories, each drawn from a seed: four organisations, bad weather, crashes, partitions, power
//! cuts, a validator that lies, a committee that changes; and what must always hold, checked throughout.
//!
//! `make sim` tells a thousand, `make sim SEED=n` one of them.

mod plan;
mod stage;

mod tests;
mod witness;

use super::{seed as validator_seed, *};
use consensus_sim::deterministic::Runner;
use plan::{Event, Lie, Plan, Scene};
use stage::{Stage, World};
use witness::Witness;

/// Organisations, each with a founding validator.
const FOUNDERS: usize = 4;
/// From the last harm to new blocks on every honest node, and every transaction settled: simulated time.
const HEAL_MS_MAX: u64 = 60_000;
/// From there to a committee that changed as voted.
const CHANGE_MS_MAX: u64 = 120_000;

/// What does not hold, and where.
type Violation = String;

/// What a story came to. The same seed gives the same, to the last bit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Told {
    /// What the runtime saw, life by life.
    fingerprint: Vec<String>,
    blocks: u64,
    transactions: u64,
    certificates: u64,
    /// Pieces of evidence against the liar.
    evidence: u64,
    /// Simulated milliseconds from the last harm to everybody agreeing on everything.
    healed_ms: u64,
    simulated_ms: u64,
}

fn tell(plan: &Plan) -> Result<Told, Violation> {
    let memory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let mut world = World::found(plan.clone(), memory.path());
    let config = deterministic::Config::new()
        .with_seed(plan.seed)
        .with_timeout(Some(Duration::from_secs(3600)))
        .with_storage_fault_config(plan.disks());
    let mut runner = Runner::new(config);
    let mut lives = plan.scenes.split_inclusive(|scene| matches!(scene.event, Event::PowerCut));
    loop {
        let scenes = lives.next().unwrap_or_default();
        let cut = scenes.last().is_some_and(|scene| matches!(scene.event, Event::PowerCut));
        let (ended, checkpoint) = runner.start_and_recover(async |context| {
            let ended = Stage::open(&context, &mut world).live(scenes, !cut).await;
            world.told.fingerprint.push(context.auditor().state());
            ended
        });
        ended?;
        if !cut {
            return Ok(world.told);
        }
        runner = Runner::from(checkpoint);
    }
}
