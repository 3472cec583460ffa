//! A gateway with virtual boards on pseudo-terminals, with and without its home organisation.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

mod commands;
mod equivocation;
mod full_disk;
mod held_disk;
mod ledger_witness;
pub(crate) mod simulated_node;

use link::RefusalReason;
use simulated_node::{Running, SimulatedNode, clock, paired, until};
use simulator::pseudo_terminal::RunningBoard;
use simulator::{Scenario, VirtualBoard};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use vitals::alarm::Priority;
use vitals::ids::Class;

const SPEED: u32 = 10;
const DRAIN: Option<Duration> = Some(Duration::from_secs(20));

fn nobody() -> SocketAddr {
    // The discard port: nobody answers there.
    "127.0.0.1:9".parse().unwrap()
}

fn now(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Boards that run ten times as fast as the machine, like the gateway's clock.
fn boards(scenarios: &[Scenario]) -> (Vec<RunningBoard>, Vec<PathBuf>, crate::Clock) {
    boards_at(SPEED, scenarios)
}

fn boards_at(speed: u32, scenarios: &[Scenario]) -> (Vec<RunningBoard>, Vec<PathBuf>, crate::Clock) {
    let clock = clock(speed.into());
    let boards: Vec<RunningBoard> = scenarios
        .iter()
        .zip(0..)
        // The board's clock is the fast one already.
        .map(|(scenario, seed)| {
            RunningBoard::start(VirtualBoard::new(*scenario, seed), 1, clock.clone()).unwrap()
        })
        .collect();
    let paths = boards.iter().map(|board| board.path().to_owned()).collect();
    (boards, paths, clock)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_sampled_comes_home_and_is_forgotten_after_its_proof() {
    let (_boards, paths, clock) = boards(&[Scenario::Healthy, Scenario::Healthy]);
    let (dir, home) = (paired(2), SimulatedNode::open().await);
    let gateway = Running::start(dir.path(), paths, home.address, clock, DRAIN);
    let counters = gateway.counters.clone();
    until("proofs", || now(&counters.proofs_checked) > 40).await;
    let figures = gateway.stop().await;
    assert!(figures.readings_sampled > 100, "{figures:?}");
    assert_eq!(figures.readings_proven, figures.readings_sampled, "{figures:?}");
    assert_eq!(figures.proofs_checked, figures.envelopes_sealed, "{figures:?}");
    assert_eq!(figures.receipts_checked, figures.envelopes_sealed, "{figures:?}");
    assert_eq!(figures.envelopes_forgotten, figures.envelopes_sealed);
    assert_eq!((figures.envelopes_pending, figures.proofs_failed, figures.receipts_failed), (0, 0, 0));
    assert_eq!(figures.sealed_to_proven_ms.samples, figures.envelopes_sealed);
    let record = home.state.record.lock();
    assert_eq!(record.stored() as u64, figures.envelopes_sealed);
    assert_eq!(record.next_seqs(), figures.streams.into_iter().filter(|(_, next)| *next > 0).collect());
    assert_eq!(record.equivocations, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alarm_reaches_lcd_and_buzzer_without_any_node() {
    let (boards, paths, clock) = boards(&[Scenario::Tachycardia]);
    let dir = paired(1);
    let gateway = Running::start(dir.path(), paths, nobody(), clock, None);
    until("the buzzer", || boards[0].state().buzzer.is_some()).await;
    let seen = boards[0].state();
    assert!(seen.buzzer_worst > Some(Priority::Technical), "{seen:?}");
    until("the text", || boards[0].state().texts.iter().any(|lines| lines[0].contains("PULSE HIGH"))).await;
    let figures = gateway.stop().await;
    assert!(figures.alarms_raised >= 1 && figures.envelopes_pending > 0, "{figures:?}");
    assert_eq!((figures.envelopes_sent, figures.node_connections), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sealed_in_the_dark_arrives_later_alarms_first() {
    let (boards, paths, clock) = boards(&[Scenario::Tachycardia]);
    let dir = paired(1);
    let gateway = Running::start(dir.path(), paths.clone(), nobody(), clock.clone(), None);
    let counters = gateway.counters.clone();
    until("an alarm in the journal", || {
        now(&counters.alarm_events) > 0 && now(&counters.envelopes_sealed) > 60
    })
    .await;
    // The mark stands where the last cell is free: beside a second alarm it is not.
    let marked = |lines: &[String]| lines[0].ends_with('!');
    until("the LCD says so", || boards[0].state().texts.iter().any(|lines| marked(lines))).await;
    let dark = gateway.stop().await;
    let home = SimulatedNode::open().await;
    let gateway = Running::start(dir.path(), paths, home.address, clock, DRAIN);
    until("home", || home.state.record.lock().stored() as u64 > dark.envelopes_sealed).await;
    until("the mark is gone", || !marked(&boards[0].state().lcd.unwrap())).await;
    let figures = gateway.stop().await;
    assert_eq!(figures.envelopes_pending, 0);
    let record = home.state.record.lock();
    assert_eq!(record.next_seqs(), figures.streams.into_iter().filter(|(_, next)| *next > 0).collect());
    assert_eq!((record.duplicates, record.equivocations), (0, 0));
    assert_eq!(record.arrivals[0], Class::Alarms);
    assert!(record.alarms > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_goes_and_comes_back_loses_nothing() {
    let (_boards, paths, clock) = boards(&[Scenario::Healthy]);
    let (dir, home) = (paired(1), SimulatedNode::open().await);
    let gateway = Running::start(dir.path(), paths, home.address, clock, DRAIN);
    let counters = gateway.counters.clone();
    until("some", || now(&counters.receipts_checked) > 5).await;
    let (address, state) = home.close().await;
    let sealed = now(&counters.envelopes_sealed);
    until("more in the dark", || now(&counters.envelopes_sealed) > sealed + 10).await;
    let home = SimulatedNode::open_at(address, state).await;
    until("back", || now(&counters.node_connections) == 2).await;
    let figures = gateway.stop().await;
    assert_eq!(
        (figures.envelopes_pending, figures.proofs_checked),
        (0, figures.envelopes_sealed),
        "{figures:?}"
    );
    assert_eq!(home.state.record.lock().equivocations, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_stopped_and_started_goes_on_in_its_streams() {
    let (_boards, paths, clock) = boards(&[Scenario::Healthy]);
    let (dir, home) = (paired(1), SimulatedNode::open().await);
    let mut sealed = 0;
    for round in 1..=3 {
        let gateway = Running::start(dir.path(), paths.clone(), home.address, clock.clone(), None);
        let counters = gateway.counters.clone();
        until("some", || now(&counters.envelopes_sealed) > 8).await;
        sealed += gateway.stop().await.envelopes_sealed;
        assert!(round < 4);
    }
    let gateway = Running::start(dir.path(), paths, home.address, clock, DRAIN);
    let figures = gateway.stop().await;
    sealed += figures.envelopes_sealed;
    assert_eq!(figures.envelopes_pending, 0);
    let record = home.state.record.lock();
    assert_eq!((record.equivocations, record.stored() as u64), (0, sealed));
    assert_eq!(record.next_seqs(), figures.streams.into_iter().filter(|(_, next)| *next > 0).collect());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_node_is_asked_again() {
    let (_boards, paths, clock) = boards(&[Scenario::Healthy]);
    let (dir, home) = (paired(1), SimulatedNode::open().await);
    home.state.behaviour.lock().busy = 7;
    let gateway = Running::start(dir.path(), paths, home.address, clock, DRAIN);
    let counters = gateway.counters.clone();
    until("proofs", || now(&counters.proofs_checked) > 10).await;
    let figures = gateway.stop().await;
    assert_eq!((figures.envelopes_pending, figures.envelopes_refused), (0, 0));
    assert!(figures.envelopes_resent >= 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_envelope_is_kept_aside_and_said_on_the_lcd() {
    let (boards, paths, clock) = boards(&[Scenario::Healthy]);
    let (dir, home) = (paired(1), SimulatedNode::open().await);
    {
        let mut behaviour = home.state.behaviour.lock();
        behaviour.refusal = Some(RefusalReason::PayloadInvalid);
        behaviour.refuse = [Class::Environment.code()].into();
    }
    let gateway = Running::start(dir.path(), paths, home.address, clock, DRAIN);
    let counters = gateway.counters.clone();
    until("refusals", || now(&counters.envelopes_refused) > 3).await;
    until("the LCD", || boards[0].state().texts.iter().any(|lines| lines[0].contains("NOT DELIVERED"))).await;
    let figures = gateway.stop().await;
    assert_eq!(figures.envelopes_pending, 0);
    assert_eq!(figures.proofs_checked + figures.envelopes_refused, figures.envelopes_sealed);
    let aside = std::fs::read_dir(dir.path().join("aside")).unwrap().count();
    assert_eq!(aside as u64, figures.envelopes_refused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_receipts_and_proofs_let_it_forget_nothing() {
    let (_boards, paths, clock) = boards(&[Scenario::Healthy]);
    let (dir, home) = (paired(1), SimulatedNode::open().await);
    {
        let mut behaviour = home.state.behaviour.lock();
        (behaviour.forge_receipts, behaviour.forge_proofs) = (true, true);
    }
    let gateway = Running::start(dir.path(), paths, home.address, clock, DRAIN);
    let counters = gateway.counters.clone();
    until("forgeries", || now(&counters.receipts_failed) > 5 && now(&counters.proofs_failed) > 3).await;
    assert_eq!((now(&counters.receipts_checked), now(&counters.proofs_checked)), (0, 0));
    assert_eq!(now(&counters.envelopes_pending), now(&counters.envelopes_sealed));
    // The node comes to its senses.
    {
        let mut behaviour = home.state.behaviour.lock();
        (behaviour.forge_receipts, behaviour.forge_proofs) = (false, false);
    }
    let figures = gateway.stop().await;
    assert_eq!(
        (figures.envelopes_pending, figures.proofs_checked),
        (0, figures.envelopes_sealed),
        "{figures:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_receipts_are_asked_for_by_sending_again() {
    let (_boards, paths, clock) = boards(&[Scenario::Healthy]);
    let (dir, home) = (paired(1), SimulatedNode::open().await);
    {
        let mut behaviour = home.state.behaviour.lock();
        (behaviour.no_receipts, behaviour.no_proofs) = (true, true);
    }
    let gateway = Running::start(dir.path(), paths, home.address, clock, DRAIN);
    let counters = gateway.counters.clone();
    until("duplicates", || home.state.record.lock().duplicates > 3).await;
    {
        let mut behaviour = home.state.behaviour.lock();
        (behaviour.no_receipts, behaviour.no_proofs) = (false, false);
    }
    until("receipts", || now(&counters.receipts_checked) > 3).await;
    assert_eq!(gateway.stop().await.envelopes_pending, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_signed_while_the_gateway_was_away_reaches_it_on_its_next_connection() {
    let (_boards, paths, clock) = boards(&[Scenario::Healthy]);
    let (dir, home) = (paired(1), SimulatedNode::open().await);
    {
        let mut behaviour = home.state.behaviour.lock();
        (behaviour.no_receipts, behaviour.no_proofs) = (true, true);
    }
    let gateway = Running::start(dir.path(), paths, home.address, clock.clone(), None);
    until("stored", || home.state.record.lock().stored() > 5).await;
    assert_eq!(gateway.stop().await.receipts_checked, 0);
    // At most so many are kept for one device.
    let owed = (home.state.sign_receipts() as u64).min(64);
    assert!(owed > 5);
    // From now on the node answers no envelope: what comes is what it owed. And no board sends any more.
    home.state.behaviour.lock().busy = usize::MAX;
    let gateway = Running::start(dir.path(), vec![], home.address, clock, None);
    let counters = gateway.counters.clone();
    until("every receipt", || now(&counters.receipts_checked) == owed).await;
    let figures = gateway.stop().await;
    assert_eq!((figures.envelopes_acked, figures.receipts_failed), (0, 0), "{figures:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_board_that_is_pulled_out_is_read_again_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("board");
    let (boards, paths, clock) = boards(&[Scenario::Healthy]);
    std::os::unix::fs::symlink(&paths[0], &socket).unwrap();
    let dir = paired(1);
    let gateway = Running::start(dir.path(), vec![socket.clone()], nobody(), clock.clone(), None);
    let counters = gateway.counters.clone();
    until("readings", || now(&counters.readings_sampled) > 10).await;
    drop(boards);
    std::fs::remove_file(&socket).unwrap();
    until("the alarm", || now(&counters.alarm_events) > 0).await;
    let new = RunningBoard::start(VirtualBoard::new(Scenario::Healthy, 5), 1, clock).unwrap();
    std::os::unix::fs::symlink(new.path(), &socket).unwrap();
    until("it is back", || now(&counters.boards_connected) == 2).await;
    let before = now(&counters.readings_sampled);
    until("readings again", || now(&counters.readings_sampled) > before + 10).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_do_not_share_a_folder() {
    let dir = paired(1);
    let config = simulated_node::config(dir.path(), vec![], nobody());
    let first = crate::Gateway::open(config.clone(), clock(1), simulated_node::entropy()).unwrap();
    let second = crate::Gateway::open(config.clone(), clock(1), simulated_node::entropy()).unwrap_err();
    assert!(matches!(second, crate::GatewayError::InUse(_)), "{second}");
    drop(first);
    crate::Gateway::open(config, clock(1), simulated_node::entropy()).unwrap();
}

mod pairing {
    use super::*;
    use crate::KeyError;
    use simulated_node::{NOON_MS, RECORD, answer, entropy, record_key};
    use vitals::keys::{ChainKey, epoch_of};

    fn request(dir: &std::path::Path, boards: usize) -> vitals::pairing::PairingRequest {
        let entropy = entropy();
        crate::first_boot(dir, boards, &mut |out| entropy(out)).unwrap()
    }

    #[test]
    fn the_first_boot_makes_keys_once_and_keeps_them_private() {
        let dir = tempfile::tempdir().unwrap();
        let first = request(dir.path(), 2);
        assert_eq!(vitals::pairing::PairingRequest::decode(&first.encode()).unwrap(), first);
        assert_eq!(request(dir.path(), 2), first);
        let keys = dir.path().join("keys");
        assert_eq!(std::fs::metadata(&keys).unwrap().permissions().mode() & 0o777, 0o700);
        let files: Vec<_> = std::fs::read_dir(keys).unwrap().map(|entry| entry.unwrap()).collect();
        assert_eq!(files.len(), 3);
        for file in files {
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn only_the_right_answer_is_accepted() {
        let dir = tempfile::tempdir().unwrap();
        let request = request(dir.path(), 2);
        let day = epoch_of(NOON_MS);
        let good = answer(&request, RECORD, [6; 32], day);
        let accept = |answer: &[u8]| crate::accept(dir.path(), answer, Some(record_key()));
        assert!(matches!(
            accept(&answer(&request, [8; 32], [6; 32], day)),
            Err(KeyError::ForeignOrganisation)
        ));
        for at in (0..good.len()).step_by(7) {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(accept(&bad).is_err(), "byte {at}");
        }
        let other = tempfile::tempdir().unwrap();
        let foreign = super::pairing::request(other.path(), 2);
        assert!(matches!(accept(&answer(&foreign, RECORD, [6; 32], day)), Err(KeyError::ForeignGateway(_))));
        let mut mixed = request.clone();
        mixed.sensors = foreign.sensors;
        assert!(matches!(accept(&answer(&mixed, RECORD, [6; 32], day)), Err(KeyError::ForeignSensor(_))));
        let paired = accept(&good).unwrap();
        assert_eq!((paired.streams.len(), paired.record_key), (6, record_key()));
        assert_eq!(accept(&good).unwrap(), paired);
        let taken_over = crate::accept(dir.path(), &answer(&request, [8; 32], [6; 32], day), None);
        assert!(matches!(taken_over, Err(KeyError::ForeignOrganisation)), "another one on the same ledger");
        // Never back in time: a key of an earlier day that is not the one held, or another of today.
        for (chain, day) in [([7; 32], day - 1), ([7; 32], day)] {
            assert!(matches!(accept(&answer(&request, RECORD, chain, day)), Err(KeyError::Regression(_))));
        }
        accept(&answer(&request, RECORD, [9; 32], day + 1)).unwrap();
        // The same chain seen from an earlier day changes nothing.
        let stepped = *ChainKey::new([9; 32]).forward(2).unwrap().expose();
        accept(&answer(&request, RECORD, stepped, day + 3)).unwrap();
        accept(&answer(&request, RECORD, [9; 32], day + 1)).unwrap();
    }

    #[test]
    fn a_gateway_says_what_it_still_needs() {
        let dir = tempfile::tempdir().unwrap();
        let open = || {
            let config = simulated_node::config(dir.path(), vec!["/dev/null".into()], nobody());
            crate::Gateway::open(config, clock(1), entropy()).unwrap_err().to_string()
        };
        assert!(open().contains("first boot"));
        request(dir.path(), 1);
        assert!(open().contains("not paired"));
    }

    #[test]
    fn damaged_keys_are_named() {
        let dir = paired(1);
        for name in ["gateway.key", "sensor-00.key", "streams.key", "pairing.answer"] {
            let path = dir.path().join("keys").join(name);
            let good = std::fs::read(&path).unwrap();
            for at in (0..good.len()).step_by(5) {
                let mut bad = good.clone();
                bad[at] ^= 4;
                std::fs::write(&path, &bad).unwrap();
                let config = simulated_node::config(dir.path(), vec!["/dev/null".into()], nobody());
                let why = crate::Gateway::open(config, clock(1), entropy()).unwrap_err().to_string();
                assert!(why.contains(name), "{why}");
            }
            std::fs::write(&path, good).unwrap();
        }
        let config = simulated_node::config(dir.path(), vec!["/dev/null".into()], nobody());
        crate::Gateway::open(config, clock(1), entropy()).unwrap();
    }
}
