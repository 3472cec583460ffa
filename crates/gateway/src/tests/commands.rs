//! The ward's orders, from the home node down to LCD and buzzer of a virtual board.

use super::simulated_node::{self, RECORD, Running, SimulatedNode, document, paired, until};
use super::{DRAIN, boards, nobody, now};
use crate::Clock;
use ed25519_zebra::SigningKey;
use simulator::Scenario;
use simulator::pseudo_terminal::RunningBoard;
use std::path::Path;
use vitals::alarm::{Condition, Limits, Priority};
use vitals::command::{Action, Command, SignedCommand};
use vitals::ids::{DeviceId, PatientId};
use vitals::{Metric, PersonId};

pub(super) const FAST: Condition = Condition::Above(Metric::HeartRate);

/// The node's hand at one bed.
pub(super) struct Ward {
    gateway: DeviceId,
    sensors: Vec<DeviceId>,
    clock: Clock,
    seq: u64,
}

impl Ward {
    pub(super) fn of(dir: &Path, boards: usize, clock: &Clock) -> Self {
        let loaded = crate::keys::load(dir, boards).unwrap();
        let sensors = loaded.sensors.iter().map(device::pairing::Identity::id).collect();
        Self { gateway: loaded.gateway, sensors, clock: clock.clone(), seq: 0 }
    }

    pub(super) fn order(&mut self, action: Action, for_ms: u64) -> Command {
        let at_ms = (self.clock)();
        self.seq += 1;
        Command {
            genesis: document().hash(),
            gateway: self.gateway,
            bedside: self.sensors[0],
            patient: PatientId([4; 16]),
            seq: self.seq,
            at_ms,
            deliver_by_ms: at_ms + for_ms,
            in_force_until_ms: at_ms + for_ms,
            by: PersonId([7; 32]),
            action,
        }
    }
}

fn sign(command: Command) -> Vec<u8> {
    let signature = SigningKey::from(RECORD).sign(&command.to_be_signed()).to_bytes();
    SignedCommand { command, signature }.encode()
}

pub(super) fn send(home: &SimulatedNode, command: Command) -> bool {
    home.state.command(command.gateway, sign(command))
}

pub(super) fn second_line(board: &RunningBoard, text: &str) -> bool {
    board.state().texts.iter().any(|lines| lines[1].contains(text))
}

pub(super) fn first_line(board: &RunningBoard, text: &str) -> bool {
    board.state().texts.iter().any(|lines| lines[0].contains(text))
}

pub(super) fn answer(ward: &Ward) -> Action {
    Action::Acknowledge { condition: FAST, priority: Priority::High, raised_at_ms: (ward.clock)() }
}

/// Limits that 150 beats a minute do not touch.
fn wide() -> Limits {
    let adult = Limits::adult(Metric::HeartRate).unwrap();
    Limits { above: [None, None, Some(1790)], ..adult }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_silences_the_bell_is_on_the_lcd_and_works_once() {
    let (boards, paths, clock) = boards(&[Scenario::Tachycardia]);
    let (dir, home) = (paired(1), SimulatedNode::open().await);
    let mut ward = Ward::of(dir.path(), 1, &clock);
    let gateway = Running::start(dir.path(), paths.clone(), home.address, clock.clone(), DRAIN);
    let counters = gateway.counters.clone();
    until("the bell", || boards[0].state().buzzer == Some(Priority::High)).await;
    let command = ward.order(answer(&ward), 600_000);
    assert!(send(&home, command));
    until("it is quiet", || boards[0].state().buzzer.is_none()).await;
    until("the LCD", || second_line(&boards[0], "answered by ward")).await;
    assert_eq!(now(&counters.commands_taken), 1);
    // The same bytes again, before and after a restart: refused, and the bell rings for the new episode.
    assert!(send(&home, command));
    until("refused", || now(&counters.commands_refused) == 1).await;
    gateway.stop().await;
    let gateway = Running::start(dir.path(), paths, home.address, clock, DRAIN);
    let counters = gateway.counters.clone();
    until("connected", || now(&counters.receipts_checked) > 0).await;
    until("the bell again", || boards[0].state().buzzer == Some(Priority::High)).await;
    assert!(send(&home, command));
    until("refused again", || now(&counters.commands_refused) == 1).await;
    assert_eq!((now(&counters.commands_taken), boards[0].state().buzzer), (0, Some(Priority::High)));
    let summary = gateway.stop().await;
    assert_eq!((summary.envelopes_pending, summary.commands_refused), (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_ends_at_the_button_and_by_its_time() {
    let (boards, paths, clock) = boards(&[Scenario::Tachycardia]);
    let (dir, home) = (paired(1), SimulatedNode::open().await);
    let mut ward = Ward::of(dir.path(), 1, &clock);
    let gateway = Running::start(dir.path(), paths, home.address, clock, DRAIN);
    until("the bell", || boards[0].state().buzzer == Some(Priority::High)).await;
    assert!(send(&home, ward.order(Action::Silence { condition: FAST }, 120_000)));
    until("quiet", || boards[0].state().buzzer.is_none()).await;
    until("the LCD", || second_line(&boards[0], "sound paused")).await;
    boards[0].press_button();
    until("the button breaks it", || boards[0].state().buzzer == Some(Priority::High)).await;
    assert!(send(&home, ward.order(Action::Silence { condition: FAST }, 30_000)));
    until("quiet again", || boards[0].state().buzzer.is_none()).await;
    until("its time is over", || boards[0].state().buzzer == Some(Priority::High)).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_hold_over_a_restart_and_end_loudly() {
    let (boards, paths, clock) = boards(&[Scenario::Healthy]);
    let (dir, home) = (paired(1), SimulatedNode::open().await);
    let mut ward = Ward::of(dir.path(), 1, &clock);
    let gateway = Running::start(dir.path(), paths.clone(), home.address, clock.clone(), DRAIN);
    let counters = gateway.counters.clone();
    until("connected", || now(&counters.receipts_checked) > 0).await;
    assert!(send(&home, ward.order(Action::Limits(wide()), 150_000)));
    until("taken", || now(&counters.commands_taken) == 1).await;
    until("the LCD", || second_line(&boards[0], "new limits")).await;
    gateway.stop().await;
    // In force without any node, until their time is over; then the stricter ones are.
    boards[0].set_scenario(Scenario::Tachycardia);
    let gateway = Running::start(dir.path(), paths, nobody(), clock.clone(), None);
    let counters = gateway.counters.clone();
    until("a pulse", || now(&counters.readings_measured) > 300).await;
    assert!(!first_line(&boards[0], "PULSE HIGH"), "{:?}", boards[0].state().texts);
    // Nobody listens either, which stands in front; the end takes its turn in the second line.
    until("the end is said", || second_line(&boards[0], "limits ended")).await;
    until("and heard", || boards[0].state().buzzer.is_some()).await;
    until("the stricter ones", || first_line(&boards[0], "***PULSE HIGH")).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_bed_s_an_overtaken_a_late_and_a_forged_command_are_refused_and_the_bell_goes_on() {
    let (boards, paths, clock) = boards(&[Scenario::Tachycardia]);
    let (dir, home) = (paired(1), SimulatedNode::open().await);
    let mut ward = Ward::of(dir.path(), 1, &clock);
    let gateway = Running::start(dir.path(), paths, home.address, clock, DRAIN);
    let counters = gateway.counters.clone();
    until("the bell", || boards[0].state().buzzer == Some(Priority::High)).await;
    let action = answer(&ward);
    let overtaken = ward.order(action, 600_000);
    let good = ward.order(action, 600_000);
    let refused = [
        Command { bedside: DeviceId([1; 16]), ..good },
        Command { patient: PatientId([1; 16]), ..good },
        Command { at_ms: good.at_ms - 700_000, deliver_by_ms: good.at_ms - 600_000, ..good },
    ];
    for (n, command) in refused.into_iter().enumerate() {
        // The answer's own time must not lie after its asking.
        let Action::Acknowledge { condition, priority, .. } = command.action else { panic!() };
        let action = Action::Acknowledge { condition, priority, raised_at_ms: command.at_ms };
        assert!(send(&home, Command { action, ..command }));
        until("refused", || now(&counters.commands_refused) == n as u64 + 1).await;
    }
    let mut forged = sign(good);
    *forged.last_mut().unwrap() ^= 1;
    assert!(home.state.command(ward.gateway, forged));
    assert!(home.state.command(ward.gateway, b"no command".to_vec()));
    until("refused", || now(&counters.commands_refused) == 5).await;
    assert!(boards[0].state().buzzer.is_some());
    let pause = ward.order(Action::EndSilence { condition: FAST }, 60_000);
    assert!(send(&home, pause) && send(&home, overtaken));
    until("overtaken", || now(&counters.commands_refused) == 6).await;
    assert_eq!(boards[0].state().buzzer, Some(Priority::High));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_listening_is_said_after_thirty_seconds_and_taken_back() {
    let (boards, paths, clock) = boards(&[Scenario::Healthy]);
    let (dir, home) = (paired(1), SimulatedNode::open().await);
    let gateway = Running::start(dir.path(), paths, home.address, clock.clone(), DRAIN);
    let counters = gateway.counters.clone();
    until("connected", || now(&counters.receipts_checked) > 3).await;
    let (address, state) = home.close().await;
    let since_ms = clock();
    until("the LCD", || first_line(&boards[0], "WARD NOT") && second_line(&boards[0], "LISTENING")).await;
    assert!(clock() - since_ms >= 29_000, "not before");
    until("heard", || boards[0].state().buzzer == Some(Priority::Technical)).await;
    assert_eq!(now(&counters.ward_not_listening), 1);
    let home = SimulatedNode::open_at(address, state).await;
    until("taken back", || boards[0].state().lcd.is_some_and(|lines| lines[0].contains("bpm"))).await;
    assert_eq!((now(&counters.ward_not_listening), boards[0].state().buzzer), (0, None));
    gateway.stop().await;
    home.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_connected_and_answers_nothing_is_not_listening_either() {
    let (boards, paths, clock) = boards(&[Scenario::Healthy]);
    let (dir, home) = (paired(1), SimulatedNode::open().await);
    // "Try again" to everything is no answer.
    home.state.behaviour.lock().busy = usize::MAX;
    let gateway = Running::start(dir.path(), paths, home.address, clock, DRAIN);
    let counters = gateway.counters.clone();
    until("connected", || now(&counters.node_connections) > 0).await;
    until("the LCD", || first_line(&boards[0], "WARD NOT")).await;
    home.state.behaviour.lock().busy = 0;
    until("it answers", || now(&counters.ward_not_listening) == 0).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owned_node_gets_no_wider_than_the_floor() {
    let (boards, paths, clock) = boards(&[Scenario::Healthy]);
    let (dir, home) = (paired(1), SimulatedNode::open().await);
    let mut ward = Ward::of(dir.path(), 1, &clock);
    let mut config = simulated_node::config(dir.path(), paths, home.address);
    let floor = crate::config::Floor { above: Some(120.0), below: Some(30.0), within_s: 5 };
    config.floor = [("heart_rate".to_owned(), floor)].into();
    let gateway = Running::run(config, clock, DRAIN);
    let counters = gateway.counters.clone();
    until("connected", || now(&counters.receipts_checked) > 0).await;
    let off = Limits { above: [None; 3], below: [None; 3], persistence_ms: 600_000, ..wide() };
    assert!(send(&home, ward.order(Action::Limits(off), 600_000)));
    until("taken", || now(&counters.commands_taken) == 1).await;
    // Nothing rang before it was switched off.
    boards[0].set_scenario(Scenario::Tachycardia);
    until("it rings all the same", || boards[0].state().buzzer == Some(Priority::High)).await;
    gateway.stop().await;
}
