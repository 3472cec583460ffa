//! Copied and restored folders, refusals that heal, and what does not fit.

use super::simulated_node::{self, Running, SimulatedNode, paired, until};
use super::{DRAIN, boards, nobody, now};
use link::RefusalReason;
use simulator::Scenario;
use simulator::pseudo_terminal::RunningBoard;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use vitals::StreamId;
use vitals::envelope::Header;
use vitals::ids::Class;

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to)
        } else {
            std::fs::copy(entry.path(), to).map(drop).unwrap()
        }
    }
}

fn says(board: &RunningBoard, text: &str) -> bool {
    board.state().texts.iter().any(|lines| lines[0].contains(text))
}

/// The runs that wrote each stream, in what the home has stored.
fn runs(home: &SimulatedNode) -> BTreeMap<StreamId, BTreeSet<[u8; 16]>> {
    let mut runs: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for header in &home.state.record.lock().headers {
        let header = Header::decode(header).unwrap();
        runs.entry(header.stream).or_default().insert(header.run);
    }
    runs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_start_seals_under_a_run_of_its_own() {
    let (_boards, paths, clock) = boards(&[Scenario::Healthy]);
    let (dir, home) = (paired(1), SimulatedNode::open().await);
    for start in 1..=3 {
        let gateway = Running::start(dir.path(), paths.clone(), home.address, clock.clone(), DRAIN);
        let counters = gateway.counters.clone();
        until("some", || now(&counters.envelopes_sealed) > 4).await;
        gateway.stop().await;
        let runs = runs(&home);
        assert!(runs.values().filter(|runs| runs.len() == start).count() >= 2, "{runs:?}");
    }
    let all: Vec<_> = runs(&home).into_values().flatten().collect();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "and none serves two streams");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_gateway_stops_sealing_says_so_and_watches_on() {
    let (boards, paths, clock) = boards(&[Scenario::Healthy]);
    let (dir, home, old) = (paired(1), SimulatedNode::open().await, tempfile::tempdir().unwrap());
    copy(dir.path(), old.path());
    let gateway = Running::start(dir.path(), paths.clone(), home.address, clock.clone(), DRAIN);
    let counters = gateway.counters.clone();
    until("some", || now(&counters.envelopes_sealed) > 8).await;
    let first = gateway.stop().await;

    let gateway = Running::start(old.path(), paths.clone(), home.address, clock.clone(), DRAIN);
    let counters = gateway.counters.clone();
    until("closed", || now(&counters.streams_closed) == 2).await;
    until("the LCD", || says(&boards[0], "TWO WRITERS")).await;
    until("all aside", || now(&counters.envelopes_pending) == 0).await;
    let (sealed, aside) = (now(&counters.envelopes_sealed), now(&counters.envelopes_aside));
    let sampled = now(&counters.readings_sampled);
    until("readings", || now(&counters.readings_sampled) > sampled + 100).await;
    // The alarm stream had no envelope yet: the bedside's own word that there are two writers fits in.
    assert!(now(&counters.envelopes_sealed) <= sealed + 2);
    assert_eq!(now(&counters.envelopes_aside), aside);
    let second = gateway.stop().await;
    assert!(second.readings_lost >= 90, "counted, not hidden: {second:?}");
    assert_eq!(std::fs::read_dir(old.path().join("aside")).unwrap().count() as u64, aside);

    // The next start knows at once, and only asks again for each stream's first.
    let refused = home.state.record.lock().equivocations;
    let gateway = Running::start(old.path(), paths, home.address, clock, DRAIN);
    let counters = gateway.counters.clone();
    assert_eq!((now(&counters.streams_closed), now(&counters.envelopes_aside)), (2, aside));
    until("asked", || home.state.record.lock().equivocations == refused + 2).await;
    let sampled = now(&counters.readings_sampled);
    until("readings", || now(&counters.readings_sampled) > sampled + 30).await;
    let third = gateway.stop().await;
    assert_eq!((third.envelopes_refused, third.envelopes_aside), (0, aside), "{third:?}");
    let stored = home.state.record.lock().next_seqs();
    let as_it_was = |(stream, next): (&String, &u64)| *next == 0 || stored[stream] >= *next;
    assert!(first.streams.iter().all(as_it_was));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_with_one_key_one_branch_goes_on() {
    let (boards, paths, clock) = boards(&[Scenario::Healthy, Scenario::Healthy]);
    let (dir, home, copied) = (paired(1), SimulatedNode::open().await, tempfile::tempdir().unwrap());
    let gateway = Running::start(dir.path(), paths[..1].to_vec(), home.address, clock.clone(), DRAIN);
    let counters = gateway.counters.clone();
    until("some", || now(&counters.envelopes_sealed) > 8).await;
    gateway.stop().await;
    copy(dir.path(), copied.path());
    let ours = Running::start(dir.path(), paths[..1].to_vec(), home.address, clock.clone(), None);
    let theirs = Running::start(copied.path(), paths[1..].to_vec(), home.address, clock, None);
    let (one, other) = (ours.counters.clone(), theirs.counters.clone());
    until("one is refused", || now(&one.streams_closed) + now(&other.streams_closed) >= 2).await;
    until("taken over", || now(&one.taken_over) > 0 && now(&other.taken_over) > 0).await;
    until("both beds say so", || boards.iter().all(|board| says(board, "TWO WRITERS"))).await;
    let stored = home.state.record.lock().stored();
    until("the first goes on", || home.state.record.lock().stored() > stored + 5).await;
    theirs.stop().await;
    ours.stop().await;
    let record = home.state.record.lock();
    record.next_seqs();
    assert!(record.equivocations > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_node_refused_too_early_is_offered_again() {
    for code in [RefusalReason::Conflict, RefusalReason::NotAuthorized] {
        let (boards, paths, clock) = super::boards_at(40, &[Scenario::Healthy]);
        let (dir, home) = (paired(1), SimulatedNode::open().await);
        {
            let mut behaviour = home.state.behaviour.lock();
            behaviour.refusal = Some(code);
            behaviour.refuse = [Class::Environment.code()].into();
        }
        let gateway = Running::start(dir.path(), paths, home.address, clock, DRAIN);
        let counters = gateway.counters.clone();
        until("set aside", || now(&counters.envelopes_aside) > 0).await;
        let text = if code == RefusalReason::Conflict { "TWO WRITERS" } else { "NOT DELIVERED" };
        until("the LCD", || says(&boards[0], text)).await;
        home.state.behaviour.lock().refusal = None;
        let (address, state) = home.close().await;
        let home = SimulatedNode::open_at(address, state).await;
        until("taken", || now(&counters.envelopes_aside) == 0).await;
        assert_eq!(now(&counters.streams_closed), 0);
        let figures = gateway.stop().await;
        assert_eq!((figures.envelopes_pending, figures.proofs_checked), (0, figures.envelopes_sealed));
        assert_eq!(std::fs::read_dir(dir.path().join("aside")).unwrap().count(), 0);
        let record = home.state.record.lock();
        assert_eq!(record.next_seqs(), figures.streams.into_iter().filter(|(_, next)| *next > 0).collect());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_outbox_is_said_at_the_bed_and_alarms_still_fit() {
    let (boards, paths, clock) = boards(&[Scenario::Tachycardia]);
    let dir = paired(1);
    let gateway = Running::start_bounded(dir.path(), paths, nobody(), clock, 12);
    let counters = gateway.counters.clone();
    until("full", || now(&counters.readings_lost) > 20).await;
    until("the LCD", || says(&boards[0], "NOT DELIVERED") || says(&boards[0], "+1")).await;
    until("a heart alarm", || now(&counters.alarm_events) > 1).await;
    let figures = gateway.stop().await;
    assert!(figures.envelopes_sealed > 12, "alarms are kept beyond the bound: {figures:?}");
    assert_eq!(figures.envelopes_sealed, figures.envelopes_pending);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_drains_still_alarms_at_the_bed() {
    let (boards, paths, clock) = boards(&[Scenario::Tachycardia]);
    let (dir, home) = (paired(1), SimulatedNode::open().await);
    home.state.behaviour.lock().no_proofs = true;
    let gateway = Running::start(dir.path(), paths, home.address, clock, DRAIN);
    let counters = gateway.counters.clone();
    until("something to bring home", || now(&counters.receipts_checked) > 3).await;
    assert!(boards[0].state().buzzer_worst.is_none(), "not yet");
    let stopping = gateway.stopping();
    until("the buzzer", || boards[0].state().buzzer.is_some()).await;
    home.state.behaviour.lock().no_proofs = false;
    assert_eq!(stopping.await.unwrap().unwrap().envelopes_pending, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_whose_clock_is_an_hour_off_learns_it_from_its_receipts() {
    let (boards, paths, clock) = boards(&[Scenario::Healthy]);
    let (dir, home) = (paired(1), SimulatedNode::open().await);
    home.state.record.lock().latest_ms = simulated_node::NOON_MS + 3_600_000;
    let gateway = Running::start(dir.path(), paths, home.address, clock, DRAIN);
    let counters = gateway.counters.clone();
    until("it knows", || now(&counters.clock_wrong) == 1).await;
    until("the LCD", || says(&boards[0], "CLOCK WRONG")).await;
    assert_eq!(gateway.stop().await.envelopes_refused, 0);
}
