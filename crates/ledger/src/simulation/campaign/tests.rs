#![allow(clippy::disallowed_methods, reason = "a campaign says how long it took")]

use super::*;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, atomic::AtomicU64, atomic::Ordering},
    time::Instant,
};

/// Stories in `make test`.
const FEW: u64 = 12;

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().filter(|text| !text.is_empty()).map(|text| text.parse().unwrap())
}

/// Tells it; a panic of the engine is a violation too.
fn told(plan: &Plan) -> Result<Told, Violation> {
    catch_unwind(AssertUnwindSafe(|| tell(plan))).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|said| (*said).to_owned()));
        Err(format!("panic: {}", said.unwrap_or_default()))
    })
}

#[test]
fn no_story_of_the_campaign_breaks_what_must_always_hold() {
    if let Some(seed) = asked("ACESO_SIM_SEED") {
        let plan = Plan::draw(seed);
        println!("{plan}");
        // RUST_LOG=debug tells what the engine thought.
        let log = tracing_subscriber::EnvFilter::from_default_env();
        let log = tracing_subscriber::fmt().with_env_filter(log).without_time().with_ansi(false);
        let _ = log.try_init();
        let told = told(&plan);
        println!("{told:#?}");
        assert!(told.is_ok());
        return;
    }
    let from = asked("ACESO_SIM_FROM").unwrap_or(0);
    let until = from + asked("ACESO_SIM_SEEDS").unwrap_or(FEW);
    let (next, start) = (AtomicU64::new(from), Instant::now());
    let sum = Mutex::new((Told::default(), 0u64, 0u64, Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..asked("ACESO_SIM_THREADS").unwrap_or(2) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= until {
                        return;
                    }
                    let plan = Plan::draw(seed);
                    let told = told(&plan);
                    let mut sum = sum.lock().unwrap();
                    match told {
                        Ok(told) => {
                            sum.0.blocks += told.blocks;
                            sum.0.transactions += told.transactions;
                            sum.0.certificates += told.certificates;
                            sum.0.evidence += told.evidence;
                            sum.0.simulated_ms += told.simulated_ms;
                            sum.0.healed_ms = sum.0.healed_ms.max(told.healed_ms);
                        }
                        Err(why) => {
                            println!("VIOLATED: {why}\n{plan}");
                            sum.3.push(seed);
                        }
                    }
                    sum.1 += 1;
                    sum.2 += u64::from(plan.liar.is_some());
                    if sum.1.is_multiple_of(50) {
                        println!("{} told, {:?}, violated by {:?}", sum.1, start.elapsed(), sum.3);
                    }
                }
            });
        }
    });
    let (sum, stories, liars, violated) = sum.into_inner().unwrap();
    println!(
        "{stories} stories ({liars} with a liar, convicted by {} pieces of evidence), {} simulated hours in {:?}: {} \
         blocks, {} transactions, {} certificates checked; healed within {} ms",
        sum.evidence,
        sum.simulated_ms / 3_600_000,
        start.elapsed(),
        sum.blocks,
        sum.transactions,
        sum.certificates,
        sum.healed_ms
    );
    assert!(violated.is_empty(), "seeds {violated:?}: `make sim SEED=n` tells one again");
}

#[test]
fn one_that_catches_up_while_exactly_a_quorum_is_left_stops_nobody() {
    // It took a block that a quorum stood by for rotten, for the chain went on while it fetched ancestors.
    for seed in [127, 148, 339, 382, 446, 480, 758, 790, 976] {
        let plan = Plan::draw(seed);
        assert!(told(&plan).is_ok(), "{plan}");
    }
}

#[test]
fn a_seed_of_the_campaign_tells_the_same_story_twice() {
    let plan = Plan::draw(3);
    let first = told(&plan);
    assert!(first.is_ok());
    assert_eq!(first, told(&plan));
}

#[test]
fn two_liars_of_four_split_the_ledger_and_the_witness_sees_it() {
    let plan = Plan { liar: None, scenes: Vec::new(), ..Plan::draw(0) };
    let memory = tempfile::tempdir().unwrap();
    let mut world = World::found(plan, memory.path());
    let ended = deterministic::Runner::new(deterministic::Config::new().with_seed(0))
        .start(async |context| Stage::open(&context, &mut world).live_among_two_liars().await);
    let why = ended.expect_err("the broken rule is caught");
    assert!(why.contains("two blocks are final at height"), "{why}");
    println!("caught: {why}");
}
