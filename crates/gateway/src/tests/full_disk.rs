//! A disk that takes no more. The limit is the process's, and each test runs in one of its own.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::commands::second_line;
use super::held_disk::Held;
use super::simulated_node::{Running, SimulatedNode, clock, paired, until};
use super::{DRAIN, boards, now};
use crate::GatewayError;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use simulator::pseudo_terminal::RunningBoard;
use simulator::{Scenario, VirtualBoard};
use std::sync::atomic::Ordering;
use tokio::signal::unix::{SignalKind, signal};
use vitals::alarm::Priority;

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_has_room_again_is_written_to_again_while_the_bedside_goes_on() {
    let (boards, paths, clock) = boards(&[Scenario::Healthy]);
    let (dir, home, held) = (paired(1), SimulatedNode::open().await, Held::new());
    let gateway = Running::go(held.open(dir.path(), paths, home.address, clock), DRAIN);
    let counters = gateway.counters.clone();
    until("connected", || now(&counters.receipts_checked) > 3).await;
    for _ in 0..2 {
        let lost = now(&counters.readings_lost);
        held.switches.full.store(true, Ordering::SeqCst);
        until("the disk is full", || now(&counters.readings_lost) > lost).await;
        until("it is said", || second_line(&boards[0], "not recorded")).await;
        boards[0].set_scenario(Scenario::Tachycardia);
        until("the bell", || boards[0].state().buzzer == Some(Priority::High)).await;
        held.switches.full.store(false, Ordering::SeqCst);
        until("recorded again", || now(&counters.not_recorded) == 0).await;
        assert_eq!(boards[0].state().buzzer, Some(Priority::High), "the bedside went on");
        let proven = now(&counters.proofs_checked);
        until("proven again", || now(&counters.proofs_checked) > proven + 20).await;
        boards[0].set_scenario(Scenario::Healthy);
        until("quiet", || boards[0].state().buzzer.is_none()).await;
    }
    let names = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!names.collect::<Vec<_>>().contains(&".disk-probe".into()));
    let figures = gateway.stop().await;
    assert_eq!(figures.envelopes_pending, 0, "{figures:?}");
    assert!(figures.readings_proven + figures.readings_lost >= figures.readings_sampled, "{figures:?}");
    let record = home.state.record.lock();
    assert_eq!(record.equivocations, 0);
    assert_eq!(record.next_seqs(), figures.streams.into_iter().filter(|(_, next)| *next > 0).collect());
}
