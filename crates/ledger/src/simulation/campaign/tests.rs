#![allow(clippy::disallowed_methods, reason = "a campaign says how long it took")]

use super::*;
use parking_lot::Mutex;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{atomic::AtomicU64, atomic::Ordering},
    time::Instant,
};

/// Scenarios run by `make test`.
const FEW: u64 = 12;

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().filter(|text| !text.is_empty()).map(|text| text.parse().unwrap())
}

/// Runs a plan. A panic of the engine counts as a violation.
fn run_catching_panics(plan: &Plan) -> Result<RunResult, Violation> {
    catch_unwind(AssertUnwindSafe(|| run_plan(plan))).unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().cloned();
        let message = message.or_else(|| panic.downcast_ref::<&str>().map(|message| (*message).to_owned()));
        Err(format!("panic: {}", message.unwrap_or_default()))
    })
}

#[test]
fn no_scenario_of_the_campaign_violates_an_invariant() {
    if let Some(seed) = from_env("ACESO_SIM_SEED") {
        let plan = Plan::draw(seed);
        println!("{plan}");
        // RUST_LOG=debug shows what the engine did.
        let log = tracing_subscriber::EnvFilter::from_default_env();
        let log = tracing_subscriber::fmt().with_env_filter(log).without_time().with_ansi(false);
        let _ = log.try_init();
        let result = run_catching_panics(&plan);
        println!("{result:#?}");
        assert!(result.is_ok());
        return;
    }
    let from = from_env("ACESO_SIM_FROM").unwrap_or(0);
    let until = from + from_env("ACESO_SIM_SEEDS").unwrap_or(FEW);
    let (next, start) = (AtomicU64::new(from), Instant::now());
    let sum = Mutex::new((RunResult::default(), 0u64, 0u64, Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..from_env("ACESO_SIM_THREADS").unwrap_or(2) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= until {
                        return;
                    }
                    let plan = Plan::draw(seed);
                    let result = run_catching_panics(&plan);
                    let mut sum = sum.lock();
                    match result {
                        Ok(result) => {
                            sum.0.blocks += result.blocks;
                            sum.0.transactions += result.transactions;
                            sum.0.certificates += result.certificates;
                            sum.0.evidence += result.evidence;
                            sum.0.simulated_ms += result.simulated_ms;
                            sum.0.healed_ms = sum.0.healed_ms.max(result.healed_ms);
                        }
                        Err(why) => {
                            println!("VIOLATED: {why}\n{plan}");
                            sum.3.push(seed);
                        }
                    }
                    sum.1 += 1;
                    sum.2 += u64::from(plan.byzantine.is_some());
                    if sum.1.is_multiple_of(50) {
                        println!("{} scenarios, {:?}, violated by {:?}", sum.1, start.elapsed(), sum.3);
                    }
                }
            });
        }
    });
    let (sum, scenarios, byzantine, violated) = sum.into_inner();
    println!(
        "{scenarios} scenarios ({byzantine} with a Byzantine validator, convicted by {} pieces of evidence), {} simulated hours in {:?}: {} \
         blocks, {} transactions, {} certificates checked; healed within {} ms",
        sum.evidence,
        sum.simulated_ms / 3_600_000,
        start.elapsed(),
        sum.blocks,
        sum.transactions,
        sum.certificates,
        sum.healed_ms
    );
    assert!(violated.is_empty(), "seeds {violated:?}: `make sim SEED=n` runs one again");
}

#[test]
fn validator_catching_up_does_not_block_a_bare_quorum() {
    // It rejected a block that a quorum had accepted, because the chain moved on while it fetched ancestors.
    for seed in [127, 148, 339, 382, 446, 480, 758, 790, 976] {
        let plan = Plan::draw(seed);
        assert!(run_catching_panics(&plan).is_ok(), "{plan}");
    }
}

#[test]
fn a_campaign_seed_gives_the_same_result_twice() {
    let plan = Plan::draw(3);
    let first = run_catching_panics(&plan);
    assert!(first.is_ok());
    assert_eq!(first, run_catching_panics(&plan));
}

#[test]
fn two_byzantine_of_four_split_the_ledger_and_the_checker_reports_it() {
    let plan = Plan { byzantine: None, steps: Vec::new(), ..Plan::draw(0) };
    let memory = tempfile::tempdir().unwrap();
    let mut scenario = Scenario::new(plan, memory.path());
    let ended = deterministic::Runner::new(deterministic::Config::new().with_seed(0))
        .start(async |context| Cluster::open(&context, &mut scenario).run_with_two_byzantine().await);
    let why = ended.expect_err("the broken rule is caught");
    assert!(why.contains("two blocks are final at height"), "{why}");
    println!("caught: {why}");
}
