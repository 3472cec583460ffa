//! Kills on purpose: nodes are killed −9 in the middle of a run and started again, and the ledger is
//! timed meanwhile.

use crate::hospital::start_nodes;
use crate::output::say;
use crate::report::Kill;
use crate::running::Running;
use anyhow::{Context, Result};
use host::clock;
use std::time::{Duration, Instant};

/// Whom to kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Victims {
    /// One node, away for a while, then started again.
    One,
    /// All nodes at the same moment, started again at once.
    All,
}

/// When in the run.
const AFTER: f64 = 0.4;
/// How long one node stays away, as a part of the run, and at most.
const AWAY: f64 = 0.15;
const AWAY_MAX: Duration = Duration::from_secs(8);
/// How long the killed may take to stand where the others stand.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(60);
/// How often to look.
const LOOK: Duration = Duration::from_millis(20);

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Lets the ward live for `duration` with one kill in it. Returns early when told to stop.
pub(crate) async fn kill(
    running: &mut Running,
    victims: Victims,
    seed: u64,
    began: Instant,
    duration: Duration,
) -> Result<()> {
    if !running.rest_until(began + duration.mul_f64(AFTER)).await? {
        return Ok(());
    }
    for hospital in &mut running.hospitals {
        hospital.settle().await?;
    }
    let count = running.hospitals.len();
    let dead: Vec<usize> = match victims {
        Victims::All => (0..count).collect(),
        Victims::One => {
            vec![usize::try_from(seed % count as u64).unwrap_or_default()]
        }
    };
    let killed = clock::instant();
    let height = running.heights.highest();
    let mut nodes = Vec::new();
    for at in &dead {
        let hospital = &mut running.hospitals[*at];
        hospital.node.as_mut().context("the node runs")?.kill_now()?;
        nodes.push(hospital.folder.role("node"));
    }
    for at in &dead {
        running.hospitals[*at].node.take().context("the node ran")?.wait().await?;
    }
    let named = nodes.join(", ");
    say(&format!(
        "Killed {named} after {:.1} s, at height {height}",
        killed.duration_since(began).as_secs_f64()
    ));
    if victims == Victims::One && count > 1 {
        running.rest_until(killed + duration.mul_f64(AWAY).min(AWAY_MAX)).await?;
    }
    let meanwhile = running.heights.highest() - height;
    let started = clock::instant();
    let folders: Vec<_> = dead.iter().map(|at| running.hospitals[*at].folder.clone()).collect();
    for (at, (role, ready)) in dead.iter().zip(start_nodes(&folders).await?) {
        let hospital = &mut running.hospitals[*at];
        (hospital.node, hospital.ready) = (Some(role), ready);
    }
    let ready_again = clock::instant().duration_since(started);
    // All dead: the first block after shows that they agree again; one dead: it stands where others do.
    let goal = running.heights.highest() + u64::from(victims == Victims::All);
    let mut caught_up = None;
    while clock::instant().duration_since(started) < CAUGHT_UP_WITHIN {
        running.check().await?;
        if dead.iter().all(|at| running.heights.of(*at).is_some_and(|height| height >= goal)) {
            caught_up = Some(clock::instant().duration_since(started));
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    let kill = Kill {
        after_s: killed.duration_since(began).as_secs_f64(),
        nodes,
        away_ms: ms(started.duration_since(killed)),
        ready_again_ms: ms(ready_again),
        caught_up_ms: caught_up.map(ms),
        height,
        blocks_meanwhile: meanwhile,
        without_block_ms: ms(running.heights.longest_pause(killed)),
    };
    say(&format!(
        "Started {named} again: serving after {} ms, {}; {} blocks meanwhile, {} ms without a block at most",
        kill.ready_again_ms,
        match kill.caught_up_ms {
            Some(ms) => format!("at the others' height after {ms} ms"),
            None => format!("NOT at the others' height within {CAUGHT_UP_WITHIN:?}"),
        },
        kill.blocks_meanwhile,
        kill.without_block_ms
    ));
    running.kills.push(kill);
    running.rest_until(began + duration).await?;
    Ok(())
}
