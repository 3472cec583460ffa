//! A disk that takes no more. The limit is the process's, and each test runs in one of its own.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::simulated_node::{Running, SimulatedNode, clock, paired, until};
use crate::GatewayError;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use simulator::pseudo_terminal::RunningBoard;
use simulator::{Scenario, VirtualBoard};
use std::sync::atomic::Ordering;
use tokio::signal::unix::{SignalKind, signal};

/// SIGXFSZ; its default would end the process.
const FILE_TOO_LARGE: i32 = 25;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alarms_reach_lcd_and_buzzer_when_the_disk_takes_no_more() {
    let _ignored = signal(SignalKind::from_raw(FILE_TOO_LARGE)).unwrap();
    let clock = clock(10);
    let board = RunningBoard::start(VirtualBoard::new(Scenario::Healthy, 1), 1, clock.clone()).unwrap();
    let (dir, home) = (paired(1), SimulatedNode::open().await);
    home.state.behaviour.lock().no_proofs = true;
    let paths = vec![board.path().to_owned()];
    let limit = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(12_000), ..limit }).unwrap();
    let gateway = Running::start(dir.path(), paths.clone(), home.address, clock.clone(), None);
    let counters = gateway.counters.clone();
    until("the disk is full", || counters.readings_lost.load(Ordering::Relaxed) > 0).await;
    until("it is said", || board.state().texts.iter().any(|lines| lines[0].contains("NOT DELIVERED"))).await;
    board.set_scenario(Scenario::Tachycardia);
    until("the patient's alarm", || board.state().texts.iter().any(|lines| lines[0].contains("PULSE HIGH")))
        .await;
    assert!(board.state().buzzer.is_some());
    assert!(matches!(gateway.end().await, Err(GatewayError::Journal(_))));
    // With room again it goes on where the journal stands, and nothing that was stored is lost.
    setrlimit(Resource::Fsize, limit).unwrap();
    home.state.behaviour.lock().no_proofs = false;
    let again =
        Running::start(dir.path(), paths, home.address, clock, Some(std::time::Duration::from_secs(20)));
    let counters = again.counters.clone();
    until("it goes on", || counters.proofs_checked.load(Ordering::Relaxed) > 20).await;
    assert_eq!(again.stop().await.envelopes_pending, 0);
    let record = home.state.record.lock();
    assert_eq!(record.equivocations, 0);
    assert!(!record.next_seqs().is_empty());
}
